//! The order of a large sorted set: a counted B+tree over (score, member).
//!
//! Nodes are a kibibyte wide. Scores stand in arrays of their own, so that a binary search reads
//! scores only and follows the pointer to a member's bytes only between equal scores. An inner node
//! knows how many entries are below each child, which makes ranks O(log n) both ways; leaves are
//! linked, which makes ranges O(k) behind that.
//!
//! Every search is one primitive: a predicate that is true for a prefix of the order, and the place
//! where it turns false. A separator is a lower bound of its child, and greater than all before
//! it; removals may leave one that is no longer an entry, which changes neither.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::footprint::allocated;
use super::member::Member;

/// Entries of a leaf: 62 * 16 bytes and the links are just under 1 KiB.
const LEAF: usize = 62;
/// Children of an inner node: 42 * 24 bytes are just under 1 KiB.
const FAN: usize = 42;
/// No leaf.
const NONE: u32 = u32::MAX;

/// The order of entries. `-0` equals `0`, and a score is never NaN.
#[inline]
pub(super) fn order(score: f64, bytes: &[u8], other_score: f64, other: &[u8]) -> Ordering {
    match score.partial_cmp(&other_score) {
        Some(Ordering::Equal) | None => bytes.cmp(other),
        Some(unequal) => unequal,
    }
}

struct Leaf {
    scores: [f64; LEAF],
    members: [Option<Member>; LEAF],
    prev: u32,
    next: u32,
    len: u16,
}

struct Inner {
    /// Lower bounds of the children; the first is not used.
    scores: [f64; FAN],
    members: [Option<Member>; FAN],
    children: [u32; FAN],
    /// Entries below each child.
    counts: [u32; FAN],
    len: u16,
}

/// A child as its parent knows it.
struct Child {
    score: f64,
    member: Option<Member>,
    node: u32,
    count: u32,
}

const _: () = assert!(size_of::<Leaf>() <= 1024 && size_of::<Inner>() <= 1024);

impl Leaf {
    fn new() -> Self {
        Leaf {
            scores: [0.0; LEAF],
            members: [const { None }; LEAF],
            prev: NONE,
            next: NONE,
            len: 0,
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.len.into()
    }

    #[inline]
    fn member(&self, at: usize) -> &Member {
        self.members[at]
            .as_ref()
            .expect("slots below `len` are filled")
    }

    fn insert(&mut self, at: usize, score: f64, member: Member) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.scores[at] = score;
        self.members[at..=len].rotate_right(1);
        self.members[at] = Some(member);
        self.len += 1;
    }

    fn remove(&mut self, at: usize) -> (f64, Member) {
        let len = self.len();
        let score = self.scores[at];
        self.scores.copy_within(at + 1..len, at);
        let member = self.members[at]
            .take()
            .expect("slots below `len` are filled");
        self.members[at..len].rotate_left(1);
        self.len -= 1;
        (score, member)
    }

    /// Moves the entries from `from` on to the end of `to`.
    fn move_tail(&mut self, from: usize, to: &mut Leaf) {
        let (len, at) = (self.len(), to.len());
        let count = len - from;
        to.scores[at..at + count].copy_from_slice(&self.scores[from..len]);
        to.members[at..at + count].swap_with_slice(&mut self.members[from..len]);
        to.len += count as u16;
        self.len -= count as u16;
    }
}

impl Inner {
    fn new() -> Self {
        Inner {
            scores: [0.0; FAN],
            members: [const { None }; FAN],
            children: [NONE; FAN],
            counts: [0; FAN],
            len: 0,
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.len.into()
    }

    fn total(&self) -> u32 {
        self.counts[..self.len()].iter().sum()
    }

    fn insert(&mut self, at: usize, child: Child) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.children.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.members[at..=len].rotate_right(1);
        self.scores[at] = child.score;
        self.members[at] = child.member;
        self.children[at] = child.node;
        self.counts[at] = child.count;
        self.len += 1;
    }

    fn remove(&mut self, at: usize) -> Child {
        let len = self.len();
        let child = Child {
            score: self.scores[at],
            member: self.members[at].take(),
            node: self.children[at],
            count: self.counts[at],
        };
        self.scores.copy_within(at + 1..len, at);
        self.children.copy_within(at + 1..len, at);
        self.counts.copy_within(at + 1..len, at);
        self.members[at..len].rotate_left(1);
        self.len -= 1;
        child
    }

