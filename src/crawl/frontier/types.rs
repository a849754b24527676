//! The inputs and outputs of the frontier.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::crawl::{DocumentKind, UrlRecord, Via};
use crate::model::{Hop, Reason};
use crate::retry::RetryPolicy;
use crate::time::Timestamp;
use crate::url::{Host, Origin, Url, UrlKey};

/// Options of a [`Frontier`](super::Frontier).
#[derive(Clone, Debug)]
pub struct FrontierOptions {
    /// Least time between the end of an exchange with a host and the start of the next. Default 1
    /// s. Zero means no pacing, except after a host has refused.
    pub delay: Duration,
    /// Most leases of one host at once. Default 1.
    pub per_host: usize,
    /// Hosts held in memory. Default 100,000.
    pub max_hosts: usize,
    /// Records held in memory, over all hosts. Default 100,000.
    pub queue_capacity: usize,
    /// Keys of known URLs held in memory, 20 to 40 bytes each. Default 2,000,000.
    pub seen_capacity: usize,
    /// The name under which `robots.txt` knows this crawler. Default `gristmill`.
    pub product_token: String,
    /// Obey `robots.txt`. Default true.
    pub respect_robots: bool,
    /// How long a `robots.txt` is good for. Default, and most by RFC 9309: 24 h.
    pub robots_ttl: Duration,
    /// Bytes of rules held in memory, over all origins. Evicted rules are requested again before
    /// the next page of their origin. Default 16 MiB. Used by
    /// [`Frontier::new`](super::Frontier::new) only.
    pub robots_bytes: u64,
    /// Requests for one `robots.txt` before its origin is given up for `robots_ttl`. Default 3.
    pub robots_attempts: u32,
    /// Wait before the first retry of such a request; doubles each time. Default 5 s.
    pub robots_retry: Duration,
    /// Longest `Crawl-delay` that is honoured. Default 30 s.
    pub crawl_delay_cap: Duration,
    /// Requests for one URL before it is given up. Default 3; twice as many where the host
    /// refuses (429, 503).
    pub max_attempts: u32,
    /// Wait before the first retry of a URL; doubles each time, with jitter. Default 1 s.
    pub retry_delay: Duration,
    /// Most pages that this process fetches from one host; default `None`: no limit.
    pub max_pages_per_host: Option<u64>,
}

impl Default for FrontierOptions {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(1),
            per_host: 1,
            max_hosts: 100_000,
            queue_capacity: 100_000,
            seen_capacity: 2_000_000,
            product_token: "gristmill".to_owned(),
            respect_robots: true,
            robots_ttl: Duration::from_hours(24),
            robots_bytes: 16 << 20,
            robots_attempts: RetryPolicy::robots().max_attempts,
            robots_retry: RetryPolicy::robots().backoff.base,
            crawl_delay_cap: Duration::from_secs(30),
            max_attempts: RetryPolicy::page().max_attempts,
            retry_delay: RetryPolicy::page().backoff.base,
            max_pages_per_host: None,
        }
    }
}

/// A URL to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The URL, as it was found.
    pub url: &'a Url,
    /// The kind of document expected there.
    pub kind: DocumentKind,
    /// How it became known.
    pub via: Via,
    /// Links between a source and it.
    pub depth: u32,
    /// The page that links or lists it.
    pub parent: Option<UrlKey>,
    /// Relevance from 0 to 1: orders URLs of one depth.
    pub score: f32,
}

impl<'a> Candidate<'a> {
    /// A page that the user named.
    pub const fn seed(url: &'a Url) -> Self {
        Self { url, kind: DocumentKind::Page, via: Via::Seed, depth: 0, parent: None, score: 0.0 }
    }

    /// A page that `parent` links to, `depth` links away from a source.
    pub const fn link(url: &'a Url, parent: UrlKey, depth: u32) -> Self {
        let parent = Some(parent);
        Self { url, kind: DocumentKind::Page, via: Via::Link, depth, parent, score: 0.0 }
    }
}

/// An admitted URL: to be stored, put-if-absent, and then published.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an admission that is neither published nor withdrawn is never fetched"]
pub struct Admission {
    /// Its key.
    pub key: UrlKey,
    /// Its record, in state [`Reason::Pending`].
    pub record: UrlRecord,
}

/// A URL that was not admitted, for a reason worth recording where nothing is recorded yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Its key.
    pub key: UrlKey,
    /// The URL.
    pub url: Url,
    /// Out of scope, too deep, or a trap.
    pub reason: Reason,
}

/// The result of admitting candidates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admitted {
    /// Those that are new.
    pub admissions: Vec<Admission>,
    /// Refused candidates; each is reported once, as long as it is remembered.
    pub refusals: Vec<Refusal>,
    /// The number of candidates known already, including refused ones.
    pub known: u64,
}

/// Identifies a lease within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub(super) u64);

/// Permission to make one request now.
#[derive(Clone, Debug)]
#[must_use = "a lease that is neither completed nor released blocks its host"]
pub struct Lease {
    /// Identifies it when it is completed.
    pub id: LeaseId,
    /// What the request is for.
    pub kind: LeaseKind,
    /// The URL to request.
    pub url: Url,
    /// The host that it counts for.
    pub host: Host,
}

