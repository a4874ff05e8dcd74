//! Effects that recovery has passed, by their counters: for values that it had to drop again.
//!
//! A data set may be larger than memory. Recovery then leaves values in the log as it goes, and needs
//! one back when a later effect changes it. The log is not open yet and its index not built, so this
//! keeps an own sparse one and reads the segment files directly, blocking. It reads only, and only
//! what recovery itself has found valid.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::index::STRIDE_BYTES;
use super::reader::{ColdRead, Extent};
use super::recover::{self, RecoverError};
use super::segment::{DATA_START, Lsn};

/// See the module's head.
#[derive(Debug)]
pub struct Lookback {
    dir: PathBuf,
    /// Counters and where their effects begin: one per 64 KiB of log, 16 bytes each.
    places: Vec<(u64, Lsn)>,
    /// The segments of the chain, in order; listed at the first read.
    segments: Option<Vec<Extent>>,
}

impl Lookback {
    /// Looks back on the log in `dir`, which must not change meanwhile.
    #[must_use]
    pub fn new(dir: &Path) -> Lookback {
        Lookback {
            dir: dir.to_owned(),
            places: Vec::new(),
            segments: None,
        }
    }

    /// Remembers where effect `counter` begins, if that is far enough behind the last one. Counters
    /// rise. O(1).
    #[inline]
    pub fn note(&mut self, counter: u64, lsn: Lsn) {
        let is_near = self.places.last().is_some_and(|(_, last)| {
            last.segment() == lsn.segment() && lsn.offset() - last.offset() < STRIDE_BYTES
        });
        if !is_near {
            self.places.push((counter, lsn));
        }
    }

    /// The bytes of effect `counter`, which was passed; `None` if they do not read back. Blocking:
    /// one read of some 64 KiB, more for a large effect.
    ///
    /// # Errors
    /// What keeps the segments from being opened.
    pub fn read(&mut self, counter: u64) -> Result<Option<Vec<u8>>, RecoverError> {
        let after = self.places.partition_point(|(place, _)| *place <= counter);
        let Some(&(start_counter, start)) = after.checked_sub(1).and_then(|at| self.places.get(at))
        else {
            return Ok(None);
        };
        if self.segments.is_none() {
            self.segments = Some(list(&self.dir)?);
        }
        let segments = self.segments.as_deref().unwrap_or_default();
        let first = segments.partition_point(|segment| segment.sequence < start.segment());
        let mut extents = segments[first..].to_vec();
        match extents.first_mut() {
            Some(extent) if extent.sequence == start.segment() => extent.start = start.offset(),
            _ => return Ok(None),
        }
        Ok(ColdRead::new(counter, start_counter, extents, STRIDE_BYTES).finish())
    }
}

fn list(dir: &Path) -> Result<Vec<Extent>, RecoverError> {
    let chain = recover::chain(dir, None)?;
    let extents = chain.links.into_iter().map(|link| {
        let opened = File::open(&link.path).and_then(|file| {
            let len = file.metadata()?.len();
            Ok((file, u32::try_from(len).unwrap_or(u32::MAX)))
        });
        let (file, len) = opened.map_err(|source| RecoverError::Io {
            file: link.path.clone(),
            source,
        })?;
        Ok(Extent {
            sequence: link.header.sequence,
            file: file.into(),
            start: DATA_START,
            end: link.end.unwrap_or(len),
        })
    });
    extents.collect()
}
