//! Latency at a rate that everybody can serve.
//!
//! A closed loop measures a server at its own top speed, where queues are as long as there are
//! clients, and the faster server is asked more. Here the fastest peer's top rate is found first,
//! and then everybody gets 70 % of it, on a schedule that waits for nobody. At a depth above 1 the
//! schedule's unit is a whole pipeline, as a client that pipelines sends it.

use std::time::Duration;

use super::progress::Progress;
use super::table::{Table, optional};
use super::{Contenders, Options, SEED, UNSETTLED, fill_for};
use crate::error::Result;
use crate::generator::{Generator, Limit, Outcome, Pace};
use crate::peers::Binary;
use crate::server::{Server, Settings};
use crate::stats::{self, Spread};
use crate::workload::{self, Fill, Test};

/// The part of the fastest peer's top rate that everybody gets.
const RATE_SHARE: f64 = 0.7;
const TESTS: [&str; 2] = ["SET", "GET"];
/// Pipeline depths when none are asked for.
const DEPTHS: &[usize] = &[1, 16];
/// Rounds in which top rates are sought; a median of three is near enough for a rate to be set.
const CALIBRATION_ROUNDS_MAX: usize = 3;
/// The most time for which one top rate is sought.
const CALIBRATION_MAX: Duration = Duration::from_secs(1);
/// Replies per second below this part of the schedule's rate: the server did not keep up.
/// The last replies' way back is part of a run's time, so it is a little below 1.
const KEPT_UP: f64 = 0.98;

/// One test at one depth: the rate, and what each server made of it in each round.
struct Line {
    test: &'static Test,
    depth: usize,
    rate: f64,
    servers: Vec<Vec<Round>>,
}

/// One server's cell.
struct Round {
    outcome: Outcome,
    settled: bool,
}

impl Round {
    fn p999_us(&self) -> f64 {
        self.outcome.latency.percentiles().p999_ns as f64 / 1e3
    }
}

impl Line {
    fn p999_us(&self, server: usize) -> Vec<f64> {
        self.servers[server].iter().map(Round::p999_us).collect()
    }

    /// A server's p99.9 against that of the peer with the least, round by round; above 1 is slower.
    fn ratio(&self, server: usize) -> Option<f64> {
        let peers: Vec<Vec<f64>> = (1..self.servers.len())
            .map(|peer| self.p999_us(peer))
            .collect();
        let best = stats::best(peers.iter().map(Vec::as_slice), false)?;
        stats::ratio(&self.p999_us(server), &peers[best])
    }
}

/// Measures SET and GET at each pipeline depth.
pub fn run(options: &Options, settings: &Settings, contenders: &Contenders) -> Result<Table> {
    let mut lines = Vec::new();
    for &depth in options.depths(DEPTHS) {
        for name in TESTS {
            lines.push(Line {
                test: workload::test(name)?,
                depth,
                rate: 0.0,
                servers: contenders.servers.iter().map(|_| Vec::new()).collect(),
            });
        }
    }
    calibrate(options, settings, contenders, &mut lines)?;

    let work = options.fill_time(Fill::Strings) + options.load_time();
    let cells = options.rounds * lines.len() * contenders.servers.len();
    let mut progress = Progress::announce("open loop", cells, work);
    for round in 0..options.rounds {
        for line in &mut lines {
            for index in contenders.turns(round) {
                let binary = &contenders.servers[index];
                let (name, depth) = (line.test.name, line.depth);
                progress.begin(&options.cell_name(round, name, Some(depth), binary));
                let server = Server::start(binary, settings)?;
                let settled = fill_for(options, &server, line.test.fill)?;
                let pace = Pace::bursts(line.rate, depth);
                let time = options.load_time();
                let outcome = drive(options, &server, line, pace, round, time)?;
                let found = Round { outcome, settled };
                progress.end(&format!("p99.9 {:.0} us", found.p999_us()));
                line.servers[index].push(found);
            }
        }
    }
    let mut table = table(&lines, &contenders.labels());
    let tests: Vec<&Test> = lines.iter().map(|line| line.test).collect();
    for premise in workload::premises(&tests) {
        table.note(premise);
    }
    Ok(table)
}

