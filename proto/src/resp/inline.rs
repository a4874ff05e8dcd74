//! Inline commands: a line as a person types it into telnet, split by spaces, with quotes.
//!
//! Not the search for the line's end and not its limit, which are the request parser's.
//!
//! The rule kept: the quoting is Redis's. White space separates. `"..."` knows `\n \r \t \b \a`
//! and `\xHH`, and otherwise a backslash means the next byte; `'...'` knows only `\'`. A quote may
//! open inside a word, but after its end only white space may follow. One difference: Redis never
//! ends a line that holds a NUL; here NUL is a byte like any other.

use super::argv::Argv;
use super::error::ProtocolError;

/// Splits `line` (without its line feed) into the arguments of `argv`, which was cleared.
///
/// No argument at all (a blank line) is not an error. O(line).
pub(super) fn split(line: &[u8], argv: &mut Argv) -> Result<(), ProtocolError> {
    debug_assert!(argv.is_empty());
    argv.is_inline = true;
    argv.owned.clear();
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && is_space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let start = argv.owned.len();
        rest = word(rest, &mut argv.owned)?;
        argv.push(start, argv.owned.len() - start);
    }
}

/// Appends the word at the start of `rest` to `out` and returns what follows it.
fn word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(rest),
            [b'"', tail @ ..] => return after_quote(double_quoted(tail, out)?),
            [b'\'', tail @ ..] => return after_quote(single_quoted(tail, out)?),
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        }
    }
}

/// `"a"b` is an error and not the word `ab`: it is more likely a mistake than a wish.
fn after_quote(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest {
        [byte, ..] if !is_space(*byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, tail) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex_value(*high) << 4 | hex_value(*low), tail)
            }
            [b'\\', escaped, tail @ ..] => (unescape(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, tail) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\'', tail @ ..] => return Ok(tail),
            [b'\\', b'\'', tail @ ..] => (b'\'', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The value of a digit that was checked to be hexadecimal.
fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// C's `isspace`, which also knows the vertical tab that Rust's ASCII white space leaves out.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let mut argv = Argv::new();
        split(line, &mut argv)?;
        Ok(argv.args(b"").iter().map(<[u8]>::to_vec).collect())
    }

    #[track_caller]
    fn assert_words(line: &[u8], expected: &[&[u8]]) {
        assert_eq!(words(line).unwrap(), expected, "{}", line.escape_ascii());
    }

    #[test]
    fn white_space_separates_and_blank_lines_are_empty() {
        assert_words(b"", &[]);
        assert_words(b" \t\x0b\x0c\r ", &[]);
        assert_words(b"  SET\ta  b\r", &[b"SET", b"a", b"b"]);
        // Inside a word, only space, tab, CR and LF end it.
        assert_words(b"ECHO a\x0bb a\x0cb", &[b"ECHO", b"a\x0bb", b"a\x0cb"]);
        assert_words(b"ECHO a\rb", &[b"ECHO", b"a", b"b"]);
        assert_words(b"ECHO a\\nb \xe9\x00", &[b"ECHO", b"a\\nb", b"\xe9\x00"]);
    }

    #[test]
    fn double_quotes_unescape() {
        assert_words(br#"PING "a\x41\n\q\xzz\"""#, &[b"PING", b"aA\nqxzz\""]);
        assert_words(br#""\r\t\b\a\\" """#, &[b"\r\t\x08\x07\\", b""]);
        assert_words(br#""\xFf\x0""#, &[b"\xffx0"]);
        assert_words(br#"a"b c""#, &[b"ab c"]);
    }

    #[test]
    fn single_quotes_are_literal_but_for_the_quote() {
        assert_words(br"PING 'a\'b\n\x41' ''", &[b"PING", br"a'b\n\x41", b""]);
    }

    #[test]
    fn open_quotes_and_words_glued_to_a_quote_are_refused() {
        for line in [
            &b"\"a"[..],
            b"'a",
            b"\"a\"b",
            b"'a'b",
            b"\"a\\\"",
            b"\"a\\",
            b"'a\\'",
            b"a \"",
        ] {
            assert_eq!(words(line), Err(ProtocolError::UnbalancedQuotes));
        }
        assert_words(b"\"a\"\x0bb", &[b"a", b"b"]);
    }
}
