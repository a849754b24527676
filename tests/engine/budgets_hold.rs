//! Budgets end a run where they say, and the next run goes on from there.

use std::collections::BTreeSet;
use std::time::Duration;

use gristmill::Job;
use gristmill::engine::{InfoQuery, StopReason};
use gristmill::model::{Budget, BudgetKind, Focus, Source};

use crate::support::server::{Request, Response, Server};
use crate::workshop::{eager, infos, open, page, pages, readable, run};

const PAGES: u64 = 60;

/// Sixty pages of the same length, each linked from the first.
fn sixty() -> Server {
    Server::start(|request: &Request| {
        if request.path() == "/sitemap.xml" {
            let host = request.header("host").unwrap_or_default();
            let list = format!("<urlset><url><loc>http://{host}/page/7</loc></url></urlset>");
            return Response::ok("application/xml", list.into_bytes());
        }
        let Some(number) = request.path().strip_prefix("/page/") else {
            return Response::status(404);
        };
        let links = (1..PAGES).filter(|_| number == "0").map(|link| format!("/page/{link}"));
        let text = format!("Barge number {number} carries wheat to the lower mill.");
        let html = page(&format!("Barge {number}"), &text, links);
        Response::html(&format!("{html:<8000}"))
    })
    .unwrap()
}

const fn used_up(kind: BudgetKind) -> StopReason {
    StopReason::Budget(kind)
}

#[test]
fn the_budget_of_pages_is_exact_and_each_run_goes_on() {
    let server = sixty();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.concurrency = 16;
    config.crawl.per_host = 16;
    // In the same engine, and in the next.
    let job = |most| {
        let budget = Budget { max_pages: most, ..Budget::default() };
        let sitemap = Source::Sitemap(server.url("/sitemap.xml"));
        Job::new("barges").site(server.url("/page/0")).source(sitemap).budget(budget)
    };
    let engine = open(dir.path(), config.clone());
    for most in [10, 25] {
        let report = run(&engine, job(Some(most)));
        assert_eq!((report.pages, report.stopped), (most, Some(used_up(BudgetKind::Pages))));
        assert_eq!(pages(&engine).len() as u64, most);
    }
    drop(engine);
    let engine = open(dir.path(), config);
    let report = run(&engine, job(Some(33)));
    assert_eq!((report.pages, pages(&engine).len()), (33, 33));
    let report = run(&engine, job(None));
    assert_eq!((report.pages, report.stopped), (PAGES, None));
    assert_eq!(readable(&engine).len() as u64, PAGES);
    for number in 0..PAGES {
        assert_eq!(server.hits(&format!("/page/{number}")), 1, "page {number}");
    }
}

#[test]
fn a_budget_that_ends_with_the_last_page_leaves_a_finished_run() {
    let server = sixty();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let budget = Budget { max_pages: Some(PAGES), ..Budget::default() };
    let job = || Job::new("whole").site(server.url("/page/0")).budget(budget);
    let report = run(&engine, job());
    assert_eq!((report.pages, report.stopped), (PAGES, None));
    // A finished job is run again: its pages are asked for once more.
    assert_eq!(run(&engine, job()).pages, PAGES);
    assert_eq!(server.hits("/page/7"), 2);
}

#[test]
fn the_budget_of_bytes_is_passed_by_less_than_a_page_of_each_exchange() {
    let server = sixty();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.per_host = 1;
    let engine = open(dir.path(), config);
    let budget = Budget { max_bytes: Some(45_000), ..Budget::default() };
    let report = run(&engine, Job::new("bytes").site(server.url("/page/0")).budget(budget));
    assert_eq!(report.stopped, Some(used_up(BudgetKind::Bytes)));
    assert!((45_000..45_000 + 9_000).contains(&report.bytes), "{report:?}");
    let received: u64 = pages(&engine).iter().map(|page| page.bytes).sum();
    assert_eq!(report.bytes, received);
}

#[test]
fn the_budget_of_time_ends_a_run_whose_server_never_answers() {
    let server = Server::start(|request: &Request| match request.path() {
        "/robots.txt" => Response::status(404),
        _ => Response::status(200).delayed(Duration::from_hours(1)),
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let budget = Budget { max_time: Some(Duration::from_millis(300)), ..Budget::default() };
    let report = run(&engine, Job::new("time").site(server.url("/")).budget(budget));
    assert_eq!((report.stopped, report.pages), (Some(used_up(BudgetKind::Time)), 0));
    assert!(report.seconds >= 0.3);
}

#[test]
fn cancelling_keeps_what_is_stored_and_the_run_goes_on_later() {
    let server = sixty();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let job = Job::new("cancel").site(server.url("/page/0"));
    let running = engine.run(job.clone()).unwrap();
    assert!(
        matches!(
            engine.run(job.clone()),
            Err(gristmill::Error::AlreadyRunning { job }) if job == "cancel"
        ) || running.progress().done
    );
    assert!(server.wait_for(5, crate::support::PATIENCE));
    running.cancel();
    let report = running.wait().unwrap();
    let kept = readable(&engine);
    assert_eq!(report.pages, kept.len() as u64);
    let report = run(&engine, job);
    assert_eq!((report.pages, report.stopped), (PAGES, None));
    let pages: BTreeSet<_> = (0..PAGES).map(|page| server.url(&format!("/page/{page}"))).collect();
    assert_eq!(readable(&engine), pages);
}

#[test]
fn a_further_focus_distils_what_is_stored_without_a_request() {
    let server = sixty();
    let dir = tempfile::tempdir().unwrap();
    let site = server.url("/page/0");
    {
        let engine = open(dir.path(), eager());
        let report = run(&engine, Job::new("first").site(&site).focus(Focus::new("harbour")));
        assert_eq!((report.pages, report.infos), (PAGES, 0));
    }
    let asked = server.requests();
    let engine = open(dir.path(), eager());
    let budget = Budget { max_pages: Some(0), ..Budget::default() };
    let focus = Focus::new("wheat carried to the lower mill");
    let report = run(&engine, Job::new("second").site(&site).focus(focus).budget(budget));
    assert_eq!(server.requests(), asked);
    assert_eq!(report.infos, PAGES, "{report:?}");
    let found: BTreeSet<String> = infos(&engine).into_iter().map(|info| info.url.into()).collect();
    assert_eq!(found, readable(&engine));
    let other = InfoQuery { focus: Some("harbour".into()), ..InfoQuery::default() };
    assert_eq!(engine.infos(&other).unwrap().count(), 0);
}
