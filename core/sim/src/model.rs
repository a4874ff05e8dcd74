//! What effects mean, in the shortest form that is still right: the reference to hold others against.
//!
//! A [`Resolver`] keeps the state of keys as a function of the set of their effects. [`Model`] does
//! it for registers, counters and sets by keeping *dots*: an effect writes an item and leaves a dot,
//! or covers an item and removes the dots that it observed. Every other payload only observes. It
//! relies on causal delivery, and is slow on keys with a long history.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use causet_core::effect::{Collection, Data, Merge, Op, Payload, Placement, Scalar, Stamped};
use causet_core::hlc::Hlc;
use causet_core::id::{EffectRef, Offset, compute_fork_choice_hash};
use causet_core::tip::{Tip, TipSet};
use causet_core::vector::{StreamId, VersionVector};

use crate::command::{Answer, Key, Kind};
use crate::trace::Fingerprint;

/// The state of keys, from effects that arrive in causal order.
pub trait Resolver: Default {
    /// Takes an effect into account. All that it depends on was applied before.
    fn apply(&mut self, at: EffectRef, stamped: &Stamped<'_>);

    /// The key's tips: what its next effect observes.
    fn tips(&self, key: Key) -> &[Tip];

    /// The key's whole value.
    fn read(&self, key: Key) -> Answer;

    /// Hash of the state of all keys.
    fn digest(&self) -> u64;
}

/// The order of effects: extends causality, total, the same everywhere. The greatest wins.
type Order = (Hlc, Reverse<[u8; 32]>, EffectRef);

/// What a dot says about its item.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Write {
    Whole(Vec<u8>),
    Delta(i64),
    Present,
}

/// `None` is the scalar, `Some` an element.
type Item = Option<Vec<u8>>;

#[derive(Debug, Default)]
struct Branches {
    tips: TipSet,
    /// Each effect's causal past within the key, itself included.
    pasts: BTreeMap<EffectRef, VersionVector>,
    dots: BTreeMap<Item, BTreeMap<Order, Write>>,
}

impl Branches {
    /// Applies an effect with its dependencies on the key; returns nothing but what it leaves.
    fn apply(&mut self, at: EffectRef, stamped: &Stamped<'_>, deps: &[Tip]) {
        let mut past = VersionVector::new();
        for &dep in deps {
            past.raise(StreamId::of(dep), dep.offset.counter());
            if let Some(earlier) = self.pasts.get(&dep) {
                past.merge(earlier);
            }
        }
        if let Payload::Data(data) = &stamped.effect.payload {
            let item = item(data);
            if covers_key(data) {
                self.dots.retain(|_, dots| {
                    remove_observed(dots, &past);
                    !dots.is_empty()
                });
            } else if covers_item(data)
                && let Some(dots) = self.dots.get_mut(&item)
            {
                remove_observed(dots, &past);
            }
            if let Some(write) = write(data) {
                let hash = compute_fork_choice_hash(at.node, stamped.hlc);
                let order = (stamped.hlc, Reverse(hash), at);
                self.dots.entry(item).or_default().insert(order, write);
            }
        }
        past.raise(StreamId::of(at), at.offset.counter());
        self.pasts.insert(at, past);
        self.tips.advance(deps, at);
    }

    fn scalar(&self) -> impl Iterator<Item = &Write> {
        self.dots.get(&None).into_iter().flat_map(BTreeMap::values)
    }

    fn register(&self) -> Option<u64> {
        let whole = self.scalar().filter_map(|write| match write {
            Write::Whole(bytes) => Some(bytes),
            _ => None,
        });
        let text = std::str::from_utf8(whole.last()?).ok()?;
        text.parse().ok()
    }

    fn counter(&self) -> i64 {
        let base = self.register().unwrap_or(0) as i64;
        let deltas = self.scalar().map(|write| match write {
            Write::Delta(delta) => *delta,
            _ => 0,
        });
        base.wrapping_add(deltas.fold(0, i64::wrapping_add))
    }

    fn members(&self) -> Vec<u64> {
        let present = self.dots.iter().filter(|(_, dots)| !dots.is_empty());
        let mut members: Vec<u64> = present
            .filter_map(|(item, _)| item.as_ref())
            .filter_map(|element| Some(u64::from_be_bytes(element.as_slice().try_into().ok()?)))
            .collect();
        members.sort_unstable();
        members
    }
}

fn remove_observed(dots: &mut BTreeMap<Order, Write>, past: &VersionVector) {
    dots.retain(|&(_, _, at), _| !past.holds(at));
}

fn item(data: &Data<'_>) -> Item {
    (data.collection == Collection::Keyed).then(|| data.element.to_vec())
}

/// SET changes the type and DEL removes the key: both cover everything of it.
fn covers_key(data: &Data<'_>) -> bool {
    data.collection == Collection::Scalar && (data.op == Op::Remove || is_whole(data))
}

fn covers_item(data: &Data<'_>) -> bool {
    data.op == Op::Remove || data.merge == Merge::LastWriteWins
}

fn is_whole(data: &Data<'_>) -> bool {
    data.merge == Merge::LastWriteWins && data.placement == Placement::None
}

