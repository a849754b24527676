//! `robots.txt` comes before every page of its origin, and hosts that fail are left alone.

use std::time::Duration;

use gristmill::crawl::{
    Candidate, Completion, Frontier, FrontierOptions, Lease, LeaseKind, MemoryFrontierStore, Next,
    Now, Outcome, OutcomeKind, RobotsAnswer, RobotsOutcome, ScopeRules,
};
use gristmill::model::{Reason, Scope};
use gristmill::url::{Host, Url, parse};

struct Crawl {
    store: MemoryFrontierStore,
    frontier: Frontier,
    now: Now,
}

impl Crawl {
    fn new(urls: &[&str]) -> Self {
        let rules = ScopeRules::new(&Scope::default(), &[Host::from("a.example")]).unwrap();
        let (now, store) = (Now::default(), MemoryFrontierStore::new());
        let mut frontier = Frontier::new(FrontierOptions::default(), rules, now);
        let urls: Vec<Url> = urls.iter().map(|url| parse(url).unwrap()).collect();
        let admitted = frontier.admit(&store, now, urls.iter().map(Candidate::seed)).unwrap();
        frontier.publish(admitted.admissions);
        Self { store, frontier, now }
    }

    /// The next thing to do, after all waiting.
    fn next(&mut self) -> Next {
        loop {
            match self.frontier.next(self.now) {
                Next::NotBefore(at) => self.now.monotonic = at,
                next => return next,
            }
        }
    }

