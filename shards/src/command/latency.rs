//! LATENCY: how long commands take, and when one took too long.

use std::fmt::Write;

use super::arg::Arguments;
use super::container::{reply_help, unknown_subcommand};
use super::*;
use crate::latency::{History, LatencyMonitor};
use crate::stats::{CommandStats, Stats};

const OPERATOR: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;

const SUB: Command = Command {
    arity: 2,
    flags: OPERATOR,
    route: Route::AllShards,
    group: "server",
    since: "2.8.13",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "latency",
    arity: -2,
    summary: "Commands about latency.",
    complexity: "Depends on the sub-command.",
    since: "2.8.13",
    group: "server",
    handler: unknown_subcommand,
    subcommands: &[
        Command {
            name: "latency|histogram",
            arity: -2,
            summary: "Answers the distribution of commands' durations.",
            complexity: "O(N) where N is the number of commands",
            since: "7.0.0",
            handler: histogram,
            ..SUB
        },
        Command {
            name: "latency|latest",
            summary: "Answers the last slow event of each kind.",
            handler: latest,
            ..SUB
        },
        Command {
            name: "latency|history",
            arity: 3,
            summary: "Answers the slow events of one kind.",
            handler: history,
            ..SUB
        },
        Command {
            name: "latency|reset",
            arity: -2,
            summary: "Forgets slow events.",
            handler: reset,
            ..SUB
        },
        Command {
            name: "latency|graph",
            arity: 3,
            summary: "Draws the slow events of one kind.",
            handler: graph,
            ..SUB
        },
        Command {
            name: "latency|doctor",
            summary: "Tells in words what was slow and what may help.",
            handler: doctor,
            ..SUB
        },
        Command {
            name: "latency|help",
            flags: flag::LOADING | flag::STALE,
            route: Route::Local,
            summary: "Lists the sub-commands.",
            handler: help,
            ..SUB
        },
    ],
    ..Command::BASE
}];

/// Upper bound of the first bucket of LATENCY HISTOGRAM, in nanoseconds; each next is twice as
/// wide, and shown as whole microseconds.
const FIRST_BUCKET_NS: u64 = 1024;

fn histogram<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let mut stats = Stats::default();
    call.for_each_shard(|state| stats.add(&state.stats));
    let names = args.tail(2);
    let wanted = |command: &Command| {
        // A container's name stands for all its sub-commands.
        let container = command.name.split('|').next().unwrap_or_default();
        names.is_empty()
            || names.iter().any(|name| {
                name.eq_ignore_ascii_case(command.name.as_bytes())
                    || name.eq_ignore_ascii_case(container.as_bytes())
            })
    };
    let found: Vec<_> = table::all_rows()
        .zip(&stats.by_command)
        .filter(|(command, stats)| stats.calls > 0 && stats.latency.is_some() && wanted(command))
        .map(|(command, stats)| (command, buckets(stats), stats.calls))
        .collect();
    let mut reply = call.reply();
    reply.map(found.len());
    for (command, buckets, calls) in found {
        reply.bulk(command.name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(calls as i64);
        reply.bulk(b"histogram_usec");
        reply.map(buckets.len());
        for (micros, count) in buckets {
            reply.integer(micros as i64);
            reply.integer(count as i64);
        }
    }
    Ok(())
}

/// Upper bounds in microseconds with the number of runs up to them, where that number grows.
fn buckets(stats: &CommandStats) -> Vec<(u64, u64)> {
    let Some(histogram) = &stats.latency else {
        return Vec::new();
    };
    let mut buckets = Vec::new();
    let (mut bound, mut count) = (FIRST_BUCKET_NS, 0);
    for recorded in histogram.iter_recorded() {
        let value = histogram.highest_equivalent(recorded.value_iterated_to());
        while value > histogram.highest_equivalent(bound) {
            bound *= 2;
        }
        count += recorded.count_since_last_iteration();
        let micros = histogram.highest_equivalent(bound) / 1000;
        match buckets.last_mut() {
            Some((last, total)) if *last == micros => *total = count,
            _ => buckets.push((micros, count)),
        }
    }
    buckets
}

