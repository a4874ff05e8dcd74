//! Commands on keys of any type: deleting, renaming, copying, asking what a key holds.
//!
//! Those on expiries are in `expire.rs`, those that list keys in `scan.rs`, those on whole databases
//! in `database.rs`, those on the serialised form in `dump.rs`.
//!
//! The rule kept: a key that is copied or renamed travels as a snapshot of its state, so that its
//! history stays with the name it had.

use std::collections::HashSet;

use causet_core::effect::{Data, Placement, TypeTag};
use causet_core::entry::{Entry, Value};
use causet_core::id::ElementNumber;

use super::arg::{self, Arguments};
use super::call::encode_state;
use super::database;
use super::flag::{DENYOOM, FAST, LOADING, NO_TOUCH, READONLY, STALE, WRITE};
use super::*;
use crate::config::MaxmemoryPolicy;

const READ: Command = Command {
    flags: READONLY,
    categories: category::KEYSPACE,
    keys: Keys::ONE,
    route: Route::Keys,
    ..Command::BASE
};

const CHANGE: Command = Command {
    flags: WRITE,
    ..READ
};

const OBJECT_READ: Command = Command {
    arity: 3,
    flags: READONLY | NO_TOUCH,
    keys: Keys::SECOND,
    since: "2.2.3",
    ..READ
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "del",
        arity: -2,
        keys: Keys::ALL,
        summary: "Deletes keys. What is written concurrently survives.",
        complexity: "O(N) where N is the number of keys.",
        handler: del,
        ..CHANGE
    },
    Command {
        name: "unlink",
        arity: -2,
        flags: WRITE | FAST,
        keys: Keys::ALL,
        since: "4.0.0",
        summary: "Deletes keys, as DEL does.",
        complexity: "O(N) where N is the number of keys.",
        handler: del,
        ..CHANGE
    },
    Command {
        name: "exists",
        arity: -2,
        flags: READONLY | FAST | NO_TOUCH,
        keys: Keys::ALL,
        summary: "Counts those of the given keys that are there.",
        complexity: "O(N) where N is the number of keys.",
        handler: count_present,
        ..READ
    },
    Command {
        name: "touch",
        arity: -2,
        flags: READONLY | FAST,
        keys: Keys::ALL,
        since: "3.2.1",
        summary: "Counts those of the given keys that are there, as a use of each.",
        complexity: "O(N) where N is the number of keys.",
        handler: count_present,
        ..READ
    },
    Command {
        name: "type",
        arity: 2,
        flags: READONLY | FAST | NO_TOUCH,
        summary: "Answers the type of a key.",
        handler: type_name,
        ..READ
    },
    Command {
        name: "rename",
        arity: 3,
        keys: Keys::TWO,
        summary: "Gives a key another name, in place of whatever had it.",
        complexity: "O(N) where N is the size of the value.",
        handler: rename,
        ..CHANGE
    },
    Command {
        name: "renamenx",
        arity: 3,
        flags: WRITE | FAST,
        keys: Keys::TWO,
        summary: "Gives a key another name, provided that no key has it.",
        complexity: "O(N) where N is the size of the value.",
        handler: renamenx,
        ..CHANGE
    },
    Command {
        name: "copy",
        arity: -3,
        flags: WRITE | DENYOOM,
        keys: Keys::TWO,
        since: "6.2.0",
        summary: "Copies the value and the expiry of a key to another key.",
        complexity: "O(N) where N is the size of the value.",
        handler: copy,
        ..CHANGE
    },
    Command {
        name: "move",
        arity: 3,
        flags: WRITE | FAST,
        summary: "Moves a key to another database.",
        complexity: "O(N) where N is the size of the value.",
        handler: move_to,
        ..CHANGE
    },
    Command {
        name: "object",
        arity: -2,
        since: "2.2.3",
        summary: "Contains sub-commands that tell how a key is stored.",
        complexity: "Depends on the sub-command.",
        handler: object,
        subcommands: &[
            Command {
                name: "object|encoding",
                summary: "Answers in which form a value is stored.",
                handler: object_encoding,
                ..OBJECT_READ
            },
            Command {
                name: "object|refcount",
                summary: "Answers how many share a value, which is 1 where there is one.",
                handler: object_refcount,
                ..OBJECT_READ
            },
            Command {
                name: "object|idletime",
                summary: "Answers for how many seconds a key was not used.",
                handler: object_idletime,
                ..OBJECT_READ
            },
            Command {
                name: "object|freq",
                since: "4.0.0",
                summary: "Answers the logarithmic count of a key's uses.",
                handler: object_freq,
                ..OBJECT_READ
            },
            Command {
                name: "object|help",
                arity: 2,
                flags: LOADING | STALE,
                categories: category::KEYSPACE,
                since: "6.2.0",
                summary: "Lists the sub-commands.",
                handler: object_help,
                ..Command::BASE
            },
        ],
        ..Command::BASE
    },
];

