//! Room on the disk kept back, so that a full disk can be left again: deletions and the reclaiming
//! of space need room in the log and in the index file before they give any.
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
//! the present one. Copies that find no room end the round; the checkpoint after it gives back what
//! was copied before.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::error::StoreError;
use crate::store::files::RESERVE_FILE;
use crate::store::vfs::{OpenMode, Vfs, VfsFile};

/// The file that keeps the room: for a segment, and for what a checkpoint adds to the index file.
#[derive(Debug)]
pub(in crate::store) struct Reserve {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    log_bytes: u64,
    index_bytes: u64,
    held: Mutex<Held>,
}

/// Which parts the file has room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
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
            held: Mutex::default(),
        }
    }

    /// Notes what an earlier opening has kept.
    pub(in crate::store) fn adopt(&self) -> Result<(), StoreError> {
        let length = match self.vfs.open(&self.path, OpenMode::Existing) {
            Ok(file) => file.len().map_err(self.error("measure"))?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(self.error("open")(error)),
        };
        let index = length >= self.index_bytes;
        let log = length >= self.index_bytes + self.log_bytes;
        let (found, mut held) = (Held { log, index }, self.held.lock());
        if found == Held::default() {
            return Ok(());
        }
        if length > self.length(found) {
            self.shorten(self.length(found));
        }
        // After a loss of power it may have its length and not its room.
        match self.extend(self.length(found)) {
            Ok(()) => *held = found,
            Err(StoreError::NoSpace { .. }) => {
                self.shorten(0);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sees that the room is kept; where there is none, it is not an error. The index file's comes
    /// first: without it nothing that was deleted can be given back.
    pub(in crate::store) fn keep(&self) -> Result<(), StoreError> {
        let mut held = self.held.lock();
        let all = [Held { log: false, index: true }, Held { log: true, index: true }];
        for wanted in all {
            // What is held of the log's is not given up for the index file's.
            if (held.log && !wanted.log) || *held == wanted {
                continue;
            }
            match self.extend(self.length(wanted)) {
                Ok(()) => *held = wanted,
                Err(StoreError::NoSpace { .. }) => {
                    tracing::warn!(path = %self.path.display(), "no room to keep back on the disk");
                    self.shorten(self.length(*held));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the room for a segment to the log; `false` if there was none.
    pub(in crate::store) fn give_to_log(&self) -> bool {
        let mut held = self.held.lock();
        let rest = Held { log: false, ..*held };
        held.log && self.give(&mut held, rest)
    }

    /// Gives room to the index file, that of the log too if there is no other; `false` if there
    /// was none.
    pub(in crate::store) fn give_to_index(&self) -> bool {
        let mut held = self.held.lock();
        let rest = if held.index { Held { index: false, ..*held } } else { Held::default() };
        *held != rest && self.give(&mut held, rest)
    }

    fn give(&self, held: &mut Held, rest: Held) -> bool {
        *held = rest;
        self.shorten(self.length(rest))
    }

    const fn length(&self, held: Held) -> u64 {
        let log = if held.log { self.log_bytes } else { 0 };
        let index = if held.index { self.index_bytes } else { 0 };
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

    /// Cuts the file, or removes it; `false` if that was not to be done.
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
                    tracing::warn!(path = %self.path.display(), %error, "reserve not given up");
                }
                false
            }
        }
    }
}
