//! What a directive's words may be: how they become a value, and a value becomes words again.
//!
//! A kind is a small constant in a row of the table; it knows its limits, not its directive's name.
//! The rule it keeps: what `lines` writes, `parse` reads back as the same value.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::PathBuf;

use super::choice::Choice;
use super::events::KeyspaceEvents;
use super::memory::MemoryLimit;
use super::words::quote;

/// Why words are no value of a directive; the last line of a start error or of CONFIG SET's answer.
pub type Reason = Cow<'static, str>;

/// The way between words and values of type `T`.
pub(super) trait Kind<T> {
    /// Reads the words after the directive's name. `current` is the value so far; `repeated` says
    /// that an earlier line of the same start set it, so that a list may grow.
    fn parse(&self, words: &[Vec<u8>], current: &T, repeated: bool) -> Result<T, Reason>;

    /// The value as CONFIG GET shows it.
    fn print(&self, value: &T) -> Vec<u8>;

    /// The value as lines of a configuration file, names left out. A kind with one line per part
    /// may leave out the parts that equal `default`.
    fn lines(&self, value: &T, default: &T) -> Vec<String>;

    /// What is allowed, for errors and `--help`.
    fn allowed(&self) -> String;

    /// Whether a value may take several words, so that CONFIG SET splits its one argument.
    fn takes_many(&self) -> bool {
        false
    }
}

/// The one word of a directive that takes one.
fn only_word(words: &[Vec<u8>]) -> Result<&[u8], Reason> {
    match words {
        [word] => Ok(word),
        _ => Err("wrong number of arguments".into()),
    }
}

/// The one word as text; numbers and names are ASCII, so bytes that are not UTF-8 match none.
fn only_text(words: &[Vec<u8>]) -> Result<&str, Reason> {
    only_word(words).map(|word| std::str::from_utf8(word).unwrap_or("\u{fffd}"))
}

/// `yes` or `no`.
pub(super) struct YesNo;

impl Kind<bool> for YesNo {
    fn parse(&self, words: &[Vec<u8>], _: &bool, _: bool) -> Result<bool, Reason> {
        match only_text(words)? {
            word if word.eq_ignore_ascii_case("yes") => Ok(true),
            word if word.eq_ignore_ascii_case("no") => Ok(false),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }

    fn print(&self, value: &bool) -> Vec<u8> {
        if *value { b"yes".into() } else { b"no".into() }
    }

    fn lines(&self, value: &bool, _: &bool) -> Vec<String> {
        vec![if *value { "yes" } else { "no" }.into()]
    }

    fn allowed(&self) -> String {
        "yes or no".into()
    }
}

/// A whole number within two bounds, both included.
pub(super) struct Integer(pub(super) i64, pub(super) i64);

impl<T: TryFrom<i64> + Display> Kind<T> for Integer {
    fn parse(&self, words: &[Vec<u8>], _: &T, _: bool) -> Result<T, Reason> {
        let number = strict_integer(only_text(words)?)
            .ok_or("argument couldn't be parsed into an integer")?;
        if number < self.0 || number > self.1 {
            return Err(out_of_range(self.0, self.1));
        }
        T::try_from(number).map_err(|_| out_of_range(self.0, self.1))
    }

    fn print(&self, value: &T) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn lines(&self, value: &T, _: &T) -> Vec<String> {
        vec![value.to_string()]
    }

    fn allowed(&self) -> String {
        match self.1 {
            i64::MAX => format!("an integer, {} or more", self.0),
            most => format!("an integer from {} to {most}", self.0),
        }
    }
}

fn out_of_range(least: impl Display, most: impl Display) -> Reason {
    format!("argument must be between {least} and {most} inclusive").into()
}

/// Decimal digits with at most a minus: no plus, no leading zero, no spaces, as Redis has it.
pub(super) fn strict_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = (digits == "0" && text == "0") || !digits.starts_with(['0', '+', '-']);
    if plain { text.parse().ok() } else { None }
}

/// Like [`Integer`], but a number outside is taken as the nearest bound; Redis does so with `hz`.
pub(super) struct Clamped(pub(super) i64, pub(super) i64);

