//! Frames: how bytes stand in a log segment.
//!
//! A frame is an 8-byte header and a payload. The header is a little-endian word (24 bits of payload
//! length, 8 bits of flags) and a CRC-32C over that word and the payload. The CRC starts from a seed
//! that only the segment's sequence number gives: a recycled segment still holds its former frames,
//! and under the new seed none of them validates.
//!
//! This is not the log: nothing here knows of files, batches in flight or recovery. The rule kept: a
//! word of zero never starts a frame (a frame's payload has at least one byte), so prewritten zeros
//! read as "nothing here", and decoding never panics whatever the bytes are.

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 8;
/// Largest payload of one frame, in bytes (24 bits of length).
pub const PAYLOAD_BYTES_MAX: usize = (1 << 24) - 1;
/// Bytes of a whole mark frame (header and payload).
pub const MARK_BYTES: usize = HEADER_BYTES + MARK_PAYLOAD_BYTES;

const MARK_PAYLOAD_BYTES: usize = 40;
const LENGTH_MASK: u32 = PAYLOAD_BYTES_MAX as u32;
const KIND_BATCH: u8 = 1;
const KIND_SKIP: u8 = 2;

/// What a frame says about itself, besides its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// An effect that stands in one frame and is a group of its own.
    pub const NONE: Flags = Flags(0);
    /// Log bookkeeping (a [`Mark`]), not an effect.
    pub const CONTROL: Flags = Flags(1);
    /// The effect's bytes go on in the next effect frame, maybe in the next segment.
    pub const MORE_FRAGMENTS: Flags = Flags(2);
    /// The next effect belongs to the same atomic group.
    pub const MORE_IN_GROUP: Flags = Flags(4);
    /// This frame goes on with an effect that an earlier frame began. Lets a reader that starts in
    /// the middle of the log tell the rest of an older effect from the start of a new one.
    pub const CONTINUED: Flags = Flags(8);

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether every flag of `other` is set here.
    #[must_use]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The CRC's starting value in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u32);

impl Seed {
    /// The seed of the segment with this sequence number. Two sequence numbers less than 2^32 apart
    /// have different seeds, because a CRC over equal lengths is a bijection of its low 32 bits.
    #[must_use]
    pub fn of_segment(sequence: u64) -> Seed {
        Seed(crc32c::crc32c(&sequence.to_le_bytes()))
    }
}

/// The header of a frame over `payload`. O(payload).
///
/// # Panics
/// If the payload is empty or longer than [`PAYLOAD_BYTES_MAX`].
#[inline]
#[must_use]
pub fn header(seed: Seed, flags: Flags, payload: &[u8]) -> [u8; HEADER_BYTES] {
    assert!(
        !payload.is_empty() && payload.len() <= PAYLOAD_BYTES_MAX,
        "a frame holds 1..2^24 bytes"
    );
    let word = (payload.len() as u32 | u32::from(flags.0) << 24).to_le_bytes();
    let crc = checksum(seed, word, payload);
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&word);
    header[4..].copy_from_slice(&crc.to_le_bytes());
    header
}

#[inline]
fn checksum(seed: Seed, word: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed.0, &word), payload)
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole frame whose CRC is right. It takes `HEADER_BYTES + payload.len()` bytes.
    Frame {
        /// The frame's flags.
        flags: Flags,
        /// The bytes under the header.
        payload: &'a [u8],
    },
    /// A zero word, or fewer than four bytes: nothing here.
    Empty,
    /// The bytes end before the frame does; it needs so many in all.
    Incomplete(usize),
    /// The CRC is wrong.
    Corrupt,
}

/// Decodes the frame at the start of `bytes`. O(payload).
#[inline]
#[must_use]
pub fn decode(seed: Seed, bytes: &[u8]) -> Decoded<'_> {
    let Some(word) = bytes.first_chunk::<4>() else {
        return Decoded::Empty;
    };
    let value = u32::from_le_bytes(*word);
    if value == 0 {
        return Decoded::Empty;
    }
    let len = (value & LENGTH_MASK) as usize;
    if len == 0 {
        return Decoded::Corrupt;
    }
    let end = HEADER_BYTES + len;
    let (Some(crc), Some(payload)) = (bytes.get(4..HEADER_BYTES), bytes.get(HEADER_BYTES..end))
    else {
        return Decoded::Incomplete(end);
    };
    if checksum(seed, *word, payload).to_le_bytes() != *crc {
        return Decoded::Corrupt;
    }
    Decoded::Frame {
        flags: Flags((value >> 24) as u8),
        payload,
    }
}

/// The two kinds of bookkeeping frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// A group commit begins.
    Batch,
    /// A repair gave up the bytes from here; reading goes on after them.
    Skip,
}

/// A bookkeeping frame: the head of a group commit, or the scar that a repair left in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which of the two.
    pub kind: MarkKind,
    /// The batch's number: dense in a segment, rising over the whole log. Of a skip: the number of
    /// the last batch that it stands for.
    pub batch: u64,
    /// The highest batch known to be durable when this one was written. What it covers can no longer
    /// be a torn tail: where it does not read back, it was damaged afterwards.
    pub durable_batch: u64,
    /// The counter of the first effect that begins after this frame.
    pub first_counter: u64,
    /// Bytes from the start of this frame to the end of what it heads.
    pub bytes: u64,
}

