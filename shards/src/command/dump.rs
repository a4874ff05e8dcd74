//! DUMP and RESTORE: a value as bytes that another server, Causet or Redis, can take.
//!
//! The format is in `rdb`. The rule kept: RESTORE emits what commands would have that make the same
//! value, element by element, so that a restored key merges as any other does.

use causet_core::effect::{Data, Meta, Scalar, TypeTag};

use super::arg::{self, Arguments};
use super::flag::{DENYOOM, NO_TOUCH, READONLY, WRITE};
use super::generic::emit_list;
use super::*;
use crate::rdb::{self, Object};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "dump",
        arity: 2,
        flags: READONLY | NO_TOUCH,
        categories: category::KEYSPACE,
        keys: Keys::ONE,
        route: Route::Keys,
        since: "2.6.0",
        summary: "Answers the value of a key in the format of RDB files.",
        complexity: "O(N) where N is the size of the value.",
        handler: dump,
        ..Command::BASE
    },
    Command {
        name: "restore",
        arity: -4,
        flags: WRITE | DENYOOM,
        categories: category::KEYSPACE | category::DANGEROUS,
        keys: Keys::ONE,
        route: Route::Keys,
        since: "2.6.0",
        summary: "Makes a key of what DUMP answered.",
        complexity: "O(N) where N is the size of the value.",
        handler: restore,
        ..Command::BASE
    },
];

fn dump<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    match call.split(args.at(1)) {
        (None, mut output) => output.reply().null(),
        (Some(entry), mut output) => output.reply().bulk(&rdb::dump(entry.value())),
    }
    Ok(())
}

/// The options of RESTORE. IDLETIME and FREQ are checked and have no effect: a key starts as new.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle: bool,
    frequency: bool,
}

impl Options {
    fn parse(words: Args<'_>) -> Result<Self, Failure> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if arg::is(word, "REPLACE") {
                options.replace = true;
            } else if arg::is(word, "ABSTTL") {
                options.absolute = true;
            } else if arg::is(word, "IDLETIME") && !options.frequency {
                options.idle = true;
                if arg::integer(words.next().ok_or(Failure::SYNTAX)?)? < 0 {
                    return Err(Failure::from("ERR Invalid IDLETIME value, must be >= 0"));
                }
            } else if arg::is(word, "FREQ") && !options.idle {
                options.frequency = true;
                let frequency = arg::integer(words.next().ok_or(Failure::SYNTAX)?)?;
                if !(0..=255).contains(&frequency) {
                    return Err(Failure::from(
                        "ERR Invalid FREQ value, must be >= 0 and <= 255",
                    ));
                }
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        Ok(options)
    }
}

