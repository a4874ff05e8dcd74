//! A byte buffer whose memory starts on a 4096-byte boundary.
//!
//! O_DIRECT wants the address, the length and the file offset aligned to the device's block; 4096
//! satisfies every device in use. The buffer is handed to the driver by value for the length of an
//! operation, which is the rule that keeps the kernel's pointer valid: what is owned by an operation
//! cannot be grown, and so cannot move.
//!
//! It is not a general `Vec`: there is no insertion and no removal in the middle.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Alignment of every [`AlignedBuf`] and granule of its capacity, in bytes.
pub const BLOCK_BYTES: usize = 4096;

/// A growable byte buffer aligned to [`BLOCK_BYTES`].
///
/// The capacity is always a multiple of [`BLOCK_BYTES`]; an empty buffer of capacity zero owns no
/// memory.
pub struct AlignedBuf {
    start: NonNull<u8>,
    len: usize,
    capacity: usize,
}

// SAFETY: the buffer owns its memory alone, like a Vec<u8>; a thread that holds it holds it all.
unsafe impl Send for AlignedBuf {}
// SAFETY: a shared reference gives out only shared slices.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// An empty buffer that owns no memory.
    pub const fn new() -> Self {
        // Dangling but aligned, so that even an empty slice satisfies the alignment that it promises.
        let start = match NonNull::new(std::ptr::without_provenance_mut(BLOCK_BYTES)) {
            Some(start) => start,
            None => unreachable!(),
        };
        Self {
            start,
            len: 0,
            capacity: 0,
        }
    }

    /// An empty buffer with room for at least `capacity` bytes, rounded up to [`BLOCK_BYTES`].
    pub fn with_capacity(capacity: usize) -> Self {
        let mut buf = Self::new();
        buf.reserve(capacity);
        buf
    }

    /// A buffer of `len` zero bytes, such as a read wants.
    pub fn zeroed(len: usize) -> Self {
        let mut buf = Self::with_capacity(len);
        buf.resize(len, 0);
        buf
    }

    /// A buffer that holds a copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buf = Self::with_capacity(bytes.len());
        buf.extend_from_slice(bytes);
        buf
    }

    /// Appends `len` zero bytes and gives them to be filled.
    pub fn space(&mut self, len: usize) -> &mut [u8] {
        let old = self.len;
        self.resize(old + len, 0);
        &mut self[old..]
    }

    /// Bytes that fit without moving the buffer.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes room for `additional` more bytes; at least doubles, so that appending is O(1) amortised.
    ///
    /// # Panics
    ///
    /// When the capacity would pass `isize::MAX`.
    pub fn reserve(&mut self, additional: usize) {
        let needed = self
            .len
            .checked_add(additional)
            .expect("buffer length fits in usize");
        if needed <= self.capacity {
            return;
        }
        let capacity = needed.max(self.capacity * 2).next_multiple_of(BLOCK_BYTES);
        let layout = Self::layout(capacity);
        let start = if self.capacity == 0 {
            // SAFETY: the layout's size is not zero: `needed` is above a capacity of zero.
            unsafe { alloc(layout) }
        } else {
            // SAFETY: `start` came from this allocator with the layout of the old capacity, and the
            // new size was checked by `layout`.
            unsafe { realloc(self.start.as_ptr(), Self::layout(self.capacity), capacity) }
        };
        self.start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        self.capacity = capacity;
    }

    /// Appends `bytes`, growing where needed.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        // SAFETY: `reserve` made room for these bytes behind `len`, and `bytes` cannot overlap
        // memory that is borrowed mutably here.
        unsafe {
            let end = self.start.as_ptr().add(self.len);
            end.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.len += bytes.len();
    }

    /// Sets the length to `len`; bytes that come into being are `value`.
    pub fn resize(&mut self, len: usize, value: u8) {
        if len > self.len {
            self.reserve(len - self.len);
            // SAFETY: `reserve` made room up to `len`.
            unsafe {
                self.start
                    .as_ptr()
                    .add(self.len)
                    .write_bytes(value, len - self.len)
            };
        }
        self.len = len;
    }

    /// Appends zeros up to the next multiple of [`BLOCK_BYTES`], as O_DIRECT wants lengths.
    pub fn pad_to_block(&mut self) {
        self.resize(self.len.next_multiple_of(BLOCK_BYTES), 0);
    }

    /// Forgets all but the first `len` bytes; the capacity stays.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets the contents; the capacity stays.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Where the kernel reads or writes; valid for `capacity` bytes until the buffer grows or drops.
    pub(crate) fn as_raw(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Declares the first `len` bytes initialised.
    ///
    /// # Safety
    ///
    /// They are: by the kernel, or by earlier contents.
    pub(crate) unsafe fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity);
        self.len = len;
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, BLOCK_BYTES).expect("capacity fits in isize")
    }
}

impl Default for AlignedBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.capacity > 0 {
            // SAFETY: `start` came from this allocator with this layout.
            unsafe { dealloc(self.start.as_ptr(), Self::layout(self.capacity)) };
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised and owned.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the first `len` bytes are initialised, owned, and borrowed mutably here.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf")
            .field("len", &self.len)
            .field("capacity", &self.capacity)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_aligned_and_keeps_contents_while_growing() {
        let mut buf = AlignedBuf::new();
        let mut expected = Vec::new();
        for round in 0..200u32 {
            let piece = vec![round as u8; 97];
            buf.extend_from_slice(&piece);
            expected.extend_from_slice(&piece);
            assert_eq!(buf.as_ptr().addr() % BLOCK_BYTES, 0);
            assert_eq!(buf.capacity() % BLOCK_BYTES, 0);
        }
        assert_eq!(&buf[..], &expected[..]);
    }

    #[test]
    fn padding_reaches_the_next_block_with_zeros_and_is_idempotent() {
        let mut buf = AlignedBuf::with_capacity(10);
        buf.extend_from_slice(b"record");
        buf.pad_to_block();
        assert_eq!(buf.len(), BLOCK_BYTES);
        assert!(buf[6..].iter().all(|byte| *byte == 0));
        buf.pad_to_block();
        assert_eq!(buf.len(), BLOCK_BYTES);
    }

    #[test]
    fn clearing_keeps_the_memory() {
        let mut buf = AlignedBuf::with_capacity(BLOCK_BYTES * 2);
        buf.extend_from_slice(&[7; 5000]);
        let start = buf.as_ptr();
        buf.clear();
        assert!(buf.is_empty());
        buf.extend_from_slice(&[8; 5000]);
        assert_eq!(buf.as_ptr(), start);
    }
}
