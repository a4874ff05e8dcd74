//! Sorted sets: a few members packed in order, many in a tree by score and a table by member.
//!
//! Packed, members and scores alternate. A large set keeps each member once, shared by both of its
//! indexes. It becomes large when [`Limits`] are exceeded and never goes back, as in Redis.
//!
//! Ranges of scores and of members are answered as ranges of ranks: [`ZSet::score_range`] and
//! [`ZSet::lex_range`] say which ranks, [`ZSet::range`] walks them from either end. Counting is the
//! length of such a range.

use std::ops::{Bound, Range};

use super::codec::{DecodeError, Reader, put_bytes, put_varint};
use super::footprint::allocated;
use super::member::Member;
use super::packed::{self, Packed};
use super::table::{HashSeed, Table};
use super::tree::{self, Tree, order};
use super::{Limits, below};

/// A member that a search passes. Reading its bytes may miss the cache and scores mostly decide, so
/// they are read only when asked for.
enum Probe<'a> {
    Packed(&'a [u8]),
    Large(&'a Member),
}

impl Probe<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Probe::Packed(bytes) => bytes,
            Probe::Large(member) => member.bytes(),
        }
    }
}

struct Large {
    table: Table<Member>,
    tree: Tree,
    /// Heap bytes of the members.
    member_bytes: usize,
}

// SAFETY: all holders of a member are within one `Large`, which moves between threads as a whole.
unsafe impl Send for Large {}
// SAFETY: a shared `Large` neither clones nor drops a member nor sets a score: `clone` of the set
// makes new members.
unsafe impl Sync for Large {}

enum Form {
    Packed(Packed),
    Large(Box<Large>),
}

/// What [`ZSet::insert`] did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Upsert {
    /// The member is new.
    Added,
    /// It was there with this other score.
    Updated(f64),
    /// It was there with the same score.
    Unchanged,
}

/// Distinct byte strings with a score, ordered by score and then by bytes.
pub struct ZSet {
    form: Form,
    seed: HashSeed,
}

impl ZSet {
    /// An empty sorted set, hashing by `seed` once it is large.
    pub fn new(seed: HashSeed) -> Self {
        ZSet {
            form: Form::Packed(Packed::default()),
            seed,
        }
    }

