//! The slots of a shard in the byte order of their keys: about 7 bytes a key.
//!
//! For: SCAN, KEYS, prefix ranges, and whatever else walks keys in order, from any key, in either
//! direction, also over a snapshot while the index changes.
//!
//! Not: the way to look up one key; the hash index does that in a cache line or two.
//!
//! How: a B+tree. Leaves ([`Leaf`]) hold slots with one byte of crit-bit tree each; inner nodes own
//! the shortest separators between their children. A full leaf first evens out with a neighbour and
//! is split only where both are full, which keeps leaves about five sixths full.
//!
//! The rule kept: a node that a snapshot shares is never written; the path to a change is copied
//! first. So a snapshot costs one reference count, and each node is copied at most once for it.

use std::ops::Bound;
use std::rc::Rc;

use smallvec::SmallVec;

use super::leaf::{Contents, LEAF_SLOTS, Leaf, Place};
use super::separators::Separators;
use super::{Entries, Slot};

/// Children of an inner node.
const CHILDREN_MAX: usize = 64;

/// Entries that [`OrderedIndex::insert_all`] takes at once: enough to keep all of a core's line fill
/// buffers busy, while their leaves fit its L1 cache.
const BATCH_MAX: usize = 32;

/// A leaf with more than this many entries takes none from a full neighbour.
const LEAF_ROOMY: usize = LEAF_SLOTS * 7 / 8;
/// Entries of a leaf, and children of an inner node, of an index that is built at once: room for
/// what comes, and about what insertions in random order leave behind.
const LEAF_BUILT: usize = LEAF_SLOTS * 5 / 6;
const CHILDREN_BUILT: usize = CHILDREN_MAX * 5 / 6;
/// Neighbouring leaves with no more than this in sum are joined.
const LEAF_JOINED_MAX: usize = LEAF_SLOTS * 3 / 4;

#[derive(Clone, Debug)]
enum Node {
    Leaf(Rc<Leaf>),
    Inner(Rc<Inner>),
}

/// `separators[i]` is above all keys of child i and not above any of child i + 1.
#[derive(Clone, Debug, Default)]
struct Inner {
    separators: Separators,
    children: Vec<Node>,
}

impl Inner {
    #[inline]
    fn route(&self, key: &[u8]) -> usize {
        self.separators.route(key)
    }

    fn leaf(&self, child: usize) -> Option<&Leaf> {
        match self.children.get(child)? {
            Node::Leaf(leaf) => Some(leaf),
            Node::Inner(_) => None,
        }
    }

    fn leaf_mut(&mut self, child: usize) -> &mut Leaf {
        match &mut self.children[child] {
            Node::Leaf(leaf) => Rc::make_mut(leaf),
            Node::Inner(_) => unreachable!("siblings of a leaf are leaves"),
        }
    }

    /// The child to which `key` belongs, after making sure that it can take one more.
    fn route_with_room(&mut self, key: &[u8], entries: &impl Entries) -> usize {
        let child = self.route(key);
        match &self.children[child] {
            Node::Leaf(leaf) if leaf.len() == LEAF_SLOTS => self.relieve_leaf(child, key, entries),
            Node::Inner(inner) if inner.children.len() == CHILDREN_MAX => self.split_inner(child),
            _ => return child,
        }
        self.route(key)
    }

    /// Evens a full leaf out with its emptier neighbour or, where that is full too, splits it.
    fn relieve_leaf(&mut self, child: usize, key: &[u8], entries: &impl Entries) {
        let len = |at: Option<usize>| {
            at.and_then(|at| self.leaf(at))
                .map_or(LEAF_SLOTS, Leaf::len)
        };
        let (left, right) = (len(child.checked_sub(1)), len(Some(child + 1)));
        if left.min(right) <= LEAF_ROOMY {
            let first = if left <= right { child - 1 } else { child };
            let contents = self.contents(first..first + 2, entries);
            let at = contents.len() / 2;
            self.separators.set(first, contents.separator(at, entries));
            self.distribute(first, &contents, at);
            return;
        }
        let contents = self.contents(child..child + 1, entries);
        let full = self.leaf(child).expect("a leaf's child is a leaf");
        let last = entries.key(full.slot(LEAF_SLOTS - 1));
        // Keys that come in ascending order leave full leaves behind.
        let appends = child + 1 == self.children.len() && key > last;
        let at = if appends {
            LEAF_SLOTS - 1
        } else {
            LEAF_SLOTS / 2
        };
        self.children
            .insert(child + 1, Node::Leaf(Rc::new(Leaf::new())));
        self.separators
            .insert(child, contents.separator(at, entries));
        self.distribute(child, &contents, at);
    }

