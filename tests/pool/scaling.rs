//! Blocking tasks get threads at once, idle threads go, and the bounds hold.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use gristmill::pool::{Pool, Priority, TaskStatus};

use crate::harness::*;

#[test]
fn blocking_tasks_all_run_at_a_time_below_the_maximum_and_threads_retire_after() {
    watched(|| {
        let pool = Pool::builder().max(16).idle_timeout(Duration::from_millis(1)).build().unwrap();
        let barrier = Arc::new(Barrier::new(16));
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                pool.spawn(Priority::Normal, move || barrier.wait().is_leader())
            })
            .collect();
        // Each waits for all: this ends only if none queues behind another.
        let leaders: usize = tasks.into_iter().map(|task| usize::from(task.join().unwrap())).sum();
        assert_eq!(leaders, 1);
        eventually("surplus workers retired", || pool.stats().workers.now == 1);
        let workers = pool.stats().workers;
        assert_eq!((workers.peak, workers.started, workers.retired), (16, 16, 15));
        assert_eq!(pool.spawn(Priority::Normal, || 1).join(), Ok(1));
        drain(&pool);
    });
}

#[test]
fn the_maximum_holds_and_can_be_changed() {
    watched(|| {
        let pool = pool(1);
        let first = hold(&pool, Priority::Normal);
        let second = pool.spawn(Priority::Normal, || 2);
        assert_eq!((second.status(), pool.stats().workers.now), (TaskStatus::Queued, 1));
        pool.set_max(2);
        assert_eq!(second.join(), Ok(2));
        pool.set_max(1);
        first.release();
        eventually("the surplus worker went", || pool.stats().workers.now == 1);
        assert_eq!(pool.spawn(Priority::Low, || 3).join(), Ok(3));
        drain(&pool);
    });
}

#[test]
fn growing_and_shrinking_all_the_time_loses_nothing() {
    watched(|| {
        let pool = Pool::builder().max(8).idle_timeout(Duration::from_nanos(1)).build().unwrap();
        for round in 0..300 {
            pool.set_max(1 + round % 8);
            let tasks: Vec<_> =
                (0..10).map(|index| pool.spawn(Priority::ALL[index % 4], move || index)).collect();
            for (index, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.join_timeout(LONG).expect("a task was lost"), Ok(index));
            }
        }
        drain(&pool);
    });
}

#[test]
fn a_surplus_worker_leaves_nothing_in_its_hand() {
    watched(|| {
        let pool = pool(2);
        let (first, second) = (hold(&pool, Priority::Normal), hold(&pool, Priority::Normal));
        // A free worker takes several of them at a time, and is one too many after the first.
        let lower = pool.clone();
        pool.spawn(Priority::Normal, move || lower.set_max(1));
        let tasks: Vec<_> =
            (0..31).map(|index| pool.spawn(Priority::Normal, move || index)).collect();
        first.release();
        eventually("the surplus worker went", || pool.stats().workers.now == 1);
        assert!(tasks.iter().all(|task| task.status() == TaskStatus::Queued));
        second.release();
        for (index, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.join_timeout(LONG), Some(Ok(index)), "went away with its worker");
        }
        drain(&pool);
    });
}
