//! causet-net: the drivers that carry a shard's sockets, files and wake-ups.
//!
//! One [`Driver`] per shard thread; all of the shard's waiting is in it. [`UringDriver`] is the one
//! to run on; [`EpollDriver`] stands in on hosts that forbid io_uring. [`AnyDriver`] picks. The crate
//! knows no command and no key, parses nothing, and starts no thread (the epoll driver's file helper
//! excepted).
//!
//! The rule it keeps: whatever memory the kernel may still touch is owned here, and what it borrows
//! out to an event ends with the event.

mod aligned;
mod any;
mod driver;
mod epoll;
mod error;
pub mod listener;
mod send;
mod table;
mod uring;
mod waker;

pub use aligned::{AlignedBuf, BLOCK_BYTES};
pub use any::{AnyDriver, IoDriver};
pub use driver::{Config, ConnId, Driver, Event, FILE_OP_BYTES_MAX, Refused, Wait};
pub use epoll::EpollDriver;
pub use error::DriverError;
pub use send::{SendBuf, Shared};
pub use uring::UringDriver;
pub use waker::{PeerHandle, Waker};
