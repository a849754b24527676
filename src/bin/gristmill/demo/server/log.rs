//! What has happened, in order, for others to read and to wait for.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Lines that are kept; what happens later is not.
const MAX_LINES: usize = 200_000;

/// A list that grows.
pub(crate) struct Log<T> {
    lines: Mutex<Vec<T>>,
    /// Signalled when a line was added.
    added: Condvar,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { lines: Mutex::default(), added: Condvar::new() }
    }
}

impl<T: Clone> Log<T> {
    /// Adds a line.
    pub(crate) fn add(&self, line: T) {
        let mut lines = self.lines.lock();
        if lines.len() < MAX_LINES {
            lines.push(line);
        }
        drop(lines);
        self.added.notify_all();
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<T> {
        self.lines.lock().clone()
    }

    /// How many lines fit `which`.
    pub(crate) fn count(&self, which: impl Fn(&T) -> bool) -> usize {
        self.lines.lock().iter().filter(|line| which(line)).count()
    }

    /// Waits until there are `count` lines; false if `deadline` passes first.
    pub(crate) fn wait_for(&self, count: usize, deadline: Duration) -> bool {
        let mut lines = self.lines.lock();
        self.added.wait_while_for(&mut lines, |lines| lines.len() < count, deadline);
        lines.len() >= count
    }
}
