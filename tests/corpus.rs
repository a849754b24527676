//! Every file of the fuzz corpora holds what the fuzz targets demand: what was found once stays
//! found, without a fuzzer and on a stable compiler.

#![cfg(all(feature = "crawl", feature = "store"))]

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
pub mod checks;

/// Runs a check on every file of its corpus; returns how many there were.
fn replay(target: &str, check: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("every target has a corpus");
    let mut count = 0;
    for entry in entries {
        let path = entry.expect("the corpus can be read").path();
        let data = fs::read(&path).expect("the corpus can be read");
        // Shown only when the check fails.
        println!("{}", path.display());
        check(&data);
        count += 1;
    }
    count
}

#[test]
fn urls() {
    assert!(replay("url", checks::url) >= 10);
}

#[test]
fn robots() {
    assert!(replay("robots", checks::robots) >= 10);
}

#[test]
fn extraction() {
    assert!(replay("extract", checks::extract) >= 10);
}

#[test]
fn store_records() {
    assert!(replay("store_records", checks::store_records) >= 10);
}

#[test]
fn store_directories() {
    assert!(replay("store_directory", checks::store_directory) >= 5);
}

#[test]
fn store_operations() {
    assert!(replay("store_operations", checks::store_operations) >= 5);
}

#[test]
fn cache_operations() {
    assert!(replay("cache_operations", checks::cache_operations) >= 5);
}

#[test]
fn a_broken_promise_would_be_noticed() {
    let refused = std::panic::catch_unwind(|| {
        replay("url", |data| assert!(data.is_empty(), "no file of the corpus is empty"));
    });
    assert!(refused.is_err());
}
