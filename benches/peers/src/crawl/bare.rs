//! The floor: threads with a connection each, a queue, a set of URLs seen, and nothing stored.
//!
//! It has no robots.txt, no politeness, no limits, no retries and no persistence: what it needs a
//! page is the price of transport and link search alone.

use std::collections::{HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lol_html::{HtmlRewriter, Settings, element};
use url::Url;

use super::engine::Setting;
use crate::error::AnyError;

/// Longest wait for one page.
const PAGE_DEADLINE: Duration = Duration::from_secs(30);

/// Bodies are cut off with an error beyond this.
const MOST_BODY_BYTES: u64 = 64 << 20;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Url>,
    seen: HashSet<String>,
    /// Pages that are being fetched now.
    open: usize,
}

struct Frontier {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Crawls until no URL of the seeds' origin is left.
pub(crate) fn crawl(setting: &Setting) -> Result<(), AnyError> {
    let frontier = Frontier { queue: Mutex::default(), changed: Condvar::new() };
    for seed in &setting.seeds {
        frontier.admit(Url::parse(seed)?);
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..setting.connections).map(|_| scope.spawn(|| work(&frontier))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(_) => Err("a thread panicked".into()),
        })
    })
}

fn work(frontier: &Frontier) -> Result<(), AnyError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PAGE_DEADLINE))
        .proxy(None)
        .build()
        .into();
    while let Some(url) = frontier.next()? {
        let found = links(&agent, &url);
        frontier.done(found.as_deref().unwrap_or_default());
        found?;
    }
    Ok(())
}

fn links(agent: &ureq::Agent, url: &Url) -> Result<Vec<Url>, AnyError> {
    let mut response = agent.get(url.as_str()).call()?;
    let body = response.body_mut().with_config().limit(MOST_BODY_BYTES).read_to_vec()?;
    let mut found = Vec::new();
    if response.status() != 200 {
        return Ok(found);
    }
    let collect = element!("a[href]", |anchor| {
        let target = anchor.get_attribute("href").and_then(|href| url.join(&href).ok());
        if let Some(mut target) = target.filter(|target| target.origin() == url.origin()) {
            target.set_fragment(None);
            found.push(target);
        }
        Ok(())
    });
    let settings = Settings::new().append_element_content_handler(collect);
    let mut search = HtmlRewriter::new(settings, |_: &[u8]| {});
    search.write(&body)?;
    search.end()?;
    Ok(found)
}

impl Frontier {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A thread that panicked ends the crawl with an error; the queue itself stays whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, url: Url) {
        self.lock().admit(url);
        self.changed.notify_one();
    }

    /// The next URL; `None` when none waits and no page is open that could bring one.
    fn next(&self) -> Result<Option<Url>, AnyError> {
        let queue = self.lock();
        let (mut queue, waited) = self
            .changed
            .wait_timeout_while(queue, PAGE_DEADLINE, |queue| {
                queue.waiting.is_empty() && queue.open > 0
            })
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err("nothing happened for too long".into());
        }
        let url = queue.waiting.pop_front();
        queue.open += usize::from(url.is_some());
        Ok(url)
    }

    fn done(&self, found: &[Url]) {
        let mut queue = self.lock();
        for url in found {
            queue.admit(url.clone());
        }
        queue.open -= 1;
        drop(queue);
        self.changed.notify_all();
    }
}

impl Queue {
    fn admit(&mut self, url: Url) {
        if !self.seen.contains(url.as_str()) {
            self.seen.insert(url.as_str().to_owned());
            self.waiting.push_back(url);
        }
    }
}
