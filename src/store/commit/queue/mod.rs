//! The commit queue: the batches that callers have submitted, and which of them are applied.
//!
//! Every batch gets the next number under one lock, so numbers are the order of the log. One
//! *leader* at a time writes the pending batches: a caller that waits for its own batch, or
//! `store-writer` for batches that nobody waits for, once they are 10 ms old, fill 1 MiB, or a
//! caller begins to wait. A commit by a single thread therefore never switches threads. The leader
//! takes all that is pending as one group, up to the size limit, flushes it, makes it visible,
//! answers, and passes on the lead. `applied` is the number up to which all batches are answered.
//!
//! Callers that were answered together tend to come again together. A leader that has fewer batches
//! than the last group had waits for the others, for half a flush and 1 ms at most: one flush for
//! all of them costs less than two.
//!
//! # Failures
//!
//! After a failed write or flush the content of the disk is unknown. The first failure is kept
//! together with the first number it concerns: waiters below it still get their answer, those from
//! it on get [`StoreError::Poisoned`], and nothing is accepted any more. A failed checkpoint and a
//! panic of a leader or of the keeper poison the store in the same way. Reads go on from the last
//! published state, and the lock is kept until the store is closed.
//!
//! A batch that is refused for lack of space fails alone. Refusals are remembered until their
//! callers have been told, since a buffered batch may be asked for at any time. Beyond 65,536 of
//! them the store fails rather than forget one.

mod submission;
mod waiting;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::store::commit::encoded::Encoded;
use crate::store::error::StoreError;

pub(in crate::store) use submission::{NextGroup, Submission, Submitter};

/// How long a batch without a waiting caller may wait for more before it is flushed.
const LINGER: Duration = Duration::from_millis(10);
/// Bytes of such batches that are flushed without waiting for more.
const LINGER_BYTES: usize = 1 << 20;
/// Longest wait of a leader for the callers of the last group.
const GATHER_MAX: Duration = Duration::from_millis(1);
/// How long callers wait for room. A disk that writes nothing for so long is broken.
const SPACE_DEADLINE: Duration = Duration::from_mins(5);
/// How long a batch is delayed while space is used faster than it is reclaimed.
const THROTTLE_DELAY: Duration = Duration::from_millis(50);
/// Ranges of refused batches that are remembered until their callers are told. With more, the store
/// fails.
const MAX_REFUSED: usize = 1 << 16;

/// A caller asleep until its batch is done or it is to lead.
#[derive(Debug)]
struct Waiter {
    number: u64,
    leads: bool,
    wake: Arc<Condvar>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "five facts that change independently")]
struct QueueState {
    pending: VecDeque<Submission>,
    pending_bytes: usize,
    /// Pending batches that a caller waits for.
    pending_sync: usize,
    /// When the oldest pending batch became the oldest.
    oldest: Instant,
    /// Bytes submitted and not yet applied.
    held_bytes: usize,
    /// Callers blocked on a full queue.
    blocked: usize,
    next: u64,
    /// A caller waits for the batches up to this number without leading.
    urgent: u64,
    applied: u64,
    /// A thread takes, writes or answers batches.
    leading: bool,
    waiters: VecDeque<Waiter>,
    /// Batches of waiting callers in the last group.
    last_sync: usize,
    /// The number of batches that the leader waits for.
    gathering: Option<usize>,
    /// The index cannot keep up: accept nothing until it does.
    paused: bool,
    /// Reclaiming space cannot keep up: delay each batch.
    throttled: bool,
    /// Batches delayed by that.
    slowed: u64,
    /// Batches that were not written for lack of space: first and last number.
    refused: Vec<(u64, u64, Arc<StoreError>)>,
    /// The first refusal of a batch without a waiting caller that no flush has reported.
    unreported: Option<Arc<StoreError>>,
    failure: Option<(u64, Arc<StoreError>)>,
    closing: bool,
    stopped: bool,
}

