//! An effect with all that another node needs to apply it, and its form in a log and in a message.
//!
//! An effect names what it observed *of its key*. Sessions are promised causality over all keys,
//! and so a record also has a *context*: what its author had applied of other streams since the
//! previous record of the same stream. Delivered in the order of the stream, contexts add up to
//! everything that the author had seen.

use causet_core::id::{EffectRef, NodeId, Offset};
use causet_core::tip::Tip;
use causet_core::wire::{WireError, unmarshal_effect};

use causet_core::effect::Stamped;
use causet_proto::frame::{self, Decoded, Flags, HEADER_BYTES, Seed};

/// Streams that a context may name.
pub const CONTEXT_MAX: usize = 4096;

/// One effect of one stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// Its place.
    pub at: EffectRef,
    /// For each stream of which its author had applied more since the record before: up to where.
    pub context: Vec<EffectRef>,
    /// The effect as [`causet_core::wire::marshal_effect`] writes it.
    pub effect: Vec<u8>,
}

impl Record {
    /// Everything that must be delivered before it: the context and the effect's own dependencies.
    ///
    /// # Errors
    /// [`WireError`] where the bytes are no effect.
    pub fn requires(&self) -> Result<Vec<EffectRef>, WireError> {
        let mut deps = Vec::new();
        let stamped = self.stamped(&mut deps)?;
        Ok(self.context.iter().chain(stamped.deps).copied().collect())
    }

    /// The effect itself; its foreign dependencies go to `deps`.
    ///
    /// # Errors
    /// [`WireError`] where the bytes are no effect.
    pub fn stamped<'a>(&'a self, deps: &'a mut Vec<Tip>) -> Result<Stamped<'a>, WireError> {
        unmarshal_effect(self.at.offset.counter(), &self.effect, deps)
    }

    /// Its bytes: place, length of the context, context, effect.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(18 + 16 * self.context.len() + self.effect.len());
        put_ref(&mut bytes, self.at);
        bytes.extend_from_slice(&(self.context.len() as u16).to_le_bytes());
        for &effect in &self.context {
            put_ref(&mut bytes, effect);
        }
        bytes.extend_from_slice(&self.effect);
        bytes
    }

    /// Reads what [`Record::encode`] wrote; `None` for anything else. The effect is not looked into.
    pub fn decode(bytes: &[u8]) -> Option<Record> {
        let (at, bytes) = take_ref(bytes)?;
        let (len, mut bytes) = bytes.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_le_bytes(*len));
        if len > CONTEXT_MAX {
            return None;
        }
        let mut context = Vec::new();
        for _ in 0..len {
            let (effect, rest) = take_ref(bytes)?;
            context.push(effect);
            bytes = rest;
        }
        Some(Record {
            at,
            context,
            effect: bytes.to_vec(),
        })
    }

    /// Appends the record to a log, in a frame with a checksum.
    pub fn append_to(&self, log: &mut Vec<u8>) {
        let payload = self.encode();
        log.extend_from_slice(&frame::header(seed(), Flags::NONE, &payload));
        log.extend_from_slice(&payload);
    }
}

/// Reads a log from its start: the whole records, and the length that they take. What follows is a
/// torn tail.
pub fn read_log(log: &[u8]) -> (Vec<Record>, usize) {
    let mut records = Vec::new();
    let mut at = 0;
    while let Decoded::Frame { payload, .. } = frame::decode(seed(), &log[at..]) {
        let Some(record) = Record::decode(payload) else {
            break;
        };
        records.push(record);
        at += HEADER_BYTES + payload.len();
    }
    (records, at)
}

fn seed() -> Seed {
    Seed::of_segment(1)
}

fn put_ref(bytes: &mut Vec<u8>, effect: EffectRef) {
    bytes.extend_from_slice(&effect.node.0.to_le_bytes());
    bytes.extend_from_slice(&effect.offset.0.to_le_bytes());
}

fn take_ref(bytes: &[u8]) -> Option<(EffectRef, &[u8])> {
    let (node, bytes) = bytes.split_first_chunk::<8>()?;
    let (offset, bytes) = bytes.split_first_chunk::<8>()?;
    let effect = EffectRef {
        node: NodeId(u64::from_le_bytes(*node)),
        offset: Offset(u64::from_le_bytes(*offset)),
    };
    Some((effect, bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(counter: u64, context: usize) -> Record {
        let at = |counter| EffectRef {
            node: NodeId(7),
            offset: Offset::new(1, counter),
        };
        Record {
            at: at(counter),
            context: (0..context as u64).map(at).collect(),
            effect: vec![9; 20],
        }
    }

    #[test]
    fn a_log_cut_anywhere_gives_the_records_before_the_cut() {
        let mut log = Vec::new();
        let mut ends = vec![0];
        for counter in 1..=3 {
            record(counter, counter as usize).append_to(&mut log);
            ends.push(log.len());
        }
        for cut in 0..=log.len() {
            let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
            let (records, len) = read_log(&log[..cut]);
            assert_eq!((records.len(), len), (whole, ends[whole]));
        }
    }

    proptest! {
        #[test]
        fn a_record_survives_encoding_and_rubbish_gives_none_or_a_record(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            context in 0usize..5,
        ) {
            let whole = record(5, context);
            prop_assert_eq!(Record::decode(&whole.encode()), Some(whole));
            if let Some(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }
}