/// All shards' slow events.
fn merged(call: &mut Call<'_, '_>) -> LatencyMonitor {
    let mut all = LatencyMonitor::default();
    call.for_each_shard(|state| all.merge(&state.latency));
    all
}

fn latest<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let all = merged(call);
    let mut reply = call.reply();
    reply.array(all.events().len());
    for (event, history) in all.events() {
        let last = history.latest().expect("an event is made with a sample");
        reply.array(4);
        reply.bulk(event.as_bytes());
        reply.integer(last.at_s as i64);
        reply.integer(last.millis as i64);
        reply.integer(history.millis_max as i64);
    }
    Ok(())
}

fn history<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let all = merged(call);
    let samples = all.history(args.at(2)).map(|history| history.samples());
    let mut reply = call.reply();
    reply.array(samples.as_ref().map_or(0, ExactSizeIterator::len));
    for sample in samples.into_iter().flatten() {
        reply.array(2);
        reply.integer(sample.at_s as i64);
        reply.integer(sample.millis as i64);
    }
    Ok(())
}

fn reset<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let all = merged(call);
    let known: Vec<&str> = match args.len() {
        2 => all.events().map(|(event, _)| event).collect(),
        _ => all
            .events()
            .map(|(event, _)| event)
            .filter(|event| args.tail(2).iter().any(|name| name == event.as_bytes()))
            .collect(),
    };
    call.for_each_shard(|state| {
        for event in &known {
            state.latency.forget(event.as_bytes());
        }
    });
    call.reply().integer(known.len() as i64);
    Ok(())
}

/// Columns of a graph: so many samples at most, the last ones.
const GRAPH_COLUMNS: usize = 80;
/// Rows of a graph.
const GRAPH_ROWS: u64 = 4;

fn graph<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let all = merged(call);
    let event = args.at(2);
    let name = String::from_utf8_lossy(event);
    let Some(history) = all.history(event) else {
        return Err(Failure::from(format!(
            "ERR No samples available for event '{name}'"
        )));
    };
    let text = draw(&name, history, call.now_ms() / 1000);
    call.reply().verbatim(*b"txt", text.as_bytes());
    Ok(())
}

/// Bars of `#` on `_`, one column a sample, scaled between the least and the greatest; below each
/// its age, written downwards.
fn draw(name: &str, history: &History, now_s: u64) -> String {
    let skipped = history.samples().len().saturating_sub(GRAPH_COLUMNS);
    let samples: Vec<_> = history.samples().skip(skipped).collect();
    let high = samples
        .iter()
        .map(|sample| sample.millis)
        .max()
        .unwrap_or(0);
    let low = samples
        .iter()
        .map(|sample| sample.millis)
        .min()
        .unwrap_or(0);
    let mut text = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        history.millis_max,
        "-".repeat(GRAPH_COLUMNS)
    );
    for row in (0..GRAPH_ROWS).rev() {
        let cell = |millis: u64| {
            let height = (millis - low) * (GRAPH_ROWS - 1) / (high - low).max(1);
            match (height.cmp(&row), row) {
                (std::cmp::Ordering::Less, _) => ' ',
                (_, 0) => '_',
                _ => '#',
            }
        };
        text.extend(samples.iter().map(|sample| cell(sample.millis)));
        text.push('\n');
    }
    let ages: Vec<String> = samples
        .iter()
        .map(|sample| age(now_s.saturating_sub(sample.at_s)))
        .collect();
    for row in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        let letter = |age: &String| age.as_bytes().get(row).map_or(' ', |&byte| byte.into());
        text.push('\n');
        text.extend(ages.iter().map(letter));
    }
    text.push('\n');
    text
}

/// `12s`, `3m`, `5h` or `2d`.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn doctor<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let all = merged(call);
    let threshold_ms = call.state.config.latency_monitor_threshold;
    let text = diagnose(
        &all,
        threshold_ms,
        call.state.config.slowlog_log_slower_than,
    );
    call.reply().verbatim(*b"txt", text.as_bytes());
    Ok(())
}

