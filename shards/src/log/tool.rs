//! Offline tools: look at a log, check it, repair it. For a log that no process serves from (the
//! caller holds the data directory's lock).
//!
//! `inspect` and `verify` only read. `repair` copies each file that it changes to `*.damaged` first.
//! The rule kept: after a repair the log opens, every effect that it gives was written by the log, and
//! what was given up is in the report and in the copies.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use causet_proto::frame::{self, MARK_BYTES, Mark, MarkKind, Seed};

use super::index::Index;
use super::recover::{self, Chain, Flaw, Link, Scan, Stop};
use super::segment::{self, DATA_START, Lsn, sync_dir};

/// One segment in a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its file.
    pub file: PathBuf,
    /// Its sequence number.
    pub sequence: u64,
    /// The counter of the first effect that begins in it.
    pub first_counter: u64,
    /// Effects that begin in it.
    pub effects: u64,
    /// Group commits in it.
    pub batches: u64,
    /// Where its frames end.
    pub bytes: u64,
}

/// A place that does not read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment file.
    pub file: PathBuf,
    /// The offset of the first bad frame.
    pub offset: u64,
    /// What is wrong.
    pub why: String,
    /// Whether it was durable before: if not, it is a torn tail, which the server cuts by itself.
    pub was_durable: bool,
}

/// What a tool saw and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The segments in order, up to the first damage.
    pub segments: Vec<SegmentReport>,
    /// The first damage.
    pub damage: Option<Damage>,
    /// What a repair did, a sentence each.
    pub actions: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            writeln!(
                out,
                "segment {:016x}: {} effects from counter {}, {} batches, {} bytes",
                segment.sequence,
                segment.effects,
                segment.first_counter,
                segment.batches,
                segment.bytes
            )?;
        }
        if let Some(damage) = &self.damage {
            let kind = if damage.was_durable {
                "DAMAGED"
            } else {
                "torn tail"
            };
            writeln!(
                out,
                "{kind}: {} offset {}: {}",
                damage.file.display(),
                damage.offset,
                damage.why
            )?;
        }
        for action in &self.actions {
            writeln!(out, "{action}")?;
        }
        Ok(())
    }
}

/// Reads the log in `dir` and gives each effect of a complete group to `show`, up to the first damage.
///
/// # Errors
/// What the system says, or files of another format version or a hole in the chain.
pub fn inspect(dir: &Path, show: &mut dyn FnMut(u64, Lsn, &[u8])) -> io::Result<Report> {
    let chain = recover::chain(dir, None).map_err(io::Error::other)?;
    Ok(scan(&chain, show)?.0)
}

/// As [`inspect`], without looking at the effects.
///
/// # Errors
/// As [`inspect`].
pub fn verify(dir: &Path) -> io::Result<Report> {
    inspect(dir, &mut |_, _, _| {})
}

/// The first flaw, and the bytes of its segment.
type Found = (Flaw, Vec<u8>);

fn scan(
    chain: &Chain,
    show: &mut dyn FnMut(u64, Lsn, &[u8]),
) -> io::Result<(Report, Option<Found>)> {
    let mut report = Report::default();
    let mut scan = Scan::new(chain.links.first().map(|link| &link.header));
    for (number, link) in chain.links.iter().enumerate() {
        let bytes = recover::load(link).map_err(io::Error::other)?;
        let (counter, batches) = (scan.next_counter, scan.batches);
        let mut sink = |counter: u64, lsn: Lsn, effect: &[u8]| {
            show(counter, lsn, effect);
            Ok(())
        };
        let stop = scan.segment(number, link, &bytes, &mut Index::default(), &mut sink);
        let (end, flaw) = match stop {
            Stop::End(end) => (end, None),
            Stop::Flaw(flaw) => (flaw.offset, Some(flaw)),
            Stop::Sink(error) => return Err(io::Error::other(error)),
        };
        report.segments.push(SegmentReport {
            file: link.path.clone(),
            sequence: link.header.sequence,
            first_counter: link.header.first_counter,
            effects: scan.next_counter.saturating_sub(counter),
            batches: scan.batches - batches,
            bytes: end as u64,
        });
        if let Some(flaw) = flaw {
            let (was_durable, _) =
                recover::was_durable(&chain.links, &flaw, &bytes).map_err(io::Error::other)?;
            let (offset, why) = (flaw.offset as u64, flaw.why.to_owned());
            report.damage = Some(Damage {
                file: link.path.clone(),
                offset,
                why,
                was_durable,
            });
            return Ok((report, Some((flaw, bytes))));
        }
    }
    Ok((report, None))
}

