//! Values that are alike are compressed with a dictionary once there are enough of them, and stay
//! readable: after reopening, compacting and in a backup.

use std::sync::mpsc;
use std::time::Instant;

use gristmill::pool::{Pool, Priority};
use gristmill::store::{Compression, Keyspace, KeyspaceOptions, Store};

use crate::sim::SimVfs;
use crate::{MINUTE, noise};

/// Bytes of values that a dictionary is trained on.
const SAMPLE_BYTES: u64 = 4 << 20;

/// A page of a made site: a frame that all have, and some text of its own.
fn page(number: u64) -> Vec<u8> {
    let entry =
        |n: u64| format!("<li><a href=\"/part/{n}.html\">{:x}</a></li>\n", n * 7919 % 10_007);
    let frame = (0..600).map(entry).collect::<Vec<_>>().concat();
    let text: Vec<String> = noise(number, 300).iter().map(|byte| format!("{byte:x} ")).collect();
    format!("<html><nav>{frame}</nav><p>{}</p></html>", text.concat()).into_bytes()
}

fn options() -> KeyspaceOptions {
    KeyspaceOptions::compressed(Compression::Zstd(3)).with_dictionary()
}

fn open(dir: &std::path::Path) -> (Store, Keyspace) {
    let store = Store::open(dir).unwrap();
    let pages = store.keyspace("pages", options()).unwrap();
    (store, pages)
}

/// Bytes that one more page takes in the log.
fn cost(store: &Store, pages: &Keyspace, number: u64) -> u64 {
    let before = store.stats().total_bytes;
    pages.put(number.to_be_bytes(), page(number)).unwrap();
    store.stats().total_bytes - before
}

fn holds(pages: &Keyspace, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        assert_eq!(pages.get(number.to_be_bytes()).unwrap().unwrap(), page(number), "{number}");
    }
}

#[test]
fn pages_of_one_site_share_a_dictionary_that_outlives_everything() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, pages) = open(dir.path());
    let (first, started) = (cost(&store, &pages, 0), Instant::now());
    let mut written = 1;
    while store.stats().dictionaries == 0 {
        cost(&store, &pages, written);
        written += 1;
        assert!(started.elapsed() < MINUTE * 2, "no dictionary after {written} pages");
    }
    let later = cost(&store, &pages, written);
    written += 1;
    assert!(later * 2 < first, "{later} bytes with the dictionary, {first} without");
    holds(&pages, 0..written);
    store.backup(copy.path()).unwrap();
    store.compact().unwrap();
    store.close(MINUTE).unwrap();
    for dir in [dir.path(), copy.path()] {
        let (store, pages) = open(dir);
        assert_eq!(store.stats().dictionaries, 1);
        holds(&pages, 0..written);
        let again = cost(&store, &pages, written);
        assert!(again * 2 < first, "{again} bytes after opening, {first} without");
        let report = store.check().unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

/// A value must never need a dictionary that is not there.
#[test]
fn a_dictionary_that_the_disk_has_no_room_for_is_not_used() {
    let (vfs, clock) = (SimVfs::default(), crate::oracle::clock());
    let pool = Pool::builder().max(1).build().unwrap();
    let open = || {
        let store = crate::oracle::on_disk(&vfs, "/sim", &clock).pool(pool.clone()).open().unwrap();
        let pages = store.keyspace("pages", options()).unwrap();
        (store, pages)
    };
    let (store, pages) = open();
    // Nothing is trained while the pool's only thread waits.
    let (go, wait) = mpsc::channel::<()>();
    let before = pool.spawn(Priority::Normal, move || wait.recv());
    let samples = SAMPLE_BYTES / page(0).len() as u64 + 1;
    for number in 0..samples {
        pages.put(number.to_be_bytes(), page(number)).unwrap();
    }
    vfs.set_capacity(Some(vfs.used()));
    drop(go);
    assert!(before.join().unwrap().is_err());
    let behind = pool.spawn(Priority::Low, || ());
    behind.join_timeout(MINUTE * 2).expect("the training comes to an end").unwrap();
    assert_eq!(store.stats().dictionaries, 0);
    vfs.set_capacity(None);
    pages.put(samples.to_be_bytes(), page(samples)).unwrap();
    store.close(MINUTE).unwrap();
    drop((store, pages));
    let (store, pages) = open();
    holds(&pages, 0..=samples);
    assert!(store.check().unwrap().is_clean());
}
