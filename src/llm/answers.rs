//! What a client reads from the two tiers of its response cache, and what it writes to them.

use std::sync::Arc;
use std::time::Duration;

use super::cache;
use super::client::Inner;
use super::request::{CacheTier, Completion, FinishReason};

/// An answer of the durable tier.
pub(super) struct StoredAnswer {
    pub(super) answer: Completion,
    pub(super) bytes: usize,
    /// How much longer it is used; `None`: with no limit.
    pub(super) ttl: Option<Duration>,
}

impl Inner {
    /// The answer in the memory tier.
    pub(super) fn remembered(&self, key: &[u8; 32]) -> Option<Completion> {
        let answer = self.memory.get(key)?;
        self.stats.count(|stats| stats.memory_hits += 1);
        Some(as_cached(&answer, CacheTier::Memory))
    }

    /// The answer in the durable tier, unless it has expired. Where answers expire, one without a
    /// time has. One that cannot be read counts as absent, and as a failure.
    pub(super) fn stored(&self, key: &[u8; 32]) -> Option<StoredAnswer> {
        let failed = |error: &dyn std::error::Error| {
            tracing::warn!(%error, "cannot read the durable response cache");
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
            return Some(StoredAnswer { answer, bytes, ttl: None });
        }
        let age = self.clock().wall().saturating_since(at?);
        let left = self.settings.cache_ttl.saturating_sub(age);
        (!left.is_zero()).then_some(StoredAnswer { answer, bytes, ttl: Some(left) })
    }

    /// Stores an accepted answer in both tiers, unless the reason why the model stopped leaves doubt
    /// that it is complete.
    pub(super) fn keep(&self, key: &[u8; 32], answer: &Arc<Completion>) {
        if !matches!(answer.finish_reason, FinishReason::Stop | FinishReason::Missing) {
            return;
        }
        let bytes = match cache::encode(answer, self.clock().wall()) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, "cannot encode an answer for the response cache");
                self.stats.count(|stats| stats.cache_failures += 1);
                return;
            }
        };
        self.memory.put(*key, Arc::clone(answer), bytes.len(), None);
        if let Some(Err(error)) = self.settings.cache.as_ref().map(|cache| cache.put(key, &bytes)) {
            tracing::warn!(%error, "cannot write to the durable response cache");
            self.stats.count(|stats| stats.cache_failures += 1);
        }
    }
}

/// An answer as a call gets it that made no request of its own.
pub(super) fn as_cached(answer: &Completion, tier: CacheTier) -> Completion {
    Completion { cache: tier, requests: 0, ..answer.clone() }
}
