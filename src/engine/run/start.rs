//! Starting a run: the job's row, its focuses, its sources.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use url::Url;

use super::commits::Commits;
use super::handle::Run;
use super::pending::Pending;
use super::progress::{Counters, StopReason};
use super::state::{Lifecycle, RunState};
use crate::cancel::CancelToken;
use crate::config::Config;
use crate::crawl::{Candidate, DocumentKind, Frontier, FrontierOptions, Now, ScopeRules};
use crate::engine::parts::Parts;
use crate::engine::query::next_job_id;
use crate::engine::tables::{FocusId, JobRow, UrlRow, encode_row, trailing_url_key};
use crate::engine::{Engine, Error};
use crate::model::{BudgetKind, Focus, Job, Reason, Source};
use crate::pool::Priority;
use crate::store::Batch;
use crate::url::Host;

/// A file of URLs larger than this is refused.
const MAX_URL_FILE_BYTES: u64 = 256 << 20;
/// Rows in one batch when a whole keyspace is walked.
const SWEEP_ROWS: usize = 1000;
/// Most requests for one robots.txt before its host is given up.
const MAX_ROBOTS_ATTEMPTS: u32 = 3;
/// How often a run publishes its figures.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// The name of the task that publishes them.
const PUBLISH_TASK: &str = "publish figures";

/// The URLs of a job's sources, read and checked.
struct Seeds(Vec<(Url, DocumentKind)>);

impl Seeds {
    fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        self.0.iter().map(|(url, kind)| Candidate { kind: *kind, ..Candidate::seed(url) })
    }
}

pub(in crate::engine) fn start(engine: &Engine, job: Job) -> Result<Run, Error> {
    let parts = engine.parts()?;
    let seeds = read_sources(&job)?;
    let mut runs = parts.runs.lock();
    // Checked again under the lock: `close` sets the flag before it takes the runs, so it will end
    // any run that is added from here on.
    engine.parts()?;
    if runs.iter().any(|run| run.job.name == job.name && !run.progress().done) {
        return Err(Error::AlreadyRunning { job: job.name });
    }
    runs.retain(|run| run.job.name != job.name);
    let (row, resumed) = job_row(engine, &job)?;
    let state = Arc::new(state(parts, job, row, &seeds, resumed)?);
    runs.push(Arc::clone(&state));
    drop(runs);
    if let Err(error) = state.prepare(&seeds) {
        parts.runs.lock().retain(|run| !Arc::ptr_eq(run, &state));
        return Err(error);
    }
    // Before anything else can look at the run: with nothing in flight it would end at once.
    if state.job.reextract {
        state.start_reextraction();
    }
    state.schedule();
    state.wake_workers();
    state.advance();
    Ok(Run { state })
}

/// The job's row for this run, and whether it resumes an unfinished one.
fn job_row(engine: &Engine, job: &Job) -> Result<(JobRow, bool), Error> {
    let jobs = engine.jobs()?;
    let now = engine.parts()?.clock.wall();
    let known = jobs.iter().find(|(name, _)| *name == job.name).map(|(_, row)| row.clone());
    let Some(row) = known else {
        let row = JobRow {
            id: next_job_id(&jobs),
            run: 1,
            started_at: now,
            finished_at: None,
            focuses: Vec::new(),
            hosts: Vec::new(),
        };
        return Ok((row, false));
    };
    // Extracting again neither finishes a run nor begins one.
    if job.reextract {
        return Ok((row, false));
    }
    if row.finished_at.is_none() && !job.fresh {
        return Ok((row, true));
    }
    let row =
        JobRow { run: row.run + 1, started_at: now, finished_at: None, hosts: Vec::new(), ..row };
    Ok((row, false))
}

fn state(
    parts: &Arc<Parts>,
    job: Job,
    row: JobRow,
    seeds: &Seeds,
    resumed: bool,
) -> Result<RunState, Error> {
    let config = &parts.config;
    let now = Now { monotonic: parts.clock.monotonic(), wall: parts.clock.wall() };
    let seed_hosts: Vec<Host> = seeds.0.iter().map(|(url, _)| Host::of(url)).collect();
    let mut scope = ScopeRules::new(&job.scope, &seed_hosts)?;
    for host in &row.hosts {
        scope.allow_host(&Host::from(host.as_str()));
    }
    let rules = parts.caches.rules.clone();
    let frontier = Frontier::with_rules(frontier_options(config), scope, now, rules);
    let focuses = job.focuses.iter().map(|focus| (FocusId::of(focus), focus.clone())).collect();
    Ok(RunState {
        parts: Arc::clone(parts),
        id: row.id,
        number: row.run,
        resumed,
        revalidating: parts.tables.pages.len()? > 0,
        token: parts.token.child(),
        started: now.monotonic,
        row: Mutex::new(row),
        focuses,
        counters: Counters::default(),
        commits: Commits::default(),
        frontier: Mutex::new(frontier),
        lifecycle: Mutex::new(Lifecycle::default()),
        ended: Condvar::new(),
        pending: Pending::new(super::super::adapters::distil_workers(config)),
        job,
    })
}

