//! Sets: integers in a sorted array, a few members packed, many in a table.
//!
//! A set starts as integers (`intset`), becomes packed (`listpack`) at the first member that is no
//! integer, and a table (`hashtable`) when [`Limits`] are exceeded; it never goes back, as in Redis.
//! Not kept: any order that a client could rely on.

use super::codec::{DecodeError, Reader, put_bytes, put_varint, unzigzag, zigzag};
use super::footprint::allocated;
use super::intset::{Element, IntSet, IntText, parse_int};
use super::packed::{self, Packed};
use super::table::{self, HashSeed, Keyed, Table};
use super::thin::ThinBytes;
use super::{Limits, below};

impl Keyed for ThinBytes {
    #[inline]
    fn key(&self) -> &[u8] {
        self.as_bytes()
    }
}

enum Form {
    Ints(IntSet),
    Packed(Packed),
    Table(Box<Table<ThinBytes>>),
}

/// Distinct byte strings.
pub struct Set {
    form: Form,
    seed: HashSeed,
    /// Heap bytes of the table's members.
    member_bytes: usize,
}

impl Set {
    /// An empty set, hashing by `seed` once it is a table.
    pub fn new(seed: HashSeed) -> Self {
        Set {
            form: Form::Ints(IntSet::new()),
            seed,
            member_bytes: 0,
        }
    }

    /// Members. O(1).
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Ints(ints) => ints.len(),
            Form::Packed(packed) => packed.len(),
            Form::Table(table) => table.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory with the set's own. O(1).
    pub fn memory_bytes(&self) -> usize {
        allocated(size_of::<Self>())
            + match &self.form {
                Form::Ints(ints) => ints.heap_bytes(),
                Form::Packed(packed) => packed.heap_bytes(),
                Form::Table(table) => {
                    allocated(size_of_val(&**table)) + table.table_bytes() + self.member_bytes
                }
            }
    }

    /// Redis's name of the present form.
    pub fn encoding_name(&self) -> &'static str {
        match &self.form {
            Form::Ints(_) => "intset",
            Form::Packed(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// Adds `member`; false when it was there. O(1), or O(len) in the small forms.
    pub fn insert(&mut self, member: &[u8], limits: &Limits) -> bool {
        if let Form::Ints(ints) = &mut self.form {
            match parse_int(member) {
                Some(value) if ints.contains(value) => return false,
                Some(value) if ints.len() < limits.set_max_intset_entries => {
                    return ints.insert(value);
                }
                _ => self.leave_ints(member.len(), limits),
            }
        }
        if let Form::Packed(packed) = &mut self.form {
            if packed.iter().any(|other| other == member) {
                return false;
            }
            if fits_packed(packed.len() + 1, member.len(), limits) {
                packed.push_back(member);
                return true;
            }
            self.become_table();
        }
        let Form::Table(table) = &mut self.form else {
            unreachable!("the last form")
        };
        let mut heap_bytes = 0;
        let present = table.insert_with(member, || {
            let thin = ThinBytes::new(member);
            heap_bytes = thin.heap_bytes();
            thin
        });
        let added = present.is_none();
        self.member_bytes += heap_bytes;
        added
    }

    /// Removes `member`; false when it was not there. O(1), or O(len) in the small forms.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Form::Ints(ints) => parse_int(member).is_some_and(|value| ints.remove(value)),
            Form::Packed(packed) => {
                let found = packed.iter().position(|other| other == member);
                found
                    .map(|index| packed.remove(packed.offset_of(index), 1))
                    .is_some()
            }
            Form::Table(table) => {
                let removed = table.remove(member);
                self.member_bytes -= removed.as_ref().map_or(0, ThinBytes::heap_bytes);
                removed.is_some()
            }
        }
    }