    fn contents(&self, leaves: std::ops::Range<usize>, entries: &impl Entries) -> Contents {
        let mut contents = Contents::new();
        for child in leaves {
            let leaf = self.leaf(child).expect("siblings of a leaf are leaves");
            leaf.pour_into(&mut contents, entries);
        }
        contents
    }

    /// Gives the entries below `at` to leaf `child` and the others to the next.
    fn distribute(&mut self, child: usize, contents: &Contents, at: usize) {
        self.leaf_mut(child).fill_from(contents, 0..at);
        self.leaf_mut(child + 1)
            .fill_from(contents, at..contents.len());
    }

    fn split_inner(&mut self, child: usize) {
        let Node::Inner(full) = &mut self.children[child] else {
            unreachable!("only an inner node is split here");
        };
        let full = Rc::make_mut(full);
        let is_last = child == self.separators.len();
        // At the right edge, as for leaves: ascending keys leave fuller nodes behind.
        let at = CHILDREN_MAX * if is_last { 7 } else { 4 } / 8;
        let (behind, separator) = full.separators.change(|keys| {
            let behind = keys.split_off(at);
            (
                behind,
                keys.pop().expect("one separator fewer than children"),
            )
        });
        let mut right = Inner {
            children: full.children.split_off(at),
            separators: Separators::default(),
        };
        right.separators.change(|keys| *keys = behind);
        self.separators.insert(child, separator);
        self.children.insert(child + 1, Node::Inner(Rc::new(right)));
    }

    /// After a removal below `child`: joins it with a neighbour where both are small.
    fn join(&mut self, child: usize, entries: &impl Entries) {
        let pairs = [child.checked_sub(1), Some(child)];
        for first in pairs.into_iter().flatten() {
            let Some(pair) = self.children.get(first..first + 2) else {
                continue;
            };
            match pair {
                [Node::Leaf(a), Node::Leaf(b)] => {
                    let empty = a.len() == 0 || b.len() == 0;
                    if !empty && a.len() + b.len() > LEAF_JOINED_MAX {
                        continue;
                    }
                    let contents = self.contents(first..first + 2, entries);
                    self.leaf_mut(first).fill_from(&contents, 0..contents.len());
                    self.children.remove(first + 1);
                    self.separators.change(|keys| keys.remove(first));
                    return;
                }
                [Node::Inner(a), Node::Inner(b)] => {
                    if a.children.len() + b.children.len() > CHILDREN_MAX * 3 / 4 {
                        continue;
                    }
                    let (behind, children) = (b.separators.clone().take(), b.children.clone());
                    self.children.remove(first + 1);
                    let between = self.separators.change(|keys| keys.remove(first));
                    let Node::Inner(joined) = &mut self.children[first] else {
                        unreachable!("the pair was matched as inner nodes");
                    };
                    let joined = Rc::make_mut(joined);
                    joined.separators.change(|keys| {
                        keys.push(between);
                        keys.extend(behind);
                    });
                    joined.children.extend(children);
                    return;
                }
                _ => unreachable!("siblings have the same height"),
            }
        }
    }
}

