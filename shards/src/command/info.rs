//! INFO: the state of the whole process as text, in Redis's sections and field names.
//!
//! All shards are held while their counters are added up, so that the figures are of one moment.
//! A field that monitoring tools know from Redis is here when it can be told truthfully; what has
//! no meaning here (fork times, replication backlogs) is left out or is the constant that tools
//! take for "none". Fields that Redis does not have begin with `causet_` or `log_`.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use super::arg::is;
use super::*;
use crate::config::Choice;
use crate::journal::JournalStats;
use crate::state::State;
use crate::stats::Stats;
use crate::usage::{Cpu, Memory, human, machine_bytes};
use crate::version::{CAUSET_VERSION, REDIS_VERSION};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "info",
    arity: -1,
    flags: flag::LOADING | flag::STALE,
    categories: category::DANGEROUS,
    route: Route::AllShards,
    summary: "Tells the state of the server.",
    complexity: "O(commands + databases), and all shards stop for it",
    group: "server",
    handler: info,
    ..Command::BASE
}];

/// A section: its name, whether a plain INFO shows it, and what writes it.
struct Section {
    name: &'static str,
    is_default: bool,
    write: fn(&mut Report<'_>),
}

const SECTIONS: &[Section] = &[
    Section {
        name: "Server",
        is_default: true,
        write: server,
    },
    Section {
        name: "Clients",
        is_default: true,
        write: clients,
    },
    Section {
        name: "Memory",
        is_default: true,
        write: memory,
    },
    Section {
        name: "Persistence",
        is_default: true,
        write: persistence,
    },
    Section {
        name: "Stats",
        is_default: true,
        write: stats,
    },
    Section {
        name: "Replication",
        is_default: true,
        write: replication,
    },
    Section {
        name: "CPU",
        is_default: true,
        write: cpu,
    },
    Section {
        name: "Modules",
        is_default: true,
        write: |_| {},
    },
    Section {
        name: "Commandstats",
        is_default: false,
        write: command_stats,
    },
    Section {
        name: "Errorstats",
        is_default: true,
        write: error_stats,
    },
    Section {
        name: "Latencystats",
        is_default: false,
        write: latency_stats,
    },
    Section {
        name: "Cluster",
        is_default: true,
        write: |report| report.field("cluster_enabled", 0),
    },
    Section {
        name: "Keyspace",
        is_default: true,
        write: keyspace,
    },
];

/// Keys looked at for a database's mean time to live.
const TTL_SAMPLES: usize = 64;

/// One database, over all shards.
#[derive(Clone, Copy, Debug, Default)]
pub struct Database {
    /// Keys, expired ones that were not met yet included.
    pub keys: usize,
    /// Keys with an expiry.
    pub expiring: usize,
    /// Keys whose value is in the log only.
    pub cold: usize,
    /// Bytes of the indexes.
    pub overhead_bytes: usize,
    /// Sum and number of sampled times to live, in milliseconds.
    ttl_ms_sum: u64,
    ttl_samples: u64,
}

/// All shards' figures added up.
#[derive(Default)]
pub struct Totals {
    /// Counters.
    pub stats: Stats,
    /// The logs.
    pub journal: JournalStats,
    /// By number.
    pub databases: Vec<Database>,
    /// Bytes of keys, values and indexes.
    pub engine_bytes: usize,
    /// Bytes that all live state would take in a log.
    pub live_bytes: u64,
    /// Bytes of clients' sessions and buffers.
    pub client_bytes: usize,
    /// The largest input buffer of a client, in bytes.
    pub input_bytes_max: usize,
    /// The largest output buffer of a client, in bytes.
    pub output_bytes_max: usize,
    /// Why a shard refuses writes, if one does.
    pub refusing: Option<String>,
}

impl Totals {
    /// Adds up what the held shards tell. O(commands + databases + clients).
    pub fn gather(call: &mut Call<'_, '_>) -> Totals {
        let mut totals = Totals::default();
        totals.add_client(call.client);
        call.for_each_shard(|state| totals.add(state));
        totals
    }

    fn add_client(&mut self, client: &crate::client::Client) {
        self.client_bytes += client.memory_bytes();
        self.input_bytes_max = self.input_bytes_max.max(client.query_buffer_bytes);
        self.output_bytes_max = self.output_bytes_max.max(client.output_buffer_bytes);
    }

