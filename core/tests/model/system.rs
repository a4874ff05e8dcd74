//! Some nodes, a network and disks, as the model checker sees them.
//!
//! The network is the set of messages sent. Each may be delivered at any time or never, and where a
//! scenario says so any number of times: that is loss, reordering, partition and duplication. What
//! was refused stays there, as if it were sent again. A crash loses any part of what was not durable and restarts the node at once:
//! being down is not being delivered to.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use causet_core::hlc::Hlc;
use causet_core::id::{EffectRef, NodeId, Offset};
use causet_core::transaction::bind::{Bind, Kind, Observed, Part};
use causet_core::transaction::config::Config;
use causet_core::transaction::message::{Input, Message, Output, Record, Timer, Token};
use causet_core::transaction::participant::Participant;
use causet_core::transaction::rules::Rules;
use causet_core::transaction::view::Settlement;
use causet_core::transaction::voter::{OwnWrites, Standing};
use stateright::{Model, Property};

use super::properties;

/// A transaction or plain write that a node will try.
#[derive(Clone, Debug)]
pub struct Try {
    pub node: usize,
    /// Key and use; a plain write has one.
    pub parts: Vec<(&'static str, Kind)>,
    /// Whether it is a plain write.
    pub plain: bool,
    /// Only when these transactions are visible at the node.
    pub after: Vec<usize>,
}

/// Node `node` finds that it reaches these nodes only.
#[derive(Clone, Debug)]
pub struct Reach {
    pub node: usize,
    pub nodes: Vec<usize>,
}

/// What may happen, and how often.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub nodes: usize,
    pub tries: Vec<Try>,
    /// Each may happen once; those of one node in their order.
    pub reaches: Vec<Reach>,
    /// Who may crash, and how many crashes there are in all.
    pub crashing: Vec<usize>,
    pub crashes: usize,
    /// How often timers fire, in all: those for proposing a view, and if it `asks` those of binds.
    pub fires: usize,
    pub asks: bool,
    /// Whether records of those that may crash take time to be durable; and with how many of them
    /// on their way such a node takes nothing up.
    pub slow_disk: bool,
    pub records_waiting_max: usize,
    /// Whether what was delivered may be delivered again, also when its view is over. The machines
    /// take no notice of it, which is shown where this is set; elsewhere it would only cost time.
    /// Who may crash hears everything again anyway.
    pub duplicates: bool,
    /// Whether all must be decided when nothing more can happen.
    pub ends_decided: bool,
    pub rules: Rules,
}

/// A value with its hash, computed once.
pub struct Shared<T>(Arc<(u64, T)>);

impl<T: Hash> Shared<T> {
    pub fn new(value: T) -> Shared<T> {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        Shared(Arc::new((hasher.finish(), value)))
    }
}
impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(Arc::clone(&self.0))
    }
}
impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.1
    }
}
impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.0.hash(state);
    }
}
// The checker takes equal 64-bit hashes for equal states anyway.
impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0
    }
}
impl<T> Eq for Shared<T> {}
impl<T> PartialOrd for Shared<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Shared<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.0.cmp(&other.0.0)
    }
}
impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.1.fmt(f)
    }
}

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Envelope {
    pub to: usize,
    pub message: Message,
}

/// A plain write that a node took.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Taken {
    pub id: EffectRef,
    pub key: &'static str,
    pub kind: Kind2,
    /// The view in which it was taken.
    pub view: u64,
    /// The binds that were visible to its author.
    pub saw: BTreeSet<EffectRef>,
}

/// A kind that can be hashed: the scenario's number of it.
pub type Kind2 = (usize, usize);

/// A node with its disk and what its clients can read.
#[derive(Clone, Hash, Debug)]
pub struct Node {
    pub machine: Participant,
    pub log: Vec<Record>,
    pub durable: usize,
    last_token: Token,
    pub writes: Vec<Taken>,
    /// Effects that were made visible.
    pub shown: BTreeSet<EffectRef>,
}

/// What was emitted, and what its author truly had before its eyes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Emitted {
    pub bind: Arc<Bind>,
    pub view: u64,
    pub saw: BTreeSet<EffectRef>,
}

