//! A snapshot reads in every way that a keyspace does, and shows what was there when it was taken.

use gristmill::store::{Store, StoreError, Value};

use crate::{noise, plain};

#[test]
fn a_snapshot_reads_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (keyspace, other) = (plain(&store, "pages"), plain(&store, "other"));
    for key in ["a1", "a2", "b1"] {
        keyspace.put(key, noise(key.len() as u64, 700)).unwrap();
        other.put(key, "other").unwrap();
    }
    let snapshot = store.snapshot();
    keyspace.delete("a2").unwrap();
    keyspace.put("a3", "later").unwrap();
    keyspace.put("a1", "later").unwrap();

    let many = snapshot.get_many(&keyspace, &["b1", "a3", "a2", "a2"]).unwrap();
    let there: Vec<bool> = many.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, false, true, true]);
    assert_eq!(many[0].as_deref(), Some(noise(2, 700).as_slice()));
    let keys = |rows: &mut dyn Iterator<Item = Result<(Vec<u8>, Value), StoreError>>| {
        rows.map(|row| row.unwrap().0).collect::<Vec<_>>()
    };
    assert_eq!(keys(&mut snapshot.prefix(&keyspace, "a")), [b"a1", b"a2"]);
    assert_eq!(keys(&mut snapshot.prefix(&keyspace, "a").rev()), [b"a2", b"a1"]);
    assert_eq!(keys(&mut snapshot.range(&keyspace, "a2"..)), [b"a2", b"b1"]);
    let listed: Vec<_> = snapshot.prefix(&keyspace, "").keys().map(Result::unwrap).collect();
    assert_eq!(listed, [b"a1", b"a2", b"b1"]);
    assert_eq!(snapshot.len(&keyspace).unwrap(), 3);

    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = plain(&Store::open(elsewhere.path()).unwrap(), "pages");
    let refused = snapshot.get_many(&foreign, &["a1"]);
    assert!(matches!(refused, Err(StoreError::ForeignKeyspace { .. })), "{refused:?}");
}

#[test]
fn keyspaces_are_listed_by_name_after_an_opening_too() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let store = Store::open(dir.path()).unwrap();
        plain(&store, "second").put("key", "value").unwrap();
        plain(&store, "first");
        assert_eq!(store.keyspaces(), ["first", "second"]);
    }
}

/// The index file that it reads from has no name any more then.
#[test]
fn a_snapshot_reads_on_after_the_index_was_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    // Without memory for pages every reading goes to the file.
    let store = Store::builder(dir.path()).cache_bytes(0).open().unwrap();
    let keyspace = plain(&store, "k");
    for number in 0..500_u64 {
        keyspace.put(number.to_be_bytes(), noise(number, 300)).unwrap();
    }
    store.check().unwrap();
    let snapshot = store.snapshot();
    for number in 0..500_u64 {
        keyspace.put(number.to_be_bytes(), "later").unwrap();
    }
    store.compact().unwrap();
    for number in 0..500_u64 {
        let value = snapshot.get(&keyspace, number.to_be_bytes()).unwrap().unwrap();
        assert_eq!(value, noise(number, 300), "{number}");
        assert_eq!(keyspace.get(number.to_be_bytes()).unwrap().unwrap(), b"later");
    }
}
