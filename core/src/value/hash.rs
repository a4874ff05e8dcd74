//! Hashes: a few fields packed, many in a table.
//!
//! Packed, fields and values alternate; in the table a field and its value share one allocation. A
//! hash becomes a table when [`Limits`] are exceeded and never goes back, as in Redis.
//!
//! Expiries of single fields stand beside the fields and cost nothing until one is set. This type
//! keeps them and says which are due; it reads no clock, and hides nothing that is due.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{DecodeError, Reader, put_bytes, put_varint};
use super::footprint::allocated;
use super::packed::{self, Packed};
use super::table::{self, HashSeed, Keyed, Table};
use super::thin::ThinPair;
use super::{Limits, below};

impl Keyed for ThinPair {
    #[inline]
    fn key(&self) -> &[u8] {
        self.split().0
    }
}

#[derive(Clone, Default)]
struct Expiries {
    at: BTreeMap<Box<[u8]>, u64>,
    order: BTreeSet<(u64, Box<[u8]>)>,
}

enum Form {
    Packed(Packed),
    Table(Box<Table<ThinPair>>),
}

/// Byte strings by field.
pub struct Hash {
    form: Form,
    seed: HashSeed,
    /// Heap bytes of the table's pairs.
    pair_bytes: usize,
    expiries: Option<Box<Expiries>>,
}

impl Hash {
    /// An empty hash, hashing by `seed` once it is a table.
    pub fn new(seed: HashSeed) -> Self {
        Hash {
            form: Form::Packed(Packed::default()),
            seed,
            pair_bytes: 0,
            expiries: None,
        }
    }

    /// Fields. O(1).
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.len() / 2,
            Form::Table(table) => table.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory with the hash's own. O(1). Expiries count as 128 bytes each.
    pub fn memory_bytes(&self) -> usize {
        let expiries = self
            .expiries
            .as_ref()
            .map_or(0, |expiries| expiries.at.len() * 128);
        allocated(size_of::<Self>())
            + expiries
            + match &self.form {
                Form::Packed(packed) => packed.heap_bytes(),
                Form::Table(table) => {
                    allocated(size_of_val(&**table)) + table.table_bytes() + self.pair_bytes
                }
            }
    }

    /// Redis's name of the present form.
    pub fn encoding_name(&self) -> &'static str {
        match &self.form {
            Form::Packed(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// The value of `field`. O(1), or O(len) packed.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match &self.form {
            Form::Packed(packed) => {
                let offset = find(packed, field)?;
                Some(packed.at(packed.next(offset)))
            }
            Form::Table(table) => table.get(field).map(|pair| pair.split().1),
        }
    }

    /// Sets `field`; true when it is new. In place when the value keeps its length. An expiry of the
    /// field is not touched. O(1), or O(len) packed.
    pub fn insert(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        if let Form::Packed(packed) = &mut self.form {
            let found = find(packed, field);
            let count = packed.len() / 2 + usize::from(found.is_none());
            let longest = field.len().max(value.len());
            if count <= limits.hash_max_listpack_entries
                && longest <= limits.hash_max_listpack_value
            {
                if let Some(offset) = found {
                    packed.replace(packed.next(offset), value);
                } else {
                    packed.push_back(field);
                    packed.push_back(value);
                }
                return found.is_none();
            }
            self.become_table();
        }
        let Form::Table(table) = &mut self.form else {
            unreachable!("the last form")
        };
        let mut added = 0;
        let present = table.insert_with(field, || {
            let pair = ThinPair::new(field, value);
            added = pair.heap_bytes();
            pair
        });
        let is_new = present.is_none();
        if let Some(pair) = present {
            let before = pair.heap_bytes();
            pair.set_value(value);
            added = pair.heap_bytes();
            self.pair_bytes -= before;
        }
        self.pair_bytes += added;
        is_new
    }

