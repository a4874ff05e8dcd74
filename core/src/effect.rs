//! Effects: the unit of change, as a command means it.
//!
//! An effect borrows its bytes from whoever made it (a request, an arena, a log record): making,
//! writing and applying one copies no value. It says what the user *meant* (add 1, insert this
//! element, place that one at the head), so that concurrent work can merge. An effect is immutable
//! once written.

use crate::hlc::Hlc;
use crate::id::ElementNumber;
use crate::tip::Tip;

/// One change of one key (or, for [`Payload::Flush`] and [`Payload::Place`], of a database).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Effect<'a> {
    /// The database as SELECT numbers it, in an effect that a command emits. In a stamped effect it
    /// is the keyspace's number, which SWAPDB does not change ([`Payload::Place`] apart).
    pub db: u32,
    /// The key: any bytes. Empty where the payload concerns a whole database.
    pub key: &'a [u8],
    /// What happens to it.
    pub payload: Payload<'a>,
}

/// What an effect says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Payload<'a> {
    /// A change of the value or of one of its elements.
    Data(Data<'a>),
    /// A change of a key's expiry.
    Meta(Meta),
    /// An observation: nothing changes, but whoever wrote it had read the key.
    Noop,
    /// The whole state of a key at this point; what came before it is no longer needed.
    Snapshot(Snapshot<'a>),
    /// Every key of the database goes (FLUSHDB).
    Flush,
    /// The database is from now on this keyspace (SWAPDB is two of these in one group).
    Place {
        /// The keyspace's number.
        space: u32,
    },
}

/// Insert or remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Op {
    /// Put a value or an element there, or change it.
    #[default]
    Insert = 0,
    /// Take an element away, or with [`Collection::Scalar`] the whole key, whatever its type.
    Remove = 1,
}

/// How two concurrent effects on the same thing are joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Merge {
    /// The higher HLC wins, equal ones by fork-choice hash.
    #[default]
    LastWriteWins = 0,
    /// Deltas add up.
    AddInt = 1,
    /// Deltas add up; floats are added in the order of the effects' refs, so the sum is the same
    /// everywhere.
    AddFloat = 2,
    /// The highest number stays.
    MaxInt = 3,
    /// The highest byte string stays.
    MaxBytes = 4,
    /// The lower HLC wins.
    FirstWriteWins = 5,
}

/// What kind of thing the effect addresses inside the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Collection {
    /// The one value of the key.
    #[default]
    Scalar = 0,
    /// An element named by bytes: a set's member, a hash's field, a sorted set's member.
    Keyed = 1,
    /// An element named by number, with a place among the others: a list's element.
    Ordered = 2,
}

/// Where an ordered element goes, or which part of a scalar is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Placement {
    /// Not ordered; for a scalar: the whole value.
    #[default]
    None = 0,
    /// Before the first element.
    Head = 1,
    /// After the last element; for a scalar: the value is appended (APPEND).
    Tail = 2,
    /// Before the element that `reference` names.
    Before = 3,
    /// After the element that `reference` names.
    After = 4,
    /// At the element that `number` names itself (LSET); for a scalar: the value overwrites the
    /// bytes from offset `reference` on (SETRANGE), zeros filling any gap.
    Itself = 5,
}

/// The type of a key, as TYPE names it. The order is that of the wire's numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum TypeTag {
    /// A byte string or a number.
    #[default]
    String = 0,
    /// A list.
    List = 1,
    /// A set.
    Set = 2,
    /// A hash.
    Hash = 3,
    /// A sorted set.
    SortedSet = 4,
}

impl TypeTag {
    /// The name that TYPE answers.
    pub const fn name(self) -> &'static str {
        match self {
            TypeTag::String => "string",
            TypeTag::List => "list",
            TypeTag::Set => "set",
            TypeTag::Hash => "hash",
            TypeTag::SortedSet => "zset",
        }
    }
}

/// The value that an effect carries.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Scalar<'a> {
    /// Nothing: a set's member has no value.
    #[default]
    None,
    /// Bytes.
    Bytes(&'a [u8]),
    /// A number, or a delta with [`Merge::AddInt`].
    Int(i64),
    /// A score, or a delta with [`Merge::AddFloat`].
    Float(f64),
}

