//! Files that a crash left behind and nothing refers to are gone after the next opening.

use std::fs;
use std::path::Path;

use gristmill::store::{Store, StoreBuilder, StoreError};

use crate::{copy_dir, noise, plain};

fn builder(dir: &Path) -> StoreBuilder {
    Store::builder(dir).segment_bytes(64 << 10)
}

/// The names of the files that are there.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A store with a value under "key", killed when the file of segment 1, which held an older one, was
/// retired and still read.
fn crashed_with_a_retired_segment() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = builder(dir.path()).open().unwrap();
    let k = plain(&store, "k");
    k.put("key", noise(1, 50_000)).unwrap();
    let value = k.get("key").unwrap().unwrap();
    k.put("key", noise(2, 50_000)).unwrap();
    assert!(store.check().unwrap().is_clean());
    // The next checkpoint would remove it if nobody read it.
    k.put("other", "x").unwrap();
    assert!(store.check().unwrap().is_clean());
    assert_eq!(store.stats().segments, 1);
    let crashed = copy_dir(dir.path());
    drop(value);
    assert!(crashed.path().join("00000001.segment").exists());
    crashed
}

/// Opens it and finds what is there; gives the names of the files while it is open.
fn opened(dir: &Path) -> Vec<String> {
    let store = builder(dir).open().unwrap();
    let names = names(dir);
    let k = plain(&store, "k");
    assert_eq!(k.get("key").unwrap().unwrap(), noise(2, 50_000));
    assert_eq!(k.get("other").unwrap().unwrap(), b"x");
    assert_eq!(k.len().unwrap(), 2);
    let report = store.check().unwrap();
    assert!(report.is_clean(), "{report}");
    names
}

/// What an opening leaves: one segment, and what each store has.
const LEFT: [&str; 4] = ["00000002.segment", "index.redb", "lock", "reserve"];

#[test]
fn the_file_of_a_retired_segment_goes_at_the_next_opening() {
    let dir = crashed_with_a_retired_segment();
    assert_eq!(opened(dir.path()), LEFT);
    assert_eq!(opened(dir.path()), LEFT);
}

#[test]
fn a_retired_segment_that_comes_back_is_not_taken_for_one_with_values() {
    let dir = crashed_with_a_retired_segment();
    let retired = dir.path().join("00000001.segment");
    let bytes = fs::read(&retired).unwrap();
    assert_eq!(opened(dir.path()), LEFT);
    // From an old copy of the directory, say.
    fs::write(&retired, &bytes).unwrap();
    assert_eq!(opened(dir.path()), LEFT);
    // Nor does rubbish of before the watermark harm.
    fs::write(&retired, noise(3, 5000)).unwrap();
    assert_eq!(opened(dir.path()), LEFT);
}

#[test]
fn segments_that_were_never_finished_go_and_their_ids_are_not_used_again() {
    let dir = crashed_with_a_retired_segment();
    for (id, length) in [(0x20, 0), (0x30, 20), (0x40, 64 << 10)] {
        fs::write(dir.path().join(format!("{id:08x}.segment")), vec![0; length]).unwrap();
    }
    assert_eq!(opened(dir.path()), LEFT);
    fs::write(dir.path().join("00000050.segment"), []).unwrap();
    let store = builder(dir.path()).open().unwrap();
    assert_eq!(names(dir.path()), LEFT);
    plain(&store, "k").put("key", noise(2, 50_000)).unwrap();
    assert!(dir.path().join("00000051.segment").exists());
}

#[test]
fn a_half_made_index_file_goes_and_what_is_not_the_stores_stays() {
    let dir = crashed_with_a_retired_segment();
    let new = dir.path().join("index.redb.new");
    let index = fs::read(dir.path().join("index.redb")).unwrap();
    for half_made in [Vec::new(), noise(1, 5000), index[..index.len() / 2].to_vec(), index] {
        fs::write(&new, half_made).unwrap();
        assert_eq!(opened(dir.path()), LEFT);
    }
    // Names that are nearly those of segments.
    let others = ["1.segment", "0000000A.segment", "note.txt"];
    for name in others {
        fs::write(dir.path().join(name), "mine").unwrap();
    }
    let mut all: Vec<_> = LEFT.into_iter().chain(others).collect();
    all.sort_unstable();
    assert_eq!(opened(dir.path()), all);
    assert!(others.iter().all(|name| fs::read(dir.path().join(name)).unwrap() == b"mine"));
}

#[test]
fn a_first_index_file_that_was_half_made_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("index.redb.new"), noise(1, 5000)).unwrap();
    let store = builder(dir.path()).open().unwrap();
    assert_eq!(names(dir.path()), ["index.redb", "lock", "reserve"]);
    plain(&store, "k").put("key", "x").unwrap();
    assert!(store.check().unwrap().is_clean());
}

/// Ids of segments are never used twice, so behind the last one there is none.
#[test]
fn a_file_with_the_last_id_there_is_is_told() {
    let dir = tempfile::tempdir().unwrap();
    drop(plain(&Store::open(dir.path()).unwrap(), "k").put("key", "value"));
    let last = dir.path().join("ffffffff.segment");
    fs::write(&last, []).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    let StoreError::Corrupt { path, reason, .. } = &error else { panic!("{error:?}") };
    assert_eq!((path, *reason), (&last, "no id is left for another segment"));
    fs::remove_file(&last).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(plain(&store, "k").get("key").unwrap().unwrap(), b"value");
}
