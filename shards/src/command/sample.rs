//! Choosing some of the elements of a collection, each subset equally likely.
//!
//! Few of many are drawn again and again until enough distinct ones were drawn; else all elements
//! are walked and each is taken or left (selection sampling: Knuth, volume 2, 3.4.2, algorithm S).

use super::overlay::Overlay;
use crate::state::Random;

/// Shows `count` distinct elements of `len`, each subset equally likely. `draw` gives one by chance,
/// `all` gives every one; an element is known by its bytes. O(count) draws for a small part of the
/// collection, else a walk.
pub fn choose<'e, V>(
    count: usize,
    len: usize,
    random: &mut Random,
    mut draw: impl FnMut(&mut Random) -> (&'e [u8], V),
    all: impl Iterator<Item = (&'e [u8], V)>,
    mut visit: impl FnMut((&'e [u8], V)),
) {
    if is_sparse(count, len) {
        let mut seen = Overlay::new();
        let mut left = count;
        while left > 0 {
            let element = draw(random);
            if seen.insert(element.0, ()) {
                visit(element);
                left -= 1;
            }
        }
    } else {
        let mut selection = Selection::new(count, len);
        all.filter(|_| selection.takes(random)).for_each(visit);
    }
}

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
