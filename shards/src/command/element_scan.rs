//! SSCAN, HSCAN and ZSCAN: what they have in common.
//!
//! Not SCAN itself, which walks keys in order. Within a collection the cursor is the collection's
//! own, and a small collection comes whole in one call.

use causet_core::glob::glob_match;
use causet_proto::resp::{Args, Reply, parse_u64};

use super::Failure;
use super::arg::{self, Arguments};
use super::call::Output;

/// Elements that a call looks at, where the client does not say.
const COUNT_DEFAULT: usize = 10;

/// The cursor of `SSCAN key cursor ...`.
///
/// # Errors
/// "invalid cursor".
pub fn cursor(args: Args<'_>) -> Result<u64, Failure> {
    parse_u64(args.at(2)).ok_or(Failure::from("ERR invalid cursor"))
}

/// What follows the cursor.
pub struct Options<'a> {
    pattern: Option<&'a [u8]>,
    /// Elements to look at, at least one.
    pub count: usize,
}

impl<'a> Options<'a> {
    /// Reads `[MATCH pattern] [COUNT count]`.
    ///
    /// # Errors
    /// A syntax error, also for a count below 1; a count that is no integer.
    pub fn parse(args: Args<'a>) -> Result<Self, Failure> {
        let mut options = Options {
            pattern: None,
            count: COUNT_DEFAULT,
        };
        let mut rest = args.iter().skip(3);
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or(Failure::SYNTAX)?;
            if arg::is(name, "count") {
                let count = arg::integer(value)?;
                options.count = usize::try_from(count).map_err(|_| Failure::SYNTAX)?;
                if options.count == 0 {
                    return Err(Failure::SYNTAX);
                }
            } else if arg::is(name, "match") {
                options.pattern = (value != b"*").then_some(value);
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether an element is asked for.
    pub fn matches(&self, element: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob_match(pattern, element, false))
    }
}

/// The reply to a scan of what is not there.
pub fn reply_nothing(reply: &mut Reply<'_>) {
    reply.array(2);
    reply.bulk(b"0");
    reply.array(0);
}

/// Replies with what `walk` writes and the cursor that it returns. `walk` returns the number of
/// elements that it wrote, too; only then is the header of the reply known.
pub fn reply(output: &mut Output<'_>, walk: impl FnOnce(&mut Reply<'_>) -> (u64, usize)) {
    let mut elements = Vec::new();
    let protocol = output.reply().protocol();
    let (cursor, count) = walk(&mut Reply::new(&mut elements, protocol));
    let mut reply = output.reply();
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    reply.array(count);
    reply.raw(&elements);
}
