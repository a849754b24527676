//! Model checks: the pool as it is, under a checker that chooses the order of all steps. This
//! folder's README tells how to run them.
//!
//! Shuttle runs small pools with a few tasks under random and priority-based schedules. Loom runs
//! smaller ones under every schedule within a bound on preemptions, with every value that the
//! memory model lets an atomic read return. A deadlock (such as a lost wake-up), a panic or a
//! failed assertion ends a check, and its schedule is printed.
#![expect(clippy::unwrap_used, reason = "a model fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::sync::thread;
use crate::time::{ManualClock, Timestamp};

const LONG: Duration = Duration::from_hours(1);

fn pool(min: usize, max: usize) -> PoolBuilder {
    Pool::builder()
        .min(min)
        .max(max)
        .cpu_permits(1)
        .idle_timeout(Duration::MAX)
        .clock(ManualClock::new(Timestamp(0)))
}

fn end(pool: &Pool, mode: ShutdownMode) {
    pool.shutdown(mode, LONG).unwrap();
    assert!(pool.tasks().is_empty());
    assert_eq!(pool.stats().pending, 0);
    assert_eq!(pool.stats().workers.now, 0);
}

/// Counts how often it ran.
fn counting(count: &Arc<AtomicUsize>) -> impl FnOnce() + Send + 'static {
    let count = Arc::clone(count);
    move || {
        count.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(not(gristmill_loom))]
mod shuttle_models {
    use shuttle::rand::Rng as _;

    use super::*;
    use crate::sync::{Condvar, Mutex, Parker};

    /// Schedules of each model; `GRISTMILL_MODEL_SCHEDULES` sets another number.
    const SCHEDULES: usize = 2000;
    /// Steps at which a schedule of the priority-based search changes its priorities.
    const DEPTH: usize = 3;

    fn check(model: fn()) {
        let schedules = std::env::var("GRISTMILL_MODEL_SCHEDULES")
            .map_or(SCHEDULES, |text| text.parse().unwrap());
        shuttle::check_random(model, schedules);
        shuttle::check_pct(model, schedules, DEPTH);
    }

