//! Reclaiming races writers, shared values and snapshots; the pointer cache's fills race the writer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use gristmill::store::{Keyspace, KeyspaceOptions, Store, Verification};

use crate::sim::Random;
use crate::{MINUTE, noise, plain};

const WRITERS: u64 = 3;
const ROUNDS: u64 = 250;
const KEYS: u64 = 8;

/// Times that what races the writers is to come round while they write.
const TIMES: u64 = 5;
/// Rounds after which writers wait for it no longer.
const MAX_ROUNDS: u64 = ROUNDS * 20;

/// Sets the flag when dropped, so that readers end however the writers do.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Whether each of these came round often enough.
fn raced(counts: &[AtomicU64]) -> bool {
    counts.iter().all(|count| count.load(Ordering::Relaxed) >= TIMES)
}

/// What one writer does with its own keys of both keyspaces, until what races it came round; gives
/// what must be there in the end.
fn write(
    store: &Store,
    spaces: [&Keyspace; 2],
    writer: u64,
    racing: &[AtomicU64],
) -> BTreeMap<(usize, Vec<u8>), Vec<u8>> {
    let (mut random, mut model) = (Random::spread(writer), BTreeMap::new());
    for round in 0..MAX_ROUNDS {
        if round >= ROUNDS && raced(racing) {
            break;
        }
        let mut batch = store.batch();
        for _ in 0..=random.below(3) {
            let space = random.pick(&[0, 1]);
            let key = format!("{writer}-{}", random.below(KEYS)).into_bytes();
            if random.below(3) == 0 {
                batch.delete(spaces[space], &key);
                model.remove(&(space, key));
            } else {
                // The writers share the few values of the second keyspace.
                let seed = if space == 1 { random.below(3) } else { random.next() };
                let value = noise(seed, random.pick(&[300, 4000]));
                batch.put(spaces[space], &key, &value);
                model.insert((space, key), value);
            }
        }
        if random.below(4) == 0 {
            batch.commit_buffered().unwrap().wait(MINUTE).unwrap();
        } else {
            batch.commit().unwrap();
        }
    }
    model
}

#[test]
fn reclaiming_races_deletes_overwrites_shared_values_and_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
    let shared = KeyspaceOptions::default().deduplicated();
    let (k, shared) = (plain(&store, "k"), store.keyspace("shared", shared).unwrap());
    let done = AtomicBool::new(false);
    let racing: [AtomicU64; 2] = Default::default();
    let [compactions, snapshots] = &racing;
    let models = thread::scope(|scope| {
        let done_when_dropped = Done(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                store.compact().unwrap();
                compactions.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let snapshot = store.snapshot();
                let read =
                    |space| -> Vec<_> { snapshot.prefix(space, "").map(Result::unwrap).collect() };
                let (first, second) = (read(&k), read(&shared));
                // Whatever happens meanwhile, it reads the same again.
                assert!(first == read(&k) && second == read(&shared));
                for (key, value) in first {
                    assert_eq!(snapshot.get(&k, key).unwrap().unwrap(), value);
                }
                snapshots.fetch_add(1, Ordering::Relaxed);
            }
        });
        let spaces = [&k, &shared];
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let (store, racing) = (&store, &racing);
                    move || write(store, spaces, writer, racing)
                })
            })
            .collect();
        let models: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        drop(done_when_dropped);
        models
    });
    assert!(raced(&racing), "compactions and snapshots while others write: {racing:?}");
    let compare = |store: &Store| {
        let spaces = [plain(store, "k"), plain(store, "shared")];
        let expected = models.iter().flatten();
        let mut count = 0;
        for ((space, key), value) in expected {
            assert_eq!(&*spaces[*space].get(key).unwrap().unwrap(), value.as_slice());
            count += 1;
        }
        assert_eq!(spaces[0].len().unwrap() + spaces[1].len().unwrap(), count);
        let report = store.check().unwrap();
        assert!(report.is_clean(), "{report}");
    };
    compare(&store);
    store.close(MINUTE).unwrap();
    drop((store, k, shared));
    compare(&Store::open(dir.path()).unwrap());
}

/// The round that a value was written in.
fn round_of(value: Option<gristmill::store::Value>) -> u64 {
    value.map_or(0, |value| u64::from_le_bytes(value[..8].try_into().unwrap()))
}

