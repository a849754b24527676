//! How urgent a task is and what it does to its thread.

use serde::{Deserialize, Serialize};

/// Number of priority levels.
pub(super) const LEVELS: usize = 4;

/// How urgent a task is. Orders from most to least urgent.
///
/// Among queued tasks the most urgent level goes first. A level that was passed over for 100 ms
/// while it had tasks gets one of them served, so none starves.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Somebody waits for it.
    Urgent,
    /// Before the bulk of the work.
    High,
    /// The bulk of the work; the default.
    #[default]
    Normal,
    /// When nothing else is to be done. In a pool of more than one worker, one is never given to
    /// such tasks.
    Low,
}

impl Priority {
    /// All levels, most urgent first.
    pub const ALL: [Self; LEVELS] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// The level's index, 0 for the most urgent.
    pub(super) const fn level(self) -> usize {
        self as usize
    }
}

/// What a task does to the thread that runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It waits for sockets, disks or other tasks: it gets an idle worker or, below the pool's
    /// maximum, a new one at once. The default.
    #[default]
    Blocking,
    /// It computes: no more such tasks run at a time than there are cores.
    Cpu,
}
