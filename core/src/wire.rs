//! The protobuf form of effects, written and read without a copy of keys or values.
//!
//! The schema is `proto/schema/effect.proto`; causet-proto's tests hold this module and the code
//! that prost generates from the schema against each other. This one exists because an effect is
//! written for every write command: it goes straight from the request's bytes into the log's
//! buffer, and straight from a log record's bytes into the state.
//!
//! An effect does not carry its own ref: the counter of a stream is dense, so the place in the log
//! says it.

use crate::effect::*;
use crate::hlc::Hlc;
use crate::id::{COUNTER_MAX, ElementNumber, NodeId, Offset};
use crate::tip::Tip;

/// Where encoded bytes go.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Why bytes are not an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field or a number runs past the end.
    #[error("effect is cut short")]
    Truncated,
    /// A number of more than 64 bits, or an unknown wire type.
    #[error("effect has a malformed field")]
    Malformed,
    /// An enum value that this version does not know.
    #[error("effect has an unknown value in field {0}")]
    UnknownValue(u32),
    /// No payload, or one that this version does not know.
    #[error("effect has no payload that this version knows")]
    NoPayload,
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Field numbers of `Effect`. 15 and lower take one byte.
mod effect_field {
    pub const KEY: u32 = 1;
    pub const DB: u32 = 2;
    pub const HLC: u32 = 3;
    pub const LOCAL_DEP: u32 = 4;
    pub const DEPS: u32 = 5;
    pub const DATA: u32 = 8;
    pub const META: u32 = 9;
    pub const NOOP: u32 = 10;
    pub const SNAPSHOT: u32 = 12;
    pub const FLUSH: u32 = 13;
    pub const PLACE: u32 = 14;
}

mod data_field {
    pub const OP: u32 = 1;
    pub const MERGE: u32 = 2;
    pub const COLLECTION: u32 = 3;
    pub const PLACEMENT: u32 = 4;
    pub const TYPE: u32 = 5;
    pub const REFERENCE: u32 = 6;
    pub const NUMBER: u32 = 7;
    pub const ELEMENT: u32 = 8;
    pub const BYTES: u32 = 9;
    pub const INT: u32 = 10;
    pub const FLOAT: u32 = 11;
    pub const EXPIRES_MS: u32 = 12;
}

#[inline]
fn varint_len(value: u64) -> usize {
    // One byte for each started group of seven bits.
    ((63 - (value | 1).leading_zeros()) / 7 + 1) as usize
}

#[inline]
fn put_varint(out: &mut impl Sink, mut value: u64) {
    if value < 0x80 {
        return out.put(&[value as u8]);
    }
    let mut bytes = [0u8; 10];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    out.put(&bytes[..=len]);
}

#[inline]
fn put_tag(out: &mut impl Sink, field: u32, wire_type: u32) {
    put_varint(out, u64::from(field << 3 | wire_type));
}

#[inline]
fn put_number(out: &mut impl Sink, field: u32, value: u64) {
    if value != 0 {
        put_tag(out, field, VARINT);
        put_varint(out, value);
    }
}

#[inline]
fn put_bytes(out: &mut impl Sink, field: u32, bytes: &[u8]) {
    put_tag(out, field, BYTES);
    put_varint(out, bytes.len() as u64);
    out.put(bytes);
}

#[inline]
fn number_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint_len(value) }
}

