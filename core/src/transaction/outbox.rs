//! Outputs on their way: nothing leaves before the records made ahead of it are durable.
//!
//! The rule it keeps is what makes a crash no more than a pause: what another node was told, this
//! one still knows. It asks no question about which output needs which record. The log is one
//! sequence and is flushed in groups, so waiting for the last record costs no more than waiting for
//! the right one.

use std::collections::VecDeque;

use super::message::{Output, Record, Token};
use super::rules::{Rule, Rules};

/// A queue of outputs with a gate in the middle.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Outbox {
    rules: Rules,
    ready: VecDeque<Output>,
    waiting: VecDeque<(Token, Output)>,
    made: Token,
    durable: Token,
}

impl Outbox {
    /// An empty one.
    pub fn new(rules: Rules) -> Outbox {
        Outbox {
            rules,
            ..Outbox::default()
        }
    }

    /// Hands out a record to be written; outputs from now on wait for it.
    pub fn persist(&mut self, record: Record) {
        self.made.0 += 1;
        self.ready.push_back(Output::Persist(self.made, record));
    }

    /// An output that leaves when every record made so far is durable.
    pub fn push(&mut self, output: Output) {
        let hasty = matches!(output, Output::Send(..)) && !self.rules.keep(Rule::DurableBeforeSent);
        if self.made == self.durable || hasty {
            self.ready.push_back(output);
        } else {
            self.waiting.push_back((self.made, output));
        }
    }

    /// An output that no record concerns: a timer.
    pub fn push_now(&mut self, output: Output) {
        self.ready.push_back(output);
    }

    /// The record of `token` and all before it are durable. O(outputs released).
    pub fn on_durable(&mut self, token: Token) {
        debug_assert!(token <= self.made, "durable before it was made");
        self.durable = self.durable.max(token);
        while let Some((needs, _)) = self.waiting.front()
            && *needs <= self.durable
        {
            let released = self.waiting.pop_front().map(|(_, output)| output);
            self.ready.extend(released);
        }
    }

    /// The next output, if one may leave.
    pub fn pop(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    /// Outputs that wait for a record.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EffectRef;

    #[test]
    fn an_output_waits_for_the_records_before_it_and_not_for_those_after() {
        let record = || Record::Promised(Default::default());
        let output = Output::ClientCommitted(EffectRef::ROOT);
        let mut outbox = Outbox::new(Rules::default());
        outbox.persist(record());
        outbox.push(output.clone());
        outbox.persist(record());
        outbox.push(output.clone());
        for token in [1, 2] {
            let out = outbox.pop();
            assert_eq!(out, Some(Output::Persist(Token(token), record())));
        }
        assert_eq!(outbox.pop(), None);
        outbox.on_durable(Token(1));
        assert_eq!((outbox.pop(), outbox.waiting()), (Some(output), 1));
        assert_eq!(outbox.pop(), None);
    }
}
