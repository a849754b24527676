//! One host: its queues, its robots rules and its schedule.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::crawl::UrlRecord;
use crate::crawl::record::Order;
use crate::crawl::robots::Robots;
use crate::crawl::rules::RuleBook;
use crate::crawl::schedule::Schedule;
use crate::url::{Host, Origin, Url};

/// How long a host waits to request its rules while those of others fill the memory.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// A request for `robots.txt` that was redirected to this host.
#[derive(Debug)]
pub(super) struct RobotsHop {
    pub(super) origin: Origin,
    pub(super) url: Url,
    pub(super) hop: u8,
    pub(super) attempt: u32,
}

/// The state of an origin's rules. The rules themselves are in the frontier's rule book.
#[derive(Debug)]
pub(super) enum Rules {
    /// `robots.txt` is not obeyed.
    Ignored,
    /// To be requested, not before a time.
    Wanted { not_before: Duration, attempts: u32 },
    /// Being requested.
    Asked,
    /// Valid until a time, if they are still in the book.
    Known { until: Duration },
}

/// The URLs of one origin.
#[derive(Debug)]
pub(super) struct OriginQueue {
    pub(super) origin: Origin,
    pub(super) rules: Rules,
    pub(super) queue: BTreeMap<Order, UrlRecord>,
}

/// One host.
#[derive(Debug)]
pub(super) struct HostState {
    pub(super) host: Host,
    pub(super) schedule: Schedule,
    /// Leases open.
    pub(super) open: usize,
    /// One or two: `http` and `https`.
    pub(super) origins: Vec<OriginQueue>,
    pub(super) hops: VecDeque<RobotsHop>,
    /// Records that wait for a time of their own.
    pub(super) waiting: BTreeMap<(Duration, Order), UrlRecord>,
    /// Rows of the queue from this position on are only in the store; those before it are here.
    pub(super) stored_from: Option<Order>,
    /// Whether it is on the frontier's list of hosts to refill.
    pub(super) wants_refill: bool,
    /// The time under which the frontier lists it.
    pub(super) listed_at: Option<Duration>,
    /// Pages fetched.
    pub(super) fetched: u64,
}

/// What a host has to do next.
pub(super) enum Offer {
    Hop(RobotsHop),
    Robots {
        origin: Origin,
        attempt: u32,
    },
    /// With the rules to check it against; `None` if rules are not obeyed, or the host was given
    /// up.
    Record(UrlRecord, Option<Arc<Robots>>),
    Refill,
    Nothing,
}

impl HostState {
    pub(super) fn new(host: Host, delay: Duration) -> Self {
        Self {
            host,
            schedule: Schedule::new(delay),
            open: 0,
            origins: Vec::new(),
            hops: VecDeque::new(),
            waiting: BTreeMap::new(),
            stored_from: None,
            wants_refill: false,
            listed_at: None,
            fetched: 0,
        }
    }

    /// Records held here.
    pub(super) fn queued(&self) -> usize {
        self.waiting.len() + self.origins.iter().map(|o| o.queue.len()).sum::<usize>()
    }

    /// The queue of an origin, added if it is new, with `rules` as its first state.
    pub(super) fn origin(
        &mut self,
        origin: Origin,
        rules: impl FnOnce() -> Rules,
    ) -> &mut OriginQueue {
        let at = self.origins.iter().position(|known| known.origin == origin);
        let at = at.unwrap_or_else(|| {
            self.origins.push(OriginQueue { origin, rules: rules(), queue: BTreeMap::new() });
            self.origins.len() - 1
        });
        self.origins.get_mut(at).expect("invariant: found or pushed just now")
    }

