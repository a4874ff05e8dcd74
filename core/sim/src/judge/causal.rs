//! Causal consistency of transactions over registers, from what clients saw alone.
//!
//! Every value is written once in a history, so a read tells which transaction it read from. With
//! the sessions' order that gives the causal order: the least transitive relation that contains
//! both. A history is causally consistent and convergent if and only if none of these patterns is
//! in it (Bouajjani, Enea, Guerraoui and Hamza, "On Verifying Causal Consistency", POPL 2017;
//! for transactions: Biswas and Enea, "On the Complexity of Checking Transactional Consistency",
//! OOPSLA 2019):
//!
//! - **ThinAirRead**: a value that nobody wrote, or only somebody who surely did not.
//! - **CyclicCO**: the causal order has a cycle.
//! - **WriteCOInitRead**: the initial value, though a write of the key comes causally before.
//! - **WriteCORead**: a value, though its overwriting comes causally before the read.
//! - **CyclicCF**: causal order and conflict order have a cycle: two sessions saw the same two writes
//!   win over each other. Conflict order: of two writes that come before a read, the one that was
//!   read comes after the other.
//!
//! Two patterns more for transactions of several commands: **InternalRead**, a transaction that does
//! not read its own write, and **IntermediateRead**, a read of a value that its own transaction
//! overwrote.
//!
//! The causal order is kept as one vector clock for each transaction (how many transactions of each
//! session come before it), so that a history of n transactions and s sessions costs O(n x s) memory
//! and O(n x s log n) time.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::command::{Answer, Command, Key, Kind};
use crate::history::{History, Outcome};

/// One command of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// A read and what it returned; `None` is the initial value.
    Read(u32, Option<u64>),
    /// A write of a value that is written nowhere else in the history.
    Write(u32, u64),
}

/// A transaction; a plain command is a transaction of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// Its session. The transactions of one session follow each other in the history's order.
    pub session: u32,
    /// What it did. Of one whose outcome is unknown: its writes.
    pub accesses: Vec<Access>,
    /// Whether it surely happened. One that did not counts only if somebody read from it.
    pub is_certain: bool,
}

/// The register operations of a history, as transactions.
pub fn registers(history: &History) -> Vec<Transaction> {
    let mut transactions = Vec::new();
    for operation in &history.operations {
        let is_certain = match &operation.outcome {
            Outcome::Done(_) => true,
            Outcome::Unknown => false,
            Outcome::Refused(_) => continue,
        };
        let mut accesses = Vec::new();
        for (command, answer) in operation.parts() {
            match (command, answer) {
                (Command::Write(key, value), _) if is_register(key) => {
                    accesses.push(Access::Write(key.number, *value));
                }
                (Command::Read(key), Some(Answer::Value(value))) if is_register(key) => {
                    accesses.push(Access::Read(key.number, *value));
                }
                _ => {}
            }
        }
        if !accesses.is_empty() {
            transactions.push(Transaction {
                session: operation.session,
                accesses,
                is_certain,
            });
        }
    }
    transactions
}

fn is_register(key: &Key) -> bool {
    key.kind == Kind::Register
}

/// Looks for every pattern. Transactions of one session stand in their order; those of different
/// sessions in any.
pub fn check(transactions: &[Transaction]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let happened = happened(transactions);
    let graph = Graph::new(&happened, &mut violations);
    let Some(order) = graph.sorted(&graph.causes()) else {
        violations.push(Violation::new("CyclicCO", "the causal order has a cycle"));
        return violations;
    };
    let clocks = graph.clocks(&order);
    let conflicts = graph.conflicts(&clocks, &mut violations);
    let mut edges = graph.causes();
    for (before, after) in conflicts {
        edges[before].push(after);
    }
    if graph.sorted(&edges).is_none() {
        let what = "sessions saw the same writes win over each other";
        violations.push(Violation::new("CyclicCF", what));
    }
    violations
}

/// Leaves out what is uncertain and was read by nobody.
fn happened(transactions: &[Transaction]) -> Vec<&Transaction> {
    let certain = transactions.iter().filter(|it| it.is_certain);
    let read: BTreeSet<u64> = certain
        .flat_map(|it| &it.accesses)
        .filter_map(|access| match access {
            Access::Read(_, value) => *value,
            Access::Write(..) => None,
        })
        .collect();
    let is_read = |access: &Access| match access {
        Access::Write(_, value) => read.contains(value),
        Access::Read(..) => false,
    };
    transactions
        .iter()
        .filter(|it| it.is_certain || it.accesses.iter().any(is_read))
        .collect()
}

struct ExternalRead {
    reader: usize,
    key: u32,
    /// `None` for the initial value.
    writer: Option<usize>,
}

