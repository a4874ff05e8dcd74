//! What each data type promises by itself: counters, sets, lists, and all of them at the end.
//!
//! - **CounterBounds**: a counter shows at least the session's own acknowledged increments and at
//!   most what anybody asked for before; at the end, all acknowledged ones.
//! - **ThinAirElement**: a member or element that nobody had put there.
//! - **LostAdd**: at the end, a member that was added and never removed is missing.
//! - **RevivedMember**: at the end, a member is there that somebody removed who had seen it.
//! - **DuplicateElement**: an element stands twice in one list.
//! - **PoppedTwice**: two pops answered the same element, or one that is still there at the end.
//! - **LostElement**: at the end, elements are gone that nobody popped.
//! - **BrokenRun**: between the elements of one push stands another's, or they changed their order.
//! - **Reordered**: two reads of a list cannot be parts of one order.
//! - **Convergence**: at the end, nodes answer the same read differently.
//!
//! Every element and member is put there once in a history; counters are only added to.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::command::{Answer, Command, End, Key, Kind};
use crate::history::{History, Operation};

/// Whether a popped element is gone for everybody at once, as in safe mode, or may be popped by
/// several who do not know of each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pops {
    /// Exactly once.
    Once,
    /// At least once.
    Concurrent,
}

/// A part of an operation that was done or may have been.
struct Part<'a> {
    operation: &'a Operation,
    command: &'a Command,
    answer: Option<&'a Answer>,
}

/// All parts that concern keys of one kind, by key.
fn by_key(history: &History, kind: Kind) -> BTreeMap<Key, Vec<Part<'_>>> {
    let mut keys: BTreeMap<Key, Vec<Part<'_>>> = BTreeMap::new();
    for operation in history.operations.iter().filter(|it| !it.is_refused()) {
        for (command, answer) in operation.parts() {
            let key = match command {
                Command::Read(key)
                | Command::Write(key, _)
                | Command::Add(key, _)
                | Command::Insert(key, _)
                | Command::Remove(key, _)
                | Command::Push(key, ..)
                | Command::Pop(key, _) => *key,
                Command::Transaction(_) => continue,
            };
            if key.kind == kind {
                keys.entry(key).or_default().push(Part {
                    operation,
                    command,
                    answer,
                });
            }
        }
    }
    keys
}

/// Bounds of counters: every read, and all acknowledged increments at the end. O(operations^2) for
/// each counter.
pub fn counters(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (key, parts) in by_key(history, Kind::Counter) {
        for read in &parts {
            let Some(Answer::Count(count)) = read.answer else {
                continue;
            };
            let (mut low, mut high) = (0i64, 0i64);
            for add in &parts {
                let Command::Add(_, delta) = *add.command else {
                    continue;
                };
                let is_own_past = add.operation.session == read.operation.session
                    && add.operation.answered_ns <= read.operation.invoked_ns;
                let must = add.answer.is_some() && (is_own_past || read.operation.is_final);
                let may = add.operation.invoked_ns <= read.operation.answered_ns;
                if must || (may && delta < 0) {
                    low += delta;
                }
                if must || (may && delta > 0) {
                    high += delta;
                }
            }
            if *count < low || *count > high {
                let what = format!("{key:?} is {count}, not within {low} and {high}");
                violations.push(Violation::new("CounterBounds", what));
            }
        }
    }
    violations
}

/// Members of sets.
pub fn sets(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (key, parts) in by_key(history, Kind::Set) {
        let mut inserts: BTreeMap<u64, &Part<'_>> = BTreeMap::new();
        let mut removes: BTreeMap<u64, Vec<&Part<'_>>> = BTreeMap::new();
        for part in &parts {
            match part.command {
                Command::Insert(_, member) => {
                    inserts.insert(*member, part);
                }
                Command::Remove(_, member) => removes.entry(*member).or_default().push(part),
                _ => {}
            }
        }
        for read in &parts {
            let Some(Answer::Elements(members)) = read.answer else {
                continue;
            };
            for member in members {
                let is_known = inserts.get(member).is_some_and(|insert| {
                    insert.operation.invoked_ns <= read.operation.answered_ns
                });
                if !is_known {
                    let what = format!("{key:?} has {member}, which nobody had added");
                    violations.push(Violation::new("ThinAirElement", what));
                }
            }
            if !read.operation.is_final {
                continue;
            }
            for (member, insert) in &inserts {
                let removes = removes.get(member).map_or(&[][..], Vec::as_slice);
                let is_there = members.contains(member);
                if !is_there && insert.answer.is_some() && removes.is_empty() {
                    let what = format!("{key:?} lost {member}, which nobody removed");
                    violations.push(Violation::new("LostAdd", what));
                }
                if is_there && removes.iter().any(|remove| saw(remove, insert)) {
                    let what = format!("{key:?} has {member}, which was removed");
                    violations.push(Violation::new("RevivedMember", what));
                }
            }
        }
    }
    violations
}

