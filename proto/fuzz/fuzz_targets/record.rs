//! A log segment after hostile hands: arbitrary bytes as frames, marks and effects.
//!
//! The law: nothing panics or reads past its frame; a frame that decodes encodes to the same bytes;
//! an effect that decodes, written again, is the same effect; memory stays within the input's. The
//! first byte gives the segment's sequence number and the effect's counter.

#![no_main]

use causet_core::wire::{marshal_effect, unmarshal_effect};
use causet_proto::frame::{self, Decoded, HEADER_BYTES, Mark, Seed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&first, bytes)) = input.split_first() else {
        return;
    };
    let seed = Seed::of_segment(u64::from(first));
    frames(seed, bytes);
    effect(u64::from(first), bytes);
    // Hostile bytes hardly ever have the right CRC, so a frame is made around them as well.
    if !bytes.is_empty() {
        let header = frame::header(seed, frame::Flags::NONE, bytes);
        frames(seed, &[&header[..], bytes].concat());
    }
});

fn frames(seed: Seed, mut bytes: &[u8]) {
    if let Some((at, mark)) = frame::find_mark(seed, bytes, 0) {
        assert!(bytes[at..].starts_with(&mark.encode(seed)[..4]));
    }
    while let Decoded::Frame { flags, payload } = frame::decode(seed, bytes) {
        assert_eq!(frame::header(seed, flags, payload), bytes[..HEADER_BYTES]);
        let _ = Mark::decode(payload);
        bytes = &bytes[HEADER_BYTES + payload.len()..];
    }
}

fn effect(counter: u64, bytes: &[u8]) {
    let mut deps = Vec::new();
    let Ok(effect) = unmarshal_effect(counter, bytes, &mut deps) else {
        return;
    };
    // A dep takes at least its tag and its length.
    assert!(effect.deps.len() <= bytes.len() / 2);
    let mut written = Vec::new();
    marshal_effect(counter, &effect, &mut written);
    let mut deps = Vec::new();
    let again = unmarshal_effect(counter, &written, &mut deps).expect("what was written reads");
    // By their texts, as a NaN is unlike itself.
    assert_eq!(format!("{again:?}"), format!("{effect:?}"));
}
