//! SORT and SORT_RO: the elements of a list, set or sorted set in another order.
//!
//! The rule kept: with BY and GET a SORT reads keys that its arguments do not name, so it runs with
//! every shard held and is one moment in time over all of them.

use std::cmp::Ordering;

use causet_core::effect::{Data, TypeTag};
use causet_core::entry::Value;
use causet_core::value::Collection;
use causet_proto::resp::parse_double;

use super::arg::{self, Arguments};
use super::flag::{DENYOOM, MOVABLE_KEYS, READONLY, WRITE};
use super::generic::emit_list;
use super::*;

const SORT: Command = Command {
    arity: -2,
    categories: category::DANGEROUS,
    keys: Keys::ONE,
    route: Route::AllShards,
    complexity: "O(N+M*log(M)) where N is the number of elements and M that of the answer.",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "sort",
        flags: WRITE | DENYOOM | MOVABLE_KEYS,
        summary: "Sorts the elements of a list, a set or a sorted set; may store them as a list.",
        handler: sort,
        ..SORT
    },
    Command {
        name: "sort_ro",
        flags: READONLY | MOVABLE_KEYS,
        since: "7.0.0",
        summary: "Sorts the elements of a list, a set or a sorted set, without storing them.",
        handler: sort_ro,
        ..SORT
    },
];

/// The arguments behind the key.
#[derive(Default)]
struct Options<'a> {
    descending: bool,
    alphabetic: bool,
    limit: Option<(i64, i64)>,
    by: Option<&'a [u8]>,
    get: Vec<&'a [u8]>,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(words: Args<'a>, may_store: bool) -> Result<Self, Failure> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut next = || words.next().ok_or(Failure::SYNTAX);
            if arg::is(word, "ASC") {
                options.descending = false;
            } else if arg::is(word, "DESC") {
                options.descending = true;
            } else if arg::is(word, "ALPHA") {
                options.alphabetic = true;
            } else if arg::is(word, "LIMIT") {
                let (start, count) = (next()?, next()?);
                options.limit = Some((arg::integer(start)?, arg::integer(count)?));
            } else if arg::is(word, "STORE") && may_store {
                options.store = Some(next()?);
            } else if arg::is(word, "BY") {
                options.by = Some(next()?);
            } else if arg::is(word, "GET") {
                options.get.push(next()?);
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        Ok(options)
    }

    /// A BY without a place for the element: the elements stay as they are.
    fn keeps_order(&self) -> bool {
        self.by.is_some_and(|pattern| !pattern.contains(&b'*'))
    }

    /// The part of `len` sorted elements that LIMIT leaves.
    fn window(&self, len: usize) -> std::ops::Range<usize> {
        let Some((start, count)) = self.limit else {
            return 0..len;
        };
        let start = usize::try_from(start).unwrap_or(0).min(len);
        // A negative count is no limit.
        let count = usize::try_from(count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

/// What an element is sorted by.
enum Weight {
    Number(f64),
    /// `None`: the key that BY names is missing, which comes first.
    Text(Option<Vec<u8>>),
}

fn sort<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let options = Options::parse(args.tail(2), true)?;
    let rows = sorted_rows(call, args.at(1), &options)?;
    let Some(target) = options.store else {
        answer(call, &rows);
        return Ok(());
    };
    if call.peek(target).is_some() {
        call.emit(target, Data::remove_key());
    }
    if !rows.is_empty() {
        let elements: Vec<&'a [u8]> = rows
            .iter()
            .map(|row| call.keep(row.as_deref().unwrap_or_default()))
            .collect();
        emit_list(call, target, &elements);
    }
    call.reply().integer(rows.len() as i64);
    Ok(())
}

fn sort_ro<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let options = Options::parse(args.tail(2), false)?;
    let rows = sorted_rows(call, args.at(1), &options)?;
    answer(call, &rows);
    Ok(())
}

fn answer(call: &mut Call<'_, '_>, rows: &[Option<Vec<u8>>]) {
    let mut reply = call.reply();
    reply.array(rows.len());
    for row in rows {
        match row {
            Some(bytes) => reply.bulk(bytes),
            None => reply.null(),
        }
    }
}

