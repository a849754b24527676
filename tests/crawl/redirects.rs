//! Redirects: followed as continuations, each a request of its own, and always ending.

use std::time::Duration;

use gristmill::crawl::{
    Candidate, Completion, Frontier, FrontierOptions, Lease, MemoryFrontierStore, Next, Now,
    Outcome, OutcomeKind, ScopeRules,
};
use gristmill::model::{Reason, Scope};
use gristmill::url::{Host, Url, UrlKey, parse};

struct Crawl {
    store: MemoryFrontierStore,
    frontier: Frontier,
    now: Now,
}

impl Crawl {
    fn new(candidate: Candidate<'_>) -> Self {
        let options = FrontierOptions { respect_robots: false, ..FrontierOptions::default() };
        let rules = ScopeRules::new(&Scope::default(), &[Host::from("a.example")]).unwrap();
        let (now, store) = (Now::default(), MemoryFrontierStore::new());
        let mut crawl = Self { store, frontier: Frontier::new(options, rules, now), now };
        let admitted = crawl.frontier.admit(&crawl.store, now, [candidate]).unwrap();
        crawl.frontier.publish(admitted.admissions);
        crawl
    }

    fn lease(&mut self) -> Lease {
        match self.frontier.next(self.now) {
            Next::Ready(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    /// Answers the next request by a redirect, and lets the gap pass.
    fn redirect(&mut self, to: &Url) -> Completion {
        let id = self.lease().id;
        let kind = OutcomeKind::Redirect { status: 301, location: to.clone() };
        let outcome = Outcome { kind, latency: Duration::ZERO, ended_at: self.now.monotonic };
        let completion = self.frontier.complete(&self.store, id, self.now, outcome).unwrap();
        self.now.monotonic += Duration::from_secs(1);
        completion
    }
}

fn url(text: &str) -> Url {
    parse(text).unwrap()
}

#[test]
fn the_target_is_admitted_with_its_history_and_waits_for_the_gap() {
    let (from, to) = (url("http://a.example/old"), url("http://a.example/new"));
    let mut crawl = Crawl::new(Candidate::seed(&from));
    let Completion::Redirected { record, admission: Some(admission), refusal: None } =
        crawl.redirect(&to)
    else {
        panic!()
    };
    assert_eq!(record.reason, Reason::DuplicateOf { url: to.clone() });
    assert_eq!(admission.record.hops.len(), 1);
    assert_eq!((admission.record.hops[0].status, &admission.record.hops[0].url), (301, &from));
    crawl.frontier.publish([*admission]);
    crawl.now.monotonic = Duration::from_millis(999);
    assert!(matches!(crawl.frontier.next(crawl.now), Next::NotBefore(at) if at.as_secs() == 1));
    crawl.now.monotonic = Duration::from_secs(1);
    assert_eq!(crawl.lease().url, to);
}

#[test]
fn a_seed_brings_the_host_it_redirects_to_into_the_scope_and_a_link_does_not() {
    let to = url("http://b.example/");
    let seed = url("http://a.example/");
    let mut crawl = Crawl::new(Candidate::seed(&seed));
    assert!(matches!(crawl.redirect(&to), Completion::Redirected { admission: Some(_), .. }));
    let further = url("http://b.example/further");
    let candidates = [Candidate::link(&further, UrlKey::from_url(&to), 1)];
    let admitted = crawl.frontier.admit(&crawl.store, crawl.now, candidates).unwrap();
    assert_eq!(admitted.admissions.len(), 1);

    let mut crawl = Crawl::new(Candidate::link(&seed, UrlKey([0; 16]), 1));
    let Completion::Redirected { record, admission: None, refusal: Some(refusal) } =
        crawl.redirect(&to)
    else {
        panic!()
    };
    assert!(matches!(refusal.reason, Reason::OutOfScope { .. }));
    assert_eq!(record.reason, refusal.reason);
}

#[test]
fn loops_and_long_chains_end() {
    let (a, b) = (url("http://a.example/a"), url("http://a.example/b"));
    let mut crawl = Crawl::new(Candidate::seed(&a));
    let Completion::Redirected { admission, .. } = crawl.redirect(&b) else { panic!() };
    crawl.frontier.publish(admission.map(|a| *a));
    let Completion::Final(record) = crawl.redirect(&a) else { panic!() };
    assert!(matches!(&record.reason, Reason::Failed { cause } if cause.contains("loop")));
    let mut crawl = Crawl::new(Candidate::seed(&a));
    assert!(matches!(crawl.redirect(&a), Completion::Final(_)), "to itself");

    let mut crawl = Crawl::new(Candidate::seed(&a));
    for n in 0.. {
        let to = url(&format!("http://a.example/hop/{n}"));
        match crawl.redirect(&to) {
            Completion::Redirected { admission, .. } => {
                assert!(n < 10);
                crawl.frontier.publish(admission.map(|a| *a));
            }
            Completion::Final(record) => {
                assert_eq!((n, record.hops.len()), (10, 10));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn another_spelling_of_the_same_document_goes_on_under_one_record() {
    let from = url("http://a.example/x?utm_source=mail");
    let to = url("http://a.example/x");
    let mut crawl = Crawl::new(Candidate::seed(&from));
    let Completion::Again(record) = crawl.redirect(&to) else { panic!() };
    assert_eq!((&record.url, record.hops.len(), record.attempts), (&to, 1, 0));
    assert_eq!(crawl.lease().url, to);
}

#[test]
fn a_target_that_is_known_is_not_fetched_twice() {
    let (a, b) = (url("http://a.example/a"), url("http://a.example/b"));
    let mut crawl = Crawl::new(Candidate::seed(&a));
    let seed = [Candidate::seed(&b)];
    let admitted = crawl.frontier.admit(&crawl.store, crawl.now, seed).unwrap();
    crawl.frontier.publish(admitted.admissions);
    let Completion::Redirected { record, admission: None, refusal: None } = crawl.redirect(&b)
    else {
        panic!()
    };
    assert_eq!(record.reason, Reason::DuplicateOf { url: b });
}
