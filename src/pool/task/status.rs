//! What a user learns about a task.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pool::priority::Priority;

/// A number that no other task of the same pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[repr(u8)]
pub enum TaskStatus {
    /// Waiting for its delay to pass.
    Delayed,
    /// Waiting for a worker.
    Queued,
    /// Its closure is running.
    Running,
    /// Its closure returned.
    Done,
    /// Its closure panicked.
    Panicked,
    /// Cancelled before it started.
    Cancelled,
    /// Not accepted, because the pool was shut down.
    Rejected,
}

impl TaskStatus {
    pub(super) const ALL: [Self; 7] = [
        Self::Delayed,
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Panicked,
        Self::Cancelled,
        Self::Rejected,
    ];

    /// Whether the task has ended, in any way. The status of such a task never changes again.
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Delayed | Self::Queued | Self::Running)
    }
}

/// A task that has not ended, as [`Pool::tasks`](crate::pool::Pool::tasks) lists it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The task's number.
    pub id: TaskId,
    /// The name given to [`Pool::task`](crate::pool::Pool::task); `"task"` if none was.
    pub name: &'static str,
    /// The task's priority.
    pub priority: Priority,
    /// The task's state.
    pub status: TaskStatus,
    /// Time since the task was submitted.
    pub age: Duration,
}