impl Node {
    /// `guess`: the candidate in the key's leaf, where that was found out already.
    fn insert(
        &mut self,
        key: &[u8],
        slot: Slot,
        guess: Option<usize>,
        entries: &impl Entries,
    ) -> Option<Slot> {
        let mut node = self;
        loop {
            match node {
                Node::Inner(inner) => {
                    let inner = Rc::make_mut(inner);
                    let child = inner.route_with_room(key, entries);
                    node = &mut inner.children[child];
                }
                Node::Leaf(leaf) => {
                    let leaf = Rc::make_mut(leaf);
                    let place = match guess {
                        Some(guess) => leaf.find_guessed(guess, key, entries),
                        None => leaf.find(key, entries),
                    };
                    match place {
                        Place::Gap(gap) => {
                            leaf.insert(gap, slot);
                            return None;
                        }
                        Place::Found(at) => {
                            let old = leaf.slot(at);
                            leaf.set(at, slot);
                            return Some(old);
                        }
                    }
                }
            }
        }
    }

    fn remove(&mut self, key: &[u8], entries: &impl Entries) -> Option<Slot> {
        match self {
            Node::Leaf(leaf) => match leaf.find(key, entries) {
                Place::Found(at) => Some(Rc::make_mut(leaf).remove(at)),
                Place::Gap(_) => None,
            },
            Node::Inner(inner) => {
                let inner = Rc::make_mut(inner);
                let child = inner.route(key);
                let removed = inner.children[child].remove(key, entries)?;
                let small = match &inner.children[child] {
                    Node::Leaf(leaf) => leaf.len() < LEAF_SLOTS / 2,
                    Node::Inner(inner) => inner.children.len() < CHILDREN_MAX / 2,
                };
                if small {
                    inner.join(child, entries);
                }
                Some(removed)
            }
        }
    }

    /// Starts loading what a search reads first.
    #[inline]
    fn prefetch(&self) {
        match self {
            Node::Leaf(leaf) => leaf.prefetch(),
            Node::Inner(inner) => super::prefetch_line(Rc::as_ptr(inner)),
        }
    }

    fn bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        match self {
            Node::Leaf(_) => size_of::<Leaf>() + counts,
            Node::Inner(inner) => {
                size_of::<Inner>()
                    + counts
                    + inner.separators.memory_bytes()
                    + inner.children.capacity() * size_of::<Node>()
                    + inner.children.iter().map(Node::bytes).sum::<usize>()
            }
        }
    }
}

/// `0..len` in as few parts as hold `most` each, of about the same size.
fn even_parts(len: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let parts = len.div_ceil(most);
    (0..parts).map(move |part| len * part / parts..len * (part + 1) / parts)
}

/// Slots in key order. See the module's head.
///
/// Keys are read through [`Entries`]: while an entry's slot is in the index, or in a snapshot that
/// is still asked, its key must stay readable there. It is not `Send`: a shard builds its own.
#[derive(Debug)]
pub struct OrderedIndex {
    root: Node,
    len: usize,
    /// Counts, by its references, this index and its snapshots.
    family: Rc<()>,
}

impl Default for OrderedIndex {
    fn default() -> OrderedIndex {
        OrderedIndex::new()
    }
}

impl OrderedIndex {
    /// An empty index; takes one leaf, 640 bytes.
    pub fn new() -> OrderedIndex {
        OrderedIndex {
            root: Node::Leaf(Rc::new(Leaf::new())),
            len: 0,
            family: Rc::new(()),
        }
    }

    /// The index of `slots`, which come in the order of their keys; no two have the same. O(n),
    /// reading each key once; takes 12 bytes an entry meanwhile.
    pub fn of_sorted(slots: &[Slot], entries: &impl Entries) -> OrderedIndex {
        let contents = Contents::of_sorted(slots, entries);
        let (mut nodes, mut separators) = (Vec::new(), Vec::new());
        for part in even_parts(slots.len(), LEAF_BUILT) {
            if part.start > 0 {
                separators.push(contents.separator(part.start, entries));
            }
            let mut leaf = Leaf::new();
            leaf.fill_from(&contents, part);
            nodes.push(Node::Leaf(Rc::new(leaf)));
        }
        while nodes.len() > 1 {
            let parts = even_parts(nodes.len(), CHILDREN_BUILT);
            let (mut below, mut between) = (nodes.into_iter(), separators.into_iter());
            (nodes, separators) = (Vec::new(), Vec::new());
            for part in parts {
                if part.start > 0 {
                    separators.extend(between.next());
                }
                let mut inner = Inner {
                    separators: Separators::default(),
                    children: below.by_ref().take(part.len()).collect(),
                };
                let inside = between.by_ref().take(part.len() - 1);
                inner.separators.change(|keys| keys.extend(inside));
                nodes.push(Node::Inner(Rc::new(inner)));
            }
        }
        let Some(root) = nodes.pop() else {
            return OrderedIndex::new();
        };
        OrderedIndex {
            root,
            len: slots.len(),
            family: Rc::new(()),
        }
    }

