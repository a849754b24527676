//! Joining on a worker never uses up the workers that the joined task needs.

use std::sync::mpsc;
use std::time::Duration;

use gristmill::pool::{Pool, Priority, TaskError};

use crate::harness::*;

fn fibonacci(pool: &Pool, n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (left, right) = (pool.clone(), pool.clone());
    let left = pool.spawn(Priority::Normal, move || fibonacci(&left, n - 1));
    let right = pool.spawn_cpu(Priority::High, move || fibonacci(&right, n - 2));
    left.join().unwrap() + right.join().unwrap()
}

#[test]
fn tasks_that_join_tasks_end_on_few_and_many_workers() {
    for workers in [1, 2, 64] {
        watched(move || {
            let pool = pool(workers);
            let inner = pool.clone();
            let root = pool.spawn(Priority::Normal, move || fibonacci(&inner, 11));
            assert_eq!(root.join(), Ok(89));
            drain(&pool);
        });
    }
}

fn nested(pool: &Pool, depth: u32) -> u32 {
    let inner = pool.clone();
    let task =
        pool.spawn(
            Priority::Normal,
            move || {
                if depth == 0 { 0 } else { nested(&inner, depth - 1) + 1 }
            },
        );
    task.join().unwrap()
}

#[test]
fn deep_chains_of_joins_end() {
    for workers in [1, 3] {
        watched(move || {
            let pool = pool(workers);
            let inner = pool.clone();
            let root = pool.spawn(Priority::Normal, move || nested(&inner, 250));
            assert_eq!(root.join(), Ok(250));
            eventually("stand-ins went", || pool.stats().workers.now <= workers);
            drain(&pool);
        });
    }
}

#[test]
fn a_delayed_task_is_joined_on_the_only_worker() {
    watched(|| {
        let pool = pool(1);
        let inner = pool.clone();
        let outer = pool.spawn(Priority::Normal, move || {
            inner.spawn_after(Duration::from_millis(20), Priority::Low, || 5).join()
        });
        assert_eq!(outer.join(), Ok(Ok(5)));
        drain(&pool);
    });
}

#[test]
fn while_a_worker_waits_for_a_running_task_another_takes_its_place() {
    watched(|| {
        let pool = pool(2);
        let (started, release) = (mpsc::channel(), mpsc::channel());
        let running = pool.spawn(Priority::Normal, holding(started.0, release.1));
        started.1.recv_timeout(LONG).unwrap();
        let joining = pool.spawn(Priority::Normal, move || running.join());
        eventually("both workers are taken", || pool.stats().pending == 0);
        // One runs, one waits for it; a third task must start all the same.
        assert_eq!(pool.spawn(Priority::Normal, || 1).join_timeout(LONG / 2), Some(Ok(1)));
        drop(release.0);
        assert_eq!(joining.join(), Ok(Ok(())));
        drain(&pool);
    });
}

#[test]
fn results_are_given_once() {
    watched(|| {
        let pool = pool(1);
        let held = hold(&pool, Priority::Normal);
        let task = pool.spawn(Priority::Normal, || String::from("once"));
        assert_eq!(task.try_join(), None);
        assert_eq!(task.join_timeout(Duration::from_millis(1)), None);
        held.release();
        assert_eq!(task.join_timeout(LONG), Some(Ok("once".to_owned())));
        assert_eq!(task.try_join(), Some(Err(TaskError::Taken)));
        assert_eq!(task.join(), Err(TaskError::Taken));
        drain(&pool);
    });
}
