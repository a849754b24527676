//! Completing a lease: what becomes of its record.
//!
//! A redirect ends the record as `duplicate_of` its target, and admits the target with the history
//! of hops. So each hop is checked against scope, `robots.txt` and the schedule of its own host. If
//! source and target have the same key, the record continues under the other spelling. A redirect
//! of a source adds the target's host to the scope.
//!
//! A retry goes back into the queue with a not-before time: a doubling wait with jitter, or the
//! wait that the server asks for. No thread waits.

use std::time::Duration;

use super::admit::{Decision, Entry};
use super::{
    Candidate, Completion, Frontier, FrontierStore, LeaseId, LeaseKind, Now, OpenLease, Outcome,
    OutcomeKind,
};
use crate::crawl::schedule::Health;
use crate::crawl::{DocumentKind, UrlRecord, Via};
use crate::model::{Hop, Reason};
use crate::retry::{Backoff, Retry, RetryPolicy};
use crate::url::{Url, UrlKey};

/// Redirects that are followed for one document.
const MAX_HOPS: usize = 10;

impl Frontier {
    /// Ends the lease of a document, and returns what becomes of its record. An error of the store
    /// leaves the lease open, so the call can be repeated.
    pub fn complete<S: FrontierStore + ?Sized>(
        &mut self,
        store: &S,
        id: LeaseId,
        now: Now,
        outcome: Outcome,
    ) -> Result<Completion, S::Error> {
        let Some(OpenLease { host, kind: LeaseKind::Document(record) }) = self.open.get(&id) else {
            return Ok(Completion::Stale);
        };
        let (host, mut record) = (*host, record.clone());
        record.updated_at = now.wall;
        let health = health(&outcome.kind);
        let fetched = matches!(outcome.kind, OutcomeKind::Done | OutcomeKind::NotModified);
        let counts = fetched && record.kind == DocumentKind::Page;
        let completion = match outcome.kind {
            OutcomeKind::Done | OutcomeKind::NotModified => finish(record, Reason::Done),
            OutcomeKind::Failed(reason) => finish(record, reason),
            OutcomeKind::Retry { reason, retry_after } => {
                retry(record, reason, retry_after, self.retry_policy(), now)
            }
            OutcomeKind::Throttled { status, retry_after } => {
                let mut policy = self.retry_policy();
                policy.max_attempts = policy.max_attempts.saturating_mul(2);
                retry(record, Reason::Http { status }, retry_after, policy, now)
            }
            OutcomeKind::Redirect { status, location } => {
                self.redirect(store, record, status, location, now)?
            }
        };
        self.open.remove(&id);
        self.end_exchange(host, outcome.ended_at.min(now.monotonic), outcome.latency, health);
        match &completion {
            Completion::Again(record) => {
                let not_before = match &record.reason {
                    Reason::WaitingUntil { at, .. } => {
                        Some(now.monotonic + at.saturating_since(now.wall))
                    }
                    _ => None,
                };
                self.enqueue(host, (**record).clone(), not_before);
            }
            Completion::Final(record) | Completion::Redirected { record, .. } => {
                self.settle(record.key());
                if let Some(host) = self.host_mut(host).filter(|_| counts) {
                    host.fetched += 1;
                }
            }
            Completion::Stale => {}
        }
        self.list(host);
        Ok(completion)
    }

    /// Ends a lease of any kind whose request was not made, or was cancelled by the crawler. No
    /// attempt is counted, and the URL goes back to its queue. The gap counts from `now`, since the
    /// request may have been sent.
    pub fn release(&mut self, id: LeaseId, now: Now) {
        let Some(OpenLease { host, kind }) = self.open.remove(&id) else { return };
        self.end_exchange(host, now.monotonic, Duration::ZERO, Health::Unknown);
        match kind {
            LeaseKind::Document(record) => self.enqueue(host, *record, None),
            LeaseKind::Robots { origin, attempt, .. } => self.want_robots(&origin, attempt, now),
        }
        self.list(host);
    }

