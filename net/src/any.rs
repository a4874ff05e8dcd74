//! The driver that this host allows.
//!
//! One match per call, always on the same side, is what choosing at start costs over choosing at
//! compile time; it is not measurable beside a system call.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::aligned::AlignedBuf;
use crate::driver::{Config, ConnId, Driver, Event, Refused, Wait};
use crate::epoll::EpollDriver;
use crate::error::DriverError;
use crate::send::SendBuf;
use crate::uring::UringDriver;
use crate::waker::{PeerHandle, Waker};

/// Which driver an operator wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoDriver {
    /// io_uring where the host allows it, else epoll.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    /// epoll.
    Epoll,
}

/// Either driver.
#[expect(clippy::large_enum_variant, reason = "one per thread")]
pub enum AnyDriver {
    /// io_uring.
    Uring(UringDriver),
    /// epoll.
    Epoll(EpollDriver),
}

impl AnyDriver {
    /// Opens the wanted driver for the calling thread. With `Auto` on a host that forbids io_uring,
    /// the reason comes with the epoll driver and deserves a warning.
    ///
    /// # Errors
    ///
    /// See [`DriverError`].
    pub fn open(
        wanted: IoDriver,
        config: &Config,
    ) -> Result<(Self, Option<DriverError>), DriverError> {
        match wanted {
            IoDriver::Uring => Ok((Self::Uring(UringDriver::open(config)?), None)),
            IoDriver::Epoll => Ok((Self::Epoll(EpollDriver::open(config)?), None)),
            IoDriver::Auto => match UringDriver::open(config) {
                Ok(driver) => Ok((Self::Uring(driver), None)),
                Err(reason) => Ok((Self::Epoll(EpollDriver::open(config)?), Some(reason))),
            },
        }
    }

    /// The driver's name, for the log and INFO: `io_uring` or `epoll`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Uring(_) => "io_uring",
            Self::Epoll(_) => "epoll",
        }
    }
}

/// Passes a call to whichever driver it is.
macro_rules! either {
    ($self:ident, $driver:ident => $call:expr) => {
        match $self {
            AnyDriver::Uring($driver) => $call,
            AnyDriver::Epoll($driver) => $call,
        }
    };
}

impl Driver for AnyDriver {
    fn attach(&mut self, socket: OwnedFd) -> io::Result<ConnId> {
        either!(self, driver => driver.attach(socket))
    }

    fn close(&mut self, conn: ConnId) {
        either!(self, driver => driver.close(conn));
    }

    fn pause(&mut self, conn: ConnId) {
        either!(self, driver => driver.pause(conn));
    }

    fn resume(&mut self, conn: ConnId) {
        either!(self, driver => driver.resume(conn));
    }

    fn send(&mut self, conn: ConnId, buf: SendBuf) -> Result<(), Refused<SendBuf>> {
        either!(self, driver => driver.send(conn, buf))
    }

    fn listen(&mut self, socket: OwnedFd, token: u32) -> io::Result<()> {
        either!(self, driver => driver.listen(socket, token))
    }

    fn unlisten(&mut self, token: u32) {
        either!(self, driver => driver.unlisten(token));
    }

    fn write(
        &mut self,
        file: &Arc<File>,
        buf: AlignedBuf,
        offset: u64,
        dsync: bool,
        op: u64,
    ) -> Result<(), Refused<AlignedBuf>> {
        either!(self, driver => driver.write(file, buf, offset, dsync, op))
    }

    fn read(
        &mut self,
        file: &Arc<File>,
        buf: AlignedBuf,
        len: usize,
        offset: u64,
        op: u64,
    ) -> Result<(), Refused<AlignedBuf>> {
        either!(self, driver => driver.read(file, buf, len, offset, op))
    }

    fn fdatasync(&mut self, file: &Arc<File>, op: u64) -> Result<(), Refused<()>> {
        either!(self, driver => driver.fdatasync(file, op))
    }

    fn waker(&self) -> Waker {
        either!(self, driver => driver.waker())
    }

    fn peer(&self) -> PeerHandle {
        either!(self, driver => driver.peer())
    }

    fn wake(&mut self, peer: &PeerHandle) {
        either!(self, driver => driver.wake(peer));
    }

    fn turn(&mut self, wait: Wait, handler: &mut impl FnMut(Event<'_>)) -> io::Result<()> {
        either!(self, driver => driver.turn(wait, handler))
    }
}
