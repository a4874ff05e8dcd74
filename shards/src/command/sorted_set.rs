//! Sorted sets: ZADD, ZRANGE, ZPOPMIN and their family.
//!
//! A member is inserted with its score or removed by its bytes, so concurrent work on different
//! members all stays, and of two scores for one member the later wins. ZINCRBY is a delta and adds
//! up. A member that already has the score makes no effect.
//!
//! Not here: the commands that name a range (`sorted_range.rs`).

use causet_core::effect::{Data, Scalar, TypeTag};
use causet_core::value::ZSet;
use causet_proto::resp::{Protocol, Reply, format_double};

use super::arg::{self, Arguments};
use super::overlay::Overlay;
use super::*;
use crate::state::Random;

const BASE: Command = Command {
    keys: Keys::ONE,
    route: Route::Keys,
    group: "sorted-set",
    since: "1.2.0",
    ..Command::BASE
};
const GROWS: u32 = flag::WRITE | flag::DENYOOM;

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "zadd",
        arity: -4,
        flags: GROWS | flag::FAST,
        summary: "Adds members to a sorted set or changes their scores. The later score wins.",
        complexity: "O(log(N)) for each member",
        handler: zadd,
        ..BASE
    },
    Command {
        name: "zincrby",
        arity: 4,
        flags: GROWS | flag::FAST,
        summary: "Adds to the score of a member. Concurrent increments add up.",
        complexity: "O(log(N))",
        handler: zincrby,
        ..BASE
    },
    Command {
        name: "zrem",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        summary: "Removes members from a sorted set. A concurrent addition of one stays.",
        complexity: "O(log(N)) for each member",
        handler: zrem,
        ..BASE
    },
    Command {
        name: "zscore",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns the score of a member of a sorted set.",
        handler: zscore,
        ..BASE
    },
    Command {
        name: "zmscore",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns the scores of several members of a sorted set.",
        complexity: "O(N) with the N members asked for",
        since: "6.2.0",
        handler: zmscore,
        ..BASE
    },
    Command {
        name: "zcard",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns the number of members of a sorted set.",
        handler: zcard,
        ..BASE
    },
    Command {
        name: "zrank",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns how many members stand before one, and its score if wanted.",
        complexity: "O(log(N))",
        since: "2.0.0",
        handler: |call, args| rank(call, args, false),
        ..BASE
    },
    Command {
        name: "zrevrank",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns how many members stand behind one, and its score if wanted.",
        complexity: "O(log(N))",
        since: "2.0.0",
        handler: |call, args| rank(call, args, true),
        ..BASE
    },
    Command {
        name: "zpopmin",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        summary: "Removes and returns the members with the lowest scores.",
        complexity: "O(log(N)*M) with the N members of the set and the M removed",
        since: "5.0.0",
        handler: |call, args| pop(call, args, false),
        ..BASE
    },
    Command {
        name: "zpopmax",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        summary: "Removes and returns the members with the highest scores.",
        complexity: "O(log(N)*M) with the N members of the set and the M removed",
        since: "5.0.0",
        handler: |call, args| pop(call, args, true),
        ..BASE
    },
    Command {
        name: "zscan",
        arity: -3,
        flags: flag::READONLY,
        summary: "Walks the members of a sorted set, some in each call.",
        complexity: "O(1) for a call, O(N) for a walk over N members",
        since: "2.8.0",
        handler: zscan,
        ..BASE
    },
    Command {
        name: "zrandmember",
        arity: -2,
        flags: flag::READONLY,
        summary: "Returns random members of a sorted set.",
        complexity: "O(N) with the N members asked for",
        since: "6.2.0",
        handler: zrandmember,
        ..BASE
    },
];

fn insert(member: &[u8], score: f64) -> Data<'_> {
    Data::insert_element(TypeTag::SortedSet, member, Scalar::Float(score))
}

pub(super) fn remove(member: &[u8]) -> Data<'_> {
    Data::remove_element(TypeTag::SortedSet, member)
}

/// A score, or a delta to one. -0 becomes 0, as which Redis shows it: with no -0 among the terms no
/// sum is one.
fn parse_score(text: &[u8]) -> Result<f64, Failure> {
    Ok(arg::float(text)? + 0.0)
}

/// The options of ZADD.
#[derive(Clone, Copy, Default)]
struct Conditions {
    new_only: bool,
    present_only: bool,
    greater: bool,
    less: bool,
    /// Changed scores count in the reply, too.
    changed: bool,
    /// The score is a delta.
    increment: bool,
}