    /// Members. O(1).
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.len() / 2,
            Form::Large(large) => large.table.len(),
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
                Form::Packed(packed) => packed.heap_bytes(),
                Form::Large(large) => {
                    allocated(size_of_val(&**large))
                        + large.table.table_bytes()
                        + large.tree.heap_bytes()
                        + large.member_bytes
                }
            }
    }

    /// Redis's name of the present form; a large set says `skiplist` as clients expect.
    pub fn encoding_name(&self) -> &'static str {
        match &self.form {
            Form::Packed(_) => "listpack",
            Form::Large(_) => "skiplist",
        }
    }

    /// The score of `member`. O(1), or O(len) packed.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.form {
            Form::Packed(packed) => find(packed, member).map(|(_, score)| score),
            Form::Large(large) => large.table.get(member).map(Member::score),
        }
    }

    /// Adds `member` or moves it to `score`. O(log n), or O(len) packed.
    ///
    /// # Panics
    /// When `score` is NaN, which has no place in the order.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &Limits) -> Upsert {
        assert!(!score.is_nan(), "a score is a number");
        match &mut self.form {
            Form::Packed(packed) => {
                let found = find(packed, member);
                if let Some((_, old)) = found
                    && old == score
                {
                    return Upsert::Unchanged;
                }
                if let Some((offset, _)) = found {
                    packed.remove(offset, 2);
                }
                insert_packed(packed, member, score);
                if packed.len() / 2 > limits.zset_max_listpack_entries
                    || member.len() > limits.zset_max_listpack_value
                {
                    self.become_large();
                }
                found.map_or(Upsert::Added, |(_, old)| Upsert::Updated(old))
            }
            Form::Large(large) => large.insert(member, score),
        }
    }

    /// Removes `member` and returns its score. O(log n), or O(len) packed.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.form {
            Form::Packed(packed) => {
                let (offset, score) = find(packed, member)?;
                packed.remove(offset, 2);
                Some(score)
            }
            Form::Large(large) => {
                let removed = large.table.remove(member)?;
                large.member_bytes -= removed.heap_bytes();
                large.tree.remove(removed.score(), member);
                Some(removed.score())
            }
        }
    }

    /// Members before `member` in the order. O(log n), or O(len) packed.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.partition(|other_score, other| {
            order(other_score, other.bytes(), score, member).is_lt()
        }))
    }

    /// The ranks of the members whose score is within the bounds; possibly empty. O(log n), or
    /// O(len) packed.
    pub fn score_range(&self, min: Bound<f64>, max: Bound<f64>) -> Range<usize> {
        let start = self.partition(|score, _| match min {
            Bound::Included(min) => score < min,
            Bound::Excluded(min) => score <= min,
            Bound::Unbounded => false,
        });
        let end = self.partition(|score, _| match max {
            Bound::Included(max) => score <= max,
            Bound::Excluded(max) => score < max,
            Bound::Unbounded => true,
        });
        start..end.max(start)
    }

    /// The ranks of the members within the bounds, provided that all scores are equal (as for
    /// ZRANGEBYLEX); possibly empty. O(log n), or O(len) packed.
    pub fn lex_range(&self, min: Bound<&[u8]>, max: Bound<&[u8]>) -> Range<usize> {
        let start = self.partition(|_, member| match min {
            Bound::Included(min) => member.bytes() < min,
            Bound::Excluded(min) => member.bytes() <= min,
            Bound::Unbounded => false,
        });
        let end = self.partition(|_, member| match max {
            Bound::Included(max) => member.bytes() <= max,
            Bound::Excluded(max) => member.bytes() < max,
            Bound::Unbounded => true,
        });
        start..end.max(start)
    }

    /// The members of `ranks` (cut to the set) with their scores, from either end. O(log n) to
    /// start, O(1) a step.
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        let end = ranks.end.min(self.len());
        let start = ranks.start.min(end);
        Iter(match &self.form {
            Form::Packed(packed) => FormIter::Packed(packed.iter_between(2 * start, 2 * end)),
            Form::Large(large) => FormIter::Large(large.tree.range(start, end)),
        })
    }

    /// Removes the first member, after `read` saw it. O(log n); O(1) packed.
    pub fn pop_min<R>(&mut self, read: impl FnOnce(&[u8], f64) -> R) -> Option<R> {
        self.pop_rank(0, read)
    }

    /// Removes the last member, after `read` saw it. O(log n); O(1) packed.
    pub fn pop_max<R>(&mut self, read: impl FnOnce(&[u8], f64) -> R) -> Option<R> {
        self.pop_rank(self.len().checked_sub(1)?, read)
    }

    /// Removes the members of `ranks` (cut to the set), after `visit` saw each in order.
    /// O(k log n).
    pub fn remove_range(&mut self, ranks: Range<usize>, mut visit: impl FnMut(&[u8], f64)) {
        let end = ranks.end.min(self.len());
        for _ in ranks.start..end {
            self.pop_rank(ranks.start, &mut visit);
        }
    }

    /// A member and its score, each equally likely. Expected O(1) calls of `random`.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<(&[u8], f64)> {
        match &self.form {
            Form::Packed(packed) => {
                let index = below(packed.len() / 2, random)?;
                self.range(index..index + 1).next()
            }
            Form::Large(large) => large
                .table
                .random(random)
                .map(|member| (member.bytes(), member.score())),
        }
    }

    /// Visits members and scores from `cursor` (0 starts); cursor, count and guarantee are those of
    /// [`Set::scan`](super::Set::scan).
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        if let Form::Large(large) = &self.form {
            return large.table.scan(cursor, count, |member| {
                visit(member.bytes(), member.score())
            });
        }
        self.iter().for_each(|(member, score)| visit(member, score));
        0
    }

    /// All members with their scores, in order.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        for (member, score) in self.iter() {
            put_bytes(out, member);
            out.extend_from_slice(&score.to_le_bytes());
        }
    }

    pub(super) fn decode(
        reader: &mut Reader<'_>,
        limits: &Limits,
        seed: HashSeed,
    ) -> Result<Self, DecodeError> {
        let mut zset = ZSet::new(seed);
        for _ in 0..reader.count(9)? {
            let member = reader.bytes()?;
            let mut bits = [0; 8];
            bits.copy_from_slice(reader.take(8)?);
            let score = f64::from_le_bytes(bits);
            if score.is_nan() {
                return Err(DecodeError::NotANumber);
            }
            if zset.insert(member, score, limits) != Upsert::Added {
                return Err(DecodeError::Duplicate);
            }
        }
        Ok(zset)
    }

    fn pop_rank<R>(&mut self, rank: usize, read: impl FnOnce(&[u8], f64) -> R) -> Option<R> {
        match &mut self.form {
            Form::Packed(packed) => {
                if rank >= packed.len() / 2 {
                    return None;
                }
                let offset = packed.offset_of(2 * rank);
                let score = read_score(packed.at(packed.next(offset)));
                let result = read(packed.at(offset), score);
                packed.remove(offset, 2);
                Some(result)
            }
            Form::Large(large) => {
                let (score, member) = large.tree.remove_rank(rank)?;
                large.table.remove(member.bytes());
                large.member_bytes -= member.heap_bytes();
                Some(read(member.bytes(), score))
            }
        }
    }

    /// Members for which `before` is true, which must be a prefix of the order.
    fn partition(&self, before: impl Fn(f64, Probe<'_>) -> bool) -> usize {
        match &self.form {
            Form::Packed(_) => self
                .iter()
                .take_while(|&(member, score)| before(score, Probe::Packed(member)))
                .count(),
            Form::Large(large) => large
                .tree
                .rank(|score, member| before(score, Probe::Large(member))),
        }
    }

    fn become_large(&mut self) {
        let mut large = Large {
            table: Table::new(self.seed),
            tree: Tree::new(),
            member_bytes: 0,
        };
        for (member, score) in self.iter() {
            large.insert(member, score);
        }
        self.form = Form::Large(Box::new(large));
    }
}

