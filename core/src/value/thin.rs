//! Owned byte strings that are one pointer wide: what the tables are made of.
//!
//! A `Box<[u8]>` is two words and a `Vec` three; in a table of a million members that is a third of
//! the memory. [`ThinBytes`] is one word: up to seven bytes live in the word itself, longer strings
//! behind it with their length as a varint in front. [`ThinPair`] keeps a field and its value in
//! one such string, so that reading a hash field costs one cache miss for both.
//!
//! All `unsafe` of the tables is in this file and in `member.rs`.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::slice;

use super::codec::{VARINT_MAX, read_varint, varint_len, write_varint};
use super::footprint::allocated;

// The inline form reads its bytes out of the word in memory order.
const _: () = assert!(cfg!(target_endian = "little") && size_of::<usize>() == 8);

/// Longest string that needs no allocation.
const INLINE_MAX: usize = 7;

/// An immutable-length byte string in one word; `Option<ThinBytes>` is one word too.
///
/// The word is either a pointer to `varint(len) bytes` (even: allocations are aligned to 2), or odd,
/// and then its low byte is `len << 1 | 1` and the following bytes are the string.
pub struct ThinBytes(NonNull<u8>);

// SAFETY: a `ThinBytes` owns its allocation alone, as a `Box<[u8]>` does.
unsafe impl Send for ThinBytes {}
// SAFETY: shared access only reads.
unsafe impl Sync for ThinBytes {}

impl ThinBytes {
    /// Copies `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self::concat([bytes])
    }

    /// Copies the concatenation of `parts` in one allocation.
    pub fn concat<const N: usize>(parts: [&[u8]; N]) -> Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len <= INLINE_MAX {
            let mut word = [0u8; 8];
            word[0] = (len << 1 | 1) as u8;
            let mut at = 1;
            for part in parts {
                word[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            let word = NonZeroUsize::new(usize::from_le_bytes(word)).expect("the low bit is set");
            return ThinBytes(NonNull::without_provenance(word));
        }
        let mut header = [0; VARINT_MAX];
        let header_len = write_varint(&mut header, len as u64);
        let layout = Self::layout(header_len + len);
        // SAFETY: the layout's size is above INLINE_MAX, so not zero.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        // SAFETY: `start` is valid for `header_len + len` bytes and nobody else knows it; the
        // header and then each part are written side by side and sum up to that length.
        unsafe {
            let mut at = start.as_ptr();
            for part in std::iter::once(&header[..header_len]).chain(parts) {
                at.copy_from_nonoverlapping(part.as_ptr(), part.len());
                at = at.add(part.len());
            }
        }
        ThinBytes(start)
    }

    /// The string. O(1), one cache miss when it is longer than seven bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        if let Some(len) = self.inline_len() {
            // SAFETY: the inline form keeps `len` <= 7 bytes behind the first byte of the word,
            // and the word is borrowed for as long as the slice is.
            unsafe { slice::from_raw_parts((&raw const *self).cast::<u8>().add(1), len) }
        } else {
            let (len, header) = self.heap_len();
            // SAFETY: the allocation holds `header + len` initialised bytes and lives while
            // `self` is borrowed.
            unsafe { slice::from_raw_parts(self.0.as_ptr().add(header), len) }
        }
    }

    /// The string, to overwrite bytes without changing its length.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        if let Some(len) = self.inline_len() {
            // SAFETY: as in `as_bytes`; the exclusive borrow of the word covers the slice.
            unsafe { slice::from_raw_parts_mut((&raw mut *self).cast::<u8>().add(1), len) }
        } else {
            let (len, header) = self.heap_len();
            // SAFETY: as in `as_bytes`; the exclusive borrow of the owner covers the slice.
            unsafe { slice::from_raw_parts_mut(self.0.as_ptr().add(header), len) }
        }
    }

    /// Bytes of heap behind the word, as the allocator rounds them; 0 for the inline form.
    pub fn heap_bytes(&self) -> usize {
        if self.inline_len().is_some() {
            return 0;
        }
        let (len, header) = self.heap_len();
        allocated(header + len)
    }

    #[inline]
    fn inline_len(&self) -> Option<usize> {
        let word = self.0.addr().get();
        (word & 1 == 1).then_some((word & 0xff) >> 1)
    }

    /// `(length, bytes of the header)` of the heap form.
    #[inline]
    fn heap_len(&self) -> (usize, usize) {
        // SAFETY: the first byte of an allocation belongs to the header.
        let first = unsafe { self.0.read() };
        if first < 0x80 {
            return (usize::from(first), 1);
        }
        // SAFETY: a header of more than one byte means at least 128 bytes behind it, so that a
        // varint's longest form is within the allocation.
        let header = unsafe { slice::from_raw_parts(self.0.as_ptr(), VARINT_MAX) };
        let (len, used) = read_varint(header);
        (len as usize, used)
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 2).expect("a slice's length fits a layout")
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        if self.inline_len().is_none() {
            let (len, header) = self.heap_len();
            // SAFETY: the heap form was allocated with this very layout and is freed once.
            unsafe { dealloc(self.0.as_ptr(), Self::layout(header + len)) }
        }
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> Self {
        Self::new(self.as_bytes())
    }
}

impl fmt::Debug for ThinBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// A field and its value in one [`ThinBytes`]: `varint(field length) field value`.
#[derive(Clone)]
pub struct ThinPair(ThinBytes);

impl ThinPair {
    /// Copies both.
    pub fn new(field: &[u8], value: &[u8]) -> Self {
        let mut header = [0; VARINT_MAX];
        let used = write_varint(&mut header, field.len() as u64);
        ThinPair(ThinBytes::concat([&header[..used], field, value]))
    }

    /// `(field, value)`.
    #[inline]
    pub fn split(&self) -> (&[u8], &[u8]) {
        let bytes = self.0.as_bytes();
        let (len, used) = read_varint(bytes);
        bytes[used..].split_at(len as usize)
    }

    /// Replaces the value: in place when its length is the same, else in a new allocation.
    pub fn set_value(&mut self, value: &[u8]) {
        let (field, old) = self.split();
        if old.len() == value.len() {
            let start = varint_len(field.len() as u64) + field.len();
            self.0.as_bytes_mut()[start..].copy_from_slice(value);
        } else {
            *self = ThinPair::new(field, value);
        }
    }

    /// Bytes of heap, as [`ThinBytes::heap_bytes`].
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_around_the_boundaries_round_trips() {
        for len in (0..20).chain([126, 127, 128, 129, 16_383, 16_384, 100_000]) {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut thin = ThinBytes::new(&bytes);
            assert_eq!(thin.as_bytes(), bytes);
            assert_eq!(thin.clone().as_bytes(), bytes);
            assert_eq!(thin.heap_bytes() == 0, len <= INLINE_MAX);
            thin.as_bytes_mut().fill(7);
            assert!(thin.as_bytes().iter().all(|&byte| byte == 7));
            assert_eq!(thin.as_bytes().len(), len);
        }
        assert_eq!(size_of::<Option<ThinBytes>>(), 8);
    }

    #[test]
    fn a_pair_keeps_its_field_when_the_value_changes_length() {
        for field in ["", "f", "a longer field name"] {
            let mut pair = ThinPair::new(field.as_bytes(), b"1");
            for value in [
                "2",
                "",
                "a value of more than seven bytes",
                "A VALUE of more than seven bytes",
            ] {
                pair.set_value(value.as_bytes());
                assert_eq!(pair.split(), (field.as_bytes(), value.as_bytes()));
            }
        }
    }
}
