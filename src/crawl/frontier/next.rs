//! Choosing the next request.

use std::time::Duration;

use super::host::{Offer, RobotsHop};
use super::{Frontier, HostId, Lease, LeaseKind, Next, Now, OpenLease, RobotsAnswer};
use crate::crawl::{DocumentKind, Robots, UrlRecord};
use crate::model::{BudgetKind, Reason};
use crate::url::{Host, Origin, Url};

/// How often to look for hosts that can be forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Frontier {
    /// What to do at `now`; see [`Next`].
    ///
    /// The loop terminates because each step takes a record, a request or a host off a list.
    pub fn next(&mut self, now: Now) -> Next {
        if !self.store.opened {
            return Next::Refill;
        }
        while let Some((at, id)) = self.due.first().copied() {
            if at > now.monotonic {
                break;
            }
            let next = self.step(id, now);
            self.list(id);
            if let Some(next) = next {
                return next;
            }
        }
        if !self.refills.is_empty() {
            return Next::Refill;
        }
        let due = self.next_due();
        if self.store.more_hosts {
            if self.ids.len() < self.options.max_hosts {
                return Next::Refill;
            }
            if self.store.next_sweep <= now.monotonic {
                self.store.next_sweep = now.monotonic + SWEEP_EVERY;
                if self.sweep(now.monotonic) {
                    return Next::Refill;
                }
            }
            return Next::NotBefore(
                due.map_or(self.store.next_sweep, |at| at.min(self.store.next_sweep)),
            );
        }
        due.map_or(Next::Empty, Next::NotBefore)
    }

    fn step(&mut self, id: HostId, now: Now) -> Option<Next> {
        let host = self.hosts.get_mut(id)?.as_mut()?;
        let given_up = host.schedule.given_up();
        let name = host.host.clone();
        match host.offer(now.monotonic, &mut self.book) {
            Offer::Nothing => None,
            Offer::Refill => {
                host.wants_refill = true;
                self.refills.push(id);
                None
            }
            Offer::Hop(hop) if given_up => {
                let RobotsHop { origin, attempt, .. } = hop;
                let cause = "its redirect leads to a host that was given up".to_owned();
                self.apply_robots(&origin, attempt, now, RobotsAnswer::Unreachable { cause });
                None
            }
            Offer::Hop(RobotsHop { origin, url, hop, attempt }) => {
                Some(self.lease_robots(id, name, origin, url, (hop, attempt), now))
            }
            Offer::Robots { origin, attempt } => match origin.robots_url() {
                Ok(url) => Some(self.lease_robots(id, name, origin, url, (0, attempt), now)),
                Err(error) => {
                    tracing::warn!(%origin, %error, "origin without a robots.txt URL");
                    let cause = error.to_string();
                    self.apply_robots(&origin, attempt, now, RobotsAnswer::Unreachable { cause });
                    None
                }
            },
            Offer::Record(record, rules) => {
                self.queued = self.queued.saturating_sub(1);
                Some(match self.objection(id, &record, rules.as_deref()) {
                    Some(reason) => Next::Refused(Box::new(self.refuse(record, reason, now))),
                    None => self.lease_document(id, name, record, now),
                })
            }
        }
    }

    /// Why a record may not be fetched after all.
    fn objection(&self, id: HostId, record: &UrlRecord, rules: Option<&Robots>) -> Option<Reason> {
        let host = self.host(id)?;
        if host.schedule.given_up() {
            let cause = format!("host {} failed too often and was given up", host.host);
            return Some(Reason::Failed { cause });
        }
        let most = self.options.max_pages_per_host;
        if record.kind == DocumentKind::Page && most.is_some_and(|most| host.fetched >= most) {
            return Some(Reason::Budget { kind: BudgetKind::HostPages });
        }
        let verdict = rules?.check(&record.url);
        let line = verdict.line.unwrap_or_default();
        (!verdict.allowed).then_some(Reason::Robots { line })
    }

    fn refuse(&mut self, mut record: UrlRecord, reason: Reason, now: Now) -> UrlRecord {
        record.reason = reason;
        record.updated_at = now.wall;
        self.settle(record.key());
        record
    }

    fn lease_document(&mut self, id: HostId, host: Host, record: UrlRecord, now: Now) -> Next {
        let url = record.url.clone();
        let record = Box::new(record);
        self.lease(id, host, url, LeaseKind::Document(record), now)
    }

    fn lease_robots(
        &mut self,
        id: HostId,
        host: Host,
        origin: Origin,
        url: Url,
        (hop, attempt): (u8, u32),
        now: Now,
    ) -> Next {
        self.lease(id, host, url, LeaseKind::Robots { origin, hop, attempt }, now)
    }

    fn lease(&mut self, id: HostId, host: Host, url: Url, kind: LeaseKind, now: Now) -> Next {
        if let Some(state) = self.host_mut(id) {
            state.open += 1;
            state.schedule.started(now.monotonic);
        }
        let lease = self.lease_id();
        self.open.insert(lease, OpenLease { host: id, kind: kind.clone() });
        Next::Ready(Lease { id: lease, kind, url, host })
    }
}
