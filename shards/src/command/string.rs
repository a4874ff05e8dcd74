//! String commands: whole values, parts of them, and the numbers that they may be.
//!
//! Expiries are set here only where a string command does it too (SET EX, GETEX); the commands for
//! expiries are in `expire.rs`, LCS is in `lcs.rs`.
//!
//! The rule kept: a command emits what its user meant. INCR is a delta and APPEND a suffix, so that
//! concurrent ones add up; SET is a whole value, of which the last wins. GET and SET without options
//! are what most servers do most of the time: one look-up each, and no allocation.

use causet_core::effect::{Data, Merge, Meta, Scalar};
use causet_core::number::Decimal;
use causet_proto::resp::parse_double;

use super::arg::{self, Arguments};
use super::expire::{Unit, deadline};
use super::flag::{DENYOOM, FAST, READONLY, WRITE};
use super::*;

const READ: Command = Command {
    flags: READONLY,
    keys: Keys::ONE,
    route: Route::Keys,
    group: "string",
    ..Command::BASE
};

const CHANGE: Command = Command {
    flags: WRITE | DENYOOM,
    ..READ
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "get",
        arity: 2,
        flags: READONLY | FAST,
        summary: "Answers the string at a key.",
        handler: get,
        ..READ
    },
    Command {
        name: "set",
        arity: -3,
        summary: "Sets a key to a string, whatever it held. Of concurrent ones the last wins.",
        handler: set,
        ..CHANGE
    },
    Command {
        name: "setnx",
        arity: 3,
        flags: WRITE | DENYOOM | FAST,
        summary: "Sets a key to a string where there is no such key.",
        handler: setnx,
        ..CHANGE
    },
    Command {
        name: "setex",
        arity: 4,
        since: "2.0.0",
        summary: "Sets a key to a string that expires after some seconds.",
        handler: setex,
        ..CHANGE
    },
    Command {
        name: "psetex",
        arity: 4,
        since: "2.6.0",
        summary: "Sets a key to a string that expires after some milliseconds.",
        handler: psetex,
        ..CHANGE
    },
    Command {
        name: "getset",
        arity: 3,
        flags: WRITE | DENYOOM | FAST,
        summary: "Sets a key to a string and answers the one before.",
        handler: getset,
        ..CHANGE
    },
    Command {
        name: "getdel",
        arity: 2,
        flags: WRITE | FAST,
        since: "6.2.0",
        summary: "Answers the string at a key and deletes the key.",
        handler: getdel,
        ..CHANGE
    },
    Command {
        name: "getex",
        arity: -2,
        flags: WRITE | FAST,
        since: "6.2.0",
        summary: "Answers the string at a key and changes when the key expires.",
        handler: getex,
        ..CHANGE
    },
    Command {
        name: "strlen",
        arity: 2,
        flags: READONLY | FAST,
        since: "2.2.0",
        summary: "Answers the length of a string in bytes.",
        handler: strlen,
        ..READ
    },
    Command {
        name: "append",
        arity: 3,
        flags: WRITE | DENYOOM | FAST,
        since: "2.0.0",
        summary: "Puts bytes behind a string. Concurrent ones are all kept.",
        complexity: "O(1) amortised.",
        handler: append,
        ..CHANGE
    },
    Command {
        name: "setrange",
        arity: 4,
        since: "2.2.0",
        summary: "Overwrites a part of a string, from an offset on.",
        complexity: "O(M) where M is the length of what is written.",
        handler: setrange,
        ..CHANGE
    },
    Command {
        name: "getrange",
        arity: 4,
        since: "2.4.0",
        summary: "Answers a part of a string.",
        complexity: "O(N) where N is the length of the answer.",
        handler: getrange,
        ..READ
    },
    Command {
        name: "substr",
        arity: 4,
        summary: "Answers a part of a string: GETRANGE by its former name.",
        complexity: "O(N) where N is the length of the answer.",
        handler: getrange,
        ..READ
    },
    Command {
        name: "incr",
        arity: 2,
        flags: WRITE | DENYOOM | FAST,
        summary: "Adds one to an integer, 0 where there is none. Concurrent ones add up.",
        handler: incr,
        ..CHANGE
    },
    Command {
        name: "decr",
        arity: 2,
        flags: WRITE | DENYOOM | FAST,
        summary: "Takes one from an integer, 0 where there is none. Concurrent ones add up.",
        handler: decr,
        ..CHANGE
    },
    Command {
        name: "incrby",
        arity: 3,
        flags: WRITE | DENYOOM | FAST,
        summary: "Adds to an integer, 0 where there is none. Concurrent ones add up.",
        handler: incrby,
        ..CHANGE
    },
    Command {
        name: "decrby",
        arity: 3,
        flags: WRITE | DENYOOM | FAST,
        summary: "Takes from an integer, 0 where there is none. Concurrent ones add up.",
        handler: decrby,
        ..CHANGE
    },
    Command {
        name: "incrbyfloat",
        arity: 3,
        flags: WRITE | DENYOOM | FAST,
        since: "2.6.0",
        summary: "Adds to a number, 0 where there is none. Concurrent ones add up.",
        handler: incrbyfloat,
        ..CHANGE
    },
    Command {
        name: "mget",
        arity: -2,
        flags: READONLY | FAST,
        keys: Keys::ALL,
        summary: "Answers the strings at several keys.",
        complexity: "O(N) where N is the number of keys.",
        handler: mget,
        ..READ
    },
    Command {
        name: "mset",
        arity: -3,
        keys: Keys::PAIRS,
        since: "1.0.1",
        summary: "Sets several keys to strings, all at once.",
        complexity: "O(N) where N is the number of keys.",
        handler: mset,
        ..CHANGE
    },
    Command {
        name: "msetnx",
        arity: -3,
        keys: Keys::PAIRS,
        since: "1.0.1",
        summary: "Sets several keys to strings, provided that none of them is there.",
        complexity: "O(N) where N is the number of keys.",
        handler: msetnx,
        ..CHANGE
    },
];

