//! Agreement on the next view: one number, one content.
//!
//! Single-decree Paxos (Lamport, "Paxos Made Simple", 2001) for each view number, among the
//! configured members. What is agreed on is the whole [`Settlement`]: the members and the fate of
//! what the old view left open. So a member that learns of a view learns what it decided in the
//! same message.
//!
//! Promising does two jobs: it is Paxos's promise, and it seals the view that ends. A sealed member
//! answers nothing more in that view, so its report stays true until the next one is there. A
//! proposal waits for the promise of every member that it would have, hence for the report of every
//! survivor.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::message::Promise;
use super::rules::Rules;
use super::view::{Members, Settlement, View, settle};
use crate::id::NodeId;

/// A round of the agreement on one view. Only its node proposes in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Round {
    /// Rises with each attempt; 0 means none.
    pub attempt: u32,
    /// The proposer.
    pub node: NodeId,
}

/// What one member did towards the view after its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Agreement {
    promised: Round,
    accepted: Option<(Round, Arc<Settlement>)>,
    proposal: Option<Proposal>,
}

/// The proposal that this member leads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Proposal {
    target: Members,
    promises: BTreeMap<NodeId, Promise>,
    /// What was put to the vote, and who accepted it.
    vote: Option<(Arc<Settlement>, Members)>,
}

impl Agreement {
    /// Whether this member promised: its view is over for it.
    pub fn is_sealed(&self) -> bool {
        self.promised != Round::default()
    }

    /// What this member accepted last.
    pub fn accepted(&self) -> Option<&(Round, Arc<Settlement>)> {
        self.accepted.as_ref()
    }

    /// The round in which this member may propose next.
    pub fn next_round(&self, me: NodeId) -> Round {
        Round {
            attempt: self.promised.attempt + 1,
            node: me,
        }
    }

    /// Whether `round` is none that a higher one has overtaken.
    pub fn may_follow(&self, round: Round) -> bool {
        round >= self.promised
    }

    /// Whether `round` is the one last promised.
    pub fn has_promised(&self, round: Round) -> bool {
        round == self.promised
    }

    /// Takes the promise of `round`; one that was overtaken or given already changes nothing.
    pub fn promise(&mut self, round: Round) {
        self.promised = self.promised.max(round);
    }

    /// Accepts `settlement` in `round`, which no higher one has overtaken.
    pub fn accept(&mut self, round: Round, settlement: Arc<Settlement>) {
        debug_assert!(self.may_follow(round));
        self.promised = round;
        self.accepted = Some((round, settlement));
    }

    /// Begins to lead the round just promised, for a view of `target`.
    pub fn lead(&mut self, target: Members) {
        self.proposal = Some(Proposal {
            target,
            promises: BTreeMap::new(),
            vote: None,
        });
    }

    /// Takes a promise given to this member. With the last one that it needs, answers what is to be
    /// put to the vote, and to whom: what may have been chosen already, else what the reports of
    /// the survivors of `old` settle.
    pub fn on_promise(
        &mut self,
        from: NodeId,
        round: Round,
        promise: Promise,
        old: &View,
        rules: Rules,
    ) -> Option<(Arc<Settlement>, Members)> {
        let promised = self.promised;
        let proposal = self.proposal.as_mut()?;
        if round != promised || proposal.vote.is_some() || !proposal.target.contains(from) {
            return None;
        }
        proposal.promises.insert(from, promise);
        if proposal.promises.len() < proposal.target.len() {
            return None;
        }

        let promises = proposal.promises.values();
        let accepted = promises.clone().filter_map(|p| p.accepted.as_ref()).max();
        let settlement = match accepted {
            Some((_, settlement)) => Arc::clone(settlement),
            None => {
                let reports: Vec<_> = promises.filter_map(|p| p.report.clone()).collect();
                debug_assert_eq!(
                    reports.len(),
                    old.members.intersect(&proposal.target).len(),
                    "every survivor reports, and nobody else"
                );
                let view = View {
                    number: old.number + 1,
                    members: proposal.target.clone(),
                };
                Arc::new(settle(view, &reports, rules))
            }
        };
        proposal.vote = Some((Arc::clone(&settlement), Members::default()));
        Some((settlement, proposal.target.clone()))
    }

    /// Takes an acceptance. Answers the settlement once a majority of `configured` accepted it.
    pub fn on_accepted(
        &mut self,
        from: NodeId,
        round: Round,
        configured: &Members,
    ) -> Option<Arc<Settlement>> {
        if round != self.promised {
            return None;
        }
        let (settlement, accepted) = self.proposal.as_mut()?.vote.as_mut()?;
        accepted.insert(from);
        accepted
            .is_majority_of(configured)
            .then(|| Arc::clone(settlement))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::view::Report;

    fn members(nodes: &[u64]) -> Members {
        nodes.iter().map(|&n| NodeId(n)).collect()
    }

    fn promise(accepted: Option<(Round, Arc<Settlement>)>) -> Promise {
        Promise {
            accepted,
            report: Some(Arc::new(Report::default())),
        }
    }

    /// Member 1 leads its next round for a view of `target`, after view 1 of 1, 2 and 3.
    fn leader(target: &[u64]) -> (Agreement, Round, View) {
        let mut agreement = Agreement::default();
        let round = agreement.next_round(NodeId(1));
        agreement.promise(round);
        agreement.lead(members(target));
        let old = View {
            number: 1,
            members: members(&[1, 2, 3]),
        };
        (agreement, round, old)
    }

    #[test]
    fn a_vote_waits_for_every_member_to_be_and_counts_a_majority_of_the_configured() {
        let (mut a, round, old) = leader(&[1, 2]);
        let rules = Rules::default();
        assert_eq!(
            a.on_promise(NodeId(1), round, promise(None), &old, rules),
            None
        );
        assert_eq!(
            a.on_promise(NodeId(3), round, promise(None), &old, rules),
            None
        );
        let (settlement, to) = a
            .on_promise(NodeId(2), round, promise(None), &old, rules)
            .unwrap();
        assert_eq!(
            (settlement.view.number, &settlement.view.members),
            (2, &members(&[1, 2]))
        );
        assert_eq!(to, members(&[1, 2]));
        assert_eq!(a.on_accepted(NodeId(2), round, &old.members), None);
        assert_eq!(
            a.on_accepted(NodeId(1), round, &old.members),
            Some(settlement)
        );
    }

    #[test]
    fn what_may_have_been_chosen_is_proposed_again() {
        let (mut a, round, old) = leader(&[1, 2]);
        let earlier = Round {
            attempt: 1,
            node: NodeId(0),
        };
        let view = View {
            number: 2,
            members: members(&[2, 3]),
        };
        let chosen = Arc::new(Settlement {
            view,
            committed: vec![],
        });
        let rules = Rules::default();
        a.on_promise(NodeId(1), round, promise(None), &old, rules);
        let accepted = promise(Some((earlier, chosen.clone())));
        let vote = a.on_promise(NodeId(2), round, accepted, &old, rules);
        assert_eq!(vote, Some((chosen, members(&[1, 2]))));
    }

    #[test]
    fn a_promise_seals_and_refuses_lower_rounds() {
        let mut a = Agreement::default();
        assert!(!a.is_sealed());
        let round = |attempt, node| Round {
            attempt,
            node: NodeId(node),
        };
        a.promise(round(2, 1));
        assert!(a.is_sealed() && a.may_follow(round(2, 1)));
        assert!(!a.may_follow(round(1, 9)));
        assert_eq!(a.next_round(NodeId(3)), round(3, 3));
    }
}
