//! Emptying the oldest segment, so that its file can be used again.
//!
//! First in, first out: the compactor hands out the effects that begin in the oldest sealed segment,
//! a budget of bytes at a time; the shard decides which keys are still described by them and appends
//! their `Snapshot`. When all were handed out and everything appended up to then is durable, the log
//! lets the segment go. The compactor itself decides nothing about liveness and holds nothing back.
//!
//! The rule kept, and the reason that a crash at any step is harmless: a segment leaves only after its
//! live content is durable in a later one, and until then both are read, in order.

use super::reader::{Extent, ReadRequest};
use super::segment::DATA_START;
use super::stream::EffectStream;
use super::writer::Log;

/// Bytes of one read.
const READ_BYTES: u32 = 256 << 10;

/// What the compactor wants next.
#[derive(Debug)]
pub enum Step {
    /// Submit this read and give its bytes to [`Compactor::on_read`].
    Read(ReadRequest),
    /// Effects are at hand: call [`Compactor::step`] again when the shard has time.
    Ready,
    /// All was handed out, and the log lets the segment go when it is safe.
    Finished,
    /// The segment does not read back; it stays. The next start will say where.
    Damaged,
}

/// Effects in the order of the log, each with its counter.
#[derive(Debug, Default)]
pub struct Effects {
    bytes: Vec<u8>,
    /// Counter, and where the effect ends in `bytes`.
    ends: Vec<(u64, usize)>,
}

impl Effects {
    fn push(&mut self, counter: u64, effect: &[u8]) {
        self.bytes.extend_from_slice(effect);
        self.ends.push((counter, self.bytes.len()));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        // One large effect must not keep its memory.
        self.bytes.shrink_to(READ_BYTES as usize);
        self.ends.clear();
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Counter and bytes of each.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(counter, end)| {
            let effect = &self.bytes[start..end];
            start = end;
            (counter, effect)
        })
    }
}

/// The walk over one segment.
#[derive(Debug)]
pub struct Compactor {
    sequence: u64,
    /// The first effect that begins in a later segment.
    until: u64,
    stream: EffectStream,
    extents: Vec<Extent>,
    skip: usize,
    chunk: Vec<u8>,
    used: usize,
    /// What the step at hand hands out; empty between steps.
    effects: Effects,
}

impl Compactor {
    /// Starts on the oldest sealed segment; `None` if there is none. One compactor at a time.
    #[must_use]
    pub fn start(log: &Log) -> Option<Compactor> {
        let sequence = log.oldest_sealed()?;
        let mut firsts = log
            .segments
            .iter()
            .filter(|segment| segment.sequence >= sequence);
        let first = firsts.next()?.index.first();
        let until = firsts
            .find_map(|segment| segment.index.first())
            .unwrap_or(u64::MAX);
        // Where no effect begins there is nothing to hand out, only the rest of an older one.
        let mut extents = if first.is_some() {
            log.written_extents(sequence)
        } else {
            Vec::new()
        };
        extents.reverse();
        Some(Compactor {
            sequence,
            until,
            stream: EffectStream::new(sequence, first.unwrap_or(u64::MAX)),
            extents,
            skip: 0,
            chunk: Vec::new(),
            used: 0,
            effects: Effects::default(),
        })
    }

    /// The segment's sequence number.
    #[must_use]
    pub fn segment(&self) -> u64 {
        self.sequence
    }

    /// Hands the effects in the next `budget_bytes` of the segment to `take`, all together, with the
    /// log to append to. Not to be called again after [`Step::Finished`].
    pub fn step(
        &mut self,
        log: &mut Log,
        budget_bytes: usize,
        take: &mut dyn FnMut(&mut Log, &Effects),
    ) -> Step {
        if self.used < self.chunk.len() {
            let end = (self.used + budget_bytes.max(1)).min(self.chunk.len());
            let part = &self.chunk[self.used..end];
            self.used = end;
            let (until, effects) = (self.until, &mut self.effects);
            let walked = self.stream.push(part, &mut |counter, effect| {
                if counter < until {
                    effects.push(counter, effect);
                }
            });
            take(log, effects);
            effects.clear();
            if walked.is_err() {
                return Step::Damaged;
            }
            if self.used < self.chunk.len() {
                return Step::Ready;
            }
        }
        while let Some(extent) = self.extents.last() {
            // Beyond the segment only the rest of an effect that began in it is of interest.
            if extent.sequence != self.sequence && !self.stream.in_effect() {
                break;
            }
            if extent.start < extent.end {
                let (request, skip) = extent.read(READ_BYTES);
                self.skip = skip;
                return Step::Read(request);
            }
            self.extents.pop();
            if let Some(next) = self.extents.last()
                && self.stream.in_effect()
                && self.stream.enter(next.sequence).is_err()
            {
                return Step::Damaged;
            }
        }
        log.retire_when_durable(self.sequence);
        Step::Finished
    }

    /// Takes the bytes of the read that was asked for.
    pub fn on_read(&mut self, bytes: &[u8]) {
        self.chunk.clear();
        self.used = 0;
        if let Some(extent) = self.extents.last_mut() {
            let useful = extent.take(bytes, self.skip);
            if useful.is_empty() {
                // An empty read would be asked for again without end; a zero byte is no frame.
                self.chunk.resize(causet_proto::frame::HEADER_BYTES * 2, 0);
            } else {
                self.chunk.extend_from_slice(useful);
            }
        }
    }
}

impl Log {
    pub(super) fn written_extents(&self, from: u64) -> Vec<Extent> {
        let from = self
            .segments
            .iter()
            .filter(|segment| segment.sequence >= from);
        from.filter_map(|segment| {
            let file = segment.file.clone()?;
            Some(Extent {
                sequence: segment.sequence,
                file,
                start: DATA_START,
                end: segment.end,
            })
        })
        .collect()
    }

    /// Whether the sealed segments hold so much more than `live_bytes` that compaction pays: more
    /// than twice as much, and more than four segments.
    #[must_use]
    pub fn needs_compaction(&self, live_bytes: u64) -> bool {
        let segment = u64::from(self.options.segment_bytes);
        let sealed = self.sealed_segments() as u64 * segment;
        sealed > (2 * live_bytes).max(4 * segment)
    }

    /// Segments that nothing is written to any more and that are not on their way out.
    pub(super) fn sealed_segments(&self) -> usize {
        let sealed = self
            .segments
            .iter()
            .take_while(|s| s.sequence < self.begun)
            .count();
        sealed.saturating_sub(self.retiring.len())
    }

    /// The oldest segment that may be compacted.
    pub(super) fn oldest_sealed(&self) -> Option<u64> {
        (self.sealed_segments() > 0).then(|| self.segments[self.retiring.len()].sequence)
    }

    /// Lets segment `sequence` go as soon as everything appended up to now is durable. It is the
    /// oldest one that is not retiring yet.
    pub(super) fn retire_when_durable(&mut self, sequence: u64) {
        debug_assert_eq!(
            self.segments
                .get(self.retiring.len())
                .map(|segment| segment.sequence),
            Some(sequence),
            "segments leave oldest first"
        );
        self.retiring.push_back((sequence, self.appended));
    }

    pub(super) fn retire_durable(&mut self) {
        while let Some((sequence, barrier)) = self.retiring.front().copied()
            && self.durable >= barrier
            // A flush in flight, or batches held for one, may still name the file.
            && self.held.front().is_none_or(|held| held.sequence > sequence)
        {
            self.retiring.pop_front();
            self.segments.pop_front();
            self.preparer
                .retire(&self.dir, sequence, self.options.spares_max);
        }
    }
}
