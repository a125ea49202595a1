//! Errors planted for a checker to find: `ci/asan` runs each alone, with `FULMAR_PLANT` set, and requires the report.
//! Without that variable nothing is read out of turn, and the tests check what may be checked.

use fulmar_arena::Arena;

/// Reads a byte that was given back, when the errors are wanted.
fn read_if_planted(address: *const u8) {
    if std::env::var_os("FULMAR_PLANT").is_some() {
        // SAFETY: none; this is the error that the checker has to report.
        let byte = unsafe { address.read_volatile() };
        println!("read {byte} after the memory was given back");
    }
}

#[test]
fn read_after_free_on_the_heap() {
    let boxed = Box::new([7_u8; 100]);
    let address = boxed.as_ptr();
    drop(boxed);
    read_if_planted(address);
}

#[test]
fn read_after_free_in_the_arena() {
    let arena = Arena::process();
    let buffer = arena
        .loan(100, 0)
        .expect("a hundred bytes fit into an empty arena");
    let address = buffer.as_ptr();
    drop(buffer);
    assert!(arena.inspect(address).is_none(), "the block was given back");
    read_if_planted(address);
}
