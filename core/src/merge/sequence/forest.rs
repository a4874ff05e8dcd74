//! The forest of unstable elements: one Fugue tree for each gap of the stable base.
//!
//! An element's place is the parent that its author's view gave it, and never changes while the
//! parent is here. In order means: the subtrees of the left children, the element, the subtrees of
//! the right children; siblings on one side by their order key. What an author had seen is a
//! connected top of each tree, because every element's author had seen its parent: so a subtree
//! whose top was not seen is skipped whole.
//!
//! It does not know which element is meant by a command, nor what is removed: that is the
//! [`Sequence`](super::Sequence)'s.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::spine::Spines;
use crate::value::ElementId;

/// A node of the forest.
pub(super) type Index = u32;

/// Which side of its parent an element stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// What an element hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Up {
    /// A root in the gap behind a base element, or before all of them. Roots stand by rank, then by
    /// key; see [`absorb`](super::absorb) for what ranks other than 0 are.
    Gap { after: Option<ElementId>, rank: i64 },
    /// A child of another unstable element.
    Child { of: Index, side: Side },
}

/// A place in the total sequence that something can stand behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// A base element; none is the start of the sequence.
    Base(Option<ElementId>),
    /// An unstable element.
    Node(Index),
}

type Children = SmallVec<[Index; 2]>;

#[derive(Debug, Clone)]
pub(super) struct Node<K> {
    pub(super) id: ElementId,
    pub(super) key: K,
    pub(super) up: Up,
    pub(super) removed: bool,
    left: Children,
    right: Children,
}

