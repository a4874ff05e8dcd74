//! The keys of a database in order: building it for all keys at once, and reading it.
//!
//! For: the end of a replay, and whoever walks keys in order. Not: how single keys come into the order
//! and leave it; the keyspace does that with each change.

use super::Keyspace;
use crate::entry::Entry;
use crate::index::{Entries, OrderedIndex, Slot};

/// Keys that are sorted together when a replay ends.
const SORTED_MAX: usize = 1 << 20;
/// How far ahead entries are loaded in a walk over many.
const LOADED_AHEAD: usize = 16;

impl Keyspace {
    /// From here on new keys are left out of the order until [`Keyspace::put_in_order`].
    pub(crate) fn leave_unordered(&mut self) {
        debug_assert!(self.is_empty());
        self.is_ordered = false;
    }

    /// Puts all keys in order at once, which is several times cheaper than placing each as it comes.
    /// O(n log n); takes 28 bytes for each of [`SORTED_MAX`] keys meanwhile.
    pub(crate) fn put_in_order(&mut self) {
        if std::mem::replace(&mut self.is_ordered, true) {
            return;
        }
        let mut cursor = 0;
        loop {
            let mut slots = Vec::with_capacity(self.len().min(SORTED_MAX));
            cursor = self.sweep(cursor, SORTED_MAX, |slot| slots.push(slot));
            let slots = self.sorted(slots);
            if self.ordered.is_empty() {
                self.ordered = OrderedIndex::of_sorted(&slots, &self.store);
            } else {
                self.ordered.insert_all(&slots, &self.store);
            }
            if cursor == 0 {
                return;
            }
        }
    }

    /// `slots` in the order of their keys.
    fn sorted(&self, mut slots: Vec<Slot>) -> Vec<Slot> {
        let Some(&first) = slots.first() else {
            return slots;
        };
        let first = self.store.key(first);
        // Each key comes from memory: those ahead are loaded meanwhile.
        let loaded = |slots: &[Slot], at: usize| {
            if let Some(&ahead) = slots.get(at + LOADED_AHEAD) {
                self.store.arena.prefetch(ahead);
            }
            self.store.key(slots[at])
        };
        let common = (0..slots.len()).fold(first.len(), |common, at| {
            let pairs = first[..common].iter().zip(loaded(&slots, at));
            pairs.take_while(|(a, b)| a == b).count()
        });
        // The first bytes that differ decide nearly always, without another look at the entry.
        let word = |key: &[u8]| {
            let mut word = [0; 8];
            let rest = &key[common..];
            let len = rest.len().min(word.len());
            word[..len].copy_from_slice(&rest[..len]);
            u64::from_be_bytes(word)
        };
        let words = (0..slots.len()).map(|at| (word(loaded(&slots, at)), slots[at]));
        let mut words: Vec<(u64, Slot)> = words.collect();
        words.sort_unstable_by(|a, b| {
            let key = |slot| self.store.key(slot);
            a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1)))
        });
        for (slot, (_, sorted)) in slots.iter_mut().zip(words) {
            *slot = sorted;
        }
        slots
    }
}

/// A keyspace of which every key has its place in the order; holding it proves that.
#[derive(Clone, Copy)]
pub struct InOrder<'s> {
    pub(super) space: &'s Keyspace,
}

impl<'s> InOrder<'s> {
    /// Entries in key order from the first key >= `from` on. O(log n), then O(1) each.
    pub fn range_from(self, from: &[u8]) -> impl Iterator<Item = Entry<'s>> + use<'s> {
        let Keyspace { ordered, store, .. } = self.space;
        ordered.seek(from, store).map(move |slot| store.entry(slot))
    }

    /// Entries in key order that come after `key`. O(log n), then O(1) each.
    pub fn range_after(self, key: &[u8]) -> impl Iterator<Item = Entry<'s>> + use<'s> {
        let Keyspace { ordered, store, .. } = self.space;
        ordered.after(key, store).map(move |slot| store.entry(slot))
    }

    /// Every entry in key order.
    pub fn iter(self) -> impl Iterator<Item = Entry<'s>> + use<'s> {
        self.range_from(&[])
    }
}
