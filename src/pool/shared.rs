//! What the handles, the workers and the timekeeper of one pool share.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::crew::{Crew, Recruit};
use super::error::{PoolError, TaskError};
use super::handle::ShutdownMode;
use super::queues::{Found, Local, Queues};
use super::seal::Seal;
use super::stats::{Counters, End};
use super::task::{Header, Runnable, TaskId, TaskInfo, TaskRef, cancel, drop_quietly, withdraw};
use super::timekeeper::Timekeeper;
use super::worker;
use crate::time::SharedClock;

/// Creates threads: the seam through which tests make that fail.
pub(super) trait Spawner: Send + Sync {
    fn spawn(
        &self,
        name: String,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<JoinHandle<()>>;
}

/// Threads of the operating system.
pub(super) struct SystemSpawner;

impl Spawner for SystemSpawner {
    fn spawn(
        &self,
        name: String,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name(name).stack_size(stack_size).spawn(body)
    }
}

/// The settings of a pool that do not change.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) cpu_permits: usize,
    pub(super) idle_timeout: Duration,
    pub(super) stack_size: usize,
    pub(super) clock: SharedClock,
    pub(super) spawner: Box<dyn Spawner>,
}

pub(super) struct Shared {
    pub(super) name: String,
    pub(super) clock: SharedClock,
    pub(super) counters: Counters,
    pub(super) crew: Crew,
    pub(super) timekeeper: Timekeeper,
    pub(super) idle_timeout: Duration,
    queues: Queues,
    seal: Seal,
    registry: DashMap<TaskId, Weak<dyn Runnable>, RandomState>,
    next_task: AtomicU64,
    stack_size: usize,
    spawner: Box<dyn Spawner>,
    me: Weak<Self>,
}

impl Shared {
    /// Builds the pool's state and starts its first workers.
    pub(super) fn start(settings: Settings) -> Result<Arc<Self>, PoolError> {
        let Settings { min, max, .. } = settings;
        let shared = Arc::new_cyclic(|me| Self {
            name: settings.name,
            clock: settings.clock,
            counters: Counters::new(),
            crew: Crew::new(min, max),
            timekeeper: Timekeeper::new(),
            idle_timeout: settings.idle_timeout,
            queues: Queues::new(settings.cpu_permits, max),
            seal: Seal::default(),
            registry: DashMap::with_hasher(RandomState::default()),
            next_task: AtomicU64::new(1),
            stack_size: settings.stack_size,
            spawner: settings.spawner,
            me: me.clone(),
        });
        for started in 0..min {
            let thread = shared.crew.reserve_first();
            if let Err(source) = shared.start_worker(thread) {
                if started == 0 {
                    return Err(PoolError::ThreadStart { pool: shared.name.clone(), source });
                }
                // The pool works with fewer; the refusal is counted.
                break;
            }
        }
        Ok(shared)
    }

