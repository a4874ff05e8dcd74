//! The tests, as redis-benchmark defines them, and what each finds in the server.
//!
//! The names, commands and keys are redis-benchmark's (`key:000000012345`, `counter:...`, `mylist`,
//! `element:...`), so that figures can be held against anybody's. What is ours: a test that reads or
//! pops gets a filled server, the same for each, and is stopped before the filling is used up.

use std::iter;

use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::template::{Mix, RANDOM_PLACEHOLDER, Template};

/// Stands in a command for the value.
const VALUE_PLACEHOLDER: &str = "__data__";
/// Keys or elements per filling command; a filling of n takes n / 10 requests, rounded up.
pub const FILL_PER_REQUEST: u64 = 10;
/// Elements below LRANGE_100, enough that the list is in its large form on every server.
const RANGE_LIST_ELEMENTS: u64 = 10_000;

/// What a test needs before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// An empty server.
    Nothing,
    /// Every key of the keyspace, as strings.
    Strings,
    /// `mylist`, with as many elements as will be popped.
    List,
    /// `mylist`, of a fixed length.
    RangeList,
    /// `myset`, with as many elements as will be popped.
    Set,
    /// `myzset`, with as many elements as will be popped.
    SortedSet,
}

/// One test.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Its name in options and reports, upper case.
    pub name: &'static str,
    command: &'static [&'static str],
    /// What has to be there first.
    pub fill: Fill,
}

impl Test {
    /// Whether each request takes an element away, so that requests must not outnumber elements.
    pub fn pops(&self) -> bool {
        matches!(self.fill, Fill::List | Fill::Set | Fill::SortedSet)
    }

    /// The command's arguments, `value_bytes` long values in place, random numbers not yet.
    pub fn arguments(&self, value_bytes: usize) -> Vec<String> {
        let value = value(value_bytes);
        let arguments = self.command.iter().map(|&argument| match argument {
            VALUE_PLACEHOLDER => value.clone(),
            other => other.to_owned(),
        });
        if self.name == "MSET" {
            // Ten pairs: the row of the table shows one.
            let pairs: Vec<String> = arguments.skip(1).collect();
            return iter::once("MSET".to_owned())
                .chain(repeated(pairs, 10))
                .collect();
        }
        arguments.collect()
    }

    /// The command as the generator sends it.
    pub fn template(&self, value_bytes: usize) -> Template {
        Template::new(&self.arguments(value_bytes))
    }
}

/// Every test, in the order of reports.
pub const TESTS: &[Test] = &[
    Test {
        name: "SET",
        command: &["SET", "key:__rand_int__", "__data__"],
        fill: Fill::Nothing,
    },
    Test {
        name: "GET",
        command: &["GET", "key:__rand_int__"],
        fill: Fill::Strings,
    },
    Test {
        name: "INCR",
        command: &["INCR", "counter:__rand_int__"],
        fill: Fill::Nothing,
    },
    Test {
        name: "LPUSH",
        command: &["LPUSH", "mylist", "__data__"],
        fill: Fill::Nothing,
    },
    Test {
        name: "LPOP",
        command: &["LPOP", "mylist"],
        fill: Fill::List,
    },
    Test {
        name: "SADD",
        command: &["SADD", "myset", "element:__rand_int__"],
        fill: Fill::Nothing,
    },
    Test {
        name: "HSET",
        command: &["HSET", "myhash", "element:__rand_int__", "__data__"],
        fill: Fill::Nothing,
    },
    Test {
        name: "SPOP",
        command: &["SPOP", "myset"],
        fill: Fill::Set,
    },
    Test {
        name: "ZADD",
        command: &["ZADD", "myzset", "__rand_int__", "element:__rand_int__"],
        fill: Fill::Nothing,
    },
    Test {
        name: "ZPOPMIN",
        command: &["ZPOPMIN", "myzset"],
        fill: Fill::SortedSet,
    },
    Test {
        name: "LRANGE_100",
        command: &["LRANGE", "mylist", "0", "99"],
        fill: Fill::RangeList,
    },
    Test {
        name: "MSET",
        command: &["MSET", "key:__rand_int__", "__data__"],
        fill: Fill::Nothing,
    },
];

