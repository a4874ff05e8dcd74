//! [`Log`]: effects in, durable bytes out.
//!
//! `append` costs a copy and a CRC; it never does I/O and never fails. `tick` decides what to write by
//! the fsync policy and submits it; `on_complete` takes what came back. No reading happens here and
//! no file is created here. The rule kept: batches are written strictly in order, one at a time, and
//! a batch that failed is written again with the same bytes before any later one.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use causet_proto::frame::{self, Flags, HEADER_BYTES, MARK_BYTES};

use super::batch::{Batch, Pool};
use super::buffer::{AlignedBuf, BLOCK_BYTES, Record};
use super::index::Index;
use super::io::{LogIo, OpId};
use super::options::{Fsync, Options, Refusal, Stats};
use super::preparer::Client;
use super::recover::{self, RecoverError, Recovered};
use super::segment::{Header, Lsn, Owner, Segment};

/// Under `everysec` and `no`: a batch is written when so many bytes wait,
const WRITE_BYTES: usize = 256 << 10;
/// or when its first effect has waited so long. This bounds what a kill -9 can take.
const WRITE_AFTER_NS: u64 = 10_000_000;
const SYNC_EVERY_NS: u64 = 1_000_000_000;
const RETRY_AFTER_NS: u64 = 100_000_000;
/// How often to look whether the preparer has made the segment that is needed now.
const LOOK_AFTER_NS: u64 = 1_000_000;
/// Written batches wait in memory for the flush that covers them. At the first bound the flush comes
/// early; at the second, writing waits for it.
const HELD_BYTES_FLUSH: usize = 4 << 20;
const HELD_BYTES_MAX: usize = 64 << 20;
const FRAGMENT_BYTES_MAX: u32 = 1 << 20;
/// A fragment smaller than this is not worth its frame: the effect goes on in the next segment.
const FRAGMENT_BYTES_MIN: usize = 4096;

#[derive(Debug)]
enum Kind {
    Header,
    Batch {
        number: u64,
        end: Lsn,
        end_counter: u64,
    },
    /// Batch `held[index]` once more, after a failed flush.
    Rewrite {
        index: usize,
    },
}

#[derive(Debug)]
struct Write {
    kind: Kind,
    sequence: u64,
    file: Arc<File>,
    offset: u32,
    dsync: bool,
    /// The whole buffer, while only its rest is under way after a short write, or after a failure.
    whole: Option<AlignedBuf>,
    done: usize,
}

/// A written batch that no flush has covered yet.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) sequence: u64,
    file: Arc<File>,
    base: u32,
    /// `None` under policy `no`, which promises nothing, or while it is being rewritten.
    buf: Option<AlignedBuf>,
    end: Lsn,
    number: u64,
}

/// The log of one shard. Owned by the shard's thread.
#[derive(Debug)]
pub struct Log {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) preparer: Client,
    now_ns: u64,
    pool: Pool,

    open: Batch,
    /// Size of the segment that the open batch is for.
    open_segment_bytes: u32,
    /// Batches that ended early because their segment is full, or an effect is large.
    sealed: VecDeque<Batch>,
    sealed_bytes: usize,
    next_counter: u64,
    next_batch: u64,
    pub(super) appended: Lsn,

    pub(super) segments: VecDeque<Segment>,
    /// Files made ahead, in order, for segments that nothing was appended to yet.
    ready: VecDeque<(u64, Arc<File>)>,
    requested: u64,
    prepare_failed: Vec<u64>,
    pub(super) retiring: VecDeque<(u64, Lsn)>,
    /// The last segment whose header is durable.
    pub(super) begun: u64,

    write: Option<(OpId, Write)>,
    failed: Option<Write>,
    sync: Option<(OpId, u64, Lsn)>,
    pub(super) held: VecDeque<Held>,
    held_bytes: usize,
    rewrite: Option<usize>,
    written: Lsn,
    written_counter: u64,
    pub(super) durable: Lsn,
    durable_batch: u64,
    flush_to: Lsn,
    synced_ns: u64,
    refusal: Option<Refusal>,
    retry_ns: u64,
    batches: u64,
    effects: u64,
    flushes: u64,
}