impl Lease {
    /// The number of this attempt, from 1.
    pub const fn attempt(&self) -> u32 {
        match &self.kind {
            LeaseKind::Document(record) => record.attempts + 1,
            LeaseKind::Robots { attempt, .. } => *attempt,
        }
    }

    /// Redirects that led here.
    pub fn hops(&self) -> &[Hop] {
        match &self.kind {
            LeaseKind::Document(record) => &record.hops,
            LeaseKind::Robots { .. } => &[],
        }
    }
}

/// What a request is for.
#[derive(Clone, Debug)]
pub enum LeaseKind {
    /// A page, sitemap or feed (see [`UrlRecord::kind`]); ends in
    /// [`Frontier::complete`](super::Frontier::complete).
    Document(Box<UrlRecord>),
    /// The `robots.txt` of an origin; ends in
    /// [`Frontier::robots_answer`](super::Frontier::robots_answer).
    Robots {
        /// The origin whose rules are requested.
        origin: Origin,
        /// Redirects followed so far, five at most.
        hop: u8,
        /// The number of this attempt, from 1.
        attempt: u32,
    },
}

/// What to do next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Make this request.
    Ready(Lease),
    /// Store this record, which is final, and delete its row from the queue.
    Refused(Box<UrlRecord>),
    /// Call [`Frontier::refill`](super::Frontier::refill), then call `next` again.
    Refill,
    /// Nothing may start before this monotonic time, unless a lease ends or a URL is published.
    NotBefore(Duration),
    /// Nothing can start unless a lease ends or a URL is published. If no lease is open and no
    /// admission is unpublished, the crawl is over.
    Empty,
}

/// The outcome of a leased request.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What happened.
    pub kind: OutcomeKind,
    /// How long the exchange took.
    pub latency: Duration,
    /// Monotonic time of its last byte.
    pub ended_at: Duration,
}

/// What happened to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum OutcomeKind {
    /// The document was fetched and stored.
    Done,
    /// It has not changed since it was stored.
    NotModified,
    /// The server redirects.
    Redirect {
        /// Its status.
        status: u16,
        /// Where, resolved and without fragment.
        location: Url,
    },
    /// A failure that may pass; `reason` becomes final when no attempt is left. With
    /// [`Reason::Http`] the host has answered.
    Retry {
        /// What happened.
        reason: Reason,
        /// The wait that the server asked for.
        retry_after: Option<Duration>,
    },
    /// 429 or 503: pause all requests to the host.
    Throttled {
        /// Its status.
        status: u16,
        /// The wait that the server asked for.
        retry_after: Option<Duration>,
    },
    /// A permanent failure: the reason is final.
    Failed(Reason),
}

/// What becomes of the record of a completed lease. The engine stores it.
#[derive(Clone, Debug, PartialEq)]
pub enum Completion {
    /// The record is final: store it, and delete its row from the queue.
    Final(Box<UrlRecord>),
    /// The record stays pending under the same queue key: store it. It will be requested again,
    /// after the time in its reason if that has one.
    Again(Box<UrlRecord>),
    /// The record is final as a redirect; its target was admitted, refused, or known before
    /// (then both are `None`).
    Redirected {
        /// The record that redirected.
        record: Box<UrlRecord>,
        /// Its target, to be stored in the same batch and then published.
        admission: Option<Box<Admission>>,
        /// Its target, if that may not be fetched.
        refusal: Option<Box<Refusal>>,
    },
    /// No such lease is open: store nothing.
    Stale,
}

/// The answer to a request for `robots.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RobotsAnswer {
    /// A file (2xx).
    Body(Vec<u8>),
    /// Any other status, except redirects.
    Status(u16),
    /// A redirect.
    Redirect(Url),
    /// No response, or none within the limits.
    Unreachable {
        /// What happened.
        cause: String,
    },
}

/// The result of a `robots.txt`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RobotsOutcome {
    /// The sitemaps that the file names; they are not admitted yet.
    pub sitemaps: Vec<Url>,
}

/// Figures of a frontier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrontierStats {
    /// Published or found in the store, and not final: queued, waiting or leased.
    pub pending: u64,
    /// Records held in memory.
    pub queued: u64,
    /// Leases open.
    pub in_flight: u64,
    /// Hosts held in memory.
    pub hosts: u64,
    /// Admitted by this process.
    pub admitted: u64,
    /// Final by this process.
    pub finished: u64,
    /// Candidates refused by this process.
    pub refused: u64,
    /// Keys of known URLs held in memory.
    pub seen: u64,
    /// Whether these are all known URLs, so that a miss needs no read of the store.
    pub seen_complete: bool,
}

/// The state of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// The earliest time of the next request.
    pub next_at: Timestamp,
    /// The delay in force.
    pub delay: Duration,
    /// Leases open.
    pub in_flight: usize,
    /// Records of it held in memory.
    pub queued: usize,
    /// Whether requests pause until `next_at`, because the host refused or failed.
    pub paused: bool,
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {}", self.0)
    }
}