impl Conditions {
    /// Reads the options of `ZADD key [options] score member ...`; returns also where they end.
    fn parse(args: Args<'_>) -> Result<(Self, usize), Failure> {
        let mut conditions = Conditions::default();
        let mut at = 2;
        while let Some(option) = args.get(at) {
            // Most often a score stands here; no option begins as one does.
            let place = match option.first() {
                Some(b'n' | b'N') if arg::is(option, "nx") => &mut conditions.new_only,
                Some(b'x' | b'X') if arg::is(option, "xx") => &mut conditions.present_only,
                Some(b'g' | b'G') if arg::is(option, "gt") => &mut conditions.greater,
                Some(b'l' | b'L') if arg::is(option, "lt") => &mut conditions.less,
                Some(b'c' | b'C') if arg::is(option, "ch") => &mut conditions.changed,
                Some(b'i' | b'I') if arg::is(option, "incr") => &mut conditions.increment,
                _ => break,
            };
            *place = true;
            at += 1;
        }
        let pairs = args.len() - at;
        if pairs == 0 || !pairs.is_multiple_of(2) {
            return Err(Failure::SYNTAX);
        }
        let Conditions {
            new_only,
            present_only,
            greater,
            less,
            increment,
            ..
        } = conditions;
        if new_only && present_only {
            return Err(Failure::from(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if ((greater || less) && new_only) || (greater && less) {
            return Err(Failure::from(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if increment && pairs > 2 {
            return Err(Failure::from(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok((conditions, at))
    }

    /// The score that a member gets whose score is `present`; `None` where it is left alone.
    fn decide(&self, present: Option<f64>, given: f64) -> Result<Option<f64>, Failure> {
        let Some(present) = present else {
            return Ok(Some(given).filter(|_| !self.present_only));
        };
        if self.new_only {
            return Ok(None);
        }
        let score = if self.increment {
            sum(present, given)?
        } else {
            given
        };
        let refused = (self.greater && score <= present) || (self.less && score >= present);
        Ok(Some(score).filter(|_| !refused))
    }
}

/// # Errors
/// For infinities of opposite signs.
fn sum(score: f64, delta: f64) -> Result<f64, Failure> {
    let sum = score + delta;
    if sum.is_nan() {
        return Err(Failure::from("ERR resulting score is not a number (NaN)"));
    }
    Ok(sum)
}

fn zadd<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (conditions, from) = Conditions::parse(args)?;
    if conditions.increment {
        return increment(
            call,
            args.at(1),
            &conditions,
            args.at(from),
            args.at(from + 1),
        );
    }
    let pairs = (from..args.len()).step_by(2);
    let is_single = pairs.len() == 1;
    if !is_single {
        // A wrong score anywhere comes before the key's type.
        pairs
            .clone()
            .try_for_each(|at| parse_score(args.at(at)).map(drop))?;
    }
    let first = parse_score(args.at(from))?;
    let (zset, mut work) = call.work_sorted_set(args.at(1))?;
    let (mut added, mut updated) = (0, 0);
    let mut earlier = Overlay::new();
    for at in pairs {
        let member = args.at(at + 1);
        let given = if at == from {
            first
        } else {
            parse_score(args.at(at))?
        };
        let pending = if is_single { None } else { earlier.get(member) };
        let present = pending.or_else(|| zset.and_then(|zset| zset.score(member)));
        let Some(score) = conditions.decide(present, given)? else {
            continue;
        };
        match present {
            None => added += 1,
            Some(present) if present != score => updated += 1,
            Some(_) => continue,
        }
        if !is_single {
            earlier.insert(member, score);
        }
        work.emit(insert(member, score));
    }
    work.reply().integer(if conditions.changed {
        added + updated
    } else {
        added
    });
    Ok(())
}

fn zincrby<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    increment(
        call,
        args.at(1),
        &Conditions {
            increment: true,
            ..Conditions::default()
        },
        args.at(2),
        args.at(3),
    )
}

/// ZINCRBY and ZADD INCR: replies with the new score, or null where the conditions forbid it.
fn increment<'a>(
    call: &mut Call<'_, 'a>,
    key: &'a [u8],
    conditions: &Conditions,
    delta: &'a [u8],
    member: &'a [u8],
) -> Result<(), Failure> {
    let delta = parse_score(delta)?;
    let (zset, mut work) = call.work_sorted_set(key)?;
    let present = zset.and_then(|zset| zset.score(member));
    match conditions.decide(present, delta)? {
        None => work.reply().null(),
        Some(score) => {
            if present != Some(score) {
                work.emit(Data::add_to_element(
                    TypeTag::SortedSet,
                    member,
                    Scalar::Float(delta),
                ));
            }
            work.reply().double(score);
        }
    }
    Ok(())
}

fn zrem<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (zset, mut work) = call.work_sorted_set(args.at(1))?;
    let mut removed = 0;
    if let Some(zset) = zset {
        let mut seen = Overlay::new();
        for member in args.iter().skip(2) {
            if zset.score(member).is_some() && seen.insert(member, ()) {
                work.emit(remove(member));
                removed += 1;
            }
        }
    }
    work.reply().integer(removed);
    Ok(())
}

fn reply_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let score = call
        .sorted_set(args.at(1))?
        .and_then(|zset| zset.score(args.at(2)));
    reply_score(&mut call.reply(), score);
    Ok(())
}

fn zmscore<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (zset, mut output) = call.split_sorted_set(args.at(1))?;
    let mut reply = output.reply();
    reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        reply_score(&mut reply, zset.and_then(|zset| zset.score(member)));
    }
    Ok(())
}

fn zcard<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let len = call.sorted_set(args.at(1))?.map_or(0, ZSet::len);
    call.reply().integer(len as i64);
    Ok(())
}

fn rank<'a>(call: &mut Call<'_, 'a>, args: Args<'a>, reversed: bool) -> Result<(), Failure> {
    let with_score = match args.get(3) {
        None => false,
        Some(option) if args.len() == 4 && arg::is(option, "withscore") => true,
        Some(_) => return Err(Failure::SYNTAX),
    };
    let member = args.at(2);
    let (zset, mut output) = call.split_sorted_set(args.at(1))?;
    let mut reply = output.reply();
    let Some((zset, rank)) = zset.and_then(|zset| Some((zset, zset.rank(member)?))) else {
        if with_score {
            reply.null_array();
        } else {
            reply.null();
        }
        return Ok(());
    };
    let rank = if reversed {
        zset.len() - 1 - rank
    } else {
        rank
    };
    if with_score {
        reply.array(2);
    }
    reply.integer(rank as i64);
    if with_score {
        reply_score(&mut reply, zset.score(member));
    }
    Ok(())
}

