//! The user's handle to a run.

use std::sync::Arc;
use std::time::Duration;

use super::progress::{Progress, Report};
use super::state::RunState;
use crate::engine::Error;

/// A handle to a run in progress or ended. Dropping it does not end the run.
#[derive(Debug)]
pub struct Run {
    pub(super) state: Arc<RunState>,
}

impl Run {
    /// Where the run stands. Costs a few counters and one short lock.
    pub fn progress(&self) -> Progress {
        self.state.progress()
    }

    /// Ends the run cleanly: exchanges in flight are cancelled, their URLs stay pending, and
    /// everything stored is kept. Returns at once; [`Run::wait`] returns when the run has ended.
    pub fn cancel(&self) {
        self.state.cancel();
    }

    /// Waits for the end of the run.
    pub fn wait(self) -> Result<Report, Error> {
        let mut lifecycle = self.state.lifecycle.lock();
        loop {
            if let Some(outcome) = &lifecycle.outcome {
                return self.state.outcome(outcome);
            }
            self.state.ended.wait(&mut lifecycle);
        }
    }

    /// Waits at most `timeout` for the end of the run; `None` if it has not ended by then.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<Report, Error>> {
        self.state.wait_ended(timeout).then(|| {
            let lifecycle = self.state.lifecycle.lock();
            lifecycle.outcome.as_ref().map(|outcome| self.state.outcome(outcome))
        })?
    }
}