/// A change of the value or of one element.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Data<'a> {
    /// Insert or remove.
    pub op: Op,
    /// How it joins with concurrent work.
    pub merge: Merge,
    /// What it addresses.
    pub collection: Collection,
    /// Where it goes.
    pub placement: Placement,
    /// The type that the key has or gets by this effect.
    pub type_tag: TypeTag,
    /// The neighbour for `Before` and `After`; the byte offset for a scalar `Itself`.
    pub reference: ElementNumber,
    /// The ordered element that is meant or made.
    pub number: ElementNumber,
    /// The keyed element that is meant or made: any bytes.
    pub element: &'a [u8],
    /// The value.
    pub value: Scalar<'a>,
    /// When a scalar that is inserted whole expires, in Unix milliseconds. An insert without it
    /// ends an earlier expiry, as SET does.
    pub expires_ms: Option<u64>,
}

impl<'a> Data<'a> {
    /// SET: the whole value, and when it expires.
    #[inline]
    pub fn set(value: &'a [u8], expires_ms: Option<u64>) -> Self {
        Data {
            value: Scalar::Bytes(value),
            expires_ms,
            ..Data::default()
        }
    }

    /// INCRBY: a delta to the number that the key holds.
    #[inline]
    pub fn add_int(delta: i64) -> Self {
        Data {
            merge: Merge::AddInt,
            value: Scalar::Int(delta),
            ..Data::default()
        }
    }

    /// APPEND: bytes behind the value.
    #[inline]
    pub fn append(suffix: &'a [u8]) -> Self {
        Data {
            placement: Placement::Tail,
            value: Scalar::Bytes(suffix),
            ..Data::default()
        }
    }

    /// SETRANGE: bytes over the value from `offset` on.
    #[inline]
    pub fn overwrite(offset: u64, bytes: &'a [u8]) -> Self {
        Data {
            placement: Placement::Itself,
            reference: ElementNumber(offset),
            value: Scalar::Bytes(bytes),
            ..Data::default()
        }
    }

    /// DEL: the whole key, whatever its type.
    #[inline]
    pub fn remove_key() -> Self {
        Data {
            op: Op::Remove,
            ..Data::default()
        }
    }

    /// SADD, HSET, ZADD: an element and its value.
    #[inline]
    pub fn insert_element(type_tag: TypeTag, element: &'a [u8], value: Scalar<'a>) -> Self {
        Data {
            collection: Collection::Keyed,
            type_tag,
            element,
            value,
            ..Data::default()
        }
    }

    /// HINCRBY, ZINCRBY: a delta ([`Scalar::Int`] or [`Scalar::Float`]) to an element's number.
    #[inline]
    pub fn add_to_element(type_tag: TypeTag, element: &'a [u8], delta: Scalar<'a>) -> Self {
        let merge = match delta {
            Scalar::Float(_) => Merge::AddFloat,
            _ => Merge::AddInt,
        };
        Data {
            merge,
            ..Data::insert_element(type_tag, element, delta)
        }
    }

    /// SREM, HDEL, ZREM: an element goes.
    #[inline]
    pub fn remove_element(type_tag: TypeTag, element: &'a [u8]) -> Self {
        Data {
            op: Op::Remove,
            ..Data::insert_element(type_tag, element, Scalar::None)
        }
    }

    /// LPUSH, RPUSH, LINSERT: a list element `number` with a place. `reference` is the neighbour
    /// where the placement needs one.
    #[inline]
    pub fn place(
        placement: Placement,
        reference: ElementNumber,
        number: ElementNumber,
        value: &'a [u8],
    ) -> Self {
        Data {
            collection: Collection::Ordered,
            placement,
            type_tag: TypeTag::List,
            reference,
            number,
            value: Scalar::Bytes(value),
            ..Data::default()
        }
    }

    /// LPOP, RPOP, LREM, LTRIM: list element `number` goes.
    #[inline]
    pub fn remove_number(number: ElementNumber) -> Self {
        Data {
            op: Op::Remove,
            collection: Collection::Ordered,
            type_tag: TypeTag::List,
            number,
            ..Data::default()
        }
    }
}

/// A change of a key's expiry that leaves its value alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meta {
    /// EXPIRE and its family: the key goes at this Unix time in milliseconds.
    ExpireAt(u64),
    /// PERSIST: the key stays.
    Persist,
}

/// The whole state of a key.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Snapshot<'a> {
    /// The key's type.
    pub type_tag: TypeTag,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// A string's bytes, or a collection as `value::Collection::encode` writes it.
    pub state: &'a [u8],
}

/// An effect with its place in the order: what a log record or a peer's message says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stamped<'a> {
    /// When it was made.
    pub hlc: Hlc,
    /// The effect of the same stream that it follows on its key, 0 where it is the key's first.
    /// The one dependency of a linear key is this short; others are in `deps`.
    pub local_dep: u64,
    /// Dependencies on other nodes' effects. Empty on a key that only this node has written.
    pub deps: &'a [Tip],
    /// The effect.
    pub effect: Effect<'a>,
}
