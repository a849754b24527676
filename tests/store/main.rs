//! Scenarios of the store: on real files, in processes that are killed, and on a simulated disk
//! that fails, tears writes and loses power.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code fails by panicking")]

mod basics;
mod concurrency;
mod damage;
mod failing_disk;
mod generations;
mod kill;
mod model;
mod opening;
mod power_loss;
mod sim;

use gristmill::store::{Keyspace, KeyspaceOptions, Store};

/// Long enough for any machine.
const MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

/// The keyspace with this name and the default options.
fn plain(store: &Store, name: &str) -> Keyspace {
    store.keyspace(name, KeyspaceOptions::default()).unwrap()
}

/// Bytes that do not compress, different for each seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..length).map(|_| random.next().to_le_bytes()[3]).collect()
}

/// Xorshift; the seed must not be 0.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
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
