//! MEMORY: what keys cost, and what the process takes.

use std::sync::atomic::Ordering;

use causet_core::entry::{Entry, Value};
use causet_proto::resp::Reply;

use super::arg::{Arguments, integer, is};
use super::container::{reply_help, unknown_subcommand};
use super::info::{Totals, ratio};
use super::*;
use crate::usage::{self, Memory};

const SUB: Command = Command {
    arity: 2,
    group: "server",
    since: "4.0.0",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "memory",
    arity: -2,
    summary: "Commands about memory.",
    complexity: "Depends on the sub-command.",
    since: "4.0.0",
    group: "server",
    handler: unknown_subcommand,
    subcommands: &[
        Command {
            name: "memory|usage",
            arity: -3,
            flags: flag::READONLY | flag::NO_TOUCH,
            keys: Keys::SECOND,
            route: Route::Keys,
            summary: "Answers the bytes that a key takes.",
            handler: key_usage,
            ..SUB
        },
        Command {
            name: "memory|stats",
            route: Route::AllShards,
            summary: "Tells where the process's memory goes.",
            handler: stats,
            ..SUB
        },
        Command {
            name: "memory|doctor",
            route: Route::AllShards,
            summary: "Tells in words what is wrong about memory.",
            handler: doctor,
            ..SUB
        },
        Command {
            name: "memory|purge",
            summary: "Gives the allocator's free pages back to the kernel.",
            handler: purge,
            ..SUB
        },
        Command {
            name: "memory|malloc-stats",
            summary: "Answers the allocator's own report.",
            handler: allocator_report,
            ..SUB
        },
        Command {
            name: "memory|help",
            flags: flag::LOADING | flag::STALE,
            summary: "Lists the sub-commands.",
            handler: help,
            ..SUB
        },
    ],
    ..Command::BASE
}];

/// Bytes of an entry beside its key and value: the header, its places in the hash index and in the
/// ordered one.
const ENTRY_OVERHEAD_BYTES: usize = 16 + 8 + 12;
/// Bytes of the expiry in the entry and in the index by expiry.
const EXPIRY_BYTES: usize = 8 + 26;
/// Bytes of an allocation of its own for a large string: the counts, the vector, the pointer to it.
const SHARED_BYTES: usize = 16 + 24 + 8;

/// Bytes that a key takes, indexes included. O(1): collections count as they change.
fn entry_bytes(entry: Entry<'_>) -> usize {
    let value = match entry.value() {
        Value::Bytes(bytes) => bytes.len(),
        Value::Int(_) => 8,
        Value::Shared(shared) => SHARED_BYTES + shared.as_slice().len(),
        Value::Collection(collection) => 8 + collection.memory_bytes(),
        // It is in the log only.
        Value::Cold => 0,
    };
    let expiry = if entry.expires_ms().is_some() {
        EXPIRY_BYTES
    } else {
        0
    };
    // Slots of the arena are multiples of 8 bytes.
    (ENTRY_OVERHEAD_BYTES + expiry + entry.key().len() + value).next_multiple_of(8)
}

fn key_usage<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    // SAMPLES is understood and not needed: nothing is estimated.
    let options = args.tail(3);
    for at in (0..options.len()).step_by(2) {
        let (true, Some(count)) = (is(options.at(at), "samples"), options.get(at + 1)) else {
            return Err(Failure::SYNTAX);
        };
        if integer(count)? < 0 {
            return Err(Failure::SYNTAX);
        }
    }
    match call.peek(args.at(2)).map(entry_bytes) {
        Some(bytes) => call.reply().integer(bytes as i64),
        None => call.reply().null(),
    }
    Ok(())
}

fn stats<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let totals = Totals::gather(call);
    let shared = std::sync::Arc::clone(&call.state.shared);
    let (memory, peak) = Memory::read_with_peak(&shared);
    let startup = shared.memory_startup;
    let overhead = totals.overhead_bytes(startup);
    let dataset = memory.allocated.saturating_sub(overhead);
    let net = memory.allocated.saturating_sub(startup);
    let keys: u64 = totals
        .databases
        .iter()
        .map(|database| database.keys as u64)
        .sum();
    let used: Vec<_> = totals
        .databases
        .iter()
        .enumerate()
        .filter(|(_, database)| database.keys > 0)
        .collect();

    let mut reply = call.reply();
    let integer = |reply: &mut Reply<'_>, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    };
    let double = |reply: &mut Reply<'_>, name: &str, value: f64| {
        reply.bulk(name.as_bytes());
        reply.double(value);
    };
    let integers = [
        ("peak.allocated", peak),
        ("total.allocated", memory.allocated),
        ("startup.allocated", startup),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", totals.client_bytes as u64),
        ("cluster.links", 0),
        ("aof.buffer", totals.journal.pending_bytes),
        ("lua.caches", 0),
        ("functions.caches", 0),
    ];
    let more_integers = [
        ("overhead.total", overhead),
        ("keys.count", keys),
        ("keys.bytes-per-key", net.checked_div(keys).unwrap_or(0)),
        ("dataset.bytes", dataset),
    ];
    let allocator = [
        ("allocator.allocated", memory.allocated),
        ("allocator.active", memory.active),
        ("allocator.resident", memory.allocator_resident),
    ];
    let relations = [
        ("allocator-fragmentation", memory.active, memory.allocated),
        ("allocator-rss", memory.allocator_resident, memory.active),
        ("rss-overhead", memory.resident, memory.allocator_resident),
    ];
    reply.map(
        integers.len()
            + used.len()
            + more_integers.len()
            + 2
            + allocator.len()
            + 2 * relations.len()
            + 2,
    );
    for (name, value) in integers {
        integer(&mut reply, name, value);
    }
    for (number, database) in used {
        reply.bulk(format!("db.{number}").as_bytes());
        reply.map(2);
        integer(
            &mut reply,
            "overhead.hashtable.main",
            database.overhead_bytes as u64,
        );
        integer(
            &mut reply,
            "overhead.hashtable.expires",
            26 * database.expiring as u64,
        );
    }
    for (name, value) in more_integers {
        integer(&mut reply, name, value);
    }
    double(
        &mut reply,
        "dataset.percentage",
        100.0 * ratio(dataset.min(net), net),
    );
    double(
        &mut reply,
        "peak.percentage",
        100.0 * ratio(memory.allocated, peak),
    );
    for (name, value) in allocator {
        integer(&mut reply, name, value);
    }
    for (name, of, to) in relations {
        double(&mut reply, &format!("{name}.ratio"), ratio(of, to));
        reply.bulk(format!("{name}.bytes").as_bytes());
        reply.integer(of as i64 - to as i64);
    }
    double(
        &mut reply,
        "fragmentation",
        ratio(memory.resident, memory.allocated),
    );
    reply.bulk(b"fragmentation.bytes");
    reply.integer(memory.resident as i64 - memory.allocated as i64);
    Ok(())
}

