//! What a driver is: the one place where a shard's thread waits.
//!
//! A driver carries sockets, files and wake-ups between the kernel and one thread. It knows nothing
//! of commands, keys or protocols, and it keeps no thread of its own waiting (the epoll driver's file
//! helper excepted).
//!
//! The rule it keeps: requests only queue; [`Driver::turn`] submits them together, waits if asked,
//! and hands every completion to the handler. The handler cannot reach the driver, so a turn never
//! runs inside a turn; it collects what to do, and the shard does it when the turn is over.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::aligned::AlignedBuf;
use crate::send::SendBuf;
use crate::waker::{PeerHandle, Waker};

/// How long a listener rests after an accept failed for want of descriptors or memory. Without a
/// pause the pending connection would make the loop spin.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of one file operation at most: what the kernel moves in one call.
pub const FILE_OP_BYTES_MAX: usize = 0x7fff_f000;

/// A connection in one driver. Never reused: a later connection in the same place has another
/// generation, so a stale id is refused and does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnId {
    /// The place in the driver: dense, from zero, below `connections_max`; reused after a close.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// The id as one number, unique within the driver.
    pub fn as_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }
}

/// How long a turn may wait when nothing is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Poll,
    /// Until this instant at the latest.
    Until(Instant),
    /// Until something happens.
    Forever,
}

impl Wait {
    /// The shorter of this wait and one until `instant`.
    pub(crate) fn at_most(self, instant: Instant) -> Self {
        match self {
            Self::Poll => Self::Poll,
            Self::Until(own) => Self::Until(own.min(instant)),
            Self::Forever => Self::Until(instant),
        }
    }
}

/// What a turn reports. Borrowed data is valid for the callback only.
#[derive(Debug)]
pub enum Event<'a> {
    /// A listener accepted a connection. Dropping the socket closes it.
    Accepted {
        /// The token given to [`Driver::listen`].
        listener: u32,
        /// The connection, not yet attached.
        socket: Socket,
    },
    /// Bytes arrived; never empty.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes, in the driver's own buffer.
        data: &'a [u8],
    },
    /// Nothing more will be received: end of stream (`None`) or a broken connection. Reported once.
    /// After an end of stream sending still works. The id stays valid until [`Driver::close`].
    Closed {
        /// The connection.
        conn: ConnId,
        /// What broke it, if anything did.
        error: Option<io::Error>,
    },
    /// A send is over and its buffer, cleared, comes back. Where the send failed, `Closed` follows
    /// unless it was reported before.
    Sent {
        /// The connection, possibly closed by now.
        conn: ConnId,
        /// The buffer for re-use.
        buf: SendBuf,
    },
    /// A file operation is over.
    File {
        /// The number given with the operation.
        op: u64,
        /// Bytes moved, possibly fewer than asked; zero for a flush.
        result: io::Result<usize>,
        /// The buffer, back from the operation; after a read its length is the bytes read.
        buf: Option<AlignedBuf>,
    },
    /// Someone rang: a [`Waker`] or a peer. Several rings may be reported as one.
    Woken,
}

/// An operation that the driver did not take, with what was given to it.
#[derive(Debug)]
pub struct Refused<T>(
    /// What was given.
    pub T,
);

/// Sizes of a driver. Every table and queue is bounded by one of them.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Receive buffers shared by all connections; a power of two, at most 32768.
    pub recv_buffers: u16,
    /// Bytes of one receive buffer, at most [`FILE_OP_BYTES_MAX`].
    pub recv_buffer_bytes: u32,
    /// Connections attached at once.
    pub connections_max: u32,
    /// File operations in flight at once.
    pub file_ops_max: u32,
    /// Submission queue entries; a power of two. More requests than this in one turn cost one more
    /// system call each time the queue is full.
    pub submission_entries: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            recv_buffers: 128,
            recv_buffer_bytes: 16 << 10,
            connections_max: 65_536,
            file_ops_max: 1024,
            submission_entries: 1024,
        }
    }
}