    fn add(&mut self, state: &mut State) {
        self.stats.add(&state.stats);
        self.journal.add(state.journal_stats());
        self.engine_bytes += state.engine.memory_bytes();
        self.live_bytes += state.engine.live_bytes();
        if let Some(reason) = state.journal.refusing() {
            self.refusing = Some(reason.to_owned());
        }
        for (_, client) in &state.clients {
            if let Some(client) = client {
                self.add_client(client);
            }
        }
        let spaces = state.engine.spaces();
        if self.databases.len() < spaces.len() {
            self.databases.resize(spaces.len(), Database::default());
        }
        let now_ms = state.now.unix_ms();
        for (database, space) in self.databases.iter_mut().zip(spaces) {
            database.keys += space.len();
            database.expiring += space.expiring_keys();
            database.cold += space.cold_keys();
            database.overhead_bytes += space.overhead_bytes();
            if space.expiring_keys() == 0 {
                continue;
            }
            for _ in 0..TTL_SAMPLES {
                let slot = space.sample(state.random.bits());
                if let Some(at_ms) = slot.and_then(|slot| space.entry(slot).expires_ms()) {
                    database.ttl_ms_sum += at_ms.saturating_sub(now_ms);
                    database.ttl_samples += 1;
                }
            }
        }
    }

    /// Bytes of indexes, sessions and of what was there before the first key.
    pub fn overhead_bytes(&self, startup: u64) -> u64 {
        let indexes: usize = self
            .databases
            .iter()
            .map(|database| database.overhead_bytes)
            .sum();
        startup + (indexes + self.client_bytes) as u64
    }
}

/// The text being written and what it is written from.
struct Report<'r> {
    text: String,
    state: &'r State,
    totals: Totals,
}

impl Report<'_> {
    fn field(&mut self, name: &str, value: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes));
    }

    fn flag(&mut self, name: &str, is_set: bool) {
        self.field(name, u8::from(is_set));
    }
}

fn info<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let names = args.tail(1);
    let wants = |section: &Section| {
        let by_name = |name: &[u8]| match name {
            name if is(name, "all") => section.name != "Modules",
            name if is(name, "everything") => true,
            name if is(name, "default") => section.is_default,
            name => is(name, section.name),
        };
        if names.is_empty() {
            section.is_default
        } else {
            names.iter().any(by_name)
        }
    };
    let totals = Totals::gather(call);
    let mut report = Report {
        text: String::with_capacity(4096),
        state: call.state,
        totals,
    };
    for section in SECTIONS.iter().filter(|section| wants(section)) {
        if !report.text.is_empty() {
            report.text.push_str("\r\n");
        }
        let _ = write!(report.text, "# {}\r\n", section.name);
        (section.write)(&mut report);
    }
    let text = report.text;
    call.reply().verbatim(*b"txt", text.as_bytes());
    Ok(())
}

fn server(report: &mut Report<'_>) {
    let (state, shared) = (report.state, &report.state.shared);
    let uptime_s = state.now.unix_ms().saturating_sub(shared.started_ms) / 1000;
    let path = |path: Option<&std::path::Path>| {
        path.map(|path| path.display().to_string())
            .unwrap_or_default()
    };
    report.field("redis_version", REDIS_VERSION);
    report.field("server_name", "causet");
    report.field("causet_version", CAUSET_VERSION);
    report.field("redis_mode", "standalone");
    report.field("os", operating_system());
    report.field("arch_bits", usize::BITS);
    report.field(
        "multiplexing_api",
        shared.driver.get().copied().unwrap_or("none"),
    );
    report.field("process_id", std::process::id());
    report.field("process_supervised", state.config.supervised.spelling());
    report.field("run_id", &shared.run_id);
    report.field("causet_node_id", format_args!("{:016x}", shared.node.0));
    report.field("causet_shards", shared.shards);
    report.field("tcp_port", shared.port);
    report.field("server_time_usec", state.now.unix_ns / 1000);
    report.field("uptime_in_seconds", uptime_s);
    report.field("uptime_in_days", uptime_s / 86_400);
    report.field("hz", state.config.hz);
    report.field("configured_hz", state.config.hz);
    // Redis's clock of idle times: seconds in 24 bits.
    report.field("lru_clock", (state.now.unix_ms() / 1000) & 0xff_ffff);
    report.field("executable", path(std::env::current_exe().ok().as_deref()));
    report.field("config_file", path(shared.config_source.file.as_deref()));
    report.field("io_threads_active", 0);
}

