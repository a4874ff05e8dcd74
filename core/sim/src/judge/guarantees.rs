//! The four session guarantees, from the refs and vectors that came with the answers.
//!
//! After Terry, Demers, Petersen, Spreitzer, Theimer and Welch, "Session Guarantees for Weakly
//! Consistent Replicated Data" (PDIS 1994). For every operation:
//!
//! - **ReadYourWrites**: it was shown all that its session wrote before;
//! - **MonotonicReads**: it was shown all that its session read from before;
//! - **MonotonicWrites**: whoever is shown a session's write is shown the session's earlier ones;
//! - **WritesFollowReads**: whoever is shown a session's write is shown what the session had read;
//! - **HonestAnswer**: what it says it read from and wrote is among what it says it was shown.
//!
//! The causal judge looks at values and knows nothing of vectors; this one looks at vectors and knows
//! nothing of values. A node must please both.

use std::collections::BTreeMap;

use causet_core::id::EffectRef;
use causet_core::vector::{StreamId, VersionVector};

use super::Violation;
use crate::history::History;

#[derive(Clone, Default)]
struct Past {
    reads: VersionVector,
    writes: VersionVector,
}

impl Past {
    fn merge(&mut self, other: &Past) {
        self.reads.merge(&other.reads);
        self.writes.merge(&other.writes);
    }
}

/// Checks every operation. O(operations x streams log operations).
pub fn check(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut sessions: BTreeMap<u32, Past> = BTreeMap::new();
    let mut written: BTreeMap<StreamId, BTreeMap<u64, Past>> = BTreeMap::new();
    for (at, operation, done) in history.done() {
        let past = sessions.entry(operation.session).or_default();
        let mut expect = |rule, is_kept: bool| {
            if !is_kept {
                let what = format!(
                    "operation {at} of session {} at node {}",
                    operation.session, operation.node
                );
                violations.push(Violation::new(rule, what));
            }
        };
        let mut touched = done.read.iter().chain(&done.wrote);
        expect("HonestAnswer", touched.all(|&it| done.held.holds(it)));
        expect("ReadYourWrites", done.held.dominates(&past.writes));
        expect("MonotonicReads", done.held.dominates(&past.reads));
        // A transaction's writes follow its own reads too.
        raise(&mut past.reads, &done.read);
        for &effect in &done.wrote {
            let stream = written.entry(StreamId::of(effect)).or_default();
            stream.insert(effect.offset.counter(), past.clone());
        }
        raise(&mut past.writes, &done.wrote);
    }
    // A vector shows whole beginnings of streams, so what each shows is the sum over a beginning.
    for stream in written.values_mut() {
        let mut sum = Past::default();
        for past in stream.values_mut() {
            sum.merge(past);
            *past = sum.clone();
        }
    }
    for (at, operation, done) in history.done() {
        for (stream, counter) in done.held.iter() {
            let shown = written
                .get(&stream)
                .and_then(|stream| stream.range(..=counter).next_back());
            let Some((_, past)) = shown else { continue };
            let what = || format!("operation {at} at node {}, {stream:?}", operation.node);
            if !done.held.dominates(&past.writes) {
                violations.push(Violation::new("MonotonicWrites", what()));
            }
            if !done.held.dominates(&past.reads) {
                violations.push(Violation::new("WritesFollowReads", what()));
            }
        }
    }
    violations
}

fn raise(vector: &mut VersionVector, effects: &[EffectRef]) {
    for &effect in effects {
        vector.raise(StreamId::of(effect), effect.offset.counter());
    }
}

#[cfg(test)]
mod tests {
    use causet_core::id::NodeId;

    use super::*;
    use crate::command::{Answer, Command, Done, Key, Kind};
    use crate::history::{Operation, Outcome};

    fn effect(node: u64, counter: u64) -> EffectRef {
        let stream = StreamId {
            node: NodeId(node),
            number: 0,
        };
        stream.at(counter)
    }

    /// An operation with what it read, wrote, and was shown.
    fn operation(
        session: u32,
        read: &[EffectRef],
        wrote: &[EffectRef],
        held: &[EffectRef],
    ) -> Operation {
        let mut vector = VersionVector::new();
        raise(&mut vector, held);
        Operation {
            session,
            node: 0,
            invoked_ns: 0,
            answered_ns: 0,
            command: Command::Read(Key {
                kind: Kind::Register,
                number: 0,
            }),
            outcome: Outcome::Done(Done {
                answer: Answer::Ok,
                read: read.to_vec(),
                wrote: wrote.to_vec(),
                held: vector,
            }),
            is_final: false,
        }
    }

    fn rules(operations: Vec<Operation>) -> Vec<&'static str> {
        let violations = check(&History { operations });
        violations.iter().map(|it| it.rule).collect()
    }

    #[test]
    fn a_session_that_loses_nothing_is_right() {
        let (a1, b1) = (effect(1, 1), effect(2, 1));
        let right = vec![
            operation(0, &[], &[a1], &[a1]),
            operation(1, &[a1], &[b1], &[a1, b1]),
            operation(0, &[b1], &[], &[a1, b1]),
        ];
        assert_eq!(rules(right), [""; 0]);
    }

    #[test]
    fn each_guarantee_is_missed_where_it_is_broken() {
        let (a1, a2, b1) = (effect(1, 1), effect(1, 2), effect(2, 1));
        let own_write_gone = vec![
            operation(0, &[], &[a1], &[a1]),
            operation(0, &[], &[], &[b1]),
        ];
        assert_eq!(rules(own_write_gone), ["ReadYourWrites"]);

        let read_gone = vec![operation(0, &[a1], &[], &[a1]), operation(0, &[], &[], &[])];
        assert_eq!(rules(read_gone), ["MonotonicReads"]);

        let later_write_first = vec![
            operation(0, &[], &[a1], &[a1]),
            operation(0, &[], &[b1], &[a1, b1]),
            operation(1, &[b1], &[], &[b1]),
        ];
        assert_eq!(rules(later_write_first), ["MonotonicWrites"]);

        let write_without_its_read = vec![
            operation(0, &[a2], &[b1], &[a2, b1]),
            operation(1, &[b1], &[], &[a1, b1]),
        ];
        assert_eq!(rules(write_without_its_read), ["WritesFollowReads"]);

        let lie = vec![operation(0, &[a1], &[], &[b1])];
        assert_eq!(rules(lie), ["HonestAnswer"]);
    }
}
