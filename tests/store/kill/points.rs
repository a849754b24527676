//! The system's files, for a process that kills itself at a chosen call.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gristmill::store::vfs::{LockAttempt, OpenMode, RealVfs, Vfs, VfsFile};

/// The kinds of calls at which a process can kill itself: `KIND:COUNT` is just before the
/// `COUNT`-th such call, and `after-KIND:COUNT` just after it.
pub(super) const POINTS: [&str; 12] = [
    "create",
    "write",
    "after-write",
    "half-write",
    "flush",
    "after-flush",
    "rename",
    "after-rename",
    "remove",
    "after-remove",
    "resize",
    "flush-dir",
];

#[derive(Debug)]
struct Point {
    kind: String,
    left: AtomicU64,
}

impl Point {
    /// Kills the process if this is the call.
    fn pass(&self, kind: &str) {
        if self.strikes(kind) {
            die();
        }
    }

    fn strikes(&self, kind: &str) -> bool {
        // Relaxed: any order of calls of several threads will do.
        self.kind == kind && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// Ends this process as `kill -9` does.
fn die() {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("one's own process");
    // The signal may come a moment later.
    std::thread::park();
}

/// The system's files, up to the point chosen.
#[derive(Debug)]
pub(super) struct KillingVfs {
    point: Arc<Point>,
}

impl KillingVfs {
    /// `KIND:COUNT`
    pub(super) fn parse(text: &str) -> Self {
        let (kind, count) = text.split_once(':').expect("a kind and a count");
        let left = AtomicU64::new(count.parse().expect("a count"));
        Self { point: Arc::new(Point { kind: kind.to_owned(), left }) }
    }
}

impl Vfs for KillingVfs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealVfs.create_dir_all(dir)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        if mode == OpenMode::CreateNew {
            self.point.pass("create");
        }
        let (file, point) = (RealVfs.open(path, mode)?, Arc::clone(&self.point));
        Ok(Arc::new(KillingFile { file, point }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealVfs.list(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.point.pass("remove");
        RealVfs.remove(path)?;
        self.point.pass("after-remove");
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.point.pass("rename");
        RealVfs.rename(from, to)?;
        self.point.pass("after-rename");
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.point.pass("flush-dir");
        RealVfs.sync_dir(dir)
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<LockAttempt> {
        RealVfs.lock(path, note)
    }
}

#[derive(Debug)]
struct KillingFile {
    file: Arc<dyn VfsFile>,
    point: Arc<Point>,
}

impl VfsFile for KillingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.point.pass("write");
        if self.point.strikes("half-write") {
            let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            self.file.write_at(offset, &[IoSlice::new(&bytes[..bytes.len() / 2])])?;
            die();
        }
        let written = self.file.write_at(offset, parts)?;
        self.point.pass("after-write");
        Ok(written)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.point.pass("resize");
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.point.pass("resize");
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.point.pass("flush");
        self.file.sync_data()?;
        self.point.pass("after-flush");
        Ok(())
    }

    fn mappable(&self) -> Option<&File> {
        self.file.mappable()
    }
}
