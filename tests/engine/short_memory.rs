//! An engine that is told that memory is short works on, with the least it needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gristmill::Engine;
use gristmill::pool::MemoryPressure;

use crate::facts_of_a_model::{job, site};
use crate::workshop::{eager, pages, run};

/// Memory is short from the beginning to the end.
#[derive(Debug, Default)]
struct Short {
    asked: AtomicU64,
}

impl MemoryPressure for Short {
    fn is_high(&self) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn on_relief(&self, _relieved: Box<dyn Fn() + Send + Sync>) {
        // There will be none.
    }
}

#[test]
fn a_job_is_done_by_one_worker_a_pool_while_memory_is_short() {
    let (site, short, dir) = (site(), Arc::new(Short::default()), tempfile::tempdir().unwrap());
    let builder = Engine::builder(dir.path()).config(eager());
    let engine = builder.memory_pressure(short.clone()).build().unwrap();
    let report = run(&engine, job(&site));
    assert!(report.infos > 0 && pages(&engine).len() > 8, "{report:?}");
    assert!(short.asked.load(Ordering::SeqCst) > 0, "nobody asked whether memory is short");
    let parts = engine.stats().unwrap().parts;
    for pool in ["crawl_pool", "distil_pool"] {
        let workers = &parts[pool]["workers"];
        assert_eq!(workers["now"], 1, "{workers}");
    }
}
