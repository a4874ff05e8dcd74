//! A node that replicates the effects of single-key commands, without a leader.
//!
//! It writes locally, makes the effect durable, then sends it to everyone; what is lost is made up
//! for by anti-entropy. Others' effects are applied in causal order ([`Delivery`]). It has no
//! transactions, no views and no subscriptions.
//!
//! Rules that it keeps, each of which the simulator has caught somebody breaking:
//! - An effect leaves the node only when it is durable here. Otherwise a crash would give its
//!   counter to another effect, and the two would be taken for one.
//! - A reply leaves only when all that it shows is durable here, reads included. Otherwise a crash
//!   takes back what a client has seen. A read that shows only what is durable leaves at once, so a
//!   full disk does not stop it; it then claims to have been shown no more than that.
//! - A record says what its author had applied of *all* streams ([`Record::context`]), not only of
//!   the key's. Otherwise a session's write to one key overtakes what it had read of another.
//! - A stamp beyond the drift bound is refused, and comes again with anti-entropy.

use std::collections::BTreeMap;
use std::rc::Rc;

use causet_core::delivery::{Arrival, Delivery, DeliveryLimits};
use causet_core::effect::{Data, Effect, Payload, Scalar, Stamped, TypeTag};
use causet_core::hlc::HlcClock;
use causet_core::id::{NodeId, Slot};
use causet_core::tip::Tip;
use causet_core::vector::{Run, StreamId, VersionVector};
use causet_core::wire::marshal_effect;

use crate::MS;
use crate::command::{Answer, Command, Done, Key, Refusal, Reply, Request};
use crate::disk::{DiskError, WriteId};
use crate::journal::Journal;
use crate::model::{Model, Resolver};
use crate::node::{Boot, Node, Now, Outputs, RequestId, Timer};
use crate::record::{Record, read_log};

/// Remote stamps further ahead than this are refused.
pub const DRIFT_BOUND_MS: u64 = 500;
/// Records in one message.
const RECORDS_MAX: usize = 64;
/// Records of one stream that answer one vector.
const ANSWER_MAX: u64 = 256;
/// Runs in one request for what is missing.
const RUNS_MAX: usize = 16;
/// Requests for what is missing are at least so far apart.
const FETCH_EVERY_NS: u64 = 5 * MS;

const EXCHANGE: Timer = Timer(1);
const RETRY: Timer = Timer(2);

/// How a replica is set up.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
    /// Streams of each node: keys are spread over them as over shards.
    pub streams: u16,
    /// What it holds back at most. Small, so that the bounds are met in every run.
    pub limits: DeliveryLimits,
    /// Time between two exchanges of vectors.
    pub exchange_ns: u64,
}

impl Default for ReplicaOptions {
    /// Two streams, 32 effects held back, an exchange each 60 ms.
    fn default() -> Self {
        ReplicaOptions {
            streams: 2,
            limits: DeliveryLimits {
                effects_max: 32,
                bytes_max: 16 << 10,
            },
            exchange_ns: 60 * MS,
        }
    }
}

/// What replicas send each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// Effects, in the order of each stream.
    Effects(Vec<Rc<Record>>),
    /// What the sender has applied: send what it lacks, and, if it asks, say what you have.
    Have {
        /// What was applied.
        applied: VersionVector,
        /// Whether the same is wanted back.
        asks: bool,
    },
    /// Send these.
    Fetch(Vec<Run>),
}

/// What a replica refused to take from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Records with a stamp beyond the drift bound.
    pub drift: u64,
    /// Records whose bytes are no effect.
    pub malformed: u64,
}

/// The node. See the module's head.
#[derive(Debug)]
pub struct Replica<R = Model> {
    me: usize,
    nodes: Vec<NodeId>,
    options: ReplicaOptions,
    clock: HlcClock,
    delivery: Delivery,
    state: R,
    records: BTreeMap<(StreamId, u64), Rc<Record>>,
    journal: Journal,
    durable: VersionVector,
    /// For each own stream, what the contexts of its records add up to.
    said: BTreeMap<StreamId, VersionVector>,
    /// Replies that wait, by how many records of the log must be durable before they leave.
    replies: BTreeMap<(u64, RequestId), Reply>,
    next_peer: usize,
    fetched_at_ns: u64,
    refused: Refused,
}

