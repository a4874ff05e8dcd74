//! What clients ask and what they are told, in words that every node and every judge understands.
//!
//! Not Redis's protocol: one command here stands for the Redis commands of the same meaning, with
//! numbers for keys and values, so that a judge can tell every value from every other.

use causet_core::id::EffectRef;
use causet_core::vector::VersionVector;

/// Which kind of thing a key holds. Keys of different kinds have different names, so that their
/// commands never meet a wrong type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// One value, overwritten.
    Register,
    /// A number, added to.
    Counter,
    /// A set of numbers.
    Set,
    /// A list of numbers.
    List,
}

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// What it holds.
    pub kind: Kind,
    /// Which of its kind.
    pub number: u32,
}

impl Key {
    /// The key's name in the store.
    pub fn name(self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Register => "register",
            Kind::Counter => "counter",
            Kind::Set => "set",
            Kind::List => "list",
        };
        format!("{kind}:{}", self.number).into_bytes()
    }
}

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum End {
    /// The first element's side.
    Head,
    /// The last element's side.
    Tail,
}

/// What a client asks. Values that are written are never written twice in a run, to whatever key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Command {
    /// The whole value of a key (GET, SMEMBERS, LRANGE 0 -1).
    Read(Key),
    /// SET.
    Write(Key, u64),
    /// INCRBY.
    Add(Key, i64),
    /// SADD of one member.
    Insert(Key, u64),
    /// SREM of one member.
    Remove(Key, u64),
    /// LPUSH or RPUSH of a run of elements.
    Push(Key, End, Vec<u64>),
    /// LPOP or RPOP of one element.
    Pop(Key, End),
    /// MULTI, the commands, EXEC.
    Transaction(Vec<Command>),
}

impl Command {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        match self {
            Command::Read(_) => true,
            Command::Transaction(commands) => commands.iter().all(Command::is_read),
            _ => false,
        }
    }
}

/// What a command answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// It was done.
    Ok,
    /// A register's value, or the element that was popped; `None` where there is none.
    Value(Option<u64>),
    /// A counter's value; of a counter that was never written, 0.
    Count(i64),
    /// A set's members in their order, or a list's elements in theirs.
    Elements(Vec<u64>),
    /// One for each command of a transaction.
    All(Vec<Answer>),
}

/// A request as it reaches a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Request {
    /// What the session has seen and written so far: the node must hold at least this, or refuse.
    pub past: VersionVector,
    /// What is asked.
    pub command: Command,
}

/// A node's reply.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    /// It was done, and what it wrote is durable.
    Done(Done),
    /// It was not done and never will be.
    Refused(Refusal),
}

/// What comes with an answer: for the session's next request, and for the judges.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Done {
    /// The answer.
    pub answer: Answer,
    /// The tips of the keys that were read.
    pub read: Vec<EffectRef>,
    /// The effects that were written.
    pub wrote: Vec<EffectRef>,
    /// All that was visible to the command.
    pub held: VersionVector,
}

/// Why a request was not done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// The node does not hold yet what the session has seen. Ask again, or elsewhere.
    Behind,
    /// The node cannot write to its disk (-MISCONF).
    ReadOnly,
    /// A transaction lost against another (nil from EXEC).
    Aborted,
    /// The node does not know the command.
    Unsupported,
    /// The node cannot take part in transactions now (-READONLY ... region partitioned).
    Partitioned,
}
