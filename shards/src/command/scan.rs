//! Listing keys: SCAN in steps, KEYS at once, RANDOMKEY by chance.
//!
//! HSCAN, SSCAN and ZSCAN walk one collection and are in the files of their types.
//!
//! The rule kept: SCAN walks each shard's keys in their order, shard after shard, and goes on behind
//! the last key it visited. So a key that is there throughout is answered exactly once, whatever
//! comes and goes around it, and MATCH costs the keys that begin as the pattern does, not the others.

use std::ops::ControlFlow;

use causet_core::entry::Entry;
use causet_core::glob::{glob_match, has_wildcard, literal_prefix};
use causet_proto::resp::Reply;

use super::arg::{self, Arguments};
use super::flag::READONLY;
use super::*;
use crate::cursors::Position;
use crate::state::State;

const READ: Command = Command {
    flags: READONLY,
    categories: category::KEYSPACE,
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "scan",
        arity: -2,
        route: Route::Cursor,
        since: "2.8.0",
        summary: "Lists the keys of a database step by step, in order on each shard.",
        complexity: "O(COUNT) a call; with MATCH only keys with the pattern's literal beginning.",
        handler: scan,
        ..READ
    },
    Command {
        name: "keys",
        arity: 2,
        categories: category::KEYSPACE | category::DANGEROUS,
        route: Route::AllShards,
        summary: "Lists all keys that match a pattern.",
        complexity: "O(N) where N is the number of keys with the pattern's literal beginning.",
        handler: keys,
        ..READ
    },
    Command {
        name: "randomkey",
        route: Route::AllShards,
        summary: "Answers a key chosen at random.",
        handler: randomkey,
        ..READ
    },
];

/// Keys that a SCAN visits where COUNT does not say.
const COUNT_DEFAULT: i64 = 10;

/// Draws of RANDOMKEY before it says that there is no key: so many in a row had expired.
const DRAWS_MAX: usize = 100;

/// A pattern, with what can be known from its beginning.
struct Filter<'p> {
    /// `None`: every key.
    pattern: Option<&'p [u8]>,
    /// What every match begins with.
    prefix: Vec<u8>,
    /// The prefix is the only match.
    is_literal: bool,
    now_ms: u64,
}

impl<'p> Filter<'p> {
    fn new(pattern: Option<&'p [u8]>, now_ms: u64) -> Self {
        let pattern = pattern.filter(|pattern| *pattern != b"*");
        Filter {
            prefix: pattern.map(literal_prefix).unwrap_or_default(),
            is_literal: pattern.is_some_and(|pattern| !has_wildcard(pattern)),
            pattern,
            now_ms,
        }
    }

    /// No key from this one on, in order, can match.
    fn is_past(&self, key: &[u8]) -> bool {
        if self.is_literal {
            key != self.prefix
        } else {
            !key.starts_with(&self.prefix)
        }
    }

    /// The key is there and matches.
    fn wants(&self, entry: Entry<'_>) -> bool {
        let is_live = entry.expires_ms().is_none_or(|at_ms| at_ms > self.now_ms);
        is_live
            && self
                .pattern
                .is_none_or(|pattern| glob_match(pattern, entry.key(), false))
    }

