//! A keyspace's generation tells whether anything was written to it.

use std::sync::atomic::{AtomicBool, Ordering};

use gristmill::store::Store;

use crate::{MINUTE, plain};

#[test]
fn a_commit_raises_the_generation_of_what_it_writes_to_and_of_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (a, b) = (plain(&store, "a"), plain(&store, "b"));
    let generations = || (a.generation().unwrap(), b.generation().unwrap());
    let first = generations();
    a.put("k", "v").unwrap();
    let second = generations();
    assert!(second.0 > first.0 && second.1 == first.1, "{first:?} then {second:?}");
    b.delete("missing").unwrap();
    let third = generations();
    assert!(third.1 > second.1 && third.0 == second.0, "{second:?} then {third:?}");
    let snapshot = store.snapshot();
    let mut batch = store.batch();
    batch.put(&a, "k", "w");
    batch.put(&b, "k", "w");
    batch.commit_buffered().unwrap();
    store.flush().unwrap();
    let fourth = generations();
    assert!(fourth.0 > third.0 && fourth.1 > third.1);
    let then = (snapshot.generation(&a).unwrap(), snapshot.generation(&b).unwrap());
    assert_eq!(then, third, "a snapshot has those of its state");
    let reads = store.stats();
    generations();
    assert_eq!((store.stats().reads, store.stats().rows_scanned), (reads.reads, 0));

    drop((a, b, snapshot));
    store.close(MINUTE).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let a = plain(&store, "a");
    let opened = a.generation().unwrap();
    assert!(opened >= fourth.0);
    a.put("k", "x").unwrap();
    assert!(a.generation().unwrap() > opened);
}

#[test]
fn equal_generations_mean_equal_values_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (rows, done) = (plain(&store, "rows"), AtomicBool::new(false));
    rows.put("n", 0_u64.to_be_bytes()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = (0, Vec::new());
            while !done.load(Ordering::Acquire) {
                let snapshot = store.snapshot();
                let generation = snapshot.generation(&rows).unwrap();
                let value = snapshot.get(&rows, "n").unwrap().unwrap().to_vec();
                assert_eq!(generation == last.0, value == last.1);
                last = (generation, value);
            }
        });
        for n in 1..200_u64 {
            let before = rows.generation().unwrap();
            rows.put("n", n.to_be_bytes()).unwrap();
            assert!(rows.generation().unwrap() > before, "acknowledged, and not to be seen");
        }
        done.store(true, Ordering::Release);
    });
}
