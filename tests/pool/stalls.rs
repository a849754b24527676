//! Tasks that say they compute but wait for each other get on all the same.

use std::sync::mpsc;
use std::time::Duration;

use gristmill::pool::{Pool, Priority, TaskStatus};
use gristmill::time::{ManualClock, Timestamp};

use crate::harness::*;

#[test]
fn a_task_that_waits_without_having_said_so_does_not_stop_the_others_for_ever() {
    watched(|| {
        let pool = Pool::builder().max(4).cpu_permits(1).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        // Waits, outside the pool's joins, for one that waits for its permit.
        let first = pool.spawn_cpu(Priority::Normal, move || receiver.recv_timeout(LONG / 2));
        let second = pool.spawn_cpu(Priority::Normal, move || sender.send(7));
        assert_eq!(first.join(), Ok(Ok(7)), "nobody lent a permit");
        assert_eq!(second.join(), Ok(Ok(())));
        assert!(pool.stats().stalls >= 1);
        drain(&pool);
    });
}

#[test]
fn nothing_is_lent_before_its_time() {
    watched(|| {
        let clock = ManualClock::new(Timestamp(0));
        let pool = Pool::builder().max(4).cpu_permits(1).clock(clock.clone()).build().unwrap();
        let (started, release) = (mpsc::channel(), mpsc::channel());
        let first = pool.spawn_cpu(Priority::Normal, holding(started.0, release.1));
        started.1.recv_timeout(LONG).unwrap();
        clock.advance(Duration::from_millis(1));
        let second = pool.spawn_cpu(Priority::Normal, || 2);
        assert_eq!(pool.spawn(Priority::Normal, || 1).join(), Ok(1));
        assert_eq!((second.status(), pool.stats().stalls), (TaskStatus::Queued, 0));
        clock.advance(Duration::from_millis(100));
        assert_eq!(second.join_timeout(LONG), Some(Ok(2)));
        assert_eq!(pool.stats().stalls, 1);
        drop(release.0);
        first.join().unwrap();
        drain(&pool);
    });
}
