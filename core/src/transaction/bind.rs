//! The bind: what a transaction read and wrote, and which other binds it cannot stand beside.
//!
//! It does not know payloads. Per key it says how the transaction used the key and what it had
//! observed there; that is all that deciding takes.
//!
//! The rule it keeps: two binds that do not compete can both commit in either order. They compete
//! where they use a key in ways that do not commute and neither observed the other there. Sharing a
//! consumed tip would be too weak a test: a bind may consume what a third, harmless one left behind
//! and so share no tip with a competitor.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use super::rules::{Rule, Rules};
use crate::hlc::Hlc;
use crate::id::{EffectRef, compute_fork_choice_hash};
use crate::tip::TipSet;

/// How a transaction uses a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It read the key and leaves a read marker.
    Read,
    /// It wrote the key in a way that does not merge, having read it or not.
    Overwrite,
    /// It wrote what merges with its like: deltas, insertions, placements.
    Commutative,
    /// It read or overwrote these elements of a keyed collection and nothing else of it. Sorted,
    /// without doubles.
    Elements(Box<[Box<[u8]>]>),
}

impl Kind {
    /// Elements in any order, with or without doubles. O(n log n).
    pub fn elements<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Kind {
        let mut names: Vec<Box<[u8]>> = names.into_iter().map(Box::from).collect();
        names.sort_unstable();
        names.dedup();
        Kind::Elements(names.into())
    }

    /// Whether two uses of one key that did not see each other cannot both stand. Commutative
    /// against elements counts as a conflict: the bind does not say which elements it touched.
    /// O(elements).
    pub fn conflicts(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Read, Kind::Read) | (Kind::Commutative, Kind::Commutative) => false,
            (Kind::Elements(a), Kind::Elements(b)) => sorted_intersect(a, b),
            _ => true,
        }
    }

    /// Whether a plain write of kind `write` that the transaction did not see makes it void. What
    /// only adds to the key does not mind.
    pub fn yields_to(&self, write: &Kind) -> bool {
        *self != Kind::Commutative && *write != Kind::Read && self.conflicts(write)
    }
}

/// Whether two sorted slices have an element in common. O(a + b).
fn sorted_intersect(a: &[Box<[u8]>], b: &[Box<[u8]>]) -> bool {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        match x.cmp(y) {
            Ordering::Less => a.next(),
            Ordering::Greater => b.next(),
            Ordering::Equal => return true,
        };
    }
    false
}

/// What was observed of one key: for each stream that wrote it, the last effect seen. The effects
/// of one stream on one key are a chain, so that one names all before it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Observed(SmallVec<[EffectRef; 2]>);

impl Observed {
    /// Takes note of an effect and of those before it in its stream. O(streams).
    pub fn add(&mut self, effect: EffectRef) {
        let stream = (effect.node, effect.offset.stream());
        match self
            .0
            .binary_search_by_key(&stream, |e| (e.node, e.offset.stream()))
        {
            Ok(at) => self.0[at] = self.0[at].max(effect),
            Err(at) => self.0.insert(at, effect),
        }
    }

    /// Whether `effect` is among what was observed. O(log streams).
    pub fn covers(&self, effect: EffectRef) -> bool {
        let stream = (effect.node, effect.offset.stream());
        self.0
            .binary_search_by_key(&stream, |e| (e.node, e.offset.stream()))
            .is_ok_and(|at| self.0[at] >= effect)
    }
}

/// A transaction's part in one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The database.
    pub db: u32,
    /// The key: any bytes.
    pub key: Box<[u8]>,
    /// How it was used.
    pub kind: Kind,
    /// The tips that the new one replaces.
    pub consumed: TipSet,
    /// All that was observed of the key: the consumed tips and what lies below them.
    pub observed: Observed,
    /// The new tip.
    pub tip: EffectRef,
}

/// The effect that commits a transaction. Immutable; its id names it, so two of one id are equal.
#[derive(Clone, Debug)]
pub struct Bind {
    claim: Claim,
    hash: [u8; 32],
    parts: Box<[Part]>,
}