/// The queue between callers and the log.
#[derive(Debug)]
pub(in crate::store) struct Queue {
    dir: PathBuf,
    limit: usize,
    state: Mutex<QueueState>,
    /// Signals the writer thread: there are batches without a waiting caller, or the queue is
    /// closed.
    work: Condvar,
    /// Signals the leader that the batches it waits for are there.
    gathered: Condvar,
    /// Signals callers that wait for room.
    space: Condvar,
    /// Signals callers that wait for the end.
    done: Condvar,
    /// A copy of `QueueState::applied`, readable without the lock. Stored with Release after the
    /// batches became visible, loaded with Acquire: a thread that sees the number sees the batches.
    applied: AtomicU64,
    /// Whether any batch was refused. Stored before `applied`, loaded after it.
    any_refused: AtomicBool,
    /// Half the usual time of a flush, in nanoseconds. Relaxed: it only tunes a wait.
    patience: AtomicU64,
}

impl Queue {
    pub(in crate::store) fn new(dir: &Path, limit: usize) -> Self {
        let state = QueueState {
            pending: VecDeque::new(),
            pending_bytes: 0,
            pending_sync: 0,
            oldest: Instant::now(),
            held_bytes: 0,
            blocked: 0,
            next: 1,
            urgent: 0,
            applied: 0,
            leading: false,
            waiters: VecDeque::new(),
            last_sync: 0,
            gathering: None,
            paused: false,
            throttled: false,
            slowed: 0,
            refused: Vec::new(),
            unreported: None,
            failure: None,
            closing: false,
            stopped: false,
        };
        Self {
            dir: dir.to_path_buf(),
            limit,
            state: Mutex::new(state),
            work: Condvar::new(),
            gathered: Condvar::new(),
            space: Condvar::new(),
            done: Condvar::new(),
            applied: AtomicU64::new(0),
            any_refused: AtomicBool::new(false),
            patience: AtomicU64::new(0),
        }
    }

    /// Queues a batch and returns its number. Blocks while the queue is full.
    pub(in crate::store) fn submit(
        &self,
        encoded: Encoded,
        by: Submitter,
    ) -> Result<u64, StoreError> {
        let bytes = encoded.len();
        let mut state = self.state.lock();
        if by == Submitter::Internal {
            self.check_open(&state)?;
        } else {
            self.wait_for_room(&mut state, bytes)?;
        }
        let number = state.next;
        state.next += 1;
        if state.pending.is_empty() {
            state.oldest = Instant::now();
        }
        state.held_bytes += bytes;
        state.pending_bytes += bytes;
        let sync = by == Submitter::Sync;
        state.pending_sync += usize::from(sync);
        state.pending.push_back(Submission { number, encoded, by });
        if state.gathering.is_some_and(|wanted| state.pending_sync >= wanted) {
            self.gathered.notify_one();
        }
        let leading = state.leading;
        drop(state);
        if !sync && !leading {
            self.work.notify_one();
        }
        Ok(number)
    }

    fn wait_for_room(
        &self,
        state: &mut MutexGuard<'_, QueueState>,
        bytes: usize,
    ) -> Result<(), StoreError> {
        let started = Instant::now();
        state.slowed += u64::from(state.throttled);
        loop {
            self.check_open(state)?;
            // A batch larger than the limit goes in when the queue is empty.
            let fits = state.held_bytes == 0 || state.held_bytes + bytes <= self.limit;
            let throttled = state.throttled && started.elapsed() < THROTTLE_DELAY;
            if fits && !state.paused && !throttled {
                return Ok(());
            }
            let deadline = if fits && !state.paused { THROTTLE_DELAY } else { SPACE_DEADLINE };
            state.blocked += 1;
            if !state.leading {
                self.work.notify_one();
            }
            let result = self.space.wait_until(state, started + deadline);
            state.blocked -= 1;
            if result.timed_out() && started.elapsed() >= SPACE_DEADLINE {
                return Err(self.timeout("wait for room", SPACE_DEADLINE));
            }
        }
    }

