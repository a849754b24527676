//! The index file as `redb` sees it.
//!
//! After any I/O error `redb` fails every operation, reads included. So a write that finds no room
//! is repeated with space from the reserve before `redb` learns of it. A write that fails for good
//! is not reported to `redb` either: from then on nothing is written to the file, later writes go
//! to an overlay in memory, and the states committed before stay readable. A commit asks [`Health`]
//! whether that has happened.
//!
//! A snapshot may outlive the store, and `redb` writes a last time when its last reader is gone. By
//! then another process may have opened the directory. So the file is sealed before the lock is
//! released: nothing is read from it or written to it any more.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};
use redb::StorageBackend;

use crate::store::commit::reserve::Reserve;
use crate::store::vfs::{VfsFile, read_exact_at, write_all_at};

/// Unit of the overlay.
const BLOCK: usize = 4096;

/// A file for `redb`. The store's lock file keeps other processes out, so `redb` need not lock.
#[derive(Debug)]
pub(super) struct Backend {
    file: Arc<dyn VfsFile>,
    /// `None`: errors are passed on.
    health: Option<Arc<Health>>,
}

/// Whether an index file can still be written.
#[derive(Debug)]
pub(super) struct Health {
    reserve: Arc<Reserve>,
    /// Stored with Release after the overlay was set up, loaded with Acquire before that is read.
    failed: AtomicBool,
    overlay: RwLock<Overlay>,
    /// Whether the file may not be accessed any more. Each access holds the lock for reading.
    sealed: RwLock<bool>,
}

/// The writes since one failed, laid over the file: `redb` sees them as written.
#[derive(Debug, Default)]
struct Overlay {
    error: Option<io::Error>,
    length: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Health {
    pub(super) fn new(reserve: &Arc<Reserve>) -> Arc<Self> {
        Arc::new(Self {
            reserve: Arc::clone(reserve),
            failed: AtomicBool::new(false),
            overlay: RwLock::default(),
            sealed: RwLock::default(),
        })
    }

    /// Ends all access to the file, after waiting for the current ones.
    pub(super) fn seal(&self) {
        *self.sealed.write() = true;
    }

    /// Keeps the file from being sealed; an error if it is already.
    fn enter(&self) -> io::Result<RwLockReadGuard<'_, bool>> {
        let sealed = self.sealed.read();
        if *sealed { Err(io::Error::other("the store is closed")) } else { Ok(sealed) }
    }

    /// Fails with the error after which nothing was written, the first time; later with one that
    /// says so.
    pub(super) fn check(&self) -> io::Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let known = self.overlay.write().error.take();
        Err(known.unwrap_or_else(|| io::Error::other("an earlier write failed")))
    }
}

impl Backend {
    /// A file whose errors are passed on to `redb`.
    pub(super) const fn strict(file: Arc<dyn VfsFile>) -> Self {
        Self { file, health: None }
    }

    /// A file that stays readable after a failed write.
    pub(super) fn lasting(file: Arc<dyn VfsFile>, health: &Arc<Health>) -> Self {
        Self { file, health: Some(Arc::clone(health)) }
    }

    /// Keeps the file from being sealed during an access to it.
    fn enter(&self) -> io::Result<Option<RwLockReadGuard<'_, bool>>> {
        self.health.as_deref().map(Health::enter).transpose()
    }

    fn failed(&self) -> Option<&Health> {
        self.health.as_deref().filter(|health| health.failed.load(Ordering::Acquire))
    }

    /// Changes the file, or the overlay once a write has failed. With `again`, a change that finds
    /// no room is repeated.
    fn change(
        &self,
        again: bool,
        work: impl Fn() -> io::Result<()>,
        remember: impl Fn(&mut Overlay) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(health) = self.health.as_deref() else { return work() };
        let _not_sealed = health.enter()?;
        if self.failed().is_none() {
            let mut result = work();
            if again && result.as_ref().is_err_and(is_full) && health.reserve.release_to_index() {
                result = work();
            }
            let Err(error) = result else { return Ok(()) };
            let mut overlay = health.overlay.write();
            if !health.failed.load(Ordering::Relaxed) {
                overlay.length = self.file.len()?;
                overlay.error = Some(error);
                health.failed.store(true, Ordering::Release);
            }
        }
        remember(&mut health.overlay.write())
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Overlay {
    /// Reads the file as it would be.
    fn read(&self, file: &dyn VfsFile, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let first = offset - offset % BLOCK as u64;
        let lead = usize::try_from(offset - first).map_err(io::Error::other)?;
        let (mut at, mut done, mut skip) = (first, 0, lead);
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let block = self.block(file, at)?;
            let part = block.get(skip..).unwrap_or_default();
            let length = rest.len().min(part.len());
            for (to, from) in rest.iter_mut().zip(part) {
                *to = *from;
            }
            (at, done, skip) = (at + BLOCK as u64, done + length, 0);
        }
        Ok(())
    }

    fn write(&mut self, file: &dyn VfsFile, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let first = at - at % BLOCK as u64;
            let skip = usize::try_from(at - first).map_err(io::Error::other)?;
            let mut block = self.block(file, first)?;
            let (part, later) = rest.split_at(rest.len().min(BLOCK - skip));
            for (to, from) in block.iter_mut().skip(skip).zip(part) {
                *to = *from;
            }
            self.blocks.insert(first, block);
            at += part.len() as u64;
            rest = later;
        }
        self.length = self.length.max(at);
        Ok(())
    }

    /// The block that begins at an offset, zeros where the file has nothing.
    fn block(&self, file: &dyn VfsFile, first: u64) -> io::Result<Box<[u8]>> {
        if let Some(block) = self.blocks.get(&first) {
            return Ok(block.clone());
        }
        let mut block = vec![0; BLOCK].into_boxed_slice();
        let there = file.len()?.saturating_sub(first).min(BLOCK as u64);
        let there = usize::try_from(there).map_err(io::Error::other)?;
        if let Some(part) = block.get_mut(..there) {
            read_exact_at(file, first, part)?;
        }
        Ok(block)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        let _not_sealed = self.enter()?;
        match self.failed() {
            Some(health) => Ok(health.overlay.read().length),
            None => self.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let _not_sealed = self.enter()?;
        match self.failed() {
            Some(health) => health.overlay.read().read(&*self.file, offset, out),
            None => read_exact_at(&*self.file, offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let remember = |overlay: &mut Overlay| {
            overlay.length = len;
            Ok(())
        };
        self.change(true, || self.file.set_len(len), remember)
    }

    fn sync_data(&self) -> io::Result<()> {
        // Never repeated after an error: the outcome of the writes before it is unknown.
        self.change(false, || self.file.sync_data(), |_| Ok(()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let remember = |overlay: &mut Overlay| overlay.write(&*self.file, offset, data);
        self.change(true, || write_all_at(&*self.file, offset, &[data]), remember)
    }
}
