//! The transaction protocol, explored exhaustively within bounds.
//!
//! The machines are those of `causet_core::transaction`, not a copy. Each scenario says what may
//! happen; every order of it is tried, and the properties are judged in every state. Then one rule
//! is left out at a time, and a property must fall: a search that cannot find a broken rule would
//! prove nothing about the others.
//!
//! `CAUSET_MODEL_DEEP=1` runs the larger bounds too.

#[path = "model/properties.rs"]
mod properties;
#[path = "model/system.rs"]
mod system;

use std::time::Instant;

use causet_core::transaction::bind::Kind;
use causet_core::transaction::rules::{Rule, Rules};
#[allow(unused_imports)]
use properties::*;
use stateright::{Checker, HasDiscoveries, Model};
use system::{Reach, Scenario, Try};

/// A transaction of `node` that overwrites `keys`.
fn overwrite(node: usize, keys: &[&'static str]) -> Try {
    using(node, keys.iter().map(|k| (*k, Kind::Overwrite)))
}

fn using(node: usize, parts: impl IntoIterator<Item = (&'static str, Kind)>) -> Try {
    Try {
        node,
        parts: parts.into_iter().collect(),
        plain: false,
        after: vec![],
    }
}

fn element(name: &str) -> Kind {
    Kind::elements([name.as_bytes()])
}

fn write(node: usize, key: &'static str) -> Try {
    Try {
        plain: true,
        ..overwrite(node, &[key])
    }
}

/// Each of `nodes` finds that it reaches these only.
fn left(nodes: &[usize]) -> Vec<Reach> {
    let reach = |&node| Reach {
        node,
        nodes: nodes.to_vec(),
    };
    nodes.iter().map(reach).collect()
}

fn scenario(tries: Vec<Try>) -> Scenario {
    Scenario {
        nodes: 3,
        tries,
        reaches: vec![],
        crashing: vec![],
        crashes: 0,
        proposals: 0,
        slow_disk: false,
        ends_decided: false,
        rules: Rules::default(),
    }
}

/// Explores all of a scenario and expects every property to hold.
fn holds(name: &str, scenario: Scenario) {
    let began = Instant::now();
    let checker = scenario
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{name}: {} states, depth {}, {:.1?}",
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed()
    );
    checker.assert_properties();
    assert!(checker.is_done());
}

/// Leaves out a rule and expects one of the properties to fall.
fn catches(rule: Rule, expected: &[&str], scenario: Scenario) {
    let began = Instant::now();
    let scenario = Scenario {
        rules: Rules::without(rule),
        ..scenario
    };
    let checker = scenario
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let fallen: Vec<_> = found.keys().copied().collect();
    println!(
        "without {rule:?}: {fallen:?} after {} states, {:.1?}",
        checker.unique_state_count(),
        began.elapsed()
    );
    for (name, path) in &found {
        println!("  {name}");
        for action in path.clone().into_actions() {
            println!("    {action:?}");
        }
    }
    assert!(
        fallen.iter().any(|f| expected.contains(f)),
        "nothing of {expected:?} fell without {rule:?}"
    );
}

fn two_overwrites() -> Vec<Try> {
    vec![overwrite(0, &["x", "y"]), overwrite(1, &["x", "y"])]
}

#[test]
fn two_competitors() {
    let all = Scenario {
        ends_decided: true,
        ..scenario(two_overwrites())
    };
    holds("two competitors", all);
}

#[test]
fn a_member_is_lost() {
    for lost in 0..3 {
        let rest: Vec<_> = (0..3).filter(|n| *n != lost).collect();
        let all = Scenario {
            reaches: left(&rest),
            ends_decided: true,
            ..scenario(two_overwrites())
        };
        holds(&format!("member {lost} is lost"), all);
    }
}
