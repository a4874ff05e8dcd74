//! Choosing some of the elements of a collection, each subset equally likely.
//!
//! Few of many are drawn again and again until enough distinct ones were drawn; else all elements
//! are walked and each is taken or left (selection sampling: Knuth, volume 2, 3.4.2, algorithm S).

use crate::state::Random;

/// Whether drawing `count` distinct elements of `len` takes few enough repeated draws: at most a
/// third of the elements are taken, so a draw is a new one with probability 2/3 or more.
pub fn is_sparse(count: usize, len: usize) -> bool {
    count <= len / 3
}

/// Takes exactly `count` of `len` elements that are shown to it one after the other.
pub struct Selection {
    wanted: usize,
    left: usize,
}

impl Selection {
    /// A selection of `count` elements out of `len`; of all, where there are no more.
    pub fn new(count: usize, len: usize) -> Self {
        Selection {
            wanted: count.min(len),
            left: len,
        }
    }

    /// Whether the next element is taken. O(1).
    pub fn takes(&mut self, random: &mut Random) -> bool {
        debug_assert!(self.left > 0, "shown more elements than announced");
        let takes = random.below(self.left) < self.wanted;
        self.left -= 1;
        self.wanted -= usize::from(takes);
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_so_many_are_taken_and_each_about_as_often() {
        let mut random = Random::new(1);
        let mut taken = [0; 10];
        for _ in 0..10_000 {
            let mut selection = Selection::new(3, 10);
            let before: i32 = taken.iter().sum();
            for times in &mut taken {
                *times += i32::from(selection.takes(&mut random));
            }
            assert_eq!(taken.iter().sum::<i32>(), before + 3);
        }
        assert!(
            taken.iter().all(|times| (2700..3300).contains(times)),
            "{taken:?}"
        );
    }
}