impl Log {
    /// Opens the log in `dir` (made if missing), hands every effect of a complete group to `sink` in
    /// order, and starts a new segment behind what was found. Blocking: for a start, before the
    /// shard serves. Memory: the used part of one segment. A torn tail is cut and told in the result.
    ///
    /// # Errors
    /// Damage before the tail, files of another node, another format, I/O errors, or what `sink`
    /// returned. Nothing on disk is changed then.
    ///
    /// # Panics
    /// If `segment_bytes` is out of its bounds.
    pub fn open(
        dir: &Path,
        options: Options,
        preparer: Client,
        sink: &mut recover::Sink<'_>,
    ) -> Result<(Log, Recovered), RecoverError> {
        let bytes = options.segment_bytes;
        assert!(
            bytes > 0 && bytes.is_multiple_of(1 << 20) && bytes <= 1 << 30,
            "a segment is a multiple of 1 MiB, at most 1 GiB"
        );
        let owner = Owner {
            node: options.node,
            stream: options.stream,
        };
        let found = recover::recover(dir, owner, sink)?;
        let (header, file) = recover::begin(dir, owner, bytes, &found)?;

        let mut segments = VecDeque::from(found.segments);
        let sequence = header.sequence;
        let file_bytes = file.metadata().map_err(recover::io_at(dir))?.len() as u32;
        let file = Arc::new(file);
        let start = Batch::first(sequence, AlignedBuf::with_capacity(1));
        segments.push_back(Segment {
            sequence,
            file: Some(file),
            file_bytes,
            end: start.base,
            index: Index::default(),
        });
        let mut log = Log {
            dir: dir.to_owned(),
            preparer,
            now_ns: 0,
            pool: Pool::default(),
            appended: start.end(),
            written: start.end(),
            durable: start.end(),
            flush_to: Lsn::default(),
            open: start,
            open_segment_bytes: file_bytes,
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            next_counter: header.first_counter,
            next_batch: header.first_batch,
            segments,
            ready: VecDeque::new(),
            requested: sequence,
            prepare_failed: Vec::new(),
            retiring: VecDeque::new(),
            begun: sequence,
            write: None,
            failed: None,
            sync: None,
            held: VecDeque::new(),
            held_bytes: 0,
            rewrite: None,
            written_counter: header.first_counter,
            durable_batch: header.durable_batch,
            synced_ns: 0,
            refusal: None,
            retry_ns: 0,
            batches: 0,
            effects: 0,
            flushes: 0,
            options,
        };
        log.request_segments();
        Ok((log, found.report))
    }

