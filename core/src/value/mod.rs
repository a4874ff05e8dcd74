//! Materialised collections: lists, sets, hashes and sorted sets.
//!
//! Each has a compact form for few small elements and an indexed form for many or large ones; the
//! forms change where Redis's do, by limits of Redis's names ([`Limits`]). Limits come in with every
//! operation that may exceed them, so that CONFIG SET works at once and nothing is kept per key.
//!
//! What this module is not: it knows no keys, effects or merging, and reads no clock and no
//! randomness; random numbers and the hash seed come in as arguments. The same operations give the
//! same logical state; only the order in which sets and hashes are walked depends on the seed.
//!
//! Rule: memory is counted as it changes, so [`Collection::memory_bytes`] is O(1).

mod codec;
mod footprint;
mod hash;
mod intset;
mod list;
mod member;
mod packed;
mod runs;
mod set;
mod table;
mod thin;
mod tree;
mod zset;

pub use codec::DecodeError;
pub use hash::Hash;
pub use intset::{Element, IntText};
pub use list::List;
pub use packed::Packed;
pub use runs::ElementId;
pub use set::Set;
pub use table::HashSeed;
pub use thin::{ThinBytes, ThinPair};
pub use zset::{Upsert, ZSet};

/// Iterators over collections.
pub mod iter {
    pub use super::hash::Iter as HashIter;
    pub use super::list::Iter as ListIter;
    pub use super::packed::Iter as PackedIter;
    pub use super::set::Iter as SetIter;
    pub use super::zset::Iter as ZSetIter;
}

use codec::Reader;

/// Up to where collections keep their compact form. Fields are named as Redis's settings are, and
/// the default is Redis's (7.0, and 7.2 for sets).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Positive: elements in a chunk of a list. -1 to -5: 4, 8, 16, 32 or 64 KiB in a chunk.
    pub list_max_listpack_size: i32,
    /// Members of a set of integers kept as a sorted array.
    pub set_max_intset_entries: usize,
    /// Members of a packed set.
    pub set_max_listpack_entries: usize,
    /// Bytes of a member of a packed set.
    pub set_max_listpack_value: usize,
    /// Fields of a packed hash.
    pub hash_max_listpack_entries: usize,
    /// Bytes of a field or value of a packed hash.
    pub hash_max_listpack_value: usize,
    /// Members of a packed sorted set.
    pub zset_max_listpack_entries: usize,
    /// Bytes of a member of a packed sorted set.
    pub zset_max_listpack_value: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            list_max_listpack_size: -2,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
        }
    }
}

impl Limits {
    /// `(bytes, elements)` that a chunk of a list may hold.
    #[inline]
    fn list_chunk(&self) -> (usize, usize) {
        match self.list_max_listpack_size {
            // A count bounds bytes as well, or moving within a chunk could cost anything.
            count @ 1.. => (8192, count as usize),
            0 => (8192, 1),
            size => (2048 << size.unsigned_abs().min(5), usize::MAX),
        }
    }
}

/// A key's materialised value, unless it is a string.
#[derive(Clone)]
pub enum Collection {
    /// A sequence.
    List(Box<List>),
    /// Distinct members.
    Set(Box<Set>),
    /// Values by field.
    Hash(Box<Hash>),
    /// Members ordered by score.
    ZSet(Box<ZSet>),
}

/// What [`Collection::encode`] writes first.
const VERSION: u8 = 1;
const LIST: u8 = 1;
const SET: u8 = 2;
const HASH: u8 = 3;
const ZSET: u8 = 4;

