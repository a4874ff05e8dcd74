//! A client's connection on its shard: bytes in, replies out, in the order of the requests.
//!
//! Requests of one pipeline may run on several shards at once; their replies leave in the order of
//! the requests. As long as nothing of a connection runs elsewhere, replies are written straight
//! into the buffer that is sent; otherwise each waits in its place until those before it are there.

use std::collections::VecDeque;

use causet_net::{ConnId, SendBuf};
use causet_proto::resp::RequestParser;

use crate::log::Lsn;

/// Memory that an idle connection keeps for received bytes.
const IDLE_INPUT_BYTES: usize = 16 << 10;

/// A reply's place in the pipeline.
enum Place {
    /// The command runs on another shard.
    Waiting {
        /// Its reply is not wanted (CLIENT REPLY).
        is_silent: bool,
    },
    /// Written, not yet sent because an earlier one is missing.
    Ready(SendBuf),
}

/// Why a connection's next command is not run yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// It is not blocked.
    No,
    /// The command needs other shards, and another one is using the desk.
    Desk,
    /// A value that the command needs is being read from the log.
    Cold,
    /// CLIENT PAUSE.
    Pause,
    /// The shard that it must run on has too much queued.
    Congestion,
    /// Its replies wait for the log (`appendfsync always`), or the log for the disk.
    Log,
    /// Its replies are not read fast enough.
    Output,
}

/// One client's connection.
pub struct Connection {
    /// Its name in the driver.
    pub id: ConnId,
    /// Its session's place in the shard's table.
    pub client: usize,
    /// The request parser's progress.
    pub parser: RequestParser,
    /// Received and not yet executed: an incomplete command, or what came while blocked.
    pub input: Vec<u8>,
    /// Bytes at the front of `input` that are done with.
    pub consumed: usize,
    /// Replies to be sent next.
    pub out: SendBuf,
    /// A buffer to build the next replies in while another is being sent.
    spare: Option<SendBuf>,
    /// A send is under way, of so many bytes.
    pub sending: Option<usize>,
    /// Replies that leave only when the log is durable up to here.
    pub hold: Option<Lsn>,
    /// As `hold`, on other shards.
    pub remote_holds: Vec<(u16, u64)>,
    places: VecDeque<Place>,
    /// Place number of the front of `places`.
    first_place: u64,
    /// See [`Blocked`].
    pub blocked: Blocked,
    /// How often the next command had to ask for values that are in the log only.
    pub cold_rounds: u32,
    /// Receiving is paused in the driver.
    pub is_paused: bool,
    /// The peer sent its last byte.
    pub is_ended: bool,
    /// It is in the shard's list of connections to be looked at when the turn ends.
    pub is_dirty: bool,
    /// It is in the shard's list of blocked connections.
    pub is_listed: bool,
    /// Since when its replies exceed the soft output limit, in Unix milliseconds.
    pub over_soft_limit_ms: Option<u64>,
}

impl Connection {
    /// A new connection.
    pub fn new(id: ConnId, client: usize, parser: RequestParser) -> Self {
        Connection {
            id,
            client,
            parser,
            input: Vec::new(),
            consumed: 0,
            out: SendBuf::new(),
            spare: None,
            sending: None,
            hold: None,
            remote_holds: Vec::new(),
            places: VecDeque::new(),
            first_place: 0,
            blocked: Blocked::No,
            cold_rounds: 0,
            is_paused: false,
            is_ended: false,
            is_dirty: false,
            is_listed: false,
            over_soft_limit_ms: None,
        }
    }

    /// Where the reply to a command that runs here goes.
    #[inline]
    pub fn reply_buffer(&mut self) -> &mut SendBuf {
        if self.places.is_empty() {
            return &mut self.out;
        }
        if !matches!(self.places.back(), Some(Place::Ready(_))) {
            self.places.push_back(Place::Ready(SendBuf::new()));
        }
        match self.places.back_mut() {
            Some(Place::Ready(reply)) => reply,
            _ => unreachable!("a ready place was just made sure of"),
        }
    }

    /// Reserves a place for the reply of a command that runs on another shard.
    pub fn reserve_place(&mut self, is_silent: bool) -> u64 {
        self.places.push_back(Place::Waiting { is_silent });
        self.first_place + self.places.len() as u64 - 1
    }

    /// Fills a reserved place, and moves on what can leave now.
    pub fn fill_place(&mut self, place: u64, reply: SendBuf) {
        let index = (place - self.first_place) as usize;
        let is_silent = matches!(self.places[index], Place::Waiting { is_silent: true });
        self.places[index] = Place::Ready(if is_silent { SendBuf::new() } else { reply });
        while let Some(Place::Ready(_)) = self.places.front() {
            if let Some(Place::Ready(mut reply)) = self.places.pop_front() {
                self.out.append(&mut reply);
            }
            self.first_place += 1;
        }
    }

    /// Whether the replies so far wait for a log to become durable.
    pub fn is_held(&self) -> bool {
        self.hold.is_some() || !self.remote_holds.is_empty()
    }

    /// Whether commands of this connection still run on other shards.
    pub fn is_waiting(&self) -> bool {
        !self.places.is_empty()
    }

    /// Bytes of replies that were not sent yet.
    pub fn output_bytes(&self) -> usize {
        let ready = self.places.iter().map(|place| match place {
            Place::Waiting { .. } => 0,
            Place::Ready(reply) => reply.len(),
        });
        self.out.len() + self.sending.unwrap_or(0) + ready.sum::<usize>()
    }

    /// Takes the replies to be sent and leaves an empty buffer in their place.
    pub fn take_output(&mut self) -> SendBuf {
        let next = self.spare.take().unwrap_or_default();
        std::mem::replace(&mut self.out, next)
    }

    /// Takes back the buffer of a finished send.
    pub fn sent(&mut self, buf: SendBuf) {
        self.sending = None;
        if self.out.is_empty() && self.out.capacity() < buf.capacity() {
            self.out = buf;
        } else {
            self.spare = Some(buf);
        }
    }

    /// Forgets executed input. Memory beyond an ordinary command's is given back.
    pub fn settle_input(&mut self) {
        if self.consumed == self.input.len() {
            self.input.clear();
            if self.input.capacity() > IDLE_INPUT_BYTES {
                self.input = Vec::new();
            }
            self.consumed = 0;
        } else if self.consumed > self.input.len() / 2 {
            // Moving less than was consumed keeps the work linear, whatever is left each time.
            self.input.drain(..self.consumed);
            self.consumed = 0;
        }
    }
}
