//! Batches that a run commits without waiting, and what becomes of them.
//!
//! A full disk makes the store refuse a batch and go on with others. A page that was refused must
//! end the run: it counts as stored, and nobody would ask for it again before the next run.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use crate::store::{Batch, Store, StoreError, Ticket};

/// The receipts of batches on their way, about in their order. There are as many as the store's
/// queue has room for.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    on_their_way: Mutex<VecDeque<Ticket>>,
}

impl Receipts {
    /// Queues a batch. Fails, too, if one of those before it turns out not to have been written.
    pub(super) fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let ticket = batch.commit_buffered()?;
        self.on_their_way.lock().push_back(ticket);
        self.look()
    }

    /// Waits until all batches so far are stored; fails if one is not.
    pub(super) fn settle(&self, store: &Store) -> Result<(), StoreError> {
        // Tells of the newest batch alone.
        let newest = store.flush();
        self.look().and(newest)
    }

    /// Takes off all that is done, and fails if any of it was not written.
    fn look(&self) -> Result<(), StoreError> {
        let mut on_their_way = self.on_their_way.lock();
        let mut told = Ok(());
        while on_their_way.front().is_some_and(Ticket::is_done) {
            let Some(ticket) = on_their_way.pop_front() else { break };
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
        let receipts = Receipts::default();
        let put = |key: &str, bytes: usize| {
            let mut batch = store.batch();
            batch.put(&rows, key, vec![7; bytes]);
            receipts.commit(batch)
        };
        put("first", 10_000).unwrap();
        receipts.settle(&store).unwrap();
        disk.full.store(true, Ordering::SeqCst);
        // Not into what is left of the segment, nor into a new one.
        let told = put("large", 100_000).and_then(|()| receipts.settle(&store));
        let Err(StoreError::Refused { source, .. }) = told else { panic!("{told:?}") };
        assert!(matches!(*source, StoreError::NoSpace { .. }), "{source:?}");
        let mut batch = store.batch();
        batch.put(&rows, "large", vec![7; 100_000]);
        receipts.on_their_way.lock().push_back(batch.commit_buffered().unwrap());
        assert!(store.flush().is_err());
        let told = put("small", 100).and_then(|()| receipts.settle(&store));
        assert!(matches!(told, Err(StoreError::Refused { .. })), "{told:?}");
        disk.full.store(false, Ordering::SeqCst);
        put("large", 100_000).unwrap();
        receipts.settle(&store).unwrap();
        assert_eq!(rows.len().unwrap(), 3);
    }
}