fn get<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    call.reply_string(args.at(1)).map(drop)
}

fn set<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if args.len() > 3 {
        return set_with_options(call, args);
    }
    call.emit(args.at(1), Data::set(args.at(2), None));
    call.reply().ok();
    Ok(())
}

/// What the options of SET and GETEX say about the expiry.
#[derive(Clone, Copy)]
enum Lifetime<'a> {
    /// Nothing: SET ends an expiry, GETEX leaves it.
    Unsaid,
    /// EX, PX, EXAT, PXAT: an argument that is not read before the rest is known to be right.
    Given(&'a [u8], Unit),
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
}

impl<'a> Lifetime<'a> {
    /// EX and its kin followed by their argument. They may be repeated, but not mixed.
    fn given(self, option: &[u8], argument: Option<&'a [u8]>) -> Option<Self> {
        let unit = if arg::is(option, "EX") {
            Unit::Seconds
        } else if arg::is(option, "PX") {
            Unit::Millis
        } else if arg::is(option, "EXAT") {
            Unit::UnixSeconds
        } else if arg::is(option, "PXAT") {
            Unit::UnixMillis
        } else {
            return None;
        };
        match self {
            Lifetime::Unsaid => {}
            Lifetime::Given(_, earlier) if earlier == unit => {}
            _ => return None,
        }
        Some(Lifetime::Given(argument?, unit))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Only {
    Always,
    Absent,
    Present,
}

fn set_with_options<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (key, value) = (args.at(1), args.at(2));
    let mut only = Only::Always;
    let mut gets = false;
    let mut lifetime = Lifetime::Unsaid;
    let mut at = 3;
    while let Some(option) = args.get(at) {
        at += 1;
        if arg::is(option, "NX") && only != Only::Present {
            only = Only::Absent;
        } else if arg::is(option, "XX") && only != Only::Absent {
            only = Only::Present;
        } else if arg::is(option, "GET") {
            gets = true;
        } else if arg::is(option, "KEEPTTL")
            && matches!(lifetime, Lifetime::Unsaid | Lifetime::Keep)
        {
            lifetime = Lifetime::Keep;
        } else {
            lifetime = lifetime
                .given(option, args.get(at))
                .ok_or(Failure::SYNTAX)?;
            at += 1;
        }
    }
    let mut expires_ms = match lifetime {
        Lifetime::Given(argument, unit) => Some(positive_deadline(call, argument, unit)?),
        _ => None,
    };

    // A plain SET EX need not look before it writes.
    let looks = gets || only != Only::Always || matches!(lifetime, Lifetime::Keep);
    if looks {
        let present = if gets {
            call.reply_string(key)?
        } else {
            call.exists(key)
        };
        let wanted = match only {
            Only::Always => true,
            Only::Absent => !present,
            Only::Present => present,
        };
        if !wanted {
            if !gets {
                call.reply().null();
            }
            return Ok(());
        }
        if present && matches!(lifetime, Lifetime::Keep) {
            expires_ms = call.peek(key).and_then(|entry| entry.expires_ms());
        }
    }
    put(call, key, value, expires_ms);
    if !gets {
        call.reply().ok();
    }
    Ok(())
}

/// Emits a SET; one that has expired already deletes.
fn put<'a>(call: &mut Call<'_, 'a>, key: &'a [u8], value: &'a [u8], expires_ms: Option<u64>) {
    if expires_ms.is_some_and(|at_ms| at_ms <= call.now_ms()) {
        if call.peek(key).is_some() {
            call.emit(key, Data::remove_key());
        }
    } else {
        call.emit(key, Data::set(value, expires_ms));
    }
}

