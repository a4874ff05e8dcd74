//! The order of a list's elements when nodes insert at the same time: a sequence CRDT.
//!
//! It is for the concurrent part of one list, on top of a stable [`Base`] that may be large. It
//! knows ids and places; values, and which effect removes what, are the caller's. It is not the
//! list that commands read: [`edits`](Sequence::edits) says how that differs from the base.
//!
//! The rule: the place of an element is a function of its insertion and of what the author had
//! seen, never of what arrives when. So nodes with the same effects have the same order, and two
//! elements never change places. The order is that of a Fugue tree (Weidner and Kleppmann, "The Art
//! of the Fugue", 2023). An insertion's *left origin* is the element that its author saw before the
//! place: none for `Head`, the last for `Tail`, the reference or the one before it. Where the
//! author had seen no right child of it, the new element becomes one; else it becomes a left child
//! of what followed. Siblings on one side stand by a key that the caller gives.
//!
//! What follows from it:
//!
//! - All that one author puts into one place forms one subtree: runs of LPUSH, RPUSH and LINSERT,
//!   also mixed, of two authors who had seen the same stand one behind the other, whole. (Where
//!   what they had seen differs too, another author's element may stand between two that one author
//!   inserted backwards: the paper's plain Fugue, not FugueMax.)
//! - The left origin is an element that was visible to its author, so what was removed matters to
//!   nothing once the removal is stable. A reference that the author cannot have seen, or had seen
//!   removed, is no order from a client; it counts as `Tail`.
//! - A removed element keeps its place among the others, and is not shown, until it is stable. A
//!   concurrent change of its value does not bring it back.
//!
//! When elements may leave the trees for the base is in [`absorb`].

pub mod absorb;
mod base;
mod forest;
#[cfg(test)]
mod model;
mod spine;

use std::collections::BTreeSet;

pub use absorb::Run;
pub use base::Base;
use forest::{Forest, Index, Side, Spot, Up};

use crate::value::ElementId;

/// Where an insertion asks to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before all that its author saw.
    Head,
    /// Behind all that its author saw. `After` the last element that was visible to it, or `Head`
    /// where none was, means the same place and needs no search for that element.
    Tail,
    /// Right before an element.
    Before(ElementId),
    /// Right behind an element.
    After(ElementId),
}

/// What the author of an insertion had seen: its causal past on this key.
pub trait Past {
    /// Whether the insertion of `id` is in it. Asked about unstable elements only: those of the
    /// base are in every past. Must hold for whatever that insertion had seen itself.
    fn holds(&self, id: ElementId) -> bool;
    /// Whether a removal of `id` is in it.
    fn removed(&self, id: ElementId) -> bool;
    /// Whether a removal of all that is in the base is in it (DEL). Only makes the search for a
    /// visible element of the base shorter.
    fn base_removed(&self) -> bool {
        false
    }
}

/// How the visible list differs from the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// All that is in the base goes.
    Clear,
    /// One element of the base goes.
    Remove(ElementId),
    /// Elements come in. `after` is in the base and goes, if it does, by a later edit.
    Insert(Run),
}

/// What an unstable element hangs on, by id: for what must outlive this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// The gap behind a base element, or (none) before all of them.
    Gap {
        /// The base element.
        after: Option<ElementId>,
        /// See [`absorb`].
        rank: i64,
    },
    /// It is a left child of another unstable element.
    LeftOf(ElementId),
    /// It is a right child of another unstable element.
    RightOf(ElementId),
}

/// The unstable elements of one list, in their order. `K` orders siblings: unique for each
/// insertion and the same on every node, such as HLC, fork-choice hash and ref.
#[derive(Debug, Clone)]
pub struct Sequence<K> {
    forest: Forest<K>,
    /// Elements of the base with an unstable removal.
    covered: BTreeSet<ElementId>,
    base_covered: bool,
}

impl<K: Ord> Default for Sequence<K> {
    fn default() -> Self {
        Sequence::new()
    }
}

impl<K: Ord> Sequence<K> {
    /// Nothing unstable: the visible list is the base.
    pub fn new() -> Self {
        Sequence {
            forest: Forest::new(),
            covered: BTreeSet::new(),
            base_covered: false,
        }
    }

    /// Unstable elements, removed ones too. O(1).
    pub fn len(&self) -> usize {
        self.forest.len()
    }

    /// Whether no element is unstable.
    pub fn is_empty(&self) -> bool {
        self.forest.len() == 0
    }

    /// Whether `id` is an unstable element here. O(log elements).
    pub fn contains(&self, id: ElementId) -> bool {
        self.forest.find(id).is_some()
    }

