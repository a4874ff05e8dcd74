//! Latency at a rate that everybody can serve.
//!
//! A closed loop measures a server at its own top speed, where queues are as long as there are
//! clients, and the faster server is asked more. Here the fastest peer's top rate is found first,
//! and then everybody gets 70 % of it, on a schedule that waits for nobody.

use std::time::Duration;

use super::table::{Table, optional};
use super::{Contenders, Options, SEED, fill_for};
use crate::error::Result;
use crate::generator::{Generator, Limit, Outcome, Pace};
use crate::peers::Binary;
use crate::schedule::Schedule;
use crate::server::{Server, Settings};
use crate::stats::Spread;
use crate::template::Mix;
use crate::workload::{self, Test};

/// The part of the fastest peer's top rate that everybody gets.
const RATE_SHARE: f64 = 0.7;
const TESTS: [&str; 2] = ["SET", "GET"];
/// Replies per second below this part of the schedule's rate: the server did not keep up.
/// The last replies' way back is part of a run's time, so it is a little below 1.
const KEPT_UP: f64 = 0.98;

/// Measures SET and GET at the first of the pipeline depths.
pub fn run(options: &Options, settings: &Settings, contenders: &Contenders) -> Result<Table> {
    let depth = options.pipelines[0];
    let mut table = Table::new(
        "Latency at 70 % of the fastest peer's top rate (open loop)",
        &[
            "test",
            "-P",
            "server",
            "rate kop/s",
            "served kop/s",
            "p50 us",
            "p99 us",
            "p99.9 us min",
            "median",
            "max",
            "p99.99 us",
            "remark",
        ],
    );
    for name in TESTS {
        let test = workload::test(name)?;
        let drive = |binary: &Binary, pace: Pace, round: usize| {
            drive(options, settings, binary, test, depth, pace, round)
        };
        // Without peers we are held against ourselves: the latencies still mean something.
        let pace_makers = contenders
            .servers
            .get(1..)
            .filter(|peers| !peers.is_empty());
        let mut tops = Vec::new();
        for binary in pace_makers.unwrap_or(&contenders.servers) {
            let mut rounds = Vec::new();
            for round in 0..options.rounds {
                rounds.push(drive(binary, Pace::Closed, round)?.throughput());
            }
            tops.extend(Spread::of(&rounds).map(|spread| spread.median));
        }
        let rate = tops.into_iter().fold(1.0, f64::max) * RATE_SHARE;

        let mut outcomes = vec![Vec::new(); contenders.servers.len()];
        for round in 0..options.rounds {
            for (binary, outcomes) in contenders.servers.iter().zip(&mut outcomes) {
                outcomes.push(drive(binary, Pace::Open(Schedule::even(rate)), round)?);
            }
        }
        for (label, outcomes) in contenders.labels().into_iter().zip(outcomes) {
            table.row(row(test, depth, label, rate, &outcomes));
        }
    }
    table.note("latency runs from the scheduled start; gaps are equal".to_owned());
    Ok(table)
}

fn drive(
    options: &Options,
    settings: &Settings,
    binary: &Binary,
    test: &Test,
    depth: usize,
    pace: Pace,
    round: usize,
) -> Result<Outcome> {
    let server = Server::start(binary, settings)?;
    fill_for(options, &server, test.fill)?;
    let mix = Mix::single(test.template(options.value_bytes));
    let load = options.load(&server, mix, depth, SEED + round as u64);
    let limit = Limit {
        requests: None,
        duration: Some(Duration::from_secs_f64(options.seconds)),
    };
    Generator::connect(&load)?.run(pace, limit)?.checked()
}

fn row(test: &Test, depth: usize, label: String, rate: f64, outcomes: &[Outcome]) -> Vec<String> {
    let spread =
        |figure: fn(&Outcome) -> f64| Spread::of(&outcomes.iter().map(figure).collect::<Vec<_>>());
    let us = |figure: fn(&Outcome) -> f64| optional(spread(figure).map(|us| us.median / 1e3), 1);
    let served = spread(Outcome::throughput).map(|spread| spread.median);
    let p999 = spread(|outcome| outcome.latency.percentiles().p999_ns as f64);
    let behind = served.is_some_and(|served| served < rate * KEPT_UP);
    vec![
        test.name.to_owned(),
        depth.to_string(),
        label,
        format!("{:.1}", rate / 1e3),
        optional(served.map(|served| served / 1e3), 1),
        us(|outcome| outcome.latency.percentiles().p50_ns as f64),
        us(|outcome| outcome.latency.percentiles().p99_ns as f64),
        optional(p999.map(|spread| spread.min / 1e3), 1),
        optional(p999.map(|spread| spread.median / 1e3), 1),
        optional(p999.map(|spread| spread.max / 1e3), 1),
        us(|outcome| outcome.latency.percentiles().p9999_ns as f64),
        if behind { "did not keep up" } else { "" }.to_owned(),
    ]
}
