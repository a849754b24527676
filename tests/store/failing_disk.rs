//! One call fails: the store stops with a typed error, reads go on, and reopening has everything
//! that was acknowledged.

use std::io::ErrorKind;
use std::sync::Arc;

use gristmill::store::{Keyspace, KeyspaceOptions, Store, StoreError};

use crate::sim::{Call, Fault, SimVfs, Which};
use crate::workload::Run;
use crate::{MINUTE, noise, plain};

fn open(vfs: &SimVfs) -> Result<Store, StoreError> {
    Store::builder("/sim").vfs(Arc::new(vfs.clone())).segment_bytes(64 << 10).open()
}

#[test]
fn a_failed_flush_poisons_and_reopening_has_all_that_was_acknowledged() {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    let keyspace = plain(&store, "k");
    keyspace.put("kept", noise(1, 2000)).unwrap();
    // The write is call 1, its flush call 2.
    vfs.fail(2, Fault::Once(ErrorKind::Other));
    let error = keyspace.put("lost", noise(2, 2000)).unwrap_err();
    let StoreError::Poisoned { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(**source, StoreError::Io { action: "flush", .. }), "{error}");
    // The disk works again, but nothing is retried.
    assert!(matches!(keyspace.put("later", "x"), Err(StoreError::Poisoned { .. })));
    assert!(matches!(store.flush(), Err(StoreError::Poisoned { .. })), "the newest batch is lost");
    assert_eq!(keyspace.get("kept").unwrap().unwrap(), noise(1, 2000));
    assert!(keyspace.get("lost").unwrap().is_none());
    assert!(matches!(store.close(MINUTE), Err(StoreError::Poisoned { .. })));
    drop((store, keyspace));
    let store = open(&vfs.power_loss(3)).unwrap();
    let keyspace = plain(&store, "k");
    assert_eq!(keyspace.get("kept").unwrap().unwrap(), noise(1, 2000));
    assert!(!keyspace.contains("later").unwrap());
    assert!(store.check().unwrap().is_clean());
}

/// What the store could not do, whatever it does not do any more because of it.
fn cause(error: &StoreError) -> &StoreError {
    match error {
        StoreError::Poisoned { source, .. } | StoreError::Refused { source, .. } => cause(source),
        error => error,
    }
}

/// Works on a new store until something fails; gives how many values were acknowledged.
fn put_eight_and_close(vfs: &SimVfs) -> (u32, Result<(), StoreError>) {
    let mut acknowledged = 0;
    let result = (|| {
        let store = open(vfs)?;
        let keyspace = store.keyspace("k", KeyspaceOptions::default())?;
        for round in 0..8_u32 {
            keyspace.put(round.to_be_bytes(), noise(round.into(), 12_000))?;
            acknowledged = round + 1;
        }
        store.close(MINUTE)
    })();
    (acknowledged, result)
}

#[test]
fn an_error_of_any_single_call_is_typed_and_loses_nothing_acknowledged() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        let mut told = 0;
        for call in 1.. {
            let (vfs, what) = (SimVfs::default(), format!("{kind:?} at call {call}"));
            vfs.fail(call, Fault::Once(kind));
            let (acknowledged, result) = put_eight_and_close(&vfs);
            let struck = vfs.mend();
            match result.as_ref().map_err(cause) {
                // What only tidies up may fail.
                Ok(()) => assert_eq!(acknowledged, 8, "{what}"),
                Err(StoreError::Io { source, .. } | StoreError::NoSpace { source, .. }) => {
                    assert!(struck && source.kind() == kind, "{what}: {source}");
                    told += 1;
                }
                Err(error) => panic!("{what}: {error:?}"),
            }
            let no_space =
                matches!(result.as_ref().map_err(cause), Err(StoreError::NoSpace { .. }));
            assert_eq!(no_space, result.is_err() && kind == ErrorKind::StorageFull, "{what}");
            let store = open(&vfs).unwrap_or_else(|error| panic!("{what}: {error}"));
            let keyspace = plain(&store, "k");
            for round in 0..acknowledged {
                let value = keyspace.get(round.to_be_bytes()).unwrap();
                assert_eq!(value.unwrap(), noise(round.into(), 12_000), "{what}");
            }
            assert!(keyspace.len().unwrap() <= u64::from(acknowledged) + 1, "{what}");
            assert!(store.check().unwrap().is_clean());
            if !struck {
                assert!(told > 40, "{kind:?}: told of {told} failures");
                break;
            }
        }
    }
}

