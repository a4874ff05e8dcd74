//! A hash index from a key's hash to its slot: about 6.7 bytes a key, at most 7.5 at any size.
//!
//! For: point look-ups. A look-up touches one 64-byte bucket and then the entry itself; both can be
//! prefetched for a whole batch ([`HashIndex::prefetch`], then [`HashIndex::candidate`], then
//! [`HashIndex::find`]).
//!
//! Not: a map. It stores 8 bits of the hash beside each slot and no key; equality is the caller's,
//! and so is the promise that a key is inserted once.
//!
//! How: extendible hashing (Fagin et al., TODS 1979) over segments that grow. The hash's top bits,
//! up to 24, choose a segment through a directory; the 32 below them, scaled to the segment's number
//! of buckets, choose a bucket of 12; the low 8 are the tag. A full bucket lets entries overflow into
//! those behind it and counts them, so a look-up leaves its home bucket only where that count says
//! that somebody did. A segment that fills up gains 8 or 16 buckets, until it is split in two.
//!
//! The rule kept: entries stand in the order of their hashes, up to overflow, whatever grows or
//! shrinks. That makes [`HashIndex::sweep`]'s cursor a plain position that stays meaningful. And no
//! step moves more than one segment, of at most 64 buckets, unless hundreds of
//! keys share the same hash.

use super::segment::{
    BUCKET_SLOTS, SEGMENT_BUCKETS_MAX, Segment, buckets_above, buckets_for, position_of, tag_of,
};
use super::{Entries, Slot};

/// Bits of the hash that the directory can use.
const DEPTH_MAX: u8 = 24;

/// The directory is doubled for a split only where segments hold this many entries on average, so
/// that equal hashes, which no split separates, cannot blow it up.
const DIRECTORY_ENTRIES_MIN: usize = 48;

/// A segment grows above this many entries in a hundred slots...
const LOAD_MAX_PERCENT: usize = 90;
/// ... and shrinks below this many.
const LOAD_MIN_PERCENT: usize = 55;

/// One past the last position.
const POSITION_END: u64 = 1 << 56;

/// Hash to slot. See the module's head.
#[derive(Clone, Debug)]
pub struct HashIndex {
    /// By the top `depth` bits of a hash: the number of its segment.
    directory: Vec<u32>,
    segments: Vec<Segment>,
    depth: u8,
    len: usize,
    /// Segments as deep as the directory; at none, the directory is halved.
    deepest: usize,
    bucket_bytes: usize,
}

impl Default for HashIndex {
    fn default() -> HashIndex {
        HashIndex::new()
    }
}

impl HashIndex {
    /// An empty index, without buckets yet.
    pub fn new() -> HashIndex {
        HashIndex {
            directory: vec![0],
            segments: vec![Segment::default()],
            depth: 0,
            len: 0,
            deepest: 1,
            bucket_bytes: 0,
        }
    }

    /// Entries in the index.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the index holds, the entries' own not counted.
    pub fn memory_bytes(&self) -> usize {
        self.bucket_bytes
            + self.segments.capacity() * size_of::<Segment>()
            + self.directory.capacity() * size_of::<u32>()
    }

    #[inline(always)]
    fn directory_index(&self, hash: u64) -> usize {
        // Two shifts, because depth 0 would make one of 64.
        (hash >> 1 >> (63 - self.depth)) as usize
    }

    #[inline(always)]
    fn segment(&self, hash: u64) -> &Segment {
        &self.segments[self.directory[self.directory_index(hash)] as usize]
    }

