//! What a shard does to its keys by itself: expiry, and keeping to `maxmemory`.
//!
//! Under `noeviction` values that are not in use leave memory and stay in the log: nothing is lost,
//! and a later read brings them back. Under the other policies keys are deleted, as users of a cache
//! expect. Either way the work is done in small steps, at the end of a turn of the loop.

use std::sync::atomic::Ordering;

use causet_core::index::Slot;

use crate::config::{MaxmemoryPolicy, MemoryLimit};
use crate::journal::JournalStats;
use crate::state::{State, maxmemory_bytes};

/// Entries that the clock hand passes in one step.
const SWEEP_ENTRIES: usize = 128;
/// Steps of the clock hand in one turn, so that a shard far above its limit still serves.
const STEPS_PER_TURN: usize = 16;
/// Keys deleted in one turn: more than a turn's commands bring in, at some microseconds each.
const EVICTIONS_PER_TURN: usize = 1024;
/// Values smaller than this stay: their place would cost as much as they do.
const COOL_BYTES_MIN: usize = 24;
/// Random keys compared for one eviction, whatever `maxmemory-samples` says: a shard must not stand
/// still for one.
const SAMPLES_MAX: u32 = 64;
/// Milliseconds between two looks at how much memory the process may use.
const LIMIT_READ_MS: u64 = 1000;
/// Random keys looked at to find one with an expiry.
const VOLATILE_TRIES: usize = 64;

impl State {
    /// What is done ten times a second.
    pub fn round(&mut self) {
        let now_ms = self.now.unix_ms();
        self.recency.set_time(now_ms);
        let totals = [
            self.stats.commands,
            self.stats.input_bytes,
            self.stats.output_bytes,
        ];
        self.stats.rate.sample(now_ms, totals);
        self.overhead_bytes = (0..self.engine.keyspaces() as u32)
            .map(|number| self.engine.keyspace(number).overhead_bytes())
            .sum();
        self.follow_memory_limit(now_ms);
        let used = self.used_bytes() as u64;
        self.shared.used_memory[usize::from(self.number)].store(used, Ordering::Relaxed);
    }

    /// Takes a `maxmemory` that is a percentage anew, once a second: the cgroup of a process may be
    /// resized while it runs. Shard 0 does it for all; it reads some small files, about 50 us.
    fn follow_memory_limit(&mut self, now_ms: u64) {
        let is_share = matches!(self.config.maxmemory, MemoryLimit::Percent(_));
        let is_due = now_ms.saturating_sub(self.limit_read_ms) >= LIMIT_READ_MS;
        if self.number != 0 || !is_share || !is_due {
            return;
        }
        self.limit_read_ms = now_ms;
        let limit = maxmemory_bytes(&self.config);
        let before = self.shared.maxmemory.swap(limit, Ordering::Relaxed);
        if before != limit {
            let share = self.config.maxmemory;
            tracing::info!(
                bytes = limit,
                before,
                "maxmemory {share} follows the process's limit"
            );
        }
    }

    /// The log's figures with those of its compaction.
    pub fn journal_stats(&self) -> JournalStats {
        JournalStats {
            compactions: self.compactions,
            is_compacting: self.is_compacting,
            ..self.journal.stats()
        }
    }

    /// Memory of keys, values and indexes of this shard, in bytes; the indexes' part is up to 100 ms
    /// old. O(databases).
    pub fn used_bytes(&self) -> usize {
        let data = (0..self.engine.keyspaces() as u32)
            .map(|number| self.engine.keyspace(number).data_bytes());
        self.overhead_bytes + data.sum::<usize>()
    }

    /// Removes a key whose expiry has passed.
    pub fn remove_expired(&mut self, db: u32, key: &[u8]) {
        let key = self.engine.key(key);
        if self
            .engine
            .remove_expired(&mut self.journal, self.now, db, key)
        {
            self.stats.expired_keys += 1;
        }
    }

    /// Makes room while this shard uses more than its share of `maxmemory`.
    pub fn keep_to_limit(&mut self) {
        let limit = self.shared.maxmemory.load(Ordering::Relaxed);
        if limit == 0 {
            self.out_of_memory = self.is_address_space_full();
            return;
        }
        let share = (limit / u64::from(self.shared.shards)) as usize;
        let policy = self.config.maxmemory_policy;
        let steps = match policy {
            MaxmemoryPolicy::NoEviction => STEPS_PER_TURN,
            _ => EVICTIONS_PER_TURN,
        };
        let mut is_exhausted = false;
        for _ in 0..steps {
            if is_exhausted || self.used_bytes() <= share {
                break;
            }
            if policy == MaxmemoryPolicy::NoEviction {
                self.cool_some();
            } else {
                is_exhausted = !self.evict_some(policy);
            }
        }
        let used = self.used_bytes();
        let is_over = used > share;
        // A clock hand that went round without freeing anything says that nothing is left to cool,
        // except what the log has not written yet and soon will have.
        let unwritten = || {
            self.journal
                .log()
                .map_or(0, |log| log.stats().waiting_bytes)
        };
        let is_hopeless = is_exhausted || self.idle_sweeps > 1 && used > share + unwritten();
        self.out_of_memory = self.is_address_space_full() || is_over && is_hopeless;
        if !is_over {
            self.idle_sweeps = 0;
        }
    }

