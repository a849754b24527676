//! The client's counters.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counters since the client was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HttpStats {
    /// Exchanges started.
    pub exchanges: u64,
    /// Exchanges that failed.
    pub failures: u64,
    /// Body bytes received, before content decoding.
    pub bytes: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Exchanges over a connection that an earlier one had opened.
    pub connections_reused: u64,
    /// Connections open now, idle ones included.
    pub connections_open: u64,
    /// Idle connections kept now.
    pub connections_idle: u64,
    /// Names resolved from the cache.
    pub dns_hits: u64,
    /// Names resolved by the resolver.
    pub dns_misses: u64,
}

/// The counters themselves. They order nothing, so every access is relaxed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) exchanges: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) dns_hits: AtomicU64,
    pub(super) dns_misses: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, open: usize, idle: usize) -> HttpStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HttpStats {
            exchanges: read(&self.exchanges),
            failures: read(&self.failures),
            bytes: read(&self.bytes),
            connections_opened: read(&self.opened),
            connections_reused: read(&self.reused),
            connections_open: open as u64,
            connections_idle: idle as u64,
            dns_hits: read(&self.dns_hits),
            dns_misses: read(&self.dns_misses),
        }
    }
}
