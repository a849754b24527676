//! While memory is short the pool does not grow, and it makes up for it when that is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gristmill::pool::{MemoryPressure, Pool, Priority, TaskStatus};

use crate::harness::*;

type Relieved = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Gauge {
    high: AtomicBool,
    relieved: Mutex<Vec<Relieved>>,
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gauge").field("high", &self.high).finish_non_exhaustive()
    }
}

impl MemoryPressure for Gauge {
    fn is_high(&self) -> bool {
        self.high.load(Ordering::SeqCst)
    }

    fn on_relief(&self, relieved: Relieved) {
        self.relieved.lock().unwrap().push(relieved);
    }
}

impl Gauge {
    fn relieve(&self) {
        self.high.store(false, Ordering::SeqCst);
        self.relieved.lock().unwrap().iter().for_each(|relieved| relieved());
    }
}

#[test]
fn growth_stops_under_pressure_and_goes_on_after_it() {
    watched(|| {
        let gauge = Arc::new(Gauge::default());
        let pool = Pool::builder().min(1).max(4).memory_pressure(gauge.clone()).build().unwrap();
        gauge.high.store(true, Ordering::SeqCst);
        let first = hold(&pool, Priority::Normal);
        let waiting: Vec<_> =
            (0..3).map(|index| pool.spawn(Priority::Urgent, move || index)).collect();
        let workers = pool.stats().workers;
        assert_eq!((workers.now, workers.limit), (1, 1), "no worker beyond the minimum");
        assert!(waiting.iter().all(|task| task.status() == TaskStatus::Queued));
        gauge.relieve();
        for (index, task) in waiting.into_iter().enumerate() {
            assert_eq!(task.join_timeout(LONG), Some(Ok(index)), "relief woke nobody");
        }
        assert_eq!(pool.stats().workers.limit, 4);
        first.release();
        drain(&pool);
        drop(pool);
        gauge.relieve();
    });
}

#[test]
fn a_join_gets_its_stand_in_even_under_pressure() {
    watched(|| {
        let gauge = Arc::new(Gauge::default());
        let pool = Pool::builder().min(2).max(2).memory_pressure(gauge.clone()).build().unwrap();
        let held = hold(&pool, Priority::Normal);
        gauge.high.store(true, Ordering::SeqCst);
        let Held { task, release } = held;
        let joining = pool.spawn(Priority::Normal, move || task.join());
        eventually("both workers are taken", || pool.stats().pending == 0);
        // One runs, one waits for it.
        assert_eq!(pool.spawn(Priority::Normal, || 1).join_timeout(LONG / 2), Some(Ok(1)));
        drop(release);
        assert_eq!(joining.join(), Ok(Ok(())));
        drain(&pool);
    });
}
