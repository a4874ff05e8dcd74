//! One logical database of one shard: every key it holds, found by hash and in order.
//!
//! This module knows entries, expiries and what memory they take. It does not know what effects
//! mean (`apply.rs`), nor when a key should go (`evict.rs`): it is told.
//!
//! A new key is found by its hash at once, but gets its place in the order together with others: up
//! to 32 wait, because placing one alone is mostly waiting for memory. Whoever asks for the order
//! gets it through [`Keyspace::in_order`], which places those first.
//!
//! The rule kept: an entry is reachable by its hash, in the order or as one of those that wait for
//! it, from the expiry list if it has an expiry, and from nowhere else; every change goes through a
//! method that keeps all of them equal.

mod order;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::effect::TypeTag;
use crate::entry::*;
use crate::id::COUNTER_MAX;
use crate::index::{Arena, Entries, HashIndex, IntoIter, LEN_MAX, OrderedIndex, Slot};
use crate::value::{Collection, HashSeed};

pub use order::InOrder;

/// A key with its hash, computed once per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    bytes: &'a [u8],
    hash: u64,
}

impl<'a> Key<'a> {
    /// Hashes `bytes`. O(length).
    #[inline]
    pub fn new(bytes: &'a [u8], seed: HashSeed) -> Self {
        Key {
            bytes,
            hash: seed.hash(bytes),
        }
    }

    /// The key's bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The key's hash under the shard's seed.
    #[inline]
    pub fn hash(self) -> u64 {
        self.hash
    }
}

/// A value to be put into an entry.
pub(crate) enum NewValue<'a> {
    Bytes(&'a [u8]),
    Int(i64),
    Shared(SharedBytes),
    Collection(Box<Held>),
    /// Only the length stays.
    Cold(usize),
}

impl<'a> NewValue<'a> {
    /// The form that a string of these bytes takes: an integer, inline, or shared.
    #[inline]
    pub fn string(bytes: &'a [u8]) -> NewValue<'a> {
        if let Some(int) = crate::number::parse_i64(bytes) {
            NewValue::Int(int)
        } else {
            NewValue::bytes(bytes)
        }
    }

    /// As [`NewValue::string`], but never an integer.
    pub fn bytes(bytes: &'a [u8]) -> NewValue<'a> {
        if bytes.len() <= INLINE_VALUE_MAX {
            NewValue::Bytes(bytes)
        } else {
            NewValue::Shared(Arc::new(bytes.to_vec()))
        }
    }

    fn form(&self) -> Form {
        match self {
            NewValue::Bytes(_) => Form::Inline,
            NewValue::Int(_) => Form::Int,
            NewValue::Shared(_) => Form::Shared,
            NewValue::Collection(_) => Form::Collection,
            NewValue::Cold(_) => Form::Cold,
        }
    }

    fn len(&self) -> usize {
        match self {
            NewValue::Bytes(bytes) => bytes.len(),
            NewValue::Cold(len) => *len,
            NewValue::Int(_) | NewValue::Shared(_) | NewValue::Collection(_) => 8,
        }
    }
}

/// What an entry is besides its key and value.
#[derive(Clone, Copy)]
pub(crate) struct Attributes {
    pub tip: u64,
    pub type_tag: TypeTag,
    /// `SELF_CONTAINED`, `RAW`.
    pub extra: u16,
    pub expires_ms: Option<u64>,
}

/// Entry bytes at which a keyspace says that it [is full](Keyspace::is_full): 1 GiB below what 32-bit
/// slots can address, which is room for whatever one command may still add.
const ENTRY_BYTES_MAX: usize = 31 << 30;

/// New entries that wait together for their place in the order.
const ARRIVALS_MAX: usize = 32;

/// Why allocating an entry cannot fail.
const ROOM: &str = "writes are refused before the arena is full";

/// The entries' memory, and how the indexes look into it.
struct Store {
    arena: Arena,
    seed: HashSeed,
}

impl Store {
    #[inline]
    fn entry(&self, slot: Slot) -> Entry<'_> {
        // SAFETY: slots in the indexes are live, initialised entries, and stay in place while the
        // keyspace is borrowed.
        unsafe { Entry::new(self.arena.ptr(slot)) }
    }
}

impl Entries for Store {
    #[inline]
    fn key(&self, slot: Slot) -> &[u8] {
        self.entry(slot).key()
    }

