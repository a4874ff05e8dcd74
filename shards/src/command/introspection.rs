//! COMMAND: the command table as clients read it.
//!
//! Everything here follows from the rows; nothing is declared a second time.

use causet_core::glob::glob_match;
use causet_proto::resp::Reply;

use super::arg::{Arguments, is};
use super::container::{reply_help, unknown_subcommand};
use super::*;

const SUB: Command = Command {
    flags: flag::LOADING | flag::STALE,
    categories: category::CONNECTION,
    group: "server",
    since: "2.8.13",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "command",
    arity: -1,
    flags: flag::LOADING | flag::STALE,
    categories: category::CONNECTION,
    summary: "Describes all commands.",
    complexity: "O(N) where N is the number of commands",
    since: "2.8.13",
    group: "server",
    handler: command,
    subcommands: &[
        Command {
            name: "command|count",
            arity: 2,
            summary: "Answers the number of commands.",
            handler: count,
            ..SUB
        },
        Command {
            name: "command|info",
            arity: -2,
            summary: "Describes commands: arity, flags, keys, categories.",
            complexity: "O(N) where N is the number of commands asked for",
            handler: info,
            ..SUB
        },
        Command {
            name: "command|docs",
            arity: -2,
            summary: "Documents commands.",
            complexity: "O(N) where N is the number of commands asked for",
            since: "7.0.0",
            handler: docs,
            ..SUB
        },
        Command {
            name: "command|list",
            arity: -2,
            summary: "Answers the names of commands.",
            complexity: "O(N) where N is the number of commands",
            since: "7.0.0",
            handler: list,
            ..SUB
        },
        Command {
            name: "command|getkeys",
            arity: -3,
            summary: "Answers which arguments of a whole command are keys.",
            complexity: "O(N) where N is the number of arguments",
            handler: get_keys,
            ..SUB
        },
        Command {
            name: "command|getkeysandflags",
            arity: -3,
            summary: "Answers which arguments of a whole command are keys, and what is done to them.",
            complexity: "O(N) where N is the number of arguments",
            since: "7.0.0",
            handler: get_keys_and_flags,
            ..SUB
        },
        Command {
            name: "command|help",
            arity: 2,
            summary: "Lists the sub-commands.",
            since: "5.0.0",
            handler: help,
            ..SUB
        },
    ],
    ..Command::BASE
}];

/// Flags as COMMAND INFO spells them, in Redis's order.
const FLAG_NAMES: &[(u32, &str)] = &[
    (flag::WRITE, "write"),
    (flag::READONLY, "readonly"),
    (flag::DENYOOM, "denyoom"),
    (flag::ADMIN, "admin"),
    (flag::PUBSUB, "pubsub"),
    (flag::NOSCRIPT, "noscript"),
    (flag::BLOCKING, "blocking"),
    (flag::LOADING, "loading"),
    (flag::STALE, "stale"),
    (flag::SKIP_MONITOR, "skip_monitor"),
    (flag::SKIP_SLOWLOG, "skip_slowlog"),
    (flag::FAST, "fast"),
    (flag::NO_AUTH, "no_auth"),
    (flag::NO_MULTI, "no_multi"),
    (flag::MOVABLE_KEYS, "movablekeys"),
    (flag::ALLOW_BUSY, "allow_busy"),
];

fn command<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if args.len() > 1 {
        return unknown_subcommand(call, args);
    }
    let mut reply = call.reply();
    reply.array(table::all().count());
    for command in table::all() {
        describe(&mut reply, command);
    }
    Ok(())
}

fn count<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    call.reply().integer(table::all().count() as i64);
    Ok(())
}

/// The row of `name`, which may be a sub-command's: `config|get`.
fn row_of(name: &[u8]) -> Option<&'static Command> {
    let container = name.split(|&byte| byte == b'|').next()?;
    let command = table::find(container)?.command;
    if container.len() == name.len() {
        return Some(command);
    }
    command
        .subcommands
        .iter()
        .find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
}

fn info<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let mut reply = call.reply();
    if args.len() == 2 {
        reply.array(table::all().count());
        table::all().for_each(|command| describe(&mut reply, command));
        return Ok(());
    }
    reply.array(args.len() - 2);
    for name in args.tail(2) {
        match row_of(name) {
            Some(command) => describe(&mut reply, command),
            None => reply.null_array(),
        }
    }
    Ok(())
}

