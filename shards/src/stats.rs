//! Counters of one shard. INFO adds up all shards'; nothing here is shared or atomic.

use hdrhistogram::Histogram;

use crate::command::table;

/// What one command did.
#[derive(Debug, Default, Clone)]
pub struct CommandStats {
    /// Runs.
    pub calls: u64,
    /// Time in them, in nanoseconds.
    pub nanos: u64,
    /// Refused before running (arity, memory, permissions).
    pub rejected: u64,
    /// Runs that ended in an error.
    pub failed: u64,
    /// Durations in nanoseconds, for LATENCY HISTOGRAM; made at the first run.
    pub latency: Option<Box<Histogram<u32>>>,
}

/// Longest duration that a histogram tells apart, in nanoseconds: one second, as Redis.
const LATENCY_NS_MAX: u64 = 1_000_000_000;

impl CommandStats {
    /// Counts a run.
    #[inline]
    pub fn count(&mut self, nanos: u64, failed: bool, tracks_latency: bool) {
        self.calls += 1;
        self.nanos += nanos;
        self.failed += u64::from(failed);
        if tracks_latency {
            let histogram = self.latency.get_or_insert_with(|| {
                let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 2);
                Box::new(histogram.expect("the bounds are valid"))
            });
            histogram.saturating_record(nanos.max(1));
        }
    }

    /// Takes in another shard's counters of the same command.
    fn add(&mut self, other: &CommandStats) {
        self.calls += other.calls;
        self.nanos += other.nanos;
        self.rejected += other.rejected;
        self.failed += other.failed;
        match (&mut self.latency, &other.latency) {
            (_, None) => {}
            (Some(own), Some(others)) => own.add(&**others).expect("the bounds are the same"),
            (own @ None, others) => own.clone_from(others),
        }
    }
}

/// The counters of one shard since its start or CONFIG RESETSTAT.
#[derive(Debug, Default, Clone)]
pub struct Stats {
    /// Effects committed.
    pub changes: u64,
    /// What `changes` was at the last SAVE or BGSAVE.
    pub changes_saved: u64,
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused because of maxclients.
    pub connections_rejected: u64,
    /// Commands run.
    pub commands: u64,
    /// Bytes received from clients.
    pub input_bytes: u64,
    /// Bytes sent to clients.
    pub output_bytes: u64,
    /// Lookups by reading commands that found the key.
    pub keyspace_hits: u64,
    /// Lookups by reading commands that did not.
    pub keyspace_misses: u64,
    /// Keys removed because their expiry had passed.
    pub expired_keys: u64,
    /// Keys deleted by a maxmemory policy.
    pub evicted_keys: u64,
    /// Values dropped from memory to be read back from the log when needed.
    pub cooled_keys: u64,
    /// Values read back from the log.
    pub cold_reads: u64,
    /// Error replies, by their first word.
    pub errors: std::collections::BTreeMap<String, u64>,
    /// Commands run on behalf of another shard's connections.
    pub forwarded_commands: u64,
    /// Commands that held several shards.
    pub held_commands: u64,
    /// Clients cut because their replies exceeded the output limit.
    pub output_limit_disconnections: u64,
    /// By the command's number in the table.
    pub by_command: Vec<CommandStats>,
    /// Operations per second over the last samples.
    pub rate: Rate,
}

impl Stats {
    /// The counters of one command.
    #[inline]
    pub fn command(&mut self, number: usize) -> &mut CommandStats {
        if self.by_command.len() <= number {
            self.by_command
                .resize_with(table::count(), CommandStats::default);
        }
        &mut self.by_command[number]
    }

