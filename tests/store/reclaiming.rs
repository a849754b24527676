//! Space is given back: by deletes, overwrites and expiry, and reclaiming comes to an end.

use std::sync::mpsc;
use std::time::Duration;

use gristmill::pool::{Pool, Priority, ShutdownMode};
use gristmill::store::{CompactReport, KeyspaceOptions, PutOptions, ReadMode, Store};

use crate::{MINUTE, noise, plain};

/// Runs `compact` on a thread of its own; panics if it does not end.
fn compact(store: &Store) -> CompactReport {
    let (sender, receiver) = mpsc::channel();
    let store = store.clone();
    std::thread::spawn(move || sender.send(store.compact()));
    receiver.recv_timeout(MINUTE).expect("it comes to an end").unwrap()
}

#[test]
fn what_is_deleted_overwritten_or_expired_takes_no_room_after_compacting() {
    let dir = tempfile::tempdir().unwrap();
    let clock = crate::oracle::clock();
    let builder = Store::builder(dir.path()).segment_bytes(64 << 10).clock(clock.clone());
    let store = builder.open().unwrap();
    let shared = KeyspaceOptions::default().deduplicated();
    let (k, shared) = (plain(&store, "k"), store.keyspace("shared", shared).unwrap());
    let hour = PutOptions::ttl(Duration::from_hours(1));
    for round in 0..30_u8 {
        k.put([round], noise(round.into(), 9000)).unwrap();
        k.put_with([b'e', round], noise(round.into(), 9000), hour).unwrap();
        shared.put([round], noise(1, 9000)).unwrap();
        shared.put([round, 1], noise(u64::from(round) + 2, 9000)).unwrap();
    }
    (5..30_u8).for_each(|round| k.delete([round]).unwrap());
    (0..30_u8).for_each(|round| shared.delete([round, 1]).unwrap());
    clock.advance(Duration::from_hours(1));
    let report = compact(&store);
    assert_eq!(report.expired, 30);
    assert!(report.bytes_before > 30 * 9000, "{report:?}");
    // The background may have copied the same at the same time; now it has nothing to do.
    let report = compact(&store);
    // Six values are left: five, and the shared one.
    assert!(report.bytes_after < 7 * 9200, "{report:?}");
    assert_eq!((k.len().unwrap(), shared.len().unwrap()), (5, 30));
    assert_eq!(shared.get([9]).unwrap().unwrap(), noise(1, 9000));
    assert!(store.check().unwrap().is_clean());
    shared.delete([0]).unwrap();
    (1..30_u8).for_each(|round| shared.delete([round]).unwrap());
    compact(&store);
    assert!(compact(&store).bytes_after < 6 * 9200);
    assert!(store.check().unwrap().is_clean());
}

/// A value that a batch was about to refer to stays when its last key goes; if the batch is then
/// never committed, the next opening sees to the value.
#[test]
fn a_shared_value_that_nobody_came_to_refer_to_goes_after_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let store = Store::open(dir.path()).unwrap();
        let shared = store.keyspace("s", KeyspaceOptions::default().deduplicated()).unwrap();
        (store, shared)
    };
    let (store, shared) = open();
    shared.put("key", noise(1, 9000)).unwrap();
    let mut batch = store.batch();
    batch.put(&shared, "other", noise(1, 9000));
    shared.delete("key").unwrap();
    assert!(store.stats().live_bytes > 9000, "the batch may come yet");
    store.close(MINUTE).unwrap();
    drop((batch, store, shared));
    let (store, shared) = open();
    assert!(store.stats().live_bytes > 9000);
    shared.put("small", "x").unwrap();
    assert_eq!(store.stats().live_bytes, 0);
    let report = store.check().unwrap();
    assert!(report.is_clean(), "{report}");
}