impl<R: Resolver> Replica<R> {
    /// What was applied.
    pub fn applied(&self) -> &VersionVector {
        self.delivery.vector()
    }

    /// What was refused.
    pub fn refused(&self) -> Refused {
        self.refused
    }

    fn is_own(&self, stream: StreamId) -> bool {
        stream.node == self.nodes[self.me]
    }

    fn peers(&self) -> impl Iterator<Item = usize> + use<R> {
        let me = self.me;
        (0..self.nodes.len()).filter(move |&node| node != me)
    }

    /// Applies a record that the delivery has let through.
    fn apply(&mut self, record: Rc<Record>) {
        let mut deps = Vec::new();
        let stamped = record.stamped(&mut deps).expect("it was read before");
        self.state.apply(record.at, &stamped);
        let stream = StreamId::of(record.at);
        self.records
            .insert((stream, record.at.offset.counter()), Rc::clone(&record));
        self.journal.append(record);
    }

    /// Writes an effect of this node: stamped, recorded, applied, appended to the log.
    fn write(&mut self, now: Now, key: Key, data: Data<'_>) -> Tip {
        let name = key.name();
        let stream = StreamId {
            node: self.nodes[self.me],
            number: Slot::of_key(&name).shard(self.options.streams),
        };
        let applied = self.delivery.vector();
        let at = stream.at(applied.get(stream) + 1);
        let is_local = |tip: &&Tip| StreamId::of(**tip) == stream;
        let tips = self.state.tips(key);
        // On one key the effects of one stream follow each other, so one tip at most is local.
        let local = tips.iter().find(is_local);
        let deps: Vec<Tip> = tips.iter().filter(|tip| !is_local(tip)).copied().collect();
        let said = self.said.entry(stream).or_default();
        let news = said.missing(applied).filter(|run| run.stream != stream);
        let context = news.map(|run| run.stream.at(run.last)).collect();
        said.merge(applied);

        let stamped = Stamped {
            hlc: self.clock.tick(now.unix_ns),
            local_dep: local.map_or(0, |tip| tip.offset.counter()),
            deps: &deps,
            effect: Effect {
                db: 0,
                key: &name,
                payload: Payload::Data(data),
            },
        };
        let mut effect = Vec::new();
        marshal_effect(at.offset.counter(), &stamped, &mut effect);
        self.delivery.record(at);
        self.apply(Rc::new(Record {
            at,
            context,
            effect,
        }));
        at
    }

    fn on_effects(&mut self, now: Now, from: usize, records: &[Rc<Record>], out: &mut Out) {
        for record in records {
            self.on_record(now, record);
            while let Some(released) = self.delivery.release() {
                let record = Record::decode(&released.bytes).expect("it was encoded here");
                self.apply(Rc::new(record));
            }
        }
        self.journal.flush(out);
        if self.delivery.held() > 0 && now.elapsed_ns >= self.fetched_at_ns + FETCH_EVERY_NS {
            self.fetched_at_ns = now.elapsed_ns;
            out.send(from, Message::Fetch(self.delivery.wanted(RUNS_MAX)));
        }
    }

    fn on_record(&mut self, now: Now, record: &Rc<Record>) {
        if self.delivery.vector().holds(record.at) {
            return;
        }
        let mut deps = Vec::new();
        let (hlc, requires) = match (record.stamped(&mut deps), record.requires()) {
            (Ok(stamped), Ok(requires)) => (stamped.hlc, requires),
            _ => {
                self.refused.malformed += 1;
                return;
            }
        };
        if self.clock.observe(hlc, now.unix_ns).is_err() {
            self.refused.drift += 1;
            return;
        }
        let bytes = record.encode();
        if self.delivery.offer(record.at, &requires, &bytes) == Arrival::Deliver {
            self.apply(Rc::clone(record));
        }
    }

    /// Sends those records of the runs that may leave, in the order of each stream.
    fn send_runs(&self, to: usize, runs: impl Iterator<Item = Run>, out: &mut Out) {
        let mut records = Vec::new();
        for run in runs {
            let last = run.last.min(self.durable.get(run.stream));
            let last = last.min(run.first.saturating_add(ANSWER_MAX - 1));
            if run.first <= last {
                let range = (run.stream, run.first)..=(run.stream, last);
                records.extend(self.records.range(range).map(|(_, it)| Rc::clone(it)));
            }
        }
        for chunk in records.chunks(RECORDS_MAX) {
            out.send(to, Message::Effects(chunk.to_vec()));
        }
    }

