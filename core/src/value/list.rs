//! Lists: a deque of packed chunks, every element with an id.
//!
//! Pushing and popping touch one chunk at an end and cost O(1); reaching element `i` skips whole
//! chunks from the nearer end, so O(chunks + elements of a chunk); an insert or remove in the middle
//! moves bytes within one chunk. A chunk holds what `list-max-listpack-size` allows (8 KiB by
//! default); an element larger than that has a chunk of its own.
//!
//! Ids are for the sequence CRDT ([`ElementId`]): this type stores and finds them, and hands out the
//! next one of this node; what concurrent inserts mean is not decided here.
//!
//! Rule: no chunk is empty, and each has as many ids as elements.

use std::collections::VecDeque;
use std::ops::Range;

use super::Limits;
use super::codec::{DecodeError, Reader, put_bytes, put_varint};
use super::footprint::allocated;
use super::packed::{self, Packed, packed_len};
use super::runs::{ElementId, Runs};

#[derive(Debug, Clone, Default)]
struct Chunk {
    items: Packed,
    ids: Runs,
}

impl Chunk {
    fn one(value: &[u8], id: ElementId) -> Self {
        let mut chunk = Chunk::default();
        chunk.items.push_back(value);
        chunk.ids.push_back(id);
        chunk
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        self.items.heap_bytes() + self.ids.heap_bytes()
    }

    /// Whether an element of `len` bytes may join.
    #[inline]
    fn has_room(&self, len: usize, limits: &Limits) -> bool {
        let (bytes_max, count_max) = limits.list_chunk();
        self.items.used() + packed_len(len) <= bytes_max && self.items.len() < count_max
    }

    fn split_off(&mut self, index: usize) -> Chunk {
        let offset = self.items.offset_of(index);
        Chunk {
            items: self.items.split_off(index, offset),
            ids: self.ids.split_off(index),
        }
    }
}

/// A sequence of byte strings with ids.
#[derive(Debug, Clone)]
pub struct List {
    chunks: VecDeque<Chunk>,
    len: usize,
    /// The number that this node's next element gets at least.
    next_number: u64,
    /// Heap bytes of all chunks.
    chunk_bytes: usize,
}

impl List {
    /// An empty list. Numbers of this node's elements start at `effect_counter`, the counter of the
    /// effect that creates the list: a list made again under the same key then never repeats one.
    pub fn new(effect_counter: u64) -> Self {
        let chunks = VecDeque::with_capacity(1);
        List {
            chunks,
            len: 0,
            next_number: effect_counter,
            chunk_bytes: 0,
        }
    }

    /// Elements. O(1).
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory with the list's own. O(1).
    pub fn memory_bytes(&self) -> usize {
        let deque = allocated(self.chunks.capacity() * size_of::<Chunk>());
        allocated(size_of::<Self>()) + deque + self.chunk_bytes
    }

