//! One shard's engine: its databases, its place in the order, and the way effects become state.
//!
//! An effect gets its ref and stamp here, is handed to the log and applied to the materialised
//! state in the same call, so that state and log never disagree. After a restart the same effects
//! come back through [`Engine::replay`] and give the same state.
//!
//! Not here: when a reply may leave (the shard knows what is durable), and which keys should go
//! ([`Engine::expired`] and the eviction policy only name them).

use std::mem;

use crate::effect::{Data, Effect, Payload, Snapshot, Stamped};
use crate::entry::Value;
use crate::hlc::{Hlc, HlcClock};
use crate::id::{NodeId, Offset};
use crate::index::Slot;
use crate::keyspace::{Key, Keyspace, Remains};
use crate::value::{HashSeed, Limits};

/// Remote stamps further ahead than this are refused.
const DRIFT_BOUND_MS: u64 = 500;

/// Where stamped effects go to become durable.
pub trait EffectLog {
    /// Takes the effect with the given counter. Counters arrive dense and in order. With
    /// `more_in_group` the next effect belongs to the same atomic group: after a crash both are
    /// there or neither.
    fn append(&mut self, counter: u64, stamped: &Stamped<'_>, more_in_group: bool);
}

/// The time, read once per turn of the shard's loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Unix nanoseconds.
    pub unix_ns: u64,
}

impl Now {
    /// Unix milliseconds.
    #[inline]
    pub fn unix_ms(self) -> u64 {
        self.unix_ns / 1_000_000
    }
}

/// How a shard's engine is set up.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// The node that this shard belongs to.
    pub node: NodeId,
    /// The shard's number.
    pub stream: u16,
    /// Logical databases.
    pub databases: u32,
    /// The secret that hashing starts from.
    pub seed: HashSeed,
    /// When collections change from their small form to the large one.
    pub limits: Limits,
}

/// The engine of one shard. See the module's head.
pub struct Engine {
    node: NodeId,
    stream: u16,
    seed: HashSeed,
    pub(crate) limits: Limits,
    clock: HlcClock,
    /// Counter of the last effect.
    last: u64,
    spaces: Vec<Keyspace>,
    /// Databases that were flushed and whose memory is still to be given back, a part at a time.
    flushed: Vec<Remains>,
}

impl Engine {
    /// An empty engine.
    pub fn new(options: EngineOptions) -> Self {
        Engine {
            node: options.node,
            stream: options.stream,
            seed: options.seed,
            limits: options.limits,
            clock: HlcClock::new(DRIFT_BOUND_MS),
            last: 0,
            spaces: (0..options.databases)
                .map(|_| Keyspace::new(options.seed))
                .collect(),
            flushed: Vec::new(),
        }
    }

    /// The node that this engine writes as.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The ref of the last effect.
    pub fn last_offset(&self) -> Offset {
        Offset::new(self.stream, self.last)
    }

    /// The stamp of the last effect.
    pub fn last_stamp(&self) -> Hlc {
        self.clock.last()
    }

    /// Continues the numbering behind `counter`, as recovery found it.
    pub fn continue_after(&mut self, counter: u64) {
        debug_assert!(counter >= self.last);
        self.last = counter;
    }

    /// Changes the limits of small collections; what is there keeps its form until it is written.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The databases.
    pub fn spaces(&self) -> &[Keyspace] {
        &self.spaces
    }

    /// The secret that hashing starts from.
    pub(crate) fn seed(&self) -> HashSeed {
        self.seed
    }

    /// One database.
    ///
    /// # Panics
    /// If there is no such database; SELECT refuses those.
    #[inline]
    pub fn space(&self, db: u32) -> &Keyspace {
        &self.spaces[db as usize]
    }

    #[inline]
    pub(crate) fn space_mut(&mut self, db: u32) -> &mut Keyspace {
        &mut self.spaces[db as usize]
    }

