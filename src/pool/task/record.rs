//! A task's closure, state and result, and the steps from one state to the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::header::{Header, PoolNumber};
use super::runnable::{Host, Joinable, Runnable};
use super::settings::{TaskSettings, UNNAMED};
use super::status::{TaskInfo, TaskStatus};
use crate::cancel::{CancelGuard, CancelToken};
use crate::pool::admission::{Ticket, nanos};
use crate::pool::error::TaskError;
use crate::pool::panics::{drop_quietly, forget_payload, panic_message};
use crate::pool::stats::Tally;
use crate::sync::{Condvar, Mutex};

/// A task in one allocation, kept small because it moves from one core's cache to another's: 72
/// bytes, reference counts included, with a closure of one word.
pub(in crate::pool) struct Record<F, T> {
    header: Header,
    body: Mutex<Body<F, T>>,
}

struct Body<F, T> {
    content: Content<F, T>,
    extra: Option<Box<Extra>>,
}

/// What few tasks have, kept out of the record so that the others stay small.
struct Extra {
    name: &'static str,
    /// Monotonic nanoseconds from which on the task may start; `None`: from its submission on.
    due: Option<u64>,
    token: Option<CancelToken>,
    /// Keeps the task's callback registered with the token.
    guard: Option<CancelGuard>,
    /// Signalled when the task has ended.
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
    /// The closure is running or being dropped.
    Away,
    Ended(Result<T, Box<TaskError>>),
    /// The handle has taken the result.
    Taken,
}

impl<F, T> Record<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    #[inline]
    pub(in crate::pool) fn new(
        settings: TaskSettings,
        ticket: Ticket,
        pool: PoolNumber,
        closure: F,
    ) -> Arc<Self> {
        let header = Header::new(&settings, ticket, pool);
        let extra = extra_of(settings, ticket.submitted);
        let body = Mutex::new(Body { content: Content::Waiting(closure), extra });
        Arc::new(Self { header, body })
    }

    /// `from` → `to`, and takes the closure out; `None` if the task is not in the state `from`.
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

    /// Ends the task: stores the outcome, wakes the joining thread and unregisters from the token.
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

    fn run(&self, from: TaskStatus, host: &dyn Host, tally: &Tally, detached: bool) -> bool {
        let Some(closure) = self.leave(from, TaskStatus::Running) else { return false };
        let header = &self.header;
        tally.start(header.priority);
        host.started();
        let began = header.measured.then(|| {
            let now = host.clock().monotonic();
            host.counters().waited(header.priority, now.saturating_sub(self.due()));
            now
        });
        let outcome = catch_unwind(AssertUnwindSafe(closure));
        if let Some(began) = began {
            let took = host.clock().monotonic().saturating_sub(began);
            host.counters().ran(header.priority, took);
        }
        match outcome {
            // Nobody will ask for the result, so the lock is saved. The token's guard, if there is
            // one, is dropped with the record.
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
                tracing::warn!(pool = host.name(), task = name, %message, "task panicked");
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
        // Two tries in this order suffice: a delayed task becomes queued, never the other way.
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
            // Outside the lock: the guard's callback may own anything.
            return drop(guard);
        }
        let extra = body.extra();
        (extra.token, extra.guard) = (Some(token), Some(guard));
    }
}

impl<F, T> Joinable<T> for Record<F, T>
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

/// What the settings ask for beyond the header: usually nothing.
#[inline]
fn extra_of(settings: TaskSettings, submitted: u64) -> Option<Box<Extra>> {
    let is_named = !std::ptr::eq(settings.name, UNNAMED);
    let due = (!settings.delay.is_zero()).then(|| submitted.saturating_add(nanos(settings.delay)));
    (is_named || due.is_some())
        .then(|| Box::new(Extra { name: settings.name, due, ..Extra::default() }))
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
