//! Memory per key: the whole process, divided by what was put into it.
//!
//! Nothing is subtracted: not the empty server, not buffers. With a million keys the fixed part is
//! small; the column of the empty server lets a reader subtract it.

use super::progress::Progress;
use super::table::{Table, optional};
use super::{Contenders, Options, UNSETTLED, fill_for};
use crate::error::Result;
use crate::peers::Binary;
use crate::process;
use crate::server::{Server, Settings};
use crate::stats::Spread;
use crate::workload::Fill;

const MIB: f64 = 1024.0 * 1024.0;

/// Fills each server with every key of the keyspace, once per round.
pub fn run(options: &Options, settings: &Settings, contenders: &Contenders) -> Result<Table> {
    let mut table = Table::new(
        "Memory",
        &[
            "server",
            "allocator",
            "empty MiB",
            "filled MiB",
            "bytes/key min",
            "median",
            "max",
            "payload bytes",
        ],
    );
    let keys = options.keyspace as f64;
    let payload = "key:".len() + crate::template::DIGITS + options.value_bytes;
    let mut rounds = vec![Vec::new(); contenders.servers.len()];
    let mut allocators = vec![String::new(); contenders.servers.len()];
    let mut restless = Vec::new();
    let cells = options.rounds * rounds.len();
    let mut progress = Progress::announce("memory", cells, options.fill_time(Fill::Strings));
    for round in 0..options.rounds {
        for index in contenders.turns(round) {
            let binary = &contenders.servers[index];
            progress.begin(&options.cell_name(round, "filling", None, binary));
            let server = Server::start(binary, settings)?;
            let empty = process::resident_bytes(server.pid())? as f64;
            if !fill_for(options, &server, Fill::Strings)? {
                restless.push(binary.label.clone());
            }
            let filled = process::resident_bytes(server.pid())? as f64;
            allocators[index] = allocator(&server, binary)?;
            progress.end(&format!("{:.1} bytes/key", filled / keys));
            rounds[index].push((empty, filled));
        }
    }
    let rows = contenders.labels().into_iter().zip(allocators).zip(rounds);
    for ((label, allocator), rounds) in rows {
        let spread = |figure: fn(&(f64, f64)) -> f64| {
            Spread::of(&rounds.iter().map(figure).collect::<Vec<_>>())
        };
        let filled = spread(|(_, filled)| *filled);
        table.row(vec![
            label,
            allocator,
            optional(
                spread(|(empty, _)| *empty).map(|empty| empty.median / MIB),
                1,
            ),
            optional(filled.map(|filled| filled.median / MIB), 1),
            optional(filled.map(|filled| filled.min / keys), 1),
            optional(filled.map(|filled| filled.median / keys), 1),
            optional(filled.map(|filled| filled.max / keys), 1),
            payload.to_string(),
        ]);
    }
    table.note("VmRSS of the whole process; an allocator's reserve counts".to_owned());
    table.note(
        "every key once, in random order; allocator: INFO's mem_allocator, or what took its place"
            .to_owned(),
    );
    for label in restless {
        table.note(format!("{label} in one round: {UNSETTLED}"));
    }
    Ok(table)
}

/// What the server says of its allocator; it does not know when another stands in for it.
fn allocator(server: &Server, binary: &Binary) -> Result<String> {
    let told = server.info()?.remove("mem_allocator");
    let told = told.unwrap_or_else(|| "-".to_owned());
    Ok(binary
        .preload
        .map_or(told, |library| format!("{library}, preloaded")))
}
