//! When requests ought to start.
//!
//! An open loop does not wait for replies: its requests have start times fixed beforehand, and a
//! request that could not be sent in time is late, not postponed. Latency counted from these times
//! shows a stall as long as it was to every client that met it (no coordinated omission).

use crate::rng::Rng;

/// A sequence of start times, in nanoseconds from the start of the run.
#[derive(Clone, Debug)]
pub struct Schedule {
    gap_ns: f64,
    next_ns: f64,
    /// Present when gaps are exponential (a Poisson process), absent when they are equal.
    rng: Option<Rng>,
}

impl Schedule {
    /// `rate` requests a second, above 0, at equal gaps.
    pub fn even(rate: f64) -> Schedule {
        assert!(
            rate > 0.0 && rate.is_finite(),
            "a rate is a positive number"
        );
        Schedule {
            gap_ns: 1e9 / rate,
            next_ns: 0.0,
            rng: None,
        }
    }

    /// `rate` requests a second on average, arriving independently of one another.
    pub fn poisson(rate: f64, rng: Rng) -> Schedule {
        Schedule {
            rng: Some(rng),
            ..Schedule::even(rate)
        }
    }

    /// The start of the next request.
    #[inline]
    pub fn peek_ns(&self) -> u64 {
        self.next_ns as u64
    }

    /// Takes the next request: returns its start and moves on.
    #[inline]
    pub fn take_ns(&mut self) -> u64 {
        let start_ns = self.next_ns as u64;
        let factor = self.rng.as_mut().map_or(1.0, Rng::exponential);
        self.next_ns += self.gap_ns * factor;
        start_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_starts_do_not_drift() {
        let mut schedule = Schedule::even(30_000.0);
        for _ in 0..30_000 {
            schedule.take_ns();
        }
        assert!(schedule.peek_ns().abs_diff(1_000_000_000) <= 1_000);
    }

    #[test]
    fn poisson_keeps_the_rate_and_varies_the_gaps() {
        let mut schedule = Schedule::poisson(1000.0, Rng::new(9));
        let starts: Vec<u64> = (0..100_000).map(|_| schedule.take_ns()).collect();
        let seconds = *starts.last().unwrap() as f64 / 1e9;
        assert!((seconds - 100.0).abs() < 2.0, "{seconds}");
        assert!(starts.windows(2).all(|pair| pair[0] <= pair[1]));
        let short = starts
            .windows(2)
            .filter(|pair| pair[1] - pair[0] < 500_000)
            .count();
        // 1 - e^-0.5 of the gaps are below half the mean.
        assert!((short as f64 / 100_000.0 - 0.393).abs() < 0.02);
    }
}
