//! Errors planted on purpose. An AddressSanitizer build (`--cfg fulmar_asan`) must report each and abort; the check
//! that runs them, one by one, fails when one passes. `#[ignore]`d, so that an ordinary run does not meet them.

use super::small_arena;

#[test]
#[ignore = "planted: AddressSanitizer must report it"]
fn planted_read_of_a_freed_block() {
    let buf = small_arena().loan(100, 1).unwrap();
    let body = buf.body_ptr();
    drop(buf);
    // SAFETY: none. The block is free.
    std::hint::black_box(unsafe { body.read_volatile() });
}

#[test]
#[ignore = "planted: AddressSanitizer must report it"]
fn planted_write_beyond_a_block() {
    let buf = small_arena().loan(100, 1).unwrap();
    // SAFETY: none. The envelope of the next block, which is free, begins a header after the end of this one.
    let beyond = unsafe { buf.body_ptr().add(buf.capacity() + 1 + 32) };
    // SAFETY: none, as above.
    unsafe { beyond.write_volatile(1) };
}

#[test]
#[ignore = "planted: AddressSanitizer must report it"]
fn planted_read_of_freed_heap_memory() {
    let boxed = Box::into_raw(Box::new([7u8; 100]));
    // SAFETY: from `into_raw`, once.
    drop(unsafe { Box::from_raw(boxed) });
    // SAFETY: none. The box is gone.
    std::hint::black_box(unsafe { boxed.cast::<u8>().read_volatile() });
}
