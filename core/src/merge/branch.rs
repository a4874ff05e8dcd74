//! A branch reduced to what it leaves: the dots that survive in it, and how far it has seen.
//!
//! A *dot* is an effect that wrote an item. It survives until an effect that observed it covers the
//! item; then nothing of it is left but the knowledge that it was seen, which the branch's context, a
//! version vector, holds for all dots together. So two branches join without their histories: of
//! the dots of both, those stay that both hold, and those of one that the other has not seen (Almeida,
//! Shoker and Baquero, "Delta state replicated data types", JPDC 2018). What was covered in one
//! branch is seen there and not held, and goes.
//!
//! The rule it keeps: a branch is a function of the *set* of effects in it. The join is commutative,
//! associative and idempotent, and equal branches are equal values, because dots stand in the order.
//!
//! The base, and every whole state that RENAME or a STORE form wrote, is a dot with elements of its
//! own. Those that were covered since are marked, by name, and the rest is never looked at.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::effect::TypeTag;
use crate::id::EffectRef;
use crate::value::HashSeed;

use super::action::{Action, Unfit};
use super::owned::Owned;
use super::state::{Name, State, Value};
use super::vector::VersionVector;

/// The ref that stands for the base where dots are named: what stands there was observed by all.
pub(super) const BASE: EffectRef = EffectRef::ROOT;

/// The dots of one item, in the order, and the whole states whose part in the item is covered.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Slot {
    pub dots: SmallVec<[Owned; 1]>,
    pub covered: SmallVec<[EffectRef; 1]>,
}

/// A collection that a snapshot wrote.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub dot: Owned,
    pub type_tag: TypeTag,
    /// Read once. It is a function of the dot.
    pub value: Arc<Option<Value>>,
}

impl PartialEq for Whole {
    fn eq(&self, other: &Self) -> bool {
        self.dot == other.dot
    }
}

/// The reduced form of a causally closed set of effects of one key, relative to a base.
///
/// Branches can be joined when they are relative to the same base.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Branch {
    /// Up to where each stream's effects on this key are in the set.
    pub(super) context: VersionVector,
    /// An effect covered the whole key, and so the whole base.
    pub(super) base_gone: bool,
    /// Snapshots of collections, in the order.
    pub(super) wholes: Vec<Whole>,
    pub(super) scalar: Slot,
    pub(super) expiry: Slot,
    /// Effects on list elements, also removals: the sequence says what they leave.
    pub(super) ordered: Slot,
    pub(super) elements: BTreeMap<(TypeTag, Name), Slot>,
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.dots.is_empty() && self.covered.is_empty()
    }

    /// Adds a dot at its place: at the end, if it came in the order, else in O(dots behind it).
    fn add(&mut self, dot: Owned) {
        let place = place_of(&self.dots, &dot, |other| other);
        self.dots.insert(place, dot);
    }

    fn cover(&mut self, seen: &VersionVector) {
        self.dots.retain(|dot| !seen.contains(dot.at()));
    }

    /// Notes that the part of whole state `whole` in this item is covered.
    fn mark(&mut self, whole: EffectRef) {
        if let Err(place) = self.covered.binary_search(&whole) {
            self.covered.insert(place, whole);
        }
    }
}

/// Where `dot` goes among `dots`, which are in the order. O(1) at the end, else O(log n).
fn place_of<T>(dots: &[T], dot: &Owned, dot_of: impl Fn(&T) -> &Owned) -> usize {
    match dots.last() {
        Some(last) if dot_of(last).order(dot).is_gt() => {
            dots.partition_point(|other| dot_of(other).order(dot).is_lt())
        }
        _ => dots.len(),
    }
}

