//! The frontier: URLs that are known and not done, and which host is next.
//!
//! Each host has a queue and a schedule. An ordered set lists the hosts by the time of their next
//! request. A host with as many open leases as allowed is not listed, so its cap holds by
//! construction, and a waiting host costs only its entry. (Mercator and `BUbiNG` have the same
//! structure.)

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::record::Order;
use super::rules::RuleBook;
use super::schedule::Health;
use super::seen::{RecentKeys, Spellings};
use super::{FrontierStore, Now, RulesCache, ScopeRules, UrlRecord};
use crate::time::SystemClock;
use crate::url::{Host, Origin, UrlKey};

mod admit;
mod complete;
mod host;
mod next;
mod refill;
mod robots;
mod types;

use host::{HostState, Rules};
pub use types::{
    Admission, Admitted, Candidate, Completion, FrontierOptions, FrontierStats, HostView, Lease,
    LeaseId, LeaseKind, Next, Outcome, OutcomeKind, Refusal, RobotsAnswer, RobotsOutcome,
};

/// Keys of refused URLs that are remembered, so that each is reported once.
const REFUSED_CAPACITY: usize = 200_000;

/// Keys of URLs that became final recently: their rows may still be in the store's queue when it is
/// read. The engine must not let more completed records wait to be written.
const SETTLING_CAPACITY: usize = 1 << 15;

/// Records of a host that are held in memory even if the capacity is used up.
const MIN_QUEUED: usize = 8;

/// A host in memory.
type HostId = usize;

/// See the [module](super) for the invariants.
///
/// ```
/// use std::time::Duration;
/// use gristmill::crawl::{
///     Candidate, Frontier, FrontierOptions, LeaseKind, MemoryFrontierStore, Next, Now,
///     RobotsAnswer, ScopeRules,
/// };
/// use gristmill::{model::Scope, url::{Host, parse}};
///
/// let seed = parse("https://a.example/")?;
/// let scope = ScopeRules::new(&Scope::default(), &[Host::of(&seed)])?;
/// let store = MemoryFrontierStore::new();
/// let mut frontier = Frontier::new(FrontierOptions::default(), scope, Now::default());
///
/// let admitted = frontier.admit(&store, Now::default(), [Candidate::seed(&seed)])?;
/// frontier.publish(admitted.admissions);
///
/// // The rules of the site come first.
/// let Next::Ready(lease) = frontier.next(Now::default()) else { panic!() };
/// assert!(matches!(lease.kind, LeaseKind::Robots { .. }));
/// let now = Now { monotonic: Duration::from_millis(200), ..Now::default() };
/// frontier.robots_answer(lease.id, now, now.monotonic, RobotsAnswer::Status(404));
///
/// // And the page a second after they came.
/// assert!(matches!(frontier.next(now), Next::NotBefore(at) if at == Duration::from_millis(1200)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Frontier {
    options: FrontierOptions,
    scope: ScopeRules,

    hosts: Vec<Option<HostState>>,
    free: Vec<HostId>,
    ids: HashMap<Host, HostId, RandomState>,
    /// Hosts with something to start, by the earliest time to do so.
    due: BTreeSet<(Duration, HostId)>,
    /// Hosts whose queue continues in the store.
    refills: Vec<HostId>,

    book: RuleBook,

    open: HashMap<LeaseId, OpenLease, RandomState>,
    next_lease: u64,
    next_sequence: u64,

    spellings: Spellings,
    seen: RecentKeys,
    refused: RecentKeys,
    /// All records in memory: admitted but not published, queued, waiting, or leased.
    live: HashSet<UrlKey, RandomState>,
    settling: RecentKeys,

    /// Records in queues and waiting.
    queued: usize,
    store: StoreView,
    counts: Counts,
}

/// An open lease.
#[derive(Debug)]
struct OpenLease {
    host: HostId,
    kind: LeaseKind,
}

