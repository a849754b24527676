//! Where queued tasks are, and how a worker finds the next one.

use std::array;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam::deque::{Injector, Steal, Stealer, Worker as Deque};
use crossbeam::utils::CachePadded;
use parking_lot::RwLock;

use super::choose::choose;
use super::gate::{Gate, Passed};
use super::priority::{Kind, LEVELS, Priority};
use super::task::TaskRef;

/// Every this many picks a worker looks elsewhere before its own deque, and half-way between at the
/// other workers first: tasks that spawn tasks without end starve no equal that came from outside.
const LOOK_AROUND: u32 = 16;
/// `passed_over` of a level that is not.
const NOT_PASSED_OVER: u64 = 0;

/// The queues that all workers share.
pub(super) struct Queues {
    blocking: [CachePadded<Injector<TaskRef>>; LEVELS],
    cpu: [CachePadded<Injector<TaskRef>>; LEVELS],
    peers: RwLock<Vec<Arc<Peer>>>,
    /// Tasks in deques; counted before they are pushed and after they are popped, so zero means
    /// none.
    in_deques: [CachePadded<AtomicUsize>; LEVELS],
    pub(super) cpu_gate: Gate,
    pub(super) low_gate: Gate,
    /// Monotonic nanoseconds since when a level is passed over. A hint for fairness: relaxed.
    passed_over: [AtomicU64; LEVELS],
}

/// The part of a worker's deques that others see.
struct Peer {
    stealers: [Stealer<TaskRef>; LEVELS],
}

/// A worker's own queues. Only blocking tasks go here: a CPU task may have to wait for a permit,
/// and must not stand in the way of those behind it.
pub(super) struct Local {
    deques: [Deque<TaskRef>; LEVELS],
    peer: Arc<Peer>,
    ticks: Cell<u32>,
    random: Cell<u64>,
}

/// A task with the gates it was let through.
pub(super) struct Found {
    pub(super) task: TaskRef,
    pub(super) passed: Passed,
    pub(super) stolen: bool,
}

/// What a look at one level brought.
enum Pick {
    Found(Found),
    /// Nothing; and a gate was entered and left in between.
    NothingGateUsed,
    Nothing,
}

#[derive(Clone, Copy)]
enum Source {
    Own,
    Injected,
    Others,
}

impl Queues {
    pub(super) fn new(cpu_permits: usize, max_workers: usize) -> Self {
        Self {
            blocking: array::from_fn(|_| CachePadded::new(Injector::new())),
            cpu: array::from_fn(|_| CachePadded::new(Injector::new())),
            peers: RwLock::new(Vec::new()),
            in_deques: array::from_fn(|_| CachePadded::new(AtomicUsize::new(0))),
            cpu_gate: Gate::new(cpu_permits),
            low_gate: Gate::new(low_cap(max_workers)),
            passed_over: array::from_fn(|_| AtomicU64::new(NOT_PASSED_OVER)),
        }
    }

    /// Follows a change of the greatest number of workers.
    pub(super) fn set_max_workers(&self, max: usize) {
        self.low_gate.set_cap(low_cap(max));
    }

    /// The queues of a worker that starts, open to the others until [`Self::remove`].
    pub(super) fn add_local(&self, seed: u64) -> Local {
        let deques = array::from_fn(|_| Deque::new_fifo());
        let stealers = array::from_fn(|level: usize| deques[level].stealer());
        let peer = Arc::new(Peer { stealers });
        self.peers.write().push(Arc::clone(&peer));
        Local { deques, peer, ticks: Cell::new(0), random: Cell::new(seed | 1) }
    }

