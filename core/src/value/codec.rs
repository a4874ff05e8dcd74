//! Varints and the reader of snapshot bytes.
//!
//! Shared by the packed form and by [`Collection::encode`](super::Collection::encode). It is not
//! the log's framing: a snapshot is already inside a checksummed record when it gets here.
//!
//! The rule it keeps: whatever the bytes are, a reader never allocates more than it was given.

/// Why snapshot bytes were refused. Nothing of the collection is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end within a value.
    #[error("snapshot ends within a value")]
    Truncated,
    /// A varint is longer than 64 bits, or a number is outside its field.
    #[error("snapshot holds a number out of range")]
    Range,
    /// The first byte names a version that this build does not read.
    #[error("snapshot version {0} is unknown")]
    Version(u8),
    /// The second byte names no collection.
    #[error("snapshot type {0} is unknown")]
    Kind(u8),
    /// An element that must be unique is there twice.
    #[error("snapshot holds an element twice")]
    Duplicate,
    /// A score is not a number.
    #[error("snapshot holds a score that is not a number")]
    NotANumber,
    /// The ids of a list do not cover its elements.
    #[error("snapshot ids do not match the elements")]
    Ids,
    /// Bytes follow the end of the collection.
    #[error("snapshot has {0} bytes after its end")]
    Trailing(usize),
}

/// The most bytes that a varint of 64 bits takes.
pub(super) const VARINT_MAX: usize = 10;

/// Bytes that `number` takes as a varint: 1 to 10.
#[inline]
pub(super) fn varint_len(number: u64) -> usize {
    if number < 0x80 {
        1
    } else {
        (63 - number.leading_zeros() as usize) / 7 + 1
    }
}

/// Writes `number` at the start of `out` (low seven bits first) and returns the bytes used.
#[inline]
pub(super) fn write_varint(out: &mut [u8], mut number: u64) -> usize {
    let mut used = 0;
    while number >= 0x80 {
        out[used] = number as u8 | 0x80;
        number >>= 7;
        used += 1;
    }
    out[used] = number as u8;
    used + 1
}

/// Reads a varint that this process wrote: `(number, bytes used)`.
#[inline]
pub(super) fn read_varint(bytes: &[u8]) -> (u64, usize) {
    let first = bytes[0];
    if first < 0x80 {
        return (u64::from(first), 1);
    }
    let mut number = 0;
    let mut used = 0;
    loop {
        let byte = bytes[used];
        number |= u64::from(byte & 0x7f) << (7 * used);
        used += 1;
        if byte < 0x80 {
            return (number, used);
        }
    }
}

/// Appends `number` as a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, number: u64) {
    let mut buffer = [0; VARINT_MAX];
    let used = write_varint(&mut buffer, number);
    out.extend_from_slice(&buffer[..used]);
}

/// Appends `bytes` behind their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Maps signed to unsigned numbers so that small magnitudes stay short.
pub(super) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// A cursor over bytes that nobody vouches for.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0u64;
        for at in 0..VARINT_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if at == VARINT_MAX - 1 && bits > 1 {
                return Err(DecodeError::Range);
            }
            number |= bits << (7 * at);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DecodeError::Range)
    }

    /// A count of things that take at least `each` bytes: more than the input could hold is
    /// refused here, before anybody loops or reserves by it.
    pub(super) fn count(&mut self, each: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.varint()?).map_err(|_| DecodeError::Range)?;
        if count > self.rest.len() / each {
            Err(DecodeError::Truncated)
        } else {
            Ok(count)
        }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.count(1)?;
        self.take(len)
    }

    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing(self.rest.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_at_every_width() {
        for shift in 0..64 {
            for number in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_varint(&mut out, number);
                assert_eq!(out.len(), varint_len(number));
                assert_eq!(read_varint(&out), (number, out.len()));
                assert_eq!(Reader::new(&out).varint(), Ok(number));
                assert_eq!(unzigzag(zigzag(number as i64)), number as i64);
            }
        }
    }

    #[test]
    fn an_endless_varint_and_a_huge_count_are_refused() {
        assert_eq!(Reader::new(&[0xff; 32]).varint(), Err(DecodeError::Range));
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert!(Reader::new(&out).bytes().is_err());
    }
}
