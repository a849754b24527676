//! A distiller that the user brings may ask for a wait: its page comes back, with what it has kept,
//! and a run that is to end does not wait for it.

use std::sync::Arc;
use std::time::Duration;

use gristmill::Job;
use gristmill::cancel::CancelToken;
use gristmill::engine::StopReason;
use gristmill::engine::distil::{
    DistilError, DistilRequest, DistilUsage, Distilled, Distiller, Extractive, Resumption,
};
use gristmill::model::{Budget, BudgetKind, Focus};
use gristmill::{Engine, Run};
use parking_lot::Mutex;

use crate::support::PATIENCE;
use crate::support::server::{Request, Response, Server};
use crate::workshop::{Tally, eager, infos, open, page, run, toll_site};

const PAGES: usize = 3;
/// The longest wait that is granted.
const LONGEST: Duration = Duration::from_hours(1);

/// What a distiller is asked: the text, and what it has kept of the page.
type Visit<'a> = (&'a str, Option<String>);

/// Asks for the wait that the decision names, if any, and else does what the default does. What it
/// keeps is the URL of the page.
struct Waits<F> {
    decide: F,
    visits: Tally,
}

impl<F> std::fmt::Debug for Waits<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waits")
    }
}

impl<F: Fn(Visit<'_>) -> Option<Duration> + Send + Sync> Distiller for Waits<F> {
    fn name(&self) -> &'static str {
        "test"
    }

    fn distil(
        &self,
        request: &DistilRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        self.distil_or_later(request, None, cancel)
    }

    fn distil_or_later(
        &self,
        request: &DistilRequest<'_>,
        resumption: Option<Resumption>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        let kept = resumption.map(|it| it.into_state::<String>().unwrap());
        assert!(kept.as_ref().is_none_or(|url| url == request.url.as_str()));
        let wait = (self.decide)((&request.content.text, kept));
        self.visits.add(1);
        let Some(wait) = wait else { return Extractive::default().distil(request, cancel) };
        Err(DistilError::Later {
            url: Box::new(request.url.clone()),
            usage: DistilUsage { calls: 1, tokens_in: 7, ..DistilUsage::default() },
            wait,
            resumption: Some(Resumption::new(request.url.to_string())),
            source: "not now".into(),
        })
    }
}

