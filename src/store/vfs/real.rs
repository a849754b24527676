//! The operating system behind the seam.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use super::{LockAttempt, LockGuard, OpenMode, Vfs, VfsFile};

/// Longest note read from a lock file, in bytes.
const MAX_NOTE: u64 = 256;

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealVfs;

impl Vfs for RealVfs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
        fs::create_dir_all(dir)?;
        for made in &missing {
            self.sync_dir(parent(made))?;
        }
        if missing.is_empty()
            && let Err(error) = self.sync_dir(parent(dir))
        {
            // A process that created it may have been killed before this point. The parent may be
            // unreadable, which is not our failure.
            tracing::debug!(dir = %dir.display(), %error, "directory name not flushed");
        }
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(mode == OpenMode::CreateNew);
        Ok(Arc::new(RealFile { file: options.open(path)? }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[cfg(unix)]
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// Directories cannot be synced here; NTFS journals its names itself.
    #[cfg(not(unix))]
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<LockAttempt> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = Vec::new();
                // Some systems refuse to read a locked file. Then the holder stays unnamed.
                let _unread = file.take(MAX_NOTE).read_to_end(&mut text);
                return Ok(LockAttempt::Busy(String::from_utf8_lossy(&text).into_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // A full disk has no room for the note, and the store must open all the same.
        if let Err(error) = write_note(&mut file, note) {
            tracing::warn!(path = %path.display(), %error, "lock file not written");
        }
        Ok(LockAttempt::Held(Box::new(RealLock { file })))
    }
}

fn write_note(file: &mut File, note: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(note.as_bytes())
}

/// The directory that the name of `dir` is in.
fn parent(dir: &Path) -> &Path {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The lock goes with the file handle.
#[derive(Debug)]
struct RealLock {
    file: File,
}

impl LockGuard for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        // Best effort: the next holder overwrites a note that is left.
        let _kept = self.file.set_len(0);
        let _closed_anyway = self.file.unlock();
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
}

impl VfsFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match parts {
            [part] => std::os::unix::fs::FileExt::write_at(&self.file, part, offset),
            parts => Ok(rustix::io::pwritev(&self.file, parts, offset)?),
        }
    }

    #[cfg(windows)]
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(part) = parts.first() else { return Ok(0) };
        std::os::windows::fs::FileExt::seek_write(&self.file, part, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn allocate(&self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::{Errno, retry_on_intr};
        match retry_on_intr(|| fallocate(&self.file, FallocateFlags::empty(), 0, len)) {
            Ok(()) => Ok(()),
            // A file system without reservations: the length alone.
            Err(error) if error == Errno::OPNOTSUPP || error == Errno::NOSYS => {
                self.file.set_len(len)
            }
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Pages that are mapped and in use stay.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn forget(&self, offset: u64, length: u64) {
        use rustix::fs::{Advice, fadvise};
        let length = std::num::NonZeroU64::new(length);
        if let Err(error) = fadvise(&self.file, offset, length, Advice::DontNeed) {
            tracing::debug!(%error, "advice on a file failed");
        }
    }

    fn mappable(&self) -> Option<&File> {
        Some(&self.file)
    }
}
