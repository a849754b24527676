//! Many writers and readers at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use gristmill::store::{Store, StoreError};

use crate::{MINUTE, noise, plain};

const WRITERS: u64 = 8;
const ROUNDS: u64 = 40;
/// One value inline, one in a record.
const LENGTHS: [usize; 2] = [200, 2200];

#[test]
fn readers_see_whole_batches_only_and_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(256 << 10).open().unwrap();
    let (left, right) = (plain(&store, "left"), plain(&store, "right"));
    let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let snapshot = store.snapshot();
                    for writer in 0..WRITERS {
                        let key = writer.to_be_bytes();
                        let one = snapshot.get(&left, key).unwrap();
                        let other = snapshot.get(&right, key).unwrap();
                        assert_eq!(one, other, "a batch is visible in part");
                        seen.fetch_add(u64::from(one.is_some()), Ordering::Relaxed);
                    }
                }
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, left, right) = (&store, &left, &right);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let value =
                            noise(writer * ROUNDS + round, LENGTHS[usize::from(round % 2 == 0)]);
                        let mut batch = store.batch();
                        batch.put(left, writer.to_be_bytes(), &value);
                        batch.put(right, writer.to_be_bytes(), &value);
                        batch.commit().unwrap();
                        // Visible on return.
                        assert_eq!(left.get(writer.to_be_bytes()).unwrap().unwrap(), value);
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
    });
    assert!(seen.into_inner() > 0);
    let stats = store.stats();
    assert_eq!(stats.batches, WRITERS * ROUNDS + 2, "{stats:?}");
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn a_full_queue_blocks_and_then_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).queue_bytes(20_000).open().unwrap();
    let keyspace = plain(&store, "k");
    thread::scope(|scope| {
        for writer in 0..4_u64 {
            let (store, keyspace) = (&store, &keyspace);
            scope.spawn(move || {
                for round in 0..50_u64 {
                    let mut batch = store.batch();
                    let key = [writer.to_be_bytes(), round.to_be_bytes()].concat();
                    batch.put(keyspace, key, noise(round, 15_000));
                    batch.commit_buffered().unwrap();
                }
            });
        }
    });
    store.flush().unwrap();
    assert_eq!(keyspace.len().unwrap(), 200);
    assert_eq!(store.stats().queued_bytes, 0);
    store.close(MINUTE).unwrap();
}

/// Rows in memory are bounded: a writer of more waits until a checkpoint has them, and no longer.
#[test]
fn after_more_rows_than_memory_is_given_for_writers_wait_for_a_checkpoint_and_then_go_on() {
    /// Of a kilobyte each: more than the 32 MiB at which writers wait.
    const KEYS: u32 = 33_000;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let keyspace = plain(&store, "k");
    let mut batch = store.batch();
    for number in 0..KEYS {
        batch.put(&keyspace, [number.to_be_bytes().as_slice(), &[b'k'; 1020]].concat(), "");
    }
    batch.commit().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let writer = (store.clone(), keyspace.clone());
    thread::spawn(move || {
        let (store, keyspace) = writer;
        let result = keyspace.put("next", "x");
        sender.send((result, store.stats().checkpoints))
    });
    let (result, checkpoints) = receiver.recv_timeout(MINUTE).expect("writers go on");
    result.unwrap();
    assert!(checkpoints >= 1, "it was written before the rows were in the index file");
    assert_eq!(keyspace.len().unwrap(), u64::from(KEYS) + 1);
}

#[test]
fn dropping_the_last_handle_closes_and_gives_the_directory_free() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5_u64 {
        let keyspace = plain(&Store::open(dir.path()).unwrap(), "k");
        keyspace.put(round.to_be_bytes(), noise(round, 1000)).unwrap();
    }
    assert_eq!(plain(&Store::open(dir.path()).unwrap(), "k").len().unwrap(), 5);
}

#[test]
fn an_iterator_and_a_snapshot_may_be_all_that_keeps_the_store_open() {
    let dir = tempfile::tempdir().unwrap();
    let keyspace = plain(&Store::open(dir.path()).unwrap(), "k");
    for round in 0..5_u64 {
        keyspace.put(round.to_be_bytes(), noise(round, 1000)).unwrap();
    }
    let rows = keyspace.prefix("");
    drop(keyspace);
    assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse { .. })));
    assert_eq!(rows.map(Result::unwrap).count(), 5);
    let store = Store::open(dir.path()).unwrap();
    let (keyspace, snapshot) = (plain(&store, "k"), store.snapshot());
    drop(store);
    assert_eq!(snapshot.len(&keyspace).unwrap(), 5);
    drop((keyspace, snapshot));
    drop(Store::open(dir.path()).unwrap());
}
