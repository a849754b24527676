//! Opening directories of damaged and of arbitrary files as stores.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gristmill_fuzz::store_directory(data));
