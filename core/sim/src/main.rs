//! `causet-sim`: runs seeds, prints one line for each and a summary, fails if one did.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use causet_sim::MS;
use causet_sim::replica::{Replica, ReplicaOptions};
use causet_sim::run::{FaultLevel, RunOptions, try_run};
use causet_sim::world::NODES_MAX;
use clap::{Parser, ValueEnum};

/// Runs nodes of Causet in a simulated world that fails, and judges what clients saw.
#[derive(Parser, Debug)]
#[command(version)]
struct Arguments {
    /// The seed: the same seed is the same run.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Run all seeds of a range instead: FROM..TO, TO excluded.
    #[arg(long, value_parser = range, value_name = "FROM..TO", conflicts_with = "seed")]
    seeds: Option<(u64, u64)>,
    /// Nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=NODES_MAX as i64))]
    nodes: u16,
    /// Operations that clients ask for, in all.
    #[arg(long, default_value_t = 200)]
    ops: u64,
    /// Which faults happen.
    #[arg(long, value_enum, default_value_t = Level::Swarm)]
    faults: Level,
    /// Print every event.
    #[arg(long)]
    trace: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    /// Nothing fails.
    None,
    /// The seed switches each kind of fault on or off.
    Swarm,
    /// Everything fails.
    All,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("write it as FROM..TO")?;
    let parse = |number: &str| number.parse::<u64>().map_err(|error| error.to_string());
    let (from, to) = (parse(from)?, parse(to)?);
    if from < to {
        Ok((from, to))
    } else {
        Err("the range is empty".to_owned())
    }
}

/// Prints a line. Whoever closes the pipe has read enough; the exit code still tells.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (from, to) = arguments
        .seeds
        .unwrap_or((arguments.seed, arguments.seed.saturating_add(1)));
    let mut failed = Vec::new();
    let mut events = 0;
    for seed in from..to {
        let options = RunOptions {
            seed,
            nodes: usize::from(arguments.nodes),
            operations: arguments.ops,
            faults: match arguments.faults {
                Level::None => FaultLevel::None,
                Level::Swarm => FaultLevel::Swarm,
                Level::All => FaultLevel::All,
            },
            prints: arguments.trace,
            ..RunOptions::default()
        };
        match try_run::<Replica>(&options, &ReplicaOptions::default()) {
            Ok(report) => {
                events += report.events;
                say(format_args!(
                    "seed {seed}: ok, {} events, {} ms, quiet after {} ms, {} crashes, {} faults, \
                     {} of {} operations unknown, trace {:016x}",
                    report.events,
                    report.virtual_ns / MS,
                    report.quiet_after_ns / MS,
                    report.counts.crashes,
                    report.counts.faults,
                    report.history.unknown(),
                    arguments.ops,
                    report.trace_hash,
                ));
            }
            Err(failure) => {
                say(format_args!("seed {seed}: FAILED: {failure}"));
                say(format_args!("to repeat it: {}", options.command()));
                failed.push(seed);
            }
        }
    }
    say(format_args!(
        "{} of {} seeds failed{}, {events} events",
        failed.len(),
        to - from,
        if failed.is_empty() {
            String::new()
        } else {
            format!(" ({failed:?})")
        },
    ));
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
