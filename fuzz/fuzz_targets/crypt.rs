//! See `fulmar_fuzz::crypt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fulmar_fuzz::crypt(data));
