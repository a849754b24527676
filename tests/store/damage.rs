//! Damaged files give typed errors for what is damaged, and only for that; never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use gristmill::store::{KeyspaceOptions, PutOptions, ReadMode, Store, StoreError, Verification};
use redb::ReadableTable;

use crate::{MINUTE, copy_dir, noise, plain};

/// A store with ten values of 5,000 bytes, crashed before any checkpoint: all in the log's tail.
fn crashed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(256 << 10).open().unwrap();
    for round in 0..10_u8 {
        plain(&store, "k").put([round], noise(round.into(), 5000)).unwrap();
    }
    copy_dir(dir.path())
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).collect();
    paths.sort();
    paths
}

/// The offset of a value's first bytes in a file.
fn find(bytes: &[u8], value: &[u8]) -> usize {
    bytes.windows(16).position(|window| window == &value[..16]).unwrap()
}

#[test]
fn a_crashed_store_recovers_all_and_again() {
    let dir = crashed();
    for _ in 0..3 {
        let store = Store::open(dir.path()).unwrap();
        let keyspace = plain(&store, "k");
        for round in 0..10_u8 {
            assert_eq!(keyspace.get([round]).unwrap().unwrap(), noise(round.into(), 5000));
        }
        assert!(store.check().unwrap().is_clean());
        assert_eq!(store.stats().segments, 1);
    }
}

#[test]
fn a_torn_last_group_is_dropped_alone() {
    let dir = crashed();
    let path = &segments(dir.path())[0];
    let mut bytes = fs::read(path).unwrap();
    let at = find(&bytes, &noise(9, 5000));
    bytes[at + 2000..].fill(0);
    fs::write(path, &bytes).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let keyspace = plain(&store, "k");
    assert_eq!(keyspace.len().unwrap(), 9);
    assert_eq!(keyspace.get([8]).unwrap().unwrap(), noise(8, 5000));
    assert!(!keyspace.contains([9]).unwrap());
}

#[test]
fn a_flipped_byte_before_a_durable_group_is_reported_at_open() {
    let dir = crashed();
    let path = &segments(dir.path())[0];
    let clean = fs::read(path).unwrap();
    let last = find(&clean, &noise(9, 5000));
    // In the segment's header, in record headers and in payloads.
    for at in [3, 20, 100, find(&clean, &noise(4, 5000)) - 30, find(&clean, &noise(4, 5000)) + 99] {
        assert!(at < last);
        let mut bytes = clean.clone();
        bytes[at] ^= 0x10;
        fs::write(path, &bytes).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "byte {at}: {error}");
    }
    fs::write(path, &clean).unwrap();
    assert_eq!(plain(&Store::open(dir.path()).unwrap(), "k").len().unwrap(), 10);
}

#[test]
fn a_flipped_byte_in_a_checkpointed_value_fails_that_value_alone() {
    for mode in [ReadMode::Map, ReadMode::Pread] {
        let dir = crashed();
        Store::open(dir.path()).unwrap().close(MINUTE).unwrap();
        let path = &segments(dir.path())[0];
        let mut bytes = fs::read(path).unwrap();
        let at = find(&bytes, &noise(4, 5000));
        bytes[at + 77] ^= 1;
        fs::write(path, &bytes).unwrap();
        let store = Store::builder(dir.path()).read_mode(mode).open().unwrap();
        let keyspace = plain(&store, "k");
        for round in 0..10_u8 {
            match keyspace.get([round]) {
                Err(StoreError::Corrupt { path: named, .. }) if round == 4 => {
                    assert_eq!(&named, path);
                }
                value => assert_eq!(value.unwrap().unwrap(), noise(round.into(), 5000)),
            }
        }
        let report = store.check().unwrap();
        assert_eq!(report.problem_count, 1, "{report:?}");
        drop((store, keyspace));
        let trusting = Store::builder(dir.path())
            .read_mode(mode)
            .verification(Verification::Never)
            .open()
            .unwrap();
        let value = plain(&trusting, "k").get([4]).unwrap().unwrap();
        assert_eq!(value.iter().zip(noise(4, 5000)).filter(|(a, b)| **a != *b).count(), 1);
    }
}

/// Writes into a file that may be mapped, which must not be cut meanwhile.
fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_value_that_is_damaged_between_two_reads_fails_the_second_if_all_are_verified() {
    for mode in [ReadMode::Map, ReadMode::Pread] {
        for verification in [Verification::Always, Verification::First] {
            let dir = tempfile::tempdir().unwrap();
            let builder = Store::builder(dir.path()).read_mode(mode);
            let store = builder.verification(verification).open().unwrap();
            let (keyspace, value) = (plain(&store, "k"), noise(1, 5000));
            keyspace.put("key", &value).unwrap();
            assert_eq!(keyspace.get("key").unwrap().unwrap(), value);
            let path = &segments(dir.path())[0];
            let at = find(&fs::read(path).unwrap(), &value) + 77;
            overwrite(path, at, &[!value[77]]);
            match (verification, keyspace.get("key")) {
                (Verification::Always, Err(StoreError::Corrupt { path: named, .. })) => {
                    assert_eq!(&named, path);
                }
                // The place is known from the first read, which was verified.
                (Verification::First, Ok(Some(read))) => {
                    assert_eq!(read.iter().zip(value).filter(|(a, b)| **a != *b).count(), 1);
                }
                (_, other) => panic!("{mode:?}, {verification:?}: {other:?}"),
            }
            // What reads all at once verifies, whatever was read before.
            let read = keyspace.prefix("").next().unwrap();
            assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
        }
    }
}

