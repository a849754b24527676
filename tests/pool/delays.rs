//! Delayed tasks run in the order in which they are due, not before, and hold no worker.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gristmill::pool::{Priority, TaskError, TaskStatus};
use gristmill::time::{ManualClock, Timestamp};

use crate::harness::*;

#[test]
fn due_tasks_run_in_order_of_their_times() {
    watched(|| {
        let clock = ManualClock::new(Timestamp(0));
        let pool = fixed(1).clock(clock.clone()).build().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [40_u64, 10, 30, 20, 10]
            .into_iter()
            .enumerate()
            .map(|(index, millis)| {
                let order = Arc::clone(&order);
                let closure = move || order.lock().unwrap().push((millis, index));
                pool.spawn_after(Duration::from_millis(millis), Priority::Normal, closure)
            })
            .collect();
        assert_eq!(pool.spawn(Priority::Normal, || 1).join(), Ok(1));
        assert!(tasks.iter().all(|task| task.status() == TaskStatus::Delayed), "none is due");
        clock.advance(Duration::from_secs(1));
        for task in tasks {
            task.join().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [(10, 1), (10, 4), (20, 3), (30, 2), (40, 0)]);
        drain(&pool);
    });
}

#[test]
fn a_delay_lasts_as_long_as_asked_and_an_earlier_one_is_not_held_up() {
    watched(|| {
        let pool = pool(1);
        let far = pool.spawn_after(LONG, Priority::Urgent, || ());
        let begun = Instant::now();
        let near = pool.spawn_after(Duration::from_millis(30), Priority::Low, Instant::now);
        let ran = near.join_timeout(LONG / 2).expect("held up by the later one").unwrap();
        assert!(ran - begun >= Duration::from_millis(30));
        far.cancel();
        assert_eq!(far.join(), Err(TaskError::Cancelled));
        drain(&pool);
    });
}

#[test]
fn waiting_for_a_time_takes_no_worker() {
    watched(|| {
        let pool = pool(1);
        let delayed: Vec<_> =
            (0..200).map(|_| pool.spawn_after(LONG, Priority::Urgent, || ())).collect();
        assert_eq!(pool.spawn(Priority::Low, || 1).join(), Ok(1));
        assert_eq!(pool.stats().workers.now, 1);
        delayed.iter().for_each(gristmill::pool::Task::cancel);
        assert_eq!(pool.stats().pending, 0);
        let never = pool.spawn_after(Duration::MAX, Priority::Normal, || ());
        assert_eq!(never.status(), TaskStatus::Delayed);
        drain(&pool);
    });
}
