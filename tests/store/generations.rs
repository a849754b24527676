//! A keyspace's generation tells whether anything was written to it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

/// Changes that the reader is to see while they are made.
const CHANGES: u64 = 5;
/// Changes after which the writer waits for it no longer.
const MAX_CHANGES: u64 = 20_000;

/// Sets the flag when dropped, so that the reader ends however the writer does.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn equal_generations_mean_equal_values_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (rows, done) = (plain(&store, "rows"), AtomicBool::new(false));
    let (changed, unchanged) = (AtomicU64::new(0), AtomicU64::new(0));
    rows.put("n", 0_u64.to_be_bytes()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = (0, Vec::new());
            let mut look = || {
                let snapshot = store.snapshot();
                let generation = snapshot.generation(&rows).unwrap();
                let value = snapshot.get(&rows, "n").unwrap().unwrap().to_vec();
                assert_eq!(generation == last.0, value == last.1);
                let count = if value == last.1 { &unchanged } else { &changed };
                count.fetch_add(1, Ordering::Relaxed);
                last = (generation, value);
            };
            while !done.load(Ordering::Acquire) {
                look();
            }
            // Nothing changes between these.
            look();
            look();
        });
        let _done_when_dropped = Done(&done);
        for n in 1..MAX_CHANGES {
            if n >= 200 && changed.load(Ordering::Relaxed) >= CHANGES {
                break;
            }
            let before = rows.generation().unwrap();
            rows.put("n", n.to_be_bytes()).unwrap();
            assert!(rows.generation().unwrap() > before, "acknowledged, and not to be seen");
        }
    });
    let (changed, unchanged) = (changed.into_inner(), unchanged.into_inner());
    assert!(changed >= CHANGES && unchanged > 0, "{changed} changes seen, {unchanged} times none");
}