    /// Adds one effect; it gets the counter that [`Log::next_counter`] told. With `group_continues`
    /// the next effect belongs to the same atomic group: after a crash all of a group is there or
    /// none of it. Returns the position behind the effect: it is durable when [`Log::durable_lsn`]
    /// has reached it.
    ///
    /// O(bytes): `encode` writes straight into the open buffer. An effect of more than an eighth of
    /// a segment or 1 MiB is then split, which copies it once more; its memory is given back after.
    ///
    /// # Panics
    /// If `encode` adds nothing.
    #[inline]
    pub fn append(&mut self, group_continues: bool, encode: impl FnOnce(&mut Record<'_>)) -> Lsn {
        if self.open.is_empty() {
            self.open.begin(self.next_counter, self.now_ns);
        }
        let at = self.open.buf.len();
        self.open.buf.space(HEADER_BYTES);
        encode(&mut Record(&mut self.open.buf));
        let payload = at + HEADER_BYTES;
        let len = self.open.buf.len() - payload;
        assert!(len > 0, "an effect has at least one byte");

        let flags = if group_continues {
            Flags::MORE_IN_GROUP
        } else {
            Flags::NONE
        };
        let end = self.open.base as usize + self.open.buf.len();
        if len <= self.fragment_bytes_max() && end <= self.open_segment_bytes as usize {
            let header = frame::header(self.open.seed, flags, &self.open.buf[payload..]);
            self.open.buf[at..payload].copy_from_slice(&header);
            self.note_start(self.open.base + at as u32);
        } else {
            self.split(at, flags);
        }
        self.next_counter += 1;
        self.effects += 1;
        self.open.end_counter = self.next_counter;
        self.appended = self.open.end();
        self.appended
    }

    fn fragment_bytes_max(&self) -> usize {
        FRAGMENT_BYTES_MAX.min(self.options.segment_bytes / 8) as usize
    }

    #[inline]
    fn note_start(&mut self, offset: u32) {
        // The open batch's segment is always the last one.
        if let Some(segment) = self.segments.back_mut() {
            segment.index.note(self.next_counter, offset);
        }
    }

    /// Lays out an effect that is too large for one frame or for the rest of the segment. It was
    /// encoded at `at` of the open buffer.
    #[cold]
    fn split(&mut self, at: usize, flags: Flags) {
        let effect = self.open.buf[at + HEADER_BYTES..].to_vec();
        self.open.take_back(at);
        if self.open.buf.capacity() > 2 * self.options.waiting_bytes_max {
            // The encoder grew the buffer to the effect's size; the copy above replaces it.
            let kept = AlignedBuf::copy_of(&self.open.buf);
            self.open.buf = kept;
        }
        let fragment_max = self.fragment_bytes_max();
        let mut rest = effect.as_slice();
        while !rest.is_empty() {
            let overhead = HEADER_BYTES + if self.open.is_empty() { MARK_BYTES } else { 0 };
            let room = self
                .open
                .room(self.open_segment_bytes)
                .saturating_sub(overhead);
            let whole = rest.len() <= fragment_max;
            if room
                < if whole {
                    rest.len()
                } else {
                    FRAGMENT_BYTES_MIN
                }
            {
                self.roll();
                continue;
            }
            let (fragment, more) = rest.split_at(rest.len().min(fragment_max).min(room));
            let begins = rest.len() == effect.len();
            if self.open.is_empty() {
                let next_start = if begins {
                    self.next_counter
                } else {
                    self.next_counter + 1
                };
                self.open.begin(next_start, self.now_ns);
                // Until its last fragment is there, the effect does not end in this batch.
                self.open.end_counter = self.next_counter;
            }
            if begins {
                self.note_start(self.open.end_offset());
            }
            let mut flags = flags;
            if !begins {
                flags = flags.with(Flags::CONTINUED);
            }
            if !more.is_empty() {
                flags = flags.with(Flags::MORE_FRAGMENTS);
            }
            self.open
                .buf
                .extend_from_slice(&frame::header(self.open.seed, flags, fragment));
            self.open.buf.extend_from_slice(fragment);
            rest = more;
        }
    }

    /// Ends the open batch and goes on in the next segment.
    #[cold]
    fn roll(&mut self) {
        let sequence = self.open.segment + 1;
        let next = Batch::first(sequence, self.pool.take());
        let full = std::mem::replace(&mut self.open, next);
        if full.is_empty() {
            self.pool.give(full.buf);
        } else {
            self.sealed_bytes += full.bytes();
            self.sealed.push_back(full);
        }
        let file = match self.ready.front() {
            Some((ready, _)) if *ready == sequence => self.ready.pop_front().map(|(_, file)| file),
            _ => None,
        };
        let (end, index) = (self.open.base, Index::default());
        let file_bytes = self.options.segment_bytes;
        self.open_segment_bytes = file_bytes;
        self.segments.push_back(Segment {
            sequence,
            file,
            file_bytes,
            end,
            index,
        });
        self.request_segments();
    }

    fn request_segments(&mut self) {
        while self.requested < self.open.segment + self.options.ready_ahead.max(1) {
            self.requested += 1;
            self.preparer
                .prepare(&self.dir, self.requested, self.options.segment_bytes.into());
        }
    }

    /// The counter that the next effect gets.
    #[must_use]
    pub fn next_counter(&self) -> u64 {
        self.next_counter
    }

    /// The position behind the last effect appended.
    #[must_use]
    pub fn appended_lsn(&self) -> Lsn {
        self.appended
    }

    /// Everything below is in the file (it survives kill -9).
    #[must_use]
    pub fn written_lsn(&self) -> Lsn {
        self.written
    }

    /// Everything below survives a power loss.
    #[must_use]
    pub fn durable_lsn(&self) -> Lsn {
        self.durable
    }

    /// Effects below this counter are in the file, whole.
    pub fn written_counter(&self) -> u64 {
        self.written_counter
    }

    /// Whether so much waits for the disk that the shard should stop reading from its clients.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.open.bytes() + self.sealed_bytes >= self.options.waiting_bytes_max
    }

