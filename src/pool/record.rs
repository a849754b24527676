//! What a task is made of, and the steps from one of its states to the next.
//!
//! ```text
//! Delayed ──▶ Queued ──▶ Running ──▶ Done
//!    │  └────────┼─────────▲  └────▶ Panicked
//!    └───────────┴──▶ Cancelled, Rejected
//! ```
//!
//! Each step is made by one thread alone, under the lock of the task's body.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admission::Ticket;
use super::error::TaskError;
use super::handle::TaskSettings;
use super::priority::{Kind, Priority};
use super::shared::{PoolNumber, Shared};
use super::stats::Tally;
use super::sync::atomic::{AtomicU8, Ordering};
use super::sync::{Condvar, Mutex};
use super::task::{
    Outcome, Runnable, TaskId, TaskInfo, TaskStatus, UNNAMED, drop_quietly, forget_payload, nanos,
};
use crate::cancel::{CancelGuard, CancelToken};

/// What every task has, whatever it returns.
pub(super) struct Header {
    pub(super) id: TaskId,
    /// Monotonic nanoseconds at submission, exact if `measured`.
    submitted: u64,
    pub(super) pool: PoolNumber,
    pub(super) priority: Priority,
    pub(super) kind: Kind,
    /// Whether its times go into the histograms.
    measured: bool,
    /// A [`TaskStatus`]. Changed only under the lock of the record's body, but for the last step of
    /// a task that nobody holds a handle to; read without it. Release and Acquire: who sees a state
    /// sees what led to it.
    state: AtomicU8,
}

impl Header {
    #[inline]
    pub(super) fn status(&self) -> TaskStatus {
        TaskStatus::ALL[usize::from(self.state.load(Ordering::Acquire))]
    }

    /// When it was submitted, for who orders tasks by age.
    pub(super) fn submitted(&self) -> Duration {
        Duration::from_nanos(self.submitted)
    }

    #[inline]
    fn set(&self, status: TaskStatus) {
        self.state.store(status as u8, Ordering::Release);
    }
}

/// A task: one allocation for the closure, the state and the result, kept small because it goes
/// from one core's cache to another's: 72 bytes, counts included, with a closure of one word. What
/// few tasks have is elsewhere.
pub(super) struct Record<F, T> {
    header: Header,
    body: Mutex<Body<F, T>>,
}

struct Body<F, T> {
    content: Content<F, T>,
    extra: Option<Box<Extra>>,
}

/// What few tasks have.
struct Extra {
    name: &'static str,
    /// Monotonic nanoseconds from which on it may start; `None`: from its submission on.
    due: Option<u64>,
    token: Option<CancelToken>,
    /// Listens to the token above; dropping it ends that.
    guard: Option<CancelGuard>,
    /// Whom to tell when the task has ended.
    ended: Option<Arc<Condvar>>,
}

impl Default for Extra {
    fn default() -> Self {
        Self { name: UNNAMED, due: None, token: None, guard: None, ended: None }
    }
}

impl<F, T> Body<F, T> {
    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    fn name(&self) -> &'static str {
        self.extra.as_ref().map_or(UNNAMED, |extra| extra.name)
    }
}

enum Content<F, T> {
    Waiting(F),
    /// The closure runs, or is being dropped.
    Away,
    Ended(Result<T, Box<TaskError>>),
    Taken,
}

impl<F, T> Record<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// A task that has its settings and its ticket.
    #[inline]
    pub(super) fn new(
        settings: TaskSettings,
        ticket: Ticket,
        pool: PoolNumber,
        closure: F,
    ) -> Arc<Self> {
        let status =
            if settings.delay.is_zero() { TaskStatus::Queued } else { TaskStatus::Delayed };
        let header = Header {
            id: ticket.id(),
            submitted: ticket.submitted,
            pool,
            priority: settings.priority,
            kind: settings.kind,
            measured: ticket.is_measured(),
            state: AtomicU8::new(status as u8),
        };
        let extra = extra_of(settings, ticket.submitted);
        let body = Mutex::new(Body { content: Content::Waiting(closure), extra });
        Arc::new(Self { header, body })
    }

    /// Takes the closure out and sets the state, if the task is in the state `from`.
    #[inline]
    fn leave(&self, from: TaskStatus, to: TaskStatus) -> Option<F> {
        let mut body = self.body.lock();
        if self.header.status() != from {
            return None;
        }
        self.header.set(to);
        match std::mem::replace(&mut body.content, Content::Away) {
            Content::Waiting(closure) => Some(closure),
            _ => unreachable!("invariant: a task that is delayed or queued has its closure"),
        }
    }

    /// Stores the outcome and wakes who waits. An ended task listens to no token.
    fn publish(&self, outcome: Result<T, Box<TaskError>>, status: TaskStatus) {
        let mut body = self.body.lock();
        body.content = Content::Ended(outcome);
        self.header.set(status);
        let extra = body.extra.take();
        drop(body);
        if let Some(ended) = extra.as_ref().and_then(|extra| extra.ended.as_ref()) {
            ended.notify_all();
        }
        drop(extra);
    }
}

