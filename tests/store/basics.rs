//! What is written is read back: small, large, compressed, in order, after reopening.

use gristmill::store::{
    Compression, Keyspace, KeyspaceOptions, PutOptions, ReadMode, Store, StoreError,
};

use crate::{MINUTE, noise, plain};

#[test]
fn values_of_all_sizes_come_back_in_both_read_modes_and_after_reopening() {
    for mode in [ReadMode::Map, ReadMode::Pread] {
        let dir = tempfile::tempdir().unwrap();
        let lengths = [0, 1, 255, 256, 257, 4096, 40_000, 300_000];
        let open = || Store::builder(dir.path()).read_mode(mode).open().unwrap();
        let store = open();
        let (raw, packed) = (
            plain(&store, "raw"),
            store.keyspace("packed", KeyspaceOptions::compressed(Compression::Zstd(3))).unwrap(),
        );
        for (seed, length) in (1..).zip(lengths) {
            raw.put(length.to_string(), noise(seed, length)).unwrap();
            packed.put(length.to_string(), "ab".repeat(length / 2)).unwrap();
        }
        let check = |raw: &Keyspace, packed: &Keyspace| {
            for (seed, length) in (1..).zip(lengths) {
                let key = length.to_string();
                let value = raw.get(&key).unwrap().unwrap();
                assert_eq!(value, noise(seed, length), "{length}");
                assert_eq!(value.is_mapped(), mode == ReadMode::Map && length > 256);
                assert_eq!(
                    *packed.get(&key).unwrap().unwrap(),
                    *"ab".repeat(length / 2).as_bytes()
                );
            }
            assert_eq!((raw.len().unwrap(), packed.len().unwrap()), (8, 8));
            assert!(raw.get("none").unwrap().is_none() && !raw.contains("none").unwrap());
        };
        check(&raw, &packed);
        store.close(MINUTE).unwrap();
        let store = open();
        check(&plain(&store, "raw"), &plain(&store, "packed"));
        let report = store.check().unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(report.keys, 16);
    }
}

#[test]
fn a_value_may_be_compressed_otherwise_than_its_keyspace_says() {
    let (dir, text) = (tempfile::tempdir().unwrap(), "ab".repeat(5000));
    let store = Store::open(dir.path()).unwrap();
    let zstd = Compression::Zstd(3);
    let (raw, packed) = (
        plain(&store, "raw"),
        store.keyspace("packed", KeyspaceOptions::compressed(zstd)).unwrap(),
    );
    let compressed = |with| PutOptions::default().compressed(with);
    for (keyspace, options, small) in [
        (&raw, PutOptions::default(), false),
        (&raw, compressed(zstd), true),
        (&raw, compressed(Compression::None), false),
        (&packed, PutOptions::default(), true),
        (&packed, compressed(zstd), true),
        (&packed, compressed(Compression::None), false),
    ] {
        let what = format!("{options:?} in {:?}", keyspace.name());
        let before = store.stats().live_bytes;
        keyspace.put_with(&what, &text, options).unwrap();
        let taken = store.stats().live_bytes - before;
        let expected = if small { 40..200 } else { 10_000..10_100 };
        assert!(expected.contains(&taken), "{what}: {taken} bytes");
        let value = keyspace.get(&what).unwrap().unwrap();
        assert_eq!(*value, *text.as_bytes(), "{what}");
        // What is not compressed is read in place.
        assert_eq!(value.is_mapped(), !small, "{what}");
    }
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn a_batch_spans_keyspaces_and_its_last_word_on_a_key_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (a, b) = (plain(&store, "a"), plain(&store, "b"));
    b.put("gone", "x").unwrap();
    let mut batch = store.batch();
    batch.put(&a, "k", "first");
    batch.put(&a, "k", noise(1, 1000));
    batch.put(&b, "k", "of b");
    batch.delete(&b, "gone");
    batch.put(&b, "undone", "x");
    batch.delete(&b, "undone");
    assert_eq!(batch.len(), 6);
    batch.commit().unwrap();
    assert_eq!(a.get("k").unwrap().unwrap(), noise(1, 1000));
    assert_eq!(b.get("k").unwrap().unwrap(), b"of b");
    assert!(!b.contains("gone").unwrap() && !b.contains("undone").unwrap());
    assert_eq!((a.len().unwrap(), b.len().unwrap()), (1, 1));
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn ranges_walk_both_ways_and_stay_in_their_keyspace() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (before, middle, after) = (plain(&store, "1"), plain(&store, "2"), plain(&store, "3"));
    let mut batch = store.batch();
    for key in ["", "a", "ab", "abc", "b", "\u{ff}"] {
        batch.put(&middle, key, key);
        batch.put(&before, key, "no");
        batch.put(&after, key, "no");
    }
    batch.put(&middle, [0xff, 0xff], "last");
    batch.commit().unwrap();
    let keys = |rows: gristmill::store::Keys| rows.map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(middle.iter().count(), 7);
    let all = keys(middle.iter().keys());
    let mut reversed = middle.iter().keys().rev().map(Result::unwrap).collect::<Vec<_>>();
    reversed.reverse();
    assert_eq!(all, reversed);
    assert!(all.is_sorted());
    assert_eq!(keys(middle.range("a".."b").keys()), [&b"a"[..], b"ab", b"abc"]);
    assert_eq!(keys(middle.range("b"..="a").keys()), Vec::<Vec<u8>>::new());
    assert_eq!(keys(middle.prefix("ab").keys()), [&b"ab"[..], b"abc"]);
    assert_eq!(keys(middle.prefix([0xff]).keys()), [&[0xff, 0xff][..]]);
    assert_eq!(keys(middle.prefix("").keys()).len(), 7);
    let (key, value) = middle.prefix("a").next_back().unwrap().unwrap();
    assert_eq!((key.as_slice(), &*value), (&b"abc"[..], &b"abc"[..]));
}

