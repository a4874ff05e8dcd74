//! RESP2 and RESP3, the Redis serialization protocol: requests in, replies out.
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

pub use argv::{Args, ArgsIter, Argv};
pub use double::{DoubleText, format_double, parse_double};
pub use error::ProtocolError;
pub use integer::{parse_i64, parse_u64};
pub use reply::{Reply, preformed};
pub use request::{Parsed, RequestParser, write_request};

/// The protocol version that a connection speaks; `HELLO` changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// What every connection starts with.
    #[default]
    Resp2,
    /// Adds nulls, maps, sets, doubles, booleans, verbatim strings, attributes and pushes.
    Resp3,
}
