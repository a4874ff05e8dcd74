//! Aligned memory for O_DIRECT.
//!
//! An [`AlignedBuf`] is a byte vector whose memory starts on a 4 KiB boundary and whose capacity is a
//! multiple of 4 KiB. Not a general vector: it only grows, shrinks and pads. The rule kept: every byte
//! of the capacity is initialised at all times, so growing within it is safe and costs no more than
//! moving a length.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The unit of disk writes, in bytes, and the alignment of buffers, offsets and lengths.
pub const BLOCK_BYTES: usize = 4096;

/// A growable buffer aligned to [`BLOCK_BYTES`].
#[derive(Debug)]
pub struct AlignedBuf {
    start: NonNull<u8>,
    len: usize,
    capacity: usize,
}

// SAFETY: the buffer owns its memory alone, like a Vec<u8>.
unsafe impl Send for AlignedBuf {}
// SAFETY: shared access only reads.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// An empty buffer with room for at least `capacity` bytes (rounded up to whole blocks, at least one).
    #[must_use]
    pub fn with_capacity(capacity: usize) -> AlignedBuf {
        let capacity = capacity.max(1).next_multiple_of(BLOCK_BYTES);
        let layout = layout(capacity);
        // SAFETY: the layout's size is at least one block, hence not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(memory) else {
            handle_alloc_error(layout)
        };
        AlignedBuf {
            start,
            len: 0,
            capacity,
        }
    }

    /// A buffer of `len` zero bytes, such as a read wants.
    #[must_use]
    pub fn zeroed(len: usize) -> AlignedBuf {
        let mut buf = AlignedBuf::with_capacity(len);
        buf.len = len;
        buf
    }

    /// A buffer that holds a copy of `bytes`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> AlignedBuf {
        let mut buf = AlignedBuf::with_capacity(bytes.len());
        buf.extend(bytes);
        buf
    }

    /// Bytes that fit before the buffer must move.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Adds `bytes`. Amortised O(bytes).
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.space(bytes.len()).copy_from_slice(bytes);
    }

    /// Adds `len` bytes of unspecified (but initialised) content and gives them to be filled.
    #[inline]
    pub fn space(&mut self, len: usize) -> &mut [u8] {
        let old = self.len;
        let new = old
            .checked_add(len)
            .expect("a length within the address space");
        if new > self.capacity {
            self.grow(new);
        }
        self.len = new;
        &mut self[old..]
    }

    /// Forgets all beyond the first `len` bytes. A longer `len` changes nothing.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Adds zeros up to the next block boundary.
    pub fn pad_to_block(&mut self) {
        let pad = self.len.next_multiple_of(BLOCK_BYTES) - self.len;
        self.space(pad).fill(0);
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let mut larger = AlignedBuf::with_capacity(needed.max(self.capacity * 2));
        larger.len = self.len;
        larger.copy_from_slice(self);
        *self = larger;
    }
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, BLOCK_BYTES).expect("a capacity within isize")
}

impl Deref for AlignedBuf {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `len <= capacity` bytes are allocated and initialised, and borrowed with self.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        // SAFETY: allocated in `with_capacity` with the same layout, freed once.
        unsafe { dealloc(self.start.as_ptr(), layout(self.capacity)) }
    }
}

/// The place an effect is encoded into: the end of the log's open buffer. It only takes more bytes,
/// so that an encoder cannot touch the records before its own.
#[derive(Debug)]
pub struct Record<'a>(pub(super) &'a mut AlignedBuf);

impl Record<'_> {
    /// Adds `bytes`.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Adds one byte.
    #[inline]
    pub fn put_u8(&mut self, byte: u8) {
        self.0.space(1)[0] = byte;
    }

    /// Adds `len` bytes and gives them to be filled: their content is unspecified, fill all of them.
    /// `&mut &mut [u8]` is a `bytes::BufMut`, which is what prost encodes into.
    #[inline]
    pub fn space(&mut self, len: usize) -> &mut [u8] {
        self.0.space(len)
    }
}

impl std::io::Write for Record<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_keeps_content_and_alignment() {
        let mut buf = AlignedBuf::with_capacity(0);
        let mut model = Vec::new();
        for round in 0..2000_u32 {
            buf.extend(&round.to_le_bytes());
            model.extend_from_slice(&round.to_le_bytes());
        }
        assert_eq!(&buf[..], &model[..]);
        assert_eq!(buf.as_ptr() as usize % BLOCK_BYTES, 0);
        assert_eq!(buf.capacity() % BLOCK_BYTES, 0);
    }

    #[test]
    fn padding_is_zero_even_over_used_memory() {
        let mut buf = AlignedBuf::with_capacity(BLOCK_BYTES);
        buf.extend(&[0xff; BLOCK_BYTES]);
        buf.truncate(10);
        buf.pad_to_block();
        assert_eq!(buf.len(), BLOCK_BYTES);
        assert!(buf[10..].iter().all(|byte| *byte == 0));
        buf.pad_to_block();
        assert_eq!(buf.len(), BLOCK_BYTES);
    }
}
