//! Values made of several words: snapshot points, buffer limits, addresses, cores, percentiles.
//!
//! Each is a plain type with the kind that reads and prints it. The rule it keeps: a list is read
//! whole or refused whole; no half of it is ever in force.

use super::kind::{Kind, Reason, bytes_of, strict_integer, with_unit};
use super::words::quote;

/// One `save SECONDS CHANGES`. Kept for compatibility: the log makes every write durable, and
/// nothing is snapshotted on a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last snapshot, 1 or more.
    pub seconds: i64,
    /// Changes since the last snapshot, 0 or more.
    pub changes: i64,
}

/// Any number of [`SavePoint`]s; the empty word means none.
pub(super) struct SavePoints;

impl Kind<Vec<SavePoint>> for SavePoints {
    fn parse(
        &self,
        words: &[Vec<u8>],
        current: &Vec<SavePoint>,
        repeated: bool,
    ) -> Result<Vec<SavePoint>, Reason> {
        if words.iter().all(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let mut points = if repeated {
            current.clone()
        } else {
            Vec::new()
        };
        for pair in words.chunks(2) {
            let numbers: Vec<i64> = pair.iter().filter_map(|word| integer(word)).collect();
            match numbers[..] {
                [seconds, changes] if seconds >= 1 && changes >= 0 => {
                    // Said twice, as by an included file and its includer, it is one point.
                    let point = SavePoint { seconds, changes };
                    if !points.contains(&point) {
                        points.push(point);
                    }
                }
                _ => return Err("Invalid save parameters".into()),
            }
        }
        Ok(points)
    }

    fn print(&self, value: &Vec<SavePoint>) -> Vec<u8> {
        let pairs: Vec<_> = value
            .iter()
            .map(|point| format!("{} {}", point.seconds, point.changes))
            .collect();
        pairs.join(" ").into_bytes()
    }

    fn lines(&self, value: &Vec<SavePoint>, _: &Vec<SavePoint>) -> Vec<String> {
        if value.is_empty() {
            return vec!["\"\"".into()];
        }
        value
            .iter()
            .map(|point| format!("{} {}", point.seconds, point.changes))
            .collect()
    }

    fn allowed(&self) -> String {
        "pairs of seconds and changes, or \"\"".into()
    }

    fn takes_many(&self) -> bool {
        true
    }
}

fn integer(word: &[u8]) -> Option<i64> {
    std::str::from_utf8(word).ok().and_then(strict_integer)
}

/// When a client that does not read its replies is disconnected. 0 sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimit {
    /// At once above so many bytes.
    pub hard_bytes: u64,
    /// Above so many bytes for [`soft_seconds`](Self::soft_seconds).
    pub soft_bytes: u64,
    /// See [`soft_bytes`](Self::soft_bytes).
    pub soft_seconds: u32,
}

/// `client-output-buffer-limit`: one limit for each class of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimits {
    /// Clients that are neither of the others.
    pub normal: BufferLimit,
    /// Replicas of the Redis protocol (PSYNC); Causet's own peers have their own flow control.
    pub replica: BufferLimit,
    /// Clients that subscribed to at least one channel.
    pub pubsub: BufferLimit,
}

impl BufferLimits {
    /// Redis's defaults: none, 256mb / 64mb for 60 s, 32mb / 8mb for 60 s.
    pub(super) const DEFAULT: Self = Self {
        normal: BufferLimit {
            hard_bytes: 0,
            soft_bytes: 0,
            soft_seconds: 0,
        },
        replica: BufferLimit {
            hard_bytes: 256 << 20,
            soft_bytes: 64 << 20,
            soft_seconds: 60,
        },
        pubsub: BufferLimit {
            hard_bytes: 32 << 20,
            soft_bytes: 8 << 20,
            soft_seconds: 60,
        },
    };

    fn class(&mut self, name: &[u8]) -> Option<&mut BufferLimit> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Some(&mut self.normal),
            b"replica" | b"slave" => Some(&mut self.replica),
            b"pubsub" => Some(&mut self.pubsub),
            _ => None,
        }
    }
}

/// `CLASS HARD SOFT SECONDS`, any number of times; classes not named keep their limit.
pub(super) struct ClassLimits;

impl Kind<BufferLimits> for ClassLimits {
    fn parse(
        &self,
        words: &[Vec<u8>],
        current: &BufferLimits,
        _: bool,
    ) -> Result<BufferLimits, Reason> {
        if words.is_empty() || !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut limits = *current;
        for part in words.chunks_exact(4) {
            let class = limits
                .class(&part[0])
                .ok_or("Invalid client class specified in buffer limit configuration.")?;
            *class = buffer_limit(&part[1], &part[2], &part[3]).ok_or(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            )?;
        }
        Ok(limits)
    }

