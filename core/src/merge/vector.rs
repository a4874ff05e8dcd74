//! Version vectors: up to where each stream's effects are meant.
//!
//! After Parker and others, "Detection of Mutual Inconsistency in Distributed Systems" (IEEE TSE
//! 1983). Restricted to one key, the effects of one stream are a chain, so a counter for each
//! stream names a causally closed set of the key's effects, and "a observes b" is one look-up.

use smallvec::SmallVec;

use crate::id::{EffectRef, NodeId, Offset};

/// For each stream the highest counter that is meant; a stream that is not named means none of its
/// effects. Two entries, the most that two writers need, lie inline; 16 bytes each.
///
/// An entry is the ref of the stream's last effect, so entries in the order of refs are in the order
/// of `(node, stream)`, and equal vectors are equal bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionVector(SmallVec<[EffectRef; 2]>);

fn stream_of(at: EffectRef) -> (NodeId, u16) {
    (at.node, at.offset.stream())
}

impl VersionVector {
    /// The vector that means exactly what stands at or before each of `refs` in its stream.
    /// O(n log n).
    pub fn of(refs: &[EffectRef]) -> Self {
        let mut vector = VersionVector::default();
        for &at in refs {
            vector.advance(at);
        }
        vector
    }

    /// Whether no effect is meant.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last effect of each stream, by node and stream.
    pub fn as_slice(&self) -> &[EffectRef] {
        &self.0
    }

    fn position(&self, at: EffectRef) -> Result<usize, usize> {
        self.0
            .binary_search_by(|entry| stream_of(*entry).cmp(&stream_of(at)))
    }

    /// Whether effect `at` is meant. The root is in every vector. O(log streams).
    #[inline]
    pub fn contains(&self, at: EffectRef) -> bool {
        at == EffectRef::ROOT
            || self
                .position(at)
                .is_ok_and(|index| self.0[index].offset >= at.offset)
    }

    /// The last effect of `stream` of `node`, `None` where none is meant. O(log streams).
    pub fn last_of(&self, node: NodeId, stream: u16) -> Option<EffectRef> {
        let at = EffectRef {
            node,
            offset: Offset::new(stream, 0),
        };
        self.position(at).ok().map(|index| self.0[index])
    }

    /// Adds `at` and what stands before it in its stream. O(streams) for a new stream.
    pub fn advance(&mut self, at: EffectRef) {
        if at == EffectRef::ROOT {
            return;
        }
        match self.position(at) {
            Ok(index) => self.0[index] = self.0[index].max(at),
            Err(index) => self.0.insert(index, at),
        }
    }

    /// Adds everything that `other` means. O(streams of both), or less where `other` has few.
    pub fn join(&mut self, other: &VersionVector) {
        if self.0.is_empty() {
            return self.clone_from(other);
        }
        if other.0.len() <= 1 + self.0.len() / 16 {
            return other.0.iter().for_each(|&at| self.advance(at));
        }
        let mine = std::mem::take(&mut self.0);
        let mut theirs = other.0.iter().copied().peekable();
        for at in mine {
            while let Some(before) = theirs.next_if(|t| stream_of(*t) < stream_of(at)) {
                self.0.push(before);
            }
            let same = theirs.next_if(|t| stream_of(*t) == stream_of(at));
            self.0.push(same.map_or(at, |same| same.max(at)));
        }
        self.0.extend(theirs);
    }

    /// Bytes on the heap: 0 for up to two streams.
    pub fn heap_bytes(&self) -> usize {
        if self.0.spilled() {
            self.0.capacity() * size_of::<EffectRef>()
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at((node, stream, counter): (u64, u16, u64)) -> EffectRef {
        EffectRef {
            node: NodeId(node),
            offset: Offset::new(stream, counter),
        }
    }

    type Names = Vec<(u64, u16, u64)>;

    fn names() -> impl Strategy<Value = Names> {
        prop::collection::vec((1u64..5, 0u16..3, 1u64..9), 0..12)
    }

    proptest! {
        #[test]
        fn a_join_means_what_either_meant(a in names(), b in names()) {
            let of = |names: &Names| {
                VersionVector::of(&names.iter().copied().map(at).collect::<Vec<_>>())
            };
            let mut joined = of(&a);
            joined.join(&of(&b));
            let mut model = BTreeMap::new();
            for &(node, stream, counter) in a.iter().chain(&b) {
                let last = model.entry((node, stream)).or_insert(0);
                *last = counter.max(*last);
            }
            let want: Vec<_> = model.iter().map(|(&(n, s), &c)| at((n, s, c))).collect();
            prop_assert_eq!(joined.as_slice(), &want[..]);
            let mut back = of(&b);
            back.join(&of(&a));
            prop_assert_eq!(&joined, &back);
            for name in a.iter().chain(&b) {
                prop_assert!(joined.contains(at(*name)));
                let last = joined.last_of(NodeId(name.0), name.1).unwrap();
                let next = at((name.0, name.1, last.offset.counter() + 1));
                prop_assert!(!joined.contains(next));
            }
        }
    }

    #[test]
    fn the_root_is_always_meant_and_never_an_entry() {
        let mut vector = VersionVector::default();
        vector.advance(EffectRef::ROOT);
        assert!(vector.is_empty() && vector.contains(EffectRef::ROOT));
    }
}
