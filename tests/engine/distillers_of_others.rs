//! A distiller that the user brings may be slow or broken: neither spoils what is stored.

use std::sync::Arc;

use gristmill::cancel::CancelToken;
use gristmill::engine::Error;
use gristmill::engine::distil::{DistilError, DistilRequest, Distilled, Distiller, Extractive};
use gristmill::model::Focus;
use gristmill::{Engine, Job};
use parking_lot::Mutex;

use crate::support::PATIENCE;
use crate::support::server::{Request, Response, Server};
use crate::workshop::{Tally, eager, infos, open, page, pages, run, toll_site};

/// Panics at everything.
#[derive(Debug)]
struct Broken;

impl Distiller for Broken {
    fn name(&self) -> &'static str {
        "test"
    }

    fn distil(
        &self,
        request: &DistilRequest<'_>,
        _: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        panic!("cannot stand {}", request.url)
    }
}

#[test]
fn a_panic_ends_the_run_and_the_next_one_goes_on() {
    let server = Server::start(|request: &Request| match request.path() {
        "/" => Response::html(&page("Weir", "The weir of Tollen is eleven feet high.", [])),
        _ => Response::status(404),
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let job = Job::new("weir").site(server.url("/")).focus(Focus::new("weir of Tollen"));
    {
        let builder = Engine::builder(dir.path()).config(eager());
        let engine = builder.distiller(Arc::new(Broken)).build().unwrap();
        let ended = engine.run(job.clone()).unwrap().wait_timeout(PATIENCE);
        let Some(Err(Error::Run { source, .. })) = ended else { panic!("{ended:?}") };
        assert!(matches!(*source, Error::Panicked { .. }), "{source:?}");
        assert_eq!(pages(&engine).len(), 1);
    }
    let engine = open(dir.path(), eager());
    assert_eq!(run(&engine, job).infos, 1);
    assert_eq!(server.hits("/"), 1, "the page was stored");
}

/// The default, but its first answer comes only when it is told to.
#[derive(Default)]
struct Slow {
    asked: Tally,
    told: Tally,
}

impl std::fmt::Debug for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slow")
    }
}

impl Distiller for Slow {
    fn name(&self) -> &'static str {
        "test"
    }

    fn distil(
        &self,
        request: &DistilRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        let distilled = Extractive::default().distil(request, cancel);
        if self.asked.get() == 0 {
            self.asked.add(1);
            assert!(request.content.text.contains("two pence"), "{}", request.content.text);
            assert!(self.told.wait(1), "the second page is not asked for");
        }
        distilled
    }
}

#[test]
fn facts_of_a_text_that_was_replaced_meanwhile_are_not_stored() {
    let toll = Arc::new(Mutex::new("two pence"));
    let (price, slow) = (Arc::clone(&toll), Arc::new(Slow::default()));
    let (asked, release) = (slow.asked.clone(), slow.told.clone());
    let server = toll_site(price, asked, release);
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.concurrency = 1;
    let engine =
        Engine::builder(dir.path()).config(config).distiller(slow.clone()).build().unwrap();
    run(&engine, Job::new("toll").site(server.url("/toll")));
    *toll.lock() = "five pence and a farthing";
    let job = Job::new("tolls").site(server.url("/toll")).site(server.url("/next"));
    run(&engine, job.focus(Focus::new("toll of the bridge")));
    assert_eq!(slow.asked.get(), 1);
    let infos = infos(&engine);
    assert_eq!(infos.len(), 1, "{infos:?}");
    assert!(infos[0].quote.contains("five pence"), "{infos:?}");
}
