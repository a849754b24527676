//! Settings of a pool.

use std::sync::Arc;
use std::time::Duration;

use super::error::PoolError;
use super::handle::Pool;
use super::pressure::MemoryPressure;
use super::priority::Priority;
#[cfg(all(test, not(gristmill_model)))]
use super::shared::Spawner;
use super::shared::{Settings, Shared, SystemSpawner};
use super::spin;
use crate::time::{SharedClock, SystemClock};

const DEFAULT_MIN: usize = 1;
const DEFAULT_MAX: usize = 64;
/// With those in the place of workers that wait in joins, no more than hands can be counted.
pub(super) const MOST_WORKERS: usize = 65_000;
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_STACK_SIZE: usize = 2 * 1024 * 1024;

/// Builds a [`Pool`]; every setting has a default.
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder {
    settings: Settings,
    cpu_permits: Option<usize>,
}

impl PoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings {
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

    /// The pool's name, which begins the names of its threads. Default `"pool"`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Workers that are started at once and never retire; at least 1. Default 1.
    pub fn min(mut self, workers: usize) -> Self {
        self.settings.min = workers;
        self
    }

    /// Workers at most; at least `min`. Default 64; more than 65,000 count as that. Workers that wait in a join may be replaced
    /// beyond that (by up to `max`, and 64), and the timekeeper's thread comes on top.
    pub fn max(mut self, workers: usize) -> Self {
        self.settings.max = workers;
        self
    }

    /// How many [`Kind::Cpu`](super::Kind::Cpu) tasks run at a time; at least 1. Default: the cores
    /// that the process may use, control groups considered.
    pub fn cpu_permits(mut self, permits: usize) -> Self {
        self.cpu_permits = Some(permits);
        self
    }

    /// At most `tasks` of this level run at a time; the others stay queued, and other levels go
    /// first. Default: no cap, but `Low` never gets the last of several workers, whatever its cap.
    pub fn level_cap(mut self, priority: Priority, tasks: usize) -> Self {
        self.settings.level_caps.push((priority, tasks));
        self
    }

    /// Holds the pool at its minimum while memory is short. Default: none.
    pub fn memory_pressure(mut self, pressure: Arc<dyn MemoryPressure>) -> Self {
        self.settings.pressure = Some(pressure);
        self
    }

    /// How long a worker above `min` sleeps before it retires; lengthened by up to an eighth so
    /// that not all go at once. Default 10 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = timeout;
        self
    }

    /// Stack of each thread in bytes of address space; only touched pages cost memory. Default
    /// 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.settings.stack_size = bytes;
        self
    }

    /// Where the pool takes the time from. Default: the system's clock. Delayed tasks are looked at
    /// when the real time until they are due has passed.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.settings.clock = clock;
        self
    }

    #[cfg(all(test, not(gristmill_model)))]
    pub(super) fn spawner(mut self, spawner: impl Spawner + 'static) -> Self {
        self.settings.spawner = Box::new(spawner);
        self
    }

    /// Checks the settings and starts the first workers.
    pub fn build(self) -> Result<Pool, PoolError> {
        let mut settings = self.settings;
        settings.cpu_permits = self.cpu_permits.unwrap_or_else(spin::cores);
        settings.max = settings.max.min(MOST_WORKERS);
        let (min, max, cpu) = (settings.min, settings.max, settings.cpu_permits);
        if min == 0 || min > max || cpu == 0 {
            return Err(PoolError::InvalidSize { min, max, cpu });
        }
        if settings.name.contains('\0') {
            return Err(PoolError::InvalidName { name: settings.name });
        }
        Shared::start(settings).map(Pool::new)
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
