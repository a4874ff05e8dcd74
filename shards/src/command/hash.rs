//! Hashes: HSET, HGET, HINCRBY and their family.
//!
//! A field is set by its name, so concurrent writes to different fields all stay; of two to the same
//! field the later wins. Increments are deltas and add up. HDEL takes away only what its author had
//! seen.

use causet_core::effect::{Data, Merge, Scalar, TypeTag};
use causet_core::number::{Decimal, parse_i64};
use causet_core::value::Hash;
use causet_proto::resp::{Protocol, Reply, parse_double};

use super::arg::{self, Arguments};
use super::overlay::Overlay;
use super::*;
use crate::state::Random;

const BASE: Command = Command {
    keys: Keys::ONE,
    route: Route::Keys,
    group: "hash",
    since: "2.0.0",
    ..Command::BASE
};
const GROWS: u32 = flag::WRITE | flag::DENYOOM;

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hset",
        arity: -4,
        flags: GROWS | flag::FAST,
        summary: "Sets fields of a hash. Of concurrent writes to one field the later wins.",
        complexity: "O(1) for each field",
        handler: hset,
        ..BASE
    },
    Command {
        name: "hsetnx",
        arity: 4,
        flags: GROWS | flag::FAST,
        summary: "Sets a field of a hash that is not there yet.",
        handler: hsetnx,
        ..BASE
    },
    Command {
        name: "hmset",
        arity: -4,
        flags: GROWS | flag::FAST,
        summary: "Sets fields of a hash. Of concurrent writes to one field the later wins.",
        complexity: "O(1) for each field",
        handler: hmset,
        ..BASE
    },
    Command {
        name: "hget",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns the value of a field of a hash.",
        handler: hget,
        ..BASE
    },
    Command {
        name: "hmget",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns the values of several fields of a hash.",
        complexity: "O(N) with the N fields asked for",
        handler: hmget,
        ..BASE
    },
    Command {
        name: "hgetall",
        arity: 2,
        flags: flag::READONLY,
        summary: "Returns all fields of a hash with their values.",
        complexity: "O(N) with the N fields of the hash",
        handler: |call, args| list(call, args, true, true),
        ..BASE
    },
    Command {
        name: "hdel",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        summary: "Removes fields of a hash. A concurrent write to one of them stays.",
        complexity: "O(1) for each field",
        handler: hdel,
        ..BASE
    },
    Command {
        name: "hlen",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns the number of fields of a hash.",
        handler: hlen,
        ..BASE
    },
    Command {
        name: "hexists",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        summary: "Tells whether a hash has a field.",
        handler: hexists,
        ..BASE
    },
    Command {
        name: "hkeys",
        arity: 2,
        flags: flag::READONLY,
        summary: "Returns all fields of a hash.",
        complexity: "O(N) with the N fields of the hash",
        handler: |call, args| list(call, args, true, false),
        ..BASE
    },
    Command {
        name: "hvals",
        arity: 2,
        flags: flag::READONLY,
        summary: "Returns all values of a hash.",
        complexity: "O(N) with the N fields of the hash",
        handler: |call, args| list(call, args, false, true),
        ..BASE
    },
    Command {
        name: "hstrlen",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns the length of the value of a field.",
        since: "3.2.0",
        handler: hstrlen,
        ..BASE
    },
    Command {
        name: "hincrby",
        arity: 4,
        flags: GROWS | flag::FAST,
        summary: "Adds to the integer in a field. Concurrent increments add up.",
        handler: hincrby,
        ..BASE
    },
    Command {
        name: "hincrbyfloat",
        arity: 4,
        flags: GROWS | flag::FAST,
        summary: "Adds to the number in a field. Concurrent increments add up.",
        since: "2.6.0",
        handler: hincrbyfloat,
        ..BASE
    },
    Command {
        name: "hrandfield",
        arity: -2,
        flags: flag::READONLY,
        summary: "Returns random fields of a hash.",
        complexity: "O(N) with the N fields asked for",
        since: "6.2.0",
        handler: hrandfield,
        ..BASE
    },
    Command {
        name: "hscan",
        arity: -3,
        flags: flag::READONLY,
        summary: "Walks the fields of a hash, some in each call.",
        complexity: "O(1) for a call, O(N) for a walk over N fields",
        since: "2.8.0",
        handler: hscan,
        ..BASE
    },
];

fn insert<'a>(field: &'a [u8], value: &'a [u8]) -> Data<'a> {
    Data::insert_element(TypeTag::Hash, field, Scalar::Bytes(value))
}

