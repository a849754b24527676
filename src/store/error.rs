//! What can go wrong in the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::time::Timestamp;

/// An operation on a [`Store`](super::Store) that did not succeed.
///
/// After a failed write or flush every later write answers [`StoreError::Poisoned`]; reads go on,
/// and opening the directory again recovers everything that was acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused an operation on a file or directory.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: "open", "write".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The disk (or the quota) is full.
    #[error("{action} {}: no space left", path.display())]
    NoSpace {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Another process, or another handle of this one, has the directory open.
    #[error("{} is in use by {holder}", path.display())]
    InUse {
        /// The store's directory.
        path: PathBuf,
        /// Who holds it, as its lock file says.
        holder: Holder,
    },
    /// Bytes of the log are not what was written there.
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What does not fit.
        reason: &'static str,
    },
    /// The index file could not be read or written.
    #[error("index {}: {source}", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// The answer of `redb`.
        #[source]
        source: Box<redb::Error>,
    },
    /// A row of the index is not what this store writes there.
    #[error("index {} holds a damaged row: {reason}", path.display())]
    IndexRow {
        /// The index file.
        path: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
    /// The directory was written by a newer version of this library.
    #[error("{} has format {found}, this library reads up to {supported}", path.display())]
    FormatTooNew {
        /// The file that says so.
        path: PathBuf,
        /// The format version found.
        found: u32,
        /// The newest version this library reads.
        supported: u32,
    },
    /// A keyspace name is empty or too long.
    #[error("keyspace name {name:?} must have 1 to {limit} bytes")]
    KeyspaceName {
        /// The name asked for.
        name: String,
        /// The longest name allowed, in bytes.
        limit: usize,
    },
    /// A keyspace of another store was used with this one.
    #[error("keyspace {name:?} belongs to another store")]
    ForeignKeyspace {
        /// The keyspace's name.
        name: String,
    },
    /// A key is too long.
    #[error("key of {length} bytes in keyspace {keyspace:?}: at most {limit} are allowed")]
    KeyTooLong {
        /// The keyspace's name.
        keyspace: String,
        /// Length of the key, in bytes.
        length: usize,
        /// The longest key allowed, in bytes.
        limit: usize,
    },
    /// A value is too large.
    #[error("value of {length} bytes in keyspace {keyspace:?}: at most {limit} are allowed")]
    ValueTooLarge {
        /// The keyspace's name.
        keyspace: String,
        /// Length of the value, in bytes.
        length: usize,
        /// The largest value allowed, in bytes.
        limit: usize,
    },
    /// The values of one batch are too large together.
    #[error("batch of {length} bytes: at most {limit} are allowed")]
    BatchTooLarge {
        /// Encoded length of the batch, in bytes.
        length: usize,
        /// The largest batch allowed, in bytes.
        limit: usize,
    },
    /// A value could not be compressed or decompressed.
    #[error("{action} a value of {length} bytes: {source}")]
    Codec {
        /// "compress" or "decompress".
        action: &'static str,
        /// Length of the input, in bytes.
        length: usize,
        /// The codec's answer.
        #[source]
        source: io::Error,
    },
    /// A setting of the builder is out of its range.
    #[error("store option {name} = {value}: must be {allowed}")]
    Option {
        /// The builder's method.
        name: &'static str,
        /// The value given.
        value: u64,
        /// The range in words.
        allowed: &'static str,
    },
    /// A write, flush or checkpoint failed earlier: nothing more is written through this handle.
    #[error("store {} stopped writing: {source}", path.display())]
    Poisoned {
        /// The store's directory.
        path: PathBuf,
        /// The first failure.
        #[source]
        source: Arc<StoreError>,
    },
    /// A batch was not written because the disk is full, or the process may not open another file.
    /// Nothing of it is visible, nothing else is affected: batches that only delete are still
    /// taken, and free what a later one needs.
    #[error("store {} refused a batch: {source}", path.display())]
    Refused {
        /// The store's directory.
        path: PathBuf,
        /// What was refused by the system.
        #[source]
        source: Arc<StoreError>,
    },
    /// A backup was to go where a store is already.
    #[error("{} is there already: a backup needs a directory of its own", path.display())]
    NotEmpty {
        /// The file found.
        path: PathBuf,
    },
    /// A background thread panicked.
    #[error("a background thread of store {} panicked", path.display())]
    Panicked {
        /// The store's directory.
        path: PathBuf,
    },
    /// The store was closed.
    #[error("store {} is closed", path.display())]
    Closed {
        /// The store's directory.
        path: PathBuf,
    },
    /// The deadline passed first. A batch that was queued, and a close, go on in the background; who
    /// waited for room in the queue, or for another compaction to end, has not begun.
    #[error("{action} in store {} was not done after {waited:?}", path.display())]
    Timeout {
        /// What was waited for.
        action: &'static str,
        /// The store's directory.
        path: PathBuf,
        /// How long.
        waited: Duration,
    },
}

/// Whether the process lacks something that it may have later: open files, memory.
#[cfg(unix)]
fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let known = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(known, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

#[cfg(not(unix))]
fn is_passing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

impl StoreError {
    /// Whether another attempt to begin a segment may succeed: nothing is wrong with the disk.
    pub(super) fn is_for_now(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Io { source, .. } => is_passing(source),
            _ => false,
        }
    }

    /// The error for a refused file operation: [`StoreError::NoSpace`] where the disk is full.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::NoSpace { action, path, source }
        } else {
            Self::Io { action, path, source }
        }
    }

    /// The error for damage in a segment.
    pub(super) fn corrupt(path: &Path, offset: u64, reason: &'static str) -> Self {
        Self::Corrupt { path: path.to_path_buf(), offset, reason }
    }

    /// The error for an answer of the index: its I/O failures become those of the file.
    pub(super) fn index(path: &Path, source: impl Into<redb::Error>) -> Self {
        match source.into() {
            redb::Error::Io(source) => Self::io("access", path, source),
            source => Self::Index { path: path.to_path_buf(), source: Box::new(source) },
        }
    }
}

/// Who has a store's directory open, as the lock file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The process id, where the file names one.
    pub pid: Option<u32>,
    /// When it opened the store, where the file says so.
    pub since: Option<Timestamp>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) if pid == std::process::id() => write!(f, "this process ({pid})")?,
            Some(pid) => write!(f, "process {pid}")?,
            None => write!(f, "another process")?,
        }
        match self.since {
            Some(since) => write!(f, " since {since}"),
            None => Ok(()),
        }
    }
}
