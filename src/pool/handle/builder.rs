//! The settings of a pool.

use std::sync::Arc;
use std::time::Duration;

use super::pool::{MAX_WORKERS, Pool};
use crate::pool::error::PoolError;
use crate::pool::pressure::MemoryPressure;
use crate::pool::priority::Priority;
#[cfg(all(test, not(gristmill_model)))]
use crate::pool::scheduler::Spawner;
use crate::pool::scheduler::{PoolSettings, Scheduler, SystemSpawner};
use crate::pool::spin;
use crate::time::{SharedClock, SystemClock};

const DEFAULT_MIN: usize = 1;
const DEFAULT_MAX: usize = 64;
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_STACK_SIZE: usize = 2 * 1024 * 1024;

impl Pool {
    /// A builder with the default settings.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }
}

/// Builds a [`Pool`]; every setting has a default.
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder {
    settings: PoolSettings,
    cpu_permits: Option<usize>,
}

impl PoolBuilder {
    fn new() -> Self {
        Self {
            settings: PoolSettings {
                name: "pool".to_owned(),
                min: DEFAULT_MIN,
                max: DEFAULT_MAX,
                cpu_permits: 0,
                level_caps: Vec::new(),
                idle_timeout: DEFAULT_IDLE_TIMEOUT,
                stack_size: DEFAULT_STACK_SIZE,
                clock: SystemClock::shared(),
                pressure: None,
                spawner: Box::new(SystemSpawner),
            },
            cpu_permits: None,
        }
    }

    /// The pool's name, with which the names of its threads begin. Must hold no NUL character.
    /// Default `"pool"`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// The minimum number of workers, which are started at once and never retire; at least 1.
    /// Default 1.
    pub fn min(mut self, workers: usize) -> Self {
        self.settings.min = workers;
        self
    }

    /// The maximum number of workers; at least `min`. More than 65,000 count as that. Default 64.
    ///
    /// Workers that wait in a join may be replaced beyond it, by up to `max` others and at most 64.
    /// The timekeeper's thread does not count.
    pub fn max(mut self, workers: usize) -> Self {
        self.settings.max = workers;
        self
    }

    /// How many [`Kind::Cpu`](crate::pool::Kind::Cpu) tasks run at a time; at least 1. Default: the
    /// cores that the process may use, control groups considered.
    pub fn cpu_permits(mut self, permits: usize) -> Self {
        self.cpu_permits = Some(permits);
        self
    }

    /// How many tasks of a level run at a time. The others stay queued, and other levels go first.
    /// Default: no cap.
    ///
    /// In a pool of several workers, `Low` never gets the last of them, whatever its cap.
    pub fn level_cap(mut self, priority: Priority, tasks: usize) -> Self {
        self.settings.level_caps.push((priority, tasks));
        self
    }

    /// Keeps the pool from growing beyond its minimum while memory is short. Default: none.
    pub fn memory_pressure(mut self, pressure: Arc<dyn MemoryPressure>) -> Self {
        self.settings.pressure = Some(pressure);
        self
    }

    /// How long a worker above `min` sleeps before it retires, lengthened by up to an eighth so
    /// that workers do not all retire at once. Default 10 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = timeout;
        self
    }

    /// The stack of each thread, in bytes of address space; only touched pages cost memory. Default
    /// 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.settings.stack_size = bytes;
        self
    }

    /// The clock that the pool reads. Default: the system's.
    ///
    /// The timekeeper sleeps in real time until the next delayed task is due, and then reads this
    /// clock.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.settings.clock = clock;
        self
    }

    #[cfg(all(test, not(gristmill_model)))]
    pub(in crate::pool) fn spawner(mut self, spawner: impl Spawner + 'static) -> Self {
        self.settings.spawner = Box::new(spawner);
        self
    }

    /// Checks the settings and starts the first workers.
    ///
    /// Fails if the sizes or the name are invalid, or if no thread can be started at all. With at
    /// least one thread, the pool works, and counts the others as
    /// [`failed_starts`](crate::pool::WorkerStats::failed_starts).
    pub fn build(self) -> Result<Pool, PoolError> {
        let mut settings = self.settings;
        settings.cpu_permits = self.cpu_permits.unwrap_or_else(spin::cores);
        settings.max = settings.max.min(MAX_WORKERS);
        let (min, max, cpu) = (settings.min, settings.max, settings.cpu_permits);
        if min == 0 || min > max || cpu == 0 {
            return Err(PoolError::InvalidSize { min, max, cpu });
        }
        if settings.name.contains('\0') {
            return Err(PoolError::InvalidName { name: settings.name });
        }
        Scheduler::start(settings).map(Pool::new)
    }
}

impl std::fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("name", &self.settings.name)
            .field("min", &self.settings.min)
            .field("max", &self.settings.max)
            .field("cpu_permits", &self.cpu_permits)
            .field("idle_timeout", &self.settings.idle_timeout)
            .field("stack_size", &self.settings.stack_size)
            .finish_non_exhaustive()
    }
}
