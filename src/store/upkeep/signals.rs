//! What the keeper is asked to do, and how callers wait for it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::store::error::StoreError;

/// Memory of rows not yet in the index file after which a checkpoint is taken.
const CHECKPOINT_BYTES: u64 = 8 << 20;
/// Memory of such rows at which callers wait for the checkpoint under way.
const PAUSE_BYTES: u64 = 32 << 20;

#[derive(Debug, Default)]
struct SignalsState {
    /// Numbers of the newest checkpoint asked for, of the newest that has frozen its rows, and of
    /// the newest that is done.
    wanted: u64,
    begun: u64,
    done: u64,
    /// A rebuild of the index file is asked for with the next checkpoint.
    rebuild: bool,
    /// Ids of retired segments without a reader.
    unlinkable: Vec<u32>,
    failed: Option<Arc<StoreError>>,
    closing: bool,
    /// Checkpoints are not taken on demand any more.
    leaving: bool,
}

/// Tells the keeper what to do.
#[derive(Debug, Default)]
pub(in crate::store) struct Signals {
    state: Mutex<SignalsState>,
    work: Condvar,
    done: Condvar,
}

/// What the keeper does next.
pub(super) enum Task {
    Unlink(Vec<u32>),
    Checkpoint { number: u64, rebuild: bool },
    End,
}

impl Signals {
    /// Asks for the removal of a retired segment's file.
    pub(in crate::store) fn unlink_later(&self, id: u32) {
        self.state.lock().unlinkable.push(id);
        self.work.notify_one();
    }

    /// Asks for a checkpoint with everything applied so far.
    pub(in crate::store) fn want_checkpoint(&self) {
        let mut state = self.state.lock();
        if state.wanted == state.begun {
            state.wanted += 1;
            self.work.notify_one();
        }
    }

    /// Notes that the rows for all checkpoints up to this one are frozen: later rows are for the
    /// next.
    pub(super) fn begun(&self, number: u64) {
        self.state.lock().begun = number;
    }

    /// Asks for a checkpoint that has everything before it, and waits for it.
    pub(in crate::store) fn checkpoint(
        &self,
        rebuild: bool,
        deadline: Duration,
    ) -> Result<(), CheckpointError> {
        let mut state = self.state.lock();
        if state.wanted == state.begun {
            state.wanted += 1;
        }
        state.rebuild |= rebuild;
        let number = state.wanted;
        self.work.notify_one();
        let until = std::time::Instant::now() + deadline;
        while state.done < number {
            if let Some(error) = &state.failed {
                return Err(CheckpointError::Failed(Arc::clone(error)));
            }
            if state.leaving {
                return Err(CheckpointError::Closed);
            }
            if self.done.wait_until(&mut state, until).timed_out() && state.done < number {
                return Err(CheckpointError::Timeout);
            }
        }
        Ok(())
    }

    /// Asks for a checkpoint if enough rows wait for one. Returns whether callers must wait for it,
    /// because there are too many.
    pub(in crate::store) fn note_dirty(&self, bytes: u64, log_is_long: bool) -> bool {
        if bytes >= CHECKPOINT_BYTES || log_is_long {
            self.want_checkpoint();
        }
        bytes >= PAUSE_BYTES
    }

    /// Ends the keeper.
    pub(in crate::store) fn close(&self) {
        self.state.lock().closing = true;
        self.work.notify_one();
    }

    pub(super) fn next(&self) -> Task {
        let mut state = self.state.lock();
        loop {
            if !state.unlinkable.is_empty() {
                return Task::Unlink(std::mem::take(&mut state.unlinkable));
            }
            if state.wanted > state.done && state.failed.is_none() {
                let (number, rebuild) = (state.wanted, std::mem::take(&mut state.rebuild));
                return Task::Checkpoint { number, rebuild };
            }
            if state.closing {
                state.leaving = true;
                self.done.notify_all();
                return Task::End;
            }
            self.work.wait(&mut state);
        }
    }

    /// The number of the newest checkpoint asked for, unless one has failed.
    pub(super) fn newest_wanted(&self) -> Option<u64> {
        let state = self.state.lock();
        state.failed.is_none().then_some(state.wanted)
    }

    /// The segments without a reader, whose files are to be removed.
    pub(super) fn take_unlinkable(&self) -> Vec<u32> {
        std::mem::take(&mut self.state.lock().unlinkable)
    }

    pub(super) fn finished(&self, number: u64, result: Result<(), Arc<StoreError>>) {
        let mut state = self.state.lock();
        match result {
            Ok(()) => state.done = number,
            Err(error) => state.failed = Some(error),
        }
        self.done.notify_all();
    }

    pub(super) fn end(&self) {
        self.state.lock().leaving = true;
        self.done.notify_all();
    }
}

/// Why a checkpoint that was asked for was not taken.
#[derive(Debug)]
pub(in crate::store) enum CheckpointError {
    Failed(Arc<StoreError>),
    Closed,
    Timeout,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_asked_for_when_rows_or_log_have_grown() {
        for (bytes, log_is_long, wanted) in
            [(CHECKPOINT_BYTES - 1, false, 0), (CHECKPOINT_BYTES, false, 1), (0, true, 1)]
        {
            let signals = Signals::default();
            // The second time it is asked for already.
            for _ in 0..2 {
                assert!(!signals.note_dirty(bytes, log_is_long));
                assert_eq!(signals.state.lock().wanted, wanted, "{bytes} {log_is_long}");
            }
            // What comes after the rows were set aside is for the next.
            signals.begun(wanted);
            assert!(!signals.note_dirty(bytes, log_is_long));
            assert_eq!(signals.state.lock().wanted, wanted * 2, "{bytes} {log_is_long}");
        }
    }
}
