//! Where queued tasks are, and how a worker finds the next one.
//!
//! Each level has injectors for tasks that block and for tasks that compute, and each worker has
//! one queue a level in its hand, which it fills in batches. Every task that has not ended is in
//! exactly one of these places, in the timekeeper's heap or among the running ones of a hand: that
//! is all the registry there is. It holds nothing of a task that has ended.

use std::array;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::admission::{STRIPES, stripe};
use super::choose::choose;
use super::gate::{Entry, Gate, Passed};
use super::hand::{Cards, Hand, Held, Local};
use super::injector::{Injector, Ready};
use super::priority::{Kind, LEVELS, Priority};
use super::stats::Totals;
use super::sync::atomic::{AtomicU64, Ordering};
use super::sync::{Mutex, RwLock};
use super::task::{TaskRef, drop_quietly};

/// Kinds of tasks.
const KINDS: usize = 2;
/// Bits of [`Ready`] that belong to one level.
const LEVEL_BITS: usize = KINDS * STRIPES;
/// Most tasks that a worker takes in hand at a time, by level. What is in a hand waits for its
/// worker or for one that steals it, so urgent tasks are taken one by one.
const BATCH: [usize; LEVELS] = [1, 1, 16, 16];
/// Every this many picks a worker takes in what came from outside, and at times looks at the other
/// workers first: tasks that spawn tasks without end starve no equal.
const LOOK_AROUND: u32 = 8;
const LOOK_AT_OTHERS: u32 = 32;
/// `passed_over` of a level that is not.
const NOT_PASSED_OVER: u64 = 0;

/// The queues of a pool.
pub(super) struct Queues {
    /// By level, kind and stripe.
    injectors: Box<[Injector]>,
    ready: CachePadded<Ready>,
    held: CachePadded<Held>,
    /// The hands of all workers, and what those that are gone have done. Taking from another's hand
    /// holds it for reading, so that who holds it for writing sees nothing move between hands.
    hands: RwLock<Hands>,
    /// Tasks submitted with a delay. Statistics only: relaxed.
    delayed: [AtomicU64; LEVELS],
    pub(super) cpu_gate: CachePadded<Gate>,
    level_gates: [Gate; LEVELS],
    low_cap: Mutex<LowCap>,
    /// Monotonic nanoseconds since when a level is passed over. A hint for fairness: relaxed.
    passed_over: [AtomicU64; LEVELS],
}

/// What the cap of `Low` is made of.
struct LowCap {
    workers: usize,
    wish: usize,
}

struct Hands {
    list: Vec<Arc<Hand>>,
    past: Totals,
}

/// The ways to a task, by turns in different orders.
#[derive(Clone, Copy)]
enum Source {
    Own,
    Blocking,
    Cpu,
}

impl Queues {
    pub(super) fn new(cpu_permits: usize, max_workers: usize) -> Self {
        let low_cap = LowCap { workers: max_workers, wish: usize::MAX };
        let mut level_gates = array::from_fn(|_| Gate::unlimited());
        level_gates[Priority::Low.level()] = Gate::new(low_cap.cap());
        Self {
            injectors: (0..LEVELS * KINDS * STRIPES).map(|at| Injector::new(1 << at)).collect(),
            ready: CachePadded::new(Ready::new()),
            held: CachePadded::new(Held::new()),
            hands: RwLock::new(Hands { list: Vec::new(), past: Totals::default() }),
            delayed: array::from_fn(|_| AtomicU64::new(0)),
            cpu_gate: CachePadded::new(Gate::new(cpu_permits)),
            level_gates,
            low_cap: Mutex::new(low_cap),
            passed_over: array::from_fn(|_| AtomicU64::new(NOT_PASSED_OVER)),
        }
    }

    /// Caps how many tasks of a level run at a time. The caller notifies the crew.
    pub(super) fn set_cap(&self, priority: Priority, cap: usize) {
        if priority == Priority::Low {
            self.set_low_cap(|low| low.wish = cap);
        } else {
            self.level_gates[priority.level()].set_cap(cap);
        }
    }

    /// Follows a change of the greatest number of workers. The caller notifies the crew.
    pub(super) fn set_max_workers(&self, workers: usize) {
        self.set_low_cap(|low| low.workers = workers);
    }

