//! SLOWLOG: the commands that took long, of all shards together.

use super::arg::integer;
use super::container::{reply_help, unknown_subcommand};
use super::*;
use crate::slowlog::SlowEntry;

const OPERATOR: u32 = flag::ADMIN | flag::LOADING | flag::STALE;

const SUB: Command = Command {
    arity: 2,
    flags: OPERATOR,
    route: Route::AllShards,
    group: "server",
    since: "2.2.12",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "slowlog",
    arity: -2,
    summary: "Commands about the slow log.",
    complexity: "Depends on the sub-command.",
    since: "2.2.12",
    group: "server",
    handler: unknown_subcommand,
    subcommands: &[
        Command {
            name: "slowlog|get",
            arity: -2,
            summary: "Answers the last slow commands, newest first.",
            complexity: "O(N) where N is the number of entries kept",
            handler: get,
            ..SUB
        },
        Command {
            name: "slowlog|len",
            summary: "Answers the number of entries.",
            handler: len,
            ..SUB
        },
        Command {
            name: "slowlog|reset",
            summary: "Forgets all entries.",
            complexity: "O(N) where N is the number of entries",
            handler: reset,
            ..SUB
        },
        Command {
            name: "slowlog|help",
            flags: flag::LOADING | flag::STALE,
            route: Route::Local,
            summary: "Lists the sub-commands.",
            since: "6.2.0",
            handler: help,
            ..SUB
        },
    ],
    ..Command::BASE
}];

/// Entries answered without a count, as in Redis.
const COUNT: usize = 10;

fn get<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if args.len() > 3 {
        return Err(Failure::from(
            "ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.",
        ));
    }
    let count = match args.get(2).map(integer) {
        None => COUNT,
        Some(Ok(-1)) => usize::MAX,
        Some(Ok(count @ 0..)) => count as usize,
        Some(_) => {
            return Err(Failure::from(
                "ERR count should be greater than or equal to -1",
            ));
        }
    };
    let entries = merged(call);
    let mut reply = call.reply();
    reply.array(entries.len().min(count));
    for entry in entries.iter().take(count) {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.at_s as i64);
        reply.integer(entry.micros as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.address.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(())
}

/// The entries of all shards, newest first, at most as many as are configured in all.
fn merged(call: &mut Call<'_, '_>) -> Vec<SlowEntry> {
    let len_max = usize::try_from(call.state.config.slowlog_max_len).unwrap_or(usize::MAX);
    let mut entries: Vec<SlowEntry> = Vec::new();
    call.for_each_shard(|state| entries.extend(state.slowlog.iter().cloned()));
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    entries.truncate(len_max);
    entries
}

fn len<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let len_max = i64::try_from(call.state.config.slowlog_max_len).unwrap_or(i64::MAX);
    let mut len = 0;
    call.for_each_shard(|state| len += state.slowlog.len() as i64);
    call.reply().integer(len.min(len_max));
    Ok(())
}

fn reset<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    call.for_each_shard(|state| state.slowlog.clear());
    call.reply().ok();
    Ok(())
}

fn help<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    reply_help(
        call,
        &[
            "GET [<count>]",
            "    Answers the last <count> slow commands (default: 10, -1: all). An entry is:",
            "    id, Unix seconds, microseconds, arguments, client's address, client's name.",
            "LEN",
            "    Answers the number of entries.",
            "RESET",
            "    Forgets all entries.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::harness::Harness;

    #[test]
    fn slow_commands_are_answered_newest_first() {
        let mut harness = Harness::new();
        harness.expect(&[
            ("slowlog get", "*0\r\n"),
            (
                "slowlog get -2",
                "-ERR count should be greater than or equal to -1\r\n",
            ),
            (
                "slowlog get a",
                "-ERR count should be greater than or equal to -1\r\n",
            ),
            (
                "slowlog foo",
                "-ERR unknown subcommand 'foo'. Try SLOWLOG HELP.\r\n",
            ),
            ("config set slowlog-log-slower-than 0", "+OK\r\n"),
            ("echo one", "$3\r\none\r\n"),
            ("echo two", "$3\r\ntwo\r\n"),
        ]);
        let newest = harness.text("slowlog get 1");
        assert!(
            newest.starts_with("*1\r\n*6\r\n:1\r\n:1000000\r\n:"),
            "{newest}"
        );
        assert!(
            newest.contains("*2\r\n$4\r\necho\r\n$3\r\ntwo\r\n"),
            "{newest}"
        );
        harness.expect(&[
            ("config set slowlog-log-slower-than -1", "+OK\r\n"),
            ("slowlog len", ":3\r\n"),
            ("slowlog reset", "+OK\r\n"),
            ("slowlog len", ":0\r\n"),
        ]);
    }

    #[test]
    fn passwords_stay_out() {
        let mut harness = Harness::new();
        harness.text("config set slowlog-log-slower-than 0");
        harness.text("slowlog reset");
        harness.text("auth default secret");
        harness.text("hello 2 auth default secret");
        harness.text("config set requirepass secret");
        assert!(!harness.text("slowlog get -1").contains("secret"));
    }
}
