//! Bells: how another thread ends a driver's wait.
//!
//! A bell carries no message and counts nothing; what there is to do lies in the ringer's own
//! queues. The rule it keeps: a ring that happens before the driver waits ends that wait, so a
//! wake-up is never lost.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Rings one driver's bell from any thread. Cheap to clone; may outlive the driver.
#[derive(Clone)]
pub struct Waker {
    eventfd: Arc<OwnedFd>,
}

impl Waker {
    /// A bell that nobody rang yet. Blocking for io_uring, which waits by itself; non-blocking for
    /// a reader that polls.
    pub(crate) fn new(nonblocking: bool) -> io::Result<Self> {
        let mode = if nonblocking { libc::EFD_NONBLOCK } else { 0 };
        // SAFETY: eventfd takes no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | mode) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and nobody else knows it.
        let eventfd = Arc::new(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Self { eventfd })
    }

    /// Rings; one system call of under a microsecond, never blocks in practice (the counter would
    /// have to be rung 2^64 times unheard).
    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the buffer is eight readable bytes, as an eventfd wants.
        let written = unsafe { libc::write(self.eventfd.as_raw_fd(), one.as_ptr().cast(), 8) };
        // A full counter (EAGAIN) means that the bell is ringing already.
        debug_assert!(
            written == 8 || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
        );
    }

    /// Silences a non-blocking bell; whether it had been rung.
    pub(crate) fn silence(&self) -> bool {
        let mut count = [0u8; 8];
        // SAFETY: the buffer is eight writable bytes, as an eventfd wants.
        let got = unsafe { libc::read(self.eventfd.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
        got == 8
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waker({})", self.eventfd.as_raw_fd())
    }
}

/// A driver as its peers see it: the ring to post to where both sides have one, and the bell that
/// always works. Cheap to clone, may be sent to any thread, and may outlive the driver.
#[derive(Clone, Debug)]
pub struct PeerHandle {
    ring: Option<Arc<OwnedFd>>,
    waker: Waker,
}

impl PeerHandle {
    pub(crate) fn new(ring: Option<OwnedFd>, waker: Waker) -> Self {
        Self {
            ring: ring.map(Arc::new),
            waker,
        }
    }

    pub(crate) fn ring(&self) -> Option<BorrowedFd<'_>> {
        self.ring.as_ref().map(|ring| ring.as_fd())
    }

    /// The bell for threads that have no driver.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_before_hearing_are_heard_once() {
        let waker = Waker::new(true).unwrap();
        assert!(!waker.silence());
        waker.wake();
        waker.clone().wake();
        assert!(waker.silence());
        assert!(!waker.silence());
    }
}
