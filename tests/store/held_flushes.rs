//! While a flush is held up: which calls wait, for how long, and which share the next group.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use gristmill::store::{Batch, Keyspace, Store, StoreBuilder, StoreError};

use crate::gate::Gate;
use crate::oracle::{clock, on_disk};
use crate::sim::{Fault, SimVfs, Which};
use crate::{MINUTE, eventually, noise, plain};

const LENGTH: usize = 10_000;

/// Settings for segments that hold all that a test puts.
fn builder(vfs: &SimVfs) -> StoreBuilder {
    on_disk(vfs, "/sim", &clock()).segment_bytes(4 << 20)
}

fn batch(store: &Store, k: &Keyspace, number: u64) -> Batch {
    let mut batch = store.batch();
    batch.put(k, number.to_be_bytes(), noise(number, LENGTH));
    batch
}

/// Holds up the flush of the next group; its write comes first.
fn hold_flush(vfs: &SimVfs) -> Gate {
    Gate::before(vfs, Which::Named("00000001.segment"), 2)
}

/// Commits batch 0, whose flush is held up, and gives what holds it.
fn held(vfs: &SimVfs, store: &Store, k: &Keyspace) -> Gate {
    let gate = hold_flush(vfs);
    batch(store, k, 0).commit_buffered().unwrap();
    gate.wait();
    gate
}

/// Groups and batches since then.
fn written(store: &Store, before: (u64, u64)) -> (u64, u64) {
    let stats = store.stats();
    assert_eq!(stats.flushes, stats.groups);
    (stats.groups - before.0, stats.batches - before.1)
}

#[test]
fn a_group_has_all_that_came_during_the_last_flush_up_to_its_limit() {
    // Two batches of 10,000 bytes each fit, three do not; one that is larger goes alone.
    for (limit, groups) in [(8 << 20, 1), (25_000, 4), (5000, 8), (1, 8)] {
        let vfs = SimVfs::default();
        let store = builder(&vfs).max_group_bytes(limit).open().unwrap();
        let k = plain(&store, "k");
        let gate = held(&vfs, &store, &k);
        let before = (store.stats().groups, store.stats().batches);
        let tickets: Vec<_> =
            (1..=8).map(|number| batch(&store, &k, number).commit_buffered().unwrap()).collect();
        assert!(!tickets.iter().any(gristmill::store::Ticket::is_done));
        gate.open();
        store.flush().unwrap();
        assert!(tickets.iter().all(gristmill::store::Ticket::is_done));
        // And the one that was held up.
        assert_eq!(written(&store, before), (groups + 1, 9), "limit {limit}");
        assert_eq!(k.len().unwrap(), 9);
    }
}

#[test]
fn callers_that_wait_behind_a_flush_are_answered_by_the_next_one_together() {
    const CALLERS: u64 = 12;
    let vfs = SimVfs::default();
    let store = builder(&vfs).open().unwrap();
    let k = plain(&store, "k");
    let before = (store.stats().groups, store.stats().batches);
    thread::scope(|scope| {
        let gate = hold_flush(&vfs);
        let (store, k) = (&store, &k);
        // The first one leads, and is held up.
        for caller in 0..=CALLERS {
            scope.spawn(move || batch(store, k, caller).commit().unwrap());
            if caller == 0 {
                gate.wait();
            }
        }
        let all = (CALLERS + 1) * batch(store, k, 0).encoded_len() as u64;
        eventually("all wait", || store.stats().queued_bytes == all);
        assert!(k.is_empty().unwrap());
        gate.open();
    });
    assert_eq!(written(&store, before), (2, CALLERS + 1));
    for caller in 0..=CALLERS {
        assert_eq!(k.get(caller.to_be_bytes()).unwrap().unwrap(), noise(caller, LENGTH));
    }
}

#[test]
fn a_full_queue_holds_callers_up_until_something_of_it_is_written() {
    const CALLERS: u64 = 4;
    let vfs = SimVfs::default();
    // Room for one of them, and for another half.
    let limit = LENGTH + LENGTH / 2;
    let store = builder(&vfs).queue_bytes(limit).open().unwrap();
    let k = plain(&store, "k");
    let gate = held(&vfs, &store, &k);
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (store, k) = (&store, &k);
            scope.spawn(move || {
                for round in 1..=10 {
                    let batch = batch(store, k, caller * 10 + round);
                    batch.commit_buffered().unwrap();
                    assert!(store.stats().queued_bytes <= limit as u64);
                    assert!(k.contains(0_u64.to_be_bytes()).unwrap(), "the first is not written");
                }
            });
        }
        gate.open();
    });
    store.flush().unwrap();
    assert_eq!((k.len().unwrap(), store.stats().queued_bytes), (CALLERS * 10 + 1, 0));
}

