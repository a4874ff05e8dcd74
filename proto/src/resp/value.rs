//! Replies as a client reads them: bytes to [`Value`]s, for the load generator and the tests.
//!
//! Not for the server, which never parses replies; so values are owned, and clarity comes first.
//!
//! The rule kept: nesting costs heap and not stack, and is bounded; lengths that a peer declares
//! allocate nothing until the elements come. Streamed strings and aggregates (RESP3's `$?`) are
//! refused, as no Redis sends them.

use memchr::memchr;
use thiserror::Error;

use super::double::parse_double;
use super::integer::parse_i64;

/// Aggregates within aggregates, beyond which a reply is refused. Redis's own replies nest below 10.
const DEPTH_MAX: usize = 128;
/// Longest line: a simple string, an error, a number or a length.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Elements for which room is made when an aggregate begins, whatever length it declares.
const RESERVED_ELEMENTS_MAX: usize = 64;

/// One reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+text`
    Simple(Vec<u8>),
    /// `-CODE text` or RESP3's `!`
    Error(Vec<u8>),
    /// `:1`
    Integer(i64),
    /// `$` string
    Bulk(Vec<u8>),
    /// RESP2's `$-1` and RESP3's `_`
    Null,
    /// RESP2's `*-1`
    NullArray,
    /// `*`
    Array(Vec<Value>),
    /// `%`: pairs in the order sent
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`: not an answer to a request
    Push(Vec<Value>),
    /// `,`
    Double(f64),
    /// `#t` and `#f`
    Bool(bool),
    /// `(`: decimal digits of any number
    BigNumber(Vec<u8>),
    /// `=`: a format of three bytes, and text
    Verbatim([u8; 3], Vec<u8>),
    /// `|`: annotations, and the reply that they annotate
    Attributed(Vec<(Value, Value)>, Box<Value>),
}

/// Why bytes are not a reply. The connection's position is lost after one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// No reply begins with this byte.
    #[error("no reply begins with byte {0:#04x}")]
    Marker(u8),
    /// A length is malformed or out of range.
    #[error("invalid length of a string or an aggregate")]
    Length,
    /// An integer, double, boolean or null is malformed.
    #[error("malformed number, boolean or null")]
    Scalar,
    /// A verbatim string has no three-byte format before its text.
    #[error("verbatim string without its format")]
    Verbatim,
    /// A string is not followed by CR LF.
    #[error("a line or string does not end with CR LF")]
    Terminator,
    /// A line is longer than 1 MiB.
    #[error("a line is longer than 1 MiB")]
    Line,
    /// More than 128 aggregates within each other.
    #[error("more than 128 aggregates within each other")]
    Depth,
}

/// What one call of [`ReplyParser::parse`] achieved.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Bytes understood, to be dropped from the buffer even when no value is whole yet.
    pub consumed: usize,
    /// The next reply; `None` until more bytes come.
    pub value: Option<Value>,
}

/// An incremental reply parser for one connection.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// Unfinished aggregates, the outermost first.
    frames: Vec<Frame>,
    /// Bytes at the start of the buffer known to hold no line end.
    scanned: usize,
}

#[derive(Debug)]
struct Frame {
    kind: Kind,
    elements: Vec<Value>,
    /// Elements to come, at least one.
    left: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Array,
    Map,
    Set,
    Push,
    Attribute,
}

/// What the front of the buffer holds.
enum Token {
    Value(Value),
    Header { kind: Kind, elements: usize },
}

impl ReplyParser {
    /// A parser at the start of a reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads from the start of `buf` until one reply is whole or the bytes end.
    ///
    /// The caller drops [`Step::consumed`] bytes in either case, and gives the rest, with what came
    /// behind it, to the next call. O(bytes consumed), plus O(1) for an unfinished string.
    ///
    /// # Errors
    /// A [`ReplyError`] when the bytes are no reply; the parser is of no use then.
    pub fn parse(&mut self, buf: &[u8]) -> Result<Step, ReplyError> {
        let mut consumed = 0;
        while let Some((token, bytes)) = self.token(&buf[consumed..])? {
            consumed += bytes;
            let finished = match token {
                Token::Value(value) => self.complete(value),
                Token::Header { kind, elements: 0 } => self.complete(kind.build(Vec::new())),
                Token::Header { kind, elements } => {
                    self.open(kind, elements)?;
                    None
                }
            };
            if finished.is_some() {
                return Ok(Step {
                    consumed,
                    value: finished,
                });
            }
        }
        Ok(Step {
            consumed,
            value: None,
        })
    }

