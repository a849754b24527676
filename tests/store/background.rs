//! What a store does by itself, on its pool.

use std::path::Path;

use gristmill::pool::Pool;
use gristmill::store::Store;

use crate::{eventually, noise, plain};

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
