//! The hash table under large sets, hashes and sorted sets.
//!
//! Extendible hashing (Fagin et al., TODS 1979) with a bucket of 64: a directory indexed by the top
//! bits of the hash points to buckets; a full bucket splits in two, by one more bit. Why not one
//! flat table:
//!
//! - **no pause**: growing touches one bucket of 64 entries (and, once in a doubling, copies the
//!   directory: 4 bytes for about 10 entries), where a flat table would rehash a million;
//! - **scans survive it**: a cursor is a position in the order of hashes. Buckets are intervals of
//!   that order whatever splits or merges happen, so an element present throughout is returned;
//! - **uniform choice**: buckets are dense and equally wide, so a random bucket and a random slot in
//!   it, tried again when the slot is empty, is uniform over the elements.
//!
//! In a bucket entries are dense and unordered; 8-bit tags beside them, compared eight at a time,
//! find the candidates, so that a look-up rarely touches an entry that is not the one.

use std::hash::{BuildHasher, Hasher};
use std::slice;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

use super::footprint::allocated;

/// Entries of a bucket that have a tag; more are held only when hashes cannot tell them apart.
const WIDTH: usize = 64;
/// Buckets per allocation: they never move when more are added.
const CHUNK: usize = 128;
/// Two sibling buckets with no more entries than this, together, become one.
const MERGE_MAX: usize = WIDTH / 2;
/// Capacity of a bucket's entries grows in steps of so many.
const STEP: usize = 8;
/// The directory never has more than `2^DEPTH_MAX` slots.
const DEPTH_MAX: u32 = 30;
/// Random probes before a uniform choice gives way to a bounded one.
const PROBES_MAX: usize = 1024;

/// The secret that hashing starts from. One per process, made from outside randomness: whoever
/// knows it can choose members that collide.
///
/// Logical state does not depend on it; the order of iteration, of scans and the choice of random
/// elements do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashSeed(pub u64);