    /// Two threads submit at once to workers that fall asleep in between.
    #[test]
    fn no_wake_up_is_lost() {
        check(|| {
            let pool = pool(1, 2).build().unwrap();
            let other = pool.clone();
            let submitter = thread::spawn(move || {
                for round in 0..2 {
                    assert_eq!(other.spawn(Priority::Urgent, move || round).join(), Ok(round));
                }
            });
            for round in 0..2 {
                assert_eq!(pool.spawn_cpu(Priority::Normal, move || round).join(), Ok(round));
            }
            submitter.join().unwrap();
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// A burst fills an injector while a worker empties it.
    #[test]
    fn a_burst_is_seen_whole() {
        check(|| {
            let pool = pool(1, 1).build().unwrap();
            let tasks: Vec<_> =
                (0..5).map(|index| pool.spawn(Priority::Urgent, move || index)).collect();
            for (index, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.join(), Ok(index));
            }
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// Tasks that spawn and join tasks, on as many workers as there are or one.
    #[test]
    fn joins_on_workers_end() {
        check(|| {
            let workers = shuttle::rand::thread_rng().gen_range(1..=2);
            let pool = pool(1, workers).build().unwrap();
            let outer = pool.clone();
            let root = pool.spawn(Priority::Normal, move || {
                let left = outer.spawn(Priority::Normal, || 1);
                let right = outer.spawn_cpu(Priority::Low, || 2);
                right.join().unwrap() + left.join().unwrap()
            });
            assert_eq!(root.join(), Ok(3));
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// A CPU task waits for the permit of another, a `Low` task for a worker that is not the last
    /// one, and a task of a capped level for its cap to be raised.
    #[test]
    fn a_gate_that_opens_wakes_somebody() {
        check(|| {
            let pool = pool(2, 2).level_cap(Priority::High, 0).build().unwrap();
            let capped = pool.spawn(Priority::High, || 0);
            let tasks: Vec<_> = (0..2)
                .flat_map(|_| {
                    [pool.spawn_cpu(Priority::Normal, || 1), pool.spawn(Priority::Low, || 2)]
                })
                .collect();
            let raiser = pool.clone();
            let raising = thread::spawn(move || raiser.set_level_cap(Priority::High, 1));
            let sum: i32 = tasks.into_iter().map(|task| task.join().unwrap()).sum();
            assert_eq!((capped.join(), sum), (Ok(0), 6));
            raising.join().unwrap();
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// A task that ends opens two gates at once. Its worker goes on with one of the tasks behind
    /// them, so another worker must be woken for the other.
    #[test]
    fn two_gates_that_open_wake_somebody_else() {
        check(|| {
            let pool = pool(2, 2).level_cap(Priority::High, 1).build().unwrap();
            let gate = Arc::new((Mutex::new(false), Condvar::new()));
            let opened = Arc::clone(&gate);
            let first = pool.task("both").priority(Priority::High).kind(Kind::Cpu).spawn(|| ());
            let waiting = pool.spawn(Priority::High, move || {
                let mut open = opened.0.lock();
                while !*open {
                    opened.1.wait(&mut open);
                }
            });
            let awaited = pool.spawn_cpu(Priority::Normal, move || {
                *gate.0.lock() = true;
                gate.1.notify_all();
            });
            first.join().unwrap();
            waiting.join().unwrap();
            awaited.join().unwrap();
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// A task is run or cancelled, never both and never neither.
    #[test]
    fn a_task_ends_in_one_way() {
        check(|| {
            let pool = pool(1, 1).build().unwrap();
            let ran = Arc::new(AtomicUsize::new(0));
            let token = CancelToken::new();
            let first = pool.spawn(Priority::Normal, counting(&ran));
            let second = pool.task("below").cancel_token(&token).spawn(counting(&ran));
            let canceller = thread::spawn(move || token.cancel());
            first.cancel();
            let outcomes = [first.join(), second.join()];
            canceller.join().unwrap();
            let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            assert_eq!(done, ran.load(Ordering::SeqCst));
            for outcome in outcomes {
                assert!(matches!(outcome, Ok(()) | Err(TaskError::Cancelled)));
            }
            end(&pool, ShutdownMode::Drain);
            assert_eq!(Arc::strong_count(&ran), 1);
        });
    }

    /// Each task that races with the seal is run, cancelled or refused, and the pool ends.
    #[test]
    fn the_seal_loses_no_task() {
        for mode in [ShutdownMode::Drain, ShutdownMode::Cancel] {
            let model = if mode == ShutdownMode::Drain {
                || race_with_seal(ShutdownMode::Drain)
            } else {
                || race_with_seal(ShutdownMode::Cancel)
            };
            check(model);
        }
    }

    fn race_with_seal(mode: ShutdownMode) {
        let pool = pool(1, 2).build().unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let early = pool.spawn(Priority::Normal, counting(&ran));
        let (racer, count) = (pool.clone(), Arc::clone(&ran));
        let racing = thread::spawn(move || {
            [
                racer.spawn(Priority::Normal, counting(&count)),
                racer.spawn_cpu(Priority::Low, counting(&count)),
            ]
        });
        pool.shutdown(mode, LONG).unwrap();
        let ran_before_the_end = ran.load(Ordering::SeqCst);
        let mut tasks = Vec::from(racing.join().unwrap());
        tasks.push(early);
        let mut done = 0;
        for (index, task) in tasks.into_iter().enumerate() {
            match task.join() {
                Ok(()) => done += 1,
                Err(TaskError::Rejected) => assert!(index < 2, "accepted before the seal"),
                Err(TaskError::Cancelled) => assert_eq!(mode, ShutdownMode::Cancel),
                Err(other) => unreachable!("{other}"),
            }
        }
        assert_eq!((done, done), (ran.load(Ordering::SeqCst), ran_before_the_end));
        end(&pool, mode);
        assert_eq!(Arc::strong_count(&ran), 1);
    }

    /// Cancelling all reaches tasks wherever they are just then.
    #[test]
    fn cancelling_all_reaches_running_tasks() {
        check(|| {
            let pool = pool(1, 1).build().unwrap();
            let racer = pool.clone();
            // Its task may be queued after all others were cancelled.
            let racing = thread::spawn(move || {
                racer.spawn(Priority::Normal, || {
                    let (token, parker) = (current_token().unwrap(), Parker::new());
                    let unparker = parker.unparker().clone();
                    let _guard = token.on_cancel(move || unparker.unpark());
                    parker.park();
                    token.is_cancelled()
                })
            });
            pool.shutdown(ShutdownMode::Cancel, LONG).unwrap();
            let outcome = racing.join().unwrap().join();
            assert!(matches!(outcome, Ok(true) | Err(TaskError::Cancelled | TaskError::Rejected)));
            end(&pool, ShutdownMode::Cancel);
        });
    }

    /// The last handle may be dropped on a worker, while another thread drops its own.
    #[test]
    fn the_last_handle_may_be_dropped_anywhere() {
        check(|| {
            let pool = pool(1, 1).build().unwrap();
            let ran = Arc::new(AtomicUsize::new(0));
            let (inner, count) = (pool.clone(), Arc::clone(&ran));
            let task = pool.spawn(Priority::Normal, move || {
                inner.spawn(Priority::Low, counting(&count));
                drop(inner);
            });
            drop(pool);
            task.join().unwrap();
        });
    }

    /// A raised maximum starts the worker that a task waits for.
    #[test]
    fn room_for_workers_is_used() {
        check(|| {
            let pool = pool(1, 1).build().unwrap();
            // The only worker waits, not in a join, for the task behind its own.
            let gate = Arc::new((Mutex::new(false), Condvar::new()));
            let opened = Arc::clone(&gate);
            let first = pool.spawn(Priority::Normal, move || {
                let mut open = opened.0.lock();
                while !*open {
                    opened.1.wait(&mut open);
                }
            });
            let second = pool.spawn(Priority::Normal, move || {
                *gate.0.lock() = true;
                gate.1.notify_all();
            });
            pool.set_max(2);
            first.join().unwrap();
            second.join().unwrap();
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// Permits are neither lost nor doubled when waiters give up while they are served.
    #[test]
    fn permits_survive_waiters_that_give_up() {
        check(|| {
            let semaphore = Semaphore::new(1);
            let (token, patient) = (CancelToken::new(), CancelToken::new());
            let waiters = [(Priority::Low, &patient), (Priority::Urgent, &token)];
            let waiters = waiters.map(|(priority, token)| {
                let (semaphore, token) = (semaphore.clone(), token.clone());
                thread::spawn(move || semaphore.acquire(priority, LONG, &token).map(drop))
            });
            let held = semaphore.acquire(Priority::Normal, LONG, &patient).unwrap();
            token.cancel();
            drop(held);
            let [served, cancelled] = waiters.map(|waiter| waiter.join().unwrap());
            assert_eq!(served, Ok(()));
            assert!(matches!(cancelled, Ok(()) | Err(SemaphoreError::Cancelled)));
            assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
        });
    }
}

#[cfg(gristmill_loom)]
mod loom_models {
    use super::*;

    /// `GRISTMILL_MODEL_PREEMPTIONS` adds to each bound.
    fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
        let more =
            std::env::var("GRISTMILL_MODEL_PREEMPTIONS").map_or(0, |text| text.parse().unwrap());
        let preemptions = preemptions + more;
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 100_000;
        builder.check(model);
    }

    /// One task, one worker that may fall asleep right then.
    #[test]
    fn a_push_wakes_the_worker() {
        check(3, || {
            let pool = pool(1, 1).build().unwrap();
            assert_eq!(pool.spawn(Priority::Normal, || 1).join(), Ok(1));
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// A second thread submits while the worker falls asleep or looks for the first task.
    #[test]
    fn two_pushes_are_both_seen() {
        check(1, || {
            let pool = pool(1, 1).build().unwrap();
            let other = pool.clone();
            let submitter = thread::spawn(move || other.spawn(Priority::Urgent, || 2).join());
            assert_eq!(pool.spawn(Priority::Normal, || 1).join(), Ok(1));
            assert_eq!(submitter.join().unwrap(), Ok(2));
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// Two workers, one of which may have gone to sleep because the other had the permit.
    #[test]
    fn a_permit_that_comes_back_is_used() {
        check(1, || {
            let pool = pool(2, 2).build().unwrap();
            let first = pool.spawn_cpu(Priority::Normal, || 1);
            let second = pool.spawn_cpu(Priority::Normal, || 2);
            assert_eq!((second.join(), first.join()), (Ok(2), Ok(1)));
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// A task that races with the seal is run or refused, and the pool ends.
    #[test]
    fn the_seal_loses_no_task() {
        check(1, || {
            let pool = pool(1, 1).build().unwrap();
            let ran = Arc::new(AtomicUsize::new(0));
            let (racer, count) = (pool.clone(), Arc::clone(&ran));
            let racing =
                thread::spawn(move || racer.spawn(Priority::Normal, counting(&count)).join());
            pool.shutdown(ShutdownMode::Drain, LONG).unwrap();
            let ran = ran.load(Ordering::SeqCst);
            match racing.join().unwrap() {
                Ok(()) => assert_eq!(ran, 1),
                Err(error) => assert_eq!((error, ran), (TaskError::Rejected, 0)),
            }
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// The last task is started while the pool is sealed and the other worker falls asleep.
    #[test]
    fn the_end_reaches_all_workers() {
        check(1, || {
            let pool = pool(2, 2).build().unwrap();
            let task = pool.spawn(Priority::Normal, || 1);
            end(&pool, ShutdownMode::Drain);
            assert_eq!(task.join(), Ok(1));
        });
    }

    /// A task is run or cancelled, never both and never neither.
    #[test]
    fn a_task_ends_in_one_way() {
        check(2, || {
            let pool = pool(1, 1).build().unwrap();
            let ran = Arc::new(AtomicUsize::new(0));
            let task = pool.spawn(Priority::Normal, counting(&ran));
            task.cancel();
            let done = usize::from(task.join().is_ok());
            assert_eq!(done, ran.load(Ordering::SeqCst));
            end(&pool, ShutdownMode::Drain);
        });
    }

    /// Permits are neither lost nor doubled when a waiter gives up while it is served.
    #[test]
    fn permits_survive_waiters_that_give_up() {
        check(3, || {
            let (semaphore, token) = (Semaphore::new(1), CancelToken::new());
            let held = semaphore.try_acquire().unwrap();
            let (waiting, cancel) = (semaphore.clone(), token.clone());
            let waiter =
                thread::spawn(move || waiting.acquire(Priority::Low, LONG, &cancel).map(drop));
            let releaser = thread::spawn(move || drop(held));
            token.cancel();
            let outcome = waiter.join().unwrap();
            assert!(matches!(outcome, Ok(()) | Err(SemaphoreError::Cancelled)));
            releaser.join().unwrap();
            assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
        });
    }
}
