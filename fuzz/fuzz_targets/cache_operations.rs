//! The cache: any sequence of operations.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gristmill_fuzz::cache_operations(data));