    fn print(&self, value: &BufferLimits) -> Vec<u8> {
        // "slave", because that is the word that clients parse.
        let parts = [
            ("normal", value.normal),
            ("slave", value.replica),
            ("pubsub", value.pubsub),
        ];
        let parts: Vec<_> = parts
            .iter()
            .map(|(name, limit)| {
                let BufferLimit {
                    hard_bytes,
                    soft_bytes,
                    soft_seconds,
                } = limit;
                format!("{name} {hard_bytes} {soft_bytes} {soft_seconds}")
            })
            .collect();
        parts.join(" ").into_bytes()
    }

    fn lines(&self, value: &BufferLimits, default: &BufferLimits) -> Vec<String> {
        let parts = [
            ("normal", value.normal, default.normal),
            ("replica", value.replica, default.replica),
            ("pubsub", value.pubsub, default.pubsub),
        ];
        parts
            .iter()
            .filter(|(_, limit, default)| limit != default)
            .map(|(name, limit, _)| {
                let (hard, soft) = (with_unit(limit.hard_bytes), with_unit(limit.soft_bytes));
                format!("{name} {hard} {soft} {}", limit.soft_seconds)
            })
            .collect()
    }

    fn allowed(&self) -> String {
        "normal, replica or pubsub, then hard bytes, soft bytes, soft seconds".into()
    }

    fn takes_many(&self) -> bool {
        true
    }
}

fn buffer_limit(hard: &[u8], soft: &[u8], seconds: &[u8]) -> Option<BufferLimit> {
    Some(BufferLimit {
        hard_bytes: bytes_of(std::str::from_utf8(hard).ok()?)?,
        soft_bytes: bytes_of(std::str::from_utf8(soft).ok()?)?,
        soft_seconds: u32::try_from(integer(seconds)?).ok()?,
    })
}

/// Up to 16 addresses to listen on; a leading `-` allows that one to be unavailable.
pub(super) struct Addresses;

/// Redis's bound; every shard listens on each address, so it also bounds sockets.
const ADDRESSES_MAX: usize = 16;

impl Kind<Vec<String>> for Addresses {
    fn parse(&self, words: &[Vec<u8>], _: &Vec<String>, _: bool) -> Result<Vec<String>, Reason> {
        if words.len() > ADDRESSES_MAX {
            return Err("Too many bind addresses specified.".into());
        }
        words
            .iter()
            // `bind ""` listens on no TCP address.
            .filter(|word| !word.is_empty())
            .map(|word| {
                String::from_utf8(word.clone()).map_err(|_| "argument must be an address".into())
            })
            .collect()
    }

    fn print(&self, value: &Vec<String>) -> Vec<u8> {
        value.join(" ").into_bytes()
    }

    fn lines(&self, value: &Vec<String>, _: &Vec<String>) -> Vec<String> {
        vec![if value.is_empty() {
            "\"\"".into()
        } else {
            value.join(" ")
        }]
    }

    fn allowed(&self) -> String {
        format!("up to {ADDRESSES_MAX} addresses; * and -::* mean every interface")
    }

    fn takes_many(&self) -> bool {
        true
    }
}

/// Percentiles from 0 to 100 that INFO latencystats reports.
pub(super) struct Percentiles;

impl Kind<Vec<f64>> for Percentiles {
    fn parse(&self, words: &[Vec<u8>], _: &Vec<f64>, _: bool) -> Result<Vec<f64>, Reason> {
        words
            .iter()
            .filter(|word| !word.is_empty())
            .map(|word| {
                let number: f64 = std::str::from_utf8(word)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
                if !(0.0..=100.0).contains(&number) {
                    return Err(
                        "latency-tracking-info-percentiles parameters should sit between \
                                [0.0,100.0]"
                            .into(),
                    );
                }
                Ok(number)
            })
            .collect()
    }

    fn print(&self, value: &Vec<f64>) -> Vec<u8> {
        let numbers: Vec<_> = value.iter().map(f64::to_string).collect();
        numbers.join(" ").into_bytes()
    }

    fn lines(&self, value: &Vec<f64>, _: &Vec<f64>) -> Vec<String> {
        let printed = String::from_utf8(self.print(value)).expect("digits and spaces");
        vec![if printed.is_empty() {
            "\"\"".into()
        } else {
            printed
        }]
    }

    fn allowed(&self) -> String {
        "numbers from 0 to 100".into()
    }

    fn takes_many(&self) -> bool {
        true
    }
}

