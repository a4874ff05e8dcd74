//! The originator's side: from the answers to a verdict, and from a void to the client.
//!
//! The rule it keeps: a bind commits when every member of the view answered and no answer names
//! what beats it; a client hears "aborted" when no view change can commit the bind any more, which
//! is when a majority of the configured members holds the void.

use std::collections::BTreeMap;

use super::bind::Claim;
use super::message::Answer;
use super::rules::{Rule, Rules};
use super::view::Members;
use crate::id::{EffectRef, NodeId};

/// What the answers say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Answers are missing.
    Open,
    /// Every member answered, and the bind wins.
    Commit,
    /// This competitor, or plain write, wins.
    Void(EffectRef),
}

/// An own bind on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Phase {
    /// Asking; the members whose answer did not void it.
    Asking(Claim, Members),
    /// Voided; for what, where it is still known, and the members that hold the void.
    Voiding(Option<EffectRef>, Members),
}

/// The own binds of a node that are not finished.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Coordinator {
    rules: Rules,
    open: BTreeMap<EffectRef, Phase>,
}

impl Coordinator {
    /// One without binds.
    pub fn new(rules: Rules) -> Coordinator {
        Coordinator {
            rules,
            open: BTreeMap::new(),
        }
    }

    /// Begins to count the answers to an own bind; the first is `me`'s.
    pub fn ask(&mut self, claim: Claim, me: NodeId) {
        let answered = Members::from_iter([me]);
        self.open.insert(claim.id, Phase::Asking(claim, answered));
    }

    /// Takes an answer. A verdict is given once, and is the caller's to record.
    pub fn on_answer(
        &mut self,
        id: EffectRef,
        from: NodeId,
        answer: &Answer,
        members: &Members,
    ) -> Verdict {
        let Some(Phase::Asking(claim, answered)) = self.open.get_mut(&id) else {
            return Verdict::Open;
        };
        if let Answer::Nack { competitors, write } = answer {
            let stronger = competitors
                .iter()
                .find(|c| c.committed || c.claim.beats(claim, self.rules));
            if let Some(by) = write.or(stronger.map(|c| c.claim.id)) {
                return Verdict::Void(by);
            }
        }
        answered.insert(from);
        let missing = members.len() - answered.intersect(members).len();
        let forgiven = usize::from(!self.rules.keep(Rule::EveryVoterAnswers));
        if missing <= forgiven {
            Verdict::Commit
        } else {
            Verdict::Open
        }
    }

    /// The void of an own bind was recorded here: begins to count who else holds it.
    pub fn void(&mut self, id: EffectRef, by: Option<EffectRef>) {
        self.open.insert(id, Phase::Voiding(by, Members::default()));
    }

    /// A member holds the void. Once with it a majority of `configured` does, and so the client may
    /// hear: what the bind was voided for.
    pub fn on_void_durable(
        &mut self,
        id: EffectRef,
        from: NodeId,
        configured: &Members,
    ) -> Option<Option<EffectRef>> {
        let Some(Phase::Voiding(by, holders)) = self.open.get_mut(&id) else {
            return None;
        };
        let by = *by;
        holders.insert(from);
        let enough =
            holders.is_majority_of(configured) || !self.rules.keep(Rule::VoidOnMajorityFirst);
        enough.then(|| self.open.remove(&id))?;
        Some(by)
    }

    /// Who has yet to be asked again, or told again of the void: the members not heard of.
    pub fn unheard(&self, id: EffectRef, members: &Members) -> Members {
        match self.open.get(&id) {
            Some(Phase::Asking(_, heard) | Phase::Voiding(_, heard)) => {
                members.iter().filter(|&n| !heard.contains(n)).collect()
            }
            None => Members::default(),
        }
    }

    /// The bind is finished.
    pub fn close(&mut self, id: EffectRef) {
        self.open.remove(&id);
    }

    /// A new view decided all that was open.
    pub fn close_all(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Hlc;
    use crate::id::Offset;
    use crate::transaction::message::Competitor;

    fn claim(node: u64) -> Claim {
        Claim {
            id: EffectRef {
                node: NodeId(node),
                offset: Offset::new(0, 1),
            },
            hlc: Hlc(1),
        }
    }

    /// A coordinator of node 1's bind, or of node 2's, whichever has the lower or higher hash, and
    /// the claim of the other.
    fn asked(wins: bool) -> (Coordinator, Claim, Claim) {
        let rules = Rules::default();
        let (mut mine, mut other) = (claim(1), claim(2));
        if mine.beats(&other, rules) != wins {
            (mine, other) = (other, mine);
        }
        let mut coordinator = Coordinator::new(rules);
        coordinator.ask(mine, mine.id.node);
        (coordinator, mine, other)
    }

    fn nack(claim: Claim, committed: bool) -> Answer {
        Answer::Nack {
            competitors: vec![Competitor { claim, committed }],
            write: None,
        }
    }

    fn three() -> Members {
        [1, 2, 3].map(NodeId).into_iter().collect()
    }

    #[test]
    fn the_last_answer_commits_what_beats_every_competitor() {
        let (mut c, mine, other) = asked(true);
        let answer = nack(other, false);
        let from = other.id.node;
        assert_eq!(c.on_answer(mine.id, from, &answer, &three()), Verdict::Open);
        assert_eq!(c.on_answer(mine.id, from, &answer, &three()), Verdict::Open);
        let last = c.on_answer(mine.id, NodeId(3), &Answer::Ack, &three());
        assert_eq!(last, Verdict::Commit);
    }

    #[test]
    fn one_stronger_committed_or_plain_competitor_voids_at_once() {
        let (mut c, mine, other) = asked(false);
        assert_eq!(
            c.on_answer(mine.id, NodeId(3), &nack(other, false), &three()),
            Verdict::Void(other.id)
        );
        let (mut c, mine, other) = asked(true);
        assert_eq!(
            c.on_answer(mine.id, NodeId(3), &nack(other, true), &three()),
            Verdict::Void(other.id)
        );
        let (mut c, mine, other) = asked(true);
        let write = Answer::Nack {
            competitors: vec![],
            write: Some(other.id),
        };
        assert_eq!(
            c.on_answer(mine.id, NodeId(3), &write, &three()),
            Verdict::Void(other.id)
        );
    }

    #[test]
    fn the_client_hears_of_a_void_once_when_a_majority_holds_it() {
        let (mut c, mine, _) = asked(false);
        c.void(mine.id, None);
        assert_eq!(c.on_void_durable(mine.id, NodeId(1), &three()), None);
        assert_eq!(c.on_void_durable(mine.id, NodeId(1), &three()), None);
        assert_eq!(c.unheard(mine.id, &three()).len(), 2);
        assert_eq!(c.on_void_durable(mine.id, NodeId(3), &three()), Some(None));
        assert_eq!(c.on_void_durable(mine.id, NodeId(2), &three()), None);
    }
}
