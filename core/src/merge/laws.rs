//! The laws of merging, over random histories: a few nodes write, and hear of each other late, in
//! any order, or not at all.
//!
//! 2,000 cases each; `PROPTEST_CASES=1000000` for a long run.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::effect::*;
use crate::engine::{Engine, EngineOptions};
use crate::hlc::Hlc;
use crate::id::{EffectRef, ElementNumber, NodeId, Offset};
use crate::tip::TipSet;
use crate::value::{HashSeed, Limits};

use super::model::{Fact, state_of};
use super::*;

fn config() -> ProptestConfig {
    if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default()
    } else {
        ProptestConfig::with_cases(2000)
    }
}

const KEY: &[u8] = b"key";
const NAMES: [&[u8]; 3] = [b"", b"a", b"\xffb"];
const TEXTS: [&[u8]; 6] = [b"5", b"-3", b"text", b"1.5", b"", b"9223372036854775807"];
const INTS: [i64; 5] = [1, -7, 40, i64::MAX, i64::MIN];
const DECIMALS: [&[u8]; 3] = [b"0.5", b"-2", b"1e3"];
const SCORES: [f64; 6] = [1.5, -0.0, 2.0, f64::INFINITY, f64::NEG_INFINITY, 1e300];
const TYPES: [TypeTag; 3] = [TypeTag::Set, TypeTag::Hash, TypeTag::SortedSet];

fn pick<T: Copy>(from: &[T], number: u8) -> T {
    from[usize::from(number) % from.len()]
}

/// What one step of a history does.
#[derive(Clone, Debug)]
enum Step {
    /// A node writes. The numbers choose what.
    Write { node: u8, what: [u8; 5], later: u8 },
    /// A node hears of one effect that it may hear of.
    Hear { node: u8, which: u8 },
    /// A node hears of all that another has.
    Sync { to: u8, from: u8 },
}

/// What kinds of effects a history is made of: too many at once hide each other.
#[derive(Clone, Copy, Debug)]
enum Theme {
    String,
    Numbers,
    Keyed(u8),
    /// Snapshots of one type and what happens beside them.
    Wholes(u8),
    Anything,
}

fn theme() -> impl Strategy<Value = Theme> {
    prop_oneof![
        Just(Theme::String),
        Just(Theme::Numbers),
        (0u8..3).prop_map(Theme::Keyed),
        (0u8..3).prop_map(Theme::Wholes),
        Just(Theme::Anything),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<u8>(), any::<[u8; 5]>(), 0u8..4)
            .prop_map(|(node, what, later)| Step::Write { node, what, later }),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(node, which)| Step::Hear { node, which }),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(to, from)| Step::Sync { to, from }),
    ];
    prop::collection::vec(step, 1..28)
}

fn expiry(number: u8) -> Option<u64> {
    number.is_multiple_of(3).then_some(1000 + u64::from(number))
}

