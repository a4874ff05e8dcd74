//! A node's log: group commit over the simulated disk, with retries when it is full.
//!
//! One write is in flight at a time; what is appended meanwhile goes with the next. A write that
//! failed is kept and submitted again until it succeeds: nothing that was appended is ever given up.

use std::rc::Rc;

use crate::MS;
use crate::disk::{DiskError, WriteId};
use crate::node::{Outputs, Timer};
use crate::record::Record;

/// How long to wait before a failed write is submitted again.
const RETRY_NS: u64 = 20 * MS;

#[derive(Debug)]
struct Batch {
    write: Option<WriteId>,
    records: Vec<Rc<Record>>,
}

/// The log of one node. See the module's head.
#[derive(Debug)]
pub struct Journal {
    retry: Timer,
    open: Vec<Rc<Record>>,
    /// What was submitted and is not durable yet; without a write while it waits for the retry.
    closed: Option<Batch>,
    appended: u64,
    durable: u64,
}

impl Journal {
    /// A log that holds `records` records; it sets timer `retry` for itself.
    pub fn new(records: u64, retry: Timer) -> Self {
        Journal {
            retry,
            open: Vec::new(),
            closed: None,
            appended: records,
            durable: records,
        }
    }

    /// Number of records appended so far, in all incarnations.
    pub fn appended(&self) -> u64 {
        self.appended
    }

    /// Number of records that are durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Whether the last write failed: nothing should be promised that needs a new one.
    pub fn is_failing(&self) -> bool {
        self.closed.as_ref().is_some_and(|it| it.write.is_none())
    }

    /// Appends a record. It goes to the disk with the next [`Journal::flush`].
    pub fn append(&mut self, record: Rc<Record>) {
        self.appended += 1;
        self.open.push(record);
    }

    /// Submits what is open, if no write is in flight.
    pub fn flush<M>(&mut self, out: &mut Outputs<M>) {
        if self.closed.is_none() && !self.open.is_empty() {
            self.closed = Some(Batch {
                write: None,
                records: std::mem::take(&mut self.open),
            });
            self.submit(out);
        }
    }

    /// The retry timer has fired.
    pub fn on_retry<M>(&mut self, out: &mut Outputs<M>) {
        if self.is_failing() {
            self.submit(out);
        }
    }

    /// A write has finished. Returns the records that are durable now, in the order of the log.
    pub fn on_durable<M>(
        &mut self,
        write: WriteId,
        result: Result<(), DiskError>,
        out: &mut Outputs<M>,
    ) -> Vec<Rc<Record>> {
        let mut batch = self.closed.take().expect("a write was in flight");
        assert_eq!(batch.write, Some(write), "one write is in flight");
        if result.is_err() {
            batch.write = None;
            self.closed = Some(batch);
            out.wake(RETRY_NS, self.retry);
            return Vec::new();
        }
        self.durable += batch.records.len() as u64;
        self.flush(out);
        batch.records
    }

    fn submit<M>(&mut self, out: &mut Outputs<M>) {
        let batch = self.closed.as_mut().expect("there is a batch to submit");
        let mut bytes = Vec::new();
        for record in &batch.records {
            record.append_to(&mut bytes);
        }
        batch.write = Some(out.persist(bytes));
    }
}
