//! The state of a pool, and what its handles ask of it.

use std::collections::HashSet;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::current::{belongs_to, with_local};
use super::spawner::Spawner;
use super::stall::Stalls;
use super::timekeeper::Timekeeper;
use super::workers::Workers;
use crate::pool::admission::{Admission, Ticket};
use crate::pool::error::{PoolError, TaskError};
use crate::pool::panics::drop_quietly;
use crate::pool::pressure::MemoryPressure;
use crate::pool::priority::{Kind, Priority};
use crate::pool::queues::{Queues, WorkerLocal};
use crate::pool::shutdown::ShutdownMode;
use crate::pool::stats::{Counters, PoolStats, Refusal};
use crate::pool::task::{Host, PoolNumber, Runnable, TaskInfo, TaskRef, TaskStatus};
use crate::time::{Clock, SharedClock};

/// The live pools of this process, few enough to search. A task refers to its pool by number: with
/// a reference, every task would change a count that all workers share.
static POOLS: parking_lot::RwLock<Vec<(PoolNumber, Weak<Scheduler>)>> =
    parking_lot::RwLock::new(Vec::new());
static NEXT_POOL: AtomicU32 = AtomicU32::new(1);

/// The settings of a pool, checked.
pub(in crate::pool) struct PoolSettings {
    pub(in crate::pool) name: String,
    pub(in crate::pool) min: usize,
    pub(in crate::pool) max: usize,
    pub(in crate::pool) cpu_permits: usize,
    pub(in crate::pool) level_caps: Vec<(Priority, usize)>,
    pub(in crate::pool) idle_timeout: Duration,
    pub(in crate::pool) stack_size: usize,
    pub(in crate::pool) clock: SharedClock,
    pub(in crate::pool) pressure: Option<Arc<dyn MemoryPressure>>,
    pub(in crate::pool) spawner: Box<dyn Spawner>,
}

pub(in crate::pool) struct Scheduler {
    pub(in crate::pool) name: String,
    pub(super) number: PoolNumber,
    pub(in crate::pool) clock: SharedClock,
    pub(super) counters: Counters,
    pub(super) workers: Workers,
    pub(super) timekeeper: Timekeeper,
    pub(super) idle_timeout: Duration,
    pub(super) queues: Queues,
    admission: Admission,
    pub(super) stalls: Stalls,
    pressure: Option<Arc<dyn MemoryPressure>>,
    pub(super) stack_size: usize,
    pub(super) spawner: Box<dyn Spawner>,
    pub(super) this: Weak<Self>,
}

