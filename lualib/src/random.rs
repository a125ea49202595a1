//! Random bytes for keys and numbers that nobody may guess, fetched from the system many at a time: a call of it takes longer than all
//! else that is done with them.

use std::cell::RefCell;

use crate::stack::Failure;

/// Bytes that the system gave and nobody has used.
struct Pool {
    bytes: [u8; POOL_BYTES],
    left: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            bytes: [0; POOL_BYTES],
            left: 0,
        })
    };
}

/// Bytes of the system's source for secrets, each given out once and then forgotten.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    const { assert!(N <= POOL_BYTES) };
    POOL.with_borrow_mut(|pool| {
        if pool.left < N {
            getrandom::fill(&mut pool.bytes).map_err(|error| error.to_string())?;
            pool.left = POOL_BYTES;
        }
        let from = pool.left - N;
        let mut taken = [0; N];
        taken.copy_from_slice(&pool.bytes[from..pool.left]);
        pool.bytes[from..pool.left].fill(0);
        pool.left = from;
        Ok(taken)
    })
}

const POOL_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_given_twice() {
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(bytes::<8>().unwrap()));
            assert!(seen.insert(bytes::<16>().unwrap()[..8].try_into().unwrap()));
        }
    }
}