impl Large {
    fn insert(&mut self, bytes: &[u8], score: f64) -> Upsert {
        let mut made = None;
        let present = self.table.insert_with(bytes, || {
            let member = Member::new(bytes, score);
            made = Some(member.clone());
            member
        });
        if let Some(member) = present {
            let old = member.score();
            if old == score {
                return Upsert::Unchanged;
            }
            if let Some(member) = self.tree.remove(old, bytes) {
                member.set_score(score);
                self.tree.insert(score, member);
            }
            return Upsert::Updated(old);
        }
        if let Some(member) = made {
            self.member_bytes += member.heap_bytes();
            self.tree.insert(score, member);
        }
        Upsert::Added
    }
}

impl Clone for ZSet {
    fn clone(&self) -> Self {
        let form = match &self.form {
            Form::Packed(packed) => Form::Packed(packed.clone()),
            Form::Large(large) => {
                let mut copy = Large {
                    table: Table::new(self.seed),
                    tree: Tree::new(),
                    member_bytes: 0,
                };
                for (score, member) in large.tree.range(0, self.len()) {
                    copy.insert(member.bytes(), score);
                }
                Form::Large(Box::new(copy))
            }
        };
        ZSet { form, ..*self }
    }
}

/// `(offset, score)` of a member of a packed set.
fn find(packed: &Packed, member: &[u8]) -> Option<(usize, f64)> {
    let index = packed.iter().step_by(2).position(|other| other == member)?;
    let offset = packed.offset_of(2 * index);
    Some((offset, read_score(packed.at(packed.next(offset)))))
}

fn insert_packed(packed: &mut Packed, member: &[u8], score: f64) {
    let mut text = [0; 8];
    let text = write_score(&mut text, score);
    let mut offset = 0;
    while offset < packed.used() {
        let score_at = packed.next(offset);
        let other = read_score(packed.at(score_at));
        if order(other, packed.at(offset), score, member).is_gt() {
            break;
        }
        offset = packed.next(score_at);
    }
    packed.insert(offset, text);
    packed.insert(offset, member);
}

/// The shortest form: an integer in its low bytes up to seven (none for 0), else the double's eight.
fn write_score(place: &mut [u8; 8], score: f64) -> &[u8] {
    let integer = score as i64;
    let bytes = integer.to_le_bytes();
    let exact = integer as f64 == score && (integer != 0 || score.is_sign_positive());
    let short = (0..8).find(|&len| exact && sign_extended(&bytes[..len]) == integer);
    *place = if short.is_some() {
        bytes
    } else {
        score.to_le_bytes()
    };
    &place[..short.unwrap_or(8)]
}