#[test]
fn short_writes_are_completed() {
    for write in 1.. {
        let vfs = SimVfs::default();
        vfs.fail_at(Which::Only(Call::Write), write, Fault::ShortWrite);
        let store = open(&vfs).unwrap();
        let keyspace = plain(&store, "k");
        for round in 0..8_u32 {
            keyspace.put(round.to_be_bytes(), noise(round.into(), 3000)).unwrap();
        }
        store.close(MINUTE).unwrap();
        drop((store, keyspace));
        let cut_short = vfs.mend();
        let store = open(&vfs).unwrap();
        let keyspace = plain(&store, "k");
        for round in 0..8_u32 {
            let value = keyspace.get(round.to_be_bytes()).unwrap();
            assert_eq!(value.unwrap(), noise(round.into(), 3000), "write {write}");
        }
        assert_eq!(keyspace.len().unwrap(), 8);
        assert!(store.check().unwrap().is_clean());
        if !cut_short {
            // Eight groups, and what it takes to make the files.
            assert!(write > 12, "only {write} writes");
            break;
        }
    }
}

/// What an error says, with all that it stems from.
fn text(error: &StoreError) -> String {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| {
        std::error::Error::source(*error)
    });
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn a_failure_of_the_nth_flush_lets_nothing_be_acknowledged_later() {
    let mut failures = 0;
    for flush in 1.. {
        let (vfs, mut acknowledged) = (SimVfs::default(), Vec::new());
        let store = open(&vfs).unwrap();
        let keyspace = plain(&store, "k");
        vfs.fail_at(Which::Only(Call::Flush), flush, Fault::Once(ErrorKind::Other));
        let mut failed = false;
        for round in 0..25_u64 {
            let mut batch = store.batch();
            batch.put(&keyspace, round.to_be_bytes(), noise(round, 4000));
            let result = if round % 2 == 0 {
                batch.commit()
            } else {
                batch.commit_buffered().and_then(|ticket| ticket.wait(MINUTE))
            };
            match result {
                Ok(()) => {
                    // The segment prepared ahead may have failed, which the log does not mind.
                    assert!(!failed, "flush {flush}: acknowledged after the failure");
                    acknowledged.push(round);
                }
                Err(StoreError::Poisoned { .. }) => failed = true,
                Err(error) => panic!("flush {flush}: {error}"),
            }
            for round in &acknowledged {
                let value = keyspace.get(round.to_be_bytes()).unwrap();
                assert_eq!(value.unwrap(), noise(*round, 4000), "reads go on");
            }
            assert_eq!(keyspace.len().unwrap(), acknowledged.len() as u64);
        }
        let struck = vfs.mend();
        assert!(failed || acknowledged.len() == 25, "flush {flush}");
        assert!(struck || !failed, "flush {flush}: it failed by itself");
        failures += u32::from(failed);
        let image = vfs.power_loss(flush);
        drop((store, keyspace));
        let store = open(&image).unwrap();
        let keyspace = plain(&store, "k");
        for round in &acknowledged {
            let value = keyspace.get(round.to_be_bytes()).unwrap();
            assert_eq!(value.unwrap(), noise(*round, 4000), "flush {flush}");
        }
        // At most the batch that was told of its failure is there beside them.
        assert!(keyspace.len().unwrap() <= acknowledged.len() as u64 + 1);
        assert!(store.check().unwrap().is_clean());
        if !struck {
            // All but those of a segment that was prepared and not needed.
            assert!(failures > 20, "only {failures} flushes that failed mattered");
            break;
        }
    }
}

#[test]
fn a_failure_of_any_call_reads_and_openings_too_loses_nothing_acknowledged() {
    let (mut struck, mut told) = (0, 0);
    for seed in 0..40_u64 {
        let mut run = Run::on(SimVfs::default());
        let kind = [ErrorKind::Other, ErrorKind::StorageFull][usize::from(seed % 4 == 0)];
        let call = 1 + seed * 37 % 700;
        let fault = if seed % 3 == 0 { Fault::Lasting(kind) } else { Fault::Once(kind) };
        run.vfs.fail_at(Which::Any, call, fault);
        let result = run.work(seed);
        let met = run.vfs.mend();
        assert!(met || result.is_ok(), "seed {seed} failed by itself before call {call}");
        (struck, told) = (struck + u32::from(met), told + u32::from(result.is_err()));
        if let Err(error) = &result {
            let typed = !matches!(error, StoreError::Corrupt { .. } | StoreError::IndexRow { .. });
            assert!(typed, "seed {seed}, call {call}: {}", text(error));
        }
        let mut run = run.with_disk(run.vfs.kill());
        run.verify(&format!("seed {seed}, call {call}"));
    }
    assert!(struck > 30 && told > 20, "{struck} struck, {told} told");
}

#[test]
fn short_writes_do_no_harm_wherever_they_come() {
    let mut cut_short = 0;
    for seed in 0..20 {
        let mut run = Run::on(SimVfs::default());
        run.vfs.fail_at(Which::Only(Call::Write), 1 + seed * 11, Fault::ShortWrite);
        run.work(seed).unwrap_or_else(|error| panic!("seed {seed}: {}", text(&error)));
        cut_short += u32::from(run.vfs.mend());
        run.verify(&format!("seed {seed}"));
    }
    assert!(cut_short > 10, "only {cut_short} writes were cut short");
}

