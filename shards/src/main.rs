//! The `causet` server and its offline tools.

use std::process::ExitCode;

use causet_shards::config::{Config, Start};
use causet_shards::{server, version};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is freed goes back to the system within a second, also when nothing is allocated any more:
/// jemalloc by itself looks only while it is called.
#[unsafe(export_name = "malloc_conf")]
static MALLOC_CONF: &[u8] = b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0\0";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|first| first == "log") {
        return causet_shards::tool::main();
    }
    match Config::load(args) {
        Ok(Start::Version) => println!("causet {}", version::CAUSET_VERSION),
        Ok(Start::Help) => print!("{}", Config::help()),
        Ok(Start::Run(config, source)) => {
            if let Err(error) = causet_shards::diagnostics::start(&config) {
                eprintln!("causet: cannot write the log file: {error}");
                return ExitCode::FAILURE;
            }
            if let Err(error) = server::run(*config, source) {
                eprintln!("causet: {error}");
                return ExitCode::FAILURE;
            }
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
