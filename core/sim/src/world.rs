//! The world: nodes, their clocks and disks, the network between them, clients, and virtual time.
//!
//! A discrete-event simulator: one queue of events, ordered by virtual time and then by when they
//! were planned; nothing happens between two events. All randomness comes from the run's seed.

use std::collections::BTreeMap;

use causet_core::id::NodeId;

use crate::MS;
use crate::clock::WallClock;
use crate::command::{Command, Reply};
use crate::disk::{Disk, WriteId};
use crate::fault::{Fault, Faults};
use crate::history::{Operation, Outcome};
use crate::network::{Network, Weather};
use crate::node::{Boot, Node, Now, Output, Outputs, RequestId, Timer};
use crate::rng::Rng;
use crate::session::{Clients, Mix, PATIENCE_NS};
use crate::trace::Trace;

/// Most nodes in a world.
pub const NODES_MAX: usize = 16;

/// A node broke one of its own invariants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node} at {at_ns} ns: {what}")]
pub struct BrokenInvariant {
    /// Which node.
    pub node: usize,
    /// When, in virtual time.
    pub at_ns: u64,
    /// What it says is wrong.
    pub what: String,
}

#[derive(Debug)]
enum Event<M> {
    Deliver {
        from: usize,
        to: usize,
        message: M,
    },
    Timer {
        node: usize,
        life: u32,
        timer: Timer,
    },
    Durable {
        node: usize,
        life: u32,
        write: WriteId,
    },
    Ask {
        session: usize,
    },
    Request {
        node: usize,
        id: RequestId,
    },
    Reply {
        id: RequestId,
        reply: Reply,
    },
    GiveUp {
        id: RequestId,
    },
    Nemesis,
    Fault(Fault),
    Start {
        node: usize,
    },
}

#[derive(Debug)]
struct Machine<N: Node> {
    /// `None` while it is down.
    node: Option<N>,
    /// Counts the starts: timers and writes of an earlier life are void.
    life: u32,
    clock: WallClock,
    disk: Disk,
    out: Outputs<N::Message>,
}

/// What happened in a run, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages sent.
    pub sent: u64,
    /// Messages delivered, repetitions included.
    pub delivered: u64,
    /// Crashes.
    pub crashes: u64,
    /// Other faults that began.
    pub faults: u64,
    /// Writes that failed.
    pub failed_writes: u64,
}

/// The world. See the module's head.
pub struct World<N: Node> {
    now_ns: u64,
    events: BTreeMap<(u64, u64), Event<N::Message>>,
    planned: u64,
    ids: Vec<NodeId>,
    options: N::Options,
    machines: Vec<Machine<N>>,
    network: Network,
    faults: Faults,
    is_healed: bool,
    rng: Rng,
    clients: Clients,
    trace: Trace,
    counts: Counts,
}

impl<N: Node> World<N> {
    /// A world at virtual time 0, with all nodes about to start.
    ///
    /// # Panics
    /// If `nodes` is not within 1 and [`NODES_MAX`].
    pub fn new(
        seed: u64,
        nodes: usize,
        faults: Faults,
        clients: (u64, Mix),
        options: N::Options,
        trace: Trace,
    ) -> Self {
        assert!((1..=NODES_MAX).contains(&nodes), "1 to {NODES_MAX} nodes");
        let mut rng = Rng::new(seed);
        let ids = (0..nodes).map(|_| NodeId(rng.next_u64())).collect();
        let (operations, mix) = clients;
        let clients = Clients::new(rng.fork(), nodes, operations, mix);
        let machine = |_| Machine {
            node: None,
            life: 0,
            clock: WallClock::new(
                rng.around(faults.skew_ns_max),
                rng.around(faults.drift_ppm_max),
            ),
            disk: Disk::new(faults.torn_writes),
            out: Outputs::default(),
        };
        let mut world = World {
            now_ns: 0,
            events: BTreeMap::new(),
            planned: 0,
            ids,
            options,
            machines: (0..nodes).map(machine).collect(),
            network: Network::new(nodes, faults.weather),
            faults,
            is_healed: false,
            rng,
            clients,
            trace,
            counts: Counts::default(),
        };
        for node in 0..nodes {
            world.plan(0, Event::Start { node });
        }
        for session in 0..world.clients.len() {
            world.plan_ask(session);
        }
        world.plan(world.faults.interval_ns, Event::Nemesis);
        world
    }

    /// Virtual time, in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The clients and their history.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The trace so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What happened so far, in numbers.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The nodes that are up.
    pub fn nodes(&self) -> impl Iterator<Item = &N> {
        self.machines.iter().filter_map(|it| it.node.as_ref())
    }