/// As [`deadline`], for commands that take no time before the epoch or before now.
fn positive_deadline(call: &Call<'_, '_>, argument: &[u8], unit: Unit) -> Result<u64, Failure> {
    let count = arg::integer(argument)?;
    let at_ms = deadline(call, count, unit)?;
    if count <= 0 {
        return Err(super::expire::invalid(call));
    }
    u64::try_from(at_ms).map_err(|_| super::expire::invalid(call))
}

fn setnx<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let is_new = !call.exists(args.at(1));
    if is_new {
        call.emit(args.at(1), Data::set(args.at(2), None));
    }
    call.reply().integer(is_new.into());
    Ok(())
}

fn setex<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    set_expiring(call, args, Unit::Seconds)
}

fn psetex<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    set_expiring(call, args, Unit::Millis)
}

fn set_expiring<'a>(call: &mut Call<'_, 'a>, args: Args<'a>, unit: Unit) -> Result<(), Failure> {
    let expires_ms = positive_deadline(call, args.at(2), unit)?;
    call.emit(args.at(1), Data::set(args.at(3), Some(expires_ms)));
    call.reply().ok();
    Ok(())
}

fn getset<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    call.reply_string(args.at(1))?;
    call.emit(args.at(1), Data::set(args.at(2), None));
    Ok(())
}

fn getdel<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if call.reply_string(args.at(1))? {
        call.emit(args.at(1), Data::remove_key());
    }
    Ok(())
}

fn getex<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let key = args.at(1);
    let mut lifetime = Lifetime::Unsaid;
    let mut at = 2;
    while let Some(option) = args.get(at) {
        at += 1;
        if arg::is(option, "PERSIST") && matches!(lifetime, Lifetime::Unsaid | Lifetime::Persist) {
            lifetime = Lifetime::Persist;
        } else {
            lifetime = lifetime
                .given(option, args.get(at))
                .ok_or(Failure::SYNTAX)?;
            at += 1;
        }
    }
    // Redis looks at the key before it looks at the time.
    if call.string(key)?.is_none() {
        call.reply().null();
        return Ok(());
    }
    let expires_ms = match lifetime {
        Lifetime::Given(argument, unit) => Some(positive_deadline(call, argument, unit)?),
        _ => None,
    };
    call.reply_string(key)?;
    let has_expiry = call
        .peek(key)
        .is_some_and(|entry| entry.expires_ms().is_some());
    match expires_ms {
        Some(at_ms) if at_ms <= call.now_ms() => call.emit(key, Data::remove_key()),
        Some(at_ms) => call.emit_meta(key, Meta::ExpireAt(at_ms)),
        None if matches!(lifetime, Lifetime::Persist) && has_expiry => {
            call.emit_meta(key, Meta::Persist);
        }
        None => {}
    }
    Ok(())
}

