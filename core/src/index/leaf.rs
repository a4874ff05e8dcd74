//! A leaf of the ordered index: up to 123 slots in key order, five bytes each.
//!
//! For: finding a key's place among 123 others by reading one of them, not seven.
//!
//! Not: an owner of keys. It keeps, beside each slot, one byte: which bit is the first in which this
//! key differs from the one before. Those bytes are a crit-bit (Patricia) tree over the leaf's keys,
//! written down in order instead of with pointers, as in the bit-tree of Ferguson (CACM 1992) and
//! the blind tries of the string B-tree (Ferragina and Grossi, JACM 1999). A search walks them with
//! the wanted key's own bits to the one entry that can match, compares that one, and the bit where
//! the comparison fails says where the key belongs.
//!
//! Bits are counted over a code of nine for each byte, one that says "a byte follows" and then the
//! byte, so that a key and its extension differ in a bit too and the order is that of bytes.
//!
//! The rule kept: differing bits are stored relative to the smallest of the leaf, `base`. One that
//! is 255 or more behind it is stored as [`FAR`]; a run of keys joined by FAR is searched by
//! comparing whole keys, so that any key of any length is legal and only costs more.

use super::{Entries, Slot};

/// With its reference counts, a leaf fills 640 bytes, a size that the allocator has. Of 98 (512
/// bytes) each key takes 0.3 bytes more, of 200 (1,024 bytes) each search a third longer.
pub(super) const LEAF_SLOTS: usize = 123;

/// A differing bit too far behind the base to be stored.
const FAR: u8 = u8::MAX;

/// Bits in which one byte of a key is coded.
const CODE_BITS: u64 = 9;

/// The first bit in which two keys differ; none where they are equal.
pub(super) fn first_difference(a: &[u8], b: &[u8]) -> Option<u64> {
    let len = a.len().min(b.len());
    let mut same = 0;
    // Eight bytes at a time: keys that meet in a leaf begin alike.
    while let (Some(a), Some(b)) = (a[same..].first_chunk(), b[same..].first_chunk()) {
        let differing = u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b);
        if differing != 0 {
            let bit = u64::from(differing.leading_zeros());
            return Some((same as u64 + bit / 8) * CODE_BITS + 1 + bit % 8);
        }
        same += 8;
    }
    while same < len {
        if a[same] != b[same] {
            let bit = u64::from((a[same] ^ b[same]).leading_zeros());
            return Some(same as u64 * CODE_BITS + 1 + bit);
        }
        same += 1;
    }
    (a.len() != b.len()).then_some(same as u64 * CODE_BITS)
}

/// The shortest beginning of `key` that is above every key below it, where `difference` is the first
/// bit in which it differs from the greatest of those.
pub(super) fn shortest_above(key: &[u8], difference: u64) -> Box<[u8]> {
    key[..(difference / CODE_BITS) as usize + 1].into()
}

fn bit(key: &[u8], position: u64) -> bool {
    let Some(&byte) = key.get((position / CODE_BITS) as usize) else {
        return false;
    };
    match position % CODE_BITS {
        0 => true,
        within => byte >> (8 - within) & 1 == 1,
    }
}

/// Bits that a [`ShortWindow`] shows at least: seven bytes' codes less what may stand before the base.
const SHORT_BITS: u8 = 7 * CODE_BITS as u8 - 8;

/// The first [`SHORT_BITS`] coded bits of a key from a leaf's base on, the first lowest: one machine
/// word, for the many leaves whose keys differ close to each other.
struct ShortWindow(u64);

impl ShortWindow {
    #[inline]
    fn new(key: &[u8], base: u64) -> ShortWindow {
        let first = ((base / CODE_BITS) as usize).min(key.len());
        let coded = key[first..].iter().take(7);
        let bits = coded.fold((0, 55), |(bits, shift), &byte| {
            (
                bits | (0x100 | u64::from(byte)) << shift,
                shift - CODE_BITS as i32,
            )
        });
        ShortWindow((bits.0 << (base % CODE_BITS)).reverse_bits())
    }

    #[inline(always)]
    fn bit(&self, relative: u8) -> bool {
        self.0 >> (relative % 64) & 1 == 1
    }
}

/// The coded bits of a key from a leaf's base on, as far as stored differences reach.
struct Window {
    words: [u64; 8],
    /// Bits of the first coded byte that stand before the base.
    skip: usize,
}

