//! What is promised to servers, measured at the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gristmill::Job;
use parking_lot::Mutex;

use crate::support::server::{Request, Response, Server};
use crate::workshop::{Tally, eager, open, page, run};

const GAP: Duration = Duration::from_millis(50);

#[test]
fn a_thousand_pages_of_one_host_take_no_more_connections_than_allowed() {
    const PAGES: usize = 1000;
    const CAP: usize = 4;
    let together = Tally::default();
    let arrived = together.clone();
    let server = Server::start(move |request: &Request| {
        let Some(number) = request.path().strip_prefix("/page/") else {
            return Response::status(404);
        };
        let number: usize = number.parse().unwrap();
        // The first few wait for each other: as many as are allowed are indeed under way at once.
        if (1..=CAP).contains(&number) {
            arrived.add(1);
            assert!(arrived.wait(CAP as u64), "only {} came together", arrived.get());
        }
        let links = (number * 10 + 1..=number * 10 + 10).filter(|link| *link < PAGES);
        let links = links.map(|link| format!("/page/{link}"));
        Response::html(&page(&format!("Page {number}"), &format!("This is leaf {number}."), links))
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.concurrency = 64;
    config.crawl.per_host = CAP;
    config.crawl.extract = false;
    let engine = open(dir.path(), config);
    let report = run(&engine, Job::new("host").site(server.url("/page/0")));
    assert_eq!(report.pages, PAGES as u64);
    assert_eq!(together.get(), CAP as u64);
    assert_eq!(server.connections().peak, CAP, "{:?}", server.connections());
}

/// When each answer was begun and when it was ready to be sent: a server that takes its time in
/// writing only makes the gaps that the client kept look longer than they are.
type Times = Arc<Mutex<Vec<(Instant, Instant, String)>>>;

#[test]
fn the_gap_between_requests_holds_for_pages_redirects_and_robots() {
    let times = Times::default();
    let noted = Arc::clone(&times);
    let failures = AtomicUsize::new(0);
    let server = Server::start(move |request: &Request| {
        let begun = Instant::now();
        let answer = match request.path() {
            "/robots.txt" => Response::redirect(301, "/rules.txt"),
            "/rules.txt" => {
                Response::ok("text/plain", "User-agent: *\nDisallow: /not/\n".as_bytes())
            }
            "/" => {
                let links = ["/a", "/b", "/hop/1", "/not/this", "/missing", "/once-broken"];
                Response::html(&page("Home", "The start of it.", links.map(str::to_owned)))
            }
            "/hop/1" => Response::redirect(302, "/hop/2"),
            "/hop/2" => Response::redirect(307, "/end"),
            "/once-broken" if failures.fetch_add(1, Ordering::SeqCst) == 0 => Response::status(500),
            "/missing" => Response::status(404),
            path => Response::html(&page(path, &format!("This is {path}."), [])),
        };
        noted.lock().push((begun, Instant::now(), request.target().to_owned()));
        answer
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.delay = GAP;
    config.crawl.per_host = 1;
    let engine = open(dir.path(), config);
    let report = run(&engine, Job::new("gap").site(server.url("/")));
    assert_eq!((report.pages, report.failed), (5, 1), "{report:?}");

    let mut times = times.lock().clone();
    times.sort_by_key(|(begun, ..)| *begun);
    let order: Vec<_> = times.iter().map(|(.., path)| path.as_str()).collect();
    assert_eq!(order[..3], ["/robots.txt", "/rules.txt", "/"]);
    for path in ["/hop/1", "/hop/2", "/end", "/missing"] {
        assert_eq!(order.iter().filter(|asked| **asked == path).count(), 1, "{path} in {order:?}");
    }
    assert_eq!(order.iter().filter(|asked| **asked == "/once-broken").count(), 2);
    assert!(!order.contains(&"/not/this"));
    for pair in times.windows(2) {
        let gap = pair[1].0.saturating_duration_since(pair[0].1);
        assert!(gap >= GAP, "{} came {gap:?} after {}", pair[1].2, pair[0].2);
    }
    assert_eq!(server.connections().peak, 1);
}
