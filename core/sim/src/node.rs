//! A node as the simulator sees it: inputs in, outputs into a buffer, nothing else.
//!
//! A [`Node`] does no I/O, reads no clock and draws no randomness of its own. It is dropped when it
//! crashes; [`Node::start`] then makes it anew from what its disk kept. Everything it wants done
//! (send, persist, wake me, reply) it leaves in [`Outputs`], in order, and the world does it after
//! the call.

use std::fmt::Debug;
use std::hash::Hash;

use causet_core::id::NodeId;

use crate::command::{Command, Done, Reply, Request};
use crate::disk::{DiskError, WriteId};

/// The time, as a node can know it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Its wall clock in Unix nanoseconds: skewed, drifting, sometimes set back.
    pub unix_ns: u64,
    /// Elapsed time in nanoseconds. Never goes back; unrelated to other nodes'.
    pub elapsed_ns: u64,
}

/// What a node is told when it starts, for the first time or after a crash.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'a, O> {
    /// Its place among `nodes`.
    pub me: usize,
    /// All members.
    pub nodes: &'a [NodeId],
    /// The time.
    pub now: Now,
    /// What its log holds: everything reported durable, then perhaps more, whole or torn.
    pub log: &'a [u8],
    /// Where its random numbers start from; another one each time.
    pub seed: u64,
    /// How it is set up.
    pub options: &'a O,
}

/// Names a timer of a node. Timers fire once; setting one twice fires twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timer(pub u32);

/// Names a client's request, in the whole run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// One thing that a node wants done.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Output<M> {
    /// Send a message to the node at this place.
    Send(usize, M),
    /// Append bytes to the log; [`Node::on_durable`] follows.
    Persist(WriteId, Vec<u8>),
    /// Cut the log to this length, at once and durably. Only while starting: the torn tail goes.
    Cut(usize),
    /// Call [`Node::on_timer`] after so many nanoseconds.
    Wake(u64, Timer),
    /// Answer a client. A request may be answered once, in the same incarnation.
    Reply(RequestId, Reply),
}

/// The buffer of outputs of one node.
#[derive(Debug)]
pub struct Outputs<M> {
    list: Vec<Output<M>>,
    last_write: WriteId,
}

impl<M> Default for Outputs<M> {
    fn default() -> Self {
        Outputs {
            list: Vec::new(),
            last_write: WriteId(0),
        }
    }
}

impl<M> Outputs<M> {
    /// Sends a message. It may be lost, late, repeated or overtaken.
    pub fn send(&mut self, to: usize, message: M) {
        self.list.push(Output::Send(to, message));
    }

    /// Appends bytes to the log. Writes become durable in order; a failed one fails all that were
    /// submitted behind it before its failure was reported.
    pub fn persist(&mut self, bytes: Vec<u8>) -> WriteId {
        self.last_write = WriteId(self.last_write.0 + 1);
        self.list.push(Output::Persist(self.last_write, bytes));
        self.last_write
    }

    /// Cuts a torn tail off the log. Only in [`Node::start`].
    pub fn cut(&mut self, len: usize) {
        self.list.push(Output::Cut(len));
    }

    /// Wakes the node after `after_ns`.
    pub fn wake(&mut self, after_ns: u64, timer: Timer) {
        self.list.push(Output::Wake(after_ns, timer));
    }

    /// Answers a client.
    pub fn reply(&mut self, request: RequestId, reply: Reply) {
        self.list.push(Output::Reply(request, reply));
    }

    /// Takes what was collected, in order. The world does this after each call; a node that wraps
    /// another does it to change what leaves.
    pub fn take(&mut self) -> Vec<Output<M>> {
        std::mem::take(&mut self.list)
    }

    /// An empty buffer that goes on numbering writes where this one is, for a node that wraps another
    /// and looks at what leaves it before it [puts](Outputs::put) it here.
    pub fn nested(&self) -> Self {
        Outputs {
            list: Vec::new(),
            last_write: self.last_write,
        }
    }

    /// Puts an output there as it is.
    pub fn put(&mut self, output: Output<M>) {
        if let Output::Persist(write, _) = &output {
            self.last_write = self.last_write.max(*write);
        }
        self.list.push(output);
    }
}

/// A node under simulation. See the module's head.
pub trait Node: Sized {
    /// What nodes send each other.
    type Message: Clone + Debug + Hash;
    /// How a node is set up: the same for all nodes of a run.
    type Options: Clone + Default;

    /// Starts from a disk: an empty one, or what a crash left.
    fn start(boot: Boot<'_, Self::Options>, out: &mut Outputs<Self::Message>) -> Self;

    /// A message of the node at place `from` has arrived, perhaps not for the first time, perhaps
    /// sent to an earlier incarnation.
    fn on_message(
        &mut self,
        now: Now,
        from: usize,
        message: Self::Message,
        out: &mut Outputs<Self::Message>,
    );

    /// A timer has fired.
    fn on_timer(&mut self, now: Now, timer: Timer, out: &mut Outputs<Self::Message>);

    /// A write is durable, or failed and left nothing.
    fn on_durable(
        &mut self,
        now: Now,
        write: WriteId,
        result: Result<(), DiskError>,
        out: &mut Outputs<Self::Message>,
    );

    /// A client asks.
    fn on_client(
        &mut self,
        now: Now,
        id: RequestId,
        request: &Request,
        out: &mut Outputs<Self::Message>,
    );

    /// Hash of all that must be equal on every node once the run is quiet.
    fn digest(&self) -> u64;

    /// Answers a read from the present state, by itself, as the judge of the final state asks.
    fn peek(&self, command: &Command) -> Done;

    /// Checks what must hold after every step.
    ///
    /// # Errors
    /// Says which invariant is broken, and how.
    fn check(&self) -> Result<(), String>;
}