    #[inline]
    fn hash(&self, slot: Slot) -> u64 {
        self.seed.hash(self.entry(slot).key())
    }

    #[inline]
    fn prefetch(&self, slot: Slot) {
        self.arena.prefetch(slot);
    }
}

/// The keys of one database. See the module's head.
pub struct Keyspace {
    store: Store,
    table: HashIndex,
    /// Without the arrivals.
    ordered: OrderedIndex,
    /// Entries that came last, at most [`ARRIVALS_MAX`], which `ordered` is not told of yet.
    arrivals: Vec<Slot>,
    /// False while a log is replayed: keys are put in order when all are there.
    is_ordered: bool,
    /// Soonest first.
    expiries: BTreeSet<(u64, Slot)>,
    /// Bytes outside the arena: long keys, large strings, collections.
    outside_bytes: usize,
    /// Bytes of keys and values, cold ones too: what a log of live state alone would hold.
    live_bytes: u64,
    /// Entries whose value is in the log only.
    cold_keys: usize,
}

impl Keyspace {
    /// An empty database; takes no memory yet.
    pub fn new(seed: HashSeed) -> Self {
        Keyspace {
            store: Store {
                arena: Arena::new(),
                seed,
            },
            table: HashIndex::new(),
            ordered: OrderedIndex::new(),
            arrivals: Vec::new(),
            is_ordered: true,
            expiries: BTreeSet::new(),
            outside_bytes: 0,
            live_bytes: 0,
            cold_keys: 0,
        }
    }

    /// Keys, expired ones that were not met yet included.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys that have an expiry.
    pub fn expiring_keys(&self) -> usize {
        self.expiries.len()
    }

    /// Keys whose value is in the log only.
    pub fn cold_keys(&self) -> usize {
        self.cold_keys
    }

    /// Memory in bytes: entries, indexes, large values, collections.
    pub fn memory_bytes(&self) -> usize {
        self.data_bytes() + self.overhead_bytes()
    }

    /// Memory of entries and values, in bytes.
    pub fn data_bytes(&self) -> usize {
        self.store.arena.allocated_bytes() + self.outside_bytes
    }

    /// Memory of the indexes, in bytes.
    pub fn overhead_bytes(&self) -> usize {
        // A B-tree node of std holds 11 entries of 16 bytes, about two thirds full.
        self.table.memory_bytes()
            + self.ordered.memory_bytes()
            + self.arrivals.capacity() * size_of::<Slot>()
            + self.expiries.len() * 26
    }

    /// Whether no more keys may be added: commands answer -OOM.
    pub fn is_full(&self) -> bool {
        self.store.arena.allocated_bytes() >= ENTRY_BYTES_MAX
    }

    /// Bytes that the live state would take in a log.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Starts loading the index line that a look-up of `key` will touch.
    #[inline]
    pub fn prefetch_index(&self, key: Key<'_>) {
        self.table.prefetch(key.hash);
    }

    /// Starts loading the entry that `key` will probably be found at; the index line should be in
    /// cache by now.
    #[inline]
    pub fn prefetch_entry(&self, key: Key<'_>) {
        if let Some(slot) = self.table.candidate(key.hash) {
            self.store.arena.prefetch(slot);
        }
    }

    /// The entry of a key, expired or not.
    #[inline]
    pub fn find(&self, key: Key<'_>) -> Option<Slot> {
        self.table
            .find(key.hash, |slot| self.store.entry(slot).key() == key.bytes)
    }

    /// The entry at a slot that this keyspace gave out and that was not changed since.
    #[inline]
    pub fn entry(&self, slot: Slot) -> Entry<'_> {
        self.store.entry(slot)
    }

