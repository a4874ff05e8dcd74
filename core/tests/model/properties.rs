//! What must hold in every state.
//!
//! Judged from outside: by what clients were told and shown, and by what the author of a bind truly
//! had before its eyes, not by what the bind says it observed.

use causet_core::transaction::voter::Standing;
use stateright::Property;

use super::system::{Emitted, Node, Scenario, State, node_id};

pub const ONE_OF_COMPETITORS: &str = "no two competing binds commit";
pub const COMMIT_STAYS: &str = "an acknowledged commit is never undone";
pub const ABORT_STAYS: &str = "an aborted transaction is never visible anywhere";
pub const ONE_FATE: &str = "no two nodes decide a bind differently";
pub const ALL_AT_ONCE: &str = "all keys of a transaction are visible at once";
pub const SEEN_STAYS: &str = "what was visible at a node stays visible there";
pub const CAUSES_FIRST: &str = "nothing is visible before what its author saw of the same keys";
pub const ONE_VIEW: &str = "no two views have one number, and each has a majority";
pub const WRITES_WIN: &str = "no bind commits over a plain write that it did not see";
pub const ENDS_DECIDED: &str = "everything is decided in the end";

pub fn all() -> Vec<Property<Scenario>> {
    vec![
        Property::always(ONE_OF_COMPETITORS, |_, s| one_of_competitors(s)),
        Property::always(COMMIT_STAYS, |_, s| commit_stays(s)),
        Property::always(ABORT_STAYS, |_, s: &State| {
            s.history.told_aborted.iter().all(|&t| !is_committed(s, t))
        }),
        Property::always(ONE_FATE, |_, s: &State| {
            let mut voided = s.history.ever_voided.iter();
            voided.all(|&(_, t)| !is_committed(s, t))
        }),
        Property::always(ALL_AT_ONCE, |_, s| all_at_once(s)),
        Property::always(SEEN_STAYS, |_, s: &State| {
            s.history.ever_visible.iter().all(|&(node, txn)| {
                let emitted = s.history.emitted[txn].as_ref();
                emitted.is_none_or(|e| s.nodes[node].shown.contains(&e.bind.id()))
            })
        }),
        Property::always(CAUSES_FIRST, |_, s| causes_first(s)),
        Property::always(ONE_VIEW, one_view),
        Property::always(WRITES_WIN, writes_win),
        Property::always(ENDS_DECIDED, |scenario, s| {
            !scenario.ends_decided || !scenario.is_over(s) || is_decided(scenario, s)
        }),
    ]
}

/// Writes down what cannot be read from the states of the nodes later.
pub fn note(state: &mut State, at: usize, node: &Node) {
    for txn in 0..state.history.emitted.len() {
        if let Some(emitted) = &state.history.emitted[txn]
            && node.machine.standing(emitted.bind.id()) == Some(Standing::Voided)
        {
            state.history.ever_voided.insert((at, txn));
        }
    }
    state
        .history
        .views
        .insert(node.machine.settlement().clone());
}

fn emitted(state: &State) -> impl Iterator<Item = (usize, &Emitted)> {
    let all = state.history.emitted.iter().enumerate();
    all.filter_map(|(txn, e)| Some((txn, e.as_ref()?)))
}

/// Whether anything anywhere treats or treated the transaction as committed.
fn is_committed(state: &State, txn: usize) -> bool {
    let Some(emitted) = &state.history.emitted[txn] else {
        return false;
    };
    let id = emitted.bind.id();
    state.history.told_committed.contains(&txn)
        || state.history.ever_visible.iter().any(|&(_, t)| t == txn)
        || (state.nodes.iter()).any(|n| n.machine.standing(id) == Some(Standing::Committed))
        || (state.history.views.iter()).any(|v| v.committed.iter().any(|b| b.id() == id))
}

