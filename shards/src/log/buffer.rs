//! Where an effect is encoded into the log.

pub use causet_net::{AlignedBuf, BLOCK_BYTES};

/// The place an effect is encoded into: the end of the log's open buffer. It only takes more bytes,
/// so that an encoder cannot touch the records before its own.
#[derive(Debug)]
pub struct Record<'a>(pub(super) &'a mut AlignedBuf);

impl Record<'_> {
    /// Adds `bytes`.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}