impl<K> Node<K> {
    pub(super) fn children(&self, side: Side) -> &[Index] {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Forest<K> {
    /// None where a node left; its index is in `free`.
    nodes: Vec<Option<Node<K>>>,
    free: Vec<Index>,
    ids: BTreeMap<ElementId, Index>,
    /// The roots behind each base element. No gap is empty.
    gaps: BTreeMap<Option<ElementId>, Vec<Index>>,
    spines: Spines,
}

impl<K: Ord> Forest<K> {
    pub(super) fn new() -> Self {
        Forest {
            nodes: Vec::new(),
            free: Vec::new(),
            ids: BTreeMap::new(),
            gaps: BTreeMap::new(),
            spines: Spines::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn find(&self, id: ElementId) -> Option<Index> {
        self.ids.get(&id).copied()
    }

    pub(super) fn node(&self, index: Index) -> &Node<K> {
        self.nodes[index as usize].as_ref().expect("a live node")
    }

    pub(super) fn node_mut(&mut self, index: Index) -> &mut Node<K> {
        self.nodes[index as usize].as_mut().expect("a live node")
    }

    pub(super) fn gaps(&self) -> impl Iterator<Item = Option<ElementId>> {
        self.gaps.keys().copied()
    }

    pub(super) fn roots(&self, after: Option<ElementId>) -> &[Index] {
        self.gaps.get(&after).map_or(&[], Vec::as_slice)
    }

    /// Hangs a new element on `up`. O(log elements + siblings), and where it ends a spine O(the
    /// shorter part).
    pub(super) fn hang(&mut self, id: ElementId, key: K, up: Up) -> Index {
        let index = self.free.pop().unwrap_or(self.nodes.len() as Index);
        let node = Node {
            id,
            key,
            up,
            removed: false,
            left: Children::new(),
            right: Children::new(),
        };
        if index as usize == self.nodes.len() {
            self.nodes.push(Some(node));
        } else {
            self.nodes[index as usize] = Some(node);
        }
        let before = self.ids.insert(id, index);
        assert!(before.is_none(), "{id:?} is placed once");
        let at = self.rank_among_siblings(index);
        match up {
            Up::Gap { after, .. } => {
                self.gaps.entry(after).or_default().insert(at, index);
                self.spines.begin(index);
            }
            Up::Child { of, side } => {
                let parent = self.node_mut(of);
                let siblings = match side {
                    Side::Left => &mut parent.left,
                    Side::Right => &mut parent.right,
                };
                siblings.insert(at, index);
                if siblings.len() == 1 {
                    self.spines.follow(of, index, side);
                } else {
                    self.spines.cut_after(of, side);
                    self.spines.begin(index);
                }
            }
        }
        index
    }

    /// The first of `siblings` that is `held`.
    pub(super) fn first_held(
        &self,
        siblings: &[Index],
        held: impl Fn(ElementId) -> bool,
    ) -> Option<Index> {
        let mut siblings = siblings.iter().copied();
        siblings.find(|&sibling| held(self.node(sibling).id))
    }

    fn last_held(&self, siblings: &[Index], held: impl Fn(ElementId) -> bool) -> Option<Index> {
        let mut siblings = siblings.iter().rev().copied();
        siblings.find(|&sibling| held(self.node(sibling).id))
    }

    /// The outermost on `side` of what is `held` of the subtree of `top`, which is held itself.
    /// O(spines on the way x (log length + siblings)).
    pub(super) fn outermost(
        &self,
        top: Index,
        side: Side,
        held: impl Fn(ElementId) -> bool,
    ) -> Index {
        let mut at = top;
        loop {
            let (last, ended) = self
                .spines
                .furthest(at, side, |index| held(self.node(index).id));
            let children = if ended {
                self.node(last).children(side)
            } else {
                &[]
            };
            let next = match side {
                Side::Left => self.first_held(children, &held),
                Side::Right => self.last_held(children, &held),
            };
            match next {
                Some(child) => at = child,
                None => return last,
            }
        }
    }

    /// The last of what is `held` in the gap behind `after`, or the base element itself.
    pub(super) fn last_in_gap(
        &self,
        after: Option<ElementId>,
        held: impl Fn(ElementId) -> bool,
    ) -> Spot {
        match self.last_held(self.roots(after), &held) {
            Some(root) => Spot::Node(self.outermost(root, Side::Right, held)),
            None => Spot::Base(after),
        }
    }

    /// What stands before the element `index`, which is `held`, among what is held. O(spines on the
    /// way up and down x (log length + siblings)).
    pub(super) fn before(&self, index: Index, held: impl Fn(ElementId) -> bool) -> Spot {
        let own = self.last_held(self.node(index).children(Side::Left), &held);
        if let Some(child) = own {
            return Spot::Node(self.outermost(child, Side::Right, held));
        }
        let mut at = index;
        loop {
            // Nothing stands between the elements of a left spine but what hangs to their right.
            at = self.spines.top(at, Side::Left);
            let up = self.node(at).up;
            let siblings = self.siblings(up);
            let earlier = &siblings[..self.rank_among_siblings(at)];
            if let Some(sibling) = self.last_held(earlier, &held) {
                return Spot::Node(self.outermost(sibling, Side::Right, held));
            }
            match up {
                Up::Gap { after, .. } => return Spot::Base(after),
                Up::Child { of, side } => match side {
                    Side::Left => at = of,
                    Side::Right => return Spot::Node(of),
                },
            }
        }
    }

    /// The elements of a gap in order. O(elements of the gap).
    pub(super) fn in_order(&self, after: Option<ElementId>) -> Vec<Index> {
        self.walk(after, |_| true)
            .map(|step| step.index)
            .collect::<Vec<_>>()
    }

    /// The gap behind `after` in order, down to the first elements of each branch that are not
    /// `open`: these come without their subtrees. Without recursion: a run may be a million deep.
    pub(super) fn walk<'a>(
        &'a self,
        after: Option<ElementId>,
        open: impl Fn(ElementId) -> bool + 'a,
    ) -> impl Iterator<Item = Step> + 'a {
        let to_open = |&index: &Index| Todo::Open(index);
        let mut stack: Vec<Todo> = self.roots(after).iter().rev().map(to_open).collect();
        let mut root_rank = 0;
        std::iter::from_fn(move || {
            loop {
                let index = match stack.pop()? {
                    Todo::Show(index) => {
                        return Some(Step {
                            index,
                            open: true,
                            root_rank,
                        });
                    }
                    Todo::Open(index) => index,
                };
                let node = self.node(index);
                if let Up::Gap { rank, .. } = node.up {
                    root_rank = rank;
                }
                if !open(node.id) {
                    return Some(Step {
                        index,
                        open: false,
                        root_rank,
                    });
                }
                stack.extend(node.right.iter().rev().map(to_open));
                stack.push(Todo::Show(index));
                stack.extend(node.left.iter().rev().map(to_open));
            }
        })
    }

    /// Takes out an element whose children hang elsewhere by now or will.
    pub(super) fn take(&mut self, index: Index) -> Node<K> {
        let node = self.nodes[index as usize].take().expect("a live node");
        self.ids.remove(&node.id);
        self.free.push(index);
        self.spines.leave(index);
        node
    }

    /// Makes `roots`, in this order, all that is in the gap behind `after`. O(roots).
    ///
    /// Each must be the first of its spine, once what it hung on is taken.
    pub(super) fn set_gap(&mut self, after: Option<ElementId>, roots: Vec<(Index, i64)>) {
        let mut indexes = Vec::with_capacity(roots.len());
        for (index, rank) in roots {
            self.node_mut(index).up = Up::Gap { after, rank };
            indexes.push(index);
        }
        debug_assert!(indexes.is_sorted_by_key(|&index| self.root_order(index)));
        if indexes.is_empty() {
            self.gaps.remove(&after);
        } else {
            self.gaps.insert(after, indexes);
        }
    }

    /// Puts the roots of gap `from` behind those of gap `to`, for good: nothing that comes later
    /// stands among them. O(roots that move).
    pub(super) fn append_gap(&mut self, from: Option<ElementId>, to: Option<ElementId>) {
        let Some(moving) = self.gaps.remove(&from) else {
            return;
        };
        let last = self.roots(to).last().copied();
        let rank = last.map_or(0, |last| self.root_order(last).0).max(0);
        for (&index, rank) in moving.iter().zip(rank + 1..) {
            self.node_mut(index).up = Up::Gap { after: to, rank };
        }
        self.gaps.entry(to).or_default().extend(moving);
    }

    /// Rank and key of a root.
    pub(super) fn root_order(&self, index: Index) -> (i64, &K) {
        let node = self.node(index);
        match node.up {
            Up::Gap { rank, .. } => (rank, &node.key),
            Up::Child { .. } => unreachable!("{:?} is a root", node.id),
        }
    }

    fn siblings(&self, up: Up) -> &[Index] {
        match up {
            Up::Gap { after, .. } => self.roots(after),
            Up::Child { of, side } => self.node(of).children(side),
        }
    }

    /// How many siblings stand before `index`, which may not be among them yet. O(log siblings).
    fn rank_among_siblings(&self, index: Index) -> usize {
        let node = self.node(index);
        let siblings = self.siblings(node.up);
        match node.up {
            Up::Gap { rank, .. } => {
                siblings.partition_point(|&other| self.root_order(other) < (rank, &node.key))
            }
            Up::Child { .. } => siblings.partition_point(|&other| self.node(other).key < node.key),
        }
    }
}

/// One element of a [`walk`](Forest::walk).
pub(super) struct Step {
    pub(super) index: Index,
    /// Whether its subtree is walked too.
    pub(super) open: bool,
    /// The rank of the root above it.
    pub(super) root_rank: i64,
}

enum Todo {
    Open(Index),
    Show(Index),
}
