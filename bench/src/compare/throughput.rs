//! The main comparison: every test at every depth, in rounds.
//!
//! Two tables come out: one line per server with spreads over the rounds, and one line per test with
//! the ratio to the best peer. Best is decided by medians, once for throughput and once for CPU time
//! per operation; the ratio is the median of the per-round ratios.

use std::fs;
use std::time::Duration;

use super::cell::{self, Cell};
use super::plot::{self, Group};
use super::progress::Progress;
use super::table::{Table, optional};
use super::{Contenders, Options, UNSETTLED};
use crate::error::{Doing, Result};
use crate::server::Settings;
use crate::stats::{self, Spread};
use crate::workload::{self, Test};

/// Pipeline depths when none are asked for.
const DEPTHS: &[usize] = &[1, 16, 64];
/// Above this part of the server's core used by others, a line is marked as disturbed.
const DISTURBED: f64 = 0.05;

/// All rounds of one test and depth, by server.
struct Line {
    test: &'static Test,
    depth: usize,
    servers: Vec<Vec<Cell>>,
}

impl Line {
    fn series(&self, server: usize, figure: impl Fn(&Cell) -> f64) -> Vec<f64> {
        self.servers[server].iter().map(figure).collect()
    }

    fn median(&self, server: usize, figure: impl Fn(&Cell) -> f64) -> Option<f64> {
        Spread::of(&self.series(server, figure)).map(|spread| spread.median)
    }

    /// Ours against the best peer: its index among all servers, and the ratio.
    fn ratio(&self, figure: impl Fn(&Cell) -> f64, greatest: bool) -> Option<(usize, f64)> {
        let peers: Vec<Vec<f64>> = (1..self.servers.len())
            .map(|peer| self.series(peer, &figure))
            .collect();
        let best = stats::best(peers.iter().map(Vec::as_slice), greatest)?;
        Some((
            best + 1,
            stats::ratio(&self.series(0, &figure), &peers[best])?,
        ))
    }
}