/// The payload that the numbers choose. Snapshots put their bytes into `state`.
fn payload(theme: Theme, what: [u8; 5], state: &mut Vec<u8>) -> Payload<'_> {
    let [kind, a, b, c, d] = what;
    let type_tag = match theme {
        Theme::Keyed(number) | Theme::Wholes(number) => pick(&TYPES, number),
        _ => pick(&TYPES, c),
    };
    let data = match theme {
        Theme::String => kind % 13,
        Theme::Numbers => [0, 1, 1, 1, 1, 2, 9, 12][usize::from(kind % 8)],
        Theme::Keyed(_) => 8 + kind % 12,
        Theme::Wholes(_) => [10, 10, 10, 12, 11, 14, 16, 18][usize::from(kind % 8)],
        Theme::Anything => kind % 20,
    };
    let text = pick(&TEXTS, a);
    let name = pick(&NAMES, a);
    let scalar = |merge, value| Data {
        merge,
        value,
        ..Data::default()
    };
    Payload::Data(match data {
        0 => Data::set(text, expiry(b)),
        1 => Data::add_int(pick(&INTS, a)),
        2 => scalar(Merge::AddFloat, Scalar::Bytes(pick(&DECIMALS, a))),
        3 => Data::append(text),
        4 => Data::overwrite(u64::from(b % 4), text),
        5 => scalar(Merge::MaxInt, Scalar::Int(pick(&INTS, a))),
        6 => scalar(Merge::MaxBytes, Scalar::Bytes(text)),
        7 => scalar(Merge::FirstWriteWins, Scalar::Bytes(text)),
        8 => match b % 4 {
            0 => return Payload::Noop,
            1 => return Payload::Flush,
            2 => return Payload::Meta(Meta::Persist),
            _ => return Payload::Meta(Meta::ExpireAt(1000 + u64::from(a))),
        },
        9 => Data::remove_key(),
        10 => return snapshot(theme, what, type_tag, state),
        11 => return Payload::Meta(Meta::Persist),
        12 => return Payload::Meta(Meta::ExpireAt(1000 + u64::from(a))),
        13 | 14 => Data::remove_element(type_tag, name),
        15 | 16 => match type_tag {
            TypeTag::Hash => match b % 5 {
                0 | 1 => Data::add_to_element(type_tag, name, Scalar::Int(pick(&INTS, d))),
                2 => Data {
                    merge: Merge::AddFloat,
                    ..Data::insert_element(type_tag, name, Scalar::Bytes(pick(&DECIMALS, d)))
                },
                3 => Data {
                    merge: Merge::FirstWriteWins,
                    ..Data::insert_element(type_tag, name, Scalar::Bytes(pick(&TEXTS, d)))
                },
                _ => Data {
                    merge: Merge::MaxInt,
                    ..Data::insert_element(type_tag, name, Scalar::Int(pick(&INTS, d)))
                },
            },
            TypeTag::SortedSet => {
                Data::add_to_element(type_tag, name, Scalar::Float(pick(&SCORES, d)))
            }
            _ => insert(type_tag, name, d),
        },
        _ => insert(type_tag, name, d),
    })
}

fn insert(type_tag: TypeTag, name: &'static [u8], number: u8) -> Data<'static> {
    let value = match type_tag {
        TypeTag::Hash => Scalar::Bytes(pick(&TEXTS, number)),
        TypeTag::SortedSet => Scalar::Float(pick(&SCORES, number)),
        _ => Scalar::None,
    };
    Data::insert_element(type_tag, name, value)
}

fn snapshot(theme: Theme, what: [u8; 5], type_tag: TypeTag, state: &mut Vec<u8>) -> Payload<'_> {
    let [_, a, b, c, d] = what;
    let is_string = match theme {
        Theme::String | Theme::Numbers => true,
        Theme::Keyed(_) | Theme::Wholes(_) => false,
        Theme::Anything => a.is_multiple_of(3),
    };
    let names = NAMES.iter().enumerate().filter(|(at, _)| a >> at & 1 == 1);
    let names = names.map(|(_, name)| Name::from(*name));
    let value = match type_tag {
        _ if is_string => Value::String(pick(&TEXTS, a).to_vec()),
        TypeTag::Hash => Value::Hash(names.map(|n| (n, pick(&TEXTS, c ^ d).into())).collect()),
        TypeTag::SortedSet => {
            Value::SortedSet(names.map(|n| (n, Score::new(pick(&SCORES, d)))).collect())
        }
        _ => Value::Set(names.collect()),
    };
    value.encode(state);
    Payload::Snapshot(Snapshot {
        type_tag: value.type_tag(),
        expires_ms: expiry(b),
        state,
    })
}

/// A history: what was written, and who knows of what.
#[derive(Clone, Debug)]
struct World {
    facts: Vec<Fact>,
    index: BTreeMap<EffectRef, usize>,
    /// By node: what it has, which is causally closed.
    has: Vec<BTreeSet<usize>>,
}