fn frontier_options(config: &Config) -> FrontierOptions {
    FrontierOptions {
        delay: config.crawl.delay,
        per_host: config.crawl.per_host,
        product_token: config.crawl.product_token().to_owned(),
        respect_robots: config.crawl.respect_robots,
        crawl_delay_cap: config.crawl.max_crawl_delay,
        robots_ttl: config.cache.robots_ttl,
        max_attempts: config.crawl.max_attempts,
        robots_attempts: config.crawl.max_attempts.min(MAX_ROBOTS_ATTEMPTS),
        seen_capacity: config.crawl.seen_capacity,
        queue_capacity: config.crawl.queue_capacity,
        ..FrontierOptions::default()
    }
}

fn read_sources(job: &Job) -> Result<Seeds, Error> {
    let mut seeds = Vec::new();
    for source in &job.sources {
        match source {
            Source::Site(url) => seeds.push((parse(url)?, DocumentKind::Page)),
            Source::Feed(url) => seeds.push((parse(url)?, DocumentKind::Feed)),
            Source::Sitemap(url) => seeds.push((parse(url)?, DocumentKind::Sitemap)),
            Source::UrlFile(path) => {
                for url in read_url_file(path)? {
                    seeds.push((url, DocumentKind::Page));
                }
            }
        }
    }
    if seeds.is_empty() {
        return Err(Error::NoSource { job: job.name.clone() });
    }
    Ok(Seeds(seeds))
}

