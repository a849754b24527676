//! A snapshot reads in every way that a keyspace does, and shows what was there when it was taken.

use gristmill::store::{Direction, Store, StoreError};

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
    let keys =
        |rows: gristmill::store::Rows| -> Vec<Vec<u8>> { rows.map(|row| row.unwrap().0).collect() };
    let (up, down) = (Direction::Forward, Direction::Backward);
    assert_eq!(keys(snapshot.prefix(&keyspace, "a")), [b"a1", b"a2"]);
    assert_eq!(keys(snapshot.prefix_in(&keyspace, "a", down)), [b"a2", b"a1"]);
    assert_eq!(keys(snapshot.range(&keyspace, "a2".., up)), [b"a2", b"b1"]);
    let listed: Vec<_> = snapshot.keys_prefix(&keyspace, "").map(Result::unwrap).collect();
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
