//! Shutdown ends every thread, loses no accepted task and never hangs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use gristmill::pool::{
    Pool, PoolError, Priority, ShutdownMode, Task, TaskError, TaskStatus, current_token,
};

use crate::harness::*;

#[test]
fn drain_runs_all_that_was_accepted_and_ends_all_threads() {
    for workers in [1, 2, 16] {
        watched(move || {
            let pool = Pool::builder().max(workers).build().unwrap();
            let count = Arc::new(AtomicUsize::new(0));
            for index in 0..1000 {
                let count = Arc::clone(&count);
                pool.spawn(Priority::ALL[index % 4], move || count.fetch_add(1, Ordering::SeqCst));
            }
            let timer = Arc::clone(&count);
            let delayed = pool.spawn_after(LONG, Priority::Urgent, move || drop(timer));
            drain(&pool);
            assert_eq!(count.load(Ordering::SeqCst), 1000);
            assert_eq!(delayed.join(), Err(TaskError::Cancelled), "not due: not waited for");
            assert_eq!(Arc::strong_count(&count), 1, "all closures are gone");
            assert_eq!(pool.stats().workers.now, 0);
            drain(&pool);
        });
    }
}

#[test]
fn cancel_drops_what_is_queued_and_tells_what_runs() {
    watched(|| {
        let pool = pool(1);
        let (started, starts) = mpsc::channel();
        let running = pool.spawn(Priority::Normal, move || {
            let (sender, cancelled) = mpsc::channel();
            let own = current_token().unwrap();
            let _guard = own.on_cancel(move || sender.send(()).unwrap());
            started.send(()).unwrap();
            cancelled.recv_timeout(LONG).is_ok()
        });
        starts.recv_timeout(LONG).unwrap();
        let queued: Vec<Task<()>> = (0..50).map(|_| pool.spawn(Priority::High, || ())).collect();
        let delayed = pool.spawn_after(LONG, Priority::High, || ());
        pool.shutdown(ShutdownMode::Cancel, LONG).unwrap();
        assert_eq!(running.try_join(), Some(Ok(true)));
        for task in queued.into_iter().chain([delayed]) {
            assert_eq!(task.join(), Err(TaskError::Cancelled));
        }
        assert!(pool.tasks().is_empty());
    });
}

#[test]
fn a_sealed_pool_rejects_and_drops_what_is_spawned() {
    watched(|| {
        let pool = pool(2);
        drain(&pool);
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let task = pool.spawn(Priority::Urgent, move || drop(inside));
        assert_eq!(task.status(), TaskStatus::Rejected);
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(task.join(), Err(TaskError::Rejected));
        let late = pool.spawn_after(Duration::from_millis(1), Priority::Urgent, || ());
        assert_eq!(late.join(), Err(TaskError::Rejected));
        assert!(pool.tasks().is_empty() && pool.stats().pending == 0);
        drain(&pool);
    });
}

#[test]
fn a_stuck_task_ends_the_wait_at_the_deadline_and_a_later_call_finishes() {
    watched(|| {
        let pool = pool(2);
        let held = hold(&pool, Priority::Normal);
        let result = pool.shutdown(ShutdownMode::Drain, Duration::from_millis(20));
        let Err(PoolError::ShutdownTimeout { threads, .. }) = result else {
            panic!("expected a timeout, got {result:?}")
        };
        assert!((1..=2).contains(&threads));
        held.let_go();
        drain(&pool);
        assert_eq!(pool.stats().workers.now, 0);
    });
}

