//! Reading the whole log at start: every complete group in order, a torn tail cut, damage refused.
//!
//! What did not read back is either *torn* (it was never called durable; a power loss may keep later
//! blocks and lose earlier ones, anywhere since the last flush) or *damaged* (a later mark or header
//! says that its batch was durable). Torn bytes are cut where the first incomplete group begins;
//! damage stops the start, because going on would silently drop what a client was promised.
//!
//! The rule kept: recovery only reads. The cut becomes real in [`begin`], by one write: the header of
//! a fresh segment that names the place where the log before it ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use causet_proto::frame::{self, Decoded, Flags, HEADER_BYTES, MARK_BYTES, Mark, MarkKind, Seed};

use super::index::Index;
use super::preparer;
use super::segment::{self, DATA_START, Header, HeaderError, Lsn, Owner, Segment};

/// Takes each recovered effect: its counter, its position and its bytes. An error stops recovery.
pub type Sink<'a> = dyn FnMut(u64, Lsn, &[u8]) -> Result<(), String> + 'a;

/// Enough of a segment without a header to see whether batches were written to it.
const PROBE_BYTES: usize = 1 << 20;
/// Size of the segment that a start makes where no spare is left: the start waits until it is
/// prewritten, 10 ms or so, and the full-sized ones are made meanwhile.
const START_BYTES: u32 = 4 << 20;

/// Why a log could not be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Bytes that were durable do not read back.
    #[error(
        "{file}: damaged at offset {offset}: {why}. `causet log verify DIR` shows all damage; \
         `causet log repair DIR` cuts the log there, with --skip it gives up the damaged batches only \
         (both keep a copy)"
    )]
    Damaged {
        /// The segment file.
        file: PathBuf,
        /// Offset of the first bad byte's frame.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// A file of another node or shard.
    #[error("{file} belongs to node {node:016x}, shard {stream}: restore the right directory")]
    Foreign {
        /// The segment file.
        file: PathBuf,
        /// Its node.
        node: u64,
        /// Its shard.
        stream: u16,
    },
    /// Another format.
    #[error("{file} has format version {version}; this build reads version 1")]
    Version {
        /// The segment file.
        file: PathBuf,
        /// The version it has.
        version: u32,
    },
    /// The chain has a hole.
    #[error(
        "{file} is missing, though older segments are there: restore it, or run `causet log repair DIR`"
    )]
    Missing {
        /// The segment file that should be there.
        file: PathBuf,
    },
    /// The system refused.
    #[error("{file}: {source}")]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The sink refused an effect.
    #[error("effect {counter}: {why}")]
    Sink {
        /// The effect's counter.
        counter: u64,
        /// What the sink said.
        why: String,
    },
}

pub(super) fn io_at(file: &Path) -> impl FnOnce(io::Error) -> RecoverError + '_ {
    move |source| RecoverError::Io {
        file: file.to_owned(),
        source,
    }
}

/// What was cut off the tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment in which the log now ends.
    pub file: PathBuf,
    /// Where it ends.
    pub offset: u64,
    /// Bytes known to have stood behind, at least.
    pub bytes: u64,
    /// Whole effects dropped because their group was incomplete.
    pub effects: u64,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Effects handed to the sink.
    pub effects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments read.
    pub segments: usize,
    /// The torn tail, if there was one.
    pub cut: Option<Cut>,
}

/// A segment of the chain.
#[derive(Debug)]
pub(super) struct Link {
    pub header: Header,
    pub path: PathBuf,
    /// Where the segment ends, as its successor says; the last one is read until nothing is there.
    pub end: Option<u32>,
}

/// The segments of a directory, sorted out.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub links: Vec<Link>,
    /// Prepared, never begun.
    pub not_begun: Vec<u64>,
    /// Begun, but an earlier recovery cut the log before them.
    pub cut_off: Vec<u64>,
    pub last_sequence: u64,
}

