//! How a task enters a pool, and how it is cancelled from outside.

use std::sync::Arc;

use super::state::Scheduler;
use crate::cancel::CancelToken;
use crate::pool::error::TaskError;
use crate::pool::task::{Record, Runnable, TaskRef, TaskSettings};

impl Scheduler {
    /// Hands a task to the pool. If the pool is sealed, the task is rejected.
    pub(in crate::pool) fn spawn<T, F>(
        &self,
        settings: TaskSettings,
        parent: Option<&CancelToken>,
        closure: F,
    ) -> Arc<Record<F, T>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let ticket = self.admit();
        let record = Record::new(settings, ticket, self.number, closure);
        self.submit(Arc::clone(&record) as TaskRef, settings, ticket.is_accepted(), parent);
        record
    }

    /// The part of `spawn` that does not depend on the closure's type, compiled once.
    fn submit(
        &self,
        task: TaskRef,
        settings: TaskSettings,
        accepted: bool,
        parent: Option<&CancelToken>,
    ) {
        if !accepted {
            self.withdraw(&*task, TaskError::Rejected);
            return;
        }
        if let Some(parent) = parent {
            attach(&task, parent);
        }
        if settings.delay.is_zero() {
            self.enqueue(task, settings.priority, settings.kind);
        } else if self.timekeeper.insert(Arc::clone(&task), || self.start_timekeeper()) {
            self.queues.count_submitted(settings.priority.level());
        } else {
            self.withdraw(&*task, TaskError::Rejected);
        }
    }
}

/// Gives the task a token below `parent`. Cancelling `parent` withdraws the task or, if it runs,
/// cancels its token. Called before the task can start.
fn attach(task: &TaskRef, parent: &CancelToken) {
    let child = parent.child();
    let weak = Arc::downgrade(task);
    let guard = child.on_cancel(move || {
        if let Some(task) = weak.upgrade() {
            withdraw(&*task, TaskError::Cancelled);
        }
    });
    task.link(child, guard);
}

/// Ends a task of any pool that has not started and drops its closure here. `false` if it has
/// started.
fn withdraw(task: &dyn Runnable, error: TaskError) -> bool {
    match Scheduler::find_pool(task.header().pool) {
        Some(scheduler) => scheduler.withdraw(task, error),
        // Nobody counts any more.
        None => task.withdraw(error, &mut |_| ()),
    }
}

/// Cancels a task of any pool: withdraws it or cancels its token.
pub(in crate::pool) fn cancel(task: &dyn Runnable) {
    if !withdraw(task, TaskError::Cancelled) && !task.header().status().is_ended() {
        task.token().cancel();
    }
}
