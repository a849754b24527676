//! A web of pages, an engine without threads, and the checks that hold at every step.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use gristmill::crawl::{
    Admission, Candidate, Completion, Frontier, FrontierOptions, Lease, LeaseKind,
    MemoryFrontierStore, Next, Now, Outcome, OutcomeKind, RobotsAnswer, ScopeRules, UrlRecord,
};
use gristmill::model::{Reason, Scope};
use gristmill::time::{Clock, ManualClock, Timestamp};
use gristmill::url::{Host, Url, UrlKey, parse};

/// A small generator of pseudo-random numbers (Knuth's MMIX constants).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Pages `0..pages`, page `n` on host `n % hosts`, each linking to some others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Web {
    pub(crate) pages: u64,
    pub(crate) hosts: u64,
}

impl Web {
    pub(crate) fn url(self, page: u64) -> Url {
        parse(&format!("http://h{}.example/p/{page}", page % self.hosts)).unwrap()
    }

    fn page(url: &Url) -> u64 {
        url.path().rsplit('/').next().unwrap().parse().unwrap()
    }

    fn links(self, page: u64) -> Vec<Url> {
        let to = [page * 2 + 1, page * 2 + 2, page + 7, page / 2, page];
        to.into_iter().map(|page| self.url(page % self.pages)).collect()
    }

    /// All pages that links lead to from page 0.
    pub(crate) fn reachable(self) -> BTreeSet<String> {
        let mut found = BTreeSet::from([self.url(0).to_string()]);
        let mut open = vec![0];
        while let Some(page) = open.pop() {
            for url in self.links(page) {
                if found.insert(url.to_string()) {
                    open.push(Self::page(&url));
                }
            }
        }
        found
    }
}

/// What the engine has not written yet.
enum Write {
    Record(Box<UrlRecord>),
    Admissions(Vec<Admission>),
}

struct Exchange {
    lease: Lease,
    started: Duration,
    ends: Duration,
}

pub(crate) struct Simulation {
    web: Web,
    options: FrontierOptions,
    dice: Dice,
    clock: std::sync::Arc<ManualClock>,
    pub(crate) frontier: Frontier,
    pub(crate) store: MemoryFrontierStore,
    writes: VecDeque<Write>,
    open: Vec<Exchange>,
    last_end: HashMap<Host, Duration>,
    failed_once: HashSet<String>,
    /// Documents fetched, with repetitions.
    pub(crate) fetched: Vec<UrlKey>,
}

impl Simulation {
    pub(crate) fn new(web: Web, options: FrontierOptions, seed: u64) -> Self {
        let clock = ManualClock::new(Timestamp(1_795_341_600_000));
        let frontier = frontier(web, &options, Now::of(&*clock));
        let mut simulation = Self {
            web,
            options,
            dice: Dice(seed),
            clock,
            frontier,
            store: MemoryFrontierStore::new(),
            writes: VecDeque::new(),
            open: Vec::new(),
            last_end: HashMap::new(),
            failed_once: HashSet::new(),
            fetched: Vec::new(),
        };
        simulation.seed();
        simulation
    }

    fn seed(&mut self) {
        let seed = self.web.url(0);
        self.admit(&[seed], Candidate::seed);
        self.write_all();
    }

    /// As `kill -9` and a new start: what was not written is gone, and so is every lease.
    pub(crate) fn crash(&mut self) {
        self.writes.clear();
        self.open.clear();
        self.clock.advance(Duration::from_secs(self.dice.roll(2) * 60));
        self.frontier = frontier(self.web, &self.options, self.now());
        self.seed();
    }

    fn now(&self) -> Now {
        Now::of(&*self.clock)
    }

    /// Runs at most `steps` steps; true if the crawl is over.
    pub(crate) fn run(&mut self, steps: u64) -> bool {
        for _ in 0..steps {
            if self.dice.roll(3) == 0 {
                self.write_one();
            }
            let now = self.now();
            if let Some(at) = self.open.iter().position(|e| e.ends <= now.monotonic) {
                let exchange = self.open.swap_remove(at);
                self.end(exchange);
                continue;
            }
            match self.frontier.next(now) {
                Next::Ready(lease) => self.start(lease),
                Next::Refused(record) => self.writes.push_back(Write::Record(record)),
                Next::Refill => self.frontier.refill(&self.store, now).unwrap(),
                Next::NotBefore(at) => {
                    assert!(at > now.monotonic, "a time that is over is no time to wait for");
                    self.wait(Some(at));
                }
                Next::Empty if !self.open.is_empty() => self.wait(None),
                Next::Empty if !self.writes.is_empty() => self.write_all(),
                Next::Empty => return true,
            }
        }
        false
    }

