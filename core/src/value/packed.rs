//! Elements packed into one allocation: the form of small collections and of a list's chunks.
//!
//! An element is `varint(len) bytes varint(len) backwards`, so that it can be walked from both ends;
//! two bytes of overhead up to 127 bytes. There is no index: positions are found by walking, which
//! for what fits a few cache lines beats any index. Not for large collections: inserting in the
//! middle moves what follows.
//!
//! Rule: there may be unused bytes before the first element (`start`), so that pushing and popping
//! at the head is O(1) amortised, as at the tail. Offsets in this module count from `start`.

use super::codec::{VARINT_MAX, read_varint, varint_len, write_varint};
use super::footprint::allocated;

/// The step by which a large buffer grows; a small one doubles.
const GROW_MAX: usize = 4096;
/// Buffers up to this capacity are not shrunk.
const KEEP_MAX: usize = 128;

/// A sequence of byte strings in one buffer.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    buffer: Vec<u8>,
    start: u32,
    count: u32,
}

/// Bytes that an element of `len` bytes takes.
#[inline]
pub(super) fn packed_len(len: usize) -> usize {
    len + 2 * varint_len(len as u64)
}

impl Packed {
    /// Nothing, to iterate over.
    pub(super) const EMPTY: &'static Packed = &Packed {
        buffer: Vec::new(),
        start: 0,
        count: 0,
    };

    /// Elements. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the elements take with their lengths.
    #[inline]
    pub fn used(&self) -> usize {
        self.buffer.len() - self.start as usize
    }

    /// Bytes of heap.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        allocated(self.buffer.capacity())
    }

    /// Walks the elements from either end.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            data: self.data(),
            left: self.len(),
        }
    }

    /// Walks elements `from..to`; reaching them costs a walk from the nearer end each.
    pub(super) fn iter_between(&self, from: usize, to: usize) -> Iter<'_> {
        let (start, end) = (self.offset_of(from), self.offset_of(to));
        Iter {
            data: &self.data()[start..end],
            left: to - from,
        }
    }

    /// The element that starts at `offset`.
    #[inline]
    pub(super) fn at(&self, offset: usize) -> &[u8] {
        read_forward(&self.data()[offset..]).0
    }

    /// The offset of the element after the one at `offset`.
    pub(super) fn next(&self, offset: usize) -> usize {
        offset + read_forward(&self.data()[offset..]).1
    }

    /// The offset of element `index`, or of the end for `index == len`. Walks from the nearer end.
    pub(super) fn offset_of(&self, index: usize) -> usize {
        debug_assert!(index <= self.len());
        let mut iter = self.iter();
        if index <= self.len() / 2 {
            iter.by_ref().take(index).for_each(drop);
            self.used() - iter.data.len()
        } else {
            iter.by_ref().rev().take(self.len() - index).for_each(drop);
            iter.data.len()
        }
    }

    /// Appends an element. O(1) amortised.
    #[inline]
    pub fn push_back(&mut self, value: &[u8]) {
        let size = packed_len(value.len());
        self.reserve_back(size);
        if value.len() < 0x80 {
            self.buffer.push(value.len() as u8);
            self.buffer.extend_from_slice(value);
            self.buffer.push(value.len() as u8);
        } else {
            let at = self.buffer.len();
            self.buffer.resize(at + size, 0);
            write_element(&mut self.buffer[at..], value);
        }
        self.count += 1;
    }

    /// Prepends an element. O(1) amortised.
    #[inline]
    pub fn push_front(&mut self, value: &[u8]) {
        let size = packed_len(value.len());
        if (self.start as usize) < size {
            self.reserve_front(size);
        }
        let end = self.start as usize;
        write_element(&mut self.buffer[end - size..end], value);
        self.start -= size as u32;
        self.count += 1;
    }

    /// Removes the first element.
    #[inline]
    pub fn pop_front(&mut self) {
        debug_assert!(self.count > 0);
        self.start += read_forward(self.data()).1 as u32;
        self.count -= 1;
        self.relax();
    }

    /// Removes the last element.
    #[inline]
    pub fn pop_back(&mut self) {
        debug_assert!(self.count > 0);
        let size = read_backward(self.data()).1;
        self.buffer.truncate(self.buffer.len() - size);
        self.count -= 1;
        self.relax();
    }

    /// Inserts an element before the one at `offset`. Moves what follows.
    pub(super) fn insert(&mut self, offset: usize, value: &[u8]) {
        let size = packed_len(value.len());
        let place = self.splice(offset, 0, size);
        write_element(place, value);
        self.count += 1;
    }

    /// Replaces the element at `offset`; in place when the new one is as long.
    pub(super) fn replace(&mut self, offset: usize, value: &[u8]) {
        let old = read_forward(&self.data()[offset..]).1;
        let place = self.splice(offset, old, packed_len(value.len()));
        write_element(place, value);
    }

    /// Removes `count` elements, the first of them at `offset`.
    pub(super) fn remove(&mut self, offset: usize, count: usize) {
        let mut end = offset;
        for _ in 0..count {
            end = self.next(end);
        }
        if offset == 0 {
            self.start += end as u32;
        } else {
            self.splice(offset, end - offset, 0);
        }
        self.count -= count as u32;
        self.relax();
    }

    /// Cuts off the elements from number `index` on, which is the one at `offset`.
    pub(super) fn split_off(&mut self, index: usize, offset: usize) -> Packed {
        let tail = Packed {
            buffer: self.data()[offset..].to_vec(),
            start: 0,
            count: self.count - index as u32,
        };
        self.buffer.truncate(self.start as usize + offset);
        self.count = index as u32;
        self.relax();
        tail
    }

    /// Appends all elements of `other`.
    pub(super) fn append(&mut self, other: &Packed) {
        self.reserve_back(other.used());
        self.buffer.extend_from_slice(other.data());
        self.count += other.count;
    }

    #[inline]
    fn data(&self) -> &[u8] {
        &self.buffer[self.start as usize..]
    }

    /// Makes `new` bytes of room where `old` bytes were.
    fn splice(&mut self, offset: usize, old: usize, new: usize) -> &mut [u8] {
        if new > old {
            self.reserve_back(new - old);
        }
        let at = self.start as usize + offset;
        let end = self.buffer.len();
        if new > old {
            self.buffer.resize(end + new - old, 0);
        }
        self.buffer.copy_within(at + old..end, at + new);
        self.buffer.truncate(end + new - old);
        &mut self.buffer[at..at + new]
    }

    #[inline]
    fn reserve_back(&mut self, more: usize) {
        if self.buffer.capacity() - self.buffer.len() >= more {
            return;
        }
        let used = self.used();
        // A queue moves through its buffer: reuse what was popped before asking for more. Half the
        // buffer being free pays for the move.
        if self.start as usize >= used + more {
            self.buffer.copy_within(self.start as usize.., 0);
            self.buffer.truncate(used);
            self.start = 0;
            return;
        }
        let capacity = grown(self.buffer.capacity(), self.buffer.len() + more);
        self.buffer.reserve_exact(capacity - self.buffer.len());
    }

    /// Moves the elements to the end of a larger buffer.
    fn reserve_front(&mut self, more: usize) {
        let used = self.used();
        let capacity = grown(self.buffer.capacity(), used + more);
        let mut buffer = vec![0; capacity];
        buffer[capacity - used..].copy_from_slice(self.data());
        self.buffer = buffer;
        self.start = (capacity - used) as u32;
    }

    /// Gives memory back once three quarters of the buffer are unused.
    #[inline]
    fn relax(&mut self) {
        if self.count == 0 {
            self.buffer.clear();
            self.start = 0;
        }
        let used = self.used();
        if self.buffer.capacity() > KEEP_MAX && used < self.buffer.capacity() / 4 {
            let mut buffer = Vec::with_capacity(used * 2);
            buffer.extend_from_slice(self.data());
            self.buffer = buffer;
            self.start = 0;
        }
    }
}

