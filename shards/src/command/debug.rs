//! DEBUG: for tests of clients and of this server; off unless `enable-debug-command` lets it.
//!
//! It holds all shards, so that SLEEP stops the whole server and any key can be looked at. What
//! tests set for Redis's inner workings (replication ids, node sizes of lists) is accepted and
//! changes nothing where there is no such thing.

use causet_core::effect::{Data, Effect, Payload, TypeTag};
use causet_core::entry::{Entry, Value};
use causet_core::glob::glob_match;

use super::arg::{Arguments, integer};
use super::call::encode_state;
use super::*;

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "debug",
    arity: -2,
    flags: flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE,
    route: Route::AllShards,
    summary: "Commands for tests, which may stop the server for a while.",
    complexity: "Depends on the sub-command.",
    group: "server",
    handler: debug,
    ..Command::BASE
}];

/// Longest string that lies inside Redis's object: OBJECT ENCODING says `embstr` up to it.
const EMBEDDED_BYTES_MAX: usize = 44;
/// Longest SLEEP, in seconds.
const SLEEP_S_MAX: f64 = 3600.0;

fn debug<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if !call
        .state
        .config
        .enable_debug_command
        .permits(call.client.is_local)
    {
        return Err(Failure::from(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        ));
    }
    let name = args.at(1).to_ascii_lowercase();
    match (name.as_slice(), args.len()) {
        (b"sleep", 3) => sleep(call, args.at(2)),
        (b"object", 3..) => object(call, args.at(2)),
        (b"listpack", 3) => listpack(call, args.at(2)),
        (b"set-active-expire", 3) => set_active_expire(call, args.at(2)),
        (b"stringmatch-len", 4) => match_long(call, args.at(2), args.at(3)),
        (b"htstats", 3..) => table_stats(call, args.at(2)),
        (b"populate", 3..=5) => populate(call, args),
        (b"reload", _) | (b"loadaof", 2) => reload(call),
        (b"error", 3) => Err(Failure(args.at(2).to_vec().into())),
        (b"change-repl-id", 2) | (b"quicklist-packed-threshold", 3) | (b"jmap", 2) => {
            call.reply().ok();
            Ok(())
        }
        (b"help", 2) => help(call),
        _ => {
            let name = String::from_utf8_lossy(args.at(1)).into_owned();
            Err(Failure::from(format!(
                "ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."
            )))
        }
    }
}

fn sleep(call: &mut Call<'_, '_>, seconds: &[u8]) -> Result<(), Failure> {
    // As strtod: what is no number is no time.
    let seconds = arg::float(seconds).unwrap_or(0.0).clamp(0.0, SLEEP_S_MAX);
    std::thread::sleep(std::time::Duration::from_secs_f64(seconds));
    call.reply().ok();
    Ok(())
}

