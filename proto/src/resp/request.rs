//! Requests: finds the commands in the bytes that a client sent.
//!
//! Not a reader of sockets: the caller owns the receive buffer, keeps the bytes of an unfinished
//! command and calls again when more came. Not a judge of commands either: names and arity are the
//! command table's.
//!
//! The rule kept: the work is linear in the bytes received, however they are cut into pieces.
//! Nearly all commands are whole when first seen and take the short path: headers of up to three
//! digits, read at fixed places, with no search for a line's end. A command that is not whole
//! leaves its progress (arguments found, arguments missing, bytes searched) in the parser, so that
//! neither a million arguments nor a value of 512 MiB in small pieces is looked at twice. A
//! declared length allocates nothing.
//!
//! As in Redis, the two bytes after an argument and the line feed of a header are skipped unread.

use memchr::memchr;

use super::argv::{Argv, Span};
use super::error::ProtocolError;
use super::inline;
use super::integer::parse_i64;

/// Longest header or inline command without a line end.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Most arguments of a command, as in Redis 7: what a C `int` holds.
const ARGS_MAX: u32 = i32::MAX as u32;
/// Most arguments of a command before authentication.
const UNAUTHENTICATED_ARGS_MAX: u32 = 10;
/// Longest argument before authentication.
const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 * 1024;
/// `proto-max-bulk-len` when nothing else is configured.
const BULK_BYTES_MAX_DEFAULT: usize = 512 * 1024 * 1024;
/// Redis accepts no smaller `proto-max-bulk-len`; the short path, which checks no limit, needs that.
const BULK_BYTES_MAX_LEAST: usize = 1024 * 1024;

/// Bytes that must be there for the short path to look at a header.
const SHORT_HEADER_BYTES: usize = 6;

/// What one call of [`RequestParser::parse`] found at the start of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A command; its arguments, at least one, are in the [`Argv`].
    Complete {
        /// Bytes of the buffer that the command occupied.
        consumed: usize,
    },
    /// A blank line, `*0` or a negative count: no command and no reply, as in Redis.
    Skipped {
        /// Bytes of the buffer to drop.
        consumed: usize,
    },
    /// The buffer ends within a command.
    Incomplete {
        /// Bytes, counted from the start of the buffer, without which calling again is futile; 0
        /// when not known. Lets the caller size its buffer for a large value. It is the client's
        /// claim, up to `proto-max-bulk-len`: reserve accordingly.
        need: usize,
    },
}

/// One connection's request parser. 80 bytes, and no heap memory between commands.
///
/// ```
/// use causet_proto::resp::{Argv, Parsed, RequestParser};
///
/// let mut parser = RequestParser::new();
/// let mut argv = Argv::new();
/// let buf = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n";
/// let Ok(Parsed::Complete { consumed }) = parser.parse(buf, &mut argv) else { panic!() };
/// assert_eq!(argv.get(buf, 1), Some(&b"a"[..]));
/// let Ok(Parsed::Complete { .. }) = parser.parse(&buf[consumed..], &mut argv) else { panic!() };
/// assert_eq!(argv.get(&buf[consumed..], 0), Some(&b"PING"[..]));
/// ```
#[derive(Debug)]
pub struct RequestParser {
    bulk_bytes_max: usize,
    is_authenticated: bool,
    /// Arguments still to come; 0 means that no command's count has been read.
    args_left: u32,
    /// Start of the first header not yet understood.
    cursor: usize,
    /// Bytes from `cursor` on that are known to hold no line end.
    scanned: usize,
    /// See [`Parsed::Incomplete`].
    need: usize,
    /// Arguments of the unfinished command.
    spans: Vec<Span>,
}

impl Default for RequestParser {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestParser {
    /// A parser for an authenticated connection, with Redis's default limits.
    pub const fn new() -> Self {
        Self {
            bulk_bytes_max: BULK_BYTES_MAX_DEFAULT,
            is_authenticated: true,
            args_left: 0,
            cursor: 0,
            scanned: 0,
            need: 0,
            spans: Vec::new(),
        }
    }

    /// Sets `proto-max-bulk-len`, from the next header on. Values below 1 MiB count as 1 MiB, the
    /// least that Redis accepts.
    pub fn set_bulk_bytes_max(&mut self, bytes: usize) {
        // The upper bound keeps sums of a position and a length from overflowing.
        self.bulk_bytes_max = bytes.clamp(BULK_BYTES_MAX_LEAST, usize::MAX / 4);
    }

