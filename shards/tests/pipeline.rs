//! Many requests at once: pipelines, the protocol's corners, commands over several shards, and
//! clients that do not behave.

mod common;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::*;
use redis::Connection;

/// Sends while reading, so that a pipeline longer than all buffers cannot stall on its own replies.
fn exchange_at_once(server: &Server, request: Vec<u8>, reply: &[u8]) {
    let mut wire = server.wire();
    let mut writer = wire.stream.try_clone().expect("a descriptor");
    let sending = thread::spawn(move || writer.write_all(&request).expect("the server reads"));
    for (number, part) in reply.chunks(4096).enumerate() {
        let mut got = vec![0; part.len()];
        wire.input.read_exact(&mut got).expect("all replies");
        assert!(
            got == part,
            "replies differ in block {number}: {} instead of {}",
            got.escape_ascii(),
            part.escape_ascii()
        );
    }
    sending.join().expect("sent");
}

#[test]
fn a_pipeline_of_100_000_commands_over_shards_keeps_its_order() {
    for shards in ["1", "2", "5"] {
        let server = Server::start(&["--shards", shards]);
        let (mut request, mut reply) = (Vec::new(), Vec::new());
        let mut model: HashMap<u64, u64> = HashMap::new();
        let mut dice = Dice(7);
        for at in 0..100_000u64 {
            let key = dice.below(500);
            match dice.below(16) {
                0..5 => {
                    request.extend(format!("SET key:{key} {at}\r\n").bytes());
                    reply.extend(b"+OK\r\n");
                    model.insert(key, at);
                }
                5..7 => {
                    request.extend(format!("INCR key:{key}\r\n").bytes());
                    let value = model.entry(key).or_default();
                    *value += 1;
                    reply.extend(format!(":{value}\r\n").bytes());
                }
                7 => {
                    request.extend(format!("ECHO {at}\r\n").bytes());
                    let text = at.to_string();
                    reply.extend(format!("${}\r\n{text}\r\n", text.len()).bytes());
                }
                8 => {
                    request.extend(format!("LPUSH key:{key}\r\n").bytes());
                    reply.extend(b"-ERR wrong number of arguments for 'lpush' command\r\n");
                }
                9 if at % 8 == 0 => {
                    let other = dice.below(500);
                    request.extend(format!("MGET key:{key} key:{other}\r\n").bytes());
                    reply.extend(b"*2\r\n");
                    for key in [key, other] {
                        reply.extend(bulk(model.get(&key)));
                    }
                }
                10 => {
                    request.extend(format!("DEL key:{key}\r\n").bytes());
                    let removed = u8::from(model.remove(&key).is_some());
                    reply.extend(format!(":{removed}\r\n").bytes());
                }
                _ => {
                    let key = format!("key:{key}");
                    request.extend(common::request(&[b"GET", key.as_bytes()]));
                    let key: u64 = key[4..].parse().expect("a number");
                    reply.extend(bulk(model.get(&key)));
                }
            }
        }
        exchange_at_once(&server, request, &reply);
    }
}

fn bulk(value: Option<&u64>) -> Vec<u8> {
    match value {
        None => b"$-1\r\n".to_vec(),
        Some(value) => {
            let text = value.to_string();
            format!("${}\r\n{text}\r\n", text.len()).into_bytes()
        }
    }
}

#[test]
fn select_in_the_middle_of_a_pipeline_divides_it() {
    let server = Server::start(&["--shards", "3"]);
    let (mut request, mut reply) = (String::new(), String::new());
    for round in 0..50 {
        for db in 0..4 {
            request += &format!("SELECT {db}\r\n");
            reply += "+OK\r\n";
            for key in 0..5 {
                request += &format!("SET k{key} {round}.{db}\r\nGET k{key}\r\n");
                let value = format!("{round}.{db}");
                reply += &format!("+OK\r\n${}\r\n{value}\r\n", value.len());
            }
        }
    }
    for db in 0..4 {
        for key in 0..5 {
            request += &format!("SELECT {db}\r\nGET k{key}\r\n");
            reply += &format!("+OK\r\n$4\r\n49.{db}\r\n");
        }
    }
    server.wire().exchange(request, reply);
}

