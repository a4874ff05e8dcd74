//! Commands on whole databases: their size, emptying them, swapping two, selecting one.
//!
//! The rule kept: what concerns a database concerns it on every shard, so that no client ever sees
//! half of it done.

use causet_core::effect::{Effect, Payload};

use super::arg::{self, Arguments};
use super::flag::{FAST, LOADING, READONLY, STALE, WRITE};
use super::*;

const FLUSH: Command = Command {
    arity: -1,
    flags: WRITE,
    categories: category::KEYSPACE | category::DANGEROUS,
    route: Route::AllShards,
    group: "server",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "dbsize",
        flags: READONLY | FAST,
        categories: category::KEYSPACE,
        arity: 1,
        summary: "Counts the keys of the selected database.",
        handler: dbsize,
        ..FLUSH
    },
    Command {
        name: "flushdb",
        summary: "Deletes every key of the selected database.",
        complexity: "O(1); memory is given back in the background.",
        handler: flushdb,
        ..FLUSH
    },
    Command {
        name: "flushall",
        summary: "Deletes every key of every database.",
        complexity: "O(1); memory is given back in the background.",
        handler: flushall,
        ..FLUSH
    },
    Command {
        name: "swapdb",
        arity: 3,
        flags: WRITE | FAST,
        since: "4.0.0",
        summary: "Swaps two databases, for every client at once.",
        handler: swapdb,
        ..FLUSH
    },
    Command {
        name: "select",
        arity: 2,
        flags: LOADING | STALE | FAST,
        group: "connection",
        summary: "Selects the database of this connection.",
        handler: select,
        ..Command::BASE
    },
];

const OUT_OF_RANGE: &str = "ERR DB index is out of range";

/// A database by its number.
///
/// # Errors
/// Those of Redis: not a number, or no such database.
pub fn index(call: &Call<'_, '_>, arg: &[u8]) -> Result<u32, Failure> {
    let number = i32::try_from(arg::integer(arg)?).map_err(|_| {
        Failure::from("ERR value is out of range, value must between -2147483648 and 2147483647")
    })?;
    match u32::try_from(number) {
        Ok(db) if db < call.state.config.databases => Ok(db),
        _ => Err(Failure::from(OUT_OF_RANGE)),
    }
}

fn select<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    call.client.db = index(call, args.at(1))?;
    call.reply().ok();
    Ok(())
}

fn dbsize<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let db = call.db();
    let mut keys = 0;
    call.for_each_shard(|state| keys += state.engine.space(db).len());
    call.reply().integer(keys as i64);
    Ok(())
}

fn flushdb<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    check_flush(args)?;
    let db = call.db();
    flush(call, &[db]);
    Ok(())
}

fn flushall<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    check_flush(args)?;
    // The log may hold more databases than are configured now.
    let count = call.state.engine.databases();
    flush(call, &Vec::from_iter(0..count));
    Ok(())
}

/// SYNC and ASYNC are the same: emptying takes no time, and freeing never stops the shard.
fn check_flush(args: Args<'_>) -> Result<(), Failure> {
    match args.get(1) {
        None => Ok(()),
        Some(mode) if args.len() == 2 && (arg::is(mode, "SYNC") || arg::is(mode, "ASYNC")) => {
            Ok(())
        }
        Some(_) => Err(Failure::SYNTAX),
    }
}

/// Empties databases; those that are empty leave no effect in the logs.
fn flush(call: &mut Call<'_, '_>, dbs: &[u32]) {
    for &db in dbs {
        let mut is_empty = true;
        call.for_each_shard(|state| {
            is_empty &= state.engine.space(db).is_empty();
        });
        if !is_empty {
            call.context.emit_effect(Effect {
                db,
                key: b"",
                payload: Payload::Flush,
            });
        }
    }
    call.reply().ok();
}

fn swapdb<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let number = |arg, text| {
        let number = causet_core::number::parse_i64(arg);
        number
            .and_then(|n| i32::try_from(n).ok())
            .ok_or(Failure::from(text))
    };
    number(args.at(1), "ERR invalid first DB index")?;
    number(args.at(2), "ERR invalid second DB index")?;
    let (first, second) = (index(call, args.at(1))?, index(call, args.at(2))?);
    if first != second {
        // Every shard has its databases in the same places.
        let engine = &call.state.engine;
        for (db, space) in [(first, engine.place(second)), (second, engine.place(first))] {
            let payload = Payload::Place { space };
            call.context.emit_effect(Effect {
                db,
                key: b"",
                payload,
            });
        }
    }
    call.reply().ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;

    #[test]
    fn databases_are_separate_and_can_be_emptied() {
        let mut h = Harness::new();
        h.expect(&[
            ("mset a 1 b 2", "+OK\r\n"),
            ("select 3", "+OK\r\n"),
            ("dbsize", ":0\r\n"),
            ("set c 3", "+OK\r\n"),
            ("flushdb", "+OK\r\n"),
            ("dbsize", ":0\r\n"),
            ("select 0", "+OK\r\n"),
            ("dbsize", ":2\r\n"),
            ("flushdb foo", "-ERR syntax error\r\n"),
            ("flushall sync async", "-ERR syntax error\r\n"),
            ("flushall async", "+OK\r\n"),
            ("dbsize", ":0\r\n"),
            ("select 16", "-ERR DB index is out of range\r\n"),
            ("select -1", "-ERR DB index is out of range\r\n"),
            (
                "select x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            (
                "select 99999999999",
                "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n",
            ),
        ]);
    }

    #[test]
    fn swapped_databases_change_places() {
        let mut h = Harness::new();
        h.expect(&[
            ("set a 0", "+OK\r\n"),
            ("swapdb 0 1", "+OK\r\n"),
            ("get a", "$-1\r\n"),
            ("select 1", "+OK\r\n"),
            ("get a", "$1\r\n0\r\n"),
            ("swapdb 1 1", "+OK\r\n"),
            ("swapdb x 1", "-ERR invalid first DB index\r\n"),
            ("swapdb 1 x", "-ERR invalid second DB index\r\n"),
            ("swapdb 1 99", "-ERR DB index is out of range\r\n"),
        ]);
    }
}
