//! What is left after kill -9, a clean end, damage, and a start with another number of shards.
//!
//! The checker knows every write that was acknowledged, and when. Each client works on four keys of
//! one hash tag, so on one shard and in one log: what is found after a crash must be a prefix of what
//! the client did, across its keys as well.

mod common;

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use redis::Connection;

/// What one client had acknowledged before the crash.
#[derive(Clone, Default)]
struct Acknowledged {
    /// When the step with this number (from 1) was acknowledged as a whole.
    steps: Vec<Instant>,
}

/// What is found of one client: the last step that each key has seen.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Found {
    register: u64,
    counter: u64,
    list: u64,
    set: u64,
}

/// Writes steps until the connection breaks; a step touches the four keys in this order.
fn write(connection: &mut Connection, tag: &str, told: &Mutex<Acknowledged>) {
    for step in 1.. {
        let done = redis::pipe()
            .cmd("SET")
            .arg(format!("{{{tag}}}register"))
            .arg(step)
            .ignore()
            .cmd("INCR")
            .arg(format!("{{{tag}}}counter"))
            .ignore()
            .cmd("RPUSH")
            .arg(format!("{{{tag}}}list"))
            .arg(step)
            .ignore()
            .cmd("SADD")
            .arg(format!("{{{tag}}}set"))
            .arg(step)
            .ignore()
            .exec(connection);
        if done.is_err() {
            return;
        }
        told.lock().expect("no panic").steps.push(Instant::now());
    }
}

/// Reads what is there of a client, and checks that it is a prefix of what the client did.
fn found(connection: &mut Connection, tag: &str) -> Found {
    let register: Option<u64> = ask(connection, &format!("GET {{{tag}}}register"));
    let counter: Option<u64> = ask(connection, &format!("GET {{{tag}}}counter"));
    let list: Vec<u64> = ask(connection, &format!("LRANGE {{{tag}}}list 0 -1"));
    let mut set: Vec<u64> = ask(connection, &format!("SMEMBERS {{{tag}}}set"));
    set.sort_unstable();
    for elements in [&list, &set] {
        let holes = elements.iter().zip(1..).find(|&(&got, step)| got != step);
        assert_eq!(holes, None, "{tag}: elements are missing or double");
    }
    let found = Found {
        register: register.unwrap_or(0),
        counter: counter.unwrap_or(0),
        list: list.len() as u64,
        set: set.len() as u64,
    };
    let Found {
        register,
        counter,
        list,
        set,
    } = found;
    assert!(
        register >= counter && counter >= list && list >= set && set + 1 >= register,
        "{tag}: not a prefix: {found:?}"
    );
    found
}

/// Kills the server under load again and again. What was acknowledged `may_lose` before the kill, or
/// earlier, must be there; with `None`, anything may be lost but the order.
fn crash_under_load(policy: &str, may_lose: Option<Duration>) {
    for shards in ["1", "3"] {
        let args = ["--shards", shards, "--appendfsync", policy];
        let mut server = Server::start(&args);
        let mut past: Vec<(String, Found)> = Vec::new();
        for round in 0..3u64 {
            let tags: Vec<String> = (0..8).map(|client| format!("{round}.{client}")).collect();
            let told: Vec<Mutex<Acknowledged>> = tags.iter().map(|_| Mutex::default()).collect();
            let killed = thread::scope(|scope| {
                for (tag, told) in tags.iter().zip(&told) {
                    let mut connection = server.connect();
                    scope.spawn(move || write(&mut connection, tag, told));
                }
                // Long enough for `everysec` to have promised something.
                thread::sleep(Duration::from_millis(2000 + 137 * round));
                let now = Instant::now();
                server.kill();
                now
            });
            server.restart();
            let mut connection = server.connect();
            for (tag, told) in tags.iter().zip(told) {
                let steps = told.into_inner().expect("no panic").steps;
                assert!(!steps.is_empty(), "{tag} got nothing done");
                let found = found(&mut connection, tag);
                let sent = steps.len() as u64 + 1;
                assert!(found.register <= sent, "{tag}: more than was sent");
                if let Some(may_lose) = may_lose {
                    let safe = steps.iter().filter(|&&at| at + may_lose <= killed).count();
                    let kept = found.set;
                    assert!(
                        kept >= safe as u64,
                        "appendfsync {policy}, {shards} shards, {tag}: {safe} steps were safe, \
                         {kept} are there (of {} acknowledged)",
                        steps.len()
                    );
                }
                past.push((tag.clone(), found));
            }
            for (tag, before) in &past {
                assert_eq!(
                    &self::found(&mut connection, tag),
                    before,
                    "it changed later"
                );
            }
        }
    }
}

