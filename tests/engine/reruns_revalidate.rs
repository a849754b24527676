//! A finished job that runs again asks whether its pages have changed and stores only what has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gristmill::Job;
use gristmill::model::{Budget, Focus};
use parking_lot::Mutex;

use crate::support::server::{Request, Response, Server};
use crate::workshop::{eager, infos, open, page, pages, readable, run};

/// Pages by path, each with an `ETag` made of its words; the start page links all others.
#[derive(Clone, Default)]
struct Edition(Arc<Mutex<BTreeMap<String, String>>>);

impl Edition {
    fn of(pages: &[(&str, &str)]) -> Self {
        let edition = Self::default();
        for (path, text) in pages {
            edition.set(path, text);
        }
        edition
    }

    fn set(&self, path: &str, text: &str) {
        self.0.lock().insert(path.to_owned(), text.to_owned());
    }

    fn serve(&self) -> Server {
        let pages = self.clone();
        Server::start(move |request: &Request| pages.answer(request)).unwrap()
    }

    fn answer(&self, request: &Request) -> Response {
        let pages = self.0.lock();
        let Some(text) = pages.get(request.path()) else { return Response::status(404) };
        let links = pages.keys().filter(|_| request.path() == "/").cloned();
        let body = page("The Valley", text, links);
        let tag = format!(
            "\"{:x}\"",
            body.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte))
        );
        if request.header("if-none-match") == Some(tag.as_str()) {
            return Response::status(304).with("ETag", &tag);
        }
        Response::html(&body).with("ETag", &tag)
    }
}

fn statuses(server: &Server, from: usize, status: u16) -> BTreeSet<String> {
    let log = server.log();
    let there = log.iter().skip(from).filter(|exchange| exchange.status == status);
    there.map(|exchange| exchange.request.target().to_owned()).collect()
}

fn texts(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn unchanged_pages_keep_their_infos_and_changed_ones_get_new_ones() {
    let edition = Edition::of(&[
        ("/", "A list of everything there is to read about the valley."),
        ("/toll", "The toll of the bridge is two pence for every cart."),
        ("/ferry", "The toll of the ferry is one penny for every passenger."),
        ("/hall", "The hall is open on Sundays."),
    ]);
    let server = edition.serve();
    let dir = tempfile::tempdir().unwrap();
    let job = Job::new("tolls")
        .site(server.url("/"))
        .focus(Focus::new("toll of the bridge and the ferry"));
    let first = {
        let engine = open(dir.path(), eager());
        assert_eq!(run(&engine, job.clone()).pages, 4);
        infos(&engine)
    };
    let of = |path: &str, infos: &[gristmill::Info]| -> Vec<gristmill::Info> {
        let url = server.url(path);
        infos.iter().filter(|info| info.url.as_str() == url).cloned().collect()
    };
    assert!(of("/toll", &first)[0].quote.contains("two pence"), "{first:?}");
    assert!(of("/ferry", &first)[0].quote.contains("one penny"), "{first:?}");

    edition.set("/toll", "The toll of the bridge is now five pence for every cart.");
    let asked = server.requests();
    let engine = open(dir.path(), eager());
    let report = run(&engine, job.clone());
    assert_eq!((report.pages, report.unchanged, report.stopped), (4, 3, None));
    assert_eq!(statuses(&server, asked, 304), texts(&["/", "/ferry", "/hall"]));
    assert_eq!(statuses(&server, asked, 200), texts(&["/toll"]));
    let second = infos(&engine);
    assert_eq!(of("/ferry", &second), of("/ferry", &first), "an info of an unchanged page");
    let tolls = of("/toll", &second);
    assert!(
        !tolls.is_empty() && tolls.iter().all(|info| info.quote.contains("five pence")),
        "{tolls:?}"
    );
    assert_eq!(pages(&engine).len(), 4);

    // And once more in the same engine, with nothing new.
    let report = run(&engine, job);
    assert_eq!((report.pages, report.unchanged, report.infos), (4, 4, 0));
    assert_eq!(infos(&engine), second);
}

#[test]
fn links_of_a_page_that_forbids_following_are_not_followed_later_either() {
    let server = Server::start(|request: &Request| match request.path() {
        "/" if request.header("if-none-match") == Some("\"same\"") => {
            Response::status(304).with("ETag", "\"same\"")
        }
        "/" => Response::html(
            "<html><head><meta name=\"robots\" content=\"nofollow\"><title>A</title></head>\
             <body><p>The door is there, but do not open it.</p><a href=\"/behind\">door</a></body></html>",
        )
        .with("ETag", "\"same\""),
        "/behind" => Response::html("<p>behind the door</p>"),
        _ => Response::status(404),
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let job = Job::new("door").site(server.url("/"));
    assert_eq!(run(&engine, job.clone()).pages, 1);
    assert_eq!(run(&engine, job).unchanged, 1);
    assert_eq!(server.hits("/behind"), 0);
}

#[test]
fn fresh_forgets_an_unfinished_run_and_keeps_its_pages() {
    let paths: Vec<String> = (0..20).map(|number| format!("/leaf/{number}")).collect();
    let edition = Edition::of(&[("/", "Leaves of the book.")]);
    for path in &paths {
        edition.set(path, &format!("This is the leaf that is called {path}."));
    }
    let server = edition.serve();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let job = Job::new("leaves").site(server.url("/"));
    let budget = Budget { max_pages: Some(6), ..Budget::default() };
    assert_eq!(run(&engine, job.clone().budget(budget)).pages, 6);
    let asked = server.requests();
    let report = run(&engine, job.fresh(true));
    assert_eq!((report.pages, report.unchanged, report.stopped), (21, 6, None));
    assert_eq!(statuses(&server, asked, 304).len(), 6);
    assert_eq!(readable(&engine).len(), 21);
}

#[test]
fn a_text_whose_first_page_has_changed_is_told_by_the_other_page() {
    let same = "The sluice of Gallen was built in 1741 by the miller Orne.";
    let edition = Edition::of(&[("/", "Two copies."), ("/a", same)]);
    let server = edition.serve();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let job = Job::new("copies").site(server.url("/")).focus(Focus::new("sluice of Gallen"));
    run(&engine, job.clone());
    let told = |engine| -> Vec<String> {
        let infos = infos(engine).into_iter().filter(|info| info.quote.contains("1741"));
        infos.map(|info| info.url.path().to_owned()).collect()
    };
    assert_eq!(told(&engine), ["/a"]);
    edition.set("/b", same);
    let report = run(&engine, job.clone());
    assert_eq!((report.pages, report.deduplicated), (3, 1));
    assert_eq!(told(&engine), ["/a"]);
    edition.set("/a", "There is nothing here any more.");
    run(&engine, job.clone());
    run(&engine, job);
    assert_eq!(told(&engine), ["/b"]);
}
