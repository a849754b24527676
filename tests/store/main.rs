//! Scenarios of the store: on real files, in processes that are killed, and on a simulated disk
//! that fails, tears writes and loses power.
#![cfg(feature = "store")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code fails by panicking")]

#[path = "../support/waiting.rs"]
#[expect(dead_code, reason = "no scenario of the store needs a watchdog")]
mod waiting;

mod background;
mod backups;
mod basics;
mod both_ends;
mod bulk_loads;
mod closing;
mod concurrency;
mod crash_chains;
mod damage;
mod damage_across_segments;
mod dictionaries;
mod failing_disk;
mod flipped_bytes;
mod formats;
mod full_disk;
mod gate;
mod generations;
mod held_flushes;
mod kill;
mod lasting_harm;
mod leaving_a_full_disk;
mod left_over_files;
mod many_keys;
mod model;
#[cfg(unix)]
mod open_files;
mod opening;
mod oracle;
mod power_loss;
mod races;
mod reclaiming;
mod setting_the_clock;
mod sim;
mod snapshots;
mod workload;

pub(crate) use sim::{Random, noise};
pub(crate) use waiting::{LONG as MINUTE, eventually};

use gristmill::store::{Keyspace, KeyspaceOptions, Store};

/// The keyspace with this name and the default options.
fn plain(store: &Store, name: &str) -> Keyspace {
    store.keyspace(name, KeyspaceOptions::default()).unwrap()
}

/// Copies a store's files while it is open and idle: what a crash at this moment leaves behind.
fn copy_dir(from: &std::path::Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}