#[test]
fn under_always_nothing_acknowledged_is_missing() {
    crash_under_load("always", Some(Duration::ZERO));
}

#[test]
fn under_everysec_at_most_the_last_second_is_missing() {
    crash_under_load("everysec", Some(Duration::from_millis(1500)));
}

#[test]
fn under_no_what_is_there_is_a_prefix() {
    crash_under_load("no", None);
}

/// Keys of every type in three databases; one of them has no expiry, and one has gone.
fn fill(connection: &mut Connection) {
    for db in [0, 5, 15] {
        ask::<()>(connection, &format!("SELECT {db}"));
        let mut pipe = redis::pipe();
        for key in 0..500 {
            pipe.cmd("SET")
                .arg(format!("str:{key}"))
                .arg(format!("{db}/{key}"))
                .ignore();
        }
        for key in 0..20 {
            for element in 0..300 {
                let name = format!("{key}:{element}");
                pipe.cmd("RPUSH")
                    .arg(format!("list:{key}"))
                    .arg(&name)
                    .ignore();
                pipe.cmd("HSET")
                    .arg(format!("hash:{key}"))
                    .arg(&name)
                    .arg(element)
                    .ignore();
                pipe.cmd("SADD")
                    .arg(format!("set:{key}"))
                    .arg(&name)
                    .ignore();
                pipe.cmd("ZADD")
                    .arg(format!("zset:{key}"))
                    .arg(element)
                    .arg(&name)
                    .ignore();
            }
        }
        pipe.exec(connection).expect("plain writes");
        ask::<()>(connection, "PEXPIREAT str:7 4000000000000");
        ask::<()>(connection, "SET gone 1 PX 1");
        ask::<u64>(connection, "DEL str:8 list:3");
        ask::<()>(connection, "RENAME str:9 renamed");
    }
    ask::<()>(connection, "SELECT 0");
}

/// A picture of all that [`fill`] made, to compare.
fn picture(connection: &mut Connection) -> Vec<String> {
    let mut lines = Vec::new();
    for db in [0, 5, 15] {
        ask::<()>(connection, &format!("SELECT {db}"));
        let mut keys: Vec<String> = ask(connection, "KEYS *");
        keys.sort();
        for key in keys {
            let kind: String = ask(connection, &format!("TYPE {key}"));
            let mut content: Vec<String> = match kind.as_str() {
                "string" => vec![ask(connection, &format!("GET {key}"))],
                "list" => ask(connection, &format!("LRANGE {key} 0 -1")),
                "hash" => ask(connection, &format!("HGETALL {key}")),
                "set" => ask(connection, &format!("SMEMBERS {key}")),
                "zset" => ask(connection, &format!("ZRANGE {key} 0 -1 WITHSCORES")),
                other => panic!("{key} is a {other}"),
            };
            if kind == "set" || kind == "hash" {
                content.sort();
            }
            let expires: i64 = ask(connection, &format!("PEXPIRETIME {key}"));
            lines.push(format!("{db} {key} {kind} {expires} {}", content.join(",")));
        }
    }
    ask::<()>(connection, "SELECT 0");
    lines
}

fn expect_picture(server: &Server, before: &[String]) {
    let after = picture(&mut server.connect());
    for (after, before) in after.iter().zip(before) {
        assert_eq!(after, before);
    }
    assert_eq!(after.len(), before.len());
}

