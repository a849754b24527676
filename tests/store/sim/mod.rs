//! A simulated disk: the test twin of `RealVfs`.
//!
//! Each file has what programs see and what would survive a loss of power; in between lies the
//! list of unsynced changes. A loss of power keeps an arbitrary part of that list, cut at sectors,
//! in any order. Names are volatile until their directory is synced. The n-th call of a kind can be
//! made to fail, once or from then on, something can be done before it, and the disk can be given a
//! size. What was written before a flush that failed is not written by a later one.

mod content;
mod random;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use gristmill::store::vfs::{LockAttempt, LockGuard, OpenMode, Vfs, VfsFile};

use content::{BLOCK, Content};
pub(crate) use random::{Random, noise};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Read,
    List,
    Create,
    Remove,
    Rename,
    Write,
    Resize,
    Flush,
    FlushDir,
}

/// The calls among which the one to fail is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that change something.
    Changing,
    /// Reads, openings and listings too.
    Any,
    /// Those that may take room: a full disk fails them.
    Growing,
    Only(Call),
    /// Those that change a file whose name ends so.
    Named(&'static str),
}

/// What happens at the call chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This one call fails with this error.
    Once(io::ErrorKind),
    /// This call and all later ones of its kind fail with this error.
    Lasting(io::ErrorKind),
    /// This call and all later ones of any kind fail: the machine is off.
    PowerOff,
    /// A write takes only a part of its bytes; other calls work.
    ShortWrite,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    which: Which,
    /// Calls until it strikes; 0 once it has.
    left: u64,
    fault: Fault,
}

/// What is done before the call chosen.
struct Errand {
    which: Which,
    /// Calls until it is done.
    left: u64,
    work: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { which, left, .. } = self;
        f.debug_struct("Errand").field("which", which).field("left", left).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<u64, Content>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    next_file: u64,
    calls: u64,
    plan: Option<Plan>,
    errand: Option<Errand>,
    locks: BTreeSet<PathBuf>,
    capacity: Option<u64>,
}

impl Which {
    fn has(self, call: Call, path: &Path) -> bool {
        let changes = !matches!(call, Call::Open | Call::Read | Call::List);
        match self {
            Self::Changing => changes,
            Self::Any => true,
            Self::Growing => matches!(call, Call::Create | Call::Write | Call::Resize),
            Self::Only(only) => only == call,
            Self::Named(ending) => changes && path.to_string_lossy().ends_with(ending),
        }
    }
}

impl State {
    /// Counts a call; an error if it is to fail, `true` if it is to be cut short.
    fn step(&mut self, call: Call, path: &Path) -> io::Result<bool> {
        self.calls += u64::from(Which::Changing.has(call, path));
        let Some(plan) = &mut self.plan else { return Ok(false) };
        let struck = plan.left == 0;
        if struck && plan.fault == Fault::PowerOff {
            return Err(io::Error::other("power off"));
        }
        if !plan.which.has(call, path) {
            return Ok(false);
        }
        if plan.left > 1 {
            plan.left -= 1;
            return Ok(false);
        }
        plan.left = 0;
        match plan.fault {
            Fault::PowerOff => Err(io::Error::other("power off")),
            Fault::Lasting(kind) => Err(kind.into()),
            Fault::Once(kind) if !struck => Err(kind.into()),
            Fault::ShortWrite => Ok(!struck),
            Fault::Once(_) => Ok(false),
        }
    }

    /// Whether power has failed.
    fn is_off(&self) -> bool {
        self.plan.is_some_and(|plan| plan.left == 0 && plan.fault == Fault::PowerOff)
    }

    /// What is to be done before this call.
    fn due(&mut self, call: Call, path: &Path) -> Option<Errand> {
        let errand = self.errand.as_mut().filter(|errand| errand.which.has(call, path))?;
        errand.left -= 1;
        self.errand.take_if(|errand| errand.left == 0)
    }