    fn retry_policy(&self) -> RetryPolicy {
        let policy = RetryPolicy::page();
        RetryPolicy {
            max_attempts: self.options.max_attempts,
            backoff: Backoff { base: self.options.retry_delay, ..policy.backoff },
            ..policy
        }
    }

    fn redirect<S: FrontierStore + ?Sized>(
        &mut self,
        store: &S,
        mut record: Box<UrlRecord>,
        status: u16,
        location: Url,
        now: Now,
    ) -> Result<Completion, S::Error> {
        let failed = |record, cause: String| Ok(finish(record, Reason::Failed { cause }));
        let loops = location == record.url || record.hops.iter().any(|hop| hop.url == location);
        if loops {
            return failed(record, format!("redirect loop at {location}"));
        }
        if record.hops.len() >= MAX_HOPS {
            return failed(record, format!("more than {MAX_HOPS} redirects"));
        }
        let hop = Hop { url: record.url.clone(), status, location: location.clone(), at: now.wall };
        let (from, key) = (record.key(), UrlKey::from_url(&location));
        if key == from {
            // The same document under another spelling: the record continues with that.
            record.hops.push(hop);
            record.url = location;
            record.reason = Reason::Pending;
            return Ok(Completion::Again(record));
        }
        if record.seed {
            self.follow_seed(&location);
        }
        let mut hops = record.hops.clone();
        hops.push(hop.clone());
        let (kind, depth, parent) = (record.kind, record.depth, Some(from));
        let candidate =
            Candidate { url: &location, kind, via: Via::Redirect, depth, parent, score: 0.0 };
        let entry = Entry { candidate, seed: record.seed, hops, rank: record.rank };
        let decision = self.decide(store, now, key, entry)?;
        record.hops.push(hop);
        let (reason, admission, refusal) = match decision {
            Decision::New(admission) => {
                (Reason::DuplicateOf { url: location }, Some(admission), None)
            }
            Decision::Known => (Reason::DuplicateOf { url: location }, None, None),
            Decision::Refused(refusal) => {
                let report = self.refused.insert(key);
                self.counts.refused += u64::from(report);
                (refusal.reason.clone(), None, report.then_some(refusal))
            }
        };
        record.reason = reason;
        Ok(Completion::Redirected { record, admission, refusal })
    }
}

fn finish(mut record: Box<UrlRecord>, reason: Reason) -> Completion {
    record.reason = reason;
    Completion::Final(record)
}

/// Puts the record off, or ends it with `reason`.
fn retry(
    mut record: Box<UrlRecord>,
    reason: Reason,
    retry_after: Option<Duration>,
    policy: RetryPolicy,
    now: Now,
) -> Completion {
    record.attempts = record.attempts.saturating_add(1);
    let (attempts, key) = (record.attempts, record.key());
    match policy.next(attempts, retry_after, Duration::MAX, || jitter(key, attempts)) {
        Retry::GiveUp(_) => finish(record, reason),
        Retry::After(wait) => {
            let at = now.wall.saturating_add(wait);
            record.reason = Reason::WaitingUntil { at, cause: reason.to_string() };
            Completion::Again(record)
        }
    }
}

fn health(kind: &OutcomeKind) -> Health {
    match kind {
        OutcomeKind::Throttled { retry_after, .. } => Health::Refusing(*retry_after),
        OutcomeKind::Retry { reason: Reason::Http { .. }, .. } => Health::Error,
        OutcomeKind::Retry { .. } => Health::Unreachable,
        // Nothing was sent.
        OutcomeKind::Failed(Reason::BlockedAddress { .. }) => Health::Unknown,
        _ => Health::Good,
    }
}

/// Derived from URL and attempt, so that URLs that failed together are not retried together, and a
/// replayed crawl has the same waits.
fn jitter(key: UrlKey, attempts: u32) -> f64 {
    const STEPS: u32 = 1024;
    let add = |sum: u32, byte: &u8| sum.wrapping_mul(31).wrapping_add(u32::from(*byte));
    f64::from(key.0.iter().fold(attempts, add) % STEPS) / f64::from(STEPS)
}