    fn have(&self, asks: bool) -> Message {
        Message::Have {
            applied: self.delivery.vector().clone(),
            asks,
        }
    }

    fn execute(&mut self, now: Now, command: &Command) -> Result<Done, Refusal> {
        if !command.is_read() && self.journal.is_failing() {
            return Err(Refusal::ReadOnly);
        }
        let wrote = match command {
            Command::Read(_) => return Ok(self.peek(command)),
            Command::Write(key, value) => {
                self.write(now, *key, Data::set(value.to_string().as_bytes(), None))
            }
            Command::Add(key, delta) => self.write(now, *key, Data::add_int(*delta)),
            Command::Insert(key, member) => {
                let element = member.to_be_bytes();
                let data = Data::insert_element(TypeTag::Set, &element, Scalar::None);
                self.write(now, *key, data)
            }
            Command::Remove(key, member) => {
                let element = member.to_be_bytes();
                self.write(now, *key, Data::remove_element(TypeTag::Set, &element))
            }
            Command::Push(..) | Command::Pop(..) | Command::Transaction(_) => {
                return Err(Refusal::Unsupported);
            }
        };
        Ok(Done {
            answer: Answer::Ok,
            read: Vec::new(),
            wrote: vec![wrote],
            held: self.delivery.vector().clone(),
        })
    }

    /// A read's answer, if all of it is durable, and all that the session had seen before.
    fn durable_read(&self, request: &Request) -> Option<Done> {
        let is_plain = matches!(request.command, Command::Read(_));
        if !is_plain || !self.durable.dominates(&request.past) {
            return None;
        }
        let done = self.peek(&request.command);
        let is_durable = done.read.iter().all(|&tip| self.durable.holds(tip));
        is_durable.then(|| Done {
            held: self.durable.clone(),
            ..done
        })
    }

    fn release_replies(&mut self, out: &mut Out) {
        let durable = self.journal.durable();
        while let Some(first) = self.replies.first_entry()
            && first.key().0 <= durable
        {
            let ((_, id), reply) = first.remove_entry();
            out.reply(id, reply);
        }
    }
}

type Out = Outputs<Message>;

impl<R: Resolver> Node for Replica<R> {
    type Message = Message;
    type Options = ReplicaOptions;

    fn start(boot: Boot<'_, ReplicaOptions>, out: &mut Out) -> Self {
        let (records, len) = read_log(boot.log);
        if len < boot.log.len() {
            out.cut(len);
        }
        let mut replica = Replica {
            me: boot.me,
            nodes: boot.nodes.to_vec(),
            options: boot.options.clone(),
            clock: HlcClock::new(DRIFT_BOUND_MS),
            delivery: Delivery::new(VersionVector::new(), boot.options.limits),
            state: R::default(),
            records: BTreeMap::new(),
            journal: Journal::new(records.len() as u64, RETRY),
            durable: VersionVector::new(),
            said: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_peer: 0,
            fetched_at_ns: 0,
            refused: Refused::default(),
        };
        for record in records {
            let mut deps = Vec::new();
            let stamped = record.stamped(&mut deps).expect("the log has its checksum");
            replica.clock.recover(stamped.hlc);
            replica.delivery.record(record.at);
            replica.state.apply(record.at, &stamped);
            let stream = StreamId::of(record.at);
            let counter = record.at.offset.counter();
            replica.records.insert((stream, counter), Rc::new(record));
        }
        replica.durable = replica.delivery.vector().clone();
        // Not all at the same moment, or every exchange would be a burst.
        let first_ns = boot.seed % replica.options.exchange_ns;
        out.wake(first_ns, EXCHANGE);
        replica
    }

