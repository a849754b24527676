//! Tasks that are run again and again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::pool::error::TaskError;
use crate::pool::panics::panic_message;
use crate::pool::scheduler::{Scheduler, blocking};
use crate::pool::task::TaskSettings;
use crate::sync::{Condvar, Mutex};

/// The shortest period; a shorter one is lengthened to it.
const MIN_PERIOD: Duration = Duration::from_millis(1);

/// The handle to a task that is run once every period. Dropping it detaches the task, which goes on
/// until the pool is shut down.
pub struct Periodic {
    series: Arc<Series>,
}

struct Series {
    pool: Weak<Scheduler>,
    settings: TaskSettings,
    period: Duration,
    token: CancelToken,
    progress: Mutex<Progress>,
    ended: Condvar,
}

struct Progress {
    runs: u64,
    /// Why the series has ended.
    error: Option<TaskError>,
}

/// The next run of a series.
struct NextRun<F> {
    guard: EndOnDrop,
    closure: F,
    /// Monotonic time at which it is due.
    due: Duration,
}

/// Ends the series when it is dropped, which happens when the next run was cancelled or rejected.
struct EndOnDrop {
    series: Arc<Series>,
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.series.end(TaskError::Cancelled);
    }
}

impl Periodic {
    pub(super) fn start<F>(
        scheduler: &Arc<Scheduler>,
        settings: TaskSettings,
        parent: Option<&CancelToken>,
        period: Duration,
        closure: F,
    ) -> Self
    where
        F: FnMut() + Send + 'static,
    {
        let series = Arc::new(Series {
            pool: Arc::downgrade(scheduler),
            settings,
            period: period.max(MIN_PERIOD),
            token: parent.map_or_else(CancelToken::new, CancelToken::child),
            progress: Mutex::new(Progress { runs: 0, error: None }),
            ended: Condvar::new(),
        });
        let due = scheduler.clock.monotonic().saturating_add(settings.delay);
        let guard = EndOnDrop { series: Arc::clone(&series) };
        NextRun { guard, closure, due }.schedule(scheduler, settings.delay);
        Self { series }
    }

    /// Ends the series: no further run begins. If a run is under way, its token
    /// ([`current_token`](crate::pool::current_token)) is cancelled, and the closure decides when
    /// to return.
    pub fn cancel(&self) {
        self.series.token.cancel();
    }

    /// How many runs have returned.
    pub fn runs(&self) -> u64 {
        self.series.progress.lock().runs
    }

    /// Whether the series has ended and no run is under way.
    pub fn is_ended(&self) -> bool {
        self.series.progress.lock().error.is_some()
    }

    /// Waits at most `timeout` until the series has ended and no run is under way, and returns why
    /// it ended: [`TaskError::Cancelled`], also if the pool was shut down, or
    /// [`TaskError::Panicked`]. `None` if the series goes on.
    pub fn join_timeout(&self, timeout: Duration) -> Option<TaskError> {
        let deadline = Instant::now().checked_add(timeout);
        blocking(|| {
            let mut progress = self.series.progress.lock();
            while progress.error.is_none() {
                match deadline {
                    None => self.series.ended.wait(&mut progress),
                    Some(at) => {
                        if self.series.ended.wait_until(&mut progress, at).timed_out() {
                            break;
                        }
                    }
                }
            }
            progress.error.clone()
        })
    }
}

impl Series {
    fn end(&self, error: TaskError) {
        let mut progress = self.progress.lock();
        progress.error.get_or_insert(error);
        drop(progress);
        self.ended.notify_all();
    }
}

impl<F: FnMut() + Send + 'static> NextRun<F> {
    fn schedule(self, scheduler: &Arc<Scheduler>, delay: Duration) {
        let token = self.guard.series.token.clone();
        let settings = TaskSettings { delay, ..self.guard.series.settings };
        drop(scheduler.spawn(settings, Some(&token), move || self.run()));
    }

    fn run(mut self) {
        let series = Arc::clone(&self.guard.series);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(&mut self.closure)) {
            series.end(TaskError::Panicked { message: panic_message(&*payload) });
            resume_unwind(payload);
        }
        series.progress.lock().runs += 1;
        // If the pool is gone, `guard` ends the series.
        if let Some(scheduler) = series.pool.upgrade() {
            let now = scheduler.clock.monotonic();
            self.due = next_due(self.due, series.period, now);
            let delay = self.due.saturating_sub(now);
            self.schedule(&scheduler, delay);
        }
    }
}

/// The first time after `now` that is a whole number of periods after `due`, so missed runs are
/// skipped.
fn next_due(due: Duration, period: Duration, now: Duration) -> Duration {
    let late = now.saturating_sub(due).as_nanos();
    let periods = late / period.as_nanos().max(1) + 1;
    let periods = u32::try_from(periods).unwrap_or(u32::MAX);
    due.saturating_add(period.saturating_mul(periods))
}

impl fmt::Debug for Periodic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.series.progress.lock();
        f.debug_struct("Periodic")
            .field("name", &self.series.settings.name)
            .field("period", &self.series.period)
            .field("runs", &progress.runs)
            .field("ended", &progress.error)
            .finish()
    }
}

#[cfg(all(test, not(gristmill_model)))]
mod tests {
    use super::*;

    #[test]
    fn runs_keep_their_beat_and_missed_ones_are_left_out() {
        let millis = Duration::from_millis;
        let next = |due, now| next_due(millis(due), millis(10), millis(now));
        assert_eq!(next(100, 100), millis(110));
        assert_eq!(next(100, 109), millis(110));
        assert_eq!(next(100, 110), millis(120));
        assert_eq!(next(100, 1234), millis(1240));
    }
}
