//! A crawl that is killed five times comes to the same pages as one that is not, and asks for no
//! page again that could be read after a kill.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use gristmill::model::Focus;
use gristmill::{Config, Job};
use parking_lot::{Condvar, Mutex};

use crate::support::PATIENCE;
use crate::support::server::{Request, Response, Server};
use crate::workshop::{Process, eager, infos, open, page, readable, run};

const PAGES: u32 = 400;
const KILLS: u64 = 5;
/// Requests that are answered between two kills.
const STEP: u64 = 50;
const DIRECTORY: &str = "GRISTMILL_TEST_KILLED_DIRECTORY";
const START: &str = "GRISTMILL_TEST_KILLED_START";
const ROUND: &str = "GRISTMILL_TEST_KILLED_ROUND";

/// Answers so many requests and holds back all others.
#[derive(Default)]
struct Gate {
    open: Mutex<(u64, u64)>,
    changed: Condvar,
}

impl Gate {
    /// Lets `more` further requests through, beside those that are held back now.
    fn allow(&self, more: u64) {
        let mut open = self.open.lock();
        open.1 = open.0 + more;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut open = self.open.lock();
        open.0 += 1;
        let (mine, end) = (open.0, Instant::now() + PATIENCE);
        self.changed.notify_all();
        while mine > open.1 && !self.changed.wait_until(&mut open, end).timed_out() {}
    }

    /// Waits until a request is held back.
    fn wait_closed(&self) -> bool {
        let mut open = self.open.lock();
        let end = Instant::now() + PATIENCE;
        while open.0 <= open.1 {
            if self.changed.wait_until(&mut open, end).timed_out() {
                return false;
            }
        }
        true
    }
}

/// Opens the gate when a test ends, however it does: the server waits for those held back.
struct Opening(Arc<Gate>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.allow(u64::MAX / 2);
    }
}

fn answer(request: &Request) -> Response {
    let number = request.path().strip_prefix("/page/").and_then(|text| text.parse::<u32>().ok());
    let Some(number) = number.filter(|number| *number < PAGES) else {
        return Response::status(404);
    };
    let links = [2 * number + 1, 2 * number + 2, (number * 7 + 3) % PAGES];
    let links = links.into_iter().filter(|link| *link < PAGES).map(|link| format!("/page/{link}"));
    let text = format!(
        "The lock keeper of gate {number} writes that the water stood {} inches high at noon. \
         He adds that {} barges waited for the sluice of gate {number} to open.",
        number * 3 + 1,
        number + 2
    );
    Response::html(&page(&format!("Gate {number}"), &text, links))
}

fn config(agent: &str) -> Config {
    let mut config = eager();
    agent.clone_into(&mut config.crawl.user_agent);
    config
}

fn job(start: &str) -> Job {
    Job::new("gates")
        .site(start)
        .focus(Focus::new("barges waiting for the sluice").max_infos_per_page(1))
}

/// Not a test of its own: the process that is killed.
#[test]
fn crawl_until_killed() {
    let (Ok(dir), Ok(start), Ok(round)) =
        (std::env::var(DIRECTORY), std::env::var(START), std::env::var(ROUND))
    else {
        return;
    };
    let engine = open(dir.as_ref(), config(&format!("round{round}/1")));
    run(&engine, job(&start));
}

#[test]
fn five_kills_change_nothing() {
    let gate = Arc::new(Gate::default());
    let gated = Arc::clone(&gate);
    let server = Server::start(move |request: &Request| {
        let controlled = request.header("user-agent").is_some_and(|it| it.starts_with("round"));
        if controlled && request.path() != "/robots.txt" {
            gated.pass();
        }
        answer(request)
    })
    .unwrap();
    let _opening = Opening(Arc::clone(&gate));
    let (start, dir) = (server.url("/page/0"), tempfile::tempdir().unwrap());
    let path = dir.path().to_str().unwrap();
    let mut kept: Vec<BTreeSet<String>> = Vec::new();
    for round in 0..KILLS {
        gate.allow(STEP);
        let number = round.to_string();
        let variables = [(DIRECTORY, path), (START, start.as_str()), (ROUND, number.as_str())];
        let child = Process::start("killed_and_resumed::crawl_until_killed", &variables);
        assert!(gate.wait_closed(), "round {round} asks for nothing more");
        child.kill();
        let engine = open(dir.path(), eager());
        kept.push(readable(&engine));
        let check = engine.check().unwrap();
        assert!(check.is_clean(), "after kill {round}: {check}");
        drop(engine);
    }
    gate.allow(u64::from(PAGES) * 2);
    let last = config(&format!("round{KILLS}/1"));
    let engine = open(dir.path(), last);
    let report = run(&engine, job(&start));
    assert_eq!(report.stopped, None);
    assert_eq!(report.pages, u64::from(PAGES), "pages of all processes count");

    let whole = tempfile::tempdir().unwrap();
    let unharmed = open(whole.path(), config("unharmed/1"));
    run(&unharmed, job(&start));
    assert_eq!(readable(&unharmed).len(), PAGES as usize);
    assert_eq!(readable(&engine), readable(&unharmed));
    let facts = |engine| -> BTreeSet<(String, String)> {
        infos(engine).into_iter().map(|info| (info.url.into(), info.fact)).collect()
    };
    assert!(!facts(&engine).is_empty());
    assert_eq!(facts(&engine), facts(&unharmed));
    assert_eq!(infos(&engine).len(), infos(&unharmed).len(), "an info came twice");

    assert!(kept.last().is_some_and(|kept| !kept.is_empty()), "nothing outlived five kills");
    for exchange in server.log() {
        let agent = exchange.request.header("user-agent").unwrap_or_default();
        let Some(round) = agent.strip_prefix("round").and_then(|rest| rest.strip_suffix("/1"))
        else {
            continue;
        };
        let round: usize = round.parse().unwrap();
        let url = server.url(exchange.request.target());
        let known = kept.iter().take(round).any(|kept| kept.contains(&url));
        assert!(!known, "{url} was asked for again in round {round}");
    }
}
