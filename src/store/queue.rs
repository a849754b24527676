//! The commit queue: what callers have handed over and how far the disk and the index have come.
//!
//! Every batch gets the next number under one lock, so numbers are the order of the log. A batch
//! goes through `pending` → taken by the writer → flushed → applied; `applied` is the number up to
//! which all are done. The first failure is kept together with the first number it concerns:
//! waiters below it still get their answer, those from it on get the failure.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::batch::Encoded;
use super::error::StoreError;

/// How long a batch that nobody waits for may wait for company before it is flushed.
const LINGER: Duration = Duration::from_millis(10);
/// Bytes of such batches that are flushed without waiting for more.
const LINGER_BYTES: usize = 1 << 20;
/// How long a full queue is waited for: a disk that writes nothing for so long is broken.
const SPACE_DEADLINE: Duration = Duration::from_mins(5);

/// One batch with its number.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) number: u64,
    pub(super) encoded: Encoded,
}

/// The batches that the writer flushes together.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) submissions: Vec<Submission>,
    /// Number of the first.
    pub(super) first: u64,
    /// Number of the last.
    pub(super) last: u64,
    /// Bytes to give back when they are applied.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct State {
    pending: VecDeque<Submission>,
    pending_bytes: usize,
    /// When the oldest pending batch came, set when it becomes the oldest.
    oldest: Instant,
    /// Bytes submitted and not yet applied.
    held_bytes: usize,
    /// Callers blocked on a full queue.
    blocked: usize,
    next: u64,
    /// Somebody waits for the batches up to this number.
    urgent: u64,
    applied: u64,
    failure: Option<(u64, Arc<StoreError>)>,
    closing: bool,
    stopped: bool,
}

/// The queue between callers and the writer.
#[derive(Debug)]
pub(super) struct Queue {
    dir: PathBuf,
    limit: usize,
    state: Mutex<State>,
    /// Signals the writer: there is work, or hurry, or close.
    work: Condvar,
    /// Signals callers that wait for room.
    space: Condvar,
    /// Signals callers that wait for batches, and for the end.
    done: Condvar,
    /// A copy of `State::applied` to be read without the lock. Stored with Release after the
    /// batches became visible, loaded with Acquire: who sees the number sees the batches.
    applied: AtomicU64,
}

impl Queue {
    pub(super) fn new(dir: &Path, limit: usize) -> Self {
        let state = State {
            pending: VecDeque::new(),
            pending_bytes: 0,
            oldest: Instant::now(),
            held_bytes: 0,
            blocked: 0,
            next: 1,
            urgent: 0,
            applied: 0,
            failure: None,
            closing: false,
            stopped: false,
        };
        Self {
            dir: dir.to_path_buf(),
            limit,
            state: Mutex::new(state),
            work: Condvar::new(),
            space: Condvar::new(),
            done: Condvar::new(),
            applied: AtomicU64::new(0),
        }
    }

    /// Queues a batch and gives its number. Blocks while the queue is full.
    pub(super) fn submit(&self, encoded: Encoded, urgent: bool) -> Result<u64, StoreError> {
        let bytes = encoded.len();
        let mut state = self.state.lock();
        let deadline = Instant::now() + SPACE_DEADLINE;
        loop {
            self.check_open(&state)?;
            // A batch larger than the limit goes in when the queue is empty.
            if state.held_bytes == 0 || state.held_bytes + bytes <= self.limit {
                break;
            }
            state.blocked += 1;
            self.work.notify_one();
            let result = self.space.wait_until(&mut state, deadline);
            state.blocked -= 1;
            if result.timed_out() {
                return Err(self.timeout("wait for room", SPACE_DEADLINE));
            }
        }
        let number = state.next;
        state.next += 1;
        if state.pending.is_empty() {
            state.oldest = Instant::now();
        }
        state.held_bytes += bytes;
        state.pending_bytes += bytes;
        state.pending.push_back(Submission { number, encoded });
        if urgent {
            state.urgent = number;
        }
        drop(state);
        self.work.notify_one();
        Ok(number)
    }

    /// The next batches to flush together, at most `max_bytes` of them unless the first alone is
    /// larger. Waits for work; `None` when the queue has failed, or is closed and empty.
    pub(super) fn take(&self, max_bytes: usize) -> Option<Taken> {
        let mut state = self.state.lock();
        loop {
            match state.pending.front() {
                None if state.closing || state.failure.is_some() => return None,
                None => self.work.wait(&mut state),
                Some(_) if Self::is_due(&state) => return Some(Self::drain(&mut state, max_bytes)),
                Some(_) => {
                    let deadline = state.oldest + LINGER;
                    if self.work.wait_until(&mut state, deadline).timed_out() {
                        return Some(Self::drain(&mut state, max_bytes));
                    }
                }
            }
        }
    }

    /// Notes that the batches up to `last` are durable and visible.
    pub(super) fn complete(&self, last: u64, bytes: usize) {
        let mut state = self.state.lock();
        state.applied = last;
        state.held_bytes = state.held_bytes.saturating_sub(bytes);
        self.applied.store(last, Ordering::Release);
        drop(state);
        self.done.notify_all();
        self.space.notify_all();
    }

