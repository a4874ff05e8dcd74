//! Messages between shards: one bounded single-producer, single-consumer ring for each ordered pair.
//!
//! A turn of the loop collects what it has for each peer and hands it over at the end: messages in a
//! batch, one ring of the bell, and that only where the peer may be asleep. What does not fit into
//! a full ring stays in the sender's outbox; while an outbox is longer than its bound the shard
//! takes no more commands for that peer ([`Mesh::is_congested`]), so memory is bounded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use causet_net::{ConnId, PeerHandle, SendBuf};
use causet_proto::resp::Protocol;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::slowlog::SlowLog;

/// Messages that a ring holds.
const RING_MESSAGES: usize = 512;
/// Messages in an outbox from which on commands for that peer wait.
const OUTBOX_MAX: usize = 1024;

/// Commands of one connection that run on another shard, in pipeline order.
pub struct Requests {
    /// The connection, on the sending shard.
    pub conn: ConnId,
    /// The place of each command's reply in the connection's pipeline.
    pub places: Vec<u64>,
    /// The commands, as the client sent them.
    pub bytes: Vec<u8>,
    /// Selected database.
    pub db: u32,
    /// Protocol of the replies.
    pub protocol: Protocol,
    /// The client's id.
    pub client_id: u64,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
}

/// The replies to [`Requests`], in the same order.
pub struct Replies {
    /// The connection.
    pub conn: ConnId,
    /// The place of each reply in the connection's pipeline.
    pub places: Vec<u64>,
    /// The replies.
    pub replies: Vec<SendBuf>,
    /// Those of the commands that were slow, without their client's address and name.
    pub slow: SlowLog,
}

/// What one shard tells another.
pub enum Message {
    /// Run these.
    Requests(Box<Requests>),
    /// They ran.
    Replies(Box<Replies>),
    /// What became of commands of this connection cannot be told.
    Lost(ConnId),
    /// Lend your state to this shard.
    Lend {
        /// The shard that asks.
        borrower: u16,
    },
    /// A line for the MONITOR clients.
    Monitor(Arc<[u8]>),
}

/// A shard's bell and whether it may be asleep.
struct Bell {
    asleep: Arc<AtomicBool>,
    handle: PeerHandle,
}

struct Outgoing {
    ring: Producer<Message>,
    outbox: VecDeque<Message>,
    bell: Option<Bell>,
}

/// One shard's ends of all its rings.
pub struct Mesh {
    number: u16,
    outgoing: Vec<Option<Outgoing>>,
    incoming: Vec<Option<Consumer<Message>>>,
    /// This shard may be asleep: peers ring its bell.
    asleep: Arc<AtomicBool>,
}

/// The meshes of `shards` shards, connected.
pub fn connect(shards: u16) -> Vec<Mesh> {
    let mut meshes: Vec<Mesh> = (0..shards)
        .map(|number| Mesh {
            number,
            outgoing: (0..shards).map(|_| None).collect(),
            incoming: (0..shards).map(|_| None).collect(),
            asleep: Arc::new(AtomicBool::new(false)),
        })
        .collect();
    for from in 0..usize::from(shards) {
        for to in (0..usize::from(shards)).filter(|&to| to != from) {
            let (ring, consumer) = RingBuffer::new(RING_MESSAGES);
            meshes[from].outgoing[to] = Some(Outgoing {
                ring,
                outbox: VecDeque::new(),
                bell: None,
            });
            meshes[to].incoming[from] = Some(consumer);
        }
    }
    meshes
}

impl Mesh {
    /// The flag that says whether this shard may be asleep, for its peers.
    pub fn asleep_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asleep)
    }

    /// Tells how to wake shard `peer`.
    pub fn set_bell(&mut self, peer: u16, asleep: Arc<AtomicBool>, handle: PeerHandle) {
        if let Some(outgoing) = &mut self.outgoing[usize::from(peer)] {
            outgoing.bell = Some(Bell { asleep, handle });
        }
    }

    /// Queues a message; [`Mesh::flush`] hands it over.
    ///
    /// # Panics
    /// If `peer` is this shard.
    pub fn send(&mut self, peer: u16, message: Message) {
        let outgoing = self.outgoing[usize::from(peer)].as_mut();
        outgoing
            .expect("a shard does not send to itself")
            .outbox
            .push_back(message);
    }

    /// Whether so much waits for `peer` that no more commands should be sent there.
    #[inline]
    pub fn is_congested(&self, peer: u16) -> bool {
        self.outgoing[usize::from(peer)]
            .as_ref()
            .is_some_and(|out| out.outbox.len() > OUTBOX_MAX)
    }

    /// Whether something was not handed over yet.
    pub fn has_outgoing(&self) -> bool {
        self.outgoing
            .iter()
            .flatten()
            .any(|outgoing| !outgoing.outbox.is_empty())
    }

    /// Hands over what fits and rings, through `ring`, the bells of those that may be asleep.
    /// Returns whether something is left.
    pub fn flush(&mut self, ring: &mut dyn FnMut(&PeerHandle)) -> bool {
        let mut is_left = false;
        for outgoing in self.outgoing.iter_mut().flatten() {
            if outgoing.outbox.is_empty() {
                continue;
            }
            while let Some(message) = outgoing.outbox.pop_front() {
                if let Err(rtrb::PushError::Full(message)) = outgoing.ring.push(message) {
                    outgoing.outbox.push_front(message);
                    is_left = true;
                    break;
                }
            }
            // Pairs with the fence in `fall_asleep`: either the peer sees the message before it
            // sleeps, or this sees that it may be asleep.
            fence(Ordering::SeqCst);
            if let Some(bell) = &outgoing.bell
                && bell.asleep.swap(false, Ordering::AcqRel)
            {
                ring(&bell.handle);
            }
        }
        is_left
    }

    /// The next message from any peer, taking from each in turn as long as it has some.
    pub fn receive(&mut self) -> Option<(u16, Message)> {
        for (peer, ring) in self.incoming.iter_mut().enumerate() {
            if let Some(ring) = ring
                && let Ok(message) = ring.pop()
            {
                return Some((peer as u16, message));
            }
        }
        None
    }

    /// Announces that this shard is about to wait in its driver. `false`: a message came, do not.
    pub fn fall_asleep(&mut self) -> bool {
        self.asleep.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        let is_idle = self.incoming.iter().flatten().all(|ring| ring.is_empty());
        if !is_idle {
            self.wake_up();
        }
        is_idle
    }

    /// Ends what [`Mesh::fall_asleep`] announced.
    pub fn wake_up(&mut self) {
        self.asleep.store(false, Ordering::Release);
    }

    /// The other shards.
    pub fn peers(&self) -> impl Iterator<Item = u16> + use<> {
        let number = self.number;
        (0..self.outgoing.len() as u16).filter(move |&peer| peer != number)
    }
}
