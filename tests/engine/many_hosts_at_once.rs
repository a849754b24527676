//! Many hosts of all tempers in one run: each keeps its own pace, and nothing is lost or asked
//! twice. Everything is measured at the server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use gristmill::model::Reason;
use gristmill::{Config, Engine, Job, Report};

use crate::many_hosts::{Answer, Fault, Host, Log, ManyHosts, Robots, Which};
use crate::workshop::{eager, readable, run, why};

const ALWAYS: u32 = u32::MAX;
const PAGES: u32 = 9;
const MS: Duration = Duration::from_millis(1);

fn open(dir: &Path, config: Config, server: &ManyHosts) -> Engine {
    Engine::builder(dir).config(config).resolver(server.names()).build().unwrap()
}

/// Crawls all hosts from their first pages.
fn crawl(engine: &Engine, server: &ManyHosts) -> Report {
    run(engine, server.seeds().fold(Job::new("hosts"), Job::site))
}

/// Every page of every host with the times that it is to be asked for, and whether it is stored in
/// the end, where a page is asked for `attempts` times at the most.
fn expected(server: &ManyHosts, attempts: u32) -> BTreeMap<String, (usize, bool)> {
    let mut pages = BTreeMap::new();
    for host in server.hosts() {
        for page in server.pages(host) {
            let fine =
                (0..attempts).position(|attempt| server.fault(host, &page, attempt).is_none());
            let asked = fine.map_or(attempts as usize, |failures| failures + 1);
            pages.insert(server.url(host, &page), (asked, fine.is_some()));
        }
    }
    pages
}

/// How often each page was asked for.
fn asked(server: &ManyHosts, log: &Log) -> BTreeMap<String, usize> {
    let mut pages = BTreeMap::new();
    for exchange in log.all().iter().filter(|exchange| exchange.path != "/robots.txt") {
        *pages.entry(server.url(&exchange.host, &exchange.path)).or_default() += 1;
    }
    pages
}

/// Forty hosts. Those with faults have nine pages, all linked from the first, so that a page which
/// never comes hides no other.
fn forty() -> ManyHosts {
    let path = |path, times| Which::Path { path, times };
    let some = |times| Which::Pages { share: 0.3, times };
    let host = || Host::new().pages(PAGES).latency(2 * MS).jitter(20 * MS).links_out(2);
    let slowly = Robots::Text("User-agent: *\nCrawl-delay: 0.15\nDisallow: /page/2\n".to_owned());
    let busy = Fault::Status { status: 429, retry_after: Some(1) };
    ManyHosts::builder()
        .seed(4)
        .hosts(24, &host().pages(12))
        .hosts(4, &host().robots(slowly))
        .hosts(3, &host().fault(path("/", 1), Fault::Reset).fault(some(1), Fault::status(500)))
        .hosts(3, &host().fault(path("/page/2", 1), Fault::Close).fault(some(1), Fault::Cut))
        .hosts(2, &host().fault(path("/page/3", 1), busy))
        .hosts(2, &host().fault(path("/page/4", ALWAYS), Fault::status(500)))
        .hosts(1, &host().fault(path("/page/4", ALWAYS), Fault::Cut))
        .hosts(1, &host().fault(path("/page/5", ALWAYS), Fault::Reset))
        .start()
        .unwrap()
}

#[test]
fn forty_hosts_are_walked_whole_each_at_its_own_pace() {
    const DELAY: Duration = Duration::from_millis(20);
    const CRAWL_DELAY: Duration = Duration::from_millis(150);
    const ATTEMPTS: u32 = 2;
    let server = forty();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    (config.crawl.per_host, config.crawl.concurrency) = (1, 24);
    (config.crawl.delay, config.crawl.max_attempts) = (DELAY, ATTEMPTS);
    let engine = open(dir.path(), config, &server);
    let report = crawl(&engine, &server);
    let log = server.log();

    // Disallowed pages are not asked for; all others as often as needed, and no more.
    let mut expected = expected(&server, ATTEMPTS);
    let slow: Vec<_> = server.hosts().skip(24).take(4).collect();
    for host in &slow {
        let url = server.url(host, "/page/2");
        expected.remove(&url).unwrap();
        assert!(matches!(why(&engine, &url), Reason::Robots { .. }));
    }
    let times: BTreeMap<_, _> =
        expected.iter().map(|(url, (times, _))| (url.clone(), *times)).collect();
    assert_eq!(asked(&server, &log), times);
    let fine: BTreeSet<_> =
        expected.iter().filter(|(_, (_, fine))| *fine).map(|(url, _)| url.clone()).collect();
    assert_eq!(readable(&engine), fine);
    assert_eq!(report.pages, fine.len() as u64);
    assert_eq!((report.failed, report.skipped), (4, slow.len() as u64), "{report:?}");
    for (url, _) in expected.iter().filter(|(_, (_, fine))| !fine) {
        let reason = why(&engine, url);
        let wanted = match server.fault(&host_of(url), "/page/4", 0) {
            Some(Fault::Status { status, .. }) => reason == Reason::Http { status },
            _ => matches!(reason, Reason::Failed { .. }),
        };
        assert!(wanted, "{url}: {reason:?}");
    }

    assert!(log.total_peak() <= 24, "{}", log.total_peak());
    for host in server.hosts() {
        assert_eq!((log.hits(host, "/robots.txt"), log.peak(host)), (1, 1), "{host}");
        let delay = if slow.contains(&host) { CRAWL_DELAY } else { DELAY };
        for (gap, exchange) in log.gaps(host) {
            assert!(gap >= delay, "{gap:?} before {exchange:?}");
        }
        let refused = log.of(host).position(|exchange| exchange.answer == Answer::Sent(429));
        if let Some(refused) = refused {
            let (gap, exchange) = log.gaps(host).nth(refused).unwrap();
            assert!(gap >= Duration::from_secs(1), "{gap:?} before {exchange:?}");
        }
    }
    assert_eq!(log.all().iter().filter(|exchange| exchange.answer == Answer::Sent(429)).count(), 2);
}

