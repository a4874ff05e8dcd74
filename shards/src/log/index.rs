//! Where a counter stands in one segment, sparsely.
//!
//! One entry per 64 KiB or so: 16 bytes per 64 KiB are 16 KiB per full 64 MiB segment. The rule kept:
//! an entry points at the first frame of an effect, never into one, so a reader can start there.

/// Distance between two entries, in bytes of the segment.
pub(super) const STRIDE_BYTES: u32 = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<(u64, u32)>,
}

impl Index {
    /// Notes that effect `counter` begins at `offset`, if the last entry is far enough behind.
    #[inline]
    pub fn note(&mut self, counter: u64, offset: u32) {
        if self
            .entries
            .last()
            .is_none_or(|(_, last)| offset - last >= STRIDE_BYTES)
        {
            self.entries.push((counter, offset));
        }
    }

    /// The last entry at or before `counter`, and the offset of the entry behind it. O(log n).
    pub fn find(&self, counter: u64) -> Option<((u64, u32), Option<u32>)> {
        let after = self.entries.partition_point(|(entry, _)| *entry <= counter);
        let entry = *self.entries.get(after.checked_sub(1)?)?;
        Some((entry, self.entries.get(after).map(|(_, offset)| *offset)))
    }

    /// The first effect that begins in the segment.
    pub fn first(&self) -> Option<u64> {
        self.entries.first().map(|(counter, _)| *counter)
    }

    /// Forgets entries at or beyond `counter`.
    pub fn cut(&mut self, counter: u64) {
        let keep = self.entries.partition_point(|(entry, _)| *entry < counter);
        self.entries.truncate(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_at_or_before_the_counter() {
        let mut index = Index::default();
        for counter in 10..1000_u64 {
            index.note(counter, (counter as u32 - 10) * 1024 + 4096);
        }
        assert_eq!(index.find(9), None);
        assert_eq!(
            index.find(10),
            Some(((10, 4096), Some(4096 + STRIDE_BYTES)))
        );
        assert_eq!(
            index.find(75).map(|found| found.0),
            Some((74, 4096 + STRIDE_BYTES))
        );
        index.cut(74);
        assert_eq!(index.find(900), Some(((10, 4096), None)));
    }
}
