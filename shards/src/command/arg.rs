//! Arguments as types: what clients send, checked once, with Redis's errors.

use std::ops::Range;

use causet_core::number::parse_i64;
use causet_proto::resp::{Args, parse_double};

use super::{Command, Failure};

/// Reading arguments by position.
pub trait Arguments<'a> {
    /// Argument `index`, which the command's arity guarantees.
    fn at(self, index: usize) -> &'a [u8];
}

impl<'a> Arguments<'a> for Args<'a> {
    #[inline]
    fn at(self, index: usize) -> &'a [u8] {
        self.get(index).expect("the command's arity was checked")
    }
}

/// A signed 64-bit integer.
///
/// # Errors
/// "value is not an integer or out of range".
#[inline]
pub fn integer(arg: &[u8]) -> Result<i64, Failure> {
    parse_i64(arg).ok_or(Failure::NOT_AN_INTEGER)
}

/// A float as Redis reads it: inf but no nan.
///
/// # Errors
/// "value is not a valid float".
pub fn float(arg: &[u8]) -> Result<f64, Failure> {
    parse_double(arg).ok_or(Failure::NOT_A_FLOAT)
}

/// A count that is not negative.
///
/// # Errors
/// "value is out of range, must be positive", also where it is no integer.
pub fn count(arg: &[u8]) -> Result<usize, Failure> {
    parse_i64(arg)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or(Failure::MUST_BE_POSITIVE)
}

/// An integer that has a negation.
///
/// # Errors
/// "value is not an integer or out of range", and that it is out of range for the lowest `i64`.
pub fn signed_count(arg: &[u8]) -> Result<i64, Failure> {
    match integer(arg)? {
        i64::MIN => Err(Failure::from(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        )),
        count => Ok(count),
    }
}

/// The elements from `start` to `end`, both included and counted from the end where negative, cut
/// to a sequence of `len`.
pub fn index_range(start: i64, end: i64, len: usize) -> Range<usize> {
    let place = |index: i64| {
        let index = if index < 0 {
            index.saturating_add(len as i64)
        } else {
            index
        };
        index.clamp(-1, len as i64)
    };
    let start = place(start).max(0) as usize;
    let end = (place(end) + 1).min(len as i64) as usize;
    start..end.max(start)
}

/// Whether `key count WITHVALUES` (or another word) asks for pairs, as the commands that choose random
/// elements are called.
///
/// # Errors
/// A syntax error; "value is out of range" for a count whose double does not fit.
pub fn pairs_option(args: Args<'_>, count: Option<i64>, word: &str) -> Result<bool, Failure> {
    let Some(option) = args.get(3) else {
        return Ok(false);
    };
    if args.len() > 4 || !is(option, word) {
        return Err(Failure::SYNTAX);
    }
    match count {
        Some(count) if count.unsigned_abs() > i64::MAX as u64 / 2 => {
            Err(Failure::from("ERR value is out of range"))
        }
        _ => Ok(true),
    }
}

/// The error for a number of arguments that the command's arity cannot express.
#[cold]
pub fn wrong_number(command: &Command) -> Failure {
    Failure::from(format!(
        "ERR wrong number of arguments for '{}' command",
        command.name
    ))
}

/// Whether an argument is this keyword, in any case.
#[inline]
pub fn is(arg: &[u8], keyword: &str) -> bool {
    arg.eq_ignore_ascii_case(keyword.as_bytes())
}
