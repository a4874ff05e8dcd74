//! Floating-point numbers as Redis prints and reads them.
//!
//! Not for INCRBYFLOAT and HINCRBYFLOAT, whose replies never use an exponent.
//!
//! The rule kept: the shortest digits that read back as the same number, laid out as Redis does
//! since 7.2. (Redis up to 7.0 printed 17 digits, `3.1000000000000001` for 3.1; clients read both
//! as the same number.) Reading accepts what C's `strtod` accepts of a whole text, less NaN and
//! what overflows to infinity or vanishes to zero.

use std::ops::Deref;

/// Longest text: a sign, 17 digits and 7 zeros are 25 bytes.
const TEXT_BYTES_MAX: usize = 32;

/// The text of a number, on the stack; dereferences to its bytes.
#[derive(Clone, Copy)]
pub struct DoubleText {
    bytes: [u8; TEXT_BYTES_MAX],
    len: u8,
}

impl DoubleText {
    fn new() -> Self {
        Self {
            bytes: [0; TEXT_BYTES_MAX],
            len: 0,
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    fn append_zeros(&mut self, count: usize) {
        self.append(&[b'0'; TEXT_BYTES_MAX][..count]);
    }
}

impl Deref for DoubleText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for DoubleText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.escape_ascii())
    }
}

/// The text of `value`: `3`, `3.1`, `1e+20`, `1e-7`, `inf`, `-inf`, `nan`, `-0`.
///
/// [`parse_double`] reads every text but `nan` back as the same bits. Integers up to 2^62 have
/// neither point nor exponent. At most 25 bytes; about 0.1 µs.
pub fn format_double(value: f64) -> DoubleText {
    let mut text = DoubleText::new();
    if value.is_nan() {
        text.append(b"nan");
        return text;
    }
    if value.is_sign_negative() {
        text.append(b"-");
    }
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        text.append(b"inf");
    } else if magnitude <= INTEGER_MAX && magnitude.trunc() == magnitude {
        text.append(itoa::Buffer::new().format(magnitude as u64).as_bytes());
    } else {
        Decimal::shortest(magnitude).lay_out(&mut text);
    }
    text
}

/// Largest number that Redis prints by way of an integer: half of `i64::MAX`, as a double.
const INTEGER_MAX: f64 = (1u64 << 62) as f64;

/// A positive number as `digits * 10^exponent`, without zeros at either end of the digits.
struct Decimal {
    digits: [u8; 17],
    len: usize,
    exponent: i32,
}