/// The encoding as Redis names it.
fn encoding(entry: Entry<'_>) -> &'static str {
    let of_string = |len: usize| match entry.is_raw() || len > EMBEDDED_BYTES_MAX {
        true => "raw",
        false => "embstr",
    };
    match entry.value() {
        Value::Int(_) => "int",
        Value::Bytes(bytes) => of_string(bytes.len()),
        Value::Shared(shared) => of_string(shared.as_slice().len()),
        Value::Collection(collection) => collection.encoding_name(),
        Value::Cold => "cold",
    }
}

fn object(call: &mut Call<'_, '_>, key: &[u8]) -> Result<(), Failure> {
    let recency = call.owner(key).recency.clone();
    let clock_s = (call.now_ms() / 1000) & 0xff_ffff;
    let entry = call.peek(key).ok_or(Failure::NO_SUCH_KEY)?;
    let bytes = match entry.value() {
        Value::Cold => 0,
        _ => encode_state(entry).len(),
    };
    let idle_s = recency.idle_seconds(entry.access());
    let text = format!(
        "Value at:{:#x} refcount:1 encoding:{} serializedlength:{bytes} lru:{} lru_seconds_idle:{}",
        // The key's tip stands where Redis shows an address: it names the value as well.
        entry.tip(),
        encoding(entry),
        clock_s.saturating_sub(idle_s),
        idle_s
    );
    call.reply().simple(text);
    Ok(())
}

fn listpack(call: &mut Call<'_, '_>, key: &[u8]) -> Result<(), Failure> {
    let entry = call.peek(key).ok_or(Failure::NO_SUCH_KEY)?;
    let Value::Collection(collection) = entry.value() else {
        return Err(Failure::from("ERR Not a listpack encoded object."));
    };
    if collection.encoding_name() != "listpack" {
        return Err(Failure::from("ERR Not a listpack encoded object."));
    }
    let text = format!(
        "{} elements in {} bytes",
        collection.len(),
        collection.memory_bytes()
    );
    call.reply().simple(text);
    Ok(())
}

fn set_active_expire(call: &mut Call<'_, '_>, arg: &[u8]) -> Result<(), Failure> {
    let is_on = integer(arg)? != 0;
    call.for_each_shard(|state| state.active_expire = is_on);
    call.reply().ok();
    Ok(())
}

/// Longest text of STRINGMATCH-LEN, in bytes.
const MATCHED_BYTES_MAX: i64 = 512 << 20;

/// Matches a pattern against a long run of one letter: that this ends at all is the test.
fn match_long(call: &mut Call<'_, '_>, len: &[u8], pattern: &[u8]) -> Result<(), Failure> {
    let len = integer(len)?;
    if !(0..=MATCHED_BYTES_MAX).contains(&len) {
        return Err(Failure::NOT_AN_INTEGER);
    }
    let matches = glob_match(pattern, &vec![b'a'; len as usize], false);
    call.reply().integer(i64::from(matches));
    Ok(())
}

fn table_stats(call: &mut Call<'_, '_>, db: &[u8]) -> Result<(), Failure> {
    let db = usize::try_from(integer(db)?).ok();
    let (mut keys, mut expiring, mut bytes, mut known) = (0, 0, 0, false);
    call.for_each_shard(|state| {
        if let Some(space) = db.and_then(|db| state.engine.spaces().nth(db)) {
            known = true;
            keys += space.len();
            expiring += space.expiring_keys();
            bytes += space.overhead_bytes();
        }
    });
    if !known {
        return Err(Failure::from("ERR Out of range database"));
    }
    let text = format!(
        "[Dictionary HT]\n number of elements: {keys}\n bytes of indexes: {bytes}\n[Expires HT]\n \
         number of elements: {expiring}\n"
    );
    call.reply().verbatim(*b"txt", text.as_bytes());
    Ok(())
}

/// Most keys of one POPULATE; its effects are committed together.
const POPULATE_MAX: i64 = 10_000_000;

/// `POPULATE count [prefix] [size]`: strings `prefix:number`, where no key is there yet.
fn populate<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (count, size) = (integer(args.at(2))?, args.get(4).map(integer).transpose()?);
    if !(0..=POPULATE_MAX).contains(&count) || size.is_some_and(|size| size < 0) {
        return Err(Failure::OUT_OF_RANGE);
    }
    let prefix = args.get(3).unwrap_or(b"key");
    for number in 0..count {
        let key = [prefix, b":", number.to_string().as_bytes()].concat();
        if call.peek(&key).is_some() {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = size {
            value.resize(size as usize, 0);
        }
        let (key, value) = (call.keep(&key), call.keep(&value));
        call.emit(key, Data::set(value, None));
    }
    call.reply().ok();
    Ok(())
}

/// A key with all that a restart would bring back.
type Whole = (u32, Vec<u8>, TypeTag, Option<u64>, Vec<u8>);

/// Writes every value in memory to the log as a snapshot and builds it anew from that, as a restart
/// does. What is cold is in the log already and stays there. O(data), in memory and time.
fn reload(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let now_ms = call.now_ms();
    let mut wholes: Vec<Whole> = Vec::new();
    call.for_each_shard(|state| {
        for db in 0..state.engine.databases() {
            let live = state.engine.in_order(db).iter().filter(|entry| {
                let expired = entry.expires_ms().is_some_and(|at_ms| at_ms <= now_ms);
                !expired && !matches!(entry.value(), Value::Cold)
            });
            wholes.extend(live.map(|entry| {
                let (key, state) = (entry.key().to_vec(), encode_state(entry));
                (db, key, entry.type_tag(), entry.expires_ms(), state)
            }));
        }
    });
    for (db, key, type_tag, expires_ms, state) in wholes {
        let (key, state) = (call.keep(&key), call.keep(&state));
        // A snapshot merges with what is there; the old value goes first.
        let payload = Payload::Data(Data::remove_key());
        call.context.emit_effect(Effect { db, key, payload });
        call.emit_copy(db, key, type_tag, expires_ms, state);
    }
    server::request_sync(call);
    call.reply().ok();
    Ok(())
}

fn help(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    container::reply_help(
        call,
        &[
            "CHANGE-REPL-ID",
            "    Changes nothing: nodes are known by ids that stay.",
            "ERROR <text>",
            "    Answers an error with this text.",
            "HTSTATS <db>",
            "    Tells the size of a database's indexes.",
            "LISTPACK <key>",
            "    Tells the size of a compact collection.",
            "LOADAOF",
            "    As RELOAD.",
            "OBJECT <key>",
            "    Tells how a value is stored.",
            "POPULATE <count> [<prefix>] [<size>]",
            "    Makes <count> strings named <prefix>:<number>.",
            "QUICKLIST-PACKED-THRESHOLD <size>",
            "    Changes nothing: lists have one kind of node.",
            "RELOAD",
            "    Builds every value anew from what a restart would read.",
            "SET-ACTIVE-EXPIRE <0|1>",
            "    Whether expired keys are looked for in the background.",
            "SLEEP <seconds>",
            "    Stops all shards for some time.",
            "STRINGMATCH-LEN <len> <pattern>",
            "    Matches a pattern against <len> letters a.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::harness::Harness;
    use crate::config::LocalAccess;

    fn permitted() -> Harness {
        let mut harness = Harness::new();
        let mut config = (*harness.state.config).clone();
        config.enable_debug_command = LocalAccess::Local;
        harness.state.config = Arc::new(config);
        harness.client.is_local = true;
        harness
    }

    #[test]
    fn debug_is_for_those_whom_the_configuration_lets() {
        assert!(
            Harness::new()
                .text("debug sleep 0")
                .starts_with("-ERR DEBUG command not allowed.")
        );
        let mut harness = permitted();
        harness.expect(&[("debug sleep 0", "+OK\r\n")]);
        harness.client.is_local = false;
        assert!(
            harness
                .text("debug sleep 0")
                .starts_with("-ERR DEBUG command not allowed.")
        );
    }

    #[test]
    fn subcommands_answer() {
        let mut harness = permitted();
        harness.expect(&[
            ("debug object nokey", "-ERR no such key\r\n"),
            ("debug populate 3", "+OK\r\n"),
            ("debug listpack key:0", "-ERR Not a listpack encoded object.\r\n"),
            ("debug set-active-expire 0", "+OK\r\n"),
            ("debug stringmatch-len 10 a*", ":1\r\n"),
            ("debug stringmatch-len 10 b*", ":0\r\n"),
            ("debug change-repl-id", "+OK\r\n"),
            ("debug quicklist-packed-threshold 100", "+OK\r\n"),
            ("debug error OOPS", "-OOPS\r\n"),
            (
                "debug foo",
                "-ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP.\r\n",
            ),
            (
                "debug sleep",
                "-ERR unknown subcommand or wrong number of arguments for 'sleep'. Try DEBUG HELP.\r\n",
            ),
        ]);
        assert!(!harness.state.active_expire);
        let object = harness.text("debug object key:0");
        assert!(
            object.contains(" encoding:embstr serializedlength:7 lru:1000000 "),
            "{object}"
        );
        assert!(
            harness
                .text("debug htstats 0")
                .contains("number of elements: 3\n")
        );
    }

    #[test]
    fn a_reload_brings_everything_back() {
        let mut harness = permitted();
        harness.text("debug populate 100 k 3000");
        harness.state.engine.space(0);
        harness.expect(&[("debug reload", "+OK\r\n"), ("debug loadaof", "+OK\r\n")]);
        assert_eq!(harness.state.engine.space(0).len(), 100);
        assert!(harness.state.wants_sync);
        assert!(
            harness
                .text("debug object k:99")
                .contains("serializedlength:3000 ")
        );
    }
}
