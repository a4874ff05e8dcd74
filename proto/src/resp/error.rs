//! Why a request could not be parsed. Each of these ends the connection, after its text was sent.

use thiserror::Error;

/// A violation of the request protocol; its text is what Redis sends after `-ERR `.
///
/// After one, the position of the next command is unknown: send [`ProtocolError::write_to`] and
/// close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The number after `*` is malformed or above 2147483647.
    #[error("Protocol error: invalid multibulk length")]
    MultibulkLength,
    /// More than 10 arguments before authentication.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// The number after `$` is malformed, negative or above `proto-max-bulk-len`.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// An argument of more than 16384 bytes before authentication.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// An argument began with this byte instead of `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(printable(*.0)))]
    ExpectedDollar(u8),
    /// No line end within 64 KiB of a `*`.
    #[error("Protocol error: too big mbulk count string")]
    MultibulkLine,
    /// No line end within 64 KiB of where a `$` line began.
    #[error("Protocol error: too big bulk count string")]
    BulkLine,
    /// No line end within 64 KiB of an inline command.
    #[error("Protocol error: too big inline request")]
    InlineLine,
    /// A quote of an inline command is not closed, or something follows it without a space.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
}

/// Redis puts the byte into the message as it is, except those that would end the error's line.
fn printable(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') {
        b' '
    } else {
        byte
    }
}

impl ProtocolError {
    /// Appends the whole error reply, `-ERR ...\r\n`, in the bytes that Redis sends.
    pub fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"-ERR ");
        match self {
            // Display would turn a byte above 127 into two.
            Self::ExpectedDollar(got) => {
                out.extend_from_slice(b"Protocol error: expected '$', got '");
                out.push(printable(got));
                out.push(b'\'');
            }
            other => out.extend_from_slice(other.to_string().as_bytes()),
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(error: ProtocolError) -> Vec<u8> {
        let mut out = Vec::new();
        error.write_to(&mut out);
        out
    }

    #[test]
    fn an_unexpected_byte_is_sent_raw_and_cannot_break_the_line() {
        let text =
            |got: &[u8]| [b"-ERR Protocol error: expected '$', got '", got, b"'\r\n"].concat();
        assert_eq!(wire(ProtocolError::ExpectedDollar(b':')), text(b":"));
        assert_eq!(wire(ProtocolError::ExpectedDollar(0xff)), text(b"\xff"));
        assert_eq!(wire(ProtocolError::ExpectedDollar(b'\r')), text(b" "));
        assert_eq!(wire(ProtocolError::ExpectedDollar(b'\n')), text(b" "));
    }

    #[test]
    fn the_reply_is_the_display_text_behind_its_prefix() {
        assert_eq!(
            wire(ProtocolError::BulkLength),
            b"-ERR Protocol error: invalid bulk length\r\n"
        );
    }
}