/// Name, release and machine of the kernel, as uname(1) has them.
fn operating_system() -> String {
    let word = |file: &str| {
        std::fs::read_to_string(format!("/proc/sys/kernel/{file}")).unwrap_or_default()
    };
    let (name, release) = (word("ostype"), word("osrelease"));
    format!(
        "{} {} {}",
        name.trim(),
        release.trim(),
        std::env::consts::ARCH
    )
}

fn clients(report: &mut Report<'_>) {
    let (state, shared) = (report.state, &report.state.shared);
    report.field("connected_clients", shared.clients.load(Ordering::Relaxed));
    report.field("cluster_connections", 0);
    report.field("maxclients", state.config.maxclients);
    report.field(
        "client_recent_max_input_buffer",
        report.totals.input_bytes_max,
    );
    report.field(
        "client_recent_max_output_buffer",
        report.totals.output_bytes_max,
    );
    report.field("blocked_clients", 0);
    report.field("tracking_clients", 0);
    report.field("causet_monitors", shared.monitors.load(Ordering::Relaxed));
}

fn memory(report: &mut Report<'_>) {
    let (state, shared) = (report.state, &report.state.shared);
    let (memory, peak) = Memory::read_with_peak(shared);
    let startup = shared.memory_startup;
    let overhead = report.totals.overhead_bytes(startup);
    let dataset = memory.allocated.saturating_sub(overhead);
    let net = memory.allocated.saturating_sub(startup);
    let maxmemory = shared.maxmemory.load(Ordering::Relaxed);
    report.bytes("used_memory", memory.allocated);
    report.bytes("used_memory_rss", memory.resident);
    report.bytes("used_memory_peak", peak);
    report.field("used_memory_peak_perc", percent(memory.allocated, peak));
    report.field("used_memory_overhead", overhead);
    report.field("used_memory_startup", startup);
    report.field("used_memory_dataset", dataset);
    report.field("used_memory_dataset_perc", percent(dataset.min(net), net));
    report.field("allocator_allocated", memory.allocated);
    report.field("allocator_active", memory.active);
    report.field("allocator_resident", memory.allocator_resident);
    report.bytes("total_system_memory", machine_bytes());
    report.bytes("maxmemory", maxmemory);
    report.field("maxmemory_policy", state.config.maxmemory_policy.spelling());
    for (name, of, to) in [
        ("allocator_frag", memory.active, memory.allocated),
        ("allocator_rss", memory.allocator_resident, memory.active),
        ("rss_overhead", memory.resident, memory.allocator_resident),
        ("mem_fragmentation", memory.resident, memory.allocated),
    ] {
        report.field(
            &format!("{name}_ratio"),
            format_args!("{:.2}", ratio(of, to)),
        );
        report.field(&format!("{name}_bytes"), of as i64 - to as i64);
    }
    report.field("mem_clients_slaves", 0);
    report.field("mem_clients_normal", report.totals.client_bytes);
    report.field("mem_aof_buffer", report.totals.journal.pending_bytes);
    report.field("mem_allocator", "jemalloc-5.3.1");
    report.field("active_defrag_running", 0);
    report.field("lazyfree_pending_objects", 0);
    report.field("causet_engine_bytes", report.totals.engine_bytes);
}

/// `of` in relation to `to`; 0 where there is nothing to relate to.
pub fn ratio(of: u64, to: u64) -> f64 {
    if to == 0 { 0.0 } else { of as f64 / to as f64 }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", 100.0 * ratio(part, whole))
}

fn persistence(report: &mut Report<'_>) {
    let shared = &report.state.shared;
    let journal = report.totals.journal;
    let saved_s = shared.last_save_s.load(Ordering::Relaxed);
    let status = if report.totals.refusing.is_none() {
        "ok"
    } else {
        "err"
    };
    report.field("loading", 0);
    report.field("async_loading", 0);
    report.field(
        "rdb_changes_since_last_save",
        report.totals.stats.unsaved_changes(),
    );
    report.field("rdb_bgsave_in_progress", 0);
    report.field("rdb_last_save_time", saved_s);
    report.field("rdb_last_bgsave_status", status);
    report.field("rdb_last_bgsave_time_sec", -1);
    report.field("rdb_current_bgsave_time_sec", -1);
    report.flag("aof_enabled", journal.enabled);
    report.flag("aof_rewrite_in_progress", journal.is_compacting);
    report.flag("aof_rewrite_scheduled", report.state.wants_compaction);
    report.field("aof_last_rewrite_time_sec", -1);
    report.field("aof_current_rewrite_time_sec", -1);
    report.field("aof_last_bgrewrite_status", "ok");
    report.field("aof_rewrites", journal.compactions);
    report.field("aof_last_write_status", status);
    if journal.enabled {
        report.field("aof_current_size", journal.bytes);
        report.field("aof_base_size", journal.base_bytes);
        report.field("aof_buffer_length", journal.pending_bytes);
    }
    report.field("log_bytes", journal.bytes);
    report.field("log_live_bytes", report.totals.live_bytes);
    report.field("log_segments", journal.segments);
    report.field("log_records", journal.records);
    report.field("log_commits", journal.commits);
    report.field("log_failures", journal.failures);
    report.field("log_compactions", journal.compactions);
    report.flag("log_compaction_in_progress", journal.is_compacting);
    report.flag("log_refusing", report.totals.refusing.is_some());
    if let Some(reason) = report.totals.refusing.take() {
        report.field("log_refusing_reason", reason);
    }
}

