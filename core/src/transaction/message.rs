//! What goes in and out of the protocol: messages, records, timers, inputs and outputs.
//!
//! Plain data. Carrying it (encoding, sending, writing, waiting) is the caller's work.

use std::sync::Arc;

use super::agreement::Round;
use super::bind::{Bind, Claim};
use super::error::TxnError;
use super::view::{Members, Report, Settlement, View};
use crate::id::{EffectRef, NodeId};

/// A message between two members. Carries its sender's view; one of another view is refused, save
/// for what tells a member of a newer view.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Message {
    /// Who sent it.
    pub from: NodeId,
    /// The number of the sender's view.
    pub view: u64,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Body {
    /// The originator asks for an answer to its bind.
    Bind(Arc<Bind>),
    /// A voter's answer to a bind.
    Answer(EffectRef, Answer),
    /// The originator's decision: the bind is committed.
    Commit(Arc<Bind>),
    /// The originator's decision: the bind is void. Asks for [`Body::VoidDurable`].
    Void(Arc<Bind>),
    /// The void is durable here.
    VoidDurable(EffectRef),
    /// The originator knows that a majority holds the void: it is for good.
    Voided(EffectRef),
    /// A voter asks the originator what became of a bind.
    Ask(EffectRef),
    /// A proposer asks for a promise about the next view, and says what this one began with.
    Prepare(Round, Arc<Settlement>),
    /// The promise: no lower round from here on, and nothing more in this view.
    Promise(Round, Promise),
    /// A proposer asks to accept what the next view begins with.
    Accept(Round, Arc<Settlement>),
    /// Accepted.
    Accepted(Round),
    /// What the sender's view began with.
    Chosen(Arc<Settlement>),
    /// The sender's view is older than one it heard of: it asks for [`Body::Chosen`].
    Behind,
}

/// A voter's answer. Given once for a bind and repeated when asked again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Answer {
    /// No competitor known.
    Ack,
    /// Competitors known.
    Nack {
        /// Competing binds that are not voided.
        competitors: Vec<Competitor>,
        /// A plain write of the voter that the bind did not observe: it always wins.
        write: Option<EffectRef>,
    },
}

/// A competing bind, as an answer names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Competitor {
    /// What ranks it.
    pub claim: Claim,
    /// Whether it was committed already.
    pub committed: bool,
}

/// What a promise tells the proposer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Promise {
    /// What was accepted in the highest round so far.
    pub accepted: Option<(Round, Arc<Settlement>)>,
    /// What the sender knows, if it is a member of the ending view.
    pub report: Option<Arc<Report>>,
}

/// What must survive a crash. Records are durable in the order they were made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Record {
    /// A bind, and this node's answer to it (its own are answered with an ACK).
    Held(Arc<Bind>, Answer),
    /// A bind was committed.
    Committed(Arc<Bind>),
    /// A bind was voided.
    Voided(Arc<Bind>),
    /// A promise about the next view, with which this one is sealed.
    Promised(Round),
    /// What the next view shall begin with, accepted in this round.
    Accepted(Round, Arc<Settlement>),
    /// The next view, agreed.
    Installed(Arc<Settlement>),
}

/// Names a record until it is durable. They rise by one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Token(pub u64);

/// A timer. Setting it again replaces it; one that fires late or in vain does no harm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// A bind is undecided for longer than it should be: ask again.
    Horizon(EffectRef),
    /// The next view is wanted and not there: propose it, or propose again.
    Propose,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A message arrived. It may be lost, late, doubled or out of order.
    Message(Message),
    /// This record and all before it are durable.
    Durable(Token),
    /// A timer fired.
    Timer(Timer),
    /// The nodes that this one now reaches, both ways, itself or not.
    Reachable(Members),
    /// The worst measured round trip to a member, in microseconds.
    RoundTrip(u64),
    /// These decided binds are stable: every configured member holds the decision, and nothing
    /// concurrent with it can still arrive. They are forgotten.
    Stable(Vec<EffectRef>),
}

/// What the caller must do, in this order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// Append the record to the log and answer with [`Input::Durable`].
    Persist(Token, Record),
    /// Send, once; what must arrive is sent again by a timer.
    Send(NodeId, Message),
    /// Fire after so many microseconds.
    SetTimer(Timer, u64),
    /// Tell the client: committed. It stays so.
    ClientCommitted(EffectRef),
    /// Tell the client: it did not happen and never will.
    ClientAborted(EffectRef, TxnError),
    /// Let all effects of this transaction be seen, at once.
    Visible(Arc<Bind>),
    /// Drop all effects of this transaction.
    Dropped(Arc<Bind>),
    /// A new view is in force.
    Installed(View),
}
