//! Failures whose harm would show late: after the next opening, or the next loss of power.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use gristmill::store::vfs::{OpenMode, Vfs as _};
use gristmill::store::{PutOptions, Store, StoreError};
use gristmill::time::ManualClock;

use crate::oracle::{clock, on_disk};
use crate::sim::{Call, Fault, SimVfs, Which};
use crate::{MINUTE, noise, plain};

const DIR: &str = "/sim";

fn open(vfs: &SimVfs) -> Store {
    on_disk(vfs, DIR, &clock()).cache_bytes(0).open().unwrap()
}

/// A group fails, the store is closed, which cuts the group off, and others take its sequence. When
/// power fails then, the cut must not be lost, or the group that failed would come back and hide one
/// that was acknowledged.
#[test]
fn a_group_that_failed_does_not_come_back_in_place_of_an_acknowledged_one() {
    let mut reached = 0;
    for seed in 0..60 {
        let vfs = SimVfs::default();
        let store = open(&vfs);
        let keyspace = plain(&store, "k");
        keyspace.put("first", noise(1, 700)).unwrap();
        // What reaches the disk of the group that fails is another part each time.
        for number in 0..seed % 12 {
            keyspace.put("more", noise(number, 300)).unwrap();
        }
        store.check().unwrap();
        vfs.fail_at(Which::Only(Call::Flush), 1, Fault::Once(ErrorKind::Other));
        keyspace.put("failed", noise(2, 700)).unwrap_err();
        assert!(vfs.mend());
        store.close(MINUTE).unwrap_err();
        drop((store, keyspace));

        let store = open(&vfs);
        let keyspace = plain(&store, "k");
        let failed = keyspace.contains("failed").unwrap();
        keyspace.put("acknowledged", noise(3, 700)).unwrap();
        let disk = vfs.power_loss(seed);
        let store = open(&disk);
        let keyspace = plain(&store, "k");
        assert_eq!(keyspace.get("acknowledged").unwrap().unwrap(), noise(3, 700), "seed {seed}");
        assert_eq!(keyspace.get("first").unwrap().unwrap(), noise(1, 700), "seed {seed}");
        assert_eq!(keyspace.contains("failed").unwrap(), failed, "seed {seed}");
        reached += u32::from(!failed);
    }
    assert!(reached > 0, "the group that failed was recovered each time");
}

/// While a group is counted its leader panics: what was counted until then must not get into the
/// index file, not even when the store is closed.
#[test]
fn a_group_that_was_counted_in_part_gets_into_no_checkpoint() {
    let prepared = SimVfs::default();
    let store = open(&prepared);
    let keyspace = plain(&store, "k");
    for number in 0..300_u64 {
        keyspace.put(number.to_be_bytes(), noise(number, 600)).unwrap();
    }
    store.close(MINUTE).unwrap();
    drop((store, keyspace));
    let mut struck = 0;
    for read in 1..200 {
        let vfs = prepared.kill();
        let store = open(&vfs);
        let keyspace = plain(&store, "k");
        vfs.before(Which::Only(Call::Read), read, || panic!("on purpose"));
        let mut batch = store.batch();
        for number in (0..300_u64).step_by(10) {
            batch.put(&keyspace, number.to_be_bytes(), noise(number + 1, 600));
        }
        let commit = std::panic::AssertUnwindSafe(|| batch.commit());
        let panicked = std::panic::catch_unwind(commit).is_err();
        struck += u32::from(panicked);
        let _poisoned = store.close(MINUTE);
        drop((store, keyspace));
        let store = open(&vfs);
        let keyspace = plain(&store, "k");
        for number in 0..300_u64 {
            let value = keyspace.get(number.to_be_bytes()).unwrap().unwrap();
            let new = noise(number + u64::from(number % 10 == 0), 600);
            // It was durable, so all of it is there.
            assert_eq!(value, new, "read {read}, key {number}");
        }
        let report = store.check().unwrap();
        assert!(report.is_clean(), "read {read}: {report}");
        if !panicked {
            break;
        }
    }
    assert!(struck > 3, "only {struck} panics");
}