/// What happened, as an observer of all nodes at once would write it down.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct History {
    pub emitted: Vec<Option<Emitted>>,
    /// By transaction: whether its client heard "committed", or "aborted".
    pub told_committed: BTreeSet<usize>,
    pub told_aborted: BTreeSet<usize>,
    /// Node and transaction: was made visible there once.
    pub ever_visible: BTreeSet<(usize, usize)>,
    /// Node and transaction: was voided for good there once.
    pub ever_voided: BTreeSet<(usize, usize)>,
    /// What views began with, as any node ever installed them.
    pub views: BTreeSet<Arc<Settlement>>,
}

/// All of it.
#[derive(Clone, PartialEq, Hash, Debug)]
pub struct State {
    pub nodes: Vec<Shared<Node>>,
    pub network: BTreeSet<Shared<Envelope>>,
    pub history: History,
    /// Which tries, and how many of each node's reaches, are over.
    tried: Vec<bool>,
    reached: Vec<bool>,
    crashes: usize,
    fired: usize,
}

/// What may happen next.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    Try(usize),
    Deliver(Shared<Envelope>),
    Flush(usize),
    /// The node crashes, and of its log this many records are there afterwards.
    Crash(usize, usize),
    Reach(usize),
    Fire(usize, Timer),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Action::Deliver(envelope) = self else {
            return write!(f, "{self:?}");
        };
        let Message { from, view, body } = &envelope.message;
        let from = from.0 - 1;
        let body = format!("{body:?}");
        let what: String = body.chars().take(60).collect();
        write!(f, "{from} -> {} in view {view}: {what}", envelope.to)
    }
}

/// The name of a node by its position.
pub fn node_id(node: usize) -> NodeId {
    NodeId(node as u64 + 1)
}

/// The plain writes of a node, as its machine asks for them.
struct Writes<'a> {
    taken: &'a [Taken],
    scenario: &'a Scenario,
}

impl OwnWrites for Writes<'_> {
    fn unseen(&self, part: &Part) -> Option<EffectRef> {
        let competes = |w: &&Taken| {
            w.key.as_bytes() == &part.key[..]
                && !part.observed.covers(w.id)
                && part.kind.yields_to(self.scenario.kind(w.kind))
        };
        self.taken.iter().find(competes).map(|w| w.id)
    }
}

impl Scenario {
    /// The kind that a plain write has.
    pub fn kind(&self, (of, part): Kind2) -> &Kind {
        &self.tries[of].parts[part].1
    }

    fn config(&self, node: usize) -> Config {
        let mut config = Config::founding(node_id(node), (0..self.nodes).map(node_id));
        config.rules = self.rules;
        config
    }

