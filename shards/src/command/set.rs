//! Sets: SADD, SPOP, SINTER and their family.
//!
//! A member is inserted or removed by its bytes, so concurrent inserts of different members all
//! stay, and a removal takes away only what its author had seen. A member that is already there
//! makes no effect, as it makes none for Redis's log.
//!
//! The commands that combine sets read one set after the other, since each may be on another shard,
//! and carry what is left between them.

use causet_core::effect::{Data, Scalar, TypeTag};
use causet_core::value::{Collection, HashSeed, Limits, Set};
use causet_proto::resp::Reply;

use super::arg::{self, Arguments};
use super::overlay::Overlay;
use super::sample::{Selection, is_sparse};
use super::*;
use crate::state::Random;

const BASE: Command = Command {
    keys: Keys::ONE,
    route: Route::Keys,
    group: "set",
    ..Command::BASE
};
const GROWS: u32 = flag::WRITE | flag::DENYOOM;

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "sadd",
        arity: -3,
        flags: GROWS | flag::FAST,
        summary: "Adds members to a set. Concurrent additions all stay.",
        complexity: "O(1) for each member",
        handler: sadd,
        ..BASE
    },
    Command {
        name: "srem",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        summary: "Removes members from a set. A concurrent addition of the same member stays.",
        complexity: "O(1) for each member",
        handler: srem,
        ..BASE
    },
    Command {
        name: "spop",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        summary: "Removes and returns random members of a set.",
        complexity: "O(1) without a count, else O(N) with the N members asked for",
        handler: spop,
        ..BASE
    },
    Command {
        name: "scard",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns the number of members of a set.",
        handler: scard,
        ..BASE
    },
    Command {
        name: "sismember",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        summary: "Tells whether a member is in a set.",
        handler: sismember,
        ..BASE
    },
    Command {
        name: "smismember",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        summary: "Tells for each of several members whether it is in a set.",
        complexity: "O(N) with the N members asked for",
        since: "6.2.0",
        handler: smismember,
        ..BASE
    },
    Command {
        name: "smembers",
        arity: 2,
        flags: flag::READONLY,
        summary: "Returns all members of a set.",
        complexity: "O(N) with the N members of the set",
        handler: smembers,
        ..BASE
    },
    Command {
        name: "srandmember",
        arity: -2,
        flags: flag::READONLY,
        summary: "Returns random members of a set.",
        complexity: "O(1) without a count, else O(N) with the N members asked for",
        handler: srandmember,
        ..BASE
    },
    Command {
        name: "smove",
        arity: 4,
        flags: flag::WRITE | flag::FAST,
        keys: Keys::TWO,
        summary: "Moves a member from one set to another.",
        handler: smove,
        ..BASE
    },
    Command {
        name: "sinter",
        arity: -2,
        flags: flag::READONLY,
        keys: Keys::ALL,
        summary: "Returns the members that are in all of several sets.",
        complexity: "O(N*M) with the N members of the smallest and M sets",
        handler: |call, args| combine(call, args, intersection),
        ..BASE
    },
    Command {
        name: "sunion",
        arity: -2,
        flags: flag::READONLY,
        keys: Keys::ALL,
        summary: "Returns the members that are in any of several sets.",
        complexity: "O(N) with the N members of all sets",
        handler: |call, args| combine(call, args, union),
        ..BASE
    },
    Command {
        name: "sdiff",
        arity: -2,
        flags: flag::READONLY,
        keys: Keys::ALL,
        summary: "Returns the members of the first set that are in none of the others.",
        complexity: "O(N) with the N members of all sets",
        handler: |call, args| combine(call, args, difference),
        ..BASE
    },
    Command {
        name: "sinterstore",
        arity: -3,
        flags: GROWS,
        keys: Keys::ALL,
        summary: "Stores the members that are in all of several sets. The later store wins.",
        complexity: "O(N*M) with the N members of the smallest and M sets",
        handler: |call, args| store(call, args, intersection),
        ..BASE
    },
    Command {
        name: "sunionstore",
        arity: -3,
        flags: GROWS,
        keys: Keys::ALL,
        summary: "Stores the members that are in any of several sets. The later store wins.",
        complexity: "O(N) with the N members of all sets",
        handler: |call, args| store(call, args, union),
        ..BASE
    },
    Command {
        name: "sdiffstore",
        arity: -3,
        flags: GROWS,
        keys: Keys::ALL,
        summary: "Stores the members of the first set that others lack. The later store wins.",
        complexity: "O(N) with the N members of all sets",
        handler: |call, args| store(call, args, difference),
        ..BASE
    },
    Command {
        name: "sintercard",
        arity: -3,
        flags: flag::READONLY | flag::MOVABLE_KEYS,
        // LIMIT and its number look like keys to the router, which costs a wake-up at most.
        keys: Keys {
            first: 2,
            last: -1,
            step: 1,
        },
        summary: "Counts the members that are in all of several sets.",
        complexity: "O(N*M) with the N members of the smallest and M sets",
        since: "7.0.0",
        handler: sintercard,
        ..BASE
    },
    Command {
        name: "sscan",
        arity: -3,
        flags: flag::READONLY,
        summary: "Walks the members of a set, some in each call.",
        complexity: "O(1) for a call, O(N) for a walk over N members",
        since: "2.8.0",
        handler: sscan,
        ..BASE
    },
];