fn read_url_file(path: &Path) -> Result<Vec<Url>, Error> {
    let file = |source| Error::File { path: path.to_path_buf(), source };
    if std::fs::metadata(path).map_err(file)?.len() > MAX_URL_FILE_BYTES {
        return Err(file(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = std::fs::read_to_string(path).map_err(file)?;
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(parse).collect()
}

fn parse(url: &str) -> Result<Url, Error> {
    crate::url::parse(url).map_err(|source| Error::Url { url: url.to_owned(), source })
}

impl RunState {
    /// Brings the stored rows to the state in which the run begins.
    fn prepare(&self, seeds: &Seeds) -> Result<(), Error> {
        if self.job.reextract {
            self.enqueue_new_focuses()?;
            return self.count_stored();
        }
        if !self.resumed {
            self.forget_queue()?;
        }
        self.store_row(&self.row.lock())?;
        self.enqueue_new_focuses()?;
        self.count_stored()?;
        self.admit_seeds(seeds)
    }

    pub(super) fn store_row(&self, row: &JobRow) -> Result<(), Error> {
        let mut batch = self.parts.tables.store.batch();
        self.put_row(&mut batch, row);
        Ok(batch.commit()?)
    }

    pub(super) fn put_row(&self, batch: &mut Batch, row: &JobRow) {
        batch.put(&self.parts.tables.jobs, &self.job.name, encode_row(row));
    }

    /// Deletes the queue that an earlier run of the job has left.
    fn forget_queue(&self) -> Result<(), Error> {
        let tables = &self.parts.tables;
        let prefix = self.id.0.to_be_bytes();
        loop {
            let mut batch = tables.store.batch();
            let mut rows = 0;
            for key in tables.queue.prefix(prefix).keys().take(SWEEP_ROWS) {
                batch.delete(&tables.queue, &key?);
                rows += 1;
            }
            if rows == 0 {
                return Ok(());
            }
            batch.commit()?;
        }
    }

    /// Queues every stored page for the focuses that are new to the job.
    fn enqueue_new_focuses(&self) -> Result<(), Error> {
        let known: HashSet<FocusId> = self.row.lock().focuses.iter().copied().collect();
        let new: Vec<&(FocusId, Focus)> =
            self.focuses.iter().filter(|(id, _)| !known.contains(id)).collect();
        let tables = &self.parts.tables;
        let mut batch = tables.store.batch();
        let mut rows = 0;
        for key in tables.content.prefix([]).keys() {
            if new.is_empty() {
                break;
            }
            let Some(key) = trailing_url_key(&key?) else { continue };
            for (focus, _) in &new {
                batch.put(&tables.pending_distil, focus.pending_key(key), 0_u32.to_be_bytes());
                rows += 1;
            }
            if rows >= SWEEP_ROWS {
                rows = 0;
                self.commits.submit(std::mem::replace(&mut batch, tables.store.batch()))?;
            }
        }
        // The focuses count as known only once all their rows are stored.
        self.commits.flush(&tables.store)?;
        let mut row = self.row.lock();
        // A dropped focus misses the pages of this run, so it must count as new when it returns.
        row.focuses = self.focuses.iter().map(|(id, _)| *id).collect();
        for (id, focus) in new {
            batch.put(&tables.focuses, id.0, encode_row(focus));
        }
        self.put_row(&mut batch, &row);
        Ok(batch.commit()?)
    }

    /// Restores the counts that span restarts of the run.
    fn count_stored(&self) -> Result<(), Error> {
        if self.resumed {
            self.counters.pages.set(self.count_done()?);
        }
        let mut pending = 0;
        for (focus, _) in &self.focuses {
            for key in self.parts.tables.pending_distil.prefix(focus.0).keys() {
                key?;
                pending += 1;
            }
        }
        self.pending.set_pending(pending);
        Ok(())
    }

    /// Pages that this run had stored before this process resumed it.
    fn count_done(&self) -> Result<u64, Error> {
        let mut done = 0;
        for row in self.parts.tables.urls.prefix(self.id.0.to_be_bytes()) {
            let (key, value) = row?;
            let row = UrlRow::decode(&key, &value)?;
            let page = row.record.kind == DocumentKind::Page;
            done += u64::from(page && row.run == self.number && row.record.reason == Reason::Done);
        }
        Ok(done)
    }

    fn admit_seeds(&self, seeds: &Seeds) -> Result<(), Error> {
        let mut batch = self.parts.tables.store.batch();
        let admissions = self.admit(&mut batch, seeds.candidates())?;
        batch.commit()?;
        self.publish(admissions);
        Ok(())
    }

    /// Sets the run's timers: its time budget, and the publishing of its figures.
    fn schedule(self: &Arc<Self>) {
        if let Some(most) = self.job.budget.max_time {
            let run = Arc::downgrade(self);
            self.parts.crawl_pool.spawn_after(most, Priority::Urgent, move || {
                if let Some(run) = run.upgrade() {
                    run.stop(StopReason::Budget(BudgetKind::Time));
                }
            });
        }
        self.publish_each_second();
    }

    /// Publishes the figures until the run is over. A token of its own ends the series: figures are
    /// published while a cancelled run winds down, too.
    fn publish_each_second(self: &Arc<Self>) {
        let (run, over) = (Arc::downgrade(self), CancelToken::new());
        let token = over.clone();
        let publish = move || {
            let Some(run) = run.upgrade() else { return over.cancel() };
            if let Err(error) = run.parts.publish_stats() {
                tracing::warn!(%error, "the figures could not be published");
            }
            if run.progress().done {
                over.cancel();
            }
        };
        let task = self.parts.crawl_pool.task(PUBLISH_TASK).priority(Priority::Low);
        drop(task.cancel_token(&token).after(PUBLISH_EVERY).every(PUBLISH_EVERY, publish));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::published_stats;

    #[test]
    fn a_run_publishes_its_figures_each_second_until_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.crawl.allow_private = true;
        let engine = Engine::builder(dir.path()).config(config).build().unwrap();
        let published = || published_stats(dir.path()).unwrap();
        assert!(published().is_none());
        // Nothing listens there: the run waits for seconds before it asks again.
        let run = engine.run(Job::new("waiting").site("http://127.0.0.1:1/")).unwrap();
        let pool = engine.parts().unwrap().crawl_pool.clone();
        let beats = || pool.tasks().into_iter().filter(|task| task.name == PUBLISH_TASK).count();
        assert_eq!(beats(), 1);
        let ended = run.wait_timeout(2 * PUBLISH_EVERY);
        assert!(ended.is_none() && published().is_some());
        run.cancel();
        run.wait().unwrap();
        // One more beat finds that the run is over.
        let after = pool.task("after").priority(Priority::Low).after(2 * PUBLISH_EVERY);
        after.spawn(|| ()).join().unwrap();
        assert_eq!(beats(), 0);
    }
}
