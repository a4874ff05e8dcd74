//! Directives of Redis that have no meaning in Causet: accepted, checked, kept and shown, so that an
//! existing redis.conf starts and a client's CONFIG GET or SET is answered.
//!
//! No code of the server may act on a field of [`Accepted`]; a directive that gains a meaning moves to
//! [`super::table`]. Each row says why it has none.

use super::directive::{Change, Directive, directives, place};
use super::kind::{Bytes, Integer, Kind, Memory, Name, Text, Word, YesNo};
use super::list::{SavePoint, SavePoints, SomeOf};

const INT_MAX: i64 = i32::MAX as i64;
const SIZE_MAX: u64 = i64::MAX as u64;
const SHUTDOWN: &[&str] = &["default", "save", "nosave", "now", "force"];
const NO_YES_LOCAL: &[&str] = &["no", "yes", "local"];

directives! {
    /// Settings that are kept and shown, and acted upon by nothing.
    pub struct Accepted at [accepted], has_effect: false {
        /// Snapshots on a schedule: the log makes every write durable, nothing is snapshotted.
        "save" => save: Vec<SavePoint> = Vec::new(), SavePoints, Live;
        /// Name of a snapshot file: none is written.
        "dbfilename" =>
            dbfilename: String = "dump.rdb".into(),
            Name("dbfilename can't be a path, just a filename"), Protected;
        /// Snapshots are not written.
        "rdbcompression" => rdbcompression: bool = true, YesNo, Live;
        /// Snapshots are not written; log records always carry a CRC-32C.
        "rdbchecksum" => rdbchecksum: bool = true, YesNo, AtStart;
        /// Snapshots are not written.
        "rdb-del-sync-files" => rdb_del_sync_files: bool = false, YesNo, Live;
        /// Snapshots are not written.
        "rdb-save-incremental-fsync" => rdb_save_incremental_fsync: bool = true, YesNo, Live;
        /// Every payload is checked.
        "sanitize-dump-payload" =>
            sanitize_dump_payload: &'static str = "no", Word(&["no", "yes", "clients"]), Live;
        /// There is no BGSAVE to fail; a failing log always refuses writes.
        "stop-writes-on-bgsave-error" => stop_writes_on_bgsave_error: bool = true, YesNo, Live;
        /// Log segments are named by shard and number.
        "appendfilename" =>
            appendfilename: String = "appendonly.aof".into(),
            Name("appendfilename can't be a path, just a filename"), AtStart;
        /// Compaction never holds up the flush of the log.
        "no-appendfsync-on-rewrite" => no_appendfsync_on_rewrite: bool = false, YesNo, Live;
        /// Compaction writes with O_DIRECT.
        "aof-rewrite-incremental-fsync" => aof_rewrite_incremental_fsync: bool = true, YesNo, Live;
        /// Compaction writes snapshot effects.
        "aof-use-rdb-preamble" => aof_use_rdb_preamble: bool = true, YesNo, Live;
        /// Every effect carries its time.
        "aof-timestamp-enabled" => aof_timestamp_enabled: bool = false, YesNo, Live;
        /// Segments are recycled.
        "aof-disable-auto-gc" => aof_disable_auto_gc: bool = false, YesNo, Live;

        /// Eviction is incremental and bounded.
        "maxmemory-eviction-tenacity" =>
            maxmemory_eviction_tenacity: u32 = 10, Integer(0, 100), Live;
        /// A value is freed at once, by the shard that owns it.
        "lazyfree-lazy-eviction" => lazyfree_lazy_eviction: bool = false, YesNo, Live;
        /// See lazyfree-lazy-eviction.
        "lazyfree-lazy-expire" => lazyfree_lazy_expire: bool = false, YesNo, Live;
        /// See lazyfree-lazy-eviction.
        "lazyfree-lazy-server-del" => lazyfree_lazy_server_del: bool = false, YesNo, Live;
        /// See lazyfree-lazy-eviction.
        "lazyfree-lazy-user-del" => lazyfree_lazy_user_del: bool = false, YesNo, Live;
        /// Flushed databases are always freed in small steps.
        "lazyfree-lazy-user-flush" => lazyfree_lazy_user_flush: bool = false, YesNo, Live;
        /// Background work is done ten times a second, however many clients there are.
        "dynamic-hz" => dynamic_hz: bool = true, YesNo, Live;
        /// Tables grow incrementally.
        "activerehashing" => activerehashing: bool = true, YesNo, Live;
        /// Lists are not compressed in memory.
        "list-compress-depth" => list_compress_depth: u32 = 0, Integer(0, INT_MAX), Live;
        /// The allocator gives memory back; nothing is moved.
        "activedefrag" => activedefrag: bool = false, YesNo, Live;
        /// See activedefrag.
        "active-defrag-ignore-bytes" =>
            active_defrag_ignore_bytes: u64 = 100 << 20, Memory(1, SIZE_MAX), Live;
        /// See activedefrag.
        "active-defrag-threshold-lower" =>
            active_defrag_threshold_lower: u32 = 10, Integer(0, 1000), Live;
        /// See activedefrag.
        "active-defrag-threshold-upper" =>
            active_defrag_threshold_upper: u32 = 100, Integer(0, 1000), Live;
        /// See activedefrag.
        "active-defrag-cycle-min" => active_defrag_cycle_min: u32 = 1, Integer(1, 99), Live;
        /// See activedefrag.
        "active-defrag-cycle-max" => active_defrag_cycle_max: u32 = 25, Integer(1, 99), Live;
        /// See activedefrag.
        "active-defrag-max-scan-fields" =>
            active_defrag_max_scan_fields: u64 = 1000, Integer(1, i64::MAX), Live;
        /// The allocator is set up at build time.
        "jemalloc-bg-thread" => jemalloc_bg_thread: bool = true, YesNo, Live;
        /// See `causet-tune check` for transparent huge pages.
        "disable-thp" => disable_thp: bool = true, YesNo, AtStart;

        /// Use `shards`: each shard does its own input and output.
        "io-threads" => io_threads: u32 = 1, Integer(1, 128), AtStart;
        /// Use `shards`.
        "io-threads-do-reads" => io_threads_do_reads: bool = false, YesNo, AtStart;
        /// Use `pin-cores`.
        "server_cpulist" | "server-cpulist" =>
            server_cpulist: String = String::new(), Text, AtStart;
        /// There are no background threads of that kind.
        "bio_cpulist" | "bio-cpulist" => bio_cpulist: String = String::new(), Text, AtStart;
        /// Compaction runs on the shards.
        "aof_rewrite_cpulist" | "aof-rewrite-cpulist" =>
            aof_rewrite_cpulist: String = String::new(), Text, AtStart;
        /// There is no BGSAVE process.
        "bgsave_cpulist" | "bgsave-cpulist" =>
            bgsave_cpulist: String = String::new(), Text, AtStart;
        /// Log lines go to `logfile`, or to standard output, which systemd keeps.
        "syslog-enabled" => syslog_enabled: bool = false, YesNo, AtStart;
        /// See syslog-enabled.
        "syslog-ident" => syslog_ident: String = "redis".into(), Text, AtStart;
        /// See syslog-enabled.
        "syslog-facility" =>
            syslog_facility: &'static str = "local0",
            Word(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]), AtStart;
        /// There is no logo.
        "always-show-logo" => always_show_logo: bool = false, YesNo, AtStart;
        /// The process title is the command line.
        "set-proc-title" => set_proc_title: bool = true, YesNo, AtStart;
        /// See set-proc-title.
        "proc-title-template" =>
            proc_title_template: String = "{title} {listen-addr} {server-mode}".into(), Text, Live;
        /// A panic always tells its place on standard error; RUST_BACKTRACE=1 adds the calls.
        "crash-log-enabled" => crash_log_enabled: bool = true, YesNo, Live;
        /// Memory is not tested after a crash.
        "crash-memcheck-enabled" => crash_memcheck_enabled: bool = true, YesNo, Live;
        /// `causet-tune check` warns.
        "ignore-warnings" => ignore_warnings: String = String::new(), Text, Live;
        /// Set OOMScoreAdjust in the systemd unit.
        "oom-score-adj" =>
            oom_score_adj: &'static str = "no", Word(&["no", "yes", "relative", "absolute"]), Live;
        /// A signal flushes the log and stops.
        "shutdown-on-sigint" =>
            shutdown_on_sigint: String = "default".into(), SomeOf(SHUTDOWN), Live;
        /// A signal flushes the log and stops.
        "shutdown-on-sigterm" =>
            shutdown_on_sigterm: String = "default".into(), SomeOf(SHUTDOWN), Live;
        /// Commands are not propagated; effects are.
        "propagation-error-behavior" =>
            propagation_error_behavior: &'static str = "ignore",
            Word(&["ignore", "panic", "panic-on-replicas"]), Live;
        /// There are no modules.
        "enable-module-command" =>
            enable_module_command: &'static str = "no", Word(NO_YES_LOCAL), AtStart;
        /// Sockets are not marked.
        "socket-mark-id" => socket_mark_id: u32 = 0, Integer(0, u32::MAX as i64), AtStart;
        /// There are no replicas to connect to.
        "bind-source-addr" => bind_source_addr: String = String::new(), Text, Live;
        /// Texts compare by bytes.
        "locale-collate" => locale_collate: String = String::new(), Text, Live;

        /// There is no leader to authenticate to.
        "masterauth" => masterauth: Vec<u8> = Vec::new(), Bytes, Live;
        /// There is no leader to authenticate to.
        "masteruser" => masteruser: String = String::new(), Text, Live;
        /// There is no failover: every node takes writes.
        "replica-priority" | "slave-priority" =>
            replica_priority: u32 = 100, Integer(0, INT_MAX), Live;
        /// Every node takes writes.
        "replica-read-only" | "slave-read-only" => replica_read_only: bool = true, YesNo, Live;
        /// There is no leader to be cut off from.
        "replica-serve-stale-data" | "slave-serve-stale-data" =>
            replica_serve_stale_data: bool = true, YesNo, Live;
        /// There is no leader to copy from.
        "replica-lazy-flush" | "slave-lazy-flush" => replica_lazy_flush: bool = false, YesNo, Live;
        /// There is no leader whose evictions count.
        "replica-ignore-maxmemory" | "slave-ignore-maxmemory" =>
            replica_ignore_maxmemory: bool = true, YesNo, Live;
        /// A failing log refuses writes.
        "replica-ignore-disk-write-errors" =>
            replica_ignore_disk_write_errors: bool = false, YesNo, Live;
        /// There is no Sentinel to announce to.
        "replica-announced" => replica_announced: bool = true, YesNo, Live;
        /// There is no Sentinel to announce to.
        "replica-announce-ip" | "slave-announce-ip" =>
            replica_announce_ip: String = String::new(), Text, Live;
        /// There is no Sentinel to announce to.
        "replica-announce-port" | "slave-announce-port" =>
            replica_announce_port: u32 = 0, Integer(0, 65535), Live;
        /// There are no replicas.
        "min-replicas-to-write" | "min-slaves-to-write" =>
            min_replicas_to_write: u32 = 0, Integer(0, INT_MAX), Live;
        /// See min-replicas-to-write.
        "min-replicas-max-lag" | "min-slaves-max-lag" =>
            min_replicas_max_lag: u32 = 10, Integer(0, INT_MAX), Live;
        /// There are no replicas.
        "close-on-replica-write" => close_on_replica_write: bool = true, YesNo, Live;
        /// There are no replicas to keep one for.
        "repl-backlog-size" => repl_backlog_size: u64 = 1 << 20, Memory(1, SIZE_MAX), Live;
        /// There are no replicas to keep one for.
        "repl-backlog-ttl" => repl_backlog_ttl: u64 = 3600, Integer(0, i64::MAX), Live;
        /// There are no replicas.
        "repl-disable-tcp-nodelay" => repl_disable_tcp_nodelay: bool = false, YesNo, Live;
        /// There are no replicas.
        "repl-diskless-sync" => repl_diskless_sync: bool = true, YesNo, Live;
        /// There are no replicas.
        "repl-diskless-sync-delay" => repl_diskless_sync_delay: u32 = 5, Integer(0, INT_MAX), Live;
        /// There are no replicas.
        "repl-diskless-sync-max-replicas" =>
            repl_diskless_sync_max_replicas: u32 = 0, Integer(0, INT_MAX), Live;
        /// There are no replicas.
        "repl-diskless-load" =>
            repl_diskless_load: &'static str = "disabled",
            Word(&["disabled", "on-empty-db", "swapdb"]), Live;
        /// There are no replicas.
        "repl-ping-replica-period" | "repl-ping-slave-period" =>
            repl_ping_replica_period: u32 = 10, Integer(1, INT_MAX), Live;
        /// There are no replicas.
        "repl-timeout" => repl_timeout: u32 = 60, Integer(1, INT_MAX), Live;

        /// See cluster-enabled.
        "cluster-config-file" => cluster_config_file: String = "nodes.conf".into(), Text, AtStart;
        /// See cluster-enabled.
        "cluster-node-timeout" => cluster_node_timeout: u64 = 15000, Integer(0, i64::MAX), Live;
        /// See cluster-enabled.
        "cluster-port" => cluster_port: u32 = 0, Integer(0, 65535), AtStart;
        /// See cluster-enabled.
        "cluster-migration-barrier" =>
            cluster_migration_barrier: u32 = 1, Integer(0, INT_MAX), Live;
        /// See cluster-enabled.
        "cluster-replica-validity-factor" | "cluster-slave-validity-factor" =>
            cluster_replica_validity_factor: u32 = 10, Integer(0, INT_MAX), Live;
        /// See cluster-enabled.
        "cluster-replica-no-failover" | "cluster-slave-no-failover" =>
            cluster_replica_no_failover: bool = false, YesNo, Live;
        /// See cluster-enabled.
        "cluster-require-full-coverage" => cluster_require_full_coverage: bool = true, YesNo, Live;
        /// See cluster-enabled.
        "cluster-allow-reads-when-down" => cluster_allow_reads_when_down: bool = false, YesNo, Live;
        /// See cluster-enabled.
        "cluster-allow-pubsubshard-when-down" =>
            cluster_allow_pubsubshard_when_down: bool = true, YesNo, Live;
        /// See cluster-enabled.
        "cluster-allow-replica-migration" =>
            cluster_allow_replica_migration: bool = true, YesNo, Live;
        /// See cluster-enabled.
        "cluster-link-sendbuf-limit" =>
            cluster_link_sendbuf_limit: u64 = 0, Memory(0, SIZE_MAX), Live;
        /// See cluster-enabled.
        "cluster-announce-ip" => cluster_announce_ip: String = String::new(), Text, Live;
        /// See cluster-enabled.
        "cluster-announce-hostname" =>
            cluster_announce_hostname: String = String::new(), Text, Live;
        /// See cluster-enabled.
        "cluster-announce-human-nodename" =>
            cluster_announce_human_nodename: String = String::new(), Text, Live;
        /// See cluster-enabled.
        "cluster-announce-port" => cluster_announce_port: u32 = 0, Integer(0, 65535), Live;
        /// See cluster-enabled.
        "cluster-announce-bus-port" => cluster_announce_bus_port: u32 = 0, Integer(0, 65535), Live;
        /// See cluster-enabled.
        "cluster-announce-tls-port" => cluster_announce_tls_port: u32 = 0, Integer(0, 65535), Live;
        /// See cluster-enabled.
        "cluster-preferred-endpoint-type" =>
            cluster_preferred_endpoint_type: &'static str = "ip",
            Word(&["ip", "hostname", "unknown-endpoint"]), Live;

        /// See tls-port.
        "tls-cert-file" => tls_cert_file: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-key-file" => tls_key_file: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-client-cert-file" => tls_client_cert_file: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-client-key-file" => tls_client_key_file: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-dh-params-file" => tls_dh_params_file: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-ca-cert-file" => tls_ca_cert_file: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-ca-cert-dir" => tls_ca_cert_dir: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-protocols" => tls_protocols: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-ciphers" => tls_ciphers: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-ciphersuites" => tls_ciphersuites: String = String::new(), Text, Live;
        /// See tls-port.
        "tls-key-file-pass" => tls_key_file_pass: Vec<u8> = Vec::new(), Bytes, Live;
        /// See tls-port.
        "tls-client-key-file-pass" => tls_client_key_file_pass: Vec<u8> = Vec::new(), Bytes, Live;
        /// See tls-port.
        "tls-auth-clients" =>
            tls_auth_clients: &'static str = "yes", Word(&["no", "yes", "optional"]), Live;
        /// See tls-port.
        "tls-replication" => tls_replication: bool = false, YesNo, Live;
        /// See tls-port.
        "tls-cluster" => tls_cluster: bool = false, YesNo, Live;
        /// See tls-port.
        "tls-prefer-server-ciphers" => tls_prefer_server_ciphers: bool = false, YesNo, Live;
        /// See tls-port.
        "tls-session-caching" => tls_session_caching: bool = true, YesNo, Live;
        /// See tls-port.
        "tls-session-cache-size" => tls_session_cache_size: u32 = 20480, Integer(0, INT_MAX), Live;
        /// See tls-port.
        "tls-session-cache-timeout" =>
            tls_session_cache_timeout: u32 = 300, Integer(0, INT_MAX), Live;
    }
}
