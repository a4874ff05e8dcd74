//! The transaction protocol, explored exhaustively within bounds.
//!
//! The machines are those of `causet_core::transaction`, not a copy. Each scenario says what may
//! happen; every order of it is tried, and the properties are judged in every state. Then one rule
//! is left out at a time, and a property must fall: a search that cannot find a broken rule would
//! prove nothing about the others.
//!
//! The bounds: three nodes; two or three transactions over two keys, each begun at most once, and
//! one plain write; one view change (two where a member comes back, which may take one timer more);
//! one crash, with one record on its way to the disk. Within them, all orders of delivery, loss,
//! partition, flush and crash. `CAUSET_MODEL_DEEP=1` widens them: a second crash, two records on
//! their way, every survivor noticing the loss and any of them proposing.

#[path = "model/properties.rs"]
mod properties;
#[path = "model/system.rs"]
mod system;

use std::time::Instant;

use causet_core::hlc::Hlc;
use causet_core::id::compute_fork_choice_hash;
use causet_core::transaction::bind::Kind;
use causet_core::transaction::rules::{Rule, Rules};
use properties::*;
use stateright::{Checker, HasDiscoveries, Model};
use system::{Reach, Scenario, Try, node_id};

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
        fires: 0,
        asks: false,
        duplicates: false,
        slow_disk: false,
        records_waiting_max: if deep() { 2 } else { 1 },
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
    for (name, path) in found {
        println!("  {name}:");
        for action in path.into_actions() {
            println!("    {action}");
        }
    }
    assert!(
        fallen.iter().any(|f| expected.contains(f)),
        "nothing of {expected:?} fell without {rule:?}"
    );
}

fn deep() -> bool {
    std::env::var_os("CAUSET_MODEL_DEEP").is_some()
}

fn two_overwrites() -> Vec<Try> {
    vec![overwrite(0, &["x", "y"]), overwrite(1, &["x", "y"])]
}

/// Nodes 0 and 1, the one whose bind has the lower fork-choice hash first.
fn by_hash() -> [usize; 2] {
    let hash = |n| compute_fork_choice_hash(node_id(n), Hlc(10));
    if hash(0) < hash(1) { [0, 1] } else { [1, 0] }
}

/// All but one of three.
fn but(lost: usize) -> Vec<usize> {
    (0..3).filter(|n| *n != lost).collect()
}

/// One writes element `a` and then, seeing that, `b`; another writes `b` and saw nothing.
fn a_harmless_bind_between() -> Vec<Try> {
    let mut above = using(0, [("x", element("b"))]);
    above.after = vec![0];
    vec![
        using(0, [("x", element("a"))]),
        above,
        using(1, [("x", element("b"))]),
    ]
}

/// One writes `a` and then `b`, not waiting; another that saw `b` writes `a`.
fn two_of_one_stream() -> Vec<Try> {
    let mut beside = using(1, [("x", element("a"))]);
    beside.after = vec![1];
    vec![
        using(0, [("x", element("a"))]),
        using(0, [("x", element("b"))]),
        beside,
    ]
}

/// A view without node 2, and then one with it again.
fn away_and_back() -> Vec<Reach> {
    let mut reaches = left(&[0, 1]);
    reaches.truncate(1);
    reaches.push(Reach {
        node: 0,
        nodes: vec![0, 1, 2],
    });
    reaches
}

#[test]
fn competitors() {
    let ends = |tries| Scenario {
        ends_decided: true,
        ..scenario(tries)
    };
    holds("two competitors", ends(two_overwrites()));
    let doubled = Scenario {
        duplicates: true,
        ..ends(two_overwrites())
    };
    holds("two competitors, messages doubled", doubled);
    let crossing = vec![
        overwrite(0, &["x"]),
        overwrite(1, &["x", "y"]),
        overwrite(2, &["y"]),
    ];
    holds("three, two of which do not compete", ends(crossing));
}

#[test]
fn three_competitors() {
    let mut tries = two_overwrites();
    tries.push(overwrite(2, &["y", "x"]));
    holds("three competitors", scenario(tries));
}

#[test]
fn uses_of_all_kinds() {
    let skew = vec![
        using(0, [("x", Kind::Read), ("y", Kind::Overwrite)]),
        using(1, [("x", Kind::Overwrite), ("y", Kind::Read)]),
        using(2, [("x", Kind::Commutative), ("y", Kind::Commutative)]),
    ];
    holds("readers, writers and deltas", scenario(skew));
    holds("a bind between two", scenario(a_harmless_bind_between()));
    holds("two of one stream", scenario(two_of_one_stream()));
}

