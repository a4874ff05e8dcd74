//! What one command has already said about the elements it names.
//!
//! Effects are pending until a command ends and reads do not see them, so a command that may name
//! an element twice (`SADD k a a`, `ZADD k INCR`) notes here what it did to the first. Few elements
//! are compared one by one; many are hashed.

use std::collections::HashMap;

use smallvec::SmallVec;

/// Elements up to which comparing is cheaper than hashing.
const FEW_MAX: usize = 16;

/// Notes by element; elements are borrowed for `'e`.
#[derive(Default)]
pub struct Overlay<'e, V: Copy> {
    few: SmallVec<[(&'e [u8], V); FEW_MAX]>,
    /// All elements, once there are more than a few.
    many: HashMap<&'e [u8], V, foldhash::fast::RandomState>,
}

impl<'e, V: Copy> Overlay<'e, V> {
    /// No notes. No allocation for the first 16.
    pub fn new() -> Self {
        Overlay {
            few: SmallVec::new(),
            many: HashMap::default(),
        }
    }

    /// The note on `element`. O(1).
    pub fn get(&self, element: &[u8]) -> Option<V> {
        if self.many.is_empty() {
            self.few
                .iter()
                .find(|(other, _)| *other == element)
                .map(|&(_, note)| note)
        } else {
            self.many.get(element).copied()
        }
    }

    /// Notes `note` on `element`; whether it is the first on it. O(1) amortised.
    pub fn insert(&mut self, element: &'e [u8], note: V) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(element, note).is_none();
        }
        if let Some(found) = self.few.iter_mut().find(|(other, _)| *other == element) {
            found.1 = note;
            return false;
        }
        if self.few.len() < FEW_MAX {
            self.few.push((element, note));
        } else {
            self.many.extend(self.few.drain(..));
            self.many.insert(element, note);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_note_on_an_element_counts_whether_few_or_many() {
        let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let mut overlay = Overlay::new();
        for (at, name) in names.iter().enumerate() {
            assert_eq!(overlay.get(name.as_bytes()), None);
            assert!(overlay.insert(name.as_bytes(), at));
            assert!(!overlay.insert(name.as_bytes(), at + 1));
        }
        for (at, name) in names.iter().enumerate() {
            assert_eq!(overlay.get(name.as_bytes()), Some(at + 1));
        }
    }
}
