//! Frames back into effects, chunk by chunk.
//!
//! For readers that start in the middle of the log: a cold read, the compactor. (Recovery holds whole
//! segments in memory and judges batches; it has its own loop.) Chunks may end anywhere, also inside
//! a frame. The rule kept: an effect is handed out only when all its bytes were there and validated,
//! and an effect whose beginning was not seen is passed over.

use causet_proto::frame::{self, Decoded, Flags, HEADER_BYTES, Mark, MarkKind, Seed};

/// The bytes are not what the log wrote there: damaged, or the file was recycled meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

#[derive(Debug)]
pub(super) struct EffectStream {
    seed: Seed,
    next_counter: u64,
    /// The start of a frame whose end is in the next chunk.
    carry: Vec<u8>,
    /// The effect whose fragments are being collected.
    partial: Option<(u64, Vec<u8>)>,
    skip_bytes: u64,
}

impl EffectStream {
    /// Starts at a frame of segment `sequence`; `next_counter` is the next effect that begins.
    pub fn new(sequence: u64, next_counter: u64) -> EffectStream {
        EffectStream {
            seed: Seed::of_segment(sequence),
            next_counter,
            carry: Vec::new(),
            partial: None,
            skip_bytes: 0,
        }
    }

    /// Goes on with the frames of another segment.
    pub fn enter(&mut self, sequence: u64) -> Result<(), Invalid> {
        if !self.carry.is_empty() {
            return Err(Invalid);
        }
        self.skip_bytes = 0;
        self.seed = Seed::of_segment(sequence);
        Ok(())
    }

    /// Whether an effect has begun whose end was not seen yet.
    pub fn in_effect(&self) -> bool {
        self.partial.is_some()
    }

    /// Takes the next bytes and hands out the effects that they complete. O(bytes).
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(u64, &[u8])) -> Result<(), Invalid> {
        let mut carry = std::mem::take(&mut self.carry);
        if carry.is_empty() {
            let rest = self.walk(bytes, sink)?;
            carry.extend_from_slice(rest);
        } else {
            carry.extend_from_slice(bytes);
            let rest = self.walk(&carry, sink)?.len();
            carry.drain(..carry.len() - rest);
        }
        self.carry = carry;
        Ok(())
    }

    fn walk<'a>(
        &mut self,
        mut bytes: &'a [u8],
        sink: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<&'a [u8], Invalid> {
        loop {
            let skip = self.skip_bytes.min(bytes.len() as u64);
            self.skip_bytes -= skip;
            bytes = &bytes[skip as usize..];
            if bytes.len() < HEADER_BYTES {
                return Ok(bytes);
            }
            match frame::decode(self.seed, bytes) {
                Decoded::Frame { flags, payload } => {
                    self.frame(flags, payload, sink)?;
                    bytes = &bytes[HEADER_BYTES + payload.len()..];
                }
                Decoded::Incomplete(_) => return Ok(bytes),
                Decoded::Empty | Decoded::Corrupt => return Err(Invalid),
            }
        }
    }

    fn frame(
        &mut self,
        flags: Flags,
        payload: &[u8],
        sink: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<(), Invalid> {
        if flags.has(Flags::CONTROL) {
            let mark = Mark::decode(payload).ok_or(Invalid)?;
            if mark.kind == MarkKind::Skip {
                self.partial = None;
                self.skip_bytes = mark.bytes - frame::MARK_BYTES as u64;
            } else if mark.first_counter != self.next_counter {
                return Err(Invalid);
            }
            self.next_counter = mark.first_counter;
            return Ok(());
        }
        if flags.has(Flags::CONTINUED) {
            let Some((counter, mut whole)) = self.partial.take() else {
                return Ok(());
            };
            whole.extend_from_slice(payload);
            if flags.has(Flags::MORE_FRAGMENTS) {
                self.partial = Some((counter, whole));
            } else {
                sink(counter, &whole);
            }
            return Ok(());
        }
        let counter = self.next_counter;
        self.next_counter += 1;
        if flags.has(Flags::MORE_FRAGMENTS) {
            self.partial = Some((counter, payload.to_vec()));
        } else {
            sink(counter, payload);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_may_end_anywhere() {
        let seed = Seed::of_segment(4);
        let mut bytes = Vec::new();
        let mut put = |flags, payload: &[u8]| {
            bytes.extend_from_slice(&frame::header(seed, flags, payload));
            bytes.extend_from_slice(payload);
        };
        // The rest of an older effect comes first and is passed over.
        put(Flags::CONTINUED, b"old");
        put(Flags::NONE, b"one");
        put(Flags::MORE_FRAGMENTS, b"tw");
        put(Flags::CONTINUED, b"o");
        put(Flags::MORE_IN_GROUP, b"three");
        for chunk in 1..bytes.len() {
            let mut stream = EffectStream::new(4, 10);
            let mut seen = Vec::new();
            for part in bytes.chunks(chunk) {
                stream
                    .push(part, &mut |counter, effect| {
                        seen.push((counter, effect.to_vec()))
                    })
                    .unwrap();
            }
            let expected = [
                (10, b"one".to_vec()),
                (11, b"two".to_vec()),
                (12, b"three".to_vec()),
            ];
            assert_eq!(seen, expected, "chunks of {chunk}");
        }
    }
}