    pub(super) fn next_task(&self) -> TaskId {
        TaskId(self.next_task.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts a new task in and lists it. `false`: the pool is sealed, and the task must be
    /// withdrawn (which takes its count back).
    pub(super) fn admit(&self, task: &TaskRef) -> bool {
        if !self.seal.admit() {
            return false;
        }
        let header = task.header();
        self.counters.submitted(header.priority);
        // Before the task can start: who cancels all listed tasks misses only tasks that see the
        // cancelling mark when they are picked.
        self.registry.insert(header.id, Arc::downgrade(task));
        true
    }

    /// Takes an admitted task off the list and counts how it ended.
    pub(super) fn ended(&self, header: &Header, end: End) {
        self.registry.remove(&header.id);
        self.counters.ended(header.priority, end);
    }

    /// Counts a task as not pending any more.
    pub(super) fn settle(&self) {
        if self.seal.settle() {
            self.crew.wake_all();
        }
    }

    /// Puts a queued task where workers find it and sees to it that one looks.
    pub(super) fn enqueue(&self, task: TaskRef) {
        let mut task = Some(task);
        worker::with_local(self, |local| {
            if let Some(task) = task.take() {
                self.queues.push(task, Some(local));
            }
        });
        if let Some(task) = task {
            self.queues.push(task, None);
        }
        self.notify();
    }

    /// Delayed → Queued, in the timekeeper.
    pub(super) fn promote(&self, task: TaskRef) {
        if task.header().promote() {
            self.queues.push(task, None);
            self.notify();
        } else {
            drop_quietly(task);
        }
    }

    /// Sees to it that somebody looks for work, if there is any. Called after everything that makes
    /// a task eligible.
    pub(super) fn notify(&self) {
        // Pairs with the fence of a worker that falls asleep: either it sees the task, or this sees
        // that it sleeps.
        fence(Ordering::SeqCst);
        // Ends after the second round at the latest: a refused start pauses starting.
        while self.crew.may_recruit() && self.queues.has_work() {
            match self.crew.recruit(self.clock.monotonic(), || self.seal.is_finished()) {
                Recruit::Wake(unparker) => return unparker.unpark(),
                Recruit::Nobody => return,
                Recruit::Start(thread) => {
                    if self.start_worker(thread).is_ok() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether a worker that is about to park must stay awake.
    pub(super) fn must_stay_awake(&self) -> bool {
        self.queues.has_work() || self.seal.is_finished()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.seal.is_finished()
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.seal.is_sealed()
    }

    pub(super) fn find(&self, local: &Local) -> Option<Found> {
        let accept = |task: TaskRef| {
            if self.accept(&task) {
                return Some(task);
            }
            drop_quietly(task);
            None
        };
        let (found, gate_used) = self.queues.find(local, || self.clock.monotonic(), accept);
        if gate_used {
            // A worker that found the gate closed meanwhile may have gone to sleep over a task.
            self.notify();
        }
        if found.as_ref().is_some_and(|found| found.stolen) {
            self.counters.steals.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// Queued → Running, for whoever is about to run it; cancels it instead if the pool is.
    pub(super) fn accept(&self, task: &TaskRef) -> bool {
        if self.seal.is_cancelling() {
            withdraw(&**task, TaskError::Cancelled);
            return false;
        }
        let claimed = task.header().claim();
        if claimed {
            self.settle();
        }
        claimed
    }

    pub(super) fn queues(&self) -> &Queues {
        &self.queues
    }

    fn start_worker(&self, thread: u64) -> io::Result<()> {
        let me = self.me.upgrade();
        let started = match me {
            None => Err(io::Error::other("the pool is gone")),
            Some(shared) => self.spawner.spawn(
                format!("{}-{thread}", self.name),
                self.stack_size,
                Box::new(move || worker::run(&shared, thread)),
            ),
        };
        self.store(thread, started, true)
    }

    /// Starts a thread of the pool that is not a worker.
    pub(super) fn start_thread(&self, role: &str, body: impl FnOnce() + Send + 'static) -> bool {
        let Some(shared) = self.me.upgrade() else { return false };
        let thread = self.crew.reserve_other();
        let started = self.spawner.spawn(
            format!("{}-{role}", self.name),
            self.stack_size,
            Box::new(move || worker::run_other(&shared, thread, body)),
        );
        self.store(thread, started, false).is_ok()
    }

    fn store(
        &self,
        thread: u64,
        started: io::Result<JoinHandle<()>>,
        is_worker: bool,
    ) -> io::Result<()> {
        match started {
            Ok(handle) => {
                self.crew.store(thread, handle, is_worker);
                self.crew.reap();
                Ok(())
            }
            Err(error) => {
                tracing::warn!(pool = %self.name, %error, "a thread could not be started");
                self.crew.abandon(self.clock.monotonic(), is_worker);
                Err(error)
            }
        }
    }

    /// The tasks that have not ended, oldest first.
    pub(super) fn tasks(&self) -> Vec<TaskInfo> {
        let now = self.clock.monotonic();
        let mut infos: Vec<TaskInfo> =
            self.live_tasks().iter().map(|task| task.header().info(now)).collect();
        infos.retain(|info| !info.status.is_ended());
        infos.sort_by_key(|info| info.id);
        infos
    }

    fn live_tasks(&self) -> Vec<TaskRef> {
        self.registry.iter().filter_map(|entry| entry.value().upgrade()).collect()
    }

    pub(super) fn pending(&self) -> u64 {
        self.seal.pending()
    }

    pub(super) fn set_max(&self, max: usize) {
        self.crew.set_max(max);
        self.queues.set_max_workers(max);
        self.notify();
    }

    /// Takes no more tasks and ends the workers once nothing is left to start.
    pub(super) fn seal(&self, mode: ShutdownMode) {
        let cancelling = mode == ShutdownMode::Cancel;
        self.seal.close(cancelling);
        for task in self.timekeeper.close() {
            withdraw(&*task, TaskError::Cancelled);
            drop_quietly(task);
        }
        if cancelling {
            for task in self.live_tasks() {
                cancel(&*task);
                drop_quietly(task);
            }
        }
        // Whether this sealed a pool with nothing pending is not known here; waking is harmless.
        self.crew.wake_all();
    }

    pub(super) fn shutdown(&self, mode: ShutdownMode, limit: Duration) -> Result<(), PoolError> {
        let deadline = Instant::now().checked_add(limit);
        self.seal(mode);
        let inside = worker::is_of(self);
        self.crew.wait_for_end(deadline, inside, || self.is_finished()).map_err(|threads| {
            PoolError::ShutdownTimeout { pool: self.name.clone(), threads, deadline: limit }
        })
    }
}
