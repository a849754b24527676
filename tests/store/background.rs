//! What a store does by itself, on its pool, and how it slows down writers that are faster.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use gristmill::pool::{Pool, Priority, TaskStatus};
use gristmill::store::{Keyspace, PutOptions, Store};

use crate::sim::SimVfs;
use crate::{MINUTE, eventually, noise, plain};

/// Number of segment files in a directory.
fn segment_files(dir: &Path) -> u64 {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).count() as u64
}

/// Nothing but overwriting makes the store take a checkpoint, copy what is live, and remove files.
#[test]
fn overwriting_alone_has_segments_emptied_and_removed() {
    /// Enough rows for a checkpoint after three quarters of them, with two rounds in a segment.
    const ROUNDS: u32 = 320;
    const KEYS: u32 = 100;
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::builder().max(1).build().unwrap();
    let builder = Store::builder(dir.path()).segment_bytes(64 << 10).pool(pool);
    let store = builder.open().unwrap();
    let k = plain(&store, "k");
    let kept = |round: u32| noise(round.into(), 3000);
    for round in 0..ROUNDS {
        let mut batch = store.batch();
        // So that no segment is without anything live.
        batch.put(&k, [b"kept".as_slice(), &round.to_be_bytes()].concat(), kept(round));
        for key in 0..KEYS {
            batch.put(&k, key.to_be_bytes(), noise(u64::from(round * KEYS + key), 250));
        }
        batch.commit().unwrap();
    }
    eventually("most segments are gone", || store.stats().segments_reclaimed >= 100);
    let stats = store.stats();
    assert!(stats.records_moved >= 100 && stats.bytes_moved > 100 * 3000, "{stats:?}");
    // All but the next one, which is prepared ahead, are counted.
    eventually("the files are gone", || segment_files(dir.path()) <= store.stats().segments + 1);
    for round in 0..ROUNDS {
        let key = [b"kept".as_slice(), &round.to_be_bytes()].concat();
        assert_eq!(k.get(key).unwrap().unwrap(), kept(round));
    }
    assert_eq!(k.len().unwrap(), u64::from(ROUNDS + KEYS));
    assert!(store.check().unwrap().is_clean());
}

/// Puts large values under one key, each beside one of those that stay.
fn overwrite(k: &Keyspace, rounds: std::ops::Range<u32>) {
    for round in rounds {
        k.put(round.to_be_bytes(), noise(round.into(), 3000)).unwrap();
        k.put("same", noise(round.into(), 30_000)).unwrap();
    }
}

#[test]
fn writers_are_slowed_down_while_reclaiming_lags_behind_and_only_then() {
    let (vfs, pool) = (SimVfs::default(), Pool::builder().max(1).build().unwrap());
    let builder = crate::oracle::on_disk(&vfs, "/sim", &crate::oracle::clock());
    let store = builder.pool(pool.clone()).open().unwrap();
    let k = plain(&store, "k");
    // The pool's only thread has no time for the store.
    let (release, released) = mpsc::channel::<()>();
    let busy = pool.spawn(Priority::Normal, move || released.recv_timeout(MINUTE));
    overwrite(&k, 0..30);
    // The next checkpoint may give all of it back.
    assert_eq!(store.stats().slowed_batches, 0);
    assert!(store.check().unwrap().is_clean());
    // It has not, which the next batch finds, and those after it wait.
    overwrite(&k, 30..33);
    let stats = store.stats();
    assert_eq!((stats.slowed_batches, stats.bytes_moved), (5, 0));

    drop(release);
    drop(busy.join_timeout(MINUTE).expect("it was told to end"));
    // Runs when the pool's only thread has done what came before.
    let behind = pool.spawn(Priority::Low, || ());
    behind.join_timeout(MINUTE).expect("reclaiming comes to an end").unwrap();
    let stats = store.stats();
    assert!(stats.bytes_moved > 20 * 3000, "{stats:?}");
    overwrite(&k, 33..34);
    assert_eq!(store.stats().slowed_batches, stats.slowed_batches);
    assert_eq!(k.len().unwrap(), 35);
}

const HOUR: Duration = Duration::from_hours(1);

/// Puts more that expires after an hour than is removed in one batch, and one value that does not.
fn put_what_expires(store: &Store) {
    let (k, mut batch) = (plain(store, "k"), store.batch());
    for number in 0..1500_u32 {
        let value = noise(number.into(), 300);
        batch.put_with(&k, number.to_be_bytes(), value, PutOptions::ttl(HOUR));
    }
    batch.put(&k, "for ever", noise(1, 300));
    batch.commit().unwrap();
}

/// Waits until one value is left in the log; it is there, and there is nothing more to remove.
fn all_but_one_are_removed(store: &Store) {
    eventually("what has expired is removed", || store.stats().live_bytes < 1000);
    assert!(store.stats().live_bytes > 300);
    let k = plain(store, "k");
    assert_eq!(k.get("for ever").unwrap().unwrap(), noise(1, 300));
    assert_eq!(k.len().unwrap(), 1);
    assert_eq!(store.compact().unwrap().expired, 0);
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn what_has_expired_is_removed_when_its_time_has_come() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), crate::oracle::clock());
    let pool = Pool::builder().max(1).clock(clock.clone()).build().unwrap();
    let builder = Store::builder(dir.path()).clock(clock.clone()).pool(pool.clone());
    let store = builder.open().unwrap();
    put_what_expires(&store);
    // Once it has found nothing, it waits for its next turn.
    let waits = |name| {
        let tasks = pool.tasks();
        tasks.iter().any(|task| task.name == name && task.status == TaskStatus::Delayed)
    };
    eventually("it was looked at once", || waits("store-expire"));
    assert!(store.stats().live_bytes > 1500 * 300);
    // A task that is due soon makes the pool look at the clock all the time.
    let _soon = pool.spawn_after(Duration::from_millis(1), Priority::Low, || ());
    clock.advance(HOUR);
    all_but_one_are_removed(&store);
}

#[test]
fn what_expired_while_the_store_was_closed_is_removed_after_the_next_opening() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), crate::oracle::clock());
    let open = || Store::builder(dir.path()).clock(clock.clone()).open().unwrap();
    let store = open();
    put_what_expires(&store);
    store.close(MINUTE).unwrap();
    drop(store);
    clock.advance(HOUR);
    all_but_one_are_removed(&open());
}