impl Decimal {
    /// The fewest digits that read back as `value`, which is finite and above 0 (Ulf Adams, "Ryu:
    /// fast float-to-string conversion", PLDI 2018).
    fn shortest(value: f64) -> Self {
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut decimal = Self {
            digits: [b'0'; 17],
            len: 0,
            // Ryu's exponents are short and well-formed.
            exponent: exponent.parse().unwrap_or_default(),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        decimal.exponent -= fraction.len() as i32;
        let zeros = if fraction.is_empty() {
            whole.len() - whole.trim_end_matches('0').len()
        } else {
            0
        };
        decimal.exponent += zeros as i32;
        let significant = whole[..whole.len() - zeros].bytes().chain(fraction.bytes());
        for digit in significant.skip_while(|&digit| digit == b'0') {
            decimal.digits[decimal.len] = digit;
            decimal.len += 1;
        }
        decimal
    }

    /// Redis's choice among the three layouts.
    fn lay_out(&self, text: &mut DoubleText) {
        let digits = &self.digits[..self.len];
        let len = self.len as i32;
        // The exponent that scientific notation would show.
        let scientific = self.exponent + len - 1;
        if (0..8).contains(&self.exponent) {
            text.append(digits);
            text.append_zeros(self.exponent as usize);
        } else if self.exponent < 0 && (self.exponent > -7 || scientific.abs() < 4) {
            match usize::try_from(len + self.exponent) {
                Ok(whole @ 1..) => {
                    text.append(&digits[..whole]);
                    text.append(b".");
                    text.append(&digits[whole..]);
                }
                _ => {
                    text.append(b"0.");
                    text.append_zeros(-(len + self.exponent) as usize);
                    text.append(digits);
                }
            }
        } else {
            text.append(&digits[..1]);
            if len > 1 {
                text.append(b".");
                text.append(&digits[1..]);
            }
            text.append(if scientific < 0 { b"e-" } else { b"e+" });
            let exponent = scientific.unsigned_abs();
            text.append(itoa::Buffer::new().format(exponent).as_bytes());
        }
    }
}

/// The number that the whole of `text` spells, or `None` where Redis says `value is not a valid
/// float`: NaN, white space, and numbers too large or too small to be anything but infinity or 0.
///
/// Decimal and hexadecimal (`0x1.8p3`) forms and the infinities (`inf`, `+inf`, `-Infinity`), in
/// any case. Correctly rounded. O(text).
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let (is_negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let magnitude = match unsigned {
        [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(digits)?,
        // What follows a sign is a number or an infinity, not another sign; `n` begins NaN.
        [b'0'..=b'9' | b'.' | b'i' | b'I', ..] => parse_decimal(unsigned)?,
        _ => return None,
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

fn parse_decimal(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let is_named = text[0].eq_ignore_ascii_case(&b'i');
    if value.is_infinite() && !is_named {
        return None;
    }
    let has_vanished = || {
        text.iter()
            .take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'))
            .any(|byte| matches!(byte, b'1'..=b'9'))
    };
    if value == 0.0 && has_vanished() {
        return None;
    }
    Some(value)
}

/// `digits[.digits][p[sign]digits]`, behind the `0x`.
fn parse_hexadecimal(text: &[u8]) -> Option<f64> {
    let exponent_at = text
        .iter()
        .position(|byte| byte.eq_ignore_ascii_case(&b'p'));
    let (digits, mut exponent) = match exponent_at {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let mut mantissa = 0u64;
    let (mut has_digit, mut has_point) = (false, false);
    for &byte in digits {
        if byte == b'.' && !has_point {
            has_point = true;
            continue;
        }
        let digit = u64::from(char::from(byte).to_digit(16)?);
        has_digit = true;
        if mantissa >> 58 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent -= if has_point { 4 } else { 0 };
        } else {
            // Beyond a double's precision it only matters whether anything is left.
            mantissa |= u64::from(digit != 0);
            exponent += if has_point { 0 } else { 4 };
        }
    }
    if !has_digit {
        return None;
    }
    if mantissa == 0 {
        return Some(0.0);
    }
    scale(mantissa, exponent)
}

/// A signed decimal; far beyond a double's range it is cut off, where it makes no difference.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    const FAR: i64 = 1 << 40;
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let magnitude = digits.iter().try_fold(0i64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        Some((value * 10 + digit).min(FAR))
    })?;
    Some(sign * magnitude)
}

/// `mantissa * 2^exponent`, rounded to nearest, ties to even; `None` where that is 0 or infinite.
fn scale(mantissa: u64, exponent: i64) -> Option<f64> {
    debug_assert!(mantissa != 0);
    // The power of two of the mantissa's highest bit.
    let highest = exponent + i64::from(mantissa.ilog2());
    if !(-1075..=1023).contains(&highest) {
        return None;
    }
    // Below 2^-1022 the spacing stays at 2^-1074 and precision is lost bit by bit.
    let unit = (highest - 52).max(-1074);
    let shift = unit - exponent;
    let rounded = if shift <= 0 {
        mantissa << -shift
    } else {
        let kept = mantissa.checked_shr(shift as u32).unwrap_or(0);
        let half = 1u64 << (shift - 1);
        let rest = mantissa & (half | (half - 1));
        kept + u64::from(rest > half || (rest == half && kept & 1 == 1))
    };
    // Both factors and the product are exact.
    let value = rounded as f64 * power_of_two(unit);
    (value != 0.0 && value.is_finite()).then_some(value)
}

/// 2^exponent, for exponents from -1074 to 971.
fn power_of_two(exponent: i64) -> f64 {
    let bits = if exponent < -1022 {
        1 << (exponent + 1074)
    } else {
        ((exponent + 1023) as u64) << 52
    };
    f64::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn assert_text(value: f64, expected: &str) {
        assert_eq!(format!("{:?}", format_double(value)), expected);
        if !value.is_nan() {
            let read = parse_double(expected.as_bytes()).map(f64::to_bits);
            assert_eq!(read, Some(value.to_bits()), "{expected}");
        }
    }

    #[test]
    fn integers_have_neither_point_nor_exponent_up_to_2_to_the_62() {
        assert_text(0.0, "0");
        assert_text(-0.0, "-0");
        assert_text(3.0, "3");
        assert_text(-42.0, "-42");
        assert_text(1e17, "100000000000000000");
        assert_text(4611686018427387904.0, "4611686018427387904");
        assert_text(-4611686018427387904.0, "-4611686018427387904");
        assert_text(4611686018427388928.0, "4611686018427389000");
        assert_text(9223372036854775807.0, "9223372036854776000");
        assert_text(1e19, "1e+19");
        assert_text(1.2345678901234567e19, "12345678901234567000");
        assert_text(-1.7976931348623157e23, "-179769313486231570000000");
        assert_text(-1.7976931348623157e24, "-1.7976931348623157e+24");
    }

    #[test]
    fn the_shortest_digits_in_redis_layout() {
        assert_text(3.1, "3.1");
        assert_text(-0.1, "-0.1");
        assert_text(0.30000000000000004, "0.30000000000000004");
        assert_text(3.0000000000000004, "3.0000000000000004");
        assert_text(0.0012345678901234567, "0.0012345678901234567");
        assert_text(0.000001, "0.000001");
        assert_text(0.0000015, "1.5e-6");
        assert_text(1e-7, "1e-7");
        assert_text(1e20, "1e+20");
        assert_text(1e21, "1e+21");
        assert_text(1.5e300, "1.5e+300");
        assert_text(1e100, "1e+100");
        assert_text(5e-324, "5e-324");
        assert_text(f64::MAX, "1.7976931348623157e+308");
        // Seven or more decimals of a number from 10000 on are scientific, odd as it looks.
        assert_text(123456.789012, "123456.789012");
        assert_text(123456.7890123, "1.234567890123e+5");
    }

    #[test]
    fn what_is_not_finite() {
        assert_text(f64::INFINITY, "inf");
        assert_text(f64::NEG_INFINITY, "-inf");
        assert_text(f64::NAN, "nan");
        assert_text(-f64::NAN, "nan");
    }

    #[test]
    fn strtod_forms_are_read() {
        for (text, expected) in [
            ("inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("INF", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            (".5", 0.5),
            ("5.", 5.0),
            ("-.5", -0.5),
            ("+.5e3", 500.0),
            ("00012", 12.0),
            ("4.9e-324", 5e-324),
            ("0e-999", 0.0),
            ("-0", -0.0),
            ("0x10", 16.0),
            ("0x1p3", 8.0),
            ("0X1.8P+1", 3.0),
            ("-0x.8", -0.5),
            ("0x1.p-1", 0.5),
            ("0x0p99999999999999999999", 0.0),
            ("0x1p-1074", 5e-324),
            ("0x1.8p-1075", 5e-324),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1.fffffffffffff7ffffffp1023", f64::MAX),
            // Halfway between two doubles goes to the even one, beyond it up.
            ("0x20000000000001", 9007199254740992.0),
            ("0x20000000000001.0000000000000001", 9007199254740994.0),
            ("0x20000000000003", 9007199254740996.0),
            (
                "0xffffffffffffffffffffffffffffffffffffffff",
                1.461501637330903e48,
            ),
        ] {
            let read = parse_double(text.as_bytes()).map(f64::to_bits);
            assert_eq!(read, Some(expected.to_bits()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "-",
            "+",
            ".",
            "nan",
            "NaN",
            "-nan",
            "nan(1)",
            " 1",
            "1 ",
            "\t1",
            "1\0",
            "1e",
            "1e+",
            "e5",
            "1e400",
            "-1e400",
            "1e-400",
            "2e-324",
            "1_0",
            "++1",
            "+-1",
            "--inf",
            "infx",
            "infinit",
            "0x",
            "0xg",
            "0x.",
            "0x1..2",
            "0x1p",
            "0x1p+",
            "0x1p1.5",
            "0x1p-2000",
            "0x1p-1075",
            "0x1p2000",
            "0x1.fffffffffffff8p1023",
            "1d",
            "1f",
            "1L",
            "1,5",
            "é",
        ] {
            assert_eq!(parse_double(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_double(&[b'1'; 400]), None);
        assert_eq!(parse_double(b"1\xff"), None);
    }

    proptest! {
        #[test]
        fn every_printed_double_reads_back_bit_for_bit(bits: u64) {
            let value = f64::from_bits(bits);
            let text = format_double(value);
            prop_assert!(text.len() <= 25);
            if !value.is_nan() {
                prop_assert_eq!(parse_double(&text).map(f64::to_bits), Some(bits));
            }
        }

        #[test]
        fn short_decimals_print_without_noise(thousandths in -99_999_999i32..99_999_999) {
            let value = f64::from(thousandths) / 1000.0;
            let text = format!("{:?}", format_double(value));
            prop_assert_eq!(text, value.to_string());
        }

        #[test]
        fn hexadecimal_is_read_exactly(mantissa in 0u64..1 << 53, exponent in -1074i32..971) {
            let text = format!("0x{mantissa:x}p{exponent}");
            let expected = mantissa as f64 * power_of_two(exponent.into());
            prop_assert_eq!(parse_double(text.as_bytes()), Some(expected));
        }

        #[test]
        fn hostile_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_double(&text);
        }
    }
}
