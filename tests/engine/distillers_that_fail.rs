//! A distiller that the user brings may fail. Each run tries the page once, until the attempts that
//! the configuration allows are used up.

use std::sync::Arc;

use gristmill::Job;
use gristmill::cancel::CancelToken;
use gristmill::engine::distil::{DistilError, DistilRequest, DistilUsage, Distilled, Distiller};
use gristmill::model::Focus;

use crate::support::server::{Request, Response, Server};
use crate::workshop::{Tally, eager, page, run};

#[derive(Debug)]
struct Fails {
    visits: Tally,
}

impl Distiller for Fails {
    fn name(&self) -> &'static str {
        "fails"
    }

    fn distil(
        &self,
        request: &DistilRequest<'_>,
        _: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        self.visits.add(1);
        Err(DistilError::Failed {
            url: Box::new(request.url.clone()),
            usage: DistilUsage { calls: 1, tokens_in: 7, ..DistilUsage::default() },
            source: "no words".into(),
        })
    }
}

#[test]
fn a_page_that_fails_is_tried_again_by_later_runs_and_then_left_out() {
    let site = Server::start(|request: &Request| match request.path() {
        "/robots.txt" => Response::status(404),
        path => Response::html(&page(path, "The weir is eleven feet high.", [])),
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let visits = Tally::default();
    let mut config = eager();
    config.distil.max_attempts = 2;
    let distiller = Arc::new(Fails { visits: visits.clone() });
    let builder = gristmill::Engine::builder(dir.path()).config(config).distiller(distiller);
    let engine = builder.build().unwrap();
    let job = Job::new("weirs").site(site.url("/1")).focus(Focus::new("height of the weir"));
    let report = run(&engine, job.clone());
    assert_eq!((report.infos, report.distil_failed, visits.get()), (0, 1, 1));
    // Its cost counts.
    assert_eq!((report.llm.calls, report.llm.tokens_in), (1, 7));
    let failed = [run(&engine, job.clone()).distil_failed, run(&engine, job).distil_failed];
    assert_eq!((failed, visits.get()), ([1, 0], 2));
}
