//! A connection as commands see it: its session and what CLIENT LIST shows.
//!
//! Not the socket and not the buffers: those are the shard's (`connection.rs`).

use std::fmt::Write;

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

    /// The client's line of CLIENT LIST and CLIENT INFO, without a line break, in Redis's format.
    ///
    /// Fields of what does not exist here (a file descriptor that commands may know, memory kept
    /// for arguments) say so by 0 or -1.
    pub fn describe(&self, now_ms: u64) -> String {
        let seconds_since = |past_ms: u64| now_ms.saturating_sub(past_ms) / 1000;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut line = String::with_capacity(400);
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={} db={} sub=0 psub=0 \
             ssub=0 multi=-1 qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll=0 \
             omem={} tot-mem={} events=r cmd={} user=default redir=-1 resp={} lib-name={} \
             lib-ver={}",
            self.id,
            self.address,
            self.local_address,
            text(&self.name),
            seconds_since(self.created_ms),
            seconds_since(self.active_ms),
            self.flag_letters(),
            self.db,
            self.query_buffer_bytes,
            self.output_buffer_bytes,
            self.output_buffer_bytes,
            self.memory_bytes(),
            if self.last_command.is_empty() {
                "NULL"
            } else {
                self.last_command
            },
            match self.protocol {
                Protocol::Resp2 => 2,
                Protocol::Resp3 => 3,
            },
            text(&self.library),
            text(&self.library_version),
        );
        line
    }

    /// Memory that the session and its buffers take, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let words = self.name.len()
            + self.library.len()
            + self.library_version.len()
            + self.address.len()
            + self.local_address.len();
        size_of::<Client>() + words + self.query_buffer_bytes + self.output_buffer_bytes
    }

    /// Whether `bytes` may stand in a line of CLIENT LIST: printable ASCII without spaces. The
    /// empty word may.
    pub fn is_word(bytes: &[u8]) -> bool {
        bytes.iter().all(u8::is_ascii_graphic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_described_in_the_fields_of_redis_in_their_order() {
        let client = Client {
            id: 7,
            address: "127.0.0.1:5000".into(),
            local_address: "127.0.0.1:6379".into(),
            name: b"me".to_vec(),
            created_ms: 1_000,
            active_ms: 3_000,
            last_command: "client|list",
            ..Client::default()
        };
        let line = client.describe(5_500);
        let names: Vec<&str> = line
            .split(' ')
            .map(|word| word.split('=').next().unwrap_or_default())
            .collect();
        let want = "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free \
                    argv-mem multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp \
                    lib-name lib-ver";
        assert_eq!(names.join(" "), want);
        assert!(line.starts_with("id=7 addr=127.0.0.1:5000 laddr=127.0.0.1:6379 fd=-1 name=me"));
        assert!(line.contains(" age=4 idle=2 flags=N db=0 "));
        assert!(line.contains(" cmd=client|list user=default redir=-1 resp=2 lib-name= "));
    }

    #[test]
    fn words_have_no_spaces_and_no_line_ends() {
        assert!(Client::is_word(b"a-b_c") && Client::is_word(b""));
        for bad in [&b"a b"[..], b"a\n", b"\x80", b"\x7f"] {
            assert!(!Client::is_word(bad));
        }
    }
}
