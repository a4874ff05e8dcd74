//! The log as a whole, on a disk that crashes, fills and fails.

use std::path::Path;

use proptest::prelude::*;

use super::fault::{Fault, FaultIo};
use super::*;

const SEGMENT: u32 = 1 << 20;

fn options(fsync: Fsync) -> Options {
    Options {
        segment_bytes: SEGMENT,
        fsync,
        ready_ahead: 1,
        ..Options::new(7, 0)
    }
}

type Effects = Vec<(u64, Vec<u8>)>;

fn try_open(dir: &Path, fsync: Fsync) -> Result<(Log, Recovered, Effects), RecoverError> {
    let mut effects = Vec::new();
    let (log, report) = Log::open(
        dir,
        options(fsync),
        Client::inline(),
        &mut |counter, _, bytes| {
            effects.push((counter, bytes.to_vec()));
            Ok(())
        },
    )?;
    Ok((log, report, effects))
}

fn open(dir: &Path, fsync: Fsync) -> (Log, Recovered, Effects) {
    try_open(dir, fsync).unwrap()
}

fn pump(log: &mut Log, io: &mut FaultIo, now_ns: u64) {
    log.tick(now_ns, io);
    while let Some((op, result, buf)) = io.completion() {
        assert!(log.on_complete(op, result, buf, io));
    }
}

/// Writes and flushes all, at a time when every retry is due.
fn settle(log: &mut Log, io: &mut FaultIo, now_ns: &mut u64) {
    let end = log.request_flush();
    for _ in 0..100 {
        *now_ns += 200_000_000;
        pump(log, io, *now_ns);
        if log.durable_lsn() >= end {
            return;
        }
    }
    panic!("the log does not settle: {log:?}");
}

fn put(log: &mut Log, more: bool, bytes: &[u8]) -> Lsn {
    log.append(more, |record| record.put(bytes))
}

fn effect(counter: u64, len: usize) -> Vec<u8> {
    (0..len.max(8))
        .map(|at| (counter as usize * 31 + at * 7) as u8)
        .collect()
}

fn read_cold(log: &Log, counter: u64) -> Option<Vec<u8>> {
    let Locate::At(mut read) = log.locate(counter) else {
        return None;
    };
    let mut progress = read.start();
    let mut io = BlockingIo::new();
    loop {
        match progress {
            Progress::Found(bytes) => return Some(bytes),
            Progress::Lost => return None,
            Progress::Read(request) => {
                let buf = AlignedBuf::with_capacity(request.len);
                io.read(request.file(), buf, request.offset, request.len);
                progress = read.on_read(&io.completion().unwrap().2.unwrap());
            }
        }
    }
}

fn segment_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let listing = segment::list(dir).unwrap();
    listing
        .segments
        .iter()
        .map(|sequence| segment::path(dir, *sequence))
        .collect()
}

#[test]
fn what_was_durable_comes_back_over_segments_and_reopens() {
    let dir = tempfile::tempdir().unwrap();
    let (mut io, mut now, mut model) = (FaultIo::default(), 0, Effects::new());
    for round in 0..3 {
        let (mut log, report, effects) = open(dir.path(), Fsync::Always);
        assert_eq!(effects, model, "round {round}");
        assert_eq!(report.cut, None);
        for step in 0..400_u64 {
            let counter = log.next_counter();
            let len = if step == 200 {
                3_300_000
            } else {
                (step * 97 % 9000) as usize
            };
            let bytes = effect(counter, len);
            put(&mut log, false, &bytes);
            model.push((counter, bytes));
            if step % 7 == 0 {
                pump(&mut log, &mut io, now);
            }
        }
        settle(&mut log, &mut io, &mut now);
        for (counter, bytes) in &model {
            assert_eq!(
                read_cold(&log, *counter).as_ref(),
                Some(bytes),
                "counter {counter}"
            );
        }
    }
}

