//! Engines set up for loopback servers, and what the scenarios ask of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill::engine::{InfoQuery, PageEntry, PageQuery};
use gristmill::model::{Info, Reason};
use gristmill::{Config, Engine, Job, Report};
use parking_lot::{Condvar, Mutex};

use crate::support::PATIENCE;
use crate::support::server::{Request, Response, Server};

/// No pause between requests, and loopback addresses allowed.
pub(crate) fn eager() -> Config {
    let mut config = Config::default();
    config.crawl.allow_private = true;
    config.crawl.delay = Duration::ZERO;
    config.crawl.per_host = 8;
    config.crawl.max_attempts = 2;
    config
}

pub(crate) fn open(dir: &Path, config: Config) -> Engine {
    Engine::builder(dir).config(config).build().unwrap()
}

/// Runs the job to its end.
pub(crate) fn run(engine: &Engine, job: Job) -> Report {
    let run = engine.run(job).unwrap();
    let end = run.wait_timeout(PATIENCE);
    end.unwrap_or_else(|| panic!("the run did not end: {:?}", run.progress())).unwrap()
}

pub(crate) fn pages(engine: &Engine) -> Vec<PageEntry> {
    engine.pages(&PageQuery::default()).unwrap().map(Result::unwrap).collect()
}

/// URLs of the pages whose text can be read.
pub(crate) fn readable(engine: &Engine) -> BTreeSet<String> {
    let readable = |page: &PageEntry| {
        let stored = engine.get(page.url.as_str()).unwrap().unwrap();
        stored.text().unwrap().is_some() && stored.raw().unwrap().is_some()
    };
    pages(engine).into_iter().filter(readable).map(|page| page.url.into()).collect()
}

/// The accepted infos, after a check that each quote stands where its info says.
pub(crate) fn infos(engine: &Engine) -> Vec<Info> {
    let infos: Vec<_> = engine.infos(&InfoQuery::default()).unwrap().map(Result::unwrap).collect();
    for info in &infos {
        let cited = std::iter::once((&info.url, info.span, &info.quote))
            .chain(info.also_at.iter().map(|at| (&at.url, at.span, &at.quote)));
        for (url, span, quote) in cited {
            let text = engine.get(url.as_str()).unwrap().unwrap().text().unwrap().unwrap();
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(span.of(text), Some(quote.as_str()), "{info:?}");
        }
    }
    infos
}

/// The one reason that is known of the URL.
pub(crate) fn why(engine: &Engine, url: &str) -> Reason {
    let mut known = engine.why(url).unwrap();
    assert_eq!(known.len(), 1, "{url}: {known:?}");
    known.remove(0).reason
}

/// A page with a paragraph of its own and links.
pub(crate) fn page(title: &str, text: &str, links: impl IntoIterator<Item = String>) -> String {
    let links = links.into_iter().fold(String::new(), |list, link| {
        list + "<li><a href=\"" + &link + "\">" + &link + "</a></li>"
    });
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><title>{title}</title></head><body><main>\
         <h1>{title}</h1><p>{text}</p></main><ul>{links}</ul></body></html>"
    )
}

/// A site whose page `/toll` names the price. A new price is told when somebody has `asked` about
/// the old one; `next` counts the requests for `/next`, which come after the new text is stored,
/// provided that exchanges come one after the other.
pub(crate) fn toll_site(price: Arc<Mutex<&'static str>>, asked: Tally, next: Tally) -> Server {
    Server::start(move |request: &Request| match request.path() {
        "/toll" => {
            let price = *price.lock();
            assert!(price == "two pence" || asked.wait(1), "nobody asks about the old text");
            let text = format!("The keeper says that the toll of the bridge is {price}.");
            Response::html(&page("Toll", &text, []))
        }
        "/next" => {
            next.add(1);
            Response::html(&page("Next", "Nothing is to be seen here.", []))
        }
        _ => Response::status(404),
    })
    .unwrap()
}

/// A count that can be waited for; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<(Mutex<u64>, Condvar)>);

impl Tally {
    pub(crate) fn add(&self, by: u64) {
        let (count, changed) = &*self.0;
        *count.lock() += by;
        changed.notify_all();
    }

    pub(crate) fn get(&self) -> u64 {
        *self.0.0.lock()
    }

    /// Waits until the count is at least `least`; false if that takes too long.
    pub(crate) fn wait(&self, least: u64) -> bool {
        let (count, changed) = &*self.0;
        let mut count = count.lock();
        let end = Instant::now() + PATIENCE;
        while *count < least {
            if changed.wait_until(&mut count, end).timed_out() {
                return *count >= least;
            }
        }
        true
    }
}

/// This test program again, in a process of its own that runs one test of it. Killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn start(test: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads", "1"]);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended, or been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
