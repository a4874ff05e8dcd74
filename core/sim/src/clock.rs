//! A node's wall clock: started wrong, running wrong, and set by hand now and then.
//!
//! Only the wall clock errs. Timers run on elapsed time, which no operating system sets back.

/// Virtual time zero on a correct wall clock, in Unix nanoseconds.
pub const EPOCH_UNIX_NS: u64 = 1_800_000_000 * crate::SECOND;

/// One wall clock.
#[derive(Clone, Debug)]
pub struct WallClock {
    /// Where the present course began, in virtual time.
    since_ns: u64,
    /// What the clock showed then.
    unix_ns: u64,
    /// Parts per million by which it runs fast (or, below zero, slow).
    drift_ppm: i64,
}

impl WallClock {
    /// A clock that is off by `skew_ns` at virtual time 0 and drifts by `drift_ppm`.
    pub fn new(skew_ns: i64, drift_ppm: i64) -> Self {
        WallClock {
            since_ns: 0,
            unix_ns: EPOCH_UNIX_NS.saturating_add_signed(skew_ns),
            drift_ppm,
        }
    }

    /// What it shows at virtual time `at_ns`, in Unix nanoseconds.
    pub fn read(&self, at_ns: u64) -> u64 {
        let elapsed = i128::from(at_ns - self.since_ns);
        let shown = elapsed + elapsed * i128::from(self.drift_ppm) / 1_000_000;
        self.unix_ns + u64::try_from(shown).expect("no clock drifts by more than its whole speed")
    }

    /// Somebody sets it, wrong by `off_by_ns`. It drifts on from there.
    pub fn set(&mut self, at_ns: u64, off_by_ns: i64) {
        self.unix_ns = (EPOCH_UNIX_NS + at_ns).saturating_add_signed(off_by_ns);
        self.since_ns = at_ns;
    }

    /// It is corrected, and runs right from now on.
    pub fn correct(&mut self, at_ns: u64) {
        self.set(at_ns, 0);
        self.drift_ppm = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SECOND;

    #[test]
    fn a_clock_drifts_is_set_wrong_and_is_corrected() {
        let mut clock = WallClock::new(-5, 100);
        assert_eq!(clock.read(0), EPOCH_UNIX_NS - 5);
        assert_eq!(
            clock.read(10 * SECOND),
            EPOCH_UNIX_NS - 5 + 10 * SECOND + 1_000_000
        );
        clock.set(10 * SECOND, -(SECOND as i64));
        assert_eq!(clock.read(10 * SECOND), EPOCH_UNIX_NS + 9 * SECOND);
        clock.correct(20 * SECOND);
        assert_eq!(clock.read(21 * SECOND), EPOCH_UNIX_NS + 21 * SECOND);
    }
}
