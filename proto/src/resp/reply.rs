//! Replies: appends them to a connection's output buffer, in the version that it speaks.
//!
//! Not a socket writer, and not a tree: an aggregate is its header followed by its elements, and
//! who writes a header owes as many elements.
//!
//! The rule kept: a command says what it means (a map, a double, a null) once, and the RESP2 form
//! follows here. No text can end its line early: CR and LF within become spaces, so a key's name in
//! an error cannot forge a reply.

use super::Protocol;
use super::double::format_double;

/// Whole replies that need no formatting, for [`Reply::raw`].
pub mod preformed {
    /// The reply of most writes.
    pub const OK: &[u8] = b"+OK\r\n";
    /// The reply of PING.
    pub const PONG: &[u8] = b"+PONG\r\n";
    /// The reply to a command inside MULTI.
    pub const QUEUED: &[u8] = b"+QUEUED\r\n";
    /// The integer 0.
    pub const ZERO: &[u8] = b":0\r\n";
    /// The integer 1.
    pub const ONE: &[u8] = b":1\r\n";
    /// The empty bulk string.
    pub const EMPTY_BULK: &[u8] = b"$0\r\n\r\n";
    /// The empty array.
    pub const EMPTY_ARRAY: &[u8] = b"*0\r\n";
    /// RESP2's null.
    pub const NULL_BULK: &[u8] = b"$-1\r\n";
    /// RESP2's null in place of an array.
    pub const NULL_ARRAY: &[u8] = b"*-1\r\n";
    /// RESP3's only null.
    pub const NULL: &[u8] = b"_\r\n";
}

/// Longest header: a marker, 20 digits and a line end.
const HEADER_BYTES_MAX: usize = 23;

