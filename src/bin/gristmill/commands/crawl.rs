//! `gristmill crawl`: a job from its sources to its infos.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::path::Path;
use std::time::Duration;

use gristmill::engine::{Engine, Error, Explanation, Report, StopReason};
use gristmill::model::{Budget, Focus, Job, Reason, Scope, Source};
use gristmill::url::Url;
use xxhash_rust::xxh3::Xxh3;

use crate::arguments::{Crawl, DataOptions};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, notice, plain};
use crate::{interrupt, progress, settings};

/// A schema file larger than this is refused.
const MAX_SCHEMA_BYTES: u64 = 1 << 20;
/// Longest part of a job's name that is taken from a source, in bytes.
const MAX_NAME: usize = 100;
/// Most sources whose reasons a failed run reports.
const MAX_REASONS: usize = 5;

pub(crate) fn run(data: &DataOptions, arguments: &Crawl, verbose: u8) -> Result<Outcome, Failure> {
    let config =
        settings::with_flags(settings::load(data)?, &arguments.politeness, &arguments.model)?;
    let job = job(arguments)?;
    let engine = Engine::builder(data.data()).config(config).build()?;
    let stop = interrupt::token()?;
    let (report, reasons) = progress::watch(&engine, job, &stop, verbose == 0, |report| {
        if came_to_nothing(report) { reasons(&engine, arguments) } else { Ok(Vec::new()) }
    })?;
    let mut output = Output::stdout();
    if arguments.json {
        output.json(&report)?;
    } else {
        output.line(&summary(&report))?;
    }
    output.finish()?;
    if report.stopped == Some(StopReason::Cancelled) {
        notice("gristmill: stopped on request; run the same command to continue");
        return Ok(Outcome::Interrupted);
    }
    if came_to_nothing(&report) {
        return Err(nothing_fetched(&reasons));
    }
    Ok(Outcome::Done)
}

/// The job that the arguments describe.
fn job(arguments: &Crawl) -> Result<Job, Failure> {
    let sources = sources(arguments);
    let schema = arguments.schema.as_deref().map(read_schema).transpose()?;
    let mut job = Job::new(name(&sources)).fresh(arguments.fresh).reextract(arguments.reextract);
    job.sources = sources;
    job.focuses = arguments.focus.iter().map(|text| focus(text, schema.clone())).collect();
    job.scope = Scope {
        hosts: Vec::new(),
        include: arguments.include.clone(),
        exclude: arguments.exclude.clone(),
        max_depth: arguments.depth,
    };
    let budget = &arguments.budget;
    job.budget = Budget {
        max_pages: Some(budget.max_pages),
        max_bytes: budget.max_bytes,
        max_time: budget.max_seconds.map(Duration::from_secs),
        max_tokens: budget.max_tokens,
    };
    Ok(job)
}

fn focus(text: &str, schema: Option<serde_json::Value>) -> Focus {
    let focus = Focus::new(text);
    match schema {
        Some(schema) => focus.schema(schema),
        None => focus,
    }
}

fn sources(arguments: &Crawl) -> Vec<Source> {
    let text = |url: &Url| url.as_str().to_owned();
    let sites = arguments.sites.iter().map(|url| Source::Site(text(url)));
    let files = arguments.urls.iter().map(|path| Source::UrlFile(path.clone()));
    let feeds = arguments.feed.iter().map(|url| Source::Feed(text(url)));
    let sitemaps = arguments.sitemap.iter().map(|url| Source::Sitemap(text(url)));
    sites.chain(files).chain(feeds).chain(sitemaps).collect()
}

/// The name of a job, made from its sources in any order. So the same command finds its unfinished
/// run, even if its focuses, limits and politeness have changed.
fn name(sources: &[Source]) -> String {
    let described: BTreeSet<_> = sources
        .iter()
        .map(|source| match source {
            Source::Site(url) => url.clone(),
            Source::Feed(url) => format!("feed {url}"),
            Source::Sitemap(url) => format!("sitemap {url}"),
            Source::UrlFile(path) => format!("file {}", path.display()),
            other => format!("{other:?}"),
        })
        .collect();
    let mut hash = Xxh3::new();
    for source in &described {
        hash.write(source.as_bytes());
        hash.write(b"\n");
    }
    let first = described.first().map_or("", String::as_str);
    if described.len() == 1 && first.len() <= MAX_NAME {
        return first.to_owned();
    }
    let short: String = first
        .char_indices()
        .take_while(|(at, c)| at + c.len_utf8() <= MAX_NAME)
        .map(|(_, c)| c)
        .collect();
    format!("{short} and {} more ({:016x})", described.len() - 1, hash.finish())
}

