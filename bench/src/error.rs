//! Why a measurement could not be made.
//!
//! Every variant is worded for the person at the terminal: what was being done, what stopped it. A
//! measurement that went wrong is an error and never a number.

use std::io;

/// What stopped a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed; `doing` says what it was for.
    #[error("{doing}: {source}")]
    Io {
        /// What was attempted, with the path or address.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A server did not start, stopped, or answered what it should not.
    #[error("{name}: {why}")]
    Server {
        /// The server as the report names it.
        name: String,
        /// What it did.
        why: String,
    },
    /// Bytes that are not RESP.
    #[error("reply is not RESP: {0}")]
    Protocol(String),
    /// The load was answered with errors: whatever was timed is not the command.
    #[error("{count} replies were errors, the first: {first}")]
    ErrorReplies {
        /// How many.
        count: u64,
        /// The first one's text.
        first: String,
    },
    /// The command line asks for something that cannot be done.
    #[error("{0}")]
    Usage(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// This crate's results.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds to an `io::Error` what was being done.
pub trait Doing<T> {
    /// Names the attempt; the text is only built when it failed.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io {
            doing: what(),
            source,
        })
    }
}
