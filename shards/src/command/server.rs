//! Commands about the server as a whole: time, durability, role, shutdown, MONITOR.
//!
//! Durability is the log's: SAVE and BGSAVE ask for it to be made durable and BGREWRITEAOF for its
//! compaction. A command only sets a flag on each shard; the shard's loop does the work.

use std::sync::atomic::Ordering;

use causet_core::engine::Now;

use super::arg::{Arguments, integer, is};
use super::*;
use crate::version::{CAUSET_VERSION, REDIS_VERSION};

const OPERATOR: u32 = flag::ADMIN | flag::NOSCRIPT;

const ROW: Command = Command {
    group: "server",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "time",
        flags: flag::LOADING | flag::STALE | flag::FAST,
        summary: "Answers the time: Unix seconds, and microseconds in them.",
        since: "2.6.0",
        handler: time,
        ..ROW
    },
    Command {
        name: "lastsave",
        flags: flag::LOADING | flag::STALE | flag::FAST,
        categories: category::ADMIN,
        summary: "Answers when SAVE or BGSAVE last asked for durability, in Unix seconds.",
        handler: last_save,
        ..ROW
    },
    Command {
        name: "save",
        flags: OPERATOR | flag::NO_MULTI,
        route: Route::AllShards,
        summary: "Makes the log durable before it answers.",
        complexity: "O(N) where N is the bytes not yet durable",
        handler: save,
        ..ROW
    },
    Command {
        name: "bgsave",
        arity: -1,
        flags: OPERATOR,
        route: Route::AllShards,
        summary: "Makes the log durable.",
        complexity: "O(N) where N is the bytes not yet durable",
        handler: background_save,
        ..ROW
    },
    Command {
        name: "bgrewriteaof",
        flags: OPERATOR,
        route: Route::AllShards,
        summary: "Starts a compaction of the log.",
        complexity: "O(N) where N is the bytes of live data, in the background",
        handler: rewrite_log,
        ..ROW
    },
    Command {
        name: "shutdown",
        arity: -1,
        flags: OPERATOR | flag::LOADING | flag::STALE | flag::NO_MULTI | flag::ALLOW_BUSY,
        summary: "Makes the log durable and ends the server.",
        complexity: "O(N) where N is the bytes not yet durable",
        handler: shutdown,
        ..ROW
    },
    Command {
        name: "monitor",
        flags: OPERATOR | flag::LOADING | flag::STALE,
        summary: "Sends every command that the server runs to this connection.",
        handler: monitor,
        ..ROW
    },
    Command {
        name: "role",
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST,
        categories: category::ADMIN,
        summary: "Answers the role in replication, which is always master: every node is.",
        since: "2.8.12",
        handler: role,
        ..ROW
    },
    Command {
        name: "replicaof",
        arity: 3,
        flags: OPERATOR | flag::STALE,
        summary: "Understands NO ONE, which is always so.",
        since: "5.0.0",
        handler: replica_of,
        ..ROW
    },
    Command {
        name: "slaveof",
        arity: 3,
        flags: OPERATOR | flag::STALE,
        summary: "The older name of REPLICAOF.",
        handler: replica_of,
        ..ROW
    },
    Command {
        name: "wait",
        arity: 3,
        flags: flag::NOSCRIPT,
        categories: category::CONNECTION,
        summary: "Answers how many replicas have this connection's writes.",
        since: "3.0.0",
        group: "generic",
        handler: wait,
        ..ROW
    },
    Command {
        name: "lolwut",
        arity: -1,
        flags: flag::READONLY | flag::FAST,
        summary: "Answers the version.",
        since: "5.0.0",
        handler: lolwut,
        ..ROW
    },
];

fn time<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let micros = call.state.now.unix_ns / 1000;
    let mut reply = call.reply();
    reply.array(2);
    reply.bulk_integer((micros / 1_000_000) as i64);
    reply.bulk_integer((micros % 1_000_000) as i64);
    Ok(())
}

fn last_save<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let at_s = call.state.shared.last_save_s.load(Ordering::Relaxed) as i64;
    call.reply().integer(at_s);
    Ok(())
}

