//! Memory per key: the whole process, divided by what was put into it.
//!
//! Nothing is subtracted: not the empty server, not buffers. With a million keys the fixed part is
//! small; the column of the empty server lets a reader subtract it.

use super::table::{Table, optional};
use super::{Contenders, Options, fill_for};
use crate::error::Result;
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
    for _ in 0..options.rounds {
        for (binary, rounds) in contenders.servers.iter().zip(&mut rounds) {
            let server = Server::start(binary, settings)?;
            let empty = process::resident_bytes(server.pid())? as f64;
            fill_for(options, &server, Fill::Strings)?;
            rounds.push((empty, process::resident_bytes(server.pid())? as f64));
        }
    }
    for (label, rounds) in contenders.labels().into_iter().zip(rounds) {
        let spread = |figure: fn(&(f64, f64)) -> f64| {
            Spread::of(&rounds.iter().map(figure).collect::<Vec<_>>())
        };
        let filled = spread(|(_, filled)| *filled);
        table.row(vec![
            label,
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
    Ok(table)
}