impl World {
    fn new(nodes: usize) -> World {
        World {
            facts: Vec::new(),
            index: BTreeMap::new(),
            has: vec![BTreeSet::new(); nodes],
        }
    }

    fn after(nodes: usize, theme: Theme, steps: &[Step]) -> World {
        let mut world = World::new(nodes);
        for step in steps {
            world.step(theme, step);
        }
        world
    }

    fn all(&self) -> BTreeSet<usize> {
        (0..self.facts.len()).collect()
    }

    /// The effects that nothing else in `set` observed.
    fn tips(&self, set: &BTreeSet<usize>) -> Vec<usize> {
        let is_tip = |at: &usize| !set.iter().any(|other| self.facts[*other].past.contains(at));
        set.iter().copied().filter(is_tip).collect()
    }

    /// The node that learned something, and what, in an order in which it may.
    fn step(&mut self, theme: Theme, step: &Step) -> (usize, Vec<usize>) {
        let nodes = self.has.len();
        match *step {
            Step::Write { node, what, later } => {
                let node = usize::from(node) % nodes;
                let mut state = Vec::new();
                let payload = payload(theme, what, &mut state);
                let at = self.write(node, payload, later);
                self.has[node].insert(at);
                (node, vec![at])
            }
            Step::Hear { node, which } => {
                let node = usize::from(node) % nodes;
                let has = &self.has[node];
                let may: Vec<usize> = (0..self.facts.len())
                    .filter(|at| !has.contains(at) && self.facts[*at].past.is_subset(has))
                    .collect();
                if may.is_empty() {
                    return (node, Vec::new());
                }
                let at = may[usize::from(which) % may.len()];
                self.has[node].insert(at);
                (node, vec![at])
            }
            Step::Sync { to, from } => {
                let (to, from) = (usize::from(to) % nodes, usize::from(from) % nodes);
                let news: Vec<usize> = self.has[from].difference(&self.has[to]).copied().collect();
                self.has[to].extend(&news);
                (to, news)
            }
        }
    }

    fn write(&mut self, node: usize, payload: Payload<'_>, later: u8) -> usize {
        let past = self.has[node].clone();
        let id = NodeId(node as u64 + 1);
        let own = past
            .iter()
            .map(|at| self.facts[*at].effect.at())
            .filter(|at| at.node == id);
        let local_dep = own.max().map_or(0, |at| at.offset.counter());
        let counter = local_dep + 1 + u64::from(later);
        let latest = past
            .iter()
            .map(|at| self.facts[*at].effect.hlc().0)
            .max()
            .unwrap_or(0);
        let deps: Vec<EffectRef> = (self.tips(&past).into_iter())
            .map(|at| self.facts[at].effect.at())
            .filter(|at| at.node != id)
            .collect();
        let at = EffectRef {
            node: id,
            offset: Offset::new(node as u16, counter),
        };
        let stamped = Stamped {
            hlc: Hlc(latest + 1 + u64::from(later / 2)),
            local_dep,
            deps: &deps,
            effect: Effect {
                db: 0,
                key: KEY,
                payload,
            },
        };
        let index = self.facts.len();
        let effect = Owned::new(at, &stamped);
        self.facts.push(Fact { effect, past });
        self.index.insert(at, index);
        index
    }

    /// What is stable, as `node` may know: all have it, and `node` has all that did not observe it.
    fn stable_at(&self, node: usize) -> VersionVector {
        let is_stable = |at: &usize| {
            let others = |other: usize| {
                other == *at
                    || self.facts[other].past.contains(at)
                    || self.has[node].contains(&other)
            };
            self.has.iter().all(|has| has.contains(at)) && (0..self.facts.len()).all(others)
        };
        let stable = (0..self.facts.len()).filter(is_stable);
        VersionVector::of(
            &stable
                .map(|at| self.facts[at].effect.at())
                .collect::<Vec<_>>(),
        )
    }

