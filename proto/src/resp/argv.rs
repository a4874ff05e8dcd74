//! Where the arguments of one command are: ranges of the receive buffer, not copies.
//!
//! Not a parser and not an owner of the request's bytes, with one exception: the arguments of an
//! inline command may hold escapes, so they live, unescaped, in a side buffer of the [`Argv`].
//!
//! The rule kept: an [`Argv`] is reusable. Between commands it keeps its memory, but never more
//! than what an ordinary command needs, so that one huge command does not pin memory for ever.

use std::fmt;

/// Arguments for which an idle [`Argv`] keeps room: 16 KiB of ranges.
const IDLE_ARGS_MAX: usize = 1024;
/// Unescaped bytes for which an idle [`Argv`] keeps room.
const IDLE_OWNED_BYTES_MAX: usize = 16 * 1024;

/// One argument: its first byte's position and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) bytes: usize,
}

/// The arguments of one command, as [`RequestParser::parse`] found them.
///
/// The ranges are relative to the start of the buffer that was parsed, which must therefore be
/// given again, unchanged, to read them. 16 bytes per argument.
///
/// [`RequestParser::parse`]: super::RequestParser::parse
#[derive(Debug, Default)]
pub struct Argv {
    pub(super) spans: Vec<Span>,
    /// The arguments of an inline command, one after the other.
    pub(super) owned: Vec<u8>,
    /// The spans are ranges of `owned` and not of the parsed buffer.
    pub(super) is_inline: bool,
}

impl Argv {
    /// An empty list; allocates at the first command.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of arguments, the command's name included. 0 when no command was parsed into it.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// No command was parsed into it.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index` of the command that was parsed from `buf`; `None` past the last one. O(1).
    ///
    /// # Panics
    /// When `buf` is shorter than the command that was parsed from it.
    pub fn get<'a>(&'a self, buf: &'a [u8], index: usize) -> Option<&'a [u8]> {
        self.args(buf).get(index)
    }

    /// All arguments of the command that was parsed from `buf`, as one value to hand around.
    #[inline]
    pub fn args<'a>(&'a self, buf: &'a [u8]) -> Args<'a> {
        Args {
            bytes: if self.is_inline { &self.owned } else { buf },
            spans: &self.spans,
        }
    }

    /// Forgets the arguments, keeping room for an ordinary command.
    #[inline]
    pub fn clear(&mut self) {
        self.spans.clear();
        if self.is_inline || self.spans.capacity() > IDLE_ARGS_MAX {
            self.clear_cold();
        }
    }

    #[cold]
    fn clear_cold(&mut self) {
        self.is_inline = false;
        self.spans.shrink_to(IDLE_ARGS_MAX);
        self.owned.clear();
        self.owned.shrink_to(IDLE_OWNED_BYTES_MAX);
    }

    #[inline]
    pub(super) fn push(&mut self, start: usize, bytes: usize) {
        self.spans.push(Span { start, bytes });
    }
}

/// The arguments of one command, borrowed: the bytes and where in them each argument is.
///
/// Two slices; cheap to copy. Reading an argument panics when the [`Argv`] was paired with a
/// buffer shorter than the command it describes, which is the caller's mistake and not the
/// client's.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// Number of arguments.
    pub fn len(self) -> usize {
        self.spans.len()
    }

    /// There is no argument.
    pub fn is_empty(self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`, or `None` past the last one. O(1).
    #[inline]
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        Some(&self.bytes[span.start..][..span.bytes])
    }

    /// The arguments from `first` on (none when there are fewer), such as the pairs of MSET. O(1).
    pub fn tail(self, first: usize) -> Self {
        Self {
            bytes: self.bytes,
            spans: self.spans.get(first..).unwrap_or_default(),
        }
    }

    /// The arguments in order.
    pub fn iter(self) -> ArgsIter<'a> {
        ArgsIter {
            bytes: self.bytes,
            spans: self.spans.iter(),
        }
    }
}

impl std::ops::Index<usize> for Args<'_> {
    type Output = [u8];

    /// Argument `index`.
    ///
    /// # Panics
    /// Past the last argument; a command's arity was checked before it indexes.
    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        let span = self.spans[index];
        &self.bytes[span.start..][..span.bytes]
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = ArgsIter<'a>;

    fn into_iter(self) -> ArgsIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|arg| arg.escape_ascii().to_string()))
            .finish()
    }
}

/// Iterator over the arguments of a command; knows its length.
#[derive(Clone)]
pub struct ArgsIter<'a> {
    bytes: &'a [u8],
    spans: std::slice::Iter<'a, Span>,
}

impl<'a> Iterator for ArgsIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let span = self.spans.next()?;
        Some(&self.bytes[span.start..][..span.bytes])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for ArgsIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_by_index_by_iterator_and_by_tail() {
        let buf = b"..ab.c";
        let mut argv = Argv::new();
        argv.push(2, 2);
        argv.push(5, 1);
        argv.push(6, 0);
        let args = argv.args(buf);
        assert_eq!(args.len(), 3);
        assert_eq!(argv.get(buf, 0), Some(&b"ab"[..]));
        assert_eq!(&args[2], b"");
        assert_eq!(args.get(3), None);
        assert_eq!(args.iter().len(), 3);
        assert_eq!(args.tail(1).iter().collect::<Vec<_>>(), [&b"c"[..], b""]);
        assert!(args.tail(4).is_empty());
        assert_eq!(format!("{args:?}"), r#"["ab", "c", ""]"#);
    }

    #[test]
    fn a_huge_command_does_not_pin_its_memory() {
        let mut argv = Argv::new();
        for start in 0..1_000_000 {
            argv.push(start, 1);
        }
        argv.clear();
        assert!(argv.is_empty());
        assert!(argv.spans.capacity() <= IDLE_ARGS_MAX);
    }
}