#[test]
fn inline_commands_are_split_as_redis_splits_them() {
    let server = Server::start(&["--shards", "2"]);
    let mut wire = server.wire();
    wire.exchange("PING\r\n", "+PONG\r\n");
    wire.exchange("ping\n\r\n\r\nPING\n", "+PONG\r\n+PONG\r\n");
    wire.exchange("  ECHO   'a b'  \r\n", "$3\r\na b\r\n");
    wire.exchange("ECHO \"\\x00\\xff\\n\"\r\n", b"$3\r\n\x00\xff\n\r\n");
    wire.exchange("SET k \"\"\r\nGET k\r\n", "+OK\r\n$0\r\n\r\n");
    wire.send("ECHO \"open\r\n");
    wire.expect("-ERR Protocol error: unbalanced quotes in request\r\n");
    wire.expect_end();
}

#[test]
fn protocol_errors_answer_what_stood_before_then_close() {
    let server = Server::start(&["--shards", "2"]);
    for (bytes, text) in [
        ("*1\r\n:4\r\nPING\r\n", "expected '$', got ':'"),
        ("*x\r\n", "invalid multibulk length"),
        ("*2147483648\r\n", "invalid multibulk length"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
    ] {
        let mut wire = server.wire();
        wire.send(format!("SET a 1\r\nSET b 2\r\nGET a\r\nGET b\r\n{bytes}"));
        wire.expect("+OK\r\n+OK\r\n$1\r\n1\r\n$1\r\n2\r\n");
        wire.expect(format!("-ERR Protocol error: {text}\r\n"));
        wire.expect_end();
    }
    let mut wire = server.wire();
    wire.send("A".repeat(70_000));
    wire.expect("-ERR Protocol error: too big inline request\r\n");
    server.wire().exchange("PING\r\n", "+PONG\r\n");
}

#[test]
fn commands_cut_anywhere_are_put_together() {
    let server = Server::start(&["--shards", "2"]);
    let mut request = Vec::new();
    let mut reply = Vec::new();
    for key in 0..4 {
        request.extend(common::request(&[b"SET", &[b'k', key], b"val\r\nue"]));
        request.extend(common::request(&[b"GET", &[b'k', key]]));
        reply.extend(b"+OK\r\n$7\r\nval\r\nue\r\n");
    }
    for step in [1, 2, 3, 7, 31] {
        let mut wire = server.wire();
        wire.stream.set_nodelay(true).expect("a TCP socket");
        for part in request.chunks(step) {
            wire.send(part);
            // The kernel would join what comes at once.
            thread::sleep(Duration::from_micros(300));
        }
        wire.expect(&reply);
    }
}

#[test]
fn a_half_sent_command_leaves_nothing_behind() {
    let server = Server::start(&["--shards", "2"]);
    for _ in 0..20 {
        let mut wire = server.wire();
        wire.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nhalf");
    }
    wait_until("the connections to go", || {
        server.info("connected_clients") == "1"
    });
    assert_eq!(ask::<u64>(&mut server.connect(), "EXISTS k"), 0);
}

#[test]
fn a_client_that_stops_sending_still_gets_its_replies() {
    let server = Server::start(&["--shards", "3"]);
    let mut request = Vec::new();
    for key in 0..1000 {
        request.extend(format!("INCR key:{key}\r\n").bytes());
    }
    let mut wire = server.wire();
    wire.send(request);
    wire.stream.shutdown(Shutdown::Write).expect("it is open");
    wire.expect(":1\r\n".repeat(1000));
    wire.expect_end();
}

#[test]
fn hello_changes_the_protocol_from_the_next_reply_on() {
    let server = Server::start(&["--shards", "2"]);
    let mut wire = server.wire();
    wire.exchange(
        "HSET h f v\r\nHGETALL h\r\n",
        ":1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
    );
    wire.send("HELLO 3\r\n");
    wire.expect("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n");
    while !wire.line().is_empty() && wire.input.buffer().len() > 4 {}
    let mut wire = server.wire();
    wire.send("HELLO 3\r\nECHO end\r\n");
    while wire.line() != "end" {}
    // On both shards, so forwarded commands are answered in it as well.
    for key in ["h", "h2", "h3", "h4"] {
        wire.send(format!(
            "DEL {key}\r\nHSET {key} f v\r\nHGETALL {key}\r\nGET no:{key}\r\n"
        ));
        assert!(wire.line().starts_with(':'));
        wire.expect(":1\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n_\r\n");
    }
    wire.exchange("HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n");
    wire.send("HELLO 2\r\n");
    wire.expect("*14\r\n");
}

#[test]
fn client_reply_silences_local_and_forwarded_commands() {
    let server = Server::start(&["--shards", "3"]);
    let mut wire = server.wire();
    let sets: String = (0..30).map(|key| format!("SET k{key} {key}\r\n")).collect();
    wire.send(format!(
        "CLIENT REPLY OFF\r\n{sets}NOSUCH\r\nMGET k1 k2 k3\r\n"
    ));
    wire.exchange("CLIENT REPLY ON\r\n", "+OK\r\n");
    wire.exchange("GET k7\r\nGET k29\r\n", "$1\r\n7\r\n$2\r\n29\r\n");
    for key in 0..10 {
        wire.exchange(
            format!("CLIENT REPLY SKIP\r\nGET k{key}\r\nGET k{key}\r\n"),
            format!("$1\r\n{key}\r\n"),
        );
    }
    wire.exchange("CLIENT REPLY SKIP\r\nNOSUCH\r\nPING\r\n", "+PONG\r\n");
}

#[test]
fn a_command_of_a_million_arguments_runs() {
    let server = Server::start(&["--shards", "2"]);
    let count = 1_000_000;
    let mut request = format!("*{}\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n", count + 2).into_bytes();
    for at in 0..count {
        let text = at.to_string();
        request.extend(format!("${}\r\n{text}\r\n", text.len()).bytes());
    }
    let mut wire = server.wire();
    wire.exchange(request, format!(":{count}\r\n"));
    wire.exchange("LINDEX l 999999\r\n", "$6\r\n999999\r\n");
    // One that spans all shards.
    let mut request = format!("*{}\r\n$4\r\nMSET\r\n", 200_001).into_bytes();
    for at in 0..100_000 {
        let text = format!("m{at}");
        request.extend(format!("${}\r\n{text}\r\n$1\r\nv\r\n", text.len()).bytes());
    }
    wire.exchange(request, "+OK\r\n");
    wire.exchange("DBSIZE\r\n", ":100001\r\n");
}

#[test]
fn keys_and_values_hold_every_byte() {
    let server = Server::start(&["--shards", "2"]);
    let all: Vec<u8> = (0..=255).collect();
    let mut wire = server.wire();
    for first in 0..=255u8 {
        let mut key = all.clone();
        key[0] = first;
        wire.exchange(common::request(&[b"SET", &key, &all]), "+OK\r\n");
        wire.send(common::request(&[b"GET", &key]));
        assert_eq!(wire.bulk(), all);
    }
    wire.exchange("DBSIZE\r\n", ":256\r\n");
    wire.exchange(common::request(&[b"SET", b"", b""]), "+OK\r\n");
    wire.exchange(common::request(&[b"GET", b""]), "$0\r\n\r\n");
}

#[test]
fn a_value_of_512_mb_is_set_and_got() {
    let available = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available_kb: u64 = available
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    if available_kb < 6 << 20 {
        eprintln!("skipped: needs 6 GB of memory, {available_kb} kB are available");
        return;
    }
    let server = Server::start(&["--shards", "2", "--appendonly", "no"]);
    let len = 512 << 20;
    let block: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
    // Both keys, so that on one of them the command is forwarded.
    for key in ["big", "bug"] {
        let mut wire = server.wire();
        wire.send(format!("*3\r\n$3\r\nSET\r\n$3\r\n{key}\r\n${len}\r\n"));
        for _ in 0..512 {
            wire.send(&block);
        }
        wire.exchange("\r\n", "+OK\r\n");
        wire.exchange(format!("STRLEN {key}\r\n"), format!(":{len}\r\n"));
        wire.send(format!("GET {key}\r\n"));
        wire.expect(format!("${len}\r\n"));
        for _ in 0..512 {
            wire.expect(&block);
        }
        wire.expect("\r\n");
        wire.exchange(format!("DEL {key}\r\n"), ":1\r\n");
    }
}

#[test]
fn a_slow_reader_of_large_replies_stalls_nobody() {
    let server = Server::start(&["--shards", "2"]);
    let mut wire = server.wire();
    let value = vec![b'v'; 1 << 20];
    wire.exchange(common::request(&[b"SET", b"big", &value]), "+OK\r\n");
    let mut slow = server.wire();
    for _ in 0..200 {
        slow.send("GET big\r\n");
    }
    let mut others: Vec<Wire> = (0..4).map(|_| server.wire()).collect();
    for round in 0..200 {
        for wire in &mut others {
            let len = round.to_string().len();
            wire.exchange(
                format!("SET k{round} {round}\r\nGET k{round}\r\n"),
                format!("+OK\r\n${len}\r\n{round}\r\n"),
            );
        }
    }
    for _ in 0..200 {
        assert!(slow.bulk() == value);
    }
}

#[test]
fn ten_thousand_connections_come_and_go() {
    let wanted = 10_000;
    let most = raise_descriptor_limit(wanted + 200).saturating_sub(200);
    let count = wanted.min(most) as usize;
    if count < wanted as usize {
        eprintln!("{count} connections only: the limit of open files forbids more");
    }
    let maxclients = (count + 100).to_string();
    let server = Server::start(&["--shards", "2", "--maxclients", &maxclients]);
    let mut streams: Vec<TcpStream> = Vec::new();
    for at in 0..count {
        let stream = TcpStream::connect(("127.0.0.1", server.port))
            .unwrap_or_else(|error| panic!("connection {at}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        streams.push(stream);
    }
    for (at, stream) in streams.iter_mut().enumerate() {
        stream
            .write_all(format!("SET k{at} 1\r\n").as_bytes())
            .expect("the server reads");
    }
    for (at, stream) in streams.iter_mut().enumerate() {
        let mut reply = [0; 5];
        stream
            .read_exact(&mut reply)
            .unwrap_or_else(|error| panic!("connection {at}: {error}"));
        assert_eq!(&reply, b"+OK\r\n");
    }
    drop(streams);
    wait_until("the connections to go", || {
        server.info("connected_clients") == "1"
    });
    assert_eq!(ask::<u64>(&mut server.connect(), "DBSIZE"), count as u64);
}

/// Raises the limit of open files of this process as far as allowed, and returns it.
fn raise_descriptor_limit(wanted: u64) -> u64 {
    // SAFETY: the struct is valid for both calls and outlives them.
    unsafe {
        let mut limit = std::mem::zeroed::<libc::rlimit>();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 0;
        }
        let raised = libc::rlimit {
            rlim_cur: wanted.max(limit.rlim_cur).min(limit.rlim_max),
            rlim_max: limit.rlim_max,
        };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            raised.rlim_cur
        } else {
            limit.rlim_cur
        }
    }
}

/// Keys of one group that live on different shards.
fn spread(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("spread:{at}")).collect()
}