    fn on_message(&mut self, now: Now, from: usize, message: Message, out: &mut Out) {
        match message {
            Message::Effects(records) => self.on_effects(now, from, &records, out),
            Message::Have { applied, asks } => {
                self.send_runs(from, applied.missing(&self.durable), out);
                if asks && self.delivery.vector().missing(&applied).next().is_some() {
                    out.send(from, self.have(false));
                }
            }
            Message::Fetch(runs) => {
                self.send_runs(from, runs.into_iter().take(RUNS_MAX), out);
            }
        }
    }

    fn on_timer(&mut self, _now: Now, timer: Timer, out: &mut Out) {
        if timer == RETRY {
            self.journal.on_retry(out);
            return;
        }
        let peers: Vec<usize> = self.peers().collect();
        if !peers.is_empty() {
            out.send(peers[self.next_peer % peers.len()], self.have(true));
            self.next_peer += 1;
        }
        out.wake(self.options.exchange_ns, EXCHANGE);
    }

    fn on_durable(
        &mut self,
        _now: Now,
        write: WriteId,
        result: Result<(), DiskError>,
        out: &mut Out,
    ) {
        let durable = self.journal.on_durable(write, result, out);
        let mut own = Vec::new();
        for record in durable {
            let stream = StreamId::of(record.at);
            self.durable.raise(stream, record.at.offset.counter());
            if self.is_own(stream) {
                own.push(record);
            }
        }
        for chunk in own.chunks(RECORDS_MAX) {
            for peer in self.peers() {
                out.send(peer, Message::Effects(chunk.to_vec()));
            }
        }
        self.release_replies(out);
    }

    fn on_client(&mut self, now: Now, id: RequestId, request: &Request, out: &mut Out) {
        if !self.delivery.vector().dominates(&request.past) {
            return out.reply(id, Reply::Refused(Refusal::Behind));
        }
        if let Some(done) = self.durable_read(request) {
            return out.reply(id, Reply::Done(done));
        }
        match self.execute(now, &request.command) {
            Ok(done) => {
                let needs = self.journal.appended();
                self.replies.insert((needs, id), Reply::Done(done));
            }
            Err(refusal) => out.reply(id, Reply::Refused(refusal)),
        }
        self.journal.flush(out);
        self.release_replies(out);
    }

    fn digest(&self) -> u64 {
        let mut hasher = crate::trace::Fingerprint::default();
        std::hash::Hash::hash(self.delivery.vector(), &mut hasher);
        std::hash::Hash::hash(&self.state.digest(), &mut hasher);
        std::hash::Hasher::finish(&hasher)
    }

    fn peek(&self, command: &Command) -> Done {
        let key = match command {
            Command::Read(key) => *key,
            other => unreachable!("{other:?} is no plain read"),
        };
        Done {
            answer: self.state.read(key),
            read: self.state.tips(key).to_vec(),
            wrote: Vec::new(),
            held: self.delivery.vector().clone(),
        }
    }

