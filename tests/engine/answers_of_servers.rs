//! What servers answer, and what becomes of the URL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill::Job;
use gristmill::model::Reason;
use parking_lot::Mutex;

use crate::support::scripted::Scripted;
use crate::support::server::{Fault, Request, Response, Server};
use crate::workshop::{eager, open, page, readable, run, why};

#[test]
fn a_source_that_redirects_to_another_host_takes_the_scope_with_it() {
    let server = Server::start(|request: &Request| {
        let host = request.header("host").unwrap_or_default();
        let port = host.rsplit(':').next().unwrap_or_default();
        match request.path() {
            "/robots.txt" => Response::status(404),
            path if host.starts_with("localhost") => {
                Response::redirect(301, &format!("http://127.0.0.1:{port}/moved{path}"))
            }
            "/moved/" => {
                let foreign = format!("http://localhost:{port}/old");
                let links = ["/second".to_owned(), "http://other.invalid/".to_owned(), foreign];
                Response::html(&page("Moved", "The new house of the society.", links))
            }
            "/second" | "/moved/old" => Response::html(&page("More", request.path(), [])),
            _ => Response::status(404),
        }
    })
    .unwrap();
    let port = server.address().port();
    let seed = format!("http://localhost:{port}/");
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let report = run(&engine, Job::new("moved").site(&seed));
    let stored = ["/moved/", "/moved/old", "/second"].map(|path| server.url(path));
    assert_eq!(readable(&engine), stored.clone().into());
    assert_eq!(report.pages, 3);
    assert_eq!(why(&engine, &seed), Reason::DuplicateOf { url: stored[0].parse().unwrap() });
    let hops = engine.why(&stored[0]).unwrap().remove(0).hops;
    assert_eq!((hops.len(), hops[0].status, hops[0].url.as_str()), (1, 301, seed.as_str()));
    assert!(matches!(why(&engine, "http://other.invalid/"), Reason::OutOfScope { .. }));
    let page = engine.get(&seed).unwrap().unwrap();
    assert_eq!(page.entry.url.as_str(), stored[0], "the old address finds the page");
}

#[test]
fn loops_of_redirects_end() {
    let script = Scripted::new()
        .on("/a", Response::redirect(302, "/b"))
        .on("/b", Response::redirect(302, "/c"))
        .on("/c", Response::redirect(302, "/a"))
        .on("/self", Response::redirect(301, "/self"));
    let server = Server::start(script).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let report = run(&engine, Job::new("loop").site(server.url("/a")).site(server.url("/self")));
    assert_eq!((report.pages, report.stopped), (0, None));
    for (path, hits) in [("/a", 1), ("/b", 1), ("/c", 1), ("/self", 1)] {
        assert_eq!(server.hits(path), hits, "{path}");
    }
    for path in ["/c", "/self"] {
        let Reason::Failed { cause } = why(&engine, &server.url(path)) else { panic!("{path}") };
        assert!(cause.contains("redirect loop"), "{cause}");
    }
}

#[test]
fn a_busy_server_is_asked_again_when_it_wants_to_be() {
    const WAIT: Duration = Duration::from_secs(2);
    let times: Arc<Mutex<Vec<(Instant, Instant)>>> = Arc::default();
    let noted = Arc::clone(&times);
    let server = Server::start(move |request: &Request| {
        if request.path() != "/" {
            return Response::status(404);
        }
        let begun = Instant::now();
        let mut noted = noted.lock();
        let answer = if noted.is_empty() {
            Response::status(429).with("Retry-After", "2")
        } else {
            Response::html(&page("Open", "The office is open again.", []))
        };
        noted.push((begun, Instant::now()));
        answer
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let report = run(&engine, Job::new("busy").site(server.url("/")));
    assert_eq!((report.pages, report.retries, report.failed), (1, 1, 0));
    assert_eq!(why(&engine, &server.url("/")), Reason::Done);
    let times = times.lock();
    assert_eq!(times.len(), 2);
    assert!(times[1].0 - times[0].1 >= WAIT, "{:?}", times[1].0 - times[0].1);
}

#[test]
fn what_cannot_be_stored_has_its_reason() {
    let links = ["/broken", "/gone", "/large", "/picture", "/cut", "/mute", "/fine"];
    let script = Scripted::new()
        .on("/", Response::html(&page("All", "Of all kinds.", links.map(str::to_owned))))
        .on("/broken", Response::status(500))
        .on("/gone", Response::status(410))
        .on("/large", Response::html(&"<p>more and more of it</p>".repeat(1000)))
        .on("/picture", Response::ok("image/png", vec![0_u8; 100]))
        .on("/cut", Response::html("0123456789").broken(Fault::CutBody(4)))
        .on("/mute", Response::status(200).broken(Fault::Close))
        .on("/fine", Response::html("<p>A page that is fine.</p>"));
    let server = Server::start(script).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.max_body_bytes = 4096;
    let engine = open(dir.path(), config);
    let report = run(&engine, Job::new("kinds").site(server.url("/")));
    let why = |path: &str| why(&engine, &server.url(path));
    assert_eq!(why("/broken"), Reason::Http { status: 500 });
    assert_eq!(server.hits("/broken"), 2, "as many attempts as configured");
    assert_eq!(why("/gone"), Reason::Http { status: 410 });
    assert_eq!(server.hits("/gone"), 1, "gone is gone");
    assert_eq!(why("/large"), Reason::TooLarge { limit: 4096 });
    assert_eq!(why("/picture"), Reason::NotHtml { media_type: "image/png".into() });
    for path in ["/cut", "/mute"] {
        assert!(matches!(why(path), Reason::Failed { .. }), "{path}: {:?}", why(path));
        assert_eq!(server.hits(path), 2, "{path}");
    }
    assert_eq!(why("/fine"), Reason::Done);
    assert_eq!((report.pages, report.failed, report.skipped), (2, 5, 1), "{report:?}");
    assert_eq!(report.retries, 3);
}

#[test]
fn a_private_address_is_not_contacted() {
    let server = Server::start(|_: &Request| Response::html("<p>the inside</p>")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.allow_private = false;
    let engine = open(dir.path(), config);
    let report = run(&engine, Job::new("inside").site(server.url("/")));
    assert_eq!((report.pages, report.failed), (0, 1));
    let Reason::BlockedAddress { address } = why(&engine, &server.url("/")) else {
        panic!("{:?}", why(&engine, &server.url("/")))
    };
    assert!(address.contains("127.0.0.1"), "{address}");
    assert_eq!(server.connections().total, 0);
}