impl HashSeed {
    #[inline]
    pub(crate) fn hash(self, key: &[u8]) -> u64 {
        let state = SeedableRandomState::with_seed(self.0, SharedSeed::global_fixed());
        let mut hasher = state.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

/// What a [`Table`] holds: something that carries its own key, which never changes while inside.
pub(super) trait Keyed {
    fn key(&self) -> &[u8];
}

struct Bucket<T> {
    tags: [u8; WIDTH],
    entries: Vec<T>,
    /// The top `depth` bits of the hash of every entry.
    prefix: u32,
    depth: u32,
}

impl<T: Keyed> Bucket<T> {
    fn new(prefix: u32, depth: u32) -> Self {
        Bucket {
            tags: [0; WIDTH],
            entries: Vec::new(),
            prefix,
            depth,
        }
    }

    #[inline]
    fn find(&self, tag: u8, key: &[u8]) -> Option<usize> {
        const LOW: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let pattern = LOW * u64::from(tag);
        let tagged = self.entries.len().min(WIDTH);
        let (words, _) = self.tags.as_chunks::<8>();
        for (word, tags) in words[..tagged.div_ceil(8)].iter().enumerate() {
            // Zero bytes are equal tags. A borrow may mark the byte after a true match as well,
            // which the comparison of keys sorts out.
            let differ = u64::from_le_bytes(*tags) ^ pattern;
            let mut equal = differ.wrapping_sub(LOW) & !differ & HIGH;
            while equal != 0 {
                let slot = word * 8 + equal.trailing_zeros() as usize / 8;
                if slot < tagged && self.entries[slot].key() == key {
                    return Some(slot);
                }
                equal &= equal - 1;
            }
        }
        let beyond = self.entries.get(WIDTH..).unwrap_or_default();
        beyond
            .iter()
            .position(|entry| entry.key() == key)
            .map(|slot| WIDTH + slot)
    }

    fn push(&mut self, tag: u8, entry: T) {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(STEP);
        }
        if let Some(place) = self.tags.get_mut(self.entries.len()) {
            *place = tag;
        }
        self.entries.push(entry);
    }

    fn take(&mut self, slot: usize, seed: HashSeed) -> T {
        let last = self.entries.len() - 1;
        let entry = self.entries.swap_remove(slot);
        if slot < WIDTH {
            self.tags[slot] = match self.entries.get(slot) {
                Some(moved) if last >= WIDTH => seed.hash(moved.key()) as u8,
                _ => self.tags[last.min(WIDTH - 1)],
            };
        }
        if self.entries.capacity() - self.entries.len() >= 3 * STEP {
            self.entries.shrink_to(self.entries.len() + STEP);
        }
        entry
    }
}

/// A set of `T` by key. Look-up, insert and remove are O(1).
pub(super) struct Table<T> {
    seed: HashSeed,
    len: usize,
    /// Entries of the fullest bucket there ever was, at least [`WIDTH`].
    widest: usize,
    depth: u32,
    /// Buckets whose own depth is `depth`: when none is left, the directory halves.
    deepest: usize,
    directory: Vec<u32>,
    /// Dense: bucket `i` is `chunks[i / CHUNK][i % CHUNK]`.
    chunks: Vec<Vec<Bucket<T>>>,
    buckets: usize,
    /// Heap bytes of all buckets' entry arrays.
    entry_bytes: usize,
}

impl<T: Keyed> Table<T> {
    pub(super) fn new(seed: HashSeed) -> Self {
        let mut table = Table {
            seed,
            len: 0,
            widest: WIDTH,
            depth: 0,
            deepest: 1,
            directory: vec![0],
            chunks: Vec::new(),
            buckets: 0,
            entry_bytes: 0,
        };
        table.add_bucket(Bucket::new(0, 0));
        table
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the table itself, without what the entries point to.
    pub(super) fn table_bytes(&self) -> usize {
        allocated(self.directory.capacity() * size_of::<u32>())
            + self.entry_bytes
            + self.chunks.len().saturating_sub(1) * allocated(CHUNK * size_of::<Bucket<T>>())
            + self
                .chunks
                .last()
                .map_or(0, |c| allocated(c.capacity() * size_of::<Bucket<T>>()))
            + allocated(self.chunks.capacity() * size_of::<Vec<Bucket<T>>>())
    }

    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<&T> {
        let hash = self.seed.hash(key);
        let bucket = self.bucket(self.index_of(hash));
        bucket
            .find(hash as u8, key)
            .map(|slot| &bucket.entries[slot])
    }

    /// Inserts what `make` gives, unless `key` is there: then the present entry is returned. One
    /// hash and one probe for both.
    pub(super) fn insert_with(&mut self, key: &[u8], make: impl FnOnce() -> T) -> Option<&mut T> {
        let hash = self.seed.hash(key);
        let mut index = self.index_of(hash);
        if let Some(slot) = self.bucket(index).find(hash as u8, key) {
            return Some(&mut self.bucket_mut(index).entries[slot]);
        }
        while self.bucket(index).entries.len() >= WIDTH && self.split(index) {
            index = self.index_of(hash);
        }
        let entry = make();
        debug_assert_eq!(entry.key(), key);
        self.push(index, hash as u8, entry);
        self.len += 1;
        None
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<T> {
        let hash = self.seed.hash(key);
        let index = self.index_of(hash);
        let slot = self.bucket(index).find(hash as u8, key)?;
        Some(self.take(index, slot))
    }

    /// An element, each equally likely. Expected O(1) calls of `random`.
    pub(super) fn random(&self, random: &mut impl FnMut() -> u64) -> Option<&T> {
        self.probe(random)
            .map(|(index, slot)| &self.bucket(index).entries[slot])
    }

    /// Removes what [`random`](Self::random) would return.
    pub(super) fn pop_random(&mut self, random: &mut impl FnMut() -> u64) -> Option<T> {
        self.probe(random)
            .map(|(index, slot)| self.take(index, slot))
    }

    /// Visits whole buckets from `cursor` (0 starts) until at least `count` elements were seen, and
    /// returns the cursor to go on from, 0 at the end. A call sees at most `count` + 63 elements.
    ///
    /// An element present from the call with cursor 0 to the one that returned 0 is seen at least
    /// once; one that comes or goes meanwhile may or may not be.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&T)) -> u64 {
        // A cursor is the top 32 bits of the next hash to visit.
        let mut at = cursor & u64::from(u32::MAX);
        let mut seen = 0;
        loop {
            let bucket = self.bucket(self.index_of(at << 32));
            bucket.entries.iter().for_each(&mut visit);
            seen += bucket.entries.len();
            at = (u64::from(bucket.prefix) + 1) << (32 - bucket.depth);
            if at > u64::from(u32::MAX) {
                return 0;
            }
            if seen >= count {
                return at;
            }
        }
    }

    pub(super) fn iter(&self) -> Iter<'_, T> {
        Iter {
            chunks: self.chunks.iter(),
            buckets: [].iter(),
            entries: [].iter(),
        }
    }

