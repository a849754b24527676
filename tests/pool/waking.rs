//! No task waits while a worker sleeps: many short rounds on few and many workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use gristmill::pool::{Pool, Priority};

use crate::harness::*;

/// A task that spawns two below it, to `depth`, and counts itself.
fn tree(pool: &Pool, depth: u32, done: &mpsc::Sender<()>) {
    let (again, done) = (pool.clone(), done.clone());
    let priority = Priority::ALL[depth as usize % 4];
    pool.spawn(priority, move || {
        if depth > 0 {
            tree(&again, depth - 1, &done);
            tree(&again, depth - 1, &done);
        }
        done.send(()).unwrap();
    });
}

#[test]
fn tasks_that_spawn_tasks_all_run() {
    for workers in [1, 2, 64] {
        watched(move || {
            let pool = pool(workers);
            for _round in 0..20 {
                let (sender, receiver) = mpsc::channel();
                tree(&pool, 6, &sender);
                for _ in 0..127 {
                    receiver.recv_timeout(LONG).expect("a wake-up was lost");
                }
            }
            drain(&pool);
        });
    }
}

#[test]
fn single_tasks_wake_a_sleeping_worker_each_time() {
    for workers in [1, 2, 64] {
        watched(move || {
            let pool = pool(workers);
            for round in 0..2000 {
                let task = pool.spawn(Priority::ALL[round % 4], move || round);
                let result = task.join_timeout(LONG).expect("a wake-up was lost");
                assert_eq!(result, Ok(round));
            }
            drain(&pool);
        });
    }
}

#[test]
fn many_threads_push_blocking_and_cpu_tasks_and_all_run() {
    for workers in [1, 2, 64] {
        watched(move || {
            let pool = Pool::builder().max(workers).cpu_permits(1).build().unwrap();
            let count = Arc::new(AtomicUsize::new(0));
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for index in 0..500 {
                            let count = Arc::clone(&count);
                            let closure = move || count.fetch_add(1, Ordering::SeqCst);
                            let priority = Priority::ALL[index % 4];
                            let task = if index % 3 == 0 {
                                pool.spawn_cpu(priority, closure)
                            } else {
                                pool.spawn(priority, closure)
                            };
                            if index % 50 == 0 {
                                let waited = task.join_timeout(LONG);
                                waited.expect("a wake-up was lost").unwrap();
                            }
                        }
                    });
                }
            });
            drain(&pool);
            assert_eq!(count.load(Ordering::SeqCst), 2000);
        });
    }
}
