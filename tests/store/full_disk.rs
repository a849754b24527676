//! A full disk: batches that need room are refused and leave no trace, deletes still work, and
//! what they free can be written to again.

use std::io::ErrorKind;

use gristmill::store::{Keyspace, Store, StoreError};

use crate::oracle::{clock, on_disk};
use crate::sim::{Fault, SimVfs, Which};
use crate::{MINUTE, noise, plain};

const LENGTH: usize = 60_000;
/// As much is kept back on the disk. The index file grows in steps of half of that.
const SEGMENT: u64 = 1 << 20;

fn open(vfs: &SimVfs) -> Result<Store, StoreError> {
    on_disk(vfs, "/sim", &clock()).segment_bytes(SEGMENT).open()
}

fn is_refused(error: &StoreError) -> bool {
    let StoreError::Refused { source, .. } = error else { return false };
    matches!(**source, StoreError::NoSpace { .. })
}

/// Puts values until one is refused; gives their number.
fn fill(keyspace: &Keyspace, from: u32) -> u32 {
    for number in from..from + 1000 {
        match keyspace.put(number.to_be_bytes(), noise(number.into(), LENGTH)) {
            Ok(()) => {}
            Err(error) => {
                assert!(is_refused(&error), "{number}: {error:?}");
                return number;
            }
        }
    }
    panic!("the disk is never full");
}

fn holds(keyspace: &Keyspace, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        let value = keyspace.get(number.to_be_bytes()).unwrap();
        assert_eq!(
            value.unwrap_or_else(|| panic!("{number} is gone")),
            noise(number.into(), LENGTH)
        );
    }
}

#[test]
fn a_full_disk_is_left_again_by_deleting_and_compacting() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    let keyspace = plain(&store, "k");
    keyspace.put("first", "x").unwrap();
    vfs.set_capacity(Some(vfs.used() + 12 * SEGMENT));
    let mut from = 0;
    for round in 0..3 {
        let end = fill(&keyspace, from);
        assert!(end - from > 100, "round {round}: only {from}..{end} fitted");
        let what = format!("round {round}: {from}..{end} on {} bytes", vfs.used());
        holds(&keyspace, from..end);
        assert!(!keyspace.contains(end.to_be_bytes()).unwrap(), "refused, and yet visible");
        assert_eq!(keyspace.len().unwrap(), 1 + u64::from(end - from));
        // Small values may still fit, or not; deletes always do.
        for number in from..end - 3 {
            let deleted = keyspace.delete(number.to_be_bytes());
            deleted.unwrap_or_else(|error| panic!("{what}: delete {number}: {error:?}"));
        }
        let compacted = store.compact();
        compacted.unwrap_or_else(|error| panic!("{what}: compact: {error:?}"));
        holds(&keyspace, end - 3..end);
        for number in end - 3..end {
            keyspace.delete(number.to_be_bytes()).unwrap();
        }
        from = end;
    }
    keyspace.put("last", noise(1, LENGTH)).unwrap();
    assert!(store.check().unwrap().is_clean());
    store.close(MINUTE).unwrap();
    drop((store, keyspace));
    let store = open(&vfs).unwrap();
    let keyspace = plain(&store, "k");
    assert_eq!(keyspace.len().unwrap(), 2, "what was refused does not come back");
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn a_full_disk_is_opened_again() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    let keyspace = plain(&store, "k");
    vfs.set_capacity(Some(vfs.used() + 9 * SEGMENT));
    let end = fill(&keyspace, 0);
    let killed = vfs.kill();
    store.close(MINUTE).unwrap();
    drop((store, keyspace));
    for vfs in [vfs, killed] {
        let store = open(&vfs).unwrap();
        // Full to the last byte.
        vfs.set_capacity(Some(vfs.used()));
        let keyspace = plain(&store, "k");
        holds(&keyspace, 0..end);
        assert_eq!(keyspace.len().unwrap(), u64::from(end));
        for number in 0..end {
            keyspace.delete(number.to_be_bytes()).unwrap();
        }
        store.compact().unwrap();
        assert!(fill(&keyspace, 1000) > 1080);
        assert!(store.check().unwrap().is_clean());
    }
}

