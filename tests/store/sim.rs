//! A simulated disk: the test twin of `RealVfs`.
//!
//! Each file has what programs see and what would survive a loss of power; in between lies the
//! list of unsynced changes. A loss of power keeps an arbitrary part of that list, cut at sectors.
//! Names are volatile until their directory is synced. The n-th changing call can be made to fail,
//! once or from then on.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use gristmill::store::vfs::{LockAttempt, LockGuard, OpenMode, Vfs, VfsFile};

use crate::Random;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// What happens at the call chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This one call fails with this error.
    Once(io::ErrorKind),
    /// This call and all later ones fail: the machine is off.
    PowerOff,
    /// A write takes only a part of its bytes; other calls work.
    ShortWrite,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

#[derive(Debug, Clone, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<u64, Content>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    next_file: u64,
    calls: u64,
    fault: Option<(u64, Fault)>,
    locked: bool,
}

/// A file system in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimVfs {
    state: Arc<Mutex<State>>,
}

impl SimVfs {
    /// Changing calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.lock_state().calls
    }

    /// Makes the `call`-th changing call from now on (1 is the next) go wrong.
    pub(crate) fn fail(&self, call: u64, fault: Fault) {
        let mut state = self.lock_state();
        let at = state.calls + call;
        state.fault = Some((at, fault));
    }

    /// Ends the fault; files stay as programs saw them, unsynced changes unsynced: a new process
    /// after a kill.
    pub(crate) fn restart(&self) {
        self.lock_state().fault = None;
    }

    /// The disk after a loss of power: everything synced, and some of the rest.
    pub(crate) fn power_loss(&self, seed: u64) -> Self {
        let (state, mut random) = (self.lock_state(), Random(seed.wrapping_mul(77) | 1));
        let mut next = State { next_file: state.next_file, ..State::default() };
        next.names.clone_from(&state.durable_names);
        let changed: Vec<_> = state.names.keys().chain(state.durable_names.keys()).collect();
        for name in changed {
            if random.below(2) == 0 {
                match state.names.get(name) {
                    Some(file) => next.names.insert(name.clone(), *file),
                    None => next.names.remove(name),
                };
            }
        }
        let mut files: Vec<_> = state.files.iter().collect();
        files.sort_by_key(|(file, _)| **file);
        for (file, content) in files {
            let image = survive(content, &mut random);
            let content = Content { seen: image.clone(), durable: image, unsynced: Vec::new() };
            next.files.insert(*file, content);
        }
        next.durable_names.clone_from(&next.names);
        Self { state: Arc::new(Mutex::new(next)) }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Counts a changing call; an error if it is to fail, `true` if it is to be cut short.
    fn step(&self) -> io::Result<bool> {
        let mut state = self.lock_state();
        state.calls += 1;
        match state.fault {
            Some((at, Fault::PowerOff)) if state.calls >= at => Err(io::Error::other("power off")),
            Some((at, Fault::Once(kind))) if state.calls == at => Err(kind.into()),
            Some((at, Fault::ShortWrite)) => Ok(state.calls == at),
            _ => Ok(false),
        }
    }
}

/// What of a file survives: each sector of each unsynced write does or does not.
fn survive(content: &Content, random: &mut Random) -> Vec<u8> {
    let mut image = content.durable.clone();
    let keep_all = random.below(3) == 0;
    for change in &content.unsynced {
        match change {
            Change::SetLen(length) if keep_all || random.below(2) == 0 => image.resize(*length, 0),
            Change::SetLen(_) => {}
            Change::Write(offset, bytes) => {
                let mut at = 0;
                while at < bytes.len() {
                    let room = SECTOR - (offset + at) % SECTOR;
                    let end = bytes.len().min(at + room);
                    if keep_all || random.below(2) == 0 {
                        write(&mut image, offset + at, &bytes[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
    image
}

fn write(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if image.len() < offset + bytes.len() {
        image.resize(offset + bytes.len(), 0);
    }
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
}

#[derive(Debug)]
struct SimFile {
    vfs: SimVfs,
    file: u64,
}

impl SimFile {
    fn with<T>(&self, work: impl FnOnce(&mut Content) -> T) -> T {
        work(self.vfs.lock_state().files.entry(self.file).or_default())
    }
}

impl VfsFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|content| content.seen.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap();
        Ok(self.with(|content| {
            let rest = content.seen.get(offset..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            length
        }))
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let short = self.vfs.step()?;
        let mut bytes = parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<_>>();
        if short {
            bytes.truncate(bytes.len().div_ceil(2));
        }
        let (offset, length) = (usize::try_from(offset).unwrap(), bytes.len());
        self.with(|content| {
            write(&mut content.seen, offset, &bytes);
            content.unsynced.push(Change::Write(offset, bytes));
        });
        Ok(length)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.vfs.step()?;
        let len = usize::try_from(len).unwrap();
        self.with(|content| {
            content.seen.resize(len, 0);
            content.unsynced.push(Change::SetLen(len));
        });
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.vfs.step()?;
        self.with(|content| {
            for change in std::mem::take(&mut content.unsynced) {
                match change {
                    Change::Write(offset, bytes) => write(&mut content.durable, offset, &bytes),
                    Change::SetLen(length) => content.durable.resize(length, 0),
                }
            }
        });
        Ok(())
    }

    fn mappable(&self) -> Option<&File> {
        None
    }
}

#[derive(Debug)]
struct SimLock(SimVfs);

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.lock_state().locked = false;
    }
}

impl Vfs for SimVfs {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        if mode == OpenMode::CreateNew {
            self.step()?;
        }
        let mut state = self.lock_state();
        let known = state.names.get(path).copied();
        let file = match (known, mode) {
            (Some(file), OpenMode::Existing) => file,
            (None, OpenMode::CreateNew) => {
                state.next_file += 1;
                let file = state.next_file;
                state.names.insert(path.to_path_buf(), file);
                state.files.insert(file, Content::default());
                file
            }
            (Some(_), _) => return Err(io::ErrorKind::AlreadyExists.into()),
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(SimFile { vfs: self.clone(), file }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock_state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        let removed = self.lock_state().names.remove(path);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.lock_state();
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.lock_state();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn lock(&self, _path: &Path, note: &str) -> io::Result<LockAttempt> {
        let mut state = self.lock_state();
        if state.locked {
            return Ok(LockAttempt::Busy(note.to_owned()));
        }
        state.locked = true;
        Ok(LockAttempt::Held(Box::new(SimLock(self.clone()))))
    }
}