    /// The directory slot of `hash` and the bucket it names.
    #[inline]
    fn index_of(&self, hash: u64) -> usize {
        // Two shifts, because a directory of depth 0 would shift by 64.
        self.directory[(hash >> 1 >> (63 - self.depth)) as usize] as usize
    }

    #[inline]
    fn bucket(&self, index: usize) -> &Bucket<T> {
        &self.chunks[index / CHUNK][index % CHUNK]
    }

    #[inline]
    fn bucket_mut(&mut self, index: usize) -> &mut Bucket<T> {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }

    fn push(&mut self, index: usize, tag: u8, entry: T) {
        let bucket = self.bucket_mut(index);
        let before = bucket.entries.capacity();
        bucket.push(tag, entry);
        let (after, width) = (bucket.entries.capacity(), bucket.entries.len());
        self.widest = self.widest.max(width);
        self.recount(before, after);
    }

    fn take(&mut self, index: usize, slot: usize) -> T {
        let seed = self.seed;
        let bucket = self.bucket_mut(index);
        let before = bucket.entries.capacity();
        let entry = bucket.take(slot, seed);
        let (after, len) = (bucket.entries.capacity(), bucket.entries.len());
        self.recount(before, after);
        self.len -= 1;
        // The sibling is a cache miss away: look at it on every fourth removal only.
        if len <= MERGE_MAX / 2 && len.is_multiple_of(4) {
            self.merge(index);
        }
        entry
    }

    fn recount(&mut self, before: usize, after: usize) {
        if before != after {
            self.entry_bytes += allocated(after * size_of::<T>());
            self.entry_bytes -= allocated(before * size_of::<T>());
        }
    }

    fn probe(&self, random: &mut impl FnMut() -> u64) -> Option<(usize, usize)> {
        if self.len == 0 {
            return None;
        }
        let below = |bound: usize, number: u32| ((u64::from(number) * bound as u64) >> 32) as usize;
        for _ in 0..PROBES_MAX {
            let number = random();
            let index = below(self.buckets, (number >> 32) as u32);
            let slot = below(self.widest, number as u32);
            if slot < self.bucket(index).entries.len() {
                return Some((index, slot));
            }
        }
        // Not uniform, but bounded: reached by a poor source of randomness only.
        let start = below(self.buckets, (random() >> 32) as u32);
        (0..self.buckets)
            .map(|step| (start + step) % self.buckets)
            .find(|&index| !self.bucket(index).entries.is_empty())
            .map(|index| (index, 0))
    }

