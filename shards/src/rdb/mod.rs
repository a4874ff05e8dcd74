//! Values in the format of Redis's RDB files, as DUMP, RESTORE and MIGRATE exchange them.
//!
//! Not RDB files as a whole. Written is what Redis 7.0 reads (version 10); read is what Redis up to
//! 7.4 writes (versions to 12) of strings, lists, sets, hashes and sorted sets, including the packed
//! forms of earlier versions. Streams, modules and hashes with field expiries are refused.
//!
//! The rule kept: a payload comes from anywhere. Whatever it claims, reading it allocates no more
//! than in proportion to its length, and damage is answered by `None`.

pub mod crc64;
pub mod lzf;
pub mod packed;

use std::collections::HashSet;

use bumpalo::Bump;
use causet_core::entry::Value;
use causet_core::number::parse_i64;
use causet_core::value::{Collection, Hash, List, Set, ZSet};
use causet_proto::resp::{format_double, parse_double};

use packed::{Listpack, int_text, read_intset, read_listpack, read_ziplist, write_intset};

/// The version that payloads are marked with.
const VERSION_WRITTEN: u16 = 10;
/// The highest version that is read.
const VERSION_READ_MAX: u16 = 12;
/// Version and checksum behind the value.
const FOOTER_BYTES: usize = 10;

/// Bytes at which a list's listpack is full; a longer element gets a node of its own.
const NODE_BYTES_MAX: usize = 8192;

/// How values are marked.
mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores as binary doubles.
    pub const ZSET_2: u8 = 5;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    /// A sequence of ziplists.
    pub const LIST_QUICKLIST: u8 = 14;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    /// A sequence of listpacks and of elements too long for one.
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const SET_LISTPACK: u8 = 20;
}

/// A node of a list that is one element.
const NODE_PLAIN: u64 = 1;
/// A node of a list that is a listpack.
const NODE_PACKED: u64 = 2;