fn del<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let mut removed = 0;
    if args.len() == 2 {
        removed = i64::from(remove(call, args.at(1)));
    } else {
        // Effects are not seen before they are committed: a key given twice must not count twice.
        let mut seen = HashSet::with_capacity(args.len() - 1);
        for key in args.tail(1) {
            if seen.insert(key) {
                removed += i64::from(remove(call, key));
            }
        }
    }
    call.reply().integer(removed);
    Ok(())
}

/// Removes a key where it is there; returns whether it is.
fn remove<'a>(call: &mut Call<'_, 'a>, key: &'a [u8]) -> bool {
    let is_there = call.peek(key).is_some();
    if is_there {
        call.emit(key, Data::remove_key());
    }
    is_there
}

fn count_present<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let count = args.tail(1).iter().filter(|key| call.exists(key)).count();
    call.reply().integer(count as i64);
    Ok(())
}

fn type_name<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let name = call
        .entry(args.at(1))
        .map_or("none", |entry| entry.type_tag().name());
    call.reply().simple(name);
    Ok(())
}

/// Emits what makes `key` a list of these elements. It must be absent, or its removal must be the
/// only effect emitted so far; and nothing may be read after this, because reading may remove an
/// expired key and so use up the counter that numbers the elements.
pub fn emit_list<'a>(call: &mut Call<'_, 'a>, key: &'a [u8], elements: &[&'a [u8]]) {
    let before = call.context.pending().len() as u64;
    // Numbers of a list start at the counter of the effect that makes it.
    let first = call.owner(key).engine.last_offset().counter() + before + 1;
    for (number, element) in (first..).zip(elements) {
        let number = ElementNumber(number);
        call.emit(
            key,
            Data::place(Placement::Tail, ElementNumber(0), number, element),
        );
    }
}

/// All of a key that a copy of it needs.
struct Contents<'a> {
    type_tag: TypeTag,
    expires_ms: Option<u64>,
    state: &'a [u8],
}

/// What `key` holds. O(size).
fn contents<'a>(call: &mut Call<'_, 'a>, key: &[u8]) -> Option<Contents<'a>> {
    let entry = call.entry(key)?;
    let (type_tag, expires_ms) = (entry.type_tag(), entry.expires_ms());
    let state = encode_state(entry);
    Some(Contents {
        type_tag,
        expires_ms,
        state: call.keep(&state),
    })
}

fn emit_contents<'a>(call: &mut Call<'_, 'a>, db: u32, key: &'a [u8], contents: &Contents<'a>) {
    call.emit_copy(
        db,
        key,
        contents.type_tag,
        contents.expires_ms,
        contents.state,
    );
}

fn rename<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    rename_if(call, args, |_, _| true)?;
    call.reply().ok();
    Ok(())
}

fn renamenx<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let renamed = rename_if(call, args, |call, target| call.peek(target).is_none())?;
    call.reply().integer(renamed.into());
    Ok(())
}

/// Renames where `allowed` agrees with the new name; returns whether it does.
fn rename_if<'a>(
    call: &mut Call<'_, 'a>,
    args: Args<'a>,
    allowed: impl FnOnce(&mut Call<'_, 'a>, &[u8]) -> bool,
) -> Result<bool, Failure> {
    let (source, target) = (args.at(1), args.at(2));
    if call.peek(source).is_none() {
        return Err(Failure::NO_SUCH_KEY);
    }
    if !allowed(call, target) {
        return Ok(false);
    }
    if source != target {
        let contents = contents(call, source).ok_or(Failure::NO_SUCH_KEY)?;
        emit_contents(call, call.db(), target, &contents);
        call.emit(source, Data::remove_key());
    }
    Ok(true)
}

const SAME_OBJECT: &str = "ERR source and destination objects are the same";

