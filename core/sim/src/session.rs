//! Clients: sessions that ask one thing after the other, and what they ask.
//!
//! A session carries on the vector of what it read and wrote, and so may go from node to node
//! without losing its guarantees. One that got no answer ends there: what it asked may still happen,
//! and nothing may be said to have come after it. Another session takes its place.

use std::collections::BTreeMap;

use causet_core::vector::VersionVector;

use crate::MS;
use crate::command::{Command, End, Key, Kind, Refusal, Reply, Request};
use crate::history::{History, Operation, Outcome, touched};
use crate::node::RequestId;
use crate::rng::Rng;

/// A client that has no answer after this gives up, in virtual nanoseconds.
pub const PATIENCE_NS: u64 = 2_000 * MS;
/// Elements in one push.
const RUN_MAX: u64 = 4;
/// Commands in one transaction.
const TRANSACTION_MAX: u64 = 4;

/// What clients ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    /// The kinds of keys, each as likely as the others.
    pub kinds: Vec<Kind>,
    /// Keys of each kind: few, so that clients meet.
    pub keys: u32,
    /// Of a thousand single commands, how many are reads.
    pub reads_permille: u64,
    /// Of a thousand commands, how many are transactions over registers and lists.
    pub transactions_permille: u64,
}

impl Default for Mix {
    /// Registers, counters and sets, three of each, 45 % reads, no transactions.
    fn default() -> Self {
        Mix {
            kinds: vec![Kind::Register, Kind::Counter, Kind::Set],
            keys: 3,
            reads_permille: 450,
            transactions_permille: 0,
        }
    }
}

/// Draws commands.
#[derive(Debug)]
struct Workload {
    rng: Rng,
    mix: Mix,
    last_value: u64,
    inserted: BTreeMap<Key, Vec<u64>>,
}

impl Workload {
    fn key(&mut self) -> Key {
        Key {
            kind: self.mix.kinds[self.rng.index(self.mix.kinds.len())],
            number: self.rng.below(u64::from(self.mix.keys)) as u32,
        }
    }

    /// A value that nobody was given before.
    fn value(&mut self) -> u64 {
        self.last_value += 1;
        self.last_value
    }

    fn command(&mut self) -> Command {
        if !self.rng.chance(self.mix.transactions_permille) {
            return self.single();
        }
        let len = self.rng.between(2, TRANSACTION_MAX);
        Command::Transaction((0..len).map(|_| self.single()).collect())
    }

    fn single(&mut self) -> Command {
        let key = self.key();
        if self.rng.chance(self.mix.reads_permille) {
            return Command::Read(key);
        }
        match key.kind {
            Kind::Register => Command::Write(key, self.value()),
            Kind::Counter => Command::Add(key, self.rng.between(1, 9) as i64),
            Kind::Set => {
                let inserted = self.inserted.entry(key).or_default();
                if !inserted.is_empty() && self.rng.chance(300) {
                    return Command::Remove(key, inserted[self.rng.index(inserted.len())]);
                }
                let member = self.value();
                self.inserted.entry(key).or_default().push(member);
                Command::Insert(key, member)
            }
            Kind::List => {
                let end = if self.rng.chance(500) {
                    End::Head
                } else {
                    End::Tail
                };
                if self.rng.chance(300) {
                    return Command::Pop(key, end);
                }
                let len = self.rng.between(1, RUN_MAX);
                let values = (0..len).map(|_| self.value()).collect();
                Command::Push(key, end, values)
            }
        }
    }
}

#[derive(Debug)]
struct Session {
    name: u32,
    node: usize,
    past: VersionVector,
    roams: bool,
}

/// All clients of a run, and the history of what they did.
#[derive(Debug)]
pub struct Clients {
    workload: Workload,
    rng: Rng,
    nodes: usize,
    sessions: Vec<Session>,
    names: u32,
    /// Requests without an answer so far, with their session's place.
    open: BTreeMap<RequestId, usize>,
    left: u64,
    think_ns_max: u64,
    history: History,
}