#[test]
fn a_new_log_begins_in_a_small_segment_and_goes_on_in_full_ones() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes: 8 << 20,
        ..options(Fsync::EverySec)
    };
    let (mut io, mut now) = (FaultIo::default(), 0);
    for round in 0..2 {
        let mut recovered = 0;
        let (mut log, ..) = Log::open(
            dir.path(),
            options.clone(),
            Client::inline(),
            &mut |counter, _, bytes| {
                assert_eq!(bytes, effect(counter, 1000));
                recovered += 1;
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(recovered, round * 15_000);
        for _ in 0..15_000 {
            let bytes = effect(log.next_counter(), 1000);
            put(&mut log, false, &bytes);
            pump(&mut log, &mut io, now);
        }
        settle(&mut log, &mut io, &mut now);
        let first = std::fs::metadata(&segment_files(dir.path())[0]).unwrap();
        assert_eq!(first.len(), 4 << 20);
        let small = log.stats().segments as u64 * (8 << 20) - log.stats().disk_bytes;
        assert_eq!(small, 4 << 20, "only the first is small");
    }
}

#[test]
fn a_tail_torn_at_any_byte_keeps_every_earlier_effect() {
    let dir = tempfile::tempdir().unwrap();
    let (mut io, mut now) = (FaultIo::default(), 0);
    let (mut log, ..) = open(dir.path(), Fsync::Always);
    for _ in 0..3 {
        let bytes = effect(log.next_counter(), 60);
        put(&mut log, false, &bytes);
        settle(&mut log, &mut io, &mut now);
    }
    let end = log.durable_lsn().offset() as usize;
    drop(log);
    let path = segment_files(dir.path())[0].clone();
    let whole = std::fs::read(&path).unwrap();
    let last_batch = end - 60 - 8 - causet_proto::frame::MARK_BYTES;
    for cut in (last_batch..end).step_by(3) {
        let mut torn = whole.clone();
        torn[cut..end].fill(0);
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join(path.file_name().unwrap()), &torn).unwrap();
        let (_, _, effects) = open(copy.path(), Fsync::Always);
        assert_eq!(effects.len(), 2, "cut at {cut}");
        // The cut holds at the next start too.
        assert_eq!(open(copy.path(), Fsync::Always).2.len(), 2);
    }
}

#[test]
fn a_flipped_bit_in_a_durable_region_stops_the_start_and_repair_helps() {
    let dir = tempfile::tempdir().unwrap();
    let (mut io, mut now) = (FaultIo::default(), 0);
    let (mut log, ..) = open(dir.path(), Fsync::Always);
    for _ in 0..4 {
        let bytes = effect(log.next_counter(), 30);
        put(&mut log, false, &bytes);
        settle(&mut log, &mut io, &mut now);
    }
    drop(log);
    let path = segment_files(dir.path())[0].clone();
    let whole = std::fs::read(&path).unwrap();
    let batch = 30 + 8 + causet_proto::frame::MARK_BYTES;
    for at in (4096..4096 + 3 * batch).step_by(5) {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        let copy = tempfile::tempdir().unwrap();
        let file = copy.path().join(path.file_name().unwrap());
        std::fs::write(&file, &flipped).unwrap();
        let error = try_open(copy.path(), Fsync::Always).unwrap_err();
        assert!(
            matches!(error, RecoverError::Damaged { .. }),
            "byte {at}: {error}"
        );
        assert!(
            tool::verify(copy.path())
                .unwrap()
                .damage
                .unwrap()
                .was_durable
        );
        let skip = at % 2 == 0;
        tool::repair(copy.path(), skip).unwrap();
        let (_, _, effects) = open(copy.path(), Fsync::Always);
        let lost = (at - 4096) / batch;
        let expected = if skip { 3 } else { lost };
        assert_eq!(effects.len(), expected, "byte {at}, skip {skip}");
        assert!(
            copy.path()
                .join(format!(
                    "{}.damaged",
                    file.file_name().unwrap().to_str().unwrap()
                ))
                .exists()
        );
    }
}

