//! Version vectors: how much of every stream a node holds.
//!
//! A stream's effects are numbered densely, so one counter says "all of these, up to here". A
//! version vector has one for each stream, and is all that two nodes must compare to know what the
//! other lacks: its size follows the streams, not the effects or the keys (Parker et al.,
//! "Detection of Mutual Inconsistency in Distributed Systems", IEEE TSE 1983).
//!
//! It is not the causal past of one effect: an effect names its own dependencies. The rule kept
//! here is density: a counter in the vector claims every effect of the stream up to it, so whoever
//! raises it must hold them all.

use crate::id::{COUNTER_MAX, EffectRef, NodeId, Offset};

/// One shard's sequence of effects: what a version vector counts by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StreamId {
    /// The node that writes it.
    pub node: NodeId,
    /// The shard that writes it.
    pub number: u16,
}

impl StreamId {
    /// The stream that an effect belongs to.
    #[inline]
    pub const fn of(effect: EffectRef) -> Self {
        StreamId {
            node: effect.node,
            number: effect.offset.stream(),
        }
    }

    /// The effect of this stream with the given counter, at most [`COUNTER_MAX`].
    #[inline]
    pub const fn at(self, counter: u64) -> EffectRef {
        EffectRef {
            node: self.node,
            offset: Offset::new(self.number, counter),
        }
    }
}

/// Consecutive effects of one stream: from `first` to `last`, both among them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Run {
    /// The stream.
    pub stream: StreamId,
    /// Counter of the first effect, at least 1.
    pub first: u64,
    /// Counter of the last effect, at least `first`.
    pub last: u64,
}

impl Run {
    /// How many effects: at least 1.
    pub const fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Never: a run has at least one effect.
    pub const fn is_empty(&self) -> bool {
        false
    }
}

/// Per stream the counter up to which every effect is held. Streams of which nothing is held are
/// not in it, so equal knowledge is equal bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct VersionVector(Vec<(StreamId, u64)>);

impl VersionVector {
    /// The vector of a node that holds nothing.
    pub const fn new() -> Self {
        VersionVector(Vec::new())
    }

    /// Number of streams of which anything is held.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The streams in order, each with its counter, which is at least 1.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (StreamId, u64)> {
        self.0.iter().copied()
    }

    /// The counter up to which `stream` is held; 0 for nothing. O(log streams).
    #[inline]
    pub fn get(&self, stream: StreamId) -> u64 {
        match self.find(stream) {
            Ok(at) => self.0[at].1,
            Err(_) => 0,
        }
    }

    /// Whether the effect is held. The root is held by everyone. O(log streams).
    #[inline]
    pub fn holds(&self, effect: EffectRef) -> bool {
        effect.offset.counter() <= self.get(StreamId::of(effect))
    }

    /// Claims every effect of `stream` up to `counter`. A lower counter than the vector has changes
    /// nothing. O(log streams), O(streams) for a new stream.
    pub fn raise(&mut self, stream: StreamId, counter: u64) {
        assert!(counter <= COUNTER_MAX, "a counter has 48 bits");
        if counter == 0 {
            return;
        }
        match self.find(stream) {
            Ok(at) => self.0[at].1 = self.0[at].1.max(counter),
            Err(at) => self.0.insert(at, (stream, counter)),
        }
    }

    /// The join: holds what either holds. O(streams of both).
    pub fn merge(&mut self, other: &VersionVector) {
        for (stream, counter) in other.iter() {
            self.raise(stream, counter);
        }
    }

    /// The meet: holds what both hold. The meet over all members is what is stable. O(streams log
    /// streams).
    pub fn meet(&mut self, other: &VersionVector) {
        self.0.retain_mut(|(stream, counter)| {
            *counter = (*counter).min(other.get(*stream));
            *counter > 0
        });
    }

    /// Whether everything that `other` holds is held here. O(streams log streams).
    pub fn dominates(&self, other: &VersionVector) -> bool {
        other
            .iter()
            .all(|(stream, counter)| self.get(stream) >= counter)
    }

    /// What `other` holds and this vector lacks: at most one run for each stream, in the order of
    /// the streams. It is both what to ask `other` for and, seen from there, what to send.
    pub fn missing<'a>(&'a self, other: &'a VersionVector) -> impl Iterator<Item = Run> + 'a {
        other.iter().filter_map(|(stream, last)| {
            let first = self.get(stream) + 1;
            (first <= last).then_some(Run {
                stream,
                first,
                last,
            })
        })
    }

    #[inline]
    fn find(&self, stream: StreamId) -> Result<usize, usize> {
        self.0.binary_search_by(|(held, _)| held.cmp(&stream))
    }
}

