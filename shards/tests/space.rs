//! More data than memory, more history than data, and a disk that is full.

mod common;

use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::*;
use redis::Connection;

const COLD_KEYS: u64 = 4000;
const COLD_BYTES: usize = 10_000;

/// The value of a key in these tests: long, and different for each key and version.
fn value(key: u64, version: u64, bytes: usize) -> String {
    let mut text = format!("{key}.{version}.");
    while text.len() < bytes {
        text.push_str(&(key * 31 + version * 17 + text.len() as u64).to_string());
    }
    text.truncate(bytes);
    text
}

fn set_all(connection: &mut Connection, keys: impl Iterator<Item = u64>, version: u64) {
    let keys: Vec<u64> = keys.collect();
    for part in keys.chunks(100) {
        let mut pipe = redis::pipe();
        for &key in part {
            let value = value(key, version, COLD_BYTES);
            pipe.cmd("SET")
                .arg(format!("key:{key}"))
                .arg(value)
                .ignore();
        }
        pipe.exec(connection).expect("SET");
    }
}

/// Reads every key in a pipelined, scattered order.
fn expect_all(connection: &mut Connection, model: &HashMap<u64, u64>) {
    let mut keys: Vec<u64> = model.keys().copied().collect();
    keys.sort_by_key(|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for part in keys.chunks(64) {
        let mut pipe = redis::pipe();
        for key in part {
            pipe.cmd("GET").arg(format!("key:{key}"));
        }
        let got: Vec<Option<String>> = pipe.query(connection).expect("GET");
        for (key, got) in part.iter().zip(got) {
            let expected = value(*key, model[key], COLD_BYTES);
            assert!(
                got.as_ref() == Some(&expected),
                "key:{key} is wrong: {:.60?}",
                got
            );
        }
    }
}

#[test]
fn a_data_set_larger_than_memory_is_read_back_right() {
    for (shards, policy) in [("1", "everysec"), ("3", "always")] {
        let args = [
            "--shards",
            shards,
            "--maxmemory",
            "8mb",
            "--appendfsync",
            policy,
        ];
        let mut server = Server::start(&args);
        let mut connection = server.connect();
        set_all(&mut connection, 0..COLD_KEYS, 0);
        let mut model: HashMap<u64, u64> = (0..COLD_KEYS).map(|key| (key, 0)).collect();
        wait_until("values to leave memory", || {
            info(&mut connection, "causet_cold_keys")
                .parse::<u64>()
                .expect("a number")
                > 1000
        });
        expect_all(&mut connection, &model);
        assert!(server.figure("causet_cold_reads") > 1000);
        assert_eq!(server.figure("evicted_keys"), 0);

        // Overwritten and deleted while cold.
        set_all(&mut connection, (0..COLD_KEYS).step_by(5), 1);
        for key in (0..COLD_KEYS).step_by(5) {
            model.insert(key, 1);
        }
        for key in (1..COLD_KEYS).step_by(5) {
            assert_eq!(ask::<u64>(&mut connection, &format!("DEL key:{key}")), 1);
            model.remove(&key);
        }
        expect_all(&mut connection, &model);
        assert_eq!(ask::<usize>(&mut connection, "DBSIZE"), model.len());

        // Many keys of many shards in one command.
        let some: Vec<u64> = model.keys().copied().take(200).collect();
        let names: Vec<String> = some.iter().map(|key| format!("key:{key}")).collect();
        let got: Vec<String> = redis::cmd("MGET")
            .arg(&names)
            .query(&mut connection)
            .expect("MGET");
        for (key, got) in some.iter().zip(got) {
            assert!(got == value(*key, model[key], COLD_BYTES), "key:{key}");
        }

        server.stop();
        server.restart();
        expect_all(&mut server.connect(), &model);
        server.crash();
        expect_all(&mut server.connect(), &model);
    }
}

#[test]
fn cold_values_can_be_changed_in_part() {
    let mut server = Server::start(&["--shards", "2", "--maxmemory", "4mb"]);
    let mut connection = server.connect();
    let c = &mut connection;
    let text = "t".repeat(200);
    for key in 0..50 {
        ask::<()>(c, &format!("SET count:{key} 1000000000{key}"));
        ask::<u64>(c, &format!("APPEND text:{key} {text}"));
        ask::<u64>(c, &format!("HSET hash:{key} a {text} b 5"));
        ask::<u64>(c, &format!("RPUSH list:{key} {text} {text}"));
        ask::<u64>(c, &format!("SADD set:{key} {text} x"));
        ask::<u64>(c, &format!("ZADD zset:{key} 1 {text} 2 y"));
    }
    set_all(c, 0..1500, 0);
    set_all(c, 0..1500, 1);
    wait_until("values to leave memory", || {
        info(c, "causet_cold_keys")
            .parse::<u64>()
            .expect("a number")
            > 1000
    });
    for key in 0..50u64 {
        let count: u64 = format!("1000000000{key}").parse().expect("a number");
        assert_eq!(ask::<u64>(c, &format!("INCR count:{key}")), count + 1);
        assert_eq!(ask::<u64>(c, &format!("APPEND text:{key} end")), 203);
        assert_eq!(ask::<u64>(c, &format!("HINCRBY hash:{key} b 1")), 6);
        assert_eq!(ask::<u64>(c, &format!("RPUSH list:{key} z")), 3);
        assert_eq!(ask::<u64>(c, &format!("SADD set:{key} x y")), 1);
        assert_eq!(ask::<u64>(c, &format!("ZADD zset:{key} 3 z")), 1);
        ask::<u64>(c, &format!("EXPIREAT text:{key} 4000000000"));
    }
    set_all(c, 0..1500, 2);
    let check = |c: &mut Connection| {
        for key in 0..50u64 {
            let count: u64 = format!("1000000000{key}").parse().expect("a number");
            assert_eq!(ask::<u64>(c, &format!("GET count:{key}")), count + 1);
            assert_eq!(
                ask::<String>(c, &format!("GET text:{key}")),
                format!("{text}end")
            );
            assert_eq!(
                ask::<u64>(c, &format!("EXPIRETIME text:{key}")),
                4_000_000_000
            );
            let hash: Vec<String> = ask(c, &format!("HMGET hash:{key} a b"));
            assert_eq!(hash, [text.as_str(), "6"]);
            let list: Vec<String> = ask(c, &format!("LRANGE list:{key} 0 -1"));
            assert_eq!(list, [text.as_str(), text.as_str(), "z"]);
            assert_eq!(ask::<u64>(c, &format!("SCARD set:{key}")), 3);
            let zset: Vec<String> = ask(c, &format!("ZRANGE zset:{key} 0 -1"));
            assert_eq!(zset, [text.as_str(), "y", "z"]);
        }
    };
    check(c);
    server.crash();
    check(&mut server.connect());
}

#[test]
fn a_cache_policy_deletes_keys_and_keeps_to_its_limit() {
    let limit = 8 << 20;
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-ttl",
    ] {
        let args = [
            "--shards",
            "2",
            "--maxmemory",
            "8mb",
            "--maxmemory-policy",
            policy,
        ];
        let server = Server::start(&args);
        let mut connection = server.connect();
        for part in 0..40 {
            let mut pipe = redis::pipe();
            for key in part * 500..(part + 1) * 500 {
                let value = value(key, 0, 1000);
                let cmd = pipe.cmd("SET").arg(format!("key:{key}")).arg(value);
                cmd.arg("EX").arg(10_000 + key).ignore();
            }
            pipe.exec(&mut connection).expect("SET");
        }
        wait_until("keys to go", || server.figure("evicted_keys") > 1000);
        wait_until("the keys that are left to fit", || {
            ask::<u64>(&mut connection, "DBSIZE") * 1000 < limit
        });
        let left: u64 = ask(&mut connection, "DBSIZE");
        assert!(left > 1000, "{policy}: {left} keys are left");
        let evicted = server.figure("evicted_keys");
        assert_eq!(left + evicted, 20_000, "{policy}");
        if policy == "volatile-ttl" {
            let newest: u64 = (19_000..20_000)
                .map(|key| ask::<u64>(&mut connection, &format!("EXISTS key:{key}")))
                .sum();
            assert_eq!(newest, 1000, "what expires last stays");
        }
    }
}

