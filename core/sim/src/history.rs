//! The history of a run: what sessions asked, when, and what they were told.
//!
//! Everything that a judge may use is here, and nothing of the nodes' inside but the refs and
//! vectors that came with the answers.

use causet_core::vector::{StreamId, VersionVector};

use crate::command::{Answer, Command, Done, Refusal};

/// What became of an operation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// It was done.
    Done(Done),
    /// It was not done, and never will be.
    Refused(Refusal),
    /// The client got no answer: it may have been done, may be done later, or never.
    Unknown,
}

/// One operation of a session.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Operation {
    /// The session. Its operations follow each other; after an unknown outcome it has no more.
    pub session: u32,
    /// The node that was asked.
    pub node: usize,
    /// When the client asked, in virtual time.
    pub invoked_ns: u64,
    /// When the client was told; of an unknown outcome, when it gave up.
    pub answered_ns: u64,
    /// What was asked.
    pub command: Command,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it is a judge's own read of the state at the end, when the run is healed and quiet.
    pub is_final: bool,
}

impl Operation {
    /// What came with the answer, where there was one.
    pub fn done(&self) -> Option<&Done> {
        match &self.outcome {
            Outcome::Done(done) => Some(done),
            _ => None,
        }
    }

    /// Its commands, those of a transaction one by one, each with its answer where there is one.
    pub fn parts(&self) -> Vec<(&Command, Option<&Answer>)> {
        let answer = self.done().map(|done| &done.answer);
        match &self.command {
            Command::Transaction(commands) => {
                let answers = match answer {
                    Some(Answer::All(answers)) => answers.as_slice(),
                    _ => &[],
                };
                let answer = |at| answers.get(at);
                let commands = commands.iter().enumerate();
                commands
                    .map(|(at, command)| (command, answer(at)))
                    .collect()
            }
            command => vec![(command, answer)],
        }
    }

    /// Whether it surely never happened.
    pub fn is_refused(&self) -> bool {
        matches!(self.outcome, Outcome::Refused(_))
    }
}

/// All operations, in the order in which they were invoked.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The operations.
    pub operations: Vec<Operation>,
}

impl History {
    /// The operations that were done, each with its number and what came with its answer.
    pub fn done(&self) -> impl Iterator<Item = (usize, &Operation, &Done)> {
        let all = self.operations.iter().enumerate();
        all.filter_map(|(at, operation)| Some((at, operation, operation.done()?)))
    }

    /// Number of operations whose outcome is not known.
    pub fn unknown(&self) -> usize {
        let outcomes = self.operations.iter().map(|operation| &operation.outcome);
        outcomes
            .filter(|outcome| **outcome == Outcome::Unknown)
            .count()
    }
}

/// What a command read and wrote, as the vector that a session carries on.
pub fn touched(done: &Done) -> VersionVector {
    let refs = done.read.iter().chain(&done.wrote);
    refs.map(|&effect| (StreamId::of(effect), effect.offset.counter()))
        .collect()
}
