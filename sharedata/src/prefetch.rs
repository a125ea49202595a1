//! Asking for memory before it is needed: most of a look-up in a large table is waiting for memory.

/// How much of a node is asked for: its head, its tags and the payloads of its keys, when it is of a usual size.
const AHEAD_BYTES: usize = 320;
const LINE_BYTES: usize = 64;

/// Asks for the beginning of these bytes.
#[inline(always)]
pub(crate) fn begin(bytes: &[u8]) {
    let ahead = &bytes[..bytes.len().min(AHEAD_BYTES)];
    for place in (0..ahead.len()).step_by(LINE_BYTES) {
        line(&ahead[place]);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line(byte: &u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which reads nothing; every x86-64 has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) }
}

/// What is not asked for comes when it is read.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn line(_byte: &u8) {}