fn value_of(round: u64) -> Vec<u8> {
    let mut value = noise(round, 600);
    value[..8].copy_from_slice(&round.to_le_bytes());
    value
}

#[test]
fn a_reader_sees_no_older_value_than_it_was_told_of_and_no_half_of_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Store::builder(dir.path()).segment_bytes(64 << 10);
    let store = builder.verification(Verification::Always).open().unwrap();
    let (a, b) = (plain(&store, "a"), plain(&store, "b"));
    let (acknowledged, done) = (AtomicU64::new(0), AtomicBool::new(false));
    // Batches that each reader saw first.
    let seen: [AtomicU64; 3] = Default::default();
    thread::scope(|scope| {
        for (reader, seen) in seen.iter().enumerate() {
            let (store, a, b, acknowledged, done) = (&store, &a, &b, &acknowledged, &done);
            scope.spawn(move || {
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let known = acknowledged.load(Ordering::Acquire).max(last);
                    let (first, second) = if reader % 2 == 0 { (a, b) } else { (b, a) };
                    let one = round_of(first.get("key").unwrap());
                    let other = round_of(second.get("key").unwrap());
                    assert!(one >= known, "{known} was acknowledged or seen, {one} is read");
                    assert!(other >= one, "half of batch {one}: the other key shows {other}");
                    seen.fetch_add(u64::from(other > last), Ordering::Relaxed);
                    last = other;
                    if reader == 2 {
                        let snapshot = store.snapshot();
                        let one = round_of(snapshot.get(a, "key").unwrap());
                        // Fills the cache from an old state, perhaps.
                        assert_eq!(one, round_of(snapshot.get(b, "key").unwrap()));
                    }
                }
            });
        }
        let _done_when_dropped = Done(&done);
        for round in 1..=MAX_ROUNDS {
            let hits = store.stats().pointer_hits;
            if round > ROUNDS * 4 && raced(&seen) && hits >= TIMES {
                break;
            }
            let mut batch = store.batch();
            batch.put(&a, "key", value_of(round));
            batch.put(&b, "key", value_of(round));
            batch.commit().unwrap();
            acknowledged.store(round, Ordering::Release);
            if round % 200 == 0 {
                store.compact().unwrap();
            }
        }
    });
    assert!(raced(&seen), "batches seen while others are written: {seen:?}");
    assert!(store.stats().pointer_hits >= TIMES, "{:?}", store.stats());
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn places_of_values_count_as_found_only_while_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let k = plain(&store, "k");
    let counts_after = |round| {
        assert_eq!(round_of(k.get("key").unwrap()), round);
        let stats = store.stats();
        (stats.pointer_hits, stats.pointer_misses)
    };
    k.put("key", value_of(1)).unwrap();
    assert_eq!(counts_after(1), (0, 1));
    assert_eq!(counts_after(1), (1, 1));
    k.put("key", value_of(2)).unwrap();
    assert_eq!(counts_after(2), (1, 2), "the place known is that of the value before");
    assert_eq!(counts_after(2), (2, 2));
    store.compact().unwrap();
    assert_eq!(store.stats().records_moved, 1);
    assert_eq!(counts_after(2), (2, 3), "the value is not any more where it was");
    assert_eq!(counts_after(2), (3, 3));
}

/// Values put, deleted and put again as fast as can be, so that orphans come and go.
#[test]
fn a_shared_value_is_there_as_long_as_anybody_refers_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
    let shared = store.keyspace("s", KeyspaceOptions::default().deduplicated()).unwrap();
    thread::scope(|scope| {
        for writer in 0..4_u64 {
            let shared = &shared;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let value = noise(round / 8, 700);
                    shared.put(writer.to_be_bytes(), &value).unwrap();
                    let read = shared.get(writer.to_be_bytes()).unwrap().unwrap();
                    assert_eq!(&*read, value.as_slice(), "writer {writer}, round {round}");
                    if round % 3 != writer % 3 {
                        shared.delete(writer.to_be_bytes()).unwrap();
                    }
                }
            });
        }
    });
    let report = store.check().unwrap();
    assert!(report.is_clean(), "{report}");
    store.compact().unwrap();
    assert!(store.check().unwrap().is_clean());
}
