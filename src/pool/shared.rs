//! What the handles, the workers and the timekeeper of one pool share.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::admission::{Admission, Ticket};
use super::crew::{Crew, Recruit};
use super::error::{PoolError, TaskError};
use super::hand::Local;
use super::handle::ShutdownMode;
use super::pressure::MemoryPressure;
use super::priority::{Kind, Priority};
use super::queues::Queues;
use super::stall::Stalls;
use super::stats::{Counters, PoolStats, Refusal};
use super::sync::atomic::{Ordering, fence};
use super::sync::thread;
use super::task::{TaskInfo, TaskRef, TaskStatus, cancel, drop_quietly, withdraw};
use super::timekeeper::Timekeeper;
use super::worker;
use crate::time::SharedClock;

/// The pools of this process that are alive, few enough to look through. A task names its pool by
/// number: a reference would be counted up and down by every task, on a word that all workers
/// share.
static POOLS: parking_lot::RwLock<Vec<(PoolNumber, Weak<Shared>)>> =
    parking_lot::RwLock::new(Vec::new());
static NEXT_POOL: AtomicU32 = AtomicU32::new(1);

/// Names a pool within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PoolNumber(u32);

impl PoolNumber {
    /// The pool, unless it is gone.
    #[inline]
    pub(super) fn find(self) -> Option<Arc<Shared>> {
        let pools = POOLS.read();
        pools.iter().find(|(number, _)| *number == self)?.1.upgrade()
    }
}

