//! The ids of list elements, run-length encoded beside the elements.
//!
//! A sequence CRDT needs an id for every element. Written out they would cost more than most
//! elements. But ids are given in order: a list built by RPUSH has ids that go up by one, one built
//! by LPUSH ids that go down by one. So ids are kept as runs, and a queue has one run per chunk.

use smallvec::SmallVec;

use super::codec::{DecodeError, Reader, put_varint, unzigzag, zigzag};
use super::footprint::allocated;

/// The identity of a list element, unique in its list for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ElementId {
    /// The node that inserted it, by its interned number; 0 is this node.
    pub node: u16,
    /// Unique among the elements that this node inserted into this list.
    pub number: u64,
}

/// `len` ids of one node: `number`, `number + step`, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    number: u64,
    len: u32,
    node: u16,
    /// +1 or -1; 0 while there is one id only, so that the second decides.
    step: i8,
}

impl Run {
    fn one(id: ElementId) -> Self {
        Run {
            number: id.number,
            len: 1,
            node: id.node,
            step: 0,
        }
    }

    fn get(&self, index: u32) -> ElementId {
        let distance = i64::from(index) * i64::from(self.step);
        ElementId {
            node: self.node,
            number: self.number.wrapping_add_signed(distance),
        }
    }

    fn find(&self, id: ElementId) -> Option<u32> {
        if id.node != self.node {
            return None;
        }
        let distance = id.number.wrapping_sub(self.number);
        let index = if self.step < 0 {
            distance.wrapping_neg()
        } else {
            distance
        };
        (index < u64::from(self.len)).then_some(index as u32)
    }

    /// The step from the last of `self` to the first of `next`, when the two are one run.
    fn joins(&self, next: &Run) -> Option<i8> {
        let last = self.get(self.len - 1).number;
        let step = match next.number.wrapping_sub(last) {
            1 => 1,
            u64::MAX => -1,
            _ => return None,
        };
        let fits = |run: &Run| run.step == step || run.step == 0;
        let room = self.len.checked_add(next.len).is_some();
        (self.node == next.node && room && fits(self) && fits(next)).then_some(step)
    }

    /// Keeps the first `index` ids and returns the others, of which there is at least one.
    fn split_off(&mut self, index: u32) -> Run {
        let tail = Run {
            number: self.get(index).number,
            len: self.len - index,
            ..*self
        };
        self.len = index;
        tail.settled()
    }

    fn settled(mut self) -> Run {
        if self.len == 1 {
            self.step = 0;
        }
        self
    }
}

/// A sequence of ids as runs. Operations cost O(runs).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runs(SmallVec<[Run; 1]>);

impl Runs {
    pub(super) fn heap_bytes(&self) -> usize {
        if self.0.spilled() {
            allocated(self.0.capacity() * size_of::<Run>())
        } else {
            0
        }
    }

    pub(super) fn get(&self, mut index: usize) -> Option<ElementId> {
        for run in &self.0 {
            if index < run.len as usize {
                return Some(run.get(index as u32));
            }
            index -= run.len as usize;
        }
        None
    }