/// Makes the log in `dir` open again. Without `skip`, the log is cut at the first damage: all behind
/// it is given up. With `skip`, only the damaged batches are, and groups that reach into them. Files
/// that are changed or taken out of the log are kept as `*.damaged`.
///
/// # Errors
/// What the system says; a destroyed header and a hole in the chain cannot be repaired with `skip`.
pub fn repair(dir: &Path, skip: bool) -> io::Result<Report> {
    let mut actions = Vec::new();
    loop {
        let chain = match recover::chain(dir, None) {
            Ok(chain) => chain,
            Err(recover::RecoverError::Damaged { file, .. }) if !skip => {
                // Without its header a segment hangs nowhere.
                actions.push(set_aside(dir, &file)?);
                continue;
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        let (report, flaw) = scan(&chain, &mut |_, _, _| {})?;
        let torn = report
            .damage
            .as_ref()
            .is_none_or(|damage| !damage.was_durable);
        let Some((flaw, bytes)) = flaw.filter(|_| !torn) else {
            return Ok(Report { actions, ..report });
        };
        let link = &chain.links[flaw.link];
        match skip_mark(&chain.links, &flaw, &bytes).filter(|_| skip) {
            Some((at, mark)) => {
                actions.push(back_up(&link.path)?);
                let seed = Seed::of_segment(link.header.sequence);
                overwrite(&link.path, at as u64, &mark.encode(seed))?;
                let (path, bytes) = (link.path.display(), mark.bytes);
                actions.push(format!("{path}: gave up {bytes} bytes at offset {at}"));
            }
            None => {
                for later in chain.links[flaw.link + 1..].iter().rev() {
                    actions.push(set_aside(dir, &later.path)?);
                }
                actions.push(back_up(&link.path)?);
                let at = flaw.offset.max(DATA_START as usize);
                let len = std::fs::metadata(&link.path)?.len() as usize;
                overwrite(&link.path, at as u64, &vec![0; len.saturating_sub(at)])?;
                actions.push(format!("{}: cut at offset {at}", link.path.display()));
            }
        }
    }
}

/// The mark that passes over the damaged batch: up to the next readable mark, or to the segment's end
/// if a later segment tells how the counters go on.
fn skip_mark(links: &[Link], flaw: &Flaw, bytes: &[u8]) -> Option<(usize, Mark)> {
    let seed = Seed::of_segment(links[flaw.link].header.sequence);
    let at = flaw.batch_start.max(DATA_START as usize);
    // A batch that stands where another was expected is itself readable: nothing to pass over.
    let search = flaw.offset.max(at + 1);
    let (end, batch, first_counter) = match frame::find_mark(seed, bytes, search) {
        Some((end, mark)) if mark.kind == MarkKind::Batch => (end, mark.batch, mark.first_counter),
        _ => {
            let next = &links.get(flaw.link + 1)?.header;
            (bytes.len(), next.first_batch, next.first_counter)
        }
    };
    let len = end.checked_sub(at).filter(|len| *len >= MARK_BYTES)?;
    let batch = batch.checked_sub(1)?;
    Some((
        at,
        Mark {
            kind: MarkKind::Skip,
            batch,
            durable_batch: 0,
            first_counter,
            bytes: len as u64,
        },
    ))
}

fn damaged_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}

/// Copies a file once; the first copy is the one from before any repair.
fn back_up(path: &Path) -> io::Result<String> {
    let copy = damaged_name(path);
    if !copy.exists() {
        std::fs::copy(path, &copy)?;
        File::open(&copy)?.sync_all()?;
        sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(format!("{} keeps the bytes as they were", copy.display()))
}

fn set_aside(dir: &Path, path: &Path) -> io::Result<String> {
    let aside = damaged_name(path);
    std::fs::rename(path, &aside)?;
    segment::sync_dir(dir)?;
    Ok(format!("{}: taken out of the log", aside.display()))
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(bytes, offset)?;
    file.sync_all()
}