fn stats(report: &mut Report<'_>) {
    let stats = report.totals.stats.clone();
    let [commands, input_bytes, output_bytes] = stats.rate.per_second();
    let kib = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    report.field("total_connections_received", stats.connections_received);
    report.field("total_commands_processed", stats.commands);
    report.field("instantaneous_ops_per_sec", commands);
    report.field("total_net_input_bytes", stats.input_bytes);
    report.field("total_net_output_bytes", stats.output_bytes);
    report.field("instantaneous_input_kbps", kib(input_bytes));
    report.field("instantaneous_output_kbps", kib(output_bytes));
    report.field("rejected_connections", stats.connections_rejected);
    report.field("sync_full", 0);
    report.field("sync_partial_ok", 0);
    report.field("sync_partial_err", 0);
    report.field("expired_keys", stats.expired_keys);
    report.field("evicted_keys", stats.evicted_keys);
    report.field("evicted_clients", 0);
    report.field("keyspace_hits", stats.keyspace_hits);
    report.field("keyspace_misses", stats.keyspace_misses);
    report.field("pubsub_channels", 0);
    report.field("pubsub_patterns", 0);
    report.field("latest_fork_usec", 0);
    report.field("total_forks", 0);
    report.field("tracking_total_keys", 0);
    report.field("total_error_replies", stats.errors.values().sum::<u64>());
    report.field(
        "client_output_buffer_limit_disconnections",
        stats.output_limit_disconnections,
    );
    report.field("causet_effects", stats.changes);
    report.field("causet_cooled_keys", stats.cooled_keys);
    report.field("causet_cold_reads", stats.cold_reads);
    let cold: usize = report
        .totals
        .databases
        .iter()
        .map(|database| database.cold)
        .sum();
    report.field("causet_cold_keys", cold);
    report.field("causet_forwarded_commands", stats.forwarded_commands);
    report.field("causet_held_commands", stats.held_commands);
}

fn replication(report: &mut Report<'_>) {
    report.field("role", "master");
    report.field("connected_slaves", 0);
    report.field("master_failover_state", "no-failover");
    report.field("master_replid", &report.state.shared.run_id);
    report.field("master_replid2", "0".repeat(40));
    report.field("master_repl_offset", 0);
    report.field("second_repl_offset", -1);
    report.field("repl_backlog_active", 0);
    report.field(
        "repl_backlog_size",
        report.state.config.accepted.repl_backlog_size,
    );
    report.field("repl_backlog_first_byte_offset", 0);
    report.field("repl_backlog_histlen", 0);
}

fn cpu(report: &mut Report<'_>) {
    let (process, thread) = (Cpu::of_process(), Cpu::of_thread());
    for (name, seconds) in [
        ("used_cpu_sys", process.system),
        ("used_cpu_user", process.user),
        ("used_cpu_sys_children", 0.0),
        ("used_cpu_user_children", 0.0),
        // There is no main thread among equals: the shard that answers.
        ("used_cpu_sys_main_thread", thread.system),
        ("used_cpu_user_main_thread", thread.user),
    ] {
        report.field(name, format_args!("{seconds:.6}"));
    }
}

fn command_stats(report: &mut Report<'_>) {
    for (command, stats) in table::all_rows().zip(report.totals.stats.clone().by_command) {
        if stats.calls == 0 && stats.rejected == 0 {
            continue;
        }
        let micros = stats.nanos / 1000;
        let each = stats.nanos as f64 / 1000.0 / stats.calls.max(1) as f64;
        report.field(
            &format!("cmdstat_{}", command.name),
            format_args!(
                "calls={},usec={micros},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                stats.calls, stats.rejected, stats.failed
            ),
        );
    }
}

