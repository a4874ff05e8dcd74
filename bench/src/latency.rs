//! Latencies: recorded in nanoseconds, told in percentiles.
//!
//! One HdrHistogram with three significant digits, from 100 ns to a minute; what is longer counts
//! as a minute. Averages are not offered: a mean of latencies describes no request.

use std::io::{self, Write};

use hdrhistogram::Histogram;

const LOWEST_NS: u64 = 100;
const HIGHEST_NS: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// Lines of the distribution per halving of the distance to 100 %, as HdrHistogram's tools have it.
const TICKS_PER_HALVING: u32 = 5;

/// A distribution of latencies. About 200 KiB, of which a run touches a few pages.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
}

/// The percentiles that every report prints, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Half are at or below.
    pub p50_ns: u64,
    /// 90 % are at or below.
    pub p90_ns: u64,
    /// 99 % are at or below.
    pub p99_ns: u64,
    /// 99.9 % are at or below.
    pub p999_ns: u64,
    /// 99.99 % are at or below.
    pub p9999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Default for Latency {
    fn default() -> Latency {
        let histogram = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)
            .expect("the bounds are constants that the histogram accepts");
        Latency { histogram }
    }
}

impl Latency {
    /// Records `count` requests that took `nanoseconds` each. O(1).
    #[inline]
    pub fn record(&mut self, nanoseconds: u64, count: u64) {
        self.histogram.saturating_record_n(nanoseconds, count);
    }

    /// Adds another thread's or window's latencies to these.
    pub fn merge(&mut self, other: &Latency) {
        self.histogram
            .add(&other.histogram)
            .expect("every Latency has the same bounds");
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The percentiles, all 0 when nothing was recorded.
    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile);
        Percentiles {
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            p9999_ns: at(0.9999),
            max_ns: self.histogram.max(),
        }
    }

    /// Writes the percentile distribution in HdrHistogram's text format, values in milliseconds,
    /// as its plotting tools read it.
    pub fn write_hgrm(&self, out: &mut impl Write) -> io::Result<()> {
        let milliseconds = |nanoseconds: f64| nanoseconds / 1e6;
        writeln!(
            out,
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        )?;
        let mut total = 0;
        for step in self.histogram.iter_quantiles(TICKS_PER_HALVING) {
            total += step.count_since_last_iteration();
            let value = milliseconds(step.value_iterated_to() as f64);
            let quantile = step.quantile_iterated_to();
            write!(out, "{value:12.6} {quantile:14.12} {total:10}")?;
            if quantile < 1.0 {
                write!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
            }
            writeln!(out)?;
        }
        writeln!(
            out,
            "#[Mean    = {:12.6}, StdDeviation   = {:12.6}]",
            milliseconds(self.histogram.mean()),
            milliseconds(self.histogram.stdev())
        )?;
        writeln!(
            out,
            "#[Max     = {:12.6}, Total count    = {:12}]",
            milliseconds(self.histogram.max() as f64),
            self.histogram.len()
        )?;
        writeln!(
            out,
            "#[Buckets = {:12}, SubBuckets     = {:12}]",
            self.histogram.buckets(),
            (2 * 10u64.pow(u32::from(SIGNIFICANT_DIGITS))).next_power_of_two()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_to_a_thousand_microseconds() -> Latency {
        let mut latency = Latency::default();
        for microseconds in 1..=1000 {
            latency.record(microseconds * 1000, 10);
        }
        latency
    }

    fn close(value: u64, expected: u64) -> bool {
        value.abs_diff(expected) as f64 <= expected as f64 * 0.001
    }

    #[test]
    fn percentiles_are_within_three_digits() {
        let percentiles = one_to_a_thousand_microseconds().percentiles();
        assert!(close(percentiles.p50_ns, 500_000), "{percentiles:?}");
        assert!(close(percentiles.p99_ns, 990_000), "{percentiles:?}");
        assert!(close(percentiles.p999_ns, 999_000), "{percentiles:?}");
        assert!(close(percentiles.max_ns, 1_000_000), "{percentiles:?}");
    }

    #[test]
    fn merging_is_recording_both() {
        let mut both = Latency::default();
        both.record(5_000, 3);
        both.merge(&one_to_a_thousand_microseconds());
        assert_eq!(both.count(), 10_003);
    }

    #[test]
    fn longer_than_a_minute_counts_as_a_minute() {
        let mut latency = Latency::default();
        latency.record(u64::MAX, 1);
        assert_eq!(latency.count(), 1);
        assert!(latency.percentiles().max_ns >= HIGHEST_NS);
    }

    #[test]
    fn hgrm_has_a_header_rising_lines_and_the_footer() {
        let mut text = Vec::new();
        one_to_a_thousand_microseconds()
            .write_hgrm(&mut text)
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
            ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        );
        assert_eq!(lines.next(), Some(""));
        let rows: Vec<Vec<f64>> = lines
            .clone()
            .take_while(|line| !line.starts_with('#'))
            .map(|line| {
                line.split_whitespace()
                    .map(|field| field.parse().unwrap())
                    .collect()
            })
            .collect();
        assert!(
            rows.windows(2)
                .all(|pair| pair[0][0] <= pair[1][0] && pair[0][2] <= pair[1][2])
        );
        let last = rows.last().unwrap();
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 10_000.0));
        assert_eq!(lines.filter(|line| line.starts_with("#[")).count(), 3);
    }
}