/// Of dots in the order, those that both hold and those that the other side has not seen.
/// O(a + b), each with a look-up in a context.
fn join_dots<T>(
    a: impl IntoIterator<Item = T>,
    a_seen: &VersionVector,
    b: impl IntoIterator<Item = T>,
    b_seen: &VersionVector,
    dot_of: impl Fn(&T) -> &Owned,
    mut keep: impl FnMut(T),
) {
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    loop {
        let side = match (a.peek(), b.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(x), Some(y)) => dot_of(x).order(dot_of(y)),
        };
        let (next, unseen_by) = match side {
            Ordering::Less => (a.next(), Some(b_seen)),
            Ordering::Greater => (b.next(), Some(a_seen)),
            Ordering::Equal => {
                b.next();
                (a.next(), None)
            }
        };
        let next = next.expect("the side was chosen because it has one");
        if unseen_by.is_none_or(|seen| !seen.contains(dot_of(&next).at())) {
            keep(next);
        }
    }
}

impl Branch {
    /// Up to where each stream's effects on this key are in the branch.
    pub fn context(&self) -> &VersionVector {
        &self.context
    }

    /// How many dots survive.
    pub fn dots(&self) -> usize {
        let elements = self.elements.values().map(|slot| slot.dots.len());
        let slots = [&self.scalar, &self.expiry, &self.ordered];
        self.wholes.len()
            + slots.iter().map(|slot| slot.dots.len()).sum::<usize>()
            + elements.sum::<usize>()
    }

    /// Every surviving dot. An effect that writes its key's value and its expiry is met twice.
    pub(super) fn iter_dots(&self) -> impl Iterator<Item = &Owned> {
        let slots = [&self.scalar, &self.expiry, &self.ordered].into_iter();
        slots
            .chain(self.elements.values())
            .flat_map(|slot| &slot.dots)
            .chain(self.wholes.iter().map(|whole| &whole.dot))
    }

    /// The effects on list elements that nothing covered as a whole, in the order.
    pub fn ordered(&self) -> &[Owned] {
        &self.ordered.dots
    }

    /// Adds an effect that observed `seen`, which includes itself, and whose deps are in the branch.
    /// O(1) and what it covers.
    pub(super) fn add(&mut self, effect: &Owned, seen: &VersionVector) -> Result<(), Unfit> {
        let action = Action::of(&effect.payload())?;
        match action {
            Action::Set { .. } => {
                self.cover_key(seen);
                self.scalar.add(effect.clone());
            }
            Action::Whole(snapshot) => {
                // Nobody can choose the ref and the stamp, so nobody can prepare collisions.
                let seed = HashSeed(effect.at().node.0 ^ effect.hlc().0);
                let state = State::of_snapshot(&snapshot, seed).map_err(|_| Unfit::Snapshot)?;
                self.cover_key(seen);
                let place = place_of(&self.wholes, effect, |whole| &whole.dot);
                let whole = Whole {
                    dot: effect.clone(),
                    type_tag: snapshot.type_tag,
                    value: Arc::new(state.value),
                };
                self.wholes.insert(place, whole);
            }
            Action::Modify(_) => self.scalar.add(effect.clone()),
            Action::RemoveKey => self.cover_key(seen),
            Action::WriteElement(element, _) => {
                let slot = self.cover_element(element.type_tag, element.bytes, seen);
                slot.add(effect.clone());
            }
            Action::ModifyElement(element, _) => {
                let slot = (element.type_tag, element.bytes.into());
                self.elements.entry(slot).or_default().add(effect.clone());
            }
            Action::RemoveElement(element) => {
                if self
                    .cover_element(element.type_tag, element.bytes, seen)
                    .is_empty()
                {
                    let slot = (element.type_tag, element.bytes.into());
                    self.elements.remove(&slot);
                }
            }
            Action::Expire(_) => {
                self.expiry.cover(seen);
                if !self.base_gone {
                    self.expiry.mark(BASE);
                }
                self.expiry.add(effect.clone());
            }
            Action::Ordered => self.ordered.add(effect.clone()),
            Action::Observe => {}
        }
        if action.own_expiry().is_some() {
            self.expiry.add(effect.clone());
        }
        self.context.join(seen);
        Ok(())
    }

