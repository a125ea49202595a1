//! See `fulmar_fuzz::seri`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fulmar_fuzz::seri(data));
