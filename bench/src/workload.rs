//! The tests, as redis-benchmark defines them, and what each finds in the server.
//!
//! The names, commands and keys are redis-benchmark's (`key:000000012345`, `counter:...`, `mylist`,
//! `element:...`), so that figures can be held against anybody's. What is ours: a test gets a server
//! filled as its [`Fill`] says, the same for each. The rule: a test finds the same state at its end as
//! at its start, or it says in its name or here that it does not. So SET, INCR and MSET overwrite, as
//! GET reads, keys that are all there; what a new key costs is SET_NEW's and INCR_NEW's, each request
//! of which makes one; and what pops stops before its elements are used up.

use std::iter;

use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::template::{Mix, RANDOM_PLACEHOLDER, Template};

/// Stands in a command for the value.
const VALUE_PLACEHOLDER: &str = "__data__";
/// Keys or elements per filling command; a filling of n takes n / 10 requests, rounded up.
pub const FILL_PER_REQUEST: u64 = 10;
/// What a filled counter holds: small, as most counters are.
const COUNTER: &str = "100";
/// Of the order in which keys are filled in.
const FILL_SEED: u64 = 0xf111;
/// Elements below LRANGE_100, enough that the list is in its large form on every server.
const RANGE_LIST_ELEMENTS: u64 = 10_000;

/// What a test needs before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// An empty server.
    Nothing,
    /// Every key of the keyspace, as strings.
    Strings,
    /// Every counter of the keyspace, as small integers.
    Counters,
    /// `mylist`, with as many elements as will be popped.
    List,
    /// `mylist`, of a fixed length.
    RangeList,
    /// `myset`, with as many elements as will be popped.
    Set,
    /// `myzset`, with as many elements as will be popped.
    SortedSet,
}

/// Which keys a test's requests touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Any key of the keyspace, again and again.
    Any,
    /// In random order each key once, until the keyspace is used up.
    Each,
}

/// One test.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Its name in options and reports, upper case.
    pub name: &'static str,
    command: &'static [&'static str],
    /// What has to be there first.
    pub fill: Fill,
    /// What it touches.
    pub touch: Touch,
}

impl Test {
    /// Whether each request takes an element away, so that requests must not outnumber elements.
    pub fn pops(&self) -> bool {
        matches!(self.fill, Fill::List | Fill::Set | Fill::SortedSet)
    }

    /// The numbers of its keys or elements; a walk over each key is in the order of `seed`.
    pub fn keys(&self, keyspace: u64, seed: u64) -> Keys {
        match self.touch {
            Touch::Any => Keys::uniform(keyspace),
            Touch::Each => Keys::shuffled(keyspace, seed),
        }
    }

    /// How many requests use up what the test needs; `None` when that lasts for ever.
    pub fn requests_max(&self, keyspace: u64, pop_elements: u64) -> Option<u64> {
        match self.touch {
            Touch::Each => Some(keyspace),
            Touch::Any => self.pops().then_some(pop_elements),
        }
    }

    /// What the test finds and touches, for the note below its figures.
    pub fn premise(&self) -> &'static str {
        match (self.fill, self.touch) {
            (Fill::Nothing, Touch::Each) => {
                "the server is empty; each request makes a new key, in random order, and a cell \
                 ends at the latest when the keyspace is used up"
            }
            (Fill::Nothing, Touch::Any) => "the server is empty; one collection grows",
            (Fill::Strings | Fill::Counters, _) => {
                "every key of the keyspace is there, and none is added"
            }
            (Fill::RangeList, _) => "a list of 10,000 elements is there",
            (Fill::List | Fill::Set | Fill::SortedSet, _) => {
                "a filled collection is there; a cell ends at the latest when it is used up"
            }
        }
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
        fill: Fill::Strings,
        touch: Touch::Any,
    },
    Test {
        name: "SET_NEW",
        command: &["SET", "key:__rand_int__", "__data__"],
        fill: Fill::Nothing,
        touch: Touch::Each,
    },
    Test {
        name: "GET",
        command: &["GET", "key:__rand_int__"],
        fill: Fill::Strings,
        touch: Touch::Any,
    },
    Test {
        name: "INCR",
        command: &["INCR", "counter:__rand_int__"],
        fill: Fill::Counters,
        touch: Touch::Any,
    },
    Test {
        name: "INCR_NEW",
        command: &["INCR", "counter:__rand_int__"],
        fill: Fill::Nothing,
        touch: Touch::Each,
    },
    Test {
        name: "LPUSH",
        command: &["LPUSH", "mylist", "__data__"],
        fill: Fill::Nothing,
        touch: Touch::Any,
    },
    Test {
        name: "LPOP",
        command: &["LPOP", "mylist"],
        fill: Fill::List,
        touch: Touch::Any,
    },
    Test {
        name: "SADD",
        command: &["SADD", "myset", "element:__rand_int__"],
        fill: Fill::Nothing,
        touch: Touch::Any,
    },
    Test {
        name: "HSET",
        command: &["HSET", "myhash", "element:__rand_int__", "__data__"],
        fill: Fill::Nothing,
        touch: Touch::Any,
    },
    Test {
        name: "SPOP",
        command: &["SPOP", "myset"],
        fill: Fill::Set,
        touch: Touch::Any,
    },
    Test {
        name: "ZADD",
        command: &["ZADD", "myzset", "__rand_int__", "element:__rand_int__"],
        fill: Fill::Nothing,
        touch: Touch::Any,
    },
    Test {
        name: "ZPOPMIN",
        command: &["ZPOPMIN", "myzset"],
        fill: Fill::SortedSet,
        touch: Touch::Any,
    },
    Test {
        name: "LRANGE_100",
        command: &["LRANGE", "mylist", "0", "99"],
        fill: Fill::RangeList,
        touch: Touch::Any,
    },
    Test {
        name: "MSET",
        command: &["MSET", "key:__rand_int__", "__data__"],
        fill: Fill::Strings,
        touch: Touch::Any,
    },
];

