//! Deduplicated values that batches in flight refer to.
//!
//! A value in a keyspace with `dedup` is stored once, under its BLAKE3 hash, with the number of
//! rows that refer to it. Hashes count within a keyspace.
//!
//! - **Put.** A batch registers the hash and then looks it up in the newest view. If the value is
//!   there, the operation is a reference by hash; if not, the batch brings the record. Two batches
//!   that bring the same value at once do no harm: the second record is dead from the start.
//! - **Release.** Replacing or removing the last reference makes the value an orphan. Each group
//!   drops the orphans that no batch in flight has registered.
//! - **The race** between the look-up and the moment the batch is applied, in which the last other
//!   reference may go: a registered value is not dropped, and while orphans are dropped they are
//!   marked as going until the view without them is published. A batch that registers meanwhile is
//!   told that the value is not there, and brings its own.
//!
//! So a reference by hash always finds its value when it is applied; anything else is an error of
//! the index. Orphans left by a crash are taken up from their list when the store opens.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

#[derive(Debug, Default)]
struct RegistryState {
    /// Number of registrations, by row key of the value.
    in_flight: HashMap<Box<[u8]>, u64>,
    /// Values whose rows are being dropped and may still show in the newest view.
    dropping: HashSet<Box<[u8]>>,
}

/// The registry of a store.
#[derive(Debug, Default)]
pub(in crate::store) struct DedupRegistry {
    state: Mutex<RegistryState>,
}

/// The registrations of one batch. They end when it is dropped.
#[derive(Debug, Default)]
pub(in crate::store) struct Registrations {
    registry: Option<Arc<DedupRegistry>>,
    keys: Vec<Box<[u8]>>,
}

impl Registrations {
    /// Registers the value under this row key; `false` if it is being dropped and counts as absent.
    pub(in crate::store) fn add(&mut self, registry: &Arc<DedupRegistry>, key: &[u8]) -> bool {
        let mut state = registry.state.lock();
        if state.dropping.contains(key) {
            return false;
        }
        *state.in_flight.entry(key.into()).or_default() += 1;
        drop(state);
        self.registry.get_or_insert_with(|| Arc::clone(registry));
        self.keys.push(key.into());
        true
    }
}

impl Drop for Registrations {
    fn drop(&mut self) {
        let Some(registry) = &self.registry else { return };
        let mut state = registry.state.lock();
        for key in &self.keys {
            if let Some(count) = state.in_flight.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    state.in_flight.remove(key);
                }
            }
        }
    }
}

/// Values whose rows are being dropped. Keep it until no new view shows them.
#[derive(Debug)]
pub(in crate::store) struct Purge {
    registry: Arc<DedupRegistry>,
    keys: Vec<Box<[u8]>>,
}

impl Purge {
    /// The row keys of the values.
    pub(in crate::store) fn keys(&self) -> &[Box<[u8]>] {
        &self.keys
    }
}

impl Drop for Purge {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock();
        for key in &self.keys {
            state.dropping.remove(key);
        }
    }
}

impl DedupRegistry {
    /// The orphans that no batch has registered. None of them can be registered while the result is
    /// kept.
    pub(in crate::store) fn purge(self: &Arc<Self>, orphans: Vec<Box<[u8]>>) -> Purge {
        let mut state = self.state.lock();
        let keys: Vec<_> =
            orphans.into_iter().filter(|key| !state.in_flight.contains_key(key)).collect();
        state.dropping.extend(keys.iter().cloned());
        drop(state);
        Purge { registry: Arc::clone(self), keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_value_is_not_purged_and_a_purged_one_not_found() {
        let registry = Arc::<DedupRegistry>::default();
        let orphans = || vec![Box::<[u8]>::from(*b"a"), Box::from(*b"b")];
        let mut registrations = Registrations::default();
        assert!(registrations.add(&registry, b"a"));
        let purge = registry.purge(orphans());
        assert_eq!(purge.keys(), [Box::from(*b"b")]);
        assert!(!Registrations::default().add(&registry, b"b"));
        drop(purge);
        assert!(registrations.add(&registry, b"b"));
        drop(registrations);
        assert_eq!(registry.purge(orphans()).keys().len(), 2);
    }
}
