//! RESP2 and RESP3, the Redis serialization protocol: requests in, replies out.
//!
//! - [`RequestParser`] finds commands in received bytes without copying them; [`Argv`] says where
//!   their arguments are.
//! - [`Reply`] appends replies to an output buffer, in the version that the connection speaks.
//! - [`ReplyParser`] and [`write_request`] are the client's side: load generator and tests.
//! - The number forms that Redis reads and prints are here as well, because commands must agree
//!   with the protocol about them: [`parse_i64`], [`parse_u64`], [`parse_double`],
//!   [`format_double`].
//!
//! Not here: reading and writing sockets, and the limit on a connection's whole buffer
//! (`client-query-buffer-limit`), which belongs to whoever owns that buffer.
//!
//! The rule kept: where Redis has an observable behaviour, errors' texts included, it is this one.
//! The few places that differ say so and why.

mod argv;
mod double;
mod error;
mod inline;
mod integer;
mod reply;
mod request;
mod value;

pub use argv::{Args, ArgsIter, Argv};
pub use double::{DoubleText, format_double, parse_double};
pub use error::ProtocolError;
pub use integer::{parse_i64, parse_u64};
pub use reply::{Reply, preformed};
pub use request::{Parsed, RequestParser, write_request};
pub use value::{ReplyError, ReplyParser, Step, Value};

/// The protocol version that a connection speaks; `HELLO` changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// What every connection starts with.
    #[default]
    Resp2,
    /// Adds nulls, maps, sets, doubles, booleans, verbatim strings, attributes and pushes.
    Resp3,
}