fn insert(member: &[u8]) -> Data<'_> {
    Data::insert_element(TypeTag::Set, member, Scalar::None)
}

fn remove(member: &[u8]) -> Data<'_> {
    Data::remove_element(TypeTag::Set, member)
}

fn sadd<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (set, mut work) = call.work_set(args.at(1))?;
    let is_new = |member: &[u8]| set.is_none_or(|set| !set.contains(member));
    let mut added = 0;
    if args.len() == 3 {
        if is_new(args.at(2)) {
            work.emit(insert(args.at(2)));
            added = 1;
        }
    } else {
        let mut seen = Overlay::new();
        for member in args.iter().skip(2) {
            if is_new(member) && seen.insert(member, ()) {
                work.emit(insert(member));
                added += 1;
            }
        }
    }
    work.reply().integer(added);
    Ok(())
}

fn srem<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (set, mut work) = call.work_set(args.at(1))?;
    let mut removed = 0;
    if let Some(set) = set {
        let mut seen = Overlay::new();
        for member in args.iter().skip(2) {
            if set.contains(member) && seen.insert(member, ()) {
                work.emit(remove(member));
                removed += 1;
            }
        }
    }
    work.reply().integer(removed);
    Ok(())
}

fn spop<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if args.len() > 3 {
        return Err(Failure::SYNTAX);
    }
    let count = args.get(2).map(arg::count).transpose()?;
    let (mut random, arena) = (call.random(), call.arena);
    let (set, mut work) = call.work_set(args.at(1))?;
    match (set, count) {
        (None, None) => work.reply().null(),
        (None, Some(_)) => work.reply().set(0),
        (Some(set), None) => {
            let member = set
                .random(&mut || random.bits())
                .expect("a key's set is not empty");
            work.reply().bulk(&member);
            let member = work.keep(&member);
            work.emit(remove(member));
        }
        (Some(set), Some(count)) if count >= set.len() => {
            reply_all(&mut work.reply(), set);
            work.emit(Data::remove_key());
        }
        (Some(set), Some(count)) => {
            work.reply().set(count);
            choose(set, count, &mut random, arena, |member| {
                work.reply().bulk(member);
                work.emit(remove(member));
            });
        }
    }
    Ok(())
}

