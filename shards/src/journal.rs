//! The engine's way to the log: effects are encoded straight into the log's open buffer.
//!
//! With `appendonly no` there is no log, and effects only change memory.

use causet_core::effect::Stamped;
use causet_core::engine::EffectLog;
use causet_core::wire::{Sink, marshal_effect};

use crate::log::{Fsync, Log, Lsn, Record};

/// What a shard's log tells of itself, for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Whether there is a log.
    pub enabled: bool,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes when the last compaction had ended, or at the start.
    pub base_bytes: u64,
    /// Bytes appended that are not yet durable.
    pub pending_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Group commits.
    pub commits: u64,
    /// Effects appended.
    pub records: u64,
    /// Commits that failed.
    pub failures: u64,
    /// Compactions that ended.
    pub compactions: u64,
    /// Whether a compaction is running.
    pub is_compacting: bool,
}

impl JournalStats {
    /// Takes in another shard's figures.
    pub fn add(&mut self, other: JournalStats) {
        self.enabled |= other.enabled;
        self.bytes += other.bytes;
        self.base_bytes += other.base_bytes;
        self.pending_bytes += other.pending_bytes;
        self.segments += other.segments;
        self.commits += other.commits;
        self.records += other.records;
        self.failures += other.failures;
        self.compactions += other.compactions;
        self.is_compacting |= other.is_compacting;
    }
}

/// Where a shard's effects go.
pub enum Journal {
    /// `appendonly no`.
    Off,
    /// A log.
    On(Box<Log>),
}

/// An effect's place at the end of the log.
struct Place<'r, 'l>(&'r mut Record<'l>);

impl Sink for Place<'_, '_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0.put(bytes);
    }
}

impl EffectLog for Log {
    #[inline]
    fn append(&mut self, counter: u64, stamped: &Stamped<'_>, more_in_group: bool) {
        debug_assert_eq!(counter, self.next_counter());
        Log::append(self, more_in_group, |record| {
            marshal_effect(counter, stamped, &mut Place(record));
        });
    }
}

impl EffectLog for Journal {
    #[inline]
    fn append(&mut self, counter: u64, stamped: &Stamped<'_>, more_in_group: bool) {
        if let Journal::On(log) = self {
            EffectLog::append(&mut **log, counter, stamped, more_in_group);
        }
    }
}

impl Journal {
    /// The log, if there is one.
    pub fn log(&self) -> Option<&Log> {
        match self {
            Journal::Off => None,
            Journal::On(log) => Some(log),
        }
    }

    /// The log, if there is one.
    pub fn log_mut(&mut self) -> Option<&mut Log> {
        match self {
            Journal::Off => None,
            Journal::On(log) => Some(log),
        }
    }

    /// Why no write can be taken now, if so.
    #[inline]
    pub fn refusing(&self) -> Option<&str> {
        self.log()
            .and_then(Log::refusal)
            .map(|refusal| refusal.reason.as_str())
    }

    /// The position that must be durable before what was read or written until now may be told to
    /// a client; `None` where it may be told at once, by the policy or because it is durable. While
    /// the disk refuses, writes do too, and reads go on: they tell what is in memory, and nothing of
    /// it is lost when the disk recovers. (The replies to the writes before keep their own hold.)
    #[inline]
    pub fn hold(&self) -> Option<Lsn> {
        let log = self.log()?;
        let waits = log.fsync() == Fsync::Always
            && log.durable_lsn() < log.appended_lsn()
            && log.refusal().is_none();
        waits.then(|| log.appended_lsn())
    }

    /// Has the log made durable soon, whatever the policy; the position to wait for, if any.
    pub fn request_flush(&mut self) -> Option<Lsn> {
        let log = self.log_mut()?;
        let end = log.request_flush();
        (log.durable_lsn() < end).then_some(end)
    }

    /// Follows a change of `appendfsync`. What waits for the old policy is made durable now: under
    /// the new one nothing else might ever do it.
    pub fn set_fsync(&mut self, fsync: Fsync) {
        if let Some(log) = self.log_mut()
            && log.fsync() != fsync
        {
            log.set_fsync(fsync);
            log.request_flush();
        }
    }

    /// Everything below this survives a power loss.
    #[inline]
    pub fn durable(&self) -> Lsn {
        self.log().map_or(Lsn(u64::MAX), Log::durable_lsn)
    }

    /// The log's figures.
    pub fn stats(&self) -> JournalStats {
        let Some(log) = self.log() else {
            return JournalStats::default();
        };
        let stats = log.stats();
        JournalStats {
            enabled: true,
            bytes: stats.disk_bytes,
            base_bytes: stats.disk_bytes,
            pending_bytes: stats.waiting_bytes as u64,
            segments: stats.segments as u64,
            commits: stats.batches,
            records: stats.effects,
            ..JournalStats::default()
        }
    }

    /// Whether so much waits for the disk that no more commands should be taken. Not while the disk
    /// refuses: then writes do too, and reads go on.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.log()
            .is_some_and(|log| log.is_full() && log.refusal().is_none())
    }
}