impl<T: TryFrom<i64> + Display> Kind<T> for Clamped {
    fn parse(&self, words: &[Vec<u8>], _: &T, _: bool) -> Result<T, Reason> {
        const INT_MAX: i64 = i32::MAX as i64;
        let number = strict_integer(only_text(words)?)
            .ok_or("argument couldn't be parsed into an integer")?;
        if !(0..=INT_MAX).contains(&number) {
            return Err(out_of_range(0, INT_MAX));
        }
        T::try_from(number.clamp(self.0, self.1)).map_err(|_| out_of_range(self.0, self.1))
    }

    fn print(&self, value: &T) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn lines(&self, value: &T, _: &T) -> Vec<String> {
        vec![value.to_string()]
    }

    fn allowed(&self) -> String {
        format!("an integer, taken as {} to {}", self.0, self.1)
    }
}

/// Bytes, with an optional unit: `b`, `k` `m` `g` (powers of 1000), `kb` `mb` `gb` (of 1024).
pub(super) struct Memory(pub(super) u64, pub(super) u64);

impl Kind<u64> for Memory {
    fn parse(&self, words: &[Vec<u8>], _: &u64, _: bool) -> Result<u64, Reason> {
        let bytes = bytes_of(only_text(words)?).ok_or("argument must be a memory value")?;
        if bytes < self.0 || bytes > self.1 {
            return Err(out_of_range(self.0, self.1));
        }
        Ok(bytes)
    }

    fn print(&self, value: &u64) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn lines(&self, value: &u64, _: &u64) -> Vec<String> {
        vec![with_unit(*value)]
    }

    fn allowed(&self) -> String {
        format!(
            "bytes, or a size such as 64mb; {} or more",
            with_unit(self.0)
        )
    }
}

