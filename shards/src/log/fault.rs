//! A disk that misbehaves on request, for tests.
//!
//! Operations go to real files and complete when the test says so. What is written without a flush
//! can be lost again, sector by sector, as a power loss would.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::buffer::AlignedBuf;
use super::io::{BlockingIo, Completion, LogIo, OpId};

/// What the next write (or flush) does instead of succeeding.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Writes only so many bytes and says so.
    Short(usize),
    /// Fails with this errno, nothing written.
    Errno(i32),
    /// Fails with this errno although so many bytes arrived.
    Torn(usize, i32),
    /// A flush fails and what it should have covered is lost.
    LostFlush(i32),
}

struct Unsynced {
    file: Arc<File>,
    offset: u64,
    before: Vec<u8>,
}

#[derive(Default)]
pub struct FaultIo {
    next: u64,
    disk: BlockingIo,
    done: VecDeque<Completion>,
    pub faults: VecDeque<Fault>,
    unsynced: Vec<Unsynced>,
    pub writes: usize,
    pub flushes: usize,
}

const SECTOR: usize = 512;

fn read_back(file: &Arc<File>, offset: u64, len: usize) -> Vec<u8> {
    let mut disk = BlockingIo::new();
    disk.read(file, AlignedBuf::with_capacity(len), offset, len);
    disk.completion().unwrap().2.unwrap().to_vec()
}

fn put(file: &Arc<File>, offset: u64, bytes: &[u8]) {
    let mut disk = BlockingIo::new();
    disk.write(file, AlignedBuf::copy_of(bytes), offset, false);
    assert_eq!(disk.completion().unwrap().1.unwrap(), bytes.len());
}

impl FaultIo {
    pub fn completion(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }

    /// Loses each unsynced sector for which `lose` says so; newest writes are undone first.
    pub fn power_loss(&mut self, mut lose: impl FnMut() -> bool) {
        for write in self.unsynced.drain(..).rev() {
            let mut now = read_back(&write.file, write.offset, write.before.len());
            for (now, before) in now.chunks_mut(SECTOR).zip(write.before.chunks(SECTOR)) {
                if now != before && lose() {
                    now.copy_from_slice(before);
                }
            }
            put(&write.file, write.offset, &now);
        }
        self.done.clear();
    }

    fn finish(&mut self, result: io::Result<usize>, buf: Option<AlignedBuf>) -> OpId {
        self.next += 1;
        self.done.push_back((OpId(self.next), result, buf));
        OpId(self.next)
    }

    fn store(&mut self, file: &Arc<File>, bytes: &[u8], offset: u64) {
        let before = read_back(file, offset, bytes.len());
        self.unsynced.push(Unsynced {
            file: Arc::clone(file),
            offset,
            before,
        });
        put(file, offset, bytes);
    }
}

impl LogIo for FaultIo {
    fn write(&mut self, file: &Arc<File>, buf: AlignedBuf, offset: u64, dsync: bool) -> OpId {
        self.writes += 1;
        let whole = buf.len();
        let (stored, result) = match self.faults.pop_front() {
            None => (whole, Ok(whole)),
            Some(Fault::Short(bytes)) => (bytes.min(whole), Ok(bytes.min(whole))),
            Some(Fault::Errno(errno) | Fault::LostFlush(errno)) => {
                (0, Err(io::Error::from_raw_os_error(errno)))
            }
            Some(Fault::Torn(bytes, errno)) => {
                (bytes.min(whole), Err(io::Error::from_raw_os_error(errno)))
            }
        };
        if stored > 0 {
            // Files are open with O_DIRECT: a part of a block is stored by rewriting the block.
            let mut bytes = buf[..stored].to_vec();
            let blocks = stored.next_multiple_of(super::BLOCK_BYTES);
            let old = read_back(file, offset, blocks);
            bytes.extend_from_slice(&old[stored..]);
            if dsync && result.is_ok() {
                put(file, offset, &bytes);
                self.settle(file, offset, &bytes);
            } else {
                self.store(file, &bytes, offset);
            }
        }
        self.finish(result, Some(buf))
    }

    fn fdatasync(&mut self, file: &Arc<File>) -> OpId {
        self.flushes += 1;
        match self.faults.pop_front() {
            Some(Fault::Errno(errno)) => {
                self.finish(Err(io::Error::from_raw_os_error(errno)), None)
            }
            Some(Fault::LostFlush(errno)) => {
                self.power_loss_of(file);
                self.finish(Err(io::Error::from_raw_os_error(errno)), None)
            }
            _ => {
                self.unsynced
                    .retain(|write| !Arc::ptr_eq(&write.file, file));
                self.finish(Ok(0), None)
            }
        }
    }

    fn read(&mut self, file: &Arc<File>, buf: AlignedBuf, offset: u64, len: usize) -> OpId {
        self.disk.read(file, buf, offset, len);
        let (_, result, buf) = self.disk.completion().unwrap();
        self.finish(result, buf)
    }
}

impl FaultIo {
    /// What is durable now is not undone with an older unsynced write under it.
    fn settle(&mut self, file: &Arc<File>, offset: u64, bytes: &[u8]) {
        for write in self
            .unsynced
            .iter_mut()
            .filter(|write| Arc::ptr_eq(&write.file, file))
        {
            let from = offset.max(write.offset);
            let to = (offset + bytes.len() as u64).min(write.offset + write.before.len() as u64);
            if from < to {
                let new = &bytes[(from - offset) as usize..(to - offset) as usize];
                write.before[(from - write.offset) as usize..(to - write.offset) as usize]
                    .copy_from_slice(new);
            }
        }
    }

    fn power_loss_of(&mut self, file: &Arc<File>) {
        let (lost, kept) = std::mem::take(&mut self.unsynced)
            .into_iter()
            .partition(|w| Arc::ptr_eq(&w.file, file));
        self.unsynced = lost;
        let done = std::mem::take(&mut self.done);
        self.power_loss(|| true);
        self.done = done;
        self.unsynced = kept;
    }
}
