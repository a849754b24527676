//! robots.txt: parsing and matching.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gristmill_fuzz::robots(data));