    /// Removes `field` with its expiry; false when it was not there. O(1), or O(len) packed.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let removed = match &mut self.form {
            Form::Packed(packed) => find(packed, field)
                .map(|offset| packed.remove(offset, 2))
                .is_some(),
            Form::Table(table) => {
                let removed = table.remove(field);
                self.pair_bytes -= removed.as_ref().map_or(0, ThinPair::heap_bytes);
                removed.is_some()
            }
        };
        if removed {
            self.set_expiry(field, None);
        }
        removed
    }

    /// A field and its value, each equally likely. Expected O(1) calls of `random`.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<(&[u8], &[u8])> {
        match &self.form {
            Form::Packed(packed) => {
                let offset = packed.offset_of(2 * below(packed.len() / 2, random)?);
                Some((packed.at(offset), packed.at(packed.next(offset))))
            }
            Form::Table(table) => table.random(random).map(ThinPair::split),
        }
    }

    /// Visits fields and values from `cursor` (0 starts); cursor, count and guarantee are those of
    /// [`Set::scan`](super::Set::scan).
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], &[u8])) -> u64 {
        if let Form::Table(table) = &self.form {
            return table.scan(cursor, count, |pair| {
                let (field, value) = pair.split();
                visit(field, value);
            });
        }
        self.iter().for_each(|(field, value)| visit(field, value));
        0
    }

    /// All fields with their values, in no order that means anything.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.form {
            Form::Packed(packed) => FormIter::Packed(packed.iter()),
            Form::Table(table) => FormIter::Table(table.iter()),
        })
    }

    /// When `field` expires, as it was set.
    pub fn expiry(&self, field: &[u8]) -> Option<u64> {
        self.expiries.as_ref()?.at.get(field).copied()
    }

    /// Sets or clears the expiry of `field` (any unit the caller keeps to) and returns the one before.
    /// A field that is not there gets none. O(log of the fields with one).
    pub fn set_expiry(&mut self, field: &[u8], at: Option<u64>) -> Option<u64> {
        if self.expiries.is_none() && at.is_none() {
            return None;
        }
        let at = at.filter(|_| self.get(field).is_some());
        let expiries = self.expiries.get_or_insert_default();
        let before = expiries.at.remove(field);
        if let Some(before) = before {
            expiries.order.remove(&(before, field.into()));
        }
        if let Some(at) = at {
            expiries.at.insert(field.into(), at);
            expiries.order.insert((at, field.into()));
        }
        if expiries.at.is_empty() {
            self.expiries = None;
        }
        before
    }

    /// The field that expires first, and when. O(log of the fields with an expiry).
    pub fn next_expiry(&self) -> Option<(u64, &[u8])> {
        self.expiries
            .as_ref()?
            .order
            .first()
            .map(|(at, field)| (*at, &**field))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        for (field, value) in self.iter() {
            put_bytes(out, field);
            put_bytes(out, value);
        }
        let expiries = self.expiries.as_ref().map(|expiries| &expiries.at);
        put_varint(out, expiries.map_or(0, BTreeMap::len) as u64);
        for (field, at) in expiries.into_iter().flatten() {
            put_bytes(out, field);
            put_varint(out, *at);
        }
    }

    pub(super) fn decode(
        reader: &mut Reader<'_>,
        limits: &Limits,
        seed: HashSeed,
    ) -> Result<Self, DecodeError> {
        let mut hash = Hash::new(seed);
        for _ in 0..reader.count(2)? {
            if !hash.insert(reader.bytes()?, reader.bytes()?, limits) {
                return Err(DecodeError::Duplicate);
            }
        }
        for _ in 0..reader.count(2)? {
            hash.set_expiry(reader.bytes()?, Some(reader.varint()?));
        }
        Ok(hash)
    }

    fn become_table(&mut self) {
        let mut table = Table::new(self.seed);
        let mut pair_bytes = 0;
        for (field, value) in self.iter() {
            let pair = ThinPair::new(field, value);
            pair_bytes += pair.heap_bytes();
            table.insert_with(field, || pair);
        }
        self.pair_bytes = pair_bytes;
        self.form = Form::Table(Box::new(table));
    }
}