    /// Entries in the index.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all nodes, those shared with snapshots included, the entries' own not. Walks the
    /// nodes: O(n / 100), some 50 microseconds for a million keys.
    pub fn memory_bytes(&self) -> usize {
        size_of::<OrderedIndex>() + self.root.bytes()
    }

    /// The index as it is now, unaffected by later changes to this one. O(1); later each node that
    /// changes is copied once. Slots that the index gives up stay in the snapshot, so their entries
    /// must not be freed while [`snapshots`](OrderedIndex::snapshots) is above 0.
    pub fn snapshot(&self) -> OrderedIndex {
        OrderedIndex {
            root: self.root.clone(),
            len: self.len,
            family: Rc::clone(&self.family),
        }
    }

    /// Snapshots of this index, and snapshots of those, that are still alive. O(1).
    pub fn snapshots(&self) -> usize {
        Rc::strong_count(&self.family) - 1
    }

    /// Adds the entry at `slot` under its key. Where the key was present already, its slot is
    /// replaced and the old one returned. O(log n), reading one or two other entries.
    pub fn insert(&mut self, slot: Slot, entries: &impl Entries) -> Option<Slot> {
        self.insert_guessed(slot, None, entries)
    }

    /// [`insert`](OrderedIndex::insert) for many entries, of which none is present and no two have
    /// the same key. Cheaper than one by one, because their cache misses overlap: the leaves of a batch
    /// are loaded together, then the entries that its keys must be compared with.
    pub fn insert_all(&mut self, slots: &[Slot], entries: &impl Entries) {
        for batch in slots.chunks(BATCH_MAX) {
            let guesses = self.candidates(batch, entries);
            for (&slot, guess) in batch.iter().zip(guesses) {
                let old = self.insert_guessed(slot, Some(guess), entries);
                debug_assert!(old.is_none(), "the key was present");
            }
        }
    }

    /// Where in its leaf the entry stands that each key must be compared with; starts loading those
    /// entries. Filling a leaf moves what it found, so to those behind these are guesses.
    fn candidates(&self, batch: &[Slot], entries: &impl Entries) -> SmallVec<[usize; BATCH_MAX]> {
        let keys: SmallVec<[&[u8]; BATCH_MAX]> =
            batch.iter().map(|&slot| entries.key(slot)).collect();
        let mut nodes: SmallVec<[&Node; BATCH_MAX]> = keys.iter().map(|_| &self.root).collect();
        // All leaves are equally deep.
        while let Some(Node::Inner(_)) = nodes.first() {
            for node in &nodes {
                if let Node::Inner(inner) = node {
                    inner.separators.prefetch();
                }
            }
            for (node, key) in nodes.iter_mut().zip(&keys) {
                if let Node::Inner(inner) = node {
                    *node = &inner.children[inner.route(key)];
                    node.prefetch();
                }
            }
        }
        let mut candidates = SmallVec::new();
        for (node, key) in nodes.iter().zip(&keys) {
            let Node::Leaf(leaf) = node else {
                unreachable!("the loop above ends at leaves");
            };
            let candidate = leaf.candidate(key);
            if candidate < leaf.len() {
                entries.prefetch(leaf.slot(candidate));
            }
            candidates.push(candidate);
        }
        candidates
    }