/// The ten fields of COMMAND INFO.
fn describe(reply: &mut Reply<'_>, command: &Command) {
    let keys = command.keys;
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(command.arity));
    let flags: Vec<&str> = FLAG_NAMES
        .iter()
        .filter(|(flag, _)| command.has(*flag))
        .map(|(_, name)| *name)
        .collect();
    simple_set(reply, &flags);
    reply.integer(i64::from(keys.first));
    reply.integer(i64::from(keys.last));
    reply.integer(i64::from(keys.step));
    let categories: Vec<String> = categories(command)
        .map(|category| format!("@{category}"))
        .collect();
    simple_set(reply, &categories);
    // No tips: nothing here goes through a proxy that would need them.
    reply.array(0);
    describe_keys(reply, command);
    reply.array(command.subcommands.len());
    command
        .subcommands
        .iter()
        .for_each(|sub| describe(reply, sub));
}

fn simple_set(reply: &mut Reply<'_>, words: &[impl AsRef<str>]) {
    reply.set(words.len());
    words.iter().for_each(|word| reply.simple(word.as_ref()));
}

/// What a command does to its keys, by its flags.
fn key_flags(command: &Command) -> &'static [&'static str] {
    if command.has(flag::WRITE) {
        &["RW", "access", "update"]
    } else if command.has(flag::NO_TOUCH) {
        &["RO"]
    } else {
        &["RO", "access"]
    }
}

/// The key specifications: one, the range of the row.
fn describe_keys(reply: &mut Reply<'_>, command: &Command) {
    let keys = command.keys;
    if keys == Keys::NONE {
        reply.set(0);
        return;
    }
    // Here the last key counts from the first one, unless it counts from the end.
    let last = if keys.last < 0 {
        keys.last
    } else {
        keys.last - keys.first
    };
    reply.set(1);
    reply.map(3);
    reply.bulk(b"flags");
    simple_set(reply, key_flags(command));
    reply.bulk(b"begin_search");
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(b"index");
    reply.bulk(b"spec");
    reply.map(1);
    reply.bulk(b"index");
    reply.integer(i64::from(keys.first));
    reply.bulk(b"find_keys");
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(b"range");
    reply.bulk(b"spec");
    reply.map(3);
    reply.bulk(b"lastkey");
    reply.integer(i64::from(last));
    reply.bulk(b"keystep");
    reply.integer(i64::from(keys.step));
    reply.bulk(b"limit");
    reply.integer(0);
}

fn docs<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let commands: Vec<&Command> = if args.len() == 2 {
        table::all().collect()
    } else {
        args.tail(2).iter().filter_map(row_of).collect()
    };
    let mut reply = call.reply();
    reply.map(commands.len());
    commands
        .into_iter()
        .for_each(|command| document(&mut reply, command));
    Ok(())
}

/// A name and its documentation.
fn document(reply: &mut Reply<'_>, command: &Command) {
    let has_subcommands = !command.subcommands.is_empty();
    reply.bulk(command.name.as_bytes());
    reply.map(4 + usize::from(has_subcommands));
    for (name, text) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group),
        ("complexity", command.complexity),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if has_subcommands {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        command
            .subcommands
            .iter()
            .for_each(|sub| document(reply, sub));
    }
}

fn list<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let names: Vec<&str> = match args.len() {
        2 => table::all().map(|command| command.name).collect(),
        5 if is(args.at(2), "filterby") => {
            let (by, value) = (args.at(3), args.at(4));
            let mut fits: Box<dyn FnMut(&Command) -> bool> = if is(by, "pattern") {
                Box::new(|command| glob_match(value, command.name.as_bytes(), true))
            } else if is(by, "aclcat") {
                Box::new(|command| categories(command).any(|category| is(value, category)))
            } else if is(by, "module") {
                Box::new(|_| false)
            } else {
                return Err(Failure::SYNTAX);
            };
            table::all_rows()
                .filter(|command| fits(command))
                .map(|command| command.name)
                .collect()
        }
        _ => return Err(Failure::SYNTAX),
    };
    let mut reply = call.reply();
    reply.set(names.len());
    names
        .into_iter()
        .for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