/// Finds the chain. `owner` is `None` in tools that take any.
pub(super) fn chain(dir: &Path, owner: Option<Owner>) -> Result<Chain, RecoverError> {
    let listing = segment::list(dir).map_err(io_at(dir))?;
    let mut chain = Chain::default();
    let mut begun = Vec::new();
    let spare_last = listing.spares.last().copied().unwrap_or(0);
    chain.last_sequence = listing
        .segments
        .last()
        .copied()
        .unwrap_or(0)
        .max(spare_last);
    for sequence in listing.segments {
        let path = segment::path(dir, sequence);
        let file = File::open(&path).map_err(io_at(&path))?;
        let block = segment::read_header_block(&file).map_err(io_at(&path))?;
        match Header::decode(&block, sequence, owner) {
            Ok(header) => begun.push(Link {
                header,
                path,
                end: None,
            }),
            Err(HeaderError::Version(version)) => {
                return Err(RecoverError::Version {
                    file: path,
                    version,
                });
            }
            Err(HeaderError::Owner(other)) => {
                let Owner { node, stream } = other;
                return Err(RecoverError::Foreign {
                    file: path,
                    node,
                    stream,
                });
            }
            Err(HeaderError::NotBegun) => {
                let bytes = read(&file, PROBE_BYTES).map_err(io_at(&path))?;
                if frame::find_mark(Seed::of_segment(sequence), &bytes, 0).is_some() {
                    let why = "the header is destroyed, but batches stand behind it".into();
                    return Err(RecoverError::Damaged {
                        file: path,
                        offset: 0,
                        why,
                    });
                }
                chain.not_begun.push(sequence);
            }
        }
    }
    let Some(mut link) = begun.pop() else {
        return Ok(chain);
    };
    loop {
        let (previous, end) = (link.header.previous, link.header.previous_end);
        chain.links.push(link);
        // What lies between a segment and its predecessor was cut off by an earlier recovery.
        while begun
            .last()
            .is_some_and(|other| other.header.sequence > previous)
        {
            chain
                .cut_off
                .extend(begun.pop().map(|other| other.header.sequence));
        }
        match begun.pop() {
            Some(found) if found.header.sequence == previous => {
                link = Link {
                    end: Some(end),
                    ..found
                };
            }
            older => {
                let file = segment::path(dir, previous);
                if chain.not_begun.contains(&previous) {
                    let why = "the header is destroyed, and the segment behind needs it".into();
                    return Err(RecoverError::Damaged {
                        file,
                        offset: 0,
                        why,
                    });
                }
                if older.is_some() {
                    return Err(RecoverError::Missing { file });
                }
                // Segments leave oldest first: what is missing before all others was retired.
                chain.links.reverse();
                return Ok(chain);
            }
        }
    }
}

