//! Causal delivery: an effect is given to the state once everything that it follows is there.
//!
//! Effects of other nodes arrive in any order, several times, and some not at all. [`Delivery`]
//! keeps the version vector of what was delivered, holds back what came too early, and says what
//! to fetch. It neither sends nor stores durably, and it looks into no payload.
//!
//! An effect is deliverable when it is the next of its stream and all that it *requires* was
//! delivered. What it requires is for the caller to say: its deps, and, where clients are promised
//! causal consistency over several keys, what its author had applied of other streams before.
//!
//! The rule: memory is bounded, and a full buffer never stops progress. What is refused for lack of
//! room is only what could not be delivered anyway; of all effects that are missing, the causally
//! least ones are deliverable the moment they arrive. So whoever repeats each stream from the
//! vector on, as anti-entropy does, gets everything through, however small the buffer is.

use std::collections::{BTreeMap, VecDeque};

use crate::id::EffectRef;
use crate::vector::{Run, StreamId, VersionVector};

/// How much may be held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryLimits {
    /// Effects held back at once.
    pub effects_max: usize,
    /// Bytes of effects held back at once, their requirements included.
    pub bytes_max: usize,
}

impl Default for DeliveryLimits {
    /// 65,536 effects, 64 MiB.
    fn default() -> Self {
        DeliveryLimits {
            effects_max: 65_536,
            bytes_max: 64 << 20,
        }
    }
}

/// What became of an effect that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is deliverable now and counts as delivered: apply it, then ask [`Delivery::release`] for
    /// what waited for it.
    Deliver,
    /// It waits for something. A copy is kept.
    Held,
    /// It was delivered before, or waits already.
    Duplicate,
    /// There is no room for what must wait. It has to come again.
    Full,
    /// It requires itself, a later effect of its own stream, or it has no counter: it can never be
    /// delivered. Its sender is broken or hostile.
    Impossible,
}

/// What [`Delivery`] did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Effects delivered, at once or after they waited.
    pub delivered: u64,
    /// Effects that had to wait.
    pub held: u64,
    /// Arrivals of what was there already.
    pub duplicates: u64,
    /// Arrivals refused for lack of room.
    pub full: u64,
    /// Arrivals that can never be delivered.
    pub impossible: u64,
}

/// An effect that has waited for its requirements. It counts as delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Its place.
    pub at: EffectRef,
    /// Its bytes, as they arrived.
    pub bytes: Vec<u8>,
}

/// A stream and a counter: an effect's place in the order in which streams are walked.
type Place = (StreamId, u64);

#[derive(Debug)]
struct Waiting {
    requires: Vec<EffectRef>,
    bytes: Vec<u8>,
}

impl Waiting {
    fn size(&self) -> usize {
        held_bytes(&self.requires, &self.bytes)
    }
}

fn held_bytes(requires: &[EffectRef], bytes: &[u8]) -> usize {
    bytes.len() + size_of_val(requires)
}

/// The buffer of one receiver. See the module's head.
#[derive(Debug, Default)]
pub struct Delivery {
    limits: DeliveryLimits,
    delivered: VersionVector,
    waiting: BTreeMap<Place, Waiting>,
    /// By the effect that is missing: who waits for it. Each waiting effect stands under exactly one
    /// of the things that it lacks, so that it is looked at once for each of them, not once for each
    /// arrival.
    blocked: BTreeMap<Place, Vec<Place>>,
    ready: VecDeque<Place>,
    waiting_bytes: usize,
    counts: DeliveryCounts,
}

impl Delivery {
    /// A buffer for a node that holds what `delivered` says.
    pub fn new(delivered: VersionVector, limits: DeliveryLimits) -> Self {
        Delivery {
            limits,
            delivered,
            ..Delivery::default()
        }
    }

    /// What was delivered, effects that [`Delivery::release`] has still to hand out excepted.
    pub fn vector(&self) -> &VersionVector {
        &self.delivered
    }