    /// Redis's name of the present form: one chunk is a `listpack`, more are a `quicklist`.
    pub fn encoding_name(&self) -> &'static str {
        if self.chunks.len() <= 1 {
            "listpack"
        } else {
            "quicklist"
        }
    }

    /// The number that the next element of this node must get. Numbers of one list only go up, by
    /// one each, so that a queue's ids are one run.
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Puts `value` first. O(1) amortised.
    #[inline]
    pub fn push_head(&mut self, value: &[u8], id: ElementId, limits: &Limits) {
        match self.chunks.front_mut() {
            Some(chunk) if chunk.has_room(value.len(), limits) => {
                let before = chunk.heap_bytes();
                chunk.items.push_front(value);
                chunk.ids.push_front(id);
                self.chunk_bytes = self.chunk_bytes + chunk.heap_bytes() - before;
            }
            _ => self.insert_chunk(0, Chunk::one(value, id)),
        }
        self.count_in(id);
    }

    /// Puts `value` last. O(1) amortised.
    #[inline]
    pub fn push_tail(&mut self, value: &[u8], id: ElementId, limits: &Limits) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.has_room(value.len(), limits) => {
                let before = chunk.heap_bytes();
                chunk.items.push_back(value);
                chunk.ids.push_back(id);
                self.chunk_bytes = self.chunk_bytes + chunk.heap_bytes() - before;
            }
            _ => self.insert_chunk(self.chunks.len(), Chunk::one(value, id)),
        }
        self.count_in(id);
    }

    /// Removes the first element, after `read` saw it. O(1).
    #[inline]
    pub fn pop_head<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<(R, ElementId)> {
        let chunk = self.chunks.front_mut()?;
        let before = chunk.heap_bytes();
        let result = read(chunk.items.iter().next()?);
        chunk.items.pop_front();
        let id = chunk.ids.pop_front()?;
        self.chunk_bytes = self.chunk_bytes + chunk.heap_bytes() - before;
        self.len -= 1;
        if chunk.items.is_empty() {
            self.remove_chunk(0);
        }
        Some((result, id))
    }

    /// Removes the last element, after `read` saw it. O(1).
    #[inline]
    pub fn pop_tail<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<(R, ElementId)> {
        let chunk = self.chunks.back_mut()?;
        let before = chunk.heap_bytes();
        let result = read(chunk.items.iter().next_back()?);
        chunk.items.pop_back();
        let id = chunk.ids.pop_back()?;
        self.chunk_bytes = self.chunk_bytes + chunk.heap_bytes() - before;
        self.len -= 1;
        if chunk.items.is_empty() {
            self.remove_chunk(self.chunks.len() - 1);
        }
        Some((result, id))
    }

    /// Element `index`. O(chunks from the nearer end + elements of one chunk).
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let (chunk, within) = self.locate(index)?;
        let items = &self.chunks[chunk].items;
        Some(items.at(items.offset_of(within)))
    }

    /// The id of element `index`; cost as [`get`](Self::get).
    pub fn id_at(&self, index: usize) -> Option<ElementId> {
        let (chunk, within) = self.locate(index)?;
        self.chunks[chunk].ids.get(within)
    }

    /// Where the element with `id` is. The ends are looked at first; else O(runs of ids).
    pub fn index_of_id(&self, id: ElementId) -> Option<usize> {
        let (first, last) = (self.chunks.front()?, self.chunks.back()?);
        if let Some(within) = first.ids.find(id) {
            return Some(within);
        }
        if let Some(within) = last.ids.find(id) {
            return Some(self.len - last.items.len() + within);
        }
        let mut before = 0;
        for chunk in &self.chunks {
            if let Some(within) = chunk.ids.find(id) {
                return Some(before + within);
            }
            before += chunk.items.len();
        }
        None
    }

    /// Inserts before element `index`; `index == len` appends. Bytes of one chunk move.
    ///
    /// # Panics
    /// When `index > len`.
    pub fn insert(&mut self, index: usize, value: &[u8], id: ElementId, limits: &Limits) {
        assert!(index <= self.len, "insert at {index} of {}", self.len);
        if index == 0 {
            return self.push_head(value, id, limits);
        }
        let Some((at, within)) = self.locate(index) else {
            return self.push_tail(value, id, limits);
        };
        if self.chunks[at].has_room(value.len(), limits) {
            self.edit(at, |chunk| {
                chunk.items.insert(chunk.items.offset_of(within), value);
                chunk.ids.insert(within, id);
            });
        } else {
            let right = if within == 0 {
                at
            } else {
                let tail = self.edit(at, |chunk| chunk.split_off(within));
                self.insert_chunk(at + 1, tail);
                at + 1
            };
            // `index` is not 0, so there is a chunk on the left of the gap.
            if self.chunks[right - 1].has_room(value.len(), limits) {
                self.edit(right - 1, |chunk| {
                    chunk.items.push_back(value);
                    chunk.ids.push_back(id);
                });
            } else {
                self.insert_chunk(right, Chunk::one(value, id));
            }
            self.merge_around(right, limits);
        }
        self.count_in(id);
    }

    /// Inserts after the element `anchor`; false, and no change, when there is none.
    pub fn insert_after(
        &mut self,
        anchor: ElementId,
        value: &[u8],
        id: ElementId,
        limits: &Limits,
    ) -> bool {
        let index = self.index_of_id(anchor);
        index
            .map(|index| self.insert(index + 1, value, id, limits))
            .is_some()
    }

    /// Inserts before the element `anchor`; false, and no change, when there is none.
    pub fn insert_before(
        &mut self,
        anchor: ElementId,
        value: &[u8],
        id: ElementId,
        limits: &Limits,
    ) -> bool {
        let index = self.index_of_id(anchor);
        index
            .map(|index| self.insert(index, value, id, limits))
            .is_some()
    }

    /// Replaces the value of element `index`, whose id stays; false when there is none.
    pub fn set_at(&mut self, index: usize, value: &[u8], limits: &Limits) -> bool {
        let Some((at, within)) = self.locate(index) else {
            return false;
        };
        let chunk = &self.chunks[at];
        let offset = chunk.items.offset_of(within);
        let old = chunk.items.at(offset).len();
        let grows = packed_len(value.len()).saturating_sub(packed_len(old));
        let alone = chunk.items.len() == 1;
        if alone || grows == 0 || chunk.items.used() + grows <= limits.list_chunk().0 {
            self.edit(at, |chunk| chunk.items.replace(offset, value));
        } else if let Some(id) = chunk.ids.get(within) {
            self.remove_range(index..index + 1, limits, |_, _| {});
            self.insert(index, value, id, limits);
        }
        true
    }

    /// Removes the element with `id`; false when there is none.
    pub fn remove_id(&mut self, id: ElementId, limits: &Limits) -> bool {
        let Some(index) = self.index_of_id(id) else {
            return false;
        };
        // A queue's pops come this way: no walk within a chunk, and no look at its neighbours.
        if index == 0 {
            self.pop_head(|_| {});
        } else if index + 1 == self.len {
            self.pop_tail(|_| {});
        } else {
            self.remove_range(index..index + 1, limits, |_, _| {});
        }
        true
    }

    /// Removes the elements of `range` (cut to the list), after `visit` saw each in order. Whole
    /// chunks go at once.
    pub fn remove_range(
        &mut self,
        range: Range<usize>,
        limits: &Limits,
        mut visit: impl FnMut(&[u8], ElementId),
    ) {
        let mut left = range.end.min(self.len).saturating_sub(range.start);
        let mut last = None;
        while left > 0
            && let Some((at, within)) = self.locate(range.start)
        {
            let chunk = &self.chunks[at];
            let count = left.min(chunk.items.len() - within);
            let seen = chunk
                .items
                .iter()
                .zip(chunk.ids.iter())
                .skip(within)
                .take(count);
            seen.for_each(|(value, id)| visit(value, id));
            if count == chunk.items.len() {
                self.remove_chunk(at);
            } else {
                self.edit(at, |chunk| {
                    chunk.items.remove(chunk.items.offset_of(within), count);
                    chunk.ids.remove(within, count);
                });
            }
            self.len -= count;
            left -= count;
            last = Some(at);
        }
        if let Some(at) = last {
            self.merge_around(at, limits);
        }
    }

    /// Removes up to `count` elements equal to `value`, from the head or the tail on, telling
    /// `visit` their ids; returns how many. O(len).
    pub fn remove_matching(
        &mut self,
        value: &[u8],
        count: usize,
        from_tail: bool,
        limits: &Limits,
        mut visit: impl FnMut(ElementId),
    ) -> usize {
        let matches = |(index, item): (usize, &[u8])| (item == value).then_some(index);
        let all = self.iter(0..self.len).enumerate();
        let mut found: Vec<usize> = if from_tail {
            all.rev().filter_map(matches).take(count).collect()
        } else {
            all.filter_map(matches).take(count).collect()
        };
        // From the tail on, so that the indexes still to come stay right.
        found.sort_unstable_by(|a, b| b.cmp(a));
        for &index in &found {
            self.remove_range(index..index + 1, limits, |_, id| visit(id));
        }
        found.len()
    }

    /// The elements of `range` (cut to the list), from either end, without allocation.
    pub fn iter(&self, range: Range<usize>) -> Iter<'_> {
        let end = range.end.min(self.len);
        let left = end.saturating_sub(range.start);
        let mut iter = Iter {
            chunks: &self.chunks,
            front: Packed::EMPTY.iter(),
            back: Packed::EMPTY.iter(),
            front_chunk: 0,
            back_chunk: 0,
            left,
        };
        if left > 0
            && let (Some((first, skip)), Some((last, keep))) =
                (self.locate(range.start), self.locate(end - 1))
        {
            let (head, tail) = (&self.chunks[first].items, &self.chunks[last].items);
            iter.front = head.iter_between(skip, head.len());
            iter.back = tail.iter_between(0, keep + 1);
            (iter.front_chunk, iter.back_chunk) = (first, last);
        }
        iter
    }

    /// All elements with their ids, in order.
    pub fn entries(&self) -> impl Iterator<Item = (ElementId, &[u8])> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.ids.iter().zip(chunk.items.iter()))
    }

    /// The elements of `range` (cut to the list) with their ids, in order. To start it costs as
    /// [`get`](Self::get), a step O(1).
    pub fn entries_in(&self, range: Range<usize>) -> impl Iterator<Item = (ElementId, &[u8])> {
        let count = range.end.min(self.len).saturating_sub(range.start);
        let (first, skip) = self.locate(range.start).unwrap_or((self.chunks.len(), 0));
        self.chunks
            .range(first..)
            .flat_map(|chunk| chunk.ids.iter().zip(chunk.items.iter()))
            .skip(skip)
            .take(count)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.next_number);
        put_varint(out, self.len as u64);
        let mut ids = Runs::default();
        self.chunks.iter().for_each(|chunk| ids.append(&chunk.ids));
        ids.encode(out);
        self.iter(0..self.len)
            .for_each(|value| put_bytes(out, value));
    }

    pub(super) fn decode(reader: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError> {
        let mut list = List::new(reader.varint()?);
        let len = reader.count(1)?;
        let ids = Runs::decode(reader, len)?;
        // An own number at or above the next one would be given twice.
        if ids
            .number_max(0)
            .is_some_and(|number| number >= list.next_number)
        {
            return Err(DecodeError::Ids);
        }
        for id in ids.iter() {
            list.push_tail(reader.bytes()?, id, limits);
        }
        Ok(list)
    }

    /// `(chunk, index within it)` of element `index`, counted from the nearer end.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut before = 0;
            for (at, chunk) in self.chunks.iter().enumerate() {
                if index < before + chunk.items.len() {
                    return Some((at, index - before));
                }
                before += chunk.items.len();
            }
        } else {
            let mut before = self.len;
            for (at, chunk) in self.chunks.iter().enumerate().rev() {
                before -= chunk.items.len();
                if index >= before {
                    return Some((at, index - before));
                }
            }
        }
        unreachable!("the chunks hold all {} elements", self.len)
    }

    fn count_in(&mut self, id: ElementId) {
        self.len += 1;
        if id.node == 0 {
            self.next_number = self.next_number.max(id.number + 1);
        }
    }

    /// Changes a chunk and keeps the count of its bytes.
    fn edit<R>(&mut self, at: usize, change: impl FnOnce(&mut Chunk) -> R) -> R {
        let chunk = &mut self.chunks[at];
        let before = chunk.heap_bytes();
        let result = change(chunk);
        self.chunk_bytes = self.chunk_bytes + chunk.heap_bytes() - before;
        result
    }

    fn insert_chunk(&mut self, at: usize, chunk: Chunk) {
        self.chunk_bytes += chunk.heap_bytes();
        self.chunks.insert(at, chunk);
    }

    fn remove_chunk(&mut self, at: usize) {
        if let Some(chunk) = self.chunks.remove(at) {
            self.chunk_bytes -= chunk.heap_bytes();
        }
        if self.chunks.capacity() > 8 && self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }

    /// Joins small neighbours around chunk `at`. Half a chunk at most, so that the next insert does
    /// not split it again.
    fn merge_around(&mut self, at: usize, limits: &Limits) {
        let (bytes_max, count_max) = limits.list_chunk();
        for left in (at.saturating_sub(2)..=at).rev() {
            let (Some(a), Some(b)) = (self.chunks.get(left), self.chunks.get(left + 1)) else {
                continue;
            };
            if a.items.used() + b.items.used() <= bytes_max / 2
                && a.items.len() + b.items.len() <= count_max.div_ceil(2)
                && let Some(gone) = self.chunks.remove(left + 1)
            {
                self.chunk_bytes -= gone.heap_bytes();
                self.edit(left, |chunk| {
                    chunk.items.append(&gone.items);
                    chunk.ids.append(&gone.ids);
                });
            }
        }
    }
}