fn strlen<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let len = call.string(args.at(1))?.map_or(0, |text| text.len());
    call.reply().integer(len as i64);
    Ok(())
}

/// Refuses a string of `len` bytes where that is above `proto-max-bulk-len`.
fn check_len(call: &Call<'_, '_>, len: u64) -> Result<(), Failure> {
    if len > call.state.config.proto_max_bulk_len {
        return Err(Failure::TOO_LONG);
    }
    Ok(())
}

fn append<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (key, suffix) = (args.at(1), args.at(2));
    let len = call.string(key)?.map_or(0, |text| text.len()) + suffix.len();
    check_len(call, len as u64)?;
    call.emit(key, Data::append(suffix));
    call.reply().integer(len as i64);
    Ok(())
}

fn setrange<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (key, bytes) = (args.at(1), args.at(3));
    let offset = u64::try_from(arg::integer(args.at(2))?)
        .map_err(|_| Failure::from("ERR offset is out of range"))?;
    let len = call.string(key)?.map_or(0, |text| text.len() as u64);
    if bytes.is_empty() {
        call.reply().integer(len as i64);
        return Ok(());
    }
    let end = offset.saturating_add(bytes.len() as u64);
    check_len(call, end)?;
    call.emit(key, Data::overwrite(offset, bytes));
    call.reply().integer(len.max(end) as i64);
    Ok(())
}

fn getrange<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (start, end) = (arg::integer(args.at(2))?, arg::integer(args.at(3))?);
    let (text, mut output) = call.split_string(args.at(1))?;
    let bytes = text.map(|text| text.bytes()).unwrap_or_default();
    output.reply().bulk(&bytes[part(start, end, bytes.len())]);
    Ok(())
}

/// The bytes from `start` to `end`, both included and, where negative, counted from the end.
fn part(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    // A range the wrong way round is empty also where both ends lie before the string.
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let len = len as i64;
    let from_start = |index: i64| {
        if index < 0 {
            (len + index).max(0)
        } else {
            index
        }
    };
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if start > end {
        return 0..0;
    }
    start as usize..end as usize + 1
}

fn incr<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    add(call, args.at(1), 1)
}

fn decr<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    add(call, args.at(1), -1)
}

fn incrby<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    add(call, args.at(1), arg::integer(args.at(2))?)
}

fn decrby<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let delta = arg::integer(args.at(2))?
        .checked_neg()
        .ok_or(Failure::from("ERR decrement would overflow"))?;
    add(call, args.at(1), delta)
}

fn add<'a>(call: &mut Call<'_, 'a>, key: &'a [u8], delta: i64) -> Result<(), Failure> {
    let current = match call.string(key)? {
        None => 0,
        Some(text) => text.integer().ok_or(Failure::NOT_AN_INTEGER)?,
    };
    let sum = current
        .checked_add(delta)
        .ok_or(Failure::from("ERR increment or decrement would overflow"))?;
    call.emit(key, Data::add_int(delta));
    call.reply().integer(sum);
    Ok(())
}

fn incrbyfloat<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (key, delta) = (args.at(1), args.at(2));
    let current = match call.string(key)? {
        None => decimal(b"0")?,
        Some(text) => decimal(&text.bytes())?,
    };
    let sum = current.checked_add(decimal(delta)?).ok_or(NOT_FINITE)?;
    let delta = Data {
        merge: Merge::AddFloat,
        value: Scalar::Bytes(delta),
        ..Data::default()
    };
    call.emit(key, delta);
    call.reply().bulk(sum.to_string().as_bytes());
    Ok(())
}

const NOT_FINITE: Failure = Failure(std::borrow::Cow::Borrowed(
    b"ERR increment would produce NaN or Infinity",
));