struct Graph {
    /// For each transaction its session, counted from 0, and its place in it.
    places: Vec<(usize, u32)>,
    sessions: usize,
    reads: Vec<ExternalRead>,
    /// By key and session: the places of its writers, rising, with their transactions.
    writes: BTreeMap<u32, Vec<Vec<(u32, usize)>>>,
    /// The last transaction before each in its session.
    previous: Vec<Option<usize>>,
}

impl Graph {
    fn new(transactions: &[&Transaction], violations: &mut Vec<Violation>) -> Graph {
        let mut names = BTreeMap::new();
        let mut last: Vec<Option<usize>> = Vec::new();
        let (mut places, mut previous) = (Vec::new(), Vec::new());
        let mut lengths: Vec<u32> = Vec::new();
        for (at, transaction) in transactions.iter().enumerate() {
            let fresh = names.len();
            let session = *names.entry(transaction.session).or_insert(fresh);
            if session == fresh {
                last.push(None);
                lengths.push(0);
            }
            places.push((session, lengths[session]));
            lengths[session] += 1;
            previous.push(last[session].replace(at));
        }
        let mut graph = Graph {
            places,
            sessions: names.len(),
            reads: Vec::new(),
            writes: BTreeMap::new(),
            previous,
        };
        let writers = graph.collect_writes(transactions, violations);
        for (at, transaction) in transactions.iter().enumerate() {
            graph.collect_reads(at, transaction, &writers, violations);
        }
        graph
    }

    /// By value: its writer, its key, and whether the writer left it so.
    fn collect_writes(
        &mut self,
        transactions: &[&Transaction],
        violations: &mut Vec<Violation>,
    ) -> BTreeMap<u64, (usize, u32, bool)> {
        let mut writers = BTreeMap::new();
        for (at, transaction) in transactions.iter().enumerate() {
            let mut own = BTreeMap::new();
            for access in &transaction.accesses {
                let Access::Write(key, value) = *access else {
                    continue;
                };
                if let Some(overwritten) = own.insert(key, value)
                    && let Some(entry) = writers.get_mut(&overwritten)
                {
                    *entry = (at, key, false);
                }
                if writers.insert(value, (at, key, true)).is_some() {
                    let what = format!("value {value} is written twice");
                    violations.push(Violation::new("DifferentiatedHistory", what));
                }
            }
            let (session, place) = self.places[at];
            for key in own.into_keys() {
                let of_key = self.writes.entry(key);
                of_key.or_insert_with(|| vec![Vec::new(); self.sessions])[session]
                    .push((place, at));
            }
        }
        writers
    }

    fn collect_reads(
        &mut self,
        reader: usize,
        transaction: &Transaction,
        writers: &BTreeMap<u64, (usize, u32, bool)>,
        violations: &mut Vec<Violation>,
    ) {
        let mut own: BTreeMap<u32, u64> = BTreeMap::new();
        for access in &transaction.accesses {
            let (key, value) = match *access {
                Access::Write(key, value) => {
                    own.insert(key, value);
                    continue;
                }
                Access::Read(key, value) => (key, value),
            };
            let seen = format!("transaction {reader} read {value:?} of key {key}");
            if let Some(&written) = own.get(&key) {
                if value != Some(written) {
                    let what = format!("{seen} behind its own write of {written}");
                    violations.push(Violation::new("InternalRead", what));
                }
                continue;
            }
            let writer = match value.map(|value| writers.get(&value)) {
                None => None,
                Some(Some(&(writer, of, is_last))) if of == key && writer != reader => {
                    if !is_last {
                        violations.push(Violation::new("IntermediateRead", seen));
                    }
                    Some(writer)
                }
                // Nobody's value, another key's, or its own from the future.
                Some(_) => {
                    violations.push(Violation::new("ThinAirRead", seen));
                    continue;
                }
            };
            self.reads.push(ExternalRead {
                reader,
                key,
                writer,
            });
        }
    }

    /// Edges of session order and reads-from: for each transaction, what comes after it.
    fn causes(&self) -> Vec<Vec<usize>> {
        let mut after = vec![Vec::new(); self.places.len()];
        for (at, previous) in self.previous.iter().enumerate() {
            if let Some(previous) = previous {
                after[*previous].push(at);
            }
        }
        for read in &self.reads {
            if let Some(writer) = read.writer {
                after[writer].push(read.reader);
            }
        }
        after
    }

    /// An order that respects all edges; `None` if they have a cycle.
    fn sorted(&self, after: &[Vec<usize>]) -> Option<Vec<usize>> {
        let mut before = vec![0usize; after.len()];
        for &to in after.iter().flatten() {
            before[to] += 1;
        }
        let mut order: Vec<usize> = (0..after.len()).filter(|&at| before[at] == 0).collect();
        let mut next = 0;
        while next < order.len() {
            for &to in &after[order[next]] {
                before[to] -= 1;
                if before[to] == 0 {
                    order.push(to);
                }
            }
            next += 1;
        }
        (order.len() == after.len()).then_some(order)
    }

