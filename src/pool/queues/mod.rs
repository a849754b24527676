//! Where queued tasks are, and how a worker finds the next one.
//!
//! Each level has injectors, which any thread fills, for tasks that block and for tasks that
//! compute. Each worker has a local queue for each level, which it fills in batches and others
//! steal from.
//!
//! # Invariants
//! - A task that has not ended is in the timekeeper's heap, in an injector, or in a local queue as
//!   queued or running. These places are the only registry of live tasks. The entry of a task that
//!   was cancelled stays until a worker meets it, but its closure is gone.
//! - Outside the locks involved, `ReadyInjectors` and `ReadyLocals` miss no queued task (README,
//!   "Nothing hides").
//! - A CPU task is never in a local queue: it may have to wait for a permit, and would be in the
//!   way of the tasks behind it.

mod choose;
mod gate;
mod gates;
mod injector;
mod local;
mod turns;

use std::array;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use self::gate::Entry;
pub(super) use self::gate::GateSet;
pub(super) use self::gates::Gates;
use self::injector::{Injector, ReadyInjectors};
pub(super) use self::local::WorkerLocal;
use self::local::{LocalQueue, LocalTasks, ReadyLocals};
use self::turns::Turns;
use super::admission::{STRIPES, stripe};
use super::panics::drop_quietly;
use super::priority::{Kind, LEVELS};
use super::stats::Totals;
use super::task::TaskRef;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Kinds of tasks.
const KINDS: usize = 2;
/// Bits of [`ReadyInjectors`] that belong to one level.
const LEVEL_BITS: usize = KINDS * STRIPES;
/// Most tasks that a worker moves to its local queue at a time, by level. A task there waits for
/// its worker or for one that steals it, so urgent tasks are taken one by one.
const BATCH: [usize; LEVELS] = [1, 1, 16, 16];
/// Once in this many picks a worker takes tasks from the injectors although its own queue has some,
/// so that tasks that spawn tasks without end do not starve others of the same level.
const LOOK_AROUND: u32 = 8;
/// For the same reason, once in this many picks it steals first.
const LOOK_AT_OTHERS: u32 = 32;

/// The queues of a pool.
pub(super) struct Queues {
    /// By level, kind and stripe.
    injectors: Box<[Injector]>,
    ready: CachePadded<ReadyInjectors>,
    ready_locals: CachePadded<ReadyLocals>,
    /// A thief locks this for reading, so that a thread that locks it for writing sees no task move
    /// between local queues.
    locals: RwLock<Locals>,
    /// Tasks submitted with a delay. Relaxed: statistics only.
    delayed: [AtomicU64; LEVELS],
    pub(super) gates: Gates,
    turns: Turns,
}

/// The local queues of all workers, and the counters of the workers that are gone.
struct Locals {
    list: Vec<Arc<LocalQueue>>,
    past: Totals,
}

/// Where a worker takes a task from.
#[derive(Clone, Copy)]
enum Source {
    Own,
    Blocking,
    Cpu,
}

impl Queues {
    pub(super) fn new(cpu_permits: usize, max_workers: usize) -> Self {
        Self {
            injectors: (0..LEVELS * KINDS * STRIPES).map(|at| Injector::new(1 << at)).collect(),
            ready: CachePadded::new(ReadyInjectors::new()),
            ready_locals: CachePadded::new(ReadyLocals::new()),
            locals: RwLock::new(Locals { list: Vec::new(), past: Totals::default() }),
            delayed: array::from_fn(|_| AtomicU64::new(0)),
            gates: Gates::new(cpu_permits, max_workers),
            turns: Turns::new(),
        }
    }

    /// Opens a local queue for a worker that starts.
    pub(super) fn add(&self, seed: u64) -> WorkerLocal {
        let queue = Arc::new(LocalQueue::new());
        self.locals.write().list.push(Arc::clone(&queue));
        WorkerLocal::new(queue, seed)
    }

