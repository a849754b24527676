//! URLs: parsing and the canonical form.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gristmill_fuzz::url(data));