/// Runs `work` in many threads, each with its own connection, until the time is over.
fn at_once(server: &Server, threads: u64, work: impl Fn(&mut Connection, u64) + Sync) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..threads {
            let (is_over, work) = (&is_over, &work);
            scope.spawn(move || {
                let mut connection = server.connect();
                while !is_over.load(Ordering::Relaxed) {
                    work(&mut connection, number);
                }
            });
        }
        thread::sleep(Duration::from_secs(3));
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn readers_see_all_of_a_command_over_shards_or_nothing() {
    for shards in ["2", "5"] {
        let server = Server::start(&["--shards", shards]);
        let keys = spread(8);
        let next = AtomicU64::new(1);
        at_once(&server, 8, |connection, number| {
            if number < 4 {
                let value = next.fetch_add(1, Ordering::Relaxed);
                let mut mset = redis::cmd("MSET");
                for key in &keys {
                    mset.arg(key).arg(value);
                }
                mset.exec(connection).expect("MSET");
            } else {
                let got: Vec<Option<u64>> = redis::cmd("MGET")
                    .arg(&keys)
                    .query(connection)
                    .expect("MGET");
                assert!(got.iter().all(|value| *value == got[0]), "half: {got:?}");
            }
        });
        assert!(server.figure("causet_cold_reads") == 0);
    }
}

