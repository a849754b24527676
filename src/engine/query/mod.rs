//! Queries: reading the infos, pages, bodies and reasons that an engine has stored.
//!
//! Each query reads one snapshot of the store. Its result is cached until something that it was
//! read from is written ([`results`]). Page listings walk one of four indexes ([`pages`]).

mod pages;
pub(super) mod results;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::distil::RejectedWhy;
use super::tables::{JobId, JobRow, PageRow, Tables, UrlRow, decode_row, time_key};
use super::{Engine, Error};
use crate::model::{Hop, Info, Reason, Truncated};
use crate::store::{Keyspace, Snapshot, Value};
use crate::time::Timestamp;
use crate::url::UrlKey;

pub use pages::{PageCursor, PageEntry, PageQuery};
use results::{ActiveQuery, QueryKind, weight_of};

/// Longest chain of redirects and duplicates that is followed.
const MAX_ALIASES: usize = 10;

/// Which infos to list. The default: all accepted ones, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct InfoQuery {
    /// Only those of the focus with this text.
    pub focus: Option<String>,
    /// Only those accepted at or after this time.
    pub since: Option<Timestamp>,
}

/// An info that was rejected because its quote or its fact could not be grounded in the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The claimed fact.
    pub fact: String,
    /// The claimed quote.
    pub quote: String,
    /// The page.
    pub url: Url,
    /// Text of the focus.
    pub focus: String,
    /// Why it was rejected.
    #[serde(flatten)]
    pub why: RejectedWhy,
    /// When.
    pub created_at: Timestamp,
}

/// A stored page. Its bodies are read on demand, so the engine must still be open.
#[derive(Clone, Debug)]
pub struct StoredPage {
    /// What is known of it.
    pub entry: PageEntry,
    /// Header fields of the answer.
    pub headers: crate::model::Headers,
    key: UrlKey,
    tables: Tables,
}

impl StoredPage {
    /// The body as received, after content decoding.
    pub fn raw(&self) -> Result<Option<Value>, Error> {
        Ok(self.tables.raw.get(self.key.0)?)
    }

    /// The main text, UTF-8; absent where the page was stored without extraction. Spans of infos
    /// are offsets into exactly these bytes.
    pub fn text(&self) -> Result<Option<Value>, Error> {
        Ok(self.tables.text.get(self.key.0)?)
    }

    /// The main content as Markdown, UTF-8; absent where the page was stored without extraction.
    pub fn markdown(&self) -> Result<Option<Value>, Error> {
        Ok(self.tables.markdown.get(self.key.0)?)
    }

    /// The links found on the page, in document order.
    pub fn links(&self) -> Result<Vec<String>, Error> {
        let Some(value) = self.tables.links.get(self.key.0)? else { return Ok(Vec::new()) };
        Ok(String::from_utf8_lossy(&value).lines().map(str::to_owned).collect())
    }
}

/// Why a URL is in its state, for one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The URL.
    pub url: Url,
    /// Name of the job.
    pub job: String,
    /// The reason.
    #[serde(flatten)]
    pub reason: Reason,
    /// When that was decided.
    pub at: Timestamp,
    /// Links between a source and this URL.
    pub depth: u32,
    /// Requests for it that failed.
    pub failed_attempts: u32,
    /// Redirects that led to it.
    pub hops: Vec<Hop>,
    /// What the stored page leaves out because it exceeded a bound.
    #[serde(default, skip_serializing_if = "Truncated::is_none")]
    pub truncated: Truncated,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.url)?;
        writeln!(f, "  {}", self.reason)?;
        writeln!(f, "  job {:?}, since {}", self.job, self.at)?;
        write!(f, "  depth {}, failed requests {}", self.depth, self.failed_attempts)?;
        for hop in &self.hops {
            write!(f, "\n  {} {} -> {} at {}", hop.status, hop.url, hop.location, hop.at)?;
        }
        if self.truncated.any() {
            write!(f, "\n  cut at a bound: {}", self.truncated)?;
        }
        Ok(())
    }
}