/// Runs the comparison; writes the plot itself, returns the tables with their file names.
pub fn run(
    options: &Options,
    settings: &Settings,
    contenders: &Contenders,
    tests: &[&'static Test],
) -> Result<Vec<(Table, &'static str)>> {
    let servers = &contenders.servers;
    let mut lines: Vec<Line> = Vec::new();
    let depths = options.depths(DEPTHS);
    for &depth in depths {
        for &test in tests {
            lines.push(Line {
                test,
                depth,
                servers: vec![Vec::new(); servers.len()],
            });
        }
    }
    let cells = options.rounds * lines.len() * servers.len();
    let fill_times: Duration = tests.iter().map(|test| options.fill_time(test.fill)).sum();
    let work = fill_times / tests.len() as u32 + options.load_time();
    let mut progress = Progress::announce("throughput", cells, work);
    for round in 0..options.rounds {
        for line in &mut lines {
            for index in contenders.turns(round) {
                let binary = &servers[index];
                let (test, depth) = (line.test, line.depth);
                progress.begin(&options.cell_name(round, test.name, Some(depth), binary));
                let cell = cell::measure(options, settings, binary, test, depth, round)?;
                let (rate, cpu_us) = (cell.throughput / 1e3, cell.cpu_ns / 1e3);
                progress.end(&format!("{rate:.1} kop/s, {cpu_us:.2} us CPU"));
                line.servers[index].push(cell);
            }
        }
    }
    let labels = contenders.labels();
    let path = options.out.join("cpu-per-op.svg");
    fs::write(&path, plot(&lines, &labels, depths))
        .doing(|| format!("writing {}", path.display()))?;
    let mut tables = vec![
        (ratios(&lines, &labels), "ratios"),
        (details(&lines, &labels), "throughput"),
    ];
    for premise in workload::premises(tests) {
        for (table, _) in &mut tables {
            table.note(premise.clone());
        }
    }
    Ok(tables)
}

fn ratios(lines: &[Line], labels: &[String]) -> Table {
    let mut table = Table::new(
        "Ours against the best peer",
        &[
            "test",
            "-P",
            "ours kop/s",
            "fastest peer",
            "kop/s",
            "ratio",
            "ours CPU us/op",
            "cheapest peer",
            "CPU us/op",
            "CPU ratio",
        ],
    );
    for line in lines {
        let throughput = line.ratio(|cell| cell.throughput, true);
        let cpu = line.ratio(|cell| cell.cpu_ns, false);
        let label = |found: Option<(usize, f64)>| {
            found.map_or("-".to_owned(), |(server, _)| labels[server].clone())
        };
        let kops = |server: usize| line.median(server, |cell| cell.throughput / 1e3);
        let cpu_us = |server: usize| line.median(server, |cell| cell.cpu_ns / 1e3);
        table.row(vec![
            line.test.name.to_owned(),
            line.depth.to_string(),
            optional(kops(0), 1),
            label(throughput),
            optional(throughput.and_then(|(server, _)| kops(server)), 1),
            optional(throughput.map(|(_, ratio)| ratio), 2),
            optional(cpu_us(0), 2),
            label(cpu),
            optional(cpu.and_then(|(server, _)| cpu_us(server)), 2),
            optional(cpu.map(|(_, ratio)| ratio), 2),
        ]);
    }
    table.note("ratio: above 1, ours is faster; CPU ratio: below 1, ours is cheaper".to_owned());
    table
}

fn details(lines: &[Line], labels: &[String]) -> Table {
    let mut table = Table::new(
        "Every server",
        &[
            "test",
            "-P",
            "server",
            "kop/s min",
            "median",
            "max",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "p99.99 us",
            "CPU us/op min",
            "median",
            "max",
            "user",
            "system",
            "server busy",
            "load busy",
            "others",
            "bottleneck",
            "remark",
        ],
    );
    for line in lines {
        for (server, label) in labels.iter().enumerate() {
            let spread = |figure: fn(&Cell) -> f64| Spread::of(&line.series(server, figure));
            let throughput = spread(|cell| cell.throughput / 1e3);
            let cpu = spread(|cell| cell.cpu_ns / 1e3);
            let system = line.median(server, |cell| cell.cpu_ns / 1e3 * cell.system_share);
            let user = line.median(server, |cell| cell.cpu_ns / 1e3 * (1.0 - cell.system_share));
            let server_busy = line.median(server, |cell| cell.server_busy).unwrap_or(0.0);
            let load_busy = line.median(server, |cell| cell.load_busy).unwrap_or(0.0);
            let others = line.median(server, |cell| cell.foreign_busy).unwrap_or(0.0);
            let latency = |index: usize| {
                // A driver that does not know a percentile does not know it in any round.
                let known = |cell: &Cell| cell.latency_us[index].unwrap_or(f64::NAN);
                optional(line.median(server, known), 1)
            };
            let dry = line.test.pops() && line.servers[server].iter().any(|cell| cell.empty > 0);
            let mut remarks = Vec::new();
            remarks.extend((others > DISTURBED).then_some("disturbed"));
            remarks.extend(dry.then_some("ran dry"));
            let settled = line.servers[server].iter().all(|cell| cell.settled);
            remarks.extend((!settled).then_some(UNSETTLED));
            table.row(vec![
                line.test.name.to_owned(),
                line.depth.to_string(),
                label.clone(),
                optional(throughput.map(|spread| spread.min), 1),
                optional(throughput.map(|spread| spread.median), 1),
                optional(throughput.map(|spread| spread.max), 1),
                latency(0),
                latency(1),
                latency(2),
                latency(3),
                optional(cpu.map(|spread| spread.min), 2),
                optional(cpu.map(|spread| spread.median), 2),
                optional(cpu.map(|spread| spread.max), 2),
                optional(user, 2),
                optional(system, 2),
                format!("{:.0}%", server_busy * 100.0),
                format!("{:.0}%", load_busy * 100.0),
                format!("{:.0}%", others * 100.0),
                Cell::bottleneck(server_busy, load_busy).to_owned(),
                remarks.join(", "),
            ]);
        }
    }
    table.note("latencies are medians of the rounds' percentiles".to_owned());
    table
}

fn plot(lines: &[Line], labels: &[String], depths: &[usize]) -> String {
    let panels: Vec<(String, Vec<Group>)> = depths
        .iter()
        .map(|&depth| {
            let groups = lines
                .iter()
                .filter(|line| line.depth == depth)
                .map(|line| Group {
                    name: line.test.name.to_owned(),
                    bars: (0..labels.len())
                        .map(|server| line.median(server, |cell| cell.cpu_ns / 1e3).unwrap_or(0.0))
                        .collect(),
                });
            (format!("-P {depth}"), groups.collect())
        })
        .collect();
    plot::bars(
        "Server CPU per operation, microseconds (less is better)",
        labels,
        &panels,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(throughput: f64, cpu_ns: f64) -> Cell {
        Cell {
            throughput,
            latency_us: [Some(1.0), Some(2.0), None, None],
            cpu_ns,
            system_share: 0.5,
            server_busy: 1.0,
            load_busy: 0.5,
            foreign_busy: 0.0,
            empty: 0,
            settled: true,
        }
    }

    #[test]
    fn the_fastest_and_the_cheapest_peer_are_chosen_apart() {
        let line = Line {
            test: workload::test("GET").unwrap(),
            depth: 1,
            servers: vec![
                vec![cell(300.0, 10.0), cell(300.0, 10.0), cell(30.0, 100.0)],
                vec![cell(100.0, 20.0), cell(100.0, 20.0), cell(10.0, 200.0)],
                vec![cell(90.0, 5.0), cell(90.0, 5.0), cell(9.0, 50.0)],
            ],
        };
        assert_eq!(line.ratio(|cell| cell.throughput, true), Some((1, 3.0)));
        assert_eq!(line.ratio(|cell| cell.cpu_ns, false), Some((2, 2.0)));
        let labels = ["ours", "fast", "cheap"].map(str::to_owned);
        let text = ratios(std::slice::from_ref(&line), &labels).csv();
        assert!(
            text.ends_with("GET,1,0.3,fast,0.1,3.00,0.01,cheap,0.01,2.00\n"),
            "{text}"
        );
        assert!(details(&[line], &labels).csv().contains(",-,-,"));
    }

    #[test]
    fn a_line_says_when_a_server_had_not_come_to_rest() {
        let restless = Cell {
            settled: false,
            ..cell(1.0, 1.0)
        };
        let line = Line {
            test: workload::test("GET").unwrap(),
            depth: 1,
            servers: vec![vec![cell(1.0, 1.0)], vec![cell(1.0, 1.0), restless]],
        };
        let text = details(&[line], &["ours", "theirs"].map(str::to_owned)).csv();
        let told: Vec<bool> = text.lines().map(|line| line.ends_with(UNSETTLED)).collect();
        assert_eq!(told, [false, false, true]);
    }
}
