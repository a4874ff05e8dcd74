//! ACL: categories of commands, and the one user that there is, `default`.
//!
//! A command's categories follow from its flags, its group and its row's `categories`, by Redis's
//! rules.

use super::arg::is;
use super::container::{reply_help, unknown_subcommand};
use super::*;

const SUB: Command = Command {
    flags: flag::NOSCRIPT | flag::LOADING | flag::STALE,
    group: "server",
    since: "6.0.0",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "acl",
    arity: -2,
    summary: "Commands about users and their permissions.",
    complexity: "Depends on the sub-command.",
    since: "6.0.0",
    group: "server",
    handler: unknown_subcommand,
    subcommands: &[
        Command {
            name: "acl|whoami",
            arity: 2,
            summary: "Answers the connection's user.",
            handler: who_am_i,
            ..SUB
        },
        Command {
            name: "acl|cat",
            arity: -2,
            summary: "Answers the categories, or the commands of one.",
            complexity: "O(N) where N is the number of commands",
            handler: cat,
            ..SUB
        },
        Command {
            name: "acl|help",
            arity: 2,
            flags: flag::LOADING | flag::STALE,
            summary: "Lists the sub-commands.",
            handler: help,
            ..SUB
        },
    ],
    ..Command::BASE
}];

/// Every category, in Redis's order.
const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The categories of a command, in Redis's order.
pub fn categories(command: &Command) -> impl Iterator<Item = &'static str> {
    let is_container = !command.subcommands.is_empty() && command.arity == -2;
    let of_group = match command.group {
        // A container does nothing by itself.
        _ if is_container => "",
        "sorted-set" => "sortedset",
        "transactions" => "transaction",
        group => group,
    };
    let is_admin = command.has(flag::ADMIN) || command.categories & category::ADMIN != 0;
    let has = {
        let (flags, categories) = (command.flags, command.categories);
        move |name: &str| match name {
            "read" => flags & flag::READONLY != 0,
            "write" => flags & flag::WRITE != 0,
            "admin" => is_admin,
            "dangerous" => is_admin || categories & category::DANGEROUS != 0,
            "keyspace" => categories & category::KEYSPACE != 0,
            "pubsub" => flags & flag::PUBSUB != 0,
            "blocking" => flags & flag::BLOCKING != 0,
            "fast" => flags & flag::FAST != 0,
            "slow" => flags & flag::FAST == 0,
            "connection" => of_group == name || categories & category::CONNECTION != 0,
            name => of_group == name,
        }
    };
    CATEGORIES.iter().copied().filter(move |name| has(name))
}

fn who_am_i<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    call.reply().bulk(b"default");
    Ok(())
}

fn cat<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let names: Vec<&str> = match args.get(2) {
        None => CATEGORIES.to_vec(),
        Some(_) if args.len() > 3 => return unknown_arity(args),
        Some(name) => {
            let Some(wanted) = CATEGORIES.iter().find(|known| is(name, known)) else {
                let name = String::from_utf8_lossy(name);
                return Err(Failure::from(format!("ERR Unknown category '{name}'")));
            };
            let fits = |command: &&Command| categories(command).any(|own| own == *wanted);
            table::all_rows()
                .filter(fits)
                .map(|command| command.name)
                .collect()
        }
    };
    let mut reply = call.reply();
    reply.array(names.len());
    names
        .into_iter()
        .for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

/// ACL CAT takes one category; Redis answers more as it answers an unknown sub-command.
fn unknown_arity(args: Args<'_>) -> Result<(), Failure> {
    let name = String::from_utf8_lossy(args.get(1).unwrap_or_default()).into_owned();
    Err(Failure::from(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try ACL HELP."
    )))
}

fn help<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    reply_help(
        call,
        &[
            "CAT [<category>]",
            "    Answers the commands of a category, or all categories.",
            "WHOAMI",
            "    Answers the connection's user.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::harness::Harness;

    #[test]
    fn categories_are_listed_and_looked_up() {
        let mut harness = Harness::new();
        harness.expect(&[
            ("acl whoami", "$7\r\ndefault\r\n"),
            ("acl cat foo", "-ERR Unknown category 'foo'\r\n"),
            (
                "acl foo",
                "-ERR unknown subcommand 'foo'. Try ACL HELP.\r\n",
            ),
        ]);
        assert!(
            harness
                .text("acl cat")
                .starts_with("*21\r\n$8\r\nkeyspace\r\n$4\r\nread\r\n")
        );
        let connection = harness.text("acl cat CONNECTION");
        for name in ["ping", "client|id", "command", "wait", "reset"] {
            assert!(connection.contains(&format!("\r\n{name}\r\n")), "{name}");
        }
        assert!(harness.text("acl cat dangerous").contains("\r\nrole\r\n"));
    }
}