impl FromIterator<(StreamId, u64)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (StreamId, u64)>>(counters: I) -> Self {
        let mut vector = VersionVector::new();
        for (stream, counter) in counters {
            vector.raise(stream, counter);
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(node: u64, number: u16) -> StreamId {
        StreamId {
            node: NodeId(node),
            number,
        }
    }

    fn vectors() -> impl Strategy<Value = VersionVector> {
        proptest::collection::vec(((0u64..4, 0u16..2), 0u64..6), 0..8).prop_map(|counters| {
            counters
                .into_iter()
                .map(|((node, number), counter)| (stream(node, number), counter))
                .collect()
        })
    }

    fn joined(a: &VersionVector, b: &VersionVector) -> VersionVector {
        let mut joined = a.clone();
        joined.merge(b);
        joined
    }

    fn met(a: &VersionVector, b: &VersionVector) -> VersionVector {
        let mut met = a.clone();
        met.meet(b);
        met
    }

    #[test]
    fn nothing_held_is_an_empty_vector_and_the_root_is_always_held() {
        let mut vector = VersionVector::new();
        vector.raise(stream(1, 0), 0);
        assert!(vector.is_empty());
        assert!(vector.holds(EffectRef::ROOT));
        assert!(!vector.holds(stream(1, 0).at(1)));
    }

    #[test]
    fn streams_of_one_node_are_counted_apart() {
        let mut vector = VersionVector::new();
        vector.raise(stream(1, 0), 5);
        vector.raise(stream(1, 1), 2);
        assert!(vector.holds(stream(1, 0).at(5)));
        assert!(!vector.holds(stream(1, 1).at(5)));
        assert_eq!(vector.len(), 2);
    }

    #[test]
    fn missing_names_what_the_other_has_more() {
        let mine: VersionVector = [(stream(1, 0), 5), (stream(2, 0), 9)].into_iter().collect();
        let theirs = [(stream(1, 0), 8), (stream(2, 0), 3), (stream(3, 0), 1)];
        let theirs: VersionVector = theirs.into_iter().collect();
        let missing: Vec<Run> = mine.missing(&theirs).collect();
        let run = |node, first, last| Run {
            stream: stream(node, 0),
            first,
            last,
        };
        assert_eq!(missing, [run(1, 6, 8), run(3, 1, 1)]);
        assert_eq!(missing[0].len(), 3);
    }

    proptest! {
        #[test]
        fn join_and_meet_are_a_lattice(a in vectors(), b in vectors(), c in vectors()) {
            prop_assert_eq!(joined(&a, &b), joined(&b, &a));
            prop_assert_eq!(met(&a, &b), met(&b, &a));
            prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
            prop_assert_eq!(met(&met(&a, &b), &c), met(&a, &met(&b, &c)));
            prop_assert_eq!(joined(&a, &met(&a, &b)), a.clone());
            prop_assert_eq!(met(&a, &joined(&a, &b)), a);
        }

        #[test]
        fn a_vector_dominates_what_was_merged_into_it(a in vectors(), b in vectors()) {
            let both = joined(&a, &b);
            prop_assert!(both.dominates(&a) && both.dominates(&b));
            prop_assert!(a.dominates(&met(&a, &b)));
            prop_assert_eq!(a.dominates(&b), joined(&a, &b) == a);
        }

        #[test]
        fn after_fetching_what_was_missing_nothing_is(a in vectors(), b in vectors()) {
            let mut filled = a.clone();
            for run in a.missing(&b) {
                prop_assert_eq!(filled.get(run.stream) + 1, run.first);
                filled.raise(run.stream, run.last);
            }
            prop_assert_eq!(&filled, &joined(&a, &b));
            prop_assert_eq!(filled.missing(&b).count(), 0);
            prop_assert_eq!(filled.dominates(&b), true);
        }
    }
}
