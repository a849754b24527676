//! Distilling by a model behind an OpenAI-compatible server: what is believed, what is paid for,
//! and what happens when it cannot be asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gristmill::engine::{InfoQuery, Quarantined, StopReason};
use gristmill::model::{Budget, BudgetKind, Focus};
use gristmill::{Config, Engine, Job};
use serde_json::{Value, json};

use crate::support::server::{Request, Response, Server};
use crate::workshop::{eager, infos, open, page, pages, run};

const FACTS: usize = 8;
const TOKENS: u64 = 100;
const BEGINNING: &str = "The toll at gate ";

/// A site of pages with one fact each, and one that makes the model rave.
pub(crate) fn site() -> Server {
    Server::start(|request: &Request| {
        let path = request.path();
        let text = match path.strip_prefix("/gate/") {
            Some(number) => format!("{BEGINNING}{number} was {number} pence in the year 1790."),
            None if path == "/" => "All gates with a toll are listed here.".to_owned(),
            None if path == "/rave" => "The toll at no gate is known to the keeper Ulm.".to_owned(),
            None => return Response::status(404),
        };
        let gates = (1..=FACTS).map(|number| format!("/gate/{number}"));
        let links = gates.chain(["/rave".to_owned()]).filter(|_| path == "/");
        Response::html(&page(&format!("Tolls {path}"), &text, links))
    })
    .unwrap()
}

/// The model: finds the sentence of a gate and quotes it; makes things up about the keeper.
pub(crate) fn model(calls: &Arc<AtomicU64>) -> Server {
    let calls = Arc::clone(calls);
    Server::start(move |request: &Request| {
        assert_eq!((request.method(), request.path()), ("POST", "/v1/chat/completions"));
        let number = calls.fetch_add(1, Ordering::SeqCst) + 1;
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["model"], "tiny");
        let messages = body["messages"].as_array().unwrap();
        let prompt = messages.last().unwrap()["content"].as_str().unwrap();
        let found: Vec<Value> = if let Some(at) = prompt.find(BEGINNING) {
            let sentence = prompt[at..].split_inclusive('.').next().unwrap();
            vec![json!({"fact": sentence, "quote": sentence})]
        } else if prompt.contains("keeper Ulm") {
            let claim = json!({
                "fact": "The keeper Ulm took 99 pence in 1801.",
                "quote": "Ulm wrote that he had taken 99 pence in 1801",
            });
            vec![claim.clone(), claim]
        } else {
            Vec::new()
        };
        let answer = json!({
            "id": format!("request-{number}"),
            "model": "tiny-as-served",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": json!({"infos": found}).to_string()},
                "finish_reason": "stop",
            }],
            "usage": {"prompt_tokens": TOKENS - 10, "completion_tokens": 10, "total_tokens": TOKENS},
        });
        Response::ok("application/json", answer.to_string().into_bytes())
    })
    .unwrap()
}

pub(crate) fn config(address: &str) -> Config {
    let mut config = eager();
    config.llm.url = Some(format!("http://{address}/v1"));
    config.llm.model = Some("tiny".to_owned());
    config
}

pub(crate) fn job(site: &Server) -> Job {
    Job::new("tolls").site(site.url("/")).focus(Focus::new("toll at the gate"))
}

fn quarantined(engine: &Engine) -> Vec<Quarantined> {
    engine.quarantined(&InfoQuery::default()).unwrap().map(Result::unwrap).collect()
}

fn gates(site: &Server, engine: &Engine) {
    let found: BTreeSet<String> = infos(engine).into_iter().map(|info| info.url.into()).collect();
    let expected: BTreeSet<_> =
        (1..=FACTS).map(|number| site.url(&format!("/gate/{number}"))).collect();
    assert_eq!(found, expected);
}