    /// Moves what is left in a worker's queues to the shared ones. The caller notifies the crew.
    pub(super) fn remove(&self, local: &Local) {
        for (level, deque) in local.deques.iter().enumerate() {
            while let Some(task) = deque.pop() {
                self.blocking[level].push(task);
                self.in_deques[level].fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.peers.write().retain(|peer| !Arc::ptr_eq(peer, &local.peer));
    }

    /// Queues a task, in `local` if given and fit. The caller notifies the crew.
    pub(super) fn push(&self, task: TaskRef, local: Option<&Local>) {
        let (level, kind) = (task.header().priority.level(), task.header().kind);
        match (kind, local) {
            (Kind::Cpu, _) => self.cpu[level].push(task),
            (Kind::Blocking, None) => self.blocking[level].push(task),
            (Kind::Blocking, Some(local)) => {
                self.in_deques[level].fetch_add(1, Ordering::SeqCst);
                local.deques[level].push(task);
            }
        }
    }

    /// Whether a worker that looks now would find something to take.
    pub(super) fn has_work(&self) -> bool {
        (0..LEVELS).any(|level| self.is_ready(level))
    }

    fn is_ready(&self, level: usize) -> bool {
        if level == Priority::Low.level() && !self.low_gate.is_open() {
            return false;
        }
        !self.blocking[level].is_empty()
            || (!self.cpu[level].is_empty() && self.cpu_gate.is_open())
            || (self.in_deques[level].load(Ordering::SeqCst) > 0
                && self.peers.read().iter().any(|peer| !peer.stealers[level].is_empty()))
    }

    /// The next task for the worker that owns `local`. `accept` takes a task for good or tells that
    /// it was cancelled in its queue. The flag says that a gate was entered and left in vain: the
    /// caller notifies the crew.
    pub(super) fn find(
        &self,
        local: &Local,
        now: impl Fn() -> Duration,
        accept: impl Fn(TaskRef) -> Option<TaskRef>,
    ) -> (Option<Found>, bool) {
        let mut ready =
            (0..LEVELS).fold(0_u8, |mask, level| mask | (u8::from(self.is_ready(level)) << level));
        let mut gate_used = false;
        while let Some(level) = self.choose_level(ready, &now) {
            match self.pick(level, local, &accept) {
                Pick::Found(found) => return (Some(found), gate_used),
                Pick::NothingGateUsed => gate_used = true,
                Pick::Nothing => {}
            }
            self.passed_over[level].store(NOT_PASSED_OVER, Ordering::Relaxed);
            ready &= !(1 << level);
        }
        (None, gate_used)
    }

    /// Runs [`choose`] on the stamps and brings them up to date.
    fn choose_level(&self, ready: u8, now: impl Fn() -> Duration) -> Option<usize> {
        if ready == 0 {
            return None;
        }
        // One level alone, the usual case, needs no clock.
        if ready.is_power_of_two() {
            let level = ready.trailing_zeros() as usize;
            self.serve(level);
            return Some(level);
        }
        let time = now();
        let stamp = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let stamps = array::from_fn(|level: usize| self.passed_over[level].load(Ordering::Relaxed));
        let since = stamps.map(|at: u64| (at != NOT_PASSED_OVER).then(|| Duration::from_nanos(at)));
        let choice = choose(ready, &since, time)?;
        if choice.overdue {
            let (level, old) = (&self.passed_over[choice.level], stamps[choice.level]);
            let won = level.compare_exchange(old, stamp, Ordering::Relaxed, Ordering::Relaxed);
            if won.is_ok() {
                return Some(choice.level);
            }
        }
        // Not overdue, or another worker has just served it: the most urgent one.
        let top = ready.trailing_zeros() as usize;
        self.serve(top);
        for level in (top + 1..LEVELS).filter(|level| ready & (1 << level) != 0) {
            let unset = NOT_PASSED_OVER;
            // Failure means that another worker set it first: as good.
            let _ = self.passed_over[level].compare_exchange(
                unset,
                stamp,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        Some(top)
    }

    fn serve(&self, level: usize) {
        if self.passed_over[level].load(Ordering::Relaxed) != NOT_PASSED_OVER {
            self.passed_over[level].store(NOT_PASSED_OVER, Ordering::Relaxed);
        }
    }

    fn pick(
        &self,
        level: usize,
        local: &Local,
        accept: &impl Fn(TaskRef) -> Option<TaskRef>,
    ) -> Pick {
        let low = level == Priority::Low.level();
        if low && !self.low_gate.try_enter() {
            return Pick::Nothing;
        }
        let mut gate_used = false;
        let tick = local.tick();
        for source in sources(tick) {
            let found = match source {
                Source::Own => self.take_own(level, local, accept),
                Source::Injected => self.take_injected(level, tick, accept, &mut gate_used),
                Source::Others => self.take_from_others(level, local, accept),
            };
            if let Some(mut found) = found {
                found.passed.low = low;
                return Pick::Found(found);
            }
        }
        if low {
            self.low_gate.leave();
        }
        if low || gate_used { Pick::NothingGateUsed } else { Pick::Nothing }
    }

    fn take_own(
        &self,
        level: usize,
        local: &Local,
        accept: &impl Fn(TaskRef) -> Option<TaskRef>,
    ) -> Option<Found> {
        while let Some(task) = local.deques[level].pop() {
            self.in_deques[level].fetch_sub(1, Ordering::SeqCst);
            if let Some(task) = accept(task) {
                return Some(Found { task, passed: Passed::default(), stolen: false });
            }
        }
        None
    }

    /// Blocking and CPU tasks take turns in going first.
    fn take_injected(
        &self,
        level: usize,
        tick: u32,
        accept: &impl Fn(TaskRef) -> Option<TaskRef>,
        gate_used: &mut bool,
    ) -> Option<Found> {
        let blocking = || {
            let task = accepted(|| self.blocking[level].steal(), accept)?;
            Some(Found { task, passed: Passed::default(), stolen: false })
        };
        let mut cpu = || {
            if self.cpu[level].is_empty() || !self.cpu_gate.try_enter() {
                return None;
            }
            let Some(task) = accepted(|| self.cpu[level].steal(), accept) else {
                self.cpu_gate.leave();
                *gate_used = true;
                return None;
            };
            Some(Found { task, passed: Passed { cpu: true, low: false }, stolen: false })
        };
        if tick.is_multiple_of(2) { blocking().or_else(cpu) } else { cpu().or_else(blocking) }
    }

    fn take_from_others(
        &self,
        level: usize,
        local: &Local,
        accept: &impl Fn(TaskRef) -> Option<TaskRef>,
    ) -> Option<Found> {
        if self.in_deques[level].load(Ordering::SeqCst) == 0 {
            return None;
        }
        // Copied, for `accept` may drop what a user made and must not do so under the lock.
        let peers: Vec<Arc<Peer>> = self.peers.read().clone();
        let start = local.random_below(peers.len());
        let (before, after) = peers.split_at(start);
        after.iter().chain(before).filter(|peer| !Arc::ptr_eq(peer, &local.peer)).find_map(|peer| {
            let steal = || {
                let stolen = peer.stealers[level].steal();
                if stolen.is_success() {
                    self.in_deques[level].fetch_sub(1, Ordering::SeqCst);
                }
                stolen
            };
            let task = accepted(steal, accept)?;
            Some(Found { task, passed: Passed::default(), stolen: true })
        })
    }
}

/// Takes from one queue until a task is accepted or the queue is empty. A `Retry` means that
/// another worker took a task in between, so somebody moves on each time round.
fn accepted(
    steal: impl Fn() -> Steal<TaskRef>,
    accept: &impl Fn(TaskRef) -> Option<TaskRef>,
) -> Option<TaskRef> {
    loop {
        match steal() {
            Steal::Success(task) => {
                if let Some(task) = accept(task) {
                    return Some(task);
                }
            }
            Steal::Retry => {}
            Steal::Empty => return None,
        }
    }
}

fn sources(tick: u32) -> [Source; 3] {
    if tick.is_multiple_of(LOOK_AROUND) {
        [Source::Injected, Source::Others, Source::Own]
    } else if tick.is_multiple_of(LOOK_AROUND / 2) {
        [Source::Others, Source::Injected, Source::Own]
    } else {
        [Source::Own, Source::Injected, Source::Others]
    }
}

/// All workers but one, and never none.
fn low_cap(max_workers: usize) -> usize {
    max_workers.saturating_sub(1).max(1)
}

impl Local {
    fn tick(&self) -> u32 {
        let tick = self.ticks.get().wrapping_add(1);
        self.ticks.set(tick);
        tick
    }

    /// Xorshift (Marsaglia 2003): where to steal first need not be more random than that.
    fn random_below(&self, bound: usize) -> usize {
        let mut state = self.random.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.set(state);
        usize::try_from(state % (bound.max(1) as u64)).unwrap_or(0)
    }
}
