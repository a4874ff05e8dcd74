//! Counts replies, and looks at nothing else in them.
//!
//! Not a codec: values are skipped, not kept. The scanner takes whatever a read returned, in pieces
//! cut anywhere, and says how many whole replies ended in it, how many of those were errors and how
//! many were empty (a null, or an aggregate of nothing: a collection that ran dry). A bulk string
//! costs its header and one subtraction; an array of n elements costs n headers.

use crate::error::{Error, Result};

/// Bytes of the first error reply that are kept for the report.
const ERROR_TEXT_BYTES_MAX: usize = 256;

/// What ended in the bytes scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whole replies, errors and empty ones included.
    pub replies: u64,
    /// Replies that are errors, or hold one.
    pub errors: u64,
    /// Replies that are null or an empty aggregate.
    pub empty: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The next byte is a type.
    Type,
    /// Inside the header line.
    Line,
    /// Inside a bulk string; this many bytes are left, its CRLF included.
    Bulk(u64),
}

/// The state between two reads of one connection.
#[derive(Debug)]
pub struct Scanner {
    phase: Phase,
    kind: u8,
    number: u64,
    negative: bool,
    /// Elements that the current reply still lacks; 0 between replies.
    lacking: u64,
    /// Whether the current element is inside an aggregate.
    nested: bool,
    first_error: Vec<u8>,
    capturing: bool,
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner {
            phase: Phase::Type,
            kind: 0,
            number: 0,
            negative: false,
            lacking: 0,
            nested: false,
            first_error: Vec::new(),
            capturing: false,
        }
    }
}

impl Scanner {
    /// The text of the first error reply seen, without its leading `-`.
    pub fn first_error(&self) -> Option<String> {
        (!self.first_error.is_empty()).then(|| {
            String::from_utf8_lossy(&self.first_error)
                .trim_end()
                .to_owned()
        })
    }

    /// Scans what a read returned. O(header bytes); fails on a type byte that is not RESP.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut at = 0;
        while at < bytes.len() {
            match self.phase {
                Phase::Bulk(left) => {
                    let taken = left.min((bytes.len() - at) as u64);
                    at += taken as usize;
                    self.phase = Phase::Bulk(left - taken);
                    if taken == left {
                        self.finish(&mut tally);
                    }
                }
                Phase::Type => {
                    self.kind = bytes[at];
                    self.number = 0;
                    self.negative = false;
                    self.nested = self.lacking > 0;
                    self.lacking = self.lacking.max(1);
                    self.capturing = self.kind == b'-' && self.first_error.is_empty();
                    self.phase = Phase::Line;
                    at += 1;
                }
                Phase::Line => {
                    at += self.line(&bytes[at..]);
                    if bytes[at - 1] == b'\n' {
                        self.header(&mut tally)?;
                    }
                }
            }
        }
        Ok(tally)
    }

    /// Reads on in the header line, up to its newline if that is there. Returns the bytes taken,
    /// at least one.
    #[inline]
    fn line(&mut self, bytes: &[u8]) -> usize {
        for (index, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' => return index + 1,
                b'0'..=b'9' => {
                    self.number = self
                        .number
                        .wrapping_mul(10)
                        .wrapping_add(u64::from(byte - b'0'));
                }
                b'-' => self.negative = true,
                _ => {}
            }
            if self.capturing && self.first_error.len() < ERROR_TEXT_BYTES_MAX {
                self.first_error.push(byte);
            }
        }
        bytes.len()
    }

    /// Acts on a whole header line.
    fn header(&mut self, tally: &mut Tally) -> Result<()> {
        match self.kind {
            b'+' | b':' | b',' | b'#' | b'(' => self.finish(tally),
            b'-' => {
                tally.errors += 1;
                self.finish(tally);
            }
            b'_' => {
                tally.empty += u64::from(!self.nested);
                self.finish(tally);
            }
            b'$' | b'=' | b'!' if !self.negative => {
                tally.errors += u64::from(self.kind == b'!');
                self.phase = Phase::Bulk(self.number.saturating_add(2));
            }
            b'*' | b'~' | b'>' | b'%' if !self.negative && self.number > 0 => {
                let width = if self.kind == b'%' { 2 } else { 1 };
                self.lacking = self
                    .lacking
                    .saturating_add(self.number.saturating_mul(width));
                self.finish(tally);
            }
            b'$' | b'*' | b'~' | b'>' | b'%' => {
                tally.empty += u64::from(!self.nested);
                self.finish(tally);
            }
            other => return Err(Error::Protocol(format!("type byte {other:#04x}"))),
        }
        Ok(())
    }

    /// One element is over.
    #[inline]
    fn finish(&mut self, tally: &mut Tally) {
        self.phase = Phase::Type;
        self.lacking -= 1;
        tally.replies += u64::from(self.lacking == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: &[u8] =
        b"+OK\r\n:-12\r\n$5\r\nhe\r\no\r\n$-1\r\n*2\r\n$1\r\na\r\n*1\r\n:3\r\n*0\r\n-ERR no 1\r\n$0\r\n\r\n_\r\n%1\r\n+a\r\n#t\r\n";

    #[test]
    fn counts_every_kind_of_reply() {
        let mut scanner = Scanner::default();
        let tally = scanner.scan(REPLIES).unwrap();
        assert_eq!(
            tally,
            Tally {
                replies: 10,
                errors: 1,
                empty: 3
            }
        );
        assert_eq!(scanner.first_error().as_deref(), Some("ERR no 1"));
    }

    #[test]
    fn a_cut_anywhere_changes_nothing() {
        for cut in 0..=REPLIES.len() {
            let mut scanner = Scanner::default();
            let head = scanner.scan(&REPLIES[..cut]).unwrap();
            let tail = scanner.scan(&REPLIES[cut..]).unwrap();
            assert_eq!(head.replies + tail.replies, 10, "cut at {cut}");
            assert_eq!(head.errors + tail.errors, 1, "cut at {cut}");
            assert_eq!(head.empty + tail.empty, 3, "cut at {cut}");
            assert_eq!(scanner.first_error().as_deref(), Some("ERR no 1"));
        }
    }

    #[test]
    fn a_null_inside_an_array_is_not_an_empty_reply() {
        let tally = Scanner::default().scan(b"*2\r\n$-1\r\n*0\r\n").unwrap();
        assert_eq!(
            tally,
            Tally {
                replies: 1,
                errors: 0,
                empty: 0
            }
        );
    }

    #[test]
    fn bytes_that_are_not_resp_are_refused() {
        assert!(Scanner::default().scan(b"HTTP/1.1 400\r\n").is_err());
    }
}