/// Once the new index file has its name, no failure may leave the store writing to the old one.
#[test]
fn a_failure_while_the_index_is_written_anew_leaves_the_index_that_has_the_name_in_use() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        let (mut call, mut struck) = (0, true);
        while struck {
            call += 1;
            let vfs = SimVfs::default();
            let store = open(&vfs);
            let keyspace = plain(&store, "k");
            for number in 0..40_u64 {
                keyspace.put(number.to_be_bytes(), noise(number, 3000)).unwrap();
            }
            for number in 0..30_u64 {
                keyspace.put(number.to_be_bytes(), noise(number + 1, 3000)).unwrap();
            }
            vfs.fail(call, Fault::Once(kind));
            let _failed_or_not = store.compact();
            struck = vfs.mend();
            // Several times over, with a checkpoint each time, after which segments go.
            let mut allowed: Vec<Vec<u64>> =
                (0..40).map(|number| vec![number + u64::from(number < 30)]).collect();
            for round in 2..6 {
                for (number, allowed) in (0..40_u64).zip(&mut allowed) {
                    let put = keyspace.put(number.to_be_bytes(), noise(number + round, 3000));
                    if put.is_ok() {
                        allowed.clear();
                    }
                    // One that failed may be there or not.
                    allowed.push(number + round);
                }
                let _failed_or_not = store.check();
            }
            let _failed_or_not = store.close(MINUTE);
            drop((store, keyspace));
            let store = open(&vfs);
            let keyspace = plain(&store, "k");
            for (number, allowed) in (0..40_u64).zip(allowed) {
                let value = keyspace.get(number.to_be_bytes()).unwrap().unwrap();
                let fits = allowed.iter().any(|seed| value == noise(*seed, 3000));
                assert!(fits, "{kind:?} at call {call}, key {number}");
            }
            let report = store.check().unwrap();
            assert!(report.is_clean(), "{kind:?} at call {call}: {report}");
        }
        assert!(call > 20, "only {call} calls");
    }
}

/// A row that no longer decodes costs its own value and nothing else: it is told, it can be written
/// over, and then all is well again.
#[test]
fn a_damaged_row_can_be_written_over_and_keeps_nothing_else_from_being_written() {
    let (dir, time) = (tempfile::tempdir().unwrap(), clock());
    let open =
        || Store::builder(dir.path()).clock(Arc::<ManualClock>::clone(&time)).open().unwrap();
    let (store, clue) = (open(), noise(9, 200));
    let keyspace = plain(&store, "k");
    let hour = PutOptions::ttl(Duration::from_hours(1));
    keyspace.put_with("damaged", &clue, hour).unwrap();
    keyspace.put("other", "kept").unwrap();
    store.close(MINUTE).unwrap();
    drop((store, keyspace));

    // The tag of the row, and then its expiry, stand before the value.
    let path = dir.path().join("index.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<usize> = (9..bytes.len() - clue.len())
        .filter(|at| bytes[*at..].starts_with(&clue) && bytes[at - 9] == 0x80)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at - 9] = 0x7f;
    }
    std::fs::write(&path, bytes).unwrap();

    let store = open();
    let keyspace = plain(&store, "k");
    let error = keyspace.get("damaged").unwrap_err();
    assert!(matches!(error, StoreError::IndexRow { .. }), "{error:?}");
    let mut batch = store.batch();
    batch.put(&keyspace, "other", "changed");
    batch.put(&keyspace, "damaged", "whole");
    batch.commit().unwrap();
    assert_eq!(keyspace.get("damaged").unwrap().unwrap(), b"whole");
    // The damaged row's place among what expires cannot be found; the sweep must end all the same.
    time.advance(Duration::from_hours(2));
    store.compact().unwrap();
    drop((store, keyspace));
    let store = open();
    let keyspace = plain(&store, "k");
    assert_eq!(keyspace.get("damaged").unwrap().unwrap(), b"whole");
    assert_eq!(keyspace.get("other").unwrap().unwrap(), b"changed");
}