impl Mark {
    /// The whole frame.
    #[must_use]
    pub fn encode(&self, seed: Seed) -> [u8; MARK_BYTES] {
        let mut frame = [0; MARK_BYTES];
        let payload = &mut frame[HEADER_BYTES..];
        payload[0] = match self.kind {
            MarkKind::Batch => KIND_BATCH,
            MarkKind::Skip => KIND_SKIP,
        };
        let fields = [
            self.batch,
            self.durable_batch,
            self.first_counter,
            self.bytes,
        ];
        for (place, field) in payload[8..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        let header = header(seed, Flags::CONTROL, &frame[HEADER_BYTES..]);
        frame[..HEADER_BYTES].copy_from_slice(&header);
        frame
    }

    /// The mark in a control frame's payload; `None` for one that this version does not know.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Mark> {
        let payload: &[u8; MARK_PAYLOAD_BYTES] = payload.try_into().ok()?;
        let kind = match payload[0] {
            KIND_BATCH => MarkKind::Batch,
            KIND_SKIP => MarkKind::Skip,
            _ => return None,
        };
        let field = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&payload[8 + index * 8..][..8]);
            u64::from_le_bytes(bytes)
        };
        let mark = Mark {
            kind,
            batch: field(0),
            durable_batch: field(1),
            first_counter: field(2),
            bytes: field(3),
        };
        (mark.bytes >= MARK_BYTES as u64).then_some(mark)
    }
}

/// The next valid mark at or after `from`, and where it is: how a reader finds its feet behind
/// damage. A search for the mark's first word; a CRC is computed only where the word is found.
#[must_use]
pub fn find_mark(seed: Seed, bytes: &[u8], from: usize) -> Option<(usize, Mark)> {
    let word = (MARK_PAYLOAD_BYTES as u32 | u32::from(Flags::CONTROL.0) << 24).to_le_bytes();
    let finder = memchr::memmem::Finder::new(&word);
    let mut from = from.min(bytes.len());
    while let Some(found) = finder.find(&bytes[from..]) {
        let at = from + found;
        if let Decoded::Frame { payload, .. } = decode(seed, &bytes[at..])
            && let Some(mark) = Mark::decode(payload)
        {
            return Some((at, mark));
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(seed: Seed, flags: Flags, payload: &[u8]) -> Vec<u8> {
        let mut bytes = header(seed, flags, payload).to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    fn mark() -> Mark {
        Mark {
            kind: MarkKind::Batch,
            batch: 7,
            durable_batch: 6,
            first_counter: 99,
            bytes: 480,
        }
    }

    #[test]
    fn zeros_are_nothing() {
        assert_eq!(decode(Seed::of_segment(1), &[0; 64]), Decoded::Empty);
        assert_eq!(decode(Seed::of_segment(1), &[]), Decoded::Empty);
    }

    #[test]
    fn another_segments_frame_never_validates() {
        let bytes = frame(Seed::of_segment(1), Flags::NONE, b"effect");
        for sequence in 2..2000 {
            assert_eq!(decode(Seed::of_segment(sequence), &bytes), Decoded::Corrupt);
        }
    }

    #[test]
    fn a_mark_is_found_behind_garbage() {
        let seed = Seed::of_segment(3);
        let mut bytes = vec![0xa5; 1001];
        // The first word alone must not be taken for a mark.
        bytes.extend_from_slice(&mark().encode(seed)[..4]);
        bytes.extend_from_slice(&mark().encode(seed));
        assert_eq!(find_mark(seed, &bytes, 0), Some((1005, mark())));
        assert_eq!(find_mark(seed, &bytes, 1006), None);
        assert_eq!(find_mark(Seed::of_segment(4), &bytes, 0), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(sequence: u64, payload in prop::collection::vec(any::<u8>(), 1..300)) {
            let seed = Seed::of_segment(sequence);
            let flags = Flags::MORE_IN_GROUP.with(Flags::CONTINUED);
            let bytes = frame(seed, flags, &payload);
            prop_assert_eq!(decode(seed, &bytes), Decoded::Frame { flags, payload: &payload });
            for cut in 4..bytes.len() {
                prop_assert_eq!(decode(seed, &bytes[..cut]), Decoded::Incomplete(bytes.len()));
            }
        }

        #[test]
        fn a_flipped_bit_never_validates(payload in prop::collection::vec(any::<u8>(), 1..60), bit: u16) {
            let seed = Seed::of_segment(5);
            let mut bytes = frame(seed, Flags::NONE, &payload);
            let bit = usize::from(bit) % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let valid = matches!(decode(seed, &bytes), Decoded::Frame { .. });
            prop_assert!(!valid);
        }

        #[test]
        fn any_bytes_decode_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let seed = Seed::of_segment(0);
            let _ = decode(seed, &bytes);
            let _ = find_mark(seed, &bytes, 0);
            let _ = Mark::decode(&bytes);
        }
    }
}