/// The header of `len` members, with their scores as pairs of their own in RESP3 and flat in RESP2.
pub(super) fn reply_header(reply: &mut Reply<'_>, len: usize, with_scores: bool) {
    let flat = with_scores && reply.protocol() == Protocol::Resp2;
    reply.array(if flat { 2 * len } else { len });
}

pub(super) fn reply_member(
    reply: &mut Reply<'_>,
    (member, score): (&[u8], f64),
    with_scores: bool,
) {
    if with_scores && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(member);
    if with_scores {
        reply.double(score);
    }
}

fn pop<'a>(call: &mut Call<'_, 'a>, args: Args<'a>, highest: bool) -> Result<(), Failure> {
    if args.len() > 3 {
        return Err(Failure::SYNTAX);
    }
    let count = args.get(2).map(arg::count).transpose()?;
    let (zset, mut work) = call.work_sorted_set(args.at(1))?;
    let Some(zset) = zset else {
        work.reply().array(0);
        return Ok(());
    };
    let len = zset.len();
    let shown = count.unwrap_or(1).min(len);
    let members = zset.range(if highest { len - shown..len } else { 0..shown });
    if count.is_none() {
        work.reply().array(2);
    } else {
        reply_header(&mut work.reply(), shown, true);
    }
    let empties = shown == len;
    let mut show = |(member, score): (&[u8], f64)| {
        if count.is_none() {
            let mut reply = work.reply();
            reply.bulk(member);
            reply.double(score);
        } else {
            reply_member(&mut work.reply(), (member, score), true);
        }
        if !empties {
            let member = work.keep(member);
            work.emit(remove(member));
        }
    };
    if highest {
        members.rev().for_each(&mut show);
    } else {
        members.for_each(&mut show);
    }
    if empties {
        work.emit(Data::remove_key());
    }
    Ok(())
}

fn zscan<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let cursor = element_scan::cursor(args)?;
    let (zset, mut output) = call.split_sorted_set(args.at(1))?;
    let Some(zset) = zset else {
        element_scan::reply_nothing(&mut output.reply());
        return Ok(());
    };
    let options = element_scan::Options::parse(args)?;
    element_scan::reply(&mut output, |reply| {
        let mut count = 0;
        let cursor = zset.scan(cursor, options.count, |member, score| {
            if options.matches(member) {
                reply.bulk(member);
                // Text in both protocols, unlike everywhere else.
                reply.bulk(&format_double(score));
                count += 2;
            }
        });
        (cursor, count)
    });
    Ok(())
}

