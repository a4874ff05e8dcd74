//! `causet-bench compare`: Causet and its peers, in turns, on the same cores.
//!
//! Each server runs alone on one core, the load on another. What is compared is run in rounds, and
//! within a round every server runs the same cell one after the other, each on a fresh directory:
//! what disturbs the machine for a minute then disturbs all of them. It tunes nobody: every server
//! gets the durability options that were asked for and otherwise its own defaults.

mod cell;
mod compaction;
mod durable;
mod memory;
mod open_loop;
mod plot;
mod progress;
mod recovery;
mod table;
mod throughput;

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Doing, Error, Result};
use crate::generator::{Generator, Limit, Load, Pace};
use crate::peers::{self, Binary};
use crate::process;
use crate::server::{Server, Settings};
use crate::template::Mix;
use crate::workload::{self, FILL_PER_REQUEST, Fill, Filling, Test, Touch};
use table::Table;

/// Connections while filling: one, so that every server gets the elements in the same order.
const FILL_CONNECTIONS: usize = 1;
/// Assumed time for one element of a filling, for estimates.
const FILL_TIME: Duration = Duration::from_micros(2);
/// Requests in flight while filling: so many that neither end waits for the other long.
const FILL_PIPELINE: usize = 512;
const SEED: u64 = 1;
/// The remark on a server that was still at its log when its clocks started.
const UNSETTLED: &str = "still rewriting its log";

/// What drives the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Driver {
    /// This crate's generator.
    Own,
    /// The redis-benchmark in PATH, as a second opinion; it tells no p99.9.
    RedisBenchmark,
}

/// Options of `causet-bench compare`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Our server.
    #[arg(long, default_value = "target/release/causet")]
    pub server: PathBuf,
    /// Peers, by name (redis, redis8, valkey, valkey-jemalloc); all of them when none is given.
    #[arg(long, value_delimiter = ',')]
    pub peers: Vec<String>,
    /// Where fetched peers are kept.
    #[arg(long, default_value = "target/peers")]
    pub peer_cache: PathBuf,
    /// Tests; all of them when none is given.
    #[arg(long, value_delimiter = ',')]
    pub tests: Vec<String>,
    /// Requests in flight per connection: 1,16,64 when not given, with --open-loop 1,16.
    #[arg(long, value_delimiter = ',')]
    pub pipelines: Vec<usize>,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds per cell.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Requests per cell, instead of seconds.
    #[arg(long)]
    pub requests: Option<u64>,
    /// Connections.
    #[arg(long, default_value_t = 50)]
    pub clients: usize,
    /// Size of the keyspace.
    #[arg(long, short = 'r', default_value_t = 1_000_000)]
    pub keyspace: u64,
    /// Bytes of a value.
    #[arg(long, short = 'd', default_value_t = 64)]
    pub value_bytes: usize,
    /// Elements that LPOP, SPOP and ZPOPMIN find; such a cell ends at the latest when they are used up.
    #[arg(long, default_value_t = 1_000_000)]
    pub pop_elements: u64,
    /// Whether servers keep a log.
    #[arg(long, default_value = "yes", value_parser = ["yes", "no"])]
    pub appendonly: String,
    /// When servers flush it.
    #[arg(long, default_value = "everysec", value_parser = ["everysec", "always", "no"])]
    pub appendfsync: String,
    /// Send the load by a Unix socket instead of loopback TCP.
    #[arg(long)]
    pub unix: bool,
    /// What drives the load.
    #[arg(long, value_enum, default_value_t = Driver::Own)]
    pub driver: Driver,
    /// The servers' core.
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// The load's core.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Where reports are written.
    #[arg(long, default_value = "target/bench")]
    pub out: PathBuf,
    /// Where servers keep their data; on the disk that is to be measured. Emptied afterwards.
    #[arg(long, default_value = "target/bench-data")]
    pub data: PathBuf,
    /// Measure memory per key instead.
    #[arg(long)]
    pub memory: bool,
    /// Measure latency at 70 % of the fastest peer's top rate instead.
    #[arg(long)]
    pub open_loop: bool,
    /// Measure throughput with every reply durable instead.
    #[arg(long)]
    pub durable: bool,
    /// Measure the time to serve again after kill -9 instead.
    #[arg(long)]
    pub recovery: bool,
    /// Measure latency while the log is compacted instead.
    #[arg(long)]
    pub compaction: bool,
    /// Seconds that the compaction mode loads each server.
    #[arg(long, default_value_t = 60.0)]
    pub compaction_seconds: f64,
}