/// Emits all fields; returns how many of them are new.
fn set_fields<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<i64, Failure> {
    if !args.len().is_multiple_of(2) {
        return Err(arg::wrong_number(call.command));
    }
    let (hash, mut work) = call.work_hash(args.at(1))?;
    let is_new = |field: &[u8]| hash.is_none_or(|hash| hash.get(field).is_none());
    if args.len() == 4 {
        let added = is_new(args.at(2));
        work.emit(insert(args.at(2), args.at(3)));
        return Ok(i64::from(added));
    }
    let mut added = 0;
    let mut seen = Overlay::new();
    for at in (2..args.len()).step_by(2) {
        let field = args.at(at);
        if is_new(field) && seen.insert(field, ()) {
            added += 1;
        }
        work.emit(insert(field, args.at(at + 1)));
    }
    Ok(added)
}

fn hset<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let added = set_fields(call, args)?;
    call.reply().integer(added);
    Ok(())
}

fn hmset<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    set_fields(call, args)?;
    call.reply().ok();
    Ok(())
}

fn hsetnx<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (hash, mut work) = call.work_hash(args.at(1))?;
    let is_new = hash.is_none_or(|hash| hash.get(args.at(2)).is_none());
    if is_new {
        work.emit(insert(args.at(2), args.at(3)));
    }
    work.reply().integer(i64::from(is_new));
    Ok(())
}

fn reply_value(reply: &mut Reply<'_>, value: Option<&[u8]>) {
    match value {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
}

fn hget<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (hash, mut output) = call.split_hash(args.at(1))?;
    reply_value(
        &mut output.reply(),
        hash.and_then(|hash| hash.get(args.at(2))),
    );
    Ok(())
}

fn hmget<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (hash, mut output) = call.split_hash(args.at(1))?;
    let mut reply = output.reply();
    reply.array(args.len() - 2);
    for field in args.iter().skip(2) {
        reply_value(&mut reply, hash.and_then(|hash| hash.get(field)));
    }
    Ok(())
}

/// HGETALL (a map), HKEYS and HVALS (arrays).
fn list<'a>(
    call: &mut Call<'_, 'a>,
    args: Args<'a>,
    fields: bool,
    values: bool,
) -> Result<(), Failure> {
    let (hash, mut output) = call.split_hash(args.at(1))?;
    let mut reply = output.reply();
    let len = hash.map_or(0, Hash::len);
    if fields && values {
        reply.map(len);
    } else {
        reply.array(len);
    }
    for (field, value) in hash.into_iter().flat_map(Hash::iter) {
        if fields {
            reply.bulk(field);
        }
        if values {
            reply.bulk(value);
        }
    }
    Ok(())
}

fn hdel<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (hash, mut work) = call.work_hash(args.at(1))?;
    let mut removed = 0;
    if let Some(hash) = hash {
        let mut seen = Overlay::new();
        for field in args.iter().skip(2) {
            if hash.get(field).is_some() && seen.insert(field, ()) {
                work.emit(Data::remove_element(TypeTag::Hash, field));
                removed += 1;
            }
        }
    }
    work.reply().integer(removed);
    Ok(())
}

fn hlen<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let len = call.hash(args.at(1))?.map_or(0, Hash::len);
    call.reply().integer(len as i64);
    Ok(())
}

fn hexists<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let exists = call
        .hash(args.at(1))?
        .is_some_and(|hash| hash.get(args.at(2)).is_some());
    call.reply().integer(i64::from(exists));
    Ok(())
}

fn hstrlen<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let value = call.hash(args.at(1))?.and_then(|hash| hash.get(args.at(2)));
    let len = value.map_or(0, <[u8]>::len);
    call.reply().integer(len as i64);
    Ok(())
}

fn hincrby<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let delta = arg::integer(args.at(3))?;
    let (hash, mut work) = call.work_hash(args.at(1))?;
    let current = match hash.and_then(|hash| hash.get(args.at(2))) {
        None => 0,
        Some(value) => parse_i64(value).ok_or("ERR hash value is not an integer")?,
    };
    let sum = current
        .checked_add(delta)
        .ok_or("ERR increment or decrement would overflow")?;
    work.emit(Data::add_to_element(
        TypeTag::Hash,
        args.at(2),
        Scalar::Int(delta),
    ));
    work.reply().integer(sum);
    Ok(())
}

