//! The `causet-bench` command line: parses, dispatches, turns an error into an exit code.

use std::process::ExitCode;

use causet_bench::{interrupt, load};
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
    Load(load::Options),
}

fn main() -> ExitCode {
    interrupt::install();
    let result = match CommandLine::parse().command {
        Command::Load(options) => load::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("causet-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