    /// Closes the local queue of a worker that ends and moves its tasks to the injectors. The
    /// caller notifies the workers.
    pub(super) fn remove(&self, local: &WorkerLocal) {
        let mut locals = self.locals.write();
        let mut tasks = local.queue.lock();
        for level in 0..LEVELS {
            while let Some(task) = tasks.pop(level, &self.ready_locals) {
                self.injectors[index(level, Kind::Blocking, stripe())].push(task, &self.ready);
            }
        }
        let ended = tasks.end();
        locals.past.add(&local.queue.tally);
        locals.past.add_submitted(tasks.submitted());
        drop(tasks);
        locals.list.retain(|queue| !Arc::ptr_eq(queue, &local.queue));
        drop(locals);
        drop_quietly(ended);
    }

    /// Queues a new task: in the local queue if it blocks and its submitter is a worker, otherwise
    /// in an injector. The caller notifies the workers.
    #[inline]
    pub(super) fn push(
        &self,
        task: TaskRef,
        level: usize,
        kind: Kind,
        local: Option<&WorkerLocal>,
    ) {
        match local {
            Some(local) if kind == Kind::Blocking => {
                local.queue.lock().push_new(task, level, &self.ready_locals);
            }
            _ => self.injectors[index(level, kind, stripe())].push_new(task, &self.ready),
        }
    }

    /// Counts a delayed task as submitted.
    pub(super) fn count_submitted(&self, level: usize) {
        self.delayed[level].fetch_add(1, Ordering::Relaxed);
    }

    /// Queues a delayed task, which was counted as submitted before.
    pub(super) fn push_due(&self, task: TaskRef) {
        let (level, kind) = (task.header().priority.level(), task.header().kind);
        self.injectors[index(level, kind, stripe())].push(task, &self.ready);
    }

    /// Whether a worker that looks now would find something to take.
    pub(super) fn has_work(&self) -> bool {
        // Injectors first: a task that moves to a local queue is counted there before its bit is
        // cleared here.
        let bits = self.ready.bits();
        let (locals, cpu_open) = (self.ready_locals.counts(), self.gates.cpu.is_open());
        (0..LEVELS).any(|level| {
            let some = bits & mask(level, Kind::Blocking) != 0
                || (cpu_open && bits & mask(level, Kind::Cpu) != 0)
                || locals.queues(level) > 0;
            some && self.gates.levels[level].is_open()
        })
    }

    /// Whether tasks that compute are queued.
    pub(super) fn has_cpu_tasks(&self) -> bool {
        let cpu = (0..LEVELS).fold(0, |bits, level| bits | mask(level, Kind::Cpu));
        self.ready.bits() & cpu != 0
    }

    /// Removes the task that `local`'s worker has ended and finds the next one, storing in `local`
    /// the gates at which it was counted in.
    ///
    /// The flag tells that a gate was entered and left again without a task. Another worker may
    /// have found it closed meanwhile and gone to sleep although a task was queued, so the caller
    /// notifies the workers.
    #[inline]
    pub(super) fn next(
        &self,
        local: &WorkerLocal,
        now: impl Fn() -> Duration,
    ) -> (Option<TaskRef>, bool) {
        let mut tasks = local.queue.lock();
        let ended = tasks.end();
        let (mut found, mut elsewhere, mut gate_used) = (None, None, false);
        let mut ready = self.ready_levels(&tasks);
        while let Some(level) = self.turns.next(ready, &now) {
            match self.gates.levels[level].try_enter() {
                Entry::Free => local.gates.set(GateSet::default()),
                Entry::Counted => local.gates.set(GateSet::level(level)),
                Entry::Closed => {
                    self.pass_by(level, &mut ready);
                    continue;
                }
            }
            found = self.pick(level, local, &mut tasks, &mut gate_used);
            if found.is_some() {
                break;
            }
            if self.ready_locals.counts().queues(level) > u64::from(tasks.holds(level)) {
                elsewhere = Some(level);
                break;
            }
            gate_used |= self.leave_unused(local);
            self.pass_by(level, &mut ready);
        }
        if let Some(task) = &found {
            tasks.begin(task);
        }
        drop(tasks);
        drop_quietly(ended);
        if let Some(level) = elsewhere {
            found = self.steal(level, local);
            if found.is_none() {
                gate_used |= self.leave_unused(local);
            }
        }
        (found, gate_used)
    }