    /// The effects of `set` in an order of arrival that `numbers` choose, some of them twice.
    fn arrivals(&self, set: &BTreeSet<usize>, numbers: &[u8]) -> Vec<usize> {
        let mut left: Vec<usize> = set.iter().copied().collect();
        let mut there = BTreeSet::new();
        let mut arrivals = Vec::new();
        let mut numbers = numbers.iter().copied().cycle();
        while !left.is_empty() {
            let number = numbers.next().unwrap_or(0);
            let may: Vec<usize> = (left.iter().copied())
                .filter(|at| self.facts[*at].past.is_subset(&there))
                .collect();
            let at = may[usize::from(number) % may.len()];
            left.retain(|other| *other != at);
            there.insert(at);
            arrivals.push(at);
            if number.is_multiple_of(5) {
                arrivals.push(arrivals[usize::from(number) % arrivals.len()]);
            }
        }
        arrivals
    }

    fn graph(&self, set: &BTreeSet<usize>, numbers: &[u8]) -> Graph {
        let mut graph = Graph::default();
        for at in self.arrivals(set, numbers) {
            let effect = self.facts[at].effect.clone();
            graph.insert(&effect).unwrap();
            assert_eq!(effect, self.facts[at].effect, "an input was changed");
        }
        graph
    }

    /// Causally closed sets that together are everything: what each node has, what some effects
    /// observed, and each tip with its past.
    fn closed_sets(&self, numbers: &[u8]) -> Vec<BTreeSet<usize>> {
        let count = self.facts.len();
        let chosen = numbers.iter().map(|number| usize::from(*number));
        let chosen = chosen
            .filter(|_| count > 0)
            .map(|number| number % count.max(1));
        let with_past = chosen.chain(self.tips(&self.all())).map(|at| {
            let mut set = self.facts[at].past.clone();
            set.insert(at);
            set
        });
        self.has.iter().cloned().chain(with_past).collect()
    }

    fn branch(&self, set: &BTreeSet<usize>) -> Branch {
        // Backwards, to show that the order in which a set is given does not matter.
        let effects = set.iter().rev().map(|at| &self.facts[*at].effect);
        reduce_branch(&TipSet::default(), effects).unwrap()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_same_effects_make_the_same_state_in_any_order_of_arrival(
        nodes in 2usize..5,
        theme in theme(),
        steps in steps(),
        (x, y) in (any::<[u8; 16]>(), any::<[u8; 16]>()),
    ) {
        let world = World::after(nodes, theme, &steps);
        let all = world.all();
        let (a, b) = (world.graph(&all, &x), world.graph(&all, &y));
        prop_assert_eq!(&a, &b);
        let base = State::default();
        prop_assert_eq!(a.state(&base), state_of(&world.facts, &all));
        for has in &world.has {
            let state = world.graph(has, &y).state(&base);
            prop_assert_eq!(state, state_of(&world.facts, has));
        }
        let tips: BTreeSet<EffectRef> = a.tips().as_slice().iter().copied().collect();
        let want = world.tips(&all).into_iter().map(|at| world.facts[at].effect.at()).collect();
        prop_assert_eq!(tips, want);
        let mut last: Option<&Owned> = None;
        for effect in a.iter() {
            prop_assert!(last.is_none_or(|last| last.order(effect).is_lt()));
            last = Some(effect);
            let fact = &world.facts[world.index[&effect.at()]];
            for (other, index) in &world.index {
                prop_assert_eq!(a.observes(effect.at(), *other), fact.past.contains(index));
            }
        }
    }

    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        nodes in 2usize..5,
        theme in theme(),
        steps in steps(),
        chosen in any::<[u8; 4]>(),
        order in any::<[u8; 24]>(),
    ) {
        let world = World::after(nodes, theme, &steps);
        let sets = world.closed_sets(&chosen);
        let branches: Vec<Branch> = sets.iter().map(|set| world.branch(set)).collect();
        let before = branches.clone();
        let whole = world.branch(&world.all());
        prop_assert_eq!(&merge_n(&branches), &whole);
        prop_assert_eq!(whole.state(&State::default()), state_of(&world.facts, &world.all()));
        // Any two, in any order, until one is left; some are used more than once.
        let mut pool = branches.clone();
        let mut numbers = order.iter().cycle().map(|number| usize::from(*number));
        while pool.len() > 1 {
            let a = pool.swap_remove(numbers.next().unwrap() % pool.len());
            let at = numbers.next().unwrap() % pool.len();
            let joined = merge2(&a, &pool[at]);
            prop_assert_eq!(&joined, &merge2(&pool[at], &a));
            prop_assert_eq!(&joined, &merge2(&joined, &a));
            pool[at] = joined;
        }
        prop_assert_eq!(&pool[0], &whole);
        let (a, b, c) = (&branches[0], &branches[1], &branches[branches.len() - 1]);
        prop_assert_eq!(merge2(&merge2(a, b), c), merge2(a, &merge2(b, c)));
        prop_assert_eq!(&merge2(a, a), a);
        let union: BTreeSet<usize> = sets[0].union(&sets[1]).copied().collect();
        prop_assert_eq!(merge2(a, b), world.branch(&union));
        prop_assert_eq!(branches, before);
    }