    fn open(&mut self, kind: Kind, elements: usize) -> Result<(), ReplyError> {
        if self.frames.len() == DEPTH_MAX {
            return Err(ReplyError::Depth);
        }
        self.frames.push(Frame {
            kind,
            elements: Vec::with_capacity(elements.min(RESERVED_ELEMENTS_MAX)),
            left: elements,
        });
        Ok(())
    }

    /// Puts a whole value into the innermost aggregate, and that, if it is whole now, into the next
    /// one. Returns the reply when the outermost is whole.
    fn complete(&mut self, mut value: Value) -> Option<Value> {
        while let Some(mut frame) = self.frames.pop() {
            frame.elements.push(value);
            frame.left -= 1;
            if frame.left > 0 {
                self.frames.push(frame);
                return None;
            }
            value = frame.kind.build(frame.elements);
        }
        Some(value)
    }

    /// The scalar or aggregate header at the start of `buf`, and its length. `None`: not whole.
    fn token(&mut self, buf: &[u8]) -> Result<Option<(Token, usize)>, ReplyError> {
        let Some((line, header)) = self.line(buf)? else {
            return Ok(None);
        };
        let (&marker, text) = line.split_first().ok_or(ReplyError::Marker(b'\r'))?;
        let value = match marker {
            b'+' => Value::Simple(text.to_vec()),
            b'-' => Value::Error(text.to_vec()),
            b':' => Value::Integer(parse_i64(text).ok_or(ReplyError::Scalar)?),
            b',' => Value::Double(double(text).ok_or(ReplyError::Scalar)?),
            b'(' => Value::BigNumber(big_number(text).ok_or(ReplyError::Scalar)?),
            b'#' => match text {
                b"t" => Value::Bool(true),
                b"f" => Value::Bool(false),
                _ => return Err(ReplyError::Scalar),
            },
            b'_' if text.is_empty() => Value::Null,
            b'_' => return Err(ReplyError::Scalar),
            b'$' if text == b"-1" => Value::Null,
            b'*' if text == b"-1" => Value::NullArray,
            b'$' | b'!' | b'=' => {
                let bytes = length(text)?;
                let Some(rest) = buf.get(header..).filter(|rest| rest.len() >= bytes + 2) else {
                    return Ok(None);
                };
                if &rest[bytes..bytes + 2] != b"\r\n" {
                    return Err(ReplyError::Terminator);
                }
                let value = string(marker, &rest[..bytes])?;
                return Ok(Some((Token::Value(value), header + bytes + 2)));
            }
            _ => {
                let kind = Kind::from_marker(marker).ok_or(ReplyError::Marker(marker))?;
                let elements = kind.elements(length(text)?).ok_or(ReplyError::Length)?;
                return Ok(Some((Token::Header { kind, elements }, header)));
            }
        };
        Ok(Some((Token::Value(value), header)))
    }

    /// The line at the start of `buf` without its end, and its length with it. `None`: not whole.
    fn line<'a>(&mut self, buf: &'a [u8]) -> Result<Option<(&'a [u8], usize)>, ReplyError> {
        let window = &buf[..buf.len().min(LINE_BYTES_MAX)];
        let searched = self.scanned.min(window.len());
        let Some(found) = memchr(b'\r', &window[searched..]) else {
            if window.len() == LINE_BYTES_MAX {
                return Err(ReplyError::Line);
            }
            self.scanned = window.len();
            return Ok(None);
        };
        let end = searched + found;
        self.scanned = end;
        match buf.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => {
                self.scanned = 0;
                Ok(Some((&buf[..end], end + 2)))
            }
            Some(_) => Err(ReplyError::Terminator),
        }
    }
}

impl Kind {
    fn from_marker(marker: u8) -> Option<Self> {
        Some(match marker {
            b'*' => Self::Array,
            b'%' => Self::Map,
            b'~' => Self::Set,
            b'>' => Self::Push,
            b'|' => Self::Attribute,
            _ => return None,
        })
    }

    /// Values that follow a header which declares `len`; an attribute's includes what it annotates.
    fn elements(self, len: usize) -> Option<usize> {
        match self {
            Self::Array | Self::Set | Self::Push => Some(len),
            Self::Map => len.checked_mul(2),
            Self::Attribute => len.checked_mul(2)?.checked_add(1),
        }
    }

    fn build(self, mut elements: Vec<Value>) -> Value {
        match self {
            Self::Array => Value::Array(elements),
            Self::Set => Value::Set(elements),
            Self::Push => Value::Push(elements),
            Self::Map => Value::Map(pairs(elements)),
            Self::Attribute => {
                let annotated = elements.pop().unwrap_or(Value::Null);
                Value::Attributed(pairs(elements), Box::new(annotated))
            }
        }
    }
}

