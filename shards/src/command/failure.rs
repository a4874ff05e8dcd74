//! Errors as clients read them: Redis's own texts where Redis has them.

use std::borrow::Cow;

/// An error reply without the leading `-`. Beginning with its code: `ERR`, `WRONGTYPE`, ...
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub Cow<'static, [u8]>);

impl Failure {
    /// The key holds another type.
    pub const WRONG_TYPE: Failure =
        Failure::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// Arguments that the command does not know, or in a wrong combination.
    pub const SYNTAX: Failure = Failure::fixed("ERR syntax error");
    /// Not a 64-bit integer.
    pub const NOT_AN_INTEGER: Failure =
        Failure::fixed("ERR value is not an integer or out of range");
    /// Not a float.
    pub const NOT_A_FLOAT: Failure = Failure::fixed("ERR value is not a valid float");
    /// The key is not there and must be.
    pub const NO_SUCH_KEY: Failure = Failure::fixed("ERR no such key");
    /// An index outside.
    pub const OUT_OF_RANGE: Failure = Failure::fixed("ERR index out of range");
    /// A negative count.
    pub const MUST_BE_POSITIVE: Failure =
        Failure::fixed("ERR value is out of range, must be positive");
    /// Above the maximum string length.
    pub const TOO_LONG: Failure =
        Failure::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

    const fn fixed(text: &'static str) -> Failure {
        Failure(Cow::Borrowed(text.as_bytes()))
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&'static str> for Failure {
    fn from(text: &'static str) -> Self {
        Failure::fixed(text)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure(Cow::Owned(text.into_bytes()))
    }
}
