//! Urgent tasks go first, equals in order, and none starves. The clock stands still unless moved,
//! so nothing becomes overdue by a slow machine.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use gristmill::pool::{Kind, Pool, Priority, Task, TaskStatus};
use gristmill::time::{ManualClock, Timestamp};

use crate::harness::*;

#[test]
fn queued_tasks_start_by_priority_then_by_arrival() {
    watched(|| {
        let pool = fixed(1).clock(ManualClock::new(Timestamp(0))).build().unwrap();
        let held = hold(&pool, Priority::Urgent);
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<Task<()>> = (0..40)
            .map(|index| {
                let priority = Priority::ALL[3 - index % 4];
                let order = Arc::clone(&order);
                pool.spawn(priority, move || order.lock().unwrap().push((priority, index)))
            })
            .collect();
        held.release();
        for task in tasks {
            task.join().unwrap();
        }
        let order = order.lock().unwrap();
        assert!(order.is_sorted(), "{order:?}");
        drain(&pool);
    });
}

/// Spawns itself again until `stop`, moving the clock each time.
fn chain(
    pool: &Pool,
    priority: Priority,
    clock: &Arc<ManualClock>,
    rounds: &Arc<AtomicUsize>,
    stop: &Arc<AtomicBool>,
) {
    let (again, clock) = (pool.clone(), Arc::clone(clock));
    let (rounds, stop) = (Arc::clone(rounds), Arc::clone(stop));
    pool.spawn(priority, move || {
        clock.advance(Duration::from_millis(10));
        if rounds.fetch_add(1, Ordering::SeqCst) < 5000 && !stop.load(Ordering::SeqCst) {
            chain(&again, priority, &clock, &rounds, &stop);
        }
    });
}

/// Rounds that an endless chain of `chained` tasks makes before a task of `waiting` runs.
fn rounds_before(chained: Priority, waiting: Priority) -> usize {
    let clock = ManualClock::new(Timestamp(0));
    let pool = fixed(1).clock(clock.clone()).build().unwrap();
    let (rounds, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let held = hold(&pool, Priority::Urgent);
    chain(&pool, chained, &clock, &rounds, &stop);
    let seen = Arc::clone(&rounds);
    let waiter = pool.spawn(waiting, move || {
        stop.store(true, Ordering::SeqCst);
        seen.load(Ordering::SeqCst)
    });
    held.release();
    let rounds = waiter.join().unwrap();
    drain(&pool);
    rounds
}

#[test]
fn low_does_not_starve_below_endless_urgent_work() {
    watched(|| {
        let rounds = rounds_before(Priority::Urgent, Priority::Low);
        assert!((10..=12).contains(&rounds), "overdue after 100 ms of 10 ms rounds, not {rounds}");
    });
}

#[test]
fn a_task_that_spawns_itself_does_not_starve_its_equals() {
    watched(|| assert!(rounds_before(Priority::Normal, Priority::Normal) <= 16));
}

#[test]
fn low_never_takes_the_last_worker() {
    watched(|| {
        let pool = pool(2);
        let first = hold(&pool, Priority::Low);
        let second = pool.spawn(Priority::Low, || 2);
        assert_eq!(pool.spawn(Priority::Normal, || 1).join(), Ok(1));
        assert_eq!(second.status(), TaskStatus::Queued);
        first.release();
        assert_eq!(second.join(), Ok(2));
        drain(&pool);
    });
}

#[test]
fn cpu_tasks_run_no_more_at_a_time_than_there_are_permits() {
    watched(|| {
        let pool = Pool::builder().max(8).cpu_permits(2).build().unwrap();
        let (sender, starts) = mpsc::channel();
        let mut releases = Vec::new();
        let mut tasks: Vec<Task<()>> = (0..3)
            .map(|_| {
                let (release, freed) = mpsc::channel();
                releases.push(release);
                let closure = holding(sender.clone(), freed);
                pool.task("compute").kind(Kind::Cpu).spawn(closure)
            })
            .collect();
        starts.recv_timeout(LONG).unwrap();
        starts.recv_timeout(LONG).unwrap();
        assert_eq!(pool.spawn(Priority::Low, || 1).join(), Ok(1), "blocking tasks need no permit");
        assert_eq!(tasks[2].status(), TaskStatus::Queued);
        releases.remove(0);
        tasks.remove(0).join().unwrap();
        starts.recv_timeout(LONG).expect("the permit that came free was not used");
        drop(releases);
        for task in tasks {
            task.join().unwrap();
        }
        drain(&pool);
    });
}