    /// Places an element; false, and no change, where it is here already. Its author must have
    /// seen all of the base.
    ///
    /// O(log elements) for a run at either end or behind an element (about 0.6 us), and beyond
    /// that: the siblings at the place, of which each stream has at most one and which 1,000
    /// concurrent branches make 3 us; the places where concurrent insertions part a run; for `Tail`
    /// and `Before`, the removed elements between the place and the visible one before it, about
    /// 11 ns each; look-ups in the base.
    pub fn insert(
        &mut self,
        id: ElementId,
        key: K,
        place: Place,
        past: &impl Past,
        base: &impl Base,
    ) -> bool {
        if self.contains(id) {
            return false;
        }
        let up = match self.left_origin(place, past, base) {
            Spot::Node(origin) => {
                let children = self.forest.node(origin).children(Side::Right);
                match self.first_seen(children, past) {
                    Some(next) => next,
                    None => Up::Child {
                        of: origin,
                        side: Side::Right,
                    },
                }
            }
            Spot::Base(after) => {
                let roots = self.forest.roots(after);
                let open = roots.partition_point(|&root| self.forest.root_order(root).0 <= 0);
                match self.first_seen(&roots[..open], past) {
                    Some(next) => next,
                    None => Up::Gap { after, rank: 0 },
                }
            }
        };
        self.forest.hang(id, key, up);
        true
    }

    /// Hides an element, which keeps its place; false, and no change, where it is neither unstable
    /// nor in the base. O(log elements), and for one of the base a look-up there.
    pub fn remove(&mut self, id: ElementId, base: &impl Base) -> bool {
        if let Some(index) = self.forest.find(id) {
            self.forest.node_mut(index).removed = true;
            return true;
        }
        let known = base.position(id).is_some();
        if known {
            self.covered.insert(id);
        }
        known
    }

    /// Hides the whole base (DEL), without a note for each element. O(1).
    pub fn cover_base(&mut self) {
        self.base_covered = true;
    }

    /// Whether an element of the base is hidden. O(log covered).
    pub fn covers(&self, id: ElementId) -> bool {
        self.base_covered || self.covered.contains(&id)
    }

    /// The visible list. O(base + unstable elements): for tests and for making a list anew.
    pub fn visible(&self, base: &impl Base) -> impl Iterator<Item = ElementId> {
        let of_base = std::iter::successors(base.first(), |&id| base.after(id)).map(Some);
        std::iter::once(None).chain(of_base).flat_map(|after| {
            let own = after.filter(|&id| !self.covers(id));
            own.into_iter().chain(self.visible_in_gap(after))
        })
    }

    /// How the visible list differs from the base, to be done in this order. O(unstable elements +
    /// covered elements), and where the base is covered as a whole O(gaps x look-up in it).
    pub fn edits(&self, base: &impl Base) -> Vec<Edit> {
        let insert = |(after, ids): (_, Vec<_>)| {
            (!ids.is_empty()).then_some(Edit::Insert(Run { after, ids }))
        };
        if self.base_covered {
            let gaps = self.gaps_in_order(base).into_iter();
            let ids = gaps.flat_map(|after| self.visible_in_gap(after)).collect();
            return std::iter::once(Edit::Clear)
                .chain(insert((None, ids)))
                .collect();
        }
        let gaps = self.forest.gaps();
        let inserts = gaps.filter_map(|after| insert((after, self.visible_in_gap(after))));
        let removes = self.covered.iter().copied().map(Edit::Remove);
        inserts.chain(removes).collect()
    }

    /// The visible element before the unstable `id`; none where there is none or `id` is unknown.
    /// With it a list that shows everything is kept up to date insertion by insertion. Cost as of
    /// [`insert`](Self::insert) with `Before`.
    pub fn visible_before(&self, id: ElementId, base: &impl Base) -> Option<ElementId> {
        let index = self.forest.find(id)?;
        let before = self.forest.before(index, |_| true);
        match self.visible_from(before, &Present(self), base) {
            Spot::Base(id) => id,
            Spot::Node(index) => Some(self.forest.node(index).id),
        }
    }

    /// Every unstable element, parents first, with what [`restore`](Self::restore) needs: id, key,
    /// parent, and whether it was removed. O(elements).
    pub fn placed(&self) -> impl Iterator<Item = (ElementId, &K, Parent, bool)> {
        let mut stack: Vec<Index> = Vec::new();
        let mut gaps = self.forest.gaps();
        std::iter::from_fn(move || {
            while stack.is_empty() {
                stack.extend(self.forest.roots(gaps.next()?));
            }
            let node = self.forest.node(stack.pop()?);
            stack.extend(node.children(Side::Left));
            stack.extend(node.children(Side::Right));
            let parent = match node.up {
                Up::Gap { after, rank } => Parent::Gap { after, rank },
                Up::Child { of, side } => match side {
                    Side::Left => Parent::LeftOf(self.forest.node(of).id),
                    Side::Right => Parent::RightOf(self.forest.node(of).id),
                },
            };
            Some((node.id, &node.key, parent, node.removed))
        })
    }

