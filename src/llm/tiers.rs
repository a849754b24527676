//! What a client reads from the two tiers of its response cache, and what it stores there.

use std::sync::Arc;
use std::time::Duration;

use super::cache;
use super::client::Inner;
use super::request::{CacheTier, Completion, FinishReason};

/// An answer of the durable tier.
pub(super) struct Stored {
    pub(super) answer: Completion,
    pub(super) bytes: usize,
    /// How long it is still good; `None`: for ever.
    pub(super) ttl: Option<Duration>,
}

impl Inner {
    /// The answer in the memory tier.
    pub(super) fn remembered(&self, key: &[u8; 32]) -> Option<Completion> {
        let answer = self.memory.get(key)?;
        self.stats.count(|stats| stats.memory_hits += 1);
        Some(from_cache(&answer, CacheTier::Memory))
    }

    /// The answer in the durable tier, if it is not too old; one whose time is not known is, where
    /// age counts. What cannot be read counts as absent, and as a failure.
    pub(super) fn stored(&self, key: &[u8; 32]) -> Option<Stored> {
        let failed = |error: &dyn std::error::Error| {
            tracing::warn!(%error, "the durable response cache cannot be read");
            self.stats.count(|stats| stats.cache_failures += 1);
        };
        let bytes = match self.settings.cache.as_ref()?.get(key) {
            Ok(bytes) => bytes?,
            Err(error) => {
                failed(&error);
                return None;
            }
        };
        let (answer, at) = match cache::decode(&bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                failed(&error);
                return None;
            }
        };
        let bytes = bytes.len();
        if self.settings.cache_ttl.is_zero() {
            return Some(Stored { answer, bytes, ttl: None });
        }
        let age = self.clock().wall().saturating_since(at?);
        let left = self.settings.cache_ttl.saturating_sub(age);
        (!left.is_zero()).then_some(Stored { answer, bytes, ttl: Some(left) })
    }

    /// Stores a good answer in both tiers. One that ended for a doubtful reason is not stored.
    pub(super) fn remember(&self, key: &[u8; 32], answer: &Arc<Completion>) {
        if !matches!(answer.finish_reason, FinishReason::Stop | FinishReason::Missing) {
            return;
        }
        let bytes = match cache::encode(answer, self.clock().wall()) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, "an answer cannot be cached");
                self.stats.count(|stats| stats.cache_failures += 1);
                return;
            }
        };
        self.memory.put(*key, Arc::clone(answer), bytes.len(), None);
        if let Some(Err(error)) = self.settings.cache.as_ref().map(|cache| cache.put(key, &bytes)) {
            tracing::warn!(%error, "the durable response cache cannot be written");
            self.stats.count(|stats| stats.cache_failures += 1);
        }
    }
}

/// An answer as those get it who did not pay for it.
pub(super) fn from_cache(answer: &Completion, tier: CacheTier) -> Completion {
    Completion { cache: tier, requests: 0, ..answer.clone() }
}
