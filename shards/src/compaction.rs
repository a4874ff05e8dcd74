//! Compaction of a shard's log: the oldest segment's live records are written again at the end, then
//! the segment goes.
//!
//! It runs in the shard's own thread in small steps, one at most per turn of the loop, so that
//! traffic waits for no more than a step. No fork, and no memory beyond a read buffer.

use causet_core::wire::unmarshal_effect;

use crate::disk::{Disk, Owner};
use crate::log::{Compactor, Step};
use crate::state::State;

/// Bytes of the segment that one step looks at.
const STEP_BYTES: usize = 16 << 10;

/// Records whose keys are looked up together, so that their cache misses overlap.
const PREFETCHED_MAX: usize = 32;

/// The compaction of one shard's log.
#[derive(Default)]
pub struct Compaction {
    active: Option<Compactor>,
    /// The read under way.
    reading: Option<u64>,
    /// BGREWRITEAOF: segments before this one are compacted whatever they hold.
    until: Option<u64>,
    /// Segments that were compacted since the start.
    segments: u64,
    /// A segment that does not read back stops compaction until the next start.
    is_damaged: bool,
}

impl Compaction {
    /// Whether a step can be taken at once.
    pub fn is_ready(&self) -> bool {
        self.active.is_some() && self.reading.is_none()
    }

    /// Takes a step, if there is one to take.
    pub fn advance(&mut self, state: &mut State, disk: &mut Disk<'_>) {
        if self.active.is_none() {
            self.start(state);
        }
        if self.reading.is_some() {
            return;
        }
        let Some(compactor) = &mut self.active else {
            return;
        };
        let State {
            journal,
            engine,
            now,
            ..
        } = state;
        let Some(log) = journal.log_mut() else { return };
        // What is written again must not fill the log's buffer: traffic comes first.
        if log.is_full() || log.refusal().is_some() {
            return;
        }
        let step = compactor.step(log, STEP_BYTES, &mut |log, effects| {
            let mut deps = vec![Vec::new(); effects.len()];
            let read = |((counter, bytes), deps)| {
                let stamped = unmarshal_effect(counter, bytes, deps).ok()?;
                Some((counter, stamped.effect))
            };
            let effects: Vec<_> = effects.iter().zip(&mut deps).filter_map(read).collect();
            for batch in effects.chunks(PREFETCHED_MAX) {
                engine.prefetch(batch.iter().map(|(_, effect)| effect));
                for (counter, effect) in batch {
                    engine.keep_if_live(log, *now, *counter, effect);
                }
            }
        });
        match step {
            Step::Read(request) => {
                self.reading = Some(disk.start_read(Owner::Compaction, &request));
            }
            Step::Ready => {}
            Step::Finished => {
                self.active = None;
                self.segments += 1;
            }
            Step::Damaged => {
                tracing::error!(
                    segment = compactor.segment(),
                    "a log segment does not read back; it is kept and compaction stops"
                );
                self.active = None;
                self.is_damaged = true;
            }
        }
        state.compactions = self.segments;
        state.is_compacting = self.active.is_some();
    }

    fn start(&mut self, state: &mut State) {
        let Some(log) = state.journal.log() else {
            return;
        };
        if self.is_damaged {
            return;
        }
        if std::mem::take(&mut state.wants_compaction) {
            // What is written again from here on need not be once more: it would never end.
            self.until = Some(log.appended_lsn().segment());
        }
        let is_needed = log.needs_compaction(state.engine.live_bytes());
        if !is_needed && self.until.is_none() {
            return;
        }
        let next = Compactor::start(log);
        let is_wanted =
            |compactor: &Compactor| self.until.is_some_and(|until| compactor.segment() < until);
        if !next.as_ref().is_some_and(is_wanted) {
            self.until = None;
        }
        self.active = next.filter(|_| is_needed || self.until.is_some());
    }

    /// Takes the result of the read under way.
    pub fn on_read(&mut self, op: u64, bytes: &[u8]) {
        if self.reading == Some(op) {
            self.reading = None;
            if let Some(compactor) = &mut self.active {
                compactor.on_read(bytes);
            }
        }
    }
}