/// Shows `count` distinct members of a set, fewer than it has, each subset equally likely. They are
/// copied into `arena`. O(count) for a small part of the set, else O(members).
fn choose<'a>(
    set: &Set,
    count: usize,
    random: &mut Random,
    arena: &'a bumpalo::Bump,
    mut visit: impl FnMut(&'a [u8]),
) {
    if is_sparse(count, set.len()) {
        let mut seen = Overlay::new();
        let mut left = count;
        while left > 0 {
            let drawn = set
                .random(&mut || random.bits())
                .expect("more members than asked for");
            if seen.get(&drawn).is_none() {
                let member = &*arena.alloc_slice_copy(&drawn);
                seen.insert(member, ());
                visit(member);
                left -= 1;
            }
        }
    } else {
        let mut selection = Selection::new(count, set.len());
        for member in set.iter() {
            if selection.takes(random) {
                visit(arena.alloc_slice_copy(&member));
            }
        }
    }
}

fn reply_all(reply: &mut Reply<'_>, set: &Set) {
    reply.set(set.len());
    set.iter().for_each(|member| reply.bulk(&member));
}

fn scard<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let len = call.set(args.at(1))?.map_or(0, Set::len);
    call.reply().integer(len as i64);
    Ok(())
}

fn sismember<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let is_member = call
        .set(args.at(1))?
        .is_some_and(|set| set.contains(args.at(2)));
    call.reply().integer(i64::from(is_member));
    Ok(())
}

fn smismember<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (set, mut output) = call.split_set(args.at(1))?;
    let mut reply = output.reply();
    reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn smembers<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (set, mut output) = call.split_set(args.at(1))?;
    match set {
        None => output.reply().set(0),
        Some(set) => reply_all(&mut output.reply(), set),
    }
    Ok(())
}

fn srandmember<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if args.len() > 3 {
        return Err(Failure::SYNTAX);
    }
    let count = args.get(2).map(arg::signed_count).transpose()?;
    let (mut random, arena) = (call.random(), call.arena);
    let (set, mut output) = call.split_set(args.at(1))?;
    let mut reply = output.reply();
    match (set, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), None) => {
            let member = set
                .random(&mut || random.bits())
                .expect("a key's set is not empty");
            reply.bulk(&member);
        }
        (Some(set), Some(count)) if count < 0 => {
            let count = count.unsigned_abs() as usize;
            reply.array(count);
            for _ in 0..count {
                let member = set
                    .random(&mut || random.bits())
                    .expect("a key's set is not empty");
                reply.bulk(&member);
            }
        }
        (Some(set), Some(count)) if count as usize >= set.len() => {
            reply.array(set.len());
            set.iter().for_each(|member| reply.bulk(&member));
        }
        (Some(set), Some(count)) => {
            reply.array(count as usize);
            choose(set, count as usize, &mut random, arena, |member| {
                reply.bulk(member)
            });
        }
    }
    Ok(())
}

fn smove<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (source, destination, member) = (args.at(1), args.at(2), args.at(3));
    let there = match call.set(source)? {
        None => {
            call.reply().integer(0);
            return Ok(());
        }
        Some(set) => set.contains(member),
    };
    let has = call
        .set(destination)?
        .is_some_and(|set| set.contains(member));
    if there && source != destination {
        call.emit(source, remove(member));
        if !has {
            call.emit(destination, insert(member));
        }
    }
    call.reply().integer(i64::from(there));
    Ok(())
}

/// What a combination leaves: members kept for the command's life, distinct.
type Members<'a> = Vec<&'a [u8]>;

/// A way to combine the sets at some keys.
type Operation = for<'c, 'a> fn(&mut Call<'c, 'a>, &[&'a [u8]]) -> Result<Members<'a>, Failure>;

fn keep_all<'a>(arena: &'a bumpalo::Bump, set: &Set) -> Members<'a> {
    set.iter()
        .map(|member| &*arena.alloc_slice_copy(&member))
        .collect()
}

/// The members of the smallest set that all others have.
fn intersection<'a>(call: &mut Call<'_, 'a>, keys: &[&'a [u8]]) -> Result<Members<'a>, Failure> {
    let mut smallest = (usize::MAX, 0);
    for (at, key) in keys.iter().enumerate() {
        // All are looked at, also behind a missing one: another type is an error either way.
        smallest = smallest.min((call.set(key)?.map_or(0, Set::len), at));
    }
    let (len, smallest) = smallest;
    if len == 0 {
        return Ok(Vec::new());
    }
    let arena = call.arena;
    let mut members = call
        .set(keys[smallest])?
        .map(|set| keep_all(arena, set))
        .unwrap_or_default();
    for (at, key) in keys.iter().enumerate() {
        if at != smallest
            && let Some(set) = call.set(key)?
        {
            members.retain(|member| set.contains(member));
        }
    }
    Ok(members)
}

