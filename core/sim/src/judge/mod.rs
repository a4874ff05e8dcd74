//! Judges: what a history must satisfy, whatever the nodes did inside.
//!
//! Each judge looks for one family of promises and names the operations that break it. A judge that
//! finds nothing proves nothing; one that finds something is right. Their tests hold them against
//! histories known to be right and histories known to be wrong.

pub mod causal;
pub mod guarantees;
pub mod serial;
pub mod types;

use std::fmt;

use crate::history::History;

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The promise, in the literature's words.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// A violation of `rule`.
    pub fn new(rule: &'static str, what: impl Into<String>) -> Self {
        Violation {
            rule,
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Every judge that a history of any node must satisfy, with what is promised in either mode.
/// Transactions' serialisability ([`serial`]) and pops exactly once are promised in safe mode only,
/// and are for the caller to ask.
pub fn all(history: &History) -> Vec<Violation> {
    let mut violations = types::convergence(history);
    violations.extend(causal::check(&causal::registers(history)));
    violations.extend(guarantees::check(history));
    violations.extend(types::counters(history));
    violations.extend(types::sets(history));
    violations.extend(types::lists(history, types::Pops::Concurrent));
    violations
}
