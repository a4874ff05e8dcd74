//! A key's whole state in a form that can be compared: for tests, snapshots and digests.
//!
//! It is not what the server reads from: that is the keyspace's entry, which has compact forms and
//! walks in the order of a secret hash. Here elements are in the order of bytes, so two states are
//! the same state exactly when they are equal.

use std::collections::{BTreeMap, BTreeSet};

use crate::effect::{Snapshot, TypeTag};
use crate::entry::{self, Entry};
use crate::value::{Collection, DecodeError, Hash, HashSeed, Limits, Set, ZSet};

use super::scalar::Content;

/// Bytes that name an element.
pub type Name = Box<[u8]>;

/// What a key holds and when it expires.
///
/// A state may have an expiry and no value: the elements are gone, by removals that did not know of
/// each other, and the expiry, which none of them covers, is still there for elements that return.
/// Users do not see it ([`State::visible`]).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// The value, `None` where the key does not exist. Never an empty collection.
    pub value: Option<Value>,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: Option<u64>,
}

/// A value of any type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A string's bytes; integers as their text.
    String(Vec<u8>),
    /// A list as [`Collection::encode`] writes it.
    List(Vec<u8>),
    /// A set's members.
    Set(BTreeSet<Name>),
    /// A hash's fields.
    Hash(BTreeMap<Name, Box<[u8]>>),
    /// A sorted set's members.
    SortedSet(BTreeMap<Name, Score>),
}

/// A score that is equal to another when its bits are. Never NaN, never the negative zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Score(u64);

impl Score {
    /// The score; NaN, which is none, counts as 0.
    pub fn new(score: f64) -> Self {
        let score = if score.is_nan() { 0.0 } else { score + 0.0 };
        Score(score.to_bits())
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// The materialised state that branches are relative to. It is read for the items that the branches
/// touch, and for nothing else.
pub trait Base {
    /// The type, `None` where the key does not exist.
    fn type_tag(&self) -> Option<TypeTag>;
    /// The string, `None` where the key is none. O(length).
    fn string(&self) -> Option<Content>;
    /// What element `name` of a set, hash or sorted set holds. O(look-up).
    fn element(&self, name: &[u8]) -> Option<Content>;
    /// When the key expires, in Unix milliseconds.
    fn expires_ms(&self) -> Option<u64>;
}

impl Value {
    /// The type.
    pub fn type_tag(&self) -> TypeTag {
        match self {
            Value::String(_) => TypeTag::String,
            Value::List(_) => TypeTag::List,
            Value::Set(_) => TypeTag::Set,
            Value::Hash(_) => TypeTag::Hash,
            Value::SortedSet(_) => TypeTag::SortedSet,
        }
    }

    /// An empty value of a type, to put elements into. An empty list is no bytes.
    pub(super) fn empty(type_tag: TypeTag) -> Value {
        match type_tag {
            TypeTag::String => Value::String(Vec::new()),
            TypeTag::List => Value::List(Vec::new()),
            TypeTag::Set => Value::Set(BTreeSet::new()),
            TypeTag::Hash => Value::Hash(BTreeMap::new()),
            TypeTag::SortedSet => Value::SortedSet(BTreeMap::new()),
        }
    }

    /// Whether it is a collection without elements, which no key holds.
    pub(super) fn is_empty_collection(&self) -> bool {
        match self {
            Value::String(_) => false,
            Value::List(encoded) => encoded.is_empty(),
            Value::Set(members) => members.is_empty(),
            Value::Hash(fields) => fields.is_empty(),
            Value::SortedSet(members) => members.is_empty(),
        }
    }

    /// What element `name` holds. O(log n).
    pub fn element(&self, name: &[u8]) -> Option<Content> {
        match self {
            Value::String(_) | Value::List(_) => None,
            Value::Set(members) => members.contains(name).then_some(Content::Member),
            Value::Hash(fields) => fields.get(name).map(|value| Content::Bytes(value.to_vec())),
            Value::SortedSet(members) => members.get(name).map(|score| Content::Score(score.get())),
        }
    }

    /// Gives element `name` a content, or takes the element away. O(log n).
    pub(super) fn set_element(&mut self, name: &[u8], content: Option<Content>) {
        match (self, content) {
            (Value::Set(members), Some(_)) => {
                members.insert(name.into());
            }
            (Value::Hash(fields), Some(content)) => {
                fields.insert(name.into(), content.into_bytes().into());
            }
            (Value::SortedSet(members), Some(Content::Score(score))) => {
                members.insert(name.into(), Score::new(score));
            }
            (Value::Set(members), None) => {
                members.remove(name);
            }
            (Value::Hash(fields), None) => {
                fields.remove(name);
            }
            (Value::SortedSet(members), None) => {
                members.remove(name);
            }
            (Value::String(_) | Value::List(_) | Value::SortedSet(_), _) => {}
        }
    }

    /// The value of a materialised collection. O(n log n). Expiries of single fields are not kept.
    pub fn of_collection(collection: &Collection) -> Value {
        match collection {
            Collection::List(_) => {
                let mut encoded = Vec::new();
                collection.encode(&mut encoded);
                Value::List(encoded)
            }
            Collection::Set(set) => Value::Set(set.iter().map(|member| (*member).into()).collect()),
            Collection::Hash(hash) => {
                let fields = hash.iter();
                Value::Hash(
                    fields
                        .map(|(name, value)| (name.into(), value.into()))
                        .collect(),
                )
            }
            Collection::ZSet(zset) => {
                let members = zset.iter();
                let scored = members.map(|(name, score)| (name.into(), Score::new(score)));
                Value::SortedSet(scored.collect())
            }
        }
    }

    /// Appends what a [`Snapshot`] effect carries for it: a string's bytes, or a collection as
    /// [`Collection::encode`] writes it. Equal values give equal bytes. O(n).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (limits, seed) = (Limits::default(), HashSeed(0));
        let collection = match self {
            Value::String(bytes) | Value::List(bytes) => return out.extend_from_slice(bytes),
            Value::Set(members) => {
                let mut set = Set::new(seed);
                for member in members {
                    set.insert(member, &limits);
                }
                Collection::Set(Box::new(set))
            }
            Value::Hash(fields) => {
                let mut hash = Hash::new(seed);
                for (field, value) in fields {
                    hash.insert(field, value, &limits);
                }
                Collection::Hash(Box::new(hash))
            }
            Value::SortedSet(members) => {
                let mut zset = ZSet::new(seed);
                for (member, score) in members {
                    zset.insert(member, score.get(), &limits);
                }
                Collection::ZSet(Box::new(zset))
            }
        };
        collection.encode(out);
    }
}

impl State {
    /// What a snapshot says. `seed` is for the hashing while it is read and leaves no trace. O(n).
    ///
    /// # Errors
    /// [`DecodeError`] where the state cannot be read or is not of the type that the snapshot names.
    pub fn of_snapshot(snapshot: &Snapshot<'_>, seed: HashSeed) -> Result<State, DecodeError> {
        let value = match snapshot.type_tag {
            TypeTag::String => Value::String(snapshot.state.to_vec()),
            type_tag => {
                let collection = Collection::decode(snapshot.state, &Limits::default(), seed)?;
                let value = Value::of_collection(&collection);
                if value.type_tag() != type_tag {
                    return Err(DecodeError::Kind(type_tag as u8));
                }
                value
            }
        };
        Ok(State {
            value: (!value.is_empty_collection()).then_some(value),
            expires_ms: snapshot.expires_ms,
        })
    }

