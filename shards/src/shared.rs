//! What all shards of the process share: little, and nothing of it on the hot path.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use causet_net::Waker;

use crate::config::Config;
use crate::lend::Desk;

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
    /// The configuration file, if any.
    pub config_file: Option<std::path::PathBuf>,
    /// The listening TCP port.
    pub port: u16,
    /// Name of the driver in use.
    pub driver: &'static str,
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
    /// See [`Phase`].
    phase: AtomicU8,
    /// Shards that start no more commands.
    pub stopped: AtomicU16,
    /// Where shards are lent to one another.
    pub desk: Desk,
    /// Bells of all shards, once they run.
    pub wakers: RwLock<Vec<Waker>>,
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
    /// See [`Shared::config_file`].
    pub config_file: Option<std::path::PathBuf>,
    /// See [`Shared::port`].
    pub port: u16,
    /// See [`Shared::driver`].
    pub driver: &'static str,
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
            config_file: options.config_file,
            port: options.port,
            driver: options.driver,
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
            phase: AtomicU8::new(Phase::Running as u8),
            stopped: AtomicU16::new(0),
            desk: Desk::new(options.shards),
            wakers: RwLock::new(Vec::new()),
            config: RwLock::new(Arc::new(options.config)),
            config_version: AtomicU64::new(0),
        }
    }

    /// The configuration.
    pub fn config(&self) -> Arc<Config> {
        self.config.read().expect("no holder of the lock panics").clone()
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

    /// Rings every shard's bell.
    pub fn wake_all(&self) {
        for waker in self.wakers.read().expect("no holder of the lock panics").iter() {
            waker.wake();
        }
    }

    /// Rings one shard's bell.
    pub fn wake(&self, shard: u16) {
        if let Some(waker) =
            self.wakers.read().expect("no holder of the lock panics").get(usize::from(shard))
        {
            waker.wake();
        }
    }
}