fn error_stats(report: &mut Report<'_>) {
    for (word, count) in std::mem::take(&mut report.totals.stats.errors) {
        report.field(&format!("errorstat_{word}"), format_args!("count={count}"));
    }
}

fn latency_stats(report: &mut Report<'_>) {
    let percentiles = &report.state.config.latency_tracking_info_percentiles;
    for (command, stats) in table::all_rows().zip(report.totals.stats.clone().by_command) {
        let Some(histogram) = stats.latency.filter(|histogram| !histogram.is_empty()) else {
            continue;
        };
        let values: Vec<String> = percentiles
            .iter()
            .map(|&percentile| {
                let micros = histogram.value_at_percentile(percentile) as f64 / 1000.0;
                format!("p{percentile}={micros:.3}")
            })
            .collect();
        let name = format!("latency_percentiles_usec_{}", command.name);
        report.field(&name, values.join(","));
    }
}

fn keyspace(report: &mut Report<'_>) {
    for (number, database) in report.totals.databases.clone().into_iter().enumerate() {
        if database.keys > 0 {
            let ttl_ms = database
                .ttl_ms_sum
                .checked_div(database.ttl_samples)
                .unwrap_or(0);
            report.field(
                &format!("db{number}"),
                format_args!(
                    "keys={},expires={},avg_ttl={ttl_ms}",
                    database.keys, database.expiring
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::harness::Harness;

    fn headings(text: &str) -> Vec<&str> {
        text.lines()
            .filter_map(|line| line.strip_prefix("# "))
            .collect()
    }

    #[test]
    fn sections_are_chosen_by_name_in_any_case() {
        let mut harness = Harness::new();
        assert_eq!(
            headings(&harness.text("info SERVER keyspace")),
            ["Server", "Keyspace"]
        );
        assert_eq!(headings(&harness.text("info nothing")).len(), 0);
        assert_eq!(harness.text("info nothing"), "$0\r\n\r\n");
        assert_eq!(headings(&harness.text("info")).len(), 11);
        assert_eq!(
            headings(&harness.text("info default commandstats")).len(),
            12
        );
        assert_eq!(headings(&harness.text("info all")).len(), 12);
        assert_eq!(headings(&harness.text("info everything")).len(), 13);
    }

    #[test]
    fn fields_that_tools_read_are_there() {
        let text = Harness::new().text("info everything");
        for field in [
            "redis_version:7.2.4",
            "redis_mode:standalone",
            "causet_version:",
            "used_memory:",
            "used_memory_human:",
            "used_memory_rss:",
            "maxmemory:0",
            "maxmemory_human:0B",
            "maxmemory_policy:noeviction",
            "mem_fragmentation_ratio:",
            "connected_clients:0",
            "role:master",
            "cluster_enabled:0",
            "loading:0",
            "aof_enabled:0",
            "log_refusing:0",
            "used_cpu_sys:",
        ] {
            let line = text.lines().find(|line| line.starts_with(field));
            assert!(line.is_some(), "{field}");
        }
    }

    #[test]
    fn commands_and_errors_are_counted() {
        let mut harness = Harness::new();
        harness.text("echo hi");
        harness.text("echo");
        harness.text("client kill foo");
        let text = harness.text("info commandstats errorstats latencystats");
        assert!(text.contains("cmdstat_echo:calls=1,usec="), "{text}");
        assert!(
            text.contains(",rejected_calls=1,failed_calls=0\r\n"),
            "{text}"
        );
        assert!(text.contains("cmdstat_client|kill:calls=1,"), "{text}");
        assert!(text.contains("errorstat_ERR:count=2\r\n"), "{text}");
        assert!(
            text.contains("latency_percentiles_usec_echo:p50="),
            "{text}"
        );
        assert!(text.contains(",p99.9="), "{text}");
    }

    #[test]
    fn databases_with_keys_are_listed() {
        let mut harness = Harness::new();
        assert!(!harness.text("info keyspace").contains("db0"));
        harness.state.config = {
            let mut config = (*harness.state.config).clone();
            config.enable_debug_command = crate::config::LocalAccess::Yes;
            config.into()
        };
        harness.text("debug populate 3");
        let text = harness.text("info keyspace");
        assert!(
            text.contains("db0:keys=3,expires=0,avg_ttl=0\r\n"),
            "{text}"
        );
    }
}
