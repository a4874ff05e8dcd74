//! Values that are in the log only, on their way back into memory.
//!
//! A command that needs one waits; the shard does not. Each value is read once, however many wait
//! for it.

use std::collections::{HashSet, VecDeque};

use causet_core::entry::Value;
use causet_core::index::Slot;
use causet_core::wire::unmarshal_effect;

use crate::disk::{Disk, Owner};
use crate::log::{ColdRead, Locate, Progress};
use crate::state::State;

/// Reads under way at once: enough to keep a device busy, and far below what the driver takes.
const READS_MAX: usize = 64;

/// A value that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wanted {
    /// The keyspace's number.
    space: u32,
    key: Vec<u8>,
    /// The effect that holds it.
    tip: u64,
}

/// The reads under way in one shard.
#[derive(Default)]
pub struct ColdReads {
    queued: VecDeque<Wanted>,
    reading: Vec<(u64, Wanted, ColdRead)>,
    /// All that is queued or being read.
    pending: HashSet<Wanted>,
    /// Values asked for so far.
    asked: u64,
    /// Values whose records do not read back. Whoever asks gets an error.
    lost: HashSet<Wanted>,
}

/// What becomes of a command that needs a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residence {
    /// The value is in memory, or there is none.
    Resident,
    /// It is being read.
    Coming,
    /// Its record in the log is damaged.
    Lost,
}

impl ColdReads {
    /// Where the value of `key` in database `db` is; its reading is started where it is cold.
    pub fn residence(&mut self, state: &State, db: u32, key: &[u8]) -> Residence {
        let number = state.engine.place(db);
        let Some(slot) = cold_slot(state, number, key) else {
            return Residence::Resident;
        };
        let tip = state.engine.keyspace(number).entry(slot).tip();
        let wanted = Wanted {
            space: number,
            key: key.to_vec(),
            tip,
        };
        if self.lost.contains(&wanted) {
            return Residence::Lost;
        }
        if self.pending.insert(wanted.clone()) {
            self.asked += 1;
            self.queued.push_back(wanted);
        }
        Residence::Coming
    }

    /// Values asked for so far: where it grows, a read was started.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Starts the reads that were asked for, a bounded number at once.
    pub fn submit(&mut self, state: &mut State, disk: &mut Disk<'_>) {
        let mut pending = Vec::new();
        while self.reading.len() < READS_MAX
            && let Some(log) = state.journal.log()
            && let Some(wanted) = self.queued.pop_front()
        {
            match log.locate(wanted.tip) {
                Locate::At(mut read) => {
                    let progress = read.start();
                    self.advance(wanted, read, progress, state, disk);
                }
                Locate::Pending => pending.push(wanted),
                Locate::Gone => self.give_up(wanted, state),
            }
        }
        self.queued.extend(pending);
    }

    /// Takes the result of a read.
    pub fn on_read(&mut self, op: u64, bytes: &[u8], state: &mut State, disk: &mut Disk<'_>) {
        let Some(at) = self.reading.iter().position(|(other, ..)| *other == op) else {
            return;
        };
        let (_, wanted, mut read) = self.reading.swap_remove(at);
        let progress = read.on_read(bytes);
        self.advance(wanted, read, progress, state, disk);
    }

    fn advance(
        &mut self,
        wanted: Wanted,
        read: ColdRead,
        progress: Progress,
        state: &mut State,
        disk: &mut Disk<'_>,
    ) {
        match progress {
            Progress::Read(request) => {
                let op = disk.start_read(Owner::Cold, &request);
                self.reading.push((op, wanted, read));
            }
            Progress::Found(bytes) => {
                self.pending.remove(&wanted);
                if !restore(state, wanted.space, &wanted.key, wanted.tip, &bytes) {
                    self.give_up(wanted, state);
                }
            }
            Progress::Lost => self.give_up(wanted, state),
        }
    }

    /// A record that is gone: compaction may have moved the value meanwhile, else it is lost.
    fn give_up(&mut self, wanted: Wanted, state: &State) {
        self.pending.remove(&wanted);
        let Some(slot) = cold_slot(state, wanted.space, &wanted.key) else {
            return;
        };
        if state.engine.keyspace(wanted.space).entry(slot).tip() == wanted.tip {
            tracing::error!(
                key = %String::from_utf8_lossy(&wanted.key),
                counter = wanted.tip,
                "a value's record in the log does not read back"
            );
            self.lost.insert(wanted);
        }
    }
}

fn cold_slot(state: &State, number: u32, key: &[u8]) -> Option<Slot> {
    let space = state.engine.keyspace(number);
    let slot = space.find(space.key(key))?;
    matches!(space.entry(slot).value(), Value::Cold).then_some(slot)
}

/// Puts a value back, unless the key has changed since. `false`: the bytes are not that effect.
fn restore(state: &mut State, number: u32, key: &[u8], tip: u64, bytes: &[u8]) -> bool {
    let mut deps = Vec::new();
    let Ok(stamped) = unmarshal_effect(tip, bytes, &mut deps) else {
        return false;
    };
    if stamped.effect.key != key {
        return false;
    }
    if let Some(slot) = cold_slot(state, number, key)
        && state.engine.keyspace(number).entry(slot).tip() == tip
    {
        state.engine.restore_cold(number, slot, &stamped.effect);
        state.stats.cold_reads += 1;
    }
    true
}

/// Reads a cold value back while the caller waits: for commands that hold several shards, which must
/// not be left in the middle. `false`: its record does not read back.
pub fn warm_up(state: &mut State, db: u32, key: &[u8]) -> bool {
    let number = state.engine.place(db);
    let Some(slot) = cold_slot(state, number, key) else {
        return true;
    };
    let tip = state.engine.keyspace(number).entry(slot).tip();
    let Some(log) = state.journal.log() else {
        return false;
    };
    // A value is dropped only when its record is on disk, so it is never pending.
    log.cold_read(tip)
        .and_then(ColdRead::finish)
        .is_some_and(|bytes| restore(state, number, key, tip, &bytes))
}
