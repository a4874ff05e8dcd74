//! The separators of one inner node of the ordered index, searched without following a pointer.
//!
//! Beside the keys stand their *heads*: the eight bytes behind what all of them begin with, as
//! numbers. A search is a binary one over at most 63 numbers in a few cache lines; only separators
//! whose heads equal the wanted key's are compared as a whole.
//!
//! The rule kept: heads and common beginning are up to date after every change. One separator in
//! exchange for another, the most frequent change, costs O(1) where the common beginning stays.
//! Any other is O(separators).

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Separators {
    keys: Vec<Box<[u8]>>,
    heads: Vec<u64>,
    /// Bytes that all keys begin with.
    prefix: usize,
}

/// The eight bytes of `key` from `at` on, as a number that orders as they do; zeros where it ends.
#[inline]
fn head(key: &[u8], at: usize) -> u64 {
    let rest = &key[at.min(key.len())..];
    match rest.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(bytes)
        }
    }
}

impl Separators {
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Starts loading what [`route`](Separators::route) searches.
    #[inline]
    pub fn prefetch(&self) {
        for line in self.heads.chunks(64 / size_of::<u64>()) {
            super::prefetch_line(line.as_ptr());
        }
    }

    /// How many separators are not above `key`: the child that it belongs to. O(log n).
    #[inline]
    pub fn route(&self, key: &[u8]) -> usize {
        let Some(first) = self.keys.first() else {
            return 0;
        };
        let common = &first[..self.prefix];
        match key[..key.len().min(self.prefix)].cmp(common) {
            std::cmp::Ordering::Less => return 0,
            std::cmp::Ordering::Greater => return self.keys.len(),
            std::cmp::Ordering::Equal => {}
        }
        let wanted = head(key, self.prefix);
        let low = self.heads.partition_point(|&head| head < wanted);
        let equal = self.heads[low..].partition_point(|&head| head == wanted);
        let same = &self.keys[low..low + equal];
        low + same.partition_point(|separator| **separator <= *key)
    }

    /// Exchanges one separator; the order must stay.
    pub fn set(&mut self, at: usize, key: Box<[u8]>) {
        self.keys[at] = key;
        if self.common() == self.prefix {
            self.heads[at] = head(&self.keys[at], self.prefix);
        } else {
            self.rebuild();
        }
    }

    /// Adds a separator where it belongs.
    pub fn insert(&mut self, at: usize, key: Box<[u8]>) {
        self.keys.insert(at, key);
        if self.common() == self.prefix {
            self.heads.insert(at, head(&self.keys[at], self.prefix));
        } else {
            self.rebuild();
        }
    }

    /// Any change of the keys, which must be in order when it is done. O(separators).
    pub fn change<R>(&mut self, change: impl FnOnce(&mut Vec<Box<[u8]>>) -> R) -> R {
        let result = change(&mut self.keys);
        self.rebuild();
        result
    }

    fn rebuild(&mut self) {
        let prefix = self.common();
        self.prefix = prefix;
        self.heads.clear();
        self.heads
            .extend(self.keys.iter().map(|key| head(key, prefix)));
    }

    /// Bytes that all keys begin with. In order, the first and the last have the least in common.
    fn common(&self) -> usize {
        match (self.keys.first(), self.keys.last()) {
            (Some(first), Some(last)) => first.iter().zip(last).take_while(|(a, b)| a == b).count(),
            _ => 0,
        }
    }

    /// Bytes of memory beside the value itself.
    pub fn memory_bytes(&self) -> usize {
        self.keys.iter().map(|key| key.len()).sum::<usize>()
            + self.keys.capacity() * size_of::<Box<[u8]>>()
            + self.heads.capacity() * size_of::<u64>()
    }

    pub fn take(&mut self) -> Vec<Box<[u8]>> {
        self.change(std::mem::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0u8), Just(b'a'), Just(0xff)];
        prop_oneof![
            prop::collection::vec(byte.clone(), 0..4),
            prop::collection::vec(byte, 0..14).prop_map(|tail| [b"user:" as &[u8], &tail].concat()),
        ]
    }

    proptest! {
        #[test]
        fn a_key_is_routed_as_if_whole_keys_were_compared(
            keys in prop::collection::btree_set(key(), 0..63),
            wanted in prop::collection::vec(key(), 1..20),
        ) {
            let mut separators = Separators::default();
            separators.change(|own| {
                own.extend(keys.iter().map(|key| key.clone().into_boxed_slice()));
            });
            for wanted in wanted.iter().chain(&keys) {
                let expected = keys.iter().filter(|key| *key <= wanted).count();
                prop_assert_eq!(separators.route(wanted), expected);
            }
        }
    }
}
