//! Integers as Redis reads them: one spelling per number, so that text and number convert back and
//! forth without loss and `"007"` stays a string.
//!
//! Not a lenient parser: no `+`, no leading zeros, no spaces, no `-0`.

/// Decimal digits of the largest `u64`.
const DIGITS_MAX: usize = 20;

/// The signed integer that `text` spells, or `None` when it is not one that Redis would print so.
///
/// Exact over all of `i64`. O(1): longer texts are refused unread.
///
/// ```
/// use causet_proto::resp::parse_i64;
/// assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
/// assert_eq!(parse_i64(b"+1"), None);
/// ```
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => match parse_u64(digits)? {
            0 => None,
            magnitude => 0i64.checked_sub_unsigned(magnitude),
        },
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// The unsigned integer that `text` spells, or `None`; as strict as [`parse_i64`].
///
/// Exact over all of `u64`. O(1).
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => return Some(0),
        [b'1'..=b'9', ..] if text.len() <= DIGITS_MAX => {}
        _ => return None,
    }
    if text.len() < DIGITS_MAX {
        // 19 digits cannot overflow, so the loop needs no check but the digit's.
        text.iter().try_fold(0, |value: u64, &byte| {
            let digit = byte.wrapping_sub(b'0');
            (digit <= 9).then(|| value * 10 + u64::from(digit))
        })
    } else {
        text.iter().try_fold(0, |value: u64, &byte| {
            let digit = byte.wrapping_sub(b'0');
            let shifted = (digit <= 9).then(|| value.checked_mul(10))??;
            shifted.checked_add(u64::from(digit))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_spelling_is_a_number() {
        assert_eq!(parse_i64(b"0"), Some(0));
        for text in [
            "", "-", "+1", "-0", "00", "01", "-01", " 1", "1 ", "1a", "a", "--1", "1.0", "0x1",
            "1\0",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
            assert_eq!(parse_u64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn bounds_are_exact() {
        assert_eq!(parse_i64(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_i64(b"9223372036854775808"), None);
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_i64(b"-18446744073709551615"), None);
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"99999999999999999999"), None);
        assert_eq!(parse_u64(b"100000000000000000000"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    proptest! {
        #[test]
        fn every_printed_integer_is_read_back(signed: i64, unsigned: u64) {
            prop_assert_eq!(parse_i64(signed.to_string().as_bytes()), Some(signed));
            prop_assert_eq!(parse_u64(unsigned.to_string().as_bytes()), Some(unsigned));
        }

        #[test]
        fn a_text_that_parses_is_the_one_that_prints(text in "[-+]?[0-9]{1,21}") {
            if let Some(value) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }
    }
}
