//! What is sent on a connection: bytes built in place, with large shared values spliced in.
//!
//! A reply is mostly small and built by appending to one vector; that case must cost nothing more
//! than the vector. A large value already lies in memory that someone shares: it is spliced in by
//! reference at the current end, and leaves through a gathered send without a copy.
//!
//! The rule it keeps: while the driver owns a `SendBuf`, no byte of it moves or changes.

use std::sync::Arc;

/// Immutable bytes that a send may refer to without copying them.
#[derive(Clone, Debug)]
pub enum Shared {
    /// Bytes stored beside their count.
    Slice(Arc<[u8]>),
    /// A vector that was moved, not copied, under a count.
    Vec(Arc<Vec<u8>>),
}

impl Shared {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Vec(bytes) => bytes,
        }
    }
}

impl From<Arc<[u8]>> for Shared {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::Slice(bytes)
    }
}

impl From<Arc<Vec<u8>>> for Shared {
    fn from(bytes: Arc<Vec<u8>>) -> Self {
        Self::Vec(bytes)
    }
}

/// A shared value and the place in the built bytes before which it is sent.
#[derive(Debug)]
struct Splice {
    at: usize,
    value: Shared,
}

/// One send: built bytes with shared values spliced between them.
///
/// [`clear`](Self::clear) keeps the memory, so that one `SendBuf` serves a connection for its life.
#[derive(Debug, Default)]
pub struct SendBuf {
    built: Vec<u8>,
    splices: Vec<Splice>,
    spliced_bytes: usize,
}

impl SendBuf {
    /// An empty buffer that owns no memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The vector to append to. Removing bytes from it makes [`Driver::send`](crate::Driver::send)
    /// panic where a shared value was spliced behind them.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.built
    }

    /// Appends a copy of `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.built.extend_from_slice(bytes);
    }

    /// Appends a value by reference. Pays from some KiB on; a smaller value is cheaper copied, since
    /// every splice costs two more pieces in the gathered send.
    pub fn splice(&mut self, value: impl Into<Shared>) {
        let value = value.into();
        self.spliced_bytes += value.as_slice().len();
        self.splices.push(Splice {
            at: self.built.len(),
            value,
        });
    }

    /// Bytes to send in total.
    pub fn len(&self) -> usize {
        self.built.len() + self.spliced_bytes
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that building in place may use before it allocates.
    pub fn capacity(&self) -> usize {
        self.built.capacity()
    }

    /// A copy of everything in sending order.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.pieces().flatten().copied().collect()
    }

    /// Appends everything that `other` holds, which is left empty; shared values stay shared.
    pub fn append(&mut self, other: &mut SendBuf) {
        let base = self.built.len();
        self.built.append(&mut other.built);
        self.splices
            .extend(other.splices.drain(..).map(|splice| Splice {
                at: splice.at + base,
                value: splice.value,
            }));
        self.spliced_bytes += std::mem::take(&mut other.spliced_bytes);
    }

    /// Forgets the contents and releases the shared values; keeps the memory of the built bytes.
    pub fn clear(&mut self) {
        self.built.clear();
        self.splices.clear();
        self.spliced_bytes = 0;
    }

    /// The built vector, for a caller that reuses vectors. Shared values are released.
    pub fn into_vec(self) -> Vec<u8> {
        self.built
    }

    /// The built bytes when they are all there is: the send that needs no gathering.
    pub(crate) fn contiguous(&self) -> Option<&[u8]> {
        self.splices.is_empty().then_some(&self.built[..])
    }

    /// The pieces in sending order; some may be empty.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.splices.iter().map(|splice| splice.at));
        let last_start = self.splices.last().map_or(0, |splice| splice.at);
        self.splices
            .iter()
            .zip(starts)
            .flat_map(|(splice, start)| [&self.built[start..splice.at], splice.value.as_slice()])
            .chain(std::iter::once(&self.built[last_start..]))
    }

    /// Fills `out` with the pieces from byte `from` on; returns how many it filled. O(pieces).
    pub(crate) fn gather(&self, from: usize, out: &mut [libc::iovec]) -> usize {
        let mut skip = from;
        let mut filled = 0;
        for piece in self.pieces() {
            if filled == out.len() {
                break;
            }
            if piece.len() <= skip {
                skip -= piece.len();
                continue;
            }
            let rest = &piece[skip..];
            skip = 0;
            out[filled] = libc::iovec {
                iov_base: rest.as_ptr().cast_mut().cast(),
                iov_len: rest.len(),
            };
            filled += 1;
        }
        filled
    }
}

impl From<Vec<u8>> for SendBuf {
    fn from(built: Vec<u8>) -> Self {
        Self {
            built,
            ..Self::default()
        }
    }
}

/// Pieces gathered into one system call at most. A send of more takes several.
pub(crate) const GATHER_PIECES_MAX: usize = 128;

/// An empty piece, to fill a fresh array with.
pub(crate) const NO_PIECE: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(buf: &SendBuf, from: usize, pieces_max: usize) -> Vec<u8> {
        let mut out = vec![NO_PIECE; pieces_max];
        let count = buf.gather(from, &mut out);
        let mut bytes = Vec::new();
        for piece in &out[..count] {
            // SAFETY: the pieces point into `buf`, which is borrowed for the whole function.
            bytes.extend_from_slice(unsafe {
                std::slice::from_raw_parts(piece.iov_base.cast(), piece.iov_len)
            });
        }
        bytes
    }

    fn sample() -> SendBuf {
        let mut buf = SendBuf::new();
        buf.splice(Arc::<[u8]>::from(&b"zero"[..]));
        buf.extend_from_slice(b"-one-");
        buf.splice(Arc::new(b"two".to_vec()));
        buf.splice(Arc::<[u8]>::from(&b"three"[..]));
        buf.extend_from_slice(b"-four");
        buf
    }

    #[test]
    fn pieces_leave_in_the_order_of_appending() {
        assert_eq!(gathered(&sample(), 0, 16), b"zero-one-twothree-four");
        assert_eq!(sample().len(), b"zero-one-twothree-four".len());
        assert!(sample().contiguous().is_none());
    }

    #[test]
    fn a_partial_send_continues_at_any_byte() {
        let whole = gathered(&sample(), 0, 16);
        for from in 0..=whole.len() {
            assert_eq!(
                gathered(&sample(), from, 16),
                &whole[from..],
                "from byte {from}"
            );
        }
    }

    #[test]
    fn more_pieces_than_fit_are_left_for_the_next_call() {
        assert_eq!(gathered(&sample(), 2, 2), b"ro-one-");
    }

    #[test]
    fn clearing_keeps_the_vector_and_releases_the_shared() {
        let value: Arc<[u8]> = Arc::from(vec![1u8; 100]);
        let mut buf = SendBuf::from(Vec::with_capacity(1000));
        buf.splice(Arc::clone(&value));
        assert_eq!(Arc::strong_count(&value), 2);
        buf.clear();
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(buf.is_empty());
        assert!(buf.into_vec().capacity() >= 1000);
    }
}
