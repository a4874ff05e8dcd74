//! Serialisability of transactions, by the crate `adya`: cycles of dependencies, as Elle finds them.
//!
//! Two workloads: lists that are only pushed to at the tail, whose reads show the order of all
//! pushes (list-append), and registers (rw-register), which show less. The lists find more; use
//! registers where lists have no transactions yet.
//!
//! Not for what merges: an increment or a blind write outside a transaction promises no
//! serialisability, and such histories fail here by design.
//!
//! `adya` bounds its search by wall time. A search that is cut off is [`Verdict::Undecided`], never
//! right or wrong, so a verdict does not depend on the machine's speed otherwise.

use std::collections::BTreeSet;
use std::time::Duration;

use adya::history::{Interner, Mop, Op, OpType, ReadValue, Scalar};
use adya::{Opts, Valid, Workload};

use super::Violation;
use crate::command::{Answer, Command, End, Key, Kind};
use crate::history::{History, Operation, Outcome};

/// Longest search in one strongly connected component, in wall time.
const SEARCH_MAX: Duration = Duration::from_secs(10);

/// What is promised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Some serial order explains all answers.
    Serialisable,
    /// One that also respects real time: what was answered before another was asked comes first.
    Strict,
}

impl Level {
    const fn model(self) -> &'static str {
        match self {
            Level::Serialisable => "serializable",
            Level::Strict => "strict-serializable",
        }
    }
}

/// What came out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// No forbidden cycle is in the history.
    Right,
    /// These anomalies are.
    Wrong(Vec<Violation>),
    /// The history shows no dependencies, or the search was cut off.
    Undecided(Vec<String>),
}

/// Judges the lists of a history that are only read and pushed to at the tail; operations on other
/// keys are left out.
pub fn lists(history: &History, level: Level) -> Verdict {
    let mut others = BTreeSet::new();
    for operation in &history.operations {
        for (command, _) in operation.parts() {
            if let Command::Push(key, End::Head, _) | Command::Pop(key, _) = command {
                others.insert(*key);
            }
        }
    }
    let is_meant = |key: &Key| key.kind == Kind::List && !others.contains(key);
    judge(history, Workload::ListAppend, level, is_meant)
}

/// Judges the registers of a history.
pub fn registers(history: &History, level: Level) -> Verdict {
    let is_meant = |key: &Key| key.kind == Kind::Register;
    judge(history, Workload::RwRegister, level, is_meant)
}

fn judge(
    history: &History,
    workload: Workload,
    level: Level,
    is_meant: impl Fn(&Key) -> bool,
) -> Verdict {
    let mut interner = Interner::default();
    let mut ops: Vec<(u64, bool, Op)> = Vec::new();
    for operation in &history.operations {
        let is_done = operation.done().is_some();
        let asked = micro_ops(operation, false, &is_meant, &mut interner);
        if asked.is_empty() {
            continue;
        }
        let answered = micro_ops(operation, is_done, &is_meant, &mut interner);
        let op = |kind, value, at_ns: u64| Op {
            index: 0,
            kind,
            process: Some(i64::from(operation.session)),
            value,
            time: i64::try_from(at_ns).ok(),
        };
        let kind = match operation.outcome {
            Outcome::Done(_) => OpType::Ok,
            Outcome::Refused(_) => OpType::Fail,
            Outcome::Unknown => OpType::Info,
        };
        let (invoked_ns, answered_ns) = (operation.invoked_ns, operation.answered_ns);
        ops.push((invoked_ns, false, op(OpType::Invoke, asked, invoked_ns)));
        ops.push((answered_ns, true, op(kind, answered, answered_ns)));
    }
    // What is asked at the moment of an answer counts as concurrent with it.
    ops.sort_by_key(|&(at_ns, is_answer, _)| (at_ns, is_answer));
    let number = |(index, (_, _, op))| Op {
        index: index as u64,
        ..op
    };
    let ops = ops.into_iter().enumerate().map(number).collect();
    let report = adya::check(
        &adya::History::from_ops(ops, interner),
        workload,
        &Opts {
            models: vec![level.model().to_owned()],
            timeout: SEARCH_MAX,
            ..Opts::default()
        },
    );
    match report.valid {
        Valid::True => Verdict::Right,
        Valid::Unknown => Verdict::Undecided(report.anomaly_types),
        Valid::False => {
            let found = report.anomalies.values().flatten();
            let violation = |it: &adya::Anomaly| {
                let what = format!("{}: {}", it.kind, it.explanation);
                Violation::new("Serialisability", what)
            };
            Verdict::Wrong(found.map(violation).collect())
        }
    }
}

