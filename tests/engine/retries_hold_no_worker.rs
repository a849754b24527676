//! A model's server that is busy: rows wait for it without a worker, and nothing is paid twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gristmill::engine::StopReason;
use gristmill::model::Focus;
use gristmill::{Config, Engine, Job, Report};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::server::{Request, Response, Server};
use crate::workshop::{Tally, eager, infos, open, page, run};

const BEGINNING: &str = "The toll at the ";
const SIDES: [&str; 2] = ["east", "west"];

/// What the model was asked about: a road and one of its gates.
type Question = (String, String);

/// Pages with two facts each, too far apart for one prompt.
fn site() -> Server {
    Server::start(|request: &Request| {
        let Some(road) = request.path().strip_prefix("/road/") else {
            return Response::status(404);
        };
        let half = |side: &&str| {
            let about = "It was paid for each wagon, and the keeper wrote it down in his book. ";
            format!("{BEGINNING}{side} gate of road {road} was {road} pence. {}", about.repeat(16))
        };
        let halves: Vec<String> = SIDES.iter().map(half).collect();
        Response::html(&page(&format!("Road {road}"), &halves.join("</p><p>"), []))
    })
    .unwrap()
}

/// A model that quotes the sentence on the toll, unless `busy` has another answer to a question,
/// given those before it.
struct Model {
    server: Server,
    asked: Arc<Mutex<Vec<Question>>>,
    count: Tally,
}

impl Model {
    fn start(
        busy: impl Fn(&Question, &[Question]) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let (asked, count) = (Arc::new(Mutex::new(Vec::new())), Tally::default());
        let (log, tally) = (Arc::clone(&asked), count.clone());
        let server = Server::start(move |request: &Request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let messages = body["messages"].as_array().unwrap();
            let prompt = messages.last().unwrap()["content"].as_str().unwrap();
            let sentence = prompt[prompt.find(BEGINNING).unwrap()..].split_inclusive('.').next();
            let sentence = sentence.unwrap();
            let words: Vec<&str> = sentence.split(' ').collect();
            let question = (words[8].to_owned(), words[4].to_owned());
            let mut log = log.lock();
            let answer = busy(&question, &log).unwrap_or_else(|| says(sentence));
            log.push(question);
            tally.add(1);
            answer
        })
        .unwrap();
        Self { server, asked, count }
    }

    fn config(&self) -> Config {
        let mut config = eager();
        config.llm.url = Some(self.server.url("/v1"));
        config.llm.model = Some("tiny".to_owned());
        config.llm.concurrency = 1;
        config.llm.max_prompt_bytes = 3000;
        config
    }

    /// How often each question was asked.
    fn counts(&self) -> HashMap<Question, usize> {
        let mut counts = HashMap::new();
        for question in &*self.asked.lock() {
            *counts.entry(question.clone()).or_default() += 1;
        }
        counts
    }
}