    /// A key of any bytes with its hash under this keyspace's seed.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key::new(bytes, self.store.seed)
    }

    fn shape_for(key: Key<'_>, attributes: &Attributes, new: &NewValue<'_>) -> Shape {
        let mut extra = attributes.extra;
        if attributes.expires_ms.is_some() {
            extra |= EXPIRES;
        }
        if key.bytes.len() > INLINE_KEY_MAX {
            extra |= LONG_KEY;
        }
        Shape {
            flags: flags(attributes.type_tag, new.form(), extra),
            key_len: if extra & LONG_KEY != 0 {
                0
            } else {
                key.bytes.len()
            },
            value_len: new.len(),
        }
    }

    /// Puts a value under `key`, in place of whatever is there. O(1) where the entry's block fits
    /// the new value, else O(log n) because the entry moves.
    pub(crate) fn put(&mut self, key: Key<'_>, attributes: Attributes, new: NewValue<'_>) -> Slot {
        self.put_found(self.find(key), key, attributes, new)
    }

    /// As [`Keyspace::put`], where the caller has looked the key up.
    #[inline]
    pub(crate) fn put_found(
        &mut self,
        found: Option<Slot>,
        key: Key<'_>,
        attributes: Attributes,
        new: NewValue<'_>,
    ) -> Slot {
        match found {
            Some(slot) => self.replace(slot, key, attributes, new),
            None => self.insert(key, attributes, new),
        }
    }

    fn insert(&mut self, key: Key<'_>, attributes: Attributes, new: NewValue<'_>) -> Slot {
        let shape = Self::shape_for(key, &attributes, &new);
        debug_assert!(shape.len() <= LEN_MAX);
        let slot = self.store.arena.alloc(shape.len()).expect(ROOM);
        let entry = self.store.entry(slot);
        entry.write_header(attributes.tip, shape, 0);
        entry.write_key(key.bytes);
        if shape.flags & LONG_KEY != 0 {
            self.outside_bytes += key.bytes.len();
        }
        self.live_bytes += key.bytes.len() as u64;
        self.write_value(slot, new);
        if let Some(at_ms) = attributes.expires_ms {
            self.store.entry(slot).set_expires_in_place(at_ms);
            self.expiries.insert((at_ms, slot));
        }
        self.table.insert(key.hash, slot, &self.store);
        if self.is_ordered {
            self.arrivals.push(slot);
            if self.arrivals.len() == ARRIVALS_MAX {
                self.settle();
            }
        }
        slot
    }

    fn replace(
        &mut self,
        slot: Slot,
        key: Key<'_>,
        attributes: Attributes,
        new: NewValue<'_>,
    ) -> Slot {
        let entry = self.store.entry(slot);
        let old_shape = entry.shape();
        let old_expires_ms = entry.expires_ms();
        let access = entry.access();
        let frequency = entry.frequency();
        let shape = Self::shape_for(key, &attributes, &new);
        debug_assert!(shape.len() <= LEN_MAX);
        // Shrinking stays in place too, up to half of the block.
        let room = self.store.arena.block_bytes(slot);
        let in_place = shape.len() <= room
            && shape.len() * 2 >= room
            && (shape.flags ^ old_shape.flags) & EXPIRES == 0;
        let moved = if in_place {
            slot
        } else {
            self.store.arena.alloc(shape.len()).expect(ROOM)
        };
        // From here on nothing can fail.
        if let Some(at_ms) = old_expires_ms {
            self.expiries.remove(&(at_ms, slot));
        }
        self.drop_value(slot);
        if moved == slot {
            let entry = self.store.entry(slot);
            entry.write_header(attributes.tip, shape, access);
        } else {
            let (from, to) = (self.store.entry(slot), self.store.entry(moved));
            to.write_header(attributes.tip, shape, access);
            if shape.flags & LONG_KEY != 0 {
                // The boxed key moves along.
                to.write_word(shape.key_at(), from.read_word(old_shape.key_at()));
            } else {
                to.write_key(key.bytes);
            }
            self.table.replace(key.hash, slot, moved);
            self.reorder(slot, moved);
            self.store.arena.free_block(slot);
        }
        let slot = moved;
        self.store.entry(slot).set_frequency(frequency);
        self.write_value(slot, new);
        if let Some(at_ms) = attributes.expires_ms {
            self.store.entry(slot).set_expires_in_place(at_ms);
            self.expiries.insert((at_ms, slot));
        }
        slot
    }

    /// Tells the order where an entry has moved; both slots are readable.
    fn reorder(&mut self, from: Slot, to: Slot) {
        match self.arrival(from) {
            Some(at) => self.arrivals[at] = to,
            None => {
                let key = self.store.entry(to).key();
                self.ordered.replace(key, to, &self.store);
            }
        }
    }

    /// Where among the arrivals a slot stands. The last ones are the likeliest to change again.
    fn arrival(&self, slot: Slot) -> Option<usize> {
        self.arrivals.iter().rposition(|&arrival| arrival == slot)
    }

    /// Puts the arrivals in order.
    fn settle(&mut self) {
        self.ordered.insert_all(&self.arrivals, &self.store);
        self.arrivals.clear();
    }

    /// Writes the value part behind a header of its form, and counts its bytes.
    fn write_value(&mut self, slot: Slot, new: NewValue<'_>) {
        let entry = self.store.entry(slot);
        match new {
            NewValue::Bytes(bytes) => {
                entry.write_inline(bytes);
                self.live_bytes += bytes.len() as u64;
            }
            NewValue::Int(int) => {
                entry.set_value_word(int as u64);
                self.live_bytes += 8;
            }
            NewValue::Shared(bytes) => {
                self.outside_bytes += bytes.capacity();
                self.live_bytes += bytes.len() as u64;
                entry.set_value_word(Arc::into_raw(bytes) as u64);
            }
            NewValue::Collection(held) => {
                let bytes = held.collection.memory_bytes();
                self.outside_bytes += bytes;
                self.live_bytes += bytes as u64;
                entry.set_value_word(Box::into_raw(held) as u64);
            }
            NewValue::Cold(len) => {
                self.cold_keys += 1;
                self.live_bytes += len as u64;
            }
        }
    }

    /// Frees what the value part owns and stops counting it. The entry must be rewritten or freed.
    fn drop_value(&mut self, slot: Slot) {
        let entry = self.store.entry(slot);
        let shape = entry.shape();
        match shape.form() {
            Form::Inline => self.live_bytes -= shape.value_len as u64,
            Form::Int => self.live_bytes -= 8,
            Form::Shared => {
                // SAFETY: the entry owns this count, and is not read again before it is rewritten.
                let bytes = unsafe { Arc::from_raw(entry.value_word() as *const Vec<u8>) };
                self.outside_bytes -= bytes.capacity();
                self.live_bytes -= bytes.len() as u64;
            }
            Form::Collection => {
                // SAFETY: the entry owns this box, and is not read again before it is rewritten.
                let held = unsafe { Box::from_raw(entry.held()) };
                let bytes = held.collection.memory_bytes();
                self.outside_bytes -= bytes;
                self.live_bytes -= bytes as u64;
            }
            Form::Cold => {
                self.cold_keys -= 1;
                self.live_bytes -= shape.value_len as u64;
            }
        }
    }

    /// Frees a key that lies outside the entry, which nothing may read from here on.
    fn drop_key(&mut self, slot: Slot) {
        let entry = self.store.entry(slot);
        let shape = entry.shape();
        if shape.flags & LONG_KEY != 0 {
            // SAFETY: the entry owns this box.
            let key = unsafe { Box::from_raw(entry.read_word(shape.key_at()) as *mut Vec<u8>) };
            self.outside_bytes -= key.len();
        }
    }

    /// Removes an entry and everything it owns. O(log n).
    pub(crate) fn remove(&mut self, slot: Slot) {
        let entry = self.store.entry(slot);
        let key = entry.key();
        if let Some(at_ms) = entry.expires_ms() {
            self.expiries.remove(&(at_ms, slot));
        }
        let hash = self.store.seed.hash(key);
        self.live_bytes -= key.len() as u64;
        match self.arrival(slot) {
            Some(at) => {
                self.arrivals.swap_remove(at);
            }
            None => {
                self.ordered.remove(key, &self.store);
            }
        }
        self.table.remove(hash, slot, &self.store);
        self.drop_key(slot);
        self.drop_value(slot);
        self.store.arena.free_block(slot);
    }

    /// Sets or ends the expiry of an entry; the entry may move. O(log n).
    pub(crate) fn set_expiry(&mut self, slot: Slot, expires_ms: Option<u64>) -> Slot {
        let entry = self.store.entry(slot);
        let old_ms = entry.expires_ms();
        match (old_ms, expires_ms) {
            (None, None) => slot,
            (Some(old), Some(new)) => {
                entry.set_expires_in_place(new);
                self.expiries.remove(&(old, slot));
                self.expiries.insert((new, slot));
                slot
            }
            _ => self.reshape(slot, expires_ms),
        }
    }

    /// Makes or removes the room for an expiry: the value moves over untouched.
    fn reshape(&mut self, slot: Slot, expires_ms: Option<u64>) -> Slot {
        let old_shape = self.store.entry(slot).shape();
        let mut shape = old_shape;
        shape.flags = match expires_ms {
            Some(_) => old_shape.flags | EXPIRES,
            None => old_shape.flags & !EXPIRES,
        };
        let moved = self.store.arena.alloc(shape.len()).expect(ROOM);
        let from = self.store.entry(slot);
        if let Some(at_ms) = from.expires_ms() {
            self.expiries.remove(&(at_ms, slot));
        }
        let to = self.store.entry(moved);
        to.write_header(from.tip(), shape, from.access());
        to.copy_parts(from);
        if let Some(at_ms) = expires_ms {
            to.set_expires_in_place(at_ms);
            self.expiries.insert((at_ms, moved));
        }
        let hash = self.store.hash(moved);
        self.table.replace(hash, slot, moved);
        self.reorder(slot, moved);
        self.store.arena.free_block(slot);
        moved
    }

    /// Marks what the tip is after an effect changed the entry in place.
    #[inline]
    pub(crate) fn advance(&mut self, slot: Slot, tip: u64, raw: bool) {
        let entry = self.store.entry(slot);
        debug_assert!(tip <= COUNTER_MAX);
        entry.set_tip(tip);
        entry.set_flags(entry.flags() & !SELF_CONTAINED | if raw { RAW } else { 0 });
    }

    /// Marks that the effect at `tip` holds the whole state of the entry.
    pub(crate) fn mark_self_contained(&mut self, slot: Slot, tip: u64) {
        let entry = self.store.entry(slot);
        entry.set_tip(tip);
        entry.set_flags(entry.flags() | SELF_CONTAINED);
        if entry.form() == Form::Collection {
            // SAFETY: Collection entries own a box; `&mut self` makes this the only path to it.
            unsafe { (*entry.held()).base = tip };
        }
    }

    /// The counter from which on this entry's records in the log are needed; `None` where that is
    /// not known, because a string was changed in place.
    pub(crate) fn base(&self, slot: Slot) -> Option<u64> {
        let entry = self.store.entry(slot);
        match entry.form() {
            // SAFETY: Collection entries own a box that lives as long as they do.
            Form::Collection => Some(unsafe { (*entry.held()).base }),
            _ if entry.is_self_contained() => Some(entry.tip()),
            _ => None,
        }
    }

    /// Changes an integer entry in place. O(1).
    #[inline]
    pub(crate) fn set_int(&mut self, slot: Slot, value: i64) {
        let entry = self.store.entry(slot);
        debug_assert_eq!(entry.form(), Form::Int);
        entry.set_value_word(value as u64);
    }

    /// Changes a collection in place and counts its memory anew.
    #[inline]
    pub(crate) fn with_collection<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut Collection) -> R,
    ) -> R {
        let entry = self.store.entry(slot);
        // SAFETY: Collection entries own a box; `&mut self` makes this the only path to it.
        let collection = unsafe { &mut (*entry.held()).collection };
        let before = collection.memory_bytes();
        let result = change(collection);
        let after = collection.memory_bytes();
        self.outside_bytes = self.outside_bytes + after - before;
        self.live_bytes = self.live_bytes + after as u64 - before as u64;
        result
    }

    /// Changes a large string in place where no reply still shares it, else in a copy.
    pub(crate) fn with_shared<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> R {
        let entry = self.store.entry(slot);
        debug_assert_eq!(entry.form(), Form::Shared);
        // SAFETY: the entry owns this count; it is put back below, changed or not.
        let mut bytes = unsafe { Arc::from_raw(entry.value_word() as *const Vec<u8>) };
        let (capacity, len) = (bytes.capacity(), bytes.len());
        let result = change(Arc::make_mut(&mut bytes));
        self.outside_bytes = self.outside_bytes + bytes.capacity() - capacity;
        self.live_bytes = self.live_bytes + bytes.len() as u64 - len as u64;
        entry.set_value_word(Arc::into_raw(bytes) as u64);
        result
    }

    /// Overwrites part of an inline string in place.
    pub(crate) fn inline_bytes_mut(&mut self, slot: Slot) -> &mut [u8] {
        // SAFETY: `&mut self` makes this the only path to the entry.
        unsafe { self.store.entry(slot).inline_bytes_mut() }
    }

    /// The key that expires first, with its time in Unix milliseconds.
    pub fn first_expiry(&self) -> Option<(u64, Slot)> {
        self.expiries.first().copied()
    }

    /// The keys that expire soonest, in order.
    pub fn expiries(&self) -> impl Iterator<Item = (u64, Slot)> + '_ {
        self.expiries.iter().copied()
    }

    /// A key chosen at random, nearly uniformly. O(1) expected.
    pub fn sample(&self, random: u64) -> Option<Slot> {
        self.table.sample(random)
    }

    /// Visits entries in an order of the table's own, from `cursor` (0 at first); returns the
    /// cursor to go on from, 0 when all were visited.
    pub fn sweep(&self, cursor: u64, budget: usize, visit: impl FnMut(Slot)) -> u64 {
        self.table.sweep(cursor, budget, &self.store, visit)
    }

    /// The keys in order. O(1), but for at most [`ARRIVALS_MAX`] keys that came last, some 10
    /// microseconds.
    pub fn in_order(&mut self) -> InOrder<'_> {
        debug_assert!(self.is_ordered, "a replay ends before anybody reads");
        self.settle();
        InOrder { space: self }
    }
}