fn micro_ops(
    operation: &Operation,
    with_answers: bool,
    is_meant: &impl Fn(&Key) -> bool,
    interner: &mut Interner,
) -> Vec<Mop> {
    let mut mops = Vec::new();
    let mut number = |value: u64| interner.intern(Scalar::Int(value as i64));
    for (command, answer) in operation.parts() {
        let (Command::Read(key) | Command::Write(key, _) | Command::Push(key, ..)) = command else {
            continue;
        };
        if !is_meant(key) {
            continue;
        }
        let id = number(u64::from(key.number));
        match command {
            Command::Write(_, value) => mops.push(Mop::Write {
                key: id,
                value: number(*value),
            }),
            Command::Push(_, _, values) => mops.extend(values.iter().map(|&value| Mop::Append {
                key: id,
                value: number(value),
            })),
            _ => {
                let value = match answer.filter(|_| with_answers) {
                    Some(Answer::Value(Some(value))) => ReadValue::Scalar(number(*value)),
                    Some(Answer::Elements(elements)) => {
                        ReadValue::List(elements.iter().map(|&it| number(it)).collect())
                    }
                    _ => ReadValue::Nil,
                };
                mops.push(Mop::Read { key: id, value });
            }
        }
    }
    mops
}

#[cfg(test)]
mod tests {
    use causet_core::vector::VersionVector;

    use super::*;
    use crate::command::Done;

    fn key(kind: Kind, number: u32) -> Key {
        Key { kind, number }
    }

    fn push(number: u32, value: u64) -> (Command, Answer) {
        let key = key(Kind::List, number);
        (Command::Push(key, End::Tail, vec![value]), Answer::Ok)
    }

    fn list(number: u32, elements: &[u64]) -> (Command, Answer) {
        let key = key(Kind::List, number);
        (Command::Read(key), Answer::Elements(elements.to_vec()))
    }

    fn write(number: u32, value: u64) -> (Command, Answer) {
        (
            Command::Write(key(Kind::Register, number), value),
            Answer::Ok,
        )
    }

    fn value(number: u32, value: Option<u64>) -> (Command, Answer) {
        let key = key(Kind::Register, number);
        (Command::Read(key), Answer::Value(value))
    }

    type Parts = Vec<(Command, Answer)>;

    /// Transactions with session, time asked and time answered.
    fn history(transactions: Vec<(u32, u64, u64, Parts)>) -> History {
        let operation = |(session, invoked_ns, answered_ns, parts): (u32, u64, u64, Parts)| {
            let (commands, answers) = parts.into_iter().unzip();
            Operation {
                session,
                node: 0,
                invoked_ns,
                answered_ns,
                command: Command::Transaction(commands),
                outcome: Outcome::Done(Done {
                    answer: Answer::All(answers),
                    read: Vec::new(),
                    wrote: Vec::new(),
                    held: VersionVector::new(),
                }),
                is_final: false,
            }
        };
        History {
            operations: transactions.into_iter().map(operation).collect(),
        }
    }

    fn is_wrong(verdict: &Verdict, kind: &str) -> bool {
        match verdict {
            Verdict::Wrong(found) => found.iter().any(|it| it.what.starts_with(kind)),
            _ => false,
        }
    }

    #[test]
    fn appends_in_one_order_are_right() {
        let right = history(vec![
            (0, 0, 10, vec![list(0, &[]), push(0, 1), push(1, 1)]),
            (1, 5, 20, vec![list(0, &[1]), push(0, 2)]),
            (2, 30, 40, vec![list(0, &[1, 2]), list(1, &[1])]),
        ]);
        assert_eq!(lists(&right, Level::Strict), Verdict::Right);
    }

    #[test]
    fn write_skew_on_lists_is_found() {
        let skew = history(vec![
            (0, 0, 10, vec![list(0, &[]), list(1, &[]), push(0, 1)]),
            (1, 0, 10, vec![list(0, &[]), list(1, &[]), push(1, 2)]),
            (2, 20, 30, vec![list(0, &[1]), list(1, &[2])]),
        ]);
        let verdict = lists(&skew, Level::Serialisable);
        assert!(is_wrong(&verdict, "G2-item"), "{verdict:?}");
    }

    #[test]
    fn a_stale_read_breaks_real_time_only() {
        let stale = history(vec![
            (0, 0, 10, vec![push(0, 1)]),
            (1, 20, 30, vec![list(0, &[])]),
            (2, 40, 50, vec![list(0, &[1])]),
        ]);
        assert_eq!(lists(&stale, Level::Serialisable), Verdict::Right);
        assert!(matches!(lists(&stale, Level::Strict), Verdict::Wrong(_)));
    }

    #[test]
    fn registers_read_crosswise_are_found() {
        let right = history(vec![
            (0, 0, 10, vec![value(0, None), write(0, 1)]),
            (1, 20, 30, vec![value(0, Some(1)), write(1, 2)]),
        ]);
        assert_eq!(registers(&right, Level::Strict), Verdict::Right);
        let cycle = history(vec![
            (0, 0, 10, vec![write(0, 1), value(1, Some(2))]),
            (1, 0, 10, vec![write(1, 2), value(0, Some(1))]),
        ]);
        let verdict = registers(&cycle, Level::Serialisable);
        assert!(is_wrong(&verdict, "G1c"), "{verdict:?}");
    }

    #[test]
    fn keys_that_are_popped_from_are_left_out() {
        let pop = (
            Command::Pop(key(Kind::List, 0), End::Head),
            Answer::Value(Some(1)),
        );
        let popped = history(vec![
            (0, 0, 10, vec![push(0, 1), pop]),
            (1, 20, 30, vec![list(0, &[])]),
        ]);
        assert!(matches!(
            lists(&popped, Level::Strict),
            Verdict::Undecided(_) | Verdict::Right
        ));
    }
}