    fn free(&self) -> u64 {
        let used = || self.files.values().map(Content::room).sum::<u64>();
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used()))
    }

    fn own(&mut self, file: u64) {
        self.files.entry(file).or_default().owners += 1;
    }

    fn disown(&mut self, file: u64) {
        if let Some(content) = self.files.get_mut(&file) {
            content.owners -= 1;
        }
    }

    /// The names that differ between what programs see and what is durable.
    fn unsynced_names(&self) -> BTreeSet<PathBuf> {
        let all = self.names.keys().chain(self.durable_names.keys());
        let differs = |path: &&PathBuf| self.names.get(*path) != self.durable_names.get(*path);
        all.filter(differs).cloned().collect()
    }
}

/// A file system in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimVfs {
    state: Arc<Mutex<State>>,
}

impl SimVfs {
    /// Changing calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Makes the `call`-th changing call from now on (1 is the next) go wrong.
    pub(crate) fn fail(&self, call: u64, fault: Fault) {
        self.fail_at(Which::Changing, call, fault);
    }

    /// Makes the `call`-th of these calls from now on (1 is the next) go wrong.
    pub(crate) fn fail_at(&self, which: Which, call: u64, fault: Fault) {
        self.state().plan = Some(Plan { which, left: call.max(1), fault });
    }

    /// Does `work` just before the `call`-th of these calls from now on (1 is the next). The thread
    /// that makes the call does it: it may use the disk and the store, wait, or panic.
    pub(crate) fn before(&self, which: Which, call: u64, work: impl FnOnce() + Send + 'static) {
        let work = Box::new(work);
        self.state().errand = Some(Errand { which, left: call.max(1), work });
    }

    /// Ends the fault; tells whether it has struck.
    pub(crate) fn mend(&self) -> bool {
        self.state().plan.take().is_some_and(|plan| plan.left == 0)
    }

    /// Gives the disk a size in bytes; `None` for no limit.
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes of the disk in use.
    pub(crate) fn used(&self) -> u64 {
        self.state().files.values().map(Content::room).sum()
    }

    /// Makes a file with this content, durable.
    #[allow(dead_code, reason = "only the fuzz targets that share this file use it")]
    pub(crate) fn plant(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.create(path);
        let content = state.files.entry(file).or_default();
        content.write(0, bytes.to_vec());
        content.sync();
        state.durable_names.insert(path.to_path_buf(), file);
    }

    /// The names and contents of all files, as programs see them.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        let seen = |file| state.files.get(file).map_or_else(Vec::new, |f| f.seen.clone());
        state.names.iter().map(|(path, file)| (path.clone(), seen(file))).collect()
    }

    /// The disk as the next process finds it when this one is killed now: nothing is lost, and
    /// nothing is more durable than before. Whoever still has the old disk does not touch it.
    pub(crate) fn kill(&self) -> Self {
        let state = self.state();
        let mut next = State {
            files: state.files.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            next_file: state.next_file,
            capacity: state.capacity,
            ..State::default()
        };
        drop(state);
        next.count_owners();
        Self { state: Arc::new(Mutex::new(next)) }
    }

    /// The disk after a loss of power: everything synced, and some of the rest.
    pub(crate) fn power_loss(&self, seed: u64) -> Self {
        let (state, mut random) = (self.state(), Random::spread(seed));
        let mut next = State {
            next_file: state.next_file,
            names: state.durable_names.clone(),
            capacity: state.capacity,
            ..State::default()
        };
        for name in state.unsynced_names() {
            if random.below(2) == 0 {
                match state.names.get(&name) {
                    Some(file) => next.names.insert(name, *file),
                    None => next.names.remove(&name),
                };
            }
        }
        let reached: BTreeSet<u64> = next.names.values().copied().collect();
        for file in reached {
            let content = state.files.get(&file).map(|content| content.survive(&mut random));
            next.files.insert(file, content.unwrap_or_default());
        }
        drop(state);
        next.durable_names.clone_from(&next.names);
        next.count_owners();
        Self { state: Arc::new(Mutex::new(next)) }
    }

    /// Does what is to be done before this call, with nothing locked.
    fn announce(&self, call: Call, path: &Path) {
        let due = self.state().due(call, path);
        if let Some(errand) = due {
            (errand.work)();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the lock")
    }
}

impl State {
    fn create(&mut self, path: &Path) -> u64 {
        self.next_file += 1;
        let file = self.next_file;
        self.names.insert(path.to_path_buf(), file);
        self.own(file);
        file
    }