#[test]
fn workers_may_shut_their_pool_down_themselves_and_all_at_once() {
    for workers in [1, 2, 4] {
        watched(move || {
            let pool = pool(workers);
            let count = Arc::new(AtomicUsize::new(0));
            let barrier = Arc::new(Barrier::new(workers));
            let callers: Vec<_> = (0..workers)
                .map(|_| {
                    let (pool, barrier) = (pool.clone(), Arc::clone(&barrier));
                    pool.clone().spawn(Priority::Normal, move || {
                        barrier.wait();
                        pool.shutdown(ShutdownMode::Drain, LONG)
                    })
                })
                .collect();
            for _ in 0..10 {
                let count = Arc::clone(&count);
                pool.spawn(Priority::Low, move || count.fetch_add(1, Ordering::SeqCst));
            }
            for caller in callers {
                caller.join().unwrap().unwrap();
            }
            drain(&pool);
            let stats = pool.stats();
            let low = stats.level(Priority::Low);
            assert_eq!((low.done, low.done + low.rejected), (low.submitted, 10));
        });
    }
}

#[test]
fn in_mid_flight_each_task_is_run_or_refused() {
    for mode in [ShutdownMode::Drain, ShutdownMode::Cancel] {
        watched(move || {
            for round in 0..20 {
                let pool = Pool::builder().max(4).build().unwrap();
                let ran = Arc::new(AtomicUsize::new(0));
                let tasks: Vec<Task<()>> = thread::scope(|scope| {
                    let spawners: Vec<_> = (0..3)
                        .map(|_| {
                            scope.spawn(|| {
                                let spawn = |index| {
                                    let ran = Arc::clone(&ran);
                                    let closure = move || {
                                        ran.fetch_add(1, Ordering::SeqCst);
                                    };
                                    if index % 5 == 0 {
                                        let delay = Duration::from_micros(index);
                                        pool.spawn_after(delay, Priority::High, closure)
                                    } else {
                                        pool.spawn(Priority::Normal, closure)
                                    }
                                };
                                (0..100).map(spawn).collect::<Vec<_>>()
                            })
                        })
                        .collect();
                    let wait_for = round * 10;
                    eventually("some were accepted", || {
                        pool.stats().level(Priority::Normal).submitted >= wait_for
                    });
                    pool.shutdown(mode, LONG).unwrap();
                    spawners.into_iter().flat_map(|spawner| spawner.join().unwrap()).collect()
                });
                let done = tasks.iter().filter(|task| task.try_join() == Some(Ok(()))).count();
                assert_eq!(done, ran.load(Ordering::SeqCst));
                assert!(tasks.iter().all(|task| task.status().is_ended()));
            }
        });
    }
}

#[test]
fn the_last_handle_may_be_dropped_on_a_worker() {
    watched(|| {
        let pool = pool(2);
        let (sender, receiver) = mpsc::channel();
        let (proceed, go) = mpsc::channel::<()>();
        let inner = pool.clone();
        let after = sender.clone();
        pool.spawn(Priority::Normal, move || {
            let _ = go.recv_timeout(LONG);
            inner.spawn(Priority::Low, move || after.send("accepted before the drop").unwrap());
            drop(inner);
            sender.send("dropped").unwrap();
        });
        drop(pool);
        drop(proceed);
        let mut heard: Vec<&str> = receiver.iter().collect();
        heard.sort_unstable();
        assert_eq!(heard, ["accepted before the drop", "dropped"]);
    });
}

#[test]
fn dropping_the_last_handle_waits_for_accepted_tasks() {
    watched(|| {
        let pool = pool(1);
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let count = Arc::clone(&count);
            pool.spawn(Priority::Normal, move || count.fetch_add(1, Ordering::SeqCst));
        }
        drop(pool);
        assert_eq!(count.load(Ordering::SeqCst), 100);
    });
}

#[test]
fn cancelling_the_task_that_holds_the_last_handle_does_not_hang() {
    watched(|| {
        let pool = pool(1);
        let held = hold(&pool, Priority::Normal);
        let inner = pool.clone();
        let task = pool.spawn(Priority::Normal, move || drop(inner));
        drop(pool);
        held.let_go();
        task.cancel();
        let outcome = task.join();
        assert!(matches!(outcome, Ok(()) | Err(TaskError::Cancelled)), "{outcome:?}");
    });
}
