//! Room on the disk kept back, so that a full disk can be left again: deletions and the reclaiming
//! of space need room before they give any.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::StoreError;
use super::vfs::{OpenMode, Vfs};

/// Name of the file in the store's directory. It holds nothing.
pub(super) const RESERVE_FILE: &str = "reserve";

/// The file that keeps the room.
#[derive(Debug)]
pub(super) struct Reserve {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    bytes: u64,
    /// Whether the file is there at its full length. Relaxed: who changes it holds the file too.
    held: AtomicBool,
}

impl Reserve {
    /// A reserve of `bytes` in `dir`; it is made by [`keep`](Self::keep).
    pub(super) fn new(vfs: &Arc<dyn Vfs>, dir: &std::path::Path, bytes: u64) -> Self {
        let (vfs, path) = (Arc::clone(vfs), dir.join(RESERVE_FILE));
        Self { vfs, path, bytes, held: AtomicBool::new(false) }
    }

    /// Sees that the room is kept; where there is none, it is not an error.
    pub(super) fn keep(&self) -> Result<(), StoreError> {
        if self.held.load(Ordering::Relaxed) {
            return Ok(());
        }
        let error = |action| move |source| StoreError::io(action, &self.path, source);
        let kept = (|| {
            let file = match self.vfs.open(&self.path, OpenMode::CreateNew) {
                Err(known) if known.kind() == std::io::ErrorKind::AlreadyExists => {
                    self.vfs.open(&self.path, OpenMode::Existing).map_err(error("open"))?
                }
                made => made.map_err(error("create"))?,
            };
            if file.len().map_err(error("measure"))? != self.bytes {
                file.set_len(0).map_err(error("cut"))?;
                file.allocate(self.bytes).map_err(error("reserve"))?;
            }
            Ok(())
        })();
        match kept {
            Ok(()) => self.held.store(true, Ordering::Relaxed),
            Err(StoreError::NoSpace { .. }) => {
                tracing::warn!(path = %self.path.display(), "no room to keep back on the disk");
                self.give_up();
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives the room to the rest of the store; `false` if there was none.
    pub(super) fn give_up(&self) -> bool {
        self.held.store(false, Ordering::Relaxed);
        match self.vfs.remove(&self.path) {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!(path = %self.path.display(), %error, "reserve not removed");
                }
                false
            }
        }
    }
}
