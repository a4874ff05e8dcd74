//! Positions of SCANs: what a plain 64-bit cursor stands for.
//!
//! A SCAN walks keys in order, so its position is a key, and a key does not fit 64 bits. The shard
//! remembers the positions it gave out, the last [`REMEMBERED_MAX`] of them (a few hundred KiB);
//! an older cursor is refused with an error rather than answered wrongly. A cursor stays valid
//! until it is forgotten, however often it is used.

use std::collections::HashMap;
use std::collections::VecDeque;

/// Positions that a shard remembers.
pub const REMEMBERED_MAX: usize = 16_384;

/// Bits of a cursor that count positions; above them is the shard, plus one. Cursors stay below
/// 2^53, which clients that hold numbers as doubles need.
const COUNT_BITS: u32 = 40;

/// The positions of one shard.
#[derive(Debug, Default)]
pub struct Cursors {
    next: u64,
    positions: HashMap<u64, Vec<u8>>,
    order: VecDeque<u64>,
}

/// What a client's cursor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The beginning of a shard's keys.
    Start {
        /// The shard.
        shard: u16,
    },
    /// Behind a key that the shard remembers under this number.
    Remembered {
        /// The shard.
        shard: u16,
        /// The number.
        number: u64,
    },
}

impl Position {
    /// What `cursor` stands for: 0 is the beginning of shard 0.
    pub fn of_cursor(cursor: u64) -> Position {
        let shard = (cursor >> COUNT_BITS) as u16;
        match cursor & ((1 << COUNT_BITS) - 1) {
            0 => Position::Start { shard },
            number => Position::Remembered { shard, number },
        }
    }

    /// The shard.
    pub fn shard(self) -> u16 {
        match self {
            Position::Start { shard } | Position::Remembered { shard, .. } => shard,
        }
    }

    /// The cursor of the beginning of a shard's keys.
    pub fn start_of(shard: u16) -> u64 {
        u64::from(shard) << COUNT_BITS
    }
}

impl Cursors {
    /// Remembers that a scan on `shard` stopped behind `key`; returns the cursor. O(1).
    pub fn remember(&mut self, shard: u16, key: &[u8]) -> u64 {
        if self.order.len() == REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.positions.remove(&oldest);
        }
        self.next = (self.next + 1) & ((1 << COUNT_BITS) - 1);
        let number = self.next.max(1);
        self.next = number;
        self.positions.insert(number, key.to_vec());
        self.order.push_back(number);
        Position::start_of(shard) | number
    }

    /// The key behind which the scan goes on, unless it was forgotten.
    pub fn recall(&self, number: u64) -> Option<&[u8]> {
        self.positions.get(&number).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_its_shard_and_position_and_may_be_used_again() {
        let mut cursors = Cursors::default();
        let cursor = cursors.remember(7, b"key");
        assert!(cursor < 1 << 53);
        let Position::Remembered { shard, number } = Position::of_cursor(cursor) else {
            panic!()
        };
        assert_eq!(shard, 7);
        assert_eq!(cursors.recall(number), Some(&b"key"[..]));
        assert_eq!(cursors.recall(number), Some(&b"key"[..]));
        assert_eq!(Position::of_cursor(0), Position::Start { shard: 0 });
    }

    #[test]
    fn memory_is_bounded_and_the_newest_positions_stay() {
        let mut cursors = Cursors::default();
        let first = cursors.remember(0, b"first");
        for _ in 0..REMEMBERED_MAX {
            cursors.remember(0, b"later");
        }
        assert_eq!(cursors.positions.len(), REMEMBERED_MAX);
        let Position::Remembered { number, .. } = Position::of_cursor(first) else {
            panic!()
        };
        assert_eq!(cursors.recall(number), None);
    }
}
