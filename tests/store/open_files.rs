//! A process that may not open another file: that is no fault of the disk, and it passes.

use std::fs::File;
use std::process::Command;

use gristmill::store::{Store, StoreError};

use crate::{MINUTE, noise, plain};

/// Names the directory to the test that runs in a process of its own.
const DIR: &str = "GRISTMILL_TEST_FEW_FILES";
const FILES: u64 = 64;

/// Run by the test below in a process that may open few files.
#[test]
fn process_with_few_files_writes() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = Store::builder(dir).segment_bytes(64 << 10).open().unwrap();
    let keyspace = plain(&store, "k");
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(FILES), maximum }).unwrap();
    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!held.is_empty());
    let value = |number: u64| noise(number, 20_000);
    let mut written = 0_u64;
    let error = loop {
        match keyspace.put(written.to_be_bytes(), value(written)) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "segments are made without opening a file");
    };
    let StoreError::Refused { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, StoreError::Io { .. }), "{error:?}");
    for number in 0..written {
        assert_eq!(keyspace.get(number.to_be_bytes()).unwrap().unwrap(), value(number));
    }
    drop(held);
    for number in 0..written + 20 {
        keyspace.put(number.to_be_bytes(), value(number)).unwrap();
    }
    assert!(store.check().unwrap().is_clean());
    store.close(MINUTE).unwrap();
}

#[test]
fn a_process_that_may_not_open_another_file_is_refused_and_goes_on_later() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "open_files::process_with_few_files_writes", "--nocapture"])
        .env(DIR, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert!(dir.path().join("index.redb").exists(), "the other test did nothing");
}
