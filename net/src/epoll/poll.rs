//! The epoll instance: which descriptors are watched, and what is ready.
//!
//! Level-triggered: what was not read is reported again, so nothing can be forgotten. The rule it
//! keeps: a descriptor that waits for nothing is not watched at all, since a hang-up is reported
//! whether asked for or not and would make the loop spin.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Events fetched by one system call.
const EVENTS_MAX: usize = 256;

pub(super) const READABLE: u32 = libc::EPOLLIN as u32;
pub(super) const WRITABLE: u32 = libc::EPOLLOUT as u32;

pub(super) struct Poll {
    epoll: OwnedFd,
    ready: Vec<libc::epoll_event>,
}

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and nobody else knows it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            epoll,
            ready: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Changes what is watched of `fd` from `before` to `after`.
    pub(super) fn change(&self, fd: RawFd, before: u32, after: u32, tag: u64) -> io::Result<()> {
        let operation = match (before, after) {
            _ if before == after => return Ok(()),
            (0, _) => libc::EPOLL_CTL_ADD,
            (_, 0) => libc::EPOLL_CTL_DEL,
            _ => libc::EPOLL_CTL_MOD,
        };
        let mut event = libc::epoll_event {
            events: after,
            u64: tag,
        };
        // SAFETY: `event` lives past the call.
        let changed = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) };
        if changed < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Waits, None without end, and returns how many descriptors are ready.
    pub(super) fn wait(&mut self, patience: Option<Duration>) -> io::Result<usize> {
        // Rounded up: a timer that is rounded down wakes early and spins until it is due.
        let millis = patience.map_or(-1, |patience| {
            i32::try_from(patience.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        // SAFETY: the vector has room for EVENTS_MAX entries.
        let count = unsafe {
            let start = self.ready.as_mut_ptr();
            libc::epoll_wait(self.epoll.as_raw_fd(), start, EVENTS_MAX as i32, millis)
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(0)
            } else {
                Err(error)
            };
        }
        // SAFETY: the kernel filled this many entries.
        unsafe { self.ready.set_len(count as usize) };
        Ok(count as usize)
    }

    /// Tag and state of the ready descriptor `index` of the last wait.
    pub(super) fn ready(&self, index: usize) -> (u64, u32) {
        let event = self.ready[index];
        (event.u64, event.events)
    }
}