/// What `tests` find and touch: one line for all tests that share it, in the order of the tests.
pub fn premises(tests: &[&Test]) -> Vec<String> {
    let mut lines: Vec<(&str, Vec<&str>)> = Vec::new();
    for test in tests {
        let premise = test.premise();
        match lines.iter_mut().find(|line| line.0 == premise) {
            Some((_, names)) if names.contains(&test.name) => {}
            Some((_, names)) => names.push(test.name),
            None => lines.push((premise, vec![test.name])),
        }
    }
    let line = |(premise, names): (&str, Vec<&str>)| format!("{}: {premise}", names.join(", "));
    lines.into_iter().map(line).collect()
}

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

/// How to fill a server: send `mix` over `keys`, `requests` times.
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
    let counter = format!("counter:{RANDOM_PLACEHOLDER}");
    let (head, item, count) = match fill {
        Fill::Nothing => return None,
        Fill::Strings => (vec!["MSET".to_owned()], vec![key, value], keyspace),
        Fill::Counters => (
            vec!["MSET".to_owned()],
            vec![counter, COUNTER.to_owned()],
            keyspace,
        ),
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
    let keys = match fill {
        // Keys come in no order in life, and an ordered index is not to profit from one.
        Fill::Strings | Fill::Counters => Keys::shuffled(count, FILL_SEED),
        _ => Keys::sequential(count),
    };
    Some(Filling {
        mix: Mix::single(Template::new(&command)),
        keys,
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
    fn what_overwrites_finds_every_key_and_what_is_new_finds_none() {
        for name in ["SET", "GET", "MSET"] {
            assert_eq!(test(name).unwrap().fill, Fill::Strings, "{name}");
            assert_eq!(test(name).unwrap().requests_max(1000, 5), None);
        }
        assert_eq!(test("INCR").unwrap().fill, Fill::Counters);
        for name in ["SET_NEW", "INCR_NEW"] {
            let test = test(name).unwrap();
            assert_eq!(test.fill, Fill::Nothing);
            assert_eq!(test.requests_max(1000, 5), Some(1000), "{name}");
            let mut keys = test.keys(1000, 1);
            let mut rng = Rng::new(0);
            let drawn: std::collections::HashSet<u64> =
                (0..1000).map(|_| keys.draw(&mut rng)).collect();
            assert_eq!(drawn.len(), 1000, "each request of {name} makes a key");
        }
        assert_eq!(test("LPOP").unwrap().requests_max(1000, 5), Some(5));
    }

    #[test]
    fn a_new_test_sends_the_command_that_it_is_named_for() {
        let arguments = |name: &str| test(name).unwrap().arguments(3);
        assert_eq!(arguments("SET_NEW"), arguments("SET"));
        assert_eq!(arguments("INCR_NEW"), arguments("INCR"));
    }

    #[test]
    fn counters_are_filled_with_integers_that_incr_finds() {
        let filling = filling(Fill::Counters, 10, 0, 64).unwrap();
        let mut keys = filling.keys;
        let mut batch = Batch::default();
        batch.refill(&filling.mix, &mut keys, &mut Rng::new(0), 1);
        let text = String::from_utf8(batch.unsent().to_vec()).unwrap();
        assert!(
            text.contains("counter:000000000009\r\n$3\r\n100\r\n"),
            "{text}"
        );
    }

    #[test]
    fn premises_name_every_test_once() {
        let tests: Vec<&Test> = TESTS.iter().chain(TESTS).collect();
        let lines = premises(&tests);
        assert!(
            lines[0].starts_with("SET, GET, INCR, MSET: every key"),
            "{lines:?}"
        );
        assert!(lines.contains(&"LRANGE_100: a list of 10,000 elements is there".to_owned()));
        let names: usize = lines.iter().map(|line| line.split(", ").count()).sum();
        assert!(names >= TESTS.len());
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
