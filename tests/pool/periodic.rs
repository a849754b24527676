//! A periodic task keeps its beat, holds no worker in between and ends in one way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use gristmill::pool::{CancelToken, Pool, Priority, TaskError, TaskStatus};
use gristmill::time::{ManualClock, Timestamp};

use crate::harness::*;

const PERIOD: Duration = Duration::from_millis(10);

#[test]
fn runs_follow_the_clock_and_missed_ones_are_left_out() {
    watched(|| {
        let clock = ManualClock::new(Timestamp(0));
        let pool = fixed(1).clock(clock.clone()).build().unwrap();
        let (sender, runs) = mpsc::channel();
        let time = Arc::clone(&clock);
        let periodic = pool.task("beat").after(PERIOD).every(PERIOD, move || {
            use gristmill::time::Clock as _;
            sender.send(time.monotonic()).unwrap();
        });
        assert_eq!(pool.spawn(Priority::Low, || 1).join(), Ok(1), "no worker is taken");
        let listed = pool.tasks();
        assert_eq!((listed[0].name, listed[0].status), ("beat", TaskStatus::Delayed));
        let mut expected = Duration::ZERO;
        // On time, twice; then five periods late, of which four are missed; then on the beat again.
        for periods in [1, 1, 5, 1] {
            clock.advance(PERIOD * periods);
            expected += PERIOD * periods;
            assert_eq!(runs.recv_timeout(LONG), Ok(expected));
            // The run schedules the next one before its own task has ended.
            eventually("only the next run is listed", || {
                let listed = pool.tasks();
                listed.len() == 1 && listed[0].status == TaskStatus::Delayed
            });
        }
        assert_eq!(periodic.runs(), 4);
        periodic.cancel();
        assert_eq!(periodic.join_timeout(LONG), Some(TaskError::Cancelled));
        assert!(pool.tasks().is_empty() && runs.try_recv().is_err());
        drain(&pool);
    });
}

#[test]
fn a_run_does_not_begin_before_the_last_one_has_ended() {
    watched(|| {
        let pool = pool(4);
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (sender, runs) = mpsc::channel();
        let (now, peak) = (Arc::clone(&inside), Arc::clone(&most));
        let periodic = pool.task("slow").every(Duration::from_millis(1), move || {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let (_keep, nothing) = mpsc::channel::<()>();
            nothing.recv_timeout(Duration::from_millis(5)).unwrap_err();
            now.fetch_sub(1, Ordering::SeqCst);
            let _ = sender.send(());
        });
        for _ in 0..5 {
            runs.recv_timeout(LONG).unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
        periodic.cancel();
        drain(&pool);
    });
}

#[test]
fn a_panic_a_token_and_the_shutdown_end_the_series() {
    watched(|| {
        let pool = pool(1);
        let failing = pool.task("failing").every(PERIOD, || panic!("enough"));
        let message = "enough".to_owned();
        assert_eq!(failing.join_timeout(LONG), Some(TaskError::Panicked { message }));
        eventually("it is counted", || pool.stats().level(Priority::Normal).panicked == 1);

        let (token, held) = (CancelToken::new(), Arc::new(()));
        let inside = Arc::clone(&held);
        let below = pool.task("below").cancel_token(&token).after(LONG).every(PERIOD, move || {
            let _ = &inside;
        });
        assert!(!below.is_ended());
        token.cancel();
        assert_eq!(below.join_timeout(LONG), Some(TaskError::Cancelled));
        assert_eq!(Arc::strong_count(&held), 1, "the closure is dropped at once");

        let last = pool.task("last").after(LONG).every(PERIOD, || ());
        drain(&pool);
        assert_eq!(last.join_timeout(LONG), Some(TaskError::Cancelled));
        let late = pool.task("late").every(PERIOD, || ());
        assert_eq!(late.join_timeout(LONG), Some(TaskError::Cancelled));
    });
}

#[test]
fn a_series_does_not_keep_its_pool_open() {
    watched(|| {
        let pool = Pool::builder().build().unwrap();
        let periodic = pool.task("beat").every(PERIOD, || ());
        drop(pool);
        assert_eq!(periodic.join_timeout(LONG), Some(TaskError::Cancelled));
    });
}