/// Whether a remove that was done had observed the insert.
fn saw(remove: &Part<'_>, insert: &Part<'_>) -> bool {
    match (remove.operation.done(), insert.operation.done()) {
        (Some(remove), Some(insert)) => {
            !insert.wrote.is_empty() && insert.wrote.iter().all(|&it| remove.held.holds(it))
        }
        _ => false,
    }
}

/// Elements of lists: none twice, none lost, runs whole, one order.
pub fn lists(history: &History, pops: Pops) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (key, parts) in by_key(history, Kind::List) {
        let mut report = |rule, what: String| {
            violations.push(Violation::new(rule, format!("{key:?}: {what}")));
        };
        let mut runs: Vec<(&Part<'_>, Vec<u64>)> = Vec::new();
        let mut run_of: BTreeMap<u64, usize> = BTreeMap::new();
        let mut popped: BTreeMap<u64, u32> = BTreeMap::new();
        let mut unknown_pops = 0;
        for part in &parts {
            match (part.command, part.answer) {
                (Command::Push(_, end, values), _) => {
                    let mut run = values.clone();
                    if *end == End::Head {
                        run.reverse();
                    }
                    run_of.extend(run.iter().map(|&value| (value, runs.len())));
                    runs.push((part, run));
                }
                (Command::Pop(..), Some(Answer::Value(Some(value)))) => {
                    *popped.entry(*value).or_default() += 1;
                }
                (Command::Pop(..), None) => unknown_pops += 1,
                _ => {}
            }
        }
        for (value, times) in &popped {
            if !run_of.contains_key(value) {
                report(
                    "ThinAirElement",
                    format!("popped {value}, pushed by nobody"),
                );
            }
            if pops == Pops::Once && *times > 1 {
                report("PoppedTwice", format!("{value} was popped {times} times"));
            }
        }
        let mut reads = Vec::new();
        for part in &parts {
            let Some(Answer::Elements(elements)) = part.answer else {
                continue;
            };
            reads.push(elements);
            let there: BTreeSet<u64> = elements.iter().copied().collect();
            if there.len() < elements.len() {
                report("DuplicateElement", format!("{elements:?}"));
            }
            if let Some(unknown) = there.iter().find(|it| !run_of.contains_key(it)) {
                report("ThinAirElement", format!("{unknown} was pushed by nobody"));
                continue;
            }
            if let Some(what) = broken_run(elements, &runs, &run_of) {
                report("BrokenRun", what);
            }
            if !part.operation.is_final {
                continue;
            }
            if let Some((value, _)) = popped.iter().find(|(value, _)| there.contains(value)) {
                report("PoppedTwice", format!("{value} was popped and is there"));
            }
            let pushed = runs.iter().filter(|(push, _)| push.answer.is_some());
            let lost: Vec<u64> = pushed
                .flat_map(|(_, run)| run.iter().copied())
                .filter(|value| !there.contains(value) && !popped.contains_key(value))
                .collect();
            if lost.len() > unknown_pops {
                report("LostElement", format!("{lost:?}"));
            }
        }
        if has_cycle(&reads) {
            report("Reordered", "reads are not parts of one order".to_owned());
        }
    }
    violations
}