    pub(super) fn find(&self, id: ElementId) -> Option<usize> {
        let mut before = 0;
        for run in &self.0 {
            if let Some(index) = run.find(id) {
                return Some(before + index as usize);
            }
            before += run.len as usize;
        }
        None
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ElementId> {
        self.0
            .iter()
            .flat_map(|run| (0..run.len).map(|index| run.get(index)))
    }

    #[inline]
    pub(super) fn push_back(&mut self, id: ElementId) {
        self.push_run_back(Run::one(id));
    }

    #[inline]
    pub(super) fn push_front(&mut self, id: ElementId) {
        let new = Run::one(id);
        if let Some(first) = self.0.first_mut()
            && let Some(step) = new.joins(first)
        {
            *first = Run {
                len: first.len + 1,
                step,
                ..new
            };
        } else {
            self.0.insert(0, new);
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<ElementId> {
        let first = self.0.first_mut()?;
        let id = first.get(0);
        if first.len == 1 {
            self.0.remove(0);
        } else {
            *first = Run {
                number: first.get(1).number,
                len: first.len - 1,
                ..*first
            }
            .settled();
        }
        Some(id)
    }

    #[inline]
    pub(super) fn pop_back(&mut self) -> Option<ElementId> {
        let last = self.0.last_mut()?;
        let id = last.get(last.len - 1);
        if last.len == 1 {
            self.0.pop();
        } else {
            *last = Run {
                len: last.len - 1,
                ..*last
            }
            .settled();
        }
        Some(id)
    }

    pub(super) fn insert(&mut self, index: usize, id: ElementId) {
        let tail = self.split_off(index);
        self.push_back(id);
        self.append(&tail);
    }

    pub(super) fn remove(&mut self, index: usize, count: usize) {
        let mut removed = self.split_off(index);
        let tail = removed.split_off(count);
        self.append(&tail);
    }

    pub(super) fn split_off(&mut self, mut index: usize) -> Runs {
        for at in 0..self.0.len() {
            let run = &mut self.0[at];
            if index < run.len as usize {
                let mut tail = SmallVec::new();
                let keep = if index == 0 {
                    at
                } else {
                    tail.push(run.split_off(index as u32));
                    *run = run.settled();
                    at + 1
                };
                tail.extend(self.0.drain(keep..));
                return Runs(tail);
            }
            index -= run.len as usize;
        }
        Runs::default()
    }

    pub(super) fn append(&mut self, other: &Runs) {
        for &run in &other.0 {
            self.push_run_back(run);
        }
    }

    fn push_run_back(&mut self, next: Run) {
        if let Some(last) = self.0.last_mut()
            && let Some(step) = last.joins(&next)
        {
            *last = Run {
                len: last.len + next.len,
                step,
                ..*last
            };
        } else {
            self.0.push(next);
        }
    }

    /// Appends the runs: their count, then `len`, `node`, `number` and `step` of each.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        for run in &self.0 {
            put_varint(out, u64::from(run.len));
            put_varint(out, u64::from(run.node));
            put_varint(out, run.number);
            put_varint(out, zigzag(i64::from(run.step)));
        }
    }

    /// Reads runs that together hold exactly `total` ids.
    pub(super) fn decode(reader: &mut Reader<'_>, total: usize) -> Result<Runs, DecodeError> {
        let mut runs = Runs::default();
        let mut left = total;
        for _ in 0..reader.count(4)? {
            let len = u32::try_from(reader.varint()?).map_err(|_| DecodeError::Range)?;
            let node = u16::try_from(reader.varint()?).map_err(|_| DecodeError::Range)?;
            let number = reader.varint()?;
            let step = unzigzag(reader.varint()?);
            let single = len == 1 && step == 0;
            if len == 0 || !(single || len > 1 && step.abs() == 1) {
                return Err(DecodeError::Ids);
            }
            // Numbers do not wrap in any run that was written.
            let last = number.checked_add_signed(step * i64::from(len - 1));
            last.filter(|&last| last < u64::MAX && number < u64::MAX)
                .ok_or(DecodeError::Range)?;
            left = left.checked_sub(len as usize).ok_or(DecodeError::Ids)?;
            runs.push_run_back(Run {
                number,
                len,
                node,
                step: step as i8,
            });
        }
        if left == 0 {
            Ok(runs)
        } else {
            Err(DecodeError::Ids)
        }
    }

    /// The greatest number that `node` gave here. O(runs).
    pub(super) fn number_max(&self, node: u16) -> Option<u64> {
        let ends = |run: &Run| run.get(0).number.max(run.get(run.len - 1).number);
        self.0.iter().filter(|run| run.node == node).map(ends).max()
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own(number: u64) -> ElementId {
        ElementId { node: 0, number }
    }

    #[test]
    fn a_queue_is_one_run_whichever_end_it_grows_at() {
        let (mut tail, mut head) = (Runs::default(), Runs::default());
        for number in 0..1000 {
            tail.push_back(own(number));
            head.push_front(own(number));
        }
        assert_eq!((tail.runs(), head.runs()), (1, 1));
        assert_eq!(head.get(0), Some(own(999)));
        assert_eq!(head.find(own(10)), Some(989));
        let cut = tail.split_off(400);
        tail.append(&cut);
        assert_eq!(tail.runs(), 1);
    }

    proptest! {
        #[test]
        fn behaves_as_a_vector_of_ids(
            ops in prop::collection::vec((0u8..8, any::<usize>(), 0u64..40, 0u16..2), 1..120)
        ) {
            let mut runs = Runs::default();
            let mut model: Vec<ElementId> = Vec::new();
            for (op, at, number, node) in ops {
                let id = ElementId { node, number };
                let at = at % (model.len() + 1);
                let fresh = !model.contains(&id);
                match op {
                    0 | 1 if fresh => { runs.push_back(id); model.push(id); }
                    2 if fresh => { runs.push_front(id); model.insert(0, id); }
                    3 if fresh => { runs.insert(at, id); model.insert(at, id); }
                    4 => prop_assert_eq!(
                        runs.pop_front(),
                        (!model.is_empty()).then(|| model.remove(0))
                    ),
                    5 => prop_assert_eq!(runs.pop_back(), model.pop()),
                    6 => {
                        let tail = runs.split_off(at);
                        prop_assert!(tail.iter().eq(model[at..].iter().copied()));
                        runs.append(&tail);
                    }
                    7 if at < model.len() => { runs.remove(at, 1); model.remove(at); }
                    _ => {}
                }
                prop_assert!(runs.iter().eq(model.iter().copied()));
                prop_assert_eq!(runs.find(id), model.iter().position(|&other| other == id));
                prop_assert_eq!(runs.get(at), model.get(at).copied());
                let mut out = Vec::new();
                runs.encode(&mut out);
                let decoded = Runs::decode(&mut Reader::new(&out), model.len());
                prop_assert!(decoded.is_ok_and(|decoded| decoded.iter().eq(runs.iter())));
            }
        }
    }
}
