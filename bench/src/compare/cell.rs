//! One cell: one test at one pipeline depth against one fresh server.
//!
//! Filling, coming to rest and connecting happen before the clocks are read; a server's CPU time is
//! what its process and all below it used between the first request and the last reply.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Driver, Options, SEED, fill_for};
use crate::error::{Doing, Error, Result};
use crate::generator::{Generator, Limit, Pace};
use crate::interrupt;
use crate::peers::Binary;
use crate::process::{self, CpuTime};
use crate::server::{self, Server, Settings};
use crate::workload::Test;

/// redis-benchmark has no time limit; so many requests a second are assumed per cell.
const FOREIGN_DRIVER_RATE: f64 = 100_000.0;
/// A core that is busy for this part of the time is taken for saturated.
const SATURATED: f64 = 0.93;

/// What a cell measured.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Replies a second.
    pub throughput: f64,
    /// p50, p99, p99.9 and p99.99 in microseconds; a driver may not know all of them.
    pub latency_us: [Option<f64>; 4],
    /// Server CPU time per request, in nanoseconds, user and system.
    pub cpu_ns: f64,
    /// The kernel's part of it, 0 to 1.
    pub system_share: f64,
    /// The part of the time that the server used its core, 0 to 1 (above 1: several threads).
    pub server_busy: f64,
    /// The part of the time that the load used its core.
    pub load_busy: f64,
    /// The part of the time that others used the server's core.
    pub foreign_busy: f64,
    /// Replies that were empty.
    pub empty: u64,
    /// Whether the server had come to rest after its filling when the clocks started.
    pub settled: bool,
}

impl Cell {
    /// Which end set the speed.
    pub fn bottleneck(server_busy: f64, load_busy: f64) -> &'static str {
        match (server_busy >= SATURATED, load_busy >= SATURATED) {
            (true, false) => "server",
            (false, true) => "load",
            (true, true) => "both",
            (false, false) => "neither",
        }
    }
}

/// Clock readings at the start of a measurement.
struct Clocks {
    at: Instant,
    server: CpuTime,
    load: Duration,
    core: Option<Duration>,
}

impl Clocks {
    fn read(server: &Server, core: usize, load: fn() -> Duration) -> Result<Clocks> {
        Ok(Clocks {
            server: server.cpu()?,
            load: load(),
            core: process::core_busy(core),
            at: Instant::now(),
        })
    }
}

/// Starts a server, fills it, drives it, and stops it. `round` seeds the keys: each round its own,
/// the same for all servers.
pub fn measure(
    options: &Options,
    settings: &Settings,
    binary: &Binary,
    test: &Test,
    depth: usize,
    round: usize,
) -> Result<Cell> {
    let server = Server::start(binary, settings)?;
    let settled = fill_for(options, &server, test.fill)?;
    let cell = match options.driver {
        Driver::Own => drive(options, &server, test, depth, SEED + round as u64),
        Driver::RedisBenchmark => drive_foreign(options, &server, test, depth),
    };
    Ok(Cell { settled, ..cell? })
}

fn drive(options: &Options, server: &Server, test: &Test, depth: usize, seed: u64) -> Result<Cell> {
    let mut generator = Generator::connect(&options.load(server, test, depth, seed))?;
    let before = Clocks::read(server, options.server_core, process::own_cpu)?;
    let outcome = generator
        .run(Pace::Closed, limit(options, test))?
        .checked()?;
    let after = Clocks::read(server, options.server_core, process::own_cpu)?;
    let percentiles = outcome.latency.percentiles();
    let latency_ns = [
        percentiles.p50_ns,
        percentiles.p99_ns,
        percentiles.p999_ns,
        percentiles.p9999_ns,
    ];
    let latency_us = latency_ns.map(|nanoseconds| Some(nanoseconds as f64 / 1e3));
    let mut cell = cell(&before, &after, outcome.requests, latency_us);
    cell.throughput = outcome.throughput();
    cell.empty = outcome.empty;
    Ok(cell)
}

fn limit(options: &Options, test: &Test) -> Limit {
    let most = test.requests_max(options.keyspace, options.pop_elements);
    let requests = [options.requests, most].into_iter().flatten().min();
    let by_time = options.requests.is_none();
    Limit {
        requests,
        duration: by_time.then(|| options.load_time()),
    }
}