/// A number as INCRBYFLOAT adds it. Infinity, and what is beyond the range of [`Decimal`], is
/// refused as a sum that is not finite.
fn decimal(text: &[u8]) -> Result<Decimal, Failure> {
    Decimal::parse(text).ok_or_else(|| match parse_double(text) {
        Some(_) => NOT_FINITE,
        None => Failure::NOT_A_FLOAT,
    })
}

fn mget<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    call.reply().array(args.len() - 1);
    for key in args.tail(1) {
        // Here another type is as good as nothing.
        if call.reply_string(key).is_err() {
            call.reply().null();
        }
    }
    Ok(())
}

fn mset<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    emit_pairs(call, pairs(call, args)?);
    call.reply().ok();
    Ok(())
}

fn msetnx<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let pairs = pairs(call, args)?;
    let all_new = pairs.iter().step_by(2).all(|key| !call.exists(key));
    if all_new {
        emit_pairs(call, pairs);
    }
    call.reply().integer(all_new.into());
    Ok(())
}

/// The keys and values behind the command's name.
fn pairs<'a>(call: &Call<'_, 'a>, args: Args<'a>) -> Result<Args<'a>, Failure> {
    if args.len().is_multiple_of(2) {
        let name = call.command.name;
        return Err(Failure::from(format!(
            "ERR wrong number of arguments for '{name}' command"
        )));
    }
    Ok(args.tail(1))
}

