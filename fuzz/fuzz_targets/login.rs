//! See `fulmar_fuzz::login`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fulmar_fuzz::login(data));