/// Says which run is broken in a list of known elements, if one is.
fn broken_run(
    elements: &[u64],
    runs: &[(&Part<'_>, Vec<u64>)],
    run_of: &BTreeMap<u64, usize>,
) -> Option<String> {
    let mut ended = BTreeSet::new();
    for same in elements.chunk_by(|a, b| run_of[a] == run_of[b]) {
        let run = run_of[&same[0]];
        if !ended.insert(run) {
            return Some(format!("{:?} is in parts: {elements:?}", runs[run].1));
        }
        let place = |value: &u64| runs[run].1.iter().position(|it| it == value);
        if !same.is_sorted_by_key(place) {
            return Some(format!("{:?} stands as {same:?}", runs[run].1));
        }
    }
    None
}

/// Whether the orders of some lists contradict each other.
fn has_cycle(lists: &[&Vec<u64>]) -> bool {
    let mut after: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for list in lists {
        for pair in list.windows(2) {
            after.entry(pair[0]).or_default().insert(pair[1]);
            after.entry(pair[1]).or_default();
        }
    }
    let mut before: BTreeMap<u64, usize> = after.keys().map(|&it| (it, 0)).collect();
    for value in after.values().flatten() {
        *before.entry(*value).or_default() += 1;
    }
    let mut free: Vec<u64> = before
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(&value, _)| value)
        .collect();
    let mut done = 0;
    while let Some(value) = free.pop() {
        done += 1;
        for next in &after[&value] {
            let count = before.get_mut(next).expect("every element was counted");
            *count -= 1;
            if *count == 0 {
                free.push(*next);
            }
        }
    }
    done < after.len()
}

/// At the end all nodes answer alike.
pub fn convergence(history: &History) -> Vec<Violation> {
    let mut answers: BTreeMap<Key, (&Answer, usize)> = BTreeMap::new();
    let mut violations = Vec::new();
    for (_, operation, done) in history.done().filter(|(_, it, _)| it.is_final) {
        let Command::Read(key) = operation.command else {
            continue;
        };
        let (first, node) = *answers.entry(key).or_insert((&done.answer, operation.node));
        if *first != done.answer {
            let what = format!(
                "{key:?} is {first:?} at node {node} and {:?} at node {}",
                done.answer, operation.node
            );
            violations.push(Violation::new("Convergence", what));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use causet_core::id::{EffectRef, NodeId, Offset};
    use causet_core::vector::VersionVector;

    use super::*;
    use crate::command::Done;
    use crate::history::Outcome;

    fn key(kind: Kind) -> Key {
        Key { kind, number: 0 }
    }

    /// Histories, one operation after the other, each in a session of its own unless said otherwise.
    #[derive(Default)]
    struct Script(History);

    impl Script {
        fn push(mut self, session: u32, command: Command, outcome: Outcome) -> Self {
            let at = self.0.operations.len() as u64;
            self.0.operations.push(Operation {
                session,
                node: session as usize,
                invoked_ns: 10 * at,
                answered_ns: 10 * at + 5,
                command,
                outcome,
                is_final: false,
            });
            self
        }

        fn done(self, session: u32, command: Command, answer: Answer) -> Self {
            let done = Done {
                answer,
                read: Vec::new(),
                wrote: Vec::new(),
                held: VersionVector::new(),
            };
            self.push(session, command, Outcome::Done(done))
        }

        fn unknown(self, session: u32, command: Command) -> Self {
            self.push(session, command, Outcome::Unknown)
        }

        fn last(mut self, kind: Kind, answer: Answer) -> Self {
            let node = self.0.operations.len() as u32 + 100;
            self = self.done(node, Command::Read(key(kind)), answer);
            self.0.operations.last_mut().unwrap().is_final = true;
            self
        }
    }

    fn rules(violations: &[Violation]) -> Vec<&'static str> {
        let mut rules: Vec<_> = violations.iter().map(|it| it.rule).collect();
        rules.dedup();
        rules
    }

    fn add(delta: i64) -> Command {
        Command::Add(key(Kind::Counter), delta)
    }

    #[test]
    fn a_counter_stays_between_what_was_acknowledged_and_what_was_asked() {
        let script = || {
            Script::default()
                .done(0, add(5), Answer::Ok)
                .unknown(1, add(3))
        };
        for (count, is_right) in [(5, true), (8, true), (4, false), (6, true), (9, false)] {
            let history = script().last(Kind::Counter, Answer::Count(count)).0;
            assert_eq!(counters(&history).is_empty(), is_right, "{count}");
        }
        // Before the end, only its own increments bind a session.
        let read = Command::Read(key(Kind::Counter));
        let others = script().done(2, read.clone(), Answer::Count(0)).0;
        assert_eq!(counters(&others), []);
        let own = script().done(0, read, Answer::Count(0)).0;
        assert_eq!(rules(&counters(&own)), ["CounterBounds"]);
    }

    #[test]
    fn lost_and_invented_members_are_found() {
        let insert = |member| Command::Insert(key(Kind::Set), member);
        let script = || {
            Script::default()
                .done(0, insert(1), Answer::Ok)
                .unknown(1, insert(2))
        };
        let judged = |members: &[u64]| {
            let history = script().last(Kind::Set, Answer::Elements(members.to_vec()));
            rules(&sets(&history.0))
        };
        assert_eq!(judged(&[1]), [""; 0]);
        assert_eq!(judged(&[1, 2]), [""; 0]);
        assert_eq!(judged(&[2]), ["LostAdd"]);
        assert_eq!(judged(&[1, 9]), ["ThinAirElement"]);
    }

    #[test]
    fn a_member_stays_only_if_its_remover_had_not_seen_it() {
        let effect = |counter| EffectRef {
            node: NodeId(1),
            offset: Offset::new(0, counter),
        };
        let done = |counter: u64| {
            let at = effect(counter);
            let mut held = VersionVector::new();
            held.raise(causet_core::vector::StreamId::of(at), counter);
            Outcome::Done(Done {
                answer: Answer::Ok,
                read: Vec::new(),
                wrote: vec![at],
                held,
            })
        };
        let judged = |remover_holds: u64| {
            let history = Script::default()
                .push(0, Command::Insert(key(Kind::Set), 1), done(2))
                .push(1, Command::Remove(key(Kind::Set), 1), done(remover_holds))
                .last(Kind::Set, Answer::Elements(vec![1]));
            rules(&sets(&history.0))
        };
        assert_eq!(judged(1), [""; 0]);
        assert_eq!(judged(3), ["RevivedMember"]);
    }

    fn push(end: End, values: &[u64]) -> Command {
        Command::Push(key(Kind::List), end, values.to_vec())
    }

    fn pop(value: u64) -> (Command, Answer) {
        (
            Command::Pop(key(Kind::List), End::Head),
            Answer::Value(Some(value)),
        )
    }

    #[test]
    fn lists_keep_runs_whole_in_one_order_without_doubles() {
        let judged = |reads: &[&[u64]]| {
            let mut script = Script::default()
                .done(0, push(End::Tail, &[1, 2, 3]), Answer::Ok)
                .done(1, push(End::Head, &[4, 5]), Answer::Ok)
                .unknown(2, push(End::Tail, &[6]));
            for (at, elements) in reads.iter().enumerate() {
                let elements = Answer::Elements(elements.to_vec());
                script = match at + 1 == reads.len() {
                    true => script.last(Kind::List, elements),
                    false => script.done(7, Command::Read(key(Kind::List)), elements),
                };
            }
            rules(&lists(&script.0, Pops::Once))
        };
        assert_eq!(judged(&[&[1, 2, 3], &[5, 4, 1, 2, 3]]), [""; 0]);
        assert_eq!(judged(&[&[1, 2, 3, 5, 4, 6]]), [""; 0]);
        assert_eq!(judged(&[&[1, 5, 4, 2, 3]]), ["BrokenRun"]);
        assert_eq!(judged(&[&[5, 4, 1, 3, 2]]), ["BrokenRun"]);
        assert_eq!(judged(&[&[5, 4, 1, 2]]), ["LostElement"]);
        assert_eq!(judged(&[&[5, 4, 1, 2, 3, 8]]), ["ThinAirElement"]);
        assert_eq!(
            judged(&[&[5, 4, 1, 2, 2, 3]]),
            ["DuplicateElement", "Reordered"]
        );
        let turned: &[&[u64]] = &[&[1, 2, 3, 5, 4], &[5, 4, 1, 2, 3]];
        assert_eq!(judged(turned), ["Reordered"]);
    }

    #[test]
    fn an_element_is_popped_once_where_that_is_promised() {
        let script = |end: &[u64]| {
            let (command, answer) = pop(1);
            Script::default()
                .done(0, push(End::Tail, &[1, 2]), Answer::Ok)
                .done(1, command.clone(), answer.clone())
                .done(2, command, answer)
                .last(Kind::List, Answer::Elements(end.to_vec()))
                .0
        };
        assert_eq!(rules(&lists(&script(&[2]), Pops::Once)), ["PoppedTwice"]);
        assert_eq!(lists(&script(&[2]), Pops::Concurrent), []);
        assert_eq!(
            rules(&lists(&script(&[1, 2]), Pops::Concurrent)),
            ["PoppedTwice"]
        );
        let (command, _) = pop(0);
        let unknown = Script::default()
            .done(0, push(End::Tail, &[1, 2]), Answer::Ok)
            .unknown(1, command)
            .last(Kind::List, Answer::Elements(vec![2]));
        assert_eq!(lists(&unknown.0, Pops::Once), []);
    }

    #[test]
    fn nodes_that_differ_at_the_end_are_found() {
        let count = |count| Answer::Count(count);
        let same = Script::default()
            .last(Kind::Counter, count(1))
            .last(Kind::Counter, count(1));
        assert_eq!(convergence(&same.0), []);
        let differ = same.last(Kind::Counter, count(2));
        assert_eq!(rules(&convergence(&differ.0)), ["Convergence"]);
    }
}