#[test]
fn without_a_log_and_without_eviction_growth_is_refused() {
    let args = ["--shards", "2", "--appendonly", "no", "--maxmemory", "4mb"];
    let server = Server::start(&args);
    let mut connection = server.connect();
    let refused = (0..20_000u64).find_map(|key| {
        let value = value(key, 0, 1000);
        let done = redis::cmd("SET")
            .arg(format!("key:{key}"))
            .arg(value)
            .exec(&mut connection);
        done.err().map(|error| (key, error.to_string()))
    });
    let (key, error) = refused.expect("20 MB do not fit into 4");
    assert!(
        error.contains("OOM") && error.contains("maxmemory"),
        "{error}"
    );
    assert!(key > 1000, "{key}");
    // Reading and deleting go on, and make room.
    assert_eq!(ask::<u64>(&mut connection, "STRLEN key:5"), 1000);
    for key in 0..key {
        ask::<u64>(&mut connection, &format!("DEL key:{key}"));
    }
    wait_until("room", || {
        words("SET again 1").exec(&mut connection).is_ok()
    });
}

/// Overwrites 20 keys until `rounds` times 20 values of 10 kB were written.
fn overwrite(connection: &mut Connection, rounds: std::ops::Range<u64>) {
    for round in rounds {
        set_all(connection, 0..20, round);
    }
}

