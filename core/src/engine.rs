//! One shard's engine: its databases, its place in the order, and the way effects become state.
//!
//! An effect gets its ref and stamp here, is handed to the log and applied to the materialised
//! state in the same call, so that state and log never disagree. After a restart the same effects
//! come back through [`Engine::replay`] and give the same state.
//!
//! Not here: when a reply may leave (the shard knows what is durable), and which keys should go
//! ([`Engine::expired`] and the eviction policy only name them).

use std::mem;

use crate::effect::{Data, Effect, Payload, Stamped};
use crate::hlc::{Hlc, HlcClock};
use crate::id::{NodeId, Offset};
use crate::keyspace::{InOrder, Key, Keyspace, Remains};
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
    pub(crate) seed: HashSeed,
    pub(crate) limits: Limits,
    pub(crate) clock: HlcClock,
    /// Counter of the last effect.
    pub(crate) last: u64,
    spaces: Vec<Keyspace>,
    /// By database, as SELECT numbers them: the number of its keyspace.
    places: Vec<u32>,
    /// Databases that were flushed and whose memory is still to be given back, a part at a time.
    flushed: Vec<Remains>,
    is_replaying: bool,
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
            places: (0..options.databases).collect(),
            flushed: Vec::new(),
            is_replaying: false,
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

    /// Number of databases.
    pub fn databases(&self) -> u32 {
        self.places.len() as u32
    }

    /// The databases, as SELECT numbers them.
    pub fn spaces(&self) -> impl ExactSizeIterator<Item = &Keyspace> {
        self.places.iter().map(|&number| self.keyspace(number))
    }

    /// The number of the keyspace that database `db` is at present.
    ///
    /// # Panics
    /// If there is no such database; SELECT refuses those.
    #[inline]
    pub fn place(&self, db: u32) -> u32 {
        self.places[db as usize]
    }

    /// One database.
    ///
    /// # Panics
    /// If there is no such database; SELECT refuses those.
    #[inline]
    pub fn space(&self, db: u32) -> &Keyspace {
        self.keyspace(self.place(db))
    }

    /// The keys of one database in order.
    ///
    /// # Panics
    /// If there is no such database; SELECT refuses those.
    pub fn in_order(&mut self, db: u32) -> InOrder<'_> {
        let number = self.place(db);
        self.keyspace_mut(number).in_order()
    }

    /// Number of keyspaces; at least that of databases.
    pub fn keyspaces(&self) -> usize {
        self.spaces.len()
    }

    /// One keyspace by its own number.
    ///
    /// # Panics
    /// If there is no such keyspace.
    #[inline]
    pub fn keyspace(&self, number: u32) -> &Keyspace {
        &self.spaces[number as usize]
    }

    #[inline]
    pub(crate) fn keyspace_mut(&mut self, number: u32) -> &mut Keyspace {
        &mut self.spaces[number as usize]
    }

    /// The key with its hash. O(length).
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key::new(bytes, self.seed)
    }

    /// Starts loading what a look-up of each effect's key will touch, so that the cache misses of a
    /// few dozen keys overlap.
    pub fn prefetch<'e, 'b: 'e>(&self, effects: impl Iterator<Item = &'e Effect<'b>> + Clone) {
        let keyed = || {
            let there = |effect: &&Effect<'_>| (effect.db as usize) < self.keyspaces();
            effects
                .clone()
                .filter(there)
                .map(|effect| (self.keyspace(effect.db), self.key(effect.key)))
        };
        for (space, key) in keyed() {
            space.prefetch_index(key);
        }
        for (space, key) in keyed() {
            space.prefetch_entry(key);
        }
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
        let mut effect = *effect;
        if !matches!(effect.payload, Payload::Place { .. }) {
            effect.db = self.place(effect.db);
        }
        let key = self.key(effect.key);
        let found = self.keyspace(effect.db).find(key);
        let local_dep = found.map_or(0, |slot| self.keyspace(effect.db).entry(slot).tip());
        let hlc = self.clock.tick(now.unix_ns);
        let stamped = Stamped {
            hlc,
            local_dep,
            deps: &[],
            effect,
        };
        log.append(counter, &stamped, more_in_group);
        self.apply(counter, &effect, key, found);
    }

    /// Says that a log is to be [replayed](Engine::replay) into this engine, which is empty. Until
    /// [`Engine::end_replay`] its keys are not in order.
    pub fn begin_replay(&mut self) {
        self.is_replaying = true;
        self.spaces.iter_mut().for_each(Keyspace::leave_unordered);
    }

    /// Puts the keys that were replayed in order. O(n log n).
    pub fn end_replay(&mut self) {
        self.is_replaying = false;
        self.spaces.iter_mut().for_each(Keyspace::put_in_order);
    }

    fn empty_keyspace(&self) -> Keyspace {
        let mut space = Keyspace::new(self.seed);
        if self.is_replaying {
            space.leave_unordered();
        }
        space
    }

    /// Applies an effect that the log already holds.
    pub fn replay(&mut self, counter: u64, stamped: &Stamped<'_>) {
        debug_assert!(counter > self.last);
        self.last = counter;
        self.clock.recover(stamped.hlc);
        let effect = &stamped.effect;
        let key = self.key(effect.key);
        // The log may have been written with more databases than are configured now.
        self.make_keyspace(effect.db);
        let found = self.keyspace(effect.db).find(key);
        self.apply(counter, effect, key, found);
    }

    /// Makes sure that there are at least `count` databases.
    pub fn ensure_databases(&mut self, count: u32) {
        if let Some(last) = count.checked_sub(1) {
            self.make_keyspace(last);
        }
    }

    fn make_keyspace(&mut self, number: u32) {
        while self.spaces.len() <= number as usize {
            self.places.push(self.spaces.len() as u32);
            let space = self.empty_keyspace();
            self.spaces.push(space);
        }
    }

    /// Empties a database. O(1): the memory is given back by [`Engine::free_some`].
    pub(crate) fn flush_keyspace(&mut self, number: u32) {
        let empty = self.empty_keyspace();
        let old = mem::replace(self.keyspace_mut(number), empty);
        if !old.is_empty() {
            self.flushed.push(Remains::new(old));
        }
    }

    pub(crate) fn place_database(&mut self, db: u32, space: u32) {
        self.make_keyspace(db.max(space));
        self.places[db as usize] = space;
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

    /// Whether memory of flushed databases is still to be given back.
    pub fn has_flushed(&self) -> bool {
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

    /// Removes a key, as DEL does.
    pub fn remove_key(&mut self, log: &mut impl EffectLog, now: Now, db: u32, key: Key<'_>) {
        let effect = Effect {
            db,
            key: key.bytes(),
            payload: Payload::Data(Data::remove_key()),
        };
        self.commit_one(log, now, &effect, false);
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
        if space
            .entry(slot)
            .expires_ms()
            .is_none_or(|at_ms| at_ms > now.unix_ms())
        {
            return false;
        }
        self.remove_key(log, now, db, key);
        true
    }
}