/// Below so many bytes no figure means anything.
const DOCTOR_BYTES_MIN: u64 = 5 << 20;

fn doctor<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let totals = Totals::gather(call);
    let shared = std::sync::Arc::clone(&call.state.shared);
    let (memory, peak) = Memory::read_with_peak(&shared);
    let maxmemory = shared.maxmemory.load(Ordering::Relaxed);
    let mut findings = Vec::new();
    if memory.allocated < DOCTOR_BYTES_MIN {
        findings.push("So little memory is in use that there is nothing to find fault with.");
    } else {
        if peak > memory.allocated / 2 * 3 {
            findings.push(
                "- The peak was more than half above what is in use now: the process may hold \
                 free pages. MEMORY PURGE gives them back.",
            );
        }
        if memory.resident > memory.allocated / 10 * 14 {
            findings.push(
                "- Much more is resident than in use (mem_fragmentation_ratio above 1.4): pages \
                 are partly empty. MEMORY PURGE helps with free pages; a restart packs the rest.",
            );
        }
        if maxmemory != 0 && memory.allocated > maxmemory / 100 * 95 {
            findings
                .push("- Memory is nearly at maxmemory: values leave memory, reads get slower.");
        }
        if totals.client_bytes as u64 > memory.allocated / 4 {
            findings.push(
                "- Clients' buffers take more than a quarter: some client does not read its \
                 replies (CLIENT LIST, omem), client-output-buffer-limit bounds it.",
            );
        }
        if findings.is_empty() {
            findings.push("No problem with memory found.");
        }
    }
    let text = findings.join("\n") + "\n";
    call.reply().verbatim(*b"txt", text.as_bytes());
    Ok(())
}

fn purge<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    if !usage::purge() {
        return Err(Failure::from("ERR Error purging dirty pages"));
    }
    call.reply().ok();
    Ok(())
}

fn allocator_report<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    call.reply().verbatim(*b"txt", &usage::allocator_report());
    Ok(())
}

fn help<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    reply_help(
        call,
        &[
            "DOCTOR",
            "    Tells in words what is wrong about memory.",
            "MALLOC-STATS",
            "    Answers the allocator's own report.",
            "PURGE",
            "    Gives the allocator's free pages back to the kernel.",
            "STATS",
            "    Tells where the process's memory goes.",
            "USAGE <key> [SAMPLES <count>]",
            "    Answers the bytes that a key takes; SAMPLES changes nothing.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::harness::Harness;
    use crate::config::LocalAccess;

    #[test]
    fn a_keys_usage_grows_with_its_value() {
        let mut harness = Harness::new();
        let mut config = (*harness.state.config).clone();
        config.enable_debug_command = LocalAccess::Yes;
        harness.state.config = Arc::new(config);
        harness.text("debug populate 1 small 10");
        harness.text("debug populate 1 large 5000");
        let mut usage = |key: &str| {
            let reply = harness.text(&format!("memory usage {key}"));
            reply.trim()[1..].parse::<usize>().expect("an integer")
        };
        assert_eq!(usage("small:0"), 56);
        assert!((5000..5200).contains(&usage("large:0")));
        harness.expect(&[
            ("memory usage nokey", "$-1\r\n"),
            ("memory usage small:0 samples 0", ":56\r\n"),
            ("memory usage small:0 samples", "-ERR syntax error\r\n"),
            ("memory usage small:0 samples -1", "-ERR syntax error\r\n"),
            (
                "memory usage small:0 samples a",
                "-ERR value is not an integer or out of range\r\n",
            ),
            ("memory usage small:0 foo 1", "-ERR syntax error\r\n"),
        ]);
    }

    #[test]
    fn reports_are_whole() {
        let mut harness = Harness::new();
        harness.text("hello 3");
        let stats = harness.text("memory stats");
        assert!(
            stats.starts_with("%27\r\n$14\r\npeak.allocated\r\n:"),
            "{stats}"
        );
        // 27 names and values: 20 integers and 7 doubles without a database in use.
        let integers = stats.lines().filter(|line| line.starts_with(':')).count();
        let doubles = stats.lines().filter(|line| line.starts_with(',')).count();
        assert_eq!((integers, doubles), (21, 6));
        assert!(harness.text("memory doctor").starts_with("="));
        harness.expect(&[("memory purge", "+OK\r\n")]);
        assert!(harness.text("memory malloc-stats").contains("jemalloc"));
    }
}