#[test]
fn a_damaged_value_is_not_made_whole_by_copying_it() {
    let dir = crashed();
    Store::open(dir.path()).unwrap().close(MINUTE).unwrap();
    let path = &segments(dir.path())[0];
    let at = find(&fs::read(path).unwrap(), &noise(4, 5000)) + 77;
    overwrite(path, at, &[!noise(4, 5000)[77]]);
    for _ in 0..2 {
        let store = Store::builder(dir.path()).segment_bytes(256 << 10).open().unwrap();
        let keyspace = plain(&store, "k");
        // Something dead, so that the rest is copied.
        keyspace.put([0], noise(0, 5000)).unwrap();
        store.compact().unwrap();
        for round in 0..10_u8 {
            match keyspace.get([round]) {
                Err(StoreError::Corrupt { path: named, .. }) if round == 4 => {
                    assert_eq!(&named, path, "it stays where it was");
                }
                value => assert_eq!(value.unwrap().unwrap(), noise(round.into(), 5000)),
            }
        }
        assert!(store.stats().records_moved >= 8);
        let report = store.check().unwrap();
        assert_eq!(report.problem_count, 1, "{report}");
        store.close(MINUTE).unwrap();
    }
}

#[test]
fn a_cut_or_missing_segment_leaves_the_rest_readable_and_check_lists_it() {
    for cut in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
        for round in 0..10_u8 {
            plain(&store, "k").put([round], noise(round.into(), 40_000)).unwrap();
        }
        store.close(MINUTE).unwrap();
        drop(store);
        let path = &segments(dir.path())[2];
        let lost = fs::read(path).unwrap();
        if cut {
            fs::write(path, &lost[..20_000]).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        let store = Store::open(dir.path()).unwrap();
        let keyspace = plain(&store, "k");
        let failed: Vec<_> = (0..10_u8)
            .filter(|round| match keyspace.get([*round]) {
                Ok(value) => {
                    assert_eq!(value.unwrap(), noise((*round).into(), 40_000));
                    false
                }
                Err(StoreError::Corrupt { .. }) => true,
                Err(error) => panic!("{error}"),
            })
            .collect();
        assert_eq!(failed.len(), 1, "cut {cut}: {failed:?}");
        let report = store.check().unwrap();
        assert!(report.problem_count >= 2, "{report:?}");
        assert!(report.problems.iter().any(|problem| problem.key.is_some()), "{report:?}");
        // Reclaiming leaves what it cannot copy, and comes to an end.
        keyspace.put([0], "small").unwrap();
        store.compact().unwrap();
        for round in 1..10_u8 {
            match keyspace.get([round]) {
                Err(StoreError::Corrupt { .. }) if failed == [round] => {}
                value => assert_eq!(value.unwrap().unwrap(), noise(round.into(), 40_000)),
            }
        }
        assert_eq!(keyspace.get([0]).unwrap().unwrap(), b"small");
    }
}

#[test]
fn a_missing_index_beside_segments_is_refused() {
    let dir = crashed();
    fs::remove_file(dir.path().join("index.redb")).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Corrupt { .. })));
}

/// A closed store of 40 keys with everything an index can hold.
fn closed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
    let shared = KeyspaceOptions::default().deduplicated();
    let (k, shared) = (plain(&store, "k"), store.keyspace("shared", shared).unwrap());
    let year = PutOptions::ttl(std::time::Duration::from_hours(365 * 24));
    for round in 0..20_u8 {
        k.put_with([round], noise(round.into(), 50 * usize::from(round)), year).unwrap();
        shared.put([round], noise(u64::from(round % 3), 700)).unwrap();
    }
    store.close(MINUTE).unwrap();
    dir
}

/// Reads everything; a value that is wrong without an error is a failure.
fn read_all(store: &Store) -> Result<(), StoreError> {
    let spaces = ["k", "shared"].map(|name| store.keyspace(name, KeyspaceOptions::default()));
    let [k, shared] = spaces;
    let (k, shared) = (k?, shared?);
    for round in 0..20_u8 {
        for (space, expected) in [
            (&k, noise(round.into(), 50 * usize::from(round))),
            (&shared, noise(u64::from(round % 3), 700)),
        ] {
            let value = space.get([round])?;
            assert_eq!(value.as_deref(), Some(expected.as_slice()), "{round}");
        }
    }
    k.prefix("").chain(shared.prefix("")).try_for_each(|row| row.map(drop))
}

