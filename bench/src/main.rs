//! The `causet-bench` command line: parses, dispatches, turns an error into an exit code.

use std::process::ExitCode;

use causet_bench::{compare, interrupt, load, peers};
use clap::{Parser, Subcommand};

/// Load generator and side-by-side comparison for Redis-compatible servers.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put load on a running server and print throughput and latencies.
    Load(Box<load::Options>),
    /// Run Causet and its peers in turns on the same cores, and report.
    Compare(Box<compare::Options>),
    /// Fetch the peers and print their versions.
    Peers(peers::Options),
}

fn main() -> ExitCode {
    interrupt::install();
    let result = match CommandLine::parse().command {
        Command::Load(options) => load::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Peers(options) => peers::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("causet-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