/// Asks every shard to make its log durable.
pub fn request_sync(call: &mut Call<'_, '_>) {
    call.for_each_shard(|state| {
        state.wants_sync = true;
        state.stats.changes_saved = state.stats.changes;
    });
    let now_s = call.now_ms() / 1000;
    call.state
        .shared
        .last_save_s
        .store(now_s, Ordering::Relaxed);
    call.state.shared.wake_all();
}

/// The reply leaves when every shard's log is durable, whatever `appendfsync` says.
fn save<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    request_sync(call);
    let mut holds = Vec::new();
    let mut refusal = None;
    call.for_each_shard(|state| {
        if let Some(reason) = state.journal.refusing() {
            refusal = Some(format!("ERR the log cannot be written: {reason}"));
        }
        if let Some(lsn) = state.journal.request_flush() {
            holds.push((state.number, lsn.0));
        }
    });
    if let Some(text) = refusal {
        return Err(Failure::from(text));
    }
    call.client.remote_holds.append(&mut holds);
    call.reply().ok();
    Ok(())
}

fn background_save<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if args.len() > 2 || args.get(1).is_some_and(|option| !is(option, "schedule")) {
        return Err(Failure::SYNTAX);
    }
    request_sync(call);
    call.reply().simple("Background saving started");
    Ok(())
}

fn rewrite_log<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    call.for_each_shard(|state| state.wants_compaction = true);
    call.state.shared.wake_all();
    call.reply()
        .simple("Background append only file rewriting started");
    Ok(())
}

fn shutdown<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let has = |wanted: &str| args.tail(1).iter().any(|option| is(option, wanted));
    let known = ["save", "nosave", "now", "force", "abort"];
    let all_known = args
        .tail(1)
        .iter()
        .all(|option| known.iter().any(|word| is(option, word)));
    if !all_known || has("save") && has("nosave") || has("abort") && args.len() > 2 {
        return Err(Failure::SYNTAX);
    }
    if has("abort") {
        // Ending takes no longer than a flush: whoever could abort comes too late.
        return Err(Failure::from("ERR No shutdown in progress."));
    }
    // The log is made durable in any case: NOSAVE spares Redis a snapshot, and there is none.
    call.client.close_after_reply = true;
    call.state.shared.stop();
    Ok(())
}

fn monitor<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    if !call.client.is_monitor {
        call.client.is_monitor = true;
        call.state.shared.monitors.fetch_add(1, Ordering::Relaxed);
    }
    call.reply().ok();
    Ok(())
}

