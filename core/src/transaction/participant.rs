//! One node's part in the protocol: routes what arrives to the voter, the coordinator and the
//! agreement on views, and sees to it that everything is recorded in the right order.
//!
//! It decides nothing by itself and holds no rule of its own but one: a message of another view
//! changes nothing except that the older side learns the newer view.

use std::sync::Arc;

use super::agreement::{Agreement, Round};
use super::bind::{Bind, Kind};
use super::config::Config;
use super::coordinator::{Coordinator, Verdict};
use super::error::TxnError;
use super::horizon::{HorizonSet, horizon_us};
use super::message::{Answer, Body, Input, Message, Output, Promise, Record, Timer, Token};
use super::outbox::Outbox;
use super::rules::Rule;
use super::view::{Members, Settlement, View};
use super::voter::{OwnWrites, Standing, Voter};
use crate::id::{EffectRef, NodeId};

/// One node's state machine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Participant {
    config: Config,
    /// What the view in force began with.
    settlement: Arc<Settlement>,
    agreement: Agreement,
    voter: Voter,
    coordinator: Coordinator,
    horizon: HorizonSet,
    outbox: Outbox,
    reachable: Members,
    round_trip_us: Option<u64>,
}

impl Participant {
    /// A node without a past.
    pub fn new(config: Config) -> Participant {
        let mut view = View::default();
        if config.founding {
            view.number = 1;
            view.members = config.configured.clone();
        }
        let settlement = Settlement {
            view,
            committed: Vec::new(),
        };
        Participant {
            settlement: Arc::new(settlement),
            agreement: Agreement::default(),
            voter: Voter::new(config.me, config.rules),
            coordinator: Coordinator::new(config.rules),
            horizon: HorizonSet::default(),
            outbox: Outbox::new(config.rules),
            reachable: config.configured.clone(),
            round_trip_us: None,
            config,
        }
    }

    /// A node after a restart: everything it recorded, in order. What was decided and is in a
    /// record needs no output; the undecided binds are in the horizon, and their timers are set.
    /// O(records).
    pub fn recover<'a>(
        config: Config,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Participant {
        let mut node = Participant::new(config);
        for record in records {
            node.apply(record);
        }
        let undecided = [Standing::Undecided, Standing::Voiding]
            .into_iter()
            .flat_map(|s| node.voter.of_standing(s))
            .cloned()
            .collect::<Vec<_>>();
        for bind in undecided {
            node.set_timer(Timer::Horizon(bind.id()));
            node.horizon.add(bind);
        }
        if node.agreement.is_sealed() {
            node.set_timer(Timer::Propose);
        }
        node
    }

    /// Starts a transaction: the client hears by [`Output::ClientCommitted`] or
    /// [`Output::ClientAborted`]. The bind has observed all of this node's own effects on its keys.
    ///
    /// # Errors
    /// Each [`TxnError`]; nothing was emitted then.
    pub fn begin(&mut self, bind: Bind, writes: &impl OwnWrites) -> Result<(), TxnError> {
        debug_assert_eq!(bind.id().node, self.config.me);
        self.may_decide()?;
        if let Some(by) = bind.parts().iter().find_map(|p| writes.unseen(p)) {
            return Err(TxnError::TxnAborted { by: Some(by) });
        }
        // An effect that is not visible yet, also of a bind that was just committed, is not among
        // what the new bind observed; one of the same stream would seem to be.
        let own = |b: &&Arc<Bind>| b.id().node == self.config.me && b.meets(&bind);
        if self.config.rules.keep(Rule::OwnKeyWaits)
            && let Some(before) = self.horizon.iter().find(own)
        {
            return Err(TxnError::InHorizon { bind: before.id() });
        }
        self.voter.may_emit(&bind)?;

        let bind = Arc::new(bind);
        let id = bind.id();
        self.record(Record::Held(Arc::clone(&bind), Answer::Ack));
        self.horizon.add(Arc::clone(&bind));
        for to in self.others(&self.settlement.view.members) {
            self.send(to, Body::Bind(Arc::clone(&bind)));
        }
        self.set_timer(Timer::Horizon(id));
        // A view of one member has heard all there is to hear.
        self.on_answer(id, self.config.me, &Answer::Ack);
        Ok(())
    }