    /// Whether `member` is there. O(1), O(log len) for integers, O(len) packed.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.form {
            Form::Ints(ints) => parse_int(member).is_some_and(|value| ints.contains(value)),
            Form::Packed(packed) => packed.iter().any(|other| other == member),
            Form::Table(table) => table.get(member).is_some(),
        }
    }

    /// A member, each equally likely. Expected O(1) calls of `random`.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<Element<'_>> {
        match &self.form {
            Form::Ints(ints) => {
                let value = ints.get(below(ints.len(), random)?)?;
                Some(Element::Int(IntText::new(value)))
            }
            Form::Packed(packed) => {
                let index = below(packed.len(), random)?;
                Some(Element::Bytes(packed.at(packed.offset_of(index))))
            }
            Form::Table(table) => Some(Element::Bytes(table.random(random)?.as_bytes())),
        }
    }

    /// Removes a random member, each equally likely, after `read` saw it.
    pub fn pop_random<R>(
        &mut self,
        random: &mut impl FnMut() -> u64,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        match &mut self.form {
            Form::Ints(ints) => {
                let value = ints.get(below(ints.len(), random)?)?;
                ints.remove(value);
                Some(read(&Element::Int(IntText::new(value))))
            }
            Form::Packed(packed) => {
                let offset = packed.offset_of(below(packed.len(), random)?);
                let result = read(packed.at(offset));
                packed.remove(offset, 1);
                Some(result)
            }
            Form::Table(table) => {
                let member = table.pop_random(random)?;
                self.member_bytes -= member.heap_bytes();
                Some(read(member.as_bytes()))
            }
        }
    }

    /// Visits members from `cursor` (0 starts) until at least `count` were seen; returns the cursor
    /// to go on from, 0 at the end. A table gives at most `count` + 63 in a call, a small form all.
    ///
    /// A member that is there from the first call to the last is seen at least once, whatever is
    /// added, removed or converted between the calls.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8])) -> u64 {
        if let Form::Table(table) = &self.form {
            return table.scan(cursor, count, |member| visit(member.as_bytes()));
        }
        self.iter().for_each(|member| visit(&member));
        0
    }

    /// All members, in no order that means anything.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.form {
            Form::Ints(ints) => FormIter::Ints(ints, 0),
            Form::Packed(packed) => FormIter::Packed(packed.iter()),
            Form::Table(table) => FormIter::Table(table.iter()),
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if let Form::Ints(ints) = &self.form {
            out.push(INTS);
            put_varint(out, ints.len() as u64);
            let mut last = 0i64;
            for value in (0..ints.len()).filter_map(|index| ints.get(index)) {
                put_varint(out, zigzag(value.wrapping_sub(last)));
                last = value;
            }
        } else {
            out.push(MEMBERS);
            put_varint(out, self.len() as u64);
            self.iter().for_each(|member| put_bytes(out, &member));
        }
    }

    pub(super) fn decode(
        reader: &mut Reader<'_>,
        limits: &Limits,
        seed: HashSeed,
    ) -> Result<Self, DecodeError> {
        let mut set = Set::new(seed);
        let kind = reader.byte()?;
        let mut last = 0i64;
        for _ in 0..reader.count(1)? {
            let added = match kind {
                INTS => {
                    last = last.wrapping_add(unzigzag(reader.varint()?));
                    set.insert(&Element::Int(IntText::new(last)), limits)
                }
                MEMBERS => set.insert(reader.bytes()?, limits),
                other => return Err(DecodeError::Kind(other)),
            };
            if !added {
                return Err(DecodeError::Duplicate);
            }
        }
        Ok(set)
    }

    /// Leaves the integer form, for packed if that may hold the members and one of `len` bytes.
    fn leave_ints(&mut self, len: usize, limits: &Limits) {
        let mut packed = Packed::default();
        self.iter().for_each(|member| packed.push_back(&member));
        let fits = fits_packed(packed.len() + 1, len, limits);
        self.form = Form::Packed(packed);
        if !fits {
            self.become_table();
        }
    }

    fn become_table(&mut self) {
        let mut table = Table::new(self.seed);
        let mut member_bytes = 0;
        for member in self.iter() {
            let thin = ThinBytes::new(&member);
            member_bytes += thin.heap_bytes();
            table.insert_with(&member, || thin);
        }
        self.member_bytes = member_bytes;
        self.form = Form::Table(Box::new(table));
    }
}

/// Snapshot: what the members are written as.
const INTS: u8 = 0;
const MEMBERS: u8 = 1;