    /// Covers everything that was seen: O(dots).
    fn cover_key(&mut self, seen: &VersionVector) {
        self.base_gone = true;
        self.wholes.retain(|whole| !seen.contains(whole.dot.at()));
        for slot in [&mut self.scalar, &mut self.expiry, &mut self.ordered] {
            slot.cover(seen);
        }
        self.elements.values_mut().for_each(|slot| slot.cover(seen));
        self.sweep();
    }

    /// Forgets marks on whole states that are gone, and slots that say nothing.
    pub(super) fn sweep(&mut self) {
        let Branch {
            base_gone, wholes, ..
        } = self;
        let sweep = |slot: &mut Slot| {
            slot.covered.retain(|at| match *at {
                BASE => !*base_gone,
                at => wholes.iter().any(|whole| whole.dot.at() == at),
            });
        };
        sweep(&mut self.expiry);
        self.elements.retain(|_, slot| {
            sweep(slot);
            !slot.is_empty()
        });
    }

    fn cover_element(&mut self, type_tag: TypeTag, name: &[u8], seen: &VersionVector) -> &mut Slot {
        let slot = self.elements.entry((type_tag, name.into())).or_default();
        slot.cover(seen);
        if !self.base_gone {
            slot.mark(BASE);
        }
        for whole in &self.wholes {
            if whole.type_tag == type_tag && seen.contains(whole.dot.at()) {
                slot.mark(whole.dot.at());
            }
        }
        slot
    }
}

/// The join of two branches by value: no dot is copied.
fn join(a: Branch, b: Branch) -> Branch {
    let (a_seen, b_seen) = (&a.context, &b.context);
    let join_slots = |a: Slot, b: Slot| {
        let mut slot = Slot {
            dots: SmallVec::with_capacity(a.dots.len() + b.dots.len()),
            covered: a.covered,
        };
        join_dots(
            a.dots,
            a_seen,
            b.dots,
            b_seen,
            |dot| dot,
            |dot| slot.dots.push(dot),
        );
        b.covered.into_iter().for_each(|whole| slot.mark(whole));
        slot
    };
    let mut wholes = Vec::new();
    let keep = |whole| wholes.push(whole);
    join_dots(a.wholes, a_seen, b.wholes, b_seen, |whole| &whole.dot, keep);
    let mut theirs = b.elements;
    let mut elements = BTreeMap::new();
    for (name, slot) in a.elements {
        let other = theirs.remove(&name).unwrap_or_default();
        elements.insert(name, join_slots(slot, other));
    }
    for (name, slot) in theirs {
        elements.insert(name, join_slots(Slot::default(), slot));
    }
    let mut joined = Branch {
        base_gone: a.base_gone || b.base_gone,
        wholes,
        scalar: join_slots(a.scalar, b.scalar),
        expiry: join_slots(a.expiry, b.expiry),
        ordered: join_slots(a.ordered, b.ordered),
        elements,
        context: VersionVector::default(),
    };
    joined.context = a.context;
    joined.context.join(&b.context);
    joined.sweep();
    joined
}

/// Joins two branches that are relative to the same base. Commutative, associative, idempotent.
/// O(d log d) for d dots in both, but those of one item are merged in O(d).
pub fn merge2(a: &Branch, b: &Branch) -> Branch {
    join(a.clone(), b.clone())
}

/// Joins any number of branches that are relative to the same base. In any order and grouping the
/// result is the same. O(d log n) for n branches with d dots on one item; 1,000 increments that did
/// not know of each other take about half a millisecond.
pub fn merge_n(branches: &[Branch]) -> Branch {
    match branches {
        [] => Branch::default(),
        [one] => one.clone(),
        many => {
            // Halves, so that no dot is looked at more than log n times.
            let (left, right) = many.split_at(many.len() / 2);
            join(merge_n(left), merge_n(right))
        }
    }
}