/// Which cores the shards' threads are pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinCores {
    /// Shard `i` to the `i`-th core that this process may run on.
    Automatic,
    /// The kernel's scheduler places the threads.
    Nowhere,
    /// Shard `i` to the `i`-th of these.
    Cores(Vec<usize>),
}

/// `""`, `none`, or numbers and ranges: `0,2,4-7`.
pub(super) struct Cores;

/// The kernel's own bound on CPU numbers (NR_CPUS of the largest builds).
const CORE_MAX: usize = 8191;

impl Kind<PinCores> for Cores {
    fn parse(&self, words: &[Vec<u8>], _: &PinCores, _: bool) -> Result<PinCores, Reason> {
        let joined = words.join(&b',');
        match std::str::from_utf8(&joined) {
            Ok("") => Ok(PinCores::Automatic),
            Ok(word) if word.eq_ignore_ascii_case("none") => Ok(PinCores::Nowhere),
            Ok(list) => core_list(list)
                .map(PinCores::Cores)
                .ok_or("argument must be a list of core numbers such as 0,2,4-7".into()),
            Err(_) => Err("argument must be a list of core numbers such as 0,2,4-7".into()),
        }
    }

    fn print(&self, value: &PinCores) -> Vec<u8> {
        match value {
            PinCores::Automatic => Vec::new(),
            PinCores::Nowhere => b"none".into(),
            PinCores::Cores(cores) => {
                let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
                cores.join(",").into_bytes()
            }
        }
    }

    fn lines(&self, value: &PinCores, _: &PinCores) -> Vec<String> {
        vec![quote(&self.print(value))]
    }

    fn allowed(&self) -> String {
        "core numbers such as 0,2,4-7, \"\" for automatic, or none".into()
    }

    fn takes_many(&self) -> bool {
        true
    }
}

/// Numbers and ranges, in the order given; `None` when one is no number or comes twice.
fn core_list(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if first > last || last > CORE_MAX {
            return None;
        }
        for core in first..=last {
            if cores.contains(&core) {
                return None;
            }
            cores.push(core);
        }
    }
    Some(cores)
}

/// A fixed number of integers within bounds; CONFIG GET shows them with spaces between.
pub(super) struct Numbers<const N: usize>(pub(super) i64, pub(super) i64, pub(super) &'static str);

impl<const N: usize> Kind<[i32; N]> for Numbers<N> {
    fn parse(&self, words: &[Vec<u8>], _: &[i32; N], _: bool) -> Result<[i32; N], Reason> {
        if words.len() != N {
            return Err("wrong number of arguments".into());
        }
        let mut numbers = [0; N];
        for (number, word) in numbers.iter_mut().zip(words) {
            *number = integer(word)
                .filter(|number| (self.0..=self.1).contains(number))
                .and_then(|number| i32::try_from(number).ok())
                .ok_or(self.2)?;
        }
        Ok(numbers)
    }

    fn print(&self, value: &[i32; N]) -> Vec<u8> {
        value
            .map(|number| number.to_string())
            .join(" ")
            .into_bytes()
    }

    fn lines(&self, value: &[i32; N], _: &[i32; N]) -> Vec<String> {
        vec![value.map(|number| number.to_string()).join(" ")]
    }

    fn allowed(&self) -> String {
        format!("{N} integers from {} to {}", self.0, self.1)
    }

    fn takes_many(&self) -> bool {
        true
    }
}

/// Several words out of a list, kept as they are.
pub(super) struct SomeOf(pub(super) &'static [&'static str]);

impl Kind<String> for SomeOf {
    fn parse(&self, words: &[Vec<u8>], _: &String, _: bool) -> Result<String, Reason> {
        let mut chosen = Vec::new();
        for word in words {
            let known = self
                .0
                .iter()
                .find(|known| known.as_bytes().eq_ignore_ascii_case(word));
            chosen.push(*known.ok_or_else(|| {
                format!(
                    "argument(s) must be one of the following: {}",
                    self.0.join(", ")
                )
            })?);
        }
        if chosen.is_empty() {
            Err("wrong number of arguments".into())
        } else {
            Ok(chosen.join(" "))
        }
    }

    fn print(&self, value: &String) -> Vec<u8> {
        value.clone().into_bytes()
    }

    fn lines(&self, value: &String, _: &String) -> Vec<String> {
        vec![value.clone()]
    }

    fn allowed(&self) -> String {
        format!("one or more of {}", self.0.join(", "))
    }

    fn takes_many(&self) -> bool {
        true
    }
}

/// Lines that may come again and again, each with its own words: `user`, `rename-command`.
/// Holds the least and the most words of a line.
pub(super) struct Lines(pub(super) usize, pub(super) usize);

