//! Absorbing: stable elements leave the trees for the base, at any moment, with any others staying.
//!
//! An element may be absorbed when everything that can still arrive observes its insertion, and
//! all that it hangs on is absorbed before it or with it. That is all: what stays need not observe
//! it, so two nodes that push without a pause do not hold each other's history. Why the base, which
//! keeps an order only, is enough for what a tree would say:
//!
//! - What stays hangs on what stays, or on something absorbed; nothing absorbed hangs on what
//!   stays. So between two neighbours of the base, `a` and `b`, stand whole subtrees of what stays.
//!   Their tops become the *roots* of the gap; inside them nothing changes.
//! - A later insertion with left origin `a` observes `a` and `b`. Where it observes no root, the
//!   tree gives it one place: where `b` stands in the right subtree of `a`, it is a left child of
//!   `b`, after all that is in the gap for other reasons; else it is a right child of `a`, before
//!   all of it. In both cases it stands by key among the roots that already hang there.
//! - So each root needs one number beside its key, its *rank*: 0 in that one open place, below or
//!   above 0 for what stands before or behind it and is joined by nothing any more. Where an
//!   insertion does observe a root: the first one that it observes stands in the open place or
//!   before it, and then it is a left child in that root's subtree as in any Fugue tree; or behind
//!   it, and then `a` has no right child that it observes, and the place is the open one again.
//! - A removed element `b` leaves the base when everything that can still arrive observes its
//!   removal. A left origin is visible to its author, so nothing will stand right behind `b`
//!   again: the roots there are joined by nothing any more, and go to the gap before `b`, behind
//!   all that is there.
//!
//! Which of its stable elements a node has absorbed changes no order. The tests hold nodes that
//! absorb at random moments against one tree of everything.

use std::cmp::Ordering;

use super::Sequence;
use super::base::Base;
use super::forest::{Index, Side, Step, Up};
use crate::value::ElementId;

/// Elements that go into the base next to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The base element that they follow, one that was there before; none is the start.
    pub after: Option<ElementId>,
    /// The elements in order, at least one.
    pub ids: Vec<ElementId>,
}

impl<K: Ord> Sequence<K> {
    /// Takes out the elements that are `stable`, and tells where they go in the base; the caller
    /// puts them there before any other call. One that was removed goes there too, until
    /// [`forget`](Self::forget). One that hangs on an element that is not stable stays, as do all
    /// while the whole base is covered.
    ///
    /// `stable` must be false of any element whose insertion something that can still arrive does
    /// not observe. O((gaps + absorbed + what hung on them) log elements).
    pub fn absorb(&mut self, stable: impl Fn(ElementId) -> bool) -> Vec<Run> {
        if self.base_covered {
            return Vec::new();
        }
        let is_stable = |&root: &Index| stable(self.forest.node(root).id);
        let touched = |&after: &Option<ElementId>| self.forest.roots(after).iter().any(is_stable);
        let gaps: Vec<Option<ElementId>> = self.forest.gaps().filter(touched).collect();
        gaps.into_iter()
            .map(|after| self.absorb_gap(after, &stable))
            .collect()
    }

    fn absorb_gap(&mut self, after: Option<ElementId>, stable: &impl Fn(ElementId) -> bool) -> Run {
        let steps: Vec<Step> = self.forest.walk(after, stable).collect();
        // What is absorbed parts the others into the new gaps.
        let mut gaps = Vec::new();
        let mut left = None;
        let mut rest = &steps[..];
        loop {
            let at = rest.iter().position(|step| step.open);
            let between = &rest[..at.unwrap_or(rest.len())];
            let right = at.map(|at| &rest[at]);
            let roots = self.rank_roots(left, between, right, stable);
            gaps.push((
                left.map_or(after, |left| Some(self.forest.node(left).id)),
                roots,
            ));
            let Some(at) = at else { break };
            left = Some(rest[at].index);
            rest = &rest[at + 1..];
        }
        let mut ids = Vec::new();
        for step in steps.iter().filter(|step| step.open) {
            let node = self.forest.take(step.index);
            if node.removed {
                self.covered.insert(node.id);
            }
            ids.push(node.id);
        }
        for (after, roots) in gaps {
            self.forest.set_gap(after, roots);
        }
        Run { after, ids }
    }

    /// The elements `between` two new neighbours of the base, as roots with their ranks. No `left`
    /// is the old base element before the gap, no `right` the one behind it.
    fn rank_roots(
        &self,
        left: Option<Index>,
        between: &[Step],
        right: Option<&Step>,
        stable: &impl Fn(ElementId) -> bool,
    ) -> Vec<(Index, i64)> {
        let child = |of, side| Some(Up::Child { of, side });
        let is_stable = |&index: &Index| stable(self.forest.node(index).id);
        let ends = |left| {
            let children = self.forest.node(left).children(Side::Right);
            !children.iter().any(is_stable)
        };
        // What a root hangs on that stands in the one place that is still open, and where the
        // others are: before it or behind it. None is the open place that the gap had.
        let (open, others) = match (left, right) {
            (Some(left), _) if ends(left) => (child(left, Side::Right), Ordering::Greater),
            (_, Some(right)) if left.is_some() || right.root_rank <= 0 => {
                (child(right.index, Side::Left), Ordering::Less)
            }
            _ => (None, Ordering::Greater),
        };
        let stand = |up| match (open, up) {
            (None, Up::Gap { rank, .. }) => rank.cmp(&0),
            _ if open == Some(up) => Ordering::Equal,
            _ => others,
        };
        let stands: Vec<Ordering> = between
            .iter()
            .map(|step| stand(self.forest.node(step.index).up))
            .collect();
        debug_assert!(stands.is_sorted());
        let before = stands.iter().filter(|stand| stand.is_lt()).count() as i64;
        let open = stands.iter().filter(|stand| stand.is_eq()).count() as i64;
        let rank = |(offset, stand): (i64, &Ordering)| match stand {
            Ordering::Less => offset - before,
            Ordering::Equal => 0,
            Ordering::Greater => offset - before - open + 1,
        };
        let indexes = between.iter().map(|step| step.index);
        indexes.zip((0..).zip(&stands).map(rank)).collect()
    }

    /// Prepares for a removed element to leave the base, where it still is. Everything that can
    /// still arrive must observe its removal. O(elements that stand right behind it), and a look-up
    /// in the base where there are any.
    pub fn forget(&mut self, id: ElementId, base: &impl Base) {
        self.covered.remove(&id);
        if !self.forest.roots(Some(id)).is_empty() {
            self.forest.append_gap(Some(id), base.before(id));
        }
    }

    /// Prepares for all elements to leave the base, where they still are, after
    /// [`cover_base`](Self::cover_base). Everything that can still arrive must observe that
    /// removal. O(gaps x (log gaps + look-up in the base)).
    pub fn forget_base(&mut self, base: &impl Base) {
        self.covered.clear();
        self.base_covered = false;
        for after in self.gaps_in_order(base) {
            if after.is_some() {
                self.forest.append_gap(after, None);
            }
        }
    }
}
