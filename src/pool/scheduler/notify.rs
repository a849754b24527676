//! Notification: whatever makes a task eligible makes sure that a worker looks for it.

use std::io;
use std::time::Duration;

use super::current::register;
use super::spawner::ThreadHandle;
use super::state::Scheduler;
use super::worker;
use super::workers::Recruit;
use crate::pool::task::TaskRef;
use crate::sync::atomic::{Ordering, fence};

impl Scheduler {
    /// Makes sure that a worker looks for work if there is any. Called after everything that makes
    /// a task eligible.
    pub(super) fn notify(&self) {
        self.notify_for(false);
    }

    /// `eager`: the task is to have a worker of its own, so workers that were notified for other
    /// tasks do not count.
    #[inline]
    pub(super) fn notify_for(&self, eager: bool) {
        // Pairs with the fence in `Worker::sleep`: either that worker's last look sees the task, or
        // this thread sees that the worker sleeps.
        fence(Ordering::SeqCst);
        if self.workers.may_recruit(eager) {
            self.recruit(eager);
        }
    }

    #[cold]
    fn recruit(&self, eager: bool) {
        // Two rounds at most: after a refused start, starting is paused.
        while self.workers.may_recruit(eager) && self.queues.has_work() {
            // Before the workers are locked: `MemoryPressure` is user code.
            let may_grow = !self.is_under_pressure();
            match self.workers.recruit(self.clock.monotonic(), may_grow, || self.is_finished()) {
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

    /// Starts the thread of a reserved worker, or takes the reservation back.
    pub(super) fn start_worker(&self, thread: u64) -> io::Result<()> {
        let started = match self.this.upgrade() {
            None => Err(io::Error::other("the pool is gone")),
            Some(scheduler) => self.spawner.spawn(
                format!("{}-{thread}", self.name),
                self.stack_size,
                Box::new(move || worker::run(&scheduler, thread)),
            ),
        };
        self.store(thread, started, true)
    }

    /// Starts the thread of the timekeeper; `false` if the system refuses it.
    pub(super) fn start_timekeeper(&self) -> bool {
        let Some(scheduler) = self.this.upgrade() else { return false };
        let thread = self.workers.reserve_other();
        let started = self.spawner.spawn(
            format!("{}-timer", self.name),
            self.stack_size,
            Box::new(move || {
                let _registration = register(&scheduler, thread, None);
                scheduler.keep_time();
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
                self.workers.store(thread, handle, is_worker);
                self.workers.reap();
                Ok(())
            }
            Err(error) => {
                tracing::warn!(pool = %self.name, %error, "a thread could not be started");
                self.workers.abandon(self.clock.monotonic(), is_worker);
                Err(error)
            }
        }
    }

    /// Notifies again when starting is no longer paused, in case nothing else does until then.
    fn look_again_after_refusal(&self) {
        self.look_again_at(self.workers.paused_until());
    }

    fn look_again_at(&self, at: Duration) {
        self.timekeeper.look_again_at(at, || self.start_timekeeper());
    }

    /// Starts the watch for stalls if a CPU task waits for the permit of another.
    pub(super) fn watch_for_stalls(&self) {
        let gate = &self.queues.gates.cpu;
        if !gate.is_open()
            && self.queues.has_cpu_tasks()
            && let Some(at) = self.stalls.begin(self.clock.monotonic(), || gate.left())
        {
            self.look_again_at(at);
        }
    }

    /// The body of the timekeeper's thread.
    fn keep_time(&self) {
        let promote = |task: TaskRef| {
            if !task.promote() {
                return Some(task);
            }
            self.queues.push_due(task);
            None
        };
        self.timekeeper.run(&*self.clock, promote, |look_again| {
            if look_again {
                self.look_again();
            } else {
                self.notify();
            }
        });
    }

    /// Lends a permit if CPU tasks make no progress, and starts what could not be started before.
    fn look_again(&self) {
        let now = self.clock.monotonic();
        let gate = &self.queues.gates.cpu;
        let (queued, progress) = (self.queues.has_cpu_tasks(), gate.left());
        let decision = self.stalls.look(now, queued, !gate.is_open(), progress);
        if decision.lend && gate.used() < self.workers.max() {
            gate.lend_extra();
            self.counters.stalled();
        }
        if decision.over {
            gate.take_back_extra();
            // A task may have come since `has_cpu_tasks`.
            self.watch_for_stalls();
        }
        if let Some(at) = decision.next {
            self.look_again_at(at);
        }
        self.notify();
    }
}
