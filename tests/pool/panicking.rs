//! A panic ends its task, not its worker.

use std::panic::panic_any;
use std::sync::mpsc;
use std::thread;

use gristmill::pool::{Priority, TaskError, TaskStatus};

use crate::harness::*;

/// Panics when dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb went off");
    }
}

fn message(error: TaskError) -> String {
    match error {
        TaskError::Panicked { message } => message,
        other => panic!("not a panic: {other}"),
    }
}

#[test]
fn a_panic_reaches_the_handle_and_the_worker_goes_on() {
    watched(|| {
        let pool = pool(1);
        let worker = pool.spawn(Priority::Normal, || thread::current().id()).join().unwrap();
        let failed = pool.spawn(Priority::Normal, || -> i32 { panic!("task {}", 7) });
        assert_eq!(message(failed.join().unwrap_err()), "task 7");
        let failed = pool.spawn(Priority::Normal, || panic_any(5_u8));
        eventually("the task ended", || failed.status() == TaskStatus::Panicked);
        assert!(message(failed.join().unwrap_err()).contains("not a string"));
        let same = pool.spawn(Priority::Normal, || thread::current().id()).join().unwrap();
        assert_eq!(worker, same);
        let stats = pool.stats();
        assert_eq!((stats.level(Priority::Normal).panicked, stats.workers.started), (2, 1));
        drain(&pool);
    });
}

#[test]
fn destructors_that_panic_do_no_harm() {
    watched(|| {
        let pool = pool(1);
        let worker = pool.spawn(Priority::Normal, || thread::current().id()).join().unwrap();
        // As a payload, as a result nobody takes, and as what a cancelled closure holds.
        pool.spawn(Priority::Normal, || panic_any(Bomb));
        pool.spawn(Priority::Normal, || Bomb);
        let held = hold(&pool, Priority::Normal);
        let bomb = Bomb;
        let cancelled = pool.spawn(Priority::Normal, move || std::mem::forget(bomb));
        cancelled.cancel();
        assert_eq!(cancelled.status(), TaskStatus::Cancelled);
        held.release();
        let same = pool.spawn(Priority::Normal, || thread::current().id()).join().unwrap();
        assert_eq!(worker, same);
        drain(&pool);
    });
}

#[test]
fn a_storm_of_panics_loses_no_task() {
    watched(|| {
        let pool = pool(2);
        let (sender, receiver) = mpsc::channel();
        for index in 0..300 {
            let sender = sender.clone();
            pool.spawn(Priority::ALL[index % 4], move || {
                sender.send(()).unwrap();
                assert!(index % 2 == 0, "odd");
            });
        }
        drop(sender);
        assert_eq!(receiver.iter().count(), 300);
        drain(&pool);
    });
}