    /// Says whether the client has authenticated. Until then a command may have 10 arguments of
    /// 16 KiB, so that a stranger cannot make the server hold much.
    ///
    /// The limits are applied while parsing: whoever parses ahead of execution must, on a
    /// connection that is not authenticated, execute each command before parsing the next.
    pub fn set_authenticated(&mut self, is_authenticated: bool) {
        self.is_authenticated = is_authenticated;
    }

    /// Forgets an unfinished command, as when the connection's buffer is thrown away. The limits
    /// stay.
    pub fn reset(&mut self) {
        self.args_left = 0;
        self.cursor = 0;
        self.scanned = 0;
        self.need = 0;
        self.spans = Vec::new();
    }

    /// The last call ended within a command: its bytes must be kept.
    pub fn is_mid_command(&self) -> bool {
        self.cursor > 0 || self.scanned > 0
    }

    /// Parses the command at the start of `buf`, replacing what `argv` held.
    ///
    /// After [`Parsed::Incomplete`] the next call must get the same bytes with more behind them;
    /// any `argv` will do. After [`Parsed::Complete`] and [`Parsed::Skipped`] it must get what
    /// follows the consumed bytes.
    ///
    /// # Errors
    /// A [`ProtocolError`] where Redis would send one and close; the parser is of no use then until
    /// [`RequestParser::reset`].
    ///
    /// # Panics
    /// When bytes of an unfinished command were taken away since the last call.
    ///
    /// # Cost
    /// O(bytes that are new since the last call); a 3-argument command is some tens of
    /// nanoseconds. Nothing is copied, except the arguments of an inline command.
    #[inline]
    pub fn parse(&mut self, buf: &[u8], argv: &mut Argv) -> Result<Parsed, ProtocolError> {
        argv.clear();
        if self.is_mid_command() {
            return self.resume(buf, argv);
        }
        match short_header(buf, b'*') {
            Some((count @ 1.., header))
                if count <= UNAUTHENTICATED_ARGS_MAX || self.is_authenticated =>
            {
                self.arguments(buf, argv, header, count)
            }
            _ => self.start(buf, argv),
        }
    }

    /// Continues a command whose beginning an earlier call has seen.
    #[cold]
    fn resume(&mut self, buf: &[u8], argv: &mut Argv) -> Result<Parsed, ProtocolError> {
        if buf.len() < self.need {
            return Ok(Parsed::Incomplete { need: self.need });
        }
        if self.args_left == 0 {
            return self.start(buf, argv);
        }
        debug_assert!(
            buf.len() >= self.cursor,
            "the bytes of an unfinished command are kept"
        );
        if self.scanned < SHORT_HEADER_BYTES {
            // The short path may now read this header, and would leave the count to the next one.
            self.scanned = 0;
        }
        argv.spans = std::mem::take(&mut self.spans);
        self.arguments(buf, argv, self.cursor, self.args_left)
    }

