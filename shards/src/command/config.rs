//! CONFIG: the configuration while the server runs, and the counters' reset.

use std::sync::Arc;

use super::arg::Arguments;
use super::container::{reply_help, unknown_subcommand};
use super::*;
use crate::config::SetError;
use crate::state::State;
use crate::{descriptors, diagnostics};

const OPERATOR: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;

const SUB: Command = Command {
    flags: OPERATOR,
    group: "server",
    since: "2.0.0",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "config",
    arity: -2,
    summary: "Commands about the configuration.",
    complexity: "Depends on the sub-command.",
    since: "2.0.0",
    group: "server",
    handler: unknown_subcommand,
    subcommands: &[
        Command {
            name: "config|get",
            arity: -3,
            summary: "Answers the directives that match the patterns.",
            complexity: "O(N) where N is the number of patterns",
            handler: get,
            ..SUB
        },
        Command {
            name: "config|set",
            arity: -4,
            // A password in it belongs into no list.
            flags: OPERATOR | flag::SKIP_SLOWLOG,
            route: Route::AllShards,
            summary: "Changes directives, all of those given or none, on all shards at once.",
            complexity: "O(N) where N is the number of directives",
            handler: set,
            ..SUB
        },
        Command {
            name: "config|rewrite",
            arity: 2,
            summary: "Writes the configuration in force into the file that the start read.",
            since: "2.8.0",
            handler: rewrite,
            ..SUB
        },
        Command {
            name: "config|resetstat",
            arity: 2,
            route: Route::AllShards,
            summary: "Sets the counters of INFO to zero.",
            handler: reset_stats,
            ..SUB
        },
        Command {
            name: "config|help",
            arity: 2,
            flags: flag::LOADING | flag::STALE,
            summary: "Lists the sub-commands.",
            since: "5.0.0",
            handler: help,
            ..SUB
        },
    ],
    ..Command::BASE
}];

fn get<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let patterns: Vec<&[u8]> = args.tail(2).iter().collect();
    let found = call.state.config.get(&patterns);
    let mut reply = call.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(&name);
        reply.bulk(&value);
    }
    Ok(())
}

fn set<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let words = args.tail(2);
    if !words.len().is_multiple_of(2) {
        return Err(Failure::SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> = (0..words.len())
        .step_by(2)
        .map(|at| (words.at(at), words.at(at + 1)))
        .collect();
    let shared = Arc::clone(&call.state.shared);
    let current = shared.config();
    let may_protected = current
        .enable_protected_configs
        .permits(call.client.is_local);
    let changed = current
        .set(&pairs, may_protected)
        .map_err(|error| Failure::from(error.to_string()))?;
    if changed.names.contains(&"maxclients") {
        descriptors::make_room(changed.config.maxclients.into()).map_err(|most| {
            let reason = format!(
                "The operating system is not able to handle the specified number of clients, try \
                 with {most}"
            );
            Failure::from(SetError::failed("maxclients", reason).to_string())
        })?;
    }
    if !changed.names.is_empty() {
        shared.set_config(changed.config);
        let config = shared.config();
        call.for_each_shard(|state| state.adopt_config(Arc::clone(&config)));
        if changed.names.contains(&"loglevel") {
            diagnostics::set_level(config.loglevel);
        }
    }
    call.reply().ok();
    Ok(())
}

fn rewrite<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let State { shared, config, .. } = &*call.state;
    let outcome = shared.config_source.rewrite(config);
    outcome.map_err(|error| Failure::from(error.to_string()))?;
    call.reply().ok();
    Ok(())
}

fn reset_stats<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    call.for_each_shard(|state| state.stats.reset());
    call.reply().ok();
    Ok(())
}

fn help<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    reply_help(
        call,
        &[
            "GET <pattern> [<pattern> ...]",
            "    Answers the directives whose names match, and their values.",
            "SET <directive> <value> [<directive> <value> ...]",
            "    Changes directives, all of them or none.",
            "RESETSTAT",
            "    Sets the counters of INFO to zero.",
            "REWRITE",
            "    Writes the configuration into its file.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::harness::Harness;
    use super::*;
    use crate::shared::Shared;

    #[test]
    fn directives_are_read_by_pattern() {
        let mut harness = Harness::new();
        harness.expect(&[
            (
                "config get appendonly",
                "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n",
            ),
            ("config get nothing", "*0\r\n"),
            (
                "config get",
                "-ERR wrong number of arguments for 'config|get' command\r\n",
            ),
            (
                "config foo",
                "-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n",
            ),
            (
                "config",
                "-ERR wrong number of arguments for 'config' command\r\n",
            ),
        ]);
        harness.text("hello 3");
        harness.expect(&[("config get hz", "%1\r\n$2\r\nhz\r\n$2\r\n10\r\n")]);
    }

    #[test]
    fn a_change_is_in_force_at_once_or_not_at_all() {
        let mut harness = Harness::new();
        let maxmemory = |shared: &Shared| shared.maxmemory.load(Ordering::Relaxed);
        harness.expect(&[(
            "config set maxmemory 1mb maxmemory-policy allkeys-lfu",
            "+OK\r\n",
        )]);
        assert_eq!(maxmemory(&harness.state.shared), 1 << 20);
        assert_eq!(harness.state.recency.initial() & 0xff, 5);
        assert_eq!(harness.state.config, harness.state.shared.config());
        let version = harness.state.shared.config_version();
        harness.expect(&[
            (
                "config set maxmemory 2mb foo bar",
                "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n",
            ),
            (
                "config set maxmemory xx",
                "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must \
              be a memory value\r\n",
            ),
            ("config set a 1 b", "-ERR syntax error\r\n"),
            ("config set maxmemory 1048576", "+OK\r\n"),
        ]);
        assert_eq!(maxmemory(&harness.state.shared), 1 << 20);
        assert_eq!(harness.state.shared.config_version(), version);
    }

    #[test]
    fn a_rewrite_goes_to_the_file_of_the_start() {
        let mut harness = Harness::new();
        harness.expect(&[(
            "config rewrite",
            "-ERR The server is running without a config file\r\n",
        )]);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("causet.conf");
        let shared = Arc::get_mut(&mut harness.state.shared).expect("nobody else has it");
        shared.config_source.file = Some(file.clone());
        harness.expect(&[
            ("config set hz 50", "+OK\r\n"),
            ("config rewrite", "+OK\r\n"),
        ]);
        let text = std::fs::read_to_string(file).expect("was written");
        assert!(text.contains("hz 50"), "{text}");
    }

    #[test]
    fn resetstat_sets_counters_to_zero() {
        let mut harness = Harness::new();
        harness.text("ping");
        harness.expect(&[("config resetstat", "+OK\r\n")]);
        // CONFIG RESETSTAT itself is counted when it has ended.
        assert_eq!(harness.state.stats.commands, 1);
    }
}
