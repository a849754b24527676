//! Tasks that are run again and again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::error::TaskError;
use super::handle::TaskSettings;
use super::record::panic_message;
use super::shared::Shared;
use super::sync::{Condvar, Mutex};
use super::worker;
use crate::cancel::CancelToken;

/// The least period: a shorter one is lengthened to it.
pub(super) const LEAST_PERIOD: Duration = Duration::from_millis(1);

/// The handle to a task that is run once every period. Dropping it detaches the task, which goes on
/// until the pool is shut down.
pub struct Periodic {
    series: Arc<Series>,
}

struct Series {
    pool: Weak<Shared>,
    settings: TaskSettings,
    period: Duration,
    token: CancelToken,
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    runs: u64,
    /// Why there will be no further run.
    error: Option<TaskError>,
}

/// One run to come.
struct Run<F> {
    guard: Guard,
    closure: F,
    /// Monotonic reading at which it is due.
    due: Duration,
}

/// Ends the series when it is dropped: the run that it stands for was cancelled or refused.
struct Guard {
    series: Arc<Series>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.series.end(TaskError::Cancelled);
    }
}

impl Periodic {
    pub(super) fn start<F>(
        shared: &Arc<Shared>,
        settings: TaskSettings,
        parent: Option<&CancelToken>,
        period: Duration,
        closure: F,
    ) -> Self
    where
        F: FnMut() + Send + 'static,
    {
        let series = Arc::new(Series {
            pool: Arc::downgrade(shared),
            settings,
            period: period.max(LEAST_PERIOD),
            token: parent.map_or_else(CancelToken::new, CancelToken::child),
            state: Mutex::new(State { runs: 0, error: None }),
            ended: Condvar::new(),
        });
        let due = shared.clock.monotonic().saturating_add(settings.delay);
        let guard = Guard { series: Arc::clone(&series) };
        Run { guard, closure, due }.schedule(shared, settings.delay);
        Self { series }
    }

    /// Lets no further run begin. A run that is under way finds its token
    /// ([`current_token`](super::current_token)) cancelled and goes on as it likes.
    pub fn cancel(&self) {
        self.series.token.cancel();
    }

    /// Runs that have ended.
    pub fn runs(&self) -> u64 {
        self.series.state.lock().runs
    }

    /// Whether there will be no further run and none is under way.
    pub fn is_ended(&self) -> bool {
        self.series.state.lock().error.is_some()
    }

    /// Waits at most `timeout` until there will be no further run, and tells why:
    /// [`TaskError::Cancelled`], also where the pool was shut down, or [`TaskError::Panicked`].
    /// `None` if there may be one.
    pub fn join_timeout(&self, timeout: Duration) -> Option<TaskError> {
        let deadline = Instant::now().checked_add(timeout);
        worker::blocking(|| {
            let mut state = self.series.state.lock();
            while state.error.is_none() {
                match deadline {
                    None => self.series.ended.wait(&mut state),
                    Some(at) => {
                        if self.series.ended.wait_until(&mut state, at).timed_out() {
                            break;
                        }
                    }
                }
            }
            state.error.clone()
        })
    }
}

impl Series {
    fn end(&self, error: TaskError) {
        let mut state = self.state.lock();
        state.error.get_or_insert(error);
        drop(state);
        self.ended.notify_all();
    }
}

impl<F: FnMut() + Send + 'static> Run<F> {
    fn schedule(self, shared: &Arc<Shared>, delay: Duration) {
        let token = self.guard.series.token.clone();
        let settings = TaskSettings { delay, ..self.guard.series.settings };
        drop(shared.spawn(settings, Some(&token), move || self.run()));
    }

    fn run(mut self) {
        let series = Arc::clone(&self.guard.series);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(&mut self.closure)) {
            series.end(TaskError::Panicked { message: panic_message(&*payload) });
            resume_unwind(payload);
        }
        series.state.lock().runs += 1;
        // Without a pool there is no further run.
        if let Some(shared) = series.pool.upgrade() {
            let now = shared.clock.monotonic();
            self.due = next_due(self.due, series.period, now);
            let delay = self.due.saturating_sub(now);
            self.schedule(&shared, delay);
        }
    }
}

/// The first time after `now` that is whole periods after `due`: what was missed is left out.
fn next_due(due: Duration, period: Duration, now: Duration) -> Duration {
    let late = now.saturating_sub(due).as_nanos();
    let periods = late / period.as_nanos().max(1) + 1;
    let periods = u32::try_from(periods).unwrap_or(u32::MAX);
    due.saturating_add(period.saturating_mul(periods))
}

impl fmt::Debug for Periodic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.series.state.lock();
        f.debug_struct("Periodic")
            .field("name", &self.series.settings.name)
            .field("period", &self.series.period)
            .field("runs", &state.runs)
            .field("ended", &state.error)
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
