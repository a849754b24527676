//! A cancelled task that has not started never does, and its closure is dropped at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use gristmill::pool::{CancelToken, Priority, TaskError, TaskStatus, current_token};

use crate::harness::*;

#[test]
fn a_queued_task_is_dropped_not_run() {
    watched(|| {
        let pool = pool(1);
        let held = hold(&pool, Priority::Normal);
        let ran = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ran);
        let task = pool.spawn(Priority::Urgent, move || seen.store(true, Ordering::SeqCst));
        task.cancel();
        assert_eq!(task.status(), TaskStatus::Cancelled);
        assert_eq!(Arc::strong_count(&ran), 1, "the closure is dropped at once");
        assert_eq!(pool.tasks().len(), 1);
        held.release();
        assert_eq!(task.join(), Err(TaskError::Cancelled));
        drain(&pool);
        assert!(!ran.load(Ordering::SeqCst));
        assert_eq!(pool.stats().level(Priority::Urgent).cancelled, 1);
    });
}

#[test]
fn a_token_cancels_queued_delayed_and_running_tasks_below_it() {
    watched(|| {
        let pool = pool(1);
        let token = CancelToken::new();
        let (started, starts) = mpsc::channel();
        let running = pool.task("running").cancel_token(&token).spawn(move || {
            let (sender, cancelled) = mpsc::channel();
            let own = current_token().unwrap();
            let _guard = own.on_cancel(move || sender.send(()).unwrap());
            started.send(()).unwrap();
            cancelled.recv_timeout(LONG).is_ok()
        });
        starts.recv_timeout(LONG).unwrap();
        let queued = pool.task("queued").cancel_token(&token).spawn(|| ());
        let delayed = pool.task("delayed").cancel_token(&token).after(LONG).spawn(|| ());
        let other = pool.spawn(Priority::Low, || 3);
        token.cancel();
        assert_eq!(queued.status(), TaskStatus::Cancelled);
        assert_eq!(delayed.join(), Err(TaskError::Cancelled));
        assert_eq!(running.join(), Ok(true), "a running task decides itself");
        assert_eq!(other.join(), Ok(3));
        let late = pool.task("late").cancel_token(&token).spawn(|| ());
        assert_eq!(late.join(), Err(TaskError::Cancelled));
        assert!(pool.tasks().is_empty());
        drain(&pool);
    });
}

#[test]
fn cancelling_a_running_task_sets_its_token() {
    watched(|| {
        let pool = pool(1);
        let (started, starts) = mpsc::channel();
        let task = pool.spawn(Priority::Normal, move || {
            let (sender, cancelled) = mpsc::channel();
            let own = current_token().unwrap();
            let _guard = own.on_cancel(move || sender.send(()).unwrap());
            started.send(()).unwrap();
            cancelled.recv_timeout(LONG).is_ok()
        });
        starts.recv_timeout(LONG).unwrap();
        task.cancel();
        assert_eq!(task.join(), Ok(true));
        assert!(current_token().is_none());
        drain(&pool);
    });
}

#[test]
fn cancelled_and_run_add_up_when_both_race() {
    watched(|| {
        let pool = pool(2);
        let ran = Arc::new(());
        for _ in 0..2000 {
            let held = Arc::clone(&ran);
            let task = pool.spawn(Priority::Normal, move || drop(held));
            task.cancel();
            let outcome = task.join_timeout(LONG).expect("the task never ended");
            assert!(matches!(outcome, Ok(()) | Err(TaskError::Cancelled)), "{outcome:?}");
        }
        drain(&pool);
        let stats = pool.stats();
        let level = stats.level(Priority::Normal);
        assert_eq!(level.done + level.cancelled, 2000);
        assert_eq!((level.started, level.submitted, stats.pending), (level.done, 2000, 0));
        assert_eq!(Arc::strong_count(&ran), 1);
    });
}

#[test]
fn a_permit_is_not_lost_when_a_waiting_task_is_cancelled() {
    watched(|| {
        let pool = pool(2);
        let semaphore = gristmill::pool::Semaphore::new(1);
        let held = semaphore.try_acquire().unwrap();
        let waiting = {
            let semaphore = semaphore.clone();
            pool.spawn(Priority::Normal, move || {
                let token = current_token().unwrap();
                semaphore.acquire(Priority::Normal, LONG, &token).map(drop)
            })
        };
        eventually("the task waits", || semaphore.waiting() == 1);
        waiting.cancel();
        assert!(waiting.join().unwrap().is_err());
        drop(held);
        let free = semaphore.acquire(Priority::Low, Duration::ZERO, &CancelToken::new());
        assert!(free.is_ok());
        drain(&pool);
    });
}