    /// Lets one node do something, and carries out what its machine asks for. Nothing, if that
    /// changes nothing.
    fn step(
        &self,
        last: &State,
        at: usize,
        act: impl FnOnce(&mut Participant, &Writes<'_>),
    ) -> Option<State> {
        let before = &last.nodes[at];
        if before.log.len() - before.durable >= self.records_waiting_max {
            return None;
        }
        let writes = Writes {
            taken: &before.writes,
            scenario: self,
        };
        let mut node = (**before).clone();
        let mut outputs = Vec::new();
        act(&mut node.machine, &writes);
        while let Some(output) = node.machine.poll() {
            let Output::Persist(token, record) = output else {
                outputs.push(output);
                continue;
            };
            node.last_token = token;
            if self.crashing.contains(&at) {
                node.log.push(record);
            }
            if !self.slow_disk || !self.crashing.contains(&at) {
                node.log = in_one_order(node.log);
                node.durable = node.log.len();
                node.machine.handle(Input::Durable(token), &writes);
            }
        }
        if outputs.is_empty() && node.machine == before.machine {
            return None;
        }
        let mut state = last.clone();
        for output in outputs {
            carry_out(&mut state, at, &mut node, output);
        }
        properties::note(&mut state, at, &node);
        let view = node.machine.view().number;
        state.nodes[at] = Shared::new(node);
        if !self.duplicates {
            let network = &mut state.network;
            network.retain(|e| e.to != at || e.message.view >= view);
        }
        Some(state)
    }

    fn attempt(&self, last: &State, number: usize) -> Option<State> {
        let mut state = last.clone();
        state.tried[number] = true;
        let attempt = &self.tries[number];
        let node = &last.nodes[attempt.node];
        let ready = |&t: &usize| {
            let emitted = last.history.emitted[t].as_ref();
            emitted.is_some_and(|e| node.shown.contains(&e.bind.id()))
        };
        if !attempt.after.iter().all(ready) {
            return None;
        }
        // Counters rise with each emission of the node.
        let before = (0..self.tries.len())
            .filter(|&t| last.tried[t] && self.tries[t].node == attempt.node)
            .count();
        let at = |offset: usize| EffectRef {
            node: node_id(attempt.node),
            offset: Offset::new(0, (before * 8 + offset + 1) as u64),
        };
        let saw = node.shown.clone();
        let view = node.machine.view().number;
        if attempt.plain {
            let (key, kind) = &attempt.parts[0];
            node.machine.may_write(0, key.as_bytes(), kind).ok()?;
            let mut node = (**node).clone();
            node.writes.push(Taken {
                id: at(0),
                key,
                kind: (number, 0),
                view,
                saw,
            });
            state.nodes[attempt.node] = Shared::new(node);
            return Some(state);
        }

        let parts = attempt.parts.iter().enumerate().map(|(i, (key, kind))| {
            let mut observed = Observed::default();
            let mut consumed = causet_core::tip::TipSet::default();
            let binds = last.history.emitted.iter().flatten();
            for tip in binds.filter_map(|e| e.bind.part(0, key.as_bytes())) {
                if node.shown.contains(&tip.tip) {
                    observed.add(tip.tip);
                    consumed.advance(tip.consumed.as_slice(), tip.tip);
                }
            }
            for write in node.writes.iter().filter(|w| w.key == *key) {
                observed.add(write.id);
                consumed.insert(write.id);
            }
            Part {
                db: 0,
                key: key.as_bytes().into(),
                kind: kind.clone(),
                consumed,
                observed,
                tip: at(i),
            }
        });
        // One stamp for all: nodes may give equal ones, and a tie is what has to be broken.
        let bind = Bind::new(at(7), Hlc(10), parts.collect());
        let mut begun = false;
        let emitted = Emitted {
            bind: Arc::new(bind.clone()),
            view,
            saw,
        };
        state.history.emitted[number] = Some(emitted);
        let next = self.step(&state, attempt.node, |machine, writes| {
            begun = machine.begin(bind, writes).is_ok();
        });
        next.filter(|_| begun)
    }

    fn crash(&self, state: &mut State, at: usize, kept: usize) {
        let mut node = (*state.nodes[at]).clone();
        node.log.truncate(kept);
        node.durable = kept;
        node.last_token = Token(0);
        node.machine = Participant::recover(self.config(at), &node.log);
        while node.machine.poll().is_some() {
            // Timers only: what they would send again is in the network still.
        }
        node.shown.clear();
        for emitted in state.history.emitted.iter().flatten() {
            if node.machine.standing(emitted.bind.id()) == Some(Standing::Committed) {
                node.shown
                    .extend(emitted.bind.parts().iter().map(|p| p.tip));
                node.shown.insert(emitted.bind.id());
            }
        }
        properties::note(state, at, &node);
        state.nodes[at] = Shared::new(node);
    }

    /// Whether nothing that the nodes do by themselves changes anything any more.
    pub fn is_over(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        !actions.into_iter().any(|action| {
            let environment = matches!(
                action,
                Action::Crash(..) | Action::Reach(_) | Action::Fire(..)
            );
            let next = |action| self.next_state(state, action);
            !environment && next(action).is_some_and(|next| next != *state)
        })
    }
}

/// A durable log in an order that comes to the same when it is read back, so that states which
/// differ in nothing else are one. Only where no record is about views, whose order matters.
fn in_one_order(mut log: Vec<Record>) -> Vec<Record> {
    use Record::{Committed, Held, Voided};
    if (log.iter()).all(|r| matches!(r, Held(..) | Committed(_) | Voided(_))) {
        log.sort_unstable();
    }
    log
}

/// Does what a machine asked for, other than writing.
fn carry_out(state: &mut State, at: usize, node: &mut Node, output: Output) {
    let History { emitted, .. } = &state.history;
    let txn = |id| {
        let is = |e: &Option<Emitted>| e.as_ref().is_some_and(|e| e.bind.id() == id);
        emitted.iter().position(is)
    };
    match output {
        Output::Send(to, message) => {
            let to = to.0 as usize - 1;
            state.network.insert(Shared::new(Envelope { to, message }));
        }
        Output::Visible(bind) => {
            node.shown.extend(bind.parts().iter().map(|p| p.tip));
            node.shown.insert(bind.id());
            let seen = txn(bind.id()).map(|txn| (at, txn));
            state.history.ever_visible.extend(seen);
        }
        Output::ClientCommitted(id) => state.history.told_committed.extend(txn(id)),
        Output::ClientAborted(id, _) => state.history.told_aborted.extend(txn(id)),
        Output::Persist(..) => unreachable!("written by the step itself"),
        Output::Dropped(_) | Output::SetTimer(..) | Output::Installed(_) => {}
    }
}

impl Model for Scenario {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = |n| Node {
            machine: Participant::new(self.config(n)),
            log: Vec::new(),
            durable: 0,
            last_token: Token(0),
            writes: Vec::new(),
            shown: BTreeSet::new(),
        };
        let history = History {
            emitted: vec![None; self.tries.len()],
            ..History::default()
        };
        vec![State {
            nodes: (0..self.nodes).map(|n| Shared::new(node(n))).collect(),
            network: BTreeSet::new(),
            history,
            tried: vec![false; self.tries.len()],
            reached: vec![false; self.reaches.len()],
            crashes: 0,
            fired: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let open = |done: &[bool]| (0..done.len()).filter(|&i| !done[i]).collect::<Vec<_>>();
        actions.extend(open(&state.tried).into_iter().map(Action::Try));
        let reaches = open(&state.reached);
        for &i in &reaches {
            let node = self.reaches[i].node;
            if reaches
                .iter()
                .all(|&j| self.reaches[j].node != node || j >= i)
            {
                actions.push(Action::Reach(i));
            }
        }
        for at in 0..self.nodes {
            let node = &state.nodes[at];
            if node.durable < node.log.len() {
                actions.push(Action::Flush(at));
            }
            if state.crashes < self.crashes && self.crashing.contains(&at) {
                let kept = node.durable..=node.log.len();
                actions.extend(kept.map(|kept| Action::Crash(at, kept)));
            }
            if state.fired < self.fires {
                let binds = node.machine.horizon().iter();
                let asks = binds.filter(|_| self.asks).map(|b| Timer::Horizon(b.id()));
                let timers = asks.chain([Timer::Propose]);
                actions.extend(timers.map(|timer| Action::Fire(at, timer)));
            }
        }
        actions.extend(state.network.iter().cloned().map(Action::Deliver));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        match action {
            Action::Try(number) => self.attempt(last, number),
            Action::Deliver(envelope) => {
                let to = envelope.to;
                let input = Input::Message(envelope.message.clone());
                let mut state = self.step(last, to, |m, w| m.handle(input, w))?;
                let again = self.duplicates || self.crashing.contains(&to);
                if !again && state.nodes[to].machine != last.nodes[to].machine {
                    state.network.remove(&envelope);
                }
                Some(state)
            }
            Action::Flush(at) => {
                let mut state = last.clone();
                let mut node = (*last.nodes[at]).clone();
                let token = node.last_token;
                node.durable = node.log.len();
                node.log = in_one_order(node.log);
                state.nodes[at] = Shared::new(node);
                self.step(&state, at, |m, w| m.handle(Input::Durable(token), w))
            }
            Action::Crash(at, kept) => {
                let mut state = last.clone();
                state.crashes += 1;
                self.crash(&mut state, at, kept);
                Some(state)
            }
            Action::Reach(number) => {
                let reach = &self.reaches[number];
                let nodes = reach.nodes.iter().map(|&n| node_id(n)).collect();
                let input = Input::Reachable(nodes);
                let mut state = self.step(last, reach.node, |m, w| m.handle(input, w))?;
                state.reached[number] = true;
                Some(state)
            }
            Action::Fire(at, timer) => {
                let mut state = self.step(last, at, |m, w| m.handle(Input::Timer(timer), w))?;
                state.fired += 1;
                Some(state)
            }
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
