//! The same batches written by hand: plain writes into files that are there already, round and
//! round, and a flush after each.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::super::page::Page;
use super::super::prepared::{self, FILE_BYTES};

/// Files that are written to in turn.
const FILES: usize = 8;

/// A ring of prepared files.
pub(super) struct Bare {
    files: Vec<File>,
    /// Length of each.
    bytes: u64,
    file: usize,
    offset: u64,
}

impl Bare {
    /// Makes the files, each long enough for the longest batch, but not for more than all of them.
    pub(super) fn prepare(dir: &Path, longest_batch: u64, all: u64) -> io::Result<Self> {
        let bytes = FILE_BYTES.min(all).max(longest_batch);
        let create = |number: usize| prepared::create(&dir.join(number.to_string()), bytes);
        let files = (0..FILES).map(create).collect::<io::Result<_>>()?;
        Ok(Self { files, bytes, file: 0, offset: 0 })
    }

    /// Writes and flushes a batch, which lies in one file.
    pub(super) fn write(&mut self, batch: &[Page]) -> io::Result<()> {
        let bytes: u64 = batch.iter().map(|page| page.bytes.len() as u64).sum();
        if self.offset + bytes > self.bytes {
            (self.file, self.offset) = ((self.file + 1) % FILES, 0);
        }
        let file = self.files.get(self.file);
        let file = file.ok_or_else(|| io::Error::other("invariant: the file was prepared"))?;
        for page in batch {
            file.write_all_at(&page.bytes, self.offset)?;
            self.offset += page.bytes.len() as u64;
        }
        file.sync_data()
    }
}
