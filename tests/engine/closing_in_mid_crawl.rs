//! Closing in the middle of a crawl whose server does not answer: in time, without a thread left,
//! and the next engine on the directory goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gristmill::engine::StopReason;
use gristmill::model::Focus;
use gristmill::{Config, Job};

use crate::support::PATIENCE;
use crate::support::server::{Fault, Request, Response, Server};
use crate::workshop::{Process, Tally, eager, open, page, readable, run};

const CHILD: &str = "GRISTMILL_TEST_CLOSING";
const GOOD: usize = 30;
const HUNG: usize = 6;
const NEVER: Duration = Duration::from_hours(1);

/// Pages that link pages that are never answered while `hanging`; the answers that hang are
/// counted.
fn server(hanging: &Arc<AtomicBool>, hung: &Tally) -> Server {
    let (hanging, hung) = (Arc::clone(hanging), hung.clone());
    Server::start(move |request: &Request| {
        let path = request.path();
        let text = format!("Nothing but the sluice of {path} is described on this page.");
        if path == "/" {
            let good = (0..GOOD).map(|number| format!("/good/{number}"));
            let links = (0..HUNG).map(|number| format!("/hung/{number}")).chain(good);
            return Response::html(&page("Sluices", &text, links));
        }
        if path == "/robots.txt" {
            return Response::status(404);
        }
        let answer = Response::html(&page(path, &text, []));
        if !path.starts_with("/hung/") || !hanging.load(Ordering::SeqCst) {
            return answer;
        }
        hung.add(1);
        // Some send nothing, others headers without a body.
        if path.ends_with(['0', '2', '4']) {
            answer.delayed(NEVER)
        } else {
            answer.broken(Fault::Stall)
        }
    })
    .unwrap()
}

fn config() -> Config {
    let mut config = eager();
    // Fewer hang than may be asked at once, so the others get through.
    config.crawl.per_host = HUNG + 2;
    config
}

/// Names of the threads of this process, but for those of the server and of the test program.
#[cfg(target_os = "linux")]
fn threads() -> BTreeSet<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let names = names.map(|name| name.trim().to_owned());
    names.filter(|name| !name.starts_with("server-")).collect()
}

/// Waits until the threads are those of before: a thread that was joined stands in the list until
/// the kernel has taken it away, which tells nobody.
#[cfg(target_os = "linux")]
fn assert_threads(before: &BTreeSet<String>) {
    let (_never, tick) = mpsc::channel::<()>();
    let end = Instant::now() + PATIENCE;
    while threads() != *before {
        assert!(Instant::now() < end, "left over: {:?}", threads());
        assert!(tick.recv_timeout(Duration::from_millis(5)).is_err());
    }
}

/// Runs in a process of its own, where all threads are its.
#[test]
fn close_and_resume() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let (hanging, hung) = (Arc::new(AtomicBool::new(true)), Tally::default());
    let server = server(&hanging, &hung);
    let dir = tempfile::tempdir().unwrap();
    #[cfg(target_os = "linux")]
    let before = threads();
    let engine = open(dir.path(), config());
    let job = Job::new("sluices").site(server.url("/")).focus(Focus::new("sluice"));
    let running = engine.run(job.clone()).unwrap();
    assert!(hung.wait(HUNG as u64), "the pages that hang were not asked for");
    #[cfg(target_os = "linux")]
    assert!(threads().iter().any(|name| name.starts_with("crawl-")), "{:?}", threads());
    engine.close(Duration::from_secs(1)).unwrap();
    let report = running.wait().unwrap();
    assert_eq!(report.stopped, Some(StopReason::Cancelled));
    drop(engine);
    #[cfg(target_os = "linux")]
    assert_threads(&before);

    hanging.store(false, Ordering::SeqCst);
    let engine = open(dir.path(), config());
    let kept = readable(&engine);
    let asked = server.requests();
    let report = run(&engine, job);
    assert_eq!((report.stopped, report.pages), (None, (1 + GOOD + HUNG) as u64));
    assert_eq!(readable(&engine).len(), 1 + GOOD + HUNG);
    for exchange in server.log().into_iter().skip(asked).filter(|e| e.status == 200) {
        let url = server.url(exchange.request.target());
        assert!(!kept.contains(&url), "{url} was stored and asked for again");
    }
}

#[test]
fn closing_is_in_time_and_leaves_no_thread() {
    let mut child = Process::start("closing_in_mid_crawl::close_and_resume", &[(CHILD, "1")]);
    let status = child.0.wait().unwrap();
    let mut output = String::new();
    std::io::Read::read_to_string(&mut child.0.stdout.take().unwrap(), &mut output).unwrap();
    assert!(status.success() && output.contains("1 passed"), "{output}");
}

#[test]
fn a_crawl_that_waits_for_its_turn_is_closed_at_once() {
    let server = Server::start(|request: &Request| match request.path() {
        "/robots.txt" => Response::status(404),
        path => Response::html(&page(path, "A page of the long wait.", ["/next".to_owned()])),
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.delay = NEVER;
    let engine = open(dir.path(), config);
    let running = engine.run(Job::new("wait").site(server.url("/"))).unwrap();
    assert!(server.wait_for(1, PATIENCE));
    engine.close(PATIENCE).unwrap();
    let report = running.wait_timeout(Duration::ZERO).expect("close waits for its runs").unwrap();
    assert_eq!(report.stopped, Some(StopReason::Cancelled));
    assert_eq!(server.requests(), 1, "the gap was not kept");
}
