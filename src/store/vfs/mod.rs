//! The seam to the disk. Every call of the store on files and directories, those of the index
//! included, goes through [`Vfs`] and [`VfsFile`]. Not part of the public interface: it is there
//! for tests.
//!
//! [`RealVfs`] is the operating system. Tests wrap it, or replace it, to fail the n-th call, to
//! tear writes and to lose power.
//!
//! Contract of an implementation: a write is visible to later reads of any handle at once;
//! [`VfsFile::sync_data`] returns only when everything written through any handle of the file
//! survives a loss of power, and [`Vfs::sync_dir`] does the same for the names in a directory.

mod real;

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use real::RealVfs;

/// Whether [`Vfs::open`] expects the file to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenMode {
    /// Read and write a file that must exist.
    Existing,
    /// Read and write a file that must not exist yet.
    CreateNew,
}

/// The result of [`Vfs::lock`].
#[derive(Debug)]
#[non_exhaustive]
pub enum LockAttempt {
    /// The lock is held until the guard is dropped.
    Held(Box<dyn LockGuard>),
    /// The lock is taken. The text is the note of its holder.
    Busy(String),
}

/// Releases a lock when dropped.
pub trait LockGuard: Send + Sync + Debug {}

/// A file system, or something that acts as one.
pub trait Vfs: Send + Sync + Debug {
    /// Creates `dir` and its missing parents, and makes their names durable. An existing directory
    /// is not an error.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>>;

    /// The names in `dir`, in any order; names that are not UTF-8 are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Renames a file within its directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Tries to take the exclusive lock of `path` (created if missing) and leaves `note` in it.
    fn lock(&self, path: &Path, note: &str) -> io::Result<LockAttempt>;
}

/// An open file.
#[expect(clippy::len_without_is_empty, reason = "the length of a file, not of a collection")]
pub trait VfsFile: Send + Sync + Debug {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Reads at `offset`. Returns the number of bytes read, 0 at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes the parts one after the other from `offset` on. Returns the number of bytes written,
    /// which may be fewer.
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Extends the file to `len` zero bytes with the disk space reserved, where the file system
    /// can.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes content and length durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Advises the system to drop a range from its cache. May be ignored.
    fn forget(&self, _offset: u64, _length: u64) {}

    /// The file to map into memory. With `None` the store reads it with [`VfsFile::read_at`].
    fn mappable(&self) -> Option<&File>;
}

/// Most parts handed to one [`VfsFile::write_at`]: `IOV_MAX` of Linux and the BSDs.
const MAX_PARTS: usize = 1024;

/// Writes all parts one after the other from `offset` on, over short writes and interruptions.
pub(super) fn write_all_at(file: &dyn VfsFile, mut offset: u64, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let batch = rest.get(..rest.len().min(MAX_PARTS)).unwrap_or_default();
        match file.write_at(offset, batch) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `buffer` from `offset` on. Fails with `UnexpectedEof` if the file ends before.
pub(super) fn read_exact_at(file: &dyn VfsFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(offset + filled as u64, rest) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