fn fits_packed(count: usize, len: usize, limits: &Limits) -> bool {
    count <= limits.set_max_listpack_entries && len <= limits.set_max_listpack_value
}

impl Clone for Set {
    fn clone(&self) -> Self {
        let form = match &self.form {
            Form::Ints(ints) => Form::Ints(ints.clone()),
            Form::Packed(packed) => Form::Packed(packed.clone()),
            Form::Table(table) => {
                let mut copy = Table::new(self.seed);
                for member in table.iter() {
                    copy.insert_with(member.as_bytes(), || member.clone());
                }
                Form::Table(Box::new(copy))
            }
        };
        Set { form, ..*self }
    }
}

enum FormIter<'a> {
    Ints(&'a IntSet, usize),
    Packed(packed::Iter<'a>),
    Table(table::Iter<'a, ThinBytes>),
}

/// Members of a [`Set`].
pub struct Iter<'a>(FormIter<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match &mut self.0 {
            FormIter::Ints(ints, at) => {
                let value = ints.get(*at)?;
                *at += 1;
                Some(Element::Int(IntText::new(value)))
            }
            FormIter::Packed(iter) => iter.next().map(Element::Bytes),
            FormIter::Table(iter) => iter.next().map(|thin| Element::Bytes(thin.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits {
            set_max_intset_entries: 8,
            set_max_listpack_entries: 16,
            set_max_listpack_value: 12,
            ..Limits::default()
        }
    }

    fn check(set: &Set, model: &BTreeSet<Vec<u8>>) -> Result<(), TestCaseError> {
        prop_assert_eq!(set.len(), model.len());
        let members: BTreeSet<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
        prop_assert_eq!(&members, model);
        if let Form::Table(table) = &set.form {
            let bytes: usize = table.iter().map(ThinBytes::heap_bytes).sum();
            prop_assert_eq!(set.member_bytes, bytes);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn behaves_as_an_ordered_set_in_every_form(
            ints_only: bool,
            ops in prop::collection::vec((0u8..6, 0u64..120, any::<u64>()), 1..300),
        ) {
            let mut set = Set::new(HashSeed(5));
            let mut model = BTreeSet::new();
            for (op, number, random) in ops {
                let width = if ints_only || number % 3 > 0 { 0 } else { number as usize / 4 };
                let member = format!("{number:0width$}").into_bytes();
                match op {
                    0..=2 => prop_assert_eq!(set.insert(&member, &limits()), model.insert(member)),
                    3 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                    4 => prop_assert_eq!(set.contains(&member), model.contains(&member)),
                    _ => {
                        let mut random = random;
                        let mut random = || { random = random.wrapping_mul(0x5851f42d4c957f2d) + 1; random };
                        let some = set.random(&mut random).map(|member| member.to_vec());
                        prop_assert_eq!(some.is_some(), !model.is_empty());
                        prop_assert!(some.is_none_or(|member| model.contains(&member)));
                        let popped = set.pop_random(&mut random, <[u8]>::to_vec);
                        prop_assert!(popped.is_none_or(|member| model.remove(&member)));
                    }
                }
                check(&set, &model)?;
            }
            check(&set.clone(), &model)?;
            let mut out = Vec::new();
            set.encode(&mut out);
            let decoded = Set::decode(&mut Reader::new(&out), &limits(), HashSeed(6)).unwrap();
            check(&decoded, &model)?;
        }
    }

    #[test]
    fn forms_change_where_redis_changes_them() {
        let limits = Limits::default();
        let mut set = Set::new(HashSeed(0));
        for value in 0..512 {
            set.insert(value.to_string().as_bytes(), &limits);
        }
        assert_eq!(set.encoding_name(), "intset");
        assert!(!set.insert(b"5", &limits));
        set.insert(b"512", &limits);
        assert_eq!(set.encoding_name(), "hashtable");
        let mut set = Set::new(HashSeed(0));
        set.insert(b"1", &limits);
        set.insert(b"one", &limits);
        assert_eq!(set.encoding_name(), "listpack");
        set.insert(&[b'x'; 65], &limits);
        assert_eq!(set.encoding_name(), "hashtable");
    }
}