#[test]
fn a_group_is_there_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let (mut io, mut now) = (FaultIo::default(), 0);
    let (mut log, ..) = open(dir.path(), Fsync::Always);
    put(&mut log, false, b"alone");
    put(&mut log, true, b"first");
    put(&mut log, true, b"second");
    settle(&mut log, &mut io, &mut now);
    drop(log);
    let (mut log, report, effects) = open(dir.path(), Fsync::Always);
    assert_eq!(effects, [(1, b"alone".to_vec())]);
    assert_eq!(report.cut.unwrap().effects, 2);
    assert_eq!(log.next_counter(), 2);
    put(&mut log, true, b"third");
    put(&mut log, false, b"fourth");
    settle(&mut log, &mut io, &mut now);
    drop(log);
    let (_, report, effects) = open(dir.path(), Fsync::Always);
    let expected = [
        (1, b"alone".to_vec()),
        (2, b"third".to_vec()),
        (3, b"fourth".to_vec()),
    ];
    assert_eq!(effects, expected);
    assert_eq!(report.cut, None);
}

#[test]
fn a_full_or_failing_disk_loses_nothing_and_the_log_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (mut io, mut now) = (FaultIo::default(), 0);
    let (mut log, ..) = open(dir.path(), Fsync::Always);
    let mut model = Effects::new();
    for fault in [
        Fault::Errno(libc::ENOSPC),
        Fault::Errno(libc::EIO),
        Fault::Torn(5000, libc::EIO),
        Fault::Short(4096),
        Fault::Short(100),
    ] {
        for _ in 0..20 {
            let bytes = effect(log.next_counter(), 1000);
            model.push((log.next_counter(), bytes.clone()));
            put(&mut log, false, &bytes);
        }
        let before = log.durable_lsn();
        io.faults.push_back(fault);
        pump(&mut log, &mut io, now);
        if !matches!(fault, Fault::Short(4096)) {
            assert!(log.refusal().is_some(), "{fault:?}");
            assert_eq!(log.durable_lsn(), before);
            pump(&mut log, &mut io, now + 1);
            assert!(log.refusal().is_some(), "not before 100 ms");
        }
        settle(&mut log, &mut io, &mut now);
        assert!(log.refusal().is_none());
    }
    drop(log);
    assert_eq!(open(dir.path(), Fsync::Always).2, model);
}

#[test]
fn a_failed_flush_rewrites_what_it_may_have_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mut io, mut now) = (FaultIo::default(), 0);
    let (mut log, ..) = open(dir.path(), Fsync::EverySec);
    let mut model = Effects::new();
    for _ in 0..5 {
        let bytes = effect(log.next_counter(), 700);
        model.push((log.next_counter(), bytes.clone()));
        put(&mut log, false, &bytes);
        now += 20_000_000;
        pump(&mut log, &mut io, now);
    }
    assert!(log.written_lsn() > log.durable_lsn());
    io.faults.push_back(Fault::LostFlush(libc::EIO));
    now += 2_000_000_000;
    pump(&mut log, &mut io, now);
    settle(&mut log, &mut io, &mut now);
    io.power_loss(|| true);
    drop(log);
    assert_eq!(open(dir.path(), Fsync::EverySec).2, model);
}

#[test]
fn compaction_retires_the_oldest_segment_only_after_its_live_effects_moved() {
    let dir = tempfile::tempdir().unwrap();
    let (mut io, mut now) = (FaultIo::default(), 0);
    let (mut log, ..) = open(dir.path(), Fsync::Always);
    for _ in 0..6000 {
        let bytes = effect(log.next_counter(), 1000);
        put(&mut log, false, &bytes);
        pump(&mut log, &mut io, now);
    }
    assert!(log.needs_compaction(1000));
    let (mut moved, mut rounds) = (Vec::new(), 0);
    while log.needs_compaction(1000) {
        rounds += 1;
        let mut compactor = Compactor::start(&log).unwrap();
        loop {
            let step = compactor.step(&mut log, 10_000, &mut |log, effects| {
                for (counter, bytes) in effects.iter() {
                    assert_eq!(bytes, effect(counter, 1000));
                    if counter % 500 == 0 && counter < 6000 {
                        put(log, false, bytes);
                        moved.push(bytes.to_vec());
                    }
                }
            });
            match step {
                Step::Read(request) => {
                    let mut disk = BlockingIo::new();
                    let buf = AlignedBuf::with_capacity(request.len);
                    disk.read(request.file(), buf, request.offset, request.len);
                    compactor.on_read(&disk.completion().unwrap().2.unwrap());
                }
                Step::Ready => pump(&mut log, &mut io, now),
                Step::Finished => break,
                Step::Damaged => panic!("damaged"),
            }
        }
        settle(&mut log, &mut io, &mut now);
    }
    assert!(rounds >= 2 && !moved.is_empty());
    assert!(matches!(log.locate(1), Locate::Gone));
    drop(log);
    let (_, _, effects) = open(dir.path(), Fsync::Always);
    assert!(effects[0].0 > 1000);
    assert!(
        moved
            .iter()
            .all(|bytes| effects.iter().any(|(_, found)| found == bytes))
    );
}