/// A set for one command's own use.
fn scratch(call: &mut Call<'_, '_>) -> Set {
    Set::new(HashSeed(call.state.random.bits()))
}

fn union<'a>(call: &mut Call<'_, 'a>, keys: &[&'a [u8]]) -> Result<Members<'a>, Failure> {
    let (mut seen, limits, arena) = (scratch(call), Limits::default(), call.arena);
    let mut members = Vec::new();
    for key in keys {
        for member in call.set(key)?.into_iter().flat_map(Set::iter) {
            if seen.insert(&member, &limits) {
                members.push(&*arena.alloc_slice_copy(&member));
            }
        }
    }
    Ok(members)
}

/// The members of the first set that no other has. A larger set is asked for each that is left; a
/// smaller one's members are taken away from an index of those.
fn difference<'a>(call: &mut Call<'_, 'a>, keys: &[&'a [u8]]) -> Result<Members<'a>, Failure> {
    let (mut gone, limits, arena) = (scratch(call), Limits::default(), call.arena);
    let mut members = call
        .set(keys[0])?
        .map(|set| keep_all(arena, set))
        .unwrap_or_default();
    for key in &keys[1..] {
        let Some(set) = call.set(key)? else { continue };
        if set.len() < members.len() / 8 {
            set.iter().for_each(|member| {
                gone.insert(&member, &limits);
            });
        } else {
            members.retain(|member| !set.contains(member));
        }
    }
    if !gone.is_empty() {
        members.retain(|member| !gone.contains(member));
    }
    Ok(members)
}

fn combine<'a>(
    call: &mut Call<'_, 'a>,
    args: Args<'a>,
    operation: Operation,
) -> Result<(), Failure> {
    let keys: Vec<_> = args.iter().skip(1).collect();
    let members = operation(call, &keys)?;
    let mut reply = call.reply();
    reply.set(members.len());
    members.iter().for_each(|member| reply.bulk(member));
    Ok(())
}

/// The whole set is one effect, so that it replaces what was there at once, whatever its type.
fn store<'a>(call: &mut Call<'_, 'a>, args: Args<'a>, operation: Operation) -> Result<(), Failure> {
    let destination = args.at(1);
    let keys: Vec<_> = args.iter().skip(2).collect();
    let members = operation(call, &keys)?;
    let db = call.db();
    if members.is_empty() {
        if call.exists(destination) {
            call.emit_remove(db, destination);
        }
    } else {
        let (mut set, limits) = (scratch(call), Limits::default());
        for member in &members {
            set.insert(member, &limits);
        }
        let mut state = Vec::new();
        Collection::Set(Box::new(set)).encode(&mut state);
        let state = call.keep(&state);
        call.emit_copy(db, destination, TypeTag::Set, None, state);
    }
    call.reply().integer(members.len() as i64);
    Ok(())
}