    #[test]
    fn absorbing_what_is_stable_changes_no_state(
        nodes in 2usize..5,
        theme in theme(),
        steps in steps(),
        when in any::<[bool; 28]>(),
    ) {
        let mut world = World::new(nodes);
        let mut replicas = vec![Replica::default(); nodes];
        for (step, stabilise) in steps.iter().zip(when.into_iter().cycle()) {
            let (node, news) = world.step(theme, step);
            let replica = &mut replicas[node];
            for at in news {
                replica.graph.insert(&world.facts[at].effect).unwrap();
            }
            if stabilise {
                replica.stabilise(&world.stable_at(node));
            }
            let state = replica.graph.state(&replica.base);
            prop_assert_eq!(state, state_of(&world.facts, &world.has[node]));
        }
        let all = world.all();
        let whole = state_of(&world.facts, &all);
        for (node, replica) in replicas.iter_mut().enumerate() {
            for at in all.difference(&world.has[node]) {
                replica.graph.insert(&world.facts[*at].effect).unwrap();
            }
            prop_assert_eq!(&replica.graph.state(&replica.base), &whole);
        }
        world.has.fill(all);
        for (node, mut replica) in replicas.into_iter().enumerate() {
            replica.stabilise(&world.stable_at(node));
            prop_assert_eq!(&replica.graph.state(&replica.base), &whole);
            if !matches!(theme, Theme::Anything) {
                prop_assert!(replica.graph.is_empty(), "kept {:?}", replica.graph);
                prop_assert_eq!(&replica.base.visible(), &whole);
            }
        }
    }

    #[test]
    fn a_chain_reduces_to_what_the_engine_makes_of_it(
        theme in theme(),
        whats in prop::collection::vec(any::<[u8; 5]>(), 1..40),
        absorbed in any::<u8>(),
    ) {
        let mut world = World::new(1);
        let mut engine = engine();
        let mut state = State::default();
        for what in whats {
            let mut bytes = Vec::new();
            let Some(payload) = as_a_command_would(payload(theme, what, &mut bytes), &state) else {
                continue;
            };
            let at = world.write(0, payload, 0);
            world.has[0].insert(at);
            let effect = &world.facts[at].effect;
            engine.replay(effect.at().offset.counter(), &effect.stamped(&mut Vec::new()));
            let space = engine.space(0);
            let slot = space.find(engine.key(KEY));
            state = slot.map_or_else(State::default, |slot| {
                State::of_entry(space.entry(slot)).unwrap()
            });
            if let Some(slot) = slot {
                prop_assert_eq!(&same_base(&space.entry(slot)), &state);
            }
            let effects = world.facts.iter().map(|fact| &fact.effect);
            let folded = reduce_chain(&State::default(), &TipSet::default(), effects);
            prop_assert_eq!(folded.as_ref(), Ok(&state));
        }
        // The same in two parts: a chain, and what follows on its state.
        let (head, tail) = world.facts.split_at(usize::from(absorbed) % (world.facts.len() + 1));
        let none = TipSet::default();
        let seed = reduce_chain(&State::default(), &none, head.iter().map(|fact| &fact.effect));
        let tips = head.last().map_or(none, |fact| TipSet::one(fact.effect.at()));
        let effects = tail.iter().map(|fact| &fact.effect);
        prop_assert_eq!(reduce_chain(&seed.unwrap(), &tips, effects), Ok(state));
    }

