//! The two tiers of the response cache.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;

use parking_lot::Mutex;

use super::request::Completion;

/// A durable tier refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("the response cache cannot {operation}")]
pub struct CacheFailure {
    /// `read` or `write`.
    pub operation: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// The durable tier: bytes under the key of the exact request.
pub trait ResponseCache: Send + Sync {
    /// The bytes stored under `key`, if any.
    fn get(&self, key: &[u8; 32]) -> Result<Option<Vec<u8>>, CacheFailure>;

    /// Stores `value` under `key`.
    fn put(&self, key: &[u8; 32], value: &[u8]) -> Result<(), CacheFailure>;
}

/// What an entry costs beside its texts, in bytes: key, map nodes, the structure itself.
const ENTRY_OVERHEAD: usize = 512;

/// The memory tier: least recently used goes first, bounded in bytes.
#[derive(Debug)]
pub(super) struct MemoryTier {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<[u8; 32], Entry>,
    by_age: BTreeMap<u64, [u8; 32]>,
    tick: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    answer: Arc<Completion>,
    bytes: usize,
    used: u64,
}

impl MemoryTier {
    /// A tier that holds about `capacity` bytes; 0 holds nothing.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    pub(super) fn get(&self, key: &[u8; 32]) -> Option<Arc<Completion>> {
        let mut guard = self.entries.lock();
        let entries = &mut *guard;
        let entry = entries.by_key.get_mut(key)?;
        entries.tick += 1;
        entries.by_age.remove(&entry.used);
        entries.by_age.insert(entries.tick, *key);
        entry.used = entries.tick;
        Some(Arc::clone(&entry.answer))
    }

    /// Holds `answer`, whose encoded form has `bytes` bytes.
    pub(super) fn put(&self, key: [u8; 32], answer: Arc<Completion>, bytes: usize) {
        let bytes = bytes.saturating_add(ENTRY_OVERHEAD);
        if bytes > self.capacity {
            return;
        }
        let mut guard = self.entries.lock();
        let entries = &mut *guard;
        entries.tick += 1;
        let used = entries.tick;
        if let Some(old) = entries.by_key.insert(key, Entry { answer, bytes, used }) {
            entries.by_age.remove(&old.used);
            entries.bytes -= old.bytes;
        }
        entries.by_age.insert(used, key);
        entries.bytes += bytes;
        while entries.bytes > self.capacity {
            let Some((_, oldest)) = entries.by_age.pop_first() else { break };
            if let Some(entry) = entries.by_key.remove(&oldest) {
                entries.bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{CacheTier, FinishReason, Usage};

    fn answer(text: &str) -> Arc<Completion> {
        Arc::new(Completion {
            text: text.into(),
            value: None,
            model: String::new(),
            request_id: None,
            usage: Usage::default(),
            cache: CacheTier::Miss,
            finish_reason: FinishReason::Stop,
            requests: 1,
            repaired: false,
        })
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let tier = MemoryTier::new(2 * (ENTRY_OVERHEAD + 10));
        tier.put([1; 32], answer("one"), 10);
        tier.put([2; 32], answer("two"), 10);
        assert!(tier.get(&[1; 32]).is_some());
        tier.put([3; 32], answer("three"), 10);
        assert!(tier.get(&[2; 32]).is_none());
        assert!(tier.get(&[1; 32]).is_some() && tier.get(&[3; 32]).is_some());
        tier.put([4; 32], answer("too large"), 10 * ENTRY_OVERHEAD);
        assert!(tier.get(&[4; 32]).is_none() && tier.get(&[3; 32]).is_some());
        assert!(tier.entries.lock().bytes <= tier.capacity);
    }
}
