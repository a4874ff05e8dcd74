//! SLOWLOG: the last commands that took long, one list per shard, merged when it is read.

use std::collections::VecDeque;

/// Arguments kept of a command; the last one then says how many more there were.
const ARGS_MAX: usize = 32;
/// Bytes kept of an argument.
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowEntry {
    /// Unique in this process, rising.
    pub id: u64,
    /// Unix seconds.
    pub at_s: u64,
    /// How long it ran, in microseconds.
    pub micros: u64,
    /// The command and its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// The client's address; empty where the command ran on another shard than its connection's, and
    /// the client had left when it ended.
    pub address: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// The slow commands of one shard, newest first.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<SlowEntry>,
}

impl SlowLog {
    /// Adds an entry and drops the oldest beyond `len_max`.
    pub fn push(&mut self, entry: SlowEntry, len_max: usize) {
        self.entries.push_front(entry);
        self.entries.truncate(len_max);
    }

    /// The entries, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// Takes all entries out, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = SlowEntry> {
        self.entries.drain(..).rev()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// SLOWLOG RESET.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// A command's arguments, shortened as Redis shortens them.
pub fn shorten<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let count = args.len();
    let whole = if count > ARGS_MAX {
        ARGS_MAX - 1
    } else {
        count
    };
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(whole + 1);
    for arg in args.take(whole) {
        if arg.len() > ARG_BYTES_MAX {
            let more = arg.len() - ARG_BYTES_MAX;
            let mut short = arg[..ARG_BYTES_MAX].to_vec();
            short.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
            kept.push(short);
        } else {
            kept.push(arg.to_vec());
        }
    }
    if count > whole {
        kept.push(format!("... ({} more arguments)", count - whole).into_bytes());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_shortened_and_say_so() {
        let long = vec![b'x'; 200];
        let many: Vec<&[u8]> = (0..40).map(|_| b"a".as_slice()).collect();
        let kept = shorten(many.into_iter());
        assert_eq!(kept.len(), 32);
        assert_eq!(kept[31], b"... (9 more arguments)");
        let kept = shorten([long.as_slice()].into_iter());
        assert!(kept[0].ends_with(b"... (72 more bytes)"));
    }

    #[test]
    fn the_newest_entries_stay() {
        let mut log = SlowLog::default();
        for id in 0..10 {
            let entry = SlowEntry {
                id,
                at_s: 0,
                micros: 1,
                args: Vec::new(),
                address: String::new(),
                name: Vec::new(),
            };
            log.push(entry, 3);
        }
        assert_eq!(log.iter().map(|e| e.id).collect::<Vec<_>>(), [9, 8, 7]);
    }
}
