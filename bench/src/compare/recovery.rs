//! From kill -9 to the first PONG.
//!
//! One record per key is written (SET, not the MSET of other fillings), the log is given time to
//! reach the disk, the server is killed and started again on the same directory. Page cache is not
//! dropped: it is a process that crashed, not the machine.

use std::thread;
use std::time::Duration;

use super::table::{Table, optional};
use super::{Contenders, Options, fill};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::server::{Server, Settings};
use crate::stats::Spread;
use crate::template::Mix;
use crate::workload::{self, Filling};

/// Longer than `everysec` may keep a record in memory.
const FLUSH_WAIT: Duration = Duration::from_millis(2500);

/// Fills, kills and restarts each server, once per round. Fails when keys are missing afterwards.
pub fn run(options: &Options, settings: &Settings, contenders: &Contenders) -> Result<Table> {
    if options.appendonly == "no" {
        return Err(Error::Usage("--recovery needs --appendonly yes".to_owned()));
    }
    let mut rounds = vec![Vec::new(); contenders.servers.len()];
    for _ in 0..options.rounds {
        for (binary, rounds) in contenders.servers.iter().zip(&mut rounds) {
            rounds.push(measure(options, &mut Server::start(binary, settings)?)?.as_secs_f64());
        }
    }
    let mut table = Table::new(
        "Recovery after kill -9",
        &[
            "server",
            "keys",
            "seconds min",
            "median",
            "max",
            "krecords/s",
        ],
    );
    for (label, rounds) in contenders.labels().into_iter().zip(rounds) {
        let seconds = Spread::of(&rounds);
        let rate = seconds.map(|seconds| options.keyspace as f64 / seconds.median / 1e3);
        table.row(vec![
            label,
            options.keyspace.to_string(),
            optional(seconds.map(|seconds| seconds.min), 3),
            optional(seconds.map(|seconds| seconds.median), 3),
            optional(seconds.map(|seconds| seconds.max), 3),
            optional(rate, 0),
        ]);
    }
    table.note("one SET per key; page cache warm; ready is the first PONG".to_owned());
    Ok(table)
}

fn measure(options: &Options, server: &mut Server) -> Result<Duration> {
    let filling = Filling {
        mix: Mix::single(workload::test("SET")?.template(options.value_bytes)),
        keys: Keys::sequential(options.keyspace),
        requests: options.keyspace,
    };
    fill(server, filling)?;
    thread::sleep(FLUSH_WAIT);
    let time = server.crash_and_recover()?;
    let keys = server.ask("DBSIZE")?;
    if keys.parse() == Ok(options.keyspace) {
        return Ok(time);
    }
    let why = format!(
        "{keys} of {} keys are there after a crash",
        options.keyspace
    );
    Err(Error::Server {
        name: server.label().to_owned(),
        why,
    })
}