    fn insert_guessed(
        &mut self,
        slot: Slot,
        guess: Option<usize>,
        entries: &impl Entries,
    ) -> Option<Slot> {
        let is_full = match &self.root {
            Node::Leaf(leaf) => leaf.len() == LEAF_SLOTS,
            Node::Inner(inner) => inner.children.len() == CHILDREN_MAX,
        };
        if is_full {
            let below = std::mem::replace(&mut self.root, Node::Inner(Rc::default()));
            let root = Inner {
                separators: Separators::default(),
                children: vec![below],
            };
            self.root = Node::Inner(Rc::new(root));
        }
        let old = self.root.insert(entries.key(slot), slot, guess, entries);
        self.len += usize::from(old.is_none());
        old
    }

    /// Takes the entry with this key out and returns its slot, which must still be readable.
    /// O(log n).
    pub fn remove(&mut self, key: &[u8], entries: &impl Entries) -> Option<Slot> {
        let removed = self.root.remove(key, entries)?;
        self.len -= 1;
        while let Node::Inner(inner) = &mut self.root
            && inner.children.len() == 1
        {
            let child = inner.children[0].clone();
            self.root = child;
        }
        Some(removed)
    }

    /// Says that the entry with this key has moved to `new`; returns where it was, none where the
    /// key is absent. The old slot must still be readable. O(log n).
    pub fn replace(&mut self, key: &[u8], new: Slot, entries: &impl Entries) -> Option<Slot> {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Inner(inner) => {
                    let child = inner.route(key);
                    node = &mut Rc::make_mut(inner).children[child];
                }
                Node::Leaf(leaf) => {
                    let Place::Found(at) = leaf.find(key, entries) else {
                        return None;
                    };
                    let old = leaf.slot(at);
                    Rc::make_mut(leaf).set(at, new);
                    return Some(old);
                }
            }
        }
    }

    /// The entry with this key. O(log n).
    pub fn get(&self, key: &[u8], entries: &impl Entries) -> Option<Slot> {
        let (position, found) = self.position(key, entries);
        found.then(|| position.leaf.slot(position.at))
    }

    /// All entries.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            front: self.start(),
            back: self.end(),
        }
    }

    /// The entry with the least key.
    pub fn first(&self) -> Option<Slot> {
        self.iter().next()
    }

    /// The entry with the greatest key.
    pub fn last(&self) -> Option<Slot> {
        self.iter().next_back()
    }

    /// The entries from `key` on, whether it is present or not. O(log n).
    pub fn seek(&self, key: &[u8], entries: &impl Entries) -> Iter<'_> {
        self.range(Bound::Included(key), Bound::Unbounded, entries)
    }

    /// The entries behind `key`. O(log n).
    pub fn after(&self, key: &[u8], entries: &impl Entries) -> Iter<'_> {
        self.range(Bound::Excluded(key), Bound::Unbounded, entries)
    }

    /// The entries before `key`, to be walked backwards from it with `rev`. O(log n).
    pub fn before(&self, key: &[u8], entries: &impl Entries) -> Iter<'_> {
        self.range(Bound::Unbounded, Bound::Excluded(key), entries)
    }

    /// The entries whose keys begin with `prefix`. O(log n), whatever their number.
    pub fn prefix_range(&self, prefix: &[u8], entries: &impl Entries) -> Iter<'_> {
        self.prefix_range_from(prefix, Bound::Unbounded, entries)
    }

    /// As [`prefix_range`](OrderedIndex::prefix_range), beginning at `from` where that is further.
    pub fn prefix_range_from(
        &self,
        prefix: &[u8],
        from: Bound<&[u8]>,
        entries: &impl Entries,
    ) -> Iter<'_> {
        // The least key above all that begin with the prefix; none where it is all 0xFF.
        let cut = prefix.iter().rposition(|&byte| byte != u8::MAX);
        let above: Option<SmallVec<[u8; 64]>> = cut.map(|last| {
            let mut above = SmallVec::from_slice(&prefix[..=last]);
            above[last] += 1;
            above
        });
        let end = above.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let start = match from {
            Bound::Included(key) | Bound::Excluded(key) if key >= prefix => from,
            _ => Bound::Included(prefix),
        };
        self.range(start, end, entries)
    }

    /// The entries between two bounds; none where they are in the wrong order. O(log n).
    pub fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, entries: &impl Entries) -> Iter<'_> {
        use Bound::{Excluded, Included};
        if let (Included(low) | Excluded(low), Included(high) | Excluded(high)) = (from, to)
            && low > high
        {
            return Iter {
                front: self.end(),
                back: self.end(),
            };
        }
        let front = match from {
            Bound::Unbounded => self.start(),
            Bound::Included(key) => self.position(key, entries).0,
            Bound::Excluded(key) => self.behind(key, entries),
        };
        let back = match to {
            Bound::Unbounded => self.end(),
            Bound::Excluded(key) => self.position(key, entries).0,
            Bound::Included(key) => self.behind(key, entries),
        };
        // Excluding one key on both sides would turn the ends around.
        let nothing = matches!((from, to), (Excluded(low), Excluded(high)) if low == high);
        Iter {
            front: if nothing { back.clone() } else { front },
            back,
        }
    }

    fn start(&self) -> Position<'_> {
        let mut start = Position::descend(SmallVec::new(), &self.root, |_| 0);
        start.settle();
        start
    }

    fn end(&self) -> Position<'_> {
        let mut end =
            Position::descend(SmallVec::new(), &self.root, |inner| inner.separators.len());
        end.at = end.leaf.len();
        end
    }

    /// The position before `key` or, where it is absent, before the next; and whether it is there.
    fn position(&self, key: &[u8], entries: &impl Entries) -> (Position<'_>, bool) {
        let mut position = Position::descend(SmallVec::new(), &self.root, |inner| inner.route(key));
        let found = match position.leaf.find(key, entries) {
            Place::Found(at) => {
                position.at = at;
                true
            }
            Place::Gap(gap) => {
                position.at = gap.at;
                false
            }
        };
        position.settle();
        (position, found)
    }

    fn behind(&self, key: &[u8], entries: &impl Entries) -> Position<'_> {
        let (mut position, found) = self.position(key, entries);
        if found {
            position.at += 1;
            position.settle();
        }
        position
    }
}