impl Options {
    fn settings(&self, data: &Path) -> Settings {
        Settings {
            core: self.server_core,
            data_root: data.to_owned(),
            appendonly: self.appendonly.clone(),
            appendfsync: self.appendfsync.clone(),
            unix: self.unix,
            rewrites: true,
        }
    }

    fn load(&self, server: &Server, test: &Test, depth: usize, seed: u64) -> Load {
        Load {
            address: server.address(),
            connections: self.clients,
            depth,
            mix: Mix::single(test.template(self.value_bytes)),
            keys: test.keys(self.keyspace, seed),
            seed,
        }
    }

    /// How long a cell is loaded.
    fn load_time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// How long filling a server may take, for estimates.
    fn fill_time(&self, fill: Fill) -> Duration {
        let filling = workload::filling(fill, self.keyspace, self.pop_elements, 0);
        let requests = filling.map_or(0, |filling| filling.requests);
        FILL_TIME * u32::try_from(requests * FILL_PER_REQUEST).unwrap_or(u32::MAX)
    }

    /// The pipeline depths that were asked for, or a mode's own.
    fn depths<'a>(&'a self, default: &'a [usize]) -> &'a [usize] {
        if self.pipelines.is_empty() {
            default
        } else {
            &self.pipelines
        }
    }

    /// The tests that were asked for, or all that the driver can drive.
    fn chosen_tests(&self) -> Result<Vec<&'static Test>> {
        // redis-benchmark draws keys at random, so that soon few of them would be new.
        let can = |test: &Test| self.driver == Driver::Own || test.touch != Touch::Each;
        if self.tests.is_empty() {
            return Ok(workload::TESTS.iter().filter(|test| can(test)).collect());
        }
        let chosen = |name: &String| {
            let test = workload::test(name)?;
            let text = || format!("redis-benchmark cannot drive {}", test.name);
            can(test)
                .then_some(test)
                .ok_or_else(|| Error::Usage(text()))
        };
        self.tests.iter().map(chosen).collect()
    }

    /// A cell as progress names it.
    fn cell_name(&self, round: usize, test: &str, depth: Option<usize>, server: &Binary) -> String {
        let depth = depth.map_or(String::new(), |depth| format!(" -P {depth}"));
        let (round, rounds) = (round + 1, self.rounds);
        format!("round {round}/{rounds}, {test}{depth}, {}", server.label)
    }

    fn check(&self) -> Result<()> {
        let wrong = if self.rounds == 0 || self.clients == 0 || self.keyspace == 0 {
            "--rounds, --clients and --keyspace are at least 1"
        } else if self.pipelines.contains(&0) {
            "--pipelines are at least 1"
        } else if self.seconds <= 0.0 || self.seconds > 1e6 || self.compaction_seconds <= 0.0 {
            "seconds are above 0"
        } else if self.server_core == self.load_core {
            "--server-core and --load-core must differ: they would measure one another"
        } else {
            return Ok(());
        };
        Err(Error::Usage(wrong.to_owned()))
    }
}

/// All servers of a comparison, ours first, and what there is to say about those that are missing.
struct Contenders {
    servers: Vec<Binary>,
    absent: Vec<String>,
}

impl Contenders {
    fn find(options: &Options) -> Result<Contenders> {
        // Made absolute, not resolved: Redis's programs are one binary that goes by its name.
        let path = std::path::absolute(&options.server)
            .doing(|| format!("our server {}", options.server.display()))?;
        let mut ours = Binary::probe(&path, None)?;
        let mut contenders = Contenders {
            servers: Vec::new(),
            absent: Vec::new(),
        };
        let mut labels = vec![ours.label.clone()];
        let peers = peers::find(&options.peers, &options.peer_cache)?;
        let mut peer_binaries = Vec::new();
        for (name, found) in peers {
            match found {
                Ok(binary) => {
                    labels.push(binary.label.clone());
                    peer_binaries.push(binary);
                }
                Err(reason) => contenders
                    .absent
                    .push(format!("{name} is absent: {reason}")),
            }
        }
        if labels[1..].contains(&ours.label) {
            // The same program on both sides shows what the noise is.
            ours.label = format!("{} (as ours)", ours.label);
        }
        contenders.servers.push(ours);
        contenders.servers.extend(peer_binaries);
        Ok(contenders)
    }

    /// The servers' indices in the order of a round: who goes first changes from round to round, so
    /// that no server always follows the same.
    fn turns(&self, round: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.servers.len();
        (0..count).map(move |turn| (turn + round) % count)
    }

