//! How threads are created.

use std::io;

use crate::sync::thread;

/// Creates threads. Tests substitute one that fails.
pub(in crate::pool) trait Spawner: Send + Sync {
    fn spawn(
        &self,
        name: String,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<ThreadHandle>;
}

pub(in crate::pool) type ThreadHandle = thread::JoinHandle<()>;

/// Threads of the operating system.
pub(in crate::pool) struct SystemSpawner;

#[cfg(not(all(test, gristmill_model)))]
impl Spawner for SystemSpawner {
    fn spawn(
        &self,
        name: String,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<ThreadHandle> {
        thread::Builder::new().name(name).stack_size(stack_size).spawn(body)
    }
}

/// Threads of the model checker.
#[cfg(all(test, gristmill_model))]
impl Spawner for SystemSpawner {
    fn spawn(
        &self,
        _: String,
        _: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<ThreadHandle> {
        Ok(thread::spawn(body))
    }
}