#[test]
fn renaming_and_moving_over_shards_neither_loses_nor_doubles() {
    let server = Server::start(&["--shards", "5"]);
    let mut connection = server.connect();
    let elements: u64 = ask(&mut connection, "SADD s:0 a b c d e f g h");
    ask::<()>(&mut connection, "SET token:0 here");
    let dice = AtomicU64::new(1);
    at_once(&server, 8, |connection, number| {
        let mut dice = Dice(dice.fetch_add(0x9e37_79b9, Ordering::Relaxed) | 1);
        let (from, to) = (dice.below(6), dice.below(6));
        match number % 4 {
            0 => {
                // Refused where the key is elsewhere just now.
                let _ = words(&format!("RENAME token:{from} token:{to}")).exec(connection);
            }
            1 => {
                let element = char::from(b'a' + dice.below(8) as u8);
                ask::<u64>(connection, &format!("SMOVE s:{from} s:{to} {element}"));
            }
            2 => {
                let names: Vec<String> = (0..6).map(|at| format!("token:{at}")).collect();
                let found: u64 = redis::cmd("EXISTS")
                    .arg(&names)
                    .query(connection)
                    .expect("EXISTS");
                assert_eq!(found, 1, "a renamed key is in one place");
            }
            _ => {
                let names: Vec<String> = (0..6).map(|at| format!("s:{at}")).collect();
                let found: Vec<String> = redis::cmd("SUNION")
                    .arg(&names)
                    .query(connection)
                    .expect("SUNION");
                assert_eq!(
                    found.len() as u64,
                    elements,
                    "a moved element is in one set"
                );
            }
        }
    });
}

