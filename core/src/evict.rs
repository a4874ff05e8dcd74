//! Which keys are used and which are not: what eviction is decided by.
//!
//! Each entry carries 2 bits of frequency and 16 bits of access time or counter. The default
//! policy needs no knob: a clock hand sweeps the keyspace, takes what was not used since the last
//! sweep and halves the credit of the rest, so one scan over everything evicts nothing that is in
//! steady use (after Corbato's CLOCK, with the small saturating counter that S3-FIFO, SOSP 2023,
//! shows to be enough). The LRU and LFU policies of Redis sample keys and compare idle times or
//! logarithmic counters, as Redis does.

use crate::engine::Engine;
use crate::index::Slot;

/// How uses of keys are recorded; one per shard.
#[derive(Clone, Debug)]
pub struct Recency {
    /// Seconds, the low 16 bits: idle times of up to 18 hours.
    seconds: u16,
    /// Minutes, the low 8 bits, for the decay of LFU counters.
    minutes: u8,
    /// Records LFU counters instead of times.
    counts: bool,
    log_factor: u32,
    decay_minutes: u32,
}

/// The LFU counter of a new key, so that it is not evicted before it had a chance.
const LFU_INITIAL: u8 = 5;

impl Recency {
    /// Records access times, or with `counts` LFU counters that grow as `log_factor` and shrink by
    /// one every `decay_minutes`.
    pub fn new(counts: bool, log_factor: u32, decay_minutes: u32) -> Self {
        Recency {
            seconds: 0,
            minutes: 0,
            counts,
            log_factor,
            decay_minutes,
        }
    }

    /// Moves the clock.
    pub fn set_time(&mut self, now_ms: u64) {
        self.seconds = (now_ms / 1000) as u16;
        self.minutes = (now_ms / 60_000) as u8;
    }

    /// The 16 bits of a key that is made now.
    pub fn initial(&self) -> u16 {
        if self.counts {
            u16::from(self.minutes) << 8 | u16::from(LFU_INITIAL)
        } else {
            self.seconds
        }
    }

    /// Seconds since the last use, by the 16 bits of an entry.
    pub fn idle_seconds(&self, access: u16) -> u64 {
        if self.counts {
            0
        } else {
            u64::from(self.seconds.wrapping_sub(access))
        }
    }

    /// The LFU counter by the 16 bits of an entry, decayed to now.
    pub fn frequency(&self, access: u16) -> u8 {
        let elapsed = u32::from(self.minutes.wrapping_sub((access >> 8) as u8));
        let decay = elapsed.checked_div(self.decay_minutes).unwrap_or(0);
        (access as u8).saturating_sub(decay.min(255) as u8)
    }

    fn used(&self, access: u16, random: u64) -> u16 {
        if !self.counts {
            return self.seconds;
        }
        let mut counter = self.frequency(access);
        // The chance to count falls with the count: 255 stands for about a million uses.
        let above = u64::from(counter.saturating_sub(LFU_INITIAL));
        let one_in = above * u64::from(self.log_factor) + 1;
        if counter < 255 && random.is_multiple_of(one_in) {
            counter += 1;
        }
        u16::from(self.minutes) << 8 | u16::from(counter)
    }
}

impl Engine {
    /// Records a use of the entry. O(1); writes to the entry only where something changes.
    #[inline]
    pub fn touch(&mut self, db: u32, slot: Slot, recency: &Recency, random: impl FnOnce() -> u64) {
        let entry = self.space(db).entry(slot);
        if entry.frequency() < 3 {
            entry.set_frequency(entry.frequency() + 1);
        }
        if recency.counts {
            entry.set_access(recency.used(entry.access(), random()));
        } else if entry.access() != recency.seconds {
            entry.set_access(recency.seconds);
        }
    }

    /// Advances the clock hand of keyspace `number` (which is not a database's: SWAPDB) over about
    /// `budget` entries: those that were not used since it last came by are given to `victim`, the
    /// others lose credit. Returns the hand's new place.
    pub fn sweep_unused(
        &self,
        number: u32,
        hand: u64,
        budget: usize,
        mut victim: impl FnMut(Slot),
    ) -> u64 {
        let space = self.keyspace(number);
        space.sweep(hand, budget, |slot| {
            let entry = space.entry(slot);
            match entry.frequency() {
                0 => victim(slot),
                frequency => entry.set_frequency(frequency / 2),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{Data, Effect, Payload, Stamped};
    use crate::engine::{EffectLog, EngineOptions, Now};
    use crate::id::NodeId;
    use crate::value::{HashSeed, Limits};

    struct NoLog;

    impl EffectLog for NoLog {
        fn append(&mut self, _: u64, _: &Stamped<'_>, _: bool) {}
    }

    #[test]
    fn the_clock_hand_stays_in_its_keyspace_after_swapdb() {
        let mut engine = Engine::new(EngineOptions {
            node: NodeId(1),
            stream: 0,
            databases: 2,
            seed: HashSeed(3),
            limits: Limits::default(),
        });
        let place = |db, space| Effect {
            db,
            key: &[],
            payload: Payload::Place { space },
        };
        let set = Effect {
            db: 0,
            key: b"key",
            payload: Payload::Data(Data::set(b"value", None)),
        };
        let now = Now { unix_ns: 1 };
        engine.commit(&mut NoLog, now, &[set, place(0, 1), place(1, 0)], false);
        let mut seen = 0;
        engine.sweep_unused(0, 0, 10, |slot| {
            assert_eq!(engine.keyspace(0).entry(slot).key(), b"key");
            seen += 1;
        });
        assert_eq!(seen, 1);
    }

    #[test]
    fn idle_time_counts_seconds_over_the_wrap_of_the_clock() {
        let mut recency = Recency::new(false, 10, 1);
        recency.set_time(65_530_000);
        let access = recency.initial();
        recency.set_time(65_540_000);
        assert_eq!(recency.idle_seconds(access), 10);
    }

    #[test]
    fn an_lfu_counter_grows_ever_more_slowly_and_decays_with_time() {
        let mut recency = Recency::new(true, 10, 1);
        recency.set_time(0);
        let mut access = recency.initial();
        let mut random = 1u64;
        for _ in 0..1000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            access = recency.used(access, random >> 33);
        }
        let counter = recency.frequency(access);
        assert!((10..40).contains(&counter), "{counter}");
        recency.set_time(5 * 60_000);
        assert_eq!(recency.frequency(access), counter - 5);
    }
}
