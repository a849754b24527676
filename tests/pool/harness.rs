//! What the scenarios share: tasks that hold workers until told to let go.

use std::sync::mpsc::{self, Receiver, Sender};

use gristmill::pool::{Pool, PoolBuilder, Priority, ShutdownMode, Task};

pub(crate) use crate::waiting::{LONG, eventually, watched};

pub(crate) fn pool(workers: usize) -> Pool {
    fixed(workers).build().unwrap()
}

/// Settings for a pool that has `workers` workers, no more, no less.
pub(crate) fn fixed(workers: usize) -> PoolBuilder {
    Pool::builder().name("test").min(workers).max(workers)
}

pub(crate) fn drain(pool: &Pool) {
    pool.shutdown(ShutdownMode::Drain, LONG).unwrap();
}

/// A task that runs until it is released.
pub(crate) struct Held {
    pub(crate) task: Task<()>,
    pub(crate) release: Sender<()>,
}

impl Held {
    pub(crate) fn release(self) {
        drop(self.release);
        self.task.join().unwrap();
    }

    /// Lets the task go without waiting for it.
    pub(crate) fn let_go(self) {
        drop(self.release);
    }
}

/// Spawns a task that holds its worker, and waits until it runs.
pub(crate) fn hold(pool: &Pool, priority: Priority) -> Held {
    let (started, release) = (mpsc::channel(), mpsc::channel());
    let task = pool.spawn(priority, holding(started.0, release.1));
    started.1.recv_timeout(LONG).expect("the holding task did not start");
    Held { task, release: release.0 }
}

/// A closure that tells that it runs, and returns when the other side is gone.
pub(crate) fn holding(
    started: Sender<()>,
    release: Receiver<()>,
) -> impl FnOnce() + Send + 'static {
    move || {
        let _ = started.send(());
        let _ = release.recv_timeout(2 * LONG);
    }
}