fn zrandmember<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let count = args.get(2).map(arg::signed_count).transpose()?;
    let with_scores = arg::pairs_option(args, count, "withscores")?;
    let mut random = call.random();
    let (zset, mut output) = call.split_sorted_set(args.at(1))?;
    let mut reply = output.reply();
    match (zset, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(zset), None) => reply.bulk(draw(zset, &mut random).0),
        (Some(zset), Some(count)) => {
            let shown = count.unsigned_abs() as usize;
            let shown = if count < 0 {
                shown
            } else {
                shown.min(zset.len())
            };
            reply_header(&mut reply, shown, with_scores);
            let show = |pair| reply_member(&mut reply, pair, with_scores);
            if count < 0 {
                (0..shown).map(|_| draw(zset, &mut random)).for_each(show);
            } else {
                let draw = |random: &mut Random| draw(zset, random);
                sample::choose(shown, zset.len(), &mut random, draw, zset.iter(), show);
            }
        }
    }
    Ok(())
}

fn draw<'z>(zset: &'z ZSet, random: &mut Random) -> (&'z [u8], f64) {
    zset.random(&mut || random.bits())
        .expect("a key's sorted set is not empty")
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;
    use super::*;

    #[test]
    fn conditions_decide_which_scores_change() {
        Harness::new().expect(&[
            ("ZADD k 1 a 2 b 3 c", ":3\r\n"),
            ("ZADD k NX 5 a 4 d", ":1\r\n"),
            ("ZADD k XX CH 5 a 5 e", ":1\r\n"),
            ("ZADD k GT CH 4 a 6 b", ":1\r\n"),
            ("ZADD k LT CH 4 a 7 b", ":1\r\n"),
            ("ZADD k CH 9 x 9 x 8 x", ":2\r\n"),
            ("ZADD k INCR 2 a", "$1\r\n6\r\n"),
            ("ZADD k NX INCR 2 a", "$-1\r\n"),
            ("ZADD k XX INCR 2 none", "$-1\r\n"),
            ("ZADD k GT INCR -1 a", "$-1\r\n"),
            ("ZADD k NX XX 1 a", "-ERR XX and NX options at the same time are not compatible\r\n"),
            ("ZADD k NX GT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n"),
            ("ZADD k GT LT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n"),
            ("ZADD k INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair\r\n"),
            ("ZADD k 1", "-ERR wrong number of arguments for 'zadd' command\r\n"),
            ("ZADD k 1 a 2", "-ERR syntax error\r\n"),
            ("ZADD k 1 a x b", "-ERR value is not a valid float\r\n"),
            ("ZADD k nan a", "-ERR value is not a valid float\r\n"),
            ("ZADD none XX 1 a", ":0\r\n"),
            ("ZRANGE k 0 -1 WITHSCORES", "*10\r\n$1\r\nc\r\n$1\r\n3\r\n$1\r\nd\r\n$1\r\n4\r\n$1\r\na\r\n$1\r\n6\r\n$1\r\nb\r\n$1\r\n6\r\n$1\r\nx\r\n$1\r\n8\r\n"),
        ]);
    }

    #[test]
    fn increments_end_at_numbers() {
        Harness::new().expect(&[
            ("ZINCRBY k 2.5 a", "$3\r\n2.5\r\n"),
            ("ZINCRBY k -2.5 a", "$1\r\n0\r\n"),
            ("ZINCRBY k inf b", "$3\r\ninf\r\n"),
            (
                "ZINCRBY k -inf b",
                "-ERR resulting score is not a number (NaN)\r\n",
            ),
            ("ZINCRBY k x b", "-ERR value is not a valid float\r\n"),
            (
                "ZADD k INCR -inf b",
                "-ERR resulting score is not a number (NaN)\r\n",
            ),
            ("ZADD k -0 zero", ":1\r\n"),
            ("ZSCORE k zero", "$1\r\n0\r\n"),
            ("ZSCORE k none", "$-1\r\n"),
            (
                "ZMSCORE k a none b",
                "*3\r\n$1\r\n0\r\n$-1\r\n$3\r\ninf\r\n",
            ),
            ("RPUSH l x", ":1\r\n"),
            (
                "ZINCRBY l 1 a",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
            (
                "ZADD l 1 a",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
            (
                "ZSCORE l a",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
        ]);
    }

    #[test]
    fn ranks_count_from_either_end() {
        Harness::new().expect(&[
            ("ZADD k 1 a 2 b 3 c", ":3\r\n"),
            ("ZRANK k a", ":0\r\n"),
            ("ZREVRANK k a", ":2\r\n"),
            ("ZRANK k none", "$-1\r\n"),
            ("ZRANK none a", "$-1\r\n"),
            ("ZREM k a a none", ":1\r\n"),
            ("ZRANK k b", ":0\r\n"),
            ("ZCARD k", ":2\r\n"),
        ]);
    }

    #[test]
    fn pops_take_the_ends() {
        Harness::new().expect(&[
            ("ZADD k 1 a 2 b 3 c 4 d", ":4\r\n"),
            ("ZPOPMIN k", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
            (
                "ZPOPMAX k 2",
                "*4\r\n$1\r\nd\r\n$1\r\n4\r\n$1\r\nc\r\n$1\r\n3\r\n",
            ),
            ("ZPOPMIN k 0", "*0\r\n"),
            (
                "ZPOPMIN k -1",
                "-ERR value is out of range, must be positive\r\n",
            ),
            (
                "ZPOPMIN k x",
                "-ERR value is out of range, must be positive\r\n",
            ),
            ("ZPOPMIN k 1 2", "-ERR syntax error\r\n"),
            ("ZPOPMIN k 5", "*2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
            ("ZPOPMIN k", "*0\r\n"),
            ("ZPOPMIN k 1", "*0\r\n"),
            ("ZCARD k", ":0\r\n"),
        ]);
    }

    #[test]
    fn random_members_are_refused_or_absent_as_in_redis() {
        Harness::new().expect(&[
            ("ZRANDMEMBER none", "$-1\r\n"),
            ("ZRANDMEMBER none 2", "*0\r\n"),
            ("ZADD k 1.5 a", ":1\r\n"),
            ("ZRANDMEMBER k", "$1\r\na\r\n"),
            ("ZRANDMEMBER k 2", "*1\r\n$1\r\na\r\n"),
            (
                "ZRANDMEMBER k -2 WITHSCORES",
                "*4\r\n$1\r\na\r\n$3\r\n1.5\r\n$1\r\na\r\n$3\r\n1.5\r\n",
            ),
            ("ZRANDMEMBER k 1 WHAT", "-ERR syntax error\r\n"),
            (
                "ZRANDMEMBER k 9223372036854775807 WITHSCORES",
                "-ERR value is out of range\r\n",
            ),
            (
                "ZSCAN k 0",
                "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$3\r\n1.5\r\n",
            ),
            ("ZSCAN none 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ]);
    }

    #[test]
    fn ranks_come_with_scores_where_asked() {
        // As Redis 7.2.
        Harness::new().expect(&[
            ("ZADD k 1 a 2.5 b", ":2\r\n"),
            ("ZRANK k b WITHSCORE", "*2\r\n:1\r\n$3\r\n2.5\r\n"),
            ("ZREVRANK k b withscore", "*2\r\n:0\r\n$3\r\n2.5\r\n"),
            ("ZRANK k none WITHSCORE", "*-1\r\n"),
            ("ZRANK k b WITHSCORES", "-ERR syntax error\r\n"),
        ]);
    }

    #[test]
    fn resp3_has_doubles_and_pairs() {
        let mut harness = Harness::new();
        harness.client.protocol = Protocol::Resp3;
        harness.expect(&[
            ("ZADD k 1 a 2.5 b inf c", ":3\r\n"),
            ("ZSCORE k b", ",2.5\r\n"),
            ("ZRANGE k 0 0 WITHSCORES", "*1\r\n*2\r\n$1\r\na\r\n,1\r\n"),
            ("ZPOPMIN k", "*2\r\n$1\r\na\r\n,1\r\n"),
            ("ZPOPMAX k 1", "*1\r\n*2\r\n$1\r\nc\r\n,inf\r\n"),
            (
                "ZSCAN k 0",
                "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$3\r\n2.5\r\n",
            ),
        ]);
    }

    #[test]
    fn random_members_are_distinct_in_a_large_set() {
        let mut harness = Harness::new();
        for number in 0..300 {
            harness.text(&format!("ZADD k {number} {number}"));
        }
        for count in [20, 250, 300] {
            let reply = harness.text(&format!("ZRANDMEMBER k {count} WITHSCORES"));
            let words: Vec<_> = reply.split("\r\n").skip(2).step_by(2).collect();
            assert!(words.chunks(2).all(|pair| pair[0] == pair[1]));
            let distinct: std::collections::HashSet<_> = words.into_iter().collect();
            assert_eq!(distinct.len(), count);
        }
    }
}
