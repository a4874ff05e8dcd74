//! Reduction on a linear key: an effect changes the materialised state in place.
//!
//! O(1) for O(1) commands: no history is walked and nothing is rebuilt. The same function runs when
//! a command commits and when a log is replayed, so it takes nothing from outside the effect and
//! the state: no clock, no randomness.
//!
//! An effect that does not fit the state (an element for a string, a delta to text) was refused by
//! the command that would have made it, so it can only come from a log of other code. It then wins
//! as the later write: what is there goes.

use crate::effect::*;
use crate::engine::Engine;
use crate::entry::{Held, RAW, SELF_CONTAINED, Value};
use crate::index::Slot;
use crate::keyspace::{Attributes, Key, NewValue};
use crate::number::{Decimal, parse_i64};
use crate::value::{Collection as State, ElementId, Hash, List, Set, ZSet};

/// This node's own number in element ids; others are interned from 1.
const OWN_NODE: u16 = 0;

impl Engine {
    /// Applies effect `counter` of `key`, which is at `found`.
    #[inline]
    pub(crate) fn apply(
        &mut self,
        counter: u64,
        effect: &Effect<'_>,
        key: Key<'_>,
        found: Option<Slot>,
    ) {
        let db = effect.db;
        match &effect.payload {
            Payload::Data(data) => match (data.collection, data.op) {
                (Collection::Scalar, Op::Insert) => {
                    self.insert_scalar(counter, db, key, found, data)
                }
                (Collection::Scalar, Op::Remove) => {
                    if let Some(slot) = found {
                        self.keyspace_mut(db).remove(slot);
                    }
                }
                (Collection::Keyed, Op::Insert) | (Collection::Ordered, Op::Insert) => {
                    self.insert_element(counter, db, key, found, data);
                }
                (Collection::Keyed, Op::Remove) | (Collection::Ordered, Op::Remove) => {
                    if let Some(slot) = found {
                        self.remove_element(counter, db, slot, data);
                    }
                }
            },
            Payload::Meta(meta) => {
                if let Some(slot) = found {
                    let expires_ms = match *meta {
                        Meta::ExpireAt(at_ms) => Some(at_ms),
                        Meta::Persist => None,
                    };
                    let slot = self.keyspace_mut(db).set_expiry(slot, expires_ms);
                    self.keyspace_mut(db).advance(slot, counter, false);
                }
            }
            Payload::Noop => {
                if let Some(slot) = found {
                    self.keyspace_mut(db).advance(slot, counter, false);
                }
            }
            Payload::Snapshot(snapshot) => self.put_snapshot(counter, db, key, snapshot),
            Payload::Flush => self.flush_keyspace(db),
            Payload::Place { space } => self.place_database(db, *space),
        }
    }

    #[inline]
    fn insert_scalar(
        &mut self,
        counter: u64,
        db: u32,
        key: Key<'_>,
        found: Option<Slot>,
        data: &Data<'_>,
    ) {
        match (data.placement, data.merge, data.value) {
            (Placement::None, Merge::AddInt, Scalar::Int(delta)) => {
                self.add_int(counter, db, key, found, delta);
            }
            (Placement::None, Merge::AddFloat, Scalar::Bytes(delta)) => {
                self.add_decimal(counter, db, key, found, delta);
            }
            (Placement::None, _, value) => {
                let attributes = Attributes {
                    tip: counter,
                    type_tag: TypeTag::String,
                    extra: SELF_CONTAINED,
                    expires_ms: data.expires_ms,
                };
                let value = match value {
                    Scalar::Bytes(bytes) => NewValue::string(bytes),
                    Scalar::Int(int) => NewValue::Int(int),
                    Scalar::Float(_) | Scalar::None => NewValue::Bytes(&[]),
                };
                self.keyspace_mut(db)
                    .put_found(found, key, attributes, value);
            }
            (_, _, Scalar::Bytes(bytes)) => {
                let offset = match data.placement {
                    Placement::Tail => None,
                    _ => Some(data.reference.0 as usize),
                };
                self.write_bytes(counter, db, key, found, offset, bytes);
            }
            _ => {}
        }
    }

    fn add_int(&mut self, counter: u64, db: u32, key: Key<'_>, found: Option<Slot>, delta: i64) {
        let space = self.keyspace_mut(db);
        let Some(slot) = found else {
            space.put_found(
                None,
                key,
                first(counter, TypeTag::String, SELF_CONTAINED),
                NewValue::Int(delta),
            );
            return;
        };
        let entry = space.entry(slot);
        if let Value::Int(int) = entry.value() {
            // The command refused an overflow; wrapping keeps replay total.
            space.set_int(slot, int.wrapping_add(delta));
            space.advance(slot, counter, false);
            return;
        }
        let int = match entry.value() {
            Value::Bytes(bytes) => parse_i64(bytes).unwrap_or(0),
            _ => 0,
        };
        let attributes = changed(counter, entry.expires_ms(), 0);
        space.put_found(
            found,
            key,
            attributes,
            NewValue::Int(int.wrapping_add(delta)),
        );
    }