impl Collection {
    /// Elements, members or fields. O(1). A key whose collection is empty does not exist.
    pub fn len(&self) -> usize {
        match self {
            Collection::List(list) => list.len(),
            Collection::Set(set) => set.len(),
            Collection::Hash(hash) => hash.len(),
            Collection::ZSet(zset) => zset.len(),
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory as the allocator rounds them, all allocations included. O(1).
    pub fn memory_bytes(&self) -> usize {
        match self {
            Collection::List(list) => list.memory_bytes(),
            Collection::Set(set) => set.memory_bytes(),
            Collection::Hash(hash) => hash.memory_bytes(),
            Collection::ZSet(zset) => zset.memory_bytes(),
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding_name(&self) -> &'static str {
        match self {
            Collection::List(list) => list.encoding_name(),
            Collection::Set(set) => set.encoding_name(),
            Collection::Hash(hash) => hash.encoding_name(),
            Collection::ZSet(zset) => zset.encoding_name(),
        }
    }

    /// What TYPE answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Collection::List(_) => "list",
            Collection::Set(_) => "set",
            Collection::Hash(_) => "hash",
            Collection::ZSet(_) => "zset",
        }
    }

    /// Appends a snapshot: version, type, then the elements behind their lengths as varints. O(n).
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match self {
            Collection::List(list) => {
                out.push(LIST);
                list.encode(out);
            }
            Collection::Set(set) => {
                out.push(SET);
                set.encode(out);
            }
            Collection::Hash(hash) => {
                out.push(HASH);
                hash.encode(out);
            }
            Collection::ZSet(zset) => {
                out.push(ZSET);
                zset.encode(out);
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote, choosing forms by `limits`. O(n). Memory is bounded
    /// by a multiple of `bytes` whatever they are.
    ///
    /// # Errors
    /// When `bytes` are not exactly one snapshot.
    pub fn decode(bytes: &[u8], limits: &Limits, seed: HashSeed) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let reader_mut = &mut reader;
        let collection = match reader_mut.byte()? {
            LIST => Collection::List(Box::new(List::decode(reader_mut, limits)?)),
            SET => Collection::Set(Box::new(Set::decode(reader_mut, limits, seed)?)),
            HASH => Collection::Hash(Box::new(Hash::decode(reader_mut, limits, seed)?)),
            ZSET => Collection::ZSet(Box::new(ZSet::decode(reader_mut, limits, seed)?)),
            other => return Err(DecodeError::Kind(other)),
        };
        reader.finish()?;
        Ok(collection)
    }
}

/// A number below `bound`, or none when that is 0. The bias is below `bound / 2^64`.
fn below(bound: usize, random: &mut impl FnMut() -> u64) -> Option<usize> {
    (bound > 0).then(|| ((u128::from(random()) * bound as u128) >> 64) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEED: HashSeed = HashSeed(11);

    fn samples() -> Vec<Collection> {
        let limits = Limits {
            list_max_listpack_size: 4,
            ..Limits::default()
        };
        let mut all = Vec::new();
        for count in [0, 3, 300] {
            let (mut list, mut set) = (List::new(5), Set::new(SEED));
            let (mut ints, mut hash, mut zset) = (Set::new(SEED), Hash::new(SEED), ZSet::new(SEED));
            for number in 0..count {
                let value = format!("value {number}");
                let id = ElementId {
                    node: 0,
                    number: list.next_number(),
                };
                list.push_head(value.as_bytes(), id, &limits);
                set.insert(value.as_bytes(), &limits);
                ints.insert((number * 70_000).to_string().as_bytes(), &limits);
                hash.insert(value.as_bytes(), value.as_bytes(), &limits);
                zset.insert(value.as_bytes(), f64::from(number), &limits);
            }
            hash.set_expiry(b"value 1", Some(1));
            all.push(Collection::List(Box::new(list)));
            all.push(Collection::Set(Box::new(set)));
            all.push(Collection::Set(Box::new(ints)));
            all.push(Collection::Hash(Box::new(hash)));
            all.push(Collection::ZSet(Box::new(zset)));
        }
        all
    }

    fn encoded(collection: &Collection) -> Vec<u8> {
        let mut out = Vec::new();
        collection.encode(&mut out);
        out
    }

    #[test]
    fn a_snapshot_reads_back_as_the_same_collection() {
        for collection in samples() {
            let bytes = encoded(&collection);
            let decoded = Collection::decode(&bytes, &Limits::default(), SEED).unwrap();
            assert_eq!(decoded.len(), collection.len());
            assert_eq!(decoded.type_name(), collection.type_name());
            assert_eq!(encoded(&collection.clone()).len(), bytes.len());
            assert!(decoded.memory_bytes() > 0);
        }
        assert_eq!(size_of::<Collection>(), 16);
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_survived() {
        for collection in samples() {
            let bytes = encoded(&collection);
            for cut in 0..bytes.len() {
                assert!(Collection::decode(&bytes[..cut], &Limits::default(), SEED).is_err());
            }
            for at in 0..bytes.len().min(600) {
                for flip in [1, 0x80, 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= flip;
                    // Some flips give another valid snapshot; none may panic.
                    let _ = Collection::decode(&bytes, &Limits::default(), SEED);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_give_errors(kind in 0u8..6, bytes: Vec<u8>) {
            let hostile = [&[VERSION, kind], &*bytes].concat();
            if let Ok(collection) = Collection::decode(&hostile, &Limits::default(), SEED) {
                prop_assert!(collection.len() <= hostile.len());
            }
        }
    }
}