    fn move_tail(&mut self, from: usize, to: &mut Inner) {
        let (len, at) = (self.len(), to.len());
        let count = len - from;
        to.scores[at..at + count].copy_from_slice(&self.scores[from..len]);
        to.children[at..at + count].copy_from_slice(&self.children[from..len]);
        to.counts[at..at + count].copy_from_slice(&self.counts[from..len]);
        to.members[at..at + count].swap_with_slice(&mut self.members[from..len]);
        to.len += count as u16;
        self.len -= count as u16;
    }
}

/// Nodes by number. Each has its own allocation, so that growing moves none.
struct Arena<T> {
    nodes: Vec<Option<Box<T>>>,
    free: Vec<u32>,
}

impl<T> Arena<T> {
    fn add(&mut self, node: T) -> u32 {
        let node = Some(Box::new(node));
        if let Some(number) = self.free.pop() {
            self.nodes[number as usize] = node;
            return number;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    fn take(&mut self, number: u32) -> Box<T> {
        self.free.push(number);
        self.nodes[number as usize]
            .take()
            .expect("a node is taken once")
    }

    #[inline]
    fn get(&self, number: u32) -> &T {
        self.nodes[number as usize]
            .as_ref()
            .expect("a link names a node")
    }

    #[inline]
    fn get_mut(&mut self, number: u32) -> &mut T {
        self.nodes[number as usize]
            .as_mut()
            .expect("a link names a node")
    }

    fn heap_bytes(&self) -> usize {
        (self.nodes.len() - self.free.len()) * allocated(size_of::<T>())
            + allocated(self.nodes.capacity() * size_of::<Option<Box<T>>>())
            + allocated(self.free.capacity() * size_of::<u32>())
    }
}

/// Inner nodes from the root down, each with the child that was taken.
type Path = SmallVec<[(u32, usize); 8]>;

/// Where a search ended.
struct Place {
    path: Path,
    leaf: u32,
    at: usize,
    /// Entries before the place.
    rank: usize,
}

/// Members ordered by (score, bytes), at most 2^32 - 1 of them.
pub(super) struct Tree {
    leaves: Arena<Leaf>,
    inners: Arena<Inner>,
    root: u32,
    /// Levels of inner nodes above the leaves.
    height: usize,
    len: usize,
}

impl Tree {
    pub(super) fn new() -> Self {
        let mut leaves = Arena {
            nodes: Vec::new(),
            free: Vec::new(),
        };
        let root = leaves.add(Leaf::new());
        let inners = Arena {
            nodes: Vec::new(),
            free: Vec::new(),
        };
        Tree {
            leaves,
            inners,
            root,
            height: 0,
            len: 0,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.leaves.heap_bytes() + self.inners.heap_bytes()
    }

    /// Entries for which `before` is true; it must be true for a prefix of the order. O(log n).
    pub(super) fn rank(&self, before: impl Fn(f64, &Member) -> bool) -> usize {
        self.search(before).rank
    }

    /// Inserts what is not there yet. O(log n).
    pub(super) fn insert(&mut self, score: f64, member: Member) {
        let place = {
            let bytes = member.bytes();
            self.search(|other_score, other| {
                order(other_score, other.bytes(), score, bytes).is_le()
            })
        };
        self.len += 1;
        let mut split = self.insert_into_leaf(place.leaf, place.at, score, member);
        for &(number, at) in place.path.iter().rev() {
            let inner = self.inners.get_mut(number);
            inner.counts[at] += 1;
            if let Some(child) = split.take() {
                inner.counts[at] -= child.count;
                split = self.insert_into_inner(number, at + 1, child);
            }
        }
        if let Some(right) = split {
            let mut root = Inner::new();
            let count = self.len as u32 - right.count;
            root.insert(
                0,
                Child {
                    score: 0.0,
                    member: None,
                    node: self.root,
                    count,
                },
            );
            root.insert(1, right);
            self.root = self.inners.add(root);
            self.height += 1;
        }
    }

    /// Removes an entry. O(log n).
    pub(super) fn remove(&mut self, score: f64, bytes: &[u8]) -> Option<Member> {
        let mut place = self
            .search(|other_score, other| order(other_score, other.bytes(), score, bytes).is_le());
        // Having passed the entry's separator too, the search ends right behind the entry.
        place.at = place.at.checked_sub(1)?;
        if self.leaves.get(place.leaf).member(place.at).bytes() != bytes {
            return None;
        }
        Some(self.remove_at(place).1)
    }

    /// Removes the entry with `rank` others before it. O(log n).
    pub(super) fn remove_rank(&mut self, rank: usize) -> Option<(f64, Member)> {
        (rank < self.len).then(|| self.remove_at(self.place(rank)))
    }

    /// Entries `from..to` by rank, from either end. O(log n) to start, O(1) a step.
    pub(super) fn range(&self, from: usize, to: usize) -> Iter<'_> {
        let to = to.min(self.len);
        let left = to.saturating_sub(from);
        let (mut front, mut back) = ((NONE, 0), (NONE, 0));
        if left > 0 {
            let (first, last) = (self.place(from), self.place(to - 1));
            (front, back) = ((first.leaf, first.at), (last.leaf, last.at + 1));
        }
        Iter {
            tree: self,
            front,
            back,
            left,
        }
    }

    /// Where `before` turns false: the end of a leaf rather than the start of the next.
    fn search(&self, before: impl Fn(f64, &Member) -> bool) -> Place {
        let mut place = Place {
            path: Path::new(),
            leaf: self.root,
            at: 0,
            rank: 0,
        };
        for _ in 0..self.height {
            let inner = self.inners.get(place.leaf);
            // The first child's lower bound is the parent's business.
            let at = partition(1, inner.len(), |at| {
                let member = inner.members[at]
                    .as_ref()
                    .expect("separators are filled from 1 on");
                before(inner.scores[at], member)
            }) - 1;
            place.rank += inner.counts[..at].iter().sum::<u32>() as usize;
            place.path.push((place.leaf, at));
            place.leaf = inner.children[at];
        }
        let leaf = self.leaves.get(place.leaf);
        place.at = partition(0, leaf.len(), |at| before(leaf.scores[at], leaf.member(at)));
        place.rank += place.at;
        place
    }

    /// The place of the entry with `rank` others before it.
    fn place(&self, rank: usize) -> Place {
        debug_assert!(rank < self.len);
        let mut place = Place {
            path: Path::new(),
            leaf: self.root,
            at: rank,
            rank,
        };
        for _ in 0..self.height {
            let inner = self.inners.get(place.leaf);
            let mut child = 0;
            while place.at >= inner.counts[child] as usize {
                place.at -= inner.counts[child] as usize;
                child += 1;
            }
            place.path.push((place.leaf, child));
            place.leaf = inner.children[child];
        }
        place
    }

    fn insert_into_leaf(
        &mut self,
        number: u32,
        at: usize,
        score: f64,
        member: Member,
    ) -> Option<Child> {
        let left = self.leaves.get_mut(number);
        if left.len() < LEAF {
            left.insert(at, score, member);
            return None;
        }
        // Growing at an end only (timestamps as scores) must leave full leaves behind.
        let cut = match at {
            LEAF if left.next == NONE => LEAF,
            0 if left.prev == NONE => 0,
            _ => LEAF / 2,
        };
        let mut right = Leaf {
            prev: number,
            next: left.next,
            ..Leaf::new()
        };
        left.move_tail(cut, &mut right);
        if cut == LEAF || at > cut {
            right.insert(at - cut, score, member);
        } else {
            left.insert(at, score, member);
        }
        let (after, separator) = (right.next, right.member(0).clone());
        let (score, count) = (right.scores[0], u32::from(right.len));
        let node = self.leaves.add(right);
        self.leaves.get_mut(number).next = node;
        if after != NONE {
            self.leaves.get_mut(after).prev = node;
        }
        Some(Child {
            score,
            member: Some(separator),
            node,
            count,
        })
    }

    fn insert_into_inner(&mut self, number: u32, at: usize, child: Child) -> Option<Child> {
        let left = self.inners.get_mut(number);
        if left.len() < FAN {
            left.insert(at, child);
            return None;
        }
        let cut = if at == FAN { FAN } else { FAN / 2 };
        let mut right = Inner::new();
        left.move_tail(cut, &mut right);
        if cut == FAN || at > cut {
            right.insert(at - cut, child);
        } else {
            left.insert(at, child);
        }
        let (score, member, count) = (right.scores[0], right.members[0].take(), right.total());
        Some(Child {
            score,
            member,
            node: self.inners.add(right),
            count,
        })
    }

    fn remove_at(&mut self, place: Place) -> (f64, Member) {
        for &(number, at) in &place.path {
            self.inners.get_mut(number).counts[at] -= 1;
        }
        let leaf = self.leaves.get_mut(place.leaf);
        let removed = leaf.remove(place.at);
        self.len -= 1;
        if leaf.len() < LEAF / 4 {
            self.rebalance(place.path);
        }
        removed
    }

    /// Joins nodes along a path, from the leaf up, where one is nearly empty.
    fn rebalance(&mut self, mut path: Path) {
        let mut is_leaf = true;
        while let Some((parent, at)) = path.pop() {
            let lens = |tree: &Tree, at: usize| {
                let node = tree.inners.get(parent).children[at];
                if is_leaf {
                    tree.leaves.get(node).len()
                } else {
                    tree.inners.get(node).len()
                }
            };
            let (siblings, width) = (
                self.inners.get(parent).len(),
                if is_leaf { LEAF } else { FAN },
            );
            let len = lens(self, at);
            if len >= width / 4 {
                break;
            }
            let left = if at + 1 < siblings {
                at
            } else {
                at.saturating_sub(1)
            };
            if siblings > 1 && lens(self, left) + lens(self, left + 1) <= width * 3 / 4 {
                self.join(parent, left, is_leaf);
            } else if len == 0 {
                let gone = self.inners.get_mut(parent).remove(at);
                self.free(gone.node, is_leaf);
            } else {
                break;
            }
            is_leaf = false;
        }
        // A root with one child says nothing; one without is an empty tree.
        while self.height > 0 && self.inners.get(self.root).len() <= 1 {
            let root = self.inners.take(self.root);
            self.height -= 1;
            if root.len() == 1 {
                self.root = root.children[0];
            } else {
                self.height = 0;
                self.root = self.leaves.add(Leaf::new());
            }
        }
    }

    /// Moves all of child `left + 1` to its left sibling.
    fn join(&mut self, parent: u32, left: usize, is_leaf: bool) {
        let inner = self.inners.get_mut(parent);
        let gone = inner.remove(left + 1);
        inner.counts[left] += gone.count;
        let kept = inner.children[left];
        if is_leaf {
            let mut moved = std::mem::replace(self.leaves.get_mut(gone.node), Leaf::new());
            (
                self.leaves.get_mut(gone.node).prev,
                self.leaves.get_mut(gone.node).next,
            ) = (moved.prev, moved.next);
            moved.move_tail(0, self.leaves.get_mut(kept));
        } else {
            let mut moved = std::mem::replace(self.inners.get_mut(gone.node), Inner::new());
            // Its first child's lower bound was kept by the parent.
            (moved.scores[0], moved.members[0]) = (gone.score, gone.member);
            moved.move_tail(0, self.inners.get_mut(kept));
        }
        self.free(gone.node, is_leaf);
    }

    /// Frees an empty node, and takes a leaf out of the chain.
    fn free(&mut self, number: u32, is_leaf: bool) {
        if !is_leaf {
            self.inners.take(number);
            return;
        }
        let leaf = self.leaves.take(number);
        debug_assert_eq!(leaf.len, 0);
        if leaf.prev != NONE {
            self.leaves.get_mut(leaf.prev).next = leaf.next;
        }
        if leaf.next != NONE {
            self.leaves.get_mut(leaf.next).prev = leaf.prev;
        }
    }
}

/// The first of `from..to` for which `before` is false, or `to`.
#[inline]
fn partition(mut from: usize, mut to: usize, before: impl Fn(usize) -> bool) -> usize {
    while from < to {
        let middle = from.midpoint(to);
        if before(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

/// Entries of a [`Tree`] between two ranks.
#[derive(Clone)]
pub(super) struct Iter<'a> {
    tree: &'a Tree,
    front: (u32, usize),
    /// One behind the last.
    back: (u32, usize),
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (f64, &'a Member);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut leaf = self.tree.leaves.get(self.front.0);
        if self.front.1 == leaf.len() {
            self.front = (leaf.next, 0);
            leaf = self.tree.leaves.get(self.front.0);
        }
        let at = self.front.1;
        self.front.1 += 1;
        Some((leaf.scores[at], leaf.member(at)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut leaf = self.tree.leaves.get(self.back.0);
        if self.back.1 == 0 {
            let prev = leaf.prev;
            leaf = self.tree.leaves.get(prev);
            self.back = (prev, leaf.len());
        }
        self.back.1 -= 1;
        let at = self.back.1;
        Some((leaf.scores[at], leaf.member(at)))
    }
}
