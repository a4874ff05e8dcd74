//! File operations of a shard, carried by its driver: the log's writes, and reads of the log for
//! cold values and for compaction.
//!
//! Every operation has a number, whose two highest bits say whose it is.

use std::fs::File;
use std::sync::Arc;

use causet_net::{AlignedBuf, AnyDriver, Driver};

use crate::log::{LogIo, OpId, ReadRequest};

/// Why submitting cannot fail.
const FEW: &str = "a shard has some dozen operations in flight, its driver takes a thousand";

/// Whose an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The log's own.
    Log,
    /// A cold value's read.
    Cold,
    /// The compactor's read.
    Compaction,
}

const OWNER_SHIFT: u32 = 62;

impl Owner {
    /// Whose operation `op` is.
    pub fn of(op: u64) -> Owner {
        match op >> OWNER_SHIFT {
            0 => Owner::Log,
            1 => Owner::Cold,
            _ => Owner::Compaction,
        }
    }

    fn tag(self) -> u64 {
        (self as u64) << OWNER_SHIFT
    }
}

/// Submits operations to a driver.
pub struct Disk<'d> {
    driver: &'d mut AnyDriver,
    /// Operations submitted so far.
    count: &'d mut u64,
}

impl<'d> Disk<'d> {
    /// A way to `driver`; `count` is the shard's.
    pub fn new(driver: &'d mut AnyDriver, count: &'d mut u64) -> Self {
        Disk { driver, count }
    }

    fn number(&mut self, owner: Owner) -> u64 {
        *self.count += 1;
        *self.count | owner.tag()
    }

    /// Starts a read; returns its number.
    pub fn start_read(&mut self, owner: Owner, request: &ReadRequest) -> u64 {
        let op = self.number(owner);
        let buf = AlignedBuf::with_capacity(request.len);
        self.driver
            .read(request.file(), buf, request.len, request.offset, op)
            .expect(FEW);
        op
    }
}

impl LogIo for Disk<'_> {
    fn write(&mut self, file: &Arc<File>, buf: AlignedBuf, offset: u64, dsync: bool) -> OpId {
        let op = self.number(Owner::Log);
        self.driver.write(file, buf, offset, dsync, op).expect(FEW);
        OpId(op)
    }

    fn fdatasync(&mut self, file: &Arc<File>) -> OpId {
        let op = self.number(Owner::Log);
        self.driver.fdatasync(file, op).expect(FEW);
        OpId(op)
    }

    fn read(&mut self, file: &Arc<File>, buf: AlignedBuf, offset: u64, len: usize) -> OpId {
        let op = self.number(Owner::Log);
        self.driver.read(file, buf, len, offset, op).expect(FEW);
        OpId(op)
    }
}