#[test]
fn a_clean_end_loses_nothing_under_any_policy() {
    for policy in ["always", "everysec", "no"] {
        let mut server = Server::start(&["--shards", "2", "--appendfsync", policy]);
        fill(&mut server.connect());
        thread::sleep(Duration::from_millis(5));
        let before = picture(&mut server.connect());
        assert_eq!(before.len(), 3 * (500 + 80 - 2));
        server.stop();
        server.restart();
        expect_picture(&server, &before);
        let mut wire = server.wire();
        wire.exchange("SET last word\r\n", "+OK\r\n");
        wire.send("SHUTDOWN\r\n");
        assert!(server.wait().success());
        server.restart();
        assert_eq!(ask::<String>(&mut server.connect(), "GET last"), "word");
    }
}

#[test]
fn another_number_of_shards_keeps_everything() {
    let mut server = Server::start(&["--shards", "1"]);
    fill(&mut server.connect());
    ask::<()>(&mut server.connect(), "SWAPDB 5 6");
    ask::<()>(&mut server.connect(), "SWAPDB 6 5");
    let before = picture(&mut server.connect());
    for shards in ["3", "2", "1", "5"] {
        server.stop();
        server.restart_with(&["--shards", shards]);
        expect_picture(&server, &before);
        server.crash();
        expect_picture(&server, &before);
    }
}

#[test]
fn a_start_with_other_shards_after_swapdb_keeps_the_databases_apart() {
    let mut server = Server::start(&["--shards", "2"]);
    let mut connection = server.connect();
    for db in 0..4 {
        ask::<()>(&mut connection, &format!("SELECT {db}"));
        ask::<()>(
            &mut connection,
            &format!("MSET a {db} b {db} c {db} d {db}"),
        );
    }
    ask::<()>(&mut connection, "SWAPDB 0 3");
    ask::<()>(&mut connection, "SWAPDB 1 3");
    let expected = [3, 0, 2, 1];
    for shards in ["2", "3", "1"] {
        server.stop();
        server.restart_with(&["--shards", shards]);
        let mut connection = server.connect();
        for (db, value) in expected.iter().enumerate() {
            ask::<()>(&mut connection, &format!("SELECT {db}"));
            let got: Vec<u64> = ask(&mut connection, "MGET a b c d");
            assert_eq!(got, [*value; 4], "database {db}, {shards} shards");
        }
    }
}

#[test]
fn expiries_flushes_renames_and_swaps_survive_a_crash() {
    for shards in ["1", "3"] {
        let mut server = Server::start(&["--shards", shards, "--appendfsync", "always"]);
        let mut connection = server.connect();
        let c = &mut connection;
        ask::<()>(c, "MSET old:1 1 old:2 2 old:3 3 old:4 4");
        ask::<()>(c, "SELECT 1");
        ask::<()>(c, "MSET one:1 1 one:2 2 one:3 3");
        ask::<()>(c, "FLUSHALL");
        ask::<()>(c, "MSET a 1 b 2 c 3 d 4");
        ask::<()>(c, "SELECT 2");
        ask::<()>(c, "MSET e 5 f 6 g 7");
        ask::<()>(c, "SWAPDB 1 2");
        ask::<()>(c, "RENAME a renamed:a");
        ask::<u64>(c, "EXPIREAT b 4000000000");
        ask::<u64>(c, "PEXPIRE c 1");
        ask::<u64>(c, "EXPIREAT d 4000000000");
        ask::<u64>(c, "PERSIST d");
        ask::<()>(c, "SELECT 3");
        ask::<()>(c, "MSET x 1 y 2 z 3");
        ask::<()>(c, "FLUSHDB");
        ask::<()>(c, "SET after 1");
        thread::sleep(Duration::from_millis(10));
        for _ in 0..2 {
            server.crash();
            let mut connection = server.connect();
            let c = &mut connection;
            assert_eq!(ask::<u64>(c, "DBSIZE"), 0);
            ask::<()>(c, "SELECT 1");
            assert_eq!(ask::<Vec<u64>>(c, "MGET e f g"), [5, 6, 7]);
            assert_eq!(ask::<u64>(c, "DBSIZE"), 3);
            ask::<()>(c, "SELECT 2");
            let mut keys: Vec<String> = ask(c, "KEYS *");
            keys.sort();
            assert_eq!(keys, ["b", "d", "renamed:a"]);
            assert_eq!(ask::<u64>(c, "EXPIRETIME b"), 4_000_000_000);
            assert_eq!(ask::<i64>(c, "TTL d"), -1);
            ask::<()>(c, "SELECT 3");
            assert_eq!(ask::<Vec<String>>(c, "KEYS *"), ["after"]);
        }
    }
}

