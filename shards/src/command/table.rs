//! The command table: every group's rows, found by name.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::*;

/// The groups, each declared beside its handlers.
const GROUPS: &[&[Command]] = &[
    string::COMMANDS,
    lcs::COMMANDS,
    generic::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
    sort::COMMANDS,
    dump::COMMANDS,
    database::COMMANDS,
    list::COMMANDS,
    set::COMMANDS,
    hash::COMMANDS,
    sorted_set::COMMANDS,
    sorted_range::COMMANDS,
    connection::COMMANDS,
    client::COMMANDS,
    server::COMMANDS,
    info::COMMANDS,
    config::COMMANDS,
    introspection::COMMANDS,
    memory::COMMANDS,
    slowlog::COMMANDS,
    latency::COMMANDS,
    debug::COMMANDS,
    acl::COMMANDS,
    cluster::COMMANDS,
];

/// Longest name of a command, in bytes; what is longer is unknown without a look-up.
const NAME_BYTES_MAX: usize = 32;

/// A command with its dense number, by which counters are kept.
#[derive(Clone, Copy)]
pub struct Row {
    /// The command.
    pub command: &'static Command,
    /// Below [`count`]; a container's sub-commands follow it.
    pub number: usize,
}

struct Table {
    by_name: HashMap<&'static [u8], Row, foldhash::fast::FixedState>,
    count: usize,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut by_name = HashMap::default();
    let mut count = 0;
    for command in all() {
        by_name.insert(
            command.name.as_bytes(),
            Row {
                command,
                number: count,
            },
        );
        count += 1 + command.subcommands.len();
    }
    Table { by_name, count }
});

/// Every command, without sub-commands, in the order of their numbers.
pub fn all() -> impl Iterator<Item = &'static Command> {
    GROUPS.iter().flat_map(|group| group.iter())
}

/// Every command and sub-command, in the order of their numbers.
pub fn all_rows() -> impl Iterator<Item = &'static Command> {
    all().flat_map(|command| [command].into_iter().chain(command.subcommands))
}

/// Commands and sub-commands together.
pub fn count() -> usize {
    TABLE.count
}

/// The command of this name, in any case; not a sub-command. O(1).
#[inline]
pub fn find(name: &[u8]) -> Option<Row> {
    let mut lower = [0u8; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    TABLE.by_name.get(&*lower).copied()
}

impl Row {
    /// The row that `args` call: a sub-command's where the command is a container that has it.
    #[inline]
    pub fn resolve(self, args: Args<'_>) -> Row {
        if self.command.subcommands.is_empty() {
            return self;
        }
        let Some(name) = args.get(1) else { return self };
        let subs = self.command.subcommands;
        let found = subs
            .iter()
            .position(|s| s.short_name().as_bytes().eq_ignore_ascii_case(name));
        match found {
            Some(at) => Row {
                command: &subs[at],
                number: self.number + 1 + at,
            },
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole_and_names_are_unique() {
        let mut names = std::collections::HashSet::new();
        for command in all_rows() {
            assert!(
                names.insert(command.name),
                "{} is declared twice",
                command.name
            );
            assert!(command.name.len() <= NAME_BYTES_MAX * 2);
            assert_eq!(command.name, command.name.to_ascii_lowercase());
            assert!(
                !command.summary.is_empty(),
                "{} has no summary",
                command.name
            );
            assert_ne!(command.arity, 0, "{}", command.name);
            let writes = command.has(flag::WRITE) && command.has(flag::READONLY);
            assert!(!writes, "{} both writes and only reads", command.name);
            if command.keys != Keys::NONE {
                assert_ne!(command.route, Route::Local, "{} has keys", command.name);
            }
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(find(b"GeT").map(|row| row.command.name), Some("get"));
        assert!(find(b"nothing").is_none());
        assert!(find(&[b'x'; 100]).is_none());
    }
}