/// The capacity to grow to for `needed` bytes: doubles while small, and lands on size classes.
fn grown(capacity: usize, needed: usize) -> usize {
    allocated((capacity + capacity.min(GROW_MAX)).max(needed))
}

#[inline]
fn read_forward(data: &[u8]) -> (&[u8], usize) {
    let (len, header) = read_varint(data);
    let len = len as usize;
    (&data[header..header + len], len + 2 * header)
}

#[inline]
fn read_backward(data: &[u8]) -> (&[u8], usize) {
    let last = data[data.len() - 1];
    let (len, header) = if last < 0x80 {
        (usize::from(last), 1)
    } else {
        let mut reversed = [0; VARINT_MAX];
        for (place, &byte) in reversed.iter_mut().zip(data.iter().rev()) {
            *place = byte;
        }
        let (len, header) = read_varint(&reversed);
        (len as usize, header)
    };
    let end = data.len() - header;
    (&data[end - len..end], len + 2 * header)
}

/// Fills `place`, which is exactly as long as the element takes.
#[inline]
fn write_element(place: &mut [u8], value: &[u8]) {
    let header = write_varint(place, value.len() as u64);
    place[header..header + value.len()].copy_from_slice(value);
    let (head, tail) = place.split_at_mut(header + value.len());
    for (to, from) in tail.iter_mut().rev().zip(head.iter()) {
        *to = *from;
    }
}

/// Elements of a [`Packed`], from either end.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    data: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (value, size) = read_forward(self.data);
        self.data = &self.data[size..];
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (value, size) = read_backward(self.data);
        self.data = &self.data[..self.data.len() - size];
        Some(value)
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 7 + len) as u8).collect()
    }

    proptest! {
        #[test]
        fn behaves_as_a_vector_of_strings(
            ops in prop::collection::vec((0u8..8, any::<usize>(), 0usize..300), 1..200)
        ) {
            let mut packed = Packed::default();
            let mut model: Vec<Vec<u8>> = Vec::new();
            for (op, at, len) in ops {
                let value = value(len);
                let at = at % (model.len() + 1);
                match op {
                    0 | 1 => { packed.push_back(&value); model.push(value); }
                    2 => { packed.push_front(&value); model.insert(0, value); }
                    3 => { packed.insert(packed.offset_of(at), &value); model.insert(at, value); }
                    4 if !model.is_empty() => { packed.pop_front(); model.remove(0); }
                    5 if !model.is_empty() => { packed.pop_back(); model.pop(); }
                    6 if at < model.len() => {
                        packed.replace(packed.offset_of(at), &value);
                        model[at] = value;
                    }
                    7 => {
                        let tail = packed.split_off(at, packed.offset_of(at));
                        prop_assert_eq!(tail.len(), model.len() - at);
                        packed.append(&tail);
                    }
                    _ if at < model.len() => {
                        let count = (model.len() - at).min(3);
                        packed.remove(packed.offset_of(at), count);
                        model.drain(at..at + count);
                    }
                    _ => {}
                }
                prop_assert!(packed.iter().eq(model.iter().map(Vec::as_slice)));
                prop_assert!(packed.iter().rev().eq(model.iter().rev().map(Vec::as_slice)));
            }
        }
    }

    #[test]
    fn a_queue_does_not_grow_without_bound() {
        let mut packed = Packed::default();
        for _ in 0..100_000 {
            packed.push_back(&value(20));
            if packed.len() > 4 {
                packed.pop_front();
            }
        }
        assert!(packed.heap_bytes() <= 512, "{}", packed.heap_bytes());
    }
}