    fn lease(&mut self) -> Lease {
        match self.next() {
            Next::Ready(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    fn refused(&mut self) -> Reason {
        match self.next() {
            Next::Refused(record) => record.reason,
            other => panic!("{other:?}"),
        }
    }

    fn robots(&mut self, answer: RobotsAnswer) -> RobotsOutcome {
        let lease = self.lease();
        assert!(matches!(lease.kind, LeaseKind::Robots { .. }), "{lease:?}");
        self.frontier.robots_answer(lease.id, self.now, self.now.monotonic, answer)
    }

    fn complete(&mut self, lease: &Lease, kind: OutcomeKind) -> Completion {
        let outcome = Outcome { kind, latency: Duration::ZERO, ended_at: self.now.monotonic };
        self.frontier.complete(&self.store, lease.id, self.now, outcome).unwrap()
    }
}

fn body(text: &str) -> RobotsAnswer {
    RobotsAnswer::Body(text.as_bytes().to_vec())
}

#[test]
fn rules_are_asked_for_once_an_origin_and_pages_wait_for_them() {
    let mut crawl = Crawl::new(&["http://a.example/1", "http://a.example/private/2"]);
    let robots = crawl.lease();
    assert_eq!(robots.url.as_str(), "http://a.example/robots.txt");
    assert!(matches!(crawl.frontier.next(crawl.now), Next::Empty), "one request at a time");
    let text = "user-agent: gristmill\ndisallow: /private/\ncrawl-delay: 7\nsitemap: /map.xml\n";
    let outcome =
        crawl.frontier.robots_answer(robots.id, crawl.now, crawl.now.monotonic, body(text));
    assert_eq!(outcome.sitemaps, [parse("http://a.example/map.xml").unwrap()]);
    assert!(
        matches!(crawl.frontier.next(crawl.now), Next::NotBefore(at) if at.as_secs() == 7),
        "its delay counts from its own end"
    );
    let page = crawl.lease();
    assert_eq!(page.url.path(), "/1");
    assert!(matches!(crawl.complete(&page, OutcomeKind::Done), Completion::Final(_)));
    assert_eq!(crawl.refused(), Reason::Robots { line: "disallow: /private/".into() });
    assert!(matches!(crawl.next(), Next::Empty));
    assert_eq!(crawl.frontier.pending(), 0);
}

#[test]
fn a_missing_file_allows_and_a_failing_one_forbids_after_retries() {
    let mut crawl = Crawl::new(&["http://a.example/1"]);
    crawl.robots(RobotsAnswer::Status(403));
    assert_eq!(crawl.lease().url.path(), "/1");

    let mut crawl = Crawl::new(&["http://a.example/1"]);
    crawl.robots(RobotsAnswer::Status(500));
    let before = crawl.now.monotonic;
    crawl.robots(RobotsAnswer::Unreachable { cause: "connection refused".to_owned() });
    assert_eq!(crawl.now.monotonic - before, Duration::from_secs(5));
    crawl.robots(RobotsAnswer::Status(503));
    assert_eq!(crawl.refused(), Reason::Robots { line: "robots.txt answered 503".into() });

    let mut crawl = Crawl::new(&["http://a.example/1"]);
    crawl.robots(RobotsAnswer::Status(502));
    crawl.robots(body(""));
    assert_eq!(crawl.lease().url.path(), "/1");
}

#[test]
fn redirects_of_the_file_are_followed_five_times_on_whichever_host() {
    let mut crawl = Crawl::new(&["http://a.example/1"]);
    let elsewhere = parse("http://b.example/robots.txt").unwrap();
    crawl.robots(RobotsAnswer::Redirect(elsewhere.clone()));
    let hop = crawl.lease();
    assert_eq!((hop.url, hop.host.as_str()), (elsewhere.clone(), "b.example"));
    let answer = body("user-agent: *\ndisallow: /1");
    crawl.frontier.robots_answer(hop.id, crawl.now, crawl.now.monotonic, answer);
    assert!(matches!(crawl.refused(), Reason::Robots { .. }));

    let mut crawl = Crawl::new(&["http://a.example/1"]);
    for _ in 0..6 {
        crawl.robots(RobotsAnswer::Redirect(elsewhere.clone()));
    }
    assert_eq!(crawl.lease().url.path(), "/1", "too many redirects count as no file");
}

#[test]
fn rules_run_out_and_the_old_ones_stay_where_no_new_ones_come() {
    let mut crawl = Crawl::new(&["http://a.example/1"]);
    crawl.robots(body("user-agent: *\ndisallow: /2"));
    let page = crawl.lease();
    assert!(matches!(crawl.complete(&page, OutcomeKind::Done), Completion::Final(_)));
    crawl.now.monotonic += Duration::from_hours(24);
    let url = parse("http://a.example/2").unwrap();
    let seed = [Candidate::seed(&url)];
    let admitted = crawl.frontier.admit(&crawl.store, crawl.now, seed).unwrap();
    crawl.frontier.publish(admitted.admissions);
    for _ in 0..3 {
        crawl.robots(RobotsAnswer::Unreachable { cause: "connection refused".to_owned() });
    }
    assert_eq!(crawl.refused(), Reason::Robots { line: "disallow: /2".into() });
}

/// Rules that have gone from memory are asked for again, and every URL is held against them.
#[test]
fn rules_that_memory_has_no_room_for_come_before_each_page() {
    const HOSTS: usize = 30;
    let names: Vec<String> = (0..HOSTS).map(|n| format!("h{n}.example")).collect();
    let hosts: Vec<Host> = names.iter().map(|name| Host::from(name.as_str())).collect();
    let scope = ScopeRules::new(&Scope::default(), &hosts).unwrap();
    // Room for the rules of a few hosts; an eighth of it is more than those of one.
    let options = FrontierOptions { robots_bytes: 1 << 16, ..FrontierOptions::default() };
    let (store, mut now) = (MemoryFrontierStore::new(), Now::default());
    let mut frontier = Frontier::new(options, scope, now);
    let urls: Vec<Url> = ["1", "private/2", "3"]
        .iter()
        .flat_map(|path| names.iter().map(move |name| format!("http://{name}/{path}")))
        .map(|url| parse(&url).unwrap())
        .collect();
    let admitted = frontier.admit(&store, now, urls.iter().map(Candidate::seed)).unwrap();
    frontier.publish(admitted.admissions);
    let filler = "disallow: /unused\n".repeat(40);
    let text = format!("user-agent: *\n{filler}disallow: /private/\n");
    let (mut robots, mut pages, mut refused) = (0, 0, 0);
    loop {
        match frontier.next(now) {
            Next::Ready(lease) if matches!(lease.kind, LeaseKind::Robots { .. }) => {
                robots += 1;
                frontier.robots_answer(lease.id, now, now.monotonic, body(&text));
            }
            Next::Ready(lease) => {
                assert!(!lease.url.path().starts_with("/private/"), "{}", lease.url);
                pages += 1;
                let kind = OutcomeKind::Done;
                let outcome = Outcome { kind, latency: Duration::ZERO, ended_at: now.monotonic };
                let _final = frontier.complete(&store, lease.id, now, outcome).unwrap();
            }
            Next::Refused(record) => {
                assert_eq!(record.reason, Reason::Robots { line: "disallow: /private/".into() });
                refused += 1;
            }
            Next::NotBefore(at) => now.monotonic = at,
            Next::Empty => break,
            other @ Next::Refill => panic!("{other:?}"),
        }
    }
    assert_eq!((pages, refused), (2 * HOSTS, HOSTS));
    assert!(robots > HOSTS, "all rules found room: {robots} requests for {HOSTS} files");
    assert!(robots <= 3 * HOSTS, "{robots} requests for rules, more than one a URL");
}

#[test]
fn a_host_that_refuses_is_left_alone_as_long_as_it_asks() {
    let mut crawl = Crawl::new(&["http://a.example/1", "http://a.example/2"]);
    crawl.robots(RobotsAnswer::Status(404));
    let page = crawl.lease();
    let at = crawl.now.monotonic;
    let retry_after = Some(Duration::from_secs(30));
    let completion = crawl.complete(&page, OutcomeKind::Throttled { status: 429, retry_after });
    let Completion::Again(record) = completion else { panic!() };
    assert!(matches!(record.reason, Reason::WaitingUntil { .. }));
    assert_eq!(record.attempts, 1);
    assert!(crawl.frontier.waiting(&page.host, crawl.now).unwrap().paused);
    let next = crawl.lease();
    assert!(crawl.now.monotonic >= at + Duration::from_secs(30), "{:?}", next.url);
}

#[test]
fn a_dead_host_ends_in_bounded_time_and_its_urls_have_a_reason() {
    let urls: Vec<String> = (0..50).map(|n| format!("http://a.example/{n}")).collect();
    let mut crawl = Crawl::new(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    crawl.robots(RobotsAnswer::Status(404));
    let (mut finals, mut requests) = (0, 0);
    loop {
        match crawl.next() {
            Next::Ready(lease) => {
                requests += 1;
                let reason = Reason::Failed { cause: "connection refused".into() };
                let kind = OutcomeKind::Retry { reason, retry_after: None };
                finals += usize::from(matches!(crawl.complete(&lease, kind), Completion::Final(_)));
            }
            Next::Refused(record) => {
                assert!(matches!(record.reason, Reason::Failed { .. }));
                finals += 1;
            }
            Next::Empty => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(finals, 50);
    assert!(requests < 20, "{requests} requests to a dead host");
    assert!(crawl.now.monotonic < Duration::from_mins(10), "{:?}", crawl.now.monotonic);
}

#[test]
fn a_lease_ends_once() {
    let mut crawl = Crawl::new(&["http://a.example/1"]);
    crawl.robots(RobotsAnswer::Status(404));
    let page = crawl.lease();
    assert!(matches!(crawl.complete(&page, OutcomeKind::Done), Completion::Final(_)));
    assert_eq!(crawl.complete(&page, OutcomeKind::Done), Completion::Stale);
    crawl.frontier.release(page.id, crawl.now);
    assert_eq!((crawl.frontier.in_flight(), crawl.frontier.pending()), (0, 0));
}