    fn labels(&self) -> Vec<String> {
        self.servers
            .iter()
            .map(|binary| binary.label.clone())
            .collect()
    }
}

/// The directory under which servers keep data, removed with all in it when dropped, and by a
/// panic (which aborts release builds).
struct DataRoot(PathBuf);

impl DataRoot {
    fn create(below: &Path) -> Result<DataRoot> {
        let path = below.join(format!("run-{}", std::process::id()));
        fs::create_dir_all(&path).doing(|| format!("creating {}", path.display()))?;
        let earlier = panic::take_hook();
        let on_panic = path.clone();
        panic::set_hook(Box::new(move |info| {
            earlier(info);
            // Nothing more can be done about it in a panic.
            let _ = fs::remove_dir_all(&on_panic);
        }));
        Ok(DataRoot(path))
    }
}

impl Drop for DataRoot {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("causet-bench: {} is left behind: {error}", self.0.display());
        }
    }
}

/// Sends a filling to a server and waits until the server has digested it; whether it has, in time.
fn fill(server: &Server, filling: Filling) -> Result<bool> {
    let load = Load {
        address: server.address(),
        connections: FILL_CONNECTIONS,
        depth: FILL_PIPELINE,
        mix: filling.mix,
        keys: filling.keys,
        seed: SEED,
    };
    let limit = Limit {
        requests: Some(filling.requests),
        duration: None,
    };
    Generator::connect(&load)?
        .run(Pace::Closed, limit)?
        .checked()?;
    server.settle()
}

/// Fills a server as a test wants it; whether the server came to rest afterwards.
fn fill_for(options: &Options, server: &Server, fill_with: Fill) -> Result<bool> {
    let filling = workload::filling(
        fill_with,
        options.keyspace,
        options.pop_elements,
        options.value_bytes,
    );
    filling.map_or(Ok(true), |filling| fill(server, filling))
}

/// Runs the sub-command: the modes that were asked for, or the throughput comparison.
pub fn run(options: &Options) -> Result<()> {
    options.check()?;
    let tests = options.chosen_tests()?;
    let contenders = Contenders::find(options)?;
    for reason in &contenders.absent {
        eprintln!("causet-bench: {reason}");
    }
    // Children are started by this thread and inherit nothing of it: each is pinned by itself.
    process::pin_self(options.load_core)?;
    fs::create_dir_all(&options.out).doing(|| format!("creating {}", options.out.display()))?;
    fs::create_dir_all(&options.data).doing(|| format!("creating {}", options.data.display()))?;
    let data = DataRoot::create(&options.data)?;
    let settings = options.settings(&data.0);

    let modes: [(bool, &str, Mode); 5] = [
        (options.memory, "memory", memory::run),
        (options.open_loop, "open-loop", open_loop::run),
        (options.durable, "durable", durable::run),
        (options.recovery, "recovery", recovery::run),
        (options.compaction, "compaction", compaction::run),
    ];
    let mut any = false;
    for (wanted, name, mode) in modes {
        if wanted {
            any = true;
            let mut table = mode(options, &settings, &contenders)?;
            publish(options, &contenders, &mut table, name)?;
        }
    }
    if !any {
        for (mut table, name) in throughput::run(options, &settings, &contenders, &tests)? {
            publish(options, &contenders, &mut table, name)?;
        }
    }
    Ok(())
}

type Mode = fn(&Options, &Settings, &Contenders) -> Result<Table>;

/// Prints a table and writes it as `NAME.md` and `NAME.csv`.
fn publish(
    options: &Options,
    contenders: &Contenders,
    table: &mut Table,
    name: &str,
) -> Result<()> {
    table.note(format!(
        "server on core {}, load on core {}, {} clients, {} keys, {}-byte values, appendonly {}, \
         appendfsync {}, {}",
        options.server_core,
        options.load_core,
        options.clients,
        options.keyspace,
        options.value_bytes,
        options.appendonly,
        if options.durable {
            "always"
        } else {
            &options.appendfsync
        },
        if options.unix {
            "Unix socket"
        } else {
            "loopback TCP"
        },
    ));
    for reason in &contenders.absent {
        table.note(reason.clone());
    }
    println!("{}", table.markdown());
    for (extension, text) in [("md", table.markdown()), ("csv", table.csv())] {
        let path = options.out.join(name).with_extension(extension);
        fs::write(&path, text).doing(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
