//! The store's decoding of what lies in its files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gristmill_fuzz::store_records(data));