    #[test]
    fn a_counter_keeps_every_increment_that_no_set_or_del_observed(
        nodes in 2usize..5,
        steps in steps(),
    ) {
        let mut world = World::new(nodes);
        for step in &steps {
            let mut step = step.clone();
            if let Step::Write { node, what: [kind, a, ..], .. } = step {
                let payload = match kind % 6 {
                    0 => Data::set(b"1000", None),
                    1 => Data::remove_key(),
                    _ => Data::add_int(i64::from(a)),
                };
                let node = usize::from(node) % nodes;
                let at = world.write(node, Payload::Data(payload), a);
                world.has[node].insert(at);
                step = Step::Hear { node: 0, which: a };
            }
            world.step(Theme::Numbers, &step);
        }
        let is_observed = |at: usize| {
            let mut others = world.facts.iter();
            others.any(|other| other.past.contains(&at) && data(other).merge != Merge::AddInt)
        };
        let alive = world.facts.iter().enumerate().filter(|(at, _)| !is_observed(*at));
        let alive: Vec<Data<'_>> = alive.map(|(_, fact)| data(fact)).collect();
        let deltas = alive.iter().filter_map(|data| match data.value {
            Scalar::Int(delta) => Some(delta),
            _ => None,
        });
        let sets = alive.iter().filter(|data| matches!(data.value, Scalar::Bytes(_))).count();
        let sum = deltas.clone().sum::<i64>() + if sets > 0 { 1000 } else { 0 };
        let want = (sets + deltas.count() > 0).then(|| Value::String(sum.to_string().into()));
        let state = world.branch(&world.all()).state(&State::default());
        prop_assert_eq!(state.value, want);
    }
}

/// What an effect of the counters' test says.
fn data(fact: &Fact) -> Data<'_> {
    match fact.effect.payload() {
        Payload::Data(data) => data,
        _ => unreachable!("counters are written with data"),
    }
}

#[derive(Clone, Default)]
struct Replica {
    graph: Graph,
    base: State,
}

impl Replica {
    fn stabilise(&mut self, stable: &VersionVector) {
        let before = self.graph.state(&self.base);
        if let Some(changes) = self.graph.stabilise(stable, &self.base) {
            changes.apply(&mut self.base);
        }
        assert_eq!(self.graph.state(&self.base), before);
        // What was absorbed once needs no second time.
        assert_eq!(self.graph.stabilise(stable, &self.base), None);
    }
}

fn engine() -> Engine {
    Engine::new(EngineOptions {
        node: NodeId(1),
        stream: 0,
        databases: 1,
        seed: HashSeed(1),
        limits: Limits::default(),
    })
}

/// A state read through [`Base`] alone.
fn same_base(base: &impl Base) -> State {
    let type_tag = base.type_tag().unwrap();
    let mut value = Value::empty(type_tag);
    for name in NAMES {
        value.set_element(name, base.element(name));
    }
    State {
        value: Some(match base.string() {
            Some(string) => Value::String(string.into_bytes()),
            None => value,
        }),
        expires_ms: base.expires_ms(),
    }
}