/// A value that was read, borrowing from the payload or from the arena.
#[derive(Debug, PartialEq)]
pub enum Object<'a> {
    /// A string.
    String(&'a [u8]),
    /// Elements in order, at least one.
    List(Vec<&'a [u8]>),
    /// Distinct members, at least one.
    Set(Vec<&'a [u8]>),
    /// Distinct fields and their values, at least one.
    Hash(Vec<(&'a [u8], &'a [u8])>),
    /// Distinct members with scores that are numbers, at least one.
    SortedSet(Vec<(&'a [u8], f64)>),
}

/// The payload of DUMP: the value, the format's version, the checksum of both. O(n).
///
/// # Panics
/// If the value is not in memory.
pub fn dump(value: Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, value);
    out.extend_from_slice(&VERSION_WRITTEN.to_le_bytes());
    out.extend_from_slice(&crc64::crc64(&out).to_le_bytes());
    out
}

/// The value part of a payload whose version is known and whose checksum is right.
pub fn verify(payload: &[u8]) -> Option<&[u8]> {
    let (value, footer) = payload.split_at_checked(payload.len().checked_sub(FOOTER_BYTES)?)?;
    let (version, checksum) = footer.split_at(2);
    let version = u16::from_le_bytes(version.try_into().ok()?);
    let checksum = u64::from_le_bytes(checksum.try_into().ok()?);
    let is_right = checksum == crc64::crc64(&payload[..payload.len() - 8]);
    (version <= VERSION_READ_MAX && is_right).then_some(value)
}

/// Reads a value; `None` where the bytes are not exactly one of a kind that is known. O(n).
pub fn read<'a>(bytes: &'a [u8], arena: &'a Bump) -> Option<Object<'a>> {
    let mut reader = Reader { rest: bytes, arena };
    let object = reader.object()?;
    reader.rest.is_empty().then_some(object)
}

fn write_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Bytes(bytes) => {
            out.push(kind::STRING);
            put_string(out, bytes);
        }
        Value::Shared(shared) => {
            out.push(kind::STRING);
            put_string(out, shared.as_slice());
        }
        Value::Int(int) => {
            out.push(kind::STRING);
            put_string(out, itoa::Buffer::new().format(int).as_bytes());
        }
        Value::Collection(Collection::List(list)) => write_list(out, list),
        Value::Collection(Collection::Set(set)) => write_set(out, set),
        Value::Collection(Collection::Hash(hash)) => write_hash(out, hash),
        Value::Collection(Collection::ZSet(zset)) => write_sorted_set(out, zset),
        Value::Cold => unreachable!("a resident value was asked for"),
    }
}

fn write_list(out: &mut Vec<u8>, list: &List) {
    let mut nodes = Vec::new();
    let mut count = 0;
    let mut pack = Listpack::default();
    let close = |pack: &mut Listpack, nodes: &mut Vec<u8>| {
        let pack = std::mem::take(pack);
        if !pack.is_empty() {
            put_len(nodes, NODE_PACKED);
            put_string(nodes, &pack.finish());
            return 1;
        }
        0
    };
    for element in list.iter(0..list.len()) {
        let is_long = element.len() > NODE_BYTES_MAX;
        if is_long || pack.len() + element.len() > NODE_BYTES_MAX {
            count += close(&mut pack, &mut nodes);
        }
        if is_long {
            put_len(&mut nodes, NODE_PLAIN);
            put_string(&mut nodes, element);
            count += 1;
        } else {
            pack.push(element);
        }
    }
    count += close(&mut pack, &mut nodes);
    out.push(kind::LIST_QUICKLIST_2);
    put_len(out, count);
    out.extend_from_slice(&nodes);
}

fn write_set(out: &mut Vec<u8>, set: &Set) {
    if set.encoding_name() == "intset" {
        out.push(kind::SET_INTSET);
        let members = set.iter().filter_map(|member| parse_i64(&member)).collect();
        put_string(out, &write_intset(members));
        return;
    }
    // A packed set too: Redis 7.0 does not know that form.
    out.push(kind::SET);
    put_len(out, set.len() as u64);
    set.iter().for_each(|member| put_string(out, &member));
}

fn write_hash(out: &mut Vec<u8>, hash: &Hash) {
    if hash.encoding_name() == "listpack" {
        let mut pack = Listpack::default();
        for (field, value) in hash.iter() {
            pack.push(field);
            pack.push(value);
        }
        out.push(kind::HASH_LISTPACK);
        put_string(out, &pack.finish());
        return;
    }
    out.push(kind::HASH);
    put_len(out, hash.len() as u64);
    for (field, value) in hash.iter() {
        put_string(out, field);
        put_string(out, value);
    }
}

fn write_sorted_set(out: &mut Vec<u8>, zset: &ZSet) {
    if zset.encoding_name() == "listpack" {
        let mut pack = Listpack::default();
        for (member, score) in zset.iter() {
            pack.push(member);
            pack.push(&format_double(score));
        }
        out.push(kind::ZSET_LISTPACK);
        put_string(out, &pack.finish());
        return;
    }
    out.push(kind::ZSET_2);
    put_len(out, zset.len() as u64);
    // Highest first: Redis inserts each at the head of its skip list, without a search.
    for (member, score) in zset.range(0..zset.len()).rev() {
        put_string(out, member);
        out.extend_from_slice(&score.to_le_bytes());
    }
}

/// A length in 1, 2, 5 or 9 bytes.
fn put_len(out: &mut Vec<u8>, len: u64) {
    if len < 1 << 6 {
        out.push(len as u8);
    } else if len < 1 << 14 {
        out.extend_from_slice(&(0x4000 | len as u16).to_be_bytes());
    } else if let Ok(len) = u32::try_from(len) {
        out.push(0x80);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(0x81);
        out.extend_from_slice(&len.to_be_bytes());
    }
}

/// A string behind its length, or where it is a small integer, that.
fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    match parse_i64(bytes).and_then(|int| i32::try_from(int).ok()) {
        Some(int) => {
            let width = match int {
                -0x80..=0x7f => 0,
                -0x8000..=0x7fff => 1,
                _ => 2,
            };
            out.push(0xc0 | width);
            out.extend_from_slice(&int.to_le_bytes()[..1 << width]);
        }
        None => {
            put_len(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
    }
}

/// A length, or the mark of a string's special form in its place.
enum Length {
    Plain(usize),
    Special(u8),
}

/// What is left to read.
struct Reader<'a> {
    rest: &'a [u8],
    arena: &'a Bump,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn length(&mut self) -> Option<Length> {
        let first = self.byte()?;
        let low = first & 0x3f;
        let len = match first {
            0x00..=0x3f => u64::from(low),
            0x40..=0x7f => u64::from(low) << 8 | u64::from(self.byte()?),
            0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            0x81 => u64::from_be_bytes(self.array()?),
            0x82..=0xbf => return None,
            0xc0..=0xff => return Some(Length::Special(low)),
        };
        Some(Length::Plain(usize::try_from(len).ok()?))
    }

    fn len(&mut self) -> Option<usize> {
        match self.length()? {
            Length::Plain(len) => Some(len),
            Length::Special(_) => None,
        }
    }

    /// A number of things that take at least one byte each, so that no promise exceeds the payload.
    fn count(&mut self) -> Option<usize> {
        self.len()
            .filter(|&count| 0 < count && count <= self.rest.len())
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let int = match self.length()? {
            Length::Plain(len) => return self.take(len),
            Length::Special(0) => i64::from(i8::from_le_bytes(self.array()?)),
            Length::Special(1) => i64::from(i16::from_le_bytes(self.array()?)),
            Length::Special(2) => i64::from(i32::from_le_bytes(self.array()?)),
            Length::Special(3) => {
                let (packed_len, len) = (self.len()?, self.len()?);
                let bytes = lzf::unpack(self.take(packed_len)?, len)?;
                return Some(self.arena.alloc_slice_copy(&bytes));
            }
            Length::Special(_) => return None,
        };
        Some(int_text(int, self.arena))
    }

    fn strings(&mut self) -> Option<Vec<&'a [u8]>> {
        let count = self.count()?;
        (0..count).map(|_| self.string()).collect()
    }

    /// A score as text behind its length in one byte.
    fn old_score(&mut self) -> Option<f64> {
        match self.byte()? {
            // Not a number has no place in an order.
            253 => None,
            254 => Some(f64::INFINITY),
            255 => Some(f64::NEG_INFINITY),
            len => parse_double(self.take(usize::from(len))?),
        }
    }

    fn object(&mut self) -> Option<Object<'a>> {
        let arena = self.arena;
        match self.byte()? {
            kind::STRING => Some(Object::String(self.string()?)),
            kind::LIST => list(self.strings()?),
            kind::LIST_ZIPLIST => list(read_ziplist(self.string()?, arena)?),
            kind::LIST_QUICKLIST => {
                let mut elements = Vec::new();
                for _ in 0..self.count()? {
                    elements.append(&mut read_ziplist(self.string()?, arena)?);
                }
                list(elements)
            }
            kind::LIST_QUICKLIST_2 => {
                let mut elements = Vec::new();
                for _ in 0..self.count()? {
                    match self.len()? as u64 {
                        NODE_PLAIN => elements.push(self.string()?),
                        NODE_PACKED => {
                            elements.append(&mut read_listpack(self.string()?, arena)?);
                        }
                        _ => return None,
                    }
                }
                list(elements)
            }
            kind::SET => set(self.strings()?),
            kind::SET_INTSET => set(read_intset(self.string()?, arena)?),
            kind::SET_LISTPACK => set(read_listpack(self.string()?, arena)?),
            kind::HASH => {
                let count = self.count()?;
                hash(
                    (0..count)
                        .map(|_| Some((self.string()?, self.string()?)))
                        .collect::<Option<_>>()?,
                )
            }
            kind::HASH_ZIPLIST => hash(pairs(read_ziplist(self.string()?, arena)?)?),
            kind::HASH_LISTPACK => hash(pairs(read_listpack(self.string()?, arena)?)?),
            kind::ZSET => {
                let count = self.count()?;
                let read = |_| Some((self.string()?, self.old_score()?));
                sorted_set((0..count).map(read).collect::<Option<_>>()?)
            }
            kind::ZSET_2 => {
                let count = self.count()?;
                let read = |_| Some((self.string()?, f64::from_le_bytes(self.array()?)));
                sorted_set((0..count).map(read).collect::<Option<_>>()?)
            }
            kind::ZSET_ZIPLIST => sorted_set(scored(read_ziplist(self.string()?, arena)?)?),
            kind::ZSET_LISTPACK => sorted_set(scored(read_listpack(self.string()?, arena)?)?),
            _ => None,
        }
    }
}