    /// Lets everything happen that happens until `until_ns`.
    ///
    /// # Errors
    /// [`BrokenInvariant`] as soon as a node finds one.
    pub fn run_until(&mut self, until_ns: u64) -> Result<(), BrokenInvariant> {
        while let Some(entry) = self.events.first_entry() {
            let at_ns = entry.key().0;
            if at_ns > until_ns {
                break;
            }
            let event = entry.remove();
            debug_assert!(at_ns >= self.now_ns, "time does not go back");
            self.now_ns = at_ns;
            self.happen(event)?;
        }
        self.now_ns = until_ns;
        Ok(())
    }

    /// Ends all faults: links, weather, clocks and disks are right from now on, and all nodes up.
    pub fn heal(&mut self) {
        self.is_healed = true;
        self.trace.event(self.now_ns, None, "heal", &());
        self.network.join();
        self.network.set_weather(Weather::CALM);
        for machine in &mut self.machines {
            machine.clock.correct(self.now_ns);
            machine.disk.set_full(false);
            machine.disk.set_slowness(1);
        }
        for node in 0..self.machines.len() {
            self.plan(0, Event::Start { node });
        }
    }

    /// Whether clients and nodes have nothing left to do: all answers are there, all nodes are up
    /// and their digests equal.
    pub fn is_quiet(&self) -> bool {
        let mut digests = self.nodes().map(N::digest);
        let first = digests.next();
        self.clients.are_done()
            && self.nodes().count() == self.machines.len()
            && digests.all(|digest| Some(digest) == first)
    }

    /// Reads every key at every node, past the network, and adds the answers to the history.
    pub fn read_all(&mut self) {
        let keys = self.clients.keys();
        for (at, machine) in self.machines.iter().enumerate() {
            let Some(node) = &machine.node else { continue };
            let session = self.clients.fresh_name();
            for &key in &keys {
                let command = Command::Read(key);
                let done = node.peek(&command);
                self.trace.event(self.now_ns, Some(at), "final", &done);
                self.clients.record_final(Operation {
                    session,
                    node: at,
                    invoked_ns: self.now_ns,
                    answered_ns: self.now_ns,
                    command,
                    outcome: Outcome::Done(done),
                    is_final: true,
                });
            }
        }
    }

    fn plan(&mut self, after_ns: u64, event: Event<N::Message>) {
        self.planned += 1;
        self.events
            .insert((self.now_ns + after_ns, self.planned), event);
    }

    fn plan_ask(&mut self, session: usize) {
        let think_ns = self.clients.think_ns();
        self.plan(think_ns, Event::Ask { session });
    }

    fn happen(&mut self, event: Event<N::Message>) -> Result<(), BrokenInvariant> {
        match event {
            Event::Deliver { from, to, message } => {
                self.trace
                    .event(self.now_ns, Some(to), "message", &(from, &message));
                self.counts.delivered += 1;
                self.call(to, |node, now, out| {
                    node.on_message(now, from, message, out)
                })
            }
            Event::Timer { node, life, timer } if self.machines[node].life == life => {
                self.trace.event(self.now_ns, Some(node), "timer", &timer);
                self.call(node, |node, now, out| node.on_timer(now, timer, out))
            }
            Event::Durable { node, life, write } if self.machines[node].life == life => {
                let result = self.machines[node].disk.finish(write);
                self.counts.failed_writes += u64::from(result.is_err());
                self.trace
                    .event(self.now_ns, Some(node), "durable", &(write, result));
                self.call(node, |node, now, out| {
                    node.on_durable(now, write, result, out);
                })
            }
            Event::Timer { .. } | Event::Durable { .. } => Ok(()),
            Event::Ask { session } => {
                if let Some((node, id)) = self.clients.ask(session, self.now_ns) {
                    let travel_ns = self.client_travel_ns();
                    self.plan(travel_ns, Event::Request { node, id });
                    self.plan(PATIENCE_NS, Event::GiveUp { id });
                }
                Ok(())
            }
            Event::Request { node, id } => {
                let Some(request) = self.clients.request(id) else {
                    return Ok(());
                };
                self.trace
                    .event(self.now_ns, Some(node), "request", &(id, &request));
                self.call(node, |node, now, out| {
                    node.on_client(now, id, &request, out)
                })
            }
            Event::Reply { id, reply } => {
                self.trace.event(self.now_ns, None, "reply", &(id, &reply));
                if let Some(session) = self.clients.on_reply(id, reply, self.now_ns) {
                    self.plan_ask(session);
                }
                Ok(())
            }
            Event::GiveUp { id } => {
                if let Some(session) = self.clients.give_up(id, self.now_ns) {
                    self.trace.event(self.now_ns, None, "give up", &id);
                    self.plan_ask(session);
                }
                Ok(())
            }
            Event::Nemesis => {
                self.nemesis();
                Ok(())
            }
            Event::Fault(fault) => {
                self.happen_fault(fault);
                Ok(())
            }
            Event::Start { node } => self.start(node),
        }
    }

