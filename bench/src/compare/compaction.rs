//! Latency while the log is compacted, against latency while it is not.
//!
//! SETs over few keys make a log that is nearly all garbage. They come in an open loop at half of
//! what the server can do, in short windows; a window in which a compaction ran goes to one
//! histogram, the others to another. A server whose log never compacted in the time has no figure.

use std::time::{Duration, Instant};

use super::progress::Progress;
use super::table::{Table, optional};
use super::{Contenders, Options, SEED, fill};
use crate::error::Result;
use crate::generator::{Generator, Limit, Outcome, Pace};
use crate::keys::Keys;
use crate::latency::Latency;
use crate::peers::Binary;
use crate::server::{COMPACTING_FIELDS, COMPACTIONS_FIELDS, Server, Settings};
use crate::workload::{self, FILL_PER_REQUEST, Fill};

/// Keys that are overwritten: at a few hundred thousand SETs a second each is garbage soon.
const KEYS: u64 = 100_000;
const WINDOW: Duration = Duration::from_millis(250);
const CALIBRATION: Duration = Duration::from_secs(1);
/// The part of the server's own top rate that it gets.
const RATE_SHARE: f64 = 0.5;
const DEPTH: usize = 16;

/// What one server showed.
struct Observation {
    rate: f64,
    with: Latency,
    without: Latency,
    compactions: Option<u64>,
}

/// Loads each server once, for the time that the options give.
pub fn run(options: &Options, settings: &Settings, contenders: &Contenders) -> Result<Table> {
    let mut table = Table::new(
        "Latency during compaction (open loop, overwriting SETs)",
        &[
            "server",
            "rate kop/s",
            "compactions",
            "windows' share with",
            "p99.9 us without",
            "p99.9 us with",
            "ratio",
            "max us without",
            "max us with",
        ],
    );
    let cells = contenders.servers.len();
    let load = Duration::from_secs_f64(options.compaction_seconds);
    let mut progress = Progress::announce("compaction", cells, load);
    for binary in &contenders.servers {
        progress.begin(&format!("SET -P {DEPTH}, {}", binary.label));
        let seen = observe(options, settings, binary)?;
        let count = |latency: &Latency| latency.count() as f64;
        let share = count(&seen.with) / (count(&seen.with) + count(&seen.without)).max(1.0);
        let figure = |latency: &Latency, pick: fn(&Latency) -> u64| {
            (latency.count() > 0).then(|| pick(latency) as f64 / 1e3)
        };
        let p999 = |latency: &Latency| latency.percentiles().p999_ns;
        let max = |latency: &Latency| latency.percentiles().max_ns;
        let (without, with) = (figure(&seen.without, p999), figure(&seen.with, p999));
        let compactions = seen
            .compactions
            .map_or("-".to_owned(), |count| count.to_string());
        progress.end(&format!("{compactions} compactions"));
        table.row(vec![
            binary.label.clone(),
            format!("{:.1}", seen.rate / 1e3),
            compactions,
            format!("{:.0}%", share * 100.0),
            optional(without, 1),
            optional(with, 1),
            optional(with.zip(without).map(|(with, without)| with / without), 2),
            optional(figure(&seen.without, max), 1),
            optional(figure(&seen.with, max), 1),
        ]);
    }
    table.note(format!(
        "compactions are counted by INFO's {}; windows of {} ms; {KEYS} keys, whatever -r says; \
         each server at half of its own top rate",
        COMPACTIONS_FIELDS.join(" or "),
        WINDOW.as_millis()
    ));
    Ok(table)
}

fn observe(options: &Options, settings: &Settings, binary: &Binary) -> Result<Observation> {
    let server = Server::start(binary, settings)?;
    if let Some(filling) = workload::filling(Fill::Strings, KEYS, 0, options.value_bytes) {
        debug_assert_eq!(filling.requests, KEYS / FILL_PER_REQUEST);
        fill(&server, filling)?;
    }
    let mut load = options.load(&server, workload::test("SET")?, DEPTH, SEED);
    load.keys = Keys::uniform(KEYS);
    let mut generator = Generator::connect(&load)?;
    let mut drive = |pace: Pace, duration: Duration| -> Result<Outcome> {
        let limit = Limit {
            requests: None,
            duration: Some(duration),
        };
        generator.run(pace, limit)?.checked()
    };
    let rate = (drive(Pace::Closed, CALIBRATION)?.throughput() * RATE_SHARE).max(1.0);
    server.settle()?;

    let count = || server.info_sum(COMPACTIONS_FIELDS);
    let running = || Ok(server.info_sum(COMPACTING_FIELDS)?.unwrap_or(0) > 0);
    let first = count()?;
    let (mut counted, mut was_running) = (first, running()?);
    let mut seen = Observation {
        rate,
        with: Latency::default(),
        without: Latency::default(),
        compactions: None,
    };
    let started = Instant::now();
    while started.elapsed().as_secs_f64() < options.compaction_seconds {
        let outcome = drive(Pace::bursts(rate, DEPTH), WINDOW)?;
        let (counted_now, runs): (Option<u64>, bool) = (count()?, running()?);
        let compacted = was_running || runs || counted_now != counted;
        let latency = if compacted {
            &mut seen.with
        } else {
            &mut seen.without
        };
        latency.merge(&outcome.latency);
        (counted, was_running) = (counted_now, runs);
    }
    seen.compactions = counted
        .zip(first)
        .map(|(last, first)| last.saturating_sub(first));
    Ok(seen)
}