#[test]
fn a_hole_in_the_chain_and_a_foreign_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut io, mut now) = (FaultIo::default(), 0);
    let (mut log, ..) = open(dir.path(), Fsync::Always);
    for _ in 0..3000 {
        let bytes = effect(log.next_counter(), 1000);
        put(&mut log, false, &bytes);
    }
    settle(&mut log, &mut io, &mut now);
    drop(log);
    let mut sink = |_: u64, _: Lsn, _: &[u8]| Ok(());
    let foreign = Options {
        node: 8,
        ..options(Fsync::Always)
    };
    let error = Log::open(dir.path(), foreign, Client::inline(), &mut sink).unwrap_err();
    assert!(matches!(error, RecoverError::Foreign { node: 7, .. }));
    std::fs::remove_file(&segment_files(dir.path())[1]).unwrap();
    let error = try_open(dir.path(), Fsync::Always).unwrap_err();
    assert!(matches!(error, RecoverError::Missing { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Random traffic, power losses and reopens: every durable effect is there, in order, and
    /// nothing else is.
    #[test]
    fn no_crash_loses_durable_effects_or_invents_any(
        rounds in prop::collection::vec(
            (prop::collection::vec((0_usize..60_000, any::<bool>()), 1..60), 0_u8..3, any::<u64>()),
            1..5,
        )
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Effects::new();
        for (steps, policy, seed) in rounds {
            let policy = [Fsync::Always, Fsync::EverySec, Fsync::No][usize::from(policy)];
            let (mut io, mut now) = (FaultIo::default(), 0);
            let (mut log, _, effects) = open(dir.path(), policy);
            prop_assert_eq!(&effects, &model);
            let mut appended = Vec::new();
            let mut random = seed | 1;
            let mut next = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random
            };
            for (len, lone) in steps {
                let counter = log.next_counter();
                // Distinct from whatever another incarnation wrote under the same counter.
                let mut bytes = effect(counter, len);
                bytes[..8].copy_from_slice(&next().to_le_bytes());
                let lsn = put(&mut log, !lone, &bytes);
                appended.push((lsn, lone, counter, bytes));
                now += 4_000_000;
                if next().is_multiple_of(3) {
                    pump(&mut log, &mut io, now);
                }
                if next().is_multiple_of(40) {
                    settle(&mut log, &mut io, &mut now);
                }
            }
            let durable = log.durable_lsn();
            io.power_loss(|| next().is_multiple_of(2));
            drop(log);
            let (_, _, effects) = open(dir.path(), policy);
            // Whole groups only, at least up to the last durable one.
            let grown = effects.len() - model.len().min(effects.len());
            prop_assert!(effects.starts_with(&model));
            prop_assert!(grown <= appended.len());
            prop_assert!(grown == 0 || appended[grown - 1].1, "a group was torn");
            let last = appended.iter().rposition(|(lsn, lone, ..)| *lone && *lsn <= durable);
            prop_assert!(grown >= last.map_or(0, |last| last + 1), "a durable effect is missing");
            for (found, (_, _, counter, bytes)) in effects[model.len()..].iter().zip(&appended) {
                prop_assert_eq!(found, &(*counter, bytes.clone()));
            }
            model = effects;
        }
    }
}
