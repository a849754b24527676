//! Arbitrary bytes as headers, groups, operations and index rows: errors, never panics, and what
//! decodes encodes to the same again.
#![no_main]

use gristmill::store::fuzzing::decode_records;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    decode_records(bytes);
});
