//! Throughput when no reply leaves before its record is on disk.
//!
//! Printed beside the disk's own rate of durable writes, measured just before: a server's requests
//! per second divided by it is how many requests share a commit.

use std::time::Duration;

use super::progress::Progress;
use super::table::{Table, optional};
use super::{Contenders, Options, SEED, UNSETTLED, fill_for};
use crate::disk;
use crate::error::Result;
use crate::generator::{Generator, Limit, Outcome, Pace};
use crate::server::{LOG_COMMITS_FIELD, Server, Settings};
use crate::stats::Spread;
use crate::workload::{self, Test};

/// How long the disk alone is measured, once per round.
const DISK_DURATION: Duration = Duration::from_secs(1);
/// One request in flight per client: only clients can share a commit.
const DEPTH: usize = 1;

struct Round {
    outcome: Outcome,
    commits_per_second: Option<f64>,
    settled: bool,
}

/// SET at depth 1 with `appendfsync always`, in rounds.
pub fn run(options: &Options, settings: &Settings, contenders: &Contenders) -> Result<Table> {
    let settings = Settings {
        appendonly: "yes".to_owned(),
        appendfsync: "always".to_owned(),
        ..settings.clone()
    };
    let mut disk_rounds = Vec::new();
    let mut disk_p99_us = Vec::new();
    let mut rounds: Vec<Vec<Round>> = contenders.servers.iter().map(|_| Vec::new()).collect();
    let test = workload::test("SET")?;
    let work = DISK_DURATION + options.fill_time(test.fill) + options.load_time();
    let cells = options.rounds * rounds.len();
    let mut progress = Progress::announce("durable", cells, work);
    for round in 0..options.rounds {
        let rate = disk::durable_write_rate(&settings.data_root, DISK_DURATION)?;
        disk_rounds.push(rate.writes_per_second);
        disk_p99_us.push(rate.latency.p99_ns as f64 / 1e3);
        for index in contenders.turns(round) {
            let binary = &contenders.servers[index];
            progress.begin(&options.cell_name(round, test.name, Some(DEPTH), binary));
            let server = Server::start(binary, &settings)?;
            let found = measure(options, &server, test, SEED + round as u64)?;
            let rate = found.outcome.throughput() / 1e3;
            progress.end(&format!("{rate:.1} kop/s"));
            rounds[index].push(found);
        }
    }

    let mut table = Table::new(
        "Durable SET (appendfsync always)",
        &[
            "server",
            "kop/s min",
            "median",
            "max",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "p99.99 us",
            "commits/s",
            "requests per disk write",
            "remark",
        ],
    );
    let disk = Spread::of(&disk_rounds);
    for (label, rounds) in contenders.labels().into_iter().zip(&rounds) {
        let spread = |figure: &dyn Fn(&Round) -> f64| {
            Spread::of(&rounds.iter().map(figure).collect::<Vec<_>>())
        };
        let throughput = spread(&|round| round.outcome.throughput());
        let us = |pick: fn(&Outcome) -> u64| {
            let median = spread(&|round| pick(&round.outcome) as f64 / 1e3);
            optional(median.map(|spread| spread.median), 1)
        };
        let commits = spread(&|round| round.commits_per_second.unwrap_or(f64::NAN));
        let per_write = throughput
            .zip(disk)
            .map(|(served, disk)| served.median / disk.median);
        table.row(vec![
            label,
            optional(throughput.map(|spread| spread.min / 1e3), 2),
            optional(throughput.map(|spread| spread.median / 1e3), 2),
            optional(throughput.map(|spread| spread.max / 1e3), 2),
            us(|outcome| outcome.latency.percentiles().p50_ns),
            us(|outcome| outcome.latency.percentiles().p99_ns),
            us(|outcome| outcome.latency.percentiles().p999_ns),
            us(|outcome| outcome.latency.percentiles().p9999_ns),
            optional(commits.map(|spread| spread.median), 0),
            optional(per_write, 1),
            if rounds.iter().all(|round| round.settled) {
                String::new()
            } else {
                UNSETTLED.to_owned()
            },
        ]);
    }
    for premise in workload::premises(&[test]) {
        table.note(premise);
    }
    table.note(format!(
        "the disk alone: {} durable 4 KiB writes/s ({} to {}), p99 {} us (O_DIRECT, O_DSYNC, one \
         at a time, prewritten file)",
        optional(disk.map(|disk| disk.median), 0),
        optional(disk.map(|disk| disk.min), 0),
        optional(disk.map(|disk| disk.max), 0),
        optional(Spread::of(&disk_p99_us).map(|spread| spread.median), 0),
    ));
    table.note(format!(
        "commits/s is INFO's {LOG_COMMITS_FIELD}, where a server has it"
    ));
    Ok(table)
}

fn measure(options: &Options, server: &Server, test: &Test, seed: u64) -> Result<Round> {
    let settled = fill_for(options, server, test.fill)?;
    let mut generator = Generator::connect(&options.load(server, test, DEPTH, seed))?;
    let limit = Limit {
        requests: None,
        duration: Some(options.load_time()),
    };
    let before = server.info_sum(&[LOG_COMMITS_FIELD])?;
    let outcome = generator.run(Pace::Closed, limit)?.checked()?;
    let after = server.info_sum(&[LOG_COMMITS_FIELD])?;
    let commits_per_second = before.zip(after).map(|(before, after)| {
        after.saturating_sub(before) as f64 / outcome.elapsed.as_secs_f64().max(1e-9)
    });
    Ok(Round {
        outcome,
        commits_per_second,
        settled,
    })
}
