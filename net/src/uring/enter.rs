//! The two raw system calls that the ring makes itself.
//!
//! They are here because the io-uring crate ties a registered ring descriptor to one borrowed
//! submitter, while a driver needs it for the life of the ring: it spares every enter a look-up in
//! the process's descriptor table. Numbers and layouts are the kernel's (linux/io_uring.h).

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;

const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct RingFdUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct WaitArg {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_usec: u32,
    timeout: u64,
}

/// `struct __kernel_timespec`.
#[repr(C)]
struct Timeout {
    seconds: i64,
    nanoseconds: i64,
}

/// A ring as this thread enters it.
#[derive(Debug)]
pub(super) struct Entrance {
    ring: RawFd,
    registered: Option<u32>,
}

impl Entrance {
    /// Registers `ring` with the calling thread, which must be the one that enters; where that fails
    /// the plain descriptor serves. The ring stays open while this lives.
    pub(super) fn new(ring: RawFd) -> Self {
        let mut update = RingFdUpdate {
            offset: u32::MAX,
            reserved: 0,
            data: ring as u64,
        };
        let registered = register(ring, REGISTER_RING_FDS, &mut update).then_some(update.offset);
        Self { ring, registered }
    }

    /// Submits `submit` requests. `wait` None returns at once, else waits for one completion, at
    /// most for the given time. Either way completions that are due are brought in.
    pub(super) fn enter(&self, submit: usize, wait: Option<Option<Duration>>) -> io::Result<()> {
        let (fd, mut flags) = match self.registered {
            Some(offset) => (offset as RawFd, ENTER_REGISTERED_RING),
            None => (self.ring, 0),
        };
        flags |= ENTER_GETEVENTS;
        let wanted = u32::from(wait.is_some());
        let mut timeout = Timeout {
            seconds: 0,
            nanoseconds: 0,
        };
        let mut arg = WaitArg {
            sigmask: 0,
            sigmask_bytes: 0,
            min_wait_usec: 0,
            timeout: 0,
        };
        let (arg_address, arg_bytes) = match wait.flatten() {
            None => (std::ptr::null_mut(), 0),
            Some(left) => {
                flags |= ENTER_EXT_ARG;
                timeout.seconds = left.as_secs().min(i64::MAX as u64) as i64;
                timeout.nanoseconds = i64::from(left.subsec_nanos());
                arg.timeout = (&raw mut timeout).expose_provenance() as u64;
                (&raw mut arg, size_of::<WaitArg>())
            }
        };
        // SAFETY: the requests' memory was promised valid when they were pushed; `arg` and what it
        // points to live past the call.
        let entered = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                fd,
                submit as u32,
                wanted,
                flags,
                arg_address,
                arg_bytes,
            )
        };
        if entered < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        // Else the thread would hold the ring open until it ends.
        if let Some(offset) = self.registered {
            let mut update = RingFdUpdate {
                offset,
                reserved: 0,
                data: 0,
            };
            register(self.ring, UNREGISTER_RING_FDS, &mut update);
        }
    }
}

/// Whether the kernel took the one update.
fn register(ring: RawFd, operation: u32, update: &mut RingFdUpdate) -> bool {
    // SAFETY: `update` is one element of the layout that both operations read and write.
    let done = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            operation,
            &raw mut *update,
            1u32,
        )
    };
    done == 1
}