/// Finds each line's rate: the greatest of the peers' median top rates, times the share. All of
/// SET and GET run on one server, for neither changes what the other finds.
fn calibrate(
    options: &Options,
    settings: &Settings,
    contenders: &Contenders,
    lines: &mut [Line],
) -> Result<()> {
    // Without peers we are held against ourselves: the latencies still mean something.
    let peers = contenders.servers.get(1..);
    let pace_makers: &[Binary] = peers
        .filter(|peers| !peers.is_empty())
        .unwrap_or(&contenders.servers);
    let rounds = options.rounds.min(CALIBRATION_ROUNDS_MAX);
    let time = options.load_time().min(CALIBRATION_MAX);
    let work = options.fill_time(Fill::Strings) + time * lines.len() as u32;
    let mut progress = Progress::announce("top rates", rounds * pace_makers.len(), work);
    let mut tops = vec![vec![Vec::new(); pace_makers.len()]; lines.len()];
    for round in 0..rounds {
        for (index, binary) in pace_makers.iter().enumerate() {
            progress.begin(&options.cell_name(round, "top rates", None, binary));
            let server = Server::start(binary, settings)?;
            fill_for(options, &server, Fill::Strings)?;
            let mut found = Vec::new();
            for (line, tops) in lines.iter().zip(&mut tops) {
                let outcome = drive(options, &server, line, Pace::Closed, round, time)?;
                let top = outcome.throughput();
                tops[index].push(top);
                found.push(format!(
                    "{} -P {} {:.1}",
                    line.test.name,
                    line.depth,
                    top / 1e3
                ));
                server.settle()?;
            }
            progress.end(&format!("{} kop/s", found.join(", ")));
        }
    }
    for (line, tops) in lines.iter_mut().zip(tops) {
        let medians = tops.iter().filter_map(|rounds| Spread::of(rounds));
        let top = medians.map(|spread| spread.median).fold(1.0, f64::max);
        line.rate = top * RATE_SHARE;
    }
    Ok(())
}

fn drive(
    options: &Options,
    server: &Server,
    line: &Line,
    pace: Pace,
    round: usize,
    time: Duration,
) -> Result<Outcome> {
    let load = options.load(server, line.test, line.depth, SEED + round as u64);
    let limit = Limit {
        requests: None,
        duration: Some(time),
    };
    Generator::connect(&load)?.run(pace, limit)?.checked()
}

fn table(lines: &[Line], labels: &[String]) -> Table {
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
            "p99.9 to best peer's",
            "remark",
        ],
    );
    for line in lines {
        for (server, label) in labels.iter().enumerate() {
            table.row(row(line, server, label.clone()));
        }
    }
    table.note(
        "latency runs from the scheduled start; gaps are equal; at a depth above 1 whole pipelines \
         start together"
            .to_owned(),
    );
    table.note(
        "p99.9 to best peer's: median over rounds of the ratio; below 1, the tail is shorter"
            .to_owned(),
    );
    table
}

fn row(line: &Line, server: usize, label: String) -> Vec<String> {
    let rounds = &line.servers[server];
    let spread = |figure: fn(&Outcome) -> f64| {
        let figures: Vec<f64> = rounds.iter().map(|round| figure(&round.outcome)).collect();
        Spread::of(&figures)
    };
    let us = |figure: fn(&Outcome) -> f64| optional(spread(figure).map(|us| us.median / 1e3), 1);
    let served = spread(Outcome::throughput).map(|spread| spread.median);
    let p999 = Spread::of(&line.p999_us(server));
    let mut remarks = Vec::new();
    let behind = served.is_some_and(|served| served < line.rate * KEPT_UP);
    remarks.extend(behind.then_some("did not keep up"));
    let settled = rounds.iter().all(|round| round.settled);
    remarks.extend((!settled).then_some(UNSETTLED));
    vec![
        line.test.name.to_owned(),
        line.depth.to_string(),
        label,
        format!("{:.1}", line.rate / 1e3),
        optional(served.map(|served| served / 1e3), 1),
        us(|outcome| outcome.latency.percentiles().p50_ns as f64),
        us(|outcome| outcome.latency.percentiles().p99_ns as f64),
        optional(p999.map(|spread| spread.min), 1),
        optional(p999.map(|spread| spread.median), 1),
        optional(p999.map(|spread| spread.max), 1),
        us(|outcome| outcome.latency.percentiles().p9999_ns as f64),
        optional(line.ratio(server), 2),
        remarks.join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    fn round(p999_us: u64) -> Round {
        let mut latency = Latency::default();
        latency.record(p999_us * 1000, 1000);
        let outcome = Outcome {
            latency,
            requests: 1000,
            elapsed: Duration::from_secs(1),
            ..Outcome::default()
        };
        Round {
            outcome,
            settled: true,
        }
    }

    #[test]
    fn tails_are_held_against_the_peer_with_the_shortest_round_by_round() {
        let line = Line {
            test: workload::test("SET").unwrap(),
            depth: 16,
            rate: 1000.0,
            servers: vec![
                // The last round was disturbed for all: the ratio does not move.
                vec![round(100), round(100), round(1000)],
                vec![round(400), round(400), round(4000)],
                vec![round(200), round(200), round(2000)],
            ],
        };
        let near = |server: usize, ratio: f64| (line.ratio(server).unwrap() - ratio).abs() < 0.01;
        assert!(near(0, 0.5) && near(1, 2.0) && near(2, 1.0));
        let text = table(&[line], &["a", "b", "c"].map(str::to_owned)).csv();
        assert!(
            text.contains(",0.50,\n") && text.contains(",2.00,\n"),
            "{text}"
        );
        assert!(!text.contains("keep up"), "{text}");
    }
}