fn write(data: &Data<'_>) -> Option<Write> {
    match (data.op, data.collection, data.merge, data.value) {
        (Op::Remove, ..) => None,
        (_, Collection::Scalar, Merge::AddInt, Scalar::Int(delta)) => Some(Write::Delta(delta)),
        (_, Collection::Scalar, _, Scalar::Bytes(bytes)) if is_whole(data) => {
            Some(Write::Whole(bytes.to_vec()))
        }
        (_, Collection::Keyed, Merge::LastWriteWins, _) => Some(Write::Present),
        _ => None,
    }
}

/// The reference model. See the module's head.
#[derive(Debug, Default)]
pub struct Model {
    keys: BTreeMap<Vec<u8>, Branches>,
}

impl Resolver for Model {
    fn apply(&mut self, at: EffectRef, stamped: &Stamped<'_>) {
        let local = EffectRef {
            node: at.node,
            offset: Offset::new(at.offset.stream(), stamped.local_dep),
        };
        let mut deps = stamped.deps.to_vec();
        if stamped.local_dep != 0 {
            deps.push(local);
        }
        let key = stamped.effect.key.to_vec();
        self.keys.entry(key).or_default().apply(at, stamped, &deps);
    }

    fn tips(&self, key: Key) -> &[Tip] {
        let branches = self.keys.get(&key.name());
        branches.map_or(&[], |branches| branches.tips.as_slice())
    }

    fn read(&self, key: Key) -> Answer {
        let branches = self.keys.get(&key.name());
        match key.kind {
            Kind::Register => Answer::Value(branches.and_then(Branches::register)),
            Kind::Counter => Answer::Count(branches.map_or(0, Branches::counter)),
            Kind::Set | Kind::List => {
                Answer::Elements(branches.map_or(Vec::new(), Branches::members))
            }
        }
    }

    fn digest(&self) -> u64 {
        let mut fingerprint = Fingerprint::default();
        for (name, branches) in &self.keys {
            name.hash(&mut fingerprint);
            branches.tips.hash(&mut fingerprint);
            for (item, dots) in branches.dots.iter().filter(|(_, dots)| !dots.is_empty()) {
                item.hash(&mut fingerprint);
                dots.hash(&mut fingerprint);
            }
        }
        fingerprint.finish()
    }
}

#[cfg(test)]
mod tests {
    use causet_core::effect::{Effect, TypeTag};
    use causet_core::id::NodeId;

    use super::*;

    fn key(kind: Kind) -> Key {
        Key { kind, number: 0 }
    }

    fn at(node: u64, counter: u64) -> EffectRef {
        EffectRef {
            node: NodeId(node),
            offset: Offset::new(0, counter),
        }
    }

    fn apply(model: &mut Model, kind: Kind, at: EffectRef, hlc: u64, deps: &[Tip], data: Data<'_>) {
        let stamped = Stamped {
            hlc: Hlc(hlc),
            local_dep: 0,
            deps,
            effect: Effect {
                db: 0,
                key: &key(kind).name(),
                payload: Payload::Data(data),
            },
        };
        model.apply(at, &stamped);
    }

    #[test]
    fn an_insert_survives_a_concurrent_remove_and_not_one_that_saw_it() {
        let member = 5u64.to_be_bytes();
        let insert = Data::insert_element(TypeTag::Set, &member, Scalar::None);
        let remove = Data::remove_element(TypeTag::Set, &member);
        let mut model = Model::default();
        apply(&mut model, Kind::Set, at(1, 1), 10, &[], insert);
        apply(&mut model, Kind::Set, at(2, 1), 20, &[at(1, 1)], remove);
        assert_eq!(model.read(key(Kind::Set)), Answer::Elements(vec![]));
        apply(&mut model, Kind::Set, at(3, 1), 15, &[], insert);
        assert_eq!(model.read(key(Kind::Set)), Answer::Elements(vec![5]));
        assert_eq!(model.tips(key(Kind::Set)), [at(2, 1), at(3, 1)]);
    }

    #[test]
    fn an_increment_beside_a_set_is_kept_and_one_before_it_is_gone() {
        let mut model = Model::default();
        let counter = Kind::Counter;
        apply(&mut model, counter, at(1, 1), 10, &[], Data::add_int(7));
        let set = Data::set(b"100", None);
        apply(&mut model, counter, at(2, 1), 20, &[at(1, 1)], set);
        apply(&mut model, counter, at(3, 1), 15, &[], Data::add_int(1));
        assert_eq!(model.read(key(counter)), Answer::Count(101));
    }

    #[test]
    fn the_later_of_two_concurrent_sets_wins_in_any_order_of_arrival() {
        let mut digests = Vec::new();
        for order in [[0, 1], [1, 0]] {
            let mut model = Model::default();
            for node in order {
                let value: &[u8] = if node == 0 { b"1" } else { b"2" };
                let data = Data::set(value, None);
                let hlc = 10 + node;
                apply(&mut model, Kind::Register, at(node, 1), hlc, &[], data);
            }
            assert_eq!(model.read(key(Kind::Register)), Answer::Value(Some(2)));
            digests.push(model.digest());
        }
        assert_eq!(digests[0], digests[1]);
    }
}