#[test]
fn commands_over_shards_from_every_shard_do_not_wait_for_each_other() {
    let server = Server::start(&["--shards", "5", "--appendfsync", "always"]);
    at_once(&server, 16, |connection, number| {
        let mut dice = Dice(number * 7919 + 1);
        let mut key = || format!("k:{}", dice.below(40));
        match number % 8 {
            0 => ask::<()>(
                connection,
                &format!("MSET {} 1 {} 2 {} 3", key(), key(), key()),
            ),
            1 => drop(ask::<Vec<Option<String>>>(
                connection,
                &format!("MGET {} {} {}", key(), key(), key()),
            )),
            2 => drop(ask::<u64>(connection, &format!("DEL {} {}", key(), key()))),
            3 => drop(words(&format!("COPY {} {} REPLACE", key(), key())).exec(connection)),
            4 => drop(ask::<u64>(
                connection,
                &format!("SADD set:{number} {}", key()),
            )),
            5 => drop(ask::<u64>(connection, "SUNIONSTORE sets set:4 set:12")),
            6 => drop(ask::<u64>(connection, "DBSIZE")),
            _ => drop(ask::<Option<String>>(connection, &format!("GET {}", key()))),
        }
    });
    assert_eq!(ask::<String>(&mut server.connect(), "PING"), "PONG");
}

