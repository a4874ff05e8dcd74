//! Errors as clients read them: Redis's own texts where Redis has them.

use std::borrow::Cow;

use causet_proto::resp::Args;

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

/// Bytes of a name, and of all quoted arguments together, that an error repeats.
const QUOTED_BYTES_MAX: usize = 128;

/// No command has the name that `args` begin with. Repeats as much of the arguments as Redis does.
#[cold]
pub fn unknown_command(args: Args<'_>) -> Failure {
    let cut = |bytes: &[u8], most: usize| bytes[..bytes.len().min(most)].to_vec();
    let mut quoted = Vec::new();
    for arg in args.tail(1) {
        if quoted.len() >= QUOTED_BYTES_MAX {
            break;
        }
        let arg = cut(arg, QUOTED_BYTES_MAX - quoted.len());
        quoted.push(b'\'');
        quoted.extend(arg);
        quoted.extend(b"' ");
    }
    let name = cut(args.get(0).unwrap_or_default(), QUOTED_BYTES_MAX);
    let text = [
        b"ERR unknown command '",
        &name[..],
        b"', with args beginning with: ",
        &quoted,
    ]
    .concat();
    Failure(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use causet_proto::resp::{Argv, RequestParser, write_request};

    use super::*;

    fn unknown(words: &[&str]) -> String {
        let mut request = Vec::new();
        write_request(&mut request, words);
        let mut argv = Argv::new();
        RequestParser::new()
            .parse(&request, &mut argv)
            .expect("a whole request");
        String::from_utf8(unknown_command(argv.args(&request)).0.into_owned()).expect("text")
    }

    #[test]
    fn unknown_commands_are_quoted_as_redis_quotes_them() {
        let cases: [(&[&str], &str); 2] = [
            (
                &["foo"],
                "ERR unknown command 'foo', with args beginning with: ",
            ),
            (
                &["foo", "bar", "ba z"],
                "ERR unknown command 'foo', with args beginning with: 'bar' 'ba z' ",
            ),
        ];
        for (words, want) in cases {
            assert_eq!(unknown(words), want);
        }
        let long = "f".repeat(200);
        let cut = "f".repeat(128);
        assert_eq!(
            unknown(&[&long, &long, "a"]),
            format!("ERR unknown command '{cut}', with args beginning with: '{cut}' ")
        );
    }
}
