//! What all shards of the process share: little, and nothing of it on the hot path.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use causet_net::Waker;

use crate::config::{Config, Source};
use crate::lend::Desk;
use crate::usage::Memory;

/// How far a shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Serving.
    Running = 0,
    /// No new commands; what is in the log's buffers is being made durable.
    Stopping = 1,
}

/// Process-wide state.
pub struct Shared {
    /// Number of shards.
    pub shards: u16,
    /// This node.
    pub node: causet_core::id::NodeId,
    /// Unix milliseconds of the start.
    pub started_ms: u64,
    /// 40 hexadecimal digits that name this run.
    pub run_id: String,
    /// Where the configuration came from: CONFIG REWRITE goes back there.
    pub config_source: Source,
    /// The listening TCP port.
    pub port: u16,
    /// Name of the driver in use, once the shards run.
    pub driver: OnceLock<&'static str>,
    /// Last client id given.
    pub client_ids: AtomicU64,
    /// Last SLOWLOG id given.
    pub slowlog_ids: AtomicU64,
    /// Open client connections.
    pub clients: AtomicUsize,
    /// Clients in MONITOR mode, so that no one formats lines for nobody.
    pub monitors: AtomicUsize,
    /// CLIENT PAUSE: until this Unix millisecond.
    pub pause_until_ms: AtomicU64,
    /// CLIENT PAUSE ALL, not only writes.
    pub pause_all: AtomicBool,
    /// Last time the data set was known durable as a whole (LASTSAVE), in Unix seconds.
    pub last_save_s: AtomicU64,
    /// Memory that the process may use, in bytes, by `maxmemory`; 0: no limit.
    pub maxmemory: AtomicU64,
    /// Memory in use by all shards, in bytes; each shard adds its share ten times a second.
    pub used_memory: Vec<AtomicU64>,
    /// How far each shard's log is durable.
    pub durable: Vec<AtomicU64>,
    /// Bytes that the allocator had handed out when the process started.
    pub memory_startup: u64,
    /// The most that INFO or MEMORY saw handed out, in bytes.
    pub memory_peak: AtomicU64,
    /// See [`Phase`].
    phase: AtomicU8,
    /// Shards that start no more commands.
    pub stopped: AtomicU16,
    /// Shards that have sent their last replies, or given them up.
    pub quiet: AtomicU16,
    /// Whether each shard's disk has refused for so long that nobody waits for it any more.
    pub gave_up: Vec<AtomicBool>,
    /// Where shards are lent to one another.
    pub desk: Desk,
    /// Bells of all shards, once they run.
    wakers: OnceLock<Vec<Waker>>,
    config: RwLock<Arc<Config>>,
    config_version: AtomicU64,
}

/// What is known when the process starts.
pub struct SharedOptions {
    /// Number of shards.
    pub shards: u16,
    /// This node.
    pub node: causet_core::id::NodeId,
    /// Unix milliseconds.
    pub started_ms: u64,
    /// See [`Shared::run_id`].
    pub run_id: String,
    /// See [`Shared::config_source`].
    pub config_source: Source,
    /// See [`Shared::port`].
    pub port: u16,
    /// The configuration.
    pub config: Config,
}

impl Shared {
    /// The state of a process that starts.
    pub fn new(options: SharedOptions) -> Self {
        Shared {
            shards: options.shards,
            node: options.node,
            started_ms: options.started_ms,
            run_id: options.run_id,
            config_source: options.config_source,
            port: options.port,
            driver: OnceLock::new(),
            client_ids: AtomicU64::new(0),
            slowlog_ids: AtomicU64::new(0),
            clients: AtomicUsize::new(0),
            monitors: AtomicUsize::new(0),
            pause_until_ms: AtomicU64::new(0),
            pause_all: AtomicBool::new(false),
            last_save_s: AtomicU64::new(options.started_ms / 1000),
            maxmemory: AtomicU64::new(0),
            used_memory: (0..options.shards).map(|_| AtomicU64::new(0)).collect(),
            durable: (0..options.shards).map(|_| AtomicU64::new(0)).collect(),
            memory_startup: Memory::read().allocated,
            memory_peak: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Running as u8),
            stopped: AtomicU16::new(0),
            quiet: AtomicU16::new(0),
            gave_up: (0..options.shards)
                .map(|_| AtomicBool::new(false))
                .collect(),
            desk: Desk::new(options.shards),
            wakers: OnceLock::new(),
            config: RwLock::new(Arc::new(options.config)),
            config_version: AtomicU64::new(0),
        }
    }

    /// The configuration.
    pub fn config(&self) -> Arc<Config> {
        self.config
            .read()
            .expect("no holder of the lock panics")
            .clone()
    }

    /// CLIENT PAUSE: until `until_ms`, all commands or only writes. A pause under way is only ever
    /// made longer and wider, so that two operators do not undo each other's.
    pub fn pause(&self, now_ms: u64, until_ms: u64, all: bool) {
        let before_ms = self.pause_until_ms.load(Ordering::Acquire);
        let was_all = before_ms > now_ms && self.pause_all.load(Ordering::Acquire);
        self.pause_all.store(all || was_all, Ordering::Release);
        self.pause_until_ms
            .store(until_ms.max(before_ms), Ordering::Release);
    }

    /// CLIENT UNPAUSE: commands that wait are run at once.
    pub fn unpause(&self) {
        self.pause_until_ms.store(0, Ordering::Release);
        self.wake_all();
    }

    /// Replaces the configuration; shards notice within a tenth of a second, or at once when they
    /// are held by the command that does it.
    pub fn set_config(&self, config: Config) {
        *self.config.write().expect("no holder of the lock panics") = Arc::new(config);
        self.config_version.fetch_add(1, Ordering::Release);
    }

    /// Changes with every change of the configuration.
    pub fn config_version(&self) -> u64 {
        self.config_version.load(Ordering::Acquire)
    }

    /// Whether the process is stopping.
    #[inline]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            _ => Phase::Stopping,
        }
    }

    /// Starts the shutdown: every shard makes its log durable and ends.
    pub fn stop(&self) {
        self.phase.store(Phase::Stopping as u8, Ordering::Release);
        self.wake_all();
    }

    /// Tells how to wake the shards; called once, when they run.
    pub fn set_wakers(&self, wakers: Vec<Waker>) {
        let _ = self.wakers.set(wakers);
    }

    /// Rings every shard's bell.
    pub fn wake_all(&self) {
        for waker in self.wakers.get().into_iter().flatten() {
            waker.wake();
        }
    }
}