#[inline]
fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Appends the protobuf form of `stamped`. `counter` is the effect's own: the local dependency is
/// written as the distance back from it, which is small. O(size), no allocation.
#[inline]
pub fn marshal_effect(counter: u64, stamped: &Stamped<'_>, out: &mut impl Sink) {
    let effect = &stamped.effect;
    if !effect.key.is_empty() {
        put_bytes(out, effect_field::KEY, effect.key);
    }
    put_number(out, effect_field::DB, u64::from(effect.db));
    put_tag(out, effect_field::HLC, FIXED64);
    out.put(&stamped.hlc.0.to_le_bytes());
    if stamped.local_dep != 0 {
        put_number(out, effect_field::LOCAL_DEP, counter - stamped.local_dep);
    }
    for dep in stamped.deps {
        put_tag(out, effect_field::DEPS, BYTES);
        put_varint(out, 18);
        put_tag(out, 1, FIXED64);
        out.put(&dep.node.0.to_le_bytes());
        put_tag(out, 2, FIXED64);
        out.put(&dep.offset.0.to_le_bytes());
    }
    match &effect.payload {
        Payload::Data(data) => put_data(out, data),
        Payload::Meta(meta) => put_meta(out, *meta),
        Payload::Noop => put_bytes(out, effect_field::NOOP, &[]),
        Payload::Snapshot(snapshot) => put_snapshot(out, snapshot),
        Payload::Flush => put_bytes(out, effect_field::FLUSH, &[]),
        Payload::Place { space } => {
            put_tag(out, effect_field::PLACE, BYTES);
            put_varint(out, number_len(u64::from(*space)) as u64);
            put_number(out, 1, u64::from(*space));
        }
    }
}

#[inline]
fn put_data(out: &mut impl Sink, data: &Data<'_>) {
    let small = [
        (data_field::OP, data.op as u64),
        (data_field::MERGE, data.merge as u64),
        (data_field::COLLECTION, data.collection as u64),
        (data_field::PLACEMENT, data.placement as u64),
        (data_field::TYPE, data.type_tag as u64),
        (data_field::REFERENCE, data.reference.0),
        (data_field::NUMBER, data.number.0),
    ];
    let mut len: usize = small.iter().map(|&(_, value)| number_len(value)).sum();
    if !data.element.is_empty() {
        len += bytes_len(data.element.len());
    }
    len += match data.value {
        Scalar::None => 0,
        Scalar::Bytes(bytes) => bytes_len(bytes.len()),
        Scalar::Int(int) => 1 + varint_len(zigzag(int)),
        Scalar::Float(_) => 9,
    };
    len += data.expires_ms.map_or(0, |ms| 1 + varint_len(ms));

    put_tag(out, effect_field::DATA, BYTES);
    put_varint(out, len as u64);
    for (field, value) in small {
        put_number(out, field, value);
    }
    if !data.element.is_empty() {
        put_bytes(out, data_field::ELEMENT, data.element);
    }
    match data.value {
        Scalar::None => {}
        Scalar::Bytes(bytes) => put_bytes(out, data_field::BYTES, bytes),
        Scalar::Int(int) => {
            put_tag(out, data_field::INT, VARINT);
            put_varint(out, zigzag(int));
        }
        Scalar::Float(float) => {
            put_tag(out, data_field::FLOAT, FIXED64);
            out.put(&float.to_bits().to_le_bytes());
        }
    }
    if let Some(ms) = data.expires_ms {
        put_tag(out, data_field::EXPIRES_MS, VARINT);
        put_varint(out, ms);
    }
}

fn put_meta(out: &mut impl Sink, meta: Meta) {
    let (field, value) = match meta {
        Meta::ExpireAt(ms) => (1, ms),
        Meta::Persist => (2, 1),
    };
    put_tag(out, effect_field::META, BYTES);
    put_varint(out, 1 + varint_len(value) as u64);
    put_tag(out, field, VARINT);
    put_varint(out, value);
}

fn put_snapshot(out: &mut impl Sink, snapshot: &Snapshot<'_>) {
    let len = number_len(snapshot.type_tag as u64)
        + snapshot.expires_ms.map_or(0, |ms| 1 + varint_len(ms))
        + bytes_len(snapshot.state.len());
    put_tag(out, effect_field::SNAPSHOT, BYTES);
    put_varint(out, len as u64);
    put_number(out, 1, snapshot.type_tag as u64);
    if let Some(ms) = snapshot.expires_ms {
        put_tag(out, 2, VARINT);
        put_varint(out, ms);
    }
    put_bytes(out, 3, snapshot.state);
}

/// One field's content.
enum Field<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Field<'a> {
    #[inline]
    fn number(self) -> Result<u64, WireError> {
        match self {
            Field::Number(number) => Ok(number),
            _ => Err(WireError::Malformed),
        }
    }

    #[inline]
    fn fixed(self) -> Result<u64, WireError> {
        match self {
            Field::Fixed(bits) => Ok(bits),
            _ => Err(WireError::Malformed),
        }
    }

    #[inline]
    fn bytes(self) -> Result<&'a [u8], WireError> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::Malformed),
        }
    }
}