fn read_score(bytes: &[u8]) -> f64 {
    match bytes.try_into() {
        Ok(double) => f64::from_le_bytes(double),
        Err(_) => sign_extended(bytes) as f64,
    }
}

fn sign_extended(bytes: &[u8]) -> i64 {
    let Some(&last) = bytes.last() else { return 0 };
    let mut all = [if last & 0x80 == 0 { 0 } else { 0xff }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(all)
}

#[derive(Clone)]
enum FormIter<'a> {
    Packed(packed::Iter<'a>),
    Large(tree::Iter<'a>),
}

/// Members of a range of a [`ZSet`] with their scores, from either end.
#[derive(Clone)]
pub struct Iter<'a>(FormIter<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            FormIter::Packed(iter) => Some((iter.next()?, read_score(iter.next()?))),
            FormIter::Large(iter) => iter.next().map(|(score, member)| (member.bytes(), score)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            FormIter::Packed(iter) => iter.len() / 2,
            FormIter::Large(iter) => iter.size_hint().0,
        };
        (left, Some(left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            FormIter::Packed(iter) => {
                let score = read_score(iter.next_back()?);
                Some((iter.next_back()?, score))
            }
            FormIter::Large(iter) => iter
                .next_back()
                .map(|(score, member)| (member.bytes(), score)),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits {
            zset_max_listpack_entries: 16,
            zset_max_listpack_value: 12,
            ..Limits::default()
        }
    }

    /// Sorted by (score, member).
    type Model = Vec<(Vec<u8>, f64)>;

    fn sort(model: &mut Model) {
        model.sort_by(|a, b| order(a.1, &a.0, b.1, &b.0));
    }

    fn check(zset: &ZSet, model: &Model) -> Result<(), TestCaseError> {
        prop_assert_eq!(zset.len(), model.len());
        let expected = || model.iter().map(|(member, score)| (&**member, *score));
        prop_assert!(zset.iter().eq(expected()));
        prop_assert!(zset.iter().rev().eq(expected().rev()));
        if let Form::Large(large) = &zset.form {
            let bytes: usize = large.table.iter().map(Member::heap_bytes).sum();
            prop_assert_eq!(large.member_bytes, bytes);
        }
        Ok(())
    }

    fn apply(
        zset: &mut ZSet,
        model: &mut Model,
        (op, number, score, at): (u8, u32, i32, usize),
    ) -> Result<(), TestCaseError> {
        let member = format!("m{number}").into_bytes();
        let score = f64::from(score) / 2.0;
        let found = model.iter().position(|entry| entry.0 == member);
        let index = at % (model.len() + 1);
        match op {
            0..=5 => {
                let old = found.map(|index| model.remove(index).1);
                let expected = match old {
                    None => Upsert::Added,
                    Some(old) if old == score => Upsert::Unchanged,
                    Some(old) => Upsert::Updated(old),
                };
                prop_assert_eq!(zset.insert(&member, score, &limits()), expected);
                model.push((member, score));
                sort(model);
            }
            6 => {
                let removed = found.map(|index| model.remove(index).1);
                prop_assert_eq!(zset.remove(&member), removed);
            }
            7 => {
                let popped = zset.pop_min(|member, score| (member.to_vec(), score));
                prop_assert_eq!(popped, (!model.is_empty()).then(|| model.remove(0)));
            }
            8 => {
                let popped = zset.pop_max(|member, score| (member.to_vec(), score));
                prop_assert_eq!(popped, model.pop());
            }
            _ => {
                let end = (index + at % 64).min(model.len());
                let mut seen = Model::new();
                zset.remove_range(index..end, |member, score| {
                    seen.push((member.to_vec(), score))
                });
                prop_assert_eq!(seen, model.drain(index..end).collect::<Model>());
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_vector_in_every_form(
            ops in prop::collection::vec((0u8..10, 0u32..60, -6i32..6, any::<usize>()), 1..200),
        ) {
            let mut zset = ZSet::new(HashSeed(5));
            let mut model = Model::new();
            for op in ops {
                apply(&mut zset, &mut model, op)?;
                check(&zset, &model)?;
                let member = format!("m{}", op.1).into_bytes();
                let rank = model.iter().position(|entry| entry.0 == member);
                prop_assert_eq!(zset.rank(&member), rank);
                let min = f64::from(op.2) / 2.0;
                let ranks = zset.score_range(Bound::Excluded(min), Bound::Included(min + 2.0));
                let within = |entry: &&(Vec<u8>, f64)| entry.1 > min && entry.1 <= min + 2.0;
                prop_assert_eq!(ranks.len(), model.iter().filter(within).count());
                let first = model.iter().position(|entry| within(&entry));
                prop_assert!(first.is_none_or(|first| first == ranks.start));
            }
            check(&zset.clone(), &model)?;
            let mut out = Vec::new();
            zset.encode(&mut out);
            let decoded = ZSet::decode(&mut Reader::new(&out), &limits(), HashSeed(6)).unwrap();
            check(&decoded, &model)?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_tree_of_several_levels_behaves_as_a_sorted_vector(
            seed: u64, spread in 1u64..100_000, rounds in 1usize..4,
        ) {
            let mut zset = ZSet::new(HashSeed(seed));
            let mut model = Model::new();
            let mut state = seed;
            let mut random = move || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                state >> 33
            };
            for _ in 0..rounds {
                for _ in 0..4000 {
                    let member = (random() % 6000).to_string().into_bytes();
                    let score = (random() % spread) as f64;
                    zset.insert(&member, score, &limits());
                    model.retain(|entry| entry.0 != member);
                    model.push((member, score));
                }
                sort(&mut model);
                check(&zset, &model)?;
                for at in (0..model.len()).step_by(97) {
                    prop_assert_eq!(zset.rank(&model[at].0), Some(at));
                }
                while model.len() > 30 {
                    let at = random() as usize % model.len();
                    if random() % 64 == 0 {
                        let end = (at + 500).min(model.len());
                        zset.remove_range(at..end, |_, _| {});
                        model.drain(at..end);
                    } else {
                        let (member, score) = model.remove(at);
                        prop_assert_eq!(zset.remove(&member), Some(score));
                    }
                }
                check(&zset, &model)?;
            }
        }
    }

    #[test]
    fn lexical_ranges_count_bounds_in_or_out() {
        for limits in [Limits::default(), limits()] {
            let mut zset = ZSet::new(HashSeed(1));
            for member in b'a'..=b'z' {
                zset.insert(&[member], -0.0, &limits);
            }
            let ranks = |min, max| zset.lex_range(min, max);
            assert_eq!(
                ranks(Bound::Included(b"b".as_slice()), Bound::Excluded(b"d")),
                1..3
            );
            assert_eq!(
                ranks(Bound::Excluded(b"b".as_slice()), Bound::Unbounded),
                2..26
            );
            assert!(ranks(Bound::Included(b"z".as_slice()), Bound::Excluded(b"b")).is_empty());
            assert_eq!(zset.range(0..1).next(), Some((b"a".as_slice(), 0.0)));
        }
    }

    #[test]
    fn ordered_insertion_fills_its_leaves() {
        for descending in [false, true] {
            let mut zset = ZSet::new(HashSeed(1));
            for at in 0..100_000 {
                let score = if descending { -at } else { at };
                zset.insert(at.to_string().as_bytes(), f64::from(score), &limits());
            }
            let Form::Large(large) = &zset.form else {
                panic!("large by now")
            };
            assert!(
                large.tree.heap_bytes() < 100_000 * 20,
                "{}",
                large.tree.heap_bytes()
            );
        }
    }

    #[test]
    fn packed_scores_keep_every_bit() {
        let doubles = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            127.0,
            128.0,
            -129.0,
            0.1,
            1e300,
            f64::INFINITY,
        ];
        for score in doubles
            .into_iter()
            .chain([-f64::INFINITY, (1i64 << 62) as f64, f64::MIN])
        {
            let mut place = [0; 8];
            assert_eq!(
                read_score(write_score(&mut place, score)).to_bits(),
                score.to_bits()
            );
        }
    }
}
