//! See `fulmar_fuzz::image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fulmar_fuzz::image(data));