    /// Visits the entries of `state` that may match, in order, behind the key `after`.
    fn walk(
        &self,
        state: &mut State,
        db: u32,
        after: Option<&[u8]>,
        visit: impl FnMut(Entry<'_>) -> ControlFlow<()>,
    ) {
        let keys = state.engine.in_order(db);
        let may_match = |entry: &Entry<'_>| !self.is_past(entry.key());
        // A cursor from before the prefix was made with another pattern, and starts at this one's.
        // Whether the visitor stopped early is the visitor's to know.
        let _ = match after.filter(|after| *after >= self.prefix.as_slice()) {
            Some(after) => keys
                .range_after(after)
                .take_while(may_match)
                .try_for_each(visit),
            None => keys
                .range_from(&self.prefix)
                .take_while(may_match)
                .try_for_each(visit),
        };
    }
}

fn scan<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let cursor =
        causet_proto::resp::parse_u64(args.at(1)).ok_or(Failure::from("ERR invalid cursor"))?;
    let (mut pattern, mut type_name, mut count) = (None, None, COUNT_DEFAULT);
    let mut at = 2;
    while let Some(option) = args.get(at) {
        let value = args.get(at + 1).ok_or(Failure::SYNTAX)?;
        if arg::is(option, "COUNT") {
            count = arg::integer(value)?;
            if count < 1 {
                return Err(Failure::SYNTAX);
            }
        } else if arg::is(option, "MATCH") {
            pattern = Some(value);
        } else if arg::is(option, "TYPE") {
            type_name = Some(value);
        } else {
            return Err(Failure::SYNTAX);
        }
        at += 2;
    }
    let shard = call.state.number;
    let position = Position::of_cursor(cursor);
    if position.shard() != shard {
        // No cursor of ours: the shards are fewer than it says. Redis ends such a scan too.
        reply(call, 0, 0, &[]);
        return Ok(());
    }
    let after = match position {
        Position::Start { .. } => None,
        Position::Remembered { number, .. } => {
            let key = call.state.cursors.recall(number).ok_or_else(|| {
                Failure::from(format!(
                    "ERR cursor {cursor} is not remembered any more, start again with SCAN 0"
                ))
            })?;
            Some(call.keep(key))
        }
    };

    let filter = Filter::new(pattern, call.now_ms());
    let protocol = call.client.protocol;
    let db = call.db();
    let (mut found, mut found_count) = (Vec::new(), 0);
    let mut left = count;
    let mut last = Vec::new();
    let mut has_more = false;
    filter.walk(call.state, db, after, |entry| {
        if left == 0 {
            has_more = true;
            return ControlFlow::Break(());
        }
        left -= 1;
        if left == 0 {
            last.extend_from_slice(entry.key());
        }
        let of_type = type_name.is_none_or(|name: &[u8]| arg::is(name, entry.type_tag().name()));
        if of_type && filter.wants(entry) {
            Reply::new(&mut found, protocol).bulk(entry.key());
            found_count += 1;
        }
        ControlFlow::Continue(())
    });
    let next = if has_more {
        call.state.cursors.remember(shard, &last)
    } else if shard + 1 < call.state.shared.shards {
        Position::start_of(shard + 1)
    } else {
        0
    };
    reply(call, next, found_count, &found);
    Ok(())
}

fn reply(call: &mut Call<'_, '_>, cursor: u64, count: usize, keys: &[u8]) {
    let mut reply = call.reply();
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    reply.array(count);
    reply.raw(keys);
}

fn keys<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let filter = Filter::new(Some(args.at(1)), call.now_ms());
    let protocol = call.client.protocol;
    let db = call.db();
    let (mut found, mut count) = (Vec::new(), 0);
    call.for_each_shard(|state| {
        filter.walk(state, db, None, |entry| {
            if filter.wants(entry) {
                Reply::new(&mut found, protocol).bulk(entry.key());
                count += 1;
            }
            ControlFlow::Continue(())
        });
    });
    let mut reply = call.reply();
    reply.array(count);
    reply.raw(&found);
    Ok(())
}

