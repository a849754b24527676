//! Tests that need the pool's internals: threads that cannot be created, settings that are refused.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::scheduler::{Spawner, SystemSpawner, ThreadHandle};
use super::*;

const LONG: Duration = Duration::from_secs(30);

/// Creates a given number of threads and then fails, as a system at its limit does.
struct Scarce {
    left: Arc<AtomicUsize>,
}

impl Spawner for Scarce {
    fn spawn(
        &self,
        name: String,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<ThreadHandle> {
        let take = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(_) => SystemSpawner.spawn(name, stack_size, body),
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

fn scarce(threads: usize) -> PoolBuilder {
    Pool::builder().max(8).spawner(Scarce { left: Arc::new(AtomicUsize::new(threads)) })
}

#[test]
fn without_a_first_thread_there_is_no_pool() {
    assert!(matches!(scarce(0).build(), Err(PoolError::ThreadStart { .. })));
}

#[test]
fn threads_that_cannot_be_created_are_counted_and_the_others_do_the_work() {
    for threads in [1, 3] {
        let pool = scarce(threads).min(4).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        for index in 0..200 {
            let sender = sender.clone();
            pool.spawn(Priority::Normal, move || sender.send(index).unwrap());
        }
        let mut ran: Vec<i32> =
            (0..200).map(|_| receiver.recv_timeout(LONG).expect("a task was lost")).collect();
        ran.sort_unstable();
        assert_eq!(ran, (0..200).collect::<Vec<_>>());
        let workers = pool.stats().workers;
        assert_eq!((workers.now, workers.started), (threads, threads as u64));
        assert!(workers.failed_starts >= 1);
        pool.shutdown(ShutdownMode::Drain, LONG).unwrap();
    }
}

#[test]
fn without_a_timekeeper_delayed_tasks_are_rejected_not_lost() {
    let pool = scarce(1).build().unwrap();
    let dropped = Arc::new(());
    let held = Arc::clone(&dropped);
    let task = pool.spawn_after(Duration::from_millis(1), Priority::Normal, move || drop(held));
    assert_eq!(task.join(), Err(TaskError::Rejected));
    assert_eq!(Arc::strong_count(&dropped), 1);
    assert_eq!(pool.spawn(Priority::Normal, || 1).join(), Ok(1));
    assert!(pool.tasks().is_empty());
    pool.shutdown(ShutdownMode::Drain, LONG).unwrap();
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for builder in
        [Pool::builder().min(0), Pool::builder().min(3).max(2), Pool::builder().cpu_permits(0)]
    {
        assert!(matches!(builder.build(), Err(PoolError::InvalidSize { .. })));
    }
    let nul = Pool::builder().name("a\0b").build();
    assert!(matches!(nul, Err(PoolError::InvalidName { .. })));
}