/// Reads one protobuf message field by field.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        let (&first, rest) = self.0.split_first().ok_or(WireError::Truncated)?;
        if first < 0x80 {
            self.0 = rest;
            return Ok(u64::from(first));
        }
        let mut value = 0u64;
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            if at == 9 && byte > 1 {
                return Err(WireError::Malformed);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Ok(value);
            }
        }
        Err(if self.0.len() < 10 {
            WireError::Truncated
        } else {
            WireError::Malformed
        })
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, WireError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let tag = u32::try_from(tag).map_err(|_| WireError::Malformed)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(WireError::Malformed);
        }
        let field = match tag & 7 {
            VARINT => Field::Number(self.varint()?),
            FIXED64 => {
                let bytes: [u8; 8] = self.take(8)?.try_into().expect("eight bytes were taken");
                Field::Fixed(u64::from_le_bytes(bytes))
            }
            BYTES => {
                let len = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Field::Bytes(self.take(len)?)
            }
            FIXED32 => {
                self.take(4)?;
                Field::Other
            }
            _ => return Err(WireError::Malformed),
        };
        Ok(Some((number, field)))
    }
}

/// Reads the protobuf form of the effect whose own counter is `counter`. Keys and values borrow
/// from `bytes`; foreign dependencies go to `deps`, which is cleared first. Unknown fields are
/// passed over. O(size); no allocation but for `deps`.
///
/// # Errors
/// [`WireError`] for anything that is not an effect; memory stays bounded by the input.
#[inline]
pub fn unmarshal_effect<'a>(
    counter: u64,
    bytes: &'a [u8],
    deps: &'a mut Vec<Tip>,
) -> Result<Stamped<'a>, WireError> {
    deps.clear();
    let head = read_effect(counter, bytes, |dep| deps.push(dep))?;
    Ok(Stamped { deps, ..head })
}

/// As [`unmarshal_effect`], but hands each foreign dependency to `on_dep`, for readers that keep
/// none or keep them elsewhere. The `deps` of what it returns are empty. O(size), no allocation.
///
/// # Errors
/// As for [`unmarshal_effect`]; `on_dep` may have been called before.
#[inline]
pub(crate) fn read_effect<'a>(
    counter: u64,
    bytes: &'a [u8],
    mut on_dep: impl FnMut(Tip),
) -> Result<Stamped<'a>, WireError> {
    let mut key: &[u8] = &[];
    let (mut db, mut hlc, mut local_dep) = (0u32, Hlc(0), 0u64);
    let mut payload = None;
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            effect_field::KEY => key = field.bytes()?,
            effect_field::DB => {
                db = u32::try_from(field.number()?).map_err(|_| WireError::Malformed)?;
            }
            effect_field::HLC => hlc = Hlc(field.fixed()?),
            effect_field::LOCAL_DEP => {
                local_dep = match field.number()? {
                    0 => 0,
                    back => counter.checked_sub(back).ok_or(WireError::Malformed)?,
                };
            }
            effect_field::DEPS => on_dep(read_tip(field.bytes()?)?),
            effect_field::DATA => payload = Some(Payload::Data(read_data(field.bytes()?)?)),
            effect_field::META => payload = Some(Payload::Meta(read_meta(field.bytes()?)?)),
            effect_field::NOOP => {
                pass_over(field.bytes()?)?;
                payload = Some(Payload::Noop);
            }
            effect_field::SNAPSHOT => {
                payload = Some(Payload::Snapshot(read_snapshot(field.bytes()?)?));
            }
            effect_field::FLUSH => {
                pass_over(field.bytes()?)?;
                payload = Some(Payload::Flush);
            }
            effect_field::PLACE => {
                payload = Some(Payload::Place {
                    space: read_place(field.bytes()?)?,
                });
            }
            _ => {}
        }
    }
    let payload = payload.ok_or(WireError::NoPayload)?;
    debug_assert!(counter <= COUNTER_MAX);
    Ok(Stamped {
        hlc,
        local_dep,
        deps: &[],
        effect: Effect { db, key, payload },
    })
}

