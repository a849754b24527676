//! One exchange: the request of a lease, and what its response means.
//!
//! The frontier learns the outcome as soon as the exchange has ended, so that the host is free
//! while the page is extracted and stored. From then on a fetched document is final for the
//! frontier, but it is in the store only with its batch: a crash in between fetches it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::state::RunState;
use crate::crawl::{
    Candidate, Completion, DocumentKind, Lease, LeaseKind, Outcome, OutcomeKind, RobotsAnswer,
    UrlRecord, Via,
};
use crate::engine::Error;
use crate::fetch::{Exchange, ExchangeRequest, FetchError};
use crate::model::Reason;
use crate::retry::{RetryPolicy, parse_retry_after};
use crate::store::Batch;
use crate::time::Timestamp;

/// Largest robots.txt that is read: RFC 9309, 2.5, asks for at least 500 KiB.
const MAX_ROBOTS_BYTES: u64 = 1 << 20;
/// Largest sitemap or feed that is read: sitemaps.org allows 50 MB.
const MAX_LISTING_BYTES: u64 = 50 << 20;

impl RunState {
    /// Runs the exchange of a lease from start to finish on this thread.
    pub(super) fn exchange(self: &Arc<Self>, lease: &Lease) {
        self.counters.requests.add(1);
        if lease.attempt() > 1 {
            self.counters.retries.add(1);
        }
        let done = catch_unwind(AssertUnwindSafe(|| match &lease.kind {
            LeaseKind::Robots { .. } => self.robots_exchange(lease),
            LeaseKind::Document(record) => self.document_exchange(lease, record),
        }));
        if let Err(error) = done.unwrap_or(Err(Error::Panicked { what: "an exchange" })) {
            self.fail(error);
        }
        self.exchange_ended();
    }

    fn document_exchange(self: &Arc<Self>, lease: &Lease, record: &UrlRecord) -> Result<(), Error> {
        let page = record.kind == DocumentKind::Page;
        let stored =
            if page && self.revalidating { self.parts.tables.page(record.key())? } else { None };
        let mut request = ExchangeRequest::new(lease.url.clone());
        if let Some(stored) = &stored {
            request.etag = stored.headers.get("etag").map(str::to_owned);
            request.last_modified = stored.headers.get("last-modified").map(str::to_owned);
        }
        let (fetcher, cap) = if page {
            (&self.parts.fetcher, None)
        } else {
            (&self.parts.listing_fetcher, Some(MAX_LISTING_BYTES))
        };
        request.max_body = cap;
        let answer = fetcher.exchange(&request, &self.token);
        let ended_at = self.parts.clock.monotonic();
        let latency = answer.as_ref().map_or(Duration::ZERO, |exchange| exchange.elapsed);
        let kind = outcome_of(&answer, self.parts.clock.wall());
        let (done, unchanged) = (kind == OutcomeKind::Done, kind == OutcomeKind::NotModified);
        if let (Ok(exchange), true) = (&answer, done) {
            // Counted before the host is free again: the next exchange sees what this one spent.
            self.counters.bytes.add(exchange.body.len() as u64);
        }
        let completion = self.complete(lease, Outcome { kind, latency, ended_at })?;
        match (answer, completion) {
            (Ok(exchange), Completion::Final(record)) if done && page => {
                self.store_page(&record, &exchange, stored.as_ref())
            }
            (Ok(exchange), Completion::Final(record)) if done => {
                self.store_listing(&record, &exchange)
            }
            (Ok(exchange), Completion::Final(record)) if unchanged => {
                self.store_unchanged(&record, &exchange, stored.as_ref())
            }
            (_, completion) => self.store_completion(completion),
        }
    }

    /// Reports the outcome to the frontier. A request that was cancelled by the end of the run goes
    /// back to the queue.
    fn complete(&self, lease: &Lease, outcome: Outcome) -> Result<Completion, Error> {
        let fetched = matches!(outcome.kind, OutcomeKind::Done | OutcomeKind::NotModified);
        let rows = self.frontier_store();
        let mut frontier = self.frontier.lock();
        if self.token.is_cancelled() && !fetched {
            frontier.release(lease.id, self.now());
            return Ok(Completion::Stale);
        }
        frontier.complete(&rows, lease.id, self.now(), outcome)
    }

    /// Stores the outcome of a request that brought no document.
    fn store_completion(&self, completion: Completion) -> Result<(), Error> {
        let mut batch = self.parts.tables.store.batch();
        let mut admissions = Vec::new();
        match completion {
            Completion::Stale => return Ok(()),
            Completion::Again(record) => self.put_pending(&mut batch, &record),
            Completion::Final(record) => {
                self.count_end(&record.reason);
                self.put_final(&mut batch, &record);
            }
            Completion::Redirected { record, admission, refusal } => {
                self.put_final(&mut batch, &record);
                if let Some(refusal) = refusal {
                    self.put_refusal(&mut batch, &refusal)?;
                }
                if let Some(admission) = admission {
                    self.keep_host(&mut batch, &admission.record);
                    self.put_admission(&mut batch, &admission);
                    admissions.push(*admission);
                }
            }
        }
        self.commits.submit(batch)?;
        self.publish(admissions);
        Ok(())
    }

