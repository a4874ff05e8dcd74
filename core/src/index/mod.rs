//! Where the entries of a shard live and how a key finds its own.
//!
//! Three structures share one number, the [`Slot`]: the [`Arena`] holds an entry's bytes at it, the
//! [`HashIndex`] finds it from a key's hash in one cache line, the [`OrderedIndex`] lists it in key
//! order. Neither index owns keys; what they must know of an entry they ask of
//! [`Entries`], which the owner of the arena implements.
//!
//! This is not the keyspace: nothing here knows what an entry means, when it expires or which
//! entry should be evicted. It is also not a cache of anything: dropping an index loses the way to
//! the entries.
//!
//! The rule kept: no operation stops the world. The longest step of the hash index rehashes one
//! segment (about 700 entries), of the ordered index a batch of 32 paths of nodes, of the arena one
//! region.

mod arena;
mod leaf;
mod ordered;
mod segment;
mod separators;
mod table;

pub use arena::{Arena, LEN_MAX, Slot};
pub use ordered::{Iter, OrderedIndex};
pub use table::{HashIndex, IntoIter};

/// What the indexes ask about an entry that they know only by its slot.
///
/// Answers must not change while the slot is in an index: a key is immutable, and its hash is a
/// pure function of the key.
pub trait Entries {
    /// The key of the live entry at `slot`. Expected to cost one cache miss.
    fn key(&self, slot: Slot) -> &[u8];

    /// The 64-bit hash of that key, well distributed in all bits, the same that is given to
    /// [`HashIndex::find`].
    fn hash(&self, slot: Slot) -> u64;

    /// Starts loading the entry, so that a loop over many of them overlaps their cache misses.
    /// A hint: doing nothing is correct.
    fn prefetch(&self, slot: Slot) {
        let _ = slot;
    }
}

/// Asks the CPU to load the cache line at `at`; never faults, whatever the address.
#[inline(always)]
fn prefetch_line<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; it reads nothing that the program can observe and does not
    // fault on an invalid address. SSE is part of the x86_64 baseline.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