#[test]
fn a_ticket_gives_up_at_its_deadline_and_may_be_asked_again() {
    let vfs = SimVfs::default();
    let store = builder(&vfs).open().unwrap();
    let k = plain(&store, "k");
    let gate = hold_flush(&vfs);
    let ticket = batch(&store, &k, 0).commit_buffered().unwrap();
    for waited in [Duration::ZERO, Duration::from_millis(1)] {
        // It hurries the batch up, which comes no further than to its flush.
        let error = ticket.wait(waited).unwrap_err();
        let StoreError::Timeout { action, path, waited: told } = &error else { panic!("{error}") };
        assert_eq!((*action, path.to_str(), *told), ("wait for a batch", Some("/sim"), waited));
        assert_eq!(
            error.to_string(),
            format!("{action} in store /sim was not done after {waited:?}")
        );
        assert!(!ticket.is_done() && k.is_empty().unwrap());
    }
    gate.wait();
    gate.open();
    ticket.wait(MINUTE).unwrap();
    assert!(ticket.is_done());
    assert_eq!(k.get(0_u64.to_be_bytes()).unwrap().unwrap(), noise(0, LENGTH));
}

#[test]
fn a_close_gives_up_at_its_deadline_and_goes_on_in_the_background() {
    let vfs = SimVfs::default();
    let store = builder(&vfs).open().unwrap();
    let k = plain(&store, "k");
    let gate = held(&vfs, &store, &k);
    let ticket = batch(&store, &k, 1).commit_buffered().unwrap();
    for waited in [Duration::ZERO, Duration::from_millis(1)] {
        let error = store.close(waited).unwrap_err();
        let StoreError::Timeout { action: "close", waited: told, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*told, waited);
    }
    // Nothing more is taken, and the directory is not free.
    assert!(matches!(k.put("late", "x"), Err(StoreError::Closed { .. })));
    assert!(matches!(builder(&vfs).open(), Err(StoreError::InUse { .. })));
    gate.open();
    // What was queued before is written.
    ticket.wait(MINUTE).unwrap();
    store.close(MINUTE).unwrap();
    let store = builder(&vfs).open().unwrap();
    let k = plain(&store, "k");
    for number in [0, 1_u64] {
        assert_eq!(k.get(number.to_be_bytes()).unwrap().unwrap(), noise(number, LENGTH));
    }
    assert_eq!(k.len().unwrap(), 2);
}

#[test]
fn an_empty_batch_waits_for_those_before_it() {
    let vfs = SimVfs::default();
    let store = builder(&vfs).open().unwrap();
    let k = plain(&store, "k");
    // Nothing was queued before.
    let ticket = store.batch().commit_buffered().unwrap();
    assert!(ticket.is_done());
    store.batch().commit().unwrap();
    let gate = held(&vfs, &store, &k);
    let ticket = store.batch().commit_buffered().unwrap();
    let early = ticket.wait(Duration::ZERO);
    assert!(matches!(early, Err(StoreError::Timeout { .. })), "{early:?}");
    assert!(!ticket.is_done());
    thread::scope(|scope| {
        let (store, k) = (&store, &k);
        let visible = scope.spawn(move || {
            store.batch().commit().unwrap();
            k.contains(0_u64.to_be_bytes()).unwrap()
        });
        gate.open();
        assert!(visible.join().unwrap());
    });
    assert!(ticket.is_done());
    // If their flush fails, so does the empty batch.
    let gate = hold_flush(&vfs);
    batch(&store, &k, 1).commit_buffered().unwrap();
    gate.wait();
    vfs.fail_at(Which::Named("00000001.segment"), 1, Fault::Once(ErrorKind::Other));
    let ticket = store.batch().commit_buffered().unwrap();
    gate.open();
    for outcome in [store.batch().commit(), ticket.wait(MINUTE)] {
        assert!(matches!(outcome, Err(StoreError::Poisoned { .. })), "{outcome:?}");
    }
}