/// The inner nodes above a leaf and the child taken in each; 5 levels are beyond 2^32 entries.
type Path<'a> = SmallVec<[(&'a Inner, usize); 5]>;

/// A place between two entries: before entry `at` of a leaf. Only at the end of the whole index is
/// `at` the leaf's length, so that each place has one form.
#[derive(Clone, Debug)]
struct Position<'a> {
    path: Path<'a>,
    leaf: &'a Leaf,
    at: usize,
}

impl<'a> Position<'a> {
    fn descend(
        mut path: Path<'a>,
        mut node: &'a Node,
        route: impl Fn(&Inner) -> usize,
    ) -> Position<'a> {
        loop {
            match node {
                Node::Leaf(leaf) => return Position { path, leaf, at: 0 },
                Node::Inner(inner) => {
                    let child = route(inner);
                    path.push((inner, child));
                    node = &inner.children[child];
                }
            }
        }
    }

    /// Goes on to the next leaf that has an entry, where this one's are passed.
    fn settle(&mut self) {
        while self.at == self.leaf.len() {
            let is_open = |&(inner, child): &(&Inner, usize)| child < inner.separators.len();
            let Some(turn) = self.path.iter().rposition(is_open) else {
                return;
            };
            self.path.truncate(turn + 1);
            let (inner, child) = &mut self.path[turn];
            *child += 1;
            let node = &inner.children[*child];
            *self = Position::descend(std::mem::take(&mut self.path), node, |_| 0);
        }
    }

    /// Goes back over one entry. There must be one.
    fn retreat(&mut self) {
        while self.at == 0 {
            let is_open = |&(_, child): &(&Inner, usize)| child > 0;
            let turn = self.path.iter().rposition(is_open);
            let turn = turn.expect("an entry stands before a position that is not the first");
            self.path.truncate(turn + 1);
            let (inner, child) = &mut self.path[turn];
            *child -= 1;
            let node = &inner.children[*child];
            let path = std::mem::take(&mut self.path);
            *self = Position::descend(path, node, |inner| inner.separators.len());
            self.at = self.leaf.len();
        }
        self.at -= 1;
    }
}

