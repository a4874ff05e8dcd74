//! What branches change against the base: little, where the branches are short.
//!
//! A hash of 10,000 fields, two of which were written concurrently, resolves to two elements here.
//! The rest of the base is neither read nor copied.

use std::sync::Arc;

use crate::effect::TypeTag;
use crate::value::{Collection, Limits};

use super::action::Action;
use super::branch::{BASE, Branch};
use super::keyed::Below;
use super::scalar::{Content, action, value_of};
use super::state::{Base, Name, Score, State, Value};

/// What becomes of the base's value before the string or the elements of [`Changes`] are put there.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Ground {
    /// It stays.
    #[default]
    Base,
    /// It goes.
    Nothing,
    /// It is replaced by the collection that a snapshot wrote, which may be empty.
    Whole(Arc<Option<Value>>),
}

/// A change of a materialised state, in the order in which [`Changes::apply`] makes it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changes {
    /// What becomes of the value.
    pub ground: Ground,
    /// The whole string, where the key is one and it changes.
    pub string: Option<Content>,
    /// Elements of a collection of this type change.
    pub type_tag: TypeTag,
    /// By name: what the element holds, `None` where it goes. Names are not repeated, and some may
    /// name elements that are not there.
    pub elements: Vec<(Name, Option<Content>)>,
    /// When the key expires afterwards, in Unix milliseconds.
    pub expires_ms: Option<u64>,
}

impl Changes {
    /// Changes `state`. O(changes, each with a look-up); a replaced value is copied.
    pub fn apply(&self, state: &mut State) {
        match &self.ground {
            Ground::Base => {}
            Ground::Nothing => state.value = None,
            Ground::Whole(value) => state.value = Option::clone(value),
        }
        if let Some(content) = &self.string {
            state.value = Some(Value::String(content.clone().into_bytes()));
        }
        if !self.elements.is_empty() {
            let empty = || Value::empty(self.type_tag);
            let value = state.value.get_or_insert_with(empty);
            for (name, content) in &self.elements {
                value.set_element(name, content.clone());
            }
        }
        state.value.take_if(|value| value.is_empty_collection());
        state.expires_ms = self.expires_ms;
    }

    /// Changes the elements of a materialised collection of [`Changes::type_tag`], as
    /// [`Changes::apply`] does those of a state. The ground, the expiry, and what to do with a
    /// collection that is empty afterwards are the caller's. O(changes).
    pub fn apply_elements(&self, collection: &mut Collection, limits: &Limits) {
        for (name, content) in &self.elements {
            match (&mut *collection, content) {
                (Collection::Set(set), Some(_)) => {
                    set.insert(name, limits);
                }
                (Collection::Set(set), None) => {
                    set.remove(name);
                }
                (Collection::Hash(hash), Some(content)) => {
                    hash.insert(name, &content.clone().into_bytes(), limits);
                }
                (Collection::Hash(hash), None) => {
                    hash.remove(name);
                }
                (Collection::ZSet(zset), Some(Content::Score(score))) => {
                    zset.insert(name, Score::new(*score).get(), limits);
                }
                (Collection::ZSet(zset), None) => {
                    zset.remove(name);
                }
                (Collection::List(_) | Collection::ZSet(_), _) => {}
            }
        }
    }
}

impl Branch {
    /// What the branch changes against `base`. O(dots and marks), with a look-up in the base for each
    /// element touched; neither the size of the base's collection nor the history costs anything.
    ///
    /// List elements are not in it: see [`Branch::ordered`].
    pub fn resolve(&self, base: &impl Base) -> Changes {
        let mut changes = Changes {
            expires_ms: self.expiry_seen(base),
            ..Changes::default()
        };
        let Some(type_tag) = self.type_seen(base) else {
            changes.ground = self.bare_ground();
            return changes;
        };
        changes.type_tag = type_tag;
        if type_tag == TypeTag::String {
            let stands = self.base_type(base) == Some(TypeTag::String);
            if !stands {
                changes.ground = Ground::Nothing;
            }
            if !self.scalar.dots.is_empty() {
                let string = if stands { base.string() } else { None };
                changes.string = value_of((string, None), self.scalar.dots.iter());
            }
            return changes;
        }
        let below = self.below(type_tag, base);
        changes.ground = match below {
            Below::Nothing => Ground::Nothing,
            Below::Base => Ground::Base,
            Below::Whole(whole) => Ground::Whole(whole.value.clone()),
        };
        for ((_, name), slot) in self
            .elements
            .iter()
            .filter(|((tag, _), _)| *tag == type_tag)
        {
            let content = below.element(name, slot, slot.dots.iter(), base);
            changes.elements.push((name.clone(), content));
        }
        changes
    }

    /// The state that the branch makes of `base`. O(size of the base), for it is copied.
    pub fn state(&self, base: &State) -> State {
        let mut state = base.clone();
        self.resolve(base).apply(&mut state);
        state.visible()
    }

    pub(super) fn bare_ground(&self) -> Ground {
        if self.base_gone {
            Ground::Nothing
        } else {
            Ground::Base
        }
    }

    /// When the key expires: PERSIST beats all that is concurrent with it, else the latest time
    /// wins. A whole write's own expiry counts where that write decides: the winning SET, and without
    /// one the greatest snapshot.
    pub(super) fn expiry_seen(&self, base: &impl Base) -> Option<u64> {
        let sets = self.scalar.dots.iter().rev();
        let deciding = (sets.clone())
            .find(|dot| matches!(action(dot), Action::Set { .. }))
            .or(self.wholes.last().map(|whole| &whole.dot))
            .map(|dot| dot.at());
        let stands = !self.base_gone && !self.expiry.covered.contains(&BASE);
        let mut latest = if stands { base.expires_ms() } else { None };
        for dot in &self.expiry.dots {
            match action(dot) {
                Action::Expire(None) => return None,
                Action::Expire(Some(at_ms)) => latest = latest.max(Some(at_ms)),
                whole if deciding == Some(dot.at()) => latest = latest.max(whole.own_expiry()),
                _ => {}
            }
        }
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Snapshot;
    use crate::value::HashSeed;

    #[test]
    fn a_collection_changes_as_its_state_does() {
        let name = |name: &[u8]| Name::from(name);
        let bytes = Content::Bytes(b"new".to_vec());
        let score = Content::Score(2.0);
        let values = [
            (Value::Set([name(b"a"), name(b"b")].into()), Content::Member),
            (
                Value::Hash([(name(b"a"), name(b"old")), (name(b"b"), name(b""))].into()),
                bytes,
            ),
            (
                Value::SortedSet([(name(b"a"), Score::new(1.0))].into()),
                score,
            ),
        ];
        for (value, content) in values {
            let changes = Changes {
                type_tag: value.type_tag(),
                elements: vec![
                    (name(b"a"), None),
                    (name(b"c"), Some(content.clone())),
                    (name(b"b"), Some(content)),
                    (name(b"x"), None),
                ],
                ..Changes::default()
            };
            let mut state = Vec::new();
            value.encode(&mut state);
            let snapshot = Snapshot {
                type_tag: value.type_tag(),
                expires_ms: None,
                state: &state,
            };
            let mut changed = State::of_snapshot(&snapshot, HashSeed(0)).unwrap();
            changes.apply(&mut changed);
            let limits = Limits::default();
            let mut collection = Collection::decode(&state, &limits, HashSeed(0)).unwrap();
            changes.apply_elements(&mut collection, &limits);
            assert_eq!(changed.value, Some(Value::of_collection(&collection)));
        }
    }
}