    /// The state of an entry in memory; `None` where its value is cold. O(n log n).
    pub fn of_entry(entry: Entry<'_>) -> Option<State> {
        let value = match entry.value() {
            entry::Value::Bytes(bytes) => Value::String(bytes.to_vec()),
            entry::Value::Int(int) => Value::String(int.to_string().into_bytes()),
            entry::Value::Shared(shared) => Value::String(shared.as_slice().to_vec()),
            entry::Value::Collection(collection) => Value::of_collection(collection),
            entry::Value::Cold => return None,
        };
        Some(State {
            value: Some(value),
            expires_ms: entry.expires_ms(),
        })
    }

    /// As users see it: a key without a value has no expiry.
    pub fn visible(mut self) -> State {
        if self.value.is_none() {
            self.expires_ms = None;
        }
        self
    }
}

impl Base for State {
    fn type_tag(&self) -> Option<TypeTag> {
        self.value.as_ref().map(Value::type_tag)
    }

    fn string(&self) -> Option<Content> {
        match &self.value {
            Some(Value::String(bytes)) => Some(Content::Bytes(bytes.clone())),
            _ => None,
        }
    }

    fn element(&self, name: &[u8]) -> Option<Content> {
        self.value.as_ref()?.element(name)
    }

    fn expires_ms(&self) -> Option<u64> {
        self.expires_ms
    }
}

/// The entry of a key, whose value must be in memory: a cold one has no string and no elements.
impl Base for Entry<'_> {
    fn type_tag(&self) -> Option<TypeTag> {
        Some(Entry::type_tag(*self))
    }

    fn string(&self) -> Option<Content> {
        match self.value() {
            entry::Value::Bytes(bytes) => Some(Content::Bytes(bytes.to_vec())),
            entry::Value::Int(int) => Some(Content::Int(int)),
            entry::Value::Shared(shared) => Some(Content::Bytes(shared.as_slice().to_vec())),
            entry::Value::Collection(_) | entry::Value::Cold => None,
        }
    }

    fn element(&self, name: &[u8]) -> Option<Content> {
        let entry::Value::Collection(collection) = self.value() else {
            return None;
        };
        match collection {
            Collection::List(_) => None,
            Collection::Set(set) => set.contains(name).then_some(Content::Member),
            Collection::Hash(hash) => hash.get(name).map(|value| Content::Bytes(value.to_vec())),
            Collection::ZSet(zset) => zset.score(name).and_then(Content::score),
        }
    }

    fn expires_ms(&self) -> Option<u64> {
        Entry::expires_ms(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(value: Value) {
        let mut state = Vec::new();
        value.encode(&mut state);
        let snapshot = Snapshot {
            type_tag: value.type_tag(),
            expires_ms: Some(7),
            state: &state,
        };
        let back = State::of_snapshot(&snapshot, HashSeed(3)).unwrap();
        let want = State {
            value: Some(value),
            expires_ms: Some(7),
        };
        assert_eq!(back, want);
    }

    #[test]
    fn a_value_is_what_its_snapshot_says() {
        let names = |count: u32| (0..count).map(|n| format!("name {n}").into_bytes().into());
        for count in [1, 700] {
            round_trip(Value::String(b"\0\xff".to_vec()));
            round_trip(Value::Set(names(count).collect()));
            round_trip(Value::Hash(
                names(count).map(|n: Name| (n.clone(), n)).collect(),
            ));
            let score = Score::new(f64::NEG_INFINITY);
            round_trip(Value::SortedSet(names(count).map(|n| (n, score)).collect()));
        }
    }

    #[test]
    fn a_snapshot_of_another_type_than_it_names_is_refused() {
        let mut state = Vec::new();
        Value::Set([b"m"[..].into()].into()).encode(&mut state);
        let snapshot = Snapshot {
            type_tag: TypeTag::Hash,
            expires_ms: None,
            state: &state,
        };
        assert!(State::of_snapshot(&snapshot, HashSeed(0)).is_err());
    }
}
