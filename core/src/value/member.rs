//! A sorted set's member: its score and bytes in one allocation, known to both of its indexes.
//!
//! The table finds a member by its bytes, the tree by its score; storing it once means sharing it.
//! [`Member`] is a counted pointer as `Rc` is, without the weak count and with the length inside:
//! nine bytes of overhead instead of forty. The count fits a byte because nobody but the table, a
//! leaf and the tree's separators ever holds one.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::slice;

use super::codec::{VARINT_MAX, read_varint, write_varint};
use super::footprint::allocated;
use super::table::Keyed;

/// Where the count of references is, behind the score.
const REFS: usize = size_of::<f64>();
/// Where the length starts.
const LEN: usize = REFS + 1;

/// A shared `score, references, varint(len), bytes`.
pub(super) struct Member(NonNull<u8>);

impl Member {
    pub(super) fn new(bytes: &[u8], score: f64) -> Self {
        let mut header = [0; VARINT_MAX];
        let used = write_varint(&mut header, bytes.len() as u64);
        let layout = Self::layout(used + bytes.len());
        // SAFETY: the layout's size is at least LEN, so not zero.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        // SAFETY: `start` is valid for LEN + used + len bytes, aligned for an f64, and unknown to
        // anybody else.
        unsafe {
            start.cast::<f64>().write(score);
            start.add(REFS).write(1);
            start
                .add(LEN)
                .as_ptr()
                .copy_from_nonoverlapping(header.as_ptr(), used);
            start
                .add(LEN + used)
                .as_ptr()
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Member(start)
    }

    #[inline]
    pub(super) fn score(&self) -> f64 {
        // SAFETY: the score is initialised, aligned, and no reference to it is ever made.
        unsafe { self.0.cast::<f64>().read() }
    }

    /// Changes the score that all holders see.
    #[inline]
    pub(super) fn set_score(&self, score: f64) {
        // SAFETY: as in `score`; the type is not `Sync`, so no other thread reads meanwhile.
        unsafe { self.0.cast::<f64>().write(score) }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        let (len, header) = self.len();
        // SAFETY: the allocation holds that many bytes behind the header, which never change and
        // live as long as any holder.
        unsafe { slice::from_raw_parts(self.0.add(LEN + header).as_ptr(), len) }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let (len, header) = self.len();
        allocated(LEN + header + len)
    }

    /// `(length, bytes that it is written in)`.
    #[inline]
    fn len(&self) -> (usize, usize) {
        // SAFETY: at least one byte of length follows the count.
        let first = unsafe { self.0.add(LEN).read() };
        if first < 0x80 {
            return (usize::from(first), 1);
        }
        // SAFETY: a longer length means at least 128 bytes behind it, so that a varint's longest
        // form is within the allocation; those bytes never change.
        let header = unsafe { slice::from_raw_parts(self.0.add(LEN).as_ptr(), VARINT_MAX) };
        let (len, used) = read_varint(header);
        (len as usize, used)
    }

    fn layout(payload: usize) -> Layout {
        Layout::from_size_align(LEN + payload, align_of::<f64>())
            .expect("a slice's length fits a layout")
    }
}

impl Clone for Member {
    fn clone(&self) -> Self {
        let refs = self.0.as_ptr().wrapping_add(REFS);
        // SAFETY: the count is initialised, never borrowed, and the type is not `Sync`.
        unsafe {
            refs.write(
                refs.read()
                    .checked_add(1)
                    .expect("a tree is not 250 levels high"),
            )
        }
        Member(self.0)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let refs = self.0.as_ptr().wrapping_add(REFS);
        // SAFETY: as in `clone`; the holder that takes the count to 0 is the last, and frees with
        // the layout of `new`.
        unsafe {
            let left = refs.read() - 1;
            refs.write(left);
            if left == 0 {
                let (len, header) = self.len();
                dealloc(self.0.as_ptr(), Self::layout(header + len));
            }
        }
    }
}

impl Keyed for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_share_the_score_and_the_last_one_frees() {
        for len in [0, 1, 127, 128, 70_000] {
            let bytes = vec![7; len];
            let member = Member::new(&bytes, 1.5);
            let other = member.clone();
            member.set_score(-2.0);
            drop(member);
            assert_eq!((other.bytes(), other.score()), (&*bytes, -2.0));
        }
    }
}