#[test]
fn overwriting_does_not_fill_the_disk() {
    for shards in ["1", "2"] {
        let args = ["--shards", shards, "--log-segment-size", "1mb"];
        let mut server = Server::start(&args);
        let mut connection = server.connect();
        // 200 kB live, 60 MB written.
        overwrite(&mut connection, 0..300);
        wait_until("compaction", || server.figure("log_compactions") > 10);
        // Per shard: up to four segments before it pays, the active one, two ready, two spare, and
        // one that is being compacted.
        let shards: u64 = shards.parse().expect("a number");
        wait_until("the disk to be given back", || {
            bytes_under(server.data()) <= (12 << 20) * shards
        });
        let model: HashMap<u64, u64> = (0..20).map(|key| (key, 299)).collect();
        expect_all(&mut connection, &model);
        server.stop();
        server.restart();
        expect_all(&mut server.connect(), &model);
    }
}

#[test]
fn a_crash_during_compaction_loses_nothing() {
    let args = [
        "--shards",
        "1",
        "--log-segment-size",
        "1mb",
        "--appendfsync",
        "always",
    ];
    let mut server = Server::start(&args);
    let mut connection = server.connect();
    // Keys that every compaction must carry along.
    for key in 1000..1100 {
        set_all(&mut connection, key..key + 1, 0);
    }
    for crash in 0..4u64 {
        let mut connection = server.connect();
        let before = server.figure("log_compactions");
        let mut round = crash * 1000;
        while server.figure("log_compactions") < before + 3 || round % 1000 < 100 {
            overwrite(&mut connection, round..round + 1);
            round += 1;
        }
        server.crash();
        let mut model: HashMap<u64, u64> = (0..20).map(|key| (key, round - 1)).collect();
        model.extend((1000..1100).map(|key| (key, 0)));
        expect_all(&mut server.connect(), &model);
        assert_eq!(ask::<u64>(&mut server.connect(), "DBSIZE"), 120);
    }
}

#[test]
fn compaction_beside_cold_values_keeps_them_readable() {
    let args = [
        "--shards",
        "1",
        "--log-segment-size",
        "1mb",
        "--maxmemory",
        "4mb",
    ];
    let mut server = Server::start(&args);
    let mut connection = server.connect();
    let mut model: HashMap<u64, u64> = HashMap::new();
    set_all(&mut connection, 0..1000, 0);
    model.extend((0..1000).map(|key| (key, 0)));
    for version in 1..6 {
        set_all(
            &mut connection,
            (0..1000).filter(|key| key % 3 != 0),
            version,
        );
        for (key, known) in &mut model {
            if key % 3 != 0 {
                *known = version;
            }
        }
        expect_all(&mut connection, &model);
    }
    assert!(server.figure("log_compactions") > 0);
    assert!(server.figure("causet_cold_reads") > 0);
    server.crash();
    expect_all(&mut server.connect(), &model);
}

