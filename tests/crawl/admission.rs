//! Which URLs are admitted, which are refused, and what is remembered of both.

use gristmill::crawl::{
    Candidate, DocumentKind, Frontier, FrontierOptions, FrontierStore, LeaseKind,
    MemoryFrontierStore, Next, Now, ScopeRules, UrlRecord, Via, queue_key,
};
use gristmill::model::{Reason, Scope, TrapKind};
use gristmill::time::Timestamp;
use gristmill::url::{Host, Url, UrlKey, parse};

const PARENT: UrlKey = UrlKey([7; 16]);

fn now() -> Now {
    Now { wall: Timestamp(1_795_341_600_000), ..Now::default() }
}

fn frontier(scope: &Scope) -> Frontier {
    let options = FrontierOptions { respect_robots: false, ..FrontierOptions::default() };
    let rules = ScopeRules::new(scope, &[Host::from("a.example")]).unwrap();
    Frontier::new(options, rules, now())
}

fn link(url: &Url, depth: u32) -> Candidate<'_> {
    Candidate::link(url, PARENT, depth)
}

#[test]
fn a_url_is_admitted_once_under_all_its_spellings() {
    let (store, mut frontier) = (MemoryFrontierStore::new(), frontier(&Scope::default()));
    let urls: Vec<Url> = ["/x?b=1&a=2", "/x?a=2&b=1&utm_source=z", "/x?b=1&a=2#f", "/x?a=2"]
        .map(|path| parse(&format!("http://a.example{path}")).unwrap())
        .to_vec();
    let admitted = frontier.admit(&store, now(), urls.iter().map(|url| link(url, 1))).unwrap();
    assert_eq!((admitted.admissions.len(), admitted.known), (2, 2));
    let first = &admitted.admissions[0].record;
    assert_eq!(first.url.as_str(), "http://a.example/x?b=1&a=2", "fetched as the page wrote it");
    assert_eq!((first.parent, first.depth), (Some(PARENT), 1));
    // Not published, and yet known: another page's links must not admit it again.
    let again = frontier.admit(&store, now(), urls.iter().map(|url| link(url, 1))).unwrap();
    assert_eq!((again.admissions.len(), again.known), (0, 4));
    // The batch failed: they are new once more.
    frontier.withdraw(admitted.admissions);
    let once_more = frontier.admit(&store, now(), urls.iter().map(|url| link(url, 1))).unwrap();
    assert_eq!(once_more.admissions.len(), 2);
}

#[test]
fn refusals_are_reported_once_with_their_reason() {
    let scope = Scope { max_depth: Some(2), ..Scope::default() };
    let (store, mut frontier) = (MemoryFrontierStore::new(), frontier(&scope));
    let foreign = parse("http://b.example/").unwrap();
    let deep = parse("http://a.example/deep").unwrap();
    let trap = parse("http://a.example/a/b/a/b/a/b").unwrap();
    let batch = || [link(&foreign, 1), link(&deep, 3), link(&trap, 1)];
    let first = frontier.admit(&store, now(), batch()).unwrap();
    let reasons: Vec<_> = first.refusals.iter().map(|refusal| &refusal.reason).collect();
    assert!(matches!(reasons[0], Reason::OutOfScope { rule } if rule.contains("b.example")));
    assert_eq!(reasons[1], &Reason::TooDeep { depth: 3 });
    assert_eq!(reasons[2], &Reason::Trap { kind: TrapKind::PathRepetition });
    let second = frontier.admit(&store, now(), batch()).unwrap();
    assert_eq!((second.refusals.len(), second.known), (0, 3));
    // A shorter way to what was too deep, and a host that joins the scope, change the answer.
    frontier.allow_host(&Host::of(&foreign));
    let third = frontier.admit(&store, now(), [link(&deep, 2), link(&foreign, 1)]).unwrap();
    assert_eq!(third.admissions.len(), 2);
}

#[test]
fn what_the_store_knows_is_not_admitted_again() {
    let (mut store, mut earlier) = (MemoryFrontierStore::new(), frontier(&Scope::default()));
    let url = parse("http://a.example/x").unwrap();
    let admitted = earlier.admit(&store, now(), [link(&url, 1)]).unwrap();
    store.put(&UrlRecord { reason: Reason::Done, ..admitted.admissions[0].record.clone() });
    let mut later = frontier(&Scope::default());
    assert_eq!(later.admit(&store, now(), [link(&url, 1)]).unwrap().known, 1);
}