    /// Starts loading the bucket where `hash` is looked up first: the first of a batch's two stages.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let segment = self.segment(hash);
        super::prefetch_line(segment.buckets.as_ptr().wrapping_add(segment.home(hash)));
    }

    /// The first slot whose tag matches: nearly always the right one where the key is present, and
    /// none for 19 of 20 absent keys. For prefetching the entry, a batch's second stage.
    #[inline]
    pub fn candidate(&self, hash: u64) -> Option<Slot> {
        let segment = self.segment(hash);
        let mut at = segment.home(hash);
        let mut bucket = segment.buckets.get(at)?;
        for _ in 0..segment.buckets.len() {
            let bits = bucket.matches(tag_of(hash));
            if bits != 0 {
                return Some(bucket.slot(bits.trailing_zeros()));
            }
            if bucket.passed == 0 {
                return None;
            }
            at = segment.after(at);
            bucket = &segment.buckets[at];
        }
        None
    }

    /// The entry with this hash for which `equal` says yes. `equal` is asked only about entries
    /// whose tag matches: one false positive in about 25 look-ups. O(1) expected.
    #[inline]
    pub fn find(&self, hash: u64, mut equal: impl FnMut(Slot) -> bool) -> Option<Slot> {
        let segment = self.segment(hash);
        let mut at = segment.home(hash);
        let mut bucket = segment.buckets.get(at)?;
        for _ in 0..segment.buckets.len() {
            let mut bits = bucket.matches(tag_of(hash));
            while bits != 0 {
                let slot = bucket.slot(bits.trailing_zeros());
                if equal(slot) {
                    return Some(slot);
                }
                bits &= bits - 1;
            }
            if bucket.passed == 0 {
                return None;
            }
            at = segment.after(at);
            bucket = &segment.buckets[at];
        }
        None
    }

    /// Adds an entry whose key is not in the index (the caller has looked). O(1) amortised; at most
    /// one segment is grown or split, about 10 microseconds, plus, once for each doubling of the
    /// index, a copy of the directory (about 16 bytes a thousand entries). The new entry itself is
    /// not asked about.
    pub fn insert(&mut self, hash: u64, slot: Slot, entries: &impl Entries) {
        loop {
            let number = self.directory[self.directory_index(hash)] as usize;
            let segment = &self.segments[number];
            if !segment.is_above(segment.len as usize + 1, LOAD_MAX_PERCENT) {
                break;
            }
            if segment.buckets.len() >= SEGMENT_BUCKETS_MAX && self.may_split(segment) {
                self.split(number, hash, entries);
            } else {
                self.resize(number, buckets_above(segment.buckets.len()), entries);
            }
        }
        let number = self.directory[self.directory_index(hash)] as usize;
        self.segments[number].insert(hash, slot);
        self.len += 1;
    }

    /// Takes an entry out, by its hash and slot. False where it is not in the index. `entries` must
    /// still know the other entries; the removed one is not asked about. O(1) amortised.
    pub fn remove(&mut self, hash: u64, slot: Slot, entries: &impl Entries) -> bool {
        let number = self.directory[self.directory_index(hash)] as usize;
        let segment = &mut self.segments[number];
        if !segment.remove(hash, slot) {
            return false;
        }
        self.len -= 1;
        let len = segment.len as usize;
        if !segment.is_above(len, LOAD_MIN_PERCENT) {
            let due = buckets_for(len);
            if due < segment.buckets.len() {
                self.resize(number, due, entries);
            }
            if len <= SEGMENT_BUCKETS_MAX * BUCKET_SLOTS / 4 {
                self.merge(hash, entries);
            }
        }
        true
    }

    /// Says that the entry at `old` has moved to `new`, keeping its key. False where `old` is not
    /// in the index. O(1).
    pub fn replace(&mut self, hash: u64, old: Slot, new: Slot) -> bool {
        let number = self.directory[self.directory_index(hash)] as usize;
        let segment = &mut self.segments[number];
        if segment.buckets.is_empty() {
            return false;
        }
        let Some((bucket, i)) = segment.locate(hash, old) else {
            return false;
        };
        segment.buckets[bucket].slots[i] = new.get();
        true
    }

    /// A random entry; none where the index is empty. `random` must be uniform; the same number
    /// gives the same entry. Each entry is as likely as any other within some 5 %. O(1) expected.
    pub fn sample(&self, random: u64) -> Option<Slot> {
        if self.is_empty() {
            return None;
        }
        // A segment is chosen by its share of the hashes, hence of the entries; inside, every place
        // is as likely as any other and unused ones are rejected.
        let mut index = self.directory_index(random);
        let mut segment = &self.segments[self.directory[index] as usize];
        while segment.len == 0 {
            index = (index + 1) % self.directory.len();
            segment = &self.segments[self.directory[index] as usize];
        }
        let places = (segment.buckets.len() * BUCKET_SLOTS) as u64;
        let mut state = random;
        for _ in 0..64 {
            // The finaliser of SplitMix64: successive states give independent places.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let place = (u128::from(mixed ^ (mixed >> 31)) * u128::from(places)) >> 64;
            let bucket = &segment.buckets[place as usize / BUCKET_SLOTS];
            if let Some(slot) = Slot::new(bucket.slots[place as usize % BUCKET_SLOTS]) {
                return Some(slot);
            }
        }
        segment.entries().next()
    }

    /// Visits the next entries in the order of their hashes, from `cursor` (0 to begin), and returns
    /// the cursor to go on with, 0 when all were visited.
    ///
    /// Stops at the first bucket boundary after `budget` entries or, where there are few, `budget`
    /// buckets. An entry that is present throughout is visited exactly once by a whole sweep,
    /// whatever is inserted, removed and moved between the calls; one that is not, at most once.
    /// Entries of equal hash are visited together.
    pub fn sweep(
        &self,
        cursor: u64,
        budget: usize,
        entries: &impl Entries,
        mut visit: impl FnMut(Slot),
    ) -> u64 {
        let mut position = cursor;
        let mut done = 0;
        while position < POSITION_END {
            let segment = self.segment(position << 8);
            if segment.buckets.is_empty() {
                position = self.segment_end(position, segment.depth);
                done += 1;
            } else {
                let home = segment.home(position << 8);
                let end = self.bucket_end(position, segment, home);
                let mut at = home;
                for _ in 0..segment.buckets.len() {
                    let bucket = &segment.buckets[at];
                    bucket.entries().for_each(|slot| entries.prefetch(slot));
                    for slot in bucket.entries() {
                        // Strangers overflowed into this bucket, or stand before the cursor.
                        if (position..end).contains(&position_of(entries.hash(slot))) {
                            visit(slot);
                            done += 1;
                        }
                    }
                    if bucket.passed == 0 {
                        break;
                    }
                    at = segment.after(at);
                }
                position = end;
                done += 1;
            }
            if done >= budget {
                break;
            }
        }
        if position < POSITION_END { position } else { 0 }
    }

    /// The first position behind the segment of `depth` that holds `position`.
    fn segment_end(&self, position: u64, depth: u8) -> u64 {
        let span = POSITION_END >> depth;
        (position / span + 1) * span
    }

    /// The first position behind bucket `home` of the segment that holds `position`.
    fn bucket_end(&self, position: u64, segment: &Segment, home: usize) -> u64 {
        let span = POSITION_END >> segment.depth;
        let scaled = ((home as u64 + 1) << 32).div_ceil(segment.buckets.len() as u64);
        position / span * span + (scaled << (DEPTH_MAX - segment.depth))
    }

    fn may_split(&self, segment: &Segment) -> bool {
        segment.depth < self.depth
            || (self.depth < DEPTH_MAX && self.len >= DIRECTORY_ENTRIES_MIN << (self.depth + 1))
    }

    fn resize(&mut self, number: usize, buckets: usize, entries: &impl Entries) {
        let resized = self.segments[number].resized(buckets, entries);
        self.bucket_bytes += resized.bytes();
        self.bucket_bytes -= self.segments[number].bytes();
        self.segments[number] = resized;
    }

    /// Splits segment `number`, which holds `hash`, by the next bit of the hashes.
    fn split(&mut self, number: usize, hash: u64, entries: &impl Entries) {
        let old = std::mem::take(&mut self.segments[number]);
        if old.depth == self.depth {
            let doubled = self.directory.iter().flat_map(|&segment| [segment; 2]);
            self.directory = doubled.collect();
            self.depth += 1;
            self.deepest = 0;
        }
        let depth = old.depth + 1;
        let bit = 64 - u32::from(depth);
        let mut halves = [Vec::new(), Vec::new()];
        old.for_each_hash(entries, |hash, slot| {
            halves[(hash >> bit & 1) as usize].push((hash, slot));
        });
        let [low, high] = halves.map(|half| {
            let mut segment = Segment::new(buckets_for(half.len()), depth);
            half.iter()
                .for_each(|&(hash, slot)| segment.insert(hash, slot));
            segment
        });
        self.bucket_bytes += low.bytes() + high.bytes();
        self.bucket_bytes -= old.bytes();
        self.segments[number] = low;
        let added = self.segments.len();
        self.segments.push(high);
        if depth == self.depth {
            self.deepest += 2;
        }
        let run = 1 << (self.depth - depth);
        let first = self.directory_index(hash >> bit << bit | 1 << bit) / run * run;
        self.directory[first..first + run].fill(added as u32);
    }

    /// Joins the segment of `hash` with the one it was once split from, where both are small, and
    /// halves the directory where no segment needs all of its bits any more.
    fn merge(&mut self, hash: u64, entries: &impl Entries) {
        let depth = self.segment(hash).depth;
        if depth == 0 {
            return;
        }
        let bit = 64 - u32::from(depth);
        let low_hash = (hash >> bit & !1) << bit;
        let (low, high) = (
            self.directory[self.directory_index(low_hash)],
            self.directory[self.directory_index(low_hash | 1 << bit)],
        );
        let (a, b) = (&self.segments[low as usize], &self.segments[high as usize]);
        let len = (a.len + b.len) as usize;
        // Half of what a segment can hold: far from the next split.
        if a.depth != b.depth || len > SEGMENT_BUCKETS_MAX * BUCKET_SLOTS / 2 {
            return;
        }
        let mut joined = Segment::new(buckets_for(len), depth - 1);
        a.for_each_hash(entries, |hash, slot| joined.insert(hash, slot));
        b.for_each_hash(entries, |hash, slot| joined.insert(hash, slot));
        self.bucket_bytes += joined.bytes();
        self.bucket_bytes -= a.bytes() + b.bytes();
        self.segments[low as usize] = joined;
        let run = 1 << (self.depth - depth);
        let first = self.directory_index(low_hash | 1 << bit) / run * run;
        self.directory[first..first + run].fill(low);
        self.forget(high, entries);
        if depth == self.depth {
            self.deepest -= 2;
            if self.deepest == 0 {
                self.halve();
            }
        }
    }

    /// Closes the gap that segment `number`, to which the directory no longer points, leaves.
    fn forget(&mut self, number: u32, entries: &impl Entries) {
        let last = self.segments.len() as u32 - 1;
        self.segments.swap_remove(number as usize);
        if number == last {
            return;
        }
        let moved = &self.segments[number as usize];
        let run = 1 << (self.depth - moved.depth);
        // Which part of the directory pointed to it, any of its entries tells; the place of an
        // empty segment, rare because such are merged, is searched for.
        let first = match moved.entries().next() {
            Some(slot) => self.directory_index(entries.hash(slot)) / run * run,
            None => (0..self.directory.len())
                .step_by(run)
                .find(|&at| self.directory[at] == last)
                .expect("every segment is in the directory"),
        };
        debug_assert_eq!(self.directory[first], last);
        self.directory[first..first + run].fill(number);
    }

    fn halve(&mut self) {
        while self.depth > 0 && self.deepest == 0 {
            self.directory = self.directory.iter().copied().step_by(2).collect();
            self.depth -= 1;
            let deepest = self.segments.iter().filter(|s| s.depth == self.depth);
            self.deepest = deepest.count();
        }
        self.segments
            .shrink_to(self.segments.len() + self.segments.len() / 4);
    }
}

