//! What a completion belongs to, packed into the 64 bits that travel through the kernel.
//!
//! Eight bits of kind, 24 bits of the connection's generation, 32 bits of index. The index alone
//! decides, since an entry is never freed while an operation refers to it; the generation is there
//! so that a breach of that rule is caught by an assertion and not by a user.

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A multishot receive of the connection `index`.
    Recv = 1,
    /// The send of the connection `index`.
    Send = 2,
    /// A multishot accept of the listener `index`.
    Accept = 3,
    /// The file operation `index`.
    File = 4,
    /// The read of the own eventfd.
    Bell = 5,
    /// A peer's message: nothing of ours completed.
    Rung = 6,
    /// A cancellation or a message to a peer, of which only failures are reported.
    Aside = 7,
}

/// A kind with its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) kind: Kind,
    pub(super) generation: u32,
    pub(super) index: u32,
}

/// Bits of a generation that a tag carries.
pub(super) const GENERATION_MASK: u32 = 0x00ff_ffff;

impl Tag {
    pub(super) const fn new(kind: Kind, index: u32) -> Self {
        Self {
            kind,
            generation: 0,
            index,
        }
    }

    pub(super) const fn with_generation(kind: Kind, index: u32, generation: u32) -> Self {
        Self {
            kind,
            generation: generation & GENERATION_MASK,
            index,
        }
    }

    pub(super) const fn pack(self) -> u64 {
        (self.kind as u64) << 56 | (self.generation as u64) << 32 | self.index as u64
    }

    /// None for a number that no tag packs to; a foreign process cannot send one, but a peer of
    /// another version might.
    pub(super) fn unpack(packed: u64) -> Option<Self> {
        let kind = match (packed >> 56) as u8 {
            1 => Kind::Recv,
            2 => Kind::Send,
            3 => Kind::Accept,
            4 => Kind::File,
            5 => Kind::Bell,
            6 => Kind::Rung,
            7 => Kind::Aside,
            _ => return None,
        };
        let generation = (packed >> 32) as u32 & GENERATION_MASK;
        Some(Self {
            kind,
            generation,
            index: packed as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_kernel() {
        use Kind::*;
        for kind in [Recv, Send, Accept, File, Bell, Rung, Aside] {
            let tag = Tag::with_generation(kind, u32::MAX - 3, u32::MAX);
            assert_eq!(Tag::unpack(tag.pack()), Some(tag));
        }
        assert_eq!(Tag::unpack(0), None);
        assert_eq!(Tag::unpack(u64::MAX), None);
    }
}