/// An engine with such a distiller, one page at a time, and the count of its visits.
fn engine(
    dir: &std::path::Path,
    decide: impl Fn(Visit<'_>) -> Option<Duration> + Send + Sync + 'static,
) -> (Engine, Tally) {
    let visits = Tally::default();
    let distiller = Arc::new(Waits { decide, visits: visits.clone() });
    let mut config = eager();
    (config.distil.concurrency, config.crawl.concurrency) = (1, 1);
    let builder = Engine::builder(dir).config(config).distiller(distiller);
    (builder.build().unwrap(), visits)
}

fn site() -> Server {
    Server::start(|request: &Request| match request.path() {
        "/robots.txt" => Response::status(404),
        path => {
            Response::html(&page(path, &format!("The weir of {path} is eleven feet high."), []))
        }
    })
    .unwrap()
}

fn job(site: &Server) -> Job {
    let pages = (1..=PAGES).map(|number| site.url(&format!("/{number}")));
    pages.fold(Job::new("weirs"), Job::site).focus(Focus::new("height of the weir in feet"))
}

/// Ends a run whose rows wait for an hour; the next one distils them.
fn end_in_the_wait(end: impl FnOnce(&Engine, &Run), job: &Job, stopped: StopReason) {
    let dir = tempfile::tempdir().unwrap();
    {
        let (engine, visits) = engine(dir.path(), |_| Some(LONGEST));
        let pages = Job { focuses: Vec::new(), ..job.clone() };
        run(&engine, pages);
        let running = engine.run(job.clone()).unwrap();
        assert!(visits.wait(job.budget.max_pages.unwrap_or(PAGES as u64)), "not all are waiting");
        end(&engine, &running);
        let report = running.wait_timeout(PATIENCE).expect("the run ends in the wait").unwrap();
        assert_eq!((report.stopped, report.infos), (Some(stopped), 0));
        assert_eq!((report.distil_failed, report.llm.calls), (0, visits.get()));
    }
    let engine = open(dir.path(), eager());
    let report = run(&engine, Job { budget: Budget::default(), ..job.clone() });
    assert_eq!((report.stopped, report.infos), (None, PAGES as u64));
}

#[test]
fn a_page_comes_back_with_what_was_kept_and_the_run_waits_for_it() {
    let (site, dir) = (site(), tempfile::tempdir().unwrap());
    let (engine, visits) = engine(dir.path(), |(_, kept)| match kept {
        None => Some(Duration::from_millis(2)),
        Some(_) => None,
    });
    let report = run(&engine, job(&site));
    assert_eq!((report.stopped, report.distil_failed), (None, 0));
    assert_eq!((infos(&engine).len(), visits.get()), (PAGES, 2 * PAGES as u64));
    assert_eq!((report.llm.calls, report.llm.tokens_in), (PAGES as u64, 7 * PAGES as u64));
}

#[test]
fn a_budget_of_pages_that_is_used_up_lets_the_waits_end() {
    let (site, dir) = (site(), tempfile::tempdir().unwrap());
    let (engine, visits) =
        engine(dir.path(), |(_, kept)| kept.is_none().then_some(Duration::from_millis(2)));
    let budget = Budget { max_pages: Some(2), ..Budget::default() };
    let report = run(&engine, job(&site).budget(budget));
    assert_eq!(report.stopped, Some(StopReason::Budget(BudgetKind::Pages)));
    assert_eq!((report.infos, visits.get()), (2, 4));
}

#[test]
fn cancelling_in_the_wait_ends_the_run_and_leaves_the_rows() {
    let site = site();
    end_in_the_wait(|_, running| running.cancel(), &job(&site), StopReason::Cancelled);
}

#[test]
fn closing_in_the_wait_ends_the_run_and_leaves_the_rows() {
    let site = site();
    let close = |engine: &Engine, _: &Run| engine.close(PATIENCE).unwrap();
    end_in_the_wait(close, &job(&site), StopReason::Cancelled);
}

#[test]
fn cancelling_ends_a_run_that_only_waits_because_its_pages_are_used_up() {
    let site = site();
    let budget = Budget { max_pages: Some(2), ..Budget::default() };
    let spent = StopReason::Budget(BudgetKind::Pages);
    end_in_the_wait(|_, running| running.cancel(), &job(&site).budget(budget), spent);
}

#[test]
fn waits_are_bounded_in_number_and_in_length() {
    const COMES_BACK: u64 = 100;
    let site = site();
    for (wait, visits_wanted) in
        [(Duration::ZERO, COMES_BACK + 1), (LONGEST + Duration::from_nanos(1), 1)]
    {
        let dir = tempfile::tempdir().unwrap();
        let (engine, visits) = engine(dir.path(), move |_| Some(wait));
        let report = run(&engine, job(&site));
        assert_eq!((report.distil_failed, report.infos), (PAGES as u64, 0), "{report:?}");
        assert_eq!(visits.get(), PAGES as u64 * visits_wanted);
        drop(engine);
        assert_eq!(run(&open(dir.path(), eager()), job(&site)).infos, PAGES as u64);
    }
}

#[test]
fn what_was_kept_of_a_text_that_was_replaced_is_not_gone_on_with() {
    let toll = Arc::new(Mutex::new("two pence"));
    let (price, asked, replaced) = (Arc::clone(&toll), Tally::default(), Tally::default());
    let (asking, release) = (asked.clone(), replaced.clone());
    let server = toll_site(price, asked, release);
    let dir = tempfile::tempdir().unwrap();
    let (engine, visits) = engine(dir.path(), move |(text, kept)| {
        assert_eq!(kept, None, "{text}");
        asking.add(1);
        text.contains("two pence").then(|| {
            assert!(replaced.wait(1), "the second page is not asked for");
            Duration::from_millis(2)
        })
    });
    run(&engine, Job::new("toll").site(server.url("/toll")));
    *toll.lock() = "five pence and a farthing";
    let job = Job::new("tolls").site(server.url("/toll")).site(server.url("/next"));
    run(&engine, job.focus(Focus::new("toll of the bridge")));
    let infos = infos(&engine);
    assert_eq!((infos.len(), visits.get()), (1, 3), "{infos:?}");
    assert!(infos[0].quote.contains("five pence"), "{infos:?}");
}