fn emit_pairs<'a>(call: &mut Call<'_, 'a>, pairs: Args<'a>) {
    for at in (0..pairs.len()).step_by(2) {
        call.emit(pairs.at(at), Data::set(pairs.at(at + 1), None));
    }
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;

    const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
    const WRONG_TYPE: &str =
        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

    /// A sorted set at `z`, put there without the commands of another file.
    fn with_collection(h: &mut Harness) {
        let z = crate::command::dump::tests::ZSET_PAYLOAD;
        assert_eq!(h.run(&[b"restore", b"z", b"0", z]), b"+OK\r\n");
    }

    #[test]
    fn set_and_get() {
        let mut h = Harness::new();
        h.expect(&[
            ("get k", "$-1\r\n"),
            ("set k v", "+OK\r\n"),
            ("get k", "$1\r\nv\r\n"),
            ("set k 12", "+OK\r\n"),
            ("get k", "$2\r\n12\r\n"),
            (
                "set k",
                "-ERR wrong number of arguments for 'set' command\r\n",
            ),
        ]);
        let large = vec![b'x'; 100_000];
        h.run(&[b"set", b"k", &large]);
        assert_eq!(
            h.run(&[b"get", b"k"]).len(),
            large.len() + "$100000\r\n\r\n".len()
        );
    }

    #[test]
    fn set_obeys_its_options_in_every_combination() {
        let mut h = Harness::new();
        h.expect(&[
            ("set k 1 xx", "$-1\r\n"),
            ("set k 1 nx", "+OK\r\n"),
            ("set k 2 nx", "$-1\r\n"),
            ("set k 2 xx", "+OK\r\n"),
            ("set k 3 get", "$1\r\n2\r\n"),
            ("set k 4 nx get", "$1\r\n3\r\n"),
            ("get k", "$1\r\n3\r\n"),
            ("set n 4 nx get", "$-1\r\n"),
            ("get n", "$1\r\n4\r\n"),
            ("set m 4 xx get", "$-1\r\n"),
            ("exists m", ":0\r\n"),
            ("set k 5 ex 100", "+OK\r\n"),
            ("ttl k", ":100\r\n"),
            ("set k 6 keepttl", "+OK\r\n"),
            ("pttl k", ":100000\r\n"),
            ("set k 6 Px 1500 xx GET", "$1\r\n6\r\n"),
            ("pttl k", ":1500\r\n"),
            ("set k 7", "+OK\r\n"),
            ("ttl k", ":-1\r\n"),
            ("set k 7 exat 1000010", "+OK\r\n"),
            ("ttl k", ":10\r\n"),
            ("set k 7 pxat 1000000001", "+OK\r\n"),
            ("pttl k", ":1\r\n"),
            ("set k 7 exat 5", "+OK\r\n"),
            ("exists k", ":0\r\n"),
            ("set k 1 ex 5 ex 7", "+OK\r\n"),
            ("ttl k", ":7\r\n"),
        ]);
        for line in [
            "set k 1 nx xx",
            "set k 1 xx nx get",
            "set k 1 ex",
            "set k 1 ex 5 px 5",
            "set k 1 ex 5 keepttl",
            "set k 1 keepttl px 5",
            "set k 1 persist",
            "set k 1 bogus",
        ] {
            assert_eq!(h.text(line), "-ERR syntax error\r\n", "{line}");
        }
        let invalid = "-ERR invalid expire time in 'set' command\r\n";
        for line in [
            "set k 1 ex 0",
            "set k 1 px -1",
            "set k 1 exat 0",
            "set k 1 ex 9223372036854775807",
            "set k 1 px 9223372036854775807",
        ] {
            assert_eq!(h.text(line), invalid, "{line}");
        }
        assert_eq!(h.text("set k 1 ex x"), NOT_AN_INTEGER);
        with_collection(&mut h);
        h.expect(&[
            ("set z 1 get", WRONG_TYPE),
            ("set z 1", "+OK\r\n"),
            ("get z", "$1\r\n1\r\n"),
        ]);
    }

    #[test]
    fn the_older_forms_of_set_answer_as_they_did() {
        let mut h = Harness::new();
        h.expect(&[
            ("setnx k 1", ":1\r\n"),
            ("setnx k 2", ":0\r\n"),
            ("getset k 3", "$1\r\n1\r\n"),
            ("getset n 3", "$-1\r\n"),
            ("setex k 10 v", "+OK\r\n"),
            ("ttl k", ":10\r\n"),
            ("psetex k 10 v", "+OK\r\n"),
            ("pttl k", ":10\r\n"),
            (
                "setex k 0 v",
                "-ERR invalid expire time in 'setex' command\r\n",
            ),
            (
                "psetex k -1 v",
                "-ERR invalid expire time in 'psetex' command\r\n",
            ),
            ("getdel k", "$1\r\nv\r\n"),
            ("getdel k", "$-1\r\n"),
            ("get k", "$-1\r\n"),
        ]);
        with_collection(&mut h);
        h.expect(&[("getset z 1", WRONG_TYPE), ("getdel z", WRONG_TYPE)]);
    }

    #[test]
    fn getex_changes_the_expiry_and_nothing_else() {
        let mut h = Harness::new();
        h.expect(&[
            ("getex k ex 10", "$-1\r\n"),
            ("set k v", "+OK\r\n"),
            ("getex k", "$1\r\nv\r\n"),
            ("getex k ex 10", "$1\r\nv\r\n"),
            ("ttl k", ":10\r\n"),
            ("getex k", "$1\r\nv\r\n"),
            ("ttl k", ":10\r\n"),
            ("getex k persist", "$1\r\nv\r\n"),
            ("ttl k", ":-1\r\n"),
            ("getex k pxat 1000000500", "$1\r\nv\r\n"),
            ("pttl k", ":500\r\n"),
            (
                "getex k ex -1",
                "-ERR invalid expire time in 'getex' command\r\n",
            ),
            ("getex k persist ex 1", "-ERR syntax error\r\n"),
            ("getex k nx", "-ERR syntax error\r\n"),
            ("getex k keepttl", "-ERR syntax error\r\n"),
            ("getex k exat 5", "$1\r\nv\r\n"),
            ("exists k", ":0\r\n"),
        ]);
    }

    #[test]
    fn parts_of_a_string_are_read_and_written() {
        let mut h = Harness::new();
        h.expect(&[
            ("append k Hello", ":5\r\n"),
            ("append k World", ":10\r\n"),
            ("strlen k", ":10\r\n"),
            ("strlen none", ":0\r\n"),
            ("getrange k 0 4", "$5\r\nHello\r\n"),
            ("getrange k -5 -1", "$5\r\nWorld\r\n"),
            ("getrange k 3 100", "$7\r\nloWorld\r\n"),
            ("getrange k -100 1", "$2\r\nHe\r\n"),
            ("getrange k -1 -5", "$0\r\n\r\n"),
            ("getrange k 20 30", "$0\r\n\r\n"),
            ("getrange k -100 -90", "$1\r\nH\r\n"),
            ("getrange none 0 -1", "$0\r\n\r\n"),
            ("substr k 0 0", "$1\r\nH\r\n"),
            ("setrange k 5 Redis", ":10\r\n"),
            ("get k", "$10\r\nHelloRedis\r\n"),
            ("setrange p 2 x", ":3\r\n"),
            ("get p", "$3\r\n\0\0x\r\n"),
            ("setrange k -1 x", "-ERR offset is out of range\r\n"),
            (
                "setrange k 536870912 x",
                "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n",
            ),
            ("getrange k a 1", NOT_AN_INTEGER),
            ("set i 12345", "+OK\r\n"),
            ("getrange i 1 2", "$2\r\n23\r\n"),
            ("append i 6", ":6\r\n"),
            ("incr i", ":123457\r\n"),
        ]);
        assert_eq!(h.run(&[b"setrange", b"none", b"9", b""]), b":0\r\n");
        assert_eq!(h.text("exists none"), ":0\r\n");
    }

    #[test]
    fn integers_are_added_to_and_overflow_is_refused() {
        let mut h = Harness::new();
        let overflow = "-ERR increment or decrement would overflow\r\n";
        h.expect(&[
            ("incr n", ":1\r\n"),
            ("incrby n 41", ":42\r\n"),
            ("decr n", ":41\r\n"),
            ("decrby n 100", ":-59\r\n"),
            (
                "decrby n -9223372036854775808",
                "-ERR decrement would overflow\r\n",
            ),
            ("incrby n x", NOT_AN_INTEGER),
            ("set n 9223372036854775807", "+OK\r\n"),
            ("incr n", overflow),
            ("set n -9223372036854775808", "+OK\r\n"),
            ("decr n", overflow),
            ("set n 01", "+OK\r\n"),
            ("incr n", NOT_AN_INTEGER),
            ("set n 1 ex 10", "+OK\r\n"),
            ("incr n", ":2\r\n"),
            ("ttl n", ":10\r\n"),
        ]);
        with_collection(&mut h);
        assert_eq!(h.text("incr z"), WRONG_TYPE);
    }

    #[test]
    fn decimals_are_added_without_rounding() {
        let mut h = Harness::new();
        let infinite = "-ERR increment would produce NaN or Infinity\r\n";
        h.expect(&[
            ("set n 10.50", "+OK\r\n"),
            ("incrbyfloat n 0.1", "$4\r\n10.6\r\n"),
            ("incrbyfloat n -5.6", "$1\r\n5\r\n"),
            ("get n", "$1\r\n5\r\n"),
            ("incrbyfloat n 5.0e3", "$4\r\n5005\r\n"),
            ("incr n", ":5006\r\n"),
            ("incrbyfloat m 3", "$1\r\n3\r\n"),
            ("incrbyfloat m inf", infinite),
            ("incrbyfloat m nan", "-ERR value is not a valid float\r\n"),
            ("incrbyfloat m x", "-ERR value is not a valid float\r\n"),
            ("set s abc", "+OK\r\n"),
            ("incrbyfloat s 1", "-ERR value is not a valid float\r\n"),
        ]);
    }

    #[test]
    fn several_keys_at_once() {
        let mut h = Harness::new();
        with_collection(&mut h);
        h.expect(&[
            ("mset a 1 b 2", "+OK\r\n"),
            (
                "mget a b none z",
                "*4\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n$-1\r\n",
            ),
            ("msetnx c 1 a 2", ":0\r\n"),
            ("exists c", ":0\r\n"),
            ("msetnx c 1 c 2", ":1\r\n"),
            ("get c", "$1\r\n2\r\n"),
            (
                "mset a",
                "-ERR wrong number of arguments for 'mset' command\r\n",
            ),
            (
                "mset a 1 b",
                "-ERR wrong number of arguments for 'mset' command\r\n",
            ),
            (
                "msetnx a 1 b",
                "-ERR wrong number of arguments for 'msetnx' command\r\n",
            ),
        ]);
    }
}
