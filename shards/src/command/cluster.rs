//! CLUSTER and its companions: this server is not part of a Redis Cluster, and says so as Redis
//! does.
//!
//! A Causet node answers for every slot itself, so cluster-aware clients must take it for a single
//! server. They learn that from this error.

use super::container::unknown_subcommand;
use super::*;

const SUB: Command = Command {
    flags: flag::STALE,
    group: "cluster",
    since: "3.0.0",
    handler: disabled,
    ..Command::BASE
};

const FAST: Command = Command {
    arity: 1,
    flags: flag::LOADING | flag::STALE | flag::FAST,
    categories: category::CONNECTION,
    ..SUB
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "cluster",
        arity: -2,
        summary: "Commands about Redis Cluster, which is off.",
        complexity: "Depends on the sub-command.",
        since: "3.0.0",
        group: "cluster",
        handler: unknown_subcommand,
        subcommands: &[
            Command {
                name: "cluster|info",
                arity: 2,
                summary: "Not in a cluster.",
                ..SUB
            },
            Command {
                name: "cluster|myid",
                arity: 2,
                summary: "Not in a cluster.",
                ..SUB
            },
            Command {
                name: "cluster|nodes",
                arity: 2,
                summary: "Not in a cluster.",
                ..SUB
            },
            Command {
                name: "cluster|slots",
                arity: 2,
                summary: "Not in a cluster.",
                ..SUB
            },
            Command {
                name: "cluster|shards",
                arity: 2,
                summary: "Not in a cluster.",
                ..SUB
            },
            Command {
                name: "cluster|links",
                arity: 2,
                summary: "Not in a cluster.",
                ..SUB
            },
            Command {
                name: "cluster|keyslot",
                arity: 3,
                summary: "Not in a cluster.",
                ..SUB
            },
            Command {
                name: "cluster|countkeysinslot",
                arity: 3,
                summary: "Not in a cluster.",
                ..SUB
            },
            Command {
                name: "cluster|getkeysinslot",
                arity: 4,
                summary: "Not in a cluster.",
                ..SUB
            },
            Command {
                name: "cluster|help",
                arity: 2,
                flags: flag::LOADING | flag::STALE,
                summary: "Not in a cluster.",
                ..SUB
            },
        ],
        ..Command::BASE
    },
    Command {
        name: "readonly",
        summary: "Not in a cluster.",
        ..FAST
    },
    Command {
        name: "readwrite",
        summary: "Not in a cluster.",
        ..FAST
    },
    Command {
        name: "asking",
        flags: flag::FAST,
        summary: "Not in a cluster.",
        ..FAST
    },
];

fn disabled<'a>(_: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    Err(Failure::from(
        "ERR This instance has cluster support disabled",
    ))
}

#[cfg(test)]
mod tests {
    use super::harness::Harness;

    #[test]
    fn cluster_commands_are_refused_as_by_a_single_redis() {
        const DISABLED: &str = "-ERR This instance has cluster support disabled\r\n";
        Harness::new().expect(&[
            ("cluster info", DISABLED),
            ("cluster keyslot foo", DISABLED),
            ("cluster myid", DISABLED),
            ("readonly", DISABLED),
            (
                "cluster foo",
                "-ERR unknown subcommand 'foo'. Try CLUSTER HELP.\r\n",
            ),
            (
                "cluster info x",
                "-ERR wrong number of arguments for 'cluster|info' command\r\n",
            ),
        ]);
    }
}