/// A snapshot reads the segments that were retired at the first checkpoint after it, at the second
/// and so on.
#[test]
fn a_snapshot_keeps_what_several_checkpoints_retired() {
    const ROUNDS: u8 = 4;
    // Nothing is reclaimed in the background.
    let pool = Pool::builder().build().unwrap();
    pool.shutdown(ShutdownMode::Drain, MINUTE).unwrap();
    for mode in [ReadMode::Map, ReadMode::Pread] {
        let dir = tempfile::tempdir().unwrap();
        let builder = Store::builder(dir.path()).segment_bytes(64 << 10).pool(pool.clone());
        let store = builder.read_mode(mode).open().unwrap();
        let k = plain(&store, "k");
        // Each fills most of a segment.
        let value = |seed: u8| noise(seed.into(), 50_000);
        (0..ROUNDS).for_each(|key| k.put([key], value(key)).unwrap());
        let file = |id: u8| dir.path().join(format!("{id:08x}.segment"));
        let snapshot = store.snapshot();
        for key in 0..ROUNDS {
            k.put([key], value(key + 100)).unwrap();
            // Takes a checkpoint.
            assert!(store.check().unwrap().is_clean());
        }
        let segments = store.stats().segments;
        assert!(segments < u64::from(ROUNDS) * 2, "{segments}: none was retired");
        for key in 0..ROUNDS {
            assert_eq!(snapshot.get(&k, [key]).unwrap().unwrap(), value(key));
            assert_eq!(k.get([key]).unwrap().unwrap(), value(key + 100));
            assert!(file(key + 1).exists());
        }
        drop(snapshot);
        // The keeper removes the files before it takes the next checkpoint.
        k.put("small", "x").unwrap();
        assert!(store.check().unwrap().is_clean());
        assert!(!(1..ROUNDS).any(|id| file(id).exists()));
    }
}

/// A value that is read in place needs its segment, whatever becomes of its key.
#[test]
fn a_kept_value_keeps_the_file_of_its_segment_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
    let k = plain(&store, "k");
    for key in ["deleted", "overwritten", "moved"] {
        k.put(key, noise(1, 9000)).unwrap();
    }
    let file = dir.path().join("00000001.segment");
    let values: Vec<_> = ["deleted", "overwritten", "moved"]
        .map(|key| k.get(key).unwrap().unwrap())
        .into_iter()
        .flat_map(|value| [value.clone(), value])
        .collect();
    assert!(values.iter().all(gristmill::store::Value::is_mapped));
    k.delete("deleted").unwrap();
    k.put("overwritten", noise(2, 9000)).unwrap();
    compact(&store);
    // The newest are elsewhere, and the segment is off the books.
    assert_eq!(k.get("overwritten").unwrap().unwrap(), noise(2, 9000));
    assert_eq!(k.get("moved").unwrap().unwrap(), noise(1, 9000));
    assert_eq!((store.stats().segments, store.stats().segments_reclaimed), (1, 0));
    for value in values {
        // The keeper removes the files before it takes the next checkpoint.
        k.put("small", "x").unwrap();
        assert!(store.check().unwrap().is_clean());
        assert!(file.exists(), "it is still read");
        assert_eq!(value, noise(1, 9000));
    }
    k.put("small", "y").unwrap();
    assert!(store.check().unwrap().is_clean());
    assert!(!file.exists());
    assert_eq!(store.stats().segments_reclaimed, 1);
}

/// What surrounds small values in the log is never live, whatever is copied where.
#[test]
fn compacting_many_small_values_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
    let k = plain(&store, "k");
    let entries = (0..6000_u32).map(|number| (number.to_be_bytes(), noise(number.into(), 300)));
    k.bulk_load(entries).unwrap();
    compact(&store);
    assert_eq!(k.len().unwrap(), 6000);
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn reclaiming_in_the_background_ends_where_keys_are_as_long_as_values() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::builder().max(1).build().unwrap();
    let builder = Store::builder(dir.path()).segment_bytes(64 << 10).pool(pool.clone());
    let store = builder.open().unwrap();
    let k = plain(&store, "k");
    let key = |number: u32| [number.to_be_bytes().as_slice(), &[b'k'; 400]].concat();
    for number in 0..400 {
        let five = (number * 5..number * 5 + 5).map(|number| (key(number), noise(1, 300)));
        k.bulk_load(five).unwrap();
    }
    // The checkpoint in it has space reclaimed if that is worth the while.
    assert!(store.check().unwrap().is_clean());
    // Runs when the pool's only thread has done what came before.
    let behind = pool.spawn(Priority::Low, || ());
    behind.join_timeout(MINUTE).expect("reclaiming comes to an end").unwrap();
}

/// Writers are slowed down only while space is being reclaimed.
#[test]
fn nobody_is_held_up_when_the_dead_segments_are_gone() {
    let vfs = crate::sim::SimVfs::default();
    let store = crate::oracle::on_disk(&vfs, "/sim", &crate::oracle::clock()).open().unwrap();
    let k = plain(&store, "k");
    for round in 0..400 {
        k.put("same", noise(round, 9000)).unwrap();
    }
    let slowed = store.stats().slowed_batches;
    assert!(slowed < 200, "{slowed} of 400 were held up");
}
