//! The trait of the frontier's persistence, and an implementation in memory.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use super::record::{UrlRecord, queue_host, queue_key, queue_prefix};
use crate::model::Reason;
use crate::url::{Host, UrlKey};

/// The frontier's read access to the store. It never writes: admissions and final states are part
/// of the engine's batches.
///
/// A *pending* row is a record in state [`Reason::Pending`] or [`Reason::WaitingUntil`], stored
/// under [`queue_key`].
pub trait FrontierStore {
    /// Error of a read.
    type Error;

    /// How many pending rows there are, or `None` if no URL at all is known.
    fn pending_count(&self) -> Result<Option<u64>, Self::Error>;

    /// Whether the URL was admitted before, done or not. URLs that were only refused do not count,
    /// because a shorter path may still lead to them.
    fn contains(&self, key: &UrlKey) -> Result<bool, Self::Error>;

    /// At most `limit` hosts with pending rows, in order, starting after `after`.
    fn hosts(&self, after: Option<&Host>, limit: usize) -> Result<Vec<Host>, Self::Error>;

    /// At most `limit` pending rows of `host` in the order of their queue keys, from the key `from`
    /// on, inclusive.
    fn pending(
        &self,
        host: &Host,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<UrlRecord>, Self::Error>;
}

/// A store in memory, for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryFrontierStore {
    records: HashMap<UrlKey, UrlRecord>,
    queue: BTreeMap<Vec<u8>, UrlKey>,
}

impl MemoryFrontierStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a record; its row in the queue stays while it is pending.
    pub fn put(&mut self, record: &UrlRecord) {
        let key = record.key();
        let pending = matches!(record.reason, Reason::Pending | Reason::WaitingUntil { .. });
        if pending {
            self.queue.insert(queue_key(record), key);
        } else {
            self.queue.remove(&queue_key(record));
        }
        self.records.insert(key, record.clone());
    }

    /// The record of a URL.
    pub fn get(&self, key: &UrlKey) -> Option<&UrlRecord> {
        self.records.get(key)
    }

    /// All records.
    pub fn records(&self) -> impl Iterator<Item = &UrlRecord> {
        self.records.values()
    }
}

impl FrontierStore for MemoryFrontierStore {
    type Error = Infallible;

    fn pending_count(&self) -> Result<Option<u64>, Infallible> {
        Ok((!self.records.is_empty()).then_some(self.queue.len() as u64))
    }

    fn contains(&self, key: &UrlKey) -> Result<bool, Infallible> {
        Ok(self.records.contains_key(key))
    }

    fn hosts(&self, after: Option<&Host>, limit: usize) -> Result<Vec<Host>, Infallible> {
        let mut from = after.map_or_else(Vec::new, |host| {
            let mut behind = queue_prefix(host);
            behind.pop();
            behind.push(1);
            behind
        });
        let mut hosts = Vec::new();
        while hosts.len() < limit {
            let Some((key, _)) = self.queue.range(from..).next() else { break };
            let Some(host) = queue_host(key) else { break };
            from = queue_prefix(&host);
            from.pop();
            from.push(1);
            hosts.push(host);
        }
        Ok(hosts)
    }

    fn pending(
        &self,
        host: &Host,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<UrlRecord>, Infallible> {
        let prefix = queue_prefix(host);
        let rows = self.queue.range(from.to_vec()..);
        Ok(rows
            .take_while(|(key, _)| key.starts_with(&prefix))
            .filter_map(|(_, key)| self.records.get(key).cloned())
            .take(limit)
            .collect())
    }
}