/// The index says how long each segment is. Where that is wrong, nothing may be cut off by it.
#[test]
fn a_segment_is_not_cut_where_a_damaged_index_says_that_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::builder(dir.path()).clock(clock()).open().unwrap();
    let store = open();
    let keyspace = plain(&store, "k");
    for number in 0..20_u64 {
        keyspace.put(number.to_be_bytes(), noise(number, 700)).unwrap();
    }
    store.close(MINUTE).unwrap();
    drop((store, keyspace));
    let segment = std::fs::read(dir.path().join("00000001.segment")).unwrap();
    let path = dir.path().join("index.redb");
    let whole = std::fs::read(&path).unwrap();

    // Salt and length of a segment follow each other in its row.
    let row = [&segment[16..24], &(segment.len() as u64).to_le_bytes()].concat();
    let mut damaged = whole.clone();
    let places: Vec<usize> =
        (0..whole.len() - row.len()).filter(|at| whole[*at..].starts_with(&row)).collect();
    assert!(!places.is_empty());
    for at in places {
        damaged[at + 8..at + 16].copy_from_slice(&64_u64.to_le_bytes());
    }
    std::fs::write(&path, damaged).unwrap();
    let store = open();
    let error = plain(&store, "k").get(7_u64.to_be_bytes()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(!store.check().unwrap().is_clean());
    store.close(MINUTE).unwrap();
    drop(store);
    assert!(std::fs::read(dir.path().join("00000001.segment")).unwrap() == segment);

    std::fs::write(&path, whole).unwrap();
    let store = open();
    for number in 0..20_u64 {
        let value = plain(&store, "k").get(number.to_be_bytes()).unwrap().unwrap();
        assert_eq!(value, noise(number, 700));
    }
}

/// Recovery reads a group twice: to see that it is whole, and to write it once more. What it read
/// the first time may have been in memory only, and be gone the second time.
#[test]
fn a_group_that_changed_between_two_readings_of_recovery_is_not_taken_for_whole() {
    let prepared = SimVfs::default();
    let store = open(&prepared);
    let keyspace = plain(&store, "k");
    keyspace.put("key", noise(1, 900)).unwrap();
    store.check().unwrap();
    keyspace.put("key", noise(2, 900)).unwrap();
    let crashed = prepared.kill();
    // How many changing calls come before the group is written once more.
    let vfs = crashed.kill();
    let (disk, (told, counted)) = (vfs.clone(), std::sync::mpsc::channel());
    vfs.before(Which::Named(".segment"), 1, move || told.send(disk.calls()).unwrap());
    drop(open(&vfs));
    let written = counted.recv().unwrap();

    let (mut read, mut refused) = (0, 0);
    loop {
        read += 1;
        let vfs = crashed.kill();
        let (disk, (told, changed)) = (vfs.clone(), std::sync::mpsc::channel());
        vfs.before(Which::Only(Call::Read), read, move || {
            let calls = disk.calls();
            damage(&disk, &noise(2, 900));
            told.send(calls).unwrap();
        });
        let opened = on_disk(&vfs, DIR, &clock()).cache_bytes(0).open();
        if changed.try_recv().is_ok_and(|calls| calls > written) {
            break;
        }
        match opened {
            Ok(store) => {
                // Changed before the first reading: there was no such group.
                let value = plain(&store, "k").get("key").unwrap();
                assert!(value.is_some_and(|value| value == noise(1, 900)), "read {read}");
            }
            Err(StoreError::Corrupt { .. }) => refused += 1,
            Err(error) => panic!("read {read}: {error}"),
        }
    }
    assert!(refused > 0, "the group never changed in between");
}

/// Changes eight bytes of a value wherever it stands in a segment.
fn damage(disk: &SimVfs, value: &[u8]) {
    for (path, bytes) in disk.files() {
        if let Some(at) = bytes.windows(value.len()).position(|part| part == value) {
            let file = disk.open(&path, OpenMode::Existing).unwrap();
            let part = std::io::IoSlice::new(&[0; 8]);
            assert_eq!(file.write_at(at as u64 + 100, &[part]).unwrap(), 8);
        }
    }
}
