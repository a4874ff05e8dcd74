//! An effect that outlives the buffer it came in.
//!
//! [`Stamped`] borrows from a request or a log record; what is kept until it is stable must own its
//! bytes. They are the marshalled form, whole: an effect of a later version keeps the fields that
//! this one does not know, and goes on to other peers as it came.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::effect::{Payload, Stamped};
use crate::hlc::Hlc;
use crate::id::{EffectRef, compute_fork_choice_hash};
use crate::tip::Tip;
use crate::wire::{WireError, marshal_effect, read_effect, unmarshal_effect};

/// An effect with its ref, in its marshalled form. A clone shares the bytes: O(1).
///
/// Two are equal when they are the same effect with the same bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owned {
    at: EffectRef,
    hlc: Hlc,
    bytes: Arc<[u8]>,
}

impl Owned {
    /// The effect `stamped`, which stands at `at`. O(size), one allocation is kept.
    ///
    /// # Panics
    /// If `stamped.local_dep` is higher than the counter of `at`: no effect follows a later one.
    pub fn new(at: EffectRef, stamped: &Stamped<'_>) -> Self {
        let counter = at.offset.counter();
        assert!(
            stamped.local_dep <= counter,
            "an effect follows earlier ones"
        );
        let mut bytes = Vec::new();
        marshal_effect(counter, stamped, &mut bytes);
        Owned {
            at,
            hlc: stamped.hlc,
            bytes: bytes.into(),
        }
    }

    /// The effect at `at` whose marshalled form is `bytes`, as a peer or a log gives it. O(size).
    ///
    /// # Errors
    /// [`WireError`] for bytes that are not an effect. Memory stays bounded by their length.
    pub fn from_bytes(at: EffectRef, bytes: &[u8]) -> Result<Self, WireError> {
        let hlc = read_effect(at.offset.counter(), bytes, |_| ())?.hlc;
        Ok(Owned {
            at,
            hlc,
            bytes: bytes.into(),
        })
    }

    /// Where it stands.
    pub fn at(&self) -> EffectRef {
        self.at
    }

    /// When it was made.
    pub fn hlc(&self) -> Hlc {
        self.hlc
    }

    /// The marshalled form, with the fields that this version does not know.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the effect; its foreign dependencies go to `deps`. O(size), no copy of key or value.
    pub fn stamped<'a>(&'a self, deps: &'a mut Vec<Tip>) -> Stamped<'a> {
        unmarshal_effect(self.at.offset.counter(), &self.bytes, deps).expect(READ_BEFORE)
    }

    /// What it says. O(size), no copy and no allocation.
    pub fn payload(&self) -> Payload<'_> {
        let head = read_effect(self.at.offset.counter(), &self.bytes, |_| ());
        head.expect(READ_BEFORE).effect.payload
    }

    /// The effects that it names as observed: of its own stream and of others. The root, which
    /// every effect observes, is left out. O(size).
    pub fn deps(&self) -> Vec<Tip> {
        let mut deps = Vec::new();
        let counter = self.at.offset.counter();
        let head = read_effect(counter, &self.bytes, |dep| deps.push(dep)).expect(READ_BEFORE);
        if head.local_dep != 0 {
            let stream = self.at.offset.stream();
            deps.push(Tip {
                node: self.at.node,
                offset: crate::id::Offset::new(stream, head.local_dep),
            });
        }
        deps.retain(|&dep| dep != EffectRef::ROOT);
        deps
    }

    /// *The order*: by HLC; equal stamps of two nodes by fork-choice hash, the lower hash being the
    /// greater effect, because the greatest wins; of one node by ref. It is total, and extends
    /// causality as HLCs rise along it. A hash (200 ns) is computed for equal stamps only.
    pub fn order(&self, other: &Owned) -> Ordering {
        let by_hash = || {
            if self.at.node == other.at.node {
                return Ordering::Equal;
            }
            let hash = |effect: &Owned| compute_fork_choice_hash(effect.at.node, effect.hlc);
            hash(other).cmp(&hash(self))
        };
        (self.hlc.cmp(&other.hlc))
            .then_with(by_hash)
            .then_with(|| self.at.cmp(&other.at))
    }

    /// Bytes of memory that its clones share.
    pub fn heap_bytes(&self) -> usize {
        // Two counts stand before the bytes of an Arc.
        self.bytes.len() + 2 * size_of::<usize>()
    }
}

/// Why bytes that were read once can be read again.
const READ_BEFORE: &str = "the bytes were read when the effect was made, and do not change";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{Data, Effect};
    use crate::id::{NodeId, Offset};

    fn at(node: u64, counter: u64) -> EffectRef {
        EffectRef {
            node: NodeId(node),
            offset: Offset::new(3, counter),
        }
    }

    fn increment(at: EffectRef, hlc: u64) -> Owned {
        let stamped = Stamped {
            hlc: Hlc(hlc),
            local_dep: 5,
            deps: &[EffectRef::ROOT, self::at(2, 9)],
            effect: Effect {
                db: 0,
                key: b"k",
                payload: Payload::Data(Data::add_int(1)),
            },
        };
        Owned::new(at, &stamped)
    }

    #[test]
    fn deps_are_those_of_its_own_stream_and_of_others() {
        let effect = increment(at(1, 7), 1);
        assert_eq!(effect.deps(), [at(2, 9), at(1, 5)]);
        assert_eq!(effect.stamped(&mut Vec::new()).local_dep, 5);
        assert_eq!(effect.payload(), Payload::Data(Data::add_int(1)));
    }

    #[test]
    fn unknown_fields_survive_and_hostile_bytes_are_refused() {
        let mut bytes = increment(at(1, 7), 1).as_bytes().to_vec();
        bytes.extend_from_slice(&[0xa2, 0x06, 1, b'x']);
        let read = Owned::from_bytes(at(1, 7), &bytes).unwrap();
        assert_eq!(read.as_bytes(), bytes);
        for cut in 0..bytes.len() - 4 {
            assert!(Owned::from_bytes(at(1, 7), &bytes[..cut]).is_err());
        }
        // The distance to the local dependency leads out of the stream.
        assert!(Owned::from_bytes(at(1, 1), &bytes).is_err());
    }

    #[test]
    fn of_equal_stamps_the_lower_fork_choice_hash_is_the_greater_effect() {
        let (a, b) = (increment(at(1, 7), 1), increment(at(2, 7), 1));
        let hash = |effect: &Owned| compute_fork_choice_hash(effect.at().node, effect.hlc());
        assert_eq!(a.order(&b) == Ordering::Greater, hash(&a) < hash(&b));
        assert_eq!(a.order(&increment(at(2, 7), 2)), Ordering::Less);
        assert_eq!(a.order(&increment(at(1, 8), 1)), Ordering::Less);
    }
}
