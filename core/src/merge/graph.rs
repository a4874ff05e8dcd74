//! The causal graph of one key since its stable base.
//!
//! It takes effects one by one, their deps first, and keeps three things: the effects that may still
//! be named (not stable yet, or with a dot that survives), what each of them observed, and the branch
//! that all of them together reduce to. So reading the state walks no history, and an effect costs
//! what it writes and covers.
//!
//! It is not a queue: an effect whose deps are missing is refused, and the refusal names the missing
//! one. A key that one node alone has written needs no graph; this is for keys with history that is
//! not stable.

use std::collections::{BTreeMap, BTreeSet};

use crate::hlc::Hlc;
use crate::id::EffectRef;
use crate::tip::{Tip, TipSet};

use super::action::Unfit;
use super::branch::Branch;
use super::changes::Changes;
use super::owned::Owned;
use super::state::{Base, State};
use super::vector::VersionVector;

/// Why an effect was not taken. Nothing of it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GraphError {
    /// It names an effect that is not here. Fetch that one, insert it, then try again.
    #[error("effect {0:?}, which this one observed, is missing")]
    Missing(EffectRef),
    /// It names itself, or a later effect of its own stream, as observed: a cycle.
    #[error("effect names {0:?}, which is not before it, as observed")]
    NotBefore(EffectRef),
    /// It has no place in a stream: counters start at 1.
    #[error("effect has no counter")]
    NoCounter,
    /// A later effect of its stream is here already, and streams arrive in order.
    #[error("effect arrives after {0:?}, a later one of its stream")]
    OutOfOrder(EffectRef),
    /// Its stamp is not above those of the effects that it observed.
    #[error("effect is stamped {0:?}, which is not above what it observed")]
    Stamp(Hlc),
    /// Its payload means nothing.
    #[error("effect means nothing: {0}")]
    Unfit(#[from] Unfit),
}

/// What an insertion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// The effect is new and is in the graph now.
    New,
    /// It was known already; nothing changed.
    Known,
}

/// How much history a graph keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// Effects.
    pub effects: usize,
    /// Dots that survive.
    pub dots: usize,
    /// Bytes of memory, the payloads included.
    pub bytes: usize,
}

/// An effect and all that it observed on this key, itself included.
#[derive(Clone, PartialEq, Debug)]
struct Node {
    effect: Owned,
    seen: VersionVector,
}

/// The effects of one key since its stable base. See the module's head.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Graph {
    nodes: BTreeMap<EffectRef, Node>,
    tips: TipSet,
    live: Branch,
    /// The last stable effect of each stream on this key, and the highest stamp among them.
    /// Everything that arrives observed them.
    stable: VersionVector,
    stable_hlc: Hlc,
    bytes: usize,
}

impl Graph {
    /// An empty graph over a base whose history is stable. `tips` are the base's tips: the effects
    /// that the next ones may name as observed without their being here.
    pub fn new(tips: &TipSet) -> Self {
        let stable = VersionVector::of(tips.as_slice());
        Graph {
            tips: tips.clone(),
            live: Branch {
                context: stable.clone(),
                ..Branch::default()
            },
            stable,
            ..Graph::default()
        }
    }

    /// Adds an effect of this key. O(log n) for an effect that covers nothing, its version vectors
    /// apart (16 bytes for each stream that writes the key).
    ///
    /// An effect observes its deps, what they observed, all earlier effects of its own stream, and
    /// everything that was stable before it came.
    ///
    /// # Errors
    /// [`GraphError`]; nothing is stored then.
    pub fn insert(&mut self, effect: &Owned) -> Result<Inserted, GraphError> {
        self.insert_observing(effect, &VersionVector::default())
    }

    /// As [`Graph::insert`], for an effect that observed more than its deps say: a FLUSHDB names no
    /// effects of single keys, so whoever hands it to a key's graph says what its author had seen.
    /// What `observed` means of streams or effects that never wrote this key does not matter; what it
    /// means of those that did must be here.
    ///
    /// # Errors
    /// [`GraphError`]; nothing is stored then.
    pub fn insert_observing(
        &mut self,
        effect: &Owned,
        observed: &VersionVector,
    ) -> Result<Inserted, GraphError> {
        let at = effect.at();
        if at.offset.counter() == 0 {
            return Err(GraphError::NoCounter);
        }
        if self.stable.contains(at) || self.nodes.contains_key(&at) {
            return Ok(Inserted::Known);
        }
        let (node, stream) = (at.node, at.offset.stream());
        let before = self.live.context.last_of(node, stream);
        if let Some(later) = before.filter(|last| *last > at) {
            return Err(GraphError::OutOfOrder(later));
        }
        let deps = effect.deps();
        let is_own = |dep: &Tip| dep.node == node && dep.offset.stream() == stream;
        if let Some(dep) = deps.iter().find(|dep| is_own(dep) && **dep >= at) {
            return Err(GraphError::NotBefore(*dep));
        }
        let mut seen = self.stable.clone();
        let mut latest = self.stable_hlc;
        let mut observe = |node: &Node| {
            seen.join(&node.seen);
            latest = latest.max(node.effect.hlc());
        };
        for dep in deps {
            match self.nodes.get(&dep) {
                Some(node) => observe(node),
                None if self.stable.contains(dep) => {}
                None => return Err(GraphError::Missing(dep)),
            }
        }
        before
            .and_then(|last| self.nodes.get(&last))
            .into_iter()
            .for_each(&mut observe);
        if !observed.is_empty() {
            let nodes = self.nodes.values();
            nodes
                .filter(|node| observed.contains(node.effect.at()))
                .for_each(&mut observe);
        }
        if effect.hlc() <= latest {
            return Err(GraphError::Stamp(effect.hlc()));
        }
        seen.advance(at);
        self.live.add(effect, &seen)?;
        self.tips.advance_over(&seen, at);
        self.bytes += effect.heap_bytes() + seen.heap_bytes();
        let effect = effect.clone();
        self.nodes.insert(at, Node { effect, seen });
        Ok(Inserted::New)
    }