    /// Puts an element back where [`placed`](Self::placed) said it was; false, and no change,
    /// where it is here already or its parent is not. What is hidden of the base is told by
    /// [`remove`](Self::remove) and [`cover_base`](Self::cover_base). O(log elements).
    pub fn restore(&mut self, id: ElementId, key: K, parent: Parent, removed: bool) -> bool {
        let child = |of: ElementId, side| {
            let of = self.forest.find(of)?;
            Some(Up::Child { of, side })
        };
        let up = match parent {
            Parent::Gap { after, rank } => Some(Up::Gap { after, rank }),
            Parent::LeftOf(id) => child(id, Side::Left),
            Parent::RightOf(id) => child(id, Side::Right),
        };
        let Some(up) = up.filter(|_| !self.contains(id)) else {
            return false;
        };
        let index = self.forest.hang(id, key, up);
        self.forest.node_mut(index).removed = removed;
        true
    }

    /// The place before the first of `siblings` that the author saw, and before all that it saw of
    /// that subtree.
    fn first_seen(&self, siblings: &[Index], past: &impl Past) -> Option<Up> {
        let holds = |id| past.holds(id);
        let top = self.forest.first_held(siblings, holds)?;
        Some(Up::Child {
            of: self.forest.outermost(top, Side::Left, holds),
            side: Side::Left,
        })
    }

    fn left_origin(&self, place: Place, past: &impl Past, base: &impl Base) -> Spot {
        let reference = |id| self.seen(id, past, base);
        let asked = match place {
            Place::Head => Some(Spot::Base(None)),
            Place::Tail => None,
            Place::After(id) => reference(id),
            Place::Before(id) => reference(id).map(|spot| {
                let before = self.before(spot, past, base);
                self.visible_from(before, past, base)
            }),
        };
        asked.unwrap_or_else(|| {
            let last = self.last_gap(base, past);
            self.visible_from(last, past, base)
        })
    }

    /// Where an element is that the author saw.
    fn seen(&self, id: ElementId, past: &impl Past, base: &impl Base) -> Option<Spot> {
        if past.removed(id) {
            return None;
        }
        match self.forest.find(id) {
            Some(index) => past.holds(id).then_some(Spot::Node(index)),
            None => (!past.base_removed() && base.position(id).is_some())
                .then_some(Spot::Base(Some(id))),
        }
    }

    /// `spot`, or the nearest before it that was visible to the author, or the start.
    fn visible_from(&self, mut spot: Spot, past: &impl Past, base: &impl Base) -> Spot {
        loop {
            let visible = match spot {
                Spot::Base(None) => true,
                Spot::Base(Some(id)) => !past.base_removed() && !past.removed(id),
                Spot::Node(index) => !past.removed(self.forest.node(index).id),
            };
            if visible {
                return spot;
            }
            spot = self.before(spot, past, base);
        }
    }

    /// What the author saw before `spot`, removed or not.
    fn before(&self, spot: Spot, past: &impl Past, base: &impl Base) -> Spot {
        match spot {
            Spot::Node(index) => self.forest.before(index, |id| past.holds(id)),
            Spot::Base(None) => spot,
            // Of a base that is hidden as a whole only the gaps with something in them matter.
            Spot::Base(Some(id)) if past.base_removed() => {
                let gaps = self.gaps_in_order(base);
                let own = base.position(id);
                let at = gaps.partition_point(|gap| gap.and_then(|gap| base.position(gap)) < own);
                let after = at.checked_sub(1).and_then(|at| gaps[at]);
                self.forest.last_in_gap(after, |id| past.holds(id))
            }
            Spot::Base(Some(id)) => self
                .forest
                .last_in_gap(base.before(id), |id| past.holds(id)),
        }
    }

    fn last_gap(&self, base: &impl Base, past: &impl Past) -> Spot {
        self.forest.last_in_gap(base.last(), |id| past.holds(id))
    }

    fn gaps_in_order(&self, base: &impl Base) -> Vec<Option<ElementId>> {
        let mut gaps: Vec<_> = self.forest.gaps().collect();
        gaps.sort_by_cached_key(|gap| gap.and_then(|id| base.position(id)));
        gaps
    }

    fn visible_in_gap(&self, after: Option<ElementId>) -> Vec<ElementId> {
        let nodes = self.forest.in_order(after).into_iter();
        let visible = nodes.map(|index| self.forest.node(index));
        visible
            .filter(|node| !node.removed)
            .map(|node| node.id)
            .collect()
    }
}

/// The past of somebody who has seen all that is here.
struct Present<'a, K>(&'a Sequence<K>);

impl<K: Ord> Past for Present<'_, K> {
    fn holds(&self, _: ElementId) -> bool {
        true
    }

    fn removed(&self, id: ElementId) -> bool {
        let Sequence {
            forest, covered, ..
        } = self.0;
        match forest.find(id) {
            Some(index) => forest.node(index).removed,
            None => covered.contains(&id),
        }
    }

    fn base_removed(&self) -> bool {
        self.0.base_covered
    }
}