impl Bind {
    /// A bind over `parts`, in any order, each for another key. Costs one SHA-256 and a sort.
    pub fn new(id: EffectRef, hlc: Hlc, mut parts: Vec<Part>) -> Bind {
        parts.sort_unstable_by(|a, b| (a.db, &a.key).cmp(&(b.db, &b.key)));
        debug_assert!(
            parts
                .windows(2)
                .all(|w| (w[0].db, &w[0].key) != (w[1].db, &w[1].key)),
            "a bind has one part for each key"
        );
        Bind {
            claim: Claim { id, hlc },
            hash: compute_fork_choice_hash(id.node, hlc),
            parts: parts.into(),
        }
    }

    /// Where the bind lives; its node is the transaction's originator.
    pub fn id(&self) -> EffectRef {
        self.claim.id
    }

    /// What a competitor must beat.
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// The parts, by database and key.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part in a key. O(log parts).
    pub fn part(&self, db: u32, key: &[u8]) -> Option<&Part> {
        self.parts
            .binary_search_by(|p| (p.db, &p.key[..]).cmp(&(db, key)))
            .ok()
            .map(|at| &self.parts[at])
    }

    /// Whether the two cannot both commit. Symmetric; a bind does not compete with itself.
    /// O((parts + elements) log parts).
    pub fn competes(&self, other: &Bind, rules: Rules) -> bool {
        self.id() != other.id()
            && self.shared_parts(other).any(|(a, b)| {
                let strangers = if rules.keep(Rule::ObservationDecides) {
                    !a.observed.covers(b.tip) && !b.observed.covers(a.tip)
                } else {
                    let theirs = b.consumed.as_slice();
                    let shares = a.consumed.as_slice().iter().any(|t| theirs.contains(t));
                    // Both found the key empty: they consumed its root.
                    shares || (a.consumed.is_empty() && b.consumed.is_empty())
                };
                strangers && a.kind.conflicts(&b.kind)
            })
    }

    /// Whether this one stands on the other: its tips are among those consumed.
    pub fn consumes(&self, other: &Bind) -> bool {
        self.shared_parts(other)
            .any(|(a, b)| a.consumed.as_slice().contains(&b.tip))
    }

    /// Whether the two touch a common key, however they use it.
    pub fn meets(&self, other: &Bind) -> bool {
        self.shared_parts(other).next().is_some()
    }

    fn shared_parts<'a>(&'a self, other: &'a Bind) -> impl Iterator<Item = (&'a Part, &'a Part)> {
        self.parts
            .iter()
            .filter_map(|a| Some((a, other.part(a.db, &a.key)?)))
    }

    /// The order by fork-choice hash: the lower one wins. Equal hashes are one node's binds of
    /// equal stamps in two of its streams; their refs decide.
    pub fn fork_choice(&self, other: &Bind) -> Ordering {
        (self.hash, self.id()).cmp(&(other.hash, other.id()))
    }
}

/// What ranks a bind among its competitors. The fork-choice hash follows from it, and is computed
/// by whoever needs it rather than believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Claim {
    /// The bind.
    pub id: EffectRef,
    /// Its stamp.
    pub hlc: Hlc,
}

impl Claim {
    /// Sorts by stamp, and equal stamps by ref: an order in which causes come first.
    pub fn rank_by_stamp(&self) -> (Hlc, EffectRef) {
        (self.hlc, self.id)
    }

    /// Whether this one wins against `other`, both undecided. Two SHA-256.
    pub fn beats(&self, other: &Claim, rules: Rules) -> bool {
        if !rules.keep(Rule::HashBreaksTies) {
            return self.hlc < other.hlc;
        }
        let rank = |c: &Claim| (compute_fork_choice_hash(c.id.node, c.hlc), c.id);
        rank(self) < rank(other)
    }
}

// A bind's ref names it for ever, so comparing and hashing need not look further.
impl PartialEq for Bind {
    fn eq(&self, other: &Bind) -> bool {
        self.id() == other.id()
    }
}
impl Eq for Bind {}
impl PartialOrd for Bind {
    fn partial_cmp(&self, other: &Bind) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Bind {
    fn cmp(&self, other: &Bind) -> Ordering {
        self.id().cmp(&other.id())
    }
}
impl Hash for Bind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{NodeId, Offset};

    fn at(node: u64, counter: u64) -> EffectRef {
        EffectRef {
            node: NodeId(node),
            offset: Offset::new(0, counter),
        }
    }

