//! Batches that a run commits without waiting for them.
//!
//! On a full disk the store refuses a batch and continues with others. A refused page must end the
//! run: it counts as fetched, so nothing would request it again before the next run.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use crate::store::{Batch, Store, StoreError, Ticket};

/// Tickets of batches that may not be stored yet, roughly in order. The room in the store's queue
/// bounds them.
#[derive(Debug, Default)]
pub(super) struct Commits {
    in_flight: Mutex<VecDeque<Ticket>>,
}

impl Commits {
    /// Queues a batch. Also fails if an earlier batch turns out not to have been written.
    pub(super) fn submit(&self, batch: Batch) -> Result<(), StoreError> {
        let ticket = batch.commit_buffered()?;
        self.in_flight.lock().push_back(ticket);
        self.take_done()
    }

    /// Waits until all batches submitted so far are stored; fails if any is not.
    pub(super) fn flush(&self, store: &Store) -> Result<(), StoreError> {
        // Reports the newest batch only.
        let newest = store.flush();
        self.take_done().and(newest)
    }

    /// Removes finished batches, and fails if any of them was not written.
    fn take_done(&self) -> Result<(), StoreError> {
        let mut in_flight = self.in_flight.lock();
        let mut told = Ok(());
        while in_flight.front().is_some_and(Ticket::is_done) {
            let Some(ticket) = in_flight.pop_front() else { break };
            told = told.and(ticket.wait(Duration::ZERO));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::store::KeyspaceOptions;
    use crate::store::vfs::{LockAttempt, OpenMode, RealVfs, Vfs, VfsFile};

    /// A disk on which no file can be made while it is full.
    #[derive(Debug, Default)]
    struct Disk {
        full: AtomicBool,
    }

    impl Vfs for Disk {
        fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
            RealVfs.create_dir_all(dir)
        }

        fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
            if mode == OpenMode::CreateNew && self.full.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            RealVfs.open(path, mode)
        }

        fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
            RealVfs.list(dir)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            RealVfs.remove(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            RealVfs.rename(from, to)
        }

        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            RealVfs.sync_dir(dir)
        }

        fn lock(&self, path: &Path, note: &str) -> io::Result<LockAttempt> {
            RealVfs.lock(path, note)
        }
    }

    #[test]
    fn a_batch_that_was_refused_is_told_although_later_ones_are_stored() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::<Disk>::default();
        let builder = Store::builder(dir.path()).segment_bytes(64 << 10).vfs(disk.clone());
        let store = builder.open().unwrap();
        let rows = store.keyspace("rows", KeyspaceOptions::default()).unwrap();
        let commits = Commits::default();
        let put = |key: &str, bytes: usize| {
            let mut batch = store.batch();
            batch.put(&rows, key, vec![7; bytes]);
            commits.submit(batch)
        };
        put("first", 10_000).unwrap();
        commits.flush(&store).unwrap();
        disk.full.store(true, Ordering::SeqCst);
        // Not into what is left of the segment, nor into a new one.
        let told = put("large", 100_000).and_then(|()| commits.flush(&store));
        let Err(StoreError::Refused { source, .. }) = told else { panic!("{told:?}") };
        assert!(matches!(*source, StoreError::NoSpace { .. }), "{source:?}");
        let mut batch = store.batch();
        batch.put(&rows, "large", vec![7; 100_000]);
        commits.in_flight.lock().push_back(batch.commit_buffered().unwrap());
        assert!(store.flush().is_err());
        let told = put("small", 100).and_then(|()| commits.flush(&store));
        assert!(matches!(told, Err(StoreError::Refused { .. })), "{told:?}");
        disk.full.store(false, Ordering::SeqCst);
        put("large", 100_000).unwrap();
        commits.flush(&store).unwrap();
        assert_eq!(rows.len().unwrap(), 3);
    }
}