fn diagnose(all: &LatencyMonitor, threshold_ms: u64, slower_than_us: i64) -> String {
    if threshold_ms == 0 {
        return "Nothing is measured: latency monitoring is off. CONFIG SET \
                latency-monitor-threshold <milliseconds> turns it on.\n"
            .into();
    }
    if all.events().len() == 0 {
        return format!("No event took {threshold_ms} ms or longer.\n");
    }
    let mut text = String::from("Events took longer than they should:\n\n");
    for (number, (event, history)) in all.events().enumerate() {
        let count = history.samples().len() as u64;
        let sum: u64 = history.samples().map(|sample| sample.millis).sum();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}. {event}: {count} slow seconds, mean {} ms, worst ever {} ms.",
            number + 1,
            sum / count,
            history.millis_max
        );
    }
    text.push_str("\nWhat may help:\n\n");
    if slower_than_us < 0 || slower_than_us as u64 > threshold_ms * 1000 {
        let _ = writeln!(
            text,
            "- The slow log misses commands that are slow here: CONFIG SET \
             slowlog-log-slower-than {}.",
            threshold_ms * 1000
        );
    }
    text.push_str(
        "- SLOWLOG GET names the commands; those that are O(N) on large keys are the usual cause.\n\
         - A shard runs one command at a time: split large values over several keys.\n\
         - causet-tune checks the kernel's settings (CPU frequency, huge pages, swapping).\n",
    );
    text
}

fn help<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    reply_help(
        call,
        &[
            "DOCTOR",
            "    Tells in words what was slow and what may help.",
            "GRAPH <event>",
            "    Draws the slow events of one kind.",
            "HISTORY <event>",
            "    Answers the slow events of one kind.",
            "LATEST",
            "    Answers the last slow event of each kind.",
            "RESET [<event> ...]",
            "    Forgets slow events: of all kinds, if none is named.",
            "HISTOGRAM [<command> ...]",
            "    Answers the distribution of commands' durations: all, if none is named.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::harness::Harness;
    use super::*;

    #[test]
    fn slow_events_are_told_and_forgotten() {
        let mut harness = Harness::new();
        harness.expect(&[
            ("latency latest", "*0\r\n"),
            ("latency history command", "*0\r\n"),
            (
                "latency graph foo",
                "-ERR No samples available for event 'foo'\r\n",
            ),
        ]);
        harness.state.latency.record("command", 999_990, 7, 1);
        harness.state.latency.record("command", 1_000_000, 3, 1);
        harness.expect(&[
            (
                "latency latest",
                "*1\r\n*4\r\n$7\r\ncommand\r\n:1000000\r\n:3\r\n:7\r\n",
            ),
            (
                "latency history command",
                "*2\r\n*2\r\n:999990\r\n:7\r\n*2\r\n:1000000\r\n:3\r\n",
            ),
        ]);
        let graph = harness.text("latency graph command");
        assert!(graph.contains("command - high 7 ms, low 3 ms (all time high 7 ms)\n---"));
        assert!(
            graph.contains("\n# \n# \n# \n__\n\n10\n0s\ns \n"),
            "{graph}"
        );
        assert!(harness.text("latency doctor").contains("monitoring is off"));
        harness.text("config set latency-monitor-threshold 1");
        assert!(
            harness
                .text("latency doctor")
                .contains("1. command: 2 slow seconds, mean 5 ms")
        );
        harness.expect(&[
            ("latency reset foo", ":0\r\n"),
            ("latency reset command", ":1\r\n"),
            ("latency reset", ":0\r\n"),
        ]);
    }

    #[test]
    fn histograms_are_cumulative_and_in_powers_of_two() {
        let mut stats = CommandStats::default();
        for nanos in [500, 900, 3_000, 100_000] {
            stats.count(nanos, false, true);
        }
        assert_eq!(buckets(&stats), [(1, 2), (4, 3), (132, 4)]);
    }

    #[test]
    fn a_containers_name_stands_for_its_subcommands() {
        let mut harness = Harness::new();
        harness.text("config get hz");
        harness.text("ping");
        let reply = harness.text("latency histogram config nothing");
        assert!(reply.starts_with("*2\r\n$10\r\nconfig|get\r\n*4\r\n$5\r\ncalls\r\n:1\r\n"));
        harness.expect(&[("latency histogram nothing", "*0\r\n")]);
        assert!(
            harness
                .text("latency histogram PING")
                .starts_with("*2\r\n$4\r\nping\r\n")
        );
    }
}
