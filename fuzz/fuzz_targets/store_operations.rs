//! Random operations on a store, with crashes, beside its model.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gristmill_fuzz::store_operations(data));