impl<F, T> Runnable for Record<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn header(&self) -> &Header {
        &self.header
    }

    fn info(&self, now: Duration) -> TaskInfo {
        let header = &self.header;
        TaskInfo {
            id: header.id,
            name: self.body.lock().name(),
            priority: header.priority,
            status: header.status(),
            age: now.saturating_sub(header.submitted()),
        }
    }

    fn due(&self) -> Duration {
        let due = self.body.lock().extra.as_ref().and_then(|extra| extra.due);
        Duration::from_nanos(due.unwrap_or(self.header.submitted))
    }

    fn run(&self, from: TaskStatus, shared: &Shared, tally: &Tally, detached: bool) -> bool {
        let Some(closure) = self.leave(from, TaskStatus::Running) else { return false };
        let header = &self.header;
        tally.start(header.priority);
        shared.started();
        let began = header.measured.then(|| {
            let now = shared.clock.monotonic();
            shared.counters.waited(header.priority, now.saturating_sub(self.due()));
            now
        });
        let outcome = catch_unwind(AssertUnwindSafe(closure));
        if let Some(began) = began {
            shared.counters.ran(header.priority, shared.clock.monotonic().saturating_sub(began));
        }
        match outcome {
            // Nobody asks for the result, and nobody can cancel it any more: the token's guard, if
            // there is one, goes with the record.
            Ok(value) if detached => {
                tally.done(header.priority);
                header.set(TaskStatus::Done);
                drop_quietly(value);
            }
            Ok(value) => {
                tally.done(header.priority);
                self.publish(Ok(value), TaskStatus::Done);
            }
            Err(payload) => {
                let message = panic_message(&*payload);
                forget_payload(payload);
                let name = self.body.lock().name();
                tracing::warn!(pool = %shared.name, task = name, %message, "task panicked");
                tally.panicked(header.priority);
                let error = Box::new(TaskError::Panicked { message });
                self.publish(Err(error), TaskStatus::Panicked);
            }
        }
        true
    }

    fn promote(&self) -> bool {
        let _body = self.body.lock();
        let delayed = self.header.status() == TaskStatus::Delayed;
        if delayed {
            self.header.set(TaskStatus::Queued);
        }
        delayed
    }

    fn withdraw(&self, error: TaskError, leaving: &mut dyn FnMut(TaskStatus)) -> bool {
        let to = match error {
            TaskError::Rejected => TaskStatus::Rejected,
            _ => TaskStatus::Cancelled,
        };
        // A delayed task becomes queued, never the other way: two tries in this order suffice.
        let left = [TaskStatus::Delayed, TaskStatus::Queued]
            .into_iter()
            .find_map(|from| Some((from, self.leave(from, to)?)));
        let Some((left, closure)) = left else { return false };
        leaving(left);
        drop_quietly(closure);
        self.publish(Err(Box::new(error)), to);
        true
    }

    fn token(&self) -> CancelToken {
        self.body.lock().extra().token.get_or_insert_default().clone()
    }

    fn link(&self, token: CancelToken, guard: CancelGuard) {
        let mut body = self.body.lock();
        if self.header.status().is_ended() {
            drop(body);
            // Outside the lock: it may own anything.
            return drop(guard);
        }
        let extra = body.extra();
        (extra.token, extra.guard) = (Some(token), Some(guard));
    }
}

impl<F, T> Outcome<T> for Record<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<T, TaskError>> {
        self.wait_ended(deadline);
        let mut body = self.body.lock();
        match &body.content {
            Content::Waiting(_) | Content::Away => None,
            Content::Taken => Some(Err(TaskError::Taken)),
            Content::Ended(_) => match std::mem::replace(&mut body.content, Content::Taken) {
                Content::Ended(outcome) => Some(outcome.map_err(|error| *error)),
                _ => unreachable!("invariant: matched under the same lock"),
            },
        }
    }

    fn wait_ended(&self, deadline: Option<Instant>) {
        let mut body = self.body.lock();
        while matches!(body.content, Content::Waiting(_) | Content::Away) {
            let ended = body.extra().ended.get_or_insert_with(|| Arc::new(Condvar::new()));
            let ended = Arc::clone(ended);
            match deadline {
                None => ended.wait(&mut body),
                Some(at) => {
                    if ended.wait_until(&mut body, at).timed_out() {
                        return;
                    }
                }
            }
        }
    }
}

/// What a task has by its settings beyond its header: usually nothing.
#[inline]
fn extra_of(settings: TaskSettings, submitted: u64) -> Option<Box<Extra>> {
    let is_named = !std::ptr::eq(settings.name, UNNAMED);
    let due = (!settings.delay.is_zero()).then(|| submitted.saturating_add(nanos(settings.delay)));
    (is_named || due.is_some())
        .then(|| Box::new(Extra { name: settings.name, due, ..Extra::default() }))
}

/// What a panic said.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "the panic's payload is not a string".to_owned()
    }
}

#[cfg(all(test, not(gristmill_model), target_pointer_width = "64"))]
mod tests {
    use super::*;

    fn size_of_record<F: FnOnce() -> T, T>(_: &F) -> usize {
        size_of::<Record<F, T>>()
    }

    #[test]
    fn a_task_stays_small() {
        let word = Box::new(1_u8);
        let counts = 2 * size_of::<usize>();
        assert_eq!(counts + size_of_record(&move || drop(word)), 72);
    }
}
