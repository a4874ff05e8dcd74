//! Numbers as text, exactly as Redis reads and writes them.
//!
//! State depends on these rules (an INCRBYFLOAT is replayed from its delta), so they live in the
//! engine and not in the codec: a changed rule would change what an old log means.

/// Reads a signed 64-bit integer in the one canonical form: no sign but `-`, no leading zeros, no
/// spaces. What this accepts, printing gives back byte for byte. O(length), at most 20 bytes.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Digits after the point that INCRBYFLOAT and HINCRBYFLOAT keep.
const FRACTION_DIGITS: i32 = 17;
const ONE: i128 = 10i128.pow(FRACTION_DIGITS as u32);

/// A decimal number with 17 digits after the point: the precision that Redis prints its long
/// doubles with, but exact, so that the sum of deltas does not depend on the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Decimal(i128);

impl Decimal {
    /// Reads `[+-]digits[.digits][e[+-]digits]`. Digits beyond the 17th after the point are
    /// rounded to nearest. `None` for anything else (also inf and nan) and beyond ±1.7e21.
    pub fn parse(text: &[u8]) -> Option<Decimal> {
        let (negative, mut rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let mut mantissa = 0i128;
        let mut exponent = 0i32;
        let mut digits = 0;
        let mut point = false;
        while let [byte, tail @ ..] = rest {
            match byte {
                b'0'..=b'9' => {
                    digits += 1;
                    // Past 36 digits only the magnitude matters.
                    if mantissa < 10i128.pow(36) {
                        mantissa = mantissa * 10 + i128::from(byte - b'0');
                        exponent -= i32::from(point);
                    } else {
                        exponent += i32::from(!point);
                    }
                }
                b'.' if !point => point = true,
                _ => break,
            }
            rest = tail;
        }
        if digits == 0 {
            return None;
        }
        if let [b'e' | b'E', tail @ ..] = rest {
            let (sign, tail) = match tail {
                [b'-', tail @ ..] => (-1, tail),
                [b'+', tail @ ..] => (1, tail),
                _ => (1, tail),
            };
            if tail.is_empty() || !tail.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let power = tail
                .iter()
                .fold(0i32, |p, d| (p * 10 + i32::from(d - b'0')).min(100_000));
            exponent = exponent.checked_add(sign * power)?;
            rest = &[];
        }
        if !rest.is_empty() {
            return None;
        }
        let shift = exponent + FRACTION_DIGITS;
        let scaled = if mantissa == 0 {
            0
        } else if shift >= 0 {
            10i128.checked_pow(shift as u32)?.checked_mul(mantissa)?
        } else {
            match 10i128.checked_pow(shift.unsigned_abs()) {
                Some(divisor) => (mantissa + divisor / 2) / divisor,
                None => 0,
            }
        };
        Some(Decimal(if negative { -scaled } else { scaled }))
    }

    /// The sum, `None` beyond ±1.7e21.
    pub fn checked_add(self, other: Decimal) -> Option<Decimal> {
        self.0.checked_add(other.0).map(Decimal)
    }
}

impl std::fmt::Display for Decimal {
    /// Without exponent and without trailing zeros: `3`, `-0.5`, `5000`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (
            magnitude / ONE.unsigned_abs(),
            magnitude % ONE.unsigned_abs(),
        );
        write!(f, "{sign}{whole}")?;
        if fraction != 0 {
            let digits = format!("{fraction:017}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_only_in_their_canonical_form() {
        for (text, want) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("1x", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), want, "{text:?}");
        }
    }

    fn sum(a: &str, b: &str) -> Option<String> {
        let sum = Decimal::parse(a.as_bytes())?.checked_add(Decimal::parse(b.as_bytes())?)?;
        Some(sum.to_string())
    }

    #[test]
    fn decimal_sums_are_those_that_redis_prints() {
        // INCRBYFLOAT on redis-server 7.0.
        for (a, b, want) in [
            ("0.1", "0.2", Some("0.3")),
            ("10.50", "0.1", Some("10.6")),
            ("5.0e3", "2.0e2", Some("5200")),
            ("3", "-3", Some("0")),
            ("1", "-1.5", Some("-0.5")),
            ("1", "1e-17", Some("1.00000000000000001")),
            ("1", "", None),
            ("1", "1 ", None),
            ("1", "inf", None),
            ("1", "1e400", None),
            ("1", "1e-400", Some("1")),
            (".5", "1.", Some("1.5")),
        ] {
            assert_eq!(sum(a, b).as_deref(), want, "{a} + {b}");
        }
    }
}