/// Where the last byte of a log that is not zero stands: the newest segment begun, and its end.
fn end_of_log(data: &Path) -> (PathBuf, u64) {
    for file in segments(data, 0).into_iter().rev() {
        let content = std::fs::read(&file).expect("the segment");
        // A segment that was only prepared has no header.
        if content.starts_with(b"CAUSETLG")
            && let Some(last) = content.iter().rposition(|&byte| byte != 0)
        {
            return (file, last as u64 + 1);
        }
    }
    panic!("no segment was begun");
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    for is_cut in [false, true] {
        let args = ["--shards", "1", "--log-segment-size", "1mb"];
        let mut server = Server::start(&args);
        let mut connection = server.connect();
        for step in 0..200 {
            ask::<()>(&mut connection, &format!("SET key:{step} {step}"));
            // So that there is more than one batch.
            if step % 20 == 0 {
                thread::sleep(Duration::from_millis(15));
            }
        }
        thread::sleep(Duration::from_millis(200));
        server.kill();
        let (file, end) = end_of_log(server.data());
        if is_cut {
            let file = std::fs::OpenOptions::new().write(true).open(&file);
            file.expect("the segment")
                .set_len(end - 3)
                .expect("it can be cut");
        } else {
            damage(&file, end - 6, 4);
        }
        let (_, text) = run(&["log", "verify", &server.data().display().to_string()]);
        assert!(text.contains("torn tail"), "{text}");
        server.restart();
        server.wait_for_output("redis-cli");
        let output = server.output();
        assert!(output.contains("torn tail was cut"), "{output}");
        assert!(output.contains(&file.display().to_string()), "{output}");
        assert!(output.contains("bytes="), "{output}");
        let mut connection = server.connect();
        let kept: u64 = ask(&mut connection, "DBSIZE");
        assert!(kept > 0 && kept < 200, "{kept}");
        for step in 0..kept {
            assert_eq!(
                ask::<u64>(&mut connection, &format!("GET key:{step}")),
                step
            );
        }
        // The log goes on behind the cut.
        ask::<()>(&mut connection, "SET after cut");
        server.stop();
        server.restart();
        server.wait_for_output("redis-cli");
        assert!(!server.output().contains("torn tail"));
        assert_eq!(ask::<String>(&mut server.connect(), "GET after"), "cut");
        assert_eq!(ask::<u64>(&mut server.connect(), "DBSIZE"), kept + 1);
    }
}

/// A stopped server whose log has several segments, the second of which is damaged in the middle.
fn damaged_server() -> (Server, PathBuf) {
    let args = ["--shards", "1", "--log-segment-size", "1mb"];
    let mut server = Server::start(&args);
    let mut pipe = redis::pipe();
    for key in 0..5000 {
        let value = format!("{key}:{}", "v".repeat(1000));
        pipe.cmd("SET")
            .arg(format!("key:{key}"))
            .arg(value)
            .ignore();
    }
    pipe.exec(&mut server.connect()).expect("plain writes");
    server.stop();
    let file = segments(server.data(), 0).swap_remove(1);
    damage(&file, 500_000, 1);
    (server, file)
}