impl Scheduler {
    /// Creates the pool's state and starts its first workers.
    pub(in crate::pool) fn start(settings: PoolSettings) -> Result<Arc<Self>, PoolError> {
        let PoolSettings { min, max, .. } = settings;
        // Relaxed: the number only has to be unique.
        let number = PoolNumber(NEXT_POOL.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let queues = Queues::new(settings.cpu_permits, max);
        for (priority, cap) in settings.level_caps {
            queues.gates.set_cap(priority, cap);
        }
        let scheduler = Arc::new_cyclic(|this| Self {
            name: settings.name,
            number,
            clock: settings.clock,
            counters: Counters::new(),
            workers: Workers::new(min, max),
            timekeeper: Timekeeper::new(),
            idle_timeout: settings.idle_timeout,
            queues,
            admission: Admission::new(),
            stalls: Stalls::new(),
            pressure: settings.pressure,
            stack_size: settings.stack_size,
            spawner: settings.spawner,
            this: this.clone(),
        });
        POOLS.write().push((number, Arc::downgrade(&scheduler)));
        if let Some(pressure) = &scheduler.pressure {
            let pool = Arc::downgrade(&scheduler);
            pressure.on_relief(Box::new(move || {
                if let Some(pool) = pool.upgrade() {
                    pool.notify();
                }
            }));
        }
        for started in 0..min {
            let thread = scheduler.workers.reserve_first();
            if let Err(source) = scheduler.start_worker(thread) {
                if started == 0 {
                    return Err(PoolError::ThreadStart { pool: scheduler.name.clone(), source });
                }
                // The pool works with fewer; the failure is counted.
                break;
            }
        }
        Ok(scheduler)
    }

    /// The pool of this number, unless it is gone.
    #[inline]
    pub(super) fn find_pool(number: PoolNumber) -> Option<Arc<Self>> {
        let pools = POOLS.read();
        pools.iter().find(|(other, _)| *other == number)?.1.upgrade()
    }

    /// Counts a new task in. A task whose ticket is not accepted must be withdrawn, which takes its
    /// count back.
    #[inline]
    pub(super) fn admit(&self) -> Ticket {
        self.admission.admit(&*self.clock)
    }

    /// Ends a task of this pool that has not started and drops its closure here. `false` if it has
    /// started.
    pub(super) fn withdraw(&self, task: &dyn Runnable, error: TaskError) -> bool {
        let refusal = match error {
            TaskError::Rejected => Refusal::Rejected,
            _ => Refusal::Cancelled,
        };
        task.withdraw(error, &mut |left| {
            if left == TaskStatus::Delayed {
                self.timekeeper.note_stale();
            }
            // Before the closure is dropped: it may hold the pool's last handle, whose destructor
            // waits until nothing is pending.
            self.counters.refused(task.header().priority, refusal);
            self.admission.withdraw();
            self.wake_all_if_finished();
        })
    }

    /// Cancels a task of this pool: withdraws it or cancels its token.
    pub(super) fn cancel(&self, task: &dyn Runnable) {
        if !self.withdraw(task, TaskError::Cancelled) && !task.header().status().is_ended() {
            task.token().cancel();
        }
    }

    fn wake_all_if_finished(&self) {
        if self.is_finished() {
            self.workers.wake_all();
        }
    }

    /// Puts a queued task where workers find it and makes sure that one looks.
    #[inline]
    pub(super) fn enqueue(&self, task: TaskRef, priority: Priority, kind: Kind) {
        with_local(self, |local| self.queues.push(task, priority.level(), kind, local));
        // A task that blocks gets a worker of its own at once.
        self.notify_for(kind == Kind::Blocking);
        if kind == Kind::Cpu {
            self.watch_for_stalls();
        }
    }

    /// Whether a worker that is about to park must stay awake.
    pub(super) fn must_stay_awake(&self) -> bool {
        self.queues.has_work() || self.is_finished()
    }

    /// Whether the pool is sealed and nothing is left to start.
    pub(super) fn is_finished(&self) -> bool {
        self.admission.is_finished(|| self.queues.started())
    }

    pub(in crate::pool) fn is_sealed(&self) -> bool {
        self.admission.is_sealed()
    }

    /// The next task for a worker that has ended one or begins.
    #[inline]
    pub(super) fn find(&self, local: &WorkerLocal) -> Option<TaskRef> {
        let (found, gate_used) = self.queues.next(local, || self.clock.monotonic());
        if gate_used {
            self.notify();
        }
        found
    }

    /// Runs a task in the state `from` that is listed as running in `local`, or withdraws it if the
    /// pool is being cancelled. `false` if it did not run.
    ///
    /// A thread that cancels all tasks sets the mark first and then visits the local queues. Their
    /// locks are between: either that thread finds the task listed, or this one finds the mark.
    #[inline]
    pub(super) fn run(&self, task: &TaskRef, from: TaskStatus, local: &WorkerLocal) -> bool {
        if self.admission.is_cancelling() {
            self.withdraw(&**task, TaskError::Cancelled);
            return false;
        }
        // Two references are the local queue's and the caller's; any other one is a handle's.
        let detached = Arc::strong_count(task) <= 2;
        task.run(from, self, &local.queue.tally, detached)
    }

    /// The tasks that have not ended, oldest first.
    pub(in crate::pool) fn tasks(&self) -> Vec<TaskInfo> {
        let now = self.clock.monotonic();
        let mut tasks = self.live_tasks();
        tasks.sort_by_key(|task| (task.header().submitted(), task.header().id));
        let infos = tasks.iter().map(|task| task.info(now));
        infos.filter(|info| !info.status.is_ended()).collect()
    }

    /// Each task that is delayed, queued or running, once.
    fn live_tasks(&self) -> Vec<TaskRef> {
        let (mut tasks, mut seen) = (Vec::new(), HashSet::new());
        let mut see = |task: &TaskRef| {
            if !task.header().status().is_ended() && seen.insert(task.header().id) {
                tasks.push(Arc::clone(task));
            }
        };
        // In the direction in which tasks move, so that none is missed.
        self.timekeeper.for_each(&mut see);
        self.queues.for_each(&mut see);
        tasks
    }

    /// Tasks accepted and neither started nor withdrawn.
    pub(in crate::pool) fn pending(&self) -> u64 {
        self.admission.pending(|| self.queues.started())
    }

    pub(in crate::pool) fn stats(&self) -> PoolStats {
        let workers = self.workers.stats(self.clock.monotonic(), self.is_under_pressure());
        self.counters.snapshot(&self.name, workers, self.pending(), &self.queues.totals())
    }

    pub(super) fn is_under_pressure(&self) -> bool {
        self.pressure.as_ref().is_some_and(|pressure| pressure.is_high())
    }

    pub(in crate::pool) fn set_max(&self, max: usize) {
        self.workers.set_max(max);
        self.queues.gates.set_max_workers(max);
        self.notify();
    }

    pub(in crate::pool) fn set_cap(&self, priority: Priority, cap: usize) {
        self.queues.gates.set_cap(priority, cap);
        self.notify();
    }

    /// Accepts no more tasks and ends the workers once nothing is left to start.
    pub(in crate::pool) fn seal(&self, mode: ShutdownMode) {
        let cancelling = mode == ShutdownMode::Cancel;
        self.admission.seal(cancelling);
        for task in self.timekeeper.close() {
            self.withdraw(&*task, TaskError::Cancelled);
            drop_quietly(task);
        }
        if cancelling {
            for task in self.live_tasks() {
                self.cancel(&*task);
                drop_quietly(task);
            }
        }
        // The pool may be finished already, and then no task's end wakes the sleepers. Waking them
        // for nothing is harmless.
        self.workers.wake_all();
    }

    pub(in crate::pool) fn shutdown(
        &self,
        mode: ShutdownMode,
        limit: Duration,
    ) -> Result<(), PoolError> {
        let deadline = Instant::now().checked_add(limit);
        self.seal(mode);
        let inside = belongs_to(self);
        self.workers.wait_for_end(deadline, inside, || self.is_finished()).map_err(|threads| {
            PoolError::ShutdownTimeout { pool: self.name.clone(), threads, deadline: limit }
        })
    }
}

impl Host for Scheduler {
    fn name(&self) -> &str {
        &self.name
    }

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn started(&self) {
        // A seal that is set at this very moment may be missed. Then the worker finds the pool
        // finished when it looks for its next task.
        if self.admission.is_sealed() {
            self.wake_all_if_finished();
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        POOLS.write().retain(|(number, _)| *number != self.number);
    }
}