/// Writes replies behind what `out` holds. Each method costs O(bytes written).
///
/// ```
/// use causet_proto::resp::{Protocol, Reply};
///
/// let mut out = Vec::new();
/// let mut reply = Reply::new(&mut out, Protocol::Resp2);
/// reply.map(1);
/// reply.bulk(b"proto");
/// reply.integer(2);
/// assert_eq!(out, b"*2\r\n$5\r\nproto\r\n:2\r\n");
/// ```
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The version being written, for the few replies that differ in more than form.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Appends bytes that are already a reply: one of [`preformed`], or from another shard.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(preformed::OK);
    }

    /// A simple string: `+text`. CR and LF become spaces.
    pub fn simple(&mut self, text: impl AsRef<[u8]>) {
        self.out.push(b'+');
        self.line(text.as_ref());
    }

    /// An error: `-text`, where the text begins with its code (`ERR`, `WRONGTYPE`, ...). CR and LF
    /// become spaces. Bytes are allowed, because errors quote what the client sent.
    #[cold]
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.out.push(b'-');
        self.line(text.as_ref());
    }

    /// An integer: `:value`.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.header(b':', value),
            Err(_) => self.long_header(b':', itoa::Buffer::new().format(value)),
        }
    }

    /// A bulk string: any bytes, of any length.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        // One growth instead of up to three.
        self.out.reserve(bytes.len() + HEADER_BYTES_MAX + 2);
        self.header(b'$', bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer in the form of a bulk string, as for values that happen to be numbers.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// No value: `$-1`, or `_` in RESP3.
    #[inline]
    pub fn null(&mut self) {
        self.by_protocol(preformed::NULL_BULK, preformed::NULL);
    }

    /// No array: `*-1`, or `_` in RESP3.
    #[inline]
    pub fn null_array(&mut self) {
        self.by_protocol(preformed::NULL_ARRAY, preformed::NULL);
    }

    /// The header of an array; `len` elements must follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as u64);
    }

    /// The header of a map; `len` pairs must follow, key before value. RESP2: an array of them.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len * 2),
            Protocol::Resp3 => self.header(b'%', len as u64),
        }
    }

    /// The header of a set; `len` elements must follow. RESP2: an array.
    pub fn set(&mut self, len: usize) {
        self.array_as(b'~', len);
    }

    /// The header of a push (a message that answers no command); `len` elements must follow.
    /// RESP2: an array, which only a subscribed connection may receive.
    pub fn push(&mut self, len: usize) {
        self.array_as(b'>', len);
    }

    /// The header of an attribute, which annotates the reply after it; `len` pairs must follow, if
    /// and only if this returns true. RESP2 has no attributes: nothing is written, false returned.
    #[must_use = "the pairs may follow only when this is true"]
    pub fn attribute(&mut self, len: usize) -> bool {
        match self.protocol {
            Protocol::Resp2 => false,
            Protocol::Resp3 => {
                self.header(b'|', len as u64);
                true
            }
        }
    }

    /// A floating-point number as [`format_double`] spells it. RESP2: a bulk string.
    pub fn double(&mut self, value: f64) {
        self.text_as(b',', &format_double(value));
    }

    /// An integer of any size, given as decimal digits with an optional sign. RESP2: a bulk string.
    pub fn big_number(&mut self, digits: impl AsRef<[u8]>) {
        self.text_as(b'(', digits.as_ref());
    }

    /// A truth value: `#t` or `#f`. RESP2: the integer 1 or 0.
    pub fn bool(&mut self, value: bool) {
        if value {
            self.by_protocol(preformed::ONE, b"#t\r\n");
        } else {
            self.by_protocol(preformed::ZERO, b"#f\r\n");
        }
    }

    /// Text with its format, such as `*b"txt"` or `*b"mkd"`. RESP2: a bulk string without it.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', text.len() as u64 + 4);
                self.out.extend_from_slice(&format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn array_as(&mut self, resp3_marker: u8, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len),
            Protocol::Resp3 => self.header(resp3_marker, len as u64),
        }
    }

    fn text_as(&mut self, resp3_marker: u8, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.out.push(resp3_marker);
                self.line(text);
            }
        }
    }

    #[inline]
    fn by_protocol(&mut self, resp2: &[u8], resp3: &[u8]) {
        self.raw(match self.protocol {
            Protocol::Resp2 => resp2,
            Protocol::Resp3 => resp3,
        });
    }

    /// `<marker><value>\r\n`. Up to two digits, which is nearly all headers, are one store.
    #[inline]
    fn header(&mut self, marker: u8, value: u64) {
        let digit = |value: u64| b'0' + value as u8;
        match value {
            0..10 => self.raw(&[marker, digit(value), b'\r', b'\n']),
            10..100 => {
                self.raw(&[marker, digit(value / 10), digit(value % 10), b'\r', b'\n']);
            }
            _ => self.long_header(marker, itoa::Buffer::new().format(value)),
        }
    }

    fn long_header(&mut self, marker: u8, digits: &str) {
        self.out.reserve(HEADER_BYTES_MAX);
        self.out.push(marker);
        self.out.extend_from_slice(digits.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// The rest of a line-shaped reply.
    fn line(&mut self, text: &[u8]) {
        let start = self.out.len();
        self.out.extend_from_slice(text);
        for byte in &mut self.out[start..] {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_wire(write: impl Fn(&mut Reply<'_>), resp2: &[u8], resp3: &[u8]) {
        for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
            let mut out = Vec::new();
            write(&mut Reply::new(&mut out, protocol));
            assert_eq!(
                out.escape_ascii().to_string(),
                expected.escape_ascii().to_string(),
                "{protocol:?}"
            );
        }
    }

    #[track_caller]
    fn assert_same(write: impl Fn(&mut Reply<'_>), expected: &[u8]) {
        assert_wire(write, expected, expected);
    }

    #[test]
    fn what_both_versions_share() {
        assert_same(|r| r.ok(), b"+OK\r\n");
        assert_same(|r| r.simple("string"), b"+string\r\n");
        assert_same(|r| r.error("ERR no"), b"-ERR no\r\n");
        assert_same(|r| r.array(2), b"*2\r\n");
        assert_same(|r| r.bulk(b"a\r\n\0"), b"$4\r\na\r\n\0\r\n");
        assert_same(|r| r.bulk(b""), preformed::EMPTY_BULK);
        assert_same(|r| r.bulk_integer(-12), b"$3\r\n-12\r\n");
        assert_same(|r| r.raw(preformed::PONG), b"+PONG\r\n");
    }

    #[test]
    fn headers_of_every_length() {
        for value in [
            0,
            1,
            9,
            10,
            42,
            99,
            100,
            999,
            1000,
            65_536,
            i64::MAX,
            -1,
            -10,
            i64::MIN,
        ] {
            assert_same(|r| r.integer(value), format!(":{value}\r\n").as_bytes());
        }
        for bytes in [9, 10, 99, 100, 1000, 70_000] {
            let value = vec![b'x'; bytes];
            let expected = [format!("${bytes}\r\n").as_bytes(), &value, b"\r\n"].concat();
            assert_same(|r| r.bulk(&value), &expected);
        }
    }

    #[test]
    fn what_resp2_lacks_becomes_what_it_has() {
        assert_wire(|r| r.null(), b"$-1\r\n", b"_\r\n");
        assert_wire(|r| r.null_array(), b"*-1\r\n", b"_\r\n");
        assert_wire(|r| r.map(12), b"*24\r\n", b"%12\r\n");
        assert_wire(|r| r.set(3), b"*3\r\n", b"~3\r\n");
        assert_wire(|r| r.push(3), b"*3\r\n", b">3\r\n");
        assert_wire(|r| r.double(3.5), b"$3\r\n3.5\r\n", b",3.5\r\n");
        assert_wire(
            |r| r.double(f64::NEG_INFINITY),
            b"$4\r\n-inf\r\n",
            b",-inf\r\n",
        );
        assert_wire(|r| r.bool(true), b":1\r\n", b"#t\r\n");
        assert_wire(|r| r.bool(false), b":0\r\n", b"#f\r\n");
        assert_wire(|r| r.big_number("-123"), b"$4\r\n-123\r\n", b"(-123\r\n");
        assert_wire(
            |r| r.verbatim(*b"txt", b"a\nb"),
            b"$3\r\na\nb\r\n",
            b"=7\r\ntxt:a\nb\r\n",
        );
        assert_wire(
            |r| assert_eq!(r.attribute(1), r.protocol() == Protocol::Resp3),
            b"",
            b"|1\r\n",
        );
    }

    #[test]
    fn a_text_cannot_forge_a_second_reply() {
        assert_same(|r| r.error("ERR 'a\r\n+OK'"), b"-ERR 'a  +OK'\r\n");
        assert_same(|r| r.simple(b"a\nb"), b"+a b\r\n");
        assert_wire(
            |r| r.big_number("1\r\n2"),
            b"$4\r\n1\r\n2\r\n",
            b"(1  2\r\n",
        );
    }
}