/// The slots of a [`HashIndex`] in no order, giving its memory back segment by segment: to free what
/// the entries own in bounded steps, after the index was exchanged for a new one.
#[derive(Debug)]
pub struct IntoIter {
    segments: Vec<Segment>,
    /// The next place in the last segment.
    place: usize,
}

impl Iterator for IntoIter {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        loop {
            let segment = self.segments.last()?;
            let rest = self.place..segment.buckets.len() * BUCKET_SLOTS;
            for place in rest {
                let number = segment.buckets[place / BUCKET_SLOTS].slots[place % BUCKET_SLOTS];
                if let Some(slot) = Slot::new(number) {
                    self.place = place + 1;
                    return Some(slot);
                }
            }
            self.segments.pop();
            self.place = 0;
        }
    }
}

impl IntoIterator for HashIndex {
    type Item = Slot;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter {
            segments: self.segments,
            place: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    /// Hashes by slot number.
    struct Hashes(HashMap<u32, u64>);

    impl Entries for Hashes {
        fn key(&self, _: Slot) -> &[u8] {
            unreachable!("the hash index never asks for keys")
        }

        fn hash(&self, slot: Slot) -> u64 {
            self.0[&slot.get()]
        }
    }

    /// What a family of keys hashes to.
    #[derive(Clone, Copy, Debug)]
    enum Family {
        Uniform,
        Equal,
        EqualTag,
        EqualTop,
        Few,
    }

    fn mix(number: u64) -> u64 {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ (mixed >> 32)
    }

    fn hash(family: Family, number: u32) -> u64 {
        let uniform = mix(u64::from(number));
        match family {
            Family::Uniform => uniform,
            Family::Equal => 0xDEAD_BEEF_0123_4567,
            Family::EqualTag => uniform | 0xFF,
            Family::EqualTop => uniform >> 20 | 0xABC << 52,
            Family::Few => mix(uniform % 5),
        }
    }

    /// What must hold between any two operations.
    fn check(index: &HashIndex) {
        assert_eq!(index.directory.len(), 1 << index.depth);
        let deepest = index.segments.iter().filter(|s| s.depth == index.depth);
        assert_eq!(index.deepest, deepest.count());
        let len: u32 = index.segments.iter().map(|s| s.len).sum();
        assert_eq!(index.len, len as usize);
        let bytes: usize = index.segments.iter().map(Segment::bytes).sum();
        assert_eq!(index.bucket_bytes, bytes);
        let mut at = 0;
        let mut seen = HashSet::new();
        while at < index.directory.len() {
            let number = index.directory[at];
            assert!(seen.insert(number), "a segment's run is in one piece");
            let run = 1 << (index.depth - index.segments[number as usize].depth);
            assert!(index.directory[at..at + run].iter().all(|&n| n == number));
            at += run;
        }
        assert_eq!(seen.len(), index.segments.len());
    }

    fn filled(family: Family, count: u32) -> (HashIndex, Hashes) {
        let mut hashes = Hashes(HashMap::new());
        let mut index = HashIndex::new();
        for number in 1..=count {
            hashes.0.insert(number, hash(family, number));
            index.insert(hash(family, number), Slot::new(number).unwrap(), &hashes);
        }
        check(&index);
        (index, hashes)
    }

    #[test]
    fn a_key_costs_at_most_seven_and_a_half_bytes_at_any_size() {
        let mut hashes = Hashes(HashMap::new());
        let mut index = HashIndex::new();
        let (mut sum, mut samples) = (0.0, 0);
        for number in 1..=300_000 {
            hashes.0.insert(number, hash(Family::Uniform, number));
            index.insert(
                hash(Family::Uniform, number),
                Slot::new(number).unwrap(),
                &hashes,
            );
            if number > 10_000 && number % 5_000 == 0 {
                let per_key = index.memory_bytes() as f64 / f64::from(number);
                assert!(per_key < 7.5, "{per_key} bytes a key at {number}");
                sum += per_key;
                samples += 1;
            }
        }
        let average = sum / f64::from(samples);
        assert!(average < 7.0, "{average} bytes a key on average");
    }

    #[test]
    fn an_emptied_index_gives_its_memory_back() {
        let (mut index, hashes) = filled(Family::Uniform, 50_000);
        for number in 1..=50_000 {
            let slot = Slot::new(number).unwrap();
            assert!(index.remove(hash(Family::Uniform, number), slot, &hashes));
            if number % 1_000 == 0 {
                check(&index);
            }
        }
        assert!(index.is_empty());
        assert!(index.memory_bytes() < 8 * 1024, "{}", index.memory_bytes());
        assert_eq!(index.sample(1), None);
    }

    #[test]
    fn equal_hashes_do_not_blow_up_the_directory() {
        let (index, _) = filled(Family::Equal, 5_000);
        assert!(index.directory.len() <= 256);
        let wanted = Slot::new(4_321).unwrap();
        let found = index.find(hash(Family::Equal, 1), |slot| slot == wanted);
        assert_eq!(found, Some(wanted));
        assert_eq!(index.find(hash(Family::Equal, 1), |_| false), None);
    }

    #[test]
    fn a_sample_is_nearly_uniform() {
        let (index, _) = filled(Family::Uniform, 2_000);
        let mut counts = vec![0u32; 2_001];
        for random in 0..400_000u64 {
            let slot = index.sample(mix(random ^ 0x5555)).unwrap();
            counts[slot.get() as usize] += 1;
        }
        // 200 expected, standard deviation 14 plus the segments' 5 %.
        let range = counts[1..].iter().min().unwrap()..=counts[1..].iter().max().unwrap();
        assert!(**range.start() > 100 && **range.end() < 320, "{range:?}");
    }

    #[test]
    fn a_consumed_index_yields_every_slot_once() {
        let (index, _) = filled(Family::Uniform, 3_000);
        let slots: HashSet<u32> = index.into_iter().map(Slot::get).collect();
        assert_eq!(slots.len(), 3_000);
    }

    fn families() -> impl Strategy<Value = Family> {
        prop_oneof![
            4 => Just(Family::Uniform),
            1 => Just(Family::Equal),
            1 => Just(Family::EqualTag),
            1 => Just(Family::EqualTop),
            1 => Just(Family::Few),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn it_does_what_a_map_does(
            family in families(),
            phases in prop::collection::vec((0u32..10, 1usize..3_000, any::<u64>()), 1..5),
        ) {
            let mut hashes = Hashes(HashMap::new());
            let mut index = HashIndex::new();
            // Key number to slot number; slots are made by `replace` too.
            let mut model: HashMap<u32, u32> = HashMap::new();
            let mut slots = 0;
            for (inserts_of_ten, steps, seed) in phases {
                for step in 0..steps as u64 {
                    let random = mix(seed ^ mix(step));
                    let key = (random >> 32) as u32 % 4_000;
                    let h = hash(family, key);
                    let here = model.get(&key).map(|&number| Slot::new(number).unwrap());
                    prop_assert_eq!(index.find(h, |slot| Some(slot) == here), here);
                    prop_assert!(here.is_none() || index.candidate(h).is_some());
                    index.prefetch(h);
                    let inserts = random as u32 % 10 < inserts_of_ten;
                    match here {
                        None if inserts => {
                            slots += 1;
                            let slot = Slot::new(slots).unwrap();
                            index.insert(h, slot, &hashes);
                            hashes.0.insert(slots, h);
                            model.insert(key, slots);
                        }
                        Some(old) if inserts => {
                            slots += 1;
                            prop_assert!(index.replace(h, old, Slot::new(slots).unwrap()));
                            hashes.0.remove(&old.get());
                            hashes.0.insert(slots, h);
                            model.insert(key, slots);
                        }
                        Some(old) => {
                            hashes.0.remove(&old.get());
                            prop_assert!(index.remove(h, old, &hashes));
                            model.remove(&key);
                        }
                        None => {
                            let absent = Slot::new(u32::MAX).unwrap();
                            prop_assert!(!index.remove(h, absent, &hashes));
                            prop_assert!(!index.replace(h, absent, absent));
                        }
                    }
                }
                check(&index);
                prop_assert_eq!(index.len(), model.len());
                prop_assert_eq!(index.sample(seed).is_some(), !model.is_empty());
            }
            let left: HashSet<u32> = index.into_iter().map(Slot::get).collect();
            prop_assert_eq!(left, model.into_values().collect::<HashSet<u32>>());
        }

        #[test]
        fn a_sweep_visits_what_stays_exactly_once(
            family in families(),
            staying in 1u32..2_000,
            coming in 0u32..4_000,
            grows in any::<bool>(),
            budget in 1usize..400,
        ) {
            // Numbers up to `staying` stay; those above come, or go, during the sweep.
            let (mut index, mut hashes) = filled(family, staying);
            let mut others = staying + 1..=staying + coming;
            if !grows {
                (index, hashes) = filled(family, staying + coming);
            }
            let mut visits: HashMap<u32, u32> = HashMap::new();
            let mut cursor = 0;
            loop {
                cursor = index.sweep(cursor, budget, &hashes, |slot| {
                    *visits.entry(slot.get()).or_default() += 1;
                });
                if cursor == 0 {
                    break;
                }
                for number in others.by_ref().take(300) {
                    let (h, slot) = (hash(family, number), Slot::new(number).unwrap());
                    if grows {
                        hashes.0.insert(number, h);
                        index.insert(h, slot, &hashes);
                    } else {
                        prop_assert!(index.remove(h, slot, &hashes));
                        hashes.0.remove(&number);
                    }
                }
            }
            prop_assert!((1..=staying).all(|number| visits.get(&number) == Some(&1)));
            prop_assert!(visits.values().all(|&count| count == 1));
        }
    }
}