    /// A bind of `node` over keys `x` used as said, having observed the refs given.
    fn bind(node: u64, counter: u64, kind: Kind, seen: &[EffectRef]) -> Bind {
        let mut observed = Observed::default();
        let mut consumed = TipSet::default();
        for &effect in seen {
            observed.add(effect);
            consumed.insert(effect);
        }
        let id = at(node, counter);
        let part = Part {
            db: 0,
            key: Box::from(&b"x"[..]),
            kind,
            consumed,
            observed,
            tip: id,
        };
        Bind::new(id, Hlc(7), vec![part])
    }

    fn competes(a: &Bind, b: &Bind) -> bool {
        let both = a.competes(b, Rules::default());
        assert_eq!(both, b.competes(a, Rules::default()), "symmetric");
        both
    }

    #[test]
    fn uses_that_commute_do_not_compete() {
        let elements = |names: &[&'static [u8]]| Kind::elements(names.iter().copied());
        let cases = [
            (Kind::Read, Kind::Read, false),
            (Kind::Read, Kind::Commutative, true),
            (Kind::Read, Kind::Overwrite, true),
            (Kind::Overwrite, Kind::Overwrite, true),
            (Kind::Overwrite, Kind::Commutative, true),
            (Kind::Commutative, Kind::Commutative, false),
            (elements(&[b"b", b"a"]), elements(&[b"c", b"d"]), false),
            (elements(&[b"b", b"a"]), elements(&[b"c", b"a"]), true),
            (elements(&[b"a"]), Kind::Read, true),
            (elements(&[b"a"]), Kind::Commutative, true),
        ];
        for (a, b, expected) in cases {
            let (a, b) = (bind(1, 1, a, &[]), bind(2, 1, b, &[]));
            assert_eq!(competes(&a, &b), expected, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_bind_does_not_compete_with_what_it_observed() {
        let first = bind(1, 1, Kind::Overwrite, &[]);
        let second = bind(2, 1, Kind::Overwrite, &[at(1, 1)]);
        assert!(!competes(&first, &second));
        assert!(!competes(&first, &first));
    }

    #[test]
    fn a_harmless_bind_between_them_does_not_hide_a_competitor() {
        let between = bind(1, 1, Kind::elements([&b"a"[..]]), &[]);
        let above = bind(1, 2, Kind::elements([&b"b"[..]]), &[at(1, 1)]);
        let beside = bind(2, 1, Kind::elements([&b"b"[..]]), &[]);
        assert!(!competes(&between, &beside));
        assert!(competes(&above, &beside));
        assert!(!above.competes(&beside, Rules::without(Rule::ObservationDecides)));
    }

    #[test]
    fn a_plain_write_wins_over_what_read_or_overwrote_and_not_over_a_delta() {
        assert!(Kind::Read.yields_to(&Kind::Commutative));
        assert!(Kind::Overwrite.yields_to(&Kind::Overwrite));
        assert!(!Kind::Commutative.yields_to(&Kind::Overwrite));
        let (a, b) = (Kind::elements([&b"a"[..]]), Kind::elements([&b"b"[..]]));
        assert!(!a.yields_to(&b));
        assert!(a.yields_to(&Kind::Overwrite));
    }

    #[test]
    fn observing_an_effect_is_observing_its_stream_up_to_it() {
        let mut observed = Observed::default();
        observed.add(at(2, 5));
        observed.add(at(1, 3));
        observed.add(at(2, 4));
        assert!(observed.covers(at(2, 5)) && observed.covers(at(2, 1)));
        assert!(!observed.covers(at(2, 6)) && !observed.covers(at(3, 1)));
    }

    #[test]
    fn the_lower_hash_wins_and_equal_hashes_are_ranked_by_ref() {
        let (a, b) = (
            bind(1, 1, Kind::Read, &[]).claim(),
            bind(2, 1, Kind::Read, &[]).claim(),
        );
        let rules = Rules::default();
        assert_ne!(a.beats(&b, rules), b.beats(&a, rules));
        let same_stamp = Claim { id: at(1, 2), ..a };
        assert!(a.beats(&same_stamp, rules) && !same_stamp.beats(&a, rules));
    }
}