/// Creates threads: the seam through which tests make that fail.
pub(super) trait Spawner: Send + Sync {
    fn spawn(
        &self,
        name: String,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<ThreadHandle>;
}

/// What to wait for a thread's end with.
pub(super) type ThreadHandle = thread::JoinHandle<()>;

/// Threads of the operating system.
pub(super) struct SystemSpawner;

#[cfg(not(all(test, gristmill_model)))]
impl Spawner for SystemSpawner {
    fn spawn(
        &self,
        name: String,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<ThreadHandle> {
        thread::Builder::new().name(name).stack_size(stack_size).spawn(body)
    }
}

/// Threads of the model.
#[cfg(all(test, gristmill_model))]
impl Spawner for SystemSpawner {
    fn spawn(
        &self,
        _: String,
        _: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<ThreadHandle> {
        Ok(thread::spawn(body))
    }
}

/// The settings of a pool that do not change.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) cpu_permits: usize,
    pub(super) level_caps: Vec<(Priority, usize)>,
    pub(super) idle_timeout: Duration,
    pub(super) stack_size: usize,
    pub(super) clock: SharedClock,
    pub(super) pressure: Option<Arc<dyn MemoryPressure>>,
    pub(super) spawner: Box<dyn Spawner>,
}

pub(super) struct Shared {
    pub(super) name: String,
    pub(super) number: PoolNumber,
    pub(super) clock: SharedClock,
    pub(super) counters: Counters,
    pub(super) crew: Crew,
    pub(super) timekeeper: Timekeeper,
    pub(super) idle_timeout: Duration,
    pub(super) queues: Queues,
    admission: Admission,
    stalls: Stalls,
    pressure: Option<Arc<dyn MemoryPressure>>,
    stack_size: usize,
    spawner: Box<dyn Spawner>,
    me: Weak<Self>,
}

impl Shared {
    /// Builds the pool's state and starts its first workers.
    pub(super) fn start(settings: Settings) -> Result<Arc<Self>, PoolError> {
        let Settings { min, max, .. } = settings;
        let number = PoolNumber(NEXT_POOL.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let queues = Queues::new(settings.cpu_permits, max);
        for (priority, cap) in settings.level_caps {
            queues.set_cap(priority, cap);
        }
        let shared = Arc::new_cyclic(|me| Self {
            name: settings.name,
            number,
            clock: settings.clock,
            counters: Counters::new(),
            crew: Crew::new(min, max),
            timekeeper: Timekeeper::new(),
            idle_timeout: settings.idle_timeout,
            queues,
            admission: Admission::new(),
            stalls: Stalls::new(),
            pressure: settings.pressure,
            stack_size: settings.stack_size,
            spawner: settings.spawner,
            me: me.clone(),
        });
        POOLS.write().push((number, Arc::downgrade(&shared)));
        if let Some(pressure) = &shared.pressure {
            let pool = Arc::downgrade(&shared);
            pressure.on_relief(Box::new(move || {
                if let Some(pool) = pool.upgrade() {
                    pool.notify();
                }
            }));
        }
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

    /// Counts a new task in. If its ticket is not accepted, the task must be withdrawn (which takes
    /// its count back).
    #[inline]
    pub(super) fn admit(&self) -> Ticket {
        self.admission.admit(&*self.clock)
    }

    /// Counts a task out that will not start.
    pub(super) fn withdrawn(&self, priority: Priority, how: Refusal) {
        self.counters.refused(priority, how);
        self.admission.withdraw();
        self.wake_all_if_finished();
    }

    /// Called when a task was started, and counted as that.
    #[inline]
    pub(super) fn started(&self) {
        // Sealed at this very moment, this may miss it: then the worker finds the pool finished
        // when its task has ended.
        if self.admission.is_sealed() {
            self.wake_all_if_finished();
        }
    }

    fn wake_all_if_finished(&self) {
        if self.is_finished() {
            self.crew.wake_all();
        }
    }

    /// Puts a queued task where workers find it and sees to it that one looks.
    #[inline]
    pub(super) fn enqueue(&self, task: TaskRef, priority: Priority, kind: Kind) {
        worker::with_local(self, |local| self.queues.push(task, priority.level(), kind, local));
        // A task that blocks is to have a worker of its own at once.
        self.notify_for(kind == Kind::Blocking);
        if kind == Kind::Cpu {
            self.watch_for_stalls();
        }
    }

    /// Delayed → Queued, in the timekeeper, which notifies after it. Gives the task back if it was
    /// cancelled.
    pub(super) fn promote(&self, task: TaskRef) -> Option<TaskRef> {
        if !task.promote() {
            return Some(task);
        }
        self.queues.push_due(task);
        None
    }

    /// Sees to it that somebody looks for work, if there is any. Called after everything that makes
    /// a task eligible.
    pub(super) fn notify(&self) {
        self.notify_for(false);
    }

    #[inline]
    fn notify_for(&self, eager: bool) {
        // Pairs with the fence of a worker that falls asleep: either it sees the task, or this sees
        // that it sleeps.
        fence(Ordering::SeqCst);
        if self.crew.may_recruit(eager) {
            self.recruit(eager);
        }
    }

    #[cold]
    fn recruit(&self, eager: bool) {
        // Ends after the second round at the latest: a refused start pauses starting.
        while self.crew.may_recruit(eager) && self.queues.has_work() {
            // Asked before the crew is locked: it is a user's code.
            let may_grow = !self.is_under_pressure();
            match self.crew.recruit(self.clock.monotonic(), may_grow, || self.is_finished()) {
                Recruit::Wake(unparker) => return unparker.unpark(),
                Recruit::Nobody => return,
                Recruit::Start(thread) => {
                    if self.start_worker(thread).is_ok() {
                        return;
                    }
                    self.look_again_after_refusal();
                }
            }
        }
    }

    /// Whether a worker that is about to park must stay awake.
    pub(super) fn must_stay_awake(&self) -> bool {
        self.queues.has_work() || self.is_finished()
    }

    /// Sealed, and nothing is left to start.
    pub(super) fn is_finished(&self) -> bool {
        self.admission.is_finished(|| self.queues.started())
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.admission.is_sealed()
    }

    /// The next task for a worker that has ended one or begins.
    #[inline]
    pub(super) fn find(&self, local: &Local) -> Option<TaskRef> {
        let (found, gate_used) = self.queues.next(local, || self.clock.monotonic());
        if gate_used {
            self.notify();
        }
        found
    }

    /// Runs a task in the state `from` on a worker that has it in hand; withdraws it instead if the
    /// pool is being cancelled. `false` if it did not run.
    ///
    /// Who cancels all tasks sets the mark first and then looks through the hands, so either it
    /// finds this task there or this finds the mark: the lock of the hand is between them.
    #[inline]
    pub(super) fn run(&self, task: &TaskRef, from: TaskStatus, local: &Local) -> bool {
        if self.admission.is_cancelling() {
            withdraw(&**task, TaskError::Cancelled);
            return false;
        }
        // This worker's hand and the caller hold it; whoever else does has a handle.
        let detached = Arc::strong_count(task) <= 2;
        task.run(from, self, &local.hand.tally, detached)
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

    /// Starts the thread of the timekeeper; `false` if the system refuses it.
    pub(super) fn start_timekeeper(&self) -> bool {
        let Some(shared) = self.me.upgrade() else { return false };
        let thread = self.crew.reserve_other();
        let started = self.spawner.spawn(
            format!("{}-timer", self.name),
            self.stack_size,
            Box::new(move || {
                worker::run_other(&shared, thread, |shared| shared.timekeeper.run(shared));
            }),
        );
        self.store(thread, started, false).is_ok()
    }

    fn store(
        &self,
        thread: u64,
        started: io::Result<ThreadHandle>,
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

    /// Sees to it that tasks that wait for a thread get another chance when starting is not paused
    /// any more, though nothing happens until then.
    fn look_again_after_refusal(&self) {
        self.timekeeper.look_again_at(self, self.crew.paused_until());
    }

    /// Begins to watch the tasks that compute, if one waits for the permit of another.
    pub(super) fn watch_for_stalls(&self) {
        let gate = &self.queues.cpu_gate;
        if !gate.is_open()
            && self.queues.has_cpu_tasks()
            && let Some(at) = self.stalls.begin(self.clock.monotonic(), || gate.left())
        {
            self.timekeeper.look_again_at(self, at);
        }
    }

    /// In the timekeeper, when a look was asked for: lends a permit to a task that waits for tasks
    /// that do not get on, and starts what could not be started before.
    pub(super) fn look_again(&self) {
        let now = self.clock.monotonic();
        let gate = &self.queues.cpu_gate;
        let (queued, progress) = (self.queues.has_cpu_tasks(), gate.left());
        let verdict = self.stalls.look(now, queued, !gate.is_open(), progress);
        if verdict.lend && gate.used() < self.crew.max() {
            gate.lend_extra();
            self.counters.stalled();
        }
        if verdict.over {
            gate.take_back_extra();
            // A task may have come in between.
            self.watch_for_stalls();
        }
        if let Some(at) = verdict.next {
            self.timekeeper.look_again_at(self, at);
        }
        self.notify();
    }

    /// The tasks that have not ended, oldest first.
    pub(super) fn tasks(&self) -> Vec<TaskInfo> {
        let now = self.clock.monotonic();
        let mut tasks = self.live_tasks();
        tasks.sort_by_key(|task| (task.header().submitted(), task.header().id));
        let infos = tasks.iter().map(|task| task.info(now));
        infos.filter(|info| !info.status.is_ended()).collect()
    }

    /// Each task that is delayed, queued or running, once.
    fn live_tasks(&self) -> Vec<TaskRef> {
        let (mut tasks, mut seen) = (Vec::new(), HashSet::new());
        // In the direction in which tasks move, so that none slips through.
        let mut see = |task: &TaskRef| {
            if !task.header().status().is_ended() && seen.insert(task.header().id) {
                tasks.push(Arc::clone(task));
            }
        };
        self.timekeeper.for_each(&mut see);
        self.queues.for_each(&mut see);
        tasks
    }

    pub(super) fn pending(&self) -> u64 {
        self.admission.pending(|| self.queues.started())
    }

    pub(super) fn stats(&self) -> PoolStats {
        let workers = self.crew.stats(self.clock.monotonic(), self.is_under_pressure());
        self.counters.snapshot(&self.name, workers, self.pending(), &self.queues.totals())
    }

    fn is_under_pressure(&self) -> bool {
        self.pressure.as_ref().is_some_and(|pressure| pressure.is_high())
    }

    pub(super) fn set_max(&self, max: usize) {
        self.crew.set_max(max);
        self.queues.set_max_workers(max);
        self.notify();
    }

    pub(super) fn set_cap(&self, priority: Priority, cap: usize) {
        self.queues.set_cap(priority, cap);
        self.notify();
    }

    /// Takes no more tasks and ends the workers once nothing is left to start.
    pub(super) fn seal(&self, mode: ShutdownMode) {
        let cancelling = mode == ShutdownMode::Cancel;
        self.admission.seal(cancelling);
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

impl Drop for Shared {
    fn drop(&mut self) {
        POOLS.write().retain(|(number, _)| *number != self.number);
    }
}
