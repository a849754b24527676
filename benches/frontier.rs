//! The frontier under its one lock: links already seen, and the turn-taking of 10,000 hosts.
#![cfg(feature = "crawl")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gristmill::crawl::{
    Candidate, Frontier, FrontierOptions, MemoryFrontierStore, Next, Now, Outcome, OutcomeKind,
    ScopeRules,
};
use gristmill::model::{Reason, Scope};
use gristmill::url::{Host, Url, UrlKey, parse};

const HOSTS: u64 = 10_000;
const LINKS: u64 = 100;

fn frontier(urls: &[Url], delay: Duration) -> (Frontier, MemoryFrontierStore) {
    let options = FrontierOptions {
        delay,
        respect_robots: false,
        max_attempts: u32::MAX,
        retry_delay: Duration::ZERO,
        ..FrontierOptions::default()
    };
    let hosts: Vec<Host> = urls.iter().map(Host::of).collect();
    let rules = ScopeRules::new(&Scope::default(), &hosts).expect("valid");
    let (store, now) = (MemoryFrontierStore::new(), Now::default());
    let mut frontier = Frontier::new(options, rules, now);
    let admitted = frontier.admit(&store, now, urls.iter().map(Candidate::seed)).expect("valid");
    frontier.publish(admitted.admissions);
    (frontier, store)
}

fn admit_seen(c: &mut Criterion) {
    let urls: Vec<Url> = (0..LINKS)
        .map(|n| {
            parse(&format!("https://docs.example.org/book/chapter-{n}/index.html")).expect("valid")
        })
        .collect();
    let (mut frontier, store) = frontier(&urls, Duration::ZERO);
    let mut group = c.benchmark_group("frontier");
    group.throughput(Throughput::Elements(LINKS));
    group.bench_function("admit/seen", |b| {
        b.iter(|| {
            let links = urls.iter().map(|url| Candidate::link(url, UrlKey([0; 16]), 1));
            black_box(frontier.admit(&store, Now::default(), links)).expect("valid")
        });
    });
    group.finish();
}

fn turns(c: &mut Criterion) {
    let urls: Vec<Url> =
        (0..HOSTS).map(|n| parse(&format!("http://h{n}.example/")).expect("valid")).collect();
    let (mut frontier, store) = frontier(&urls, Duration::from_millis(1));
    let mut now = Now::default();
    c.bench_function("frontier/next+complete, 10,000 hosts", |b| {
        b.iter(|| {
            loop {
                match frontier.next(now) {
                    Next::Ready(lease) => {
                        // A failure that may pass, so that the URL comes back and none runs out.
                        let reason = Reason::Http { status: 404 };
                        let kind = OutcomeKind::Retry { reason, retry_after: None };
                        let latency = Duration::from_micros(100);
                        let outcome = Outcome { kind, latency, ended_at: now.monotonic };
                        frontier.complete(&store, lease.id, now, outcome).expect("valid");
                        break;
                    }
                    Next::NotBefore(at) => now.monotonic = at,
                    _ => break,
                }
            }
        });
    });
}

criterion_group!(benches, admit_seen, turns);
criterion_main!(benches);