    fn is_address_space_full(&self) -> bool {
        (0..self.engine.keyspaces() as u32).any(|number| self.engine.keyspace(number).is_full())
    }

    /// One step of the clock hand: values that were not used since it last came by leave memory.
    fn cool_some(&mut self) {
        let number = self.sweep_space % self.engine.keyspaces() as u32;
        let Some(log) = self.journal.log() else {
            self.idle_sweeps += 1;
            return;
        };
        // Cooling writes snapshots, which must not pile up before a disk that is behind.
        if log.is_full() || log.refusal().is_some() {
            return;
        }
        let written = log.written_counter();
        let mut victims: Vec<Slot> = Vec::new();
        self.sweep_hand =
            self.engine
                .sweep_unused(number, self.sweep_hand, SWEEP_ENTRIES, |slot| {
                    victims.push(slot)
                });
        for slot in victims {
            if self.engine.keyspace(number).entry(slot).value_bytes() < COOL_BYTES_MIN {
                continue;
            }
            if self
                .engine
                .cool(&mut self.journal, self.now, number, slot, written)
            {
                self.stats.cooled_keys += 1;
                self.sweep_freed = true;
            }
        }
        if self.sweep_hand == 0 {
            self.sweep_space = (number + 1) % self.engine.keyspaces() as u32;
            if self.sweep_space == 0 && !std::mem::take(&mut self.sweep_freed) {
                self.idle_sweeps += 1;
            }
        }
    }

    /// Deletes one key by the policy; `false` where there is none to delete.
    fn evict_some(&mut self, policy: MaxmemoryPolicy) -> bool {
        let databases = self.engine.databases();
        let start = self.random.below(databases as usize) as u32;
        for step in 0..databases {
            let db = (start + step) % databases;
            if let Some(key) = self.victim(db, policy) {
                let key = self.engine.key(&key);
                self.engine.remove_key(&mut self.journal, self.now, db, key);
                self.stats.evicted_keys += 1;
                return true;
            }
        }
        false
    }

    fn victim(&mut self, db: u32, policy: MaxmemoryPolicy) -> Option<Vec<u8>> {
        use MaxmemoryPolicy::*;
        let space = self.engine.space(db);
        if policy == VolatileTtl {
            let (_, slot) = space.first_expiry()?;
            return Some(space.entry(slot).key().to_vec());
        }
        let only_volatile = matches!(policy, VolatileLru | VolatileLfu | VolatileRandom);
        if only_volatile && space.expiring_keys() == 0 {
            return None;
        }
        let samples = match policy {
            AllkeysRandom | VolatileRandom => 1,
            _ => self.config.maxmemory_samples.min(SAMPLES_MAX) as usize,
        };
        let mut best: Option<(u64, Slot)> = None;
        let mut tries = 0;
        let mut found = 0;
        while found < samples && tries < VOLATILE_TRIES.max(samples) {
            tries += 1;
            let slot = space.sample(self.random.bits())?;
            let entry = space.entry(slot);
            if only_volatile && entry.expires_ms().is_none() {
                continue;
            }
            found += 1;
            // Higher is colder.
            let rank = match policy {
                AllkeysLfu | VolatileLfu => 255 - u64::from(self.recency.frequency(entry.access())),
                _ => {
                    4 * self.recency.idle_seconds(entry.access()) + 3 - u64::from(entry.frequency())
                }
            };
            if best.is_none_or(|(other, _)| rank > other) {
                best = Some((rank, slot));
            }
        }
        // Few keys have an expiry: the one that expires first is as good as any.
        let slot = match best {
            Some((_, slot)) => slot,
            None => space.first_expiry()?.1,
        };
        Some(space.entry(slot).key().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use crate::command::harness::Harness;
    use crate::config::memory_limit_of_process;

    use super::*;

    #[test]
    fn a_percentage_follows_the_memory_of_the_process_and_a_size_does_not() {
        let mut harness = Harness::new();
        let limit = |harness: &Harness| harness.state.shared.maxmemory.load(Ordering::Relaxed);
        let resize = |harness: &mut Harness, ms| {
            // As if what is allowed had been other when it was last read.
            harness.state.shared.maxmemory.store(7, Ordering::Relaxed);
            harness.advance_ms(ms);
            harness.state.round();
        };
        harness.text("config set maxmemory 50%");
        resize(&mut harness, LIMIT_READ_MS);
        let half = MemoryLimit::Percent(50).bytes(memory_limit_of_process());
        assert_eq!(limit(&harness), half);
        resize(&mut harness, LIMIT_READ_MS / 2);
        assert_eq!(limit(&harness), 7, "at most once a second");
        harness.text("config set maxmemory 1gb");
        resize(&mut harness, LIMIT_READ_MS);
        assert_eq!(limit(&harness), 7, "nothing to follow");
    }
}