    fn check(&self) -> Result<(), String> {
        let applied = self.delivery.vector();
        if !applied.dominates(&self.durable) {
            return Err(format!(
                "durable {:?} but applied {applied:?}",
                self.durable
            ));
        }
        let limits = self.options.limits;
        if self.delivery.held() > limits.effects_max
            || self.delivery.held_bytes() > limits.bytes_max
        {
            return Err(format!("{} effects are held back", self.delivery.held()));
        }
        let known: u64 = applied.iter().map(|(_, counter)| counter).sum();
        if known != self.records.len() as u64 {
            return Err(format!("{known} applied, {} kept", self.records.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Kind;
    use crate::node::Output;

    const NOW: Now = Now {
        unix_ns: 1_800_000_000_000_000_000,
        elapsed_ns: 0,
    };

    fn key(number: u32) -> Key {
        Key {
            kind: Kind::Register,
            number,
        }
    }

    fn start(me: usize, log: &[u8], out: &mut Out) -> Replica {
        let boot = Boot {
            me,
            nodes: &[NodeId(1), NodeId(2)],
            now: NOW,
            log,
            seed: 0,
            options: &ReplicaOptions::default(),
        };
        let replica = Replica::start(boot, out);
        out.take();
        replica
    }

    fn ask(
        replica: &mut Replica,
        id: u64,
        command: Command,
        out: &mut Out,
    ) -> Vec<Output<Message>> {
        let request = Request {
            past: VersionVector::new(),
            command,
        };
        replica.on_client(NOW, RequestId(id), &request, out);
        out.take()
    }

    fn reply(outputs: &[Output<Message>]) -> Option<&Reply> {
        outputs.iter().find_map(|output| match output {
            Output::Reply(_, reply) => Some(reply),
            _ => None,
        })
    }

    fn persisted(outputs: &[Output<Message>]) -> (WriteId, Vec<u8>) {
        let persist = outputs.iter().find_map(|output| match output {
            Output::Persist(write, bytes) => Some((*write, bytes.clone())),
            _ => None,
        });
        persist.expect("it writes to its log")
    }

    #[test]
    fn nothing_leaves_before_it_is_durable_and_the_log_gives_it_back() {
        let mut out = Out::default();
        let mut replica = start(0, &[], &mut out);
        let outputs = ask(&mut replica, 1, Command::Write(key(0), 5), &mut out);
        let (write, log) = persisted(&outputs);
        assert_eq!(outputs.len(), 1, "no reply, no message");
        let read = ask(&mut replica, 2, Command::Read(key(0)), &mut out);
        assert_eq!(read, [], "nobody sees it yet");
        replica.on_durable(NOW, write, Ok(()), &mut out);
        let outputs = out.take();
        let is_sent = |output: &Output<Message>| matches!(output, Output::Send(1, _));
        assert_eq!(outputs.iter().filter(|it| is_sent(it)).count(), 1);
        assert_eq!(outputs.len(), 3, "a message and two replies");

        let restarted = start(0, &log, &mut Out::default());
        assert_eq!(restarted.digest(), replica.digest());
        let torn = start(0, &log[..log.len() - 1], &mut Out::default());
        assert!(torn.applied().is_empty());
    }

    #[test]
    fn a_full_disk_refuses_writes_serves_reads_and_loses_nothing() {
        let mut out = Out::default();
        let mut replica = start(0, &[], &mut out);
        let outputs = ask(&mut replica, 1, Command::Write(key(0), 5), &mut out);
        replica.on_durable(NOW, persisted(&outputs).0, Ok(()), &mut out);
        let outputs = ask(&mut replica, 2, Command::Write(key(1), 6), &mut out);
        let (write, _) = persisted(&outputs);
        replica.on_durable(NOW, write, Err(DiskError::Full), &mut out);
        out.take();

        let outputs = ask(&mut replica, 3, Command::Write(key(0), 7), &mut out);
        let refused = Reply::Refused(Refusal::ReadOnly);
        assert_eq!(reply(&outputs), Some(&refused));
        let outputs = ask(&mut replica, 4, Command::Read(key(0)), &mut out);
        let Some(Reply::Done(done)) = reply(&outputs) else {
            panic!("what is durable is served: {outputs:?}");
        };
        assert_eq!(done.answer, Answer::Value(Some(5)));

        replica.on_timer(NOW, RETRY, &mut out);
        let (write, _) = persisted(&out.take());
        replica.on_durable(NOW, write, Ok(()), &mut out);
        assert!(matches!(reply(&out.take()), Some(Reply::Done(_))));
    }

    #[test]
    fn a_record_waits_for_what_its_author_had_applied() {
        let mut out = Out::default();
        let (mut first, mut second) = (start(0, &[], &mut out), start(1, &[], &mut out));
        let record = |replica: &mut Replica, number, out: &mut Out| {
            let outputs = ask(replica, 1, Command::Write(key(number), 1), out);
            replica.on_durable(NOW, persisted(&outputs).0, Ok(()), out);
            let sent = out.take().into_iter().find_map(|output| match output {
                Output::Send(_, message) => Some(message),
                _ => None,
            });
            sent.expect("it is sent once durable")
        };
        let cause = record(&mut first, 0, &mut Out::default());
        second.on_message(NOW, 0, cause.clone(), &mut out);
        let (write, _) = persisted(&out.take());
        second.on_durable(NOW, write, Ok(()), &mut out);
        let effect = record(&mut second, 1, &mut out);

        let mut third = start(0, &[], &mut Out::default());
        third.on_message(NOW, 1, effect, &mut Out::default());
        assert!(third.applied().is_empty());
        third.on_message(NOW, 1, cause, &mut Out::default());
        assert_eq!(third.applied(), second.applied());
    }
}
