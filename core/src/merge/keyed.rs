//! Keyed elements out of their dots: which collection is seen, and what its elements hold.
//!
//! Elements lie on a *ground*: the base, a whole state that a snapshot wrote, or nothing. The ground
//! is looked at for the elements that have dots or marks, and for no others.

use crate::effect::TypeTag;
use crate::id::EffectRef;

use super::branch::{BASE, Branch, Slot, Whole};
use super::owned::Owned;
use super::scalar::{Content, value_of};
use super::state::Base;

/// What the elements of a collection lie on.
#[derive(Clone, Copy)]
pub(super) enum Below<'a> {
    Nothing,
    Base,
    Whole(&'a Whole),
}

impl Below<'_> {
    fn at(&self) -> EffectRef {
        match self {
            Below::Nothing | Below::Base => BASE,
            Below::Whole(whole) => whole.dot.at(),
        }
    }

    fn dot(&self) -> Option<&Owned> {
        match self {
            Below::Nothing | Below::Base => None,
            Below::Whole(whole) => Some(&whole.dot),
        }
    }

    /// Whether what the ground has of the item is covered.
    pub fn is_covered(&self, slot: &Slot) -> bool {
        slot.covered.contains(&self.at())
    }

    /// What element `name` holds after `dots`, which are of its slot.
    pub fn element<'d>(
        &self,
        name: &[u8],
        slot: &Slot,
        dots: impl Iterator<Item = &'d Owned>,
        base: &impl Base,
    ) -> Option<Content> {
        let content = match self {
            _ if self.is_covered(slot) => None,
            Below::Nothing => None,
            Below::Base => base.element(name),
            Below::Whole(whole) => whole.value.as_ref().as_ref().and_then(|v| v.element(name)),
        };
        value_of((content, self.dot()), dots)
    }
}

impl Branch {
    /// The type of the base, where it still stands.
    pub(super) fn base_type(&self, base: &impl Base) -> Option<TypeTag> {
        if self.base_gone {
            None
        } else {
            base.type_tag()
        }
    }

    /// The type that is seen. A string beats collections; among those the type of the greatest dot
    /// is seen, the base being lower than all. O(items with dots).
    pub(super) fn type_seen(&self, base: &impl Base) -> Option<TypeTag> {
        let base_type = self.base_type(base);
        if !self.scalar.dots.is_empty() || base_type == Some(TypeTag::String) {
            return Some(TypeTag::String);
        }
        let elements = (self.elements.iter())
            .filter_map(|((type_tag, _), slot)| Some((slot.dots.last()?, *type_tag)));
        let wholes = (self.wholes.iter()).map(|whole| (&whole.dot, whole.type_tag));
        let ordered = (self.ordered.dots.last()).map(|dot| (dot, TypeTag::List));
        (elements.chain(wholes).chain(ordered))
            .max_by(|(a, _), (b, _)| a.order(b))
            .map(|(_, type_tag)| type_tag)
            .or(base_type)
    }

    /// What the elements of a collection of `type_tag` lie on: its last snapshot, else the base.
    pub(super) fn below(&self, type_tag: TypeTag, base: &impl Base) -> Below<'_> {
        let mut wholes = self.wholes.iter().rev();
        match wholes.find(|whole| whole.type_tag == type_tag) {
            Some(whole) => Below::Whole(whole),
            None if self.base_type(base) == Some(type_tag) => Below::Base,
            None => Below::Nothing,
        }
    }
}