/// A page that was found: its key, its entry and its header fields.
type FoundPage = (UrlKey, PageEntry, crate::model::Headers);

impl Engine {
    /// The accepted infos, oldest first.
    pub fn infos(
        &self,
        query: &InfoQuery,
    ) -> Result<impl Iterator<Item = Result<Info, Error>> + use<>, Error> {
        let rows = &self.parts()?.tables.infos;
        let reading = self.reading(QueryKind::Infos(query.clone()), &[rows])?;
        Ok(by_focus(reading, rows, "infos", query, |info: &Info| &info.focus))
    }

    /// The infos that were rejected because they could not be grounded, oldest first.
    pub fn quarantined(
        &self,
        query: &InfoQuery,
    ) -> Result<impl Iterator<Item = Result<Quarantined, Error>> + use<>, Error> {
        let rows = &self.parts()?.tables.quarantine;
        let reading = self.reading(QueryKind::Quarantined(query.clone()), &[rows])?;
        Ok(by_focus(reading, rows, "quarantine", query, |refused: &Quarantined| &refused.focus))
    }

    /// The page stored under `url`, or under the URL that it redirected to.
    pub fn get(&self, url: &str) -> Result<Option<StoredPage>, Error> {
        let tables = &self.parts()?.tables;
        let key = UrlKey::from_url(&parse_url(url)?);
        let keyspaces = [&tables.pages, &tables.jobs, &tables.urls];
        let reading = self.reading(QueryKind::Page(key), &keyspaces)?;
        let found = if let Some(kept) = reading.kept::<FoundPage>() {
            kept
        } else {
            let (found, weight) = find_page(tables, &reading.snapshot, key)?;
            let found = Arc::new(found.into_iter().collect::<Vec<_>>());
            reading.keep(Arc::clone(&found), weight);
            found
        };
        let page = found.first().cloned();
        let tables = tables.clone();
        Ok(page.map(|(key, entry, headers)| StoredPage { entry, headers, key, tables }))
    }

    /// Why `url` was or was not fetched and kept: one explanation for each job that has met it.
    pub fn why(&self, url: &str) -> Result<Vec<Explanation>, Error> {
        let tables = &self.parts()?.tables;
        let key = UrlKey::from_url(&parse_url(url)?);
        let keyspaces = [&tables.jobs, &tables.urls, &tables.pages];
        let reading = self.reading(QueryKind::Why(key), &keyspaces)?;
        if let Some(kept) = reading.kept::<Explanation>() {
            return Ok((*kept).clone());
        }
        let page = page_row(tables, &reading.snapshot, key)?;
        let truncated = page.map(|(page, _)| page.truncated).unwrap_or_default();
        let (mut explanations, mut weight) = (Vec::new(), 0);
        for row in url_rows(tables, &reading.snapshot, key) {
            let (job, row, bytes) = row?;
            weight += weight_of::<Explanation>(&bytes);
            explanations.push(Explanation {
                url: row.record.url,
                job,
                reason: row.record.reason,
                at: row.record.updated_at,
                depth: row.record.depth,
                failed_attempts: row.record.attempts,
                hops: row.record.hops,
                truncated,
            });
        }
        let explanations = Arc::new(explanations);
        reading.keep(Arc::clone(&explanations), weight);
        Ok(Arc::unwrap_or_clone(explanations))
    }

    /// The jobs in the directory.
    pub(super) fn jobs(&self) -> Result<Vec<(String, JobRow)>, Error> {
        let tables = &self.parts()?.tables;
        job_rows(tables, &tables.store.snapshot()).collect()
    }

    fn reading(&self, asked: QueryKind, keyspaces: &[&Keyspace]) -> Result<ActiveQuery, Error> {
        let parts = self.parts()?;
        ActiveQuery::begin(&parts.tables.store, parts.caches.queries.as_ref(), asked, keyspaces)
    }
}

