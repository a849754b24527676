//! A level at its cap is skipped, and a cap that is raised lets its tasks run at once.

use gristmill::pool::{Pool, Priority, TaskStatus};

use crate::harness::*;

#[test]
fn a_level_runs_no_more_tasks_than_its_cap_and_others_go_on() {
    watched(|| {
        let pool = Pool::builder().max(8).level_cap(Priority::High, 2).build().unwrap();
        let first = hold(&pool, Priority::High);
        let second = hold(&pool, Priority::High);
        let third = pool.spawn(Priority::High, || 3);
        assert_eq!(pool.spawn(Priority::Low, || 1).join(), Ok(1), "a lower level is not held up");
        assert_eq!(third.status(), TaskStatus::Queued);
        first.release();
        assert_eq!(third.join(), Ok(3), "the place that came free was not used");
        second.release();
        drain(&pool);
    });
}

#[test]
fn a_raised_cap_starts_what_waited_for_it() {
    watched(|| {
        let pool = Pool::builder().max(4).level_cap(Priority::Normal, 0).build().unwrap();
        let waiting: Vec<_> =
            (0..3).map(|index| pool.spawn(Priority::Normal, move || index)).collect();
        assert_eq!(pool.spawn(Priority::Urgent, || 9).join(), Ok(9));
        assert!(waiting.iter().all(|task| task.status() == TaskStatus::Queued));
        pool.set_level_cap(Priority::Normal, 1);
        for (index, task) in waiting.into_iter().enumerate() {
            assert_eq!(task.join_timeout(LONG), Some(Ok(index)), "the raised cap woke nobody");
        }
        drain(&pool);
    });
}

#[test]
fn a_cap_never_gives_low_the_last_worker() {
    watched(|| {
        let pool = fixed(2).level_cap(Priority::Low, 10).build().unwrap();
        let first = hold(&pool, Priority::Low);
        let second = pool.spawn(Priority::Low, || 2);
        assert_eq!(pool.spawn(Priority::Normal, || 1).join(), Ok(1));
        assert_eq!(second.status(), TaskStatus::Queued);
        pool.set_max(3);
        assert_eq!(second.join_timeout(LONG), Some(Ok(2)), "a third worker leaves room for it");
        first.release();
        drain(&pool);
    });
}
