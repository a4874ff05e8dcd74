//! Names of things: nodes, effects, elements, slots.
//!
//! All are plain numbers in types that cannot be mixed up. Nothing here allocates.

use sha2::{Digest, Sha256};

use crate::hlc::Hlc;

/// A server process, for ever: random 64 bits, made once and kept in its data directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u64);

/// Where an effect stands in its node's history: the stream (the shard's number) in the high 16
/// bits, a dense counter in the low 48. A stream of one million effects a second lasts 8.9 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Offset(pub u64);

/// Bits of an [`Offset`] that count effects.
pub const COUNTER_BITS: u32 = 48;
/// The highest counter of a stream.
pub const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;

impl Offset {
    /// The offset of effect `counter` of `stream`. Counters start at 1: 0 is the root.
    #[inline]
    pub const fn new(stream: u16, counter: u64) -> Self {
        debug_assert!(counter <= COUNTER_MAX);
        Offset(((stream as u64) << COUNTER_BITS) | counter)
    }

    /// The stream, which is the number of the shard that wrote it.
    #[inline]
    pub const fn stream(self) -> u16 {
        (self.0 >> COUNTER_BITS) as u16
    }

    /// The position in the stream, from 1 without gaps.
    #[inline]
    pub const fn counter(self) -> u64 {
        self.0 & COUNTER_MAX
    }
}

/// Where an effect lives. The default, `{0, 0}`, is the root: what a key's first effect depends on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EffectRef {
    /// The node that wrote the effect.
    pub node: NodeId,
    /// Its place in that node's history.
    pub offset: Offset,
}

impl EffectRef {
    /// What the first effect of a key depends on.
    pub const ROOT: EffectRef = EffectRef {
        node: NodeId(0),
        offset: Offset(0),
    };
}

/// Names one element of an ordered collection for ever, so that a concurrent insert or remove
/// means the same element on every node.
///
/// The numbers that one node gives to the elements of one key are consecutive from the counter of
/// the effect that created the collection. Each insertion uses up at least one counter, so a key
/// that was deleted and made again never gives a number twice, and runs compress to nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ElementNumber(pub u64);

/// The number of hash slots, as in Redis Cluster.
pub const SLOT_COUNT: u16 = 16384;

/// A key's hash slot: CRC16 of the key, or of its `{hash tag}`, modulo 16384, exactly as Redis
/// Cluster computes it. One hash tag means one slot, and so one shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// The slot of `key`. O(length of the key or of its tag).
    #[inline]
    pub fn of_key(key: &[u8]) -> Slot {
        Slot(crc16(hash_tag(key)) % SLOT_COUNT)
    }

    /// The slot's number, below [`SLOT_COUNT`].
    #[inline]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Which of `shards` shards owns the slot: equal contiguous ranges.
    #[inline]
    pub fn shard(self, shards: u16) -> u16 {
        (u32::from(self.0) * u32::from(shards) / u32::from(SLOT_COUNT)) as u16
    }
}

/// The part of a key that is hashed: what stands between the first `{` and the next `}` where that
/// is not empty, else the whole key.
fn hash_tag(key: &[u8]) -> &[u8] {
    if let Some(open) = key.iter().position(|&b| b == b'{')
        && let Some(len) = key[open + 1..].iter().position(|&b| b == b'}')
        && len > 0
    {
        return &key[open + 1..open + 1 + len];
    }
    key
}

/// CRC-16/XMODEM (polynomial 0x1021, initial value 0), the one Redis Cluster uses.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (crc << 8) ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)]
    })
}

const CRC16: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 {
                (crc << 1) ^ 0x1021
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The hash by which equal claims are decided alike on every node: SHA-256 of the node (8 bytes,
/// little-endian) and the HLC (the same). The lower hash wins. About 200 ns: computed when a fork
/// needs it, never on the hot path.
pub fn compute_fork_choice_hash(node: NodeId, hlc: Hlc) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(node.0.to_le_bytes());
    hasher.update(hlc.0.to_le_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        // CLUSTER KEYSLOT of redis-server.
        assert_eq!(Slot::of_key(b"foo").number(), 12182);
        assert_eq!(Slot::of_key(b"123456789").number(), 0x31c3);
        assert_eq!(Slot::of_key(b"").number(), 0);
    }

    #[test]
    fn a_hash_tag_decides_the_slot() {
        assert_eq!(Slot::of_key(b"{user1}.a"), Slot::of_key(b"{user1}.b"));
        assert_eq!(Slot::of_key(b"a{user1}b{x}"), Slot::of_key(b"user1"));
        assert_ne!(Slot::of_key(b"foo{}{bar}"), Slot::of_key(b"bar"));
        assert_eq!(Slot::of_key(b"foo{{bar}}zap"), Slot::of_key(b"{bar"));
    }

    #[test]
    fn every_shard_owns_a_contiguous_range_of_slots() {
        for shards in [1, 2, 3, 7, 16, 255] {
            let owners: Vec<u16> = (0..SLOT_COUNT).map(|s| Slot(s).shard(shards)).collect();
            assert!(owners.is_sorted());
            assert_eq!((owners[0], owners[owners.len() - 1]), (0, shards - 1));
            let most = (0..shards)
                .map(|s| owners.iter().filter(|&&o| o == s).count())
                .max();
            assert!(most.unwrap() <= usize::from(SLOT_COUNT / shards) + 1);
        }
    }

    #[test]
    fn an_offset_keeps_stream_and_counter_apart() {
        let offset = Offset::new(u16::MAX, COUNTER_MAX);
        assert_eq!((offset.stream(), offset.counter()), (u16::MAX, COUNTER_MAX));
        assert!(Offset::new(1, 0) > Offset::new(0, COUNTER_MAX));
    }

    #[test]
    fn the_fork_choice_hash_depends_on_node_and_stamp_only() {
        let hash = compute_fork_choice_hash(NodeId(1), Hlc(2));
        assert_eq!(hash, compute_fork_choice_hash(NodeId(1), Hlc(2)));
        assert_ne!(hash, compute_fork_choice_hash(NodeId(2), Hlc(1)));
    }
}