    fn add_decimal(
        &mut self,
        counter: u64,
        db: u32,
        key: Key<'_>,
        found: Option<Slot>,
        delta: &[u8],
    ) {
        let space = self.keyspace_mut(db);
        let (current, expires_ms) = match found.map(|slot| space.entry(slot)) {
            None => (Decimal::parse(b"0"), None),
            Some(entry) => {
                let current = match entry.value() {
                    Value::Bytes(bytes) => Decimal::parse(bytes),
                    Value::Int(int) => Decimal::parse(int.to_string().as_bytes()),
                    _ => None,
                };
                (current, entry.expires_ms())
            }
        };
        let sum = current
            .zip(Decimal::parse(delta))
            .and_then(|(a, b)| a.checked_add(b));
        let text = sum.map_or_else(|| delta.to_vec(), |sum| sum.to_string().into_bytes());
        let attributes = match found {
            None => first(counter, TypeTag::String, SELF_CONTAINED),
            Some(_) => changed(counter, expires_ms, 0),
        };
        space.put_found(found, key, attributes, NewValue::string(&text));
    }

    /// APPEND (no offset) and SETRANGE.
    fn write_bytes(
        &mut self,
        counter: u64,
        db: u32,
        key: Key<'_>,
        found: Option<Slot>,
        offset: Option<usize>,
        bytes: &[u8],
    ) {
        let space = self.keyspace_mut(db);
        let Some(slot) = found else {
            let mut value = vec![0; offset.unwrap_or(0)];
            value.extend_from_slice(bytes);
            // APPEND to nothing is a SET (which may be an integer); SETRANGE is not.
            let (value, raw) = if offset.is_none() {
                (NewValue::string(&value), 0)
            } else {
                (NewValue::bytes(&value), RAW)
            };
            let attributes = first(counter, TypeTag::String, SELF_CONTAINED | raw);
            space.put_found(None, key, attributes, value);
            return;
        };
        let write = |value: &mut Vec<u8>| {
            let at = offset.unwrap_or(value.len());
            let end = at + bytes.len();
            if value.len() < end {
                value.resize(end, 0);
            }
            value[at..end].copy_from_slice(bytes);
        };
        let entry = space.entry(slot);
        let mut value = match entry.value() {
            Value::Shared(_) => {
                space.with_shared(slot, write);
                space.advance(slot, counter, true);
                return;
            }
            Value::Bytes(value) => {
                if let Some(at) = offset
                    && at + bytes.len() <= value.len()
                {
                    space.inline_bytes_mut(slot)[at..at + bytes.len()].copy_from_slice(bytes);
                    space.advance(slot, counter, true);
                    return;
                }
                value.to_vec()
            }
            Value::Int(int) => int.to_string().into_bytes(),
            Value::Collection(_) | Value::Cold => Vec::new(),
        };
        let attributes = changed(counter, entry.expires_ms(), RAW);
        write(&mut value);
        space.put_found(found, key, attributes, NewValue::bytes(&value));
    }

    fn put_snapshot(&mut self, counter: u64, db: u32, key: Key<'_>, snapshot: &Snapshot<'_>) {
        let (limits, seed) = (self.limits, self.seed);
        let attributes = Attributes {
            expires_ms: snapshot.expires_ms,
            ..first(counter, snapshot.type_tag, SELF_CONTAINED)
        };
        let value = if snapshot.type_tag == TypeTag::String {
            NewValue::string(snapshot.state)
        } else {
            match State::decode(snapshot.state, &limits, seed) {
                Ok(collection) => NewValue::Collection(Box::new(Held {
                    base: counter,
                    collection,
                })),
                // The record's checksum was right, so this is another version's form. Keeping what
                // is there is the one choice that loses nothing more.
                Err(_) => return,
            }
        };
        self.keyspace_mut(db).put(key, attributes, value);
    }

    /// The slot of a collection of the effect's type at `key`, made where it is missing.
    #[inline]
    fn collection_slot(
        &mut self,
        counter: u64,
        db: u32,
        key: Key<'_>,
        found: Option<Slot>,
        type_tag: TypeTag,
    ) -> Slot {
        if let Some(slot) = found
            && self.keyspace(db).entry(slot).type_tag() == type_tag
        {
            return slot;
        }
        let seed = self.seed;
        let collection = match type_tag {
            TypeTag::Set => State::Set(Box::new(Set::new(seed))),
            TypeTag::Hash => State::Hash(Box::new(Hash::new(seed))),
            TypeTag::SortedSet => State::ZSet(Box::new(ZSet::new(seed))),
            TypeTag::List | TypeTag::String => State::List(Box::new(List::new(counter))),
        };
        let attributes = first(counter, type_tag, 0);
        let value = NewValue::Collection(Box::new(Held {
            base: counter,
            collection,
        }));
        self.keyspace_mut(db)
            .put_found(found, key, attributes, value)
    }

