//! The stable base of a sequence, as the merge sees it: neighbours by id, nothing else.
//!
//! A base may hold a million elements, so nothing here walks it. It holds every element whose
//! insertion was absorbed, also those that an effect still in the graph removed: they keep their
//! place until that removal is stable.

use crate::value::{ElementId, List};

/// Look-ups by id in the list of absorbed elements.
pub trait Base {
    /// The first element; none in an empty base.
    fn first(&self) -> Option<ElementId>;
    /// The last element; none in an empty base.
    fn last(&self) -> Option<ElementId>;
    /// The element before `id`; none where `id` is the first or not in the base.
    fn before(&self, id: ElementId) -> Option<ElementId>;
    /// The element after `id`; none where `id` is the last or not in the base.
    fn after(&self, id: ElementId) -> Option<ElementId>;
    /// How many elements stand before `id`; none where it is not in the base.
    fn position(&self, id: ElementId) -> Option<usize>;
}

/// A look-up by id costs as [`List::index_of_id`]: O(1) near the ends of a list, else O(runs of
/// ids), of which a queue has one a chunk.
impl Base for List {
    fn first(&self) -> Option<ElementId> {
        self.id_at(0)
    }

    fn last(&self) -> Option<ElementId> {
        self.id_at(self.len().checked_sub(1)?)
    }

    fn before(&self, id: ElementId) -> Option<ElementId> {
        self.id_at(self.index_of_id(id)?.checked_sub(1)?)
    }

    fn after(&self, id: ElementId) -> Option<ElementId> {
        self.id_at(self.index_of_id(id)? + 1)
    }

    fn position(&self, id: ElementId) -> Option<usize> {
        self.index_of_id(id)
    }
}