    /// The key with its hash. O(length).
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key::new(bytes, self.seed)
    }

    /// Memory of all databases in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.spaces
            .iter()
            .map(Keyspace::memory_bytes)
            .sum::<usize>()
            + self
                .flushed
                .iter()
                .map(Remains::memory_bytes)
                .sum::<usize>()
    }

    /// Bytes that all live state would take in a log.
    pub fn live_bytes(&self) -> u64 {
        // A record's frame, stamp, tags and lengths are about 32 bytes.
        self.spaces
            .iter()
            .map(|space| space.live_bytes() + 32 * space.len() as u64)
            .sum()
    }

    /// Stamps effects, hands them to the log as one atomic group, and applies them.
    ///
    /// `more_in_group` says that another call continues the group (a transaction's next command).
    pub fn commit(
        &mut self,
        log: &mut impl EffectLog,
        now: Now,
        effects: &[Effect<'_>],
        more_in_group: bool,
    ) {
        for (at, effect) in effects.iter().enumerate() {
            let more = more_in_group || at + 1 < effects.len();
            self.commit_one(log, now, effect, more);
        }
    }

    #[inline]
    fn commit_one(
        &mut self,
        log: &mut impl EffectLog,
        now: Now,
        effect: &Effect<'_>,
        more_in_group: bool,
    ) {
        self.last += 1;
        let counter = self.last;
        let key = self.key(effect.key);
        let found = self.space(effect.db).find(key);
        let local_dep = found.map_or(0, |slot| self.space(effect.db).entry(slot).tip());
        let hlc = self.clock.tick(now.unix_ns);
        let stamped = Stamped {
            hlc,
            local_dep,
            deps: &[],
            effect: *effect,
        };
        log.append(counter, &stamped, more_in_group);
        self.apply(counter, effect, key, found);
    }

    /// Applies an effect that the log already holds.
    pub fn replay(&mut self, counter: u64, stamped: &Stamped<'_>) {
        debug_assert!(counter > self.last);
        self.last = counter;
        self.clock.recover(stamped.hlc);
        let effect = &stamped.effect;
        let key = self.key(effect.key);
        if effect.db as usize >= self.spaces.len() {
            // The log was written with more databases than are configured now: nothing is lost.
            let seed = self.seed;
            self.spaces
                .resize_with(effect.db as usize + 1, || Keyspace::new(seed));
        }
        let found = self.space(effect.db).find(key);
        self.apply(counter, effect, key, found);
    }

    /// Empties a database. O(1): the memory is given back by [`Engine::free_some`].
    pub(crate) fn flush_space(&mut self, db: u32) {
        let empty = Keyspace::new(self.seed);
        let old = mem::replace(self.space_mut(db), empty);
        if !old.is_empty() {
            self.flushed.push(Remains::new(old));
        }
    }

    pub(crate) fn swap_spaces(&mut self, a: u32, b: u32) {
        let most = a.max(b) as usize;
        if most >= self.spaces.len() {
            let seed = self.seed;
            self.spaces.resize_with(most + 1, || Keyspace::new(seed));
        }
        self.spaces.swap(a as usize, b as usize);
    }

    /// Gives back memory of flushed databases, at most `budget` keys at once; returns whether more
    /// is left. Bounded steps, so that FLUSHALL of a hundred million keys stalls nobody.
    pub fn free_some(&mut self, budget: usize) -> bool {
        if let Some(space) = self.flushed.last_mut() {
            if space.free_some(budget) {
                return true;
            }
            self.flushed.pop();
        }
        !self.flushed.is_empty()
    }

    /// Up to `max` keys of `db` whose expiry has passed, soonest first.
    pub fn expired(&self, db: u32, now_ms: u64, max: usize) -> Vec<Vec<u8>> {
        let space = self.space(db);
        space
            .expiries()
            .take_while(|&(at_ms, _)| at_ms <= now_ms)
            .take(max)
            .map(|(_, slot)| space.entry(slot).key().to_vec())
            .collect()
    }

    /// Removes a key whose expiry has passed (the log hears of it), so that everything that follows
    /// sees it gone. Returns whether the key was there and had expired.
    pub fn remove_expired(
        &mut self,
        log: &mut impl EffectLog,
        now: Now,
        db: u32,
        key: Key<'_>,
    ) -> bool {
        let space = self.space(db);
        let Some(slot) = space.find(key) else {
            return false;
        };
        if !space
            .entry(slot)
            .expires_ms()
            .is_some_and(|at_ms| at_ms <= now.unix_ms())
        {
            return false;
        }
        let effect = Effect {
            db,
            key: key.bytes(),
            payload: Payload::Data(Data::remove_key()),
        };
        self.commit_one(log, now, &effect, false);
        true
    }

    /// Writes the whole state of a key to the log, so that its earlier records are no longer needed.
    /// Cost: O(size of the value). Returns `false` where the value is not in memory.
    pub fn write_snapshot(
        &mut self,
        log: &mut impl EffectLog,
        now: Now,
        db: u32,
        slot: Slot,
    ) -> bool {
        let hlc = self.clock.tick(now.unix_ns);
        let entry = self.space(db).entry(slot);
        let mut owned = Vec::new();
        let state: &[u8] = match entry.value() {
            Value::Bytes(bytes) => bytes,
            Value::Shared(shared) => shared.as_slice(),
            Value::Int(int) => {
                owned.extend_from_slice(int.to_string().as_bytes());
                &owned
            }
            Value::Collection(collection) => {
                collection.encode(&mut owned);
                &owned
            }
            Value::Cold => return false,
        };
        let snapshot = Snapshot {
            type_tag: entry.type_tag(),
            expires_ms: entry.expires_ms(),
            state,
        };
        let effect = Effect {
            db,
            key: entry.key(),
            payload: Payload::Snapshot(snapshot),
        };
        let stamped = Stamped {
            hlc,
            local_dep: entry.tip(),
            deps: &[],
            effect,
        };
        let counter = self.last + 1;
        log.append(counter, &stamped, false);
        self.last = counter;
        self.space_mut(db).mark_self_contained(slot, counter);
        true
    }

    /// Copies a cold key's record to the end of the log: its state, taken from the effect that
    /// holds it. For compaction, when the segment that holds the record is to go.
    pub fn rewrite_cold(
        &mut self,
        log: &mut impl EffectLog,
        now: Now,
        db: u32,
        slot: Slot,
        effect: &Effect<'_>,
    ) {
        self.restore_cold(db, slot, effect);
        let written = self.write_snapshot(log, now, db, slot);
        debug_assert!(written, "the value was just restored");
        self.space_mut(db).make_cold(slot);
    }

    /// Puts the value of a cold entry back into memory, from the effect that its tip names. The
    /// entry may move.
    pub fn restore_cold(&mut self, db: u32, slot: Slot, effect: &Effect<'_>) {
        let entry = self.space(db).entry(slot);
        if !matches!(entry.value(), Value::Cold) {
            return;
        }
        let tip = entry.tip();
        let expires_ms = entry.expires_ms();
        let key = self.key(effect.key);
        self.apply(tip, effect, key, Some(slot));
        // The expiry may have changed after the effect was written, the entry knows best.
        let slot = self
            .space(db)
            .find(key)
            .expect("applying a whole state leaves a key");
        self.space_mut(db).set_expiry(slot, expires_ms);
    }
}
