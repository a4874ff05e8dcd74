//! LATENCY: when which kind of event took longer than `latency-monitor-threshold`.
//!
//! One monitor per shard, merged when it is read. It keeps the worst event of each second, the last
//! 160 such seconds for each kind; the distribution of all durations is in the command statistics,
//! not here. Nothing is recorded below the threshold, so a healthy server pays one comparison.

use std::collections::{BTreeMap, VecDeque};

/// Seconds with a slow event that are kept for each kind, as in Redis.
const SAMPLES_MAX: usize = 160;

/// The worst event of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Unix seconds.
    pub at_s: u64,
    /// Its duration in milliseconds.
    pub millis: u64,
}

/// What is known of one kind of event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    samples: VecDeque<Sample>,
    /// The longest since the last reset, in milliseconds.
    pub millis_max: u64,
}

impl History {
    /// The samples, oldest first; at most 160.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample> + '_ {
        self.samples.iter().copied()
    }

    /// The last sample.
    pub fn latest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    fn add(&mut self, sample: Sample) {
        self.millis_max = self.millis_max.max(sample.millis);
        match self.samples.back_mut() {
            Some(last) if last.at_s == sample.at_s => last.millis = last.millis.max(sample.millis),
            _ => {
                self.samples.push_back(sample);
                if self.samples.len() > SAMPLES_MAX {
                    self.samples.pop_front();
                }
            }
        }
    }

    /// Takes in another shard's history. O(samples).
    fn merge(&mut self, other: &History) {
        let mut both: Vec<Sample> = self.samples().chain(other.samples()).collect();
        both.sort_by_key(|sample| sample.at_s);
        let millis_max = self.millis_max.max(other.millis_max);
        *self = History::default();
        for sample in both {
            self.add(sample);
        }
        self.millis_max = millis_max;
    }
}

/// The slow events of one shard, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyMonitor {
    events: BTreeMap<&'static str, History>,
}

impl LatencyMonitor {
    /// Records an event that took `millis`, where that reaches `threshold_ms` (0: nothing does).
    #[inline]
    pub fn record(&mut self, event: &'static str, at_s: u64, millis: u64, threshold_ms: u64) {
        if threshold_ms != 0 && millis >= threshold_ms {
            self.events
                .entry(event)
                .or_default()
                .add(Sample { at_s, millis });
        }
    }

    /// The kinds of events that occurred, with their histories.
    pub fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &History)> + '_ {
        self.events.iter().map(|(name, history)| (*name, history))
    }

    /// The history of one kind.
    pub fn history(&self, event: &[u8]) -> Option<&History> {
        self.events.get(std::str::from_utf8(event).ok()?)
    }

    /// Forgets one kind; returns whether it was known.
    pub fn forget(&mut self, event: &[u8]) -> bool {
        let name = std::str::from_utf8(event).unwrap_or_default();
        self.events.remove(name).is_some()
    }

    /// Takes in another shard's events.
    pub fn merge(&mut self, other: &LatencyMonitor) {
        for (name, history) in other.events() {
            self.events.entry(name).or_default().merge(history);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_event_of_a_second_stays() {
        let mut monitor = LatencyMonitor::default();
        for (at_s, millis) in [(1, 5), (1, 9), (1, 7), (2, 3)] {
            monitor.record("command", at_s, millis, 1);
        }
        let history = monitor.history(b"command").expect("was recorded");
        let samples: Vec<_> = history.samples().map(|s| (s.at_s, s.millis)).collect();
        assert_eq!(samples, [(1, 9), (2, 3)]);
        assert_eq!(history.millis_max, 9);
    }

    #[test]
    fn nothing_is_recorded_below_the_threshold_or_without_one() {
        let mut monitor = LatencyMonitor::default();
        monitor.record("command", 1, 9, 10);
        monitor.record("command", 1, 9, 0);
        assert_eq!(monitor, LatencyMonitor::default());
    }

    #[test]
    fn shards_are_merged_by_second_and_bounded() {
        let (mut left, mut right) = (LatencyMonitor::default(), LatencyMonitor::default());
        for at_s in 0..160 {
            left.record("command", 2 * at_s, 4, 1);
            right.record("command", 2 * at_s + 1, 6, 1);
        }
        right.record("command", 0, 50, 1);
        left.merge(&right);
        let history = left.history(b"command").expect("was recorded");
        assert_eq!(history.samples().len(), 160);
        assert_eq!(
            history.latest(),
            Some(Sample {
                at_s: 319,
                millis: 6
            })
        );
        assert_eq!(history.millis_max, 50);
    }
}