fn restore<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let key = args.at(1);
    let options = Options::parse(args.tail(4))?;
    let is_there = call.peek(key).is_some();
    if is_there && !options.replace {
        return Err(Failure::from("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = u64::try_from(arg::integer(args.at(2))?)
        .map_err(|_| Failure::from("ERR Invalid TTL value, must be >= 0"))?;
    let value = rdb::verify(args.at(3)).ok_or(Failure::from(
        "ERR DUMP payload version or checksum are wrong",
    ))?;
    let object = rdb::read(value, call.arena).ok_or(Failure::from("ERR Bad data format"))?;
    let expires_ms = match ttl_ms {
        0 => None,
        ttl_ms if options.absolute => Some(ttl_ms),
        ttl_ms => Some(ttl_ms.saturating_add(call.now_ms())),
    };
    if is_there {
        call.emit(key, Data::remove_key());
    }
    if expires_ms.is_none_or(|at_ms| at_ms > call.now_ms()) {
        emit_object(call, key, object, expires_ms);
    }
    call.reply().ok();
    Ok(())
}

/// Emits what makes `key`, which is absent or about to be, the given value.
fn emit_object<'a>(
    call: &mut Call<'_, 'a>,
    key: &'a [u8],
    object: Object<'a>,
    expires_ms: Option<u64>,
) {
    match object {
        Object::String(bytes) => {
            call.emit(key, Data::set(bytes, expires_ms));
            return;
        }
        Object::List(elements) => emit_list(call, key, &elements),
        Object::Set(members) => {
            for member in members {
                call.emit(
                    key,
                    Data::insert_element(TypeTag::Set, member, Scalar::None),
                );
            }
        }
        Object::Hash(fields) => {
            for (field, value) in fields {
                let value = Scalar::Bytes(value);
                call.emit(key, Data::insert_element(TypeTag::Hash, field, value));
            }
        }
        Object::SortedSet(members) => {
            for (member, score) in members {
                let score = Scalar::Float(score);
                call.emit(key, Data::insert_element(TypeTag::SortedSet, member, score));
            }
        }
    }
    if let Some(at_ms) = expires_ms {
        call.emit_meta(key, Meta::ExpireAt(at_ms));
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::harness::Harness;

    /// What redis-server 7.0 dumps for a sorted set of c -inf, a 1, b 2.5.
    pub const ZSET_PAYLOAD: &[u8] =
        b"\x11\x1d\x1d\0\0\0\x06\0\x81c\x02\x84-inf\x05\x81a\x02\x01\x01\
        \x81b\x02\x832.5\x04\xff\n\x009\x923\x9b\xe1\x1f2=";

    /// The payload in a reply to DUMP.
    fn payload(reply: &[u8]) -> &[u8] {
        let start = reply
            .iter()
            .position(|&byte| byte == b'\n')
            .expect("a bulk string")
            + 1;
        &reply[start..reply.len() - 2]
    }

    #[test]
    fn a_payload_of_redis_is_restored_and_dumped_the_same() {
        let mut h = Harness::new();
        assert_eq!(h.run(&[b"restore", b"z", b"0", ZSET_PAYLOAD]), b"+OK\r\n");
        h.expect(&[
            ("type z", "+zset\r\n"),
            ("object encoding z", "$8\r\nlistpack\r\n"),
        ]);
        assert_eq!(payload(&h.run(&[b"dump", b"z"])), ZSET_PAYLOAD);
        assert_eq!(h.text("dump none"), "$-1\r\n");
    }

    #[test]
    fn restore_minds_its_options() {
        let mut h = Harness::new();
        h.text("set k v");
        let dumped = h.run(&[b"dump", b"k"]);
        let v = payload(&dumped);
        let mut restore = |words: &[&[u8]]| {
            let words = [&[&b"restore"[..]], words].concat();
            String::from_utf8_lossy(&h.run(&words)).into_owned()
        };
        let busy = "-BUSYKEY Target key name already exists.\r\n";
        assert_eq!(restore(&[b"k", b"0", v]), busy);
        assert_eq!(restore(&[b"k", b"5000", v, b"replace"]), "+OK\r\n");
        assert_eq!(
            restore(&[b"a", b"1000007000", v, b"absttl", b"idletime", b"9"]),
            "+OK\r\n"
        );
        assert_eq!(
            restore(&[b"k2", b"1", v, b"absttl", b"freq", b"9"]),
            "+OK\r\n"
        );
        let wrong = "-ERR DUMP payload version or checksum are wrong\r\n";
        assert_eq!(restore(&[b"n", b"0", b"x"]), wrong);
        for (words, want) in [
            ("n -1 x", "-ERR Invalid TTL value, must be >= 0\r\n"),
            ("n x x", "-ERR value is not an integer or out of range\r\n"),
            (
                "n 0 x idletime -1",
                "-ERR Invalid IDLETIME value, must be >= 0\r\n",
            ),
            (
                "n 0 x freq 256",
                "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n",
            ),
            ("n 0 x freq 1 idletime 1", "-ERR syntax error\r\n"),
            ("n 0 x foo", "-ERR syntax error\r\n"),
        ] {
            let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            assert_eq!(restore(&words), want);
        }
        h.expect(&[
            ("pttl k", ":5000\r\n"),
            ("pttl a", ":7000\r\n"),
            ("exists k2", ":0\r\n"),
            ("get k", "$1\r\nv\r\n"),
        ]);
    }
}
