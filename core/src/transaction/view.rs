//! Views: who decides together, and what each view began with.
//!
//! A view is a numbered set of members that holds a strict majority of the configured ones. This
//! file says what a view is and how a new one settles what the old one left open; how its number
//! gets one content only is `agreement.rs`.
//!
//! The rule it keeps: what the old view may have committed is committed by the new one. A commit
//! took an answer of every member, so every survivor holds the bind, and the lowest hash among its
//! competitors that all of them hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::bind::Bind;
use super::rules::{Rule, Rules};
use crate::id::{EffectRef, NodeId};

/// A set of nodes, sorted. A region has a handful of members; all operations are O(n).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Members(SmallVec<[NodeId; 5]>);

impl Members {
    /// Whether `node` is one of them.
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.binary_search(&node).is_ok()
    }

    /// Adds a node.
    pub fn insert(&mut self, node: NodeId) {
        if let Err(at) = self.0.binary_search(&node) {
            self.0.insert(at, node);
        }
    }

    /// The nodes, in order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are in both sets.
    pub fn intersect(&self, other: &Members) -> Members {
        self.iter().filter(|&n| other.contains(n)).collect()
    }

    /// Whether these hold a strict majority of `configured`.
    pub fn is_majority_of(&self, configured: &Members) -> bool {
        self.intersect(configured).len() * 2 > configured.len()
    }
}

impl FromIterator<NodeId> for Members {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Members {
        let mut members = Members::default();
        nodes.into_iter().for_each(|n| members.insert(n));
        members
    }
}

/// An agreed set of members. View 1 holds all the configured ones; 0 stands for none yet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct View {
    /// Its number. Two views of one number are the same view.
    pub number: u64,
    /// Its members.
    pub members: Members,
}

/// What a view begins with: its members, and every committed bind that is not yet stable. A bind of
/// an earlier view that is not named here is void, also one that nobody here ever saw.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Settlement {
    /// The view.
    pub view: View,
    /// The committed binds, by ref.
    pub committed: Vec<Arc<Bind>>,
}

/// What one member says of a bind when its view ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fate {
    /// Held, and not decided as far as this member knows.
    Held,
    /// Held, and refused for a plain write of this member.
    Refused,
    /// Decided: it stays.
    Committed,
    /// Decided: it goes.
    Voided,
}

/// All that a member knows when its view ends. Nothing is added after it was given.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Report(pub Vec<(Arc<Bind>, Fate)>);

/// Decides what the old view left open, from the reports of all survivors: those that are members
/// of both views. Deterministic. O(b^2) in the undecided binds.
pub fn settle(view: View, reports: &[Arc<Report>], rules: Rules) -> Settlement {
    let mut binds: BTreeMap<EffectRef, (&Arc<Bind>, Vec<Fate>)> = BTreeMap::new();
    for (bind, fate) in reports.iter().flat_map(|r| &r.0) {
        let known = binds.entry(bind.id()).or_insert((bind, Vec::new()));
        known.1.push(*fate);
    }

    let mut committed = Vec::new();
    let mut open = Vec::new();
    for (bind, fates) in binds.values() {
        if fates.contains(&Fate::Committed) {
            committed.push(Arc::clone(bind));
        } else if fates.contains(&Fate::Voided) {
            continue;
        } else if !rules.keep(Rule::SurvivorsAgree) {
            committed.push(Arc::clone(bind));
        } else if fates.len() == reports.len()
            && (fates.iter().all(|f| *f == Fate::Held) || !rules.keep(Rule::PlainWritesWin))
        {
            open.push(*bind);
        }
    }
    // The lowest hash first, so that of competitors the one stays that could have been committed.
    open.sort_unstable_by(|a, b| a.fork_choice(b));
    for bind in open {
        if !committed.iter().any(|c| c.competes(bind, rules)) {
            committed.push(Arc::clone(bind));
        }
    }
    committed.sort_unstable();
    Settlement { view, committed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Hlc;
    use crate::id::Offset;
    use crate::tip::TipSet;
    use crate::transaction::bind::{Kind, Observed, Part};

    fn members(nodes: &[u64]) -> Members {
        nodes.iter().map(|&n| NodeId(n)).collect()
    }

    fn bind(node: u64) -> Arc<Bind> {
        let id = EffectRef {
            node: NodeId(node),
            offset: Offset::new(0, 1),
        };
        let part = Part {
            db: 0,
            key: Box::from(&b"x"[..]),
            kind: Kind::Overwrite,
            consumed: TipSet::default(),
            observed: Observed::default(),
            tip: id,
        };
        Arc::new(Bind::new(id, Hlc(1), vec![part]))
    }

    /// The node whose bind has the lower hash.
    fn lower_hash(a: &Bind, b: &Bind) -> u64 {
        let lower = if a.fork_choice(b).is_lt() { a } else { b };
        lower.id().node.0
    }

    fn settled(reports: &[&[(Arc<Bind>, Fate)]]) -> Vec<u64> {
        let reports: Vec<_> = reports
            .iter()
            .map(|r| Arc::new(Report(r.to_vec())))
            .collect();
        let settlement = settle(View::default(), &reports, Rules::default());
        let nodes = settlement.committed.iter().map(|b| b.id().node.0);
        nodes.collect()
    }

    #[test]
    fn half_is_no_majority() {
        let configured = members(&[1, 2, 3, 4]);
        assert!(!members(&[1, 2]).is_majority_of(&configured));
        assert!(!members(&[1, 2, 9]).is_majority_of(&configured));
        assert!(members(&[1, 2, 4]).is_majority_of(&configured));
    }

    #[test]
    fn of_competitors_that_all_hold_the_lower_hash_is_committed() {
        let (a, b) = (bind(1), bind(2));
        let lower = lower_hash(&a, &b);
        let held = [(a, Fate::Held), (b, Fate::Held)];
        assert_eq!(settled(&[&held, &held]), [lower]);
    }

    #[test]
    fn what_a_survivor_never_saw_or_refused_or_voided_goes() {
        let a = bind(1);
        assert_eq!(settled(&[&[(a.clone(), Fate::Held)], &[]]), [0; 0]);
        for fate in [Fate::Refused, Fate::Voided] {
            let reports = [&[(a.clone(), Fate::Held)][..], &[(a.clone(), fate)][..]];
            assert_eq!(settled(&reports), [0; 0]);
        }
    }

    #[test]
    fn what_was_committed_stays_whoever_else_holds_a_lower_hash() {
        let (a, b) = (bind(1), bind(2));
        let higher = 3 - lower_hash(&a, &b);
        let fate = |n| {
            if n == higher {
                Fate::Committed
            } else {
                Fate::Held
            }
        };
        let report = [(a, fate(1)), (b, fate(2))];
        assert_eq!(settled(&[&report, &report]), [higher]);
    }
}
