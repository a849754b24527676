//! What a store does by itself, on its pool; who writes faster than that is slowed down.

use std::path::Path;
use std::sync::mpsc;

use gristmill::pool::{Pool, Priority};
use gristmill::store::{Keyspace, Store};

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