/// The next free job number.
pub(super) fn next_job_id(jobs: &[(String, JobRow)]) -> JobId {
    JobId(jobs.iter().map(|(_, job)| job.id.0).max().map_or(0, |last| last + 1))
}

fn parse_url(url: &str) -> Result<Url, Error> {
    crate::url::parse(url).map_err(|source| Error::Url { url: url.to_owned(), source })
}

/// The rows that match a query; `focus_of` returns the focus of a row.
fn by_focus<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    reading: ActiveQuery,
    keyspace: &Keyspace,
    name: &'static str,
    query: &InfoQuery,
    focus_of: fn(&T) -> &str,
) -> impl Iterator<Item = Result<T, Error>> + use<T> {
    let (focus, since) = (query.focus.clone(), query.since);
    reading.rows(move |snapshot| {
        snapshot
            .range(keyspace, since_bounds(since))
            .map(move |row| {
                let (key, value) = row?;
                Ok((decode_row::<T>(name, &key, &value)?, weight_of::<T>(&value)))
            })
            .filter(move |row| match (row, &focus) {
                (Ok((row, _)), Some(focus)) => focus_of(row) == focus,
                _ => true,
            })
    })
}

/// A page's row and its weight.
fn page_row(
    tables: &Tables,
    snapshot: &Snapshot,
    key: UrlKey,
) -> Result<Option<(PageRow, u64)>, Error> {
    let Some(value) = snapshot.get(&tables.pages, key.0)? else { return Ok(None) };
    Ok(Some((decode_row("pages", &key.0, &value)?, weight_of::<FoundPage>(&value))))
}

/// The page stored under a key, or under the key it redirected to, and its weight.
fn find_page(
    tables: &Tables,
    snapshot: &Snapshot,
    mut key: UrlKey,
) -> Result<(Option<FoundPage>, u64), Error> {
    for _ in 0..MAX_ALIASES {
        if let Some((mut row, weight)) = page_row(tables, snapshot, key)? {
            let headers = std::mem::take(&mut row.headers);
            return Ok((Some((key, row.into(), headers)), weight));
        }
        match alias_of(tables, snapshot, key)? {
            Some(next) if next != key => key = next,
            _ => break,
        }
    }
    Ok((None, 0))
}

/// Where a URL without a page of its own redirected to.
fn alias_of(tables: &Tables, snapshot: &Snapshot, key: UrlKey) -> Result<Option<UrlKey>, Error> {
    for row in url_rows(tables, snapshot, key) {
        if let Reason::DuplicateOf { url } = row?.1.record.reason {
            return Ok(Some(UrlKey::from_url(&url)));
        }
    }
    Ok(None)
}

/// What each job knows of a URL: the name of the job, the row, and its bytes.
fn url_rows<'a>(
    tables: &'a Tables,
    snapshot: &'a Snapshot,
    key: UrlKey,
) -> impl Iterator<Item = Result<(String, UrlRow, Value), Error>> + 'a {
    job_rows(tables, snapshot).filter_map(move |job| {
        let read = || {
            let (name, job) = job?;
            let key = job.id.url_key(key);
            let Some(value) = snapshot.get(&tables.urls, key)? else { return Ok(None) };
            Ok(Some((name, UrlRow::decode(&key, &value)?, value)))
        };
        read().transpose()
    })
}

fn job_rows<'a>(
    tables: &'a Tables,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = Result<(String, JobRow), Error>> + 'a {
    snapshot.prefix(&tables.jobs, []).map(|row| {
        let (key, value) = row?;
        let job = decode_row("jobs", &key, &value)?;
        Ok((String::from_utf8_lossy(&key).into_owned(), job))
    })
}

fn since_bounds(since: Option<Timestamp>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let from = since.map_or(Bound::Unbounded, |at| Bound::Included(time_key(at, [0; 16]).to_vec()));
    (from, Bound::Unbounded)
}