/// Finds a test by name, in any case; `MSET10` and `MSET(10)` are MSET.
pub fn test(name: &str) -> Result<&'static Test> {
    let wanted = name
        .to_ascii_uppercase()
        .replace("MSET(10)", "MSET")
        .replace("MSET10", "MSET");
    TESTS
        .iter()
        .find(|test| test.name == wanted)
        .ok_or_else(|| {
            let known: Vec<&str> = TESTS.iter().map(|test| test.name).collect();
            Error::Usage(format!(
                "no test is named {name}; there are {}",
                known.join(", ")
            ))
        })
}

/// A value of `bytes` bytes.
pub fn value(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn repeated(arguments: Vec<String>, times: usize) -> impl Iterator<Item = String> {
    iter::repeat_n(arguments, times).flatten()
}

/// How to fill a server: send `mix` over sequential `keys`, `requests` times.
#[derive(Clone, Debug)]
pub struct Filling {
    /// One command of [`FILL_PER_REQUEST`] elements.
    pub mix: Mix,
    /// Each number once.
    pub keys: Keys,
    /// Requests until every number was sent.
    pub requests: u64,
}

/// The filling for a test: `keyspace` string keys, or `elements` elements to pop. `None` where the
/// test starts on an empty server.
pub fn filling(fill: Fill, keyspace: u64, elements: u64, value_bytes: usize) -> Option<Filling> {
    let value = value(value_bytes);
    let element = format!("element:{RANDOM_PLACEHOLDER}");
    let key = format!("key:{RANDOM_PLACEHOLDER}");
    let (head, item, count) = match fill {
        Fill::Nothing => return None,
        Fill::Strings => (vec!["MSET".to_owned()], vec![key, value], keyspace),
        Fill::List => (
            vec!["LPUSH".to_owned(), "mylist".to_owned()],
            vec![value],
            elements,
        ),
        Fill::RangeList => (
            vec!["LPUSH".to_owned(), "mylist".to_owned()],
            vec![value],
            RANGE_LIST_ELEMENTS,
        ),
        Fill::Set => (
            vec!["SADD".to_owned(), "myset".to_owned()],
            vec![element],
            elements,
        ),
        Fill::SortedSet => {
            // Two numbers an element, the score and the name, so twice the numbers.
            let item = vec![RANDOM_PLACEHOLDER.to_owned(), element];
            (
                vec!["ZADD".to_owned(), "myzset".to_owned()],
                item,
                elements * 2,
            )
        }
    };
    let command: Vec<String> = head
        .into_iter()
        .chain(repeated(item, FILL_PER_REQUEST as usize))
        .collect();
    let numbers_per_request = if fill == Fill::SortedSet { 2 } else { 1 } * FILL_PER_REQUEST;
    Some(Filling {
        mix: Mix::single(Template::new(&command)),
        keys: Keys::sequential(count),
        requests: count.div_ceil(numbers_per_request),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::template::Batch;

    #[test]
    fn mset_sends_ten_pairs() {
        let arguments = test("mset").unwrap().arguments(3);
        assert_eq!(arguments.len(), 21);
        assert_eq!(arguments[19..], ["key:__rand_int__", "xxx"]);
    }

    #[test]
    fn every_test_is_found_by_its_name_in_any_case() {
        for row in TESTS {
            assert_eq!(test(&row.name.to_lowercase()).unwrap().name, row.name);
        }
        assert!(test("SORT").is_err());
    }

    #[test]
    fn filling_strings_sends_every_key_once() {
        let filling = filling(Fill::Strings, 25, 0, 1).unwrap();
        assert_eq!(filling.requests, 3);
        let mut keys = filling.keys;
        let mut batch = Batch::default();
        batch.refill(&filling.mix, &mut keys, &mut Rng::new(0), 3);
        let text = String::from_utf8(batch.unsent().to_vec()).unwrap();
        assert!((0..25).all(|key| text.contains(&format!("key:{key:012}"))));
    }

    #[test]
    fn filling_a_sorted_set_makes_as_many_elements_as_asked() {
        let filling = filling(Fill::SortedSet, 0, 1000, 1).unwrap();
        assert_eq!(filling.requests, 100);
        let mut keys = filling.keys;
        let mut batch = Batch::default();
        batch.refill(&filling.mix, &mut keys, &mut Rng::new(0), 100);
        let text = String::from_utf8(batch.unsent().to_vec()).unwrap();
        let distinct: std::collections::HashSet<&str> = text
            .lines()
            .filter(|line| line.starts_with("element:"))
            .collect();
        assert_eq!(distinct.len(), 1000);
    }
}
