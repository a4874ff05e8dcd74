//! The voter: what a node knows of binds, what it answered, and what it may therefore not do.
//!
//! The rule it keeps: an answer is a promise. Having answered a bind, the node emits no competitor
//! of it until it is decided. So of two competitors one at least is named in an answer to the other,
//! by the node that emitted it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bind::{Bind, Part};
use super::error::TxnError;
use super::message::{Answer, Competitor};
use super::rules::{Rule, Rules};
use super::view::{Fate, Report, Settlement};
use crate::id::{EffectRef, NodeId};

/// This node's own plain writes, as the key index knows them.
pub trait OwnWrites {
    /// A plain write of this node on the part's key, not in `part.observed`, of a kind that
    /// `part.kind` [yields to](super::bind::Kind::yields_to).
    fn unseen(&self, part: &Part) -> Option<EffectRef>;
}

/// Where a bind stands, as far as this node knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Standing {
    /// Not decided.
    Undecided,
    /// Its originator voided it and the void is durable here, but it is not known that a majority
    /// holds it: a view change without those that do may yet commit the bind. The originator still
    /// counts it as a competitor.
    Voiding,
    /// Voided for good.
    Voided,
    /// Committed.
    Committed,
}

/// A bind, what this node answered and where it stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Held {
    bind: Arc<Bind>,
    answer: Answer,
    standing: Standing,
}

/// The binds that a node knows and that are not yet stable.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Voter {
    me: NodeId,
    rules: Rules,
    binds: BTreeMap<EffectRef, Held>,
}

impl Voter {
    /// One that knows nothing.
    pub fn new(me: NodeId, rules: Rules) -> Voter {
        Voter {
            me,
            rules,
            binds: BTreeMap::new(),
        }
    }

    /// Where a bind stands; `None` if it is unknown or was forgotten.
    pub fn standing(&self, id: EffectRef) -> Option<Standing> {
        self.binds.get(&id).map(|h| h.standing)
    }

    /// A bind that is known.
    pub fn bind(&self, id: EffectRef) -> Option<&Arc<Bind>> {
        self.binds.get(&id).map(|h| &h.bind)
    }

    /// The answer that was given.
    pub fn answer(&self, id: EffectRef) -> Option<&Answer> {
        self.binds.get(&id).map(|h| &h.answer)
    }

    /// The binds of one standing, by ref.
    pub fn of_standing(&self, standing: Standing) -> impl Iterator<Item = &Arc<Bind>> {
        self.binds
            .values()
            .filter(move |h| h.standing == standing)
            .map(|h| &h.bind)
    }

    /// The answer to a bind seen for the first time. O(known binds).
    pub fn judge(&self, bind: &Bind, writes: &impl OwnWrites) -> Answer {
        let write = bind.parts().iter().find_map(|p| writes.unseen(p));
        let write = write.filter(|_| self.rules.keep(Rule::PlainWritesWin));
        let competitors: Vec<_> = self
            .competitors(bind)
            .map(|h| Competitor {
                claim: h.bind.claim(),
                committed: h.standing == Standing::Committed,
            })
            .collect();
        if competitors.is_empty() && write.is_none() {
            Answer::Ack
        } else {
            Answer::Nack { competitors, write }
        }
    }

    /// Whether this node may emit `bind` beside what it knows. O(known binds).
    ///
    /// # Errors
    /// [`TxnError::TxnAborted`] where a competitor is committed, [`TxnError::InHorizon`] where one
    /// is undecided.
    pub fn may_emit(&self, bind: &Bind) -> Result<(), TxnError> {
        if !self.rules.keep(Rule::NoEmissionAgainstKnown) {
            return Ok(());
        }
        let committed = |h: &&Held| h.standing == Standing::Committed;
        match (
            self.competitors(bind).find(committed),
            self.competitors(bind).next(),
        ) {
            (Some(held), _) => Err(TxnError::TxnAborted {
                by: Some(held.bind.id()),
            }),
            (None, Some(held)) => Err(TxnError::InHorizon {
                bind: held.bind.id(),
            }),
            (None, None) => Ok(()),
        }
    }

    /// Keeps a bind with the answer to it.
    pub fn hold(&mut self, bind: Arc<Bind>, answer: Answer) {
        self.binds.entry(bind.id()).or_insert(Held {
            bind,
            answer,
            standing: Standing::Undecided,
        });
    }

    /// Takes a decision, also on a bind that was never seen. Whether it is news; what was decided
    /// stays as it was.
    pub fn decide(&mut self, bind: &Arc<Bind>, standing: Standing) -> bool {
        debug_assert_ne!(standing, Standing::Undecided);
        let held = self.binds.entry(bind.id()).or_insert_with(|| Held {
            bind: Arc::clone(bind),
            answer: Answer::Ack,
            standing: Standing::Undecided,
        });
        let news = is_open(held.standing) && held.standing != standing;
        if news {
            held.standing = standing;
        }
        news
    }

    /// Takes over what a view began with: what it names is committed, all else is void.
    pub fn settle(&mut self, settlement: &Settlement) {
        for bind in &settlement.committed {
            self.decide(bind, Standing::Committed);
        }
        for held in self.binds.values_mut().filter(|h| is_open(h.standing)) {
            held.standing = Standing::Voided;
        }
    }

    /// All that this node knows, for the settlement of the next view.
    pub fn report(&self) -> Report {
        let fate = |held: &Held| match (&held.answer, held.standing) {
            (_, Standing::Committed) => Fate::Committed,
            (_, Standing::Voided | Standing::Voiding) => Fate::Voided,
            (Answer::Nack { write: Some(_), .. }, Standing::Undecided) => Fate::Refused,
            (_, Standing::Undecided) => Fate::Held,
        };
        let fates = self.binds.values().map(|h| (Arc::clone(&h.bind), fate(h)));
        Report(fates.collect())
    }

    /// Forgets decided binds that are stable.
    pub fn forget(&mut self, stable: &[EffectRef]) {
        self.binds
            .retain(|id, held| is_open(held.standing) || !stable.contains(id));
    }

    /// Known binds that are not voided and cannot stand beside `bind`. It is the originator's part
    /// to name a bind whose void may still come to nothing: all binds are put to it.
    fn competitors(&self, bind: &Bind) -> impl Iterator<Item = &Held> {
        self.binds.values().filter(|h| {
            let stands = match h.standing {
                Standing::Undecided | Standing::Committed => true,
                Standing::Voiding => h.bind.id().node == self.me,
                Standing::Voided => false,
            };
            stands && h.bind.competes(bind, self.rules)
        })
    }
}

/// Whether a bind may still be committed or voided, as far as its node knows.
fn is_open(standing: Standing) -> bool {
    matches!(standing, Standing::Undecided | Standing::Voiding)
}