impl Keyspace {
    /// Drops the value of an entry from memory; the effect that its tip names, in the log, is where
    /// it comes back from. The entry moves. Nothing happens where that effect does not hold the
    /// whole state.
    pub(crate) fn make_cold(&mut self, slot: Slot) {
        let entry = self.store.entry(slot);
        if !entry.is_self_contained() || entry.form() == Form::Cold {
            return;
        }
        let len = entry.value_bytes();
        let attributes = Attributes {
            tip: entry.tip(),
            type_tag: entry.type_tag(),
            extra: SELF_CONTAINED,
            expires_ms: entry.expires_ms(),
        };
        let key = entry.key().to_vec();
        let key = self.key(&key);
        self.replace(
            slot,
            key,
            attributes,
            NewValue::Cold(len.min(u32::MAX as usize)),
        );
    }
}

/// A database that was flushed: nobody reads it any more, and its memory goes back a part at a time.
pub(crate) struct Remains {
    keyspace: Keyspace,
    slots: IntoIter,
}

impl Remains {
    pub fn new(mut keyspace: Keyspace) -> Self {
        let slots = std::mem::take(&mut keyspace.table).into_iter();
        Remains { keyspace, slots }
    }

    /// Frees what at most `budget` entries own; returns whether any entry is left. The arena itself
    /// goes at the end, in regions of 2 MiB.
    pub fn free_some(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(slot) = self.slots.next() else {
                return false;
            };
            self.keyspace.drop_key(slot);
            self.keyspace.drop_value(slot);
        }
        true
    }

    /// Memory not yet given back, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.keyspace.data_bytes()
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        while self.free_some(usize::MAX) {}
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        // Entries own boxes that the arena knows nothing of.
        for slot in std::mem::take(&mut self.table) {
            self.drop_key(slot);
            self.drop_value(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn attributes(expires_ms: Option<u64>) -> Attributes {
        Attributes {
            tip: 1,
            type_tag: TypeTag::String,
            extra: SELF_CONTAINED,
            expires_ms,
        }
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (0u32..300).prop_map(|number| format!("key:{number:08}").into_bytes()),
            prop::collection::vec(any::<u8>(), 0..3),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn keys_of_a_replay_are_put_in_order_at_its_end(
            steps in prop::collection::vec((key(), any::<bool>()), 0..800),
            later in key(),
        ) {
            let mut space = Keyspace::new(HashSeed(5));
            space.leave_unordered();
            let mut model = BTreeMap::new();
            for (bytes, is_put) in steps {
                let key = space.key(&bytes);
                match space.find(key) {
                    Some(slot) if !is_put => {
                        space.remove(slot);
                        model.remove(&bytes);
                    }
                    _ => {
                        // Longer each time, so that entries move.
                        let value = vec![b'v'; model.len()];
                        space.put(key, attributes(None), NewValue::Bytes(&value));
                        model.insert(bytes, ());
                    }
                }
            }
            space.put_in_order();
            space.put(space.key(&later), attributes(None), NewValue::Bytes(b"v"));
            model.insert(later, ());
            prop_assert!(space.in_order().iter().map(Entry::key).eq(model.keys()));
        }

        #[test]
        fn the_order_holds_what_was_put_whether_it_waits_or_was_placed(
            // Few or many between two looks at the order, so that keys change in both states.
            looks_of_ten in prop_oneof![Just(0u8), Just(1), Just(4)],
            steps in prop::collection::vec((key(), 0u8..10, 0u8..10, 0usize..200), 0..800),
        ) {
            let mut space = Keyspace::new(HashSeed(5));
            let mut model: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
            for (bytes, what, look, len) in steps {
                let key = space.key(&bytes);
                let value = vec![b'v'; len];
                match (what, space.find(key)) {
                    (0..5, _) => {
                        space.put(key, attributes(None), NewValue::Bytes(&value));
                        model.insert(bytes.clone(), len);
                    }
                    (5..7, Some(slot)) => {
                        space.remove(slot);
                        model.remove(&bytes);
                    }
                    (7, Some(slot)) => {
                        space.set_expiry(slot, Some(len as u64));
                    }
                    (8, Some(slot)) => {
                        space.set_expiry(slot, None);
                    }
                    (9, Some(slot)) => space.make_cold(slot),
                    (_, found) => prop_assert_eq!(found.is_some(), model.contains_key(&bytes)),
                }
                prop_assert!(space.arrivals.len() < ARRIVALS_MAX);
                if look < looks_of_ten {
                    let behind = (std::ops::Bound::Excluded(bytes.clone()), std::ops::Bound::Unbounded);
                    let mut expected = model.range(bytes.clone()..).map(|(key, _)| key.as_slice());
                    prop_assert!(space.in_order().range_from(&bytes).map(Entry::key).eq(&mut expected));
                    let mut expected = model.range(behind).map(|(key, _)| key.as_slice());
                    prop_assert!(space.in_order().range_after(&bytes).map(Entry::key).eq(&mut expected));
                }
            }
            prop_assert_eq!(space.len(), model.len());
            let found = space.in_order().iter().map(|entry| (entry.key().to_vec(), entry.value_bytes()));
            prop_assert!(found.eq(model));
        }
    }
}