    /// For each transaction and session, how many of the session's come before it or are it.
    fn clocks(&self, order: &[usize]) -> Vec<Vec<u32>> {
        let mut clocks = vec![vec![0; self.sessions]; order.len()];
        let after = self.causes();
        for &at in order {
            let (session, place) = self.places[at];
            clocks[at][session] = place + 1;
            let clock = clocks[at].clone();
            for &to in &after[at] {
                for (mine, theirs) in clocks[to].iter_mut().zip(&clock) {
                    *mine = (*mine).max(*theirs);
                }
            }
        }
        clocks
    }

    /// Checks each read against the writes before it; returns the edges of the conflict order.
    fn conflicts(
        &self,
        clocks: &[Vec<u32>],
        violations: &mut Vec<Violation>,
    ) -> Vec<(usize, usize)> {
        let comes_before = |a: usize, b: usize| {
            let (session, place) = self.places[a];
            a != b && clocks[b][session] > place
        };
        let mut edges = Vec::new();
        for read in &self.reads {
            let Some(writes) = self.writes.get(&read.key) else {
                continue;
            };
            for (session, writes) in writes.iter().enumerate() {
                // Of one session the last write before the reader is enough: it follows the others.
                let seen = clocks[read.reader][session];
                let until =
                    writes.partition_point(|&(place, at)| place < seen && (at != read.reader));
                let Some(&(_, overwriter)) = writes[..until].last() else {
                    continue;
                };
                let key = read.key;
                match read.writer {
                    None => violations.push(Violation::new(
                        "WriteCOInitRead",
                        format!(
                            "transaction {} read key {key} as never written, behind {overwriter}",
                            read.reader
                        ),
                    )),
                    Some(writer) if writer == overwriter => {}
                    Some(writer) => {
                        if comes_before(writer, overwriter) {
                            let what = format!(
                                "transaction {} read key {key} from {writer}, behind {overwriter}, \
                                 which had overwritten it",
                                read.reader
                            );
                            violations.push(Violation::new("WriteCORead", what));
                        }
                        edges.push((overwriter, writer));
                    }
                }
            }
        }
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::Access::{Read, Write};
    use super::*;
    use crate::rng::Rng;

    const X: u32 = 0;
    const Y: u32 = 1;

    fn history(accesses: &[(u32, &[Access])]) -> Vec<Transaction> {
        let one = |&(session, accesses): &(u32, &[Access])| Transaction {
            session,
            accesses: accesses.to_vec(),
            is_certain: true,
        };
        accesses.iter().map(one).collect()
    }

    fn rules(transactions: &[Transaction]) -> Vec<&'static str> {
        let mut rules: Vec<_> = check(transactions).iter().map(|it| it.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    #[test]
    fn concurrent_writes_may_be_seen_one_after_the_other_or_not_at_all() {
        let right = history(&[
            (0, &[Write(X, 1)]),
            (1, &[Write(X, 2)]),
            (2, &[Read(X, Some(1))]),
            (2, &[Read(X, Some(2))]),
            (3, &[Read(X, None)]),
            (3, &[Read(X, Some(2))]),
        ]);
        assert_eq!(check(&right), []);
    }

    #[test]
    fn a_value_from_nowhere_is_a_thin_air_read() {
        assert_eq!(
            rules(&history(&[(0, &[Read(X, Some(9))])])),
            ["ThinAirRead"]
        );
        let other_key = history(&[(0, &[Write(Y, 9)]), (1, &[Read(X, Some(9))])]);
        assert_eq!(rules(&other_key), ["ThinAirRead"]);
    }

    #[test]
    fn reading_each_others_later_writes_is_a_causal_cycle() {
        let wrong = history(&[
            (0, &[Read(X, Some(2))]),
            (0, &[Write(Y, 1)]),
            (1, &[Read(Y, Some(1))]),
            (1, &[Write(X, 2)]),
        ]);
        assert_eq!(rules(&wrong), ["CyclicCO"]);
    }

    #[test]
    fn an_effect_without_its_cause_is_seen_as_a_missing_write() {
        // Session 1 saw x and wrote y because of it; session 2 sees y and not x.
        let wrong = history(&[
            (0, &[Write(X, 1)]),
            (1, &[Read(X, Some(1))]),
            (1, &[Write(Y, 2)]),
            (2, &[Read(Y, Some(2))]),
            (2, &[Read(X, None)]),
        ]);
        assert_eq!(rules(&wrong), ["WriteCOInitRead"]);
    }

    #[test]
    fn an_overwritten_value_that_comes_back_is_found() {
        let wrong = history(&[
            (0, &[Write(X, 1)]),
            (0, &[Write(X, 2)]),
            (1, &[Read(X, Some(2))]),
            (1, &[Read(X, Some(1))]),
        ]);
        assert_eq!(rules(&wrong), ["CyclicCF", "WriteCORead"]);
    }

    #[test]
    fn two_sessions_that_disagree_on_the_winner_are_a_conflict_cycle() {
        let wrong = history(&[
            (0, &[Write(X, 1)]),
            (1, &[Write(X, 2)]),
            (2, &[Read(X, Some(1))]),
            (2, &[Read(X, Some(2))]),
            (3, &[Read(X, Some(2))]),
            (3, &[Read(X, Some(1))]),
        ]);
        assert_eq!(rules(&wrong), ["CyclicCF"]);
    }

    #[test]
    fn transactions_read_their_own_writes_and_nobodys_intermediate_ones() {
        let right = history(&[(0, &[Write(X, 1), Read(X, Some(1)), Write(X, 2)])]);
        assert_eq!(check(&right), []);
        let wrong = history(&[(0, &[Write(X, 1), Read(X, None)])]);
        assert_eq!(rules(&wrong), ["InternalRead"]);
        let wrong = history(&[(0, &[Write(X, 1), Write(X, 2)]), (1, &[Read(X, Some(1))])]);
        assert_eq!(rules(&wrong), ["IntermediateRead"]);
    }

    #[test]
    fn a_transaction_seen_in_part_is_found() {
        let wrong = history(&[
            (0, &[Write(X, 1), Write(Y, 2)]),
            (1, &[Read(X, Some(1)), Read(Y, None)]),
        ]);
        assert_eq!(rules(&wrong), ["WriteCOInitRead"]);
    }

    #[test]
    fn a_write_of_unknown_outcome_counts_if_it_was_read() {
        let mut transactions = history(&[
            (0, &[Write(X, 1)]),
            (1, &[Read(X, Some(1))]),
            (1, &[Read(X, None)]),
        ]);
        transactions[0].is_certain = false;
        assert_eq!(rules(&transactions), ["WriteCOInitRead"]);
        transactions.remove(1);
        assert_eq!(rules(&transactions), [""; 0]);
    }

    /// A right history: one store, which all sessions use in turns, with copies that lag behind by
    /// whole prefixes.
    fn random_right(rng: &mut Rng) -> Vec<Transaction> {
        let mut log: Vec<[Option<u64>; 3]> = vec![[None; 3]];
        let mut seen = [0usize; 4];
        let mut transactions = Vec::new();
        for value in 1..=60 {
            let session = rng.index(4);
            let key = rng.index(3);
            let access = if rng.chance(400) {
                let mut state = *log.last().unwrap();
                state[key] = Some(value);
                log.push(state);
                seen[session] = log.len() - 1;
                Write(key as u32, value)
            } else {
                seen[session] = rng.between(seen[session] as u64, log.len() as u64 - 1) as usize;
                Read(key as u32, log[seen[session]][key])
            };
            transactions.push(Transaction {
                session: session as u32,
                accesses: vec![access],
                is_certain: true,
            });
        }
        transactions
    }

    #[test]
    fn right_histories_pass_and_a_read_turned_back_is_found() {
        let mut found = 0;
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut transactions = random_right(&mut rng);
            assert_eq!(check(&transactions), [], "seed {seed}");
            // Mutation: behind a session's own last write of a key, the initial value.
            let written = transactions
                .iter()
                .rev()
                .find_map(|it| match it.accesses[0] {
                    Write(key, _) => Some((it.session, key)),
                    Read(..) => None,
                });
            let (session, key) = written.unwrap();
            transactions.push(Transaction {
                session,
                accesses: vec![Read(key, None)],
                is_certain: true,
            });
            assert_eq!(rules(&transactions), ["WriteCOInitRead"]);
            transactions.pop();
            // Mutation: some read returns some other write of its key. Not each is wrong.
            let reads: Vec<usize> = (0..transactions.len())
                .filter(|&at| matches!(transactions[at].accesses[0], Read(_, Some(_))))
                .collect();
            let at = reads[rng.index(reads.len())];
            let Read(key, _) = transactions[at].accesses[0] else {
                unreachable!("reads were picked")
            };
            let values: Vec<u64> = transactions
                .iter()
                .filter_map(|it| match it.accesses[0] {
                    Write(of, value) if of == key => Some(value),
                    _ => None,
                })
                .collect();
            transactions[at].accesses[0] = Read(key, Some(values[rng.index(values.len())]));
            found += usize::from(!check(&transactions).is_empty());
        }
        assert!(found > 80, "{found} of 200");
    }
}