    fn client_travel_ns(&mut self) -> u64 {
        self.rng.between(MS / 20, MS / 2)
    }

    /// Calls a node that is up, checks it, and does what it wants done.
    fn call(
        &mut self,
        at: usize,
        input: impl FnOnce(&mut N, Now, &mut Outputs<N::Message>),
    ) -> Result<(), BrokenInvariant> {
        let now = self.now_of(at);
        let machine = &mut self.machines[at];
        let Some(node) = &mut machine.node else {
            return Ok(());
        };
        input(node, now, &mut machine.out);
        let checked = node.check();
        self.do_outputs(at);
        checked.map_err(|what| BrokenInvariant {
            node: at,
            at_ns: self.now_ns,
            what,
        })
    }

    fn now_of(&self, node: usize) -> Now {
        Now {
            unix_ns: self.machines[node].clock.read(self.now_ns),
            elapsed_ns: self.now_ns,
        }
    }

    fn start(&mut self, at: usize) -> Result<(), BrokenInvariant> {
        if self.machines[at].node.is_some() {
            return Ok(());
        }
        let now = self.now_of(at);
        let seed = self.rng.next_u64();
        let machine = &mut self.machines[at];
        let log_bytes = machine.disk.image().len();
        self.trace
            .event(self.now_ns, Some(at), "start", &(machine.life, log_bytes));
        machine.out = Outputs::default();
        let boot = Boot {
            me: at,
            nodes: &self.ids,
            now,
            log: machine.disk.image(),
            seed,
            options: &self.options,
        };
        let node = N::start(boot, &mut machine.out);
        machine.node = Some(node);
        self.call(at, |_, _, _| {})
    }

    fn do_outputs(&mut self, at: usize) {
        let life = self.machines[at].life;
        for output in self.machines[at].out.take() {
            match output {
                Output::Send(to, message) => self.send(at, to, message),
                Output::Persist(write, bytes) => {
                    let disk = &mut self.machines[at].disk;
                    let done_ns = disk.submit(write, bytes, self.now_ns, &mut self.rng);
                    let event = Event::Durable {
                        node: at,
                        life,
                        write,
                    };
                    self.plan(done_ns - self.now_ns, event);
                }
                Output::Cut(len) => self.machines[at].disk.cut(len),
                Output::Wake(after_ns, timer) => {
                    let node = at;
                    self.plan(after_ns, Event::Timer { node, life, timer });
                }
                Output::Reply(id, reply) => {
                    let travel_ns = self.client_travel_ns();
                    self.plan(travel_ns, Event::Reply { id, reply });
                }
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, message: N::Message) {
        assert_ne!(from, to, "a node does not send to itself");
        self.counts.sent += 1;
        let arrivals = self.network.arrivals(&mut self.rng, self.now_ns, from, to);
        for at_ns in arrivals {
            let event = Event::Deliver {
                from,
                to,
                message: message.clone(),
            };
            self.plan(at_ns - self.now_ns, event);
        }
    }

    fn nemesis(&mut self) {
        if self.is_healed {
            return;
        }
        let nodes = self.machines.len();
        if let Some((fault, undo)) = self.faults.next(&mut self.rng, nodes) {
            self.happen_fault(fault);
            if let Some((after_ns, undo)) = undo {
                self.plan(after_ns, Event::Fault(undo));
            }
        }
        let after_ns = self.rng.between(0, 2 * self.faults.interval_ns);
        self.plan(after_ns, Event::Nemesis);
    }

    fn happen_fault(&mut self, fault: Fault) {
        if self.is_healed {
            return;
        }
        self.trace.event(self.now_ns, None, "fault", &fault);
        self.counts.faults += 1;
        match fault {
            Fault::Crash(node, down_ns) => self.crash(node, down_ns),
            Fault::Partition(side) => self.network.partition(|node| side >> node & 1 == 1),
            Fault::CutOneWay(from, to) => self.network.cut_one_way(from, to),
            Fault::Join => self.network.join(),
            Fault::SetClock(node, off_by_ns) => {
                self.machines[node].clock.set(self.now_ns, off_by_ns);
            }
            Fault::SlowDisk(node, factor) => self.machines[node].disk.set_slowness(factor),
            Fault::FullDisk(node, is_full) => self.machines[node].disk.set_full(is_full),
        }
    }

    fn crash(&mut self, at: usize, down_ns: u64) {
        let machine = &mut self.machines[at];
        if machine.node.take().is_none() {
            return;
        }
        machine.life += 1;
        machine.disk.crash(&mut self.rng);
        self.counts.crashes += 1;
        self.plan(down_ns, Event::Start { node: at });
    }
}
