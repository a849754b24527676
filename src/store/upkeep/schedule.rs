//! Starting background work on the store's pool, at low priority.
//!
//! An expired row is invisible at once, to look-ups, iterators, snapshots and counts. Every ten
//! seconds the rows at the front of the list by expiry are removed, 1,000 a batch. The removals are
//! logged operations that apply only if the row still has the expiry seen. So a value put again in
//! between stays, and recovery repeats the same decisions.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::{policy, reclaim};
use crate::pool::{Kind, Priority};
use crate::store::codec::{self, Dictionary};
use crate::store::commit::encoded::Encoded;
use crate::store::commit::queue::Submitter;
use crate::store::core::Core;
use crate::store::error::StoreError;

/// How often expired keys are removed. They are invisible before that.
const SWEEP_PERIOD: Duration = Duration::from_secs(10);

/// Starts reclaiming space if that is due.
pub(in crate::store) fn reclaim_if_due(core: &Arc<Core>) {
    let maintenance = &core.maintenance;
    // The checkpoint just taken may have retired enough segments. Nothing else lifts the delay
    // then.
    if !policy::lags(core.space(), 0) {
        core.throttle(false);
    }
    if !policy::is_due(core.space()) {
        return;
    }
    // Also dropped when the task is cancelled before it runs, or there is no pool.
    let Some(reclaiming) = maintenance.begin_reclaiming() else { return };
    let Some(pool) = maintenance.pool().filter(|pool| !pool.is_shut_down()) else {
        // Nothing will reclaim space, so delaying callers is pointless.
        maintenance.gained(false);
        return core.throttle(false);
    };
    let weak = Arc::downgrade(core);
    let task = pool.task("store-reclaim").priority(Priority::Low);
    let task = task.cancel_token(maintenance.token()).spawn(move || {
        let _reclaiming = reclaiming;
        if let Some(core) = weak.upgrade() {
            reclaim::run(&core);
        }
    });
    maintenance.watch_reclaiming(task);
}

/// Removes expired keys periodically from now on.
pub(in crate::store) fn expect_expiry(core: &Arc<Core>) {
    let maintenance = &core.maintenance;
    maintenance.sweep_with(|pool| {
        let weak = Arc::downgrade(core);
        let task = pool.task("store-expire").priority(Priority::Low);
        task.cancel_token(maintenance.token()).every(SWEEP_PERIOD, move || {
            if let Some(core) = weak.upgrade()
                && let Err(error) = reclaim::sweep(&core)
            {
                tracing::debug!(error = &error as &dyn Error, "cannot remove expired keys");
            }
        })
    });
}

/// The dictionary to compress a value of a keyspace with. If there is none yet, the value becomes a
/// sample to train one on.
pub(in crate::store) fn dictionary_for(
    core: &Arc<Core>,
    keyspace: u32,
    value: &[u8],
    level: i32,
) -> Option<Arc<Dictionary>> {
    let known = core.dictionaries.of(keyspace);
    if known.is_none()
        && let Some(samples) = core.dictionaries.sample(keyspace, value)
    {
        train(core, keyspace, samples, level);
    }
    known
}

/// Trains and stores a dictionary, in the background.
fn train(core: &Arc<Core>, keyspace: u32, samples: Vec<Vec<u8>>, level: i32) {
    let maintenance = &core.maintenance;
    let Some(pool) = maintenance.pool() else { return };
    let weak = Arc::downgrade(core);
    let task = pool.task("store-train").kind(Kind::Cpu).priority(Priority::Low);
    drop(task.cancel_token(maintenance.token()).spawn(move || {
        let trained = codec::train(&samples, level);
        drop(samples);
        let Some(core) = weak.upgrade() else { return };
        let stored = trained.and_then(|dictionary| match dictionary {
            Some(dictionary) => store_dictionary(&core, keyspace, dictionary),
            None => Ok(()),
        });
        if let Err(error) = stored {
            tracing::warn!(error = &error as &dyn Error, "cannot make a dictionary");
        }
    }));
}

/// Makes a dictionary durable, then puts it to use.
fn store_dictionary(
    core: &Core,
    keyspace: u32,
    dictionary: Arc<Dictionary>,
) -> Result<(), StoreError> {
    let known = core.dictionaries.get(dictionary.id);
    if known.is_some_and(|known| known.bytes != dictionary.bytes) {
        // Another one has the same id, by a chance of one in two billion.
        return Ok(());
    }
    let encoded = Encoded::dictionary(keyspace, &dictionary);
    let number = core.queue.submit(encoded, Submitter::Internal)?;
    core.wait_applied(number, "store a dictionary")?;
    core.dictionaries.add(keyspace, dictionary);
    Ok(())
}
