//! Stable dots become part of the base, and the history before them is forgotten.
//!
//! A dot is *stable* when every member holds its effect: whatever arrives from now on observes it
//! (causal stability; Baquero, Almeida and Shoker, "Pure operation-based replicated data types",
//! 2017). Then its identity decides nothing any more: who covers its item covers it. What is left of
//! it is a value, and values live in the base.
//!
//! The rule it keeps: absorbing changes no resolved state, now or after anything that may still
//! arrive. So a dot stays while its place in the order may matter beside one that is not stable:
//!
//! - the writes of an item leave together, when all of them are stable;
//! - modifiers leave as a prefix of the order, because a value is a left fold in the order;
//! - a snapshot waits for the element writes below it in the order; the value of a write for its
//!   own expiry; and expiries leave together;
//! - while dots of several types survive, nothing leaves: which type is seen hangs on the order.
//!
//! Covering effects need not stay at all. All that they cover had arrived before them, and was
//! covered when they came.

use smallvec::SmallVec;

use crate::effect::TypeTag;

use super::branch::{BASE, Branch, Slot};
use super::changes::{Changes, Ground};
use super::keyed::Below;
use super::owned::Owned;
use super::scalar::{is_write, value_of};
use super::state::Base;
use super::vector::VersionVector;

/// The dots of `slot` that leave it: all writes and the first modifiers in the order. None where a
/// write is not stable.
fn take_stable(slot: &mut Slot, stable: &VersionVector) -> SmallVec<[Owned; 1]> {
    let is_stable = |dot: &Owned| stable.contains(dot.at());
    if slot.dots.iter().any(|dot| is_write(dot) && !is_stable(dot)) {
        return SmallVec::new();
    }
    let mut in_prefix = true;
    let (leaving, staying) = slot.dots.drain(..).partition(|dot| {
        in_prefix &= is_stable(dot);
        in_prefix || is_write(dot)
    });
    slot.dots = staying;
    leaving
}

impl Branch {
    /// Takes out what is stable and returns what the base becomes, `None` where it stays as it is.
    /// The branch is then relative to the changed base. O(dots and marks).
    pub(super) fn absorb(&mut self, stable: &VersionVector, base: &impl Base) -> Option<Changes> {
        let before = self.dots();
        let mut changes = Changes {
            ground: self.bare_ground(),
            expires_ms: base.expires_ms(),
            ..Changes::default()
        };
        let only_type = self.only_type(base);
        let expires_ms = self.expiry_seen(base);
        let expiry_is_stable = self.expiry.dots.iter().all(|dot| stable.contains(dot.at()));
        if self.base_gone || (only_type.is_ok() && self.expiry.covered.contains(&BASE)) {
            changes.expires_ms = None;
        }
        match only_type {
            Ok(Some(TypeTag::String)) => {
                self.absorb_string(stable, base, expiry_is_stable, &mut changes);
            }
            Ok(Some(type_tag)) => {
                changes.type_tag = type_tag;
                self.absorb_elements(type_tag, stable, base, expiry_is_stable, &mut changes);
            }
            Ok(None) | Err(Mixed) => {}
        }
        if only_type.is_ok() {
            self.expiry.covered.clear();
            if expiry_is_stable {
                changes.expires_ms = expires_ms;
                self.expiry.dots.clear();
            }
        }
        let is_changed = self.dots() != before
            || changes.ground != Ground::Base
            || !changes.elements.is_empty()
            || changes.expires_ms != base.expires_ms();
        self.base_gone = false;
        self.sweep();
        is_changed.then_some(changes)
    }

    /// The one type that the base and all dots are of.
    fn only_type(&self, base: &impl Base) -> Result<Option<TypeTag>, Mixed> {
        let mut types = self.base_type(base).into_iter();
        let scalar = (!self.scalar.dots.is_empty()).then_some(TypeTag::String);
        let ordered = (!self.ordered.dots.is_empty()).then_some(TypeTag::List);
        let wholes = self.wholes.iter().map(|whole| whole.type_tag);
        let elements = (self.elements.iter())
            .filter(|(_, slot)| !slot.dots.is_empty())
            .map(|((type_tag, _), _)| *type_tag);
        let mut others = wholes.chain(elements).chain(scalar).chain(ordered);
        let Some(first) = types.next().or_else(|| others.next()) else {
            return Ok(None);
        };
        if others.any(|other| other != first) {
            return Err(Mixed);
        }
        Ok(Some(first))
    }

    /// Whether the value of whole write `dot` need not wait for its expiry.
    fn leaves_without_expiry(&self, dot: &Owned) -> bool {
        self.expiry.dots.iter().all(|other| other.at() != dot.at())
    }

    fn absorb_string(
        &mut self,
        stable: &VersionVector,
        base: &impl Base,
        expiry_is_stable: bool,
        changes: &mut Changes,
    ) {
        let mut writes = self.scalar.dots.iter().rev().filter(|dot| is_write(dot));
        let winner = writes.next();
        if !expiry_is_stable && winner.is_some_and(|dot| !self.leaves_without_expiry(dot)) {
            return;
        }
        let leaving = take_stable(&mut self.scalar, stable);
        if !leaving.is_empty() {
            let string = if self.base_gone { None } else { base.string() };
            changes.string = value_of((string, None), leaving.iter());
        }
    }

    fn absorb_elements(
        &mut self,
        type_tag: TypeTag,
        stable: &VersionVector,
        base: &impl Base,
        expiry_is_stable: bool,
        changes: &mut Changes,
    ) {
        if !self
            .wholes
            .iter()
            .all(|whole| stable.contains(whole.dot.at()))
        {
            return;
        }
        if let Some(last) = self.wholes.last() {
            let comes_before = |dot: &Owned| {
                is_write(dot) && !stable.contains(dot.at()) && dot.order(&last.dot).is_lt()
            };
            let mut dots = self.elements.values().flat_map(|slot| &slot.dots);
            let waits_for_expiry = !expiry_is_stable && !self.leaves_without_expiry(&last.dot);
            if waits_for_expiry || !self.ordered.dots.is_empty() || dots.any(comes_before) {
                return;
            }
            changes.ground = Ground::Whole(last.value.clone());
        }
        let wholes = std::mem::take(&mut self.wholes);
        let below = match wholes.last() {
            Some(whole) => Below::Whole(whole),
            None if self.base_gone => Below::Nothing,
            None => Below::Base,
        };
        for ((tag, name), slot) in &mut self.elements {
            if *tag != type_tag {
                // No dots, or types would be mixed; and no ground of this type for a mark to be on.
                slot.covered.clear();
                continue;
            }
            let leaving = take_stable(slot, stable);
            if !leaving.is_empty() {
                let content = below.element(name, slot, leaving.iter(), base);
                changes.elements.push((name.clone(), content));
            } else if below.is_covered(slot) {
                changes.elements.push((name.clone(), None));
            }
            slot.covered.clear();
        }
    }
}

/// Dots of several types survive.
struct Mixed;
