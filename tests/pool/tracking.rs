//! The registry lists live tasks only, and the statistics add up.

use std::sync::Arc;

use gristmill::pool::{Pool, Priority, TaskStatus};

use crate::harness::*;

#[test]
fn live_tasks_are_listed_and_ended_ones_are_not() {
    watched(|| {
        let pool = pool(1);
        let held = hold(&pool, Priority::Normal);
        let queued = pool.task("fetch").priority(Priority::Urgent).spawn(|| 1);
        let delayed = pool.task("retry").after(LONG).spawn(|| 2);
        let listed: Vec<_> =
            pool.tasks().into_iter().map(|task| (task.id, task.name, task.status)).collect();
        assert_eq!(
            listed,
            [
                (held.task.id(), "task", TaskStatus::Running),
                (queued.id(), "fetch", TaskStatus::Queued),
                (delayed.id(), "retry", TaskStatus::Delayed),
            ]
        );
        held.release();
        assert_eq!(queued.join(), Ok(1));
        assert_eq!(pool.tasks().len(), 1);
        delayed.cancel();
        assert!(pool.tasks().is_empty());
        drain(&pool);
    });
}

#[test]
fn results_nobody_waits_for_are_freed() {
    watched(|| {
        let pool = pool(2);
        let result = Arc::new(());
        for _ in 0..1000 {
            let result = Arc::clone(&result);
            pool.spawn(Priority::Normal, move || result);
        }
        eventually("all results are freed", || Arc::strong_count(&result) == 1);
        assert!(pool.tasks().is_empty());
        drain(&pool);
    });
}

#[test]
fn statistics_add_up_and_serialize() {
    watched(|| {
        let pool = Pool::builder().name("figures").max(2).build().unwrap();
        let tasks: Vec<_> =
            (0..40).map(|index| pool.spawn(Priority::ALL[index % 4], || ())).collect();
        for task in tasks {
            task.join().unwrap();
        }
        let stats = pool.stats();
        for level in &stats.levels {
            assert_eq!((level.submitted, level.started, level.done), (10, 10, 10));
            assert_eq!((level.run_time.count, level.queue_wait.count), (10, 10));
            let (p50, p99, max) =
                (level.queue_wait.p50, level.queue_wait.p99, level.queue_wait.max);
            assert!(p50 <= p99 && p99 <= max && !max.is_zero());
        }
        assert!((1..=2).contains(&stats.workers.peak));
        let json = serde_json::to_value(&stats).unwrap();
        assert_eq!(json["levels"][0]["priority"], "urgent");
        assert!(json["levels"][0]["run_time"]["p99"].is_f64());
        drain(&pool);
        assert!(format!("{pool:?}").contains("figures"));
    });
}
