//! Shared values that batches on their way refer to.
//!
//! A batch that finds its value stored already names it by hash alone. Between the look-up and the
//! moment the batch is applied the last other reference may go. So a look-up is registered first,
//! and a value that is registered is not dropped; a value that is being dropped is not found.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

#[derive(Debug, Default)]
struct State {
    /// Registrations by row key of the shared value.
    in_flight: HashMap<Box<[u8]>, u64>,
    /// Values whose rows are being dropped and may still show in the newest view.
    going: HashSet<Box<[u8]>>,
}

/// The registry.
#[derive(Debug, Default)]
pub(super) struct Shares {
    state: Mutex<State>,
}

/// The registrations of one batch. They end when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Leases {
    shares: Option<Arc<Shares>>,
    keys: Vec<Box<[u8]>>,
}

impl Leases {
    /// Registers the shared value under this row key; `false` if it is being dropped and must be
    /// taken as absent.
    pub(super) fn add(&mut self, shares: &Arc<Shares>, key: &[u8]) -> bool {
        let mut state = shares.state.lock();
        if state.going.contains(key) {
            return false;
        }
        *state.in_flight.entry(key.into()).or_default() += 1;
        drop(state);
        self.shares.get_or_insert_with(|| Arc::clone(shares));
        self.keys.push(key.into());
        true
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        let Some(shares) = &self.shares else { return };
        let mut state = shares.state.lock();
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

/// Values whose rows are being dropped; to be kept until no new view shows them.
#[derive(Debug)]
pub(super) struct Purge {
    shares: Arc<Shares>,
    keys: Vec<Box<[u8]>>,
}

impl Purge {
    /// The row keys of the values.
    pub(super) fn keys(&self) -> &[Box<[u8]>] {
        &self.keys
    }
}

impl Drop for Purge {
    fn drop(&mut self) {
        let mut state = self.shares.state.lock();
        for key in &self.keys {
            state.going.remove(key);
        }
    }
}

impl Shares {
    /// Those of the orphans that nobody has registered; none of them can be registered while the
    /// answer is kept.
    pub(super) fn purge(self: &Arc<Self>, orphans: Vec<Box<[u8]>>) -> Purge {
        let mut state = self.state.lock();
        let keys: Vec<_> =
            orphans.into_iter().filter(|key| !state.in_flight.contains_key(key)).collect();
        state.going.extend(keys.iter().cloned());
        drop(state);
        Purge { shares: Arc::clone(self), keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_value_is_not_purged_and_a_purged_one_not_found() {
        let shares = Arc::<Shares>::default();
        let orphans = || vec![Box::<[u8]>::from(*b"a"), Box::from(*b"b")];
        let mut leases = Leases::default();
        assert!(leases.add(&shares, b"a"));
        let purge = shares.purge(orphans());
        assert_eq!(purge.keys(), [Box::from(*b"b")]);
        assert!(!Leases::default().add(&shares, b"b"));
        drop(purge);
        assert!(leases.add(&shares, b"b"));
        drop(leases);
        assert_eq!(shares.purge(orphans()).keys().len(), 2);
    }
}