    /// Number of effects that wait.
    pub fn held(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of what waits, at most [`DeliveryLimits::bytes_max`].
    pub fn held_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// What was done so far.
    pub fn counts(&self) -> DeliveryCounts {
        self.counts
    }

    /// An effect has arrived. `requires` names what must be delivered before it; for each stream
    /// that means everything up to the effect named. Its own predecessor need not be in it.
    ///
    /// O(requirements x log streams) where it can be delivered at once, without a copy; where it
    /// must wait, O(log effects that wait) more and a copy of the bytes.
    pub fn offer(&mut self, at: EffectRef, requires: &[EffectRef], bytes: &[u8]) -> Arrival {
        let (stream, counter) = place(at);
        let is_possible = |&required: &EffectRef| {
            let (of, up_to) = place(required);
            of != stream || up_to < counter
        };
        if counter == 0 || !requires.iter().all(is_possible) {
            self.counts.impossible += 1;
            return Arrival::Impossible;
        }
        if self.delivered.holds(at) || self.waiting.contains_key(&(stream, counter)) {
            self.counts.duplicates += 1;
            return Arrival::Duplicate;
        }
        let Some(lacks) = self.first_lack((stream, counter), requires) else {
            self.mark_delivered((stream, counter));
            return Arrival::Deliver;
        };
        let size = held_bytes(requires, bytes);
        if self.waiting.len() >= self.limits.effects_max
            || self.waiting_bytes + size > self.limits.bytes_max
        {
            self.counts.full += 1;
            return Arrival::Full;
        }
        self.counts.held += 1;
        self.waiting_bytes += size;
        let waiting = Waiting {
            requires: requires.to_vec(),
            bytes: bytes.to_vec(),
        };
        self.waiting.insert((stream, counter), waiting);
        self.block((stream, counter), lacks);
        Arrival::Held
    }

    /// An effect that this node wrote itself, or that it read back from its log, the next of its
    /// stream. What waited for it can be [released](Delivery::release).
    ///
    /// # Panics
    /// If it is not the next of its stream: a gap would make the vector lie.
    pub fn record(&mut self, at: EffectRef) {
        let (stream, counter) = place(at);
        let held = self.delivered.get(stream);
        assert_eq!(counter, held + 1, "{stream:?} would have a gap");
        if let Some(waiting) = self.waiting.remove(&(stream, counter)) {
            self.waiting_bytes -= waiting.size();
        }
        self.mark_delivered((stream, counter));
    }

    /// The next effect that no longer waits for anything; call until `None`, applying each before
    /// the next. O(requirements x log effects that wait).
    pub fn release(&mut self) -> Option<Released> {
        loop {
            let at = self.ready.pop_front()?;
            // It may have been recorded, or be listed for a requirement that is not its only one.
            let Some(waiting) = self.waiting.get(&at) else {
                continue;
            };
            if let Some(lacks) = self.first_lack(at, &waiting.requires) {
                self.block(at, lacks);
                continue;
            }
            let waiting = self.waiting.remove(&at).expect("it was found above");
            self.waiting_bytes -= waiting.size();
            self.mark_delivered(at);
            return Some(Released {
                at: at.0.at(at.1),
                bytes: waiting.bytes,
            });
        }
    }

    /// What to fetch: runs that effects in the buffer wait for and that are neither delivered nor in
    /// the buffer, at most `runs_max` of them. Any peer that has them will do. O(effects that wait).
    pub fn wanted(&self, runs_max: usize) -> Vec<Run> {
        // Per stream, how far something in the buffer reaches or looks.
        let mut reach: BTreeMap<StreamId, u64> = BTreeMap::new();
        for &(stream, counter) in self.waiting.keys().chain(self.blocked.keys()) {
            let furthest = reach.entry(stream).or_default();
            *furthest = counter.max(*furthest);
        }
        let mut runs = Vec::new();
        for (stream, furthest) in reach {
            let mut first = self.delivered.get(stream) + 1;
            let there = self.waiting.range((stream, first)..=(stream, furthest));
            let ends = there.map(|(&(_, counter), _)| counter);
            for end in ends.chain([furthest + 1]) {
                if runs.len() == runs_max {
                    return runs;
                }
                if first < end {
                    runs.push(Run {
                        stream,
                        first,
                        last: end - 1,
                    });
                }
                first = end + 1;
            }
        }
        runs
    }

    /// Drops what waits, for instance because nobody has what it waits for. It will come again with
    /// anti-entropy, or was never real.
    pub fn forget_held(&mut self) {
        self.waiting.clear();
        self.blocked.clear();
        self.ready.clear();
        self.waiting_bytes = 0;
    }

    fn mark_delivered(&mut self, (stream, counter): Place) {
        debug_assert_eq!(self.delivered.get(stream) + 1, counter);
        self.delivered.raise(stream, counter);
        self.counts.delivered += 1;
        if let Some(waiters) = self.blocked.remove(&(stream, counter)) {
            self.ready.extend(waiters);
        }
    }

    /// One thing that the effect lacks: its predecessor first, because that one comes by itself.
    fn first_lack(&self, (stream, counter): Place, requires: &[EffectRef]) -> Option<Place> {
        if self.delivered.get(stream) + 1 < counter {
            return Some((stream, counter - 1));
        }
        let lacking = requires
            .iter()
            .find(|&&effect| !self.delivered.holds(effect));
        lacking.map(|&effect| place(effect))
    }

    fn block(&mut self, at: Place, lacks: Place) {
        self.blocked.entry(lacks).or_default().push(at);
    }
}

#[inline]
fn place(effect: EffectRef) -> Place {
    (StreamId::of(effect), effect.offset.counter())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::id::NodeId;

    fn effect(node: u64, counter: u64) -> EffectRef {
        let stream = StreamId {
            node: NodeId(node),
            number: 0,
        };
        stream.at(counter)
    }

    fn roomy() -> Delivery {
        Delivery::new(VersionVector::new(), DeliveryLimits::default())
    }

    fn released(delivery: &mut Delivery) -> Vec<EffectRef> {
        std::iter::from_fn(|| delivery.release())
            .map(|released| released.at)
            .collect()
    }

    #[test]
    fn what_is_next_is_delivered_without_being_kept() {
        let mut delivery = roomy();
        assert_eq!(delivery.offer(effect(1, 1), &[], b"a"), Arrival::Deliver);
        assert_eq!(delivery.offer(effect(1, 1), &[], b"a"), Arrival::Duplicate);
        assert_eq!(
            delivery.offer(effect(2, 1), &[effect(1, 1)], b"b"),
            Arrival::Deliver
        );
        assert_eq!((delivery.held(), delivery.counts().delivered), (0, 2));
    }

    #[test]
    fn what_comes_early_waits_and_comes_out_in_causal_order() {
        let mut delivery = roomy();
        assert_eq!(delivery.offer(effect(1, 2), &[], b"a2"), Arrival::Held);
        let requires = [effect(1, 2), effect(3, 1)];
        assert_eq!(
            delivery.offer(effect(2, 1), &requires, b"b1"),
            Arrival::Held
        );
        assert_eq!(delivery.offer(effect(1, 1), &[], b"a1"), Arrival::Deliver);
        assert_eq!(released(&mut delivery), [effect(1, 2)]);
        assert_eq!(delivery.offer(effect(3, 1), &[], b"c1"), Arrival::Deliver);
        assert_eq!(
            delivery.release(),
            Some(Released {
                at: effect(2, 1),
                bytes: b"b1".to_vec()
            })
        );
        assert_eq!((delivery.held(), delivery.held_bytes()), (0, 0));
    }

    #[test]
    fn wanted_names_the_gaps_and_nothing_that_is_there() {
        let mut delivery = roomy();
        delivery.offer(effect(1, 3), &[], b"");
        delivery.offer(effect(1, 6), &[], b"");
        delivery.offer(effect(2, 1), &[effect(4, 7)], b"");
        let gaps: Vec<_> = delivery
            .wanted(10)
            .iter()
            .map(|run| (run.stream.node.0, run.first, run.last))
            .collect();
        assert_eq!(gaps, [(1, 1, 2), (1, 4, 5), (4, 1, 7)]);
        assert_eq!(delivery.wanted(1).len(), 1);
    }

    #[test]
    fn an_effect_that_requires_itself_or_its_future_is_refused() {
        let mut delivery = roomy();
        for required in [effect(1, 4), effect(1, 5)] {
            let arrival = delivery.offer(effect(1, 4), &[required], b"");
            assert_eq!(arrival, Arrival::Impossible);
        }
        assert_eq!(delivery.offer(effect(1, 0), &[], b""), Arrival::Impossible);
        assert_eq!((delivery.held(), delivery.counts().impossible), (0, 3));
    }

    #[test]
    fn a_full_buffer_still_delivers_what_is_next() {
        let limits = DeliveryLimits {
            effects_max: 2,
            bytes_max: 100,
        };
        let mut delivery = Delivery::new(VersionVector::new(), limits);
        // Requirements that nobody will ever meet.
        for counter in 1..=2 {
            let dangling = [effect(9, 1 << 40)];
            assert_eq!(
                delivery.offer(effect(8, counter), &dangling, b""),
                Arrival::Held
            );
        }
        assert_eq!(delivery.offer(effect(1, 2), &[], b""), Arrival::Full);
        assert_eq!(delivery.offer(effect(1, 1), &[], b""), Arrival::Deliver);
        assert_eq!(delivery.offer(effect(1, 2), &[], b""), Arrival::Deliver);
        delivery.forget_held();
        assert_eq!((delivery.held(), delivery.wanted(8).len()), (0, 0));
        assert_eq!(delivery.offer(effect(1, 4), &[], &[0; 101]), Arrival::Full);
    }

    #[test]
    fn a_recorded_effect_releases_what_waited_for_it() {
        let mut delivery = roomy();
        delivery.offer(effect(2, 1), &[effect(1, 1)], b"");
        delivery.record(effect(1, 1));
        assert_eq!(released(&mut delivery), [effect(2, 1)]);
    }

    #[test]
    #[should_panic(expected = "gap")]
    fn recording_past_a_gap_panics() {
        roomy().record(effect(1, 2));
    }

    /// Effects of a random causal history: per node a chain, each effect with requirements among
    /// what was made before it.
    fn histories() -> impl Strategy<Value = Vec<(EffectRef, Vec<EffectRef>)>> {
        let step = (0u64..4, proptest::collection::vec(any::<u16>(), 0..3));
        proptest::collection::vec(step, 1..40).prop_map(|steps| {
            let mut made: Vec<(EffectRef, Vec<EffectRef>)> = Vec::new();
            let mut counters = [0u64; 4];
            for (node, picks) in steps {
                counters[node as usize] += 1;
                let requires = picks
                    .iter()
                    .filter(|_| !made.is_empty())
                    .map(|&pick| made[usize::from(pick) % made.len()].0)
                    .collect();
                made.push((effect(node, counters[node as usize]), requires));
            }
            made
        })
    }

    proptest! {
        #[test]
        fn any_arrival_order_delivers_everything_once_and_after_its_causes(
            history in histories(),
            order in proptest::collection::vec(any::<u16>(), 0..120),
            effects_max in 0usize..8,
        ) {
            let limits = DeliveryLimits { effects_max, bytes_max: 1 << 20 };
            let mut delivery = Delivery::new(VersionVector::new(), limits);
            let mut done: BTreeSet<EffectRef> = BTreeSet::new();
            let picks = order.iter().map(|&pick| usize::from(pick) % history.len());
            // Then anti-entropy: everything again, until nothing is missing.
            let rounds = (0..history.len()).flat_map(|_| 0..history.len());
            for at in picks.chain(rounds) {
                let (effect, requires) = &history[at];
                let mut now = Vec::new();
                if delivery.offer(*effect, requires, b"x") == Arrival::Deliver {
                    now.push(*effect);
                }
                now.extend(released(&mut delivery));
                prop_assert!(delivery.held() <= effects_max);
                for effect in now {
                    let requires = &history.iter().find(|(at, _)| *at == effect).unwrap().1;
                    prop_assert!(requires.iter().all(|cause| done.contains(cause)));
                    prop_assert!(done.insert(effect), "delivered twice");
                }
            }
            prop_assert_eq!(done.len(), history.len());
            prop_assert_eq!(delivery.held(), 0);
            prop_assert_eq!(delivery.held_bytes(), 0);
            prop_assert!(delivery.wanted(8).is_empty());
        }

        #[test]
        fn fetching_what_is_wanted_is_enough_where_there_is_room(
            history in histories(),
            last in any::<u16>(),
        ) {
            let mut delivery = roomy();
            let (effect, requires) = &history[usize::from(last) % history.len()];
            let mut asked = 0;
            if delivery.offer(*effect, requires, b"") == Arrival::Held {
                loop {
                    let runs = delivery.wanted(2);
                    if runs.is_empty() {
                        break;
                    }
                    for run in runs {
                        for counter in run.first..=run.last {
                            let at = run.stream.at(counter);
                            let (_, requires) = history.iter().find(|(e, _)| *e == at).unwrap();
                            prop_assert_ne!(delivery.offer(at, requires, b""), Arrival::Duplicate);
                            asked += 1;
                        }
                    }
                    released(&mut delivery);
                }
            }
            prop_assert!(asked < history.len());
            prop_assert!(delivery.vector().holds(*effect));
            prop_assert_eq!(delivery.held(), 0);
        }
    }
}
