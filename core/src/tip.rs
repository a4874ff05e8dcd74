//! A key's tip set: the effects on which no other known effect of that key depends.
//!
//! One tip is a linear history; more are concurrent branches. One tip is stored inline.

use smallvec::SmallVec;

use crate::id::EffectRef;
use crate::merge::VersionVector;

/// A tip is the ref of an effect that nothing known depends on.
pub type Tip = EffectRef;

/// The current branches of a key, sorted and without doubles, so that equal sets are equal bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TipSet(SmallVec<[Tip; 1]>);

impl TipSet {
    /// The tip set of a key with one branch.
    pub fn one(tip: Tip) -> Self {
        TipSet(SmallVec::from_buf([tip]))
    }

    /// The tips, in order.
    pub fn as_slice(&self) -> &[Tip] {
        &self.0
    }

    /// Whether the key has never been written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a branch. O(number of tips).
    pub fn insert(&mut self, tip: Tip) {
        if let Err(at) = self.0.binary_search(&tip) {
            self.0.insert(at, tip);
        }
    }

    /// Replaces the tips that an effect consumed by that effect. O(tips x deps).
    pub fn advance(&mut self, deps: &[Tip], to: Tip) {
        self.0.retain(|tip| !deps.contains(tip));
        self.insert(to);
    }

    /// Replaces the tips that an effect observed, directly or through others, by that effect. A
    /// stream has one tip at most, for its effects on a key are a chain. O(m log n), m being the
    /// smaller of the numbers of tips and of streams observed.
    pub fn advance_over(&mut self, seen: &VersionVector, to: Tip) {
        if seen.as_slice().len() >= self.0.len() {
            self.0.retain(|tip| !seen.contains(*tip));
        } else {
            for last in seen.as_slice() {
                // The highest tip that is not after the stream's last observed effect.
                let after = self.0.partition_point(|tip| tip <= last);
                let stream = |tip: &Tip| (tip.node, tip.offset.stream());
                if after > 0 && stream(&self.0[after - 1]) == stream(last) {
                    self.0.remove(after - 1);
                }
            }
        }
        self.insert(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{NodeId, Offset};

    fn tip(node: u64, counter: u64) -> Tip {
        Tip {
            node: NodeId(node),
            offset: Offset::new(0, counter),
        }
    }

    #[test]
    fn equal_sets_are_equal_whatever_the_order_of_arrival() {
        let mut a = TipSet::one(tip(1, 5));
        let mut b = TipSet::one(tip(2, 3));
        a.insert(tip(2, 3));
        b.insert(tip(1, 5));
        b.insert(tip(1, 5));
        assert_eq!(a, b);
    }

    #[test]
    fn an_effect_replaces_the_tips_it_observed_through_others() {
        let seen = VersionVector::of(&[tip(2, 3), tip(4, 1)]);
        for count in [2, 9] {
            let mut tips = TipSet::default();
            (1..=count).for_each(|node| tips.insert(tip(node, 3)));
            tips.advance_over(&seen, tip(4, 7));
            let want = (1..=count)
                .filter(|node| *node != 2)
                .map(|node| tip(node, 3));
            let mut want: Vec<Tip> = want.collect();
            want.push(tip(4, 7));
            want.sort_unstable();
            assert_eq!(tips.as_slice(), want);
        }
    }

    #[test]
    fn an_effect_replaces_only_the_tips_it_observed() {
        let mut tips = TipSet::one(tip(1, 5));
        tips.insert(tip(2, 3));
        tips.advance(&[tip(1, 5)], tip(1, 6));
        assert_eq!(tips.as_slice(), &[tip(1, 6), tip(2, 3)]);
    }
}
