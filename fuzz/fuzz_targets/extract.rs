//! Extraction of arbitrary bytes as HTML.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gristmill_fuzz::extract(data));