    fn set_low_cap(&self, change: impl FnOnce(&mut LowCap)) {
        let mut low = self.low_cap.lock();
        change(&mut low);
        self.level_gates[Priority::Low.level()].set_cap(low.cap());
    }

    /// Gives back what a task that has ended was counted in at. The caller notifies the crew.
    pub(super) fn leave(&self, passed: Passed) {
        if passed.has_cpu() {
            self.cpu_gate.leave();
        }
        for (level, gate) in self.level_gates.iter().enumerate() {
            if passed.has_level(level) {
                gate.leave();
            }
        }
    }

    /// Takes it again, for a task that waited and goes on.
    pub(super) fn re_enter(&self, passed: Passed) {
        if passed.has_cpu() {
            self.cpu_gate.re_enter();
        }
        for (level, gate) in self.level_gates.iter().enumerate() {
            if passed.has_level(level) {
                gate.re_enter();
            }
        }
    }

    /// The hand of a worker that starts, open to the others until [`Self::remove`].
    pub(super) fn add(&self, seed: u64) -> Local {
        let hand = Arc::new(Hand::new());
        self.hands.write().list.push(Arc::clone(&hand));
        Local::new(hand, seed)
    }

    /// Moves what is left in a worker's hand to the shared queues. The caller notifies the crew.
    pub(super) fn remove(&self, local: &Local) {
        let mut hands = self.hands.write();
        let mut cards = local.hand.cards();
        for level in 0..LEVELS {
            while let Some(task) = cards.pop(level, &self.held) {
                self.injectors[index(level, Kind::Blocking, stripe())].push(task, &self.ready);
            }
        }
        let ended = cards.end();
        hands.past.add(&local.hand.tally);
        hands.past.add_submitted(cards.submitted());
        drop(cards);
        hands.list.retain(|hand| !Arc::ptr_eq(hand, &local.hand));
        drop(hands);
        drop_quietly(ended);
    }

    /// Queues a new task, in `local`'s hand if given and fit. The caller notifies the crew.
    ///
    /// Only blocking tasks go into a hand: a CPU task may have to wait for a permit, and must not
    /// stand in the way of those behind it.
    #[inline]
    pub(super) fn push(&self, task: TaskRef, level: usize, kind: Kind, local: Option<&Local>) {
        match local {
            Some(local) if kind == Kind::Blocking => {
                local.hand.cards().push_new(task, level, &self.held);
            }
            _ => self.injectors[index(level, kind, stripe())].push_new(task, &self.ready),
        }
    }

    /// Counts a task as submitted that is not pushed now.
    pub(super) fn count_submitted(&self, level: usize) {
        self.delayed[level].fetch_add(1, Ordering::Relaxed);
    }

    /// Queues a task that was delayed, and counted as submitted then.
    pub(super) fn push_due(&self, task: TaskRef) {
        let (level, kind) = (task.header().priority.level(), task.header().kind);
        self.injectors[index(level, kind, stripe())].push(task, &self.ready);
    }

    /// Whether a worker that looks now would find something to take.
    pub(super) fn has_work(&self) -> bool {
        // The injectors before the hands: what moves from those to these is counted there first.
        let bits = self.ready.bits();
        let (held, cpu_open) = (self.held.now(), self.cpu_gate.is_open());
        (0..LEVELS).any(|level| {
            let some = bits & mask(level, Kind::Blocking) != 0
                || (cpu_open && bits & mask(level, Kind::Cpu) != 0)
                || held.hands(level) > 0;
            some && self.level_gates[level].is_open()
        })
    }

    /// Whether tasks that compute are queued.
    pub(super) fn has_cpu_tasks(&self) -> bool {
        let cpu = (0..LEVELS).fold(0, |bits, level| bits | mask(level, Kind::Cpu));
        self.ready.bits() & cpu != 0
    }