fn says(sentence: &str) -> Response {
    let content = json!({"infos": [{"fact": sentence, "quote": sentence}]}).to_string();
    let answer = json!({"model": "tiny", "choices": [
        {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 10}});
    Response::ok("application/json", answer.to_string().into_bytes())
}

fn job(site: &Server, roads: usize) -> Job {
    let sites = (1..=roads).map(|road| site.url(&format!("/road/{road}")));
    let job = sites.fold(Job::new("tolls"), Job::site);
    job.focus(Focus::new("toll at the gate of the road"))
}

fn part(engine: &Engine, part: &str) -> Value {
    engine.stats().unwrap().parts[part].clone()
}

/// Everything was distilled, and every question was a call that was paid for once.
fn assert_complete(engine: &Engine, report: &Report, roads: usize) {
    assert_eq!((report.stopped, report.distil_failed), (None, 0), "{report:?}");
    let infos = infos(engine);
    assert_eq!(infos.len(), roads * SIDES.len(), "{infos:?}");
    assert_eq!(report.llm.calls + report.llm.cache_hits, infos.len() as u64);
    assert_eq!(report.llm.tokens_in + report.llm.tokens_out, report.llm.calls * 100);
}

#[test]
fn while_one_row_waits_the_only_worker_distils_others() {
    const ROADS: usize = 6;
    // The second question on the first road is not answered before one on another road was asked:
    // a worker that sits the waits out never gets there.
    let model = Model::start(|question, before| {
        let first = before.first()?;
        let stuck = question.0 == first.0 && question.1 != first.1;
        let others = before.iter().any(|asked| asked.0 != first.0);
        (stuck && !others).then(|| Response::status(429).with("Retry-After", "1"))
    });
    let (site, dir) = (site(), tempfile::tempdir().unwrap());
    let engine = open(dir.path(), model.config());
    // All pages are stored before the first row is distilled, so that there are others.
    run(&engine, Job { focuses: Vec::new(), ..job(&site, ROADS) });
    let report = run(&engine, job(&site, ROADS));
    assert_complete(&engine, &report, ROADS);
    assert_eq!(report.llm.cache_hits, 0, "the page is gone on with, not gone through again");
    assert!(infos(&engine).iter().all(|info| !info.cache_hit));
    let asked = model.asked.lock().clone();
    let first = asked[0].clone();
    for (question, count) in model.counts() {
        let put_off = question.0 == first.0 && question.1 != first.1;
        assert!(if put_off { count >= 2 } else { count == 1 }, "{question:?}: {asked:?}");
    }
    assert_eq!(part(&engine, "llm")["put_off"], asked.len() - ROADS * SIDES.len());
}

#[test]
fn an_engine_that_is_closed_in_the_wait_leaves_the_rows_and_keeps_the_answers() {
    const ROADS: usize = 3;
    let down = Arc::new(Mutex::new(true));
    let is_down = Arc::clone(&down);
    let model = Model::start(move |question, before| {
        let second = before.iter().any(|asked| asked.0 == question.0);
        let busy = || Response::status(503).with("Retry-After", "50");
        (second && *is_down.lock()).then(busy)
    });
    let (site, dir) = (site(), tempfile::tempdir().unwrap());
    {
        let engine = open(dir.path(), model.config());
        let running = engine.run(job(&site, ROADS)).unwrap();
        // One answer a page, and one question that is put off: each page waits then.
        assert!(model.count.wait(2 * ROADS as u64), "{:?}", model.asked.lock());
        engine.close(PATIENCE).unwrap();
        let report = running.wait().unwrap();
        assert_eq!((report.stopped, report.infos), (Some(StopReason::Cancelled), 0));
        // The answer to the last one may have been cut off on its way, which ends that call.
        let ended = report.llm.calls - ROADS as u64;
        assert!(ended <= 1 && report.distil_failed == 0, "{report:?}");
    }
    assert_eq!(model.count.get(), 2 * ROADS as u64, "nobody asks again");
    *down.lock() = false;
    let paid = model.asked.lock().clone();
    let engine = open(dir.path(), model.config());
    let report = run(&engine, job(&site, ROADS));
    assert_complete(&engine, &report, ROADS);
    assert_eq!(report.llm.cache_hits, ROADS as u64);
    for (question, count) in model.counts() {
        let answered = paid.iter().find(|asked| asked.0 == question.0) == Some(&question);
        assert_eq!(count, if answered { 1 } else { 2 }, "{question:?}");
    }
}

#[test]
fn a_server_that_is_down_is_asked_a_bounded_number_of_times() {
    const ROADS: usize = 20;
    /// Of the client's policy.
    const ATTEMPTS: usize = 5;
    /// After which a run distils no further.
    const FAILURES: usize = 5;
    /// Rows that wait while one is asked about.
    const WAITING: usize = 4;
    let down = Arc::new(Mutex::new(true));
    let is_down = Arc::clone(&down);
    let model = Model::start(move |_, _| {
        let busy = || Response::status(503).with("Retry-After-Ms", "1");
        is_down.lock().then(busy)
    });
    let (site, dir) = (site(), tempfile::tempdir().unwrap());
    let engine = open(dir.path(), model.config());
    run(&engine, Job { focuses: Vec::new(), ..job(&site, ROADS) });
    let report = run(&engine, job(&site, ROADS));
    assert_eq!((report.distil_failed, report.infos), (FAILURES as u64, 0), "{report:?}");
    let counts = model.counts();
    assert!(counts.len() <= FAILURES + WAITING, "{counts:?}");
    assert_eq!(counts.values().filter(|count| **count == ATTEMPTS).count(), FAILURES);
    assert!(counts.values().all(|count| *count <= ATTEMPTS), "{counts:?}");
    *down.lock() = false;
    let report = run(&engine, job(&site, ROADS));
    assert_complete(&engine, &report, ROADS);
}

#[test]
fn two_jobs_at_once_have_no_more_workers_than_calls() {
    const ROADS: usize = 4;
    let model = Model::start(|_, _| None);
    let (site, dir) = (site(), tempfile::tempdir().unwrap());
    let engine = open(dir.path(), model.config());
    let other = Focus::new("what the keeper of the toll gate wrote");
    let other = Job { name: "keepers".into(), focuses: vec![other], ..job(&site, ROADS) };
    let both = [job(&site, ROADS), other].map(|job| engine.run(job).unwrap());
    for run in both {
        let report = run.wait_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!((report.stopped, report.distil_failed), (None, 0));
    }
    // One that is more would wait for a permit of the client.
    assert_eq!(part(&engine, "distil_pool")["workers"]["peak"], 1);
}

#[test]
fn a_wait_longer_than_the_policy_allows_fails_the_row_at_once() {
    let patience = Arc::new(Mutex::new(Duration::from_hours(2)));
    let asks_for = Arc::clone(&patience);
    let model = Model::start(move |_, _| {
        let seconds = asks_for.lock().as_secs().to_string();
        (seconds != "0").then(|| Response::status(429).with("Retry-After", &seconds))
    });
    let (site, dir) = (site(), tempfile::tempdir().unwrap());
    let engine = open(dir.path(), model.config());
    let report = run(&engine, job(&site, 1));
    assert_eq!((report.distil_failed, model.count.get()), (1, 1));
    *patience.lock() = Duration::ZERO;
    let report = run(&engine, job(&site, 1));
    assert_complete(&engine, &report, 1);
}