/// Elements in twos.
fn pairs(elements: Vec<&[u8]>) -> Option<Vec<(&[u8], &[u8])>> {
    let (pairs, rest) = elements.as_chunks::<2>();
    rest.is_empty().then(|| {
        pairs
            .iter()
            .map(|&[first, second]| (first, second))
            .collect()
    })
}

/// Members and the texts of their scores.
fn scored(elements: Vec<&[u8]>) -> Option<Vec<(&[u8], f64)>> {
    let read = |(member, score)| Some((member, parse_double(score)?));
    pairs(elements)?.into_iter().map(read).collect()
}

fn are_distinct<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> bool {
    let count = names.len();
    count > 0 && names.collect::<HashSet<_>>().len() == count
}

fn list(elements: Vec<&[u8]>) -> Option<Object<'_>> {
    (!elements.is_empty()).then_some(Object::List(elements))
}

fn set(members: Vec<&[u8]>) -> Option<Object<'_>> {
    are_distinct(members.iter().copied()).then_some(Object::Set(members))
}

fn hash<'a>(fields: Vec<(&'a [u8], &'a [u8])>) -> Option<Object<'a>> {
    are_distinct(fields.iter().map(|&(field, _)| field)).then_some(Object::Hash(fields))
}

fn sorted_set(members: Vec<(&[u8], f64)>) -> Option<Object<'_>> {
    let is_ordered = members.iter().all(|(_, score)| !score.is_nan());
    (is_ordered && are_distinct(members.iter().map(|&(member, _)| member)))
        .then_some(Object::SortedSet(members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use causet_core::value::{ElementId, HashSeed, Limits};

    fn round_trip<'a>(value: Value<'_>, arena: &'a Bump) -> Object<'a> {
        let payload: &'a [u8] = arena.alloc_slice_copy(&dump(value));
        read(verify(payload).expect("right checksum"), arena).expect("whole")
    }

    #[test]
    fn strings_come_back_in_every_form() {
        let arena = Bump::new();
        for text in [
            "",
            "a",
            "-128",
            "127",
            "128",
            "-32769",
            "2147483648",
            "01",
            "-0",
        ] {
            let read = round_trip(Value::Bytes(text.as_bytes()), &arena);
            assert_eq!(read, Object::String(text.as_bytes()), "{text}");
        }
        for len in [63, 64, 16_383, 16_384] {
            let long = vec![b'x'; len];
            assert_eq!(
                round_trip(Value::Bytes(&long), &arena),
                Object::String(&long)
            );
        }
        assert_eq!(
            round_trip(Value::Int(-70_000), &arena),
            Object::String(b"-70000")
        );
    }

    #[test]
    fn lists_come_back_in_order_over_many_nodes() {
        let limits = Limits::default();
        let mut list = List::new(1);
        let elements: Vec<Vec<u8>> = (0..3000)
            .map(|i| vec![b'0' + (i % 10) as u8; if i == 7 { 9000 } else { i % 50 }])
            .collect();
        for (at, element) in elements.iter().enumerate() {
            let id = ElementId {
                node: 0,
                number: 1 + at as u64,
            };
            list.push_tail(element, id, &limits);
        }
        let arena = Bump::new();
        let collection = Collection::List(Box::new(list));
        let want = Object::List(elements.iter().map(Vec::as_slice).collect());
        assert_eq!(round_trip(Value::Collection(&collection), &arena), want);
    }

    #[test]
    fn sets_hashes_and_sorted_sets_come_back_small_and_large() {
        let (limits, seed) = (Limits::default(), HashSeed(7));
        for count in [1, 3, 2000] {
            let (mut set, mut ints) = (Set::new(seed), Set::new(seed));
            let (mut hash, mut zset) = (Hash::new(seed), ZSet::new(seed));
            for i in 0..count {
                let name = format!("m{i}");
                set.insert(name.as_bytes(), &limits);
                ints.insert(i.to_string().as_bytes(), &limits);
                hash.insert(name.as_bytes(), i.to_string().as_bytes(), &limits);
                zset.insert(name.as_bytes(), f64::from(i) + 0.5, &limits);
            }
            let arena = Bump::new();
            for want in [set, ints] {
                let value = Collection::Set(Box::new(want.clone()));
                let Object::Set(members) = round_trip(Value::Collection(&value), &arena) else {
                    panic!("a set");
                };
                assert_eq!(members.len(), want.len());
                assert!(members.iter().all(|member| want.contains(member)));
            }
            let value = Collection::Hash(Box::new(hash.clone()));
            let Object::Hash(fields) = round_trip(Value::Collection(&value), &arena) else {
                panic!("a hash");
            };
            assert_eq!(fields.len(), count as usize);
            assert!(
                fields
                    .iter()
                    .all(|(field, value)| hash.get(field) == Some(value))
            );
            let value = Collection::ZSet(Box::new(zset.clone()));
            let Object::SortedSet(members) = round_trip(Value::Collection(&value), &arena) else {
                panic!("a sorted set");
            };
            assert_eq!(members.len(), count as usize);
            assert!(
                members
                    .iter()
                    .all(|(member, score)| zset.score(member) == Some(*score))
            );
        }
    }

    #[test]
    fn damage_is_refused() {
        let payload = dump(Value::Bytes(b"some text"));
        for at in 0..payload.len() {
            let mut damaged = payload.clone();
            damaged[at] ^= 1;
            assert_eq!(verify(&damaged), None, "byte {at}");
            assert_eq!(verify(&payload[..at]), None);
        }
        let arena = Bump::new();
        for bytes in [
            &b""[..],
            b"\x00\x05ab",
            b"\x00\x02abc",
            b"\x02\x00",
            b"\x02\x02\x01a\x01a",
            b"\x02\xc5",
            b"\x02\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
            b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
            b"\x0f\x01",
            b"\x12\x01\x03\x01a",
        ] {
            assert_eq!(read(bytes, &arena), None, "{}", bytes.escape_ascii());
        }
    }
}
