//! Files that are on the disk, in full length and with their blocks, before they are written to.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Length of the longest file, unless one write is longer.
pub(super) const FILE_BYTES: u64 = 64 << 20;

/// Zeroes written at a time.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// A new file of that length. Zeroes are written to all of it and flushed, so that flushing what is
/// written over them has no metadata to write.
pub(super) fn create(path: &Path, bytes: u64) -> io::Result<File> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    let mut at = 0;
    while at < bytes {
        let length = (bytes - at).min(ZEROES.len() as u64);
        let zeroes = usize::try_from(length).ok().and_then(|length| ZEROES.get(..length));
        file.write_all_at(zeroes.unwrap_or(&ZEROES), at)?;
        at += length;
    }
    file.sync_all()?;
    Ok(file)
}