impl Clients {
    /// Clients that together ask `operations` things of `nodes` nodes.
    pub fn new(mut rng: Rng, nodes: usize, operations: u64, mix: Mix) -> Self {
        let workload = Workload {
            rng: rng.fork(),
            mix,
            last_value: 0,
            inserted: BTreeMap::new(),
        };
        let mut clients = Clients {
            workload,
            nodes,
            sessions: Vec::new(),
            names: 0,
            open: BTreeMap::new(),
            left: operations,
            think_ns_max: rng.between(5 * MS, 300 * MS),
            history: History::default(),
            rng,
        };
        for at in 0..2 * nodes {
            let session = clients.session(at % nodes);
            clients.sessions.push(session);
        }
        clients
    }

    fn session(&mut self, node: usize) -> Session {
        self.names += 1;
        Session {
            name: self.names - 1,
            node,
            past: VersionVector::new(),
            roams: self.rng.chance(400),
        }
    }

    /// Number of sessions at a time.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whether everything was asked and nothing is open.
    pub fn are_done(&self) -> bool {
        self.left == 0 && self.open.is_empty()
    }

    /// How long a session waits before it asks again.
    pub fn think_ns(&mut self) -> u64 {
        self.rng.between(0, self.think_ns_max)
    }

    /// The session at a place asks: which node, and the request's name. `None` once all was asked.
    pub fn ask(&mut self, at: usize, now_ns: u64) -> Option<(usize, RequestId)> {
        self.left = self.left.checked_sub(1)?;
        let command = self.workload.command();
        let session = &mut self.sessions[at];
        if session.roams && self.rng.chance(300) {
            session.node = self.rng.index(self.nodes);
        }
        let id = RequestId(self.history.operations.len() as u64);
        self.history.operations.push(Operation {
            session: session.name,
            node: session.node,
            invoked_ns: now_ns,
            answered_ns: u64::MAX,
            command,
            outcome: Outcome::Unknown,
            is_final: false,
        });
        self.open.insert(id, at);
        Some((session.node, id))
    }

    /// The request as it goes to the node; `None` if the client has given up.
    pub fn request(&self, id: RequestId) -> Option<Request> {
        let session = &self.sessions[*self.open.get(&id)?];
        Some(Request {
            past: session.past.clone(),
            command: self.history.operations[id.0 as usize].command.clone(),
        })
    }

    /// A reply has reached the client. Returns the session's place; `None` if it gave up before.
    pub fn on_reply(&mut self, id: RequestId, reply: Reply, now_ns: u64) -> Option<usize> {
        let at = self.open.remove(&id)?;
        let operation = &mut self.history.operations[id.0 as usize];
        operation.answered_ns = now_ns;
        operation.outcome = match reply {
            Reply::Done(done) => {
                self.sessions[at].past.merge(&touched(&done));
                Outcome::Done(done)
            }
            Reply::Refused(refusal) => {
                if refusal == Refusal::Behind {
                    self.sessions[at].node = self.rng.index(self.nodes);
                }
                Outcome::Refused(refusal)
            }
        };
        Some(at)
    }

    /// The client's patience is over. Returns the place at which a new session begins, if it was
    /// still waiting.
    pub fn give_up(&mut self, id: RequestId, now_ns: u64) -> Option<usize> {
        let at = self.open.remove(&id)?;
        self.history.operations[id.0 as usize].answered_ns = now_ns;
        let node = self.rng.index(self.nodes);
        self.sessions[at] = self.session(node);
        Some(at)
    }

    /// Every key that commands may name, in order.
    pub fn keys(&self) -> Vec<Key> {
        let mix = &self.workload.mix;
        let numbers = |kind| (0..mix.keys).map(move |number| Key { kind, number });
        mix.kinds.iter().copied().flat_map(numbers).collect()
    }

    /// Adds a judge's own read to the history, as a session of its own for each node.
    pub fn record_final(&mut self, operation: Operation) {
        self.history.operations.push(operation);
    }

    /// A session's name that no client has.
    pub fn fresh_name(&mut self) -> u32 {
        self.names += 1;
        self.names - 1
    }

    /// What was asked and answered.
    pub fn history(&self) -> &History {
        &self.history
    }
}
