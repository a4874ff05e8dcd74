//! The directives that the server acts upon, with their fields in [`Config`].
//!
//! Names that Redis has mean what they mean there, with its defaults, save two: `appendonly` is
//! `yes` and `appendfsync` is `always`, because the log is the store. What is only kept so that an
//! existing file starts is in [`super::accepted`].

use std::path::PathBuf;

use super::accepted::Accepted;
use super::choice::{
    AppendFsync, IoDriver, LocalAccess, LogLevel, MaxmemoryPolicy, PubsubDefault, Supervised,
};
use super::directive::{Change, Directive, directives, place};
use super::events::KeyspaceEvents;
use super::kind::{
    Bytes, Clamped, Directory, Events, Integer, Kind, Memory, Name, Octal, OneOf, Only, Share,
    Text, YesNo,
};
use super::list::{
    Addresses, BufferLimits, ClassLimits, Cores, Lines, NoLeader, Numbers, Percentiles, PinCores,
};
use super::memory::MemoryLimit;

const INT_MAX: i64 = i32::MAX as i64;
const SIZE_MAX: u64 = i64::MAX as u64;

directives! {
    /// Every setting of a server, as plain values.
    ///
    /// Shards share one behind an `Arc`; CONFIG SET makes a new value ([`Config::set`]), so no
    /// reader ever sees half a change.
    pub struct Config at [], has_effect: true {
        /// Number of shards, each a thread with its own keys and log; 0 means one for each core
        /// that this process may run on.
        "shards" => shards: u16 = 0, Integer(0, 1024), AtStart;
        /// Cores to pin the shards' threads to: empty for automatic, `none` for no pinning.
        "pin-cores" => pin_cores: PinCores = PinCores::Automatic, Cores, AtStart;
        /// The way to the kernel: io_uring, epoll, or whichever the host allows.
        "io-driver" => io_driver: IoDriver = IoDriver::Auto, OneOf, AtStart;
        /// Bytes of one segment file of the log, in whole MiB: a fraction is left off.
        "log-segment-size" => log_segment_size: u64 = 64 << 20, Memory(1 << 20, 1 << 30), AtStart;

        /// TCP port for clients; 0 listens on none.
        "port" => port: u16 = 6379, Integer(0, 65535), AtStart;
        /// Addresses to listen on; one with a leading `-` may be missing.
        "bind" => bind: Vec<String> = vec!["127.0.0.1".into(), "-::1".into()], Addresses, AtStart;
        /// Path of a Unix socket to listen on; empty for none.
        "unixsocket" => unixsocket: String = String::new(), Text, AtStart;
        /// Permissions of the Unix socket in octal; 0 leaves them to the umask.
        "unixsocketperm" => unixsocketperm: u32 = 0, Octal, AtStart;
        /// Clients connected at once, over all shards.
        "maxclients" => maxclients: u32 = 10_000, Integer(1, u32::MAX as i64), Live;
        /// Seconds without a command after which a client is disconnected; 0 means never.
        "timeout" => timeout: u32 = 0, Integer(0, INT_MAX), Live;
        /// Seconds between TCP keep-alive probes; 0 sends none.
        "tcp-keepalive" => tcp_keepalive: u32 = 300, Integer(0, INT_MAX), Live;
        /// Connections that wait to be accepted; the kernel caps it at net.core.somaxconn.
        "tcp-backlog" => tcp_backlog: u32 = 511, Integer(0, INT_MAX), AtStart;
        /// With no password and no `bind`, whether clients of other hosts are refused.
        "protected-mode" => protected_mode: bool = true, YesNo, Live;
        /// TCP port for TLS clients.
        "tls-port" => tls_port: u16 = 0, Only(Integer(0, 65535), 0,
            "TLS for clients is not supported yet: set tls-port 0, and put a TLS proxy in front"),
            Live;
        /// Largest argument of a command, in bytes.
        "proto-max-bulk-len" => proto_max_bulk_len: u64 = 512 << 20, Memory(1 << 20, SIZE_MAX), Live;
        /// Bytes that one client's unparsed input may take.
        "client-query-buffer-limit" => client_query_buffer_limit: u64 = 1 << 30,
            Memory(1 << 20, SIZE_MAX), Live;
        /// Bytes of unread replies above which a client is disconnected, for each class.
        "client-output-buffer-limit" => client_output_buffer_limit: BufferLimits =
            BufferLimits::DEFAULT, ClassLimits, Live;
        /// Memory of all clients' buffers together; 0 sets no limit.
        "maxmemory-clients" => maxmemory_clients: MemoryLimit = MemoryLimit::Bytes(0),
            Share("argument must be a memory or percent value"), Live;
        /// Keys that client-side caching remembers; 0 sets no limit.
        "tracking-table-max-keys" => tracking_table_max_keys: u64 = 1_000_000,
            Integer(0, i64::MAX), Live;

        /// Number of databases that SELECT knows.
        "databases" => databases: u32 = 16, Integer(1, INT_MAX), AtStart;
        /// The data directory: node id, logs. It cannot move under a running server.
        "dir" => dir: PathBuf = PathBuf::from("causet-data"), Directory, AtStart;
        /// Whether there is a log. Without one, a restart loses every key.
        "appendonly" => appendonly: bool = true, YesNo, AtStart;
        /// When a reply may leave, relative to its record reaching the disk.
        "appendfsync" => appendfsync: AppendFsync = AppendFsync::Always, OneOf, Live;
        /// Name of the directory inside `dir` that holds the log segments.
        "appenddirname" => appenddirname: String = "appendonlydir".into(),
            Name("appenddirname can't be a path, just a dirname"), AtStart;
        /// Growth of the log since the last compaction, in percent of live bytes, that starts the
        /// next; 0 leaves compaction to BGREWRITEAOF.
        "auto-aof-rewrite-percentage" => auto_aof_rewrite_percentage: u32 = 100,
            Integer(0, INT_MAX), Live;
        /// Bytes of log below which no compaction starts by itself.
        "auto-aof-rewrite-min-size" => auto_aof_rewrite_min_size: u64 = 64 << 20,
            Memory(0, SIZE_MAX), Live;
        /// Whether a torn tail of the log is cut at the start, rather than stopping it.
        "aof-load-truncated" => aof_load_truncated: bool = true, YesNo, Live;

        /// Memory for data: a size, or a percentage of what this process may use, re-evaluated
        /// live; 0 sets no limit.
        "maxmemory" => maxmemory: MemoryLimit = MemoryLimit::Bytes(0),
            Share("argument must be a memory value"), Live;
        /// What happens to keys at `maxmemory`; noeviction keeps them all, in the log.
        "maxmemory-policy" => maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::NoEviction,
            OneOf, Live;
        /// Random keys among which an lru or lfu policy chooses what to evict; beyond 64 it is 64.
        "maxmemory-samples" => maxmemory_samples: u32 = 5, Integer(1, INT_MAX), Live;
        /// Logarithmic growth of the access counter that OBJECT FREQ shows.
        "lfu-log-factor" => lfu_log_factor: u32 = 10, Integer(0, INT_MAX), Live;
        /// Minutes after which the access counter is lowered by one.
        "lfu-decay-time" => lfu_decay_time: u32 = 1, Integer(0, INT_MAX), Live;
        /// Effort of looking for expired keys, 1 to 10; more finds them sooner and costs CPU time.
        "active-expire-effort" => active_expire_effort: u8 = 1, Integer(1, 10), Live;
        /// Rounds of background work (expiry, client time-outs) in a second.
        "hz" => hz: u32 = 10, Clamped(1, 500), Live;

        /// Password of the default user; empty for none.
        "requirepass" => requirepass: Vec<u8> = Vec::new(), Bytes, Live;
        /// File with users, for ACL LOAD and SAVE; empty for none.
        "aclfile" => aclfile: String = String::new(), Text, AtStart;
        /// Entries that ACL LOG remembers.
        "acllog-max-len" => acllog_max_len: u64 = 128, Integer(0, i64::MAX), Live;
        /// Channels that a new user may use.
        "acl-pubsub-default" => acl_pubsub_default: PubsubDefault = PubsubDefault::ResetChannels,
            OneOf, Live;
        /// A user and its rules, as ACL SETUSER takes them.
        "user" => users: Vec<Vec<Vec<u8>>> = Vec::new(), Lines(1, usize::MAX), FileOnly;
        /// Another name for a command; the empty name disables it.
        "rename-command" => rename_command: Vec<Vec<Vec<u8>>> = Vec::new(), Lines(2, 2), FileOnly;
        /// Who may use DEBUG.
        "enable-debug-command" => enable_debug_command: LocalAccess = LocalAccess::No, OneOf,
            AtStart;
        /// Who may change protected directives by CONFIG SET.
        "enable-protected-configs" => enable_protected_configs: LocalAccess = LocalAccess::No,
            OneOf, AtStart;

        /// Least severity that is logged.
        "loglevel" => loglevel: LogLevel = LogLevel::Notice, OneOf, Live;
        /// File for log lines; empty for standard output.
        "logfile" => logfile: String = String::new(), Text, AtStart;
        /// Microseconds above which a command enters the slow log; -1 turns it off.
        "slowlog-log-slower-than" => slowlog_log_slower_than: i64 = 10_000,
            Integer(-1, i64::MAX), Live;
        /// Entries that the slow log remembers.
        "slowlog-max-len" => slowlog_max_len: u64 = 128, Integer(0, i64::MAX), Live;
        /// Milliseconds above which LATENCY records an event; 0 turns it off.
        "latency-monitor-threshold" => latency_monitor_threshold: u64 = 0,
            Integer(0, i64::MAX), Live;
        /// Whether each command's latency is kept for LATENCY HISTOGRAM and INFO latencystats.
        "latency-tracking" => latency_tracking: bool = true, YesNo, Live;
        /// Percentiles that INFO latencystats reports.
        "latency-tracking-info-percentiles" => latency_tracking_info_percentiles: Vec<f64> =
            vec![50.0, 99.0, 99.9], Percentiles, Live;
        /// Classes of keyspace events that are published; empty for none.
        "notify-keyspace-events" => notify_keyspace_events: KeyspaceEvents =
            KeyspaceEvents::default(), Events, Live;
        /// Milliseconds that a script may run before other clients are answered -BUSY.
        "busy-reply-threshold" | "lua-time-limit" => busy_reply_threshold: u64 = 5000,
            Integer(0, i64::MAX), Live;

        /// Fields up to which a hash is kept compact.
        "hash-max-listpack-entries" | "hash-max-ziplist-entries" =>
            hash_max_listpack_entries: u64 = 512, Integer(0, i64::MAX), Live;
        /// Bytes of a field or value up to which a hash is kept compact.
        "hash-max-listpack-value" | "hash-max-ziplist-value" =>
            hash_max_listpack_value: u64 = 64, Memory(0, SIZE_MAX), Live;
        /// Elements (positive) or size class (-1 = 4kb to -5 = 64kb) of a compact list.
        "list-max-listpack-size" | "list-max-ziplist-size" =>
            list_max_listpack_size: i32 = -2, Integer(i32::MIN as i64, INT_MAX), Live;
        /// Elements up to which a set of integers is kept compact.
        "set-max-intset-entries" => set_max_intset_entries: u64 = 512, Integer(0, i64::MAX), Live;
        /// Elements up to which any other set is kept compact.
        "set-max-listpack-entries" => set_max_listpack_entries: u64 = 128,
            Integer(0, i64::MAX), Live;
        /// Bytes of an element up to which a set is kept compact.
        "set-max-listpack-value" => set_max_listpack_value: u64 = 64, Memory(0, SIZE_MAX), Live;
        /// Elements up to which a sorted set is kept compact.
        "zset-max-listpack-entries" | "zset-max-ziplist-entries" =>
            zset_max_listpack_entries: u64 = 128, Integer(0, i64::MAX), Live;
        /// Bytes of an element up to which a sorted set is kept compact.
        "zset-max-listpack-value" | "zset-max-ziplist-value" =>
            zset_max_listpack_value: u64 = 64, Memory(0, SIZE_MAX), Live;
        /// Bytes up to which a HyperLogLog stays sparse.
        "hll-sparse-max-bytes" => hll_sparse_max_bytes: u64 = 3000, Memory(0, SIZE_MAX), Live;
        /// Bytes of one node of a stream; 0 sets no limit.
        "stream-node-max-bytes" => stream_node_max_bytes: u64 = 4096, Memory(0, SIZE_MAX), Live;
        /// Entries of one node of a stream; 0 sets no limit.
        "stream-node-max-entries" => stream_node_max_entries: u64 = 100,
            Integer(0, i64::MAX), Live;

        /// Running in the background is the service manager's work.
        "daemonize" => daemonize: bool = false, Only(YesNo, false,
            "Causet does not put itself into the background: run it under systemd \
             (tuning/systemd/causet.service) and set daemonize no"), AtStart;
        /// Who is told when the server is ready.
        "supervised" => supervised: Supervised = Supervised::No, OneOf, AtStart;
        /// File that holds the process id; empty for none.
        "pidfile" => pidfile: String = String::new(), Text, AtStart;
        /// Seconds that a shutdown waits for what is under way.
        "shutdown-timeout" => shutdown_timeout: u32 = 10, Integer(0, INT_MAX), Live;
        /// Adjustments of the kernel's out-of-memory score.
        "oom-score-adj-values" => oom_score_adj_values: [i32; 3] = [0, 200, 800],
            Numbers::<3>(-2000, 2000,
                "Invalid oom-score-adj-values, elements must be between -2000 and 2000."), Live;
        /// Causet has no leader; a line that names one is refused rather than ignored.
        "replicaof" | "slaveof" => replicaof: String = String::new(), NoLeader, AtStart;
        /// Redis Cluster's redirections; a Causet node answers for every slot by itself.
        "cluster-enabled" => cluster_enabled: bool = false, Only(YesNo, false,
            "Redis Cluster mode is not supported: every Causet node holds every slot. \
             Set cluster-enabled no"), AtStart;
    }
    with {
        /// Directives that are accepted for compatibility and have no effect.
        accepted: Accepted,
    }
}