    /// Whether this node may write to a key outside a transaction now: not where a bind in the
    /// horizon would yield to the write, having been answered already, and not where one of its own
    /// is. O(undecided binds).
    ///
    /// # Errors
    /// [`TxnError::InHorizon`] with the bind to wait for.
    pub fn may_write(&self, db: u32, key: &[u8], kind: &Kind) -> Result<(), TxnError> {
        let bars = |b: &&Arc<Bind>| {
            let own = b.id().node == self.config.me;
            b.part(db, key)
                .is_some_and(|p| own || p.kind.yields_to(kind))
        };
        match self.horizon.iter().find(bars) {
            Some(bind) => Err(TxnError::InHorizon { bind: bind.id() }),
            None => Ok(()),
        }
    }

    /// Takes an input. What is to be done about it is [polled](Participant::poll).
    pub fn handle(&mut self, input: Input, writes: &impl OwnWrites) {
        match input {
            Input::Message(message) => self.on_message(message, writes),
            Input::Durable(token) => self.on_durable(token),
            Input::Timer(Timer::Horizon(bind)) => self.on_horizon(bind),
            Input::Timer(Timer::Propose) => self.propose(),
            Input::Reachable(nodes) => self.on_reachable(nodes),
            Input::RoundTrip(us) => self.round_trip_us = Some(us),
            Input::Stable(binds) => self.voter.forget(&binds),
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.outbox.pop()?;
        if let Output::Visible(bind) | Output::Dropped(bind) = &output {
            self.horizon.make_visible(bind);
        }
        Some(output)
    }

    /// The view in force here.
    pub fn view(&self) -> &View {
        &self.settlement.view
    }

    /// What the view in force began with.
    pub fn settlement(&self) -> &Arc<Settlement> {
        &self.settlement
    }

    /// Whether the view in force is ending: this node promised to take part in the next.
    pub fn is_sealed(&self) -> bool {
        self.agreement.is_sealed()
    }

    /// Where a bind stands; `None` if it is unknown or was forgotten.
    pub fn standing(&self, bind: EffectRef) -> Option<Standing> {
        self.voter.standing(bind)
    }

    /// The undecided binds.
    pub fn horizon(&self) -> &HorizonSet {
        &self.horizon
    }

    /// Whether this node may begin transactions.
    ///
    /// # Errors
    /// [`TxnError::BootstrapIncomplete`], [`TxnError::AuthorityDropped`] or
    /// [`TxnError::RegionPartitioned`].
    pub fn may_decide(&self) -> Result<(), TxnError> {
        let view = self.view();
        if view.number == 0 {
            return Err(TxnError::BootstrapIncomplete);
        }
        if self.is_sealed() {
            return Err(TxnError::AuthorityDropped { view: view.number });
        }
        let configured = &self.config.configured;
        if !view.members.contains(self.config.me) || !self.reachable.is_majority_of(configured) {
            return Err(TxnError::RegionPartitioned {
                reachable: self.reachable.len(),
                configured: configured.len(),
            });
        }
        Ok(())
    }

    fn on_durable(&mut self, token: Token) {
        self.outbox.on_durable(token);
    }

    fn on_message(&mut self, message: Message, writes: &impl OwnWrites) {
        let Message { from, view, body } = message;
        if !self.config.configured.contains(from) || from == self.config.me {
            return;
        }
        let number = self.view().number;
        if view < number {
            return self.send(from, Body::Chosen(Arc::clone(&self.settlement)));
        }
        if view > number {
            let base = match &body {
                Body::Chosen(base) | Body::Prepare(_, base) if base.view.number == view => base,
                _ => return self.send(from, Body::Behind),
            };
            if self.config.rules.keep(Rule::LearnBeforeAnswering) {
                self.install(Arc::clone(base));
            } else {
                self.adopt_unlearned(Arc::clone(base));
            }
        }
        match body {
            Body::Prepare(round, _) => self.on_prepare(from, round),
            Body::Promise(round, promise) => self.on_promise(from, round, promise),
            Body::Accept(round, settlement) => self.on_accept(from, round, settlement),
            Body::Accepted(round) => self.on_accepted(from, round),
            Body::Chosen(_) | Body::Behind => {}
            body => {
                let members = &self.view().members;
                let may_answer =
                    !self.is_sealed() || !self.config.rules.keep(Rule::SealBeforeReport);
                if may_answer && members.contains(self.config.me) && members.contains(from) {
                    self.on_transaction(from, body, writes);
                }
            }
        }
    }

    /// What the members of one view say to each other about transactions.
    fn on_transaction(&mut self, from: NodeId, body: Body, writes: &impl OwnWrites) {
        match body {
            Body::Bind(bind) if bind.id().node == from => self.on_bind(bind, writes),
            Body::Answer(id, answer) => self.on_answer(id, from, &answer),
            Body::Commit(bind) if bind.id().node == from => self.on_commit(bind),
            Body::Void(bind) if bind.id().node == from => self.on_void(bind),
            Body::VoidDurable(id) => self.on_void_durable(id, from),
            Body::Voided(id) if id.node == from => self.finish_void_of_another(id),
            Body::Ask(id) => self.on_ask(id, from),
            _ => {}
        }
    }

    fn on_bind(&mut self, bind: Arc<Bind>, writes: &impl OwnWrites) {
        let (id, originator) = (bind.id(), bind.id().node);
        if self.voter.standing(id).is_none() {
            self.commit_what_was_consumed(&bind);
            let answer = self.voter.judge(&bind, writes);
            self.record(Record::Held(Arc::clone(&bind), answer));
            self.horizon.add(Arc::clone(&bind));
            self.set_timer(Timer::Horizon(id));
            if !self.config.rules.keep(Rule::DecidedBeforeVisible) {
                self.outbox.push(Output::Visible(bind));
            }
        }
        // The same answer for ever, so that an originator that restarts decides the same.
        if let Some(answer) = self.voter.answer(id).cloned() {
            self.send(originator, Body::Answer(id, answer));
        }
    }

    /// Whoever emits a bind has seen the tips that it consumes, so those are committed, also where
    /// their own decision has not arrived yet. Else this bind could be visible before what it
    /// stands on, and "observed" would name what was not.
    fn commit_what_was_consumed(&mut self, bind: &Bind) {
        if !self.config.rules.keep(Rule::ConsumedIsCommitted) {
            return;
        }
        let consumed: Vec<_> = (self.voter.of_standing(Standing::Undecided))
            .filter(|held| bind.consumes(held))
            .cloned()
            .collect();
        for below in consumed {
            self.on_commit(below);
        }
    }

    fn on_answer(&mut self, id: EffectRef, from: NodeId, answer: &Answer) {
        let members = &self.settlement.view.members;
        let verdict = self.coordinator.on_answer(id, from, answer, members);
        let Some(bind) = self.voter.bind(id).cloned() else {
            return;
        };
        match verdict {
            Verdict::Open => {}
            Verdict::Commit => {
                // The answers are durable, and with them the commit: the others may hear before it
                // is recorded here. What this node shows must be recorded first, or a crash would
                // hide again what a client has seen.
                for to in self.others(members) {
                    self.send(to, Body::Commit(Arc::clone(&bind)));
                }
                self.record(Record::Committed(Arc::clone(&bind)));
                self.outbox.push(Output::Visible(bind));
                self.outbox.push(Output::ClientCommitted(id));
            }
            Verdict::Void(by) => {
                self.record(Record::Voided(Arc::clone(&bind)));
                self.coordinator.void(id, Some(by));
                for to in self.others(&self.settlement.view.members) {
                    self.send(to, Body::Void(Arc::clone(&bind)));
                }
                // Whoever hears of it hears after this node's own record is durable.
                self.on_void_durable(id, self.config.me);
            }
        }
    }

    fn on_commit(&mut self, bind: Arc<Bind>) {
        let standing = self.voter.standing(bind.id());
        if !matches!(standing, Some(Standing::Committed | Standing::Voided)) {
            self.record(Record::Committed(Arc::clone(&bind)));
            self.outbox.push(Output::Visible(bind));
        }
    }

    fn on_void(&mut self, bind: Arc<Bind>) {
        let (id, originator) = (bind.id(), bind.id().node);
        if matches!(self.voter.standing(id), None | Some(Standing::Undecided)) {
            self.record(Record::Voided(Arc::clone(&bind)));
            if self.voter.standing(id) == Some(Standing::Voided) {
                self.outbox.push(Output::Dropped(bind));
            }
        }
        self.send(originator, Body::VoidDurable(id));
    }

    fn on_void_durable(&mut self, id: EffectRef, from: NodeId) {
        let configured = &self.config.configured;
        let Some(bind) = self.voter.bind(id).cloned() else {
            return;
        };
        if let Some(by) = self.coordinator.on_void_durable(id, from, configured) {
            self.voter.decide(&bind, Standing::Voided);
            self.outbox.push(Output::Dropped(bind));
            let error = TxnError::TxnAborted { by };
            self.outbox.push(Output::ClientAborted(id, error));
            if !self.two_are_a_majority() {
                for to in self.others(&self.settlement.view.members) {
                    self.send(to, Body::Voided(id));
                }
            }
        } else if self.voter.standing(id) == Some(Standing::Voided) && !self.two_are_a_majority() {
            self.send(from, Body::Voided(id));
        }
    }

    /// The originator says that the void is for good. Where the void itself was never heard of,
    /// it is asked for.
    fn finish_void_of_another(&mut self, id: EffectRef) {
        match (self.voter.standing(id), self.voter.bind(id).cloned()) {
            (Some(Standing::Voiding), Some(bind)) => {
                self.voter.decide(&bind, Standing::Voided);
                self.outbox.push(Output::Dropped(bind));
            }
            (Some(Standing::Undecided), _) => self.send(id.node, Body::Ask(id)),
            _ => {}
        }
    }

    fn on_ask(&mut self, id: EffectRef, from: NodeId) {
        if id.node != self.config.me {
            return;
        }
        if let Some(bind) = self.voter.bind(id).cloned() {
            match self.voter.standing(id) {
                Some(Standing::Committed) => self.send(from, Body::Commit(bind)),
                Some(Standing::Voiding | Standing::Voided) => self.send(from, Body::Void(bind)),
                Some(Standing::Undecided) | None => {}
            }
        }
    }

    /// A bind was undecided for long: ask again, whoever has yet to say something.
    fn on_horizon(&mut self, id: EffectRef) {
        let Some(bind) = self.voter.bind(id).cloned() else {
            return;
        };
        let standing = self.voter.standing(id);
        let open = matches!(standing, Some(Standing::Undecided | Standing::Voiding));
        if !open || self.is_sealed() {
            return;
        }
        if id.node != self.config.me {
            self.send(id.node, Body::Ask(id));
        } else {
            let unheard = self.coordinator.unheard(id, &self.view().members);
            for to in self.others(&unheard) {
                let body = match standing {
                    Some(Standing::Voiding) => Body::Void(Arc::clone(&bind)),
                    _ => Body::Bind(Arc::clone(&bind)),
                };
                self.send(to, body);
            }
        }
        self.set_timer(Timer::Horizon(id));
    }

    fn on_reachable(&mut self, nodes: Members) {
        self.reachable = nodes.intersect(&self.config.configured);
        self.reachable.insert(self.config.me);
        if self.wants_view() {
            // The lowest proposes at once and the others only if it does not get there: rounds that
            // overtake each other cost time and decide nothing.
            if self.reachable.iter().next() == Some(self.config.me) {
                self.propose();
            } else {
                self.set_timer(Timer::Propose);
            }
        }
    }

    /// Whether the next view should have other members, or is owed because this one was sealed, and
    /// whether there is a majority for it.
    fn wants_view(&self) -> bool {
        self.view().number > 0
            && self.reachable.is_majority_of(&self.config.configured)
            && (self.reachable != self.view().members || self.is_sealed())
    }

    fn propose(&mut self) {
        if !self.wants_view() {
            return;
        }
        let round = self.agreement.next_round(self.config.me);
        self.record(Record::Promised(round));
        self.agreement.lead(self.reachable.clone());
        for to in self.others(&self.reachable) {
            self.send(to, Body::Prepare(round, Arc::clone(&self.settlement)));
        }
        self.set_timer(Timer::Propose);
        self.on_promise(self.config.me, round, self.promise());
    }

    fn on_prepare(&mut self, from: NodeId, round: Round) {
        if self.view().number == 0 || !self.agreement.may_follow(round) {
            return;
        }
        // A doubled request needs no second record.
        if !self.agreement.has_promised(round) {
            self.record(Record::Promised(round));
        }
        // Whoever proposed may die of it; the view is sealed, so somebody must go on.
        self.set_timer(Timer::Propose);
        self.send(from, Body::Promise(round, self.promise()));
    }

    /// What this node tells a proposer. It is sealed: the answer stays true.
    fn promise(&self) -> Promise {
        let survivor = self.view().members.contains(self.config.me);
        Promise {
            accepted: self.agreement.accepted().cloned(),
            report: survivor.then(|| Arc::new(self.voter.report())),
        }
    }

    fn on_promise(&mut self, from: NodeId, round: Round, promise: Promise) {
        let old = &self.settlement.view;
        let rules = self.config.rules;
        if let Some((settlement, target)) =
            self.agreement.on_promise(from, round, promise, old, rules)
        {
            self.record(Record::Accepted(round, Arc::clone(&settlement)));
            for to in self.others(&target) {
                self.send(to, Body::Accept(round, Arc::clone(&settlement)));
            }
            self.on_accepted(self.config.me, round);
        }
    }

    fn on_accept(&mut self, from: NodeId, round: Round, settlement: Arc<Settlement>) {
        if settlement.view.number != self.view().number + 1 || !self.agreement.may_follow(round) {
            return;
        }
        if self.agreement.accepted().is_none_or(|(r, _)| *r != round) {
            self.record(Record::Accepted(round, settlement));
        }
        self.send(from, Body::Accepted(round));
    }

    fn on_accepted(&mut self, from: NodeId, round: Round) {
        let configured = &self.config.configured;
        if let Some(settlement) = self.agreement.on_accepted(from, round, configured) {
            self.install(Arc::clone(&settlement));
            for to in self.others(&self.config.configured) {
                self.send(to, Body::Chosen(Arc::clone(&settlement)));
            }
        }
    }

    /// Takes up a newer view and everything that it decided.
    fn install(&mut self, settlement: Arc<Settlement>) {
        debug_assert!(settlement.view.number > self.view().number);
        let open: Vec<_> = [Standing::Undecided, Standing::Voiding]
            .into_iter()
            .flat_map(|s| self.voter.of_standing(s))
            .cloned()
            .collect();
        let is_committed = |voter: &Voter, b: &Bind| {
            let standing = voter.standing(b.id());
            standing == Some(Standing::Committed)
        };
        let mut shown: Vec<_> = (settlement.committed.iter())
            .filter(|b| !is_committed(&self.voter, b))
            .cloned()
            .collect();
        self.record(Record::Installed(Arc::clone(&settlement)));

        // Stamps rise along causality: what was consumed is shown first.
        shown.sort_unstable_by_key(|b| b.claim().rank_by_stamp());
        for bind in shown.into_iter().filter(|b| is_committed(&self.voter, b)) {
            self.outbox.push(Output::Visible(bind));
        }
        for bind in open {
            let id = bind.id();
            let own = id.node == self.config.me;
            if is_committed(&self.voter, &bind) {
                if own {
                    self.outbox.push(Output::ClientCommitted(id));
                }
            } else {
                self.outbox.push(Output::Dropped(bind));
                if own {
                    let error = TxnError::TxnAborted { by: None };
                    self.outbox.push(Output::ClientAborted(id, error));
                }
            }
        }
        let view = settlement.view.clone();
        self.outbox.push(Output::Installed(view));
        // The members may have changed again while this view was agreed on.
        if self.wants_view() {
            self.set_timer(Timer::Propose);
        }
    }

    /// What [`Rule::LearnBeforeAnswering`] forbids.
    fn adopt_unlearned(&mut self, settlement: Arc<Settlement>) {
        self.agreement = Agreement::default();
        self.settlement = settlement;
    }

    /// Makes a change that a crash must not undo: what follows leaves after it is durable.
    fn record(&mut self, record: Record) {
        self.apply(&record);
        self.outbox.persist(record);
    }

    /// The change that a record stands for, when it is made and when it is read back.
    fn apply(&mut self, record: &Record) {
        match record {
            Record::Held(bind, answer) => {
                self.voter.hold(Arc::clone(bind), answer.clone());
                if bind.id().node == self.config.me {
                    self.coordinator.ask(bind.claim(), self.config.me);
                }
            }
            Record::Committed(bind) => {
                self.voter.decide(bind, Standing::Committed);
                self.coordinator.close(bind.id());
            }
            Record::Voided(bind) => {
                let own = bind.id().node == self.config.me;
                // The originator held the void before it spoke of it.
                let standing = if !own && self.two_are_a_majority() {
                    Standing::Voided
                } else {
                    Standing::Voiding
                };
                self.voter.decide(bind, standing);
                if own {
                    self.coordinator.void(bind.id(), None);
                }
            }
            Record::Promised(round) => self.agreement.promise(*round),
            Record::Accepted(round, settlement) => {
                self.agreement.accept(*round, Arc::clone(settlement));
            }
            Record::Installed(settlement) => {
                self.settlement = Arc::clone(settlement);
                self.agreement = Agreement::default();
                self.coordinator.close_all();
                self.voter.settle(settlement);
            }
        }
    }

    /// Whether any two of the configured members are a majority of them.
    fn two_are_a_majority(&self) -> bool {
        self.config.configured.len() < 4
    }

    fn others(&self, nodes: &Members) -> Vec<NodeId> {
        nodes.iter().filter(|&n| n != self.config.me).collect()
    }

    fn send(&mut self, to: NodeId, body: Body) {
        let message = Message {
            from: self.config.me,
            view: self.view().number,
            body,
        };
        self.outbox.push(Output::Send(to, message));
    }

    fn set_timer(&mut self, timer: Timer) {
        let after = horizon_us(self.round_trip_us);
        self.outbox.push_now(Output::SetTimer(timer, after));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::hlc::Hlc;
    use crate::id::Offset;
    use crate::tip::TipSet;
    use crate::transaction::bind::{Observed, Part};
    use crate::transaction::horizon::HORIZON_US_MIN;

    struct NoWrites;
    impl OwnWrites for NoWrites {
        fn unseen(&self, _: &Part) -> Option<EffectRef> {
            None
        }
    }

    /// A region with disks that are durable at once.
    struct Region {
        nodes: Vec<Participant>,
        /// Messages on their way: receiver and message.
        wire: VecDeque<(NodeId, Message)>,
        /// What else the nodes asked for.
        done: Vec<(NodeId, Output)>,
    }

    impl Region {
        fn of(count: u64) -> Region {
            let ids = 1..=count;
            let node = |n| Participant::new(Config::founding(NodeId(n), ids.clone().map(NodeId)));
            Region {
                nodes: ids.clone().map(node).collect(),
                wire: VecDeque::new(),
                done: Vec::new(),
            }
        }

        fn at(&mut self, node: u64) -> &mut Participant {
            &mut self.nodes[node as usize - 1]
        }

        fn collect(&mut self, node: u64) {
            while let Some(output) = self.at(node).poll() {
                match output {
                    Output::Persist(token, _) => {
                        self.at(node).handle(Input::Durable(token), &NoWrites);
                    }
                    Output::Send(to, message) => self.wire.push_back((to, message)),
                    other => self.done.push((NodeId(node), other)),
                }
            }
        }

        fn handle(&mut self, node: u64, input: Input) {
            self.at(node).handle(input, &NoWrites);
            self.collect(node);
        }

        /// Delivers among `nodes` until nothing is on its way; what goes elsewhere is lost.
        fn run_among(&mut self, nodes: &[u64]) {
            while let Some((to, message)) = self.wire.pop_front() {
                if nodes.contains(&to.0) && nodes.contains(&message.from.0) {
                    self.handle(to.0, Input::Message(message));
                }
            }
        }

        fn begin(&mut self, node: u64) -> Result<EffectRef, TxnError> {
            let at = |counter| EffectRef {
                node: NodeId(node),
                offset: Offset::new(0, counter),
            };
            let part = Part {
                db: 0,
                key: Box::from(&b"x"[..]),
                kind: Kind::Overwrite,
                consumed: TipSet::default(),
                observed: Observed::default(),
                tip: at(1),
            };
            let bind = Bind::new(at(2), Hlc(1), vec![part]);
            let begun = self.at(node).begin(bind, &NoWrites);
            self.collect(node);
            begun.map(|()| at(2))
        }

        fn reach(&mut self, node: u64, nodes: &[u64]) {
            let nodes = nodes.iter().map(|&n| NodeId(n)).collect();
            self.handle(node, Input::Reachable(nodes));
        }

        fn standing(&mut self, node: u64, bind: EffectRef) -> Option<Standing> {
            self.at(node).standing(bind)
        }
    }

    #[test]
    fn a_transaction_alone_commits_everywhere_in_one_round_trip() {
        let mut region = Region::of(3);
        let id = region.begin(1).unwrap();
        let kind = Kind::Overwrite;
        let barred = region.at(1).may_write(0, b"x", &kind);
        assert_eq!(barred, Err(TxnError::InHorizon { bind: id }));
        region.run_among(&[1, 2, 3]);
        for node in 1..=3 {
            assert_eq!(region.standing(node, id), Some(Standing::Committed));
            assert!(region.at(node).horizon().is_empty());
            assert_eq!(region.at(node).may_write(0, b"x", &kind), Ok(()));
        }
        let told = (NodeId(1), Output::ClientCommitted(id));
        assert!(region.done.contains(&told));
    }

    #[test]
    fn lost_messages_are_sent_again_when_the_horizon_timer_fires() {
        let mut region = Region::of(3);
        region.handle(1, Input::RoundTrip(10));
        let id = region.begin(1).unwrap();
        let timer = Timer::Horizon(id);
        let set = (NodeId(1), Output::SetTimer(timer, HORIZON_US_MIN));
        assert!(region.done.contains(&set));
        region.run_among(&[1, 2]);
        assert_eq!(region.standing(3, id), None);

        region.handle(1, Input::Timer(timer));
        let to: Vec<_> = region.wire.iter().map(|(to, _)| to.0).collect();
        assert_eq!(to, [3], "only who has not answered is asked again");
        let (to, bind) = region.wire.pop_front().unwrap();
        region.handle(to.0, Input::Message(bind));
        let (to, answer) = region.wire.pop_front().unwrap();
        region.handle(to.0, Input::Message(answer));
        region.wire.clear();
        assert_eq!(region.standing(1, id), Some(Standing::Committed));
        region.handle(3, Input::Timer(timer));
        region.run_among(&[1, 2, 3]);
        assert_eq!(region.standing(3, id), Some(Standing::Committed));
    }

    #[test]
    fn a_minority_refuses_and_a_majority_goes_on_and_takes_it_in_again() {
        let mut region = Region::of(3);
        region.reach(1, &[1]);
        region.reach(2, &[2, 3]);
        let refused = region.begin(1).unwrap_err();
        assert!(matches!(
            refused,
            TxnError::RegionPartitioned {
                reachable: 1,
                configured: 3
            }
        ));
        region.run_among(&[2, 3]);
        let id = region.begin(2).unwrap();
        region.run_among(&[2, 3]);
        assert_eq!(region.standing(3, id), Some(Standing::Committed));

        region.reach(1, &[1, 2, 3]);
        region.reach(2, &[1, 2, 3]);
        region.run_among(&[1, 2, 3]);
        region.handle(2, Input::Timer(Timer::Propose));
        region.run_among(&[1, 2, 3]);
        let view = region.at(2).view().clone();
        assert_eq!(region.at(1).view(), &view);
        assert_eq!(region.at(1).view().members.len(), 3);
        assert_eq!(region.standing(1, id), Some(Standing::Committed));
        assert!(matches!(
            region.begin(1),
            Err(TxnError::TxnAborted { by: Some(_) })
        ));
    }

    #[test]
    fn a_void_that_is_lost_with_its_holders_may_come_to_nothing() {
        let mut region = Region::of(5);
        let id = region.begin(5).unwrap();
        let bind = region.at(5).voter.bind(id).cloned().unwrap();
        for node in 1..=4 {
            let message = Message {
                from: NodeId(5),
                view: 1,
                body: Body::Bind(Arc::clone(&bind)),
            };
            region.handle(node, Input::Message(message));
        }
        region.wire.clear();
        // Nodes 5 and 4 hold the void; 1, 2 and 3 go on and never heard of it.
        let void = Message {
            from: NodeId(5),
            view: 1,
            body: Body::Void(bind),
        };
        region.handle(4, Input::Message(void));
        assert_eq!(region.standing(4, id), Some(Standing::Voiding));
        region.reach(1, &[1, 2, 3]);
        region.run_among(&[1, 2, 3]);
        assert_eq!(region.standing(1, id), Some(Standing::Committed));

        let begun = Arc::clone(region.at(1).settlement());
        let chosen = Message {
            from: NodeId(1),
            view: 2,
            body: Body::Chosen(begun),
        };
        region.handle(4, Input::Message(chosen));
        assert_eq!(region.standing(4, id), Some(Standing::Committed));
    }

    #[test]
    fn a_node_that_joins_decides_nothing_before_it_is_taken_in() {
        let mut region = Region::of(3);
        region.nodes[0].config.founding = false;
        let config = region.nodes[0].config.clone();
        region.nodes[0] = Participant::new(config);
        assert_eq!(region.begin(1), Err(TxnError::BootstrapIncomplete));
        region.reach(2, &[2, 3]);
        region.run_among(&[1, 2, 3]);
        assert!(matches!(
            region.begin(1),
            Err(TxnError::RegionPartitioned { .. })
        ));
        region.reach(2, &[1, 2, 3]);
        region.handle(2, Input::Timer(Timer::Propose));
        region.run_among(&[1, 2, 3]);
        let id = region.begin(1).unwrap();
        region.run_among(&[1, 2, 3]);
        assert_eq!(region.standing(2, id), Some(Standing::Committed));
    }

    #[test]
    fn a_restart_goes_on_where_the_records_end() {
        let mut node = Participant::new(Config::founding(NodeId(1), [1, 2, 3].map(NodeId)));
        let config = node.config.clone();
        let mut other = Region::of(3);
        let id = other.begin(2).unwrap();
        let (_, message) = other.wire.pop_front().unwrap();
        node.handle(Input::Message(message.clone()), &NoWrites);
        let mut records = Vec::new();
        while let Some(output) = node.poll() {
            assert!(!matches!(output, Output::Send(..)), "not durable yet");
            if let Output::Persist(_, record) = output {
                records.push(record);
            }
        }
        let mut again = Participant::recover(config, &records);
        assert!(again.horizon().is_invisible(id));
        again.handle(Input::Message(message), &NoWrites);
        let answer = |o: Output| matches!(o, Output::Send(NodeId(2), m) if m.body == Body::Answer(id, Answer::Ack));
        assert!(std::iter::from_fn(|| again.poll()).any(answer));
    }
}
