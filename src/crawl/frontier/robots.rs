//! The meaning of a response to a request for `robots.txt` (RFC 9309, section 2.3.1).

use std::time::Duration;

use super::host::{RobotsHop, Rules};
use super::{Frontier, LeaseId, LeaseKind, Now, OpenLease, RobotsAnswer, RobotsOutcome};
use crate::crawl::robots::Robots;
use crate::crawl::schedule::Health;
use crate::retry::{Backoff, RetryPolicy};
use crate::url::{Host, Origin, Url, join};

/// Redirects that are followed for one `robots.txt`.
const MAX_ROBOTS_HOPS: u8 = 5;

/// Why a redirect of `robots.txt` to a host beyond the limit is not followed.
const TOO_MANY_HOSTS: &str = "its redirect leads to one host more than are kept in memory";

/// Most sitemaps of one file that are returned.
const MAX_SITEMAPS: usize = 1000;

impl Frontier {
    /// Ends the lease of a `robots.txt`; `ended_at` is the monotonic time of its last byte.
    ///
    /// - A file: its rules are valid for `robots_ttl`; its `Crawl-delay` is honoured up to the cap.
    /// - 4xx, or more than five redirects: no rules.
    /// - 5xx, 429, or no response: nothing may be fetched for now. After `robots_attempts` the last
    ///   known rules stay valid; without any, the origin's URLs are refused.
    pub fn robots_answer(
        &mut self,
        id: LeaseId,
        now: Now,
        ended_at: Duration,
        answer: RobotsAnswer,
    ) -> RobotsOutcome {
        let Some(OpenLease { kind: LeaseKind::Robots { .. }, .. }) = self.open.get(&id) else {
            return RobotsOutcome::default();
        };
        let Some(OpenLease { host, kind: LeaseKind::Robots { origin, hop, attempt } }) =
            self.open.remove(&id)
        else {
            return RobotsOutcome::default();
        };
        let health = match &answer {
            RobotsAnswer::Status(429 | 503) => Health::Refusing(None),
            RobotsAnswer::Status(status) if *status >= 500 => Health::Error,
            RobotsAnswer::Unreachable { .. } => Health::Unreachable,
            _ => Health::Good,
        };
        // No latency: how long this file takes says nothing about pages.
        self.end_exchange(host, ended_at.min(now.monotonic), Duration::ZERO, health);
        let outcome = match answer {
            RobotsAnswer::Redirect(url) if hop < MAX_ROBOTS_HOPS => {
                self.follow_robots(origin, url, hop + 1, attempt, now);
                RobotsOutcome::default()
            }
            answer => self.apply_robots(&origin, attempt, now, answer),
        };
        self.list(host);
        outcome
    }

    /// Queues the next hop, a request to its host like any other.
    fn follow_robots(&mut self, origin: Origin, url: Url, hop: u8, attempt: u32, now: Now) {
        match self.host_id(&Host::of(&url)) {
            Some(id) => {
                if let Some(host) = self.host_mut(id) {
                    host.hops.push_back(RobotsHop { origin, url, hop, attempt });
                }
                self.list(id);
            }
            None => {
                self.apply_robots(
                    &origin,
                    attempt,
                    now,
                    RobotsAnswer::Unreachable { cause: TOO_MANY_HOSTS.to_owned() },
                );
            }
        }
    }

    /// Sets the rules of an origin by an answer.
    pub(super) fn apply_robots(
        &mut self,
        origin: &Origin,
        attempt: u32,
        now: Now,
        answer: RobotsAnswer,
    ) -> RobotsOutcome {
        let policy = self.robots_policy();
        let failed = match answer {
            RobotsAnswer::Body(body) => {
                let mut robots = Robots::parse(&body, &self.options.product_token);
                let sitemaps = sitemaps(&robots, origin);
                robots.drop_sitemaps();
                self.know_robots(origin, robots, now);
                return RobotsOutcome { sitemaps };
            }
            RobotsAnswer::Status(status) if !policy.retries_status(status) => {
                self.know_robots(origin, Robots::allow_all(), now);
                return RobotsOutcome::default();
            }
            RobotsAnswer::Redirect(_) => {
                self.know_robots(origin, Robots::allow_all(), now);
                return RobotsOutcome::default();
            }
            RobotsAnswer::Status(status) => format!("robots.txt answered {status}"),
            RobotsAnswer::Unreachable { cause } => {
                format!("robots.txt could not be fetched: {cause}")
            }
        };
        if attempt < policy.max_attempts {
            self.want_robots(origin, attempt + 1, now);
        } else {
            let last = self.book.last(origin).map(|robots| (*robots).clone());
            self.know_robots(origin, last.unwrap_or(Robots::disallow_all(failed)), now);
        }
        RobotsOutcome::default()
    }

    /// Queues another request for the rules; `attempt` is its number, and the first does not wait.
    pub(super) fn want_robots(&mut self, origin: &Origin, attempt: u32, now: Now) {
        let attempts = attempt.saturating_sub(1);
        let wait = match attempts {
            0 => Duration::ZERO,
            n => self.robots_policy().backoff.bound(n - 1),
        };
        let not_before = now.monotonic + wait;
        self.set_rules(origin, Rules::Wanted { not_before, attempts });
    }

    fn robots_policy(&self) -> RetryPolicy {
        /// Times that the wait doubles.
        const DOUBLINGS: u32 = 10;
        let (policy, base) = (RetryPolicy::robots(), self.options.robots_retry);
        let cap = base.saturating_mul(1 << DOUBLINGS);
        let backoff = Backoff { base, cap, ..policy.backoff };
        RetryPolicy { max_attempts: self.options.robots_attempts, backoff, ..policy }
    }

    fn know_robots(&mut self, origin: &Origin, robots: Robots, now: Now) {
        let delay = robots.crawl_delay().map(|delay| delay.min(self.options.crawl_delay_cap));
        let until = now.monotonic + self.options.robots_ttl;
        if let (Some(delay), Some(id)) = (delay, self.ids.get(origin.host()).copied())
            && let Some(host) = self.host_mut(id)
        {
            host.schedule.raise_floor(delay);
        }
        self.book.know(origin, robots);
        self.set_rules(origin, Rules::Known { until });
    }

    fn set_rules(&mut self, origin: &Origin, rules: Rules) {
        let Some(id) = self.ids.get(origin.host()).copied() else { return };
        if let Some(host) = self.host_mut(id)
            && let Some(known) = host.origins.iter_mut().find(|known| known.origin == *origin)
        {
            known.rules = rules;
        }
        self.list(id);
    }
}

fn sitemaps(robots: &Robots, origin: &Origin) -> Vec<Url> {
    let Ok(base) = origin.robots_url() else { return Vec::new() };
    let named = robots.sitemaps().iter().take(MAX_SITEMAPS);
    named.filter_map(|text| join(&base, text).ok()).collect()
}