#[test]
fn commands_over_shards_give_the_results_of_one_keyspace() {
    let server = Server::start(&["--shards", "5"]);
    let mut connection = server.connect();
    let c = &mut connection;
    ask::<()>(c, "MSET a 1 b 2 c 3 d 4 e 5");
    assert_eq!(ask::<Vec<u64>>(c, "MGET e d c b a"), [5, 4, 3, 2, 1]);
    assert_eq!(ask::<u64>(c, "MSETNX x 1 a 9"), 0);
    assert_eq!(ask::<u64>(c, "EXISTS a b x a"), 3);
    assert_eq!(ask::<u64>(c, "TOUCH a b c x"), 3);
    ask::<()>(c, "RENAME a z");
    assert_eq!(ask::<Option<u64>>(c, "GET a"), None);
    assert_eq!(ask::<u64>(c, "GET z"), 1);
    assert!(error_of(c, "RENAME a z").contains("no such key"));
    assert_eq!(ask::<u64>(c, "RENAMENX z b"), 0);
    assert_eq!(ask::<u64>(c, "COPY z copied"), 1);
    assert_eq!(ask::<u64>(c, "UNLINK b c d e z copied"), 6);
    ask::<u64>(c, "SADD s1 1 2 3");
    ask::<u64>(c, "SADD s2 2 3 4");
    assert_eq!(ask::<u64>(c, "SUNIONSTORE s3 s1 s2"), 4);
    assert_eq!(ask::<u64>(c, "SINTERSTORE s4 s1 s2 s3"), 2);
    assert_eq!(ask::<u64>(c, "SDIFFSTORE s5 s1 s2"), 1);
    ask::<u64>(c, "RPUSH l1 a b c");
    assert_eq!(ask::<String>(c, "LMOVE l1 l2 LEFT RIGHT"), "a");
    assert_eq!(ask::<Vec<String>>(c, "LRANGE l2 0 -1"), ["a"]);
    assert_eq!(ask::<u64>(c, "DBSIZE"), 7);
}

#[test]
fn keys_dbsize_and_scan_hold_while_others_write() {
    let server = Server::start(&["--shards", "3"]);
    let mut pipe = redis::pipe();
    for key in 0..3000 {
        pipe.cmd("SET")
            .arg(format!("stays:{key}"))
            .arg(key)
            .ignore();
    }
    pipe.exec(&mut server.connect()).expect("3000 SETs");
    at_once(&server, 6, |connection, number| {
        let mut dice = Dice(number + 1);
        match number {
            0 => {
                let mut cursor = 0u64;
                let mut seen = HashMap::new();
                loop {
                    let (next, keys): (u64, Vec<String>) = ask(
                        connection,
                        &format!("SCAN {cursor} MATCH stays:* COUNT 100"),
                    );
                    for key in keys {
                        *seen.entry(key).or_insert(0) += 1;
                    }
                    cursor = next;
                    if cursor == 0 {
                        break;
                    }
                }
                assert_eq!(seen.len(), 3000);
                assert!(seen.values().all(|&times| times == 1), "returned once");
            }
            1 => {
                let keys: Vec<String> = ask(connection, "KEYS stays:*");
                assert_eq!(keys.len(), 3000);
                assert!(ask::<u64>(connection, "DBSIZE") >= 3000);
            }
            _ => {
                for _ in 0..50 {
                    let key = dice.below(5000);
                    ask::<()>(connection, &format!("SET comes:{number}:{key} 1"));
                    ask::<u64>(connection, &format!("DEL comes:{number}:{}", key / 2));
                }
            }
        }
    });
}

#[test]
fn monitor_shows_the_commands_of_all_shards_once() {
    let server = Server::start(&["--shards", "3"]);
    let mut monitor = server.wire();
    monitor.exchange("MONITOR\r\n", "+OK\r\n");
    let mut sent = Vec::new();
    for client in 0..6 {
        let mut wire = server.wire();
        for key in 0..20 {
            wire.exchange(format!("SET m{client}:{key} 1\r\n"), "+OK\r\n");
            sent.push(format!("\"SET\" \"m{client}:{key}\" \"1\""));
        }
        wire.exchange(
            format!("MSET x{client} 1 y{client} 2 z{client} 3\r\n"),
            "+OK\r\n",
        );
        sent.push(format!(
            "\"MSET\" \"x{client}\" \"1\" \"y{client}\" \"2\" \"z{client}\" \"3\""
        ));
    }
    server.wire().exchange("SET last 1\r\n", "+OK\r\n");
    let mut lines = Vec::new();
    // A shard's lines keep their order; between shards there is none, so all must be waited for.
    while lines.len() <= sent.len() {
        lines.push(monitor.line());
    }
    for text in &sent {
        let found = lines.iter().filter(|line| line.ends_with(text)).count();
        assert_eq!(found, 1, "{text}");
    }
}