fn hincrbyfloat<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let delta = args.at(3);
    let number = Decimal::parse(delta).ok_or_else(|| match parse_double(delta) {
        // A double that is no decimal of ours: an infinity, or more than the sum can hold.
        Some(_) => Failure::from("ERR value is NaN or Infinity"),
        None => Failure::NOT_A_FLOAT,
    })?;
    let (hash, mut work) = call.work_hash(args.at(1))?;
    let sum = match hash.and_then(|hash| hash.get(args.at(2))) {
        None => number,
        Some(value) => Decimal::parse(value)
            .ok_or("ERR hash value is not a float")?
            .checked_add(number)
            .ok_or("ERR increment would produce NaN or Infinity")?,
    };
    // The delta goes as text: a double would not keep all its digits.
    work.emit(Data {
        merge: Merge::AddFloat,
        ..insert(args.at(2), delta)
    });
    work.reply().bulk(sum.to_string().as_bytes());
    Ok(())
}

/// Replies with random fields, and their values where `with_values`: pairs of their own in RESP3.
fn reply_field(reply: &mut Reply<'_>, (field, value): (&[u8], &[u8]), with_values: bool) {
    if with_values && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(field);
    if with_values {
        reply.bulk(value);
    }
}

fn hrandfield<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let count = args.get(2).map(arg::signed_count).transpose()?;
    let with_values = arg::pairs_option(args, count, "withvalues")?;
    let mut random = call.random();
    let (hash, mut output) = call.split_hash(args.at(1))?;
    let mut reply = output.reply();
    match (hash, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(hash), None) => reply.bulk(draw(hash, &mut random).0),
        (Some(hash), Some(count)) => {
            let shown = count.unsigned_abs() as usize;
            let shown = if count < 0 {
                shown
            } else {
                shown.min(hash.len())
            };
            let doubled = with_values && reply.protocol() == Protocol::Resp2;
            reply.array(if doubled { 2 * shown } else { shown });
            let show = |pair| reply_field(&mut reply, pair, with_values);
            if count < 0 {
                (0..shown).map(|_| draw(hash, &mut random)).for_each(show);
            } else {
                let draw = |random: &mut Random| draw(hash, random);
                sample::choose(shown, hash.len(), &mut random, draw, hash.iter(), show);
            }
        }
    }
    Ok(())
}

fn draw<'h>(hash: &'h Hash, random: &mut Random) -> (&'h [u8], &'h [u8]) {
    hash.random(&mut || random.bits())
        .expect("a key's hash is not empty")
}