fn pairs(elements: Vec<Value>) -> Vec<(Value, Value)> {
    let mut elements = elements.into_iter();
    std::iter::from_fn(|| elements.next().zip(elements.next())).collect()
}

fn length(text: &[u8]) -> Result<usize, ReplyError> {
    // Half of the range: sums with a position cannot overflow.
    parse_i64(text)
        .and_then(|length| usize::try_from(length).ok())
        .filter(|&length| length <= usize::MAX / 4)
        .ok_or(ReplyError::Length)
}

fn string(marker: u8, bytes: &[u8]) -> Result<Value, ReplyError> {
    match (marker, bytes) {
        (b'$', _) => Ok(Value::Bulk(bytes.to_vec())),
        (b'!', _) => Ok(Value::Error(bytes.to_vec())),
        (_, &[a, b, c, b':', ref text @ ..]) => Ok(Value::Verbatim([a, b, c], text.to_vec())),
        _ => Err(ReplyError::Verbatim),
    }
}

fn double(text: &[u8]) -> Option<f64> {
    match text {
        b"nan" | b"-nan" => Some(f64::NAN),
        _ => parse_double(text),
    }
}

fn big_number(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Protocol, Reply};
    use proptest::prelude::*;

    fn one(bytes: &[u8]) -> Result<Value, ReplyError> {
        let step = ReplyParser::new().parse(bytes)?;
        assert_eq!(step.consumed, bytes.len());
        Ok(step.value.expect("a whole reply"))
    }

    #[test]
    fn every_type_is_read() {
        for (bytes, expected) in [
            (&b"+OK\r\n"[..], Value::Simple(b"OK".to_vec())),
            (b"-ERR x\r\n", Value::Error(b"ERR x".to_vec())),
            (b"!5\r\nERR x\r\n", Value::Error(b"ERR x".to_vec())),
            (b":-12\r\n", Value::Integer(-12)),
            (b"$3\r\na\r\n\r\n", Value::Bulk(b"a\r\n".to_vec())),
            (b"$0\r\n\r\n", Value::Bulk(Vec::new())),
            (b"$-1\r\n", Value::Null),
            (b"_\r\n", Value::Null),
            (b"*-1\r\n", Value::NullArray),
            (b"*0\r\n", Value::Array(Vec::new())),
            (b",1.5\r\n", Value::Double(1.5)),
            (b",-inf\r\n", Value::Double(f64::NEG_INFINITY)),
            (b"#t\r\n", Value::Bool(true)),
            (b"(-123\r\n", Value::BigNumber(b"-123".to_vec())),
            (b"=5\r\ntxt:a\r\n", Value::Verbatim(*b"txt", b"a".to_vec())),
            (b"~1\r\n:1\r\n", Value::Set(vec![Value::Integer(1)])),
            (b">1\r\n:1\r\n", Value::Push(vec![Value::Integer(1)])),
            (
                b"*2\r\n%1\r\n+k\r\n*1\r\n:1\r\n_\r\n",
                Value::Array(vec![
                    Value::Map(vec![(
                        Value::Simple(b"k".to_vec()),
                        Value::Array(vec![Value::Integer(1)]),
                    )]),
                    Value::Null,
                ]),
            ),
            (
                b"|1\r\n+ttl\r\n:9\r\n$1\r\na\r\n",
                Value::Attributed(
                    vec![(Value::Simple(b"ttl".to_vec()), Value::Integer(9))],
                    Box::new(Value::Bulk(b"a".to_vec())),
                ),
            ),
        ] {
            assert_eq!(one(bytes).unwrap(), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn malformed_replies_are_refused() {
        for (bytes, expected) in [
            (&b"?\r\n"[..], ReplyError::Marker(b'?')),
            (b"\r\n", ReplyError::Marker(b'\r')),
            (b":1x\r\n", ReplyError::Scalar),
            (b"#x\r\n", ReplyError::Scalar),
            (b"_x\r\n", ReplyError::Scalar),
            (b"(-\r\n", ReplyError::Scalar),
            (b"$-2\r\n", ReplyError::Length),
            (b"$?\r\n", ReplyError::Length),
            (b"%9223372036854775807\r\n", ReplyError::Length),
            (b"$1\r\nabc", ReplyError::Terminator),
            (b"+a\rb\r\n", ReplyError::Terminator),
            (b"=3\r\ntxt\r\n", ReplyError::Verbatim),
        ] {
            assert_eq!(one(bytes), Err(expected), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn nesting_is_bounded_without_using_the_stack() {
        let mut parser = ReplyParser::new();
        assert_eq!(
            parser.parse(&b"*1\r\n".repeat(100_000)),
            Err(ReplyError::Depth)
        );
        let mut deepest = b"*1\r\n".repeat(DEPTH_MAX);
        deepest.extend_from_slice(b":1\r\n");
        assert!(one(&deepest).is_ok());
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        let mut parser = ReplyParser::new();
        let step = parser
            .parse(b"*4611686018427387903\r\n$4611686018427387903\r\nabc")
            .unwrap();
        assert_eq!(step.value, None);
        assert_eq!(parser.frames[0].elements.capacity(), RESERVED_ELEMENTS_MAX);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = ReplyParser::new();
        let line = vec![b'+'; LINE_BYTES_MAX];
        assert_eq!(parser.parse(&line[1..]).unwrap().consumed, 0);
        assert_eq!(parser.parse(&line), Err(ReplyError::Line));
    }

    fn value() -> impl Strategy<Value = Value> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
        let leaf = prop_oneof![
            "[a-z ]{0,20}".prop_map(|text| Value::Simple(text.into_bytes())),
            "[A-Z ]{0,20}".prop_map(|text| Value::Error(text.into_bytes())),
            any::<i64>().prop_map(Value::Integer),
            bytes().prop_map(Value::Bulk),
            Just(Value::Null),
            any::<f64>().prop_map(Value::Double),
            any::<bool>().prop_map(Value::Bool),
            "-?[0-9]{1,30}".prop_map(|digits| Value::BigNumber(digits.into_bytes())),
            (any::<[u8; 3]>(), bytes()).prop_map(|(format, text)| Value::Verbatim(format, text)),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..5);
            let map = proptest::collection::vec((inner.clone(), inner.clone()), 0..5);
            prop_oneof![
                list.clone().prop_map(Value::Array),
                list.clone().prop_map(Value::Set),
                list.prop_map(Value::Push),
                map.clone().prop_map(Value::Map),
                (map, inner).prop_map(|(map, value)| Value::Attributed(map, Box::new(value))),
            ]
        })
    }

    fn write(value: &Value, reply: &mut Reply<'_>) {
        let write_all = |values: &[Value], reply: &mut Reply<'_>| {
            values.iter().for_each(|value| write(value, reply));
        };
        let write_pairs = |pairs: &[(Value, Value)], reply: &mut Reply<'_>| {
            for (key, value) in pairs {
                write(key, reply);
                write(value, reply);
            }
        };
        match value {
            Value::Simple(text) => reply.simple(text),
            Value::Error(text) => reply.error(text),
            Value::Integer(value) => reply.integer(*value),
            Value::Bulk(bytes) => reply.bulk(bytes),
            Value::Null => reply.null(),
            Value::NullArray => reply.null_array(),
            Value::Double(value) => reply.double(*value),
            Value::Bool(value) => reply.bool(*value),
            Value::BigNumber(digits) => reply.big_number(digits),
            Value::Verbatim(format, text) => reply.verbatim(*format, text),
            Value::Array(elements) => {
                reply.array(elements.len());
                write_all(elements, reply);
            }
            Value::Set(elements) => {
                reply.set(elements.len());
                write_all(elements, reply);
            }
            Value::Push(elements) => {
                reply.push(elements.len());
                write_all(elements, reply);
            }
            Value::Map(map) => {
                reply.map(map.len());
                write_pairs(map, reply);
            }
            Value::Attributed(map, value) => {
                assert!(reply.attribute(map.len()));
                write_pairs(map, reply);
                write(value, reply);
            }
        }
    }

    proptest! {
        #[test]
        fn what_the_writer_writes_is_read_back_from_pieces_of_any_size(
            value in value(),
            piece in 1usize..20,
        ) {
            let mut bytes = Vec::new();
            write(&value, &mut Reply::new(&mut bytes, Protocol::Resp3));
            let mut parser = ReplyParser::new();
            let mut buf = Vec::new();
            let mut values = Vec::new();
            for piece in bytes.chunks(piece) {
                buf.extend_from_slice(piece);
                let step = parser.parse(&buf).unwrap();
                buf.drain(..step.consumed);
                values.extend(step.value);
            }
            prop_assert!(buf.is_empty());
            prop_assert_eq!(values, [value]);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in "([*%~>|$=!:,(#_+-][0-9a-z]{0,3}(\r\n)?){0,20}") {
            let _ = ReplyParser::new().parse(bytes.as_bytes());
        }
    }
}