fn copy<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (source, target) = (args.at(1), args.at(2));
    let mut db = call.db();
    let mut replace = false;
    let mut at = 3;
    while let Some(option) = args.get(at) {
        at += 1;
        if arg::is(option, "REPLACE") {
            replace = true;
        } else if arg::is(option, "DB") {
            db = database::index(call, args.get(at).ok_or(Failure::SYNTAX)?)?;
            at += 1;
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    if db == call.db() && source == target {
        return Err(Failure::from(SAME_OBJECT));
    }
    let copies = call.exists(source) && (replace || call.peek_in(db, target).is_none());
    if copies && let Some(contents) = contents(call, source) {
        emit_contents(call, db, target, &contents);
    }
    call.reply().integer(copies.into());
    Ok(())
}

fn move_to<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let key = args.at(1);
    let db = database::index(call, args.at(2))?;
    if db == call.db() {
        return Err(Failure::from(SAME_OBJECT));
    }
    let moves = call.exists(key) && call.peek_in(db, key).is_none();
    if moves && let Some(contents) = contents(call, key) {
        emit_contents(call, db, key, &contents);
        call.emit(key, Data::remove_key());
    }
    call.reply().integer(moves.into());
    Ok(())
}

fn object<'a>(_: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(args.at(1).get(..128).unwrap_or(args.at(1)));
    text.extend_from_slice(b"'. Try OBJECT HELP.");
    Err(Failure(text.into()))
}

/// Longest string that Redis stores beside its header, and calls `embstr`.
const EMBEDDED_BYTES_MAX: usize = 44;

/// The form of a value by Redis's names.
fn encoding(entry: Entry<'_>) -> &'static str {
    match entry.value() {
        Value::Collection(collection) => collection.encoding_name(),
        Value::Int(_) => "int",
        Value::Bytes(bytes) if bytes.len() <= EMBEDDED_BYTES_MAX && !entry.is_raw() => "embstr",
        Value::Bytes(_) | Value::Shared(_) | Value::Cold => "raw",
    }
}

/// Replies with what `answer` makes of the key's entry, or null where there is none.
fn about<'a, T>(
    call: &mut Call<'_, 'a>,
    args: Args<'a>,
    answer: impl FnOnce(Entry<'_>) -> T,
    reply: impl FnOnce(&mut Call<'_, 'a>, T),
) {
    match call.peek(args.at(2)).map(answer) {
        Some(value) => reply(call, value),
        None => call.reply().null(),
    }
}

fn object_encoding<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    about(call, args, encoding, |call, name| {
        call.reply().bulk(name.as_bytes())
    });
    Ok(())
}

fn object_refcount<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    about(call, args, |_| 1, |call, count| call.reply().integer(count));
    Ok(())
}

fn counts_uses(call: &Call<'_, '_>) -> bool {
    matches!(
        call.state.config.maxmemory_policy,
        MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu
    )
}