    /// For the writer thread: waits for batches that no caller will write, and takes the lead.
    /// `false` when the queue has failed, or is closed and empty.
    pub(in crate::store) fn lead_in_background(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return false;
            }
            if state.leading {
                self.work.wait(&mut state);
            } else if state.pending.is_empty() {
                if state.closing {
                    return false;
                }
                self.work.wait(&mut state);
            } else if Self::is_due(&state) {
                state.leading = true;
                return true;
            } else {
                let deadline = state.oldest + LINGER;
                // The loop checks again whether they are due.
                let _woken_or_late = self.work.wait_until(&mut state, deadline);
            }
        }
    }

    /// For the leader: the next batches to flush together, at most `max_bytes` unless the first
    /// alone is larger. Waits a moment for callers that are likely to come.
    pub(in crate::store) fn take(&self, max_bytes: usize) -> Option<NextGroup> {
        let mut state = self.state.lock();
        let wanted = state.last_sync;
        if state.pending_sync > 0 && state.pending_sync < wanted && !state.closing {
            let patience = Duration::from_nanos(self.patience.load(Ordering::Relaxed));
            let deadline = Instant::now() + patience.min(GATHER_MAX);
            state.gathering = Some(wanted);
            while state.pending_sync < wanted && state.pending_bytes < max_bytes {
                if self.gathered.wait_until(&mut state, deadline).timed_out() {
                    break;
                }
            }
            state.gathering = None;
        }
        if state.pending.is_empty() {
            return None;
        }
        Some(Self::drain(&mut state, max_bytes))
    }

    /// Notes how long a flush took.
    pub(in crate::store) fn flushed(&self, took: Duration) {
        let half = u64::try_from(took.as_nanos() / 2).unwrap_or(u64::MAX);
        let before = self.patience.load(Ordering::Relaxed);
        self.patience.store(before - before / 8 + half / 8, Ordering::Relaxed);
    }

    /// Notes that the batches up to `last` are durable and visible.
    pub(in crate::store) fn complete(&self, last: u64, bytes: usize) {
        let mut state = self.state.lock();
        state.applied = last;
        state.held_bytes = state.held_bytes.saturating_sub(bytes);
        self.applied.store(last, Ordering::Release);
        Self::answer(&mut state, |number| number <= last);
        if state.blocked > 0 {
            self.space.notify_all();
        }
        // A ticket may be asked at any time, so no refusal can be forgotten.
        let too_many = state.refused.len() > MAX_REFUSED;
        let newest = state.refused.last().filter(|_| too_many);
        let newest = newest.map(|(_, _, error)| Arc::clone(error));
        drop(state);
        if let Some(error) = newest {
            self.fail(error);
        }
    }

    /// Notes that a batch was not written for lack of space. [`complete`](Self::complete) counts it
    /// as done.
    pub(in crate::store) fn refuse(&self, (number, told): (u64, bool), error: &Arc<StoreError>) {
        let mut state = self.state.lock();
        if !told {
            state.unreported.get_or_insert_with(|| Arc::clone(error));
        }
        match state.refused.last_mut() {
            Some((_, end, _)) if *end + 1 == number => *end = number,
            _ => state.refused.push((number, number, Arc::clone(error))),
        }
        self.any_refused.store(true, Ordering::Release);
    }

    /// Gives up the lead, to a waiting caller or to the writer thread.
    pub(in crate::store) fn release(&self) {
        let mut state = self.state.lock();
        state.leading = false;
        self.pass_on(&mut state);
    }

    /// Wakes a thread to lead, if there is anything to write.
    fn pass_on(&self, state: &mut QueueState) {
        if state.leading {
            return;
        }
        if state.pending.is_empty() {
            if state.closing {
                self.work.notify_one();
            }
            return;
        }
        let applied = state.applied;
        match state.waiters.iter().find(|waiter| waiter.leads && waiter.number > applied) {
            Some(waiter) => waiter.wake.notify_one(),
            None => self.work.notify_one(),
        };
    }

    fn answer(state: &mut QueueState, done: impl Fn(u64) -> bool) {
        state.waiters.retain(|waiter| {
            let asleep = !done(waiter.number);
            if !asleep {
                waiter.wake.notify_one();
            }
            asleep
        });
    }

    /// Fails every batch that is not applied, except a group whose leader still completes it after
    /// this. Nothing more is accepted.
    pub(in crate::store) fn fail(&self, error: Arc<StoreError>) {
        let mut state = self.state.lock();
        let first = state.applied + 1;
        state.failure.get_or_insert((first, error));
        state.pending.clear();
        state.pending_bytes = 0;
        state.pending_sync = 0;
        Self::answer(&mut state, |_| true);
        drop(state);
        self.work.notify_all();
        self.gathered.notify_all();
        self.done.notify_all();
        self.space.notify_all();
    }

    /// [`fail`](Self::fail) by a thread that panicked.
    pub(in crate::store) fn fail_all(&self) {
        self.fail(Arc::new(StoreError::Panicked { path: self.dir.clone() }));
    }

    /// Blocks callers while the index catches up, or lets them go on.
    pub(in crate::store) fn pause(&self, paused: bool) {
        self.state.lock().paused = paused;
        self.space.notify_all();
    }

    /// Delays callers while space is reclaimed, or stops doing so.
    pub(in crate::store) fn throttle(&self, throttled: bool) {
        self.state.lock().throttled = throttled;
        self.space.notify_all();
    }

    /// Accepts nothing more; what is queued is still written.
    pub(in crate::store) fn close(&self) {
        self.state.lock().closing = true;
        self.work.notify_all();
        self.space.notify_all();
        self.done.notify_all();
    }

    /// Whether the store is closing or has failed.
    pub(in crate::store) fn is_ending(&self) -> bool {
        let state = self.state.lock();
        state.closing || state.failure.is_some()
    }

    /// Notes that the threads have ended.
    pub(in crate::store) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        Self::answer(&mut state, |_| true);
        self.done.notify_all();
    }

    /// The number of the newest batch.
    pub(in crate::store) fn newest(&self) -> u64 {
        self.state.lock().next - 1
    }

    /// Bytes submitted and not yet applied.
    pub(in crate::store) fn held_bytes(&self) -> usize {
        self.state.lock().held_bytes
    }

    /// Batches that were delayed while space was reclaimed.
    pub(in crate::store) fn slowed(&self) -> u64 {
        self.state.lock().slowed
    }

    /// Whether the batches up to `number` are durable and visible, or were refused.
    pub(in crate::store) fn is_applied(&self, number: u64) -> bool {
        self.applied.load(Ordering::Acquire) >= number
    }

    /// Why a group was applied in part: the failure, or a panic that is about to be noted.
    pub(in crate::store) fn failure(&self) -> StoreError {
        match &self.state.lock().failure {
            Some((_, error)) => self.poisoned(error),
            None => StoreError::Panicked { path: self.dir.clone() },
        }
    }

    fn check_open(&self, state: &MutexGuard<'_, QueueState>) -> Result<(), StoreError> {
        match &state.failure {
            Some((_, error)) => Err(self.poisoned(error)),
            None if state.closing => Err(self.closed()),
            None => Ok(()),
        }
    }

    /// Whether the pending batches should be flushed now rather than wait for more.
    fn is_due(state: &QueueState) -> bool {
        let oldest = state.pending.front().map_or(u64::MAX, |submission| submission.number);
        state.urgent >= oldest
            || state.closing
            || state.blocked > 0
            || state.pending_bytes >= LINGER_BYTES
            || state.oldest.elapsed() >= LINGER
    }

    fn drain(state: &mut QueueState, max_bytes: usize) -> NextGroup {
        let (mut bytes, mut submissions, mut sync) = (0, Vec::new(), 0);
        while let Some(submission) = state.pending.pop_front() {
            let grown = bytes + submission.encoded.len();
            if !submissions.is_empty() && grown > max_bytes {
                state.pending.push_front(submission);
                break;
            }
            bytes = grown;
            sync += usize::from(submission.by == Submitter::Sync);
            submissions.push(submission);
        }
        state.pending_bytes -= bytes;
        state.pending_sync -= sync;
        state.last_sync = sync;
        state.oldest = Instant::now();
        let last = submissions.last().map_or(0, |submission| submission.number);
        NextGroup { submissions, last, bytes }
    }

    pub(in crate::store) fn poisoned(&self, error: &Arc<StoreError>) -> StoreError {
        StoreError::Poisoned { path: self.dir.clone(), source: Arc::clone(error) }
    }

    fn refusal(&self, error: &Arc<StoreError>) -> StoreError {
        StoreError::Refused { path: self.dir.clone(), source: Arc::clone(error) }
    }

    pub(in crate::store) fn closed(&self) -> StoreError {
        StoreError::Closed { path: self.dir.clone() }
    }

    pub(in crate::store) fn timeout(&self, action: &'static str, waited: Duration) -> StoreError {
        StoreError::Timeout { action, path: self.dir.clone(), waited }
    }
}

#[cfg(test)]
mod tests;