    pub(super) fn count_end(&self, reason: &Reason) {
        match reason {
            Reason::Failed { .. }
            | Reason::Http { .. }
            | Reason::TooLarge { .. }
            | Reason::BlockedAddress { .. } => self.counters.failed.add(1),
            _ => self.counters.skipped.add(1),
        }
    }

    /// Remembers the host that a redirect of a source has added to the scope.
    fn keep_host(&self, batch: &mut Batch, record: &UrlRecord) {
        if !record.seed {
            return;
        }
        let host = record.host().as_str().to_owned();
        let mut row = self.row.lock();
        if !row.hosts.contains(&host) {
            row.hosts.push(host);
            self.put_row(batch, &row);
        }
    }

    fn robots_exchange(&self, lease: &Lease) -> Result<(), Error> {
        let mut request = ExchangeRequest::new(lease.url.clone());
        request.max_body = Some(MAX_ROBOTS_BYTES);
        let answer = match self.parts.listing_fetcher.exchange(&request, &self.token) {
            Ok(exchange) => match (exchange.status, exchange.redirect) {
                (_, Some(Ok(location))) => RobotsAnswer::Redirect(location),
                (200..=299, _) => RobotsAnswer::Body(exchange.body),
                (status, _) => RobotsAnswer::Status(status),
            },
            Err(error) => match error.to_reason() {
                // Nothing was sent. Without rules, each URL of the host is refused for the same reason.
                Reason::BlockedAddress { .. } => RobotsAnswer::Body(Vec::new()),
                Reason::Failed { cause } => RobotsAnswer::Unreachable { cause },
                other => RobotsAnswer::Unreachable { cause: other.to_string() },
            },
        };
        let ended_at = self.parts.clock.monotonic();
        let outcome = {
            let mut frontier = self.frontier.lock();
            if self.token.is_cancelled() {
                frontier.release(lease.id, self.now());
                return Ok(());
            }
            frontier.robots_answer(lease.id, self.now(), ended_at, answer)
        };
        if !self.parts.config.crawl.sitemaps || outcome.sitemaps.is_empty() {
            return Ok(());
        }
        let candidates = outcome.sitemaps.iter().map(|url| Candidate {
            kind: DocumentKind::Sitemap,
            via: Via::Sitemap,
            ..Candidate::seed(url)
        });
        let mut batch = self.parts.tables.store.batch();
        let admissions = self.admit(&mut batch, candidates)?;
        self.commits.submit(batch)?;
        self.publish(admissions);
        Ok(())
    }
}

/// What the response to a request for a document means, at `now`.
fn outcome_of(answer: &Result<Exchange, FetchError>, now: Timestamp) -> OutcomeKind {
    let exchange = match answer {
        Ok(exchange) => exchange,
        Err(error) if error.is_retryable() => {
            return OutcomeKind::Retry { reason: error.to_reason(), retry_after: None };
        }
        Err(error) => return OutcomeKind::Failed(error.to_reason()),
    };
    let status = exchange.status;
    let retry_after = || parse_retry_after(&exchange.headers, now);
    match (status, &exchange.redirect) {
        (_, Some(Ok(location))) => OutcomeKind::Redirect { status, location: location.clone() },
        (_, Some(Err(error))) => {
            OutcomeKind::Failed(Reason::Failed { cause: format!("a redirect to nowhere: {error}") })
        }
        (304, _) => OutcomeKind::NotModified,
        (200..=299, _) => match &exchange.skipped_media {
            Some(media_type) => {
                OutcomeKind::Failed(Reason::NotHtml { media_type: media_type.clone() })
            }
            None => OutcomeKind::Done,
        },
        (429 | 503, _) => OutcomeKind::Throttled { status, retry_after: retry_after() },
        (status, _) if RetryPolicy::page().retries_status(status) => {
            OutcomeKind::Retry { reason: Reason::Http { status }, retry_after: retry_after() }
        }
        _ => OutcomeKind::Failed(Reason::Http { status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Headers;
    use crate::url::parse;

    #[test]
    fn each_status_of_a_document_ends_it_or_has_it_asked_for_again() {
        for status in 100..=599 {
            let exchange = Exchange {
                url: parse("http://a.example/").unwrap(),
                status,
                headers: Headers::default(),
                body: Vec::new(),
                wire_bytes: 0,
                fetched_at: Timestamp(0),
                elapsed: Duration::ZERO,
                redirect: None,
                skipped_media: None,
            };
            let (reason, retry_after) = (Reason::Http { status }, None);
            let wanted = match status {
                200..=299 => OutcomeKind::Done,
                304 => OutcomeKind::NotModified,
                429 | 503 => OutcomeKind::Throttled { status, retry_after },
                408 | 500 | 502 | 504 | 522 | 524 => OutcomeKind::Retry { reason, retry_after },
                _ => OutcomeKind::Failed(reason),
            };
            assert_eq!(outcome_of(&Ok(exchange), Timestamp(0)), wanted, "{status}");
        }
    }
}