/// Slots in ascending key order, from either end.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    front: Position<'a>,
    back: Position<'a>,
}

impl Iter<'_> {
    fn is_done(&self) -> bool {
        std::ptr::eq(self.front.leaf, self.back.leaf) && self.front.at == self.back.at
    }
}

impl Iterator for Iter<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        if self.is_done() {
            return None;
        }
        let slot = self.front.leaf.slot(self.front.at);
        self.front.at += 1;
        self.front.settle();
        Some(slot)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Slot> {
        if self.is_done() {
            return None;
        }
        self.back.retreat();
        Some(self.back.leaf.slot(self.back.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Keys by slot number, never forgotten, as a keyspace with a snapshot behaves.
    #[derive(Default)]
    struct Keys(Vec<Vec<u8>>);

    impl Keys {
        fn add(&mut self, key: &[u8]) -> Slot {
            self.0.push(key.to_vec());
            Slot::new(self.0.len() as u32).unwrap()
        }
    }

    impl Entries for Keys {
        fn key(&self, slot: Slot) -> &[u8] {
            &self.0[slot.get() as usize - 1]
        }

        fn hash(&self, _: Slot) -> u64 {
            unreachable!("the ordered index never asks for hashes")
        }
    }

    type Model = BTreeMap<Vec<u8>, Slot>;

    fn check(index: &OrderedIndex, model: &Model) {
        assert_eq!(index.len(), model.len());
        assert!(index.iter().eq(model.values().copied()));
        assert!(index.iter().rev().eq(model.values().rev().copied()));
        assert_eq!(index.first(), model.values().next().copied());
        assert_eq!(index.last(), model.values().next_back().copied());
    }

    fn mix(number: u64) -> u64 {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ (mixed >> 32)
    }

    #[test]
    fn a_random_key_costs_at_most_seven_and_a_half_bytes_and_an_ascending_one_six() {
        for (step, per_key_max) in [(7_368_787u64, 7.5), (1, 6.0)] {
            let (mut keys, mut index) = (Keys::default(), OrderedIndex::new());
            for number in 0..100_000u64 {
                let slot = keys.add(format!("key:{:012}", number * step % 100_000).as_bytes());
                assert_eq!(index.insert(slot, &keys), None);
            }
            let per_key = index.memory_bytes() as f64 / 100_000.0;
            assert!(per_key < per_key_max, "{per_key}");
        }
    }

    #[test]
    fn an_emptied_index_is_one_leaf() {
        let (mut keys, mut index) = (Keys::default(), OrderedIndex::new());
        for number in 0..30_000u64 {
            let slot = keys.add(&mix(number).to_be_bytes());
            index.insert(slot, &keys);
        }
        for number in 0..30_000u64 {
            assert!(index.remove(&mix(number).to_be_bytes(), &keys).is_some());
        }
        assert!(index.memory_bytes() < 2_000, "{}", index.memory_bytes());
        check(&index, &Model::new());
    }

    #[test]
    fn very_long_common_prefixes_are_ordered_too() {
        let (mut keys, mut index) = (Keys::default(), OrderedIndex::new());
        let mut model = Model::new();
        for number in 0..1_000u64 {
            // Differences at every distance, so that many are too far from the base to be stored.
            let random = mix(number);
            let mut key = vec![b'a'; random as usize % 300];
            key.extend_from_slice(&random.to_be_bytes()[..(random >> 32) as usize % 8]);
            let slot = keys.add(&key);
            assert_eq!(index.insert(slot, &keys), model.insert(key, slot));
        }
        check(&index, &model);
        for (key, slot) in &model {
            assert_eq!(index.get(key, &keys), Some(*slot));
        }
    }

    /// Keys in which prefixes, zero bytes and 0xFF are frequent.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0u8), Just(0xFF), Just(b'a'), any::<u8>()];
        prop_oneof![
            prop::collection::vec(byte, 0..5),
            (0u32..3_000).prop_map(|number| format!("key:{number:08}").into_bytes()),
            (0usize..60, any::<u8>()).prop_map(|(len, last)| {
                let mut key = vec![b'x'; len];
                key.push(last);
                key
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn it_does_what_a_sorted_map_does(
            built in prop_oneof![
                Just(Default::default()),
                prop::collection::btree_set(key(), 0..3_000),
            ],
            phases in prop::collection::vec(
                (
                    0u8..10,
                    prop::collection::vec((key(), 0u8..10), 0..1_500),
                    prop::collection::btree_set(key(), 0..400),
                ),
                1..4,
            ),
            probes in prop::collection::vec(key(), 30),
        ) {
            let mut keys = Keys::default();
            let mut model: Model = built.into_iter().map(|key| (key.clone(), keys.add(&key))).collect();
            let mut index = OrderedIndex::of_sorted(&model.values().copied().collect::<Vec<_>>(), &keys);
            check(&index, &model);
            let mut snapshots = Vec::new();
            for (inserts_of_ten, steps, together) in phases {
                for (key, what) in steps {
                    let slot = keys.add(&key);
                    if what < inserts_of_ten {
                        prop_assert_eq!(index.insert(slot, &keys), model.insert(key, slot));
                    } else if what % 2 == 0 {
                        prop_assert_eq!(index.remove(&key, &keys), model.remove(&key));
                    } else {
                        let old = model.get_mut(&key).map(|old| std::mem::replace(old, slot));
                        prop_assert_eq!(index.replace(&key, slot, &keys), old);
                    }
                }
                check(&index, &model);
                let absent = together.into_iter().filter(|key| !model.contains_key(key));
                let mut new: Vec<_> = absent.map(|key| (keys.add(&key), key)).collect();
                new.sort_by_key(|&(slot, _)| mix(u64::from(slot.get())));
                let slots: Vec<Slot> = new.iter().map(|&(slot, _)| slot).collect();
                index.insert_all(&slots, &keys);
                model.extend(new.into_iter().map(|(slot, key)| (key, slot)));
                check(&index, &model);
                snapshots.push((index.snapshot(), model.clone()));
            }
            prop_assert_eq!(index.snapshots(), snapshots.len());
            for (snapshot, model) in &snapshots {
                check(snapshot, model);
            }
            drop(snapshots);
            prop_assert_eq!(index.snapshots(), 0);
            for probe in &probes {
                prop_assert_eq!(index.get(probe, &keys), model.get(probe).copied());
                prop_assert!(index.seek(probe, &keys).eq(model.range(probe.clone()..).map(|e| *e.1)));
                let behind = (Bound::Excluded(probe.clone()), Bound::Unbounded);
                prop_assert!(index.after(probe, &keys).eq(model.range(behind).map(|e| *e.1)));
                let before = model.range(..probe.clone()).rev().map(|e| *e.1);
                prop_assert!(index.before(probe, &keys).rev().eq(before));
                let begins = model.iter().filter(|e| e.0.starts_with(probe));
                prop_assert!(index.prefix_range(probe, &keys).eq(begins.map(|e| *e.1)));
                for other in &probes {
                    let from = Bound::Excluded(other.as_slice());
                    let begins = model.iter().filter(|e| e.0.starts_with(probe) && e.0 > other);
                    let range = index.prefix_range_from(probe, from, &keys);
                    prop_assert!(range.rev().eq(begins.rev().map(|e| *e.1)));
                    let to = Bound::Excluded(probe.as_slice());
                    let within = model.iter().filter(|e| e.0 > other && e.0 < probe);
                    prop_assert!(index.range(from, to, &keys).eq(within.map(|e| *e.1)));
                }
            }
        }
    }
}
