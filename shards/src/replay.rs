//! A shard's log back into its engine, within the memory that the shard may use.
//!
//! Values that one effect holds whole leave memory again while the log is read, where it is short, and
//! stay in the log, as in a running shard. One that a later effect changes is read back first, so the
//! state is the same whatever was dropped. Values that many effects made (collections, counters) stay
//! until the running shard writes their snapshots: recovery appends nothing.

use std::path::Path;

use causet_core::effect::Stamped;
use causet_core::engine::Engine;
use causet_core::index::Slot;
use causet_core::tip::Tip;
use causet_core::wire::unmarshal_effect;
use smallvec::SmallVec;

use crate::log::{Lookback, Lsn};

/// Bytes of log between two looks at the memory in use.
const LOOK_BYTES: usize = 256 << 10;
/// Entries that are looked at in one step.
const SWEEP_ENTRIES: usize = 1024;
/// Smaller values stay: their place would cost as much as they do.
const DROP_BYTES_MIN: usize = 24;
/// Effects whose keys are looked up together, so that their cache misses overlap.
const BATCH_MAX: usize = 32;
/// Effects above this size are not kept for a batch.
const BATCHED_BYTES_MAX: usize = 64 << 10;

/// The replay of one log. See the module's head.
pub struct Replay<'e> {
    engine: &'e mut Engine,
    lookback: Lookback,
    /// Memory that the engine may use, in bytes; 0: no limit.
    memory_max: usize,
    /// Memory at which dropping is tried next: higher where the last try freed too little.
    drop_at: usize,
    bytes_since: usize,
    /// Effects that wait to be replayed together: counter, and where each ends in `waiting_bytes`.
    waiting: Vec<(u64, usize)>,
    waiting_bytes: Vec<u8>,
}

impl<'e> Replay<'e> {
    /// Replays the log in `dir` into `engine`, which is empty and may use `memory_max` bytes (0: any).
    pub fn new(dir: &Path, engine: &'e mut Engine, memory_max: usize) -> Self {
        engine.begin_replay();
        Replay {
            engine,
            lookback: Lookback::new(dir),
            memory_max,
            drop_at: memory_max,
            bytes_since: 0,
            waiting: Vec::with_capacity(BATCH_MAX),
            waiting_bytes: Vec::new(),
        }
    }

    /// Takes the next effect of the log.
    ///
    /// # Errors
    /// An effect, or one that it builds on, that does not read; in words for the operator.
    pub fn take(&mut self, counter: u64, lsn: Lsn, bytes: &[u8]) -> Result<(), String> {
        if self.memory_max != 0 {
            self.lookback.note(counter, lsn);
        }
        if bytes.len() > BATCHED_BYTES_MAX {
            self.replay_waiting()?;
            let mut deps = Vec::new();
            let stamped = decode(counter, bytes, &mut deps)?;
            return self.replay(counter, &stamped, bytes.len());
        }
        self.waiting_bytes.extend_from_slice(bytes);
        self.waiting.push((counter, self.waiting_bytes.len()));
        if self.waiting.len() == BATCH_MAX {
            self.replay_waiting()?;
        }
        Ok(())
    }

    /// Replays what still waits, and puts the keys in order: the log is read to its end.
    ///
    /// # Errors
    /// As [`Replay::take`].
    pub fn finish(mut self) -> Result<(), String> {
        self.replay_waiting()?;
        self.engine.end_replay();
        Ok(())
    }

    fn replay_waiting(&mut self) -> Result<(), String> {
        let waiting = std::mem::take(&mut self.waiting);
        let bytes = std::mem::take(&mut self.waiting_bytes);
        let mut deps: [Vec<Tip>; BATCH_MAX] = Default::default();
        let mut batch: SmallVec<[(u64, Stamped<'_>, usize); BATCH_MAX]> = SmallVec::new();
        let mut start = 0;
        for (&(counter, end), deps) in waiting.iter().zip(&mut deps) {
            batch.push((
                counter,
                decode(counter, &bytes[start..end], deps)?,
                end - start,
            ));
            start = end;
        }
        self.engine
            .prefetch(batch.iter().map(|(_, stamped, _)| &stamped.effect));
        for (counter, stamped, len) in &batch {
            self.replay(*counter, stamped, *len)?;
        }
        drop(batch);
        (self.waiting, self.waiting_bytes) = (waiting, bytes);
        self.waiting.clear();
        self.waiting_bytes.clear();
        Ok(())
    }

    fn replay(&mut self, counter: u64, stamped: &Stamped<'_>, bytes: usize) -> Result<(), String> {
        if let Some((number, slot, tip)) = self.engine.cold_before(&stamped.effect) {
            self.bring_back(number, slot, tip)?;
        }
        self.engine.replay(counter, stamped);
        if self.memory_max != 0 {
            self.bytes_since += bytes;
            if self.bytes_since >= LOOK_BYTES {
                self.bytes_since = 0;
                self.keep_to_limit();
            }
        }
        Ok(())
    }

    fn bring_back(&mut self, number: u32, slot: Slot, tip: u64) -> Result<(), String> {
        let bytes = self
            .lookback
            .read(tip)
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("effect {tip} does not read back"))?;
        let mut deps = Vec::new();
        let stamped = decode(tip, &bytes, &mut deps)?;
        self.engine.restore_cold(number, slot, &stamped.effect);
        Ok(())
    }

    /// Drops values until an eighth of the memory is free again, so that not every look is a sweep.
    fn keep_to_limit(&mut self) {
        if self.engine.memory_bytes() <= self.drop_at {
            return;
        }
        let goal = self.memory_max - self.memory_max / 8;
        for number in 0..self.engine.keyspaces() as u32 {
            let mut hand = 0;
            loop {
                let mut victims = Vec::new();
                hand = self
                    .engine
                    .sweep_unused(number, hand, SWEEP_ENTRIES, |slot| victims.push(slot));
                for slot in victims {
                    if self.engine.keyspace(number).entry(slot).value_bytes() >= DROP_BYTES_MIN {
                        self.engine.drop_whole(number, slot);
                    }
                }
                if self.engine.memory_bytes() <= goal {
                    self.drop_at = self.memory_max;
                    return;
                }
                if hand == 0 {
                    break;
                }
            }
        }
        // Nothing more to drop: the next try waits until there is reason to hope.
        self.drop_at = self.engine.memory_bytes().max(self.memory_max) + self.memory_max / 8;
    }
}

fn decode<'a>(
    counter: u64,
    bytes: &'a [u8],
    deps: &'a mut Vec<Tip>,
) -> Result<Stamped<'a>, String> {
    unmarshal_effect(counter, bytes, deps)
        .map_err(|error| format!("effect {counter} does not decode: {error}"))
}