/// The elements in their new order, or for each of them what the GETs name.
fn sorted_rows(
    call: &mut Call<'_, '_>,
    key: &[u8],
    options: &Options<'_>,
) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    let (type_tag, mut elements) = elements(call, key)?;
    if !options.keeps_order() {
        elements = sorted(call, elements, options)?;
    } else if type_tag == TypeTag::Set && options.store.is_some() {
        // A set has no order to keep, and what is stored must not depend on the hash seed.
        elements.sort();
        if options.descending {
            elements.reverse();
        }
    } else if type_tag == TypeTag::SortedSet && options.descending {
        elements.reverse();
    }
    let window = options.window(elements.len());
    let mut rows = Vec::with_capacity(window.len() * options.get.len().max(1));
    for element in elements.drain(window) {
        for pattern in &options.get {
            rows.push(look_up(call, pattern, &element));
        }
        if options.get.is_empty() {
            rows.push(Some(element));
        }
    }
    Ok(rows)
}

/// The elements of a list, set or sorted set in its own order; none where there is no key.
fn elements(call: &mut Call<'_, '_>, key: &[u8]) -> Result<(TypeTag, Vec<Vec<u8>>), Failure> {
    let Some(entry) = call.entry(key) else {
        return Ok((TypeTag::List, Vec::new()));
    };
    let elements = match entry.value() {
        Value::Collection(Collection::List(list)) => {
            list.iter(0..list.len()).map(<[u8]>::to_vec).collect()
        }
        Value::Collection(Collection::Set(set)) => set.iter().map(|m| m.to_vec()).collect(),
        Value::Collection(Collection::ZSet(zset)) => {
            zset.iter().map(|(member, _)| member.to_vec()).collect()
        }
        _ => return Err(Failure::WRONG_TYPE),
    };
    Ok((entry.type_tag(), elements))
}

fn sorted(
    call: &mut Call<'_, '_>,
    elements: Vec<Vec<u8>>,
    options: &Options<'_>,
) -> Result<Vec<Vec<u8>>, Failure> {
    let mut weighted = Vec::with_capacity(elements.len());
    for element in elements {
        let looked_up = options.by.map(|pattern| look_up(call, pattern, &element));
        let weight = if options.alphabetic {
            Weight::Text(looked_up.unwrap_or_else(|| Some(element.clone())))
        } else {
            Weight::Number(match &looked_up {
                None => number(&element)?,
                Some(Some(text)) => number(text)?,
                Some(None) => 0.0,
            })
        };
        weighted.push((weight, element));
    }
    weighted.sort_by(|a, b| {
        let order = compare(a, b);
        if options.descending {
            order.reverse()
        } else {
            order
        }
    });
    Ok(weighted.into_iter().map(|(_, element)| element).collect())
}

fn compare((a, a_element): &(Weight, Vec<u8>), (b, b_element): &(Weight, Vec<u8>)) -> Ordering {
    match (a, b) {
        // Equal numbers are told apart by the elements, so that the order is always the same.
        (Weight::Number(a), Weight::Number(b)) => a
            .partial_cmp(b)
            .unwrap_or(Ordering::Equal)
            .then_with(|| a_element.cmp(b_element)),
        (Weight::Text(a), Weight::Text(b)) => a.cmp(b),
        _ => unreachable!("all weights of one SORT are of one kind"),
    }
}

/// A number as SORT reads it: an empty text is 0, as C has it.
fn number(text: &[u8]) -> Result<f64, Failure> {
    let text = text.trim_ascii_start();
    if text.is_empty() {
        return Ok(0.0);
    }
    parse_double(text).ok_or(Failure::from(
        "ERR One or more scores can't be converted into double",
    ))
}