    /// Leaves the gates that were entered without finding a task; `false` if there were none.
    fn leave_unused(&self, local: &WorkerLocal) -> bool {
        let entered = local.gates.take();
        self.gates.leave(entered);
        !entered.is_empty()
    }

    /// A bit for each level at which a task may be found.
    #[inline]
    fn ready_levels(&self, tasks: &LocalTasks) -> u8 {
        let (bits, locals) = (self.ready.bits(), self.ready_locals.counts());
        (0..LEVELS).fold(0, |ready, level| {
            // Without branches: usually one of the three holds, but not always the same one, which
            // a branch predictor would miss.
            let some =
                (bits & level_mask(level) != 0) | tasks.holds(level) | (locals.queues(level) > 0);
            ready | (u8::from(some) << level)
        })
    }

    fn pass_by(&self, level: usize, ready: &mut u8) {
        self.turns.skip(level);
        *ready &= !(1 << level);
    }

    /// Takes a task of the level from the local queue or an injector. `None` may also mean that it
    /// is time to steal.
    fn pick(
        &self,
        level: usize,
        local: &WorkerLocal,
        tasks: &mut LocalTasks,
        gate_used: &mut bool,
    ) -> Option<TaskRef> {
        let tick = local.tick();
        let look_around = tick.is_multiple_of(LOOK_AROUND);
        // The usual case.
        if !look_around && let Some(task) = tasks.pop(level, &self.ready_locals) {
            return Some(task);
        }
        if tick.is_multiple_of(LOOK_AT_OTHERS) && self.ready_locals.counts().queues(level) > 1 {
            return None;
        }
        if look_around && tasks.holds(level) {
            // Behind the tasks that are in the local queue already, which came first.
            for injector in self.stripes(level, Kind::Blocking, tick) {
                let sink = |task| tasks.push(task, level, &self.ready_locals);
                injector.take(BATCH[level], &self.ready, sink);
            }
        }
        // Blocking and CPU tasks go first by turns.
        let sources = match (look_around, tick.is_multiple_of(2)) {
            (true, _) => [Source::Cpu, Source::Own, Source::Blocking],
            (false, true) => [Source::Blocking, Source::Cpu, Source::Own],
            (false, false) => [Source::Cpu, Source::Blocking, Source::Own],
        };
        sources.into_iter().find_map(|source| match source {
            Source::Own => tasks.pop(level, &self.ready_locals),
            Source::Blocking => self.take_batch(level, tick, tasks),
            Source::Cpu => self.take_cpu(level, tick, local, gate_used),
        })
    }

    /// The injectors of a level and kind that may have tasks, beginning with another stripe each
    /// time.
    #[inline]
    fn stripes(&self, level: usize, kind: Kind, tick: u32) -> impl Iterator<Item = &Injector> {
        let (first, start) = (index(level, kind, 0), tick as usize % STRIPES);
        let bits = (self.ready.bits() & mask(level, kind)) >> first;
        // Rotated, so that the stripe to begin with is bit 0. Most often one bit is set, and a walk
        // over the bits costs less than one over the stripes.
        let mut left = (bits >> start | bits << (STRIPES - start)) & mask(0, Kind::Blocking);
        std::iter::from_fn(move || {
            let offset = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            self.injectors.get(first + (start + offset) % STRIPES)
        })
    }