#[test]
fn deleted_and_expired_keys_stay_gone_through_compaction_and_restart() {
    let args = ["--shards", "1", "--log-segment-size", "1mb"];
    let mut server = Server::start(&args);
    let mut connection = server.connect();
    set_all(&mut connection, 100..200, 0);
    for key in 100..150 {
        ask::<u64>(&mut connection, &format!("DEL key:{key}"));
    }
    for key in 150..200 {
        ask::<u64>(&mut connection, &format!("PEXPIRE key:{key} 1"));
    }
    overwrite(&mut connection, 0..150);
    wait_until("compaction", || server.figure("log_compactions") > 5);
    assert_eq!(ask::<u64>(&mut connection, "DBSIZE"), 20);
    for _ in 0..2 {
        server.crash();
        let mut connection = server.connect();
        wait_until("expired keys to go", || {
            ask::<u64>(&mut connection, "DBSIZE") == 20
        });
    }
}

/// A small file system of its own; it is unmounted when dropped.
struct SmallDisk {
    place: PathBuf,
    _dir: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, with the reason printed, where this process may not mount.
    fn mount(megabytes: u32) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let place = dir.path().join("disk");
        std::fs::create_dir(&place).expect("a directory");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none"])
            .arg(&place)
            .output();
        let reason = match done {
            Ok(done) if done.status.success() => return Some(SmallDisk { place, _dir: dir }),
            Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!(
            "skipped: a small tmpfs cannot be mounted: {}",
            reason.trim()
        );
        None
    }

    fn path(&self) -> &Path {
        &self.place
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: it goes when the server that was just killed has let go of it.
        let _ = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_space_again() {
    for policy in ["always", "everysec"] {
        let Some(disk) = SmallDisk::mount(48) else {
            return;
        };
        let ballast = disk.path().join("ballast");
        std::fs::write(&ballast, vec![1; 24 << 20]).expect("there is space");
        let data = disk.path().join("data");
        std::fs::create_dir(&data).expect("a directory");
        let args = [
            "--shards",
            "1",
            "--log-segment-size",
            "1mb",
            "--appendfsync",
            policy,
        ];
        let mut server = Server::start_on(directory(), data, &args);
        let mut connection = server.connect();
        let mut model: HashMap<u64, u64> = HashMap::new();
        let mut other = server.connect();
        // More than fits beside the ballast, less than fits without.
        let mut keys = 0..2600;
        // The write that meets the full disk is answered when it is durable, not before, so it must
        // not be waited for.
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut done = Vec::new();
                for key in keys.by_ref() {
                    let value = value(key, 0, COLD_BYTES);
                    let mut set = redis::cmd("SET");
                    match set
                        .arg(format!("key:{key}"))
                        .arg(value)
                        .exec(&mut connection)
                    {
                        Ok(()) => done.push(key),
                        Err(_) => break,
                    }
                }
                done
            });
            wait_until("writes to be refused", || {
                // One that is taken just before waits as the writer does.
                let mut probe = server.wire();
                probe.set_timeout(Duration::from_millis(500));
                probe.send("SET probe 1\r\n");
                let mut reply = String::new();
                probe.input.read_line(&mut reply).is_ok() && reply.starts_with("-MISCONF")
            });
            assert_eq!(info(&mut other, "log_refusing"), "1");
            expect_all(&mut other, &HashMap::from([(0, 0), (7, 0), (300, 0)]));
            assert_eq!(ask::<String>(&mut other, "PING"), "PONG");
            std::fs::remove_file(&ballast).expect("it is there");
            wait_until("writes to be taken again", || {
                words("SET again 1").exec(&mut other).is_ok()
            });
            writer.join().expect("no panic")
        });
        model.extend(written.into_iter().map(|key| (key, 0)));
        set_all(&mut other, 0..200, 7);
        model.extend((0..200).map(|key| (key, 7)));
        if policy == "everysec" {
            std::thread::sleep(Duration::from_millis(1500));
        }
        server.crash();
        let mut other = server.connect();
        expect_all(&mut other, &model);
        assert_eq!(ask::<u64>(&mut other, "GET again"), 1);
    }
}