/// What a command that saw `state` would emit where it was asked for `payload`: nothing that does
/// not fit, and the key's removal for a removal that leaves nothing.
fn as_a_command_would<'a>(payload: Payload<'a>, state: &State) -> Option<Payload<'a>> {
    let type_tag = state.value.as_ref().map(Value::type_tag);
    let data = match payload {
        Payload::Data(data) => data,
        Payload::Meta(_) => return type_tag.map(|_| payload),
        Payload::Snapshot(snapshot) => {
            let is_empty = State::of_snapshot(&snapshot, HashSeed(0))
                .unwrap()
                .value
                .is_none();
            return (!is_empty).then_some(payload);
        }
        // A flush of one key is its removal; the engine's flush needs no key.
        Payload::Flush | Payload::Noop | Payload::Place { .. } => return Some(payload),
    };
    // The engine knows these rules as plain writes: no command emits them yet.
    let unknown = [Merge::MaxInt, Merge::MaxBytes, Merge::FirstWriteWins];
    if unknown.contains(&data.merge) {
        return None;
    }
    if data.collection == Collection::Scalar {
        let is_set = data.merge == Merge::LastWriteWins && data.placement == Placement::None;
        if is_set || data.op == Op::Remove {
            return Some(payload);
        }
        let text = match &state.value {
            None => return Some(payload),
            Some(Value::String(text)) => text,
            Some(_) => return None,
        };
        return fits(&data, text).then_some(payload);
    }
    if type_tag.is_some_and(|type_tag| type_tag != data.type_tag) {
        return None;
    }
    let content = state.element(data.element);
    if data.op == Op::Insert {
        let fits = match &content {
            Some(Content::Bytes(text)) => data.merge == Merge::LastWriteWins || fits(&data, text),
            Some(Content::Score(score)) if data.merge == Merge::AddFloat => {
                matches!(data.value, Scalar::Float(delta) if !(score + delta).is_nan())
            }
            _ => true,
        };
        return fits.then_some(payload);
    }
    let count = match &state.value {
        Some(Value::Set(members)) => members.len(),
        Some(Value::Hash(fields)) => fields.len(),
        Some(Value::SortedSet(members)) => members.len(),
        _ => 0,
    };
    content?;
    Some(if count == 1 {
        Payload::Data(Data::remove_key())
    } else {
        payload
    })
}

/// Whether a modifier fits the text that it would change.
fn fits(data: &Data<'_>, text: &[u8]) -> bool {
    use crate::number::{Decimal, parse_i64};
    match (data.merge, data.value) {
        (Merge::AddInt, Scalar::Int(delta)) => {
            parse_i64(text).is_some_and(|int| int.checked_add(delta).is_some())
        }
        (Merge::AddFloat, Scalar::Bytes(delta)) => Decimal::parse(text)
            .zip(Decimal::parse(delta))
            .is_some_and(|(a, b)| a.checked_add(b).is_some()),
        _ => true,
    }
}

#[test]
fn a_remove_takes_what_its_author_saw_and_leaves_what_was_added_beside_it() {
    let mut world = World::new(2);
    let write = |world: &mut World, node: usize, data| {
        let at = world.write(node, Payload::Data(data), 0);
        world.has[node].insert(at);
    };
    let set = TypeTag::Set;
    write(&mut world, 0, Data::insert_element(set, b"a", Scalar::None));
    write(&mut world, 0, Data::insert_element(set, b"b", Scalar::None));
    world.step(Theme::Keyed(0), &Step::Sync { to: 1, from: 0 });
    write(&mut world, 0, Data::remove_element(set, b"a"));
    write(&mut world, 0, Data::remove_element(set, b"b"));
    write(&mut world, 1, Data::insert_element(set, b"a", Scalar::None));
    let state = world.graph(&world.all(), &[1]).state(&State::default());
    assert_eq!(
        state.value,
        Some(Value::Set([Name::from(&b"a"[..])].into()))
    );
}