impl Kind<Vec<Vec<Vec<u8>>>> for Lines {
    fn parse(
        &self,
        words: &[Vec<u8>],
        current: &Vec<Vec<Vec<u8>>>,
        repeated: bool,
    ) -> Result<Vec<Vec<Vec<u8>>>, Reason> {
        if words.len() < self.0 || words.len() > self.1 {
            return Err("wrong number of arguments".into());
        }
        let mut lines = if repeated {
            current.clone()
        } else {
            Vec::new()
        };
        if !lines.iter().any(|line| line == words) {
            lines.push(words.to_vec());
        }
        Ok(lines)
    }

    fn print(&self, value: &Vec<Vec<Vec<u8>>>) -> Vec<u8> {
        self.lines(value, &Vec::new()).join("\n").into_bytes()
    }

    fn lines(&self, value: &Vec<Vec<Vec<u8>>>, _: &Vec<Vec<Vec<u8>>>) -> Vec<String> {
        value
            .iter()
            .map(|line| {
                line.iter()
                    .map(|word| bare_or_quoted(word))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect()
    }

    fn allowed(&self) -> String {
        match self.1 {
            usize::MAX => format!("{} or more words; the line may come again", self.0),
            _ => format!("{} words; the line may come again", self.0),
        }
    }

    fn takes_many(&self) -> bool {
        true
    }
}

/// A word as it is where that is safe, because ACL rules in quotes are hard to read.
fn bare_or_quoted(word: &[u8]) -> String {
    let safe = !word.is_empty()
        && word
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\'));
    if safe {
        String::from_utf8_lossy(word).into_owned()
    } else {
        quote(word)
    }
}

/// `replicaof`: Causet has no leader to follow, and pretending would lose the user's writes.
pub(super) struct NoLeader;

impl Kind<String> for NoLeader {
    fn parse(&self, words: &[Vec<u8>], _: &String, _: bool) -> Result<String, Reason> {
        match words {
            [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => {
                Ok(String::new())
            }
            [_, _] => Err(
                "Causet has no leader to replicate from: every node takes writes. \
                           Remove this line and join the nodes as peers"
                    .into(),
            ),
            _ => Err("wrong number of arguments".into()),
        }
    }

    fn print(&self, value: &String) -> Vec<u8> {
        value.clone().into_bytes()
    }

    fn lines(&self, _: &String, _: &String) -> Vec<String> {
        vec!["no one".into()]
    }

    fn allowed(&self) -> String {
        "only no one".into()
    }

    fn takes_many(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    #[test]
    fn save_lines_of_one_file_add_up() {
        let first = SavePoints
            .parse(&words("900 1 300 10"), &vec![], false)
            .expect("valid");
        let both = SavePoints
            .parse(&words("60 10000"), &first, true)
            .expect("valid");
        assert_eq!(SavePoints.print(&both), b"900 1 300 10 60 10000");
        assert_eq!(SavePoints.parse(&words(""), &both, true), Ok(vec![]));
        for bad in ["900", "900 x", "0 1", "900 1 300"] {
            assert!(
                SavePoints.parse(&words(bad), &vec![], false).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_buffer_limit_changes_only_its_class() {
        let default = BufferLimits::DEFAULT;
        let limits = ClassLimits
            .parse(&words("replica 1kb 2 3"), &default, false)
            .expect("valid");
        assert_eq!(
            ClassLimits.print(&limits),
            b"normal 0 0 0 slave 1024 2 3 pubsub 33554432 8388608 60"
        );
        assert_eq!(ClassLimits.lines(&limits, &default), ["replica 1kb 2 3"]);
    }

    #[test]
    fn cores_are_numbers_and_ranges() {
        let cores = |text: &str| Cores.parse(&words(text), &PinCores::Automatic, false);
        assert_eq!(cores("0,4-6"), Ok(PinCores::Cores(vec![0, 4, 5, 6])));
        assert_eq!(cores(""), Ok(PinCores::Automatic));
        assert_eq!(cores("none"), Ok(PinCores::Nowhere));
        for bad in ["x", "1,1", "3-1", "1-", "0-99999"] {
            assert!(cores(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn percentiles_sit_within_the_whole() {
        let parsed = Percentiles
            .parse(&words("50 99.999"), &vec![], false)
            .expect("valid");
        assert_eq!(Percentiles.print(&parsed), b"50 99.999");
        assert!(Percentiles.parse(&words("200"), &vec![], false).is_err());
        assert!(Percentiles.parse(&words("nan"), &vec![], false).is_err());
    }
}
