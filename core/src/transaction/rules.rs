//! The rules of the protocol, by name, so that a model can break one at a time.
//!
//! A proof by exhaustive search is worth little unless the search is known to find what it looks
//! for. Each rule here is asked for at the one place that keeps it; the tests leave one out and
//! show that a property falls. The server keeps them all: [`Rules::default`] does, and nothing but
//! [`Rules::without`] does not.

/// One rule of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rule {
    /// A bind commits only when every member of the view has answered.
    EveryVoterAnswers,
    /// Of two undecided competitors the lower fork-choice hash wins. (Without: the lower stamp,
    /// and two nodes may give equal stamps.)
    HashBreaksTies,
    /// A client hears "aborted" only when the void is durable on a majority of the configured
    /// members.
    VoidOnMajorityFirst,
    /// A bind's effects become visible only when it is committed.
    DecidedBeforeVisible,
    /// A node emits no bind that competes with one it knows and that is not voided.
    NoEmissionAgainstKnown,
    /// A node emits nothing on a key on which its own bind is undecided, so that "observed up to
    /// this counter" stays true of every effect below the counter.
    OwnKeyWaits,
    /// A bind that consumes another's tip proves to whoever receives it that the other is committed,
    /// and shows it there first.
    ConsumedIsCommitted,
    /// A view change commits only what every survivor holds, and of competitors only one.
    SurvivorsAgree,
    /// A message leaves only when every record made before it is durable.
    DurableBeforeSent,
    /// A node takes up a newer view only together with what that view began with.
    LearnBeforeAnswering,
    /// A node that reported for the next view answers nothing more in this one.
    SealBeforeReport,
    /// Two binds compete on a key unless one observed the other there. (Without: only where they
    /// share a consumed tip.)
    ObservationDecides,
    /// An unseen plain write of a voter refuses the bind, and a bind refused so by a survivor is
    /// voided by a view change.
    PlainWritesWin,
}

/// Which rules are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Rules {
    broken: Option<Rule>,
}

impl Rules {
    /// All rules but `broken`. For tests that show what the rule is for.
    pub const fn without(broken: Rule) -> Rules {
        Rules {
            broken: Some(broken),
        }
    }

    /// Whether `rule` is kept.
    #[inline]
    pub fn keep(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}