    /// Notes that the batches from `first` on will never be durable. Nothing is accepted any more.
    pub(super) fn fail(&self, first: u64, error: StoreError) {
        let mut state = self.state.lock();
        match &mut state.failure {
            Some((known, _)) => *known = first.min(*known),
            failure => *failure = Some((first, Arc::new(error))),
        }
        state.pending.clear();
        state.pending_bytes = 0;
        drop(state);
        self.work.notify_all();
        self.done.notify_all();
        self.space.notify_all();
    }

    /// [`fail`](Self::fail) for all that is not applied, by a thread that panicked.
    pub(super) fn fail_all(&self) {
        let first = self.state.lock().applied + 1;
        self.fail(first, StoreError::Panicked { path: self.dir.clone() });
    }

    /// Accepts nothing more; what is queued is still written.
    pub(super) fn close(&self) {
        self.state.lock().closing = true;
        self.work.notify_all();
        self.space.notify_all();
        self.done.notify_all();
    }

    /// Waits for [`close`](Self::close). The last handle calls it when it is dropped, so this has
    /// no deadline.
    pub(super) fn wait_closing(&self) {
        let mut state = self.state.lock();
        while !state.closing {
            self.done.wait(&mut state);
        }
    }

    /// Notes that the threads have ended.
    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.done.notify_all();
    }

    /// Waits for the end of the threads; gives the failure, if there was one.
    pub(super) fn wait_stopped(&self, timeout: Duration) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let deadline = Instant::now() + timeout;
        while !state.stopped {
            if self.done.wait_until(&mut state, deadline).timed_out() && !state.stopped {
                return Err(self.timeout("close", timeout));
            }
        }
        match &state.failure {
            Some((_, error)) => Err(self.poisoned(error)),
            None => Ok(()),
        }
    }

    /// The number of the newest batch.
    pub(super) fn newest(&self) -> u64 {
        self.state.lock().next - 1
    }

    /// Bytes submitted and not yet applied.
    pub(super) fn held_bytes(&self) -> usize {
        self.state.lock().held_bytes
    }

    /// Whether the batches up to `number` are durable and visible.
    pub(super) fn is_applied(&self, number: u64) -> bool {
        self.applied.load(Ordering::Acquire) >= number
    }

    /// Waits until the batches up to `number` are durable and visible.
    pub(super) fn wait(
        &self,
        number: u64,
        timeout: Duration,
        action: &'static str,
    ) -> Result<(), StoreError> {
        if self.is_applied(number) {
            return Ok(());
        }
        let mut state = self.state.lock();
        if state.urgent < number {
            state.urgent = number;
            self.work.notify_one();
        }
        let deadline = Instant::now() + timeout;
        loop {
            if state.applied >= number {
                return Ok(());
            }
            if let Some((first, error)) = &state.failure
                && number >= *first
            {
                return Err(self.poisoned(error));
            }
            if state.stopped {
                return Err(self.closed());
            }
            let result = self.done.wait_until(&mut state, deadline);
            if result.timed_out() && state.applied < number {
                return Err(self.timeout(action, timeout));
            }
        }
    }

    fn check_open(&self, state: &MutexGuard<'_, State>) -> Result<(), StoreError> {
        match &state.failure {
            Some((_, error)) => Err(self.poisoned(error)),
            None if state.closing => Err(self.closed()),
            None => Ok(()),
        }
    }

    /// Whether the pending batches should be flushed now rather than wait for company.
    fn is_due(state: &State) -> bool {
        let oldest = state.pending.front().map_or(u64::MAX, |submission| submission.number);
        state.urgent >= oldest
            || state.closing
            || state.blocked > 0
            || state.pending_bytes >= LINGER_BYTES
            || state.oldest.elapsed() >= LINGER
    }

    fn drain(state: &mut State, max_bytes: usize) -> Taken {
        let (mut bytes, mut submissions) = (0, Vec::new());
        while let Some(submission) = state.pending.pop_front() {
            let grown = bytes + submission.encoded.len();
            if !submissions.is_empty() && grown > max_bytes {
                state.pending.push_front(submission);
                break;
            }
            bytes = grown;
            submissions.push(submission);
        }
        state.pending_bytes -= bytes;
        state.oldest = Instant::now();
        let number = |submission: Option<&Submission>| submission.map_or(0, |s| s.number);
        let (first, last) = (number(submissions.first()), number(submissions.last()));
        Taken { submissions, first, last, bytes }
    }

    fn poisoned(&self, error: &Arc<StoreError>) -> StoreError {
        StoreError::Poisoned { path: self.dir.clone(), source: Arc::clone(error) }
    }

    pub(super) fn closed(&self) -> StoreError {
        StoreError::Closed { path: self.dir.clone() }
    }

    fn timeout(&self, action: &'static str, waited: Duration) -> StoreError {
        StoreError::Timeout { action, path: self.dir.clone(), waited }
    }
}