fn randomkey<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let (db, now_ms) = (call.db(), call.now_ms());
    let mut total = 0;
    call.for_each_shard(|state| total += state.engine.space(db).len());
    let mut drawn = Vec::new();
    for _ in 0..DRAWS_MAX.min(total * DRAWS_MAX) {
        // A shard is drawn by the number of its keys, then a key of it.
        let at = call.state.random.below(total);
        let random = call.state.random.bits();
        let mut before = 0;
        let mut is_live = false;
        call.for_each_shard(|state| {
            let space = state.engine.space(db);
            let here = before..before + space.len();
            before = here.end;
            if here.contains(&at)
                && let Some(slot) = space.sample(random)
            {
                let entry = space.entry(slot);
                is_live = entry.expires_ms().is_none_or(|at_ms| at_ms > now_ms);
                drawn.clear();
                drawn.extend_from_slice(entry.key());
            }
        });
        if is_live {
            call.reply().bulk(&drawn);
            return Ok(());
        }
    }
    call.reply().null();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;

    /// The cursor and the keys of a SCAN's reply.
    fn step(h: &mut Harness, line: &str) -> (String, Vec<String>) {
        let raw = h.text(line);
        let mut words = raw
            .split("\r\n")
            .filter(|w| !w.is_empty() && !w.starts_with(['*', '$']));
        let cursor = words.next().expect("a cursor").to_owned();
        (cursor, words.map(str::to_owned).collect())
    }

    fn scan_all(h: &mut Harness, options: &str) -> (Vec<String>, usize) {
        let (mut cursor, mut all, mut calls) = ("0".to_owned(), Vec::new(), 0);
        loop {
            let (next, keys) = step(h, format!("scan {cursor} {options}").trim_end());
            all.extend(keys);
            calls += 1;
            if next == "0" {
                return (all, calls);
            }
            cursor = next;
        }
    }

    #[test]
    fn a_scan_answers_every_key_once_and_in_order() {
        let mut h = Harness::new();
        let mut want: Vec<String> = (0..100).map(|i| format!("key:{i:03}")).collect();
        for key in &want {
            h.text(&format!("set {key} v"));
        }
        assert_eq!(scan_all(&mut h, ""), (want.clone(), 10));
        assert_eq!(scan_all(&mut h, "count 1000"), (want.clone(), 1));
        // What comes and goes meanwhile does not move the others.
        let (cursor, first) = step(&mut h, "scan 0 count 50");
        assert_eq!(first, want[..50]);
        h.text("del key:049 key:050");
        h.text("set key:0000 v");
        want.remove(50);
        let (_, rest) = step(&mut h, &format!("scan {cursor} count 100"));
        assert_eq!(rest, want[50..]);
    }

    #[test]
    fn a_pattern_costs_the_keys_with_its_beginning_only() {
        let mut h = Harness::new();
        for i in 0..500 {
            h.text(&format!("set other:{i} v"));
        }
        for i in 0..20 {
            h.text(&format!("set user:{i:02} v"));
        }
        let (keys, calls) = scan_all(&mut h, "match user:* count 20");
        assert_eq!((keys.len(), calls), (20, 1));
        let (keys, _) = scan_all(&mut h, "match user:*5");
        assert_eq!(keys, ["user:05", "user:15"]);
        let (keys, calls) = scan_all(&mut h, "match user:0? count 5");
        assert_eq!((keys.len(), calls), (10, 2));
        assert_eq!(
            scan_all(&mut h, "match user:07 count 1"),
            (vec!["user:07".into()], 1)
        );
        assert_eq!(scan_all(&mut h, "match user"), (vec![], 1));
        assert_eq!(
            h.text("keys user:0[1-2]"),
            "*2\r\n$7\r\nuser:01\r\n$7\r\nuser:02\r\n"
        );
        assert_eq!(h.text("keys none*"), "*0\r\n");
    }

    #[test]
    fn expired_keys_and_other_types_are_left_out() {
        let mut h = Harness::new();
        h.expect(&[("set a 1 px 5", "+OK\r\n"), ("set b 1", "+OK\r\n")]);
        h.advance_ms(5);
        assert_eq!(scan_all(&mut h, "").0, ["b"]);
        assert_eq!(scan_all(&mut h, "type String").0, ["b"]);
        assert!(scan_all(&mut h, "type list").0.is_empty());
        assert_eq!(h.text("keys *"), "*1\r\n$1\r\nb\r\n");
        for _ in 0..20 {
            assert_eq!(h.text("randomkey"), "$1\r\nb\r\n");
        }
        h.text("del a b");
        assert_eq!(h.text("randomkey"), "$-1\r\n");
    }

    #[test]
    fn errors_are_those_of_redis() {
        let mut h = Harness::new();
        h.expect(&[
            ("scan x", "-ERR invalid cursor\r\n"),
            ("scan 0 count 0", "-ERR syntax error\r\n"),
            (
                "scan 0 count x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            ("scan 0 match", "-ERR syntax error\r\n"),
            ("scan 0 foo 1", "-ERR syntax error\r\n"),
            ("scan 1099511627776", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ]);
        assert!(
            h.text("scan 77")
                .starts_with("-ERR cursor 77 is not remembered")
        );
    }
}
