//! One line of a configuration file as words, and words as a line.
//!
//! Quoting is redis.conf's: `"..."` knows `\n \r \t \b \a \" \\` and `\xHH`; `'...'` knows only
//! `\'`; a closing quote must be followed by a space or the end. It does not know comments, nor what
//! a directive is.
//!
//! The rule it keeps: `split(quote(word))` is that word again, whatever its bytes.

/// Splits a line into its words; `None` when a quote is left open or runs into the next word.
///
/// Words may hold any byte. O(line).
pub(super) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, tail) = first_word(rest)?;
        words.push(word);
        rest = tail.trim_ascii_start();
    }
    Some(words)
}

/// Takes one word off the front of `rest`, which starts with no space.
fn first_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some((word, rest)),
            [byte, ..] if byte.is_ascii_whitespace() => return Some((word, rest)),
            [b'"', tail @ ..] => rest = double_quoted(tail, &mut word)?,
            [b'\'', tail @ ..] => rest = single_quoted(tail, &mut word)?,
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
                continue;
            }
        }
        // A quoted part has just been closed: it must end the word.
        if rest.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
            return None;
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push((hex(*high) << 4) | hex(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// `word` in double quotes, unprintable bytes escaped, so that any value survives a rewrite.
pub(super) fn quote(word: &[u8]) -> String {
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('"');
    for &byte in word {
        match byte {
            b'"' | b'\\' => {
                quoted.push('\\');
                quoted.push(char::from(byte));
            }
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            0x20..=0x7e => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let words = split(line.as_bytes())?;
        Some(
            words
                .into_iter()
                .map(|word| String::from_utf8(word).expect("UTF-8"))
                .collect(),
        )
    }

    #[test]
    fn quotes_follow_redis_conf() {
        assert_eq!(
            words("  save  900 1\t"),
            Some(vec!["save".into(), "900".into(), "1".into()])
        );
        assert_eq!(
            words(r#"a "b c" '' "x\x41\n""#).unwrap(),
            ["a", "b c", "", "xA\n"]
        );
        assert_eq!(words(r"'it\'s \n'").unwrap(), [r"it's \n"]);
        assert_eq!(words(""), Some(vec![]));
    }

    #[test]
    fn open_or_glued_quotes_are_refused() {
        assert_eq!(words(r#"requirepass "abc"#), None);
        assert_eq!(words("requirepass 'abc"), None);
        assert_eq!(words(r#""a"b"#), None);
    }

    proptest! {
        #[test]
        fn any_bytes_survive_quoting(word in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(split(quote(&word).as_bytes()), Some(vec![word]));
        }
    }
}
