//! Directories written by earlier versions of the library, and by this one, hold what they held.
//!
//! `tests/fixtures/README.md` says how they were written, and how to add the next.

use std::path::{Path, PathBuf};

use gristmill::store::{Compression, Keyspace, KeyspaceOptions, PutOptions, Store};

use crate::{MINUTE, copy_dir, noise, plain};

/// Keys of each keyspace.
const KEYS: u8 = 12;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The values of the keyspace `plain`: inline ones and records. Every fourth was deleted.
fn plain_value(key: u8) -> Option<Vec<u8>> {
    (key % 4 != 3).then(|| noise(key.into(), usize::from(key) * 150))
}

/// The values of the keyspace `packed`, written with zstd.
fn packed_value(key: u8) -> Vec<u8> {
    format!("page {key} ").repeat(40 * usize::from(key)).into_bytes()
}

/// The values of the keyspace `shared`, of which equal ones are stored once.
fn shared_value(key: u8) -> Vec<u8> {
    noise(u64::from(key % 3) + 100, 800)
}

fn packed(store: &Store) -> Keyspace {
    store.keyspace("packed", KeyspaceOptions::compressed(Compression::Zstd(3))).unwrap()
}

/// What both formats have. The same lines wrote the directories of format 1.
fn write_common(store: &Store) {
    let (plain, packed) = (plain(store, "plain"), packed(store));
    for key in 0..KEYS {
        plain.put([key], noise(200, 700)).unwrap();
    }
    for key in 0..KEYS {
        match plain_value(key) {
            Some(value) => plain.put([key], value).unwrap(),
            None => plain.delete([key]).unwrap(),
        }
        packed.put([key], packed_value(key)).unwrap();
    }
}

fn holds(space: &Keyspace, expected: impl Fn(u8) -> Option<Vec<u8>>) {
    let rows = space.iter().map(Result::unwrap);
    let found: Vec<_> = rows.map(|(key, value)| (key, value.to_vec())).collect();
    let all = (0..KEYS).filter_map(|key| Some((vec![key], expected(key)?)));
    assert!(found == all.collect::<Vec<_>>(), "{:?}", space.name());
    for key in 0..KEYS {
        assert_eq!(space.get([key]).unwrap().map(|value| value.to_vec()), expected(key));
    }
}

/// Opens a copy and compares, writes to it, and compares again once it is reopened.
fn opens(name: &str, with_format_2: bool) {
    let copy = copy_dir(&fixture(name));
    for _ in 0..2 {
        let store = Store::builder(copy.path()).segment_bytes(64 << 10).open().unwrap();
        let plain = plain(&store, "plain");
        plain.delete("new").unwrap();
        holds(&plain, plain_value);
        holds(&packed(&store), |key| Some(packed_value(key)));
        if with_format_2 {
            let shared = KeyspaceOptions::default().deduplicated();
            let shared = store.keyspace("shared", shared).unwrap();
            holds(&shared, |key| Some(shared_value(key)));
            holds(&crate::plain(&store, "expiring"), plain_value);
        }
        plain.put("new", noise(300, 900)).unwrap();
        let report = store.check().unwrap();
        assert!(report.is_clean(), "{name}: {report}");
        store.compact().unwrap();
        assert!(store.check().unwrap().is_clean());
        store.close(MINUTE).unwrap();
    }
}

#[test]
fn format_1_closed() {
    opens("store-v1", false);
}

#[test]
fn format_1_with_an_unapplied_log() {
    opens("store-v1-crashed", false);
}

#[test]
fn format_2_closed() {
    opens("store-v2", true);
}

#[test]
fn format_2_with_an_unapplied_log() {
    opens("store-v2-crashed", true);
}

/// Writes the directories of the present format into the directory that the variable names.
#[test]
fn write_fixtures() {
    let Some(target) = std::env::var_os("GRISTMILL_WRITE_FIXTURES") else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
    write_common(&store);
    let shared = KeyspaceOptions::default().deduplicated();
    let (shared, expiring) = (store.keyspace("shared", shared).unwrap(), plain(&store, "expiring"));
    let centuries = PutOptions::ttl(std::time::Duration::from_hours(24 * 365 * 500));
    for key in 0..KEYS {
        shared.put([key], shared_value(key)).unwrap();
        if let Some(value) = plain_value(key) {
            expiring.put_with([key], value, centuries).unwrap();
        }
    }
    let save = |from: &Path, name: &str| {
        let to = Path::new(&target).join(name);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            if name != "lock" && name != "reserve" {
                std::fs::copy(from.join(&name), to.join(&name)).unwrap();
            }
        }
    };
    save(dir.path(), "store-v2-crashed");
    store.compact().unwrap();
    store.close(MINUTE).unwrap();
    save(dir.path(), "store-v2");
}