    fn wait(&mut self, at: Option<Duration>) {
        let first = self.open.iter().map(|e| e.ends).chain(at).min().unwrap();
        self.clock.advance(first - self.clock.monotonic());
    }

    fn start(&mut self, lease: Lease) {
        let now = self.clock.monotonic();
        let open = self.open.iter().filter(|e| e.lease.host == lease.host).count();
        assert!(open < self.options.per_host, "cap of {} passed", lease.host);
        if let Some(end) = self.last_end.get(&lease.host) {
            let gap = now - *end;
            assert!(gap >= self.options.delay, "gap of {gap:?} at {}", lease.host);
        }
        assert_eq!(Host::of(&lease.url), lease.host);
        if let LeaseKind::Document(record) = &lease.kind {
            assert!(
                self.open.iter().all(|e| e.lease.url != record.url),
                "{} leased twice at once",
                record.url
            );
        }
        let ends = now + Duration::from_millis(self.dice.roll(400));
        self.open.push(Exchange { lease, started: now, ends });
    }

    fn end(&mut self, exchange: Exchange) {
        let Exchange { lease, started, ends } = exchange;
        self.last_end.insert(lease.host.clone(), ends);
        let fails = self.dice.roll(5) == 0 && self.failed_once.insert(lease.url.to_string());
        let now = self.now();
        if self.dice.roll(40) == 0 {
            self.frontier.release(lease.id, now);
            return;
        }
        let LeaseKind::Document(record) = &lease.kind else {
            let answer = if fails { RobotsAnswer::Status(500) } else { RobotsAnswer::Status(404) };
            self.frontier.robots_answer(lease.id, now, ends, answer);
            return;
        };
        let kind = if fails { self.trouble() } else { OutcomeKind::Done };
        if kind == OutcomeKind::Done {
            self.fetched.push(record.key());
            let (parent, depth) = (record.key(), record.depth + 1);
            let links = self.web.links(Web::page(&record.url));
            self.admit(&links, |url| Candidate::link(url, parent, depth));
        }
        let outcome = Outcome { kind, latency: ends - started, ended_at: ends };
        match self.frontier.complete(&self.store, lease.id, now, outcome).unwrap() {
            Completion::Final(record) | Completion::Again(record) => {
                self.writes.push_back(Write::Record(record));
            }
            other => panic!("{other:?}"),
        }
    }

    fn trouble(&mut self) -> OutcomeKind {
        match self.dice.roll(3) {
            0 => OutcomeKind::Throttled { status: 429, retry_after: None },
            1 => OutcomeKind::Retry { reason: Reason::Http { status: 500 }, retry_after: None },
            _ => OutcomeKind::Retry {
                reason: Reason::Failed { cause: "reset".into() },
                retry_after: Some(Duration::from_secs(2)),
            },
        }
    }

    fn admit<'a>(&mut self, urls: &'a [Url], candidate: impl Fn(&'a Url) -> Candidate<'a>) {
        let now = self.now();
        let candidates = urls.iter().map(candidate);
        let admitted = self.frontier.admit(&self.store, now, candidates).unwrap();
        assert_eq!(admitted.refusals, []);
        self.writes.push_back(Write::Admissions(admitted.admissions));
    }

    /// Writes come in the order in which they were made, as in a log; publishing follows.
    fn write_one(&mut self) {
        match self.writes.pop_front() {
            None => {}
            Some(Write::Record(record)) => self.store.put(&record),
            Some(Write::Admissions(admissions)) => {
                for admission in &admissions {
                    assert!(self.store.get(&admission.key).is_none(), "admitted twice");
                    self.store.put(&admission.record);
                }
                self.frontier.publish(admissions);
            }
        }
    }

    pub(crate) fn write_all(&mut self) {
        while !self.writes.is_empty() {
            self.write_one();
        }
    }

    /// URLs that are done by the store's word; all others must not be pending.
    pub(crate) fn done(&self) -> BTreeSet<String> {
        let all = self.store.records();
        all.map(|record| {
            assert_eq!(record.reason, Reason::Done, "{}", record.url);
            record.url.to_string()
        })
        .collect()
    }
}

fn frontier(web: Web, options: &FrontierOptions, now: Now) -> Frontier {
    let hosts: Vec<Host> = (0..web.hosts).map(|n| Host::of(&web.url(n))).collect();
    Frontier::new(options.clone(), ScopeRules::new(&Scope::default(), &hosts).unwrap(), now)
}