/// Compacting copies before it gives anything back; with little to gain it may find no room.
#[test]
fn compacting_a_full_disk_with_little_to_gain_does_no_harm() {
    for gone in [0, 1, 5, 20] {
        let vfs = SimVfs::default();
        let store = open(&vfs).unwrap();
        let keyspace = plain(&store, "k");
        vfs.set_capacity(Some(vfs.used() + 6 * SEGMENT));
        let end = fill(&keyspace, 0);
        vfs.set_capacity(Some(vfs.used()));
        // One here and one there.
        let deleted = |number: u32| gone > 0 && number.is_multiple_of((end / gone).max(1));
        for number in (0..end).filter(|number| deleted(*number)) {
            keyspace.delete(number.to_be_bytes()).unwrap();
        }
        for round in 0..3 {
            let compacted = store.compact();
            // With nothing to gain there is nothing to find no room for.
            assert!(
                compacted.as_ref().map_or_else(|error| gone > 0 && is_refused(error), |_| true),
                "{gone} gone, round {round}: {compacted:?}"
            );
        }
        holds(&keyspace, (0..end).filter(|number| !deleted(*number)));
        for number in 0..end {
            let result = keyspace.delete(number.to_be_bytes());
            result.unwrap_or_else(|error| panic!("{gone} gone, delete {number}: {error:?}"));
        }
        store.compact().unwrap();
        let again = fill(&keyspace, 1000) - 1000;
        assert!(again > end / 2, "{gone} gone: {again} instead of {end}");
        assert!(store.check().unwrap().is_clean());
    }
}

/// The length of the file that keeps room back.
fn kept_back(vfs: &SimVfs) -> Option<usize> {
    let files = vfs.files();
    let reserve = files.iter().find(|(path, _)| path.ends_with("reserve"));
    reserve.map(|(_, content)| content.len())
}

#[test]
fn only_what_frees_space_takes_the_room_kept_back_which_is_kept_again_later() {
    let index = usize::try_from(SEGMENT / 4).unwrap();
    let whole = usize::try_from(SEGMENT).unwrap() + index;
    for frees in [false, true] {
        let vfs = SimVfs::default();
        let store = open(&vfs).unwrap();
        let keyspace = plain(&store, "k");
        for number in 0..4_u32 {
            keyspace.put(number.to_be_bytes(), noise(number.into(), LENGTH)).unwrap();
        }
        // Nothing is left but the rest of the segment, which the batch does not fit in.
        vfs.set_capacity(Some(vfs.used()));
        assert_eq!(kept_back(&vfs), Some(whole));
        let mut batch = store.batch();
        if frees {
            (0..3_u32).for_each(|number| batch.delete(&keyspace, number.to_be_bytes()));
            (0..900_u32).for_each(|n| batch.delete(&keyspace, n.to_be_bytes().repeat(250)));
            batch.commit().unwrap();
            assert_eq!((keyspace.len().unwrap(), kept_back(&vfs)), (1, Some(index)));
            vfs.set_capacity(None);
            assert!(store.check().unwrap().is_clean());
            assert_eq!(kept_back(&vfs), Some(whole));
        } else {
            batch.delete(&keyspace, 0_u32.to_be_bytes());
            batch.put(&keyspace, "large", noise(10, LENGTH * 15));
            let error = batch.commit().unwrap_err();
            assert!(is_refused(&error), "{error:?}");
            assert_eq!(keyspace.len().unwrap(), 4);
        }
    }
}

#[test]
fn a_batch_refused_when_nobody_waits_is_told_by_one_flush_and_always_by_its_ticket() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    let keyspace = plain(&store, "k");
    keyspace.put("old", "x").unwrap();
    vfs.set_capacity(Some(vfs.used()));
    // Fits in no segment that is there, nor in the room kept back.
    let (mut large, mut last) = (store.batch(), store.batch());
    large.put(&keyspace, "large", noise(1, usize::try_from(2 * SEGMENT).unwrap()));
    last.delete(&keyspace, "old");
    let large = large.commit_buffered().unwrap();
    // An empty batch is not refused because the one before it is, and tells no one of that.
    store.batch().commit_buffered().unwrap().wait(MINUTE).unwrap();
    store.batch().commit().unwrap();
    let last = last.commit_buffered().unwrap();
    let error = store.flush().unwrap_err();
    assert!(is_refused(&error), "{error:?}");
    store.flush().unwrap();
    for _ in 0..2 {
        let error = large.wait(MINUTE).unwrap_err();
        assert!(is_refused(&error), "{error:?}");
    }
    last.wait(MINUTE).unwrap();
    assert!(keyspace.is_empty().unwrap());
}

#[test]
fn a_refusal_that_was_told_is_not_told_again_by_a_flush() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    let keyspace = plain(&store, "k");
    vfs.set_capacity(Some(vfs.used()));
    let large = noise(1, usize::try_from(2 * SEGMENT).unwrap());
    let mut batch = store.batch();
    batch.put(&keyspace, "large", &large);
    batch.commit_buffered().unwrap();
    assert!(store.flush().is_err_and(|error| is_refused(&error)));
    // Its number is the newest still.
    let again = store.flush();
    // And here the caller itself was told.
    assert!(keyspace.put("large", &large).is_err_and(|error| is_refused(&error)));
    keyspace.delete("large").unwrap();
    let after_a_put = store.flush();
    assert!(again.is_ok() && after_a_put.is_ok(), "{again:?} {after_a_put:?}");
}