#[test]
fn a_snapshot_and_an_iterator_do_not_see_later_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let keyspace = plain(&store, "k");
    keyspace.put("a", noise(1, 2000)).unwrap();
    let (snapshot, rows) = (store.snapshot(), keyspace.iter());
    keyspace.put("a", noise(2, 2000)).unwrap();
    keyspace.put("b", "new").unwrap();
    assert_eq!(snapshot.get(&keyspace, "a").unwrap().unwrap(), noise(1, 2000));
    assert_eq!(snapshot.len(&keyspace).unwrap(), 1);
    assert_eq!(snapshot.iter(&keyspace).count(), 1);
    assert_eq!(rows.map(|row| row.unwrap().1).collect::<Vec<_>>(), [noise(1, 2000)]);
    assert_eq!(keyspace.get_many(&["b", "?", "a"]).unwrap().iter().flatten().count(), 2);
}

#[test]
fn what_a_snapshot_reads_is_not_taken_for_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let keyspace = plain(&store, "k");
    for key in ["overwritten", "deleted"] {
        keyspace.put(key, noise(1, 2000)).unwrap();
    }
    let snapshot = store.snapshot();
    keyspace.put("overwritten", noise(2, 2000)).unwrap();
    keyspace.delete("deleted").unwrap();
    // Each reading notes the place of what it read.
    for _ in 0..2 {
        for key in ["overwritten", "deleted"] {
            assert_eq!(snapshot.get(&keyspace, key).unwrap().unwrap(), noise(1, 2000));
        }
        assert_eq!(keyspace.get("overwritten").unwrap().unwrap(), noise(2, 2000));
        assert!(keyspace.get("deleted").unwrap().is_none());
    }
}

#[test]
fn buffered_batches_become_visible_in_order_and_survive_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let keyspace = plain(&store, "k");
    let mut tickets = Vec::new();
    for round in 0_u32..200 {
        let mut batch = store.batch();
        batch.put(&keyspace, "newest", round.to_le_bytes());
        batch.put(&keyspace, round.to_be_bytes(), noise(round.into(), 500));
        tickets.push(batch.commit_buffered().unwrap());
    }
    tickets[99].wait(MINUTE).unwrap();
    assert!(tickets[..=99].iter().all(gristmill::store::Ticket::is_done));
    store.flush().unwrap();
    assert!(tickets[199].is_done());
    let stats = store.stats();
    assert!(stats.flushes < stats.batches, "batches were not gathered: {stats:?}");
    assert_eq!(keyspace.get("newest").unwrap().unwrap(), 199_u32.to_le_bytes().to_vec());
    let mut batch = store.batch();
    batch.put(&keyspace, "last", "x");
    batch.commit_buffered().unwrap();
    store.close(MINUTE).unwrap();
    assert!(matches!(keyspace.get("last"), Err(StoreError::Closed { .. })));
    assert!(matches!(keyspace.put("a", "b"), Err(StoreError::Closed { .. })));
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(plain(&store, "k").len().unwrap(), 202);
}

