//! Groups that follow each other through several segments, none of them in the index file yet: what
//! is damaged or gone in one segment is told by the groups in the next, and nothing is dropped.

use std::fs;
use std::path::{Path, PathBuf};

use gristmill::store::{Store, StoreError};

use crate::{MINUTE, copy_dir, noise, plain};

/// As many segments, one value in each.
const VALUES: u8 = 6;
const LENGTH: usize = 50_000;
/// Where the first group begins in a segment, and where the payload begins in a record.
const HEADER: usize = 64;
const RECORD_HEADER: usize = 40;

/// A store that was killed before any checkpoint.
fn crashed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
    let k = plain(&store, "k");
    for number in 0..VALUES {
        k.put([number], noise(number.into(), LENGTH)).unwrap();
    }
    assert_eq!((store.stats().checkpoints, store.stats().segments), (0, VALUES.into()));
    copy_dir(dir.path())
}

fn segment(dir: &Path, id: u8) -> PathBuf {
    dir.join(format!("{id:08x}.segment"))
}

/// Opens it and finds the first few values, and no other.
fn holds_the_first(dir: &Path, count: u8) {
    let store = Store::builder(dir).segment_bytes(64 << 10).open().unwrap();
    let k = plain(&store, "k");
    assert_eq!(k.len().unwrap(), u64::from(count));
    for number in 0..count {
        assert_eq!(k.get([number]).unwrap().unwrap(), noise(number.into(), LENGTH));
    }
    assert!(store.check().unwrap().is_clean());
}

/// All segments with their content.
fn log(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let log = paths.filter(|path| path.extension().is_some_and(|ending| ending == "segment"));
    let mut log: Vec<_> = log.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    log.sort();
    log
}

/// Expects openings to be refused for what was done to `dir`, which they leave as it is, and all to
/// be there when that is undone. Gives the file, the offset and the reason told.
fn refused(dir: &Path, whole: &Path, what: &str) -> (PathBuf, usize, &'static str) {
    let before = log(dir);
    let mut told = Vec::new();
    for _ in 0..2 {
        let result = Store::builder(dir).segment_bytes(64 << 10).open().map(drop);
        let Err(StoreError::Corrupt { path, offset, reason }) = result else {
            panic!("{what}: {result:?}")
        };
        told.push((path, usize::try_from(offset).unwrap(), reason));
    }
    assert_eq!(told[0], told[1], "{what}");
    assert!(log(dir) == before, "{what}: the log was changed");
    for (path, bytes) in log(whole) {
        fs::write(dir.join(path.file_name().unwrap()), bytes).unwrap();
    }
    holds_the_first(dir, VALUES);
    told.swap_remove(0)
}

#[test]
fn damage_in_an_earlier_segment_is_told_by_the_groups_of_the_next() {
    let whole = crashed();
    for id in [1, 2, VALUES - 1] {
        let clean = fs::read(segment(whole.path(), id)).unwrap();
        let value = noise((id - 1).into(), LENGTH);
        let at = clean.windows(16).position(|found| found == &value[..16]).unwrap();
        let (record, group) = (at - RECORD_HEADER, at + LENGTH);
        // In the value's record: its head and itself; in that of its group: the same.
        for byte in [record + 1, record + 9, at + 1000, group + 2, group + RECORD_HEADER + 10] {
            let (dir, what) = (copy_dir(whole.path()), format!("byte {byte} of segment {id}"));
            let path = segment(dir.path(), id);
            let mut bytes = clean.clone();
            bytes[byte] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            let (told, offset, reason) = refused(dir.path(), whole.path(), &what);
            assert_eq!(told, path, "{what}: {reason}");
            assert!((record..=byte).contains(&offset), "{what}: {offset}: {reason}");
        }
    }
}

#[test]
fn a_segment_that_is_gone_is_told_by_the_groups_of_the_next() {
    let whole = crashed();
    for id in [1, 2, VALUES - 1] {
        let clean = fs::read(segment(whole.path(), id)).unwrap();
        let zeros = vec![0; clean.len() - HEADER];
        let blank = [&clean[..HEADER], &zeros].concat();
        // Gone, empty, as if it had never been finished, or never been written to.
        let lefts = [None, Some(Vec::new()), Some(vec![0; clean.len()]), Some(blank)];
        for (case, left) in lefts.into_iter().enumerate() {
            let (dir, what) = (copy_dir(whole.path()), format!("case {case} of segment {id}"));
            let path = segment(dir.path(), id);
            match left {
                None => fs::remove_file(path).unwrap(),
                Some(bytes) => fs::write(path, bytes).unwrap(),
            }
            let next = segment(dir.path(), id + 1);
            let told = refused(dir.path(), whole.path(), &what);
            assert_eq!(told, (next, HEADER, "groups before this one are missing"), "{what}");
        }
    }
}

#[test]
fn what_is_missing_at_the_end_of_the_log_was_perhaps_never_written() {
    let whole = crashed();
    // The last segment but for the one prepared ahead, which holds nothing.
    let last = VALUES;
    let dir = copy_dir(whole.path());
    fs::remove_file(segment(dir.path(), last)).unwrap();
    holds_the_first(dir.path(), VALUES - 1);
    let dir = copy_dir(whole.path());
    let mut bytes = fs::read(segment(dir.path(), last)).unwrap();
    bytes[HEADER + 1000] ^= 1;
    fs::write(segment(dir.path(), last), bytes).unwrap();
    holds_the_first(dir.path(), VALUES - 1);
}

/// Two groups of one sequence: which of them was acknowledged nobody can know.
#[test]
fn a_sequence_that_stands_twice_is_told() {
    let first = tempfile::tempdir().unwrap();
    let store = Store::open(first.path()).unwrap();
    plain(&store, "k").put("before", "x").unwrap();
    store.close(MINUTE).unwrap();
    drop(store);
    // From the same state, one group in another segment.
    let second = copy_dir(first.path());
    fs::write(second.path().join("00000009.segment"), []).unwrap();
    let crashed =
        [(&first, "00000002.segment"), (&second, "0000000a.segment")].map(|(dir, name)| {
            let store = Store::open(dir.path()).unwrap();
            plain(&store, "k").put("key", noise(1, 700)).unwrap();
            let crashed = copy_dir(dir.path());
            assert!(crashed.path().join(name).exists(), "{name}");
            crashed
        });
    let [crashed, other] = crashed;
    let place = |dir: &tempfile::TempDir| dir.path().join("0000000a.segment");
    fs::copy(place(&other), place(&crashed)).unwrap();
    let error = Store::open(crashed.path()).unwrap_err();
    let StoreError::Corrupt { path, reason, .. } = &error else { panic!("{error:?}") };
    assert_eq!((path, *reason), (&place(&crashed), "two groups have the same sequence"));
    fs::remove_file(place(&crashed)).unwrap();
    let store = Store::open(crashed.path()).unwrap();
    assert_eq!(plain(&store, "k").get("key").unwrap().unwrap(), noise(1, 700));
}