/// What is known of the store.
#[derive(Debug, Default)]
struct StoreView {
    /// Whether it was asked what earlier processes have left.
    opened: bool,
    /// Whether it held nothing then.
    was_empty: bool,
    /// When this frontier was made: an earlier process may have sent requests right before.
    started: Duration,
    /// Whether it may have pending rows of hosts that are not in memory.
    more_hosts: bool,
    /// The last host read from it.
    host_cursor: Option<Host>,
    /// The next time to look for hosts that can be forgotten.
    next_sweep: Duration,
}

#[derive(Debug, Default)]
struct Counts {
    pending: u64,
    admitted: u64,
    finished: u64,
    refused: u64,
}

impl Frontier {
    /// An empty frontier. It reads the store on the first call that passes one.
    pub fn new(options: FrontierOptions, scope: ScopeRules, now: Now) -> Self {
        let ttl = options.robots_ttl.saturating_mul(2);
        let rules = RulesCache::new(options.robots_bytes, ttl, SystemClock::shared());
        Self::with_rules(options, scope, now, rules)
    }

    /// The same with a cache of rules that frontiers can share. This frontier uses a cached file
    /// only after it has requested the file itself.
    pub fn with_rules(
        options: FrontierOptions,
        scope: ScopeRules,
        now: Now,
        rules: RulesCache,
    ) -> Self {
        Self {
            book: RuleBook::new(rules),
            hosts: Vec::new(),
            free: Vec::new(),
            ids: HashMap::default(),
            due: BTreeSet::new(),
            refills: Vec::new(),
            open: HashMap::default(),
            next_lease: 0,
            // Milliseconds, with room for a million admissions each: a later process continues
            // after an earlier one without knowing where that stopped.
            next_sequence: now.wall.as_millis().saturating_mul(1 << 20),
            spellings: Spellings::new(),
            seen: RecentKeys::new(options.seen_capacity),
            refused: RecentKeys::new(REFUSED_CAPACITY),
            live: HashSet::default(),
            settling: RecentKeys::new(SETTLING_CAPACITY),
            queued: 0,
            store: StoreView { started: now.monotonic, ..StoreView::default() },
            counts: Counts::default(),
            options,
            scope,
        }
    }

    /// Adds a host to the scope.
    pub fn allow_host(&mut self, host: &Host) {
        if self.scope.allow_host(host) {
            // URLs of this host may have been refused until now.
            self.refused.clear();
            self.spellings.clear();
        }
    }

    /// The scope as it is now.
    pub const fn scope(&self) -> &ScopeRules {
        &self.scope
    }

    /// Known pending URLs: in memory, leased, and in the store.
    pub const fn pending(&self) -> u64 {
        self.counts.pending
    }

    /// Open leases.
    pub fn in_flight(&self) -> usize {
        self.open.len()
    }

    /// Hosts in memory.
    pub fn hosts(&self) -> usize {
        self.ids.len()
    }

    /// The earliest monotonic time at which a request may start, unless a lease ends before.
    pub fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The state of a host, if it is in memory.
    pub fn waiting(&self, host: &Host, now: Now) -> Option<HostView> {
        let state = self.host(*self.ids.get(host)?)?;
        Some(HostView {
            next_at: now.wall_at(state.schedule.next_at()),
            delay: state.schedule.delay(),
            in_flight: state.open,
            queued: state.queued(),
            paused: state.schedule.paused_until(now.monotonic).is_some(),
        })
    }

    /// Figures for a display.
    pub fn snapshot(&self) -> FrontierStats {
        FrontierStats {
            pending: self.counts.pending,
            queued: self.queued as u64,
            in_flight: self.open.len() as u64,
            hosts: self.ids.len() as u64,
            admitted: self.counts.admitted,
            finished: self.counts.finished,
            refused: self.counts.refused,
            seen: self.seen.len() as u64,
            seen_complete: self.seen_is_complete(),
        }
    }

    fn seen_is_complete(&self) -> bool {
        self.store.was_empty && !self.seen.forgot()
    }

