//! Pages that an older extractor has read are read again from their stored bodies, without a
//! request.

use std::path::Path;

use gristmill::Job;
use gristmill::model::Focus;
use gristmill::store::{Compression, KeyspaceOptions, Store};

use crate::support::server::{Request, Response, Server};
use crate::workshop::{eager, infos, open, page, pages, run};

const OLD: &str = "The toll of the bridge is two pence for every cart.";
const NEW: &str = "The toll of the bridge is five pence for every cart.";

/// A site whose pages never change.
fn site() -> Server {
    Server::start(|request: &Request| {
        if request.header("if-none-match") == Some("\"1\"") {
            return Response::status(304).with("ETag", "\"1\"");
        }
        match request.path() {
            "/" => Response::html(&page("Start", "Nothing is here.", ["/toll".to_owned()])),
            "/toll" => Response::html(&page("Toll", OLD, [])),
            _ => return Response::status(404),
        }
        .with("ETag", "\"1\"")
    })
    .unwrap()
}

fn job(server: &Server) -> Job {
    Job::new("tolls").site(server.url("/")).focus(Focus::new("toll of the bridge"))
}

/// Puts the new text into the stored body of the page that has the old one, as if the extractor
/// of before had read it differently. If `older`, its rows have no version, as those had.
fn replace_body(dir: &Path, older: bool) {
    let store = Store::open(dir).unwrap();
    let compressed = KeyspaceOptions::compressed(Compression::Zstd(3));
    let raw = store.keyspace("raw", compressed.with_dictionary().deduplicated()).unwrap();
    let rows = store.keyspace("pages", KeyspaceOptions::default()).unwrap();
    let contents = store.keyspace("content", KeyspaceOptions::default()).unwrap();
    let bodies: Vec<_> = raw.prefix([]).map(Result::unwrap).collect();
    for (key, body) in bodies {
        let body = String::from_utf8(body.to_vec()).unwrap();
        raw.put(&key, body.replace(OLD, NEW)).unwrap();
        if !older {
            continue;
        }
        for rows in [&rows, &contents] {
            let row = rows.get(&key).unwrap().unwrap();
            let mut row: serde_json::Value = serde_json::from_slice(&row).unwrap();
            let fields = row.as_object_mut().unwrap();
            let version = fields.remove("extractor").unwrap();
            assert_eq!(version, gristmill::extract::VERSION);
            fields.remove("truncated");
            rows.put(&key, serde_json::to_vec(&row).unwrap()).unwrap();
        }
    }
}

fn text_of(engine: &gristmill::Engine, url: &str) -> String {
    let page = engine.get(url).unwrap().unwrap();
    String::from_utf8(page.text().unwrap().unwrap().to_vec()).unwrap()
}

#[test]
fn a_page_that_has_not_changed_is_read_by_the_extractor_of_now() {
    let server = site();
    let dir = tempfile::tempdir().unwrap();
    {
        let engine = open(dir.path(), eager());
        assert_eq!(run(&engine, job(&server)).pages, 2);
        assert!(infos(&engine)[0].quote.contains("two pence"));
    }
    // Nothing is renewed as long as the extractor is the same.
    replace_body(dir.path(), false);
    {
        let engine = open(dir.path(), eager());
        assert_eq!(run(&engine, job(&server)).unchanged, 2);
        assert!(text_of(&engine, &server.url("/toll")).contains("two pence"));
    }
    replace_body(dir.path(), true);
    let engine = open(dir.path(), eager());
    let old = engine.get(&server.url("/toll")).unwrap().unwrap();
    assert_eq!(old.entry.extractor, 0, "a row without a version is of version 0");
    let asked = server.requests();
    let report = run(&engine, job(&server));
    assert_eq!((report.pages, report.unchanged), (2, 2));
    let statuses: Vec<u16> = server.log()[asked..].iter().map(|seen| seen.status).collect();
    assert!(!statuses.contains(&200), "{statuses:?}");
    let toll = engine.get(&server.url("/toll")).unwrap().unwrap();
    let markdown = String::from_utf8(toll.markdown().unwrap().unwrap().to_vec()).unwrap();
    assert!(text_of(&engine, &server.url("/toll")).contains(NEW) && markdown.contains(NEW));
    assert!(pages(&engine).iter().all(|page| page.extractor == gristmill::extract::VERSION));
    let quotes: Vec<_> = infos(&engine).into_iter().map(|info| info.quote).collect();
    assert!(!quotes.is_empty(), "the new text is distilled");
    assert!(quotes.iter().all(|quote| quote.contains("five pence")), "{quotes:?}");
}

#[test]
fn a_job_extracts_its_pages_again_without_a_request() {
    let server = site();
    let dir = tempfile::tempdir().unwrap();
    {
        let engine = open(dir.path(), eager());
        run(&engine, job(&server));
        let other = Job::new("other").site(server.url("/toll"));
        run(&engine, other);
    }
    replace_body(dir.path(), false);
    let engine = open(dir.path(), eager());
    let asked = server.requests();
    let fetched_at = |url: &str| engine.get(url).unwrap().unwrap().entry.fetched_at;
    let before = fetched_at(&server.url("/toll"));
    let report = run(&engine, job(&server).reextract(true));
    assert_eq!(server.requests(), asked, "nothing is requested");
    assert_eq!((report.pages, report.unchanged, report.stopped), (2, 1, None));
    assert!(text_of(&engine, &server.url("/toll")).contains(NEW));
    assert_eq!(fetched_at(&server.url("/toll")), before);
    let quotes: Vec<_> = infos(&engine).into_iter().map(|info| info.quote).collect();
    assert!(!quotes.is_empty() && quotes.iter().all(|quote| quote.contains("five pence")));
    // Once more: nothing is new, and the job's next run is an ordinary one.
    let report = run(&engine, job(&server).reextract(true));
    assert_eq!((report.pages, report.unchanged, report.infos), (2, 2, 0));
    assert_eq!(run(&engine, job(&server)).unchanged, 2);
    assert!(server.requests() > asked);
}

#[test]
fn what_a_bound_has_cut_is_told() {
    let links: Vec<String> = (0..50_010).map(|n| format!("<a href=/{n}>x</a> ")).collect();
    let links = links.concat();
    let server = Server::start(move |request: &Request| match request.path() {
        "/" => Response::html(&format!("<title>L</title><p>Many links.<p>{links}")),
        _ => Response::status(404),
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let job = Job::new("links").site(server.url("/"));
    let budget = gristmill::model::Budget { max_pages: Some(1), ..Default::default() };
    run(&engine, job.budget(budget));
    let entry = pages(&engine).remove(0);
    assert!(entry.truncated.links && !entry.truncated.text, "{:?}", entry.truncated);
    let told = engine.why(&server.url("/")).unwrap().remove(0);
    assert!(told.to_string().ends_with("cut at a bound: links"), "{told}");
}
