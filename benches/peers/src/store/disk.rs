//! What files take up on the disk, and a disk that has nothing left to write.

#[cfg(target_os = "linux")]
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Bytes in a block as the file system counts them, whatever its own blocks are.
const BLOCK_BYTES: u64 = 512;

/// A file of this name is set aside to leave a full disk again, and holds nothing.
const RESERVE: &str = "reserve";

/// The folder in which data may be put: the one that is given, else the one that holds this binary.
/// It must lie on a disk.
pub(crate) fn place(given: Option<PathBuf>) -> Result<PathBuf, Error> {
    let place = if let Some(place) = given {
        place
    } else {
        let binary = std::env::current_exe().map_err(Error::io("find the path of this binary"))?;
        binary.parent().map_or_else(|| binary.clone(), Path::to_path_buf)
    };
    match in_memory(&place) {
        Ok(false) => Ok(place),
        Ok(true) => Err(Error::Usage(format!("{} lies in memory", place.display()))),
        Err(error) => Err(Error::io(format!("look at {}", place.display()))(error)),
    }
}

/// Whether the file system there keeps its files in memory.
#[cfg(target_os = "linux")]
fn in_memory(place: &Path) -> io::Result<bool> {
    let path = CString::new(place.as_os_str().as_bytes())?;
    // SAFETY: `statfs` is plain integers, for which all zeroes is a value.
    let mut filesystem: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero, and `filesystem` is valid for writes; both for the length
    // of the call.
    if unsafe { libc::statfs(path.as_ptr(), &raw mut filesystem) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(filesystem.f_type == libc::TMPFS_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn in_memory(place: &Path) -> io::Result<bool> {
    fs::metadata(place).map(|_| false)
}

/// Bytes allocated on the disk for all files in the folder and below, those called `reserve` left
/// out. Files that vanish meanwhile count nothing.
pub(crate) fn allocated(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_dir() {
            bytes += allocated(&entry.path())?;
        } else if entry.file_name() != RESERVE {
            bytes += metadata.blocks() * BLOCK_BYTES;
        }
    }
    Ok(bytes)
}

/// Waits until nothing is left to be written to the file system of that folder, so that what was
/// done before is not part of what is measured next.
pub(crate) fn settle(folder: &Path) -> io::Result<()> {
    let folder = File::open(folder)?;
    #[cfg(target_os = "linux")]
    // SAFETY: the descriptor is open for the length of the call, which touches no memory.
    let result = unsafe { libc::syncfs(folder.as_raw_fd()) };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: as above.
    let result = unsafe { libc::fsync(folder.as_raw_fd()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_put_on_a_disk() {
        assert!(place(Some(PathBuf::from("/no/such/folder"))).is_err());
        if Path::new("/dev/shm").is_dir() {
            assert!(matches!(place(Some(PathBuf::from("/dev/shm"))), Err(Error::Usage(_))));
        }
        assert!(place(None).unwrap().is_dir());
    }

    #[test]
    fn blocks_count_and_holes_and_the_reserve_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("data"), vec![1; 64 << 10]).unwrap();
        fs::write(below.join(RESERVE), vec![1; 64 << 10]).unwrap();
        File::create(dir.path().join("hole")).unwrap().set_len(1 << 20).unwrap();
        settle(dir.path()).unwrap();
        let bytes = allocated(dir.path()).unwrap();
        assert!((64 << 10..=80 << 10).contains(&bytes), "{bytes}");
        assert!(allocated(&dir.path().join("missing")).is_err());
    }
}