fn drive_foreign(options: &Options, server: &Server, test: &Test, depth: usize) -> Result<Cell> {
    let assumed = (options.seconds * FOREIGN_DRIVER_RATE) as u64 * depth.clamp(1, 8) as u64;
    let requests = limit(options, test).requests.unwrap_or(assumed).max(1);
    let mut command = Command::new("redis-benchmark");
    if options.unix {
        command.arg("-s").arg(server.socket_path());
    } else {
        command.args(["-h", "127.0.0.1", "-p", &server.port().to_string()]);
    }
    command.args([
        "-n",
        &requests.to_string(),
        "-c",
        &options.clients.to_string(),
    ]);
    command.args([
        "-P",
        &depth.to_string(),
        "-r",
        &options.keyspace.to_string(),
        "--csv",
    ]);
    command
        .args(test.arguments(options.value_bytes))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let before = Clocks::read(server, options.server_core, process::children_cpu)?;
    let child = server::run_pinned(&mut command, options.load_core)?;
    let output = child
        .wait_with_output()
        .doing(|| "running redis-benchmark".to_owned())?;
    let after = Clocks::read(server, options.server_core, process::children_cpu)?;
    interrupt::check()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(ForeignFigures {
        throughput,
        p50_ms,
        p99_ms,
    }) = parse_foreign(&text)
    else {
        let why = format!("ended with {} and said {:?}", output.status, text.trim());
        return Err(Error::Server {
            name: "redis-benchmark".to_owned(),
            why,
        });
    };
    let latency_us = [Some(p50_ms * 1e3), Some(p99_ms * 1e3), None, None];
    let mut cell = cell(&before, &after, requests, latency_us);
    cell.throughput = throughput;
    Ok(cell)
}

fn cell(before: &Clocks, after: &Clocks, requests: u64, latency_us: [Option<f64>; 4]) -> Cell {
    let wall = after.at.duration_since(before.at).as_secs_f64().max(1e-9);
    let server = after.server.since(before.server);
    let core = after
        .core
        .zip(before.core)
        .map(|(after, before)| after.saturating_sub(before));
    let foreign = core.map_or(Duration::ZERO, |core| core.saturating_sub(server.total));
    Cell {
        throughput: requests as f64 / wall,
        latency_us,
        cpu_ns: server.total.as_nanos() as f64 / requests.max(1) as f64,
        system_share: server.system_share(),
        server_busy: server.total.as_secs_f64() / wall,
        load_busy: after.load.saturating_sub(before.load).as_secs_f64() / wall,
        foreign_busy: foreign.as_secs_f64() / wall,
        empty: 0,
        settled: true,
    }
}

struct ForeignFigures {
    throughput: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// The last line of redis-benchmark's CSV; columns are found by the header's names. The name of
/// the test is quoted and may hold commas, so columns are counted from the end.
fn parse_foreign(text: &str) -> Option<ForeignFigures> {
    let mut lines = text.lines().filter(|line| line.starts_with('"'));
    let header: Vec<&str> = lines.next()?.rsplit(',').map(unquoted).collect();
    let values: Vec<&str> = lines.next_back()?.rsplit(',').map(unquoted).collect();
    let column = |name: &str| -> Option<f64> {
        let index = header.iter().position(|&column| column == name)?;
        values.get(index)?.parse().ok()
    };
    Some(ForeignFigures {
        throughput: column("rps")?,
        p50_ms: column("p50_latency_ms")?,
        p99_ms: column("p99_latency_ms")?,
    })
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottleneck_is_the_busy_end() {
        assert_eq!(Cell::bottleneck(0.99, 0.5), "server");
        assert_eq!(Cell::bottleneck(0.6, 1.0), "load");
        assert_eq!(Cell::bottleneck(0.5, 0.5), "neither");
    }

    #[test]
    fn redis_benchmarks_csv_is_read_by_column_names() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\
                    \"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
                    \"SET a,b\",\"1000.50\",\"0.1\",\"0.01\",\"0.5\",\"0.6\",\"0.7\",\"9\"\n";
        let figures = parse_foreign(text).unwrap();
        assert_eq!(
            (figures.throughput, figures.p50_ms, figures.p99_ms),
            (1000.5, 0.5, 0.7)
        );
        assert!(parse_foreign("Could not connect").is_none());
    }
}
