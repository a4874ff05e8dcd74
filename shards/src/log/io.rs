//! The log's view of the disk: submit, be told later.
//!
//! The shard's ring driver implements [`LogIo`] in production; [`BlockingIo`] is for offline tools and
//! for a shard without a ring. Nothing here decides anything about the log. The rule kept: a buffer
//! belongs to the operation from submission to completion, and comes back with it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use super::buffer::AlignedBuf;

/// Names an operation between its submission and its completion; never reused by one [`LogIo`]
/// while that operation is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpId(pub u64);

/// What the log needs of a driver. A submission always succeeds (a full queue is the driver's to hold
/// back); errors arrive with the completion. Offsets and lengths are multiples of 4 KiB. The file stays
/// open until the completion.
pub trait LogIo {
    /// Writes the whole of `buf` at `offset`; with `dsync` it completes only when durable (RWF_DSYNC).
    fn write(&mut self, file: &Arc<File>, buf: AlignedBuf, offset: u64, dsync: bool) -> OpId;
    /// Flushes everything whose write completed before this submission.
    fn fdatasync(&mut self, file: &Arc<File>) -> OpId;
    /// Reads up to `len` bytes at `offset` into `buf`, whose length becomes what was read.
    fn read(&mut self, file: &Arc<File>, buf: AlignedBuf, offset: u64, len: usize) -> OpId;
}

/// A finished operation: its id, the bytes moved or the error, and its buffer.
pub type Completion = (OpId, io::Result<usize>, Option<AlignedBuf>);

/// A [`LogIo`] that does each operation at once and keeps its completion until it is asked for.
#[derive(Debug, Default)]
pub struct BlockingIo {
    next: u64,
    done: VecDeque<Completion>,
}

impl BlockingIo {
    /// An idle one.
    #[must_use]
    pub fn new() -> BlockingIo {
        BlockingIo::default()
    }

    /// The next finished operation, in submission order.
    pub fn completion(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }

    fn finish(&mut self, result: isize, buf: Option<AlignedBuf>) -> OpId {
        let result = usize::try_from(result).map_err(|_| io::Error::last_os_error());
        self.next += 1;
        let op = OpId(self.next);
        self.done.push_back((op, result, buf));
        op
    }
}

impl LogIo for BlockingIo {
    fn write(&mut self, file: &Arc<File>, buf: AlignedBuf, offset: u64, dsync: bool) -> OpId {
        let part = libc::iovec {
            iov_base: buf.as_ptr().cast_mut().cast(),
            iov_len: buf.len(),
        };
        let flags = if dsync { libc::RWF_DSYNC } else { 0 };
        // SAFETY: one iovec over memory that `buf` owns for the whole call; the kernel only reads it.
        let written =
            unsafe { libc::pwritev2(file.as_raw_fd(), &part, 1, offset.cast_signed(), flags) };
        self.finish(written, Some(buf))
    }

    fn fdatasync(&mut self, file: &Arc<File>) -> OpId {
        // SAFETY: takes no memory; a bad descriptor is an error, not undefined.
        let result = unsafe { libc::fdatasync(file.as_raw_fd()) };
        self.finish(result as isize, None)
    }

    fn read(&mut self, file: &Arc<File>, mut buf: AlignedBuf, offset: u64, len: usize) -> OpId {
        buf.truncate(0);
        let space = buf.space(len);
        // SAFETY: `space` is `len` writable bytes, borrowed exclusively for the call.
        let read = unsafe {
            libc::pread(
                file.as_raw_fd(),
                space.as_mut_ptr().cast(),
                len,
                offset.cast_signed(),
            )
        };
        buf.truncate(usize::try_from(read).unwrap_or(0));
        self.finish(read, Some(buf))
    }
}