fn host_of(url: &str) -> String {
    let url: gristmill::url::Url = url.parse().unwrap();
    url.host_str().unwrap().to_owned()
}

#[test]
fn no_host_is_asked_more_at_once_than_allowed() {
    const PER_HOST: usize = 3;
    let host = Host::new().pages(40).latency(MS).jitter(15 * MS).links_out(3);
    let server = ManyHosts::builder().seed(9).hosts(12, &host).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    (config.crawl.per_host, config.crawl.concurrency) = (PER_HOST, 20);
    let engine = open(dir.path(), config, &server);
    let report = crawl(&engine, &server);
    let log = server.log();
    assert_eq!((report.pages, report.failed, report.retries), (12 * 40, 0, 0));
    assert!(asked(&server, &log).values().all(|times| *times == 1));
    assert_eq!(readable(&engine), expected(&server, 1).into_keys().collect());
    assert!(log.total_peak() <= 20, "{}", log.total_peak());
    for host in server.hosts() {
        assert!(log.peak(host) <= PER_HOST, "{host}: {}", log.peak(host));
        let connections: BTreeSet<_> = log.of(host).map(|exchange| exchange.connection).collect();
        assert!(connections.len() <= PER_HOST, "{host}: {connections:?}");
    }
}

#[test]
fn dead_hosts_have_their_reasons_and_hold_up_nobody() {
    let path = |path| Which::Path { path, times: ALWAYS };
    let stalls = Host::new().pages(PAGES).fault(path("/page/1"), Fault::Stall);
    let server = ManyHosts::builder()
        .hosts(3, &Host::new().pages(PAGES))
        .host("refuses.test", Host::new().refusing())
        .host("unknown.test", Host::new().unknown())
        .host("mute.test", Host::new().fault(Which::Every, Fault::Close))
        .host("ill.test", Host::new().fault(path("/robots.txt"), Fault::status(503)))
        .host("stalls.test", stalls)
        .start()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.max_attempts = 1;
    config.crawl.total_timeout = Duration::from_secs(3);
    {
        let mut strict = config.clone();
        strict.crawl.allow_private = false;
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path(), strict, &server);
        assert_eq!(crawl(&engine, &server).pages, 0);
        let reason = why(&engine, &server.url("site0.test", "/"));
        assert_eq!(reason, Reason::BlockedAddress { address: "127.1.0.1".to_owned() });
        assert!(server.log().all().is_empty());
    }
    let engine = open(dir.path(), config, &server);
    let report = crawl(&engine, &server);
    assert_eq!((report.pages, report.stopped), (3 * u64::from(PAGES) + u64::from(PAGES) - 1, None));
    for (host, said) in [
        ("refuses.test", "cannot connect"),
        ("unknown.test", "does not resolve"),
        ("mute.test", "robots.txt could not be fetched"),
        ("ill.test", "503"),
    ] {
        let reason = why(&engine, &server.url(host, "/"));
        assert!(matches!(&reason, Reason::Robots { line } if line.contains(said)), "{reason:?}");
    }
    let reason = why(&engine, &server.url("stalls.test", "/page/1"));
    assert!(
        matches!(&reason, Reason::Failed { cause } if cause.contains("timed out")),
        "{reason:?}"
    );
    let log = server.stop();
    let stalled = log.of("stalls.test").find(|exchange| exchange.answer == Answer::Stalled);
    assert!(stalled.is_some_and(|exchange| exchange.path == "/page/1"), "{stalled:?}");
    for host in ["mute.test", "ill.test"] {
        assert_eq!(log.of(host).count(), 1, "{host}: nothing but its robots.txt");
    }
}