#[test]
fn an_error_of_the_store_changes_nothing() {
    struct Broken;
    impl FrontierStore for Broken {
        type Error = &'static str;
        fn pending_count(&self) -> Result<Option<u64>, Self::Error> {
            Ok(Some(0))
        }
        fn contains(&self, key: &UrlKey) -> Result<bool, Self::Error> {
            let second = UrlKey::from_url(&parse("http://a.example/2").unwrap());
            if *key == second { Err("broken") } else { Ok(false) }
        }
        fn hosts(&self, _: Option<&Host>, _: usize) -> Result<Vec<Host>, Self::Error> {
            Err("broken")
        }
        fn pending(&self, _: &Host, _: &[u8], _: usize) -> Result<Vec<UrlRecord>, Self::Error> {
            Err("broken")
        }
    }
    let urls = ["1", "2"].map(|n| parse(&format!("http://a.example/{n}")).unwrap());
    let mut frontier = frontier(&Scope::default());
    let batch = || urls.iter().map(|url| link(url, 1));
    assert_eq!(frontier.admit(&Broken, now(), batch()), Err("broken"));
    let store = MemoryFrontierStore::new();
    assert_eq!(frontier.admit(&store, now(), batch()).unwrap().admissions.len(), 2);
}

#[test]
fn shallow_urls_come_first_then_better_ones_then_older_ones() {
    let (mut store, mut frontier) = (MemoryFrontierStore::new(), frontier(&Scope::default()));
    let urls: Vec<Url> = (0..4).map(|n| parse(&format!("http://a.example/{n}")).unwrap()).collect();
    let depths_and_scores = [(2, 1.0), (1, 0.0), (1, 0.5), (1, 0.0)];
    let candidates = urls.iter().zip(depths_and_scores).map(|(url, (depth, score))| Candidate {
        url,
        kind: DocumentKind::Page,
        via: Via::Link,
        depth,
        parent: None,
        score,
    });
    let admitted = frontier.admit(&store, now(), candidates).unwrap();
    let mut keys = Vec::new();
    for admission in &admitted.admissions {
        store.put(&admission.record);
        keys.push((queue_key(&admission.record), admission.record.url.clone()));
        let json = serde_json::to_string(&admission.record).unwrap();
        assert_eq!(serde_json::from_str::<UrlRecord>(&json).unwrap(), admission.record);
    }
    frontier.publish(admitted.admissions);
    keys.sort();
    let mut clock = now();
    let mut order = Vec::new();
    while let Next::Ready(lease) = frontier.next(clock) {
        let LeaseKind::Document(record) = &lease.kind else { panic!() };
        order.push(record.url.path().to_owned());
        clock.monotonic += std::time::Duration::from_secs(1);
        let outcome = gristmill::crawl::Outcome {
            kind: gristmill::crawl::OutcomeKind::Done,
            latency: std::time::Duration::ZERO,
            ended_at: clock.monotonic,
        };
        assert!(frontier.complete(&store, lease.id, clock, outcome).is_ok());
        clock.monotonic += std::time::Duration::from_secs(1);
    }
    assert_eq!(order, ["/2", "/1", "/3", "/0"]);
    let stored: Vec<_> = keys.iter().map(|(_, url)| url.path().to_owned()).collect();
    assert_eq!(stored, order, "the store's order is that of fetching");
}

#[test]
fn sitemaps_and_feeds_found_on_the_way_stay_on_the_hosts_of_the_job() {
    // Include patterns speak of pages, not of what lists them.
    let scope = Scope { include: vec!["*/pages/*".to_owned()], ..Scope::default() };
    let (store, mut frontier) = (MemoryFrontierStore::new(), frontier(&scope));
    let own = parse("http://a.example/sitemap.xml").unwrap();
    let other = parse("http://b.example/sitemap.xml").unwrap();
    for (kind, via) in [(DocumentKind::Sitemap, Via::Sitemap), (DocumentKind::Feed, Via::Feed)] {
        let mut listing = |url| {
            let candidate = Candidate { kind, via, ..Candidate::seed(url) };
            frontier.admit(&store, now(), [candidate]).unwrap()
        };
        if kind == DocumentKind::Sitemap {
            assert_eq!(listing(&own).admissions.len(), 1);
            let refused = listing(&other).refusals;
            assert!(
                matches!(&refused[0].reason, Reason::OutOfScope { rule } if rule.contains("b.example"))
            );
        } else {
            let feed = parse("http://b.example/feed").unwrap();
            assert!(listing(&feed).admissions.is_empty());
        }
    }
}
