//! One group commit in memory, from its first effect to its padded bytes.
//!
//! A batch is the image of the segment from the block in which the last batch ended: first the bytes
//! that block already holds, then the batch's mark, then frames. It knows nothing of writes and
//! policies. The rule kept: a batch never leaves its segment, because the CRC of each frame was
//! computed for that segment when the frame was appended.

use causet_proto::frame::{MARK_BYTES, Mark, MarkKind, Seed};

use super::buffer::{AlignedBuf, BLOCK_BYTES};
use super::segment::{DATA_START, Lsn};

/// Capacity of a fresh buffer, in bytes: a group commit of ordinary traffic fits without growing.
const CAPACITY_BYTES: usize = 256 << 10;
/// Larger buffers than this are given back to the allocator after use.
const KEPT_BYTES_MAX: usize = 512 << 10;
/// Idle buffers kept per log.
const KEPT_BUFFERS_MAX: usize = 4;

/// Idle buffers of one log, so that steady traffic allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Pool(Vec<AlignedBuf>);

impl Pool {
    pub fn take(&mut self) -> AlignedBuf {
        self.0
            .pop()
            .unwrap_or_else(|| AlignedBuf::with_capacity(CAPACITY_BYTES))
    }

    pub fn give(&mut self, mut buf: AlignedBuf) {
        if buf.capacity() <= KEPT_BYTES_MAX && self.0.len() < KEPT_BUFFERS_MAX {
            buf.truncate(0);
            self.0.push(buf);
        }
    }
}

#[derive(Debug)]
pub(super) struct Batch {
    pub segment: u64,
    pub seed: Seed,
    /// Offset in the file of the buffer's first byte; a multiple of the block.
    pub base: u32,
    /// Where the mark begins in the buffer: behind the bytes of earlier batches.
    start: usize,
    pub buf: AlignedBuf,
    pub first_counter: u64,
    /// Effects below this counter end in this batch or before.
    pub end_counter: u64,
    /// When its first effect came, in the log's time.
    pub since_ns: u64,
}

impl Batch {
    /// The batch behind `tail`, the bytes of the segment's last block that are in use already.
    pub fn after(segment: u64, base: u32, tail: &[u8], mut buf: AlignedBuf) -> Batch {
        debug_assert!((base as usize).is_multiple_of(BLOCK_BYTES) && tail.len() < BLOCK_BYTES);
        buf.truncate(0);
        buf.extend_from_slice(tail);
        Batch {
            segment,
            seed: Seed::of_segment(segment),
            base,
            start: tail.len(),
            buf,
            first_counter: 0,
            end_counter: 0,
            since_ns: 0,
        }
    }

    /// The first batch of a segment.
    pub fn first(segment: u64, buf: AlignedBuf) -> Batch {
        Batch::after(segment, DATA_START, &[], buf)
    }

    pub fn is_empty(&self) -> bool {
        self.buf.len() == self.start
    }

    /// Bytes that wait in this batch: its own, not those of earlier batches.
    pub fn bytes(&self) -> usize {
        self.buf.len() - self.start
    }

    /// Leaves room for the mark; it is written when the batch is sealed.
    pub fn begin(&mut self, first_counter: u64, now_ns: u64) {
        debug_assert!(self.is_empty());
        self.buf.space(MARK_BYTES);
        self.first_counter = first_counter;
        self.end_counter = first_counter;
        self.since_ns = now_ns;
    }

    /// Takes back an effect that was encoded at `at` of the buffer, and the mark's room with it if
    /// the effect was alone.
    pub fn take_back(&mut self, at: usize) {
        self.buf.truncate(at);
        if at == self.start + MARK_BYTES {
            self.buf.truncate(self.start);
        }
    }

    pub fn end_offset(&self) -> u32 {
        self.base + self.buf.len() as u32
    }

    pub fn end(&self) -> Lsn {
        Lsn::at(self.segment, self.end_offset())
    }

    /// Bytes that the segment has left behind this batch.
    pub fn room(&self, segment_bytes: u32) -> usize {
        (segment_bytes as usize).saturating_sub(self.base as usize + self.buf.len())
    }

    /// The next batch of the same segment, in `buf`.
    pub fn successor(&self, buf: AlignedBuf) -> Batch {
        let base = self.end_offset() & !(BLOCK_BYTES as u32 - 1);
        Batch::after(
            self.segment,
            base,
            &self.buf[(base - self.base) as usize..],
            buf,
        )
    }

    /// Writes the mark. Padding to whole blocks comes later, so that the end is still known.
    pub fn seal(&mut self, batch: u64, durable_batch: u64) {
        let bytes = self.bytes() as u64;
        let first_counter = self.first_counter;
        let mark = Mark {
            kind: MarkKind::Batch,
            batch,
            durable_batch,
            first_counter,
            bytes,
        };
        self.buf[self.start..self.start + MARK_BYTES].copy_from_slice(&mark.encode(self.seed));
    }
}