fn read(file: &File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len().min(bytes_max as u64) as usize;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The bytes of a segment up to its end.
pub(super) fn load(link: &Link) -> Result<Vec<u8>, RecoverError> {
    let file = File::open(&link.path).map_err(io_at(&link.path))?;
    let end = link.end.map_or(usize::MAX, |end| end as usize);
    read(&file, end).map_err(io_at(&link.path))
}

/// A place that does not read back.
#[derive(Clone, Debug)]
pub(super) struct Flaw {
    pub link: usize,
    pub offset: usize,
    /// The batch it is in, or the one that should begin there.
    pub batch: u64,
    /// Where that batch begins.
    pub batch_start: usize,
    /// Where the batch was to end, if its mark was read.
    pub batch_end: usize,
    pub why: &'static str,
}

/// Where a segment's frames stopped.
pub(super) enum Stop {
    End(usize),
    Flaw(Flaw),
    Sink(RecoverError),
}

struct Pending {
    counter: u64,
    lsn: Lsn,
    start: usize,
}

/// Walks the frames of a chain and puts groups together.
pub(super) struct Scan {
    pub next_counter: u64,
    pub next_batch: u64,
    pub effects: u64,
    pub bytes: u64,
    pub batches: u64,
    pub skipped: u64,
    /// The open group's effects, their bytes in `arena`.
    group: Vec<Pending>,
    arena: Vec<u8>,
    /// Where the open group begins: link and offset, and its first counter.
    group_start: Option<(usize, usize, u64)>,
    in_effect: bool,
    /// The rest of an effect whose beginning is gone may stand here.
    orphans: bool,
}

impl Scan {
    pub fn new(first: Option<&Header>) -> Scan {
        Scan {
            next_counter: first.map_or(1, |header| header.first_counter),
            next_batch: first.map_or(1, |header| header.first_batch),
            effects: 0,
            bytes: 0,
            batches: 0,
            skipped: 0,
            group: Vec::new(),
            arena: Vec::new(),
            group_start: None,
            in_effect: false,
            orphans: true,
        }
    }

    /// Where the log is to end if nothing more comes: before the group that is open, if one is.
    fn safe_end(&self, link: usize, at: usize) -> (usize, usize) {
        self.group_start
            .map_or((link, at), |(link, at, _)| (link, at))
    }

    /// Walks one segment. O(bytes): about a copy-free CRC per frame.
    pub fn segment(
        &mut self,
        number: usize,
        link: &Link,
        bytes: &[u8],
        index: &mut Index,
        sink: &mut Sink<'_>,
    ) -> Stop {
        let sequence = link.header.sequence;
        let seed = Seed::of_segment(sequence);
        let mut at = DATA_START as usize;
        let (mut batch_start, mut batch_end) = (at, at);
        let mut batch = link.header.first_batch;
        macro_rules! flaw {
            ($why:expr) => {
                return Stop::Flaw(Flaw {
                    link: number,
                    offset: at,
                    batch,
                    batch_start,
                    batch_end,
                    why: $why,
                })
            };
        }
        if link.header.first_counter != self.next_counter {
            at = 0;
            flaw!("the counters do not follow those of the segment before");
        }
        loop {
            if at == batch_end {
                batch_start = at;
                batch = self.next_batch.max(link.header.first_batch);
            }
            if link.end.is_some() && at == bytes.len() {
                return Stop::End(at);
            }
            let decoded = frame::decode(seed, bytes.get(at..).unwrap_or(&[]));
            let Decoded::Frame { flags, payload } = decoded else {
                if at != batch_end {
                    flaw!("a frame inside a batch is unreadable");
                }
                if link.end.is_some() {
                    flaw!("a batch is unreadable");
                }
                if frame::find_mark(seed, bytes, at).is_some() {
                    flaw!("a batch is unreadable, later ones are there");
                }
                return Stop::End(at);
            };
            let end = at + HEADER_BYTES + payload.len();
            if flags.has(Flags::CONTROL) {
                let Some(mark) = Mark::decode(payload) else {
                    flaw!("an unknown mark")
                };
                if at != batch_end {
                    flaw!("a mark inside a batch");
                }
                batch = mark.batch;
                match mark.kind {
                    MarkKind::Batch => {
                        if mark.batch != self.next_batch.max(link.header.first_batch) {
                            flaw!("a batch is missing");
                        }
                        if mark.first_counter != self.next_counter {
                            flaw!("the effects' counters are not dense");
                        }
                        self.batches += 1;
                        self.next_batch = mark.batch + 1;
                        batch_end = at + mark.bytes as usize;
                        // A recovery may have cut the segment inside this batch.
                        if link.end.is_some() {
                            batch_end = batch_end.min(bytes.len());
                        }
                        at = end;
                    }
                    MarkKind::Skip => {
                        self.abandon();
                        self.skipped += 1;
                        self.next_counter = mark.first_counter;
                        self.next_batch = mark.batch + 1;
                        at = (at + mark.bytes as usize).min(bytes.len());
                        batch_end = at;
                    }
                }
                continue;
            }
            if end > batch_end {
                flaw!("an effect stands behind its batch");
            }
            if let Err(why) = self.effect(number, sequence, at, flags, payload, index, sink) {
                match why {
                    Err(error) => return Stop::Sink(error),
                    Ok(why) => flaw!(why),
                }
            }
            at = end;
        }
    }

    /// Drops the open group, whose end is lost.
    fn abandon(&mut self) {
        self.group.clear();
        self.arena.clear();
        self.group_start = None;
        self.in_effect = false;
        self.orphans = true;
    }

    /// Takes an effect frame. An error is either what is wrong with it, or the sink's.
    #[allow(
        clippy::too_many_arguments,
        reason = "one frame and its place, on the hot path"
    )]
    #[inline]
    fn effect(
        &mut self,
        link: usize,
        sequence: u64,
        at: usize,
        flags: Flags,
        payload: &[u8],
        index: &mut Index,
        sink: &mut Sink<'_>,
    ) -> Result<(), Result<&'static str, RecoverError>> {
        let continued = flags.has(Flags::CONTINUED);
        if continued != self.in_effect {
            if continued && self.orphans {
                return Ok(());
            }
            return Err(Ok("an effect's fragments do not follow each other"));
        }
        let lsn = Lsn::at(sequence, at as u32);
        let mut counter = self.next_counter;
        if !continued {
            self.orphans = false;
            index.note(counter, at as u32);
            self.next_counter += 1;
            if self.group_start.is_none()
                && !flags.has(Flags::MORE_FRAGMENTS)
                && !flags.has(Flags::MORE_IN_GROUP)
            {
                return self.hand_out(counter, lsn, payload, sink).map_err(Err);
            }
            self.group_start.get_or_insert((link, at, counter));
            self.group.push(Pending {
                counter,
                lsn,
                start: self.arena.len(),
            });
        }
        self.arena.extend_from_slice(payload);
        self.in_effect = flags.has(Flags::MORE_FRAGMENTS);
        if self.in_effect || flags.has(Flags::MORE_IN_GROUP) {
            return Ok(());
        }
        let (group, arena) = (
            std::mem::take(&mut self.group),
            std::mem::take(&mut self.arena),
        );
        self.group_start = None;
        let ends = group
            .iter()
            .skip(1)
            .map(|next| next.start)
            .chain([arena.len()]);
        for (effect, end) in group.iter().zip(ends) {
            counter = effect.counter;
            self.hand_out(counter, effect.lsn, &arena[effect.start..end], sink)
                .map_err(Err)?;
        }
        Ok(())
    }

    #[inline]
    fn hand_out(
        &mut self,
        counter: u64,
        lsn: Lsn,
        effect: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), RecoverError> {
        self.effects += 1;
        self.bytes += effect.len() as u64;
        sink(counter, lsn, effect).map_err(|why| RecoverError::Sink { counter, why })
    }
}

