//! Sorted sets: ZADD, ZRANGE, ZPOPMIN and their family.
//!
//! A member is inserted with its score or removed by its bytes, so concurrent work on different
//! members all stays, and of two scores for one member the later wins. ZINCRBY is a delta and adds
//! up. A member that already has the score makes no effect.
//!
//! Every way to name a range (ranks, scores, members) is turned into a range of ranks first; what
//! follows is the same for all.

use std::ops::Range;

use causet_core::effect::{Data, Scalar, TypeTag};
use causet_core::value::ZSet;
use causet_proto::resp::{Protocol, Reply, format_double};

use super::arg::{self, Arguments};
use super::interval::{Members, Scores};
use super::overlay::Overlay;
use super::sample::{Selection, is_sparse};
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
const RANGE_COST: &str = "O(log(N)+M) with the N members of the set and the M in the range";

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
        name: "zcount",
        arity: 4,
        flags: flag::READONLY | flag::FAST,
        summary: "Counts the members with scores in an interval.",
        complexity: "O(log(N))",
        since: "2.0.0",
        handler: |call, args| count(call, args, By::Score),
        ..BASE
    },
    Command {
        name: "zlexcount",
        arity: 4,
        flags: flag::READONLY | flag::FAST,
        summary: "Counts the members from one to another, where all scores are equal.",
        complexity: "O(log(N))",
        since: "2.8.9",
        handler: |call, args| count(call, args, By::Member),
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
        name: "zrange",
        arity: -4,
        flags: flag::READONLY,
        summary: "Returns the members in a range of ranks, scores or members.",
        complexity: RANGE_COST,
        handler: |call, args| range(call, args, None, None),
        ..BASE
    },
    Command {
        name: "zrangebyscore",
        arity: -4,
        flags: flag::READONLY,
        summary: "Returns the members with scores in an interval.",
        complexity: RANGE_COST,
        since: "1.0.5",
        handler: |call, args| range(call, args, Some(By::Score), Some(false)),
        ..BASE
    },
    Command {
        name: "zrevrange",
        arity: -4,
        flags: flag::READONLY,
        summary: "Returns the members in a range of ranks, the highest score first.",
        complexity: RANGE_COST,
        handler: |call, args| range(call, args, Some(By::Rank), Some(true)),
        ..BASE
    },
    Command {
        name: "zrevrangebyscore",
        arity: -4,
        flags: flag::READONLY,
        summary: "Returns the members with scores in an interval, the highest score first.",
        complexity: RANGE_COST,
        since: "2.2.0",
        handler: |call, args| range(call, args, Some(By::Score), Some(true)),
        ..BASE
    },
    Command {
        name: "zrangebylex",
        arity: -4,
        flags: flag::READONLY,
        summary: "Returns the members from one to another, where all scores are equal.",
        complexity: RANGE_COST,
        since: "2.8.9",
        handler: |call, args| range(call, args, Some(By::Member), Some(false)),
        ..BASE
    },
    Command {
        name: "zrevrangebylex",
        arity: -4,
        flags: flag::READONLY,
        summary: "Returns the members from one back to another, where all scores are equal.",
        complexity: RANGE_COST,
        since: "2.8.9",
        handler: |call, args| range(call, args, Some(By::Member), Some(true)),
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
        name: "zremrangebyrank",
        arity: 4,
        flags: flag::WRITE,
        summary: "Removes the members in a range of ranks: those that were seen there.",
        complexity: RANGE_COST,
        since: "2.0.0",
        handler: |call, args| remove_range(call, args, By::Rank),
        ..BASE
    },
    Command {
        name: "zremrangebyscore",
        arity: 4,
        flags: flag::WRITE,
        summary: "Removes the members with scores in an interval: those that were seen there.",
        complexity: RANGE_COST,
        handler: |call, args| remove_range(call, args, By::Score),
        ..BASE
    },
    Command {
        name: "zremrangebylex",
        arity: 4,
        flags: flag::WRITE,
        summary: "Removes the members from one to another, where all scores are equal.",
        complexity: RANGE_COST,
        since: "2.8.9",
        handler: |call, args| remove_range(call, args, By::Member),
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

fn remove(member: &[u8]) -> Data<'_> {
    Data::remove_element(TypeTag::SortedSet, member)
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
        if pairs == 0 || pairs % 2 != 0 {
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
        if (greater && new_only) || (less && new_only) || (greater && less) {
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
            .try_for_each(|at| arg::float(args.at(at)).map(drop))?;
    }
    let first = arg::float(args.at(from))?;
    let (zset, mut work) = call.work_sorted_set(args.at(1))?;
    let (mut added, mut updated) = (0, 0);
    let mut earlier = Overlay::new();
    for at in pairs {
        let member = args.at(at + 1);
        let given = if at == from {
            first
        } else {
            arg::float(args.at(at))?
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
    let delta = arg::float(delta)?;
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

/// What the two ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// A range of a sorted set, as a client names it.
enum Interval<'a> {
    Ranks(i64, i64),
    Scores(Scores),
    Members(Members<'a>),
}

impl<'a> Interval<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, Failure> {
        Ok(match by {
            By::Rank => Interval::Ranks(arg::integer(min)?, arg::integer(max)?),
            By::Score => Interval::Scores(Scores::parse(min, max)?),
            By::Member => Interval::Members(Members::parse(min, max)?),
        })
    }

    /// The ranks within, counted from the first member.
    fn ranks(&self, zset: &ZSet) -> Range<usize> {
        match self {
            Interval::Ranks(start, end) => arg::index_range(*start, *end, zset.len()),
            Interval::Scores(scores) => scores.ranks(zset),
            Interval::Members(members) => members.ranks(zset),
        }
    }
}

fn count<'a>(call: &mut Call<'_, 'a>, args: Args<'a>, by: By) -> Result<(), Failure> {
    let interval = Interval::parse(by, args.at(2), args.at(3))?;
    let zset = call.sorted_set(args.at(1))?;
    let count = zset.map_or(0, |zset| interval.ranks(zset).len());
    call.reply().integer(count as i64);
    Ok(())
}

/// The options of ZRANGE and of the commands that it replaces.
struct RangeOptions {
    by: By,
    reversed: bool,
    with_scores: bool,
    /// Members to pass over and to return; negative: none, and all.
    limit: (i64, i64),
}

impl RangeOptions {
    /// Reads what follows the ends. Only ZRANGE leaves `by` and the direction open.
    fn parse(
        args: Args<'_>,
        fixed_by: Option<By>,
        fixed_reversed: Option<bool>,
    ) -> Result<Self, Failure> {
        let mut by = fixed_by;
        let mut reversed = fixed_reversed;
        let mut with_scores = false;
        let mut limit = (0, -1);
        let mut rest = args.iter().skip(4);
        while let Some(option) = rest.next() {
            if arg::is(option, "withscores") {
                with_scores = true;
            } else if arg::is(option, "limit") && rest.len() >= 2 {
                let mut number = || arg::integer(rest.next().unwrap_or_default());
                limit = (number()?, number()?);
            } else if fixed_reversed.is_none() && arg::is(option, "rev") {
                reversed = Some(true);
            } else if fixed_by.is_none() && arg::is(option, "bylex") {
                by = Some(By::Member);
            } else if fixed_by.is_none() && arg::is(option, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        let by = by.unwrap_or(By::Rank);
        if limit.1 != -1 && by == By::Rank {
            return Err(Failure::from(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE \
                 or BYLEX",
            ));
        }
        if with_scores && by == By::Member {
            return Err(Failure::from(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        Ok(RangeOptions {
            by,
            reversed: reversed.unwrap_or(false),
            with_scores,
            limit,
        })
    }

    /// What LIMIT leaves of a range, which is walked from its end where reversed.
    fn limited(&self, ranks: Range<usize>) -> Range<usize> {
        if self.by == By::Rank {
            return ranks;
        }
        let skipped = usize::try_from(self.limit.0)
            .unwrap_or(usize::MAX)
            .min(ranks.len());
        let count = usize::try_from(self.limit.1).unwrap_or(usize::MAX);
        let count = count.min(ranks.len() - skipped);
        if self.reversed {
            let end = ranks.end - skipped;
            end - count..end
        } else {
            let start = ranks.start + skipped;
            start..start + count
        }
    }
}

fn range<'a>(
    call: &mut Call<'_, 'a>,
    args: Args<'a>,
    by: Option<By>,
    reversed: Option<bool>,
) -> Result<(), Failure> {
    let options = RangeOptions::parse(args, by, reversed)?;
    let (by, reversed) = (options.by, options.reversed);
    // Scores and members are named from the higher end when the order is reversed; ranks count
    // from that end.
    let (min, max) = match by != By::Rank && reversed {
        true => (args.at(3), args.at(2)),
        false => (args.at(2), args.at(3)),
    };
    let interval = Interval::parse(by, min, max)?;
    let (zset, mut output) = call.split_sorted_set(args.at(1))?;
    let mut reply = output.reply();
    let Some(zset) = zset else {
        reply.array(0);
        return Ok(());
    };
    let mut ranks = interval.ranks(zset);
    if by == By::Rank && reversed {
        ranks = zset.len() - ranks.end..zset.len() - ranks.start;
    }
    let members = zset.range(options.limited(ranks));
    reply_header(&mut reply, members.len(), options.with_scores);
    let show = |pair| reply_member(&mut reply, pair, options.with_scores);
    if reversed {
        members.rev().for_each(show);
    } else {
        members.for_each(show);
    }
    Ok(())
}

/// The header of `len` members, with their scores as pairs of their own in RESP3 and flat in RESP2.
fn reply_header(reply: &mut Reply<'_>, len: usize, with_scores: bool) {
    let flat = with_scores && reply.protocol() == Protocol::Resp2;
    reply.array(if flat { 2 * len } else { len });
}

fn reply_member(reply: &mut Reply<'_>, (member, score): (&[u8], f64), with_scores: bool) {
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

fn remove_range<'a>(call: &mut Call<'_, 'a>, args: Args<'a>, by: By) -> Result<(), Failure> {
    let interval = Interval::parse(by, args.at(2), args.at(3))?;
    let (zset, mut work) = call.work_sorted_set(args.at(1))?;
    let Some(zset) = zset else {
        work.reply().integer(0);
        return Ok(());
    };
    let ranks = interval.ranks(zset);
    let removed = ranks.len();
    if removed == zset.len() {
        work.emit(Data::remove_key());
    } else {
        for (member, _) in zset.range(ranks) {
            let member = work.keep(member);
            work.emit(remove(member));
        }
    }
    work.reply().integer(removed as i64);
    Ok(())
}

fn zscan<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let cursor = scan::cursor(args)?;
    let (zset, mut output) = call.split_sorted_set(args.at(1))?;
    let Some(zset) = zset else {
        scan::reply_nothing(&mut output.reply());
        return Ok(());
    };
    let options = scan::Options::parse(args)?;
    scan::reply(&mut output, |reply| {
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
                choose(zset, shown, &mut random, show);
            }
        }
    }
    Ok(())
}

fn draw<'z>(zset: &'z ZSet, random: &mut Random) -> (&'z [u8], f64) {
    zset.random(&mut || random.next())
        .expect("a key's sorted set is not empty")
}

/// Shows `count` distinct members, each subset equally likely. O(count log n) for a small part of
/// the set, else O(n).
fn choose<'z>(
    zset: &'z ZSet,
    count: usize,
    random: &mut Random,
    mut visit: impl FnMut((&'z [u8], f64)),
) {
    if is_sparse(count, zset.len()) {
        let mut seen = Overlay::new();
        let mut left = count;
        while left > 0 {
            let pair = draw(zset, random);
            if seen.insert(pair.0, ()) {
                visit(pair);
                left -= 1;
            }
        }
    } else {
        let mut selection = Selection::new(count, zset.len());
        zset.iter()
            .filter(|_| selection.takes(random))
            .for_each(visit);
    }
}