#[test]
fn a_member_is_lost() {
    for lost in 0..3 {
        let all = Scenario {
            reaches: left(&but(lost))[..if deep() { 2 } else { 1 }].to_vec(),
            ends_decided: true,
            ..scenario(two_overwrites())
        };
        holds(&format!("member {lost} is lost"), all);
    }
}

#[test]
fn two_lead_the_next_view() {
    let lost = by_hash()[0];
    let all = Scenario {
        reaches: left(&but(lost)),
        fires: if deep() { 2 } else { 1 },
        ..scenario(two_overwrites())
    };
    holds("two proposers", all);
}

#[test]
fn a_member_is_away_and_back() {
    let returning = vec![overwrite(0, &["x", "y"]), overwrite(2, &["x", "y"])];
    let all = Scenario {
        reaches: away_and_back(),
        ..scenario(returning)
    };
    holds("away and back", all);
}

#[test]
fn a_plain_write_beside() {
    let tries = || {
        vec![
            overwrite(0, &["x", "y"]),
            write(1, "x"),
            overwrite(2, &["x"]),
        ]
    };
    holds("a plain write", scenario(tries()));
    for lost in 0..3 {
        let mut tries = tries();
        tries.pop();
        let all = Scenario {
            reaches: left(&but(lost)),
            ..scenario(tries)
        };
        holds(&format!("a plain write, and member {lost} is lost"), all);
    }
}

#[test]
fn a_node_restarts() {
    for crashing in 0..3 {
        let all = Scenario {
            crashing: vec![crashing],
            crashes: if deep() { 2 } else { 1 },
            ..scenario(two_overwrites())
        };
        holds(&format!("node {crashing} restarts"), all);
    }
}

#[test]
fn a_node_crashes() {
    for crashing in 0..3 {
        let all = Scenario {
            crashing: vec![crashing],
            crashes: 1,
            slow_disk: true,
            ..scenario(two_overwrites())
        };
        holds(&format!("node {crashing} crashes"), all);
    }
}

#[test]
fn a_node_restarts_while_a_member_is_lost() {
    let [low, high] = by_hash();
    for lost in if deep() {
        vec![low, high, 2]
    } else {
        vec![low]
    } {
        let rest = but(lost);
        for crashing in rest.clone() {
            let all = Scenario {
                reaches: left(&rest)[..1].to_vec(),
                crashing: vec![crashing],
                crashes: 1,
                fires: usize::from(deep()),
                ..scenario(vec![overwrite(0, &["x"]), overwrite(1, &["x"])])
            };
            holds(&format!("member {lost} is lost, {crashing} restarts"), all);
        }
    }
}

#[test]
fn every_rule_is_needed() {
    let [low, high] = by_hash();
    let plain = || scenario(two_overwrites());
    let lost = |lost| Scenario {
        reaches: left(&but(lost)),
        ..scenario(two_overwrites())
    };
    let once = &[ONE_OF_COMPETITORS];
    catches(Rule::EveryVoterAnswers, once, plain());
    catches(Rule::HashBreaksTies, once, plain());
    catches(Rule::NoEmissionAgainstKnown, once, plain());
    let shown = &[ONE_OF_COMPETITORS, ABORT_STAYS, ONE_FATE];
    catches(Rule::DecidedBeforeVisible, shown, plain());
    catches(
        Rule::VoidOnMajorityFirst,
        &[ABORT_STAYS, ONE_FATE],
        lost(high),
    );
    catches(Rule::SurvivorsAgree, once, lost(2));
    let fate = &[COMMIT_STAYS, ABORT_STAYS, ONE_FATE, ONE_OF_COMPETITORS];
    catches(Rule::SealBeforeReport, fate, lost(low));

    let returning = Scenario {
        reaches: away_and_back(),
        fires: 1,
        asks: true,
        ..scenario(vec![overwrite(2, &["x", "y"])])
    };
    catches(Rule::LearnBeforeAnswering, fate, returning);
    let crash = Scenario {
        crashing: vec![low],
        crashes: 1,
        slow_disk: true,
        ..plain()
    };
    catches(Rule::DurableBeforeSent, fate, crash);

    catches(
        Rule::ObservationDecides,
        once,
        scenario(a_harmless_bind_between()),
    );
    let causes = &[CAUSES_FIRST];
    catches(
        Rule::ConsumedIsCommitted,
        causes,
        scenario(two_of_one_stream()),
    );
    catches(Rule::OwnKeyWaits, once, scenario(two_of_one_stream()));
    let beside = vec![overwrite(0, &["x", "y"]), write(1, "x")];
    catches(Rule::PlainWritesWin, &[WRITES_WIN], scenario(beside));
}