    /// The effects on which no other one here depends: what the next local effect observes.
    pub fn tips(&self) -> &TipSet {
        &self.tips
    }

    /// Whether effect `a` observes effect `b`, another one. Exact where `a` is kept; one that is
    /// not kept is stable, and observes no effect that is kept. O(log n).
    pub fn observes(&self, a: EffectRef, b: EffectRef) -> bool {
        a != b && self.nodes.get(&a).is_some_and(|node| node.seen.contains(b))
    }

    /// Whether neither of two kept effects observes the other. O(log n).
    pub fn concurrent(&self, a: EffectRef, b: EffectRef) -> bool {
        a != b && !self.observes(a, b) && !self.observes(b, a)
    }

    /// The effect at `at`, where it is kept.
    pub fn get(&self, at: EffectRef) -> Option<&Owned> {
        self.nodes.get(&at).map(|node| &node.effect)
    }

    /// What the kept effect at `at` observed on this key, itself included.
    pub fn seen_by(&self, at: EffectRef) -> Option<&VersionVector> {
        self.nodes.get(&at).map(|node| &node.seen)
    }

    /// The kept effects in the order, so that each comes after those that it observed. O(n log n).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Owned> {
        let mut effects: Vec<&Owned> = self.nodes.values().map(|node| &node.effect).collect();
        effects.sort_unstable_by(|a, b| a.order(b));
        effects.into_iter()
    }

    /// The kept effects of one branch, in the order: `tip` and what it observed. O(n log n).
    pub fn branch_of(&self, tip: Tip) -> impl Iterator<Item = &Owned> {
        let seen = self.seen_by(tip);
        self.iter()
            .filter(move |effect| seen.is_some_and(|seen| seen.contains(effect.at())))
    }

    /// How many effects are kept.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is kept. The base is then the whole state, and the graph is no longer needed:
    /// one over [`Graph::tips`] is as good.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && !self.live.base_gone && self.live.dots() == 0
    }

    /// How much history is kept. O(1) but for the dots, which are counted.
    pub fn kept(&self) -> Kept {
        Kept {
            effects: self.nodes.len(),
            dots: self.live.dots(),
            bytes: self.bytes + self.nodes.len() * size_of::<(EffectRef, Node)>(),
        }
    }

    /// What all effects here reduce to, relative to the base.
    pub fn live(&self) -> &Branch {
        &self.live
    }

    /// What the effects here change against `base`, which must be the base that the graph is over:
    /// as it was, and changed since by what [`Graph::stabilise`] returned. Cost as
    /// [`Branch::resolve`].
    pub fn resolve(&self, base: &impl Base) -> Changes {
        self.live.resolve(base)
    }

    /// The state that the effects here make of `base`. O(size of the base), for it is copied.
    pub fn state(&self, base: &State) -> State {
        self.live.state(base)
    }

    /// Forgets what is stable as far as it decides nothing any more, and returns what that makes of
    /// the base; `None` where the base stays as it is. The caller changes the base before it does
    /// anything else with this graph. O(n log n) in what is kept.
    ///
    /// `stable` promises two things about every effect in it: each member holds it, and every effect
    /// of this key that does not observe it is here. So whatever arrives later observes it.
    pub fn stabilise(&mut self, stable: &VersionVector, base: &impl Base) -> Option<Changes> {
        let newly = self
            .nodes
            .values()
            .filter(|node| stable.contains(node.effect.at()));
        for node in newly {
            self.stable.advance(node.effect.at());
            self.stable_hlc = self.stable_hlc.max(node.effect.hlc());
        }
        let changes = self.live.absorb(&self.stable, base);
        let held: BTreeSet<EffectRef> = self.live.iter_dots().map(Owned::at).collect();
        let stable = &self.stable;
        self.nodes
            .retain(|at, _| !stable.contains(*at) || held.contains(at));
        let bytes = |node: &Node| node.effect.heap_bytes() + node.seen.heap_bytes();
        self.bytes = self.nodes.values().map(bytes).sum();
        changes
    }
}

/// Reduces a causally closed set of effects over a base with the given tips, in whatever order they
/// come. O(n log n). The effects are read and not changed.
///
/// # Errors
/// [`GraphError`] for the first effect that has no place in the set.
pub fn reduce_branch<'a>(
    tips: &TipSet,
    effects: impl IntoIterator<Item = &'a Owned>,
) -> Result<Branch, GraphError> {
    let mut effects: Vec<&Owned> = effects.into_iter().collect();
    // The order extends causality, so deps come first.
    effects.sort_unstable_by(|a, b| a.order(b));
    let mut graph = Graph::new(tips);
    for effect in effects {
        graph.insert(effect)?;
    }
    Ok(graph.live)
}

/// Folds a linear chain of effects onto `seed`, the state at `tips`. O(size of the seed + n log n).
/// Effects that are no chain are merged all the same.
///
/// # Errors
/// [`GraphError`] for the first effect that has no place in the chain.
pub fn reduce_chain<'a>(
    seed: &State,
    tips: &TipSet,
    effects: impl IntoIterator<Item = &'a Owned>,
) -> Result<State, GraphError> {
    Ok(reduce_branch(tips, effects)?.state(seed))
}
