//! Every byte of a small segment is flipped, one at a time: what lies there fails with a typed
//! error, all else is read as it was, and nothing panics.

use std::path::{Path, PathBuf};

use gristmill::store::{Compression, Keyspace, KeyspaceOptions, Store, StoreError};

use crate::oracle::{clock, on_disk};
use crate::sim::SimVfs;
use crate::{MINUTE, noise};

const DIR: &str = "/sim";

/// A value in a record of its own, one in its operation, a compressed one, and another record; the
/// groups are as many, and one more for the keyspace.
fn rows() -> [(&'static str, Vec<u8>); 4] {
    let compressible = "gristmill ".repeat(40).into_bytes();
    [("a", noise(1, 300)), ("b", b"small".to_vec()), ("c", compressible), ("d", noise(2, 261))]
}

fn open(vfs: &SimVfs) -> Result<(Store, Keyspace), StoreError> {
    let store = on_disk(vfs, DIR, &clock()).open()?;
    let options = KeyspaceOptions::compressed(Compression::Zstd(1));
    let keyspace = store.keyspace("k", options)?;
    Ok((store, keyspace))
}

/// The disk with all rows, closed or killed, and its one segment.
fn written(closed: bool) -> (SimVfs, PathBuf, Vec<u8>) {
    let vfs = SimVfs::default();
    let (store, keyspace) = open(&vfs).unwrap();
    for (key, value) in rows() {
        keyspace.put(key, value).unwrap();
    }
    let killed = vfs.kill();
    store.close(MINUTE).unwrap();
    let vfs = if closed { vfs.kill() } else { killed };
    // The next one may be there already, empty.
    let path = Path::new(DIR).join("00000001.segment");
    let bytes = vfs.files().into_iter().find(|(name, _)| *name == path).unwrap().1;
    (vfs, path, bytes)
}

/// What a byte of a segment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    SegmentHeader,
    /// The record of a value: how many such records are before it.
    Value(usize),
    /// The record that closes a group: how many such records are before it.
    Group(usize),
    /// Between a record and the next.
    Padding,
}

/// The parts of a segment, byte by byte, as they are documented.
fn parts(segment: &[u8]) -> Vec<Part> {
    let (mut parts, mut values, mut groups) = (vec![Part::SegmentHeader; 64], 0, 0);
    while segment.get(parts.len()..).is_some_and(|rest| rest.starts_with(b"GRrc")) {
        let header = &segment[parts.len()..][..40];
        let stored = u32::from_le_bytes(header[16..20].try_into().unwrap());
        let part = if header[4] == 1 { Part::Value(values) } else { Part::Group(groups) };
        values += usize::from(header[4] == 1);
        groups += usize::from(header[4] == 2);
        parts.resize(parts.len() + 40 + usize::try_from(stored).unwrap(), part);
        parts.resize(parts.len().next_multiple_of(8), Part::Padding);
    }
    assert_eq!((values, groups), (3, 5));
    assert!(parts.contains(&Part::Padding) && segment[parts.len()..].iter().all(|b| *b == 0));
    parts
}

/// Each byte with the disk on which it is flipped, a bit of it, and what it belongs to.
fn flips(closed: bool) -> impl Iterator<Item = (usize, Part, SimVfs)> {
    let (vfs, path, bytes) = written(closed);
    parts(&bytes).into_iter().enumerate().map(move |(at, part)| {
        let (vfs, mut bytes) = (vfs.kill(), bytes.clone());
        bytes[at] ^= 1 << (at % 8);
        vfs.plant(&path, &bytes);
        (at, part, vfs)
    })
}

/// The keys whose values cannot be read. Those that can be read are right, and nothing else is
/// there.
fn damaged(keyspace: &Keyspace, what: &str) -> Vec<&'static str> {
    let mut damaged = Vec::new();
    for (key, value) in rows() {
        match keyspace.get(key) {
            Ok(found) => assert!(found.as_deref() == Some(&value), "{what}: {key}"),
            Err(StoreError::Corrupt { path, .. }) => {
                assert!(path.ends_with("00000001.segment"), "{what}: {key}: {}", path.display());
                damaged.push(key);
            }
            Err(error) => panic!("{what}: {key}: {error:?}"),
        }
    }
    let read: Vec<_> = keyspace.iter().collect();
    assert_eq!(read.iter().filter(|row| row.is_err()).count(), damaged.len(), "{what}");
    let whole: Vec<_> =
        read.into_iter().flatten().map(|(key, value)| (key, value.to_vec())).collect();
    let expected = rows().into_iter().filter(|(key, _)| !damaged.contains(key));
    let expected: Vec<_> = expected.map(|(key, value)| (key.as_bytes().to_vec(), value)).collect();
    assert!(whole == expected, "{what}: rows in order");
    damaged
}

#[test]
fn a_flipped_byte_in_a_checkpointed_segment_fails_its_own_value_alone_and_check_finds_it() {
    for (at, part, vfs) in flips(true) {
        let what = format!("byte {at}, {part:?}");
        let (store, keyspace) = open(&vfs).unwrap_or_else(|error| panic!("{what}: {error}"));
        let expected: &[&str] = match part {
            Part::Value(number) => &[["a", "c", "d"][number]],
            Part::SegmentHeader | Part::Group(_) | Part::Padding => &[],
        };
        assert_eq!(damaged(&keyspace, &what), expected, "{what}");
        let report = store.check().unwrap_or_else(|error| panic!("{what}: {error}"));
        // Padding is not read.
        assert_eq!(report.is_clean(), part == Part::Padding, "{what}: {report}");
    }
}

#[test]
fn a_flipped_byte_in_a_log_that_has_no_checkpoint_is_told_or_was_in_the_last_group() {
    for (at, part, vfs) in flips(false) {
        let what = format!("byte {at}, {part:?}");
        match (part, open(&vfs)) {
            (Part::Padding, Ok((_, keyspace))) => {
                assert!(damaged(&keyspace, &what).is_empty(), "{what}");
            }
            // A torn tail: the group is not there.
            (Part::Value(2) | Part::Group(4), Ok((store, keyspace))) => {
                for (key, value) in rows() {
                    let found = keyspace.get(key).unwrap();
                    assert_eq!(found.as_deref(), (key != "d").then_some(&*value), "{what}: {key}");
                }
                assert!(store.check().unwrap().is_clean(), "{what}");
            }
            (_, Err(StoreError::Corrupt { path, .. })) => {
                assert!(path.ends_with("00000001.segment"), "{what}");
                assert!(!matches!(part, Part::Padding | Part::Value(2) | Part::Group(4)), "{what}");
            }
            (_, Ok(_)) => panic!("{what}: groups that were durable are gone, and nobody is told"),
            (_, Err(error)) => panic!("{what}: {error:?}"),
        }
    }
}