    /// Why writes are to be refused at present, if they are.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The policy in force.
    #[must_use]
    pub fn fsync(&self) -> Fsync {
        self.options.fsync
    }

    /// Changes the policy from the next write on. Switching to `Always` flushes what waits for it.
    pub fn set_fsync(&mut self, fsync: Fsync) {
        self.options.fsync = fsync;
    }

    /// Asks that everything appended so far becomes durable soon, whatever the policy: at a close,
    /// and for WAITAOF. Done when [`Log::durable_lsn`] has reached the returned position.
    pub fn request_flush(&mut self) -> Lsn {
        self.flush_to = self.appended;
        self.appended
    }

    /// Figures for INFO.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            segments: self.segments.len(),
            disk_bytes: self.segments.iter().map(|s| u64::from(s.file_bytes)).sum(),
            batches: self.batches,
            effects: self.effects,
            flushes: self.flushes,
            waiting_bytes: self.open.bytes() + self.sealed_bytes,
            held_bytes: self.held_bytes,
        }
    }

    /// Whether an operation is under way whose completion must still be given to
    /// [`Log::on_complete`] before the log may be dropped without leaving its buffers in the driver.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.write.is_none() && self.sync.is_none()
    }

    /// Decides and submits. To be called once per turn of the shard's loop, and at
    /// [`Log::next_deadline`]. `now_ns` is a monotonic clock. O(1).
    pub fn tick(&mut self, now_ns: u64, io: &mut dyn LogIo) {
        self.now_ns = now_ns;
        self.take_prepared();
        self.submit_write(io);
        self.submit_sync(io);
        self.retire_durable();
    }

    /// When `tick` has something to do if nothing else happens; `None`: only after an append or a
    /// completion.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        if self.refusal.is_some() {
            return Some(self.retry_ns);
        }
        let waits = !self.open.is_empty() || !self.sealed.is_empty();
        // With a write under way its completion is what comes next, not a time.
        let write = (waits && self.write.is_none()).then(|| {
            if self.write_due() {
                // The last tick could not: the segment's file is not there yet.
                self.now_ns + LOOK_AFTER_NS
            } else {
                self.open.since_ns + WRITE_AFTER_NS
            }
        });
        let waits = !self.held.is_empty() && self.options.fsync == Fsync::EverySec;
        let sync = (waits && self.sync.is_none()).then(|| self.synced_ns + SYNC_EVERY_NS);
        match (write, sync) {
            (Some(write), Some(sync)) => Some(write.min(sync)),
            (one, other) => one.or(other),
        }
    }

    fn take_prepared(&mut self) {
        while let Some((sequence, prepared)) = self.preparer.poll() {
            match prepared {
                Ok(file) => {
                    match self
                        .segments
                        .iter_mut()
                        .rev()
                        .find(|s| s.sequence == sequence)
                    {
                        Some(segment) => segment.file = Some(file),
                        None => {
                            let at = self.ready.partition_point(|(ready, _)| *ready < sequence);
                            self.ready.insert(at, (sequence, file));
                        }
                    }
                    self.recovered();
                }
                Err(error) => {
                    if sequence <= self.open.segment {
                        // Only a segment that is needed now is a reason to refuse writes.
                        self.refuse("cannot make a log segment", &error);
                    }
                    self.prepare_failed.push(sequence);
                    self.retry_ns = self.now_ns + RETRY_AFTER_NS;
                }
            }
        }
        if !self.prepare_failed.is_empty() && self.now_ns >= self.retry_ns {
            for sequence in std::mem::take(&mut self.prepare_failed) {
                self.preparer
                    .prepare(&self.dir, sequence, self.options.segment_bytes.into());
            }
        }
    }

    fn refuse(&mut self, what: &str, error: &io::Error) {
        if self.refusal.is_none() {
            tracing::error!(dir = %self.dir.display(), %error, "{what}; writes are refused");
        }
        self.refusal = Some(Refusal {
            errno: error.raw_os_error(),
            since_ns: self.refusal.as_ref().map_or(self.now_ns, |r| r.since_ns),
            reason: format!("{what}: {error}"),
        });
        self.retry_ns = self.now_ns + RETRY_AFTER_NS;
    }

    fn recovered(&mut self) {
        if self.failed.is_none() && self.rewrite.is_none() && self.refusal.take().is_some() {
            tracing::info!(dir = %self.dir.display(), "the log takes writes again");
        }
    }

    /// Whether the open batch is to be written now.
    fn write_due(&self) -> bool {
        if !self.sealed.is_empty() {
            return true;
        }
        if self.open.is_empty() {
            return false;
        }
        self.options.fsync == Fsync::Always
            || self.flush_to > self.written
            || self
                .retiring
                .front()
                .is_some_and(|(_, barrier)| *barrier > self.written)
            || self.open.bytes() >= WRITE_BYTES
            || self.now_ns.saturating_sub(self.open.since_ns) >= WRITE_AFTER_NS
    }

    fn submit_write(&mut self, io: &mut dyn LogIo) {
        if self.write.is_some() {
            return;
        }
        if self.failed.is_some() || self.rewrite.is_some() {
            if self.now_ns < self.retry_ns && self.failed.is_some() {
                return;
            }
            if let Some(mut write) = self.failed.take()
                && let Some(buf) = write.whole.take()
            {
                write.done = 0;
                self.submit(write, buf, io);
                return;
            }
            self.submit_rewrite(io);
            return;
        }
        if !self.write_due() || self.held_bytes >= HELD_BYTES_MAX {
            return;
        }
        let sequence = self
            .sealed
            .front()
            .map_or(self.open.segment, |batch| batch.segment);
        if sequence != self.begun {
            self.submit_header(sequence, io);
            return;
        }
        let number = self.next_batch;
        self.next_batch += 1;
        let mut batch = self.seal_next(number);
        let end = batch.end();
        batch.buf.pad_to_block();
        let Some(file) = self.file_of(sequence) else {
            unreachable!("a begun segment has its file");
        };
        let write = Write {
            kind: Kind::Batch {
                number,
                end,
                end_counter: batch.end_counter,
            },
            sequence,
            file,
            offset: batch.base,
            dsync: self.options.fsync == Fsync::Always,
            whole: None,
            done: 0,
        };
        self.submit(write, batch.buf, io);
    }

    fn seal_next(&mut self, number: u64) -> Batch {
        if let Some(mut batch) = self.sealed.pop_front() {
            self.sealed_bytes -= batch.bytes();
            batch.seal(number, self.durable_batch);
            return batch;
        }
        // Sealed first: the successor rewrites the tail block, and the mark may stand in it.
        self.open.seal(number, self.durable_batch);
        let next = self.open.successor(self.pool.take());
        std::mem::replace(&mut self.open, next)
    }

    fn file_of(&self, sequence: u64) -> Option<Arc<File>> {
        let segment = self
            .segments
            .iter()
            .rev()
            .find(|segment| segment.sequence == sequence)?;
        segment.file.clone()
    }

    /// Begins a segment: its header, durable before anything else is written to it.
    fn submit_header(&mut self, sequence: u64, io: &mut dyn LogIo) {
        let Some(file) = self.file_of(sequence) else {
            // The preparer is behind; what is appended waits, and `is_full` says when it is enough.
            return;
        };
        let batch = self.sealed.front().unwrap_or(&self.open);
        let previous = self
            .segments
            .iter()
            .rev()
            .find(|segment| segment.sequence == self.begun);
        let header = Header {
            owner: Owner {
                node: self.options.node,
                stream: self.options.stream,
            },
            sequence,
            previous: self.begun,
            previous_end: previous.map_or(0, |segment| segment.end),
            first_counter: batch.first_counter,
            first_batch: self.next_batch,
            durable_batch: self.durable_batch,
        };
        let write = Write {
            kind: Kind::Header,
            sequence,
            file,
            offset: 0,
            dsync: true,
            whole: None,
            done: 0,
        };
        self.submit(write, header.encode(), io);
    }

    fn submit(&mut self, write: Write, buf: AlignedBuf, io: &mut dyn LogIo) {
        let offset = u64::from(write.offset) + write.done as u64;
        let op = io.write(&write.file, buf, offset, write.dsync);
        self.write = Some((op, write));
    }

    /// After a failed flush: the next held batch again, from memory.
    fn submit_rewrite(&mut self, io: &mut dyn LogIo) {
        let Some(mut index) = self.rewrite else {
            return;
        };
        loop {
            let next = self
                .held
                .get(index + 1)
                .map(|held| (held.sequence, held.base));
            let Some(held) = self.held.get_mut(index) else {
                // All is durable again; batches that policy `no` did not keep were never promised.
                self.rewrite = None;
                self.drop_held(Lsn(u64::MAX), None);
                self.recovered();
                return;
            };
            let Some(mut buf) = held.buf.take() else {
                index += 1;
                continue;
            };
            if let Some((sequence, base)) = next
                && sequence == held.sequence
            {
                // The next batch holds the shared tail block with more in it; this one's shorter
                // version must not come over it.
                buf.truncate((base - held.base) as usize);
            }
            if buf.is_empty() {
                held.buf = Some(buf);
                index += 1;
                continue;
            }
            let write = Write {
                kind: Kind::Rewrite { index },
                sequence: held.sequence,
                file: Arc::clone(&held.file),
                offset: held.base,
                dsync: true,
                whole: None,
                done: 0,
            };
            self.rewrite = Some(index);
            self.submit(write, buf, io);
            return;
        }
    }

    fn sync_due(&self) -> bool {
        if self.held.is_empty() || self.rewrite.is_some() {
            return false;
        }
        let asked = self.flush_to > self.durable
            || self
                .retiring
                .front()
                .is_some_and(|(_, barrier)| *barrier > self.durable);
        match self.options.fsync {
            _ if asked || self.held_bytes >= HELD_BYTES_FLUSH => true,
            Fsync::Always => true,
            Fsync::EverySec => self.now_ns.saturating_sub(self.synced_ns) >= SYNC_EVERY_NS,
            Fsync::No => false,
        }
    }

    fn submit_sync(&mut self, io: &mut dyn LogIo) {
        if self.sync.is_some() || !self.sync_due() {
            return;
        }
        let Some(first) = self.held.front() else {
            return;
        };
        let last = self
            .held
            .iter()
            .take_while(|held| held.sequence == first.sequence)
            .last();
        let covered = last.map_or(first.end, |held| held.end);
        let op = io.fdatasync(&first.file);
        self.sync = Some((op, first.sequence, covered));
        self.synced_ns = self.now_ns;
    }

    /// Forgets held batches up to `covered` (of one segment, or of all): they are durable.
    fn drop_held(&mut self, covered: Lsn, sequence: Option<u64>) {
        while let Some(held) = self.held.front() {
            if held.end > covered || sequence.is_some_and(|sequence| sequence != held.sequence) {
                break;
            }
            self.durable = self.durable.max(held.end);
            self.durable_batch = self.durable_batch.max(held.number);
            if let Some(buf) = self.held.pop_front().and_then(|held| held.buf) {
                self.held_bytes -= buf.capacity();
                self.pool.give(buf);
            }
        }
    }

    /// Takes the completion of an operation that the log submitted and goes on. False: the operation
    /// is not the log's (a cold read, for instance), and nothing was done.
    ///
    /// `result` is the number of bytes moved; `buf` is the operation's buffer.
    pub fn on_complete(
        &mut self,
        op: OpId,
        result: io::Result<usize>,
        buf: Option<AlignedBuf>,
        io: &mut dyn LogIo,
    ) -> bool {
        if let Some((sync, sequence, covered)) = self.sync
            && sync == op
        {
            self.sync = None;
            self.on_sync(result, sequence, covered);
        } else {
            let Some((_, write)) = self.write.take_if(|(write, _)| *write == op) else {
                return false;
            };
            let buf = buf.expect("a write's completion brings its buffer back");
            self.on_write(write, result, buf, io);
        }
        let now_ns = self.now_ns;
        self.tick(now_ns, io);
        true
    }

    fn on_sync(&mut self, result: io::Result<usize>, sequence: u64, covered: Lsn) {
        self.flushes += 1;
        match result {
            Ok(_) => self.drop_held(covered, Some(sequence)),
            Err(error) => {
                self.refuse("fdatasync of the log failed", &error);
                self.rewrite = Some(0);
            }
        }
    }

    fn on_write(
        &mut self,
        mut write: Write,
        result: io::Result<usize>,
        buf: AlignedBuf,
        io: &mut dyn LogIo,
    ) {
        let rest = buf.len();
        let whole = write.whole.take().unwrap_or(buf);
        match result {
            Ok(moved) if moved >= rest => self.wrote(write, whole),
            Ok(moved) if moved >= BLOCK_BYTES => {
                // Short: whole blocks stand; the rest is copied because a buffer starts at its start.
                write.done += moved / BLOCK_BYTES * BLOCK_BYTES;
                let rest = AlignedBuf::copy_of(&whole[write.done..]);
                write.whole = Some(whole);
                self.submit(write, rest, io);
            }
            short_or_error => {
                let error = match short_or_error {
                    Ok(_) => io::Error::from_raw_os_error(libc::ENOSPC),
                    Err(error) => error,
                };
                self.refuse("writing the log failed", &error);
                write.whole = Some(whole);
                self.failed = Some(write);
            }
        }
    }

    fn wrote(&mut self, write: Write, buf: AlignedBuf) {
        match write.kind {
            Kind::Header => self.begun = write.sequence,
            Kind::Rewrite { index } => {
                self.held[index].buf = Some(buf);
                self.rewrite = Some(index + 1);
                return;
            }
            Kind::Batch {
                number,
                end,
                end_counter,
            } => {
                self.batches += 1;
                self.written = end;
                self.written_counter = end_counter;
                let written = self
                    .segments
                    .iter_mut()
                    .rev()
                    .find(|s| s.sequence == write.sequence);
                if let Some(segment) = written {
                    segment.end = end.offset();
                }
                if write.dsync && self.held.is_empty() {
                    self.durable = end;
                    self.durable_batch = number;
                    self.pool.give(buf);
                } else {
                    self.hold(write, number, end, buf);
                }
            }
        }
        self.recovered();
    }

    fn hold(&mut self, write: Write, number: u64, end: Lsn, buf: AlignedBuf) {
        if self.options.fsync == Fsync::No {
            self.pool.give(buf);
            // Without bytes to keep, one entry per segment is enough.
            if let Some(last) = self.held.back_mut()
                && last.buf.is_none()
                && last.sequence == write.sequence
                && self.sync.is_none()
            {
                (last.end, last.number) = (end, number);
                return;
            }
            self.held.push_back(Held {
                sequence: write.sequence,
                file: write.file,
                base: write.offset,
                buf: None,
                end,
                number,
            });
            return;
        }
        self.held_bytes += buf.capacity();
        self.held.push_back(Held {
            sequence: write.sequence,
            file: write.file,
            base: write.offset,
            buf: Some(buf),
            end,
            number,
        });
    }
}
