//! `causet log inspect|verify|repair DIR`: a data directory read while no server runs on it.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use causet_core::effect::{Data, Effect, Meta, Op, Payload, Scalar};
use causet_core::wire::unmarshal_effect;
use clap::{Parser, Subcommand};

use crate::log::datadir::{DataDir, read_meta};
use crate::log::tool::{Report, inspect, repair, verify};

/// Bytes of a key or value that `inspect` shows.
const SHOWN_BYTES_MAX: usize = 48;

#[derive(Parser)]
#[command(name = "causet", about = "Reads the log of a data directory, offline")]
struct Cli {
    #[command(subcommand)]
    log: LogCommand,
}

#[derive(Subcommand)]
enum LogCommand {
    /// The log of a data directory.
    #[command(subcommand)]
    Log(Action),
}

#[derive(Subcommand)]
enum Action {
    /// Prints every effect, then a report of each segment.
    Inspect {
        /// The data directory.
        dir: PathBuf,
    },
    /// Checks every byte and reports damage; exit code 1 where there is some. A torn tail is none:
    /// the next start cuts it.
    Verify {
        /// The data directory.
        dir: PathBuf,
    },
    /// Makes a damaged log open again. What is taken out stays beside it as `*.damaged`.
    Repair {
        /// The data directory.
        dir: PathBuf,
        /// Skips the damaged batches only, and keeps what stands behind them.
        #[arg(long)]
        skip: bool,
    },
}

/// Runs the tool that the command line names.
pub fn main() -> ExitCode {
    let Cli {
        log: LogCommand::Log(action),
    } = Cli::parse();
    if !matches!(action, Action::Repair { .. }) {
        end_with_the_pipe();
    }
    match run(&action) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("causet: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lets the process end, as Unix tools do, when whoever reads its output has had enough (`head`):
/// Rust's runtime has SIGPIPE ignored. Not for a repair, which must come to its end.
fn end_with_the_pipe() {
    // SAFETY: restores a signal's default action, before there is another thread.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// Prints a line. A repair goes on where nobody reads it any more.
fn say(line: Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn run(action: &Action) -> io::Result<bool> {
    let (Action::Inspect { dir } | Action::Verify { dir } | Action::Repair { dir, .. }) = action;
    let Some(meta) = read_meta(dir)? else {
        let text = format!(
            "{} is not a data directory: it has no meta file",
            dir.display()
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    };
    // Keeps a server from starting meanwhile, and says so where one runs.
    let data = DataDir::open(dir, meta)?;
    let mut is_sound = true;
    for shard in 0..meta.shards {
        let log = data.shard(shard);
        say(format_args!("shard {shard}: {}", log.display()));
        let report = match action {
            Action::Inspect { .. } => inspect_shard(&log)?,
            Action::Verify { .. } => verify(&log)?,
            Action::Repair { skip, .. } => repair(&log, *skip)?,
        };
        say(format_args!("{report}"));
        let is_damaged = report.damage.is_some_and(|damage| damage.was_durable);
        is_sound &= !is_damaged || matches!(action, Action::Repair { .. });
    }
    Ok(is_sound)
}

fn inspect_shard(log: &Path) -> io::Result<Report> {
    inspect(log, &mut |counter, _, bytes| {
        let mut deps = Vec::new();
        match unmarshal_effect(counter, bytes, &mut deps) {
            Ok(stamped) => say(format_args!(
                "{counter} {:?} {}",
                stamped.hlc,
                describe(&stamped.effect)
            )),
            Err(error) => say(format_args!("{counter} ({} bytes) {error}", bytes.len())),
        }
    })
}

fn describe(effect: &Effect<'_>) -> String {
    let Effect { db, key, payload } = effect;
    let what = match payload {
        Payload::Data(data) => describe_data(data),
        Payload::Meta(Meta::ExpireAt(at_ms)) => format!("expires at {at_ms} ms"),
        Payload::Meta(Meta::Persist) => "persists".into(),
        Payload::Noop => "was observed".into(),
        Payload::Snapshot(snapshot) => {
            format!(
                "snapshot {} of {} bytes",
                snapshot.type_tag.name(),
                snapshot.state.len()
            )
        }
        Payload::Flush => "flush".into(),
        Payload::Place { space } => format!("becomes keyspace {space}"),
    };
    format!("db {db} {} {what}", shown(key))
}

fn describe_data(data: &Data<'_>) -> String {
    let op = match data.op {
        Op::Insert => "insert",
        Op::Remove => "remove",
    };
    let value = match data.value {
        Scalar::None => String::new(),
        Scalar::Bytes(bytes) => format!(" {}", shown(bytes)),
        Scalar::Int(int) => format!(" {int}"),
        Scalar::Float(float) => format!(" {float}"),
    };
    let element = if data.element.is_empty() {
        String::new()
    } else {
        shown(data.element)
    };
    format!(
        "{op} {:?} {:?} {:?} {element}{value}",
        data.collection, data.merge, data.placement
    )
}

fn shown(bytes: &[u8]) -> String {
    let short = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let more = if bytes.len() > short.len() { "..." } else { "" };
    format!("\"{}{more}\"", short.escape_ascii())
}