/// One thread's gate to the kernel.
pub trait Driver {
    /// Takes a connected stream socket and starts receiving on it.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` when `connections_max` are attached; the kernel's when the socket is unusable.
    /// The socket is closed then.
    fn attach(&mut self, socket: OwnedFd) -> io::Result<ConnId>;

    /// Ends a connection: what is in flight is cancelled and the socket closed as soon as the kernel
    /// let go of it. No event names the id afterwards, except `Sent` to return a buffer. Closing an
    /// unknown id does nothing.
    fn close(&mut self, conn: ConnId);

    /// Stops reporting what arrives, so that the peer's window fills up.
    fn pause(&mut self, conn: ConnId);

    /// Ends a pause; what arrived in between is reported first.
    fn resume(&mut self, conn: ConnId);

    /// Sends all of `buf`, which comes back with [`Event::Sent`]. Partial sends are finished by the
    /// driver.
    ///
    /// # Errors
    ///
    /// The buffer, when the connection is closed or its previous send is not over yet.
    fn send(&mut self, conn: ConnId, buf: SendBuf) -> Result<(), Refused<SendBuf>>;

    /// Accepts connections on a listening socket, reported with `token`, until
    /// [`unlisten`](Self::unlisten). Running out of descriptors pauses it for 100 ms.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when the token is in use; the kernel's when the socket is unusable.
    fn listen(&mut self, socket: OwnedFd, token: u32) -> io::Result<()>;

    /// Stops accepting for `token` and closes the listening socket. Connections that were accepted
    /// but not reported are closed.
    fn unlisten(&mut self, token: u32);

    /// Writes all of `buf` at `offset`; with `dsync` the bytes are durable when it is reported
    /// (RWF_DSYNC). A short count is reported as it is.
    ///
    /// # Errors
    ///
    /// The buffer, when `file_ops_max` are in flight.
    ///
    /// # Panics
    ///
    /// When `buf` is longer than [`FILE_OP_BYTES_MAX`].
    fn write(
        &mut self,
        file: &Arc<File>,
        buf: AlignedBuf,
        offset: u64,
        dsync: bool,
        op: u64,
    ) -> Result<(), Refused<AlignedBuf>>;

    /// Reads up to `len` bytes at `offset` into `buf`, whose contents are forgotten.
    ///
    /// # Errors
    ///
    /// The buffer, when `file_ops_max` are in flight.
    ///
    /// # Panics
    ///
    /// When `len` is above the capacity of `buf` or [`FILE_OP_BYTES_MAX`].
    fn read(
        &mut self,
        file: &Arc<File>,
        buf: AlignedBuf,
        len: usize,
        offset: u64,
        op: u64,
    ) -> Result<(), Refused<AlignedBuf>>;

    /// Makes what was written to `file`, and reported as written, durable.
    ///
    /// # Errors
    ///
    /// Refused when `file_ops_max` are in flight.
    fn fdatasync(&mut self, file: &Arc<File>, op: u64) -> Result<(), Refused<()>>;

    /// A bell for any thread.
    fn waker(&self) -> Waker;

    /// This driver's address for its peers' [`wake`](Self::wake).
    fn peer(&self) -> PeerHandle;

    /// Rings a peer's bell; it goes out with the next turn at the latest, until when the handle is
    /// to be kept. A peer that is gone is ignored.
    fn wake(&mut self, peer: &PeerHandle);

    /// Submits what is queued, waits as `wait` says if nothing is ready, and hands every completion
    /// to `handler`. May return early without an event (a signal came).
    ///
    /// # Errors
    ///
    /// Only what makes the driver useless; what concerns one connection or file is an event.
    fn turn(&mut self, wait: Wait, handler: &mut impl FnMut(Event<'_>)) -> io::Result<()>;
}
