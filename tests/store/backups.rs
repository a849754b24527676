//! A backup is made while the store is in use, shows the state at its start, and is not mixed with
//! another store.

use gristmill::store::{KeyspaceOptions, Store, StoreError};

use crate::oracle::{clock, on_disk};
use crate::sim::{SimVfs, Which};
use crate::{noise, plain};

const KEYS: u8 = 20;

#[test]
fn what_is_written_and_reclaimed_during_a_backup_is_not_in_it() {
    let (vfs, clock) = (SimVfs::default(), clock());
    let store = on_disk(&vfs, "/sim", &clock).open().unwrap();
    let shared = KeyspaceOptions::default().deduplicated();
    let (k, shared) = (plain(&store, "k"), store.keyspace("shared", shared).unwrap());
    for key in 0..KEYS {
        k.put([key], noise(key.into(), 9000)).unwrap();
        shared.put([key], noise(u64::from(key % 3), 700)).unwrap();
    }
    // When the checkpoint is taken and the first file of the copy about to be made.
    let meanwhile = (store.clone(), k.clone(), shared.clone());
    vfs.before(Which::Named("/copy/00000001.segment"), 1, move || {
        let (store, k, shared) = meanwhile;
        for key in 0..KEYS {
            if key % 2 == 0 {
                k.put([key], noise(100, 9000)).unwrap();
            } else {
                shared.delete([key]).unwrap();
            }
        }
        plain(&store, "later").put("key", "value").unwrap();
        store.compact().unwrap();
    });
    let report = store.backup("/copy").unwrap();
    assert!(report.sequence < store.stats().sequence, "written before it, not during it");
    assert_eq!(k.get([0]).unwrap().unwrap(), noise(100, 9000));

    let copy = on_disk(&vfs, "/copy", &clock).open().unwrap();
    let (k, shared, later) = (plain(&copy, "k"), plain(&copy, "shared"), plain(&copy, "later"));
    for key in 0..KEYS {
        assert_eq!(k.get([key]).unwrap().unwrap(), noise(key.into(), 9000), "{key}");
        assert_eq!(shared.get([key]).unwrap().unwrap(), noise(u64::from(key % 3), 700), "{key}");
    }
    assert!(later.is_empty().unwrap());
    for store in [copy, store] {
        let report = store.check().unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

#[test]
fn a_directory_that_has_any_file_of_a_store_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    plain(&store, "k").put("key", noise(1, 9000)).unwrap();
    for name in ["index.redb", "00000007.segment"] {
        let target = dir.path().join(name);
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join(name), "of another store").unwrap();
        match store.backup(&target) {
            Err(StoreError::NotEmpty { path }) => assert_eq!(path, target.join(name)),
            other => panic!("{name}: {other:?}"),
        }
        let left: Vec<_> = std::fs::read_dir(&target).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(std::fs::read(target.join(name)).unwrap(), b"of another store");
    }
    assert!(matches!(store.backup(store.dir()), Err(StoreError::NotEmpty { .. })));
    // An index file that never got its name is what an interrupted backup leaves, and other files
    // are none of a store's.
    let target = dir.path().join("interrupted");
    std::fs::create_dir(&target).unwrap();
    std::fs::write(target.join("index.redb.new"), "half").unwrap();
    std::fs::write(target.join("notes"), "x").unwrap();
    store.backup(&target).unwrap();
    let copy = Store::open(&target).unwrap();
    assert_eq!(plain(&copy, "k").get("key").unwrap().unwrap(), noise(1, 9000));
}