/// Reads a size; `None` when it is none, or beyond `u64`.
pub(super) fn bytes_of(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A size in the largest binary unit that divides it, so that a rewritten file stays readable.
pub(super) fn with_unit(bytes: u64) -> String {
    match bytes {
        0 => "0".into(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{}gb", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}mb", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}kb", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// A size, or a percentage of what this process may use; holds the reason given for other words.
pub(super) struct Share(pub(super) &'static str);

impl Kind<MemoryLimit> for Share {
    fn parse(&self, words: &[Vec<u8>], _: &MemoryLimit, _: bool) -> Result<MemoryLimit, Reason> {
        let text = only_text(words)?;
        if let Some(percent) = text.strip_suffix('%') {
            let percent = strict_integer(percent)
                .filter(|&percent| percent >= 0)
                .ok_or(self.0)?;
            if percent > 100 {
                return Err("percentage argument must be less or equal to 100".into());
            }
            return Ok(MemoryLimit::Percent(
                u8::try_from(percent).expect("at most 100"),
            ));
        }
        bytes_of(text).map(MemoryLimit::Bytes).ok_or(self.0.into())
    }

    fn print(&self, value: &MemoryLimit) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn lines(&self, value: &MemoryLimit, _: &MemoryLimit) -> Vec<String> {
        vec![match value {
            MemoryLimit::Bytes(bytes) => with_unit(*bytes),
            MemoryLimit::Percent(_) => value.to_string(),
        }]
    }

    fn allowed(&self) -> String {
        "bytes, a size such as 4gb, or a percentage such as 80%".into()
    }
}

/// File permissions in octal.
pub(super) struct Octal;

impl Kind<u32> for Octal {
    fn parse(&self, words: &[Vec<u8>], _: &u32, _: bool) -> Result<u32, Reason> {
        let mode = u32::from_str_radix(only_text(words)?, 8)
            .map_err(|_| "argument couldn't be parsed as an octal number")?;
        if mode > 0o777 {
            Err(out_of_range(0, 777))
        } else {
            Ok(mode)
        }
    }

    fn print(&self, value: &u32) -> Vec<u8> {
        format!("{value:o}").into_bytes()
    }

    fn lines(&self, value: &u32, _: &u32) -> Vec<String> {
        vec![format!("{value:o}")]
    }

    fn allowed(&self) -> String {
        "permissions in octal, 0 to 777".into()
    }
}

/// Any text, in UTF-8.
pub(super) struct Text;

impl Kind<String> for Text {
    fn parse(&self, words: &[Vec<u8>], _: &String, _: bool) -> Result<String, Reason> {
        String::from_utf8(only_word(words)?.to_vec())
            .map_err(|_| "argument must be text in UTF-8".into())
    }

    fn print(&self, value: &String) -> Vec<u8> {
        value.clone().into_bytes()
    }

    fn lines(&self, value: &String, _: &String) -> Vec<String> {
        vec![quote(value.as_bytes())]
    }

    fn allowed(&self) -> String {
        "text".into()
    }
}

/// A name inside a directory; holds the reason given when it is a path.
pub(super) struct Name(pub(super) &'static str);

impl Kind<String> for Name {
    fn parse(&self, words: &[Vec<u8>], current: &String, again: bool) -> Result<String, Reason> {
        let name = Text.parse(words, current, again)?;
        if name.contains('/') {
            Err(self.0.into())
        } else {
            Ok(name)
        }
    }

    fn print(&self, value: &String) -> Vec<u8> {
        Text.print(value)
    }

    fn lines(&self, value: &String, default: &String) -> Vec<String> {
        Text.lines(value, default)
    }

    fn allowed(&self) -> String {
        "a name without '/'".into()
    }
}

/// Any bytes: passwords.
pub(super) struct Bytes;

impl Kind<Vec<u8>> for Bytes {
    fn parse(&self, words: &[Vec<u8>], _: &Vec<u8>, _: bool) -> Result<Vec<u8>, Reason> {
        Ok(only_word(words)?.to_vec())
    }

    fn print(&self, value: &Vec<u8>) -> Vec<u8> {
        value.clone()
    }

    fn lines(&self, value: &Vec<u8>, _: &Vec<u8>) -> Vec<String> {
        vec![quote(value)]
    }

    fn allowed(&self) -> String {
        "any bytes; quote what is not printable".into()
    }
}

/// A directory, or the place where the server will make one; kept as an absolute path.
pub(super) struct Directory;

impl Kind<PathBuf> for Directory {
    fn parse(&self, words: &[Vec<u8>], _: &PathBuf, _: bool) -> Result<PathBuf, Reason> {
        let path = PathBuf::from(only_text(words)?);
        match std::fs::canonicalize(&path) {
            Ok(path) if path.is_dir() => Ok(path),
            Ok(_) => Err("Not a directory".into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::path::absolute(&path).map_err(|error| error.to_string().into())
            }
            Err(error) => Err(error.to_string().into()),
        }
    }

    fn print(&self, value: &PathBuf) -> Vec<u8> {
        value.as_os_str().as_encoded_bytes().to_vec()
    }

    fn lines(&self, value: &PathBuf, _: &PathBuf) -> Vec<String> {
        vec![quote(value.as_os_str().as_encoded_bytes())]
    }

    fn allowed(&self) -> String {
        "a directory; it is made where it is missing".into()
    }
}

/// One word of an enum.
pub(super) struct OneOf;

impl<T: Choice> Kind<T> for OneOf {
    fn parse(&self, words: &[Vec<u8>], _: &T, _: bool) -> Result<T, Reason> {
        let word = only_text(words)?;
        T::SPELLINGS
            .iter()
            .find(|(spelling, _)| spelling.eq_ignore_ascii_case(word))
            .map(|(_, variant)| *variant)
            .ok_or_else(|| none_of(T::SPELLINGS.iter().map(|(spelling, _)| *spelling)))
    }

    fn print(&self, value: &T) -> Vec<u8> {
        value.spelling().into()
    }

    fn lines(&self, value: &T, _: &T) -> Vec<String> {
        vec![value.spelling().into()]
    }

    fn allowed(&self) -> String {
        let spellings: Vec<_> = T::SPELLINGS.iter().map(|(spelling, _)| *spelling).collect();
        spellings.join(", ")
    }
}

fn none_of(spellings: impl Iterator<Item = &'static str>) -> Reason {
    let list: Vec<_> = spellings.collect();
    format!(
        "argument(s) must be one of the following: {}",
        list.join(", ")
    )
    .into()
}

/// One word out of a list, kept as it is: for directives that nothing acts upon.
pub(super) struct Word(pub(super) &'static [&'static str]);

impl Kind<&'static str> for Word {
    fn parse(&self, words: &[Vec<u8>], _: &&'static str, _: bool) -> Result<&'static str, Reason> {
        let word = only_text(words)?;
        self.0
            .iter()
            .copied()
            .find(|known| known.eq_ignore_ascii_case(word))
            .ok_or_else(|| none_of(self.0.iter().copied()))
    }

    fn print(&self, value: &&'static str) -> Vec<u8> {
        value.as_bytes().to_vec()
    }

    fn lines(&self, value: &&'static str, _: &&'static str) -> Vec<String> {
        vec![value.to_string()]
    }

    fn allowed(&self) -> String {
        self.0.join(", ")
    }
}

/// Letters of keyspace event classes.
pub(super) struct Events;

impl Kind<KeyspaceEvents> for Events {
    fn parse(
        &self,
        words: &[Vec<u8>],
        _: &KeyspaceEvents,
        _: bool,
    ) -> Result<KeyspaceEvents, Reason> {
        KeyspaceEvents::parse(only_text(words)?)
            .ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into())
    }

    fn print(&self, value: &KeyspaceEvents) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn lines(&self, value: &KeyspaceEvents, _: &KeyspaceEvents) -> Vec<String> {
        vec![quote(value.to_string().as_bytes())]
    }

    fn allowed(&self) -> String {
        "letters out of Ag$lshzxeKEtmdn".into()
    }
}

/// A kind of which Causet supports one value; any other stops with the reason and the way out.
pub(super) struct Only<K, T>(pub(super) K, pub(super) T, pub(super) &'static str);

impl<T: PartialEq, K: Kind<T>> Kind<T> for Only<K, T> {
    fn parse(&self, words: &[Vec<u8>], current: &T, repeated: bool) -> Result<T, Reason> {
        let value = self.0.parse(words, current, repeated)?;
        if value == self.1 {
            Ok(value)
        } else {
            Err(self.2.into())
        }
    }

    fn print(&self, value: &T) -> Vec<u8> {
        self.0.print(value)
    }

    fn lines(&self, value: &T, default: &T) -> Vec<String> {
        self.0.lines(value, default)
    }

    fn allowed(&self) -> String {
        format!("only {}", String::from_utf8_lossy(&self.0.print(&self.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<Vec<u8>> {
        vec![text.into()]
    }

    #[test]
    fn integers_are_strict() {
        for bad in [
            "",
            "010",
            "+1",
            " 1",
            "1 ",
            "-0",
            "1a",
            "--1",
            "-",
            "99999999999999999999",
        ] {
            assert_eq!(strict_integer(bad), None, "{bad:?}");
        }
        assert_eq!(strict_integer("-12"), Some(-12));
        assert_eq!(strict_integer("0"), Some(0));
        let refused: Result<u16, _> = Integer(0, 65535).parse(&words("70000"), &0, false);
        assert_eq!(
            refused,
            Err("argument must be between 0 and 65535 inclusive".into())
        );
    }

    #[test]
    fn sizes_know_both_thousands() {
        assert_eq!(bytes_of("1k"), Some(1000));
        assert_eq!(bytes_of("1KB"), Some(1024));
        assert_eq!(bytes_of("2Gb"), Some(2 << 30));
        assert_eq!(bytes_of("7"), Some(7));
        for bad in ["", "kb", "1t", "-1", "1.5mb", "20000000000gb"] {
            assert_eq!(bytes_of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn shares_stop_at_the_whole() {
        let kind = Share("argument must be a memory or percent value");
        let none = MemoryLimit::Bytes(0);
        assert_eq!(
            kind.parse(&words("5%"), &none, false),
            Ok(MemoryLimit::Percent(5))
        );
        assert_eq!(
            kind.parse(&words("500%"), &none, false),
            Err("percentage argument must be less or equal to 100".into())
        );
        assert!(kind.parse(&words("1.5%"), &none, false).is_err());
    }

    #[test]
    fn a_refusal_names_the_way_out() {
        let kind = Only(YesNo, false, "use systemd");
        assert_eq!(kind.parse(&words("no"), &false, false), Ok(false));
        assert_eq!(
            kind.parse(&words("yes"), &false, false),
            Err("use systemd".into())
        );
    }

    proptest! {
        #[test]
        fn sizes_read_back(bytes: u64) {
            prop_assert_eq!(bytes_of(&with_unit(bytes)), Some(bytes));
        }
    }
}