    /// The first line of a command, when the short path does not know its form.
    #[cold]
    fn start(&mut self, buf: &[u8], argv: &mut Argv) -> Result<Parsed, ProtocolError> {
        match buf.first() {
            None => return Ok(Parsed::Incomplete { need: 0 }),
            Some(b'*') => {}
            Some(_) => return self.inline(buf, argv),
        }
        let Some((line, header)) = self.line(buf, b'\r', ProtocolError::MultibulkLine)? else {
            return Ok(Parsed::Incomplete { need: 0 });
        };
        let count = parse_i64(&line[1..])
            .filter(|&count| count <= i64::from(ARGS_MAX))
            .ok_or(ProtocolError::MultibulkLength)?;
        if count <= 0 {
            return Ok(Parsed::Skipped { consumed: header });
        }
        let count = count as u32; // 1..=ARGS_MAX
        if count > UNAUTHENTICATED_ARGS_MAX && !self.is_authenticated {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        self.arguments(buf, argv, header, count)
    }

    /// Reads `left` arguments from position `cursor` on, behind those that `argv` holds.
    #[inline]
    fn arguments(
        &mut self,
        buf: &[u8],
        argv: &mut Argv,
        mut cursor: usize,
        mut left: u32,
    ) -> Result<Parsed, ProtocolError> {
        debug_assert!(left > 0);
        while left > 0 {
            let (bytes, header) = match short_header(&buf[cursor..], b'$') {
                Some((bytes, header)) => (bytes as usize, header),
                None => {
                    self.cursor = cursor;
                    match self.bulk_header(buf)? {
                        Some(long) => long,
                        None => return Ok(self.suspend(argv, cursor, left, 0)),
                    }
                }
            };
            let start = cursor + header;
            let end = start + bytes + 2;
            if end > buf.len() {
                return Ok(self.suspend(argv, cursor, left, end));
            }
            argv.push(start, bytes);
            cursor = end;
            left -= 1;
        }
        self.cursor = 0;
        self.args_left = 0;
        self.need = 0;
        Ok(Parsed::Complete { consumed: cursor })
    }

    /// Keeps the progress of an unfinished command.
    #[cold]
    fn suspend(&mut self, argv: &mut Argv, cursor: usize, left: u32, need: usize) -> Parsed {
        self.spans = std::mem::take(&mut argv.spans);
        self.cursor = cursor;
        self.args_left = left;
        self.need = need;
        Parsed::Incomplete { need }
    }

    /// The `$` header at the cursor: the argument's length and the header's own. `None`: not whole.
    #[cold]
    fn bulk_header(&mut self, buf: &[u8]) -> Result<Option<(usize, usize)>, ProtocolError> {
        let Some((line, header)) = self.line(buf, b'\r', ProtocolError::BulkLine)? else {
            return Ok(None);
        };
        // An empty line is a lone CR, which Redis then takes for the marker.
        let (marker, digits) = line.split_first().unwrap_or((&b'\r', &[]));
        if *marker != b'$' {
            return Err(ProtocolError::ExpectedDollar(*marker));
        }
        let bytes = parse_i64(digits)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .filter(|&bytes| bytes <= self.bulk_bytes_max)
            .ok_or(ProtocolError::BulkLength)?;
        if bytes > UNAUTHENTICATED_BULK_BYTES_MAX && !self.is_authenticated {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        Ok(Some((bytes, header)))
    }

    #[cold]
    fn inline(&mut self, buf: &[u8], argv: &mut Argv) -> Result<Parsed, ProtocolError> {
        let Some((line, consumed)) = self.line(buf, b'\n', ProtocolError::InlineLine)? else {
            return Ok(Parsed::Incomplete { need: 0 });
        };
        inline::split(line, argv)?;
        Ok(if argv.is_empty() {
            Parsed::Skipped { consumed }
        } else {
            Parsed::Complete { consumed }
        })
    }

    /// The line at the cursor, up to `end`, and the bytes to its successor. `None`: not whole.
    ///
    /// With CR as `end`, the byte behind it belongs to the line as well.
    fn line<'a>(
        &mut self,
        buf: &'a [u8],
        end: u8,
        too_long: ProtocolError,
    ) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
        let rest = &buf[self.cursor..];
        // Redis looks for the end in all that it has read, so that its limit depends on how the
        // bytes arrived; this one does not.
        let window = &rest[..rest.len().min(LINE_BYTES_MAX + 1)];
        let Some(found) = memchr(end, &window[self.scanned..]) else {
            if window.len() > LINE_BYTES_MAX {
                return Err(too_long);
            }
            self.scanned = window.len();
            return Ok(None);
        };
        let line_bytes = self.scanned + found;
        let line_whole = line_bytes + if end == b'\r' { 2 } else { 1 };
        if rest.len() < line_whole {
            self.scanned = line_bytes;
            return Ok(None);
        }
        self.scanned = 0;
        Ok(Some((&rest[..line_bytes], line_whole)))
    }
}

/// The number of a header line `<marker>D\r\n`, `<marker>DD\r\n` or `<marker>DDD\r\n`, and the
/// line's length. `None` for anything else, leading zeros and fewer than 6 bytes included: the
/// general path decides about those. (No whole argument is shorter than 6 bytes.)
#[inline(always)]
fn short_header(bytes: &[u8], marker: u8) -> Option<(u32, usize)> {
    let &[first, a, b, c, d, _] = bytes.first_chunk::<SHORT_HEADER_BYTES>()?;
    let (a, b_digit, c_digit) = (digit(a), digit(b), digit(c));
    if first != marker || a > 9 {
        return None;
    }
    if b == b'\r' {
        return Some((a, 4));
    }
    if a == 0 || b_digit > 9 {
        return None;
    }
    if c == b'\r' {
        return Some((a * 10 + b_digit, 5));
    }
    if c_digit > 9 || d != b'\r' {
        return None;
    }
    Some((a * 100 + b_digit * 10 + c_digit, 6))
}

/// A digit's value; above 9 for every other byte.
#[inline(always)]
fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0'))
}

