//! Glob patterns as Redis defines them, for KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET and key rules.
//!
//! `*` any run of bytes, `?` one byte, `[abc]`, `[a-z]`, `[^a-z]` one byte of (or not of) a class,
//! `\x` the byte `x` itself. Patterns and texts are bytes: UTF-8 has no meaning here. It is not a
//! path glob: `*` crosses `/`.
//!
//! The rule it keeps: a hostile pattern costs O(pattern x text) and no stack. Only the last `*`
//! is ever retried, because whatever an earlier `*` could still take, the last one can take too.

/// Whether `text` matches `pattern` as a whole; with `nocase`, ASCII letters match in either case.
///
/// Cost: O(`pattern` x `text`) at worst, O(`text`) for patterns with at most one `*`; allocates
/// nothing. An unclosed `[` class ends with the pattern; a trailing `\` stands for itself.
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let mut at_pattern = 0;
    let mut at_text = 0;
    // Where to resume when a byte does not fit: after the last `*`, one more byte given to it.
    let mut retry: Option<(usize, usize)> = None;

    while at_text < text.len() {
        if pattern.get(at_pattern) == Some(&b'*') {
            at_pattern += 1;
            if at_pattern == pattern.len() {
                return true;
            }
            retry = Some((at_pattern, at_text));
            continue;
        }
        if let Some(next) = step(&pattern[at_pattern..], text[at_text], nocase) {
            at_pattern += next;
            at_text += 1;
        } else if let Some((after_star, taken_to)) = retry {
            at_pattern = after_star;
            at_text = taken_to + 1;
            retry = Some((after_star, at_text));
        } else {
            return false;
        }
    }
    pattern[at_pattern..].iter().all(|&byte| byte == b'*')
}

/// The bytes with which every match of `pattern` begins, escapes resolved.
///
/// A range scan of the ordered key index starts and ends there. The whole pattern, where it has no
/// wildcard: then it matches exactly that text. Only valid for matching with case.
pub fn literal_prefix(pattern: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    loop {
        match rest {
            [] | [b'*' | b'?' | b'[', ..] => return prefix,
            [b'\\', escaped, tail @ ..] => {
                prefix.push(*escaped);
                rest = tail;
            }
            [byte, tail @ ..] => {
                prefix.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Whether `pattern` holds an unescaped `*`, `?` or `[`, so that it may match more than one text.
pub fn has_wildcard(pattern: &[u8]) -> bool {
    let mut rest = pattern;
    loop {
        match rest {
            [] => return false,
            [b'*' | b'?' | b'[', ..] => return true,
            [b'\\', _, tail @ ..] | [_, tail @ ..] => rest = tail,
        }
    }
}

/// Matches one byte against the head of `pattern` (not a `*`): the head's length when it fits.
fn step(pattern: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (fits, length) = class_match(class, byte, nocase);
            fits.then_some(1 + length)
        }
        [b'\\', escaped, ..] => same(*escaped, byte, nocase).then_some(2),
        [literal, ..] => same(*literal, byte, nocase).then_some(1),
    }
}

/// Matches one byte against a class (the bytes after `[`); also says how long the class is, `]`
/// included. The class is read to its end even after a hit, because the caller goes on after it.
fn class_match(class: &[u8], byte: u8, nocase: bool) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut hit = false;
    let length = loop {
        match &class[at..] {
            [] => break at,
            [b']', ..] => break at + 1,
            [b'\\', escaped, ..] => {
                hit |= same(*escaped, byte, nocase);
                at += 2;
            }
            [from, b'-', to, ..] => {
                hit |= in_range(*from, *to, byte, nocase);
                at += 3;
            }
            [literal, ..] => {
                hit |= same(*literal, byte, nocase);
                at += 1;
            }
        }
    };
    (hit != negated, length)
}

/// Whether `byte` lies between the two ends, which may be given in either order.
fn in_range(from: u8, to: u8, byte: u8, nocase: bool) -> bool {
    let (low, high) = (from.min(to), from.max(to));
    if nocase {
        (low.to_ascii_lowercase()..=high.to_ascii_lowercase()).contains(&byte.to_ascii_lowercase())
    } else {
        (low..=high).contains(&byte)
    }
}

fn same(left: u8, right: u8, nocase: bool) -> bool {
    if nocase {
        left.eq_ignore_ascii_case(&right)
    } else {
        left == right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        glob_match(pattern.as_bytes(), text.as_bytes(), false)
    }

    #[test]
    fn stars_and_questions() {
        assert!(matches("*", ""));
        assert!(matches("**", "x"));
        assert!(matches("user:*", "user:1"));
        assert!(!matches("user:*", "use:1"));
        assert!(matches("h?llo", "hello"));
        assert!(!matches("h?llo", "hllo"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("a*b*c", "a-b-b-"));
        assert!(matches("", ""));
        assert!(!matches("", "a"));
        assert!(!matches("a", ""));
    }

    #[test]
    fn classes() {
        assert!(matches("h[ae]llo", "hallo"));
        assert!(!matches("h[ae]llo", "hillo"));
        assert!(matches("h[^e]llo", "hallo"));
        assert!(!matches("h[^e]llo", "hello"));
        assert!(matches("[a-c]", "b"));
        assert!(
            matches("[c-a]", "b"),
            "a range given backwards is the same range"
        );
        assert!(matches("[\\]]", "]"));
        assert!(!matches("[]", "]"), "an empty class matches nothing");
        assert!(matches("[^]", "x"));
        assert!(
            matches("[abc", "c"),
            "an unclosed class ends with the pattern"
        );
        assert!(glob_match(b"[A-C]X", b"bx", true));
    }

    #[test]
    fn escapes() {
        assert!(matches("a\\*b", "a*b"));
        assert!(!matches("a\\*b", "axb"));
        assert!(
            matches("a\\", "a\\"),
            "a trailing backslash stands for itself"
        );
        assert!(!glob_match(b"ABC", b"abc", false));
        assert!(glob_match(b"A\\BC", b"abc", true));
    }

    #[test]
    fn hostile_pattern_ends_soon() {
        let pattern = "a*".repeat(1_000) + "b";
        let text = "a".repeat(20_000);
        let started = std::time::Instant::now();
        assert!(!matches(&pattern, &text));
        assert!(started.elapsed().as_secs() < 5, "must not be exponential");
    }

    #[test]
    fn prefix_stops_at_the_first_wildcard() {
        assert_eq!(literal_prefix(b"user:*"), b"user:");
        assert_eq!(literal_prefix(b"a\\*b[c]"), b"a*b");
        assert_eq!(literal_prefix(b"plain"), b"plain");
        assert_eq!(literal_prefix(b"\\"), b"\\");
        assert_eq!(literal_prefix(b"*"), b"");
        assert!(has_wildcard(b"a?"));
        assert!(!has_wildcard(b"a\\?"));
    }

    /// Textbook definition, exponential but obviously right.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|skip| reference(&pattern[1..], &text[skip..])),
            Some(_) if text.is_empty() => false,
            Some(_) => step(pattern, text[0], false)
                .is_some_and(|length| reference(&pattern[length..], &text[1..])),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(
                glob_match(pattern.as_bytes(), text.as_bytes(), false),
                reference(pattern.as_bytes(), text.as_bytes())
            );
        }

        #[test]
        fn every_match_begins_with_the_prefix(pattern in "[ab*?\\\\]{0,6}", text in "[ab*]{0,6}") {
            if glob_match(pattern.as_bytes(), text.as_bytes(), false) {
                prop_assert!(text.as_bytes().starts_with(&literal_prefix(pattern.as_bytes())));
            }
        }
    }
}
