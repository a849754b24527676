//! One call fails: the store stops with a typed error, reads go on, and reopening has everything
//! that was acknowledged.

use std::io::ErrorKind;
use std::sync::Arc;

use gristmill::store::{KeyspaceOptions, Store, StoreError};

use crate::sim::{Fault, SimVfs};
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
    assert!(matches!(store.flush(), Ok(()) | Err(StoreError::Poisoned { .. })));
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

#[test]
fn an_error_of_any_single_call_is_typed_and_loses_nothing_acknowledged() {
    for (first, kind) in [(1, ErrorKind::Other), (2, ErrorKind::StorageFull)] {
        for call in (first..).step_by(2) {
            let (vfs, mut acknowledged) = (SimVfs::default(), 0_u32);
            vfs.fail(call, Fault::Once(kind));
            let result = (|| {
                let store = open(&vfs)?;
                let keyspace = store.keyspace("k", KeyspaceOptions::default())?;
                for round in 0..8_u32 {
                    keyspace.put(round.to_be_bytes(), noise(round.into(), 12_000))?;
                    acknowledged = round + 1;
                }
                store.close(MINUTE)
            })();
            if let Err(error) = &result {
                let text = std::iter::successors(Some(error as &dyn std::error::Error), |error| {
                    std::error::Error::source(*error)
                });
                let text = text.map(ToString::to_string).collect::<Vec<_>>().join(": ");
                let full = kind == ErrorKind::StorageFull;
                assert!(!full || text.contains("no space left"), "call {call}: {text}");
            }
            vfs.restart();
            let store = open(&vfs).unwrap_or_else(|error| panic!("call {call}: {error}"));
            let keyspace = plain(&store, "k");
            for round in 0..acknowledged {
                let value = keyspace.get(round.to_be_bytes()).unwrap();
                assert_eq!(value.unwrap(), noise(round.into(), 12_000), "call {call}");
            }
            assert!(store.check().unwrap().is_clean());
            if vfs.calls() < call {
                break;
            }
        }
    }
}

#[test]
fn short_writes_are_completed() {
    for call in 1..60 {
        let vfs = SimVfs::default();
        vfs.fail(call, Fault::ShortWrite);
        let store = open(&vfs).unwrap();
        let keyspace = plain(&store, "k");
        for round in 0..8_u32 {
            keyspace.put(round.to_be_bytes(), noise(round.into(), 3000)).unwrap();
        }
        drop((store, keyspace));
        let store = open(&vfs).unwrap();
        assert_eq!(plain(&store, "k").len().unwrap(), 8);
        assert!(store.check().unwrap().is_clean());
    }
}
