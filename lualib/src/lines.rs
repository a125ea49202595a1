//! Lists in cache lines of their own: what a service writes with each message must not share one with what another service uses,
//! which may run on another worker. An allocator puts short blocks side by side, whoever asks for them. Processors fetch lines in pairs,
//! so a pair is what counts as one here.

pub(crate) const PAIR_BYTES: usize = 128;

/// An empty list of whole lines.
pub(crate) fn list<T>() -> Vec<T> {
    Vec::with_capacity(elements::<T>())
}

/// The fewest elements that fill whole lines.
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
    fn lists_fill_lines() {
        assert_eq!(
            (elements::<u32>(), elements::<[u64; 3]>(), elements::<[u64; 16]>()),
            (32, 16, 1)
        );
        let list = list::<[u64; 5]>();
        assert_eq!(list.capacity() * size_of::<[u64; 5]>() % PAIR_BYTES, 0);
    }
}