/// Ends MONITOR for this connection, if it was on.
pub fn stop_monitoring(call: &mut Call<'_, '_>) {
    if call.client.is_monitor {
        call.client.is_monitor = false;
        call.state.shared.monitors.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The line that MONITOR sends for a command: time, database, client's address, arguments, as one
/// simple string. O(bytes).
pub fn monitor_line(now: Now, db: u32, address: &str, args: Args<'_>) -> Vec<u8> {
    let micros = now.unix_ns / 1000;
    let head = format!(
        "+{}.{:06} [{db} {address}]",
        micros / 1_000_000,
        micros % 1_000_000
    );
    let mut line = head.into_bytes();
    for arg in args {
        line.extend_from_slice(b" \"");
        for &byte in arg {
            match byte {
                b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
                b'\n' => line.extend_from_slice(b"\\n"),
                b'\r' => line.extend_from_slice(b"\\r"),
                b'\t' => line.extend_from_slice(b"\\t"),
                0x07 => line.extend_from_slice(b"\\a"),
                0x08 => line.extend_from_slice(b"\\b"),
                b' '..=b'~' => line.push(byte),
                _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            }
        }
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn role<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let mut reply = call.reply();
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(0);
    reply.array(0);
    Ok(())
}

fn replica_of<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    if !is(args.at(1), "no") || !is(args.at(2), "one") {
        return Err(Failure::from(
            "ERR Causet has no leader to replicate from: every node takes writes. Join the nodes \
             as peers instead",
        ));
    }
    call.reply().ok();
    Ok(())
}

fn wait<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    super::client::timeout_ms(args.at(2))?;
    integer(args.at(1))?;
    // A node without peers has no replica to wait for, and time brings none.
    call.reply().integer(0);
    Ok(())
}

fn lolwut<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let text = format!("Redis ver. {REDIS_VERSION}, Causet ver. {CAUSET_VERSION}\n");
    call.reply().verbatim(*b"txt", text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use causet_proto::resp::{Argv, RequestParser, write_request};

    use super::harness::Harness;
    use super::*;
    use crate::shared::Phase;

    #[test]
    fn time_and_saves_follow_the_clock() {
        let mut harness = Harness::new();
        harness.expect(&[("time", "*2\r\n$7\r\n1000000\r\n$1\r\n0\r\n")]);
        harness.advance_ms(2_500);
        harness.expect(&[
            ("time", "*2\r\n$7\r\n1000002\r\n$6\r\n500000\r\n"),
            ("lastsave", ":1000000\r\n"),
            ("bgsave foo", "-ERR syntax error\r\n"),
            ("bgsave schedule", "+Background saving started\r\n"),
            ("lastsave", ":1000002\r\n"),
        ]);
        assert!(harness.state.wants_sync && !harness.state.wants_compaction);
        harness.expect(&[
            ("save", "+OK\r\n"),
            (
                "bgrewriteaof",
                "+Background append only file rewriting started\r\n",
            ),
        ]);
        assert!(harness.state.wants_compaction);
    }

    #[test]
    fn shutdown_says_nothing_and_stops() {
        let mut harness = Harness::new();
        harness.expect(&[
            ("shutdown foo", "-ERR syntax error\r\n"),
            ("shutdown save nosave", "-ERR syntax error\r\n"),
            ("shutdown abort now", "-ERR syntax error\r\n"),
            ("shutdown abort", "-ERR No shutdown in progress.\r\n"),
        ]);
        assert_eq!(harness.state.shared.phase(), Phase::Running);
        harness.expect(&[("shutdown NOSAVE now force", "")]);
        assert_eq!(harness.state.shared.phase(), Phase::Stopping);
        assert!(harness.client.close_after_reply);
    }

    #[test]
    fn monitors_are_counted_once() {
        let mut harness = Harness::new();
        let count = |harness: &Harness| harness.state.shared.monitors.load(Ordering::Relaxed);
        harness.expect(&[("monitor", "+OK\r\n"), ("monitor", "+OK\r\n")]);
        assert_eq!((count(&harness), harness.client.is_monitor), (1, true));
        harness.expect(&[("reset", "+RESET\r\n")]);
        assert_eq!((count(&harness), harness.client.is_monitor), (0, false));
    }

    #[test]
    fn monitor_lines_quote_what_is_not_printable() {
        let mut request = Vec::new();
        let args: [&[u8]; 3] = [b"set", b"a \"b\\", b"\x00\r\n\t\x07\x08\xff"];
        write_request(&mut request, &args);
        let mut argv = Argv::new();
        RequestParser::new()
            .parse(&request, &mut argv)
            .expect("a whole request");
        let now = Now {
            unix_ns: 1_339_518_083_107_412_000,
        };
        let line = monitor_line(now, 9, "127.0.0.1:60866", argv.args(&request));
        assert_eq!(
            String::from_utf8(line).expect("ASCII"),
            "+1339518083.107412 [9 127.0.0.1:60866] \"set\" \"a \\\"b\\\\\" \
             \"\\x00\\r\\n\\t\\a\\b\\xff\"\r\n"
        );
    }

    #[test]
    fn every_node_is_a_master_without_replicas() {
        Harness::new().expect(&[
            ("role", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"),
            ("replicaof no one", "+OK\r\n"),
            ("slaveof NO ONE", "+OK\r\n"),
            ("wait 1 100", ":0\r\n"),
            (
                "wait a 0",
                "-ERR value is not an integer or out of range\r\n",
            ),
            (
                "wait 0 a",
                "-ERR timeout is not an integer or out of range\r\n",
            ),
            ("wait 0 -1", "-ERR timeout is negative\r\n"),
        ]);
        let mut harness = Harness::new();
        assert!(
            harness
                .text("replicaof host 1")
                .starts_with("-ERR Causet has no leader")
        );
        assert!(
            harness
                .text("lolwut version 5")
                .contains("Redis ver. 7.2.4")
        );
    }
}