/// Reads a message that has no fields yet, but may get some in a later version.
fn pass_over(bytes: &[u8]) -> Result<(), WireError> {
    let mut fields = Fields(bytes);
    while fields.next()?.is_some() {}
    Ok(())
}

fn read_tip(bytes: &[u8]) -> Result<Tip, WireError> {
    let mut tip = Tip::default();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => tip.node = NodeId(field.fixed()?),
            2 => tip.offset = Offset(field.fixed()?),
            _ => {}
        }
    }
    Ok(tip)
}

#[inline]
fn read_data(bytes: &[u8]) -> Result<Data<'_>, WireError> {
    let mut data = Data::default();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            data_field::OP => {
                data.op = match field.number()? {
                    0 => Op::Insert,
                    1 => Op::Remove,
                    _ => return Err(WireError::UnknownValue(number)),
                };
            }
            data_field::MERGE => {
                data.merge = match field.number()? {
                    0 => Merge::LastWriteWins,
                    1 => Merge::AddInt,
                    2 => Merge::AddFloat,
                    3 => Merge::MaxInt,
                    4 => Merge::MaxBytes,
                    5 => Merge::FirstWriteWins,
                    _ => return Err(WireError::UnknownValue(number)),
                };
            }
            data_field::COLLECTION => {
                data.collection = match field.number()? {
                    0 => Collection::Scalar,
                    1 => Collection::Keyed,
                    2 => Collection::Ordered,
                    _ => return Err(WireError::UnknownValue(number)),
                };
            }
            data_field::PLACEMENT => {
                data.placement = match field.number()? {
                    0 => Placement::None,
                    1 => Placement::Head,
                    2 => Placement::Tail,
                    3 => Placement::Before,
                    4 => Placement::After,
                    5 => Placement::Itself,
                    _ => return Err(WireError::UnknownValue(number)),
                };
            }
            data_field::TYPE => data.type_tag = read_type(field)?,
            data_field::REFERENCE => data.reference = ElementNumber(field.number()?),
            data_field::NUMBER => data.number = ElementNumber(field.number()?),
            data_field::ELEMENT => data.element = field.bytes()?,
            data_field::BYTES => data.value = Scalar::Bytes(field.bytes()?),
            data_field::INT => data.value = Scalar::Int(unzigzag(field.number()?)),
            data_field::FLOAT => data.value = Scalar::Float(f64::from_bits(field.fixed()?)),
            data_field::EXPIRES_MS => data.expires_ms = Some(field.number()?),
            _ => {}
        }
    }
    Ok(data)
}

fn read_type(field: Field<'_>) -> Result<TypeTag, WireError> {
    Ok(match field.number()? {
        0 => TypeTag::String,
        1 => TypeTag::List,
        2 => TypeTag::Set,
        3 => TypeTag::Hash,
        4 => TypeTag::SortedSet,
        _ => return Err(WireError::UnknownValue(data_field::TYPE)),
    })
}

fn read_meta(bytes: &[u8]) -> Result<Meta, WireError> {
    let mut meta = None;
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => meta = Some(Meta::ExpireAt(field.number()?)),
            2 => {
                field.number()?;
                meta = Some(Meta::Persist);
            }
            _ => {}
        }
    }
    meta.ok_or(WireError::NoPayload)
}

fn read_snapshot(bytes: &[u8]) -> Result<Snapshot<'_>, WireError> {
    let mut snapshot = Snapshot {
        type_tag: TypeTag::String,
        expires_ms: None,
        state: &[],
    };
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => snapshot.type_tag = read_type(field)?,
            2 => snapshot.expires_ms = Some(field.number()?),
            3 => snapshot.state = field.bytes()?,
            _ => {}
        }
    }
    Ok(snapshot)
}