impl Window {
    fn new(key: &[u8], base: u64) -> Window {
        let first = ((base / CODE_BITS) as usize).min(key.len());
        let mut words = [0; 8];
        // 29 bytes cover 255 bits and the skipped ones.
        for (i, &byte) in key[first..].iter().take(30).enumerate() {
            let code = (0x100 | u64::from(byte)) << 55;
            let at = i * CODE_BITS as usize;
            words[at / 64] |= code >> (at % 64);
            if at % 64 > 55 {
                words[at / 64 + 1] |= code << (64 - at % 64);
            }
        }
        Window {
            words,
            skip: (base % CODE_BITS) as usize,
        }
    }

    #[inline(always)]
    fn bit(&self, relative: u8) -> bool {
        let at = relative as usize + self.skip;
        self.words[at / 64 % 8] << (at % 64) >> 63 == 1
    }
}

/// Where a key stands, or would.
pub(super) enum Place {
    /// At this index.
    Found(usize),
    /// Before this index.
    Gap(Gap),
}

/// Where an absent key would stand.
pub(super) struct Gap {
    pub(super) at: usize,
    /// The first bit in which it differs from the nearer neighbour, by common prefix...
    difference: u64,
    /// ... which is the one before it, else the one behind it.
    joins_previous: bool,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    base: u32,
    len: u16,
    /// At i > 0: the first bit, from the base on, in which key i differs from key i - 1.
    differences: [u8; LEAF_SLOTS],
    slots: [u32; LEAF_SLOTS],
}

const _: () = assert!(size_of::<Leaf>() + 2 * size_of::<usize>() <= 640);

/// The contents of neighbouring leaves, on their way into others.
pub(super) struct Contents {
    slots: Vec<u32>,
    /// At i > 0: the first bit in which key i differs from key i - 1, not relative.
    differences: Vec<u64>,
}

impl Contents {
    pub(super) fn new() -> Contents {
        Contents {
            slots: Vec::with_capacity(2 * LEAF_SLOTS),
            differences: Vec::with_capacity(2 * LEAF_SLOTS),
        }
    }