/// Whether anything behind the flaw says that its batch was durable; and the end of the last batch
/// of the flaw's segment, for the report.
pub(super) fn was_durable(
    links: &[Link],
    flaw: &Flaw,
    bytes: &[u8],
) -> Result<(bool, usize), RecoverError> {
    let mut last_end = flaw.batch_end.max(flaw.offset).min(bytes.len());
    let mut durable = false;
    let mut marks = |sequence: u64, bytes: &[u8], mut from: usize| {
        let mut end = 0;
        while let Some((at, mark)) = frame::find_mark(Seed::of_segment(sequence), bytes, from) {
            durable |= mark.durable_batch >= flaw.batch;
            end = at + mark.bytes as usize;
            from = at + MARK_BYTES;
        }
        end
    };
    // From the flaw's own first byte: at a missing batch, the mark that stands there is evidence.
    let end = marks(links[flaw.link].header.sequence, bytes, flaw.offset);
    last_end = last_end.max(end.min(bytes.len()));
    for link in &links[flaw.link + 1..] {
        if link.header.durable_batch >= flaw.batch {
            return Ok((true, last_end));
        }
        marks(link.header.sequence, &load(link)?, DATA_START as usize);
    }
    Ok((durable, last_end))
}

/// What the log continues from.
#[derive(Debug)]
pub(super) struct Found {
    pub segments: Vec<Segment>,
    pub report: Recovered,
    next_counter: u64,
    next_batch: u64,
    last_sequence: u64,
    previous: (u64, u32),
    not_begun: Vec<u64>,
    cut_off: Vec<u64>,
}

