//! The gates of a pool: one for tasks that compute and one for each level.

use std::array;

use crossbeam_utils::CachePadded;

use super::gate::{Gate, GateSet};
use crate::pool::priority::{LEVELS, Priority};
use crate::sync::Mutex;

pub(in crate::pool) struct Gates {
    pub(in crate::pool) cpu: CachePadded<Gate>,
    pub(super) levels: [Gate; LEVELS],
    low_cap: Mutex<LowCap>,
}

/// What the cap of `Low` is computed from.
struct LowCap {
    /// The maximum number of workers.
    workers: usize,
    /// The cap that the user set.
    requested: usize,
}

impl Gates {
    pub(super) fn new(cpu_permits: usize, max_workers: usize) -> Self {
        let low_cap = LowCap { workers: max_workers, requested: usize::MAX };
        let mut levels = array::from_fn(|_| Gate::unlimited());
        levels[Priority::Low.level()] = Gate::new(low_cap.cap());
        Self { cpu: CachePadded::new(Gate::new(cpu_permits)), levels, low_cap: Mutex::new(low_cap) }
    }

    /// Caps how many tasks of a level run at a time. The caller notifies the workers.
    pub(in crate::pool) fn set_cap(&self, priority: Priority, cap: usize) {
        if priority == Priority::Low {
            self.set_low_cap(|low| low.requested = cap);
        } else {
            self.levels[priority.level()].set_cap(cap);
        }
    }

    /// Follows a change of the maximum number of workers. The caller notifies the workers.
    pub(in crate::pool) fn set_max_workers(&self, workers: usize) {
        self.set_low_cap(|low| low.workers = workers);
    }

    fn set_low_cap(&self, change: impl FnOnce(&mut LowCap)) {
        let mut low = self.low_cap.lock();
        change(&mut low);
        self.levels[Priority::Low.level()].set_cap(low.cap());
    }

    /// Leaves the gates that a task was counted in at. The caller notifies the workers.
    pub(in crate::pool) fn leave(&self, gates: GateSet) {
        if gates.has_cpu() {
            self.cpu.leave();
        }
        for (level, gate) in self.levels.iter().enumerate() {
            if gates.has_level(level) {
                gate.leave();
            }
        }
    }

    /// Enters them again, for a task that left them while it waited.
    pub(in crate::pool) fn re_enter(&self, gates: GateSet) {
        if gates.has_cpu() {
            self.cpu.re_enter();
        }
        for (level, gate) in self.levels.iter().enumerate() {
            if gates.has_level(level) {
                gate.re_enter();
            }
        }
    }
}

impl LowCap {
    /// The requested cap, but never the last worker, unless there is only one.
    fn cap(&self) -> usize {
        self.workers.saturating_sub(1).max(1).min(self.requested)
    }
}
