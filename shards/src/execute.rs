//! Runs one command against the state of its shard: the checks before, the handler, the commit
//! after, and the counting.
//!
//! Routing is done: whoever calls has made sure that this shard owns the keys, or holds the others.

use causet_core::context::Context;
use causet_net::SendBuf;
use causet_proto::resp::{Args, Reply};

use crate::client::Client;
use crate::command::table::Row;
use crate::command::{Call, Command, Failure, flag};
use crate::lend::Held;
use crate::slowlog::{SlowEntry, shorten};
use crate::state::State;
use crate::ticks;

/// What a command runs with.
pub struct Environment<'e> {
    /// The shard.
    pub state: &'e mut State,
    /// The session.
    pub client: &'e mut Client,
    /// Where the reply goes.
    pub out: &'e mut SendBuf,
    /// Memory for one command; reset by whoever owns it, between commands.
    pub arena: &'e bumpalo::Bump,
    /// Other shards, where the command needs them.
    pub held: Option<Held<'e>>,
}

/// Refuses what must not run: wrong arity, before authentication, writes while the log cannot take
/// them, growth while memory is short.
///
/// # Errors
/// The error to reply; the refusal is counted.
#[inline]
pub fn check(state: &mut State, client: &Client, row: Row, args: Args<'_>) -> Result<(), Failure> {
    check_call(state, client, row, args)?;
    check_room(state, row)
}

/// The part of [`check`] that is the same wherever the command runs.
///
/// # Errors
/// As [`check`].
#[inline]
pub fn check_call(
    state: &mut State,
    client: &Client,
    row: Row,
    args: Args<'_>,
) -> Result<(), Failure> {
    let outcome = may_call(client, row.command, args);
    if outcome.is_err() {
        state.stats.command(row.number).rejected += 1;
    }
    outcome
}

/// The part of [`check`] that each shard decides by its own log and its own memory: those do that
/// hold the command's keys, not the one that its connection is on.
///
/// # Errors
/// As [`check`].
#[inline]
pub fn check_room(state: &mut State, row: Row) -> Result<(), Failure> {
    let outcome = has_room(state, row.command);
    if outcome.is_err() {
        state.stats.command(row.number).rejected += 1;
    }
    outcome
}

#[inline]
fn may_call(client: &Client, command: &'static Command, args: Args<'_>) -> Result<(), Failure> {
    if !command.accepts(args.len()) {
        return Err(Failure::from(format!(
            "ERR wrong number of arguments for '{}' command",
            command.name
        )));
    }
    if !client.authenticated && !command.has(flag::NO_AUTH) {
        return Err(Failure::from("NOAUTH Authentication required."));
    }
    Ok(())
}

#[inline]
fn has_room(state: &State, command: &'static Command) -> Result<(), Failure> {
    if command.has(flag::WRITE) {
        if let Some(reason) = state.journal.refusing() {
            return Err(Failure::from(format!(
                "MISCONF Errors writing to the log: {reason}. Commands that may modify the data \
                 set are refused until it can be written again; reads go on."
            )));
        }
        if command.has(flag::DENYOOM) && state.is_out_of_memory() {
            return Err(Failure::from(
                "OOM command not allowed when used memory > 'maxmemory'.",
            ));
        }
    }
    Ok(())
}

/// Runs a command that passed [`check`]. Its duration is counted from `State::ran_until`, which is
/// then now: of commands that run one after the other, each costs one look at the clock.
#[inline]
pub fn run<'a>(env: Environment<'a>, row: Row, args: Args<'a>) {
    let Environment {
        state,
        client,
        out,
        arena,
        held,
    } = env;
    let built_before = out.tail().len();
    // Before it runs: CLIENT LIST shows its own client as running it.
    client.last_command = row.command.name;
    let mut call = Call {
        context: Context::new(client.db),
        state,
        client,
        out,
        command: row.command,
        arena,
        held,
    };
    let outcome = (row.command.handler)(&mut call, args);
    let failed = match outcome {
        Ok(()) => {
            if !call.context.is_empty() {
                call.commit();
            }
            // Some handlers write an error reply among others (per-element errors).
            call.out.tail().get(built_before) == Some(&b'-')
        }
        Err(failure) => {
            call.context.abort();
            call.reply().error(failure.as_bytes());
            call.state.stats.count_error(failure.as_bytes());
            true
        }
    };
    let Call {
        state,
        client,
        held,
        ..
    } = call;
    if let Some(mut held) = held {
        // The reply must not tell of what another shard's log may still lose.
        let home = state.number;
        held.for_each(state, |part| {
            if part.number != home
                && let Some(lsn) = part.journal.hold()
            {
                client.remote_holds.push((part.number, lsn.0));
            }
        });
    }
    let ended = ticks::now();
    let nanos = ticks::nanos_between(state.ran_until, ended);
    state.ran_until = ended;
    let tracks_latency = state.config.latency_tracking;
    state.stats.commands += 1;
    state
        .stats
        .command(row.number)
        .count(nanos, failed, tracks_latency);
    client.commands += 1;
    let event = if row.command.has(flag::FAST) {
        "fast-command"
    } else {
        "command"
    };
    let threshold_ms = state.config.latency_monitor_threshold;
    state.latency.record(
        event,
        state.now.unix_ms() / 1000,
        nanos / 1_000_000,
        threshold_ms,
    );
    let limit_micros = state.config.slowlog_log_slower_than;
    if limit_micros >= 0
        && nanos / 1000 >= limit_micros as u64
        && !row.command.has(flag::SKIP_SLOWLOG)
    {
        log_slow(state, client, nanos / 1000, args);
    }
}

#[cold]
fn log_slow(state: &mut State, client: &Client, micros: u64, args: Args<'_>) {
    use std::sync::atomic::Ordering;
    let entry = SlowEntry {
        id: state.shared.slowlog_ids.fetch_add(1, Ordering::Relaxed),
        at_s: state.now.unix_ms() / 1000,
        micros,
        args: shorten(args.iter()),
        address: client.address.clone(),
        name: client.name.clone(),
    };
    let len_max = usize::try_from(state.config.slowlog_max_len).unwrap_or(0);
    state.slowlog.push(entry, len_max);
}

/// Replies with an error and counts it.
#[cold]
pub fn refuse(state: &mut State, client: &Client, out: &mut SendBuf, failure: &Failure) {
    Reply::new(out.tail(), client.protocol).error(failure.as_bytes());
    state.stats.count_error(failure.as_bytes());
}