    /// Splits a bucket by one more bit of the hash; false when the directory may not grow for it.
    fn split(&mut self, index: usize) -> bool {
        let (prefix, depth) = (self.bucket(index).prefix, self.bucket(index).depth);
        if depth == self.depth {
            // Members that were chosen to collide must not blow up the directory.
            if self.depth == DEPTH_MAX || self.directory.len() > self.len.max(WIDTH) * 4 {
                return false;
            }
            self.directory = self
                .directory
                .iter()
                .flat_map(|&bucket| [bucket, bucket])
                .collect();
            self.depth += 1;
            self.deepest = 0;
        }
        let seed = self.seed;
        let mut upper = Bucket::new(prefix << 1 | 1, depth + 1);
        let lower = self.bucket_mut(index);
        let before = lower.entries.capacity();
        let entries = std::mem::take(&mut lower.entries);
        (lower.prefix, lower.depth) = (prefix << 1, depth + 1);
        for entry in entries {
            let hash = seed.hash(entry.key());
            let side = if hash >> (63 - depth) & 1 == 1 {
                &mut upper
            } else {
                &mut *lower
            };
            side.push(hash as u8, entry);
        }
        let (lower_after, upper_after) = (lower.entries.capacity(), upper.entries.capacity());
        self.recount(before, lower_after);
        self.recount(0, upper_after);
        if depth + 1 == self.depth {
            self.deepest += 2;
        }
        let index = self.add_bucket(upper);
        self.point(prefix << 1 | 1, depth + 1, index);
        true
    }

    /// Joins a bucket with its sibling when both are nearly empty.
    fn merge(&mut self, index: usize) {
        let (prefix, depth) = (self.bucket(index).prefix, self.bucket(index).depth);
        if depth == 0 {
            return;
        }
        let sibling = self.directory[((prefix ^ 1) as usize) << (self.depth - depth)] as usize;
        let together = self.bucket(index).entries.len() + self.bucket(sibling).entries.len();
        if self.bucket(sibling).depth != depth || together > MERGE_MAX {
            return;
        }
        let seed = self.seed;
        let gone = self.bucket_mut(sibling);
        let entries = std::mem::take(&mut gone.entries);
        self.recount(entries.capacity(), 0);
        for entry in entries {
            let tag = seed.hash(entry.key()) as u8;
            self.push(index, tag, entry);
        }
        let kept = self.bucket_mut(index);
        (kept.prefix, kept.depth) = (prefix >> 1, depth - 1);
        self.point(prefix >> 1, depth - 1, index);
        if depth == self.depth {
            self.deepest -= 2;
        }
        self.drop_bucket(sibling);
        if self.deepest == 0 {
            self.halve();
        }
    }

    /// Drops the last bit of the directory, which no bucket uses.
    fn halve(&mut self) {
        self.depth -= 1;
        self.directory = self.directory.iter().copied().step_by(2).collect();
        let depth = self.depth;
        self.deepest = self
            .chunks
            .iter()
            .flatten()
            .filter(|bucket| bucket.depth == depth)
            .count();
    }

    /// Makes every directory slot of an interval of hashes name `index`.
    fn point(&mut self, prefix: u32, depth: u32, index: usize) {
        let spare = self.depth - depth;
        let start = (prefix as usize) << spare;
        self.directory[start..start + (1 << spare)].fill(index as u32);
    }

    fn add_bucket(&mut self, bucket: Bucket<T>) -> usize {
        let index = self.buckets;
        if index.is_multiple_of(CHUNK) {
            // The first chunk grows with its table; later ones are full soon.
            self.chunks
                .push(Vec::with_capacity(if index == 0 { 1 } else { CHUNK }));
        }
        self.chunks.last_mut().expect("pushed above").push(bucket);
        self.buckets += 1;
        index
    }

