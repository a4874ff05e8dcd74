//! From kill -9 to the first PONG.
//!
//! One record per key is written (SET, not the MSET of other fillings), the log is given time to
//! reach the disk, the server is killed and started again on the same directory. No server rewrites
//! its log, so that all of them read as many records as were written. Page cache is not dropped: it
//! is a process that crashed, not the machine.

use std::thread;
use std::time::Duration;

use super::progress::Progress;
use super::table::{Table, optional};
use super::{Contenders, Options, SEED, fill};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::server::{Server, Settings};
use crate::stats::Spread;
use crate::template::Mix;
use crate::workload::{self, Fill, Filling};

/// Longer than `everysec` may keep a record in memory.
const FLUSH_WAIT: Duration = Duration::from_millis(2500);

/// One recovery.
struct Round {
    records: u64,
    seconds: f64,
}

/// Fills, kills and restarts each server, once per round. Fails when keys are missing afterwards.
pub fn run(options: &Options, settings: &Settings, contenders: &Contenders) -> Result<Table> {
    if options.appendonly == "no" {
        return Err(Error::Usage("--recovery needs --appendonly yes".to_owned()));
    }
    let settings = Settings {
        rewrites: false,
        ..settings.clone()
    };
    let mut rounds: Vec<Vec<Round>> = contenders.servers.iter().map(|_| Vec::new()).collect();
    let cells = options.rounds * rounds.len();
    // SETs, one by one, take twice what MSETs take, and reading them once more as long.
    let work = FLUSH_WAIT + options.fill_time(Fill::Strings) * 3;
    let mut progress = Progress::announce("recovery", cells, work);
    for round in 0..options.rounds {
        for index in contenders.turns(round) {
            let binary = &contenders.servers[index];
            progress.begin(&options.cell_name(round, "kill -9", None, binary));
            let found = measure(options, &mut Server::start(binary, &settings)?)?;
            progress.end(&format!("{:.3} s", found.seconds));
            rounds[index].push(found);
        }
    }
    let mut table = Table::new(
        "Recovery after kill -9",
        &[
            "server",
            "keys",
            "records",
            "seconds min",
            "median",
            "max",
            "krecords/s",
        ],
    );
    for (label, rounds) in contenders.labels().into_iter().zip(rounds) {
        let spread =
            |figure: fn(&Round) -> f64| Spread::of(&rounds.iter().map(figure).collect::<Vec<_>>());
        let median = |figure| spread(figure).map(|spread| spread.median);
        let seconds = spread(|round| round.seconds);
        table.row(vec![
            label,
            options.keyspace.to_string(),
            optional(median(|round| round.records as f64), 0),
            optional(seconds.map(|seconds| seconds.min), 3),
            optional(seconds.map(|seconds| seconds.median), 3),
            optional(seconds.map(|seconds| seconds.max), 3),
            optional(
                median(|round| round.records as f64 / round.seconds / 1e3),
                0,
            ),
        ]);
    }
    table.note(
        "one SET per key, in random order; log rewriting off; page cache warm; ready is the first \
         PONG that is not -LOADING; records: INFO's log_records, else commands in the AOF"
            .to_owned(),
    );
    Ok(table)
}

fn measure(options: &Options, server: &mut Server) -> Result<Round> {
    let filling = Filling {
        mix: Mix::single(workload::test("SET")?.template(options.value_bytes)),
        keys: Keys::shuffled(options.keyspace, SEED),
        requests: options.keyspace,
    };
    fill(server, filling)?;
    thread::sleep(FLUSH_WAIT);
    let records = server.log_records()?;
    let time = server.crash_and_recover()?;
    let keys = server.ask("DBSIZE")?;
    if keys.parse() == Ok(options.keyspace) {
        return Ok(Round {
            records,
            seconds: time.as_secs_f64(),
        });
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