fn sintercard<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let count = arg::count(args.at(1)).ok().filter(|&count| count > 0);
    let count = count.ok_or("ERR numkeys should be greater than 0")?;
    if count > args.len() - 2 {
        return Err(Failure::from(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let mut limit = 0;
    let mut rest = args.iter().skip(2 + count);
    while let Some(name) = rest.next() {
        let value = rest
            .next()
            .filter(|_| arg::is(name, "limit"))
            .ok_or(Failure::SYNTAX)?;
        limit = arg::count(value).map_err(|_| "ERR LIMIT can't be negative")?;
    }
    let keys: Vec<_> = args.iter().skip(2).take(count).collect();
    let len = intersection(call, &keys)?.len();
    call.reply()
        .integer(if limit == 0 { len } else { len.min(limit) } as i64);
    Ok(())
}

fn sscan<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let cursor = element_scan::cursor(args)?;
    let (set, mut output) = call.split_set(args.at(1))?;
    let Some(set) = set else {
        element_scan::reply_nothing(&mut output.reply());
        return Ok(());
    };
    let options = element_scan::Options::parse(args)?;
    element_scan::reply(&mut output, |reply| {
        let mut count = 0;
        let cursor = set.scan(cursor, options.count, |member| {
            if options.matches(member) {
                reply.bulk(member);
                count += 1;
            }
        });
        (cursor, count)
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;

    #[test]
    fn members_are_counted_once_though_named_twice() {
        Harness::new().expect(&[
            ("SADD k a a b", ":2\r\n"),
            ("SADD k a c", ":1\r\n"),
            ("SREM k a a none", ":1\r\n"),
            ("SREM none a", ":0\r\n"),
            ("SCARD k", ":2\r\n"),
            ("SCARD none", ":0\r\n"),
            ("SISMEMBER k b", ":1\r\n"),
            ("SISMEMBER k a", ":0\r\n"),
            ("SMISMEMBER k b a", "*2\r\n:1\r\n:0\r\n"),
            ("SMISMEMBER none b", "*1\r\n:0\r\n"),
            ("SREM k b c", ":2\r\n"),
            ("SMEMBERS k", "*0\r\n"),
        ]);
    }

    #[test]
    fn random_members_are_refused_or_absent_as_in_redis() {
        Harness::new().expect(&[
            ("SPOP none", "$-1\r\n"),
            ("SPOP none 1", "*0\r\n"),
            ("SRANDMEMBER none", "$-1\r\n"),
            ("SRANDMEMBER none 2", "*0\r\n"),
            ("SADD k 5", ":1\r\n"),
            ("SPOP k -1", "-ERR value is out of range, must be positive\r\n"),
            ("SPOP k 0", "*0\r\n"),
            ("SPOP k 1 2", "-ERR syntax error\r\n"),
            ("SRANDMEMBER k x", "-ERR value is not an integer or out of range\r\n"),
            ("SRANDMEMBER k -3", "*3\r\n$1\r\n5\r\n$1\r\n5\r\n$1\r\n5\r\n"),
            ("SRANDMEMBER k 3", "*1\r\n$1\r\n5\r\n"),
            ("SRANDMEMBER k 0", "*0\r\n"),
            ("SRANDMEMBER k -9223372036854775808", "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n"),
            ("SPOP k 2", "*1\r\n$1\r\n5\r\n"),
            ("SCARD k", ":0\r\n"),
        ]);
    }

    #[test]
    fn sets_of_integers_combine_in_order() {
        Harness::new().expect(&[
            ("SADD a 1 2 3 4", ":4\r\n"),
            ("SADD b 3 4 5", ":3\r\n"),
            ("SINTER a b", "*2\r\n$1\r\n3\r\n$1\r\n4\r\n"),
            ("SINTER a none", "*0\r\n"),
            ("SINTERSTORE d a b", ":2\r\n"),
            ("SMEMBERS d", "*2\r\n$1\r\n3\r\n$1\r\n4\r\n"),
            ("SUNIONSTORE d d b", ":3\r\n"),
            ("SMEMBERS d", "*3\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n"),
            ("SDIFFSTORE d a b", ":2\r\n"),
            ("SMEMBERS d", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
            ("SDIFFSTORE d a a", ":0\r\n"),
            ("SMEMBERS d", "*0\r\n"),
            ("RPUSH l x", ":1\r\n"),
            (
                "SINTER a l",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
            (
                "SUNION none l",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
            (
                "SDIFF none l",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
            ("SUNIONSTORE l a", ":4\r\n"),
            (
                "SMEMBERS l",
                "*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n",
            ),
            ("SINTERCARD 2 a b", ":2\r\n"),
            ("SINTERCARD 2 a b LIMIT 1", ":1\r\n"),
            (
                "SINTERCARD 0 a",
                "-ERR numkeys should be greater than 0\r\n",
            ),
            (
                "SINTERCARD 3 a b",
                "-ERR Number of keys can't be greater than number of args\r\n",
            ),
            (
                "SINTERCARD 1 a LIMIT -1",
                "-ERR LIMIT can't be negative\r\n",
            ),
            ("SINTERCARD 1 a WHAT 1", "-ERR syntax error\r\n"),
        ]);
    }

    #[test]
    fn a_move_needs_the_member_and_two_sets() {
        Harness::new().expect(&[
            ("SADD a x y", ":2\r\n"),
            ("RPUSH l x", ":1\r\n"),
            ("SMOVE a b x", ":1\r\n"),
            ("SMOVE a b x", ":0\r\n"),
            ("SMOVE a a y", ":1\r\n"),
            ("SMOVE a a z", ":0\r\n"),
            ("SMOVE none l x", ":0\r\n"),
            (
                "SMOVE a l y",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
            ("SMEMBERS b", "*1\r\n$1\r\nx\r\n"),
        ]);
    }

    #[test]
    fn scans_read_their_options() {
        Harness::new().expect(&[
            ("SADD k 1 2 13", ":3\r\n"),
            (
                "SSCAN k 0",
                "*2\r\n$1\r\n0\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$2\r\n13\r\n",
            ),
            (
                "SSCAN k 0 MATCH 1* COUNT 100",
                "*2\r\n$1\r\n0\r\n*2\r\n$1\r\n1\r\n$2\r\n13\r\n",
            ),
            ("SSCAN none 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
            ("SSCAN k x", "-ERR invalid cursor\r\n"),
            ("SSCAN k 0 COUNT 0", "-ERR syntax error\r\n"),
            (
                "SSCAN k 0 COUNT x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            ("SSCAN k 0 WHAT 1", "-ERR syntax error\r\n"),
        ]);
    }

    #[test]
    fn pops_take_distinct_members_until_none_is_left() {
        // A table from which few, and then most, are taken; integers; packed.
        for prefix in ["member:long-enough-to-leave-the-compact-form", "", "m"] {
            let mut harness = Harness::new();
            for number in 0..100 {
                harness.text(&format!("SADD k {prefix}{number}"));
            }
            harness.text("SRANDMEMBER k 10");
            harness.text("SRANDMEMBER k 90");
            let mut seen = std::collections::HashSet::new();
            for count in [10, 80, 9] {
                let reply = harness.text(&format!("SPOP k {count}"));
                let members: Vec<_> = reply.split("\r\n").skip(2).step_by(2).collect();
                assert_eq!(members.len(), count);
                assert!(
                    members
                        .into_iter()
                        .all(|member| seen.insert(member.to_owned()))
                );
            }
            assert_eq!(harness.text("SCARD k"), ":1\r\n");
            let last = harness.text("SPOP k");
            assert!(
                last.starts_with(&format!("${}\r\n{prefix}", prefix.len() + 1))
                    || last.contains(prefix)
            );
            assert_eq!(harness.state.engine.space(0).len(), 0);
        }
    }

    #[test]
    fn large_sets_combine_whichever_is_larger() {
        let mut harness = Harness::new();
        for number in 0..400 {
            harness.text(&format!("SADD all m{number}"));
            if number % 10 == 0 {
                harness.text(&format!("SADD tenth m{number}"));
            }
        }
        harness.expect(&[
            ("SADD few m0 m1 none", ":3\r\n"),
            ("SINTERCARD 2 all tenth", ":40\r\n"),
            ("SDIFFSTORE d all tenth few", ":359\r\n"),
            ("SDIFFSTORE d all few tenth", ":359\r\n"),
            ("SDIFFSTORE d tenth all", ":0\r\n"),
            ("SUNIONSTORE d tenth few all", ":401\r\n"),
            ("SINTERSTORE d all tenth few", ":1\r\n"),
            ("SMEMBERS d", "*1\r\n$2\r\nm0\r\n"),
        ]);
    }
}