/// The offset of `field`; its value is the element after it.
fn find(packed: &Packed, field: &[u8]) -> Option<usize> {
    let index = packed.iter().step_by(2).position(|other| other == field)?;
    Some(packed.offset_of(2 * index))
}

impl Clone for Hash {
    fn clone(&self) -> Self {
        let form = match &self.form {
            Form::Packed(packed) => Form::Packed(packed.clone()),
            Form::Table(table) => {
                let mut copy = Table::new(self.seed);
                for pair in table.iter() {
                    copy.insert_with(pair.key(), || pair.clone());
                }
                Form::Table(Box::new(copy))
            }
        };
        Hash {
            form,
            expiries: self.expiries.clone(),
            ..*self
        }
    }
}

enum FormIter<'a> {
    Packed(packed::Iter<'a>),
    Table(table::Iter<'a, ThinPair>),
}

/// Fields and values of a [`Hash`].
pub struct Iter<'a>(FormIter<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            FormIter::Packed(iter) => Some((iter.next()?, iter.next()?)),
            FormIter::Table(iter) => iter.next().map(ThinPair::split),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits {
            hash_max_listpack_entries: 16,
            hash_max_listpack_value: 12,
            ..Limits::default()
        }
    }

    fn check(hash: &Hash, model: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), TestCaseError> {
        prop_assert_eq!(hash.len(), model.len());
        let pairs: BTreeMap<Vec<u8>, Vec<u8>> = hash
            .iter()
            .map(|(field, value)| (field.to_vec(), value.to_vec()))
            .collect();
        prop_assert_eq!(&pairs, model);
        if let Form::Table(table) = &hash.form {
            let bytes: usize = table.iter().map(ThinPair::heap_bytes).sum();
            prop_assert_eq!(hash.pair_bytes, bytes);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn behaves_as_an_ordered_map_in_every_form(
            ops in prop::collection::vec((0u8..5, 0u32..100, 0usize..15, 0u64..50), 1..300),
        ) {
            let mut hash = Hash::new(HashSeed(5));
            let mut model = BTreeMap::new();
            let mut expiries = BTreeMap::new();
            for (op, number, len, at) in ops {
                let field = format!("field:{number}").into_bytes();
                let value = vec![len as u8; len];
                match op {
                    0..=2 => {
                        let added = hash.insert(&field, &value, &limits());
                        prop_assert_eq!(added, model.insert(field.clone(), value).is_none());
                    }
                    3 => {
                        let there = model.remove(&field).is_some();
                        prop_assert_eq!(hash.remove(&field), there);
                        expiries.remove(&field);
                    }
                    _ => {
                        let before = hash.set_expiry(&field, Some(at));
                        prop_assert_eq!(before, expiries.get(&field).copied());
                        if model.contains_key(&field) { expiries.insert(field.clone(), at); }
                    }
                }
                prop_assert_eq!(hash.get(&field), model.get(&field).map(Vec::as_slice));
                prop_assert_eq!(hash.expiry(&field), expiries.get(&field).copied());
                let first = expiries.iter().map(|(field, &at)| (at, &**field)).min();
                prop_assert_eq!(hash.next_expiry(), first);
                check(&hash, &model)?;
            }
            check(&hash.clone(), &model)?;
            let mut out = Vec::new();
            hash.encode(&mut out);
            let decoded = Hash::decode(&mut Reader::new(&out), &limits(), HashSeed(6)).unwrap();
            check(&decoded, &model)?;
            prop_assert_eq!(decoded.next_expiry(), hash.next_expiry());
            let mut seen = 0;
            prop_assert_eq!(hash.scan(0, usize::MAX, |_, _| seen += 1), 0);
            prop_assert_eq!(seen, model.len());
            prop_assert_eq!(hash.random(&mut || 1 << 40).is_some(), !model.is_empty());
        }
    }
}