    /// Takes the task that `local`'s worker has ended off its hand, and finds the next one, leaving
    /// in `local` which gates it was let through. The flag tells that a gate was entered and left in
    /// vain: another worker may have found it closed meanwhile and gone to sleep over a task, so the
    /// caller notifies the crew.
    #[inline]
    pub(super) fn next(
        &self,
        local: &Local,
        now: impl Fn() -> Duration,
    ) -> (Option<TaskRef>, bool) {
        let mut cards = local.hand.cards();
        let ended = cards.end();
        let (mut found, mut elsewhere, mut gate_used) = (None, None, false);
        let mut ready = self.ready_levels(&cards);
        while let Some(level) = self.choose_level(ready, &now) {
            match self.level_gates[level].try_enter() {
                Entry::Free => local.passed.set(Passed::default()),
                Entry::Counted => local.passed.set(Passed::level(level)),
                Entry::Closed => {
                    self.pass_by(level, &mut ready);
                    continue;
                }
            }
            found = self.pick(level, local, &mut cards, &mut gate_used);
            if found.is_some() {
                break;
            }
            if self.held.now().hands(level) > u64::from(cards.holds(level)) {
                elsewhere = Some(level);
                break;
            }
            gate_used |= self.leave_unused(local);
            self.pass_by(level, &mut ready);
        }
        if let Some(task) = &found {
            cards.begin(task);
        }
        drop(cards);
        drop_quietly(ended);
        if let Some(level) = elsewhere {
            found = self.steal(level, local);
            if found.is_none() {
                gate_used |= self.leave_unused(local);
            }
        }
        (found, gate_used)
    }

    /// Gives back what was passed in vain; `false` if that was nothing.
    fn leave_unused(&self, local: &Local) -> bool {
        let passed = local.passed.take();
        self.leave(passed);
        passed.any()
    }

    /// A bit for each level at which something may be found.
    #[inline]
    fn ready_levels(&self, cards: &Cards) -> u8 {
        let (bits, held) = (self.ready.bits(), self.held.now());
        (0..LEVELS).fold(0, |ready, level| {
            // Without branches: most often one of the three holds, and not always the same.
            let some =
                (bits & level_mask(level) != 0) | cards.holds(level) | (held.hands(level) > 0);
            ready | (u8::from(some) << level)
        })
    }

    fn pass_by(&self, level: usize, ready: &mut u8) {
        self.passed_over[level].store(NOT_PASSED_OVER, Ordering::Relaxed);
        *ready &= !(1 << level);
    }