/// Beyond what is cached of the index file, which answers nothing of its own accord after an error.
#[test]
fn reads_go_on_when_the_index_file_cannot_be_written() {
    const KEYS: u32 = 3000;
    let key = |number: u32| [number.to_be_bytes().as_slice(), &[b'k'; 60]].concat();
    let value = |number: u32, round: u64| noise(u64::from(number) + round, 30);
    let mut failures = 0;
    for call in std::iter::successors(Some(1), |call| Some(call * 4)).take(8) {
        for fault in [Fault::Once(ErrorKind::Other), Fault::Lasting(ErrorKind::Other)] {
            let vfs = SimVfs::default();
            let builder = Store::builder("/sim").vfs(Arc::new(vfs.clone())).cache_bytes(64 << 10);
            let store = builder.segment_bytes(1 << 20).open().unwrap();
            let keyspace = plain(&store, "k");
            let put = |round: u64| {
                let mut batch = store.batch();
                (0..KEYS).for_each(|n| batch.put(&keyspace, key(n), value(n, round)));
                batch.commit()
            };
            put(0).unwrap();
            assert!(store.check().unwrap().is_clean());
            let snapshot = store.snapshot();
            put(1).unwrap();
            vfs.fail_at(Which::Named("index.redb"), call, fault);
            assert!(store.check().unwrap().is_clean(), "call {call}");
            let failed = match put(2) {
                Ok(()) => false,
                Err(StoreError::Poisoned { .. }) => true,
                Err(error) => panic!("call {call}: {error}"),
            };
            failures += u32::from(failed);
            let newest = if failed { 1 } else { 2 };
            for number in 0..KEYS {
                let found = keyspace.get(key(number)).unwrap();
                assert_eq!(found.unwrap(), value(number, newest), "call {call}");
                let found = snapshot.get(&keyspace, key(number)).unwrap();
                assert_eq!(found.unwrap(), value(number, 0), "call {call}");
            }
            assert_eq!(keyspace.iter().flatten().count(), KEYS as usize, "call {call}");
            let struck = vfs.mend();
            let image = vfs.power_loss(call);
            drop((snapshot, store, keyspace));
            let store = open(&image).unwrap();
            let keyspace = plain(&store, "k");
            for number in 0..KEYS {
                let found = keyspace.get(key(number)).unwrap();
                assert_eq!(found.unwrap(), value(number, newest), "call {call}");
            }
            assert!(store.check().unwrap().is_clean());
            if !failed {
                assert!(!struck, "call {call}: the failure was not told");
                assert!(failures >= 2, "only {failures} failures were met");
                return;
            }
        }
    }
    panic!("the index file is written with more calls than that");
}

/// Whether the store says that one of its threads has panicked.
fn tells_of_panic(error: &StoreError) -> bool {
    let StoreError::Poisoned { source, .. } = error else { return false };
    matches!(**source, StoreError::Panicked { .. })
}

/// A store with one value, after `strike` has made one of its threads panic: it takes nothing more,
/// reads, closes, and opens again.
fn survives_a_panic(strike: impl FnOnce(&SimVfs, &Store, &Keyspace)) {
    let vfs = SimVfs::default();
    let store = open(&vfs).unwrap();
    let keyspace = plain(&store, "k");
    keyspace.put("kept", noise(1, 2000)).unwrap();
    strike(&vfs, &store, &keyspace);
    let error = keyspace.put("later", "x").unwrap_err();
    assert!(tells_of_panic(&error), "{error:?}");
    assert_eq!(keyspace.get("kept").unwrap().unwrap(), noise(1, 2000));
    let error = store.close(MINUTE).unwrap_err();
    assert!(tells_of_panic(&error), "{error:?}");
    drop((store, keyspace));
    let store = open(&vfs).unwrap();
    let keyspace = plain(&store, "k");
    assert_eq!(keyspace.get("kept").unwrap().unwrap(), noise(1, 2000));
    assert!(!keyspace.contains("later").unwrap());
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn a_caller_that_panics_while_it_writes_for_all_stops_the_store() {
    survives_a_panic(|vfs, _, keyspace| {
        vfs.before(Which::Only(Call::Flush), 1, || panic!("on purpose"));
        let put = std::panic::AssertUnwindSafe(|| keyspace.put("lost", noise(2, 2000)));
        assert!(std::panic::catch_unwind(put).is_err());
    });
}

#[test]
fn a_panic_of_the_keeper_stops_the_store() {
    survives_a_panic(|vfs, store, _| {
        vfs.before(Which::Only(Call::Rename), 1, || panic!("on purpose"));
        assert!(store.compact().is_err());
    });
}

#[test]
fn a_panic_of_the_writer_thread_stops_the_store() {
    survives_a_panic(|vfs, store, keyspace| {
        vfs.before(Which::Only(Call::Flush), 1, || panic!("on purpose"));
        let mut batch = store.batch();
        batch.put(keyspace, "lost", noise(2, 2000));
        let error = batch.commit_buffered().unwrap().wait(MINUTE).unwrap_err();
        assert!(tells_of_panic(&error), "{error:?}");
    });
}
