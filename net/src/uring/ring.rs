//! The ring itself: a queue of requests, a queue of completions, one system call for both.
//!
//! It knows no connection. The rule it keeps: a request once pushed is never dropped. When the
//! submission queue is full it is submitted; where the kernel will not take it now, requests are
//! held here in order.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use io_uring::{IoUring, Probe, cqueue, opcode, squeue};

use super::enter::Entrance;
use crate::driver::{Config, Wait};
use crate::error::{DriverError, KERNEL_MIN};

/// Completion entries for each submission entry. A multishot receive completes many times for one
/// submission; what overflows is kept by the kernel (IORING_FEAT_NODROP) but costs it an allocation.
const COMPLETIONS_PER_SUBMISSION: u32 = 8;

pub(super) struct Ring {
    /// Before the ring, because it must be given up before the descriptor is closed.
    entrance: Entrance,
    ring: IoUring,
    held: VecDeque<squeue::Entry>,
    message_ring: bool,
}

impl Ring {
    pub(super) fn open(config: &Config) -> Result<Self, DriverError> {
        // One thread submits, and completions are worked off when that thread asks for them: no
        // interruption in the middle of a command, and none of the locking that sharing needs. The
        // flag tells without a system call whether asking would bring anything.
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_clamp()
            .setup_cqsize(config.submission_entries * COMPLETIONS_PER_SUBMISSION)
            .build(config.submission_entries)
            .map_err(DriverError::from_setup)?;
        if !ring.params().is_feature_nodrop() || !ring.params().is_feature_ext_arg() {
            return Err(DriverError::KernelTooOld {
                feature: "timed waits",
                since: KERNEL_MIN,
            });
        }
        let mut probe = Probe::new();
        ring.submitter()
            .register_probe(&mut probe)
            .map_err(DriverError::from_setup)?;
        // Multishot receive has no bit of its own to probe; zero-copy send came with the same
        // kernel and has one.
        if !probe.is_supported(opcode::SendZc::CODE) {
            return Err(DriverError::KernelTooOld {
                feature: "multishot receive",
                since: "6.0",
            });
        }
        let message_ring = probe.is_supported(opcode::MsgRingData::CODE);
        let entrance = Entrance::new(ring.as_raw_fd());
        Ok(Self {
            entrance,
            ring,
            held: VecDeque::new(),
            message_ring,
        })
    }

    /// Whether peers can be rung by posting to their rings.
    pub(super) fn message_ring(&self) -> bool {
        self.message_ring
    }

    /// A second descriptor of the ring, for peers to post to.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        // SAFETY: the ring's descriptor is open as long as `self.ring` lives.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
            .as_fd()
            .try_clone_to_owned()
    }

    pub(super) fn submitter(&self) -> io_uring::Submitter<'_> {
        self.ring.submitter()
    }

    /// Queues a request.
    ///
    /// # Safety
    ///
    /// All memory that `entry` points to stays valid and, where the kernel writes, untouched until
    /// its completion was seen.
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: the caller's promise is passed on.
        if self.held.is_empty() && unsafe { self.ring.submission().push(&entry) }.is_ok() {
            return;
        }
        self.held.push_back(entry);
        // An error here is met again, and handled, by the next enter.
        let queued = self.ring.submission().len();
        let _ = self.entrance.enter(queued, None);
        self.release_held();
    }

    /// Moves held requests to the queue as far as there is room.
    fn release_held(&mut self) {
        let mut queue = self.ring.submission();
        while let Some(entry) = self.held.front() {
            // SAFETY: whoever pushed the entry promised that its memory stays valid.
            if unsafe { queue.push(entry) }.is_err() {
                break;
            }
            self.held.pop_front();
        }
    }

    /// Submits, and waits if nothing is there and `wait` allows.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        if !self.held.is_empty() {
            self.release_held();
        }
        let wait = if self.ring.completion().is_empty() {
            wait
        } else {
            Wait::Poll
        };
        let queue = self.ring.submission();
        let queued = queue.len();
        let due = queued > 0 || queue.taskrun() || queue.cq_overflow();
        drop(queue);
        let entered = match wait {
            Wait::Poll if !due => Ok(()),
            Wait::Poll => self.entrance.enter(queued, None),
            Wait::Forever => self.entrance.enter(queued, Some(None)),
            Wait::Until(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.entrance.enter(queued, Some(Some(left)))
            }
        };
        match entered {
            Ok(()) => Ok(()),
            // Time is up; a signal came; the kernel wants its completions fetched, or memory, first.
            // Each is mended by going on to the completions.
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// The next completion, if one is there. Makes no system call.
    pub(super) fn next(&mut self) -> Option<cqueue::Entry> {
        self.ring.completion().next()
    }

    /// Completions that can be there at once.
    pub(super) fn completions_max(&self) -> u32 {
        self.ring.params().cq_entries()
    }
}