fn one_of_competitors(state: &State) -> bool {
    emitted(state).all(|(i, a)| {
        emitted(state).skip_while(|(j, _)| *j <= i).all(|(j, b)| {
            let strangers = !a.saw.contains(&b.bind.id()) && !b.saw.contains(&a.bind.id());
            let conflict = a.bind.parts().iter().any(|p| {
                let other = b.bind.part(p.db, &p.key);
                other.is_some_and(|q| p.kind.conflicts(&q.kind))
            });
            !(strangers && conflict && is_committed(state, i) && is_committed(state, j))
        })
    })
}

fn commit_stays(state: &State) -> bool {
    state.history.told_committed.iter().all(|&txn| {
        let Some(emitted) = &state.history.emitted[txn] else {
            return true;
        };
        let id = emitted.bind.id();
        let mut later = (state.nodes.iter()).filter(|n| n.machine.view().number > emitted.view);
        later.all(|n| n.machine.standing(id) == Some(Standing::Committed))
            && state.history.ever_voided.iter().all(|&(_, t)| t != txn)
    })
}

fn all_at_once(state: &State) -> bool {
    state.nodes.iter().all(|node| {
        let horizon = node.machine.horizon();
        let readable = |tip| node.shown.contains(&tip) && !horizon.is_invisible(tip);
        emitted(state).all(|(_, e)| {
            let mut tips = e.bind.parts().iter().map(|p| readable(p.tip));
            let first = tips.next();
            tips.all(|t| Some(t) == first)
        })
    })
}

fn causes_first(state: &State) -> bool {
    state.nodes.iter().all(|node| {
        let shown = |e: &Emitted| node.shown.contains(&e.bind.id());
        emitted(state).filter(|(_, e)| shown(e)).all(|(_, e)| {
            let causes = emitted(state).filter(|(_, c)| e.saw.contains(&c.bind.id()));
            let mut causes = causes.filter(|(_, c)| e.bind.meets(&c.bind));
            causes.all(|(_, c)| shown(c))
        })
    })
}

fn one_view(scenario: &Scenario, state: &State) -> bool {
    let configured = (0..scenario.nodes).map(node_id).collect();
    let views = &state.history.views;
    let numbers: std::collections::BTreeSet<_> = views.iter().map(|v| v.view.number).collect();
    numbers.len() == views.len()
        && (views.iter()).all(|v| v.view.members.is_majority_of(&configured))
}

/// A write counts that its author took in the bind's view, if the author was among those who
/// decided the bind: not if that view or the next was made without it.
fn writes_win(scenario: &Scenario, state: &State) -> bool {
    emitted(state)
        .filter(|(t, _)| is_committed(state, *t))
        .all(|(_, e)| {
            state.nodes.iter().enumerate().all(|(at, node)| {
                let mut around = state.history.views.iter().filter(|v| {
                    let number = v.view.number;
                    number == e.view || number == e.view + 1
                });
                let left_out = around.any(|v| !v.view.members.contains(node_id(at)));
                left_out
                    || node.writes.iter().all(|w| {
                        let part = e.bind.part(0, w.key.as_bytes());
                        let over = part.is_some_and(|p| {
                            !p.observed.covers(w.id) && p.kind.yields_to(scenario.kind(w.kind))
                        });
                        !over || w.view != e.view || w.saw.contains(&e.bind.id())
                    })
            })
        })
}

fn is_decided(scenario: &Scenario, state: &State) -> bool {
    emitted(state).all(|(txn, e)| {
        let history = &state.history;
        let told = history.told_committed.contains(&txn) || history.told_aborted.contains(&txn);
        let decided = state.nodes.iter().enumerate().all(|(at, n)| {
            let standing = n.machine.standing(e.bind.id());
            let known = matches!(standing, Some(Standing::Committed | Standing::Voided));
            let view = n.machine.view();
            // Who is not in the view learns of it when it is taken in again; a bind that never
            // left the view before this one needs no word.
            known
                || !view.members.contains(node_id(at))
                || (standing.is_none() && view.number > e.view)
        });
        (told || scenario.crashes > 0) && decided
    })
}