#[test]
fn slow_commands_of_all_shards_name_their_client() {
    let server = Server::start(&["--shards", "3"]);
    let mut wire = server.wire();
    let address = wire.stream.local_addr().expect("connected").to_string();
    wire.exchange("CLIENT SETNAME me\r\n", "+OK\r\n");
    wire.exchange("CONFIG SET slowlog-log-slower-than 0\r\n", "+OK\r\n");
    for key in 0..20 {
        wire.exchange(format!("SET slow:{key} 1\r\n"), "+OK\r\n");
    }
    wire.exchange("CONFIG SET slowlog-log-slower-than -1\r\n", "+OK\r\n");
    type Entry = (u64, u64, u64, Vec<String>, String, String);
    let entries: Vec<Entry> = ask(&mut server.connect(), "SLOWLOG GET -1");
    assert_eq!(entries.len(), 20);
    for (entry, key) in entries.iter().zip((0..20).rev()) {
        let (_, _, _, args, from, name) = entry;
        assert_eq!(
            args[..],
            ["SET".to_owned(), format!("slow:{key}"), "1".to_owned()]
        );
        assert_eq!((from, name.as_str()), (&address, "me"), "{args:?}");
    }
}

#[test]
fn clients_of_all_shards_are_listed_and_can_be_killed() {
    let server = Server::start(&["--shards", "3"]);
    let mut connection = server.connect();
    let mut wires = Vec::new();
    for name in 0..12 {
        let mut wire = server.wire();
        wire.exchange(format!("CLIENT SETNAME c{name}\r\n"), "+OK\r\n");
        wire.send("CLIENT ID\r\n");
        let id: u64 = wire.line()[1..].parse().expect("an id");
        wires.push((id, wire));
    }
    let list: String = ask(&mut connection, "CLIENT LIST");
    assert_eq!(list.lines().count(), 13, "{list}");
    for (name, (id, _)) in wires.iter().enumerate() {
        let found = list.lines().filter(|line| {
            line.starts_with(&format!("id={id} ")) && line.contains(&format!(" name=c{name} "))
        });
        assert_eq!(found.count(), 1, "{list}");
    }
    for (at, (id, mut wire)) in wires.into_iter().enumerate() {
        if at % 2 == 0 {
            assert_eq!(
                ask::<u64>(&mut connection, &format!("CLIENT KILL ID {id}")),
                1
            );
            wire.expect_end();
        } else {
            wire.exchange("PING\r\n", "+PONG\r\n");
        }
    }
    assert_eq!(ask::<u64>(&mut connection, "CLIENT KILL ID 999999"), 0);
}

#[test]
fn a_pause_holds_commands_back_until_it_is_ended() {
    let server = Server::start(&["--shards", "3"]);
    let mut operator = server.wire();
    operator.exchange("SET a 1\r\n", "+OK\r\n");
    operator.exchange("CLIENT PAUSE 600000 WRITE\r\n", "+OK\r\n");
    let mut paused: Vec<Wire> = (0..6).map(|_| server.wire()).collect();
    for (at, wire) in paused.iter_mut().enumerate() {
        wire.exchange("GET a\r\n", "$1\r\n1\r\n");
        wire.send(format!("SET p{at} 1\r\nGET p{at}\r\n"));
    }
    for wire in &mut paused {
        wire.set_timeout(Duration::from_millis(50));
        let mut byte = [0];
        assert!(wire.stream.read(&mut byte).is_err(), "held back");
        wire.set_timeout(PATIENCE);
    }
    operator.exchange("CLIENT UNPAUSE\r\n", "+OK\r\n");
    for wire in &mut paused {
        wire.expect("+OK\r\n$1\r\n1\r\n");
    }
}