fn object_idletime<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if call.peek(args.at(2)).is_some() && counts_uses(call) {
        return Err(Failure::from(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    about(
        call,
        args,
        |entry| entry.access(),
        |call, access| {
            let idle_s = call.state.recency.idle_seconds(access);
            call.reply().integer(idle_s as i64);
        },
    );
    Ok(())
}

fn object_freq<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if call.peek(args.at(2)).is_some() && !counts_uses(call) {
        return Err(Failure::from(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
             that when switching between policies at runtime LRU and LFU data will take some time \
             to adjust.",
        ));
    }
    about(
        call,
        args,
        |entry| entry.access(),
        |call, access| {
            let count = call.state.recency.frequency(access);
            call.reply().integer(count.into());
        },
    );
    Ok(())
}

fn object_help<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    const LINES: &[&str] = &[
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    The form in which the value of <key> is stored.",
        "FREQ <key>",
        "    The logarithmic count of the uses of <key>; with an LFU policy only.",
        "IDLETIME <key>",
        "    Seconds since <key> was last used.",
        "REFCOUNT <key>",
        "    How many share the value of <key>.",
        "HELP",
        "    This text.",
    ];
    let mut reply = call.reply();
    reply.array(LINES.len());
    for line in LINES {
        reply.simple(line);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;

    #[test]
    fn deleting_counts_each_key_once_and_asking_counts_each_time() {
        let mut h = Harness::new();
        h.expect(&[
            ("mset a 1 b 2 c 3", "+OK\r\n"),
            ("exists a a none b", ":3\r\n"),
            ("touch a a none", ":2\r\n"),
            ("del a a none", ":1\r\n"),
            ("unlink b", ":1\r\n"),
            ("del b", ":0\r\n"),
            ("type c", "+string\r\n"),
            ("type a", "+none\r\n"),
        ]);
    }

    #[test]
    fn a_renamed_key_takes_its_expiry_along() {
        let mut h = Harness::new();
        h.expect(&[
            ("rename a b", "-ERR no such key\r\n"),
            ("renamenx a b", "-ERR no such key\r\n"),
            ("set a 1 ex 100", "+OK\r\n"),
            ("set b 2", "+OK\r\n"),
            ("renamenx a b", ":0\r\n"),
            ("rename a b", "+OK\r\n"),
            ("get b", "$1\r\n1\r\n"),
            ("ttl b", ":100\r\n"),
            ("exists a", ":0\r\n"),
            ("renamenx b c", ":1\r\n"),
            ("rename c c", "+OK\r\n"),
            ("renamenx c c", ":0\r\n"),
            ("get c", "$1\r\n1\r\n"),
        ]);
    }

    #[test]
    fn a_copy_is_a_key_of_its_own() {
        let mut h = Harness::new();
        h.expect(&[
            ("copy a b", ":0\r\n"),
            ("set a 1 ex 100", "+OK\r\n"),
            ("copy a b", ":1\r\n"),
            ("ttl b", ":100\r\n"),
            ("incr b", ":2\r\n"),
            ("get a", "$1\r\n1\r\n"),
            ("copy a b", ":0\r\n"),
            ("copy a b replace", ":1\r\n"),
            ("get b", "$1\r\n1\r\n"),
            (
                "copy a a",
                "-ERR source and destination objects are the same\r\n",
            ),
            ("copy a a db 1", ":1\r\n"),
            ("copy a a db 99", "-ERR DB index is out of range\r\n"),
            (
                "copy a a db x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            ("copy a a db", "-ERR syntax error\r\n"),
            ("select 1", "+OK\r\n"),
            ("get a", "$1\r\n1\r\n"),
        ]);
    }

    #[test]
    fn a_moved_key_changes_its_database() {
        let mut h = Harness::new();
        h.expect(&[
            ("move a 1", ":0\r\n"),
            ("set a 1 ex 100", "+OK\r\n"),
            (
                "move a 0",
                "-ERR source and destination objects are the same\r\n",
            ),
            ("move a 99", "-ERR DB index is out of range\r\n"),
            (
                "move a x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            ("move a 1", ":1\r\n"),
            ("exists a", ":0\r\n"),
            ("set a 2", "+OK\r\n"),
            ("move a 1", ":0\r\n"),
            ("select 1", "+OK\r\n"),
            ("ttl a", ":100\r\n"),
        ]);
    }

    #[test]
    fn object_tells_how_a_value_is_stored() {
        let mut h = Harness::new();
        let long = "x".repeat(45);
        let set_long = format!("set l {long}");
        h.expect(&[
            ("set i 12", "+OK\r\n"),
            ("object encoding i", "$3\r\nint\r\n"),
            ("append i 3", ":3\r\n"),
            ("object encoding i", "$3\r\nraw\r\n"),
            ("set s abc", "+OK\r\n"),
            ("object encoding s", "$6\r\nembstr\r\n"),
            ("append n abc", ":3\r\n"),
            ("object encoding n", "$6\r\nembstr\r\n"),
            ("setrange s 0 x", ":3\r\n"),
            ("object encoding s", "$3\r\nraw\r\n"),
            (&set_long, "+OK\r\n"),
            ("object encoding l", "$3\r\nraw\r\n"),
            ("object encoding none", "$-1\r\n"),
            ("object refcount s", ":1\r\n"),
            ("object idletime none", "$-1\r\n"),
            (
                "object foo",
                "-ERR unknown subcommand 'foo'. Try OBJECT HELP.\r\n",
            ),
            (
                "object encoding",
                "-ERR wrong number of arguments for 'object|encoding' command\r\n",
            ),
        ]);
        assert!(
            h.text("object freq s")
                .starts_with("-ERR An LFU maxmemory policy is not selected")
        );
        assert!(h.text("object help").starts_with("*11\r\n+OBJECT"));
    }
}
