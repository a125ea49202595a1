//! Lists in cache lines of their own: what a service writes with each message must not share one with what another service uses,
//! which may run on another worker. An allocator puts short blocks side by side, whoever asks for them. Processors fetch lines in pairs,
//! so a pair is what counts as one here.
//!
//! A list asks for the length of whole pairs; that it begins with one is up to the allocator. The binary's aligns blocks of such lengths
//! by them.

pub(crate) const LINE_BYTES: usize = 64;
pub(crate) const PAIR_BYTES: usize = 2 * LINE_BYTES;

/// An empty list of whole pairs of lines.
pub(crate) fn list<T>() -> Vec<T> {
    Vec::with_capacity(elements::<T>())
}

/// The fewest elements that fill whole pairs.
const fn elements<T>() -> usize {
    let shared = 1 << size_of::<T>().trailing_zeros();
    if shared < PAIR_BYTES {
        PAIR_BYTES / shared
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_fill_pairs_of_lines() {
        assert_eq!(
            (elements::<u32>(), elements::<[u64; 3]>(), elements::<[u64; 16]>()),
            (32, 16, 1)
        );
        let list = list::<[u64; 5]>();
        assert_eq!(list.capacity() * size_of::<[u64; 5]>() % PAIR_BYTES, 0);
    }
}
