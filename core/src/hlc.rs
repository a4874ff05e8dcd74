//! The hybrid logical clock: order that respects causality and stays near wall time.
//!
//! After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical Clocks" (OPODIS 2014), in
//! one `u64`. The clock reads no time by itself: `now` arrives as an argument.

use std::fmt;

/// A stamp: Unix nanoseconds, the low 16 bits used as a logical counter (so physical time has a
/// grain of 65.5 us). Good until the year 2554.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(pub u64);

const LOGICAL_BITS: u64 = 0xffff;

impl Hlc {
    /// The physical part in Unix milliseconds.
    pub const fn unix_ms(self) -> u64 {
        self.0 / 1_000_000
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Hlc({}ns+{})",
            self.0 & !LOGICAL_BITS,
            self.0 & LOGICAL_BITS
        )
    }
}

/// A remote stamp was further ahead of this node's time than the drift bound allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stamp is {ahead_ms} ms ahead of this node's clock, over the drift bound of {bound_ms} ms")]
pub struct DriftError {
    /// How far ahead, in milliseconds.
    pub ahead_ms: u64,
    /// The bound, in milliseconds.
    pub bound_ms: u64,
}

/// One stream's clock. Every stamp it gives is higher than every stamp it gave or accepted before,
/// whatever the wall clock does; feed it the highest stamp of the log after a restart.
#[derive(Debug, Clone)]
pub struct HlcClock {
    last: u64,
    drift_bound_ns: u64,
    drift_refused: u64,
}

impl HlcClock {
    /// A clock that refuses remote stamps more than `drift_bound_ms` ahead of local time.
    pub fn new(drift_bound_ms: u64) -> Self {
        HlcClock {
            last: 0,
            drift_bound_ns: drift_bound_ms.saturating_mul(1_000_000),
            drift_refused: 0,
        }
    }

    /// The stamp of a local event at `now_ns` (Unix nanoseconds). O(1).
    #[inline]
    pub fn tick(&mut self, now_ns: u64) -> Hlc {
        self.last = (now_ns & !LOGICAL_BITS).max(self.last + 1);
        Hlc(self.last)
    }

    /// Takes note of a remote stamp, so that what follows is stamped later.
    ///
    /// # Errors
    /// [`DriftError`] if the stamp is beyond the drift bound; it is counted and changes nothing.
    pub fn observe(&mut self, remote: Hlc, now_ns: u64) -> Result<(), DriftError> {
        if remote.0 > now_ns.saturating_add(self.drift_bound_ns) {
            self.drift_refused += 1;
            return Err(DriftError {
                ahead_ms: (remote.0 - now_ns) / 1_000_000,
                bound_ms: self.drift_bound_ns / 1_000_000,
            });
        }
        self.last = self.last.max(remote.0);
        Ok(())
    }

    /// Takes note of one of this node's own stamps, read back from its log: never refused, because
    /// a wall clock that was set back must not make a node reject its own past.
    #[inline]
    pub fn recover(&mut self, own: Hlc) {
        self.last = self.last.max(own.0);
    }

    /// The last stamp given or accepted.
    pub fn last(&self) -> Hlc {
        Hlc(self.last)
    }

    /// How many remote stamps were refused.
    pub fn drift_refused(&self) -> u64 {
        self.drift_refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn stamps_rise_while_the_wall_clock_steps_back_an_hour() {
        let mut clock = HlcClock::new(500);
        let mut last = clock.tick(7200 * SECOND);
        for step in 0..100_000 {
            let stamp = clock.tick(3600 * SECOND + step);
            assert!(stamp > last);
            last = stamp;
        }
        assert!(clock.tick(7300 * SECOND).unix_ms() >= 7_299_999);
    }

    #[test]
    fn a_stamp_beyond_the_drift_bound_is_refused_and_counted() {
        let mut clock = HlcClock::new(500);
        let now = 100 * SECOND;
        assert!(clock.observe(Hlc(now + SECOND / 4), now).is_ok());
        let before = clock.last();
        assert_eq!(
            clock.observe(Hlc(now + SECOND), now),
            Err(DriftError {
                ahead_ms: 1000,
                bound_ms: 500
            })
        );
        assert_eq!((clock.last(), clock.drift_refused()), (before, 1));
        assert!(clock.tick(now) > Hlc(now + SECOND / 4));
    }

    #[test]
    fn recovery_never_refuses_the_nodes_own_past() {
        let mut clock = HlcClock::new(500);
        clock.recover(Hlc(9000 * SECOND));
        assert!(clock.tick(SECOND) > Hlc(9000 * SECOND));
    }
}
