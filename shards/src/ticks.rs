//! A clock cheap enough to be read around every command.
//!
//! On x86-64 the time-stamp counter, whose rate is measured against the system clock once; else the
//! system's monotonic clock. For durations only: it is not wall time.

use std::sync::OnceLock;
use std::time::Instant;

/// A moment, in units of this clock.
#[derive(Clone, Copy, Debug)]
pub struct Ticks(u64);

/// Nanoseconds per tick, times 2^32.
static SCALE: OnceLock<u64> = OnceLock::new();

/// Now. About 8 ns.
#[inline]
pub fn now() -> Ticks {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 CPU has the instruction.
    return Ticks(unsafe { std::arch::x86_64::_rdtsc() });
    #[cfg(not(target_arch = "x86_64"))]
    Ticks(origin().elapsed().as_nanos() as u64)
}

/// Nanoseconds from `began` to `ended`; 0 where that is before it.
#[inline]
pub fn nanos_between(began: Ticks, ended: Ticks) -> u64 {
    let ticks = ended.0.saturating_sub(began.0);
    let scale = SCALE.get().copied().unwrap_or(1 << 32);
    ((u128::from(ticks) * u128::from(scale)) >> 32) as u64
}

#[cfg(not(target_arch = "x86_64"))]
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// Measures the clock's rate; takes 10 ms, once. Before it, a tick counts as a nanosecond.
pub fn calibrate() {
    SCALE.get_or_init(|| {
        let (began, ticks) = (Instant::now(), now().0);
        std::thread::sleep(std::time::Duration::from_millis(10));
        let (nanos, ticks) = (began.elapsed().as_nanos(), now().0 - ticks);
        ((nanos << 32) / u128::from(ticks.max(1))) as u64
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nap_is_measured_about_right() {
        calibrate();
        let began = now();
        std::thread::sleep(std::time::Duration::from_millis(5));
        let nanos = nanos_between(began, now());
        assert!((4_500_000..1_000_000_000).contains(&nanos), "{nanos}");
    }
}
