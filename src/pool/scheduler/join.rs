//! What a worker does while it waits: it runs the joined task itself, or lends out its place.

use std::time::Instant;

use super::current::{current_pool, current_worker};
use super::state::Scheduler;
use crate::pool::panics::drop_quietly;
use crate::pool::queues::{GateSet, WorkerLocal};
use crate::pool::task::{TaskRef, TaskStatus};

/// How many tasks a worker runs one inside the other, by joins, before a join waits for another
/// worker instead. Each of them takes stack.
const MAX_INLINED: usize = 64;

/// Runs `wait`, which blocks this thread. On a worker, another one may take its place and its
/// permits meanwhile.
pub(in crate::pool) fn blocking<R>(wait: impl FnOnce() -> R) -> R {
    let Some((scheduler, local)) = current_worker() else { return wait() };
    let gates = local.gates.replace(GateSet::default());
    scheduler.workers.block();
    scheduler.queues.gates.leave(gates);
    scheduler.notify();
    let result = wait();
    scheduler.queues.gates.re_enter(gates);
    local.gates.set(gates);
    scheduler.workers.unblock();
    result
}

/// On a worker of the task's pool: runs the task here if it is queued, or delayed and due. Returns
/// when it is running elsewhere or has ended.
pub(in crate::pool) fn help(task: &TaskRef, wait_ended: impl Fn(Option<Instant>)) {
    let header = task.header();
    if current_pool() != Some(header.pool) {
        return;
    }
    let Some((scheduler, local)) = current_worker() else { return };
    // Each wait ends when the task is due or has left the state; the loop ends with the state.
    while header.status() == TaskStatus::Delayed {
        let now = scheduler.clock.monotonic();
        let left = task.due().saturating_sub(now);
        if !left.is_zero() {
            blocking(|| wait_ended(Instant::now().checked_add(left)));
        } else if run_inlined(&scheduler, task, TaskStatus::Delayed, &local) {
            return scheduler.timekeeper.note_stale();
        }
    }
    // Too deep to run it here, unless no other worker may come for it.
    if local.inlined.get() >= MAX_INLINED && scheduler.workers.may_replace() {
        return;
    }
    if header.status() == TaskStatus::Queued {
        run_inlined(&scheduler, task, TaskStatus::Queued, &local);
    }
}

/// Runs a task, if it is still in the state `from`, inside the one that joins it.
fn run_inlined(
    scheduler: &Scheduler,
    task: &TaskRef,
    from: TaskStatus,
    local: &WorkerLocal,
) -> bool {
    local.inlined.set(local.inlined.get() + 1);
    local.queue.lock().begin(task);
    let ran = scheduler.run(task, from, local);
    let ended = local.queue.lock().end();
    drop_quietly(ended);
    local.inlined.set(local.inlined.get() - 1);
    if ran {
        local.queue.tally.inlined();
    }
    ran
}