/// Appends a command in the form that clients send: an array of bulk strings.
///
/// ```
/// let mut out = Vec::new();
/// causet_proto::resp::write_request(&mut out, &["GET", "a"]);
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
/// ```
pub fn write_request(out: &mut Vec<u8>, args: &[impl AsRef<[u8]>]) {
    let mut reply = super::Reply::new(out, super::Protocol::Resp2);
    reply.array(args.len());
    for arg in args {
        reply.bulk(arg.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a connection saw: its commands, and the error that ended it, if any.
    type Outcome = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

    /// Feeds the pieces as a connection would: unfinished bytes are kept, what is consumed leaves.
    fn outcome<'a>(
        mut parser: RequestParser,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Outcome {
        let (mut argv, mut buf, mut commands) = (Argv::new(), Vec::new(), Vec::new());
        for piece in pieces {
            buf.extend_from_slice(piece);
            let mut at = 0;
            loop {
                match parser.parse(&buf[at..], &mut argv) {
                    Ok(Parsed::Complete { consumed }) => {
                        let args = argv.args(&buf[at..]);
                        commands.push(args.iter().map(<[u8]>::to_vec).collect());
                        at += consumed;
                    }
                    Ok(Parsed::Skipped { consumed }) => at += consumed,
                    Ok(Parsed::Incomplete { need }) => {
                        assert!(need == 0 || need > buf.len() - at);
                        break;
                    }
                    Err(error) => return (commands, Some(error)),
                }
            }
            buf.drain(..at);
            assert_eq!(parser.is_mid_command(), !buf.is_empty());
        }
        (commands, None)
    }

    fn whole(bytes: &[u8]) -> Outcome {
        outcome(RequestParser::new(), [bytes])
    }

    fn unauthenticated() -> RequestParser {
        let mut parser = RequestParser::new();
        parser.set_authenticated(false);
        parser
    }

    fn encoded(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let mut out = Vec::new();
        write_request(&mut out, args);
        out
    }

    #[track_caller]
    fn assert_commands(bytes: &[u8], expected: &[&[&[u8]]]) {
        assert_eq!(whole(bytes).1, None);
        assert_eq!(whole(bytes).0, expected);
        let one_by_one = outcome(RequestParser::new(), bytes.chunks(1));
        assert_eq!(one_by_one, whole(bytes));
    }

    #[track_caller]
    fn assert_error(bytes: &[u8], expected: ProtocolError) {
        assert_eq!(
            whole(bytes),
            (Vec::new(), Some(expected)),
            "{}",
            bytes.escape_ascii()
        );
        let one_by_one = outcome(RequestParser::new(), bytes.chunks(1));
        assert_eq!(one_by_one, whole(bytes));
    }

    const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

    #[test]
    fn a_pipeline_is_parsed_command_by_command() {
        assert_commands(
            b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$0\r\n\r\nPING x\r\n*3\r\n$3\r\nSET\r\n$10\r\n0123456789\r\n$3\r\n\r\n\0\r\n",
            &[
                &[b"GET", b"a"],
                &[b""],
                &[b"PING", b"x"],
                &[b"SET", b"0123456789", b"\r\n\0"],
            ],
        );
    }

    #[test]
    fn arguments_of_every_header_length() {
        for bytes in [0, 1, 9, 10, 99, 100, 999, 1000, 9999, 100_000] {
            let value = vec![b'v'; bytes];
            let request = encoded(&[b"SET", &b"k"[..], &value]);
            assert_eq!(whole(&request).0, [[b"SET", &b"k"[..], &value]]);
        }
        for count in [1, 9, 10, 11, 99, 100, 999, 1000, 10_000] {
            let args = vec![b"arg"; count];
            assert_eq!(whole(&encoded(&args)).0, [args]);
        }
    }

    #[test]
    fn what_is_no_command_is_skipped() {
        for nothing in [
            &b"*0\r\n"[..],
            b"*-1\r\n",
            b"*-9223372036854775808\r\n",
            b"\r\n",
            b"\n",
            b"  \t\r\n",
        ] {
            assert_commands(&[nothing, PING].concat(), &[&[b"PING"]]);
            let mut argv = Argv::new();
            let parsed = RequestParser::new().parse(nothing, &mut argv);
            let consumed = nothing.len();
            assert_eq!(parsed, Ok(Parsed::Skipped { consumed }));
            assert!(argv.is_empty());
        }
    }

    #[test]
    fn line_ends_are_as_lenient_as_redis() {
        assert_commands(b"*1\rX$4\rXPINGxx", &[&[b"PING"]]);
        assert_commands(b"PING\n", &[&[b"PING"]]);
        assert_commands(b"PING\r\r\n", &[&[b"PING"]]);
    }

    #[test]
    fn malformed_headers_get_the_texts_of_redis() {
        for header in [
            "*",
            "*01",
            "*+1",
            "*-0",
            "* 1",
            "*1a",
            "*2147483648",
            "*9223372036854775808",
        ] {
            assert_error(
                format!("{header}\r\n").as_bytes(),
                ProtocolError::MultibulkLength,
            );
        }
        for header in [
            "$",
            "$04",
            "$+4",
            "$-1",
            "$-0",
            "$ 4",
            "$4a",
            "$536870913",
            "$99999999999999999999",
        ] {
            assert_error(
                format!("*1\r\n{header}\r\n").as_bytes(),
                ProtocolError::BulkLength,
            );
        }
        for got in [b':', b'P', 0, 0xff, b'\'', b'\r'] {
            let request = [b"*1\r\n", &[got][..], b"\r\n"].concat();
            assert_error(&request, ProtocolError::ExpectedDollar(got));
        }
        assert_error(
            b"*2\r\n$1\r\na\r\nb\r\n",
            ProtocolError::ExpectedDollar(b'b'),
        );
        assert_error(b"*1\n$4\r\nPING\r\n", ProtocolError::MultibulkLength);
        assert_error(b"GET \"a\r\n", ProtocolError::UnbalancedQuotes);
    }

    #[test]
    fn lines_are_bounded_however_they_arrive() {
        for (start, error) in [
            (&b"*"[..], ProtocolError::MultibulkLine),
            (b"*1\r\n$", ProtocolError::BulkLine),
            (b"a", ProtocolError::InlineLine),
        ] {
            // The marker is part of the line.
            let fitting = [start, &b"1".repeat(LINE_BYTES_MAX - 1)].concat();
            assert_eq!(whole(&fitting), (Vec::new(), None));
            assert_error(&[&fitting, &b"1"[..]].concat(), error);
            assert_error(&[&fitting, &b"1111\r\n"[..]].concat(), error);
        }
        let longest = b"a".repeat(LINE_BYTES_MAX);
        assert_commands(&[&longest, &b"\n"[..]].concat(), &[&[&longest]]);
    }

    #[test]
    fn strangers_may_send_little() {
        let of = |bytes: &[u8]| outcome(unauthenticated(), [bytes]);
        assert_eq!(
            of(&encoded(&["a"; 10])).0,
            [["a"; 10].map(|arg| arg.as_bytes().to_vec())]
        );
        for count in [11, 999, 1000] {
            let error = of(&encoded(&vec!["a"; count])).1;
            assert_eq!(error, Some(ProtocolError::UnauthenticatedMultibulkLength));
        }
        assert_eq!(
            of(b"*2147483648\r\n").1,
            Some(ProtocolError::MultibulkLength)
        );
        assert_eq!(of(b"*1\r\n$16384\r\n").1, None);
        assert_eq!(
            of(b"*1\r\n$16385\r\n").1,
            Some(ProtocolError::UnauthenticatedBulkLength)
        );
        assert_eq!(
            of(b"*1\r\n$536870913\r\n").1,
            Some(ProtocolError::BulkLength)
        );
    }

    #[test]
    fn the_bulk_limit_is_configurable_from_1_mib_on() {
        let mut parser = RequestParser::new();
        let mut argv = Argv::new();
        parser.set_bulk_bytes_max(1);
        let need = 4 + 10 + (1 << 20) + 2;
        let parsed = parser.parse(b"*1\r\n$1048576\r\n", &mut argv);
        assert_eq!(parsed, Ok(Parsed::Incomplete { need }));
        parser.reset();
        let parsed = parser.parse(b"*1\r\n$1048577\r\n", &mut argv);
        assert_eq!(parsed, Err(ProtocolError::BulkLength));
        parser.reset();
        parser.set_bulk_bytes_max(usize::MAX);
        let parsed = parser.parse(b"*1\r\n$9223372036854775807\r\n", &mut argv);
        assert_eq!(parsed, Err(ProtocolError::BulkLength));
    }

    #[test]
    fn declared_sizes_allocate_nothing() {
        let mut parser = RequestParser::new();
        let mut argv = Argv::new();
        let buf = b"*2147483647\r\n$1\r\na\r\n$536870912\r\n";
        let need = buf.len() + (512 << 20) + 2;
        assert_eq!(
            parser.parse(buf, &mut argv),
            Ok(Parsed::Incomplete { need })
        );
        assert!(parser.spans.capacity() < 16);
        assert_eq!(argv.spans.capacity(), 0);
    }

    #[test]
    fn a_million_arguments_in_small_pieces_cost_linear_time() {
        let args = vec!["k"; 1_000_000];
        let request = encoded(&args);
        let mut parser = RequestParser::new();
        let mut argv = Argv::new();
        // Quadratic work would be 10^10 steps and more; the test would not end.
        for end in (100..request.len()).step_by(100) {
            let parsed = parser.parse(&request[..end], &mut argv);
            assert!(matches!(parsed, Ok(Parsed::Incomplete { .. })));
        }
        let consumed = request.len();
        assert_eq!(
            parser.parse(&request, &mut argv),
            Ok(Parsed::Complete { consumed })
        );
        assert_eq!(argv.len(), args.len());
        assert_eq!(parser.spans.capacity(), 0);
    }

    #[test]
    fn reset_forgets_the_unfinished_command() {
        let mut parser = unauthenticated();
        let mut argv = Argv::new();
        let _ = parser.parse(b"*3\r\n$1\r\na\r\n$20000", &mut argv);
        assert!(parser.is_mid_command());
        parser.reset();
        assert!(!parser.is_mid_command());
        let consumed = PING.len();
        assert_eq!(
            parser.parse(PING, &mut argv),
            Ok(Parsed::Complete { consumed })
        );
        assert_eq!(argv.get(PING, 0), Some(&b"PING"[..]));
        assert_eq!(outcome(parser, [&encoded(&["a"; 11])[..]]).0.len(), 0);
    }

    #[test]
    fn the_parser_is_small() {
        assert!(size_of::<RequestParser>() <= 80);
    }

    /// Cuts `bytes` at the given places, wherever those lie.
    fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
        let mut places: Vec<_> = places
            .iter()
            .map(|place| place % (bytes.len() + 1))
            .collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        places
            .windows(2)
            .map(|pair| &bytes[pair[0]..pair[1]])
            .collect()
    }

    /// What headers and inline commands are made of: random bytes alone would rarely get far.
    const HOSTILE_TOKENS: &[&[u8]] = &[
        b"*",
        b"$",
        b"\r\n",
        b"\r",
        b"\n",
        b"0",
        b"1",
        b"2",
        b"3",
        b"-",
        b"\"",
        b"'",
        b"\\x4",
        b" ",
        b"*1\r\n$1\r\n",
        b"\xff",
    ];

    fn argument() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            8 => proptest::collection::vec(any::<u8>(), 0..12),
            1 => proptest::collection::vec(any::<u8>(), 90..1100),
        ]
    }

    proptest! {
            #[test]
            fn commands_come_out_as_they_went_in_however_they_are_cut(
                commands in proptest::collection::vec(
                    proptest::collection::vec(argument(), 1..14), 1..5),
                places in proptest::collection::vec(any::<usize>(), 0..20),
            ) {
                let bytes: Vec<u8> = commands.iter().flat_map(|args| encoded(args)).collect();
                let cut = outcome(RequestParser::new(), cut(&bytes, &places));
                prop_assert_eq!(cut, (commands, None));
            }

            #[test]
            fn every_single_cut_gives_the_same(
                args in proptest::collection::vec(argument(), 1..5),
            ) {
                let bytes = encoded(&args);
                for place in 0..bytes.len() {
                    let cut = outcome(RequestParser::new(), [&bytes[..place], &bytes[place..]]);
                    prop_assert_eq!(&cut.0[..], std::slice::from_ref(&args));
                }
            }

            #[test]
            fn hostile_bytes_mean_the_same_however_they_are_cut(
                bytes in proptest::collection::vec(
    proptest::sample::select(HOSTILE_TOKENS),
                    0..40,
                ),
                places in proptest::collection::vec(any::<usize>(), 0..20),
                is_authenticated: bool,
            ) {
                let bytes = bytes.concat();
                let parser = || {
                    let mut parser = RequestParser::new();
                    parser.set_authenticated(is_authenticated);
                    parser
                };
                let in_pieces = outcome(parser(), cut(&bytes, &places));
                prop_assert_eq!(in_pieces, outcome(parser(), [&bytes[..]]));
            }
        }
}
