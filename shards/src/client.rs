//! A connection as commands see it: its session and what CLIENT LIST shows.
//!
//! Not the socket and not the buffers: those are the shard's (`connection.rs`).

use causet_proto::resp::Protocol;

/// What CLIENT REPLY was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// Replies are sent.
    #[default]
    On,
    /// No reply is sent.
    Off,
    /// The reply to this command (CLIENT REPLY SKIP itself) is not sent, nor that to the next.
    SkipNext,
    /// The reply to the command that runs now is not sent.
    Skip,
}

/// One client's session.
#[derive(Debug, Default)]
pub struct Client {
    /// Unique in this process, rising.
    pub id: u64,
    /// The shard that its connection is on.
    pub shard: u16,
    /// Selected database.
    pub db: u32,
    /// RESP2 or RESP3.
    pub protocol: Protocol,
    /// Whether it may run commands other than AUTH, HELLO, QUIT, RESET.
    pub authenticated: bool,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO lib-name.
    pub library: Vec<u8>,
    /// CLIENT SETINFO lib-ver.
    pub library_version: Vec<u8>,
    /// The peer, `ip:port` or `path:0`.
    pub address: String,
    /// This end.
    pub local_address: String,
    /// Came in through the Unix socket.
    pub is_unix: bool,
    /// The peer is on this host (loopback or Unix socket).
    pub is_local: bool,
    /// Unix milliseconds of the accept.
    pub created_ms: u64,
    /// Unix milliseconds of the last command.
    pub active_ms: u64,
    /// Name of the last command.
    pub last_command: &'static str,
    /// Commands run.
    pub commands: u64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// Bytes received and not yet executed.
    pub query_buffer_bytes: usize,
    /// Bytes of replies that wait to be sent.
    pub output_buffer_bytes: usize,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// MONITOR.
    pub is_monitor: bool,
    /// Positions in other shards' logs that must be durable before the replies so far may leave.
    pub remote_holds: Vec<(u16, u64)>,
    /// The connection is closed once the replies so far are sent (QUIT, protocol errors).
    pub close_after_reply: bool,
    /// The connection is closed at once (CLIENT KILL, output limit).
    pub close_now: bool,
}

impl Client {
    /// The letters of CLIENT LIST's `flags` field.
    pub fn flag_letters(&self) -> String {
        let mut letters = String::new();
        for (is_set, letter) in [
            (self.is_monitor, 'O'),
            (self.is_unix, 'U'),
            (self.close_after_reply, 'c'),
            (self.close_now, 'A'),
            (self.no_evict, 'e'),
            (self.no_touch, 'T'),
        ] {
            if is_set {
                letters.push(letter);
            }
        }
        if letters.is_empty() {
            letters.push('N');
        }
        letters
    }
}