#[test]
fn a_value_outlives_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    plain(&store, "k").put("a", noise(7, 5000)).unwrap();
    let value = plain(&store, "k").get("a").unwrap().unwrap();
    assert!(value.is_mapped());
    store.close(MINUTE).unwrap();
    drop(store);
    assert_eq!(value, noise(7, 5000));
    let again = Store::open(dir.path()).unwrap();
    assert_eq!(plain(&again, "k").get("a").unwrap().unwrap(), value);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_of_its_batch_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let keyspace = plain(&store, "k");
    let mut batch = store.batch();
    batch.put(&keyspace, "good", "x");
    batch.put(&keyspace, vec![b'k'; 40_000], "x");
    assert!(matches!(batch.commit(), Err(StoreError::KeyTooLong { length: 40_000, .. })));
    assert!(!keyspace.contains("good").unwrap());
    assert!(matches!(
        store.keyspace("", KeyspaceOptions::default()),
        Err(StoreError::KeyspaceName { .. })
    ));
    let (other_dir, mut batch) = (tempfile::tempdir().unwrap(), store.batch());
    let other = Store::open(other_dir.path()).unwrap();
    batch.put(&plain(&other, "theirs"), "a", "b");
    assert!(matches!(batch.commit_buffered(), Err(StoreError::ForeignKeyspace { .. })));
    assert!(matches!(
        Store::builder(dir.path()).segment_bytes(1).open(),
        Err(StoreError::Option { name: "segment_bytes", .. })
    ));
}

#[test]
fn a_value_beyond_the_limit_is_refused() {
    const LIMIT: usize = 256 << 20;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let shared = KeyspaceOptions::compressed(Compression::Zstd(1)).deduplicated();
    for keyspace in [plain(&store, "k"), store.keyspace("shared", shared).unwrap()] {
        keyspace.put("key", "x").unwrap();
        // Nothing of it is ever touched.
        let error = keyspace.put("key", vec![0; LIMIT + 1]).unwrap_err();
        let StoreError::ValueTooLarge { keyspace: name, length, limit } = &error else {
            panic!("{error}")
        };
        assert_eq!((name.as_str(), *length, *limit), (keyspace.name(), LIMIT + 1, LIMIT));
        assert_eq!(keyspace.get("key").unwrap().unwrap(), b"x");
    }
}

#[test]
fn the_name_of_a_keyspace_has_1_to_255_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["k".to_owned(), "n".repeat(255), "ü".repeat(127)];
    let store = Store::open(dir.path()).unwrap();
    for name in &names {
        plain(&store, name).put("name", name).unwrap();
    }
    for name in [String::new(), "n".repeat(256), "ü".repeat(128), "n".repeat(70_000)] {
        let error = store.keyspace(&name, KeyspaceOptions::default()).unwrap_err();
        let StoreError::KeyspaceName { name: told, limit: 255 } = &error else { panic!("{error}") };
        assert_eq!(*told, name);
    }
    store.close(MINUTE).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.stats().keys.len(), names.len());
    for name in &names {
        assert_eq!(*plain(&store, name).get("name").unwrap().unwrap(), *name.as_bytes());
    }
}

#[test]
fn values_larger_than_a_segment_and_many_segments_work_and_are_cut_at_close() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
    let keyspace = plain(&store, "k");
    for seed in 0..20 {
        keyspace.put(seed.to_string(), noise(seed, 30_000)).unwrap();
    }
    keyspace.put("large", noise(99, 1_000_000)).unwrap();
    for seed in 0..20 {
        assert_eq!(keyspace.get(seed.to_string()).unwrap().unwrap(), noise(seed, 30_000));
    }
    assert_eq!(keyspace.get("large").unwrap().unwrap(), noise(99, 1_000_000));
    let stats = store.stats();
    assert!(stats.segments >= 10, "{stats:?}");
    assert!(stats.live_bytes >= 1_600_000 && stats.live_bytes <= stats.total_bytes, "{stats:?}");
    store.close(MINUTE).unwrap();
    let on_disk: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "segment"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert_eq!(on_disk, stats.total_bytes);
}
