//! Segment files: their names, their header block, and how they are opened.
//!
//! The header tells whose segment it is and where it hangs in the chain. It says nothing about the
//! frames behind it. The rule kept: a header is written once per use of a file, whole and durable,
//! before the first batch of that segment; so a valid header proves that the segment was begun, and
//! a batch without one proves damage.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::buffer::{AlignedBuf, BLOCK_BYTES};
use super::index::Index;

/// Version of the segment format; another one is refused.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Offset of the first frame: the header takes one block.
pub(super) const DATA_START: u32 = BLOCK_BYTES as u32;

const MAGIC: [u8; 8] = *b"CAUSETLG";
const CRC_AT: usize = 76;

/// A position in the log: the segment's sequence number (high 32 bits) and the offset in its file
/// (low 32). Monotonic over the life of a log, so two positions compare; their difference is a
/// number of bytes only inside one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position `offset` bytes into segment `sequence`.
    #[must_use]
    pub fn at(sequence: u64, offset: u32) -> Lsn {
        assert!(
            sequence <= u64::from(u32::MAX),
            "2^32 segments are never used up"
        );
        Lsn(sequence << 32 | u64::from(offset))
    }

    /// The segment's sequence number.
    #[must_use]
    pub fn segment(self) -> u64 {
        self.0 >> 32
    }

    /// The offset in the segment's file, in bytes.
    #[must_use]
    pub fn offset(self) -> u32 {
        self.0 as u32
    }
}

/// Whose log it is: every header carries it, so that files of another node or shard are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub node: u64,
    pub stream: u16,
}

/// The header block's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub owner: Owner,
    pub sequence: u64,
    /// The segment before this one; 0 if this is the first of all.
    pub previous: u64,
    /// Where the previous segment ends: bytes behind it are not part of the log.
    pub previous_end: u32,
    /// Counter of the first effect that begins in this segment.
    pub first_counter: u64,
    /// Number of the first batch in this segment.
    pub first_batch: u64,
    /// The highest batch known durable when the segment was begun.
    pub durable_batch: u64,
}

/// Why a header block is not a header of this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Zeros, a torn write, or another segment's header in a recycled file.
    NotBegun,
    Version(u32),
    Owner(Owner),
}

impl Header {
    pub fn encode(&self) -> AlignedBuf {
        let mut block = AlignedBuf::zeroed(BLOCK_BYTES);
        block[..8].copy_from_slice(&MAGIC);
        block[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        block[12..14].copy_from_slice(&self.owner.stream.to_le_bytes());
        block[16..24].copy_from_slice(&self.owner.node.to_le_bytes());
        block[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        block[32..40].copy_from_slice(&self.previous.to_le_bytes());
        block[40..44].copy_from_slice(&self.previous_end.to_le_bytes());
        block[48..56].copy_from_slice(&self.first_counter.to_le_bytes());
        block[56..64].copy_from_slice(&self.first_batch.to_le_bytes());
        block[64..72].copy_from_slice(&self.durable_batch.to_le_bytes());
        let crc = crc32c::crc32c(&block[..CRC_AT]);
        block[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// Reads a header block that should be that of segment `sequence` of `owner` (`None`: of anyone).
    pub fn decode(
        block: &[u8],
        sequence: u64,
        owner: Option<Owner>,
    ) -> Result<Header, HeaderError> {
        if block.len() < CRC_AT + 4 || block[..8] != MAGIC {
            return Err(HeaderError::NotBegun);
        }
        let u16_at = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        // Another version may keep its CRC elsewhere, so the version is judged first.
        if u32_at(8) != FORMAT_VERSION {
            return Err(HeaderError::Version(u32_at(8)));
        }
        if crc32c::crc32c(&block[..CRC_AT]) != u32_at(CRC_AT) || u64_at(24) != sequence {
            return Err(HeaderError::NotBegun);
        }
        let header = Header {
            owner: Owner {
                node: u64_at(16),
                stream: u16_at(12),
            },
            sequence,
            previous: u64_at(32),
            previous_end: u32_at(40),
            first_counter: u64_at(48),
            first_batch: u64_at(56),
            durable_batch: u64_at(64),
        };
        match owner {
            Some(owner) if owner != header.owner => Err(HeaderError::Owner(header.owner)),
            _ => Ok(header),
        }
    }
}

/// A segment as a running log knows it.
#[derive(Debug)]
pub(super) struct Segment {
    pub sequence: u64,
    /// `None` until the preparer has made the file of a segment that is only in memory so far.
    pub file: Option<Arc<File>>,
    /// The file's size. The first one of a log is small, so that a start need not wait.
    pub file_bytes: u32,
    /// Where its written frames end.
    pub end: u32,
    pub index: Index,
}

pub(super) fn path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:016x}.seg"))
}

pub(super) fn spare_path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("spare-{sequence:016x}.seg"))
}

/// What a log's directory holds, each list in ascending order.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub segments: Vec<u64>,
    pub spares: Vec<u64>,
    /// Files that were being prewritten when the process ended.
    pub unfinished: Vec<PathBuf>,
}

pub(super) fn list(dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(".tmp") {
            listing.unfinished.push(entry.path());
            continue;
        }
        let Some(stem) = name.strip_suffix(".seg") else {
            continue;
        };
        if let Some(number) = stem.strip_prefix("spare-") {
            listing.spares.extend(u64::from_str_radix(number, 16));
        } else if stem.len() == 16 {
            listing.segments.extend(u64::from_str_radix(stem, 16));
        }
    }
    listing.segments.sort_unstable();
    listing.spares.sort_unstable();
    Ok(listing)
}

/// Opens a segment for the hot path: O_DIRECT where the file system knows it. Where it does not, the
/// page cache stands between, and the same RWF_DSYNC and fdatasync calls keep the promises.
pub(super) fn open_direct(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().custom_flags(libc::O_DIRECT).open(path) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => options.open(path),
        opened => opened,
    }
}

/// Makes renames, creations and removals in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Reads the header block of a file that may be shorter than a block.
pub(super) fn read_header_block(file: &File) -> io::Result<Vec<u8>> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut filled = 0;
    while filled < block.len() {
        match file.read_at(&mut block[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    block.truncate(filled);
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            owner: Owner {
                node: 0xfeed,
                stream: 3,
            },
            sequence: 9,
            previous: 7,
            previous_end: 12345,
            first_counter: 1 << 40,
            first_batch: 88,
            durable_batch: 87,
        }
    }

    #[test]
    fn a_header_reads_back_only_as_itself() {
        let block = header().encode();
        assert_eq!(
            Header::decode(&block, 9, Some(header().owner)),
            Ok(header())
        );
        assert_eq!(Header::decode(&block, 10, None), Err(HeaderError::NotBegun));
        let other = Owner { node: 1, stream: 3 };
        assert_eq!(
            Header::decode(&block, 9, Some(other)),
            Err(HeaderError::Owner(header().owner))
        );
        for byte in 0..CRC_AT + 4 {
            let mut damaged = AlignedBuf::copy_of(&block);
            damaged[byte] ^= 0x10;
            assert!(Header::decode(&damaged, 9, None).is_err(), "byte {byte}");
        }
    }
}
