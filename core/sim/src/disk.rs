//! A node's disk: one file that grows, whose writes become durable in order and in their own time.
//!
//! What was not made durable when the node crashes may be lost, may have reached the disk all the
//! same, and the last write that did may be torn: cut anywhere, or with sectors of zeros in it. A
//! write may fail because the disk is full; it then leaves nothing, and fails all behind it, so
//! that the file never has a hole between writes.

use std::collections::VecDeque;

use crate::rng::Rng;

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR_BYTES: usize = 512;

/// Numbers the writes of one node's incarnation, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WriteId(pub u64);

/// Why a write failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum DiskError {
    /// No space left (ENOSPC).
    #[error("no space left on the disk")]
    Full,
}

/// One disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    durable: Vec<u8>,
    pending: VecDeque<(WriteId, Vec<u8>)>,
    last: WriteId,
    /// Writes up to this one fail, if they are not done yet.
    failed: WriteId,
    /// When the last write that was submitted is done.
    busy_until_ns: u64,
    is_full: bool,
    /// Factor on the time that a write takes.
    slowness: u64,
    is_torn_by_crashes: bool,
}

impl Disk {
    /// An empty disk. With `is_torn_by_crashes` a crash may leave part of a write.
    pub fn new(is_torn_by_crashes: bool) -> Self {
        Disk {
            slowness: 1,
            is_torn_by_crashes,
            ..Disk::default()
        }
    }

    /// What the file holds for certain.
    pub fn image(&self) -> &[u8] {
        &self.durable
    }

    /// Takes bytes to append; returns when the write is done, in virtual time.
    pub fn submit(&mut self, id: WriteId, bytes: Vec<u8>, at_ns: u64, rng: &mut Rng) -> u64 {
        assert!(id > self.last, "writes are numbered in their order");
        self.last = id;
        self.pending.push_back((id, bytes));
        let takes_ns = rng.between(50_000, 400_000) * self.slowness;
        self.busy_until_ns = self.busy_until_ns.max(at_ns) + takes_ns;
        self.busy_until_ns
    }

    /// The time of a write has come: it is durable, or failed.
    ///
    /// # Errors
    /// [`DiskError::Full`]: it left nothing, and neither will those submitted behind it.
    pub fn finish(&mut self, id: WriteId) -> Result<(), DiskError> {
        let (first, bytes) = self.pending.pop_front().expect("a write finishes once");
        assert_eq!(first, id, "writes finish in their order");
        if self.is_full && id > self.failed {
            self.failed = self.last;
        }
        if id <= self.failed {
            return Err(DiskError::Full);
        }
        self.durable.extend_from_slice(&bytes);
        Ok(())
    }

    /// The file is cut to its first `len` bytes, as recovery does with a torn tail.
    ///
    /// # Panics
    /// If the file is shorter.
    pub fn cut(&mut self, len: usize) {
        assert!(len <= self.durable.len(), "a cut does not make longer");
        self.durable.truncate(len);
    }

    /// The node crashes. Of what was pending, a random beginning is on the disk, and the first write
    /// that is not whole may be there in part.
    pub fn crash(&mut self, rng: &mut Rng) {
        let survivors = rng.between(0, self.pending.len() as u64) as usize;
        for (id, bytes) in self.pending.drain(..survivors) {
            if id > self.failed && !self.is_full {
                self.durable.extend_from_slice(&bytes);
            }
        }
        if let Some((id, bytes)) = self.pending.pop_front()
            && self.is_torn_by_crashes
            && id > self.failed
            && !self.is_full
        {
            tear(&mut self.durable, bytes, rng);
        }
        self.pending.clear();
        self.last = WriteId(0);
        self.failed = WriteId(0);
        self.busy_until_ns = 0;
    }

    /// Fills the disk, or makes room.
    pub fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// From now on a write takes `factor` times as long, at least once.
    pub fn set_slowness(&mut self, factor: u64) {
        self.slowness = factor.max(1);
    }
}

fn tear(durable: &mut Vec<u8>, mut bytes: Vec<u8>, rng: &mut Rng) {
    if rng.chance(500) {
        bytes.truncate(rng.index(bytes.len() + 1));
    } else {
        for sector in bytes.chunks_mut(SECTOR_BYTES) {
            if rng.chance(500) {
                sector.fill(0);
            }
        }
    }
    durable.extend_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finished_survives_every_crash_and_the_rest_is_a_beginning() {
        let mut torn = 0;
        for seed in 0..500 {
            let mut rng = Rng::new(seed);
            let mut disk = Disk::new(true);
            let mut last_ns = 0;
            for id in 1..=4 {
                let done_ns = disk.submit(WriteId(id), vec![id as u8; 10], 0, &mut rng);
                assert!(done_ns > last_ns);
                last_ns = done_ns;
            }
            disk.finish(WriteId(1)).unwrap();
            disk.crash(&mut rng);
            let image = disk.image();
            assert!(image.starts_with(&[1; 10]) && image.len() <= 40);
            let is_torn = !image.len().is_multiple_of(10) || image.contains(&0);
            torn += usize::from(is_torn);
            let whole = image.chunks_exact(10).enumerate();
            for (at, chunk) in whole {
                assert!(chunk.iter().all(|&byte| byte == at as u8 + 1 || byte == 0));
            }
        }
        assert!(torn > 100, "{torn}");
    }

    #[test]
    fn a_full_disk_fails_all_that_was_submitted_and_recovers() {
        let mut rng = Rng::new(1);
        let mut disk = Disk::new(true);
        for id in 1..=3 {
            disk.submit(WriteId(id), vec![0], 0, &mut rng);
        }
        disk.finish(WriteId(1)).unwrap();
        disk.set_full(true);
        assert_eq!(disk.finish(WriteId(2)), Err(DiskError::Full));
        disk.set_full(false);
        assert_eq!(disk.finish(WriteId(3)), Err(DiskError::Full));
        disk.submit(WriteId(4), vec![0], 0, &mut rng);
        assert_eq!(disk.finish(WriteId(4)), Ok(()));
        assert_eq!(disk.image().len(), 2);
    }

    #[test]
    fn a_slow_disk_takes_longer() {
        let takes_ns = |factor| {
            let mut disk = Disk::new(false);
            disk.set_slowness(factor);
            disk.submit(WriteId(1), vec![0], 0, &mut Rng::new(1))
        };
        assert_eq!(takes_ns(50), 50 * takes_ns(1));
    }
}