#[test]
fn damage_before_the_tail_stops_the_start_with_the_way_to_repair() {
    let (mut server, file) = damaged_server();
    let shown = file.display().to_string();
    let dir = server.data().display().to_string();
    let refusal = server.try_restart(&["--shards", "1"]).err();
    let refusal = refusal.expect("a damaged log must not be served from");
    assert_eq!(refusal.status.code(), Some(1));
    for text in [shown.as_str(), "offset ", "causet log repair"] {
        assert!(refusal.output.contains(text), "{text}: {}", refusal.output);
    }
    let (code, text) = run(&["log", "verify", &dir]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("DAMAGED") && text.contains(&shown), "{text}");

    let (code, text) = run(&["log", "repair", &dir]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&["log", "verify", &dir]);
    assert_eq!(code, Some(0), "{text}");
    server.restart();
    let mut connection = server.connect();
    let kept: u64 = ask(&mut connection, "DBSIZE");
    assert!(kept > 500 && kept < 5000, "{kept}");
    for key in 0..kept {
        let value: String = ask(&mut connection, &format!("GET key:{key}"));
        assert!(value.starts_with(&format!("{key}:")));
    }
    ask::<()>(&mut connection, "SET after repair");
    server.crash();
    assert_eq!(ask::<u64>(&mut server.connect(), "DBSIZE"), kept + 1);
}

#[test]
fn a_repair_that_skips_keeps_what_stands_behind_the_damage() {
    let (mut server, _) = damaged_server();
    let dir = server.data().display().to_string();
    let (code, text) = run(&["log", "repair", "--skip", &dir]);
    assert_eq!(code, Some(0), "{text}");
    server.restart();
    let mut connection = server.connect();
    let last: String = ask(&mut connection, "GET key:4999");
    assert!(last.starts_with("4999:"));
    let kept: u64 = ask(&mut connection, "DBSIZE");
    assert!(kept > 2500 && kept < 5000, "{kept}");
}

#[test]
fn the_log_tool_leaves_a_running_server_alone() {
    let server = Server::start(&["--shards", "2"]);
    ask::<()>(&mut server.connect(), "SET a 1");
    let (code, text) = run(&["log", "verify", &server.data().display().to_string()]);
    assert_eq!(code, Some(1));
    assert!(text.contains(&server.pid().to_string()), "{text}");
    let (code, text) = run(&["log", "verify", "/no/such/directory"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not a data directory"), "{text}");
}

#[test]
fn inspect_prints_the_effects_of_a_stopped_server() {
    let mut server = Server::start(&["--shards", "2"]);
    ask::<()>(&mut server.connect(), "SET greeting hello");
    server.stop();
    let (code, text) = run(&["log", "inspect", &server.data().display().to_string()]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\"greeting\""), "{text}");
    assert!(text.contains("\"hello\""), "{text}");
}

#[test]
fn who_waits_for_a_disk_that_keeps_refusing_is_let_go() {
    for shards in ["1", "3"] {
        let server = Server::start(&["--shards", shards, "--log-segment-size", "1mb"]);
        let shards: u16 = shards.parse().expect("a number");
        for shard in 0..shards {
            let file = &segments(server.data(), shard)[0];
            let log = file.parent().expect("its directory");
            std::fs::remove_dir_all(log).expect("the log's directory");
        }
        let value = vec![b'x'; 100_000];
        let writer = |number: usize| {
            let mut wire = server.wire();
            let key = format!("key:{number}");
            let set = request(&[b"SET", key.as_bytes(), &value]);
            loop {
                wire.send(&set);
                match wire.input.fill_buf() {
                    // The connection was closed.
                    Ok([]) | Err(_) => return true,
                    Ok(_) => {}
                }
                let line = wire.line();
                if line.starts_with("-MISCONF") {
                    return false;
                }
                assert_eq!(line, "+OK");
            }
        };
        let closed = thread::scope(|scope| {
            let writers: Vec<_> = (0..12)
                .map(|number| scope.spawn(move || writer(number)))
                .collect();
            let ended = writers.into_iter().map(|writer| writer.join());
            ended
                .filter(|closed| *closed.as_ref().expect("no panic"))
                .count()
        });
        assert!(closed > 0, "somebody's write was stopped in the middle");
        server.wait_for_output("waited for a disk that refuses");
        let mut wire = server.wire();
        wire.exchange("PING\r\n", "+PONG\r\n");
        wire.exchange("STRLEN key:0\r\n", ":100000\r\n");
    }
}
