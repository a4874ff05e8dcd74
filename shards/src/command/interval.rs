//! Intervals of scores (`(1 5`, `-inf +inf`) and of members (`[a (c`, `- +`), as sorted sets'
//! commands take them, turned into ranges of ranks.

use std::ops::{Bound, Range};

use causet_core::value::ZSet;
use causet_proto::resp::parse_double;

use super::Failure;

/// Scores from a bound to another; empty where they are the wrong way round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    min: Bound<f64>,
    max: Bound<f64>,
}

impl Scores {
    /// Reads two bounds; `(` excludes the score that follows.
    ///
    /// # Errors
    /// "min or max is not a float".
    pub fn parse(min: &[u8], max: &[u8]) -> Result<Self, Failure> {
        let score = |text: &[u8]| match text {
            // As `strtod` reads nothing, and so Redis.
            b"" => Some(0.0),
            text => parse_double(text),
        };
        let bound = |text: &[u8]| match text {
            [b'(', text @ ..] => score(text).map(Bound::Excluded),
            text => score(text).map(Bound::Included),
        };
        match (bound(min), bound(max)) {
            (Some(min), Some(max)) => Ok(Scores { min, max }),
            _ => Err(Failure::from("ERR min or max is not a float")),
        }
    }

    /// The ranks of the members within. O(log n).
    pub fn ranks(self, zset: &ZSet) -> Range<usize> {
        zset.score_range(self.min, self.max)
    }
}

/// One end of an interval of members.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End<'a> {
    /// `-`: before all.
    First,
    /// `+`: after all.
    Last,
    At(Bound<&'a [u8]>),
}

/// Members from an end to another, for sets whose scores are all equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Members<'a> {
    min: End<'a>,
    max: End<'a>,
}

impl<'a> Members<'a> {
    /// Reads two ends: `-`, `+`, `[member` or `(member`.
    ///
    /// # Errors
    /// "min or max not valid string range item".
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Result<Self, Failure> {
        let end = |text: &'a [u8]| match text {
            b"-" => Ok(End::First),
            b"+" => Ok(End::Last),
            [b'(', member @ ..] => Ok(End::At(Bound::Excluded(member))),
            [b'[', member @ ..] => Ok(End::At(Bound::Included(member))),
            _ => Err(Failure::from("ERR min or max not valid string range item")),
        };
        Ok(Members {
            min: end(min)?,
            max: end(max)?,
        })
    }

    /// The ranks of the members within. O(log n).
    pub fn ranks(self, zset: &ZSet) -> Range<usize> {
        let min = match self.min {
            End::First => Bound::Unbounded,
            End::At(bound) => bound,
            End::Last => return 0..0,
        };
        let max = match self.max {
            End::Last => Bound::Unbounded,
            End::At(bound) => bound,
            End::First => return 0..0,
        };
        zset.lex_range(min, max)
    }
}

#[cfg(test)]
mod tests {
    use causet_core::value::{HashSeed, Limits};

    use super::*;

    #[test]
    fn intervals_are_empty_where_their_ends_are_the_wrong_way_round() {
        let mut zset = ZSet::new(HashSeed(1));
        for member in [b"a", b"b", b"c"] {
            zset.insert(member, 1.0, &Limits::default());
        }
        let members = |min: &str, max: &str| {
            Members::parse(min.as_bytes(), max.as_bytes()).map(|members| members.ranks(&zset))
        };
        assert_eq!(members("-", "+"), Ok(0..3));
        assert_eq!(members("(a", "[c"), Ok(1..3));
        assert!(members("+", "-").is_ok_and(|ranks| ranks.is_empty()));
        assert!(members("[c", "[a").is_ok_and(|ranks| ranks.is_empty()));
        assert!(members("a", "[b").is_err());
        let scores = |min: &str, max: &str| {
            Scores::parse(min.as_bytes(), max.as_bytes()).map(|scores| scores.ranks(&zset))
        };
        assert_eq!(scores("-inf", "1"), Ok(0..3));
        assert!(scores("(1", "+inf").is_ok_and(|ranks| ranks.is_empty()));
        assert!(scores("2", "1").is_ok_and(|ranks| ranks.is_empty()));
        assert!(scores("nan", "1").is_err());
    }
}
