//! Power fails at every call of a workload, during recovery too: everything acknowledged is there,
//! batches are whole or absent, and nothing deleted comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use gristmill::store::{Direction, KeyspaceOptions, Store, StoreError};

use crate::sim::{Fault, SimVfs};
use crate::{MINUTE, Random, noise};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(vfs: &SimVfs) -> Result<Store, StoreError> {
    Store::builder("/sim").vfs(Arc::new(vfs.clone())).segment_bytes(64 << 10).open()
}

/// What the oracle knows: all acknowledged batches, and the one whose fate is open.
#[derive(Debug, Default, Clone)]
struct Oracle {
    sure: Model,
    perhaps: Option<Model>,
}

/// Random batches of puts, overwrites and deletes until one fails. Closes and opens again halfway.
fn workload(vfs: &SimVfs, seed: u64, oracle: &mut Oracle) -> Result<(), StoreError> {
    let mut random = Random(seed | 1);
    for half in 0..2 {
        let store = open(vfs)?;
        let keyspace = store.keyspace("k", KeyspaceOptions::default())?;
        for round in 0..12 {
            let (mut batch, mut next) = (store.batch(), oracle.sure.clone());
            for _ in 0..=random.below(4) {
                let key = vec![b'a' + u8::try_from(random.below(12)).unwrap()];
                if random.below(3) == 0 {
                    batch.delete(&keyspace, &key);
                    next.remove(&key);
                } else {
                    let length = random.pick(&[10, 300, 9000]);
                    let value = noise(random.next(), length);
                    batch.put(&keyspace, &key, &value);
                    next.insert(key, value);
                }
            }
            oracle.perhaps = Some(next);
            if round % 3 == 0 {
                batch.commit_buffered()?.wait(MINUTE)?;
            } else {
                batch.commit()?;
            }
            oracle.sure = oracle.perhaps.take().unwrap();
        }
        if half == 0 {
            store.close(MINUTE)?;
        }
    }
    Ok(())
}

fn content(store: &Store) -> Result<Model, StoreError> {
    let keyspace = store.keyspace("k", KeyspaceOptions::default())?;
    let rows = keyspace.range::<&[u8]>(.., Direction::Forward);
    rows.map(|row| row.map(|(key, value)| (key, value.to_vec()))).collect()
}

/// Opens the disk and compares; gives what was found, so that it can be held to it.
fn verify(vfs: &SimVfs, oracle: &Oracle, what: &str) -> Model {
    let store = open(vfs).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = content(&store).unwrap();
    let whole = found == oracle.sure || oracle.perhaps.as_ref() == Some(&found);
    assert!(whole, "{what}: keys {:?}", found.keys().collect::<Vec<_>>());
    let report = store.check().unwrap();
    assert!(report.is_clean(), "{what}: {report:?}");
    store.close(MINUTE).unwrap();
    found
}

#[test]
fn power_loss_at_every_call_keeps_what_was_acknowledged() {
    let seed = 5;
    let whole = SimVfs::default();
    workload(&whole, seed, &mut Oracle::default()).unwrap();
    let calls = whole.calls();
    assert!(calls > 100, "{calls}");
    for call in 1..=calls {
        let (vfs, mut oracle) = (SimVfs::default(), Oracle::default());
        vfs.fail(call, Fault::PowerOff);
        let result = workload(&vfs, seed, &mut oracle);
        assert!(result.is_err() || call + 40 > calls, "call {call} of {calls} was not made");
        let image = vfs.power_loss(call);
        verify(&image, &oracle, &format!("power lost at call {call} of {calls}"));
    }
}

#[test]
fn a_kill_then_power_loss_while_recovering_keeps_what_was_acknowledged() {
    for seed in 1..=60 {
        let (vfs, mut oracle, mut random) =
            (SimVfs::default(), Oracle::default(), Random(seed * 31));
        vfs.fail(20 + random.below(150), Fault::PowerOff);
        let _ended_by_the_fault = workload(&vfs, seed, &mut oracle);
        // The process is killed: the page cache stays as it is, and is not synced.
        vfs.restart();
        vfs.fail(1 + random.below(30), Fault::PowerOff);
        // Making the keyspace, if it is not there yet, may fail too.
        if let Ok(store) = open(&vfs)
            && let Ok(found) = content(&store)
        {
            assert!(found == oracle.sure || oracle.perhaps.as_ref() == Some(&found));
            // It was served, so it must stay.
            oracle = Oracle { sure: found, perhaps: None };
        }
        let image = vfs.power_loss(seed);
        let found = verify(&image, &oracle, &format!("seed {seed}, first recovery"));
        let oracle = Oracle { sure: found, perhaps: None };
        verify(&image.power_loss(seed), &oracle, &format!("seed {seed}, second recovery"));
    }
}