fn read_place(bytes: &[u8]) -> Result<u32, WireError> {
    let mut space = 0;
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            space = u32::try_from(field.number()?).map_err(|_| WireError::Malformed)?;
        }
    }
    Ok(space)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_scalar() -> impl Strategy<Value = (u8, Vec<u8>, i64, f64)> {
        (
            0u8..4,
            prop::collection::vec(any::<u8>(), 0..40),
            any::<i64>(),
            any::<f64>(),
        )
    }

    proptest! {
        #[test]
        fn any_data_effect_round_trips(
            key in prop::collection::vec(any::<u8>(), 0..40),
            element in prop::collection::vec(any::<u8>(), 0..40),
            (which, bytes, int, float) in any_scalar(),
            (op, merge, collection, placement, type_tag) in (0u64..2, 0u64..6, 0u64..3, 0u64..6, 0u64..5),
            (reference, number, hlc, back) in (any::<u64>(), any::<u64>(), any::<u64>(), 0u64..1000),
            expires_ms in any::<Option<u64>>(),
            deps in prop::collection::vec((any::<u64>(), any::<u64>()), 0..4),
        ) {
            let value = match which {
                0 => Scalar::None,
                1 => Scalar::Bytes(&bytes),
                2 => Scalar::Int(int),
                _ => Scalar::Float(float),
            };
            // The numbers become enums by the decoder itself, so that every value is met.
            let mut raw = Vec::new();
            for (field, value) in [(1, op), (2, merge), (3, collection), (4, placement), (5, type_tag)] {
                put_number(&mut raw, field, value);
            }
            let data = Data {
                element: &element,
                value,
                reference: ElementNumber(reference),
                number: ElementNumber(number),
                expires_ms,
                ..read_data(&raw).unwrap()
            };
            let deps: Vec<Tip> =
                deps.iter().map(|&(n, o)| Tip { node: NodeId(n), offset: Offset(o) }).collect();
            let counter = 5000;
            let stamped = Stamped {
                hlc: Hlc(hlc),
                local_dep: if back == 0 { 0 } else { counter - back },
                deps: &deps,
                effect: Effect { db: 3, key: &key, payload: Payload::Data(data) },
            };
            let mut wire = Vec::new();
            marshal_effect(counter, &stamped, &mut wire);
            let mut back_deps = Vec::new();
            prop_assert_eq!(unmarshal_effect(counter, &wire, &mut back_deps), Ok(stamped));
        }

        #[test]
        fn hostile_bytes_give_an_error_or_an_effect_and_never_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = unmarshal_effect(7, &bytes, &mut Vec::new());
        }
    }

    #[test]
    fn payloads_without_data_round_trip() {
        for payload in [
            Payload::Noop,
            Payload::Flush,
            Payload::Place { space: 0 },
            Payload::Place { space: 9 },
            Payload::Meta(Meta::Persist),
            Payload::Meta(Meta::ExpireAt(0)),
            Payload::Snapshot(Snapshot {
                type_tag: TypeTag::Hash,
                expires_ms: Some(0),
                state: b"\0\xff",
            }),
        ] {
            let stamped = Stamped {
                hlc: Hlc(1),
                local_dep: 0,
                deps: &[],
                effect: Effect {
                    db: 0,
                    key: b"k",
                    payload,
                },
            };
            let mut wire = Vec::new();
            marshal_effect(1, &stamped, &mut wire);
            assert_eq!(unmarshal_effect(1, &wire, &mut Vec::new()), Ok(stamped));
        }
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        let stamped = Stamped {
            hlc: Hlc(1),
            local_dep: 0,
            deps: &[],
            effect: Effect {
                db: 0,
                key: b"k",
                payload: Payload::Noop,
            },
        };
        let mut wire = Vec::new();
        put_bytes(&mut wire, 100, b"from the future");
        marshal_effect(1, &stamped, &mut wire);
        put_number(&mut wire, 101, 5);
        assert_eq!(unmarshal_effect(1, &wire, &mut Vec::new()), Ok(stamped));
    }

    #[test]
    fn every_cut_of_an_effect_is_an_error() {
        let stamped = Stamped {
            hlc: Hlc(1),
            local_dep: 0,
            deps: &[],
            effect: Effect {
                db: 0,
                key: b"key",
                payload: Payload::Data(Data::set(b"value", None)),
            },
        };
        let mut wire = Vec::new();
        marshal_effect(1, &stamped, &mut wire);
        for cut in 0..wire.len() {
            assert!(
                unmarshal_effect(1, &wire[..cut], &mut Vec::new()).is_err(),
                "cut at {cut}"
            );
        }
    }
}
