//! Spines: chains of only children on one side, as one run of pushes makes them.
//!
//! A thousand LPUSHes give a tree a thousand deep, each the left child of the one before. To find
//! the last of them that an author had seen, a walk would take a thousand steps; along a spine it
//! is a binary search, because whoever has seen a node has seen all above it.
//!
//! The rule kept: every node is in exactly one spine; a node that follows another in a spine is its
//! only child on the spine's side. So the first of a spine is the only one that may have siblings
//! or be a root.

use std::collections::VecDeque;

use super::forest::{Index, Side};

#[derive(Debug, Clone)]
struct Spine {
    /// None while there is one node only: its first child decides.
    side: Option<Side>,
    /// The number of the front node, so that a spine that loses its front renumbers nobody.
    first: u32,
    nodes: VecDeque<Index>,
}

/// Where a node is: its spine and its number there, which wraps.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    spine: u32,
    number: u32,
}

/// The spines of a forest; nodes are named by their index there.
#[derive(Debug, Clone, Default)]
pub(super) struct Spines {
    spines: Vec<Spine>,
    free: Vec<u32>,
    /// By node.
    places: Vec<Place>,
}

impl Spines {
    /// Makes `node` a spine of its own. O(1) amortised.
    pub(super) fn begin(&mut self, node: Index) {
        self.add(Spine {
            side: None,
            first: 0,
            nodes: VecDeque::from([node]),
        });
    }

    /// Makes `child`, the only child of `parent` on `side`, follow it, or begin a spine where
    /// `parent` is not the end of one on that side. O(1) amortised.
    pub(super) fn follow(&mut self, parent: Index, child: Index, side: Side) {
        let place = self.places[parent as usize];
        let spine = &mut self.spines[place.spine as usize];
        let fits = spine.side.is_none_or(|own| own == side);
        if !fits || spine.nodes.back() != Some(&parent) {
            return self.begin(child);
        }
        spine.side = Some(side);
        spine.nodes.push_back(child);
        let number = place.number.wrapping_add(1);
        self.set_place(child, place.spine, number);
    }

    /// Ends the spine of `parent` after it when it goes on to `side`: its child there got a
    /// sibling. O(the shorter part).
    pub(super) fn cut_after(&mut self, parent: Index, side: Side) {
        let Place { spine: at, number } = self.places[parent as usize];
        let spine = &mut self.spines[at as usize];
        let keep = number.wrapping_sub(spine.first) as usize + 1;
        if spine.side != Some(side) || keep == spine.nodes.len() {
            return;
        }
        // The part that moves is the shorter one, so that cutting a run at either end is cheap.
        let tail = spine.nodes.split_off(keep);
        let (stays, moves, first) = if tail.len() <= keep {
            (std::mem::take(&mut spine.nodes), tail, spine.first)
        } else {
            let head = std::mem::take(&mut spine.nodes);
            (tail, head, spine.first.wrapping_add(keep as u32))
        };
        spine.first = first;
        spine.nodes = stays;
        spine.settle();
        let mut moved = Spine {
            side: Some(side),
            first: 0,
            nodes: moves,
        };
        moved.settle();
        self.add(moved);
    }

    /// Takes the first node off the spine that `node` is in. Nodes leave from the top of the tree
    /// down, so that many of one spine may leave in any order of calls. O(1).
    pub(super) fn leave(&mut self, node: Index) {
        let at = self.places[node as usize].spine;
        let spine = &mut self.spines[at as usize];
        spine.nodes.pop_front();
        spine.first = spine.first.wrapping_add(1);
        spine.settle();
        if spine.nodes.is_empty() {
            self.free.push(at);
        }
    }

    /// The furthest node from `node` on along its spine that is `held`, when the spine goes to
    /// `side`, and whether the spine ends there. `held` is true of a first part of any spine.
    /// O(log length), and O(1) where all are held.
    pub(super) fn furthest(
        &self,
        node: Index,
        side: Side,
        held: impl Fn(Index) -> bool,
    ) -> (Index, bool) {
        let Place { spine, number } = self.places[node as usize];
        let spine = &self.spines[spine as usize];
        let last = spine.nodes.len() - 1;
        let mut low = number.wrapping_sub(spine.first) as usize;
        if spine.side != Some(side) || low == last {
            return (node, true);
        }
        if held(spine.nodes[last]) {
            return (spine.nodes[last], true);
        }
        // `low` is held, `high` is not.
        let mut high = last;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if held(spine.nodes[middle]) {
                low = middle;
            } else {
                high = middle;
            }
        }
        (spine.nodes[low], false)
    }

    /// The first node of the spine of `node` when it goes to `side`, else `node`. O(1).
    pub(super) fn top(&self, node: Index, side: Side) -> Index {
        let spine = &self.spines[self.places[node as usize].spine as usize];
        if spine.side == Some(side) {
            spine.nodes[0]
        } else {
            node
        }
    }

    fn add(&mut self, spine: Spine) {
        let at = self.free.pop().unwrap_or(self.spines.len() as u32);
        for (offset, &node) in (0..).zip(&spine.nodes) {
            self.set_place(node, at, spine.first.wrapping_add(offset));
        }
        if at as usize == self.spines.len() {
            self.spines.push(spine);
        } else {
            self.spines[at as usize] = spine;
        }
    }

    fn set_place(&mut self, node: Index, spine: u32, number: u32) {
        let slot = node as usize;
        if slot >= self.places.len() {
            self.places.resize(slot + 1, Place::default());
        }
        self.places[slot] = Place { spine, number };
    }
}

impl Spine {
    fn settle(&mut self) {
        if self.nodes.len() <= 1 {
            self.side = None;
        }
    }
}
