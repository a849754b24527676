//! Disk space held in reserve, so that a store can get out of a full disk: deletions and the
//! reclaiming of space need room in the log and in the index file before they free any.
//!
//! Room for values is reserved when a segment is made. If none can be made, the batches of the
//! group are judged one by one. Those that put something are refused ([`StoreError::Refused`]):
//! nothing of them is visible, and nothing else is affected. Those that only delete, move or expire
//! are written, if need be into the room of the reserve, and when that is used up into a segment
//! just as long as they need. A process that may not open another file is treated alike: the batch
//! is refused, and the store goes on. A write to the index file that finds no room gets the
//! reserve's part for it and is repeated before `redb` learns of it.
//!
//! The reserve is made again, where it can be, by checkpoints and when the file of a segment is
//! removed. The new segment that `compact` asks for does not take the reserve: `compact` goes on in
//! the present one. Copies that find no room end the round; the checkpoint after it frees the
//! segments copied before.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::error::StoreError;
use crate::store::files::RESERVE_FILE;
use crate::store::vfs::{OpenMode, Vfs, VfsFile};

/// The reserve file: space for a segment, and for what a checkpoint adds to the index file.
#[derive(Debug)]
pub(in crate::store) struct Reserve {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    log_bytes: u64,
    index_bytes: u64,
    kept: Mutex<Kept>,
}

/// Which parts the file has room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Kept {
    log: bool,
    index: bool,
}

impl Reserve {
    /// A reserve in `dir` for a segment of this length, and a quarter of that for the index file.
    /// It is made by [`keep`](Self::keep).
    pub(in crate::store) fn new(
        vfs: &Arc<dyn Vfs>,
        dir: &std::path::Path,
        segment_bytes: u64,
    ) -> Self {
        Self {
            vfs: Arc::clone(vfs),
            path: dir.join(RESERVE_FILE),
            log_bytes: segment_bytes,
            index_bytes: segment_bytes / 4,
            kept: Mutex::default(),
        }
    }

    /// Takes over the file of an earlier opening.
    pub(in crate::store) fn adopt(&self) -> Result<(), StoreError> {
        let length = match self.vfs.open(&self.path, OpenMode::Existing) {
            Ok(file) => file.len().map_err(self.error("measure"))?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(self.error("open")(error)),
        };
        let index = length >= self.index_bytes;
        let log = length >= self.index_bytes + self.log_bytes;
        let (found, mut kept) = (Kept { log, index }, self.kept.lock());
        if found == Kept::default() {
            return Ok(());
        }
        if length > self.length(found) {
            self.shorten(self.length(found));
        }
        // After a power loss the file may have its length without the blocks.
        match self.extend(self.length(found)) {
            Ok(()) => *kept = found,
            Err(StoreError::NoSpace { .. }) => {
                self.shorten(0);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Allocates what is missing. Having no room for it is not an error. The index file's part
    /// comes first: without it no deletion can free anything.
    pub(in crate::store) fn keep(&self) -> Result<(), StoreError> {
        let mut kept = self.kept.lock();
        let all = [Kept { log: false, index: true }, Kept { log: true, index: true }];
        for wanted in all {
            // The log's part is not given up for the index file's.
            if (kept.log && !wanted.log) || *kept == wanted {
                continue;
            }
            match self.extend(self.length(wanted)) {
                Ok(()) => *kept = wanted,
                Err(StoreError::NoSpace { .. }) => {
                    tracing::warn!(path = %self.path.display(), "no disk space for the reserve");
                    self.shorten(self.length(*kept));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Frees the space for a segment; `false` if there was none.
    pub(in crate::store) fn release_to_log(&self) -> bool {
        let mut kept = self.kept.lock();
        let rest = Kept { log: false, ..*kept };
        kept.log && self.release(&mut kept, rest)
    }

    /// Frees space for the index file, that of the log too if there is no other; `false` if there
    /// was none.
    pub(in crate::store) fn release_to_index(&self) -> bool {
        let mut kept = self.kept.lock();
        let rest = if kept.index { Kept { index: false, ..*kept } } else { Kept::default() };
        *kept != rest && self.release(&mut kept, rest)
    }

    fn release(&self, kept: &mut Kept, rest: Kept) -> bool {
        *kept = rest;
        self.shorten(self.length(rest))
    }

    const fn length(&self, kept: Kept) -> u64 {
        let log = if kept.log { self.log_bytes } else { 0 };
        let index = if kept.index { self.index_bytes } else { 0 };
        log + index
    }

    fn error(&self, action: &'static str) -> impl Fn(std::io::Error) -> StoreError {
        move |source| StoreError::io(action, &self.path, source)
    }

    fn open(&self) -> Result<Arc<dyn VfsFile>, StoreError> {
        match self.vfs.open(&self.path, OpenMode::CreateNew) {
            Err(known) if known.kind() == ErrorKind::AlreadyExists => {
                self.vfs.open(&self.path, OpenMode::Existing).map_err(self.error("open"))
            }
            made => made.map_err(self.error("create")),
        }
    }

    fn extend(&self, length: u64) -> Result<(), StoreError> {
        self.open()?.allocate(length).map_err(self.error("reserve"))
    }

    /// Truncates the file, or removes it; `false` if that failed.
    fn shorten(&self, length: u64) -> bool {
        let done = if length == 0 {
            self.vfs.remove(&self.path)
        } else {
            let file = self.vfs.open(&self.path, OpenMode::Existing);
            file.and_then(|file| file.set_len(length))
        };
        match done {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!(path = %self.path.display(), %error, "cannot free the reserve");
                }
                false
            }
        }
    }
}
