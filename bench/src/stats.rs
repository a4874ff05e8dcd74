//! The few figures that rounds are condensed to.
//!
//! Minimum, median, maximum: with five rounds there is no more to be told honestly. Servers are
//! compared by the median of the per-round ratios, as what disturbs a round disturbs all of it.

/// Least, middle and greatest of some rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one; the mean of the middle two when rounds are even.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Condenses rounds. O(n log n). `None` without rounds, or when one of them is not a number.
    pub fn of(rounds: &[f64]) -> Option<Spread> {
        if rounds.iter().any(|round| round.is_nan()) {
            return None;
        }
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Spread { min, median, max })
    }
}

/// The median of ours / theirs over the rounds that both have.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = ours
        .iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    Spread::of(&ratios).map(|spread| spread.median)
}

/// The index of the rounds with the greatest (or least) median.
pub fn best<'a>(candidates: impl Iterator<Item = &'a [f64]>, greatest: bool) -> Option<usize> {
    let medians = candidates
        .enumerate()
        .filter_map(|(index, rounds)| Some((index, Spread::of(rounds)?.median)));
    let by_median = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
    let found = if greatest {
        medians.max_by(by_median)
    } else {
        medians.min_by(by_median)
    };
    found.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_rounds_is_between() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            spread,
            Spread {
                min: 1.0,
                median: 2.5,
                max: 4.0
            }
        );
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        // The second round was disturbed for both: the ratio does not move.
        assert_eq!(
            ratio(&[200.0, 20.0, 220.0], &[100.0, 10.0, 100.0]),
            Some(2.0)
        );
    }

    #[test]
    fn the_best_peer_is_the_one_with_the_best_median() {
        let peers: [&[f64]; 3] = [&[1.0, 9.0, 1.0], &[2.0, 3.0, 2.0], &[0.5, 0.5, 0.5]];
        assert_eq!(best(peers.into_iter(), true), Some(1));
        assert_eq!(best(peers.into_iter(), false), Some(2));
        assert_eq!(best(std::iter::empty(), true), None);
    }
}