/// Elements of a range of a [`List`], from either end.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    chunks: &'a VecDeque<Chunk>,
    front: packed::Iter<'a>,
    back: packed::Iter<'a>,
    front_chunk: usize,
    back_chunk: usize,
    /// Bounds both ends, which may be in the same chunk.
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        if let Some(value) = self.front.next() {
            return Some(value);
        }
        self.front_chunk += 1;
        self.front = self.chunks[self.front_chunk].items.iter();
        self.front.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if let Some(value) = self.back.next_back() {
            return Some(value);
        }
        self.back_chunk -= 1;
        self.back = self.chunks[self.back_chunk].items.iter();
        self.back.next_back()
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Model = Vec<(ElementId, Vec<u8>)>;

    fn check(list: &List, model: &Model) -> Result<(), TestCaseError> {
        prop_assert_eq!(list.len(), model.len());
        let entries = list.entries().map(|(id, value)| (id, value.to_vec()));
        prop_assert!(entries.eq(model.iter().cloned()));
        prop_assert!(list.chunks.iter().all(|chunk| !chunk.items.is_empty()));
        let bytes: usize = list.chunks.iter().map(Chunk::heap_bytes).sum();
        prop_assert_eq!(list.chunk_bytes, bytes);
        Ok(())
    }

    proptest! {
        #[test]
        fn behaves_as_a_vector_with_ids(
            size in prop::sample::select(vec![3i32, 7, -1, -2]),
            ops in prop::collection::vec((0u8..13, any::<usize>(), 0usize..2000, 0u16..2), 1..150),
        ) {
            let limits = Limits { list_max_listpack_size: size, ..Limits::default() };
            let mut list = List::new(100);
            let mut model = Model::new();
            for (op, at, len, node) in ops {
                let value = vec![len as u8; len % 1999 * usize::from(op != 0)];
                let id = ElementId { node, number: list.next_number() };
                // Numbers of other nodes must be fresh too: keep one counter for all.
                list.next_number += 1;
                let index = at % (model.len() + 1);
                match op {
                    0..=2 => { list.push_tail(&value, id, &limits); model.push((id, value)); }
                    3 | 4 => { list.push_head(&value, id, &limits); model.insert(0, (id, value)); }
                    5 => {
                        list.insert(index, &value, id, &limits);
                        model.insert(index, (id, value));
                    }
                    6 => {
                        let popped = list.pop_head(<[u8]>::to_vec);
                        let expected = (!model.is_empty()).then(|| model.remove(0));
                        prop_assert_eq!(popped.map(|(value, id)| (id, value)), expected);
                    }
                    7 => {
                        let popped = list.pop_tail(<[u8]>::to_vec);
                        prop_assert_eq!(popped.map(|(value, id)| (id, value)), model.pop());
                    }
                    8 => {
                        prop_assert_eq!(list.set_at(index, &value, &limits), index < model.len());
                        if let Some(entry) = model.get_mut(index) { entry.1 = value; }
                    }
                    9 => {
                        let end = (index + len % 20).min(model.len());
                        let mut seen = Model::new();
                        list.remove_range(index..end, &limits, |value, id| {
                            seen.push((id, value.to_vec()));
                        });
                        prop_assert_eq!(seen, model.drain(index..end).collect::<Model>());
                    }
                    10 if index < model.len() => {
                        let anchor = model[index].0;
                        prop_assert_eq!(list.index_of_id(anchor), Some(index));
                        prop_assert!(list.insert_after(anchor, &value, id, &limits));
                        prop_assert!(!list.insert_before(id_of_nobody(), &value, id, &limits));
                        model.insert(index + 1, (id, value));
                    }
                    11 if index < model.len() => {
                        prop_assert!(list.remove_id(model[index].0, &limits));
                        model.remove(index);
                    }
                    12 => {
                        let removed = list.remove_matching(&value, 2, at % 2 == 0, &limits, |_| {});
                        let mut left = removed;
                        prop_assert!(removed <= 2);
                        while left > 0 {
                            let mut found = model.iter().map(|entry| entry.1 == value);
                            let index = if at % 2 == 0 {
                                found.rposition(|same| same)
                            } else {
                                found.position(|same| same)
                            };
                            model.remove(index.unwrap());
                            left -= 1;
                        }
                        let same = model.iter().any(|entry| entry.1 == value);
                        prop_assert!(removed == 2 || !same);
                    }
                    _ => {}
                }
                check(&list, &model)?;
                let index = at % (model.len() + 1);
                let value = model.get(index).map(|entry| &*entry.1);
                prop_assert_eq!(list.get(index), value);
                prop_assert_eq!(list.id_at(index), model.get(index).map(|entry| entry.0));
                let range = index..(index + len % 50).min(model.len());
                let values = || model[range.clone()].iter().map(|entry| &*entry.1);
                prop_assert!(list.iter(range.clone()).eq(values()));
                prop_assert!(list.iter(range.clone()).rev().eq(values().rev()));
                let entries = list.entries_in(range.clone());
                prop_assert!(entries.eq(model[range].iter().map(|(id, value)| (*id, &**value))));
            }
            let mut out = Vec::new();
            list.encode(&mut out);
            let mut reader = Reader::new(&out);
            check(&List::decode(&mut reader, &limits).unwrap(), &model)?;
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }

    fn id_of_nobody() -> ElementId {
        ElementId { node: 9, number: 0 }
    }

    #[test]
    fn an_iterator_from_both_ends_meets_in_the_middle() {
        let limits = Limits {
            list_max_listpack_size: 2,
            ..Limits::default()
        };
        let mut list = List::new(0);
        for value in 0u8..9 {
            list.push_tail(
                &[value],
                ElementId {
                    node: 0,
                    number: list.next_number(),
                },
                &limits,
            );
        }
        let mut iter = list.iter(1..8);
        let mut seen = Vec::new();
        while let Some(front) = iter.next() {
            seen.push(front[0]);
            seen.extend(iter.next_back().map(|back| back[0]));
        }
        assert_eq!(seen, [1, 7, 2, 6, 3, 5, 4]);
        assert_eq!(list.iter(3..3).count() + list.iter(20..30).count(), 0);
    }

    #[test]
    fn the_ids_of_a_queue_cost_one_run_a_chunk() {
        let limits = Limits::default();
        let mut list = List::new(1000);
        for _ in 0..10_000 {
            let id = ElementId {
                node: 0,
                number: list.next_number(),
            };
            list.push_head(b"element", id, &limits);
        }
        assert_eq!(
            list.id_at(0),
            Some(ElementId {
                node: 0,
                number: 10_999
            })
        );
        assert!(list.chunks.iter().all(|chunk| chunk.ids.runs() == 1));
        assert_eq!(list.encoding_name(), "quicklist");
    }
}
