//! How one log is kept, and what it tells about itself.
//!
//! Plain values for the configuration and for INFO; the behaviour they choose is in `writer`.

/// Redis's `appendfsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// A reply waits until its effect is durable ([`Log::durable_lsn`](super::Log::durable_lsn)).
    Always,
    /// Written within 10 ms, flushed once a second.
    EverySec,
    /// Written within 10 ms; flushed when the log is closed or a segment is retired.
    No,
}

/// How one log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's id; segments of another node are refused.
    pub node: u64,
    /// The shard's number.
    pub stream: u16,
    /// Size of a segment file in bytes: a multiple of 1 MiB, at most 1 GiB.
    pub segment_bytes: u32,
    /// Segments made ahead of need.
    pub ready_ahead: u64,
    /// Retired segments kept for reuse; more are deleted.
    pub spares_max: usize,
    /// When so many bytes wait to be written, [`Log::is_full`](super::Log::is_full).
    pub waiting_bytes_max: usize,
    /// The policy at the start.
    pub fsync: Fsync,
}

impl Options {
    /// The defaults: 64 MiB segments, two ready, two spares, 8 MiB waiting, `everysec`.
    #[must_use]
    pub fn new(node: u64, stream: u16) -> Options {
        Options {
            node,
            stream,
            segment_bytes: 64 << 20,
            ready_ahead: 2,
            spares_max: 2,
            waiting_bytes_max: 8 << 20,
            fsync: Fsync::EverySec,
        }
    }
}

/// Why the log refuses writes, for -MISCONF and INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The operating system's error number, if it gave one.
    pub errno: Option<i32>,
    /// Since when without a break, in nanoseconds of the clock that
    /// [`Log::tick`](super::Log::tick) is given.
    pub since_ns: u64,
    /// What failed, and with what.
    pub reason: String,
}

/// Figures for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Segments in the chain, the active one included.
    pub segments: usize,
    /// Bytes of their files.
    pub disk_bytes: u64,
    /// Batches written since the start.
    pub batches: u64,
    /// Effects appended since the start.
    pub effects: u64,
    /// Flushes (fdatasync) done since the start.
    pub flushes: u64,
    /// Bytes that wait to be written.
    pub waiting_bytes: usize,
    /// Written bytes kept in memory until a flush covers them.
    pub held_bytes: usize,
}