#[test]
fn a_flipped_byte_anywhere_in_the_index_is_found_when_it_is_verified() {
    let dir = closed();
    let path = dir.path().join("index.redb");
    let clean = fs::read(&path).unwrap();
    let (mut random, mut refused, mut harmless) = (crate::Random(77), 0, 0);
    // All of the file's own header, and a sample of the pages that are not empty.
    let written: Vec<usize> = (0..clean.len()).filter(|at| clean[*at] != 0).collect();
    let sample =
        (0..250).map(|_| written[usize::try_from(random.below(written.len() as u64)).unwrap()]);
    for at in (0..320).step_by(3).chain(sample) {
        let copy = copy_dir(dir.path());
        let mut bytes = clean.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(copy.path().join("index.redb"), &bytes).unwrap();
        let store = Store::builder(copy.path()).verify_index(true).open();
        match store.and_then(|store| read_all(&store).and_then(|()| store.check())) {
            // In a page that is free, or a part of the header that is not used now.
            Ok(report) if report.is_clean() => harmless += 1,
            Ok(_)
            | Err(
                StoreError::Index { .. }
                | StoreError::IndexRow { .. }
                | StoreError::Io { .. }
                | StoreError::FormatTooNew { .. }
                | StoreError::Corrupt { .. },
            ) => refused += 1,
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    assert!(refused > 30 && harmless > 0, "{refused} found, {harmless} harmless");
}

#[test]
fn a_cut_index_is_refused() {
    let dir = closed();
    let clean = fs::read(dir.path().join("index.redb")).unwrap();
    for length in [0, 1, 100, 512, 4096, clean.len() / 2, clean.len() - 1] {
        let copy = copy_dir(dir.path());
        fs::write(copy.path().join("index.redb"), &clean[..length]).unwrap();
        let store = Store::builder(copy.path()).verify_index(true).open();
        let error = store.and_then(|store| read_all(&store)).unwrap_err();
        let typed = matches!(error, StoreError::Index { .. } | StoreError::Io { .. });
        assert!(typed, "{length} bytes: {error:?}");
    }
}

pub(crate) type Table<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// Changes a table of a closed store's index file.
pub(crate) fn edit(dir: &Path, name: &str, change: impl FnOnce(&mut Table<'_>)) {
    let db = redb::Database::open(dir.join("index.redb")).unwrap();
    let transaction = db.begin_write().unwrap();
    change(&mut transaction.open_table(redb::TableDefinition::new(name)).unwrap());
    transaction.commit().unwrap();
}

/// The first row whose key begins so.
fn first(table: &Table<'_>, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (key, row) = table.range(prefix..).unwrap().next().unwrap().unwrap();
    assert!(key.value().starts_with(prefix), "{:?}", key.value());
    (key.value().to_vec(), row.value().to_vec())
}

/// Adds one to a number in such a row, which begins at `at`.
fn add_one(table: &mut Table<'_>, prefix: &[u8], at: usize) {
    let (key, mut row) = first(table, prefix);
    row[at] += 1;
    table.insert(key.as_slice(), row.as_slice()).unwrap();
}

#[test]
fn counters_and_own_rows_that_do_not_fit_are_found_by_a_check() {
    const SHARED: &[u8] = &[0xff, 0xff, 0xff, 0xfe];
    const ORPHANS: [u8; 4] = [0xff, 0xff, 0xff, 0xfd];
    const EXPIRIES: &[u8] = &[0xff; 4];
    type Change = fn(&mut Table<'_>);
    let changes: [(&str, Change, &str); 7] = [
        ("meta", |meta| add_one(meta, b"s", 16), "live bytes, the index says"),
        ("meta", |meta| add_one(meta, b"s", 24), "live bytes, the index says"),
        ("meta", |meta| add_one(meta, b"k", 0), "has 20 keys, the index says 21"),
        ("meta", |meta| add_one(meta, b"e", 0), "has 20 keys that expire, the index says 21"),
        ("data", |data| add_one(data, SHARED, 14), "references, the index says"),
        (
            "data",
            |data| {
                let (key, _) = first(data, EXPIRIES);
                data.remove(key.as_slice()).unwrap();
            },
            "row and expiry list differ",
        ),
        (
            "data",
            |data| {
                let (key, mark) = (first(data, SHARED).0, first(data, EXPIRIES).1);
                data.insert([ORPHANS.as_slice(), &key].concat().as_slice(), mark.as_slice())
                    .unwrap();
            },
            "orphan without a deduplicated value",
        ),
    ];
    let clean = closed();
    for (table, change, expected) in changes {
        let dir = copy_dir(clean.path());
        edit(dir.path(), table, change);
        let report = Store::open(dir.path()).unwrap().check().unwrap();
        assert_eq!(report.problem_count, 1, "{expected}: {report}");
        let [problem] = report.problems.as_slice() else { panic!("{report}") };
        assert!(problem.reason.contains(expected), "{expected}: {report}");
    }
}
