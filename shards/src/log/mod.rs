//! The durable log of one shard: every effect, in order, before anyone is told that it happened.
//!
//! A log is a chain of fixed-size segment files. The shard appends effects to a buffer in memory;
//! [`Log::tick`] writes what waits as one *batch* (a group commit) through the shard's I/O driver, at
//! most one write in flight. This module knows neither what an effect means nor which of them are
//! live; it stores bytes under dense counters and gives them back.
//!
//! The rules it keeps:
//!
//! * **What is promised is true.** [`Log::durable_lsn`] moves only over bytes that the device
//!   acknowledged with a flush (a write with RWF_DSYNC, or a later fdatasync).
//! * **Order is a chain.** A segment's header names its predecessor and the exact offset at which the
//!   predecessor ends. What a crash left behind that offset is never read again, and no sequence
//!   number is used twice, so stale bytes cannot come back to life.
//! * **The tail block is rewritten, never changed.** A batch may end inside a 4 KiB block; the next
//!   batch rewrites that block with the same bytes and more behind them. A device that tears the
//!   write at a sector leaves either the old or the new sector, and in both the durable prefix is
//!   the same bytes.
//! * **A failed flush proves nothing about the pages.** After EIO from fdatasync the kernel may have
//!   dropped what it could not write and report success next time. So written batches stay in memory
//!   until a flush that covers them succeeds; after a failure all of them are written again, each
//!   with RWF_DSYNC, from memory and past the page cache, before anything is called durable.
//! * **Memory is bounded.** [`Log::is_full`] tells the shard to stop taking writes.
//!
//! | file | what stands there |
//! |---|---|
//! | `writer` | [`Log`]: append, group commit, policies, errors |
//! | `recover` | reading everything at start, cutting torn tails, refusing damage |
//! | `stream`, `reader` | frames back into effects; one cold effect by its counter |
//! | `lookback` | effects that recovery has passed, for values that it dropped |
//! | `compactor` | walking the oldest segment so that it can be retired |
//! | `preparer` | the background thread that makes and recycles segment files |
//! | `segment`, `index` | headers, names, chain; counter -> offset |
//! | `datadir`, `tool` | the data directory; inspect, verify, repair |

mod batch;
mod buffer;
mod compactor;
pub mod datadir;
#[cfg(test)]
mod fault;
mod index;
mod io;
mod lookback;
mod options;
mod preparer;
mod reader;
mod recover;
mod segment;
mod stream;
#[cfg(test)]
mod tests;
pub mod tool;
mod writer;

pub use buffer::{AlignedBuf, BLOCK_BYTES, Record};
pub use compactor::{Compactor, Effects, Step};
pub use io::{BlockingIo, Completion, LogIo, OpId};
pub use lookback::Lookback;
pub use options::{Fsync, Options, Refusal, Stats};
pub use preparer::{Client, Preparer};
pub use reader::{ColdRead, Locate, Progress, ReadRequest};
pub use recover::{Cut, RecoverError, Recovered};
pub use segment::Lsn;
pub use writer::Log;
