//! Sets of integers as a sorted array, as narrow as the widest member allows.
//!
//! Members are 2, 4 or 8 bytes each; look-up is a binary search, insert and remove move what
//! follows. For small sets only (`set-max-intset-entries`). A member is an integer when it is the
//! text that the integer prints as: `7` is, `07` and `+7` are not.

use std::ops::Deref;

use super::footprint::allocated;

/// A sorted array of distinct integers.
#[derive(Debug, Clone)]
pub(super) enum IntSet {
    Short(Vec<i16>),
    Middle(Vec<i32>),
    Long(Vec<i64>),
}

impl IntSet {
    pub(super) fn new() -> Self {
        IntSet::Short(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            IntSet::Short(values) => values.len(),
            IntSet::Middle(values) => values.len(),
            IntSet::Long(values) => values.len(),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        allocated(match self {
            IntSet::Short(values) => values.capacity() * 2,
            IntSet::Middle(values) => values.capacity() * 4,
            IntSet::Long(values) => values.capacity() * 8,
        })
    }

    pub(super) fn get(&self, index: usize) -> Option<i64> {
        match self {
            IntSet::Short(values) => values.get(index).map(|&value| value.into()),
            IntSet::Middle(values) => values.get(index).map(|&value| value.into()),
            IntSet::Long(values) => values.get(index).copied(),
        }
    }

    pub(super) fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// True when `value` was not there.
    pub(super) fn insert(&mut self, value: i64) -> bool {
        self.widen(value);
        let Err(at) = self.search(value) else {
            return false;
        };
        match self {
            IntSet::Short(values) => insert_at(values, at, value as i16),
            IntSet::Middle(values) => insert_at(values, at, value as i32),
            IntSet::Long(values) => insert_at(values, at, value),
        }
        true
    }

    /// True when `value` was there.
    pub(super) fn remove(&mut self, value: i64) -> bool {
        let Ok(at) = self.search(value) else {
            return false;
        };
        match self {
            IntSet::Short(values) => drop(values.remove(at)),
            IntSet::Middle(values) => drop(values.remove(at)),
            IntSet::Long(values) => drop(values.remove(at)),
        }
        true
    }

    fn search(&self, value: i64) -> Result<usize, usize> {
        match self {
            IntSet::Short(values) => values.binary_search_by(|&other| i64::from(other).cmp(&value)),
            IntSet::Middle(values) => {
                values.binary_search_by(|&other| i64::from(other).cmp(&value))
            }
            IntSet::Long(values) => values.binary_search(&value),
        }
    }

    /// Makes `value` representable.
    fn widen(&mut self, value: i64) {
        let (short, middle) = (i16::try_from(value).is_ok(), i32::try_from(value).is_ok());
        *self = match self {
            IntSet::Short(values) if !short && middle => {
                IntSet::Middle(values.iter().map(|&value| value.into()).collect())
            }
            IntSet::Short(values) if !middle => {
                IntSet::Long(values.iter().map(|&value| value.into()).collect())
            }
            IntSet::Middle(values) if !middle => {
                IntSet::Long(values.iter().map(|&value| value.into()).collect())
            }
            _ => return,
        };
    }
}

fn insert_at<T>(values: &mut Vec<T>, at: usize, value: T) {
    if values.len() == values.capacity() {
        // A quarter more: integer sets are chosen for their size.
        values.reserve_exact((values.len() / 4).max(4));
    }
    values.insert(at, value);
}

/// The integer whose text `bytes` is, if it is one.
#[inline]
pub(super) fn parse_int(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] => return (!negative).then_some(0),
        [b'0', ..] => return None,
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    // Counted downwards, because i64::MIN has no positive twin.
    let mut value = 0i64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(digit.into())?;
    }
    if negative {
        Some(value)
    } else {
        value.checked_neg()
    }
}

/// The text of an integer, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct IntText {
    text: [u8; 20],
    start: u8,
}

impl IntText {
    pub(super) fn new(value: i64) -> Self {
        let mut text = [0; 20];
        let mut start = text.len();
        let mut rest = value.unsigned_abs();
        loop {
            start -= 1;
            text[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            start -= 1;
            text[start] = b'-';
        }
        IntText {
            text,
            start: start as u8,
        }
    }
}

/// A set's member as it is read: borrowed, or the text of an integer. Either derefs to its bytes.
#[derive(Debug, Clone, Copy)]
pub enum Element<'a> {
    /// Borrowed from the set.
    Bytes(&'a [u8]),
    /// Written out of an integer set.
    Int(IntText),
}

impl Deref for Element<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Element::Bytes(bytes) => bytes,
            Element::Int(int) => &int.text[usize::from(int.start)..],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_canonical_integers_are_integers() {
        for value in [0, 1, -1, 10, i64::MAX, i64::MIN, 32_768, -32_769] {
            let text = value.to_string();
            assert_eq!(parse_int(text.as_bytes()), Some(value));
            assert_eq!(&*Element::Int(IntText::new(value)), text.as_bytes());
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "07",
            "+7",
            " 7",
            "7 ",
            "1e3",
            "9223372036854775808",
        ] {
            assert_eq!(parse_int(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_int(b"-9223372036854775809"), None);
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_set(
            ops in prop::collection::vec((any::<bool>(), any::<i64>(), 0u32..64), 1..200)
        ) {
            let mut set = IntSet::new();
            let mut model = BTreeSet::new();
            for (insert, value, shift) in ops {
                let value = value >> shift;
                if insert {
                    prop_assert_eq!(set.insert(value), model.insert(value));
                } else {
                    prop_assert_eq!(set.remove(value), model.remove(&value));
                }
                prop_assert_eq!(set.contains(value), insert);
            }
            let values = (0..set.len()).filter_map(|index| set.get(index));
            prop_assert!(values.eq(model.iter().copied()));
        }
    }
}
