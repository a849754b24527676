//! What can go wrong in the store.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::time::Timestamp;

/// An operation on a [`Store`](super::Store) that did not succeed.
///
/// After a failed write or flush every later write fails with [`StoreError::Poisoned`]. Reads go
/// on, and opening the directory again recovers everything that was acknowledged.
///
/// Its text does not repeat the causes: print the chain of [`source`](std::error::Error::source)s
/// with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused an operation on a file or directory.
    #[error("cannot {action} {}", path.display())]
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
    #[error("cannot {action} {}", path.display())]
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
        /// The holder named by the lock file.
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
    #[error("cannot read or write index {}", path.display())]
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
    #[error("cannot {action} a value of {length} bytes")]
    Codec {
        /// "compress" or "decompress".
        action: &'static str,
        /// Length of the input, in bytes.
        length: usize,
        /// The codec's answer.
        #[source]
        source: io::Error,
    },
    /// A setting of the builder is out of range.
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
    #[error("store {} stopped writing after a failure", path.display())]
    Poisoned {
        /// The store's directory.
        path: PathBuf,
        /// The first failure.
        #[source]
        source: Arc<StoreError>,
    },
    /// A batch was not written because the disk is full, or the process may not open another file.
    /// None of it is visible, and nothing else is affected. Batches that only delete are still
    /// accepted, and free the space that later ones need.
    #[error("store {} refused a batch", path.display())]
    Refused {
        /// The store's directory.
        path: PathBuf,
        /// The system's refusal.
        #[source]
        source: Arc<StoreError>,
    },
    /// The target of a backup contains a store already.
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
    /// The deadline passed first. A queued batch or a close goes on in the background. An operation
    /// that was waiting for room in the queue, or for another compaction, was not started.
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

/// Whether the process has run out of something that it may get later: file handles, memory.
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
    /// Whether a later attempt to create a segment may succeed, since nothing is wrong with the
    /// disk.
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

    /// The error and its causes on one line.
    pub(super) fn with_causes(&self) -> String {
        let mut line = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            line = format!("{line}: {cause}");
            source = cause.source();
        }
        line
    }

    /// The error for damage in a segment.
    pub(super) fn corrupt(path: &Path, offset: u64, reason: &'static str) -> Self {
        Self::Corrupt { path: path.to_path_buf(), offset, reason }
    }

    /// The error for an error of the index. An I/O error in it becomes one of the file.
    pub(super) fn index(path: &Path, source: impl Into<redb::Error>) -> Self {
        match source.into() {
            redb::Error::Io(source) => Self::io("access", path, source),
            source => Self::Index { path: path.to_path_buf(), source: Box::new(source) },
        }
    }
}

/// The process that has a store's directory open, as named by the lock file.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each variant that has a source, with these words as the last cause.
    fn caused(words: &str) -> Vec<StoreError> {
        let path = PathBuf::from("dir/file");
        let system = || io::Error::other(words.to_owned());
        let full =
            || StoreError::NoSpace { action: "reserve", path: path.clone(), source: system() };
        vec![
            StoreError::Io { action: "open", path: path.clone(), source: system() },
            full(),
            StoreError::Index {
                path: path.clone(),
                source: Box::new(redb::Error::Corrupted(words.to_owned())),
            },
            StoreError::Codec { action: "compress", length: 7, source: system() },
            StoreError::Poisoned { path: path.clone(), source: Arc::new(full()) },
            StoreError::Refused { path: path.clone(), source: Arc::new(full()) },
        ]
    }

    #[test]
    fn a_chain_of_errors_names_each_cause_once() {
        for error in caused("the cause") {
            let chain = error.with_causes();
            assert_eq!(chain.matches("the cause").count(), 1, "{chain}");
            let mut links = vec![error.to_string()];
            let mut source = error.source();
            while let Some(cause) = source {
                links.push(cause.to_string());
                source = cause.source();
            }
            assert!(links.len() > 1, "{chain}: no source");
            for (number, link) in links.iter().enumerate() {
                let others = links.iter().skip(number + 1);
                assert!(others.clone().all(|other| !link.contains(other)), "{chain}");
            }
        }
    }

    #[test]
    fn an_error_names_operation_object_and_cause() {
        let chains: Vec<_> = caused("the cause").iter().map(StoreError::with_causes).collect();
        assert_eq!(chains[0], "cannot open dir/file: the cause");
        assert_eq!(
            chains[4],
            "store dir/file stopped writing after a failure: cannot reserve dir/file: the cause"
        );
    }
}