#[test]
fn what_has_no_place_in_a_graph_is_refused_and_stores_nothing() {
    let at = |node, counter| EffectRef {
        node: NodeId(node),
        offset: Offset::new(0, counter),
    };
    let effect = |at: EffectRef, hlc, local_dep, deps: &[EffectRef], data| {
        let effect = Effect {
            db: 0,
            key: KEY,
            payload: Payload::Data(data),
        };
        Owned::new(
            at,
            &Stamped {
                hlc: Hlc(hlc),
                local_dep,
                deps,
                effect,
            },
        )
    };
    let add = Data::add_int(1);
    let mut graph = Graph::default();
    assert_eq!(
        graph.insert(&effect(at(1, 5), 10, 0, &[], add)),
        Ok(Inserted::New)
    );
    let before = graph.clone();
    let nan = Data::insert_element(TypeTag::SortedSet, b"m", Scalar::Float(f64::NAN));
    for (hostile, error) in [
        (
            effect(at(2, 1), 11, 0, &[at(3, 1)], add),
            GraphError::Missing(at(3, 1)),
        ),
        (
            effect(at(2, 3), 11, 2, &[], add),
            GraphError::Missing(at(2, 2)),
        ),
        (
            effect(at(2, 1), 11, 0, &[at(2, 1)], add),
            GraphError::NotBefore(at(2, 1)),
        ),
        (
            effect(at(2, 1), 11, 0, &[at(2, 9)], add),
            GraphError::NotBefore(at(2, 9)),
        ),
        (
            effect(at(2, 1), 10, 0, &[at(1, 5)], add),
            GraphError::Stamp(Hlc(10)),
        ),
        (
            effect(at(1, 3), 9, 0, &[], add),
            GraphError::OutOfOrder(at(1, 5)),
        ),
        (effect(at(1, 0), 11, 0, &[], add), GraphError::NoCounter),
        (
            effect(at(2, 1), 11, 0, &[], nan),
            GraphError::Unfit(Unfit::NotANumber),
        ),
        (
            effect(at(2, 1), 11, 0, &[], Data::overwrite(1 << 40, b"x")),
            GraphError::Unfit(Unfit::TooLong),
        ),
        (
            effect(
                at(2, 1),
                11,
                0,
                &[],
                Data {
                    reference: ElementNumber(1),
                    ..nan
                },
            ),
            GraphError::Unfit(Unfit::NotANumber),
        ),
    ] {
        assert_eq!(graph.insert(&hostile), Err(error));
        assert_eq!(graph, before);
    }
    assert_eq!(
        graph.insert(&effect(at(1, 5), 10, 0, &[], add)),
        Ok(Inserted::Known)
    );
    assert_eq!(graph, before);
}

#[test]
fn a_flush_takes_what_its_author_had_seen_of_the_key() {
    let mut world = World::new(3);
    let add = Payload::Data(Data::add_int(1));
    let seen = world.write(0, add, 0);
    let unseen = world.write(1, add, 0);
    let flush = world.write(2, Payload::Flush, 0);
    let effect = |at: usize| &world.facts[at].effect;
    let mut graph = Graph::default();
    graph.insert(effect(seen)).unwrap();
    graph.insert(effect(unseen)).unwrap();
    let late = VersionVector::of(&[effect(seen).at()]);
    // It is stamped no later than what it claims to have seen.
    assert_eq!(
        graph.insert_observing(effect(flush), &late),
        Err(GraphError::Stamp(effect(flush).hlc())),
    );
    world.has[2].insert(seen);
    let flush = world.write(2, Payload::Flush, 0);
    let effect = |at: usize| &world.facts[at].effect;
    graph.insert_observing(effect(flush), &late).unwrap();
    let at = effect(flush).at();
    assert!(graph.observes(at, effect(seen).at()));
    assert!(graph.concurrent(at, effect(unseen).at()));
    assert_eq!(graph.branch_of(at).count(), 2);
    assert_eq!(graph.seen_by(at).unwrap().as_slice().len(), 2);
    assert_eq!(
        (graph.kept().effects, graph.kept().dots, graph.len()),
        (3, 1, 3)
    );
    let state = graph.state(&State::default());
    assert_eq!(state.value, Some(Value::String(b"1".to_vec())));
    assert_eq!(graph.get(at), Some(effect(flush)));
}
