//! See `fulmar_fuzz::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fulmar_fuzz::frames(data));