    /// Counts an error reply by its first word.
    #[cold]
    pub fn count_error(&mut self, text: &[u8]) {
        let word = text.split(|&b| b == b' ').next().unwrap_or_default();
        let word = String::from_utf8_lossy(word).into_owned();
        // An error's first word is ours, never a client's; the bound is against a slip.
        if self.errors.len() < 128 || self.errors.contains_key(&word) {
            *self.errors.entry(word).or_default() += 1;
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        // What is not saved yet is not a statistic: it stays true over a reset.
        let changes = self.unsaved_changes();
        *self = Stats {
            changes,
            rate: self.rate.clone(),
            ..Stats::default()
        };
    }

    /// Effects committed since the last SAVE or BGSAVE.
    pub fn unsaved_changes(&self) -> u64 {
        self.changes - self.changes_saved
    }

    /// Takes in another shard's counters, for INFO. O(commands).
    pub fn add(&mut self, other: &Stats) {
        let Stats {
            changes,
            changes_saved,
            connections_received,
            connections_rejected,
            commands,
            input_bytes,
            output_bytes,
            keyspace_hits,
            keyspace_misses,
            expired_keys,
            evicted_keys,
            cooled_keys,
            cold_reads,
            errors,
            forwarded_commands,
            held_commands,
            output_limit_disconnections,
            by_command,
            rate,
        } = other;
        self.changes += changes;
        self.changes_saved += changes_saved;
        self.connections_received += connections_received;
        self.connections_rejected += connections_rejected;
        self.commands += commands;
        self.input_bytes += input_bytes;
        self.output_bytes += output_bytes;
        self.keyspace_hits += keyspace_hits;
        self.keyspace_misses += keyspace_misses;
        self.expired_keys += expired_keys;
        self.evicted_keys += evicted_keys;
        self.cooled_keys += cooled_keys;
        self.cold_reads += cold_reads;
        for (word, count) in errors {
            *self.errors.entry(word.clone()).or_default() += count;
        }
        self.forwarded_commands += forwarded_commands;
        self.held_commands += held_commands;
        self.output_limit_disconnections += output_limit_disconnections;
        for (number, command) in by_command.iter().enumerate() {
            self.command(number).add(command);
        }
        self.rate.add(rate);
    }
}

/// Samples that a rate is the mean of, as in Redis.
const RATE_SAMPLES: usize = 16;

/// Commands, input and output bytes per second.
#[derive(Debug, Default, Clone)]
pub struct Rate {
    samples: [[u64; 3]; RATE_SAMPLES],
    next: usize,
    last: [u64; 3],
    last_ms: u64,
}

impl Rate {
    /// Takes a sample of the running totals; called about ten times a second.
    pub fn sample(&mut self, now_ms: u64, totals: [u64; 3]) {
        let elapsed_ms = now_ms.saturating_sub(self.last_ms);
        if self.last_ms != 0 && elapsed_ms > 0 {
            for (at, total) in totals.iter().enumerate() {
                let grown = total.saturating_sub(self.last[at]);
                self.samples[self.next][at] = grown * 1000 / elapsed_ms;
            }
            self.next = (self.next + 1) % RATE_SAMPLES;
        }
        self.last = totals;
        self.last_ms = now_ms;
    }

    /// The mean: commands, input bytes, output bytes per second.
    pub fn per_second(&self) -> [u64; 3] {
        let mut sums = [0; 3];
        for sample in &self.samples {
            for (sum, value) in sums.iter_mut().zip(sample) {
                *sum += value;
            }
        }
        sums.map(|sum| sum / RATE_SAMPLES as u64)
    }

    /// Takes in another shard's samples: rates add up.
    fn add(&mut self, other: &Rate) {
        for (own, others) in self.samples.iter_mut().zip(&other.samples) {
            for (sum, value) in own.iter_mut().zip(others) {
                *sum += value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_shards_add_up() {
        let (mut left, mut right) = (Stats::default(), Stats::default());
        left.command(0).count(1500, false, true);
        right.command(0).count(2500, true, true);
        right.count_error(b"ERR no");
        left.add(&right);
        let command = left.command(0).clone();
        assert_eq!((command.calls, command.nanos, command.failed), (2, 4000, 1));
        assert_eq!(command.latency.map(|histogram| histogram.len()), Some(2));
        assert_eq!(left.errors["ERR"], 1);
    }

    #[test]
    fn a_reset_keeps_what_is_not_saved() {
        let mut stats = Stats {
            changes: 7,
            changes_saved: 3,
            commands: 9,
            ..Stats::default()
        };
        stats.reset();
        assert_eq!((stats.unsaved_changes(), stats.commands), (4, 0));
    }
}