    /// Takes a batch of blocking tasks from an injector: returns the first and moves the others to
    /// the local queue.
    fn take_batch(&self, level: usize, tick: u32, tasks: &mut LocalTasks) -> Option<TaskRef> {
        self.stripes(level, Kind::Blocking, tick).find_map(|injector| {
            let mut first = None;
            injector.take(BATCH[level], &self.ready, |task| match first {
                None => first = Some(task),
                Some(_) => tasks.push(task, level, &self.ready_locals),
            });
            first
        })
    }

    fn take_cpu(
        &self,
        level: usize,
        tick: u32,
        local: &WorkerLocal,
        gate_used: &mut bool,
    ) -> Option<TaskRef> {
        if self.ready.bits() & mask(level, Kind::Cpu) == 0
            || self.gates.cpu.try_enter() != Entry::Counted
        {
            return None;
        }
        let task = self.stripes(level, Kind::Cpu, tick).find_map(|injector| {
            let mut first = None;
            injector.take(1, &self.ready, |task| first = Some(task));
            first
        });
        if task.is_some() {
            local.gates.set(local.gates.get().and_cpu());
        } else {
            self.gates.cpu.leave();
            *gate_used = true;
        }
        task
    }

    /// Takes a task from another worker's queue and marks it as running in `local`'s.
    fn steal(&self, level: usize, local: &WorkerLocal) -> Option<TaskRef> {
        let locals = self.locals.read();
        let start = local.random_below(locals.list.len());
        let (before, after) = locals.list.split_at(start);
        let task = after.iter().chain(before).find_map(|queue| {
            if Arc::ptr_eq(queue, &local.queue) {
                return None;
            }
            queue.lock().pop(level, &self.ready_locals)
        });
        if task.is_some() {
            local.queue.tally.stolen();
        }
        let mut tasks = local.queue.lock();
        // `pick` may have left the worker's own tasks alone so that it steals first.
        let task = task.or_else(|| tasks.pop(level, &self.ready_locals))?;
        tasks.begin(&task);
        Some(task)
    }

    /// Visits every task that is queued or running. None is missed; a task that moves meanwhile may
    /// be visited twice.
    pub(super) fn for_each(&self, mut see: impl FnMut(&TaskRef)) {
        let locals = self.locals.write();
        // In the direction in which tasks move: from the injectors to the local queues.
        for injector in &self.injectors {
            injector.for_each(&mut see);
        }
        for queue in &locals.list {
            queue.lock().for_each(&mut see);
        }
    }

    /// The counters of all workers, present and past.
    pub(super) fn totals(&self) -> Totals {
        let locals = self.locals.read();
        let mut totals = locals.past.clone();
        for queue in &locals.list {
            totals.add(&queue.tally);
            totals.add_submitted(queue.lock().submitted());
        }
        for level in 0..LEVELS {
            let first = index(level, Kind::Blocking, 0);
            let injectors = &self.injectors[first..first + LEVEL_BITS];
            let pushed = injectors.iter().map(Injector::pushed).sum::<u64>();
            totals.submit(level, pushed + self.delayed[level].load(Ordering::Relaxed));
        }
        totals
    }

    /// Tasks ever started.
    pub(super) fn started(&self) -> u64 {
        let locals = self.locals.read();
        let present: u64 = locals.list.iter().map(|queue| queue.tally.started()).sum();
        present + locals.past.started()
    }
}

/// The position of an injector in the list, which is also its bit of [`ReadyInjectors`].
#[inline]
const fn index(level: usize, kind: Kind, stripe: usize) -> usize {
    (level * KINDS + kind as usize) * STRIPES + stripe
}

/// The bits of all injectors of a level and kind.
#[inline]
const fn mask(level: usize, kind: Kind) -> u64 {
    ((1 << STRIPES) - 1) << index(level, kind, 0)
}

/// The bits of all injectors of a level.
#[inline]
const fn level_mask(level: usize) -> u64 {
    ((1 << LEVEL_BITS) - 1) << (level * LEVEL_BITS)
}
