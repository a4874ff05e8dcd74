//! What an effect does to the items of its key: a payload, checked and in the words of merging.
//!
//! A payload has room for combinations that mean nothing (a delta to a set's member, a score that is
//! not a number). They are refused here, once, so that nothing behind this door meets them.

use crate::effect::{Collection, Data, Merge, Meta, Op, Payload, Placement, Scalar, Snapshot};
use crate::effect::{TypeTag, TypeTag as T};
use crate::number::Decimal;

use super::scalar::{Content, Modifier, STRING_BYTES_MAX};

/// What an effect writes and covers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Action<'a> {
    /// SET: writes the scalar and its expiry, covers the whole key.
    Set {
        value: Scalar<'a>,
        expires_ms: Option<u64>,
    },
    /// INCR, APPEND: writes a modifier of the scalar, covers nothing.
    Modify(Modifier<'a>),
    /// DEL, FLUSHDB: covers the whole key.
    RemoveKey,
    /// SADD, HSET, ZADD: writes an element and covers it.
    WriteElement(Element<'a>, Scalar<'a>),
    /// HINCRBY, ZINCRBY: writes a modifier of an element, covers nothing.
    ModifyElement(Element<'a>, Modifier<'a>),
    /// SREM: covers an element.
    RemoveElement(Element<'a>),
    /// EXPIRE and PERSIST (`None`): writes the expiry and covers it.
    Expire(Option<u64>),
    /// RENAME and the STORE forms, for collections: writes a whole state, covers the whole key.
    Whole(Snapshot<'a>),
    /// Whatever concerns list elements; the sequence knows what it means.
    Ordered,
    /// A read: writes and covers nothing.
    Observe,
}

/// A keyed element of a collection of one type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Element<'a> {
    pub type_tag: TypeTag,
    pub bytes: &'a [u8],
}

/// Why a payload means nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unfit {
    /// The fields do not go together, as in a delta to a set's member.
    #[error("operation, merge rule, type and value do not go together")]
    Fields,
    /// A score or a delta is not a number.
    #[error("score or delta is not a number")]
    NotANumber,
    /// A SETRANGE ends beyond the longest string, 512 MiB.
    #[error("offset is beyond the longest string, 512 MiB")]
    TooLong,
    /// A snapshot's state cannot be read, or is not of the type that it names.
    #[error("snapshot cannot be read")]
    Snapshot,
    /// SWAPDB changes no key, so it has no place in a key's graph.
    #[error("effect concerns a database and no key")]
    NoKey,
}

impl<'a> Action<'a> {
    pub fn of(payload: &Payload<'a>) -> Result<Self, Unfit> {
        Ok(match payload {
            Payload::Data(data) => match (data.collection, data.op) {
                (Collection::Ordered, _) => Action::Ordered,
                (Collection::Scalar, Op::Remove) => Action::RemoveKey,
                (Collection::Scalar, Op::Insert) => insert_scalar(data)?,
                (Collection::Keyed, op) => match data.type_tag {
                    T::String | T::List => return Err(Unfit::Fields),
                    type_tag => {
                        let bytes = data.element;
                        keyed(op, Element { type_tag, bytes }, data)?
                    }
                },
            },
            Payload::Meta(Meta::ExpireAt(at_ms)) => Action::Expire(Some(*at_ms)),
            Payload::Meta(Meta::Persist) => Action::Expire(None),
            Payload::Noop => Action::Observe,
            Payload::Snapshot(snapshot) if snapshot.type_tag == T::String => Action::Set {
                value: Scalar::Bytes(snapshot.state),
                expires_ms: snapshot.expires_ms,
            },
            Payload::Snapshot(snapshot) => Action::Whole(*snapshot),
            Payload::Flush => Action::RemoveKey,
            Payload::Place { .. } => return Err(Unfit::NoKey),
        })
    }

    /// The expiry that a whole write brings along.
    pub fn own_expiry(&self) -> Option<u64> {
        match self {
            Action::Set { expires_ms, .. } => *expires_ms,
            Action::Whole(snapshot) => snapshot.expires_ms,
            _ => None,
        }
    }

    /// What it writes into its item if it is a write and no modifier.
    pub fn written(&self) -> Option<Content> {
        match self {
            Action::Set { value, .. } | Action::WriteElement(_, value) => Content::of(*value),
            _ => None,
        }
    }

