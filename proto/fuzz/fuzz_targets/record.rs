//! Arbitrary bytes as log frames: decoding must neither panic nor read past a frame, and a frame that
//! decodes must encode to the same bytes.
#![no_main]

use causet_proto::frame::{self, Decoded, HEADER_BYTES, Mark, Seed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((sequence, mut bytes)) = data.split_first() else {
        return;
    };
    let seed = Seed::of_segment(u64::from(*sequence));
    if let Some((at, mark)) = frame::find_mark(seed, bytes, 0) {
        assert!(bytes[at..].starts_with(&mark.encode(seed)[..4]));
    }
    while let Decoded::Frame { flags, payload } = frame::decode(seed, bytes) {
        assert_eq!(frame::header(seed, flags, payload), bytes[..HEADER_BYTES]);
        let _ = Mark::decode(payload);
        bytes = &bytes[HEADER_BYTES + payload.len()..];
    }
});
