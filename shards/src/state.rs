//! What a shard owns besides its sockets: the engine, the log, the sessions, the statistics.
//!
//! One thread uses it, its shard's, with one exception: while a command holds several shards
//! (`lend.rs`), the thread that runs that command does, and the owner waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use causet_core::engine::{Engine, Now};
use causet_core::entry::Entry;
use causet_core::evict::Recency;
use causet_core::value::Limits;
use slab::Slab;

use crate::client::Client;
use crate::config::{Config, MaxmemoryPolicy, MemoryLimit, memory_limit_of_process};
use crate::cursors::Cursors;
use crate::journal::Journal;
use crate::latency::LatencyMonitor;
use crate::server::fsync;
use crate::shared::Shared;
use crate::slowlog::SlowLog;
use crate::stats::Stats;
use crate::ticks::{self, Ticks};

/// The state of one shard.
pub struct State {
    /// The shard's number.
    pub number: u16,
    /// What all shards share.
    pub shared: Arc<Shared>,
    /// The configuration as this shard last saw it.
    pub config: Arc<Config>,
    /// Keys and values.
    pub engine: Engine,
    /// Where effects become durable.
    pub journal: Journal,
    /// Sessions of this shard's connections, by the connection's index; a session that runs a
    /// command is taken out meanwhile.
    pub clients: Slab<Option<Box<Client>>>,
    /// Counters.
    pub stats: Stats,
    /// SLOWLOG.
    pub slowlog: SlowLog,
    /// Positions of SCANs.
    pub cursors: Cursors,
    /// How uses of keys are recorded.
    pub recency: Recency,
    /// Memory of the indexes when it was last added up, in bytes.
    pub overhead_bytes: usize,
    /// The keyspace that the clock hand is in.
    pub sweep_space: u32,
    /// Where the clock hand is in it.
    pub sweep_hand: u64,
    /// The clock hand freed something since it last came to the first keyspace.
    pub sweep_freed: bool,
    /// Rounds of the clock hand in which nothing was freed, since there last was room.
    pub idle_sweeps: u32,
    /// Segments of the log that were compacted since the start.
    pub compactions: u64,
    /// A segment is being compacted.
    pub is_compacting: bool,
    /// Unix milliseconds at which `maxmemory` was last taken as a part of what the process may use.
    pub limit_read_ms: u64,
    /// Growth is refused; decided once per turn.
    pub out_of_memory: bool,
    /// LATENCY's slow events.
    pub latency: LatencyMonitor,
    /// Expired keys are looked for in the background; DEBUG SET-ACTIVE-EXPIRE turns it off.
    pub active_expire: bool,
    /// SAVE or BGSAVE asked for it: the loop makes the log durable and clears the flag.
    pub wants_sync: bool,
    /// BGREWRITEAOF asked for it: the loop starts a compaction of the log and clears the flag.
    pub wants_compaction: bool,
    /// When the last command ended, or whoever runs commands began to: from here on the time is the
    /// next command's.
    pub ran_until: Ticks,
    /// The time at the start of this turn of the loop.
    pub now: Now,
    /// Random numbers for SPOP, RANDOMKEY, eviction; seeded from the system once.
    pub random: Random,
}

impl State {
    /// The state of a shard that starts.
    pub fn new(
        number: u16,
        shared: Arc<Shared>,
        engine: Engine,
        journal: Journal,
        random: Random,
    ) -> Self {
        State {
            number,
            config: shared.config(),
            shared,
            engine,
            journal,
            clients: Slab::new(),
            stats: Stats::default(),
            slowlog: SlowLog::default(),
            cursors: Cursors::default(),
            recency: Recency::new(false, 10, 1),
            overhead_bytes: 0,
            sweep_space: 0,
            sweep_hand: 0,
            sweep_freed: false,
            idle_sweeps: 0,
            compactions: 0,
            is_compacting: false,
            limit_read_ms: 0,
            out_of_memory: false,
            latency: LatencyMonitor::default(),
            active_expire: true,
            wants_sync: false,
            wants_compaction: false,
            ran_until: ticks::now(),
            now: Now { unix_ns: 0 },
            random,
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): fast and good enough to choose elements; not
/// for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, which is not 0.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }
}

impl State {
    /// The live entry of `key` in database `db`. A key that has expired is removed first, and the
    /// log hears of it. `counts` counts a keyspace hit or miss, `touches` tells the eviction policy.
    #[inline]
    pub fn use_entry(
        &mut self,
        db: u32,
        key: &[u8],
        counts: bool,
        touches: bool,
    ) -> Option<Entry<'_>> {
        let key = self.engine.key(key);
        let mut found = self.engine.space(db).find(key);
        if let Some(slot) = found
            && let Some(at_ms) = self.engine.space(db).entry(slot).expires_ms()
            && at_ms <= self.now.unix_ms()
        {
            self.engine
                .remove_expired(&mut self.journal, self.now, db, key);
            self.stats.expired_keys += 1;
            found = None;
        }
        if counts {
            if found.is_some() {
                self.stats.keyspace_hits += 1;
            } else {
                self.stats.keyspace_misses += 1;
            }
        }
        let slot = found?;
        if touches {
            let random = &mut self.random;
            self.engine.touch(db, slot, &self.recency, || random.bits());
        }
        Some(self.engine.space(db).entry(slot))
    }

    /// Puts a configuration in force on this shard, with all that derives from it: the limits of
    /// small collections, how uses are recorded, the memory limit. Some microseconds.
    pub fn adopt_config(&mut self, config: Arc<Config>) {
        self.engine.set_limits(collection_limits(&config));
        let counts = matches!(
            config.maxmemory_policy,
            MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu
        );
        self.recency = Recency::new(counts, config.lfu_log_factor, config.lfu_decay_time);
        self.recency.set_time(self.now.unix_ms());
        let limit = maxmemory_bytes(&config);
        self.shared.maxmemory.store(limit, Ordering::Relaxed);
        self.journal.set_fsync(fsync(config.appendfsync));
        self.config = config;
    }

    /// Whether growth must be refused: more memory in use than allowed with nothing left to evict,
    /// or a database at the end of what it can address.
    #[inline]
    pub fn is_out_of_memory(&self) -> bool {
        self.out_of_memory
    }
}

/// `maxmemory` in bytes, a percentage taken of what this process may use now; 0: no limit.
pub fn maxmemory_bytes(config: &Config) -> u64 {
    match config.maxmemory {
        MemoryLimit::Bytes(bytes) => bytes,
        percent => percent.bytes(memory_limit_of_process()),
    }
}

/// Up to where collections stay compact, as configured.
pub fn collection_limits(config: &Config) -> Limits {
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Limits {
        list_max_listpack_size: config.list_max_listpack_size,
        set_max_intset_entries: count(config.set_max_intset_entries),
        set_max_listpack_entries: count(config.set_max_listpack_entries),
        set_max_listpack_value: count(config.set_max_listpack_value),
        hash_max_listpack_entries: count(config.hash_max_listpack_entries),
        hash_max_listpack_value: count(config.hash_max_listpack_value),
        zset_max_listpack_entries: count(config.zset_max_listpack_entries),
        zset_max_listpack_value: count(config.zset_max_listpack_value),
    }
}