/// The row that `args` call and its keys' positions in them.
fn keys_of(args: Args<'_>) -> Result<(&'static Command, Vec<usize>), Failure> {
    let command = table::find(args.at(0))
        .map(|row| row.resolve(args).command)
        .ok_or(Failure::from("ERR Invalid command specified"))?;
    if command.keys == Keys::NONE {
        return Err(Failure::from("ERR The command has no key arguments"));
    }
    if !command.accepts(args.len()) {
        return Err(Failure::from(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    Ok((command, command.keys.positions(args.len()).collect()))
}

fn get_keys<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let args = args.tail(2);
    let (_, positions) = keys_of(args)?;
    let mut reply = call.reply();
    reply.array(positions.len());
    positions.into_iter().for_each(|at| reply.bulk(args.at(at)));
    Ok(())
}

fn get_keys_and_flags<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let args = args.tail(2);
    let (command, positions) = keys_of(args)?;
    let mut reply = call.reply();
    reply.array(positions.len());
    for at in positions {
        reply.array(2);
        reply.bulk(args.at(at));
        simple_set(&mut reply, key_flags(command));
    }
    Ok(())
}

fn help<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    reply_help(
        call,
        &[
            "(no subcommand)",
            "    Describes all commands.",
            "COUNT",
            "    Answers the number of commands.",
            "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
            "    Answers the names of commands.",
            "INFO [<command-name> ...]",
            "    Describes commands: all, if none is named.",
            "DOCS [<command-name> ...]",
            "    Documents commands: all, if none is named.",
            "GETKEYS <full-command>",
            "    Answers which arguments are keys.",
            "GETKEYSANDFLAGS <full-command>",
            "    Answers which arguments are keys, and what is done to them.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::harness::Harness;

    #[test]
    fn commands_are_counted_listed_and_filtered() {
        let mut harness = Harness::new();
        let count = super::table::all().count();
        harness.expect(&[
            ("command count", &format!(":{count}\r\n")),
            ("command list foo", "-ERR syntax error\r\n"),
            ("command list filterby foo bar", "-ERR syntax error\r\n"),
            ("command list filterby module x", "*0\r\n"),
            ("command list filterby aclcat nothing", "*0\r\n"),
            (
                "command list filterby pattern config|re*",
                "*2\r\n$14\r\nconfig|rewrite\r\n$16\r\nconfig|resetstat\r\n",
            ),
            (
                "command foo",
                "-ERR unknown subcommand 'foo'. Try COMMAND HELP.\r\n",
            ),
        ]);
        assert!(
            harness
                .text("command")
                .starts_with(&format!("*{count}\r\n*10\r\n"))
        );
        assert!(
            harness
                .text("command list")
                .starts_with(&format!("*{count}\r\n"))
        );
        let connection = harness.text("command list filterby aclcat connection");
        assert!(connection.contains("client|kill") && connection.contains("command|docs"));
        assert!(
            !connection.contains("$6\r\nclient\r\n"),
            "a container has no category"
        );
    }

    #[test]
    fn rows_are_described_as_redis_describes_them() {
        Harness::new().expect(&[
            (
                "command info ping nothing",
                "*2\r\n*10\r\n$4\r\nping\r\n:-1\r\n*1\r\n+fast\r\n:0\r\n:0\r\n:0\r\n*2\r\n+@fast\r\n\
                 +@connection\r\n*0\r\n*0\r\n*0\r\n*-1\r\n",
            ),
            (
                "command info CONFIG|GET config|foo",
                "*2\r\n*10\r\n$10\r\nconfig|get\r\n:-3\r\n*4\r\n+admin\r\n+noscript\r\n+loading\r\n\
                 +stale\r\n:0\r\n:0\r\n:0\r\n*3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n*0\r\n*0\r\n\
                 *0\r\n*-1\r\n",
            ),
        ]);
    }

    #[test]
    fn keys_are_found_in_whole_commands() {
        Harness::new().expect(&[
            ("command getkeys memory usage foo", "*1\r\n$3\r\nfoo\r\n"),
            (
                "command getkeysandflags memory usage foo",
                "*1\r\n*2\r\n$3\r\nfoo\r\n*1\r\n+RO\r\n",
            ),
            (
                "command getkeys foo a",
                "-ERR Invalid command specified\r\n",
            ),
            (
                "command getkeys ping a",
                "-ERR The command has no key arguments\r\n",
            ),
            (
                "command getkeys memory usage",
                "-ERR Invalid number of arguments specified for command\r\n",
            ),
            (
                "command getkeys",
                "-ERR wrong number of arguments for 'command|getkeys' command\r\n",
            ),
        ]);
    }

    #[test]
    fn documentation_follows_from_the_rows() {
        let mut harness = Harness::new();
        harness.expect(&[
            ("command docs nothing", "*0\r\n"),
            (
                "command docs echo",
                "*2\r\n$4\r\necho\r\n*8\r\n$7\r\nsummary\r\n$20\r\nAnswers the message.\r\n$5\r\n\
                 since\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n\
                 $4\r\nO(1)\r\n",
            ),
        ]);
        assert!(
            harness
                .text("command docs config")
                .contains("$11\r\nsubcommands\r\n")
        );
    }
}