    fn host(&self, id: HostId) -> Option<&HostState> {
        self.hosts.get(id)?.as_ref()
    }

    fn host_mut(&mut self, id: HostId) -> Option<&mut HostState> {
        self.hosts.get_mut(id)?.as_mut()
    }

    /// The host's id, added if it is new; `None` if there is no room for another host.
    fn host_id(&mut self, host: &Host) -> Option<HostId> {
        if let Some(id) = self.ids.get(host) {
            return Some(*id);
        }
        if self.ids.len() >= self.options.max_hosts {
            return None;
        }
        Some(self.add_host(host))
    }

    fn add_host(&mut self, host: &Host) -> HostId {
        let mut state = HostState::new(host.clone(), self.options.delay);
        // The store may hold rows of it, from an earlier process or from a time without room.
        state.stored_from = self.store.more_hosts.then_some(Order::FIRST);
        if !self.store.was_empty {
            state.schedule.resume(self.store.started);
        }
        let state = Some(state);
        let id = if let Some(id) = self.free.pop() {
            if let Some(place) = self.hosts.get_mut(id) {
                *place = state;
            }
            id
        } else {
            self.hosts.push(state);
            self.hosts.len() - 1
        };
        self.ids.insert(host.clone(), id);
        id
    }

    /// Lists a host by the time of its next request, or takes it off the list.
    fn list(&mut self, id: HostId) {
        let per_host = self.options.per_host.max(1);
        let Some(host) = self.hosts.get_mut(id).and_then(Option::as_mut) else { return };
        let due = host.due(per_host);
        if host.listed_at == due {
            return;
        }
        if let Some(at) = host.listed_at {
            self.due.remove(&(at, id));
        }
        if let Some(at) = due {
            self.due.insert((at, id));
        }
        host.listed_at = due;
    }

    /// Puts a record into the memory of its host.
    fn enqueue(&mut self, id: HostId, record: UrlRecord, not_before: Option<Duration>) {
        let ignored = !self.options.respect_robots;
        let rules = || {
            if ignored {
                Rules::Ignored
            } else {
                Rules::Wanted { not_before: Duration::ZERO, attempts: 0 }
            }
        };
        let Some(host) = self.hosts.get_mut(id).and_then(Option::as_mut) else { return };
        let origin = host.origin(Origin::of(&record.url), rules);
        match not_before {
            None => {
                origin.queue.insert(record.order(), record);
            }
            Some(at) => {
                host.waiting.insert((at, record.order()), record);
            }
        }
        self.queued += 1;
    }

    /// Ends the exchange of a lease, and updates the schedule of its host.
    fn end_exchange(&mut self, id: HostId, ended: Duration, latency: Duration, how: Health) {
        let at_once = self.options.per_host.max(1);
        if let Some(host) = self.host_mut(id) {
            host.open = host.open.saturating_sub(1);
            host.schedule.ended(ended, latency, at_once, how);
        }
    }

    /// Makes a record final, and remembers it while its row may still be in the store's queue.
    fn settle(&mut self, key: UrlKey) {
        self.live.remove(&key);
        self.settling.insert(key);
        self.counts.pending = self.counts.pending.saturating_sub(1);
        self.counts.finished += 1;
    }

    fn sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence
    }

    fn lease_id(&mut self) -> LeaseId {
        self.next_lease += 1;
        LeaseId(self.next_lease)
    }

    /// Learns what the store holds, once.
    fn open_store<S: FrontierStore + ?Sized>(&mut self, store: &S) -> Result<(), S::Error> {
        if !self.store.opened {
            let pending = store.pending_count()?;
            self.store.opened = true;
            self.store.was_empty = pending.is_none();
            self.store.more_hosts = pending.is_some_and(|count| count > 0);
            self.counts.pending += pending.unwrap_or(0);
        }
        Ok(())
    }
}

/// Whether a record belongs to the part of its host's queue that is only in the store.
fn begins_at(from: Option<Order>, order: Order) -> bool {
    from.is_some_and(|from| order >= from)
}
