//! How urgent a task is, and whether it blocks or computes.

use serde::{Deserialize, Serialize};

/// Number of priority levels.
pub(super) const LEVELS: usize = 4;

/// How urgent a task is. The order is from most to least urgent.
///
/// Among queued tasks, those of the most urgent level go first. A level whose tasks were passed
/// over for 100 ms gets one of them run, so no level starves.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Somebody waits for the result.
    Urgent,
    /// Before the bulk of the work.
    High,
    /// The bulk of the work; the default.
    #[default]
    Normal,
    /// When there is nothing else to do. In a pool of several workers, one is never given to such
    /// tasks.
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
    /// It waits for sockets, disks or other tasks. It gets an idle worker or, below the pool's
    /// maximum, a new one at once. The default.
    #[default]
    Blocking,
    /// It computes. By default no more such tasks run at a time than there are cores; see
    /// [`PoolBuilder::cpu_permits`](super::PoolBuilder::cpu_permits).
    Cpu,
}
