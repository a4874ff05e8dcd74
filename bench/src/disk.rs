//! What the disk itself can do: the ceiling of every durable figure.
//!
//! One thread writes 4 KiB blocks, one after the other, each durable before the next (O_DIRECT and
//! O_DSYNC), into a file whose blocks were written before, so that no metadata is flushed. A server
//! that waits for its log cannot commit more often; it can only put more requests into a commit.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Doing, Result};
use crate::interrupt;
use crate::latency::{Latency, Percentiles};

const BLOCK_BYTES: usize = 4096;
const BLOCKS: usize = 1024;

/// A block at an address that O_DIRECT accepts.
#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// What the loop measured.
#[derive(Clone, Copy, Debug)]
pub struct DiskRate {
    /// Durable writes a second, one at a time.
    pub writes_per_second: f64,
    /// Of one write.
    pub latency: Percentiles,
}

/// Writes durable blocks below `directory` for about `duration`. Fails where the file system has
/// no O_DIRECT.
pub fn durable_write_rate(directory: &Path, duration: Duration) -> Result<DiskRate> {
    let path = directory.join("disk-rate");
    let result = measure(&path, duration);
    // The measurement's own error is the one to report.
    let _ = fs::remove_file(&path);
    result
        .doing(|| format!("writing durably to {}", path.display()))
        .and_then(|rate| {
            interrupt::check()?;
            Ok(rate)
        })
}

fn measure(path: &Path, duration: Duration) -> io::Result<DiskRate> {
    let mut prewritten = File::create(path)?;
    prewritten.write_all(&vec![0; BLOCK_BYTES * BLOCKS])?;
    prewritten.sync_all()?;
    let file = File::options()
        .write(true)
        .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
        .open(path)?;
    let block = Box::new(Block([0xa5; BLOCK_BYTES]));
    let mut latency = Latency::default();
    let started = Instant::now();
    let mut index = 0;
    while started.elapsed() < duration && interrupt::check().is_ok() {
        let before = Instant::now();
        file.write_all_at(&block.0, (index % BLOCKS * BLOCK_BYTES) as u64)?;
        latency.record(before.elapsed().as_nanos() as u64, 1);
        index += 1;
    }
    let writes_per_second = index as f64 / started.elapsed().as_secs_f64();
    Ok(DiskRate {
        writes_per_second,
        latency: latency.percentiles(),
    })
}
