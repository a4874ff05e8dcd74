//! What a command is: one row that says everything about it.
//!
//! Dispatch, COMMAND and its sub-commands, routing between shards, the checks before execution and
//! the categories of ACL all read the same row ([`Command`]), so a command is declared once. The
//! rows stand with their handlers, one file per group; [`table`] collects them.

pub mod arg;
pub mod call;
pub mod failure;
pub mod table;

#[cfg(test)]
pub(crate) mod harness;

mod acl;
mod client;
mod cluster;
mod config;
mod connection;
mod container;
mod database;
mod debug;
mod dump;
mod element_scan;
mod expire;
mod generic;
mod hash;
mod info;
mod interval;
mod introspection;
mod latency;
mod lcs;
mod list;
mod memory;
mod overlay;
mod sample;
mod scan;
mod server;
mod set;
mod slowlog;
mod sort;
mod sorted_range;
mod sorted_set;
mod string;

use causet_proto::resp::Args;

pub use acl::categories;
pub use call::Call;
pub use failure::{Failure, unknown_command};
pub use server::monitor_line;

/// Runs a command: writes the reply to `call`, or returns the error to be replied.
///
/// A handler reads through `call`, emits effects into it and writes its reply; the effects are
/// committed when it returns `Ok` and dropped when it returns an error.
pub type Handler = for<'c, 'a> fn(&mut Call<'c, 'a>, Args<'a>) -> Result<(), Failure>;

/// Properties of a command, as COMMAND INFO shows them, and more.
pub mod flag {
    /// May change keys.
    pub const WRITE: u32 = 1 << 0;
    /// Reads keys and changes none.
    pub const READONLY: u32 = 1 << 1;
    /// Refused when memory is short.
    pub const DENYOOM: u32 = 1 << 2;
    /// For operators.
    pub const ADMIN: u32 = 1 << 3;
    /// Publish/subscribe.
    pub const PUBSUB: u32 = 1 << 4;
    /// Not from scripts.
    pub const NOSCRIPT: u32 = 1 << 5;
    /// May wait for something.
    pub const BLOCKING: u32 = 1 << 6;
    /// Allowed while loading.
    pub const LOADING: u32 = 1 << 7;
    /// Allowed while data may be stale.
    pub const STALE: u32 = 1 << 8;
    /// Not shown to MONITOR.
    pub const SKIP_MONITOR: u32 = 1 << 9;
    /// Not shown in SLOWLOG.
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    /// O(1) or O(log n).
    pub const FAST: u32 = 1 << 11;
    /// Allowed before authentication.
    pub const NO_AUTH: u32 = 1 << 12;
    /// Not inside MULTI.
    pub const NO_MULTI: u32 = 1 << 13;
    /// Key positions depend on the arguments.
    pub const MOVABLE_KEYS: u32 = 1 << 14;
    /// Allowed while the client is in a busy state.
    pub const ALLOW_BUSY: u32 = 1 << 15;
    /// The keys are not touched (OBJECT, TYPE, ...): reading one does not change its idle time.
    pub const NO_TOUCH: u32 = 1 << 16;
}

/// ACL categories that do not follow from the flags or the group.
pub mod category {
    /// Touches the key space: DEL, RENAME, FLUSHALL.
    pub const KEYSPACE: u32 = 1 << 0;
    /// Not for untrusted clients.
    pub const DANGEROUS: u32 = 1 << 1;
    /// For operators, though not flagged as such: ROLE, LASTSAVE.
    pub const ADMIN: u32 = 1 << 2;
    /// About connections, though not in that group: WAIT, COMMAND.
    pub const CONNECTION: u32 = 1 << 3;
}

/// Which arguments are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// First key, 0 where there is none.
    pub first: i16,
    /// Last key; negative counts from the end.
    pub last: i16,
    /// Distance between keys.
    pub step: i16,
}

impl Keys {
    /// No keys.
    pub const NONE: Keys = Keys {
        first: 0,
        last: 0,
        step: 0,
    };
    /// One key, the first argument.
    pub const ONE: Keys = Keys {
        first: 1,
        last: 1,
        step: 1,
    };
    /// Two keys, the first two arguments.
    pub const TWO: Keys = Keys {
        first: 1,
        last: 2,
        step: 1,
    };
    /// Every argument is a key.
    pub const ALL: Keys = Keys {
        first: 1,
        last: -1,
        step: 1,
    };
    /// Keys and values in turn.
    pub const PAIRS: Keys = Keys {
        first: 1,
        last: -1,
        step: 2,
    };
    /// One key, the second argument (OBJECT ENCODING key).
    pub const SECOND: Keys = Keys {
        first: 2,
        last: 2,
        step: 1,
    };

    /// The positions of the keys among `len` arguments, the name included.
    pub fn positions(self, len: usize) -> impl Iterator<Item = usize> {
        let last = if self.last < 0 {
            len as isize + self.last as isize
        } else {
            self.last as isize
        };
        let first = self.first as isize;
        let end = if first == 0 {
            0
        } else {
            last.min(len as isize - 1) + 1
        };
        let range = first..end;
        range
            .step_by(self.step.max(1) as usize)
            .map(|at| at as usize)
    }
}

/// On which shards a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Where the connection is.
    Local,
    /// Where its keys are; over several shards with all of them held.
    Keys,
    /// With every shard held.
    AllShards,
    /// Where its cursor says (SCAN).
    Cursor,
}

/// One row of the command table.
pub struct Command {
    /// Lower case, as COMMAND INFO shows it. A sub-command's is `container|name`.
    pub name: &'static str,
    /// Number of arguments with the name; negative: at least so many. As in Redis.
    pub arity: i16,
    /// See [`flag`].
    pub flags: u32,
    /// See [`category`].
    pub categories: u32,
    /// Which arguments are keys.
    pub keys: Keys,
    /// Where it runs.
    pub route: Route,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Cost.
    pub complexity: &'static str,
    /// The Redis version that has it first.
    pub since: &'static str,
    /// The group as COMMAND DOCS names it.
    pub group: &'static str,
    /// Runs it. For a container: runs when no sub-command fits.
    pub handler: Handler,
    /// Sub-commands, for containers.
    pub subcommands: &'static [Command],
}

impl Command {
    /// Defaults for rows: `Command { name: ..., ..Command::BASE }`.
    pub const BASE: Command = Command {
        name: "",
        arity: 1,
        flags: 0,
        categories: 0,
        keys: Keys::NONE,
        route: Route::Local,
        summary: "",
        complexity: "O(1)",
        since: "1.0.0",
        group: "generic",
        handler: unreachable_handler,
        subcommands: &[],
    };

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether `len` arguments (name included) are acceptable.
    #[inline]
    pub const fn accepts(&self, len: usize) -> bool {
        if self.arity >= 0 {
            len == self.arity as usize
        } else {
            len >= -self.arity as usize
        }
    }

    /// The name without its container.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }
}

fn unreachable_handler<'a>(_: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    Err(Failure::from("ERR command row without a handler"))
}
