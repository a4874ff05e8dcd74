//! Redis's packed sequences: listpack (read and written), ziplist and intset (read; intset written).
//!
//! Layouts, numbers little-endian: a listpack is total bytes (4), elements (2), entries, 0xFF; an
//! entry is its encoding, its data, and the length of both backwards. A ziplist is total bytes (4),
//! offset of the last entry (4), elements (2), entries, 0xFF; an entry begins with the length of the
//! one before. An intset is the width of a member (4), members (4), members in ascending order.
//!
//! The rule kept: what is read may be anything; it is answered by `None`, never by a panic.

use bumpalo::Bump;

use causet_core::number::parse_i64;

const END: u8 = 0xff;
const LISTPACK_HEADER_BYTES: usize = 6;
const ZIPLIST_HEADER_BYTES: usize = 10;

/// A listpack being written.
pub struct Listpack {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Listpack {
    /// An empty one.
    fn default() -> Self {
        Listpack {
            bytes: vec![0; LISTPACK_HEADER_BYTES],
            count: 0,
        }
    }
}

impl Listpack {
    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends an element; one that is a canonical integer as a number, as Redis looks for it.
    pub fn push(&mut self, element: &[u8]) {
        let start = self.bytes.len();
        match parse_i64(element) {
            Some(int) => self.put_int(int),
            None => self.put_bytes(element),
        }
        self.put_back_length(self.bytes.len() - start);
        self.count += 1;
    }

    fn put_int(&mut self, int: i64) {
        let bytes = int.to_le_bytes();
        let out = &mut self.bytes;
        if (0..128).contains(&int) {
            out.push(int as u8);
        } else if (-4096..4096).contains(&int) {
            out.extend_from_slice(&[0xc0 | bytes[1] & 0x1f, bytes[0]]);
        } else {
            let (code, width) = if i16::try_from(int).is_ok() {
                (0xf1, 2)
            } else if (-(1 << 23)..1 << 23).contains(&int) {
                (0xf2, 3)
            } else if i32::try_from(int).is_ok() {
                (0xf3, 4)
            } else {
                (0xf4, 8)
            };
            out.push(code);
            out.extend_from_slice(&bytes[..width]);
        }
    }

    fn put_bytes(&mut self, element: &[u8]) {
        let len = element.len();
        let out = &mut self.bytes;
        if len < 64 {
            out.push(0x80 | len as u8);
        } else if len < 4096 {
            out.extend_from_slice(&[0xe0 | (len >> 8) as u8, len as u8]);
        } else {
            out.push(0xf0);
            out.extend_from_slice(&(len as u32).to_le_bytes());
        }
        out.extend_from_slice(element);
    }

    /// Seven bits a byte, the highest first; all but that first byte are marked, so that whoever
    /// reads backwards knows where to stop.
    fn put_back_length(&mut self, len: usize) {
        let size = back_length_bytes(len);
        for at in (0..size).rev() {
            let mark = if at + 1 == size { 0 } else { 0x80 };
            self.bytes.push((len >> (7 * at)) as u8 & 0x7f | mark);
        }
    }