/// Reads the log in `dir` and hands every effect of a complete group to `sink`.
pub(super) fn recover(
    dir: &Path,
    owner: Owner,
    sink: &mut Sink<'_>,
) -> Result<Found, RecoverError> {
    std::fs::create_dir_all(dir).map_err(io_at(dir))?;
    let Chain {
        mut links,
        not_begun,
        mut cut_off,
        last_sequence,
    } = chain(dir, Some(owner))?;
    let mut scan = Scan::new(links.first().map(|link| &link.header));
    let mut segments: Vec<Segment> = Vec::new();
    let mut end = (0, DATA_START as usize);
    let mut cut = None;
    for (number, link) in links.iter().enumerate() {
        let bytes = load(link)?;
        let mut index = Index::default();
        let stop = scan.segment(number, link, &bytes, &mut index, sink);
        let file = segment::open_direct(&link.path).map_err(io_at(&link.path))?;
        let file_bytes = file.metadata().map_err(io_at(&link.path))?.len() as u32;
        let sequence = link.header.sequence;
        segments.push(Segment {
            sequence,
            file: Some(file.into()),
            file_bytes,
            end: 0,
            index,
        });
        let (at, last_end) = match stop {
            Stop::Sink(error) => return Err(error),
            Stop::End(at) => (at, at),
            Stop::Flaw(flaw) => {
                let (durable, last_end) = was_durable(&links, &flaw, &bytes)?;
                if durable {
                    return Err(RecoverError::Damaged {
                        file: link.path.clone(),
                        offset: flaw.offset as u64,
                        why: flaw.why.into(),
                    });
                }
                // A batch that lost its tail keeps its number; the next one must not take it.
                scan.next_batch = scan.next_batch.max(flaw.batch + 1);
                cut = Some(last_end);
                (flaw.offset.max(DATA_START as usize), last_end)
            }
        };
        segments[number].end = at as u32;
        end = scan.safe_end(number, at);
        if cut.is_some() || (number + 1 == links.len() && end != (number, at)) {
            cut = Some(last_end);
            break;
        }
    }

    let mut report = Recovered {
        effects: scan.effects,
        bytes: scan.bytes,
        segments: links.len(),
        cut: None,
    };
    if let Some(last_end) = cut {
        let behind: u64 = segments[end.0 + 1..]
            .iter()
            .map(|s| u64::from(s.end - DATA_START))
            .sum();
        let here = if end.0 + 1 == segments.len() {
            last_end
        } else {
            segments[end.0].end as usize
        };
        report.cut = Some(Cut {
            file: links[end.0].path.clone(),
            offset: end.1 as u64,
            bytes: (here.saturating_sub(end.1)) as u64 + behind,
            effects: scan.group.len() as u64 - u64::from(scan.in_effect),
        });
        let counter = scan
            .group_start
            .map_or(scan.next_counter, |(_, _, counter)| counter);
        scan.next_counter = counter;
    }
    if !links.is_empty() {
        cut_off.extend(links.drain(end.0 + 1..).map(|link| link.header.sequence));
        segments.truncate(end.0 + 1);
        segments[end.0].end = end.1 as u32;
        segments[end.0].index.cut(scan.next_counter);
    }
    // Segments without a frame are not worth a link in the chain.
    while segments
        .last()
        .is_some_and(|segment| segment.end <= DATA_START)
    {
        cut_off.extend(segments.pop().map(|segment| segment.sequence));
    }
    Ok(Found {
        previous: segments
            .last()
            .map_or((0, 0), |segment| (segment.sequence, segment.end)),
        segments,
        report,
        next_counter: scan.next_counter,
        next_batch: scan.next_batch,
        last_sequence,
        not_begun,
        cut_off,
    })
}

/// Begins a new segment behind what was found: from here on, the cut is real.
///
/// The order makes each crash harmless: what was read is flushed (after a kill it may be in the page
/// cache only) before a header calls it durable; the header is durable before what it cuts off goes.
pub(super) fn begin(
    dir: &Path,
    owner: Owner,
    segment_bytes: u32,
    found: &Found,
) -> Result<(Header, File), RecoverError> {
    let at_dir = || io_at(dir);
    for segment in &found.segments {
        if let Some(file) = &segment.file {
            file.sync_data()
                .map_err(io_at(&segment::path(dir, segment.sequence)))?;
        }
    }
    for unfinished in segment::list(dir).map_err(at_dir())?.unfinished {
        std::fs::remove_file(&unfinished).map_err(io_at(&unfinished))?;
    }
    for sequence in &found.not_begun {
        preparer::retire(dir, *sequence, usize::MAX).map_err(at_dir())?;
    }
    let sequence = found.last_sequence + 1;
    let file = preparer::prepare(dir, sequence, segment_bytes.into(), |path| {
        preparer::plain_prewrite(path, START_BYTES.min(segment_bytes).into())
    })
    .map_err(at_dir())?;
    let header = Header {
        owner,
        sequence,
        previous: found.previous.0,
        previous_end: found.previous.1,
        first_counter: found.next_counter,
        first_batch: found.next_batch,
        durable_batch: found.next_batch - 1,
    };
    let path = segment::path(dir, sequence);
    file.write_all_at(&header.encode(), 0)
        .map_err(io_at(&path))?;
    file.sync_all().map_err(io_at(&path))?;
    if let Some(parent) = dir.parent() {
        segment::sync_dir(parent).map_err(io_at(parent))?;
    }
    for sequence in &found.cut_off {
        preparer::retire(dir, *sequence, 1).map_err(at_dir())?;
    }
    Ok((header, file))
}