    /// The level to serve next of those in `ready`.
    #[inline]
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
        self.choose_fairly(ready, now)
    }

    /// Runs [`choose`] on the stamps and brings them up to date.
    fn choose_fairly(&self, ready: u8, now: impl Fn() -> Duration) -> Option<usize> {
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

    #[inline]
    fn serve(&self, level: usize) {
        if self.passed_over[level].load(Ordering::Relaxed) != NOT_PASSED_OVER {
            self.passed_over[level].store(NOT_PASSED_OVER, Ordering::Relaxed);
        }
    }

    /// Looks in the hand and at the injectors.
    fn pick(
        &self,
        level: usize,
        local: &Local,
        cards: &mut Cards,
        gate_used: &mut bool,
    ) -> Option<TaskRef> {
        let tick = local.tick();
        let look_around = tick.is_multiple_of(LOOK_AROUND);
        // The usual case.
        if !look_around && let Some(task) = cards.pop(level, &self.held) {
            return Some(task);
        }
        if tick.is_multiple_of(LOOK_AT_OTHERS) && self.held.now().hands(level) > 1 {
            return None;
        }
        if look_around && cards.holds(level) {
            // Behind what is in the hand already, which came first.
            for injector in self.stripes(level, Kind::Blocking, tick) {
                let sink = |task| cards.push(task, level, &self.held);
                injector.take(BATCH[level], &self.ready, sink);
            }
        }
        // Blocking and CPU tasks take turns in going first.
        let sources = match (look_around, tick.is_multiple_of(2)) {
            (true, _) => [Source::Cpu, Source::Own, Source::Blocking],
            (false, true) => [Source::Blocking, Source::Cpu, Source::Own],
            (false, false) => [Source::Cpu, Source::Blocking, Source::Own],
        };
        sources.into_iter().find_map(|source| match source {
            Source::Own => cards.pop(level, &self.held),
            Source::Blocking => self.take_batch(level, tick, cards),
            Source::Cpu => self.take_cpu(level, tick, local, gate_used),
        })
    }

    /// The stripes of an injector class that may have tasks, beginning with another one each time.
    fn stripes(&self, level: usize, kind: Kind, tick: u32) -> impl Iterator<Item = &Injector> {
        let bits = self.ready.bits();
        let first = tick as usize;
        (0..STRIPES)
            .map(move |offset| (first + offset) % STRIPES)
            .filter(move |stripe| bits & (1 << index(level, kind, *stripe)) != 0)
            .map(move |stripe| &self.injectors[index(level, kind, stripe)])
    }

    /// Takes blocking tasks from an injector: gives the first, puts the others into the hand.
    fn take_batch(&self, level: usize, tick: u32, cards: &mut Cards) -> Option<TaskRef> {
        self.stripes(level, Kind::Blocking, tick).find_map(|injector| {
            let mut first = None;
            injector.take(BATCH[level], &self.ready, |task| match first {
                None => first = Some(task),
                Some(_) => cards.push(task, level, &self.held),
            });
            first
        })
    }

    fn take_cpu(
        &self,
        level: usize,
        tick: u32,
        local: &Local,
        gate_used: &mut bool,
    ) -> Option<TaskRef> {
        if self.ready.bits() & mask(level, Kind::Cpu) == 0
            || self.cpu_gate.try_enter() != Entry::Counted
        {
            return None;
        }
        let task = self.stripes(level, Kind::Cpu, tick).find_map(|injector| {
            let mut first = None;
            injector.take(1, &self.ready, |task| first = Some(task));
            first
        });
        if task.is_some() {
            local.passed.set(local.passed.get().and_cpu());
        } else {
            self.cpu_gate.leave();
            *gate_used = true;
        }
        task
    }

    /// Takes a task from another hand into `local`'s, as running.
    fn steal(&self, level: usize, local: &Local) -> Option<TaskRef> {
        let hands = self.hands.read();
        let start = local.random_below(hands.list.len());
        let (before, after) = hands.list.split_at(start);
        let task = after.iter().chain(before).find_map(|hand| {
            if Arc::ptr_eq(hand, &local.hand) {
                return None;
            }
            hand.cards().pop(level, &self.held)
        });
        if task.is_some() {
            local.hand.tally.stolen();
        }
        let mut cards = local.hand.cards();
        // Its own tasks may have been passed by to look at the others first.
        let task = task.or_else(|| cards.pop(level, &self.held))?;
        cards.begin(&task);
        Some(task)
    }

    /// Shows every task that is queued or runs, at one moment for each place and none missed;
    /// a task may be seen twice.
    pub(super) fn for_each(&self, mut see: impl FnMut(&TaskRef)) {
        let hands = self.hands.write();
        // What moves meanwhile moves from the injectors to the hands.
        for injector in &self.injectors {
            injector.for_each(&mut see);
        }
        for hand in &hands.list {
            hand.cards().for_each(&mut see);
        }
    }

    /// Sums over all workers, present and past.
    pub(super) fn totals(&self) -> Totals {
        let hands = self.hands.read();
        let mut totals = hands.past.clone();
        for hand in &hands.list {
            totals.add(&hand.tally);
            totals.add_submitted(hand.cards().submitted());
        }
        for level in 0..LEVELS {
            let first = index(level, Kind::Blocking, 0);
            let injectors = &self.injectors[first..first + LEVEL_BITS];
            let pushed = injectors.iter().map(Injector::pushed).sum::<u64>();
            totals.submit(level, pushed + self.delayed[level].load(Ordering::Relaxed));
        }
        totals
    }

    /// Tasks that were started, ever.
    pub(super) fn started(&self) -> u64 {
        let hands = self.hands.read();
        let present: u64 = hands.list.iter().map(|hand| hand.tally.started()).sum();
        present + hands.past.started()
    }
}

/// Where an injector stands, and which bit of [`Ready`] it has.
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

impl LowCap {
    /// What the user wishes, but never the last worker, unless it is the only one.
    fn cap(&self) -> usize {
        self.workers.saturating_sub(1).max(1).min(self.wish)
    }
}
