//! What memory costs: allocation sizes as the allocator rounds them.
//!
//! Collections count their bytes as they change, so that `MEMORY USAGE` and the effect cache read
//! a sum and walk nothing. The figures follow jemalloc's size classes (the server's allocator) and
//! are computed, not asked for, so that they are the same wherever the same operations run.

/// Bytes that an allocation of `size` bytes takes: the next size class of jemalloc.
#[inline]
pub(super) fn allocated(size: usize) -> usize {
    match size {
        0 => 0,
        1..=8 => 8,
        9..=128 => (size + 15) & !15,
        _ => {
            // Above 128 there are four classes to each doubling.
            let step = (size - 1).ilog2() - 2;
            ((size - 1) >> step).wrapping_add(1) << step
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_up_to_the_classes() {
        for (size, class) in [
            (0, 0),
            (1, 8),
            (9, 16),
            (21, 32),
            (128, 128),
            (129, 160),
            (160, 160),
            (161, 192),
        ] {
            assert_eq!(allocated(size), class);
        }
        for (size, class) in [
            (256, 256),
            (257, 320),
            (1025, 1280),
            (8192, 8192),
            (8193, 10240),
        ] {
            assert_eq!(allocated(size), class);
        }
    }
}
