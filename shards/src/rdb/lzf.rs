//! LZF as Redis compresses long strings with it: reading only, writing them plain is allowed.
//!
//! A control byte below 32 is followed by so many literal bytes and one more; another one copies
//! from what was written before: length in its high three bits (and one byte more where they are all
//! set), distance in its low five and the next byte.

/// Unpacks `packed`, which must give exactly `len` bytes; else `None`. No more is allocated than what
/// is written, whatever the input claims.
pub fn unpack(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = packed;
    while let Some((&control, tail)) = rest.split_first() {
        let control = usize::from(control);
        if control < 32 {
            let (literal, tail) = tail.split_at_checked(control + 1)?;
            out.extend_from_slice(literal);
            rest = tail;
        } else {
            let (more, tail) = if control >> 5 == 7 {
                let (&more, tail) = tail.split_first()?;
                (usize::from(more), tail)
            } else {
                (0, tail)
            };
            let (&low, tail) = tail.split_first()?;
            let distance = ((control & 31) << 8 | usize::from(low)) + 1;
            let from = out.len().checked_sub(distance)?;
            // The source may overlap what is being written: a run repeats itself.
            for at in from..from + (control >> 5) + more + 2 {
                out.push(out[at]);
            }
            rest = tail;
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_overlapping_runs() {
        assert_eq!(
            unpack(&[2, b'a', b'b', b'c'], 3).as_deref(),
            Some(&b"abc"[..])
        );
        // One literal, then 9 bytes from distance 1 with an extended length.
        assert_eq!(unpack(&[0, b'x', 0xe0, 0, 0], 10), Some(vec![b'x'; 10]));
        assert_eq!(unpack(&[0, b'x', 0x40, 0], 5), Some(vec![b'x'; 5]));
    }

    #[test]
    fn damage_is_refused() {
        assert_eq!(unpack(&[5, b'a'], 6), None, "literals end early");
        assert_eq!(
            unpack(&[0, b'x', 0x20, 9], 4),
            None,
            "points before the beginning"
        );
        assert_eq!(unpack(&[0, b'x'], 2), None, "shorter than promised");
        assert_eq!(
            unpack(&[0, b'x', 0xe0, 255, 0], 4),
            None,
            "longer than promised"
        );
        assert_eq!(unpack(&[0xe0], 4), None);
    }
}
