//! Ways out of a full disk that do not begin with a delete in the store that filled it.

use std::io::ErrorKind;

use gristmill::store::vfs::Vfs as _;
use gristmill::store::{Keyspace, Store, StoreError};

use crate::oracle::{clock, on_disk};
use crate::sim::{Call, Fault, SimVfs, Which};
use crate::{MINUTE, noise, plain};

const DIR: &str = "/sim";
const SEGMENT: u64 = 1 << 20;
const LENGTH: usize = 60_000;

fn open(vfs: &SimVfs) -> Store {
    on_disk(vfs, DIR, &clock()).segment_bytes(SEGMENT).open().unwrap()
}

/// Fills segments, half of whose values are dead then.
fn fill(keyspace: &Keyspace) {
    for number in 0..120_u64 {
        keyspace.put((number % 60).to_be_bytes(), noise(number, LENGTH)).unwrap();
    }
}

fn holds(keyspace: &Keyspace) {
    for number in 0..60_u64 {
        let value = keyspace.get(number.to_be_bytes()).unwrap().unwrap();
        assert_eq!(value, noise(number + 60, LENGTH), "{number}");
    }
}

fn reserve(vfs: &SimVfs) -> u64 {
    let files = vfs.files();
    let reserve = files.iter().find(|(path, _)| path.ends_with("reserve"));
    reserve.map_or(0, |(_, bytes)| bytes.len() as u64)
}

#[test]
fn a_store_that_is_opened_on_a_full_disk_can_be_compacted_at_once() {
    let vfs = SimVfs::default();
    let idle = gristmill::pool::Pool::builder().max(1).build().unwrap();
    idle.shutdown(gristmill::pool::ShutdownMode::Cancel, MINUTE).unwrap();
    let builder = || on_disk(&vfs, DIR, &clock()).segment_bytes(SEGMENT).pool(idle.clone());
    let store = builder().open().unwrap();
    fill(&plain(&store, "k"));
    store.close(MINUTE).unwrap();
    drop(store);
    vfs.set_capacity(Some(vfs.used()));
    let store = builder().open().unwrap();
    let keyspace = plain(&store, "k");
    let report = store.compact().unwrap();
    assert!(report.bytes_after < report.bytes_before, "{report:?}");
    keyspace.put("more", noise(1, LENGTH)).unwrap();
    holds(&keyspace);
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn what_the_store_itself_is_refused_is_no_refusal_to_its_user() {
    let vfs = SimVfs::default();
    let store = open(&vfs);
    let keyspace = plain(&store, "k");
    for number in (0..120_u64).chain((0..120).step_by(2)) {
        keyspace.put(number.to_be_bytes(), noise(number, LENGTH)).unwrap();
    }
    store.flush().unwrap();
    // Not even what frees space finds room for another segment.
    vfs.fail_at(Which::Only(Call::Create), 1, Fault::Lasting(ErrorKind::StorageFull));
    let refused = store.compact();
    vfs.mend();
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    store.flush().unwrap();
    for number in 0..120_u64 {
        let value = keyspace.get(number.to_be_bytes()).unwrap().unwrap();
        assert_eq!(value, noise(number, LENGTH), "{number}");
    }
}

#[test]
fn room_kept_back_for_the_log_is_not_given_up_to_keep_some_for_the_index() {
    let vfs = SimVfs::default();
    let store = open(&vfs);
    let keyspace = plain(&store, "k");
    for number in 0..60_u64 {
        keyspace.put(number.to_be_bytes(), noise(number, LENGTH)).unwrap();
    }
    assert!(reserve(&vfs) > SEGMENT);
    // A checkpoint takes the index file's part, and somebody else half of what it gave.
    let disk = vfs.clone();
    let used_up = move || disk.set_capacity(Some(disk.used() - SEGMENT / 8));
    vfs.before(Which::Named("reserve"), 1, used_up);
    vfs.fail_at(Which::Named("index.redb"), 1, Fault::Once(ErrorKind::StorageFull));
    store.check().unwrap();
    assert!(vfs.mend());
    for number in 0..3_u64 {
        keyspace.delete(number.to_be_bytes()).unwrap();
        store.check().unwrap();
        assert!(reserve(&vfs) >= SEGMENT, "{number}: {}", reserve(&vfs));
    }
}

#[cfg(unix)]
#[test]
fn a_lock_file_that_takes_no_note_is_locked_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    // A file that takes no byte, as one on a full disk.
    std::os::unix::fs::symlink("/dev/full", dir.path().join("lock")).unwrap();
    if std::fs::write("/dev/full", "x").is_ok() {
        eprintln!("skipped: /dev/full is missing here");
        return;
    }
    let store = Store::open(dir.path()).unwrap();
    plain(&store, "k").put("key", "value").unwrap();
    let again = Store::open(dir.path());
    assert!(matches!(again, Err(StoreError::InUse { .. })), "{again:?}");
}

#[test]
fn a_delete_finds_room_where_there_is_none_for_a_whole_segment_nor_anything_kept_back() {
    let vfs = SimVfs::default();
    let store = open(&vfs);
    for number in 0..60_u64 {
        plain(&store, "k").put(number.to_be_bytes(), noise(number, LENGTH)).unwrap();
    }
    store.close(MINUTE).unwrap();
    drop(store);
    vfs.remove(std::path::Path::new("/sim/reserve")).unwrap();
    vfs.set_capacity(Some(vfs.used() + SEGMENT / 5));
    let store = open(&vfs);
    let keyspace = plain(&store, "k");
    let refused = keyspace.put("more", noise(1, LENGTH));
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    let segments = || {
        let files = vfs.files();
        files.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "segment")).count()
    };
    let before = segments();
    for number in 0..50_u64 {
        keyspace.delete(number.to_be_bytes()).unwrap();
        // Too few to empty a segment. What is left of the disk is for the index file.
        assert!(number > 9 || segments() == before + 1, "another one ahead of its use");
    }
    store.compact().unwrap();
    keyspace.put("more", noise(1, LENGTH)).unwrap();
    assert_eq!(keyspace.len().unwrap(), 11);
    assert!(store.check().unwrap().is_clean());
}