    /// Removes an empty bucket that the directory no longer names; the last takes its place.
    fn drop_bucket(&mut self, index: usize) {
        let last = self
            .chunks
            .last_mut()
            .and_then(Vec::pop)
            .expect("the bucket at `index` exists");
        if self.chunks.last().is_some_and(Vec::is_empty) {
            self.chunks.pop();
        }
        self.buckets -= 1;
        if index != self.buckets {
            let (prefix, depth) = (last.prefix, last.depth);
            *self.bucket_mut(index) = last;
            self.point(prefix, depth, index);
        }
    }
}

/// Entries of a [`Table`], bucket by bucket.
pub(super) struct Iter<'a, T> {
    chunks: slice::Iter<'a, Vec<Bucket<T>>>,
    buckets: slice::Iter<'a, Bucket<T>>,
    entries: slice::Iter<'a, T>,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(entry);
            }
            if let Some(bucket) = self.buckets.next() {
                self.entries = bucket.entries.iter();
            } else {
                self.buckets = self.chunks.next()?.iter();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    struct Key(Vec<u8>);

    impl Keyed for Key {
        fn key(&self) -> &[u8] {
            &self.0
        }
    }

    fn key(number: u32) -> Vec<u8> {
        number.to_string().into_bytes()
    }

    fn insert(table: &mut Table<Key>, number: u32) -> bool {
        table
            .insert_with(&key(number), || Key(key(number)))
            .is_none()
    }

    #[test]
    fn growing_and_shrinking_keeps_every_entry_findable() {
        let mut table = Table::new(HashSeed(7));
        let empty_bytes = table.table_bytes();
        for number in 0..50_000 {
            assert!(insert(&mut table, number));
        }
        assert!(!insert(&mut table, 10));
        assert!((0..50_000).all(|number| table.get(&key(number)).is_some()));
        for number in 0..50_000 {
            assert!(table.remove(&key(number)).is_some());
            let next = number + 1;
            assert_eq!(table.get(&key(next)).is_some(), next < 50_000);
        }
        assert_eq!(table.len(), 0);
        assert!(
            table.table_bytes() < empty_bytes + 64 * 1024,
            "{}",
            table.table_bytes()
        );
    }

    #[test]
    fn entries_that_collide_do_not_blow_up_the_directory() {
        let mut bucket_wide = Table::new(HashSeed(1));
        for number in 0..200 {
            let index = bucket_wide.index_of(0);
            bucket_wide.push(index, 0, Key(key(number)));
            bucket_wide.len += 1;
        }
        let index = bucket_wide.index_of(0);
        let seed = bucket_wide.seed;
        let bucket = bucket_wide.bucket_mut(index);
        for slot in 0..WIDTH {
            bucket.tags[slot] = seed.hash(bucket.entries[slot].key()) as u8;
        }
        for number in (0..200).rev().step_by(3).chain(0..200) {
            let there = bucket_wide.get(&key(number)).is_some();
            assert_eq!(bucket_wide.remove(&key(number)).is_some(), there);
        }
        assert_eq!(bucket_wide.len(), 0);
    }

    #[test]
    fn random_choice_is_uniform() {
        let mut table = Table::new(HashSeed(3));
        for number in 0..1000 {
            insert(&mut table, number);
        }
        let mut state = 1u64;
        let mut random = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state ^ state >> 29)
                .wrapping_mul(0xbf58476d1ce4e5b9)
                .rotate_left(32)
        };
        let mut seen = vec![0u32; 1000];
        for _ in 0..200_000 {
            let entry = table.random(&mut random).unwrap();
            seen[std::str::from_utf8(&entry.0)
                .unwrap()
                .parse::<usize>()
                .unwrap()] += 1;
        }
        // 200 expected, a standard deviation of 14.
        assert!(seen.iter().all(|&count| (110..300).contains(&count)));
        assert!(Table::<Key>::new(HashSeed(3)).random(&mut random).is_none());
        let entry = table.random(&mut || u64::MAX);
        assert!(entry.is_some(), "a broken source still gets an answer");
    }

    proptest! {
           #[test]
           fn a_scan_returns_what_is_there_throughout(
               seed: u64,
               count in 1usize..200,
               churn in prop::collection::vec((any::<bool>(), 1000u32..5000, 1u32..900), 1..40),
           ) {
               let mut table = Table::new(HashSeed(seed));
               for number in 0..500 {
    insert(&mut table, number);
    }
               let mut seen = BTreeSet::new();
               let mut cursor = 0;
               let mut churn = churn.into_iter().cycle();
               loop {
                   cursor = table.scan(cursor, count, |entry| { seen.insert(entry.0.clone()); });
                   if cursor == 0 {
                       break;
                   }
                   let (grow, from, many) = churn.next().unwrap();
                   for number in from..from + many {
                       if grow { insert(&mut table, number); } else { table.remove(&key(number)); }
                   }
               }
               for number in 0..500 {
                   prop_assert!(seen.contains(&key(number)));
               }
           }
       }
}