    fn insert_element(
        &mut self,
        counter: u64,
        db: u32,
        key: Key<'_>,
        found: Option<Slot>,
        data: &Data<'_>,
    ) {
        let type_tag = if data.collection == Collection::Ordered {
            TypeTag::List
        } else {
            data.type_tag
        };
        let slot = self.collection_slot(counter, db, key, found, type_tag);
        let limits = self.limits;
        let space = self.keyspace_mut(db);
        space.with_collection(slot, |collection| match collection {
            State::Set(set) => {
                set.insert(data.element, &limits);
            }
            State::Hash(hash) => insert_field(hash, data, &limits),
            State::ZSet(zset) => {
                if let Scalar::Float(score) = data.value {
                    let score = match data.merge {
                        Merge::AddFloat => zset.score(data.element).unwrap_or(0.0) + score,
                        _ => score,
                    };
                    zset.insert(data.element, score, &limits);
                }
            }
            State::List(list) => place(list, data, &limits),
        });
        space.advance(slot, counter, false);
    }

    fn remove_element(&mut self, counter: u64, db: u32, slot: Slot, data: &Data<'_>) {
        let limits = self.limits;
        let space = self.keyspace_mut(db);
        if !matches!(space.entry(slot).value(), Value::Collection(_)) {
            return;
        }
        let is_empty = space.with_collection(slot, |collection| {
            match collection {
                State::Set(set) => {
                    set.remove(data.element);
                }
                State::Hash(hash) => {
                    hash.remove(data.element);
                }
                State::ZSet(zset) => {
                    zset.remove(data.element);
                }
                State::List(list) => {
                    let id = ElementId {
                        node: OWN_NODE,
                        number: data.number.0,
                    };
                    list.remove_id(id, &limits);
                }
            }
            collection.is_empty()
        });
        if is_empty {
            space.remove(slot);
        } else {
            space.advance(slot, counter, false);
        }
    }
}

/// A key's first effect.
fn first(counter: u64, type_tag: TypeTag, extra: u16) -> Attributes {
    Attributes {
        tip: counter,
        type_tag,
        extra,
        expires_ms: None,
    }
}

/// A string that an effect changed: its history is needed to rebuild it, its expiry stays.
fn changed(counter: u64, expires_ms: Option<u64>, extra: u16) -> Attributes {
    Attributes {
        tip: counter,
        type_tag: TypeTag::String,
        extra,
        expires_ms,
    }
}

fn insert_field(hash: &mut Hash, data: &Data<'_>, limits: &crate::value::Limits) {
    match (data.merge, data.value) {
        (Merge::AddInt, Scalar::Int(delta)) => {
            let current = hash.get(data.element).and_then(parse_i64).unwrap_or(0);
            let sum = current.wrapping_add(delta).to_string();
            hash.insert(data.element, sum.as_bytes(), limits);
        }
        (Merge::AddFloat, Scalar::Bytes(delta)) => {
            let current = hash
                .get(data.element)
                .map_or(Decimal::parse(b"0"), Decimal::parse);
            let sum = current
                .zip(Decimal::parse(delta))
                .and_then(|(a, b)| a.checked_add(b));
            if let Some(sum) = sum {
                hash.insert(data.element, sum.to_string().as_bytes(), limits);
            }
        }
        (_, Scalar::Bytes(bytes)) => {
            hash.insert(data.element, bytes, limits);
        }
        _ => {}
    }
}

fn place(list: &mut List, data: &Data<'_>, limits: &crate::value::Limits) {
    let Scalar::Bytes(value) = data.value else {
        return;
    };
    let id = ElementId {
        node: OWN_NODE,
        number: data.number.0,
    };
    let reference = ElementId {
        node: OWN_NODE,
        number: data.reference.0,
    };
    match data.placement {
        Placement::Head => list.push_head(value, id, limits),
        Placement::Before => {
            list.insert_before(reference, value, id, limits);
        }
        Placement::After => {
            list.insert_after(reference, value, id, limits);
        }
        Placement::Itself => {
            if let Some(index) = list.index_of_id(id) {
                list.set_at(index, value, limits);
            }
        }
        Placement::Tail | Placement::None => list.push_tail(value, id, limits),
    }
}