#[test]
fn no_space_at_any_call_is_told_and_the_store_goes_on_when_there_is_some_again() {
    let mut failures = 0;
    for call in 1.. {
        let vfs = SimVfs::default();
        let store = open(&vfs).unwrap();
        let keyspace = plain(&store, "k");
        vfs.fail_at(Which::Growing, call, Fault::Lasting(ErrorKind::StorageFull));
        let (mut acknowledged, mut refused, mut poisoned) = (Vec::new(), Vec::new(), false);
        for number in 0..40_u32 {
            match keyspace.put(number.to_be_bytes(), noise(number.into(), LENGTH)) {
                Ok(()) => acknowledged.push(number),
                Err(error) if is_refused(&error) => refused.push(number),
                Err(StoreError::Poisoned { source, .. }) => {
                    assert!(matches!(*source, StoreError::NoSpace { .. }), "{source:?}");
                    poisoned = true;
                }
                Err(error) => panic!("call {call}: {error:?}"),
            }
            let visible = acknowledged.len() as u64;
            assert_eq!(keyspace.len().unwrap(), visible, "call {call}");
        }
        let struck = vfs.mend();
        let told = poisoned || !refused.is_empty();
        assert!(struck || !told, "call {call}: it failed by itself");
        failures += u32::from(told);
        let again = keyspace.put("again", noise(99, LENGTH));
        assert_eq!(again.is_err(), poisoned, "call {call}: {again:?}");
        let image = vfs.power_loss(call);
        drop((store, keyspace));
        let store = open(&image).unwrap_or_else(|error| panic!("call {call}: {error:?}"));
        let keyspace = plain(&store, "k");
        holds(&keyspace, acknowledged.iter().copied());
        for number in refused {
            assert!(!keyspace.contains(number.to_be_bytes()).unwrap(), "call {call}: {number}");
        }
        assert!(store.check().unwrap().is_clean());
        if !struck {
            break;
        }
    }
    // Each of the forty groups is written by a call of its own.
    assert!(failures > 30, "only {failures} failures were told");
}

#[test]
fn compacting_without_room_for_a_new_index_file_harms_nothing() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    let keyspace = plain(&store, "k");
    for number in 0..30_u32 {
        keyspace.put(number.to_be_bytes(), noise(number.into(), LENGTH)).unwrap();
        keyspace.put("overwritten", noise(1, LENGTH)).unwrap();
    }
    let which = Which::Named("index.redb.new");
    for call in 1..4 {
        vfs.fail_at(which, call, Fault::Lasting(ErrorKind::StorageFull));
        store.compact().unwrap();
        assert!(vfs.mend());
    }
    store.compact().unwrap();
    holds(&keyspace, 0..30);
    assert!(!vfs.files().iter().any(|(path, _)| path.ends_with("index.redb.new")));
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn a_snapshot_outlives_a_checkpoint_that_found_no_space() {
    let (mut went_on, mut poisoned) = (0, 0);
    for call in 1..8 {
        let vfs = SimVfs::default();
        let store = open(&vfs).unwrap();
        let keyspace = plain(&store, "k");
        let put = |round: u64| {
            for number in 0..300_u32 {
                let mut batch = store.batch();
                batch.put(&keyspace, number.to_be_bytes(), noise(round + u64::from(number), 200));
                batch.commit_buffered()?;
            }
            store.flush()
        };
        put(0).unwrap();
        assert!(store.check().unwrap().is_clean());
        let snapshot = store.snapshot();
        put(1000).unwrap();
        vfs.fail_at(Which::Named("index.redb"), call, Fault::Once(ErrorKind::StorageFull));
        let rounds = (2..8).try_for_each(|round| {
            let report = store.check()?;
            assert!(report.is_clean(), "call {call}: {report}");
            put(round * 1000)
        });
        assert!(vfs.mend(), "call {call}: there was room");
        match rounds {
            Ok(()) => went_on += 1,
            // A flush that found no room is not done again.
            Err(StoreError::Poisoned { source, .. }) => {
                poisoned += 1;
                assert!(matches!(*source, StoreError::NoSpace { .. }), "call {call}: {source}");
            }
            Err(error) => panic!("call {call}: {error}"),
        }
        for number in 0..300_u32 {
            let value = snapshot.get(&keyspace, number.to_be_bytes()).unwrap();
            let expected = noise(u64::from(number), 200);
            assert_eq!(value.as_deref(), Some(expected.as_slice()), "call {call}: {number}");
        }
    }
    assert!(went_on >= 4 && poisoned >= 1, "{went_on} went on, {poisoned} did not");
}