    /// How it changes its item if it is a modifier.
    pub fn modifier(&self) -> Option<Modifier<'a>> {
        match *self {
            Action::Modify(modifier) | Action::ModifyElement(_, modifier) => Some(modifier),
            _ => None,
        }
    }
}

fn insert_scalar<'a>(data: &Data<'a>) -> Result<Action<'a>, Unfit> {
    Ok(match (data.placement, data.merge, data.value) {
        (Placement::None, Merge::LastWriteWins, value @ (Scalar::Bytes(_) | Scalar::Int(_))) => {
            Action::Set {
                value,
                expires_ms: data.expires_ms,
            }
        }
        (Placement::None, merge, value) => Action::Modify(number_or_bytes(merge, value)?),
        (Placement::Tail, _, Scalar::Bytes(suffix)) => Action::Modify(Modifier::Append(suffix)),
        (Placement::Itself, _, Scalar::Bytes(bytes)) => {
            let offset = usize::try_from(data.reference.0).map_err(|_| Unfit::TooLong)?;
            if offset.saturating_add(bytes.len()) > STRING_BYTES_MAX {
                return Err(Unfit::TooLong);
            }
            Action::Modify(Modifier::Overwrite(offset, bytes))
        }
        _ => return Err(Unfit::Fields),
    })
}

fn keyed<'a>(op: Op, element: Element<'a>, data: &Data<'a>) -> Result<Action<'a>, Unfit> {
    if op == Op::Remove {
        return Ok(Action::RemoveElement(element));
    }
    Ok(match (element.type_tag, data.merge, data.value) {
        (_, _, Scalar::Float(score)) if score.is_nan() => return Err(Unfit::NotANumber),
        (T::Set, Merge::LastWriteWins, value @ Scalar::None)
        | (T::Hash, Merge::LastWriteWins, value @ Scalar::Bytes(_))
        | (T::SortedSet, Merge::LastWriteWins, value @ Scalar::Float(_)) => {
            Action::WriteElement(element, value)
        }
        (T::SortedSet, Merge::AddFloat, Scalar::Float(delta)) => {
            Action::ModifyElement(element, Modifier::AddScore(delta))
        }
        (T::SortedSet, Merge::FirstWriteWins, Scalar::Float(score)) => {
            Action::ModifyElement(element, Modifier::First(Scalar::Float(score)))
        }
        (T::Hash, merge, value) => Action::ModifyElement(element, number_or_bytes(merge, value)?),
        _ => return Err(Unfit::Fields),
    })
}

/// The modifiers of what a string or a hash's field holds.
fn number_or_bytes<'a>(merge: Merge, value: Scalar<'a>) -> Result<Modifier<'a>, Unfit> {
    Ok(match (merge, value) {
        (Merge::AddInt, Scalar::Int(delta)) => Modifier::AddInt(delta),
        (Merge::AddFloat, Scalar::Bytes(text)) => {
            Modifier::AddDecimal(Decimal::parse(text).ok_or(Unfit::NotANumber)?)
        }
        (Merge::MaxInt, Scalar::Int(int)) => Modifier::MaxInt(int),
        (Merge::MaxBytes, Scalar::Bytes(bytes)) => Modifier::MaxBytes(bytes),
        (Merge::FirstWriteWins, Scalar::Bytes(_)) => Modifier::First(value),
        _ => return Err(Unfit::Fields),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_is_refused() {
        let of = |data: Data<'static>| Action::of(&Payload::Data(data));
        let score = |score| Data::insert_element(T::SortedSet, b"m", Scalar::Float(score));
        assert_eq!(of(score(f64::NAN)), Err(Unfit::NotANumber));
        assert!(of(score(f64::INFINITY)).is_ok());
        let delta = Data::add_to_element(T::Set, b"m", Scalar::Int(1));
        assert_eq!(of(delta), Err(Unfit::Fields));
        assert_eq!(
            of(Data::remove_element(T::String, b"m")),
            Err(Unfit::Fields)
        );
        assert_eq!(of(Data::overwrite(u64::MAX, b"x")), Err(Unfit::TooLong));
        let text = Data {
            merge: Merge::AddFloat,
            ..Data::set(b"one", None)
        };
        assert_eq!(of(text), Err(Unfit::NotANumber));
        assert_eq!(Action::of(&Payload::Place { space: 1 }), Err(Unfit::NoKey));
    }
}