#[test]
fn grounded_answers_become_infos_once_and_nonsense_never_does() {
    let (site, calls) = (site(), Arc::new(AtomicU64::new(0)));
    let model = model(&calls);
    let dir = tempfile::tempdir().unwrap();
    let first = {
        let engine = open(dir.path(), config(&model.address().to_string()));
        let report = run(&engine, job(&site));
        let paid = calls.load(Ordering::SeqCst);
        assert!(paid > FACTS as u64, "{paid} calls");
        assert_eq!((report.llm.calls, report.llm.cache_hits), (paid, 0));
        assert_eq!(report.llm.tokens_in + report.llm.tokens_out, paid * TOKENS);
        assert_eq!(report.infos, FACTS as u64);
        gates(&site, &engine);
        for info in infos(&engine) {
            assert_eq!(info.model.as_deref(), Some("tiny-as-served"));
            assert!(info.request_id.is_some_and(|id| id.starts_with("request-")));
            assert!(!info.cache_hit);
        }
        let refused = quarantined(&engine);
        // Twice in one answer: each claim that is counted is kept.
        assert_eq!((report.quarantined, refused.len()), (2, 2), "{refused:?}");
        assert!(refused[0].fact.contains("99 pence") && refused[0].url.path() == "/rave");
        infos(&engine)
    };
    // The same questions again, of another job and in another process's place.
    let paid = calls.load(Ordering::SeqCst);
    let engine = open(dir.path(), config(&model.address().to_string()));
    let again = Job { name: "again".into(), ..job(&site) };
    let report = run(&engine, again);
    assert_eq!((calls.load(Ordering::SeqCst), report.llm.calls), (paid, 0));
    assert_eq!(report.llm.cache_hits, paid);
    assert_eq!(report.llm.tokens_in + report.llm.tokens_out, 0);
    assert_eq!(infos(&engine), first);
}

#[test]
fn the_budget_of_tokens_stops_the_spending_and_the_next_run_goes_on() {
    let (site, calls) = (site(), Arc::new(AtomicU64::new(0)));
    let model = model(&calls);
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&model.address().to_string());
    config.llm.concurrency = 1;
    let engine = open(dir.path(), config);
    let budget = Budget { max_tokens: Some(3 * TOKENS), ..Budget::default() };
    let report = run(&engine, job(&site).budget(budget));
    assert_eq!(report.stopped, Some(StopReason::Budget(BudgetKind::Tokens)));
    assert_eq!((report.llm.calls, calls.load(Ordering::SeqCst)), (3, 3));
    let report = run(&engine, job(&site));
    assert_eq!(report.stopped, None);
    gates(&site, &engine);
}

#[test]
fn a_model_that_is_down_loses_nothing() {
    let (site, calls) = (site(), Arc::new(AtomicU64::new(0)));
    let nobody = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    {
        let mut config = config(&nobody.to_string());
        config.llm.timeout = Duration::from_millis(500);
        let engine = open(dir.path(), config);
        let report = run(&engine, job(&site));
        assert_eq!(report.pages, FACTS as u64 + 2, "the crawl goes on without its model");
        assert_eq!((report.infos, pages(&engine).len()), (0, FACTS + 2));
        assert!(report.distil_failed > 0);
    }
    let model = model(&calls);
    let engine = open(dir.path(), config(&model.address().to_string()));
    run(&engine, job(&site));
    gates(&site, &engine);
    assert_eq!(quarantined(&engine).len(), 2);
}

#[test]
fn a_model_that_is_down_while_the_backlog_is_full_ends_the_run() {
    let site = site();
    let nobody = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut failing = config(&nobody.to_string());
    failing.llm.timeout = Duration::from_millis(200);
    failing.distil.max_pending = 2;
    let engine = open(dir.path(), eager());
    // Everything is stored, but for one page.
    let most = Budget { max_pages: Some(FACTS as u64 + 1), ..Budget::default() };
    run(&engine, Job { focuses: Vec::new(), ..job(&site) }.budget(most));
    drop(engine);
    let engine = open(dir.path(), failing);
    let report = run(&engine, job(&site));
    assert_eq!(report.stopped, Some(StopReason::Distiller), "{report:?}");
    drop(engine);
    let calls = Arc::new(AtomicU64::new(0));
    let model = model(&calls);
    let engine = open(dir.path(), config(&model.address().to_string()));
    assert_eq!(run(&engine, job(&site)).stopped, None);
    gates(&site, &engine);
}
