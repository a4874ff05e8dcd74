//! Arguments as types: what clients send, checked once, with Redis's errors.

use causet_core::number::parse_i64;
use causet_proto::resp::{Args, parse_double};

use super::Failure;

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

/// Whether an argument is this keyword, in any case.
#[inline]
pub fn is(arg: &[u8], keyword: &str) -> bool {
    arg.eq_ignore_ascii_case(keyword.as_bytes())
}