    /// `slots` in the order of their keys, which are distinct. O(n).
    pub(super) fn of_sorted(slots: &[Slot], entries: &impl Entries) -> Contents {
        let pairs = slots.windows(2).enumerate().map(|(at, pair)| {
            // Each key comes from memory: those ahead are loaded meanwhile.
            slots
                .get(at + 16)
                .into_iter()
                .for_each(|&ahead| entries.prefetch(ahead));
            let [before, here] = [pair[0], pair[1]].map(|slot| entries.key(slot));
            first_difference(before, here).expect("keys are distinct")
        });
        Contents {
            slots: slots.iter().map(|slot| slot.get()).collect(),
            differences: std::iter::once(0).chain(pairs).take(slots.len()).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// What separates the entries below `at` from those from it on.
    pub(super) fn separator(&self, at: usize, entries: &impl Entries) -> Box<[u8]> {
        shortest_above(entries.key(slot(self.slots[at])), self.differences[at])
    }
}

#[inline(always)]
fn slot(number: u32) -> Slot {
    Slot::new(number).expect("a used slot is not 0")
}

impl Leaf {
    pub(super) fn new() -> Leaf {
        Leaf {
            base: 0,
            len: 0,
            differences: [0; LEAF_SLOTS],
            slots: [0; LEAF_SLOTS],
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn slot(&self, at: usize) -> Slot {
        slot(self.slots[at])
    }

    pub(super) fn set(&mut self, at: usize, slot: Slot) {
        self.slots[at] = slot.get();
    }

    /// The entry that `key` leads to by the stored bits alone: the only one that can equal it, or
    /// the first of a run joined by FAR that holds it; 0 in an empty leaf. O(slots), about two cycles each where the
    /// keys differ within seven bytes. Reads no key.
    pub(super) fn candidate(&self, key: &[u8]) -> usize {
        let base = u64::from(self.base);
        // All places, used or not: a stale one can only choose the slower way.
        let reach = self.differences.iter().fold(0, |reach, &difference| {
            reach.max(if difference == FAR { 0 } else { difference })
        });
        if reach < SHORT_BITS {
            let window = ShortWindow::new(key, base);
            self.last_on_path(|difference| window.bit(difference))
        } else {
            let window = Window::new(key, base);
            self.last_on_path(|difference| window.bit(difference))
        }
    }

    #[inline(always)]
    fn last_on_path(&self, bit: impl Fn(u8) -> bool) -> usize {
        let mut candidate = 0;
        // Differences above this are inside of a subtree that the key has passed by.
        let mut limit = FAR - 1;
        // Selections instead of branches: what the bits say is not predictable.
        for (i, &difference) in self.differences[..self.len()].iter().enumerate().skip(1) {
            let bit = bit(difference);
            let counts = difference <= limit;
            candidate = if counts & bit { i } else { candidate };
            let limit_here = if bit { FAR - 1 } else { difference };
            limit = if counts { limit_here } else { limit };
        }
        candidate
    }

    /// Starts loading all of the leaf.
    #[inline]
    pub(super) fn prefetch(&self) {
        let start = (&raw const *self).cast::<u8>();
        for offset in (0..size_of::<Leaf>()).step_by(64) {
            super::prefetch_line(start.wrapping_add(offset));
        }
    }

    /// Finds the place of `key`, reading one entry's key (within a FAR run, a few). O(slots).
    pub(super) fn find(&self, key: &[u8], entries: &impl Entries) -> Place {
        if self.len == 0 {
            return Place::Gap(Gap {
                at: 0,
                difference: 0,
                joins_previous: false,
            });
        }
        self.find_beside(self.candidate(key), key, entries)
            .expect("no entry shares more bits with a key than its candidate")
    }

    /// As [`find`](Leaf::find), where `guess` was the candidate before other keys were put into the
    /// leaf or taken out. Any number may be given; the better it is, the less is read.
    pub(super) fn find_guessed(&self, guess: usize, key: &[u8], entries: &impl Entries) -> Place {
        let found = if guess < self.len() {
            self.find_beside(guess, key, entries)
        } else {
            None
        };
        found.unwrap_or_else(|| self.find(key, entries))
    }

    /// The place of `key`, unless it shares more bits with another entry than with the one at
    /// `candidate`.
    fn find_beside(&self, candidate: usize, key: &[u8], entries: &impl Entries) -> Option<Place> {
        let len = self.len();
        let gap = |at, difference, joins_previous| {
            Some(Place::Gap(Gap {
                at,
                difference,
                joins_previous,
            }))
        };
        let Some(difference) = first_difference(key, entries.key(self.slot(candidate))) else {
            return Some(Place::Found(candidate));
        };
        let above = bit(key, difference);
        let Some(relative) = difference.checked_sub(u64::from(self.base)) else {
            return gap(if above { len } else { 0 }, difference, above);
        };
        let joined = &self.differences[..len];
        if relative < u64::from(FAR) {
            // The key stands at one end of those that share its bits up to the difference. Two of
            // them that differ just there would be one on each side of the key's own bit.
            let relative = relative as u8;
            let first = (1..=candidate).rev().find(|&i| joined[i] <= relative);
            let end = (candidate + 1..len).find(|&i| joined[i] <= relative);
            let splits = |at: Option<usize>| at.is_some_and(|at| joined[at] == relative);
            if splits(first) || splits(end) {
                return None;
            }
            let at = if above {
                end.unwrap_or(len)
            } else {
                first.unwrap_or(0)
            };
            return gap(at, difference, above);
        }
        let first = (1..=candidate).rev().find(|&i| joined[i] < FAR);
        let end = (candidate + 1..len).find(|&i| joined[i] < FAR);
        let (first, end) = (first.unwrap_or(0), end.unwrap_or(len));
        let run = &self.slots[first..end];
        match run.binary_search_by(|&number| entries.key(slot(number)).cmp(key)) {
            Ok(i) => Some(Place::Found(first + i)),
            Err(i) => gap(first + i, difference, i > 0),
        }
    }

    /// Puts an entry where [`find`](Leaf::find) said that it belongs. The leaf must have room.
    pub(super) fn insert(&mut self, gap: Gap, slot: Slot) {
        let (at, len) = (gap.at, self.len());
        debug_assert!(at <= len && len < LEAF_SLOTS);
        if len > 0 {
            self.lower_base(gap.difference);
        }
        self.slots.copy_within(at..len, at + 1);
        self.slots[at] = slot.get();
        self.differences.copy_within(at..len, at + 1);
        self.len += 1;
        if len > 0 {
            // On its other side the entry differs where its nearer neighbour did.
            let relative = (gap.difference - u64::from(self.base)).min(u64::from(FAR));
            let between = if gap.joins_previous { at } else { at + 1 };
            self.differences[between] = relative as u8;
        }
    }

    /// Makes `difference` storable: a base above it moves down, and all that is stored up.
    fn lower_base(&mut self, difference: u64) {
        let base = difference.min(u64::from(u32::MAX)) as u32;
        if self.len() == 1 {
            self.base = base;
        }
        if base < self.base {
            let step = (self.base - base).min(u32::from(FAR)) as u8;
            for difference in &mut self.differences[1..self.len as usize] {
                *difference = difference.saturating_add(step);
            }
            self.base = base;
        }
    }

    /// Takes out the entry at `at`. Its neighbours differ where the first of the two differences
    /// beside it was.
    pub(super) fn remove(&mut self, at: usize) -> Slot {
        let (removed, len) = (self.slot(at), self.len());
        if at > 0 && at + 1 < len {
            self.differences[at + 1] = self.differences[at + 1].min(self.differences[at]);
        }
        self.differences.copy_within(at + 1..len, at);
        self.slots.copy_within(at + 1..len, at);
        self.len -= 1;
        removed
    }

    /// Appends all entries to `contents`, whose own must be below. Reads two keys, and those beside
    /// each FAR difference.
    pub(super) fn pour_into(&self, contents: &mut Contents, entries: &impl Entries) {
        let (first, len) = (contents.len(), self.len());
        contents.slots.extend_from_slice(&self.slots[..len]);
        let base = u64::from(self.base);
        let stored = &self.differences[..len];
        let absolute = stored.iter().map(|&stored| base + u64::from(stored));
        contents.differences.extend(absolute);
        for (i, &stored) in stored.iter().enumerate() {
            if i > 0 && stored != FAR {
                continue;
            }
            let at = first + i;
            let key = |at: usize| entries.key(slot(contents.slots[at]));
            let previous = at.checked_sub(1).map(key);
            contents.differences[at] = previous.map_or(0, |previous| {
                first_difference(previous, key(at)).expect("keys are distinct")
            });
        }
    }

    /// Replaces the leaf's entries by a range of `contents`.
    pub(super) fn fill_from(&mut self, contents: &Contents, range: std::ops::Range<usize>) {
        let differences = &contents.differences[range.clone()];
        let lowest = differences.iter().skip(1).min().copied().unwrap_or(0);
        self.base = lowest.min(u64::from(u32::MAX)) as u32;
        self.len = range.len() as u16;
        self.slots[..range.len()].copy_from_slice(&contents.slots[range]);
        for (i, &difference) in differences.iter().enumerate().skip(1) {
            let relative = difference - u64::from(self.base);
            self.differences[i] = relative.min(u64::from(FAR)) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![Just(0u8), Just(0xFF), any::<u8>()], 0..6)
    }

    proptest! {
        #[test]
        fn the_first_differing_bit_orders_keys_as_bytes_do(a in key(), b in key()) {
            match first_difference(&a, &b) {
                None => prop_assert_eq!(a, b),
                Some(at) => {
                    prop_assert_eq!(bit(&a, at), a > b);
                    prop_assert_eq!(bit(&b, at), a < b);
                    prop_assert!((0..at).all(|before| bit(&a, before) == bit(&b, before)));
                    let (low, high) = if a < b { (a, b) } else { (b, a) };
                    let separator = shortest_above(&high, at);
                    prop_assert!(*low < *separator && *separator <= *high);
                }
            }
        }

        #[test]
        fn a_window_shows_the_bits_behind_its_base(
            key in prop::collection::vec(any::<u8>(), 0..80),
            base in 0u64..800,
        ) {
            let window = Window::new(&key, base);
            for relative in 0..FAR {
                prop_assert_eq!(window.bit(relative), bit(&key, base + u64::from(relative)));
            }
            let window = ShortWindow::new(&key, base);
            for relative in 0..SHORT_BITS {
                prop_assert_eq!(window.bit(relative), bit(&key, base + u64::from(relative)));
            }
        }
    }
}
