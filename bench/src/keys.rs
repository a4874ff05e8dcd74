//! Which key a request touches.
//!
//! A key is a number below the keyspace's size; the template turns it into twelve digits. Uniform
//! is redis-benchmark's `-r`; zipf is what caches meet; sequential and shuffled visit every key
//! exactly once, in order or in none.

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
    /// Every key once, in a random order, and then in the same order again.
    Shuffled(Shuffle),
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

    /// Each key once, in the random order that belongs to `seed`. `count` must not be 0.
    pub fn shuffled(count: u64, seed: u64) -> Keys {
        Keys::Shuffled(Shuffle::new(count, seed))
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
            Keys::Shuffled(shuffle) => shuffle.draw(),
        }
    }
}

/// A walk over `0..count` in random order, without a table of what was visited.
///
/// The smallest 2^k numbers that hold the keyspace are permuted by steps that can each be undone: a
/// multiplication by an odd number, an addition, a shift folded in. What lands beyond the keyspace
/// is permuted again until it lands inside (cycle walking, Black and Rogaway 2002), which takes
/// less than two turns on average and keeps it a permutation.
#[derive(Clone, Debug)]
pub struct Shuffle {
    count: u64,
    next: u64,
    mask: u64,
    shift: u32,
    /// An odd factor and a summand for each step.
    steps: [(u64, u64); 3],
}

impl Shuffle {
    /// The walk that belongs to `seed`. `count` must not be 0.
    pub fn new(count: u64, seed: u64) -> Shuffle {
        assert!(count > 0, "a keyspace holds at least one key");
        let bits = u64::BITS - (count - 1).leading_zeros();
        let mut rng = Rng::new(seed);
        Shuffle {
            count,
            next: 0,
            mask: u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0),
            // Half the bits: the high ones, which products mix best, reach the low ones.
            shift: (bits / 2).max(1),
            steps: std::array::from_fn(|_| (rng.draw() | 1, rng.draw())),
        }
    }

    fn draw(&mut self) -> u64 {
        let mut key = self.next;
        self.next = if key + 1 == self.count { 0 } else { key + 1 };
        loop {
            key = self.permute(key);
            if key < self.count {
                return key;
            }
        }
    }

    fn permute(&self, number: u64) -> u64 {
        self.steps
            .iter()
            .fold(number, |number, &(factor, summand)| {
                let mixed = number.wrapping_mul(factor).wrapping_add(summand) & self.mask;
                mixed ^ mixed >> self.shift
            })
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
    fn a_shuffled_walk_visits_every_key_once_before_it_repeats() {
        let mut rng = Rng::new(0);
        for count in [1, 2, 3, 1000, 1024, 1025] {
            let mut keys = Keys::shuffled(count, 7);
            let mut walk = || -> Vec<u64> { (0..count).map(|_| keys.draw(&mut rng)).collect() };
            let first = walk();
            assert_eq!(first, walk(), "the second time round is the same");
            let mut sorted = first;
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..count), "of {count}");
        }
    }

    #[test]
    fn a_shuffled_walk_has_no_order_that_a_server_could_profit_from() {
        let mut rng = Rng::new(0);
        let mut keys = Keys::shuffled(100_000, 3);
        let drawn: Vec<u64> = (0..100_000).map(|_| keys.draw(&mut rng)).collect();
        // In a random order half of the steps go up, and a step spans a third of the keyspace.
        let up = drawn.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((48_000..52_000).contains(&up), "{up} steps go up");
        let span: u64 = drawn.windows(2).map(|pair| pair[0].abs_diff(pair[1])).sum();
        let mean = span as f64 / 99_999.0;
        assert!((mean / 33_333.0 - 1.0).abs() < 0.03, "mean step {mean}");
        let other = Keys::shuffled(100_000, 4).draw(&mut rng);
        assert_ne!(drawn[0], other, "each seed has its own order");
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
