//! A bulk load of several batches: all of it is there in the end, and after a failure its beginning.

use std::cell::Cell;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;

use gristmill::store::{Keyspace, Store, StoreError};

use crate::oracle::{clock, on_disk};
use crate::sim::{Call, Fault, SimVfs, Which};
use crate::{MINUTE, noise, plain};

/// Entries of a batch, where they are small.
const BATCH: u32 = 10_000;

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn small(number: u32) -> [u8; 8] {
    (u64::from(number) * 3).to_le_bytes()
}

/// Entries with small values.
fn entries(numbers: std::ops::Range<u32>) -> impl Iterator<Item = ([u8; 4], [u8; 8])> {
    numbers.map(|number| (key(number), small(number)))
}

/// Whether these are all that is there.
fn holds_the_first(keyspace: &Keyspace, count: u32) {
    assert_eq!(keyspace.len().unwrap(), u64::from(count));
    let rows = keyspace.iter().map(Result::unwrap);
    let mut expected = entries(0..count);
    for (found, value) in rows {
        let (key, small) = expected.next().expect("counted above");
        assert!(found == key && *value == small, "{found:?}");
    }
    assert!(expected.next().is_none());
}

#[test]
fn all_batches_of_a_load_are_there_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (many, large) = (plain(&store, "many"), plain(&store, "large"));
    let batches = || store.stats().batches;
    let before = batches();
    let count = BATCH * 2 + BATCH / 2;
    assert_eq!(many.bulk_load(entries(0..count)).unwrap(), u64::from(count));
    assert_eq!(batches() - before, 3);
    holds_the_first(&many, count);

    // Four of these are more than the bytes of a batch.
    let (before, length) = (batches(), 1_200_000);
    let values = (0..18_u32).map(|number| (key(number), noise(number.into(), length)));
    assert_eq!(large.bulk_load(values).unwrap(), 18);
    assert_eq!(batches() - before, 5);
    for number in 0..18_u32 {
        assert_eq!(large.get(key(number)).unwrap().unwrap(), noise(number.into(), length));
    }
    // The last word on a key holds, over batches too.
    let again = entries(0..BATCH).chain([(key(3), small(7))]);
    assert_eq!(many.bulk_load(again).unwrap(), u64::from(BATCH) + 1);
    assert_eq!(*many.get(key(3)).unwrap().unwrap(), small(7));
    assert_eq!(many.bulk_load(entries(0..0)).unwrap(), 0);
    store.close(MINUTE).unwrap();
    drop((store, many, large));
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(plain(&store, "many").len().unwrap(), u64::from(count));
    assert_eq!(plain(&store, "large").len().unwrap(), 18);
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn before_an_entry_that_is_refused_the_whole_batches_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let k = plain(&store, "k");
    let bad = BATCH * 2 + 5;
    let entries = (0..BATCH * 4).map(|number| {
        let key = key(number).to_vec();
        (if number == bad { key.repeat(20_000) } else { key }, small(number))
    });
    let error = k.bulk_load(entries).unwrap_err();
    assert!(matches!(error, StoreError::KeyTooLong { length: 80_000, .. }), "{error}");
    store.flush().unwrap();
    holds_the_first(&k, BATCH * 2);
}

#[test]
fn before_a_panic_of_the_iterator_the_whole_batches_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let k = plain(&store, "k");
    let entries = entries(0..BATCH * 4).inspect(|(found, _)| {
        assert!(*found != key(BATCH + 1), "on purpose");
    });
    let load = AssertUnwindSafe(|| k.bulk_load(entries));
    assert!(std::panic::catch_unwind(load).is_err());
    store.flush().unwrap();
    holds_the_first(&k, BATCH);
    k.put(key(BATCH), small(BATCH)).unwrap();
    holds_the_first(&k, BATCH + 1);
}

#[test]
fn a_load_ends_soon_after_a_failed_flush_and_what_is_there_then_is_its_beginning() {
    const BATCHES: u32 = 12;
    for failing in 1..4 {
        let (vfs, pulled) = (SimVfs::default(), Cell::new(0));
        // So that each batch is a group: a failure concerns what comes from then on.
        let open = |vfs: &SimVfs| on_disk(vfs, "/sim", &clock()).max_group_bytes(1).open().unwrap();
        let store = open(&vfs);
        let k = plain(&store, "k");
        vfs.fail_at(Which::Only(Call::Write), failing * 3, Fault::Lasting(ErrorKind::Other));
        let entries = entries(0..BATCH * BATCHES).inspect(|_| pulled.set(pulled.get() + 1));
        let error = k.bulk_load(entries).unwrap_err();
        assert!(matches!(error, StoreError::Poisoned { .. }), "{error}");
        // Four batches are under way at the most.
        let visible = u32::try_from(k.len().unwrap()).unwrap();
        assert!(pulled.get() <= visible + 4 * BATCH, "{} pulled, {visible} there", pulled.get());
        assert!(pulled.get() < BATCH * BATCHES && visible.is_multiple_of(BATCH));
        holds_the_first(&k, visible);
        let killed = vfs.kill();
        drop((store, k));
        let store = open(&killed);
        let k = plain(&store, "k");
        let found = u32::try_from(k.len().unwrap()).unwrap();
        assert!(found >= visible && found <= pulled.get() && found.is_multiple_of(BATCH));
        holds_the_first(&k, found);
        assert!(store.check().unwrap().is_clean());
    }
}