fn read_schema(path: &Path) -> Result<serde_json::Value, Failure> {
    let read = |source| Failure::Read { path: path.to_path_buf(), source };
    if std::fs::metadata(path).map_err(read)?.len() > MAX_SCHEMA_BYTES {
        return Err(read(std::io::ErrorKind::FileTooLarge.into()));
    }
    let bytes = std::fs::read(path).map_err(read)?;
    serde_json::from_slice(&bytes)
        .map_err(|source| Failure::NotJson { path: path.to_path_buf(), source })
}

/// Whether nothing was stored although there was work to do, and neither a budget nor the user
/// ended the run.
fn came_to_nothing(report: &Report) -> bool {
    report.stopped.is_none()
        && report.pages == 0
        && report.unchanged == 0
        && report.failed + report.skipped > 0
}

/// The failure that reports what became of the sources.
fn reasons(engine: &Engine, arguments: &Crawl) -> Result<Vec<Explanation>, Error> {
    let urls = arguments.sites.iter().chain(&arguments.feed).chain(&arguments.sitemap);
    let mut reasons = Vec::new();
    for url in urls.take(MAX_REASONS) {
        reasons.extend(engine.why(url.as_str())?.into_iter().last());
    }
    Ok(reasons)
}

fn nothing_fetched(reasons: &[Explanation]) -> Failure {
    let told: Vec<_> = reasons
        .iter()
        .map(|one| {
            let hint = match one.reason {
                Reason::BlockedAddress { .. } => " (--allow-private allows it)",
                Reason::Robots { .. } => " (--no-robots ignores it)",
                _ => "",
            };
            format!("{}: {}{hint}", one.url, plain(&one.reason.to_string()))
        })
        .collect();
    Failure::Failed(format!("no page could be fetched: {}", told.join("; ")))
}

/// The report as text.
pub(crate) fn summary(report: &Report) -> String {
    let mut text = format!(
        "{} pages, {} infos, {} links, {} bytes in {:.1} s; {} requests, {} of them retries",
        report.pages,
        report.infos,
        report.links,
        report.bytes,
        report.seconds,
        report.requests,
        report.retries,
    );
    let more = [
        (report.failed, "failed"),
        (report.skipped, "skipped by rule"),
        (report.deduplicated, "duplicates"),
        (report.unchanged, "unchanged"),
        (report.quarantined, "infos quarantined"),
        (report.distil_failed, "pages failed to distil"),
    ];
    let more: Vec<_> = more
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !more.is_empty() {
        let _ = write!(text, "\n{}", more.join(", "));
    }
    let llm = &report.llm;
    if llm.calls + llm.cache_hits > 0 {
        let _ = write!(
            text,
            "\nmodel: {} calls, {} answers from the cache, {} tokens sent, {} received",
            llm.calls, llm.cache_hits, llm.tokens_in, llm.tokens_out
        );
    }
    if let Some(StopReason::Budget(kind)) = report.stopped {
        let _ = write!(text, "\nstopped: the budget of {kind} is used up");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: &str) -> Source {
        Source::Site(url.to_owned())
    }

    #[test]
    fn a_job_is_known_by_its_sources_alone() {
        let (a, b) = (site("https://a.example/"), site("https://b.example/"));
        assert_eq!(name(std::slice::from_ref(&a)), "https://a.example/");
        assert_eq!(name(&[a.clone(), b.clone()]), name(&[b.clone(), a.clone(), b.clone()]));
        assert_ne!(name(&[a.clone(), b]), name(&[a, site("https://c.example/")]));
        let feed = Source::Feed("https://a.example/".to_owned());
        assert_ne!(name(&[feed]), "https://a.example/");
    }

    #[test]
    fn a_long_source_still_gives_a_short_name() {
        let long = |end: &str| site(&format!("https://ä.example/{}{end}", "ü".repeat(400)));
        assert!(name(&[long("1")]).len() < 200);
        assert_ne!(name(&[long("1")]), name(&[long("2")]));
    }

    #[test]
    fn an_empty_feed_is_no_failure_and_a_dead_host_is() {
        let report = |failed, stopped| Report { failed, stopped, ..Report::default() };
        assert!(!came_to_nothing(&report(0, None)));
        assert!(came_to_nothing(&report(1, None)));
        assert!(!came_to_nothing(&report(1, Some(StopReason::Cancelled))));
        assert!(!came_to_nothing(&Report { pages: 1, ..report(1, None) }));
    }
}
