//! Which key a request touches.
//!
//! A key is a number below the keyspace's size; the template turns it into twelve digits. Uniform
//! is redis-benchmark's `-r`; zipf is what caches meet; sequential fills a server with every key
//! exactly once.

use crate::rng::Rng;

/// A multiplier that shares no factor with any keyspace below it, so that `rank * PRIME mod n`
/// visits every key once: hot ranks are spread over the keyspace and stay distinct.
const SPREAD_PRIME: u64 = 2_305_843_009_213_693_951;

/// A source of key numbers.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Every key equally often.
    Uniform {
        /// Size of the keyspace.
        count: u64,
    },
    /// Few keys often, many keys seldom.
    Zipf(Zipf),
    /// 0, 1, 2, ... and from the start again.
    Sequential {
        /// Size of the keyspace.
        count: u64,
        /// The next key.
        next: u64,
    },
}

impl Keys {
    /// Every key below `count` equally often. `count` must not be 0.
    pub fn uniform(count: u64) -> Keys {
        assert!(count > 0, "a keyspace holds at least one key");
        Keys::Uniform { count }
    }

    /// Each key in turn, for filling. `count` must not be 0.
    pub fn sequential(count: u64) -> Keys {
        assert!(count > 0, "a keyspace holds at least one key");
        Keys::Sequential { count, next: 0 }
    }

    /// The next key. O(1) for each of the distributions.
    #[inline]
    pub fn draw(&mut self, rng: &mut Rng) -> u64 {
        match self {
            Keys::Uniform { count } => rng.below(*count),
            Keys::Zipf(zipf) => zipf.draw(rng),
            Keys::Sequential { count, next } => {
                let key = *next;
                *next = if key + 1 == *count { 0 } else { key + 1 };
                key
            }
        }
    }
}

/// Zipf's law with exponent `theta` below 1: rank k is drawn in proportion to 1/k^theta, by the
/// closed form of Gray et al., "Quickly generating billion-record synthetic databases" (1994).
#[derive(Clone, Debug)]
pub struct Zipf {
    count: u64,
    theta: f64,
    alpha: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    /// Prepares the constants: O(count), once. `theta` lies in (0, 1); 0.99 is YCSB's choice.
    pub fn new(count: u64, theta: f64) -> Zipf {
        assert!(count > 1, "a zipf keyspace holds at least two keys");
        assert!(theta > 0.0 && theta < 1.0, "theta lies between 0 and 1");
        let zeta: f64 = (1..=count).map(|rank| (rank as f64).powf(-theta)).sum();
        let zeta_of_two = 1.0 + 0.5f64.powf(theta);
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - theta)) / (1.0 - zeta_of_two / zeta);
        Zipf {
            count,
            theta,
            alpha: 1.0 / (1.0 - theta),
            zeta,
            eta,
        }
    }

    /// The rank, 0 the hottest.
    fn rank(&self, rng: &mut Rng) -> u64 {
        let unit = rng.unit();
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(self.theta) {
            return 1;
        }
        let rank = self.count as f64 * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.count - 1)
    }

    fn draw(&self, rng: &mut Rng) -> u64 {
        let rank = self.rank(rng);
        ((u128::from(rank) * u128::from(SPREAD_PRIME)) % u128::from(self.count)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_visits_every_key_once_and_wraps() {
        let mut keys = Keys::sequential(3);
        let mut rng = Rng::new(0);
        let drawn: Vec<u64> = (0..7).map(|_| keys.draw(&mut rng)).collect();
        assert_eq!(drawn, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn zipf_ranks_follow_the_law() {
        let zipf = Zipf::new(1000, 0.99);
        let mut rng = Rng::new(5);
        let mut seen = vec![0u32; 1000];
        for _ in 0..200_000 {
            seen[zipf.rank(&mut rng) as usize] += 1;
        }
        let expected = 200_000.0 / zipf.zeta;
        let hottest = f64::from(seen[0]);
        assert!(
            (hottest / expected - 1.0).abs() < 0.05,
            "{hottest} against {expected}"
        );
        assert!(seen[0] > seen[1] && seen[1] > seen[10] && seen[10] > seen[500]);
    }

    #[test]
    fn spreading_ranks_keeps_them_distinct() {
        let mut keys: Vec<u64> = (0..1000u128)
            .map(|rank| ((rank * u128::from(SPREAD_PRIME)) % 1000) as u64)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 1000);
    }
}