#[cfg(test)]
mod tests {
    use causet_core::context::Context;
    use causet_core::effect::{Data, Meta};
    use causet_core::engine::{EngineOptions, Now};
    use causet_core::id::NodeId;
    use causet_core::value::{HashSeed, Limits};

    use super::*;
    use crate::command::call::encode_state;
    use crate::journal::Journal;
    use crate::log::{BlockingIo, Client, Options};
    use crate::server::recover;

    const KEYS: u64 = 3000;

    fn engine() -> Engine {
        Engine::new(EngineOptions {
            node: NodeId(1),
            stream: 0,
            databases: 1,
            seed: HashSeed(9),
            limits: Limits::default(),
        })
    }

    fn options() -> Options {
        Options {
            segment_bytes: 1 << 20,
            ..Options::new(1, 0)
        }
    }

    fn drive(journal: &mut Journal, ticks_ns: &mut u64) {
        let end = journal.request_flush();
        let mut io = BlockingIo::new();
        while end.is_some_and(|end| journal.durable() < end) {
            *ticks_ns += 1_000_000_000;
            let log = journal.log_mut().expect("there is a log");
            log.tick(*ticks_ns, &mut io);
            while let Some((op, result, buf)) = io.completion() {
                log.on_complete(op, result, buf, &mut io);
            }
        }
    }

    #[test]
    fn a_data_set_larger_than_memory_is_recovered_whole() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut live = engine();
        let (log, _) = recover(dir.path(), options(), Client::inline(), &mut live, 0).unwrap();
        let mut journal = Journal::On(Box::new(log));
        let mut ticks_ns = 0;
        let keys: Vec<Vec<u8>> = (0..KEYS).map(|n| format!("key:{n}").into_bytes()).collect();
        let large = vec![b'x'; 300_000];
        let now = Now { unix_ns: 1 << 40 };
        for (n, key) in keys.iter().enumerate() {
            let value = format!("{n:-<1500}").into_bytes();
            let value = if n == 7 { &large } else { &value };
            let mut context = Context::new(0);
            context.emit(key, Data::set(value, Some(1 << 50)));
            context.flush(&mut live, &mut journal, now);
            if n % 100 == 0 {
                drive(&mut journal, &mut ticks_ns);
            }
        }
        // What was dropped by then is changed in each way that needs the value.
        for (n, key) in keys.iter().enumerate().step_by(7) {
            let mut context = Context::new(0);
            match n % 3 {
                0 => context.emit(key, Data::append(b"+tail")),
                1 => context.emit_meta(key, Meta::Persist),
                _ => context.emit(key, Data::remove_key()),
            }
            context.flush(&mut live, &mut journal, now);
        }
        drive(&mut journal, &mut ticks_ns);
        drop(journal);

        let mut found = engine();
        let limit = 1 << 20;
        let (log, recovered) =
            recover(dir.path(), options(), Client::inline(), &mut found, limit).unwrap();
        assert!(recovered.segments > 3);
        assert!(found.space(0).cold_keys() > 1000);
        // What APPEND and PERSIST changed cannot be dropped before a snapshot.
        assert!(found.memory_bytes() < 3 * limit, "{}", found.memory_bytes());
        assert_eq!(found.space(0).len(), live.space(0).len());
        for key in &keys {
            let Some(slot) = found.space(0).find(found.key(key)) else {
                assert!(live.space(0).find(live.key(key)).is_none());
                continue;
            };
            let tip = found.space(0).entry(slot).tip();
            if let Some(read) = log.cold_read(tip) {
                let bytes = read.finish().expect("reads back");
                let mut deps = Vec::new();
                let stamped = unmarshal_effect(tip, &bytes, &mut deps).unwrap();
                found.restore_cold(0, slot, &stamped.effect);
            }
            let slot = found.space(0).find(found.key(key)).unwrap();
            let other = live.space(0).find(live.key(key)).expect("is live");
            let (entry, want) = (found.space(0).entry(slot), live.space(0).entry(other));
            assert_eq!(encode_state(entry), encode_state(want));
            assert_eq!(entry.expires_ms(), want.expires_ms());
        }
    }
}