    /// When the host may start something, if it has anything to start.
    pub(super) fn due(&self, per_host: usize) -> Option<Duration> {
        if self.open >= self.schedule.at_once(per_host) {
            return None;
        }
        let queued = self.origins.iter().filter(|o| !o.queue.is_empty());
        let earliest = queued.filter_map(|origin| match &origin.rules {
            Rules::Known { .. } | Rules::Ignored => Some(Duration::ZERO),
            Rules::Wanted { not_before, .. } => Some(*not_before),
            Rules::Asked => None,
        });
        let hop = (!self.hops.is_empty()).then_some(Duration::ZERO);
        let waiting = self.waiting.first_key_value().map(|((at, _), _)| *at);
        let refill = self.needs_refill().then_some(Duration::ZERO);
        let earliest = earliest.chain(hop).chain(waiting).chain(refill).min()?;
        // A host that was given up gets no more requests; its URLs are refused at once.
        if self.schedule.given_up() || (refill.is_some() && hop.is_none()) {
            return Some(earliest);
        }
        Some(earliest.max(self.schedule.next_at()))
    }

    /// Whether the queue in memory is empty and the store has more of it.
    fn needs_refill(&self) -> bool {
        self.stored_from.is_some()
            && !self.wants_refill
            && self.origins.iter().all(|origin| origin.queue.is_empty())
    }

    /// What to do for this host at `now`, which is when it is due or later.
    pub(super) fn offer(&mut self, now: Duration, book: &mut RuleBook) -> Offer {
        // First, because a refill needs no gap.
        if self.hops.is_empty() && self.needs_refill() {
            return Offer::Refill;
        }
        self.wake(now);
        if let Some(hop) = self.hops.pop_front() {
            return Offer::Hop(hop);
        }
        let ready = |origin: &OriginQueue| match &origin.rules {
            Rules::Known { .. } | Rules::Ignored => true,
            Rules::Wanted { not_before, .. } => *not_before <= now,
            Rules::Asked => false,
        };
        let given_up = self.schedule.given_up();
        let first = self
            .origins
            .iter_mut()
            .filter(|origin| given_up || ready(origin))
            .filter_map(|origin| Some((*origin.queue.first_key_value()?.0, origin)))
            .min_by_key(|(order, _)| *order);
        first.map_or(Offer::Nothing, |(_, origin)| origin.offer(now, given_up, book))
    }

    /// Moves records whose wait is over back into their queues.
    fn wake(&mut self, now: Duration) {
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > now && !self.schedule.given_up() {
                return;
            }
            let record = first.remove();
            let origin = Origin::of(&record.url);
            // The origin was added when the record was first queued.
            let queue =
                self.origin(origin, || Rules::Wanted { not_before: Duration::ZERO, attempts: 0 });
            queue.queue.insert(record.order(), record);
        }
    }

    /// Drops everything from `order` on from memory; the store has it.
    pub(super) fn spill(&mut self, order: Order) -> Vec<UrlRecord> {
        let spilled = self.origins.iter_mut().flat_map(|o| o.queue.split_off(&order).into_values());
        let spilled = spilled.collect();
        self.stored_from = Some(self.stored_from.map_or(order, |from| from.min(order)));
        spilled
    }

    /// Whether the host can be forgotten at `now`.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        let asked = |o: &OriginQueue| matches!(o.rules, Rules::Asked);
        self.open == 0
            && self.queued() == 0
            && self.hops.is_empty()
            && self.stored_from.is_none()
            && !self.origins.iter().any(asked)
            && self.schedule.is_at_rest(now)
    }
}

impl OriginQueue {
    fn offer(&mut self, now: Duration, given_up: bool, book: &mut RuleBook) -> Offer {
        let mut rules = None;
        if given_up {
            book.forget(&self.origin);
        } else {
            let attempt = match self.rules {
                Rules::Ignored | Rules::Asked => None,
                Rules::Wanted { attempts, .. } => Some(attempts + 1),
                Rules::Known { until } => {
                    rules = if until > now { book.judge(&self.origin) } else { None };
                    // They have expired, or the book has lost them.
                    rules.is_none().then_some(1)
                }
            };
            if let Some(attempt) = attempt {
                if !book.has_room() {
                    let (not_before, attempts) = (now + ROOM_WAIT, attempt - 1);
                    self.rules = Rules::Wanted { not_before, attempts };
                    return Offer::Nothing;
                }
                self.rules = Rules::Asked;
                return Offer::Robots { origin: self.origin.clone(), attempt };
            }
        }
        let first = self.queue.pop_first();
        first.map_or(Offer::Nothing, |(_, record)| Offer::Record(record, rules))
    }
}
