//! One effect by its counter: for state that is cold and must be rebuilt.
//!
//! [`Log::locate`] answers at once from the sparse index; [`ColdRead`] then names the reads that the
//! shard submits through its driver, one after the other, and puts the effect together from what comes
//! back: an ordinary effect takes one read of about 64 KiB, a large one as many as it has bytes, on
//! into later segments. It owns the files it reads, so a segment that is retired meanwhile stays
//! readable until its file is reused; then the CRCs fail and the answer is [`Progress::Lost`], and the
//! caller looks for the effect's newer copy.

use std::fs::File;
use std::sync::Arc;

use super::buffer::{AlignedBuf, BLOCK_BYTES};
use super::index::STRIDE_BYTES;
use super::io::{BlockingIo, LogIo};
use super::stream::EffectStream;
use super::writer::Log;

/// Bytes of one read of a large effect.
const READ_BYTES_MAX: u32 = 1 << 20;

/// A read to be submitted. The file stays open as long as this (or its reader) lives.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    pub(super) file: Arc<File>,
    /// Offset in the file, a multiple of 4 KiB.
    pub offset: u64,
    /// Bytes to read, a multiple of 4 KiB.
    pub len: usize,
}

impl ReadRequest {
    /// The file to read from.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }
}

/// Where an effect is.
#[derive(Debug)]
pub enum Locate {
    /// In the file: read it.
    At(ColdRead),
    /// Appended, but not written yet: ask again when [`Log::written_lsn`] has moved.
    Pending,
    /// Compacted away, or never there.
    Gone,
}

/// Written bytes of one segment.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    pub sequence: u64,
    pub file: Arc<File>,
    pub start: u32,
    pub end: u32,
}

impl Extent {
    /// The aligned read of up to `len` bytes from the start on, and how many of its bytes to pass over.
    pub fn read(&self, len: u32) -> (ReadRequest, usize) {
        let block = BLOCK_BYTES as u32;
        let from = self.start / block * block;
        let to = (self.start.saturating_add(len))
            .min(self.end)
            .next_multiple_of(block);
        let (offset, len) = (u64::from(from), (to - from) as usize);
        (
            ReadRequest {
                file: Arc::clone(&self.file),
                offset,
                len,
            },
            (self.start - from) as usize,
        )
    }

    /// The useful part of what a read brought, and the extent that is left.
    pub fn take<'a>(&mut self, bytes: &'a [u8], skip: usize) -> &'a [u8] {
        let useful = bytes.get(skip..).unwrap_or(&[]);
        let useful = &useful[..useful.len().min((self.end - self.start) as usize)];
        self.start += useful.len() as u32;
        useful
    }
}

/// How a [`ColdRead`] goes on.
#[derive(Debug)]
pub enum Progress {
    /// Submit this read and give its bytes to [`ColdRead::on_read`].
    Read(ReadRequest),
    /// The effect's bytes.
    Found(Vec<u8>),
    /// The bytes are gone: damaged, or the segment was recycled meanwhile.
    Lost,
}

/// The reading of one effect.
#[derive(Debug)]
pub struct ColdRead {
    counter: u64,
    stream: EffectStream,
    /// What is left to read, in reverse order: the last one is next.
    extents: Vec<Extent>,
    skip: usize,
    len: u32,
}

impl ColdRead {
    /// Reads effect `counter` from `extents`, which are in order and begin at the frame of effect
    /// `start_counter`; the first read takes `len` bytes.
    pub(super) fn new(
        counter: u64,
        start_counter: u64,
        mut extents: Vec<Extent>,
        len: u32,
    ) -> ColdRead {
        let sequence = extents.first().map_or(0, |extent| extent.sequence);
        extents.reverse();
        ColdRead {
            counter,
            stream: EffectStream::new(sequence, start_counter),
            extents,
            skip: 0,
            len: len.min(READ_BYTES_MAX),
        }
    }

    /// Does all the reads now, blocking; `None` if the effect does not read back.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        let mut io = BlockingIo::new();
        let mut progress = self.start();
        loop {
            match progress {
                Progress::Read(request) => {
                    let buf = AlignedBuf::with_capacity(request.len);
                    io.read(request.file(), buf, request.offset, request.len);
                    let read = io.completion().and_then(|(_, _, buf)| buf);
                    progress = self.on_read(&read.unwrap_or_default());
                }
                Progress::Found(bytes) => return Some(bytes),
                Progress::Lost => return None,
            }
        }
    }

    /// The first read.
    pub fn start(&mut self) -> Progress {
        self.next()
    }

    fn next(&mut self) -> Progress {
        while let Some(extent) = self.extents.last() {
            if extent.start >= extent.end {
                self.extents.pop();
                if let Some(extent) = self.extents.last()
                    && self.stream.enter(extent.sequence).is_err()
                {
                    return Progress::Lost;
                }
                continue;
            }
            let (request, skip) = extent.read(self.len);
            self.skip = skip;
            self.len = READ_BYTES_MAX;
            return Progress::Read(request);
        }
        Progress::Lost
    }

    /// Takes the bytes of the read that was asked for; fewer than asked for are taken as they come.
    pub fn on_read(&mut self, bytes: &[u8]) -> Progress {
        let Some(extent) = self.extents.last_mut() else {
            return Progress::Lost;
        };
        let useful = extent.take(bytes, self.skip);
        if useful.is_empty() {
            return Progress::Lost;
        }
        let mut found = None;
        let walked = self.stream.push(useful, &mut |counter, effect| {
            if counter == self.counter {
                found = Some(effect.to_vec());
            }
        });
        match (found, walked) {
            (Some(effect), _) => Progress::Found(effect),
            (None, Ok(())) => self.next(),
            (None, Err(_)) => Progress::Lost,
        }
    }
}

impl Log {
    /// Where the effect with this counter is. O(log n) in the segments and their index entries.
    #[must_use]
    pub fn locate(&self, counter: u64) -> Locate {
        if counter >= self.next_counter() {
            return Locate::Gone;
        }
        if counter >= self.written_counter() {
            return Locate::Pending;
        }
        let found = (0..self.segments.len())
            .rev()
            .find_map(|number| Some((number, self.segments[number].index.find(counter)?)));
        let Some((number, ((start_counter, start), next))) = found else {
            return Locate::Gone;
        };
        let mut extents: Vec<Extent> = (self.segments.iter().skip(number))
            .filter_map(|segment| {
                let (sequence, file) = (segment.sequence, Arc::clone(segment.file.as_ref()?));
                let start = super::segment::DATA_START;
                Some(Extent {
                    sequence,
                    file,
                    start,
                    end: segment.end,
                })
            })
            .collect();
        let Some(extent) = extents.first_mut() else {
            return Locate::Gone;
        };
        extent.start = start;
        let len = next.map_or(STRIDE_BYTES, |next| next - start);
        Locate::At(ColdRead::new(counter, start_counter, extents, len))
    }

    /// The reading of the effect with this counter, if it is in the file.
    #[must_use]
    pub fn cold_read(&self, counter: u64) -> Option<ColdRead> {
        match self.locate(counter) {
            Locate::At(read) => Some(read),
            Locate::Pending | Locate::Gone => None,
        }
    }
}
