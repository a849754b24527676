//! The loop of a worker: find a task and run it, or else spin for a moment, or else sleep.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::current::register;
use super::state::Scheduler;
use super::workers::WakeReason;
use crate::pool::panics::drop_quietly;
use crate::pool::queues::WorkerLocal;
use crate::pool::spin::{self, SpinBackoff};
use crate::pool::task::{TaskRef, TaskStatus};
use crate::sync::Parker;
use crate::sync::atomic::{Ordering, fence};

/// The idle timeout is lengthened by up to 1/8 of itself, in this many steps by worker, so that
/// workers that fell asleep together do not retire together.
const JITTER_STEPS: u64 = 8;

/// The body of a worker's thread. The worker's reservation counted it as searching.
pub(super) fn run(scheduler: &Arc<Scheduler>, thread: u64) {
    let local = Rc::new(scheduler.queues.add(thread));
    let _registration = register(scheduler, thread, Some(Rc::clone(&local)));
    let mut worker = Worker {
        scheduler,
        thread,
        local: &local,
        parker: Parker::new(),
        searching: true,
        notified: true,
        worked: false,
        backoff: SpinBackoff::default(),
    };
    worker.work();
    // A notification may have counted on this worker until it left the set. Now that it has, the
    // tasks that it leaves behind are made visible and notified again (README, "Retiring").
    scheduler.queues.remove(&local);
    scheduler.notify();
}

struct Worker<'a> {
    scheduler: &'a Arc<Scheduler>,
    thread: u64,
    local: &'a WorkerLocal,
    parker: Parker,
    /// Whether it is counted in `Workers::searching`.
    searching: bool,
    /// Whether it is counted in `Workers::notified`.
    notified: bool,
    /// Whether it has run a task since it last spun or slept.
    worked: bool,
    backoff: SpinBackoff,
}

/// What a worker does after it slept.
enum Next {
    LookAgain,
    Leave,
}

impl Worker<'_> {
    fn work(&mut self) {
        loop {
            let workers = &self.scheduler.workers;
            if workers.is_surplus() && workers.dismiss_surplus(self.searching) {
                if self.notified {
                    workers.acknowledge();
                }
                return;
            }
            let found = self.scheduler.find(self.local);
            if std::mem::take(&mut self.notified) {
                workers.acknowledge();
            }
            if let Some(task) = found {
                self.stop_searching();
                self.execute(task);
            } else if !self.searching {
                self.start_searching();
            } else if self.spin() {
                // Something came: look what it is.
            } else if let Next::Leave = self.sleep() {
                return;
            }
        }
    }

    fn start_searching(&mut self) {
        self.scheduler.workers.searching.fetch_add(1, Ordering::SeqCst);
        self.searching = true;
    }

    /// The last searcher that finds a task notifies: threads that pushed meanwhile saw it search
    /// and woke nobody.
    fn stop_searching(&mut self) {
        if std::mem::take(&mut self.searching)
            && self.scheduler.workers.searching.fetch_sub(1, Ordering::SeqCst) == 1
        {
            self.scheduler.notify();
        }
    }

    fn execute(&mut self, task: TaskRef) {
        if self.local.gates.get().has_cpu() {
            // Other CPU tasks may be waiting for this one.
            self.scheduler.watch_for_stalls();
        }
        self.worked |= self.scheduler.run(&task, TaskStatus::Queued, self.local);
        drop_quietly(task);
        let gates = self.local.gates.take();
        if !gates.is_empty() {
            // Searching first: then the gate that opens needs no notification, because this worker
            // looks for work before it sleeps, and notifies if it finds some.
            self.start_searching();
            self.scheduler.queues.gates.leave(gates);
        }
    }

    /// After work, looks out for more for a moment, if there is a core to spare and no other worker
    /// does so. `true` if some came.
    fn spin(&mut self) -> bool {
        let workers = &self.scheduler.workers;
        // Relaxed: only a reason not to spin, and the last look before sleeping does not rely on
        // it.
        if !std::mem::take(&mut self.worked)
            || workers.searching.load(Ordering::Relaxed) > 1
            || workers.awake() >= spin::cores()
        {
            return false;
        }
        self.backoff.spin(|| self.scheduler.queues.has_work())
    }

    /// Sleeps until there is work, or until the worker is to end.
    fn sleep(&mut self) -> Next {
        let workers = &self.scheduler.workers;
        workers.fall_asleep(self.thread, self.parker.unparker().clone());
        self.searching = false;
        // Pairs with the fence in `Scheduler::notify_for`: either the last look below sees the
        // task, or the thread that pushed it sees this worker among the sleepers.
        fence(Ordering::SeqCst);
        if self.scheduler.must_stay_awake() {
            return self.stay_awake();
        }
        self.local.queue.tally.parked();
        let mut until = Instant::now().checked_add(self.idle_timeout());
        loop {
            match until {
                Some(at) => self.parker.park_deadline(at),
                None => self.parker.park(),
            }
            let idle_too_long = until.is_some_and(|at| Instant::now() >= at);
            match workers.check(self.thread, idle_too_long) {
                WakeReason::Notified => {
                    self.searching = true;
                    self.notified = true;
                    return Next::LookAgain;
                }
                WakeReason::Retired => return Next::Leave,
                // One of the minimum: from now on it sleeps without a timeout.
                WakeReason::StillAsleep if idle_too_long => until = None,
                WakeReason::StillAsleep => {}
            }
        }
    }

    /// Leaves the sleepers again, because of what the last look found.
    fn stay_awake(&mut self) -> Next {
        let workers = &self.scheduler.workers;
        self.notified = workers.leave_sleepers(self.thread);
        self.searching = true;
        if !self.scheduler.is_finished() {
            return Next::LookAgain;
        }
        if self.notified {
            workers.acknowledge();
        }
        workers.dismiss();
        // The others may have gone to sleep before the last task was started.
        workers.wake_all();
        Next::Leave
    }

    fn idle_timeout(&self) -> Duration {
        let step = u32::try_from(self.thread % JITTER_STEPS).unwrap_or(0);
        let timeout = self.scheduler.idle_timeout;
        timeout.saturating_add(timeout / 64 * step)
    }
}
