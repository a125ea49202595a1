//! Asking for memory before it is needed: most of a look-up in a large table is waiting for memory.

use fulmar_arena::prefetch;

/// How much of a node is asked for: its head, its tags and the payloads of its keys, when it is of a usual size.
const AHEAD_BYTES: usize = 320;
const LINE_BYTES: usize = 64;

/// Asks for the beginning of these bytes.
#[inline(always)]
pub(crate) fn begin(bytes: &[u8]) {
    let ahead = &bytes[..bytes.len().min(AHEAD_BYTES)];
    for place in (0..ahead.len()).step_by(LINE_BYTES) {
        prefetch(&ahead[place]);
    }
}