/// What a pattern of BY or GET names for an element: `#` the element, `a*b` the string at that key,
/// `a*b->field` a field of the hash there. None for another type, and without a `*`.
fn look_up(call: &mut Call<'_, '_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|&byte| byte == b'*')?;
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = after
        .windows(2)
        .position(|two| two == b"->")
        .filter(|at| at + 2 < after.len());
    let (after, field) = match arrow {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    let key = [before, element, after].concat();
    match field {
        Some(field) => call.hash(&key).ok()??.get(field).map(<[u8]>::to_vec),
        None => Some(call.string(&key).ok()??.bytes().into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;

    /// Restores a list (1), a set (2) or a hash (4), whose payload is its strings one by one.
    fn put(h: &mut Harness, kind: u8, key: &str, words: &[&str]) {
        let per_element = if kind == 4 { 2 } else { 1 };
        let mut payload = vec![kind, (words.len() / per_element) as u8];
        for word in words {
            payload.push(word.len() as u8);
            payload.extend_from_slice(word.as_bytes());
        }
        payload.extend_from_slice(&[10, 0]);
        payload.extend_from_slice(&crate::rdb::crc64::crc64(&payload).to_le_bytes());
        let reply = h.run(&[b"restore", key.as_bytes(), b"0", &payload]);
        assert_eq!(reply, b"+OK\r\n");
    }

    /// The elements of a reply; `-` for null.
    fn words(h: &mut Harness, line: &str) -> String {
        let raw = h.text(line).replace("$-1", "-");
        let words: Vec<_> = raw
            .split("\r\n")
            .filter(|w| !w.is_empty() && !w.starts_with(['*', '$']))
            .collect();
        words.join(" ")
    }

    fn expect(h: &mut Harness, cases: &[(&str, &str)]) {
        for (line, want) in cases {
            assert_eq!(&words(h, line), want, "{line}");
        }
    }

    #[test]
    fn elements_are_sorted_by_number_or_by_text() {
        let mut h = Harness::new();
        put(&mut h, 1, "l", &["10", "9", "-1", "2.5", "9"]);
        put(&mut h, 1, "t", &["b", "a", "C"]);
        expect(
            &mut h,
            &[
                ("sort l", "-1 2.5 9 9 10"),
                ("sort l desc", "10 9 9 2.5 -1"),
                ("sort l alpha", "-1 10 2.5 9 9"),
                ("sort l limit 1 2", "2.5 9"),
                ("sort l limit -5 2", "-1 2.5"),
                ("sort l limit 2 -1", "9 9 10"),
                ("sort l limit 9 1", ""),
                ("sort_ro t alpha desc", "b a C"),
                ("sort l by nosort", "10 9 -1 2.5 9"),
                ("sort none", ""),
                (
                    "sort t",
                    "-ERR One or more scores can't be converted into double",
                ),
                ("sort l limit 1", "-ERR syntax error"),
                (
                    "sort l limit a 1",
                    "-ERR value is not an integer or out of range",
                ),
                ("sort_ro l store x", "-ERR syntax error"),
                ("sort l foo", "-ERR syntax error"),
            ],
        );
        h.text("set s 1");
        assert!(h.text("sort s").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn patterns_name_keys_and_fields() {
        let mut h = Harness::new();
        put(&mut h, 2, "s", &["1", "2", "3"]);
        put(&mut h, 4, "h1", &["w", "x"]);
        h.text("mset w1 30 w2 10 w3 20 n1 one n3 three");
        expect(
            &mut h,
            &[
                ("sort s by w*", "2 3 1"),
                ("sort s by w* desc get #", "1 3 2"),
                ("sort s by w* get n* get #", "- 2 three 3 one 1"),
                ("sort s get h*->w", "x - -"),
                ("sort s by h*->w alpha limit 2 1", "1"),
                ("sort s get nostar", "- - -"),
                ("sort s by none*", "1 2 3"),
                (
                    "sort s by n*",
                    "-ERR One or more scores can't be converted into double",
                ),
            ],
        );
    }

    #[test]
    fn the_result_may_be_stored_as_a_list() {
        let mut h = Harness::new();
        put(&mut h, 2, "s", &["3", "1", "2"]);
        h.expect(&[
            ("set d x ex 100", "+OK\r\n"),
            ("sort s store d", ":3\r\n"),
            ("ttl d", ":-1\r\n"),
            ("type d", "+list\r\n"),
        ]);
        expect(&mut h, &[("sort d by nosort", "1 2 3")]);
        h.expect(&[
            ("sort s desc limit 0 2 store s", ":2\r\n"),
            ("type s", "+list\r\n"),
            ("sort none store d", ":0\r\n"),
            ("exists d", ":0\r\n"),
        ]);
        expect(&mut h, &[("sort s by nosort", "3 2")]);
    }
}
