//! The thread that does the epoll driver's file operations.
//!
//! epoll cannot wait for a file: one is always "ready" and then blocks. So the driver hands
//! operations to one helper thread, in order, and hears of the results through its bell. It is
//! slower than a ring by two thread switches per operation.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use crate::aligned::AlignedBuf;
use crate::waker::Waker;

/// What to do with a file.
pub(super) enum Task {
    Write {
        buf: AlignedBuf,
        offset: u64,
        dsync: bool,
    },
    Read {
        buf: AlignedBuf,
        len: usize,
        offset: u64,
    },
    Flush,
}

/// A task with its file and its number.
pub(super) struct Request {
    pub(super) file: Arc<File>,
    pub(super) task: Task,
    pub(super) op: u64,
}

/// A finished request.
pub(super) struct Outcome {
    pub(super) op: u64,
    pub(super) result: io::Result<usize>,
    pub(super) buf: Option<AlignedBuf>,
}

/// The driver's end of the helper thread.
pub(super) struct FileHelper {
    requests: Option<SyncSender<Request>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
    in_flight: usize,
    in_flight_max: usize,
}

impl FileHelper {
    /// Starts the thread, which rings `bell` for every outcome.
    pub(super) fn start(in_flight_max: usize, bell: Waker) -> io::Result<Self> {
        let (requests, to_do) = sync_channel::<Request>(in_flight_max);
        let (done, outcomes) = sync_channel(in_flight_max);
        let thread = std::thread::Builder::new()
            .name("causet-files".into())
            .spawn(move || {
                while let Ok(request) = to_do.recv() {
                    if done.send(perform(request)).is_err() {
                        break;
                    }
                    bell.wake();
                }
            })?;
        Ok(Self {
            requests: Some(requests),
            outcomes,
            thread: Some(thread),
            in_flight: 0,
            in_flight_max,
        })
    }

    /// Queues a request, or returns it when too many are in flight.
    pub(super) fn begin(&mut self, request: Request) -> Result<(), Task> {
        if self.in_flight >= self.in_flight_max {
            return Err(request.task);
        }
        let requests = self
            .requests
            .as_ref()
            .expect("only dropping takes the sender");
        // Both queues hold `in_flight_max`, so neither side ever blocks on the other.
        requests.try_send(request).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(request)
            | std::sync::mpsc::TrySendError::Disconnected(request) => request.task,
        })?;
        self.in_flight += 1;
        Ok(())
    }

    /// A finished request, if there is one.
    pub(super) fn finished(&mut self) -> Option<Outcome> {
        match self.outcomes.try_recv() {
            Ok(outcome) => {
                self.in_flight -= 1;
                Some(outcome)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }
}

impl Drop for FileHelper {
    fn drop(&mut self) {
        // The thread works off what is queued and ends.
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn perform(request: Request) -> Outcome {
    let fd = request.file.as_raw_fd();
    let (returned, buf) = match request.task {
        Task::Write { buf, offset, dsync } => {
            let piece = libc::iovec {
                iov_base: buf.as_ptr().cast_mut().cast(),
                iov_len: buf.len(),
            };
            let flags = if dsync { libc::RWF_DSYNC } else { 0 };
            // SAFETY: the one piece is `buf`, owned here and only read.
            let written = unsafe { libc::pwritev2(fd, &piece, 1, offset as libc::off_t, flags) };
            (written, Some(buf))
        }
        Task::Read {
            mut buf,
            len,
            offset,
        } => {
            // SAFETY: the driver checked that `len` bytes fit into `buf`, owned here.
            let read = unsafe { libc::pread(fd, buf.as_raw().cast(), len, offset as libc::off_t) };
            // SAFETY: the kernel wrote this many bytes from the start.
            unsafe { buf.set_len(read.max(0) as usize) };
            (read, Some(buf))
        }
        // SAFETY: takes no pointers.
        Task::Flush => (unsafe { libc::fdatasync(fd) } as isize, None),
    };
    let result = usize::try_from(returned).map_err(|_| io::Error::last_os_error());
    Outcome {
        op: request.op,
        result,
        buf,
    }
}
