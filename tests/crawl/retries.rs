//! How long a URL or a `robots.txt` waits before it is asked for again, and how often that happens.

use std::time::Duration;

use gristmill::crawl::{
    Candidate, Completion, Frontier, FrontierOptions, Lease, MemoryFrontierStore, Next, Now,
    Outcome, OutcomeKind, RobotsAnswer, ScopeRules,
};
use gristmill::model::{Reason, Scope};
use gristmill::time::Timestamp;
use gristmill::url::{Host, parse};

struct Crawl {
    store: MemoryFrontierStore,
    frontier: Frontier,
    now: Now,
}

impl Crawl {
    fn new(url: &str, options: FrontierOptions) -> Self {
        let rules = ScopeRules::new(&Scope::default(), &[Host::from("a.example")]).unwrap();
        let now = Now { wall: Timestamp(1_700_000_000_000), ..Now::default() };
        let store = MemoryFrontierStore::new();
        let mut frontier = Frontier::new(options, rules, now);
        let url = parse(url).unwrap();
        let admitted = frontier.admit(&store, now, [Candidate::seed(&url)]).unwrap();
        frontier.publish(admitted.admissions);
        Self { store, frontier, now }
    }

    /// What is to be done next, after all waiting.
    fn next(&mut self) -> Next {
        loop {
            match self.frontier.next(self.now) {
                Next::NotBefore(at) => {
                    self.now.wall = self.now.wall.saturating_add(at - self.now.monotonic);
                    self.now.monotonic = at;
                }
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

    /// Ends each request of the URL in the same way; gives the waits in between, in milliseconds.
    fn waits(&mut self, kind: &OutcomeKind) -> Vec<u64> {
        let mut waits = Vec::new();
        loop {
            let lease = self.lease();
            let outcome = Outcome {
                kind: kind.clone(),
                latency: Duration::ZERO,
                ended_at: self.now.monotonic,
            };
            match self.frontier.complete(&self.store, lease.id, self.now, outcome).unwrap() {
                Completion::Again(record) => {
                    let Reason::WaitingUntil { at, .. } = record.reason else { panic!() };
                    waits.push(at.as_millis() - self.now.wall.as_millis());
                }
                Completion::Final(_) => return waits,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn options(max_attempts: u32) -> FrontierOptions {
    let respect_robots = false;
    FrontierOptions { respect_robots, max_attempts, ..FrontierOptions::default() }
}

fn failed(retry_after: Option<Duration>) -> OutcomeKind {
    OutcomeKind::Retry { reason: Reason::Http { status: 500 }, retry_after }
}

#[test]
fn the_wait_before_a_retry_doubles_up_to_five_minutes_with_half_of_it_drawn_by_url() {
    let waits = |url: &str| Crawl::new(url, options(14)).waits(&failed(None));
    let one = waits("http://a.example/1");
    assert_eq!(one, WAITS_OF_1);
    assert_eq!(waits("http://a.example/2"), WAITS_OF_2);
    for (retry, wait) in one.into_iter().enumerate() {
        let full = (1000_u64 << retry).min(300_000);
        assert!((full / 2..=full).contains(&wait), "{retry}: {wait}");
    }
}

#[test]
fn a_url_has_its_attempts_and_twice_as_many_where_the_host_refuses() {
    let waits = |kind: &OutcomeKind| Crawl::new("http://a.example/1", options(3)).waits(kind).len();
    assert_eq!(waits(&failed(None)), 2);
    assert_eq!(waits(&OutcomeKind::Throttled { status: 429, retry_after: None }), 5);
}

#[test]
fn a_url_waits_as_long_as_its_server_asks_but_an_hour_at_the_most() {
    for (asked, wanted) in [(30, 30_000), (3600, 3_600_000), (86_400, 3_600_000)] {
        for throttled in [false, true] {
            let retry_after = Some(Duration::from_secs(asked));
            let kind = if throttled {
                OutcomeKind::Throttled { status: 503, retry_after }
            } else {
                failed(retry_after)
            };
            let waits = Crawl::new("http://a.example/1", options(2)).waits(&kind);
            assert_eq!(waits[0], wanted, "{asked} s asked for, throttled: {throttled}");
        }
    }
    // Where it asks for less than the backoff, the backoff holds.
    let kind = failed(Some(Duration::from_millis(1)));
    let waits = Crawl::new("http://a.example/1", options(3)).waits(&kind);
    assert_eq!(waits, WAITS_OF_1[..2]);
}

#[test]
fn robots_txt_is_asked_for_again_after_5_and_10_seconds_and_its_origin_then_refused() {
    for answer in [
        RobotsAnswer::Status(429),
        RobotsAnswer::Status(500),
        RobotsAnswer::Status(599),
        RobotsAnswer::Unreachable { cause: "refused".into() },
    ] {
        let (mut at, mut robots_attempts) = (Vec::new(), 3);
        let options = FrontierOptions {
            delay: Duration::ZERO,
            robots_attempts,
            ..FrontierOptions::default()
        };
        let mut crawl = Crawl::new("http://a.example/1", options);
        while robots_attempts > 0 {
            let lease = crawl.lease();
            at.push(crawl.now.monotonic.as_secs());
            let ended = crawl.now.monotonic;
            crawl.frontier.robots_answer(lease.id, crawl.now, ended, answer.clone());
            robots_attempts -= 1;
        }
        assert_eq!(at, [0, 5, 15], "{answer:?}");
        let Next::Refused(record) = crawl.next() else { panic!() };
        assert!(matches!(record.reason, Reason::Robots { .. }), "{:?}", record.reason);
    }
    for status in [400, 401, 403, 404, 408, 410, 499] {
        let mut crawl = Crawl::new("http://a.example/1", FrontierOptions::default());
        let lease = crawl.lease();
        let ended = crawl.now.monotonic;
        crawl.frontier.robots_answer(lease.id, crawl.now, ended, RobotsAnswer::Status(status));
        assert_eq!(crawl.lease().url.path(), "/1", "{status}: no rules");
    }
}

#[test]
fn the_wait_for_robots_txt_doubles_ten_times() {
    let options = FrontierOptions {
        delay: Duration::ZERO,
        robots_attempts: 15,
        robots_retry: Duration::from_mins(10),
        ..FrontierOptions::default()
    };
    let mut crawl = Crawl::new("http://a.example/1", options);
    let mut waits = Vec::new();
    for _ in 0..14 {
        let before = crawl.now.monotonic;
        let lease = crawl.lease();
        waits.push((crawl.now.monotonic - before).as_secs());
        let ended = crawl.now.monotonic;
        crawl.frontier.robots_answer(lease.id, crawl.now, ended, RobotsAnswer::Status(500));
    }
    let doubled: Vec<u64> = (0..13_u32).map(|retry| 600 << retry.min(10)).collect();
    assert_eq!(waits[1..], doubled);
}

/// Milliseconds before each retry of `http://a.example/1`.
const WAITS_OF_1: [u64; 13] = [
    763, 1027, 3056, 4117, 12_242, 16_500, 49_031, 66_125, 196_375, 155_273, 230_419, 155_566,
    230_712,
];

/// The same of `http://a.example/2`.
const WAITS_OF_2: [u64; 13] = [
    790, 1081, 3164, 4332, 12_671, 17_359, 50_750, 69_562, 203_250, 163_330, 238_476, 163_623,
    238_769,
];