    /// After a restart only names own files.
    fn count_owners(&mut self) {
        self.files.values_mut().for_each(|content| content.owners = 0);
        let named: Vec<u64> = self.names.values().copied().collect();
        for file in named {
            self.own(file);
        }
    }
}

/// An open file.
#[derive(Debug)]
struct SimFile {
    vfs: SimVfs,
    path: PathBuf,
    file: u64,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.vfs.state().disown(self.file);
    }
}

fn index(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl SimFile {
    /// Does the call unless it is to fail; what is done learns the room left on the disk, and
    /// whether it is to be cut short.
    fn call<T>(
        &self,
        call: Call,
        work: impl FnOnce(&mut Content, u64, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        self.vfs.announce(call, &self.path);
        let mut state = self.vfs.state();
        let step = state.step(call, &self.path);
        if call == Call::Flush && step.is_err() && !state.is_off() {
            let mut random = Random::spread(state.calls);
            state.files.entry(self.file).or_default().fail_to_sync(&mut random);
        }
        let short = step?;
        let free = if Which::Growing.has(call, &self.path) { state.free() } else { 0 };
        work(state.files.entry(self.file).or_default(), free, short)
    }
}

impl VfsFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.call(Call::Open, |content, _, _| Ok(content.seen.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let offset = index(offset)?;
        self.call(Call::Read, |content, _, _| {
            let rest = content.seen.get(offset..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        })
    }

    /// On a disk that is nearly full it takes what fits, as the systems do.
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let offset = index(offset)?;
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.call(Call::Write, |content, free, short| {
            if short {
                bytes.truncate(bytes.len().div_ceil(2));
            }
            while content.room_for(offset, bytes.len()) > free {
                let last = offset + bytes.len() - 1;
                bytes.truncate((last - last % BLOCK).saturating_sub(offset));
                if bytes.is_empty() {
                    return Err(io::ErrorKind::StorageFull.into());
                }
            }
            let length = bytes.len();
            content.write(offset, bytes);
            Ok(length)
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = index(len)?;
        self.call(Call::Resize, |content, _, _| {
            content.set_len(length);
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let length = index(len)?;
        self.call(Call::Resize, |content, free, _| {
            if content.room_for(0, length) > free {
                return Err(io::ErrorKind::StorageFull.into());
            }
            content.allocate(length);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(Call::Flush, |content, _, _| {
            content.sync();
            Ok(())
        })
    }

    fn mappable(&self) -> Option<&File> {
        None
    }
}

#[derive(Debug)]
struct SimLock(SimVfs, PathBuf);

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.state().locks.remove(&self.1);
    }
}

impl Vfs for SimVfs {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let create = mode == OpenMode::CreateNew;
        let call = if create { Call::Create } else { Call::Open };
        self.announce(call, path);
        let mut state = self.state();
        state.step(call, path)?;
        let file = match state.names.get(path).copied() {
            Some(_) if create => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(file) => file,
            None if create => state.create(path),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        state.own(file);
        drop(state);
        Ok(Arc::new(SimFile { vfs: self.clone(), path: path.to_path_buf(), file }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.announce(Call::List, dir);
        let mut state = self.state();
        state.step(Call::List, dir)?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.announce(Call::Remove, path);
        let mut state = self.state();
        state.step(Call::Remove, path)?;
        let file = state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.disown(file);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.announce(Call::Rename, from);
        let mut state = self.state();
        state.step(Call::Rename, from)?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        if let Some(replaced) = state.names.insert(to.to_path_buf(), file) {
            state.disown(replaced);
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.announce(Call::FlushDir, dir);
        let mut state = self.state();
        state.step(Call::FlushDir, dir)?;
        for path in state.unsynced_names() {
            if path.parent() != Some(dir) {
                continue;
            }
            match state.names.get(&path).copied() {
                Some(file) => state.durable_names.insert(path, file),
                None => state.durable_names.remove(&path),
            };
        }
        Ok(())
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<LockAttempt> {
        if !self.state().locks.insert(path.to_path_buf()) {
            return Ok(LockAttempt::Busy(note.to_owned()));
        }
        Ok(LockAttempt::Held(Box::new(SimLock(self.clone(), path.to_path_buf()))))
    }
}