    /// The whole listpack.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let total = self.bytes.len() as u32;
        // 65535 means: count them.
        let count = self.count.min(usize::from(u16::MAX)) as u16;
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        self.bytes[4..6].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

/// Bytes of the backward length of an entry. The limits are Redis's, which are one short of what
/// seven bits a byte could hold.
fn back_length_bytes(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// The text of an integer, where it lives as long as borrowed elements do.
pub fn int_text(int: i64, arena: &Bump) -> &[u8] {
    arena.alloc_slice_copy(itoa::Buffer::new().format(int).as_bytes())
}

/// A little-endian signed number of one to eight bytes.
fn int_of(bytes: &[u8]) -> i64 {
    let mut word = [0; 8];
    word[8 - bytes.len()..].copy_from_slice(bytes);
    i64::from_le_bytes(word) >> (8 * (8 - bytes.len()))
}

fn word_of(bytes: &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize)
}

/// The elements of a listpack. O(bytes).
pub fn read_listpack<'a>(bytes: &'a [u8], arena: &'a Bump) -> Option<Vec<&'a [u8]>> {
    if word_of(bytes)? != bytes.len() {
        return None;
    }
    let mut elements = Vec::new();
    let mut rest = bytes.get(LISTPACK_HEADER_BYTES..)?;
    loop {
        let &code = rest.first()?;
        // (bytes before the data, bytes of data, is a number)
        let (head, len, is_int) = match code {
            END => return (rest.len() == 1).then_some(elements),
            0x00..=0x7f => (0, 1, true),
            0x80..=0xbf => (1, usize::from(code & 0x3f), false),
            0xc0..=0xdf => (0, 2, true),
            0xe0..=0xef => (
                2,
                usize::from(code & 0x0f) << 8 | usize::from(*rest.get(1)?),
                false,
            ),
            0xf0 => (5, word_of(rest.get(1..)?)?, false),
            0xf1 => (1, 2, true),
            0xf2 => (1, 3, true),
            0xf3 => (1, 4, true),
            0xf4 => (1, 8, true),
            _ => return None,
        };
        let data = rest.get(head..)?.get(..len)?;
        elements.push(if is_int {
            let int = match code {
                0x00..=0x7f => i64::from(code),
                // Thirteen bits, big-endian: shifted up against the sign and down again.
                0xc0..=0xdf => i64::from(i16::from_be_bytes([data[0], data[1]]) << 3 >> 3),
                _ => int_of(data),
            };
            int_text(int, arena)
        } else {
            data
        });
        rest = rest.get(head + len + back_length_bytes(head + len)..)?;
    }
}

/// The elements of a ziplist. O(bytes).
pub fn read_ziplist<'a>(bytes: &'a [u8], arena: &'a Bump) -> Option<Vec<&'a [u8]>> {
    if word_of(bytes)? != bytes.len() {
        return None;
    }
    let mut elements = Vec::new();
    let mut rest = bytes.get(ZIPLIST_HEADER_BYTES..)?;
    loop {
        match *rest.first()? {
            END => return (rest.len() == 1).then_some(elements),
            0xfe => rest = rest.get(5..)?,
            _ => rest = rest.get(1..)?,
        }
        let &code = rest.first()?;
        let (head, len) = match code {
            0x00..=0x3f => (1, usize::from(code)),
            0x40..=0x7f => (
                2,
                usize::from(code & 0x3f) << 8 | usize::from(*rest.get(1)?),
            ),
            0x80..=0xbf => {
                let len = rest.get(1..5)?.try_into().ok()?;
                (5, u32::from_be_bytes(len) as usize)
            }
            0xc0 => (1, 2),
            0xd0 => (1, 4),
            0xe0 => (1, 8),
            0xf0 => (1, 3),
            0xfe => (1, 1),
            0xf1..=0xfd => (1, 0),
            _ => return None,
        };
        let data = rest.get(head..)?.get(..len)?;
        elements.push(match code {
            0x00..=0xbf => data,
            // A number from 0 to 12 inside the code.
            0xf1..=0xfd => int_text(i64::from(code & 0x0f) - 1, arena),
            _ => int_text(int_of(data), arena),
        });
        rest = rest.get(head + len..)?;
    }
}

/// The members of an intset. O(bytes).
pub fn read_intset<'a>(bytes: &'a [u8], arena: &'a Bump) -> Option<Vec<&'a [u8]>> {
    let (width, count) = (word_of(bytes)?, word_of(bytes.get(4..)?)?);
    let data = &bytes[8..];
    if !matches!(width, 2 | 4 | 8) || data.len() != width.checked_mul(count)? {
        return None;
    }
    Some(
        data.chunks_exact(width)
            .map(|member| int_text(int_of(member), arena))
            .collect(),
    )
}

/// An intset of these members, which are distinct.
pub fn write_intset(mut members: Vec<i64>) -> Vec<u8> {
    members.sort_unstable();
    let fits = |width: u32| {
        let ends = [members.first(), members.last()];
        ends.into_iter()
            .flatten()
            .all(|&int| int << (64 - width) >> (64 - width) == int)
    };
    let width = if fits(16) {
        2
    } else if fits(32) {
        4
    } else {
        8
    };
    let mut out = Vec::with_capacity(8 + members.len() * width);
    out.extend_from_slice(&(width as u32).to_le_bytes());
    out.extend_from_slice(&(members.len() as u32).to_le_bytes());
    for int in members {
        out.extend_from_slice(&int.to_le_bytes()[..width]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<Vec<u8>> {
        let ints = [
            0,
            127,
            128,
            -1,
            4095,
            -4096,
            4096,
            -4097,
            i64::from(i16::MAX),
            i64::from(i16::MIN) - 1,
            (1 << 23) - 1,
            -(1 << 23) - 1,
            i64::from(i32::MIN),
            i64::from(i32::MAX) + 1,
            i64::MIN,
            i64::MAX,
        ];
        let strings = [0, 1, 63, 64, 127, 4095, 4096, 16_380, 16_381, 20_000];
        let ints = ints.iter().map(|int| int.to_string().into_bytes());
        ints.chain(strings.iter().map(|&len| vec![b's'; len]))
            .collect()
    }

    #[test]
    fn a_listpack_gives_back_every_kind_of_element() {
        let mut listpack = Listpack::default();
        texts().iter().for_each(|text| listpack.push(text));
        let bytes = listpack.finish();
        let arena = Bump::new();
        assert_eq!(read_listpack(&bytes, &arena).expect("whole"), texts());
        for cut in [0, 3, 6, 7, 100, bytes.len() - 1] {
            assert_eq!(read_listpack(&bytes[..cut], &arena), None);
        }
    }

    #[test]
    fn a_listpack_is_byte_for_byte_that_of_redis() {
        // The payload of a sorted set with the members c -inf, a 1, b 2.5.
        let mut listpack = Listpack::default();
        for element in ["c", "-inf", "a", "1", "b", "2.5"] {
            listpack.push(element.as_bytes());
        }
        let want =
            b"\x1d\0\0\0\x06\0\x81c\x02\x84-inf\x05\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff";
        assert_eq!(listpack.finish(), want);
    }

    #[test]
    fn intsets_are_as_narrow_as_their_members_allow() {
        let arena = Bump::new();
        for (members, bytes) in [
            (vec![3, -1], 2),
            (vec![40_000, 1], 4),
            (vec![i64::from(i32::MIN)], 4),
            (vec![i64::MAX, i64::MIN], 8),
        ] {
            let mut sorted = members.clone();
            sorted.sort_unstable();
            let written = write_intset(members);
            assert_eq!(written.len(), 8 + bytes * sorted.len());
            let read = read_intset(&written, &arena).expect("whole");
            let want: Vec<String> = sorted.iter().map(i64::to_string).collect();
            assert_eq!(
                read,
                want.iter().map(|text| text.as_bytes()).collect::<Vec<_>>()
            );
            assert_eq!(read_intset(&written[..written.len() - 1], &arena), None);
        }
    }

    #[test]
    fn a_ziplist_gives_back_every_kind_of_element() {
        let mut body = Vec::new();
        for entry in [
            &b"\x00\x03abc"[..],
            b"\x05\x40\x02de",
            b"\x05\x80\0\0\0\x01f",
            b"\x07\xf1",
            b"\x02\xfd",
            b"\x02\xfe\x80",
            b"\x03\xc0\x00\x01",
            b"\x04\xf0\xff\xff\xff",
            b"\x05\xd0\x00\x00\x00\x80",
            b"\xfe\x06\0\0\0\xe0\x01\0\0\0\0\0\0\x80",
        ] {
            body.extend_from_slice(entry);
        }
        let mut ziplist = ((ZIPLIST_HEADER_BYTES + body.len() + 1) as u32)
            .to_le_bytes()
            .to_vec();
        ziplist.extend_from_slice(&[0, 0, 0, 0, 10, 0]);
        ziplist.extend_from_slice(&body);
        ziplist.push(END);
        let want = [
            "abc",
            "de",
            "f",
            "0",
            "12",
            "-128",
            "256",
            "-1",
            "-2147483648",
            "-9223372036854775807",
        ];
        let arena = Bump::new();
        let read = read_ziplist(&ziplist, &arena).expect("whole");
        assert_eq!(read, want.map(str::as_bytes));
        assert_eq!(read_ziplist(&ziplist[..20], &arena), None);
    }
}