fn hscan<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let cursor = element_scan::cursor(args)?;
    let (hash, mut output) = call.split_hash(args.at(1))?;
    let Some(hash) = hash else {
        element_scan::reply_nothing(&mut output.reply());
        return Ok(());
    };
    let options = element_scan::Options::parse(args)?;
    element_scan::reply(&mut output, |reply| {
        let mut count = 0;
        let cursor = hash.scan(cursor, options.count, |field, value| {
            if options.matches(field) {
                reply.bulk(field);
                reply.bulk(value);
                count += 2;
            }
        });
        (cursor, count)
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;
    use super::*;

    #[test]
    fn new_fields_are_counted_once_though_named_twice() {
        Harness::new().expect(&[
            ("HSET k a 1 a 2 b 3", ":2\r\n"),
            ("HSET k a 1 c 2", ":1\r\n"),
            (
                "HSET k a",
                "-ERR wrong number of arguments for 'hset' command\r\n",
            ),
            (
                "HSET k a 1 b",
                "-ERR wrong number of arguments for 'hset' command\r\n",
            ),
            ("HMSET k d 4", "+OK\r\n"),
            (
                "HMSET k d 4 e",
                "-ERR wrong number of arguments for 'hmset' command\r\n",
            ),
            ("HSETNX k d 5", ":0\r\n"),
            ("HSETNX k f 6", ":1\r\n"),
            ("HGET k d", "$1\r\n4\r\n"),
            ("HGET k none", "$-1\r\n"),
            ("HGET none a", "$-1\r\n"),
            ("HMGET k a none b", "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n3\r\n"),
            ("HMGET none a", "*1\r\n$-1\r\n"),
            ("HDEL k a a none", ":1\r\n"),
            ("HLEN k", ":4\r\n"),
            ("HEXISTS k a", ":0\r\n"),
            ("HEXISTS k b", ":1\r\n"),
            ("HSTRLEN k b", ":1\r\n"),
            ("HSTRLEN none b", ":0\r\n"),
            ("HDEL k b c d f", ":4\r\n"),
            ("HLEN k", ":0\r\n"),
        ]);
    }

    #[test]
    fn a_small_hash_is_listed_in_order_of_insertion() {
        Harness::new().expect(&[
            ("HSET k a 1 b 2", ":2\r\n"),
            (
                "HGETALL k",
                "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n",
            ),
            ("HKEYS k", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
            ("HVALS k", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
            ("HGETALL none", "*0\r\n"),
            ("HKEYS none", "*0\r\n"),
            (
                "HSCAN k 0",
                "*2\r\n$1\r\n0\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n",
            ),
            (
                "HSCAN k 0 MATCH b",
                "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n",
            ),
            ("HSCAN none 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ]);
    }

    #[test]
    fn increments_are_refused_where_no_number_is() {
        Harness::new().expect(&[
            ("HINCRBY k n 5", ":5\r\n"),
            ("HINCRBY k n -7", ":-2\r\n"),
            (
                "HINCRBY k n x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            (
                "HINCRBY k n 9223372036854775807",
                ":9223372036854775805\r\n",
            ),
            (
                "HINCRBY k n 9223372036854775807",
                "-ERR increment or decrement would overflow\r\n",
            ),
            ("HSET k t text", ":1\r\n"),
            ("HINCRBY k t 1", "-ERR hash value is not an integer\r\n"),
            ("HINCRBYFLOAT k f 10.5", "$4\r\n10.5\r\n"),
            ("HINCRBYFLOAT k f 0.1", "$4\r\n10.6\r\n"),
            ("HINCRBYFLOAT k n 0.5", "$21\r\n9223372036854775805.5\r\n"),
            ("HINCRBYFLOAT k t 1", "-ERR hash value is not a float\r\n"),
            ("HINCRBYFLOAT k f x", "-ERR value is not a valid float\r\n"),
            ("HINCRBYFLOAT k f inf", "-ERR value is NaN or Infinity\r\n"),
            ("HGET k f", "$4\r\n10.6\r\n"),
            ("RPUSH l x", ":1\r\n"),
            (
                "HINCRBY l f 1",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
            (
                "HINCRBYFLOAT l f 1",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
        ]);
    }

    #[test]
    fn random_fields_are_refused_or_absent_as_in_redis() {
        Harness::new().expect(&[
            ("HRANDFIELD none", "$-1\r\n"),
            ("HRANDFIELD none 2", "*0\r\n"),
            ("HSET k a 1", ":1\r\n"),
            ("HRANDFIELD k", "$1\r\na\r\n"),
            ("HRANDFIELD k 2", "*1\r\n$1\r\na\r\n"),
            ("HRANDFIELD k -2", "*2\r\n$1\r\na\r\n$1\r\na\r\n"),
            ("HRANDFIELD k 2 WITHVALUES", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
            ("HRANDFIELD k 0", "*0\r\n"),
            (
                "HRANDFIELD k x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            ("HRANDFIELD k 1 WHAT", "-ERR syntax error\r\n"),
            ("HRANDFIELD k 1 WITHVALUES more", "-ERR syntax error\r\n"),
            (
                "HRANDFIELD k 9223372036854775807 WITHVALUES",
                "-ERR value is out of range\r\n",
            ),
        ]);
    }

    #[test]
    fn random_fields_are_distinct_and_come_with_their_values() {
        let mut harness = Harness::new();
        for number in 0..60 {
            harness.text(&format!("HSET k {number} {number}"));
        }
        for count in [5, 50, 60, 70] {
            let reply = harness.text(&format!("HRANDFIELD k {count} WITHVALUES"));
            let words: Vec<_> = reply.split("\r\n").skip(2).step_by(2).collect();
            assert_eq!(words.len(), 2 * count.min(60));
            assert!(words.chunks(2).all(|pair| pair[0] == pair[1]));
            let distinct: std::collections::HashSet<_> = words.into_iter().collect();
            assert_eq!(distinct.len(), count.min(60));
        }
    }

    #[test]
    fn resp3_has_maps_and_pairs() {
        let mut harness = Harness::new();
        harness.client.protocol = Protocol::Resp3;
        harness.expect(&[
            ("HSET k a 1", ":1\r\n"),
            ("HGETALL k", "%1\r\n$1\r\na\r\n$1\r\n1\r\n"),
            ("HGETALL none", "%0\r\n"),
            ("HGET k none", "_\r\n"),
            (
                "HRANDFIELD k 1 WITHVALUES",
                "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n",
            ),
        ]);
    }
}
