//! A segment of the hash index: a table of cache lines over the hashes that begin alike.
//!
//! For: one bucket of 12 slots and tags read for a look-up, whatever the fill.
//!
//! Not: the place where it is decided when a segment grows, splits or is joined; that is the
//! table's.
//!
//! The rule kept: a full bucket's entries overflow into those behind it, and every bucket that they
//! passed counts them, exactly. So a search ends at the first bucket that nobody passed, a removal
//! leaves no tombstone, and entries stand in the order of their hashes, up to overflow.

use super::{Entries, Slot};

/// Slots in a bucket: with tags and counters, exactly a cache line.
pub(super) const BUCKET_SLOTS: usize = 12;

/// Buckets at which a segment is split rather than grown: 4 KiB, some 700 entries, so that moving
/// them costs about 10 microseconds. Multiples of 8 buckets are the allocator's own size classes.
pub(super) const SEGMENT_BUCKETS_MAX: usize = 64;

/// A resized segment is filled to at most this many entries in a hundred slots.
const LOAD_NEW_PERCENT: usize = 80;

/// How far a rehash runs ahead with prefetching.
const PREFETCH_AHEAD: usize = 12;

/// [`Bucket::passed`] at this value is no longer exact and stays: the bucket is always passed.
const PASSED_STUCK: u16 = u16::MAX;

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    tags: [u8; BUCKET_SLOTS],
    /// Bit i: `slots[i]` holds an entry.
    used: u16,
    /// Entries that found this bucket full and live behind it.
    pub(super) passed: u16,
    /// 0 where unused.
    pub(super) slots: [u32; BUCKET_SLOTS],
}

const EMPTY: Bucket = Bucket {
    tags: [0; BUCKET_SLOTS],
    used: 0,
    passed: 0,
    slots: [0; BUCKET_SLOTS],
};
const USED_ALL: u16 = (1 << BUCKET_SLOTS) - 1;
const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// Bit i: slot i is in use and has this tag.
    #[inline(always)]
    pub(super) fn matches(&self, tag: u8) -> u16 {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{
                _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8,
            };
            // SAFETY: a bucket is 64-byte aligned and its first 16 bytes (tags, used, passed) are
            // initialised; SSE2 is part of the x86_64 baseline.
            let equal = unsafe {
                let head = _mm_load_si128((&raw const *self).cast());
                _mm_movemask_epi8(_mm_cmpeq_epi8(head, _mm_set1_epi8(tag as i8)))
            };
            equal as u16 & self.used
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let equal = |bits, (i, &t)| bits | (u16::from(t == tag) << i);
            self.tags.iter().enumerate().fold(0, equal) & self.used
        }
    }

    #[inline(always)]
    pub(super) fn slot(&self, i: u32) -> Slot {
        Slot::new(self.slots[i as usize]).expect("a used slot is not 0")
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.iter().filter_map(|&number| Slot::new(number))
    }
}

#[inline(always)]
pub(super) fn tag_of(hash: u64) -> u8 {
    hash as u8
}

/// The part of the hash that orders entries: all but the tag.
#[inline(always)]
pub(super) fn position_of(hash: u64) -> u64 {
    hash >> 8
}

/// A small table over the hashes that share the top `depth` bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    pub(super) buckets: Box<[Bucket]>,
    pub(super) len: u32,
    pub(super) depth: u8,
}

impl Segment {
    pub(super) fn new(buckets: usize, depth: u8) -> Segment {
        Segment {
            buckets: vec![EMPTY; buckets].into_boxed_slice(),
            len: 0,
            depth,
        }
    }

    #[inline(always)]
    pub(super) fn home(&self, hash: u64) -> usize {
        let below_depth = (hash << self.depth) >> 32;
        ((below_depth * self.buckets.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    pub(super) fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() {
            0
        } else {
            bucket + 1
        }
    }

    pub(super) fn insert(&mut self, hash: u64, slot: Slot) {
        debug_assert!((self.len as usize) < self.buckets.len() * BUCKET_SLOTS);
        let mut at = self.home(hash);
        while self.buckets[at].used == USED_ALL {
            let passed = &mut self.buckets[at].passed;
            *passed = passed.saturating_add(1);
            at = self.after(at);
        }
        let bucket = &mut self.buckets[at];
        let i = (!bucket.used).trailing_zeros() as usize;
        bucket.used |= 1 << i;
        bucket.tags[i] = tag_of(hash);
        bucket.slots[i] = slot.get();
        self.len += 1;
    }

    /// The bucket and the place in it where `slot` stands.
    pub(super) fn locate(&self, hash: u64, slot: Slot) -> Option<(usize, usize)> {
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let mut bits = bucket.matches(tag_of(hash));
            while bits != 0 {
                let i = bits.trailing_zeros() as usize;
                if bucket.slots[i] == slot.get() {
                    return Some((at, i));
                }
                bits &= bits - 1;
            }
            if bucket.passed == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    pub(super) fn remove(&mut self, hash: u64, slot: Slot) -> bool {
        if self.buckets.is_empty() {
            return false;
        }
        let Some((found, i)) = self.locate(hash, slot) else {
            return false;
        };
        let bucket = &mut self.buckets[found];
        bucket.used &= !(1 << i);
        bucket.slots[i] = 0;
        let mut at = self.home(hash);
        while at != found {
            let passed = &mut self.buckets[at].passed;
            if *passed != PASSED_STUCK {
                *passed -= 1;
            }
            at = self.after(at);
        }
        self.len -= 1;
        true
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Slot> + '_ {
        self.buckets.iter().flat_map(Bucket::entries)
    }

    pub(super) fn is_above(&self, len: usize, percent: usize) -> bool {
        len * 100 > self.buckets.len() * BUCKET_SLOTS * percent
    }

    /// Calls `each` with every entry and its hash, overlapping the cache misses.
    pub(super) fn for_each_hash(&self, entries: &impl Entries, mut each: impl FnMut(u64, Slot)) {
        let mut ahead = self.entries();
        for slot in ahead.by_ref().take(PREFETCH_AHEAD) {
            entries.prefetch(slot);
        }
        for slot in self.entries() {
            if let Some(next) = ahead.next() {
                entries.prefetch(next);
            }
            each(entries.hash(slot), slot);
        }
    }

    pub(super) fn resized(&self, buckets: usize, entries: &impl Entries) -> Segment {
        let mut resized = Segment::new(buckets, self.depth);
        self.for_each_hash(entries, |hash, slot| resized.insert(hash, slot));
        resized
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }
}

/// The number of buckets in which `len` entries stand at [`LOAD_NEW_PERCENT`] or less.
pub(super) fn buckets_for(len: usize) -> usize {
    let buckets = (len * 100).div_ceil(BUCKET_SLOTS * LOAD_NEW_PERCENT);
    match buckets {
        0 => 0,
        1..=8 => buckets.next_power_of_two(),
        _ => buckets.next_multiple_of(8),
    }
}

/// The next larger number of buckets: doubling while tiny, then steps of 8 up to 48, then of a
/// quarter for what no split can help. Each step rehashes all entries, a cache miss each: 4.7 of
/// them for each key that comes. Steps of 16 would make it 3.5 for 0.4 bytes a key more, steps of 8
/// alone 6.5 for 0.2 bytes less.
pub(super) fn buckets_above(buckets: usize) -> usize {
    match buckets {
        0 => 1,
        1..8 => buckets * 2,
        8..48 => buckets + 8,
        48..SEGMENT_BUCKETS_MAX => SEGMENT_BUCKETS_MAX,
        _ => (buckets + buckets / 4).next_multiple_of(8),
    }
}
