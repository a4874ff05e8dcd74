//! The command table: every group's rows, found by name.
//!
//! The look-up stands before every command, so it is made of plain arithmetic: a name is packed into
//! one 128-bit number, in lower case, and that number hashed by a multiplication into a sparse table
//! of row numbers. No call compares or copies bytes.

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
const NAME_BYTES_MAX: usize = 16;
/// Places of the table of names, a power of two: several for each command, so that nearly every
/// look-up ends at its first place.
const PLACES: usize = 2048;
/// Place without a row.
const EMPTY: u16 = u16::MAX;

/// A command with its dense number, by which counters are kept.
#[derive(Clone, Copy)]
pub struct Row {
    /// The command.
    pub command: &'static Command,
    /// Below [`count`]; a container's sub-commands follow it.
    pub number: usize,
}

/// A command's name in lower case as a number; never 0, since no name is empty.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Name(u128);

impl Name {
    /// The name in `bytes`, in any case; `None` where no command's name is that short or long.
    #[inline]
    fn of(bytes: &[u8]) -> Option<Name> {
        let u64_at = |at: usize| {
            let word = bytes[at..at + 8].try_into();
            u128::from(u64::from_le_bytes(word.expect("8 bytes")))
        };
        let u32_at = |at: usize| {
            let word = bytes[at..at + 4].try_into();
            u128::from(u32::from_le_bytes(word.expect("4 bytes")))
        };
        // Two loads that may overlap: where they do, both hold the same bytes.
        let len = bytes.len();
        let packed = match len {
            1..=3 => {
                let (first, middle, last) = (bytes[0], bytes[len / 2], bytes[len - 1]);
                u128::from(first)
                    | u128::from(middle) << (len / 2 * 8)
                    | u128::from(last) << ((len - 1) * 8)
            }
            4..=7 => u32_at(0) | u32_at(len - 4) << ((len - 4) * 8),
            8..=NAME_BYTES_MAX => u64_at(0) | u64_at(len - 8) << ((len - 8) * 8),
            _ => return None,
        };
        Some(Name(lower_case(packed)))
    }

    #[inline]
    fn place(self) -> usize {
        let folded = (self.0 as u64) ^ ((self.0 >> 64) as u64).rotate_left(23);
        // 2^64 divided by the golden ratio: neighbouring names come to lie far apart.
        let hash = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> (64 - PLACES.trailing_zeros())) as usize
    }
}

/// ASCII letters in lower case, sixteen bytes at once.
#[inline]
fn lower_case(bytes: u128) -> u128 {
    const ONES: u128 = u128::MAX / 255;
    let low = bytes & (ONES * 0x7f);
    // The high bit of each byte that is at least 'A', and of each that is beyond 'Z'.
    let from_a = low + ONES * (0x80 - b'A' as u128);
    let beyond_z = low + ONES * (0x7f - b'Z' as u128);
    let upper = (from_a ^ beyond_z) & !bytes & (ONES * 0x80);
    bytes | upper >> 2
}

struct Table {
    names: [Name; PLACES],
    rows: [u16; PLACES],
    by_row: Vec<Row>,
    count: usize,
}

static TABLE: LazyLock<Box<Table>> = LazyLock::new(|| {
    let mut table = Box::new(Table {
        names: [Name(0); PLACES],
        rows: [EMPTY; PLACES],
        by_row: Vec::new(),
        count: 0,
    });
    for command in all() {
        let name = Name::of(command.name.as_bytes()).expect("names are short");
        let mut place = name.place();
        while table.rows[place] != EMPTY {
            place = (place + 1) % PLACES;
        }
        table.names[place] = name;
        table.rows[place] = table.by_row.len() as u16;
        let number = table.count;
        table.by_row.push(Row { command, number });
        table.count += 1 + command.subcommands.len();
    }
    table
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
    let name = Name::of(name)?;
    let table = &**TABLE;
    let mut place = name.place();
    // The table is sparse, so an empty place ends every search.
    loop {
        let row = table.rows[place];
        if row == EMPTY {
            return None;
        }
        if table.names[place] == name {
            return Some(table.by_row[usize::from(row)]);
        }
        place = (place + 1) % PLACES;
    }
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
        assert!(find(b"").is_none());
        for command in all() {
            let (name, upper) = (command.name, command.name.to_ascii_uppercase());
            for name in [name, &upper] {
                let found = find(name.as_bytes()).map(|row| row.command.name);
                assert_eq!(found, Some(command.name));
            }
            // One bit away, no other character passes for the right one.
            for at in 0..name.len() {
                for bit in 0..8 {
                    let mut other = name.as_bytes().to_vec();
                    other[at] ^= 1 << bit;
                    let found = find(&other).map(|row| row.command.name.as_bytes());
                    assert!(found.is_none_or(|found| found.eq_ignore_ascii_case(&other)));
                }
            }
        }
    }
}
