//! See `fulmar_fuzz::sproto_decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fulmar_fuzz::sproto_decode(data));
