//! Readiness of sockets, by epoll.
//!
//! The generator uses the oldest, most even ground there is: it must not be io_uring's quality, or
//! a runtime's, that is measured. Level-triggered, a token per socket.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// Events taken per wait; more stay ready for the next.
const EVENTS_MAX: usize = 256;

/// An epoll instance and the events of its last wait.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// What a socket is ready for. Errors and hang-ups count as readable: the read reports them.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// As given to [`Epoll::add`].
    pub token: usize,
    /// A read will not block.
    pub readable: bool,
    /// A write will not block.
    pub writable: bool,
}

impl Epoll {
    /// Fails when the process is out of file descriptors.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointer is passed; the result is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll {
            fd,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Watches a socket for reading.
    pub fn add(&self, socket: RawFd, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, token, libc::EPOLLIN)
    }

    /// Also watches for writing, or no longer.
    pub fn watch_writable(&self, socket: RawFd, token: usize, wanted: bool) -> io::Result<()> {
        let interest = libc::EPOLLIN | if wanted { libc::EPOLLOUT } else { 0 };
        self.control(libc::EPOLL_CTL_MOD, socket, token, interest)
    }

    fn control(
        &self,
        operation: i32,
        socket: RawFd,
        token: usize,
        interest: i32,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest as u32,
            u64: token as u64,
        };
        // SAFETY: `event` lives through the call, which copies it.
        let result =
            unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, socket, &raw mut event) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Waits until a socket is ready or `timeout` is over, which has nanosecond resolution: an
    /// open loop's next request may be 10 us away. A signal ends the wait with no events.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        };
        self.events.clear();
        // SAFETY: the buffer holds EVENTS_MAX events, `timeout` lives through the call, and the
        // null signal mask is never read. Called by number, as older C libraries lack the wrapper.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS_MAX as libc::c_int,
                &raw const timeout,
                ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(())
            } else {
                Err(error)
            };
        }
        assert!(
            count as usize <= EVENTS_MAX,
            "the kernel filled more than it was given"
        );
        // SAFETY: the kernel initialised the first `count` events, and `count` is in capacity.
        unsafe { self.events.set_len(count as usize) };
        Ok(())
    }

    /// How many sockets the last wait found ready.
    pub fn ready_count(&self) -> usize {
        self.events.len()
    }

    /// The `index`th of them.
    #[inline]
    pub fn ready(&self, index: usize) -> Ready {
        let event = self.events[index];
        let flags = event.events as i32;
        Ready {
            token: event.u64 as usize,
            readable: flags & (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP) != 0,
            writable: flags & libc::EPOLLOUT != 0,
        }
    }
}
