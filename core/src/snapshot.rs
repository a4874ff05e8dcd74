//! States that go to the log whole: for compaction, and for values that leave memory.
//!
//! A key's records in the log are needed from its *base* on: the last effect that holds the whole
//! state. Compaction takes the oldest segment and asks [`Engine::is_live`] of each record; what is
//! live is written again at the end of the log as a Snapshot, which becomes the base, and so makes
//! all of the key's earlier records garbage, wherever they are.
//!
//! A value leaves memory ([`Engine::cool`]) only when the effect that its tip names holds the whole
//! state and is on disk; its entry then keeps key, expiry, type and tip, and the tip is where
//! [`Engine::restore_cold`] gets it back from.

use crate::effect::{Collection, Effect, Merge, Op, Payload, Placement, Snapshot, Stamped};
use crate::engine::{EffectLog, Engine, Now};
use crate::entry::Value;
use crate::index::Slot;

impl Engine {
    /// Writes the whole state of the key at `slot` of keyspace `number` to the log, so that its
    /// earlier records are no longer needed. O(size of the value). `false` where the value is not
    /// in memory.
    pub fn write_snapshot(
        &mut self,
        log: &mut impl EffectLog,
        now: Now,
        number: u32,
        slot: Slot,
    ) -> bool {
        let hlc = self.clock.tick(now.unix_ns);
        let entry = self.keyspace(number).entry(slot);
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
            db: number,
            key: entry.key(),
            payload: Payload::Snapshot(snapshot),
        };
        let counter = self.last + 1;
        log.append(
            counter,
            &Stamped {
                hlc,
                local_dep: entry.tip(),
                deps: &[],
                effect,
            },
            false,
        );
        self.last = counter;
        self.keyspace_mut(number).mark_self_contained(slot, counter);
        true
    }

    /// Decides over a record of a segment that is to go: what is live is written again at the end of
    /// `log`. Returns the bytes of state written again.
    pub fn keep_if_live(
        &mut self,
        log: &mut impl EffectLog,
        now: Now,
        counter: u64,
        effect: &Effect<'_>,
    ) -> usize {
        let number = effect.db;
        if let Payload::Place { .. } = effect.payload {
            return self.keep_place(log, now, number);
        }
        if number as usize >= self.keyspaces() {
            return 0;
        }
        let key = self.key(effect.key);
        let Some(slot) = self.keyspace(number).find(key) else {
            return 0;
        };
        // A string changed in place since it was set: its base is not known, so it counts as live.
        if self
            .keyspace(number)
            .base(slot)
            .is_some_and(|base| counter < base)
        {
            return 0;
        }
        self.restore_cold(number, slot, effect);
        let slot = self
            .keyspace(number)
            .find(key)
            .expect("restoring keeps the key");
        self.write_snapshot(log, now, number, slot);
        effect.key.len() + self.keyspace(number).entry(slot).value_bytes()
    }

    /// A database that is not its own first keyspace must stay so when the record that says it goes.
    fn keep_place(&mut self, log: &mut impl EffectLog, now: Now, db: u32) -> usize {
        let space = self.place(db);
        if space == db {
            return 0;
        }
        let effect = Effect {
            db,
            key: &[],
            payload: Payload::Place { space },
        };
        let hlc = self.clock.tick(now.unix_ns);
        let counter = self.last + 1;
        log.append(
            counter,
            &Stamped {
                hlc,
                local_dep: 0,
                deps: &[],
                effect,
            },
            false,
        );
        self.last = counter;
        16
    }

    /// Puts the value of a cold entry back into memory, from the effect that its tip names. The
    /// entry may move. Nothing happens to an entry that is not cold.
    pub fn restore_cold(&mut self, number: u32, slot: Slot, effect: &Effect<'_>) {
        let entry = self.keyspace(number).entry(slot);
        if !matches!(entry.value(), Value::Cold) {
            return;
        }
        let (tip, expires_ms) = (entry.tip(), entry.expires_ms());
        let key = self.key(effect.key);
        self.apply(tip, effect, key, Some(slot));
        // The entry knows better than the effect when the key expires.
        let slot = self
            .keyspace(number)
            .find(key)
            .expect("a whole state leaves a key");
        self.keyspace_mut(number).set_expiry(slot, expires_ms);
    }

    /// During recovery: the cold entry, with its keyspace and tip, whose value must be
    /// [restored](Engine::restore_cold) before `effect` is replayed, because it changes the value or
    /// moves the tip that says where the value is. `None` where nothing is cold there, or where the
    /// effect replaces or removes what is.
    #[inline]
    pub fn cold_before(&self, effect: &Effect<'_>) -> Option<(u32, Slot, u64)> {
        let number = effect.db;
        if number as usize >= self.keyspaces() || self.keyspace(number).cold_keys() == 0 {
            return None;
        }
        let is_replaced = match &effect.payload {
            Payload::Snapshot(_) | Payload::Flush | Payload::Place { .. } => true,
            Payload::Data(data) => {
                let is_delta = matches!(data.merge, Merge::AddInt | Merge::AddFloat);
                let is_set = data.placement == Placement::None && !is_delta;
                data.collection == Collection::Scalar && (data.op == Op::Remove || is_set)
            }
            Payload::Meta(_) | Payload::Noop => false,
        };
        if is_replaced {
            return None;
        }
        let slot = self.keyspace(number).find(self.key(effect.key))?;
        let entry = self.keyspace(number).entry(slot);
        matches!(entry.value(), Value::Cold).then(|| (number, slot, entry.tip()))
    }

    /// Drops a value from memory, if the effect that the entry's tip names holds the whole state, and
    /// is in the log for certain: it was read from there. Returns whether memory was freed. The entry
    /// moves.
    pub fn drop_whole(&mut self, number: u32, slot: Slot) -> bool {
        let entry = self.keyspace(number).entry(slot);
        if !entry.is_self_contained() || matches!(entry.value(), Value::Cold) {
            return false;
        }
        self.keyspace_mut(number).make_cold(slot);
        true
    }

    /// Drops a value from memory, if the effect that the entry's tip names holds the whole state and
    /// stands below `written`, the first counter that is not on disk yet. Otherwise its state goes to
    /// the log, and a later call drops it. Returns whether memory was freed.
    pub fn cool(
        &mut self,
        log: &mut impl EffectLog,
        now: Now,
        number: u32,
        slot: Slot,
        written: u64,
    ) -> bool {
        let entry = self.keyspace(number).entry(slot);
        if !entry.is_self_contained() {
            self.write_snapshot(log, now, number, slot);
            return false;
        }
        if entry.tip() >= written {
            return false;
        }
        self.keyspace_mut(number).make_cold(slot);
        true
    }
}
