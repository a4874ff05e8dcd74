//! Sorted sets, the commands that name a range: ZRANGE and its elders, ZCOUNT, ZREMRANGEBYSCORE.
//!
//! Every way to name a range (ranks, scores, members) is turned into a range of ranks first; what
//! follows is the same for all. A removal names the members that were seen in the range, so one that
//! comes into it concurrently stays.

use std::ops::Range;

use causet_core::effect::Data;
use causet_core::value::ZSet;

use super::arg::{self, Arguments};
use super::interval::{Members, Scores};
use super::sorted_set::{remove, reply_header, reply_member};
use super::*;

const BASE: Command = Command {
    keys: Keys::ONE,
    route: Route::Keys,
    group: "sorted-set",
    since: "1.2.0",
    ..Command::BASE
};
const RANGE_COST: &str = "O(log(N)+M) with the N members of the set and the M in the range";

/// The rows.
pub const COMMANDS: &[Command] = &[
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
];

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

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;

    #[test]
    fn ranges_by_rank_score_and_member() {
        Harness::new().expect(&[
            ("ZADD k 1 a 2 b 2 c 3 d", ":4\r\n"),
            ("ZRANGE k 0 1", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
            ("ZRANGE k -2 -1 WITHSCORES", "*4\r\n$1\r\nc\r\n$1\r\n2\r\n$1\r\nd\r\n$1\r\n3\r\n"),
            ("ZRANGE k 0 1 REV", "*2\r\n$1\r\nd\r\n$1\r\nc\r\n"),
            ("ZREVRANGE k 1 2 WITHSCORES", "*4\r\n$1\r\nc\r\n$1\r\n2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
            ("ZRANGE k 2 3 BYSCORE LIMIT 1 1", "*1\r\n$1\r\nc\r\n"),
            ("ZRANGE k 3 (1 BYSCORE REV LIMIT 0 -1 WITHSCORES", "*6\r\n$1\r\nd\r\n$1\r\n3\r\n$1\r\nc\r\n$1\r\n2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
            ("ZRANGEBYSCORE k -inf (2", "*1\r\n$1\r\na\r\n"),
            ("ZRANGEBYSCORE k (1 3 WITHSCORES LIMIT 1 2", "*4\r\n$1\r\nc\r\n$1\r\n2\r\n$1\r\nd\r\n$1\r\n3\r\n"),
            ("ZREVRANGEBYSCORE k +inf 2 LIMIT 0 2", "*2\r\n$1\r\nd\r\n$1\r\nc\r\n"),
            ("ZRANGEBYSCORE k 3 1", "*0\r\n"),
            ("ZRANGE k 0 1 LIMIT 0 1", "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX\r\n"),
            ("ZRANGE k - + BYLEX WITHSCORES", "-ERR syntax error, WITHSCORES not supported in combination with BYLEX\r\n"),
            ("ZRANGE k a + BYLEX", "-ERR min or max not valid string range item\r\n"),
            ("ZRANGE k x 1", "-ERR value is not an integer or out of range\r\n"),
            ("ZRANGEBYSCORE k x 1", "-ERR min or max is not a float\r\n"),
            ("ZRANGEBYSCORE k 1 2 REV", "-ERR syntax error\r\n"),
            ("ZREVRANGE k 0 1 BYSCORE", "-ERR syntax error\r\n"),
            ("ZRANGE none 0 1", "*0\r\n"),
            ("ZCOUNT k (1 2", ":2\r\n"),
            ("ZCOUNT k x 1", "-ERR min or max is not a float\r\n"),
            ("ZCOUNT none 0 1", ":0\r\n"),
            ("ZADD l 0 a 0 b 0 c 0 d", ":4\r\n"),
            ("ZRANGEBYLEX l [b (d", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
            ("ZREVRANGEBYLEX l + (b LIMIT 0 1", "*1\r\n$1\r\nd\r\n"),
            ("ZRANGE l (c - BYLEX REV", "*2\r\n$1\r\nb\r\n$1\r\na\r\n"),
            ("ZLEXCOUNT l - [c", ":3\r\n"),
            ("ZLEXCOUNT l + -", ":0\r\n"),
            ("ZREMRANGEBYLEX l (a [b", ":1\r\n"),
            ("ZREMRANGEBYRANK k 0 0", ":1\r\n"),
            ("ZREMRANGEBYSCORE k 3 inf", ":1\r\n"),
            ("ZRANGE k 0 -1", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
            ("ZREMRANGEBYSCORE k 0 5", ":2\r\n"),
            ("ZCARD k", ":0\r\n"),
        ]);
    }

    #[test]
    fn a_limit_counts_from_the_end_of_a_reversed_range() {
        let mut harness = Harness::new();
        for number in 0..300 {
            harness.text(&format!("ZADD k {number} {number}"));
        }
        harness.expect(&[
            (
                "ZREVRANGEBYSCORE k 200 100 LIMIT 1 1",
                "*1\r\n$3\r\n199\r\n",
            ),
            ("ZRANGEBYSCORE k 100 200 LIMIT 1 1", "*1\r\n$3\r\n101\r\n"),
            ("ZRANGEBYSCORE k 100 200 LIMIT 101 1", "*0\r\n"),
            ("ZRANGEBYSCORE k 100 200 LIMIT -1 1", "*0\r\n"),
            ("ZRANGEBYSCORE k 199 200 LIMIT 1 -1", "*1\r\n$3\r\n200\r\n"),
            ("ZREMRANGEBYRANK k 1 -2", ":298\r\n"),
            ("ZRANGE k 0 -1", "*2\r\n$1\r\n0\r\n$3\r\n299\r\n"),
        ]);
    }
}
