//! `notify-keyspace-events`: which classes of keyspace events are published, and on which channels.
//!
//! It is the set and its spelling; who raises events is the commands' business.

use std::fmt;

/// A set of event classes. Empty (the default) publishes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyspaceEvents(u16);

/// Letter and set of each class, in the order in which the value is printed.
const CLASSES: [(char, KeyspaceEvents); 14] = [
    ('g', KeyspaceEvents::GENERIC),
    ('$', KeyspaceEvents::STRING),
    ('l', KeyspaceEvents::LIST),
    ('s', KeyspaceEvents::SET),
    ('h', KeyspaceEvents::HASH),
    ('z', KeyspaceEvents::ZSET),
    ('x', KeyspaceEvents::EXPIRED),
    ('e', KeyspaceEvents::EVICTED),
    ('t', KeyspaceEvents::STREAM),
    ('d', KeyspaceEvents::MODULE),
    ('n', KeyspaceEvents::NEW),
    ('K', KeyspaceEvents::KEYSPACE),
    ('E', KeyspaceEvents::KEYEVENT),
    ('m', KeyspaceEvents::KEY_MISS),
];

/// What `A` stands for: everything but key misses and new keys.
const ALL: KeyspaceEvents = KeyspaceEvents(0x3ff);

impl KeyspaceEvents {
    /// Commands that work on any type: DEL, EXPIRE, RENAME (`g`).
    pub const GENERIC: Self = Self(1);
    /// String commands (`$`).
    pub const STRING: Self = Self(1 << 1);
    /// List commands (`l`).
    pub const LIST: Self = Self(1 << 2);
    /// Set commands (`s`).
    pub const SET: Self = Self(1 << 3);
    /// Hash commands (`h`).
    pub const HASH: Self = Self(1 << 4);
    /// Sorted set commands (`z`).
    pub const ZSET: Self = Self(1 << 5);
    /// A key expired (`x`).
    pub const EXPIRED: Self = Self(1 << 6);
    /// A key was evicted (`e`).
    pub const EVICTED: Self = Self(1 << 7);
    /// Stream commands (`t`).
    pub const STREAM: Self = Self(1 << 8);
    /// Module types (`d`); kept so that the value reads back.
    pub const MODULE: Self = Self(1 << 9);
    /// A key was created (`n`); not part of `A`.
    pub const NEW: Self = Self(1 << 10);
    /// Publish on `__keyspace@N__:key` (`K`).
    pub const KEYSPACE: Self = Self(1 << 11);
    /// Publish on `__keyevent@N__:event` (`E`).
    pub const KEYEVENT: Self = Self(1 << 12);
    /// A key was looked for and not there (`m`); not part of `A`.
    pub const KEY_MISS: Self = Self(1 << 13);

    /// Reads the letters of a value; `None` for a letter that names no class.
    pub fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self::default(), |set, letter| {
            let class = if letter == 'A' {
                ALL
            } else {
                CLASSES.iter().find(|(known, _)| *known == letter)?.1
            };
            Some(Self(set.0 | class.0))
        })
    }

    /// Whether every class of `classes` is in this set.
    pub fn contains(self, classes: Self) -> bool {
        self.0 & classes.0 == classes.0
    }

    /// Whether events of `class` go anywhere: the class is on, and one of the two channels is.
    pub fn publishes(self, class: Self) -> bool {
        self.contains(class) && self.0 & (Self::KEYSPACE.0 | Self::KEYEVENT.0) != 0
    }
}

impl fmt::Display for KeyspaceEvents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::fmt::Write;
        let all = self.contains(ALL);
        if all {
            out.write_char('A')?;
        }
        for (letter, class) in CLASSES {
            if self.contains(class) && !(all && ALL.contains(class)) {
                out.write_char(letter)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_redis_does() {
        for (given, printed) in [("KEA", "AKE"), ("tdmng$", "g$tdnm"), ("", ""), ("Kx", "xK")] {
            assert_eq!(
                KeyspaceEvents::parse(given).expect(given).to_string(),
                printed
            );
        }
        assert_eq!(KeyspaceEvents::parse("q"), None);
    }

    #[test]
    fn every_set_reads_back() {
        for bits in 0..1 << 14 {
            let set = KeyspaceEvents(bits);
            assert_eq!(KeyspaceEvents::parse(&set.to_string()), Some(set));
        }
    }

    #[test]
    fn publishing_needs_a_channel() {
        let classes = KeyspaceEvents::parse("gx").expect("known letters");
        assert!(!classes.publishes(KeyspaceEvents::GENERIC));
        let heard = KeyspaceEvents::parse("gxE").expect("known letters");
        assert!(heard.publishes(KeyspaceEvents::GENERIC));
        assert!(!heard.publishes(KeyspaceEvents::LIST));
    }
}
