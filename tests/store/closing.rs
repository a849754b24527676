//! The end of a store that is still in use: what outlives it leaves the directory alone, which may
//! be somebody else's by then.

use std::time::Duration;

use gristmill::pool::{Pool, ShutdownMode};
use gristmill::store::{Store, StoreError};

use crate::oracle::{clock, on_disk};
use crate::sim::{Call, SimVfs, Which};
use crate::{MINUTE, noise, plain};

const DIR: &str = "/sim";

fn open(vfs: &SimVfs) -> Store {
    // So little memory that pages of the index are read again and again.
    on_disk(vfs, DIR, &clock()).cache_bytes(0).open().unwrap()
}

/// Puts some values, the same key with other values in each round.
fn put(store: &Store, round: u64) {
    let keyspace = plain(store, "k");
    for number in 0..400_u64 {
        keyspace.put(number.to_be_bytes(), noise(number + round, 300)).unwrap();
    }
}

fn holds(store: &Store, round: u64) {
    let keyspace = plain(store, "k");
    for number in 0..400_u64 {
        let value = keyspace.get(number.to_be_bytes()).unwrap();
        assert_eq!(value.as_deref(), Some(noise(number + round, 300).as_slice()), "{number}");
    }
    let report = store.check().unwrap();
    assert!(report.is_clean(), "{report}");
}

fn is_closed<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Closed { .. })), "{result:?}");
}

#[test]
fn a_snapshot_and_an_iterator_that_outlive_a_store_do_not_touch_its_files() {
    let vfs = SimVfs::default();
    let store = open(&vfs);
    put(&store, 0);
    store.check().unwrap();
    let keyspace = plain(&store, "k");
    let snapshot = store.snapshot();
    let mut rows = keyspace.iter();
    let value = rows.next().unwrap().unwrap().1;
    store.close(MINUTE).unwrap();
    is_closed(&snapshot.get(&keyspace, 7_u64.to_be_bytes()));
    is_closed(&snapshot.len(&keyspace));
    is_closed(&rows.next().unwrap());
    assert!(rows.next().is_none());

    // Somebody else has the directory now, and writes over what the snapshot shows.
    let other = open(&vfs);
    for round in 1..4 {
        put(&other, round);
        other.compact().unwrap();
    }
    let calls = vfs.calls();
    drop((store, keyspace, snapshot, rows));
    assert_eq!(vfs.calls(), calls, "the store that is gone wrote to files of the other");
    assert_eq!(*value, noise(0, 300), "a value stays readable");
    holds(&other, 3);
    other.close(MINUTE).unwrap();
    holds(&open(&vfs), 3);
}

#[test]
fn a_store_whose_keeper_panicked_leaves_the_directory_alone_once_it_is_closed() {
    let vfs = SimVfs::default();
    let store = open(&vfs);
    put(&store, 0);
    let snapshot = store.snapshot();
    vfs.before(Which::Only(Call::Rename), 1, || panic!("on purpose"));
    assert!(store.compact().is_err());
    assert!(
        matches!(on_disk(&vfs, DIR, &clock()).open(), Err(StoreError::InUse { .. })),
        "reads go on, so the directory is not free"
    );
    assert!(store.close(MINUTE).is_err());
    let other = open(&vfs);
    put(&other, 1);
    other.compact().unwrap();
    let calls = vfs.calls();
    drop((store, snapshot));
    assert_eq!(vfs.calls(), calls);
    holds(&other, 1);
}

#[test]
fn a_check_and_a_backup_that_a_close_overtakes_say_that_the_store_is_closed() {
    // The first reads of each are those of the index.
    for (which, call) in [(Which::Only(Call::Read), 2), (Which::Only(Call::Create), 1)] {
        let vfs = SimVfs::default();
        let store = open(&vfs);
        put(&store, 0);
        store.check().unwrap();
        let closing = store.clone();
        vfs.before(which, call, move || closing.close(MINUTE).unwrap());
        if which == Which::Only(Call::Create) {
            is_closed(&store.backup("/backup"));
        } else {
            is_closed(&store.check());
        }
        holds(&open(&vfs), 0);
    }
}

#[test]
fn the_longest_wait_there_is_can_be_asked_for() {
    let vfs = SimVfs::default();
    let store = open(&vfs);
    let keyspace = plain(&store, "k");
    let mut batch = store.batch();
    batch.put(&keyspace, "key", "value");
    batch.commit_buffered().unwrap().wait(Duration::MAX).unwrap();
    store.close(Duration::MAX).unwrap();
}

#[test]
fn a_pool_that_was_shut_down_slows_nobody_down() {
    let pool = Pool::builder().max(1).build().unwrap();
    let vfs = SimVfs::default();
    let store = on_disk(&vfs, DIR, &clock()).pool(pool.clone()).open().unwrap();
    pool.shutdown(ShutdownMode::Cancel, MINUTE).unwrap();
    let keyspace = plain(&store, "k");
    // Most of it dead, and something live in every segment: enough to be held back for, if anybody
    // reclaimed it.
    for round in 0..10_u64 {
        for number in 0..40_u64 {
            keyspace.put(number.to_be_bytes(), noise(number + round, 8000)).unwrap();
            keyspace.put([round, number].map(u64::to_be_bytes).concat(), noise(1, 900)).unwrap();
        }
        // A checkpoint, after which reclaiming is looked after.
        store.check().unwrap();
    }
    let before = store.stats().slowed_batches;
    for number in 0..40_u64 {
        keyspace.put(number.to_be_bytes(), noise(number, 8000)).unwrap();
    }
    assert_eq!(store.stats().slowed_batches, before);
}
