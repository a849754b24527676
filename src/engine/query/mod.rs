//! Reading what an engine has stored: infos, pages, bodies and reasons.

use std::fmt;
use std::ops::Bound;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::distill::RejectedWhy;
use super::tables::{
    JobId, JobRow, PageRow, Tables, decode_row, host_key, time_key, trailing_url_key,
};
use super::{Engine, Error};
use crate::model::{Hop, Info, Reason};
use crate::store::{Direction, Keyspace, Value};
use crate::time::Timestamp;
use crate::url::UrlKey;

/// A chain of redirects or duplicates longer than this is not followed.
const MAX_ALIASES: usize = 10;

/// Which infos to list. The default: all accepted ones, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InfoQuery {
    /// Only those of the focus with this text.
    pub focus: Option<String>,
    /// Only those accepted at or after this time.
    pub since: Option<Timestamp>,
}

/// Which pages to list. The default: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// Only those of this host (`example.com`, or `example.com:8080`).
    pub host: Option<String>,
    /// Only those fetched at or after this time.
    pub since: Option<Timestamp>,
}

/// An info that was refused because its quote or its fact could not be grounded in the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The fact that was claimed.
    pub fact: String,
    /// The quote that was claimed.
    pub quote: String,
    /// The page it was claimed of.
    pub url: Url,
    /// Text of the focus.
    pub focus: String,
    /// Why it was refused.
    #[serde(flatten)]
    pub why: RejectedWhy,
    /// When.
    pub created_at: Timestamp,
}

/// What is known of a stored page, without its bodies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageEntry {
    /// The URL it is stored under.
    pub url: Url,
    /// Status of the answer that brought it.
    pub status: u16,
    /// Title.
    pub title: Option<String>,
    /// Language, as a BCP 47 tag.
    pub language: Option<String>,
    /// Media type of the answer.
    pub media_type: Option<String>,
    /// Character encoding it was read in.
    pub charset: Option<String>,
    /// Publication date as the page gives it.
    pub published_at: Option<String>,
    /// Length of the raw body.
    pub bytes: u64,
    /// Number of links found.
    pub links: u64,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// BLAKE3 of its normalised text, in hexadecimal; absent where extraction is off.
    pub content_hash: Option<String>,
    /// A page with the same text that was stored before.
    pub duplicate_of: Option<Url>,
    /// Why it has no text, where extraction failed.
    pub extract_failure: Option<String>,
    /// Redirects that led to it, the first time it was found.
    pub hops: Vec<Hop>,
}

impl From<PageRow> for PageEntry {
    fn from(row: PageRow) -> Self {
        Self {
            url: row.url,
            status: row.status,
            title: row.title,
            language: row.language,
            media_type: row.media_type,
            charset: row.charset,
            published_at: row.published_at,
            bytes: row.bytes,
            links: row.links,
            fetched_at: row.fetched_at,
            content_hash: row.content_hash,
            duplicate_of: row.duplicate_of,
            extract_failure: row.extract_failure,
            hops: row.hops,
        }
    }
}

/// A stored page; its bodies are read when asked for, so the engine must still be open.
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
    /// The body as it came, after content decoding.
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

/// Why a URL is in the state it is in, for one job.
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
    /// Requests of it that failed.
    pub failed_attempts: u32,
    /// Redirects that led to it.
    pub hops: Vec<Hop>,
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
        Ok(())
    }
}

impl Engine {
    /// The accepted infos, oldest first.
    pub fn infos(
        &self,
        query: &InfoQuery,
    ) -> Result<impl Iterator<Item = Result<Info, Error>> + use<>, Error> {
        let rows = &self.shared()?.tables.infos;
        Ok(by_focus(rows, "infos", query, |info: &Info| &info.focus))
    }

    /// What was refused because it could not be grounded, oldest first.
    pub fn quarantined(
        &self,
        query: &InfoQuery,
    ) -> Result<impl Iterator<Item = Result<Quarantined, Error>> + use<>, Error> {
        let rows = &self.shared()?.tables.quarantine;
        Ok(by_focus(rows, "quarantine", query, |refused: &Quarantined| &refused.focus))
    }

    /// The stored pages: by time where `since` is given, else by host.
    pub fn pages(
        &self,
        query: &PageQuery,
    ) -> Result<impl Iterator<Item = Result<PageEntry, Error>> + use<>, Error> {
        let tables = self.shared()?.tables.clone();
        let keys: Box<dyn Iterator<Item = Result<Vec<u8>, _>> + Send> =
            match (query.since, &query.host) {
                (Some(since), _) => Box::new(
                    tables.by_time.range_keys(since_bounds(Some(since)), Direction::Forward),
                ),
                (None, Some(host)) => {
                    let mut prefix = host_key(&host.to_ascii_lowercase(), UrlKey([0; 16]));
                    prefix.truncate(prefix.len() - 16);
                    Box::new(tables.by_host.keys_prefix(&prefix))
                }
                (None, None) => Box::new(tables.by_host.keys_prefix([])),
            };
        let host = query.host.as_ref().map(|host| host.to_ascii_lowercase());
        let wanted = move |page: &PageEntry| match &host {
            Some(host) => crate::url::Host::of(&page.url).as_str() == host,
            None => true,
        };
        Ok(keys
            .filter_map(move |key| {
                let key = match key {
                    Ok(key) => key,
                    Err(error) => return Some(Err(Error::from(error))),
                };
                // A row of an index without its page means that the page was replaced between
                // the two reads; its newer row follows or has been given.
                trailing_url_key(&key).and_then(|key| tables.page(key).transpose())
            })
            .map(|row| row.map(PageEntry::from))
            .filter(move |page| page.as_ref().map_or(true, &wanted)))
    }

    /// The page stored under `url`, or under the URL that it redirected to.
    pub fn get(&self, url: &str) -> Result<Option<StoredPage>, Error> {
        let tables = &self.shared()?.tables;
        let mut key = UrlKey::from_url(&parse_url(url)?);
        for _ in 0..MAX_ALIASES {
            if let Some(mut row) = tables.page(key)? {
                let headers = std::mem::take(&mut row.headers);
                let (entry, tables) = (row.into(), tables.clone());
                return Ok(Some(StoredPage { entry, headers, key, tables }));
            }
            match self.alias_of(key)? {
                Some(next) if next != key => key = next,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Where a URL without a page of its own redirected to.
    fn alias_of(&self, key: UrlKey) -> Result<Option<UrlKey>, Error> {
        let tables = &self.shared()?.tables;
        for (_, job) in self.jobs()? {
            let Some(row) = tables.url(job.id, key)? else { continue };
            if let Reason::DuplicateOf { url } = row.record.reason {
                return Ok(Some(UrlKey::from_url(&url)));
            }
        }
        Ok(None)
    }

    /// Why `url` was or was not fetched and kept: one explanation for each job that met it, none
    /// if none has.
    pub fn why(&self, url: &str) -> Result<Vec<Explanation>, Error> {
        let tables = &self.shared()?.tables;
        let key = UrlKey::from_url(&parse_url(url)?);
        let mut explanations = Vec::new();
        for (name, job) in self.jobs()? {
            let Some(row) = tables.url(job.id, key)? else { continue };
            explanations.push(Explanation {
                url: row.record.url,
                job: name,
                reason: row.record.reason,
                at: row.record.updated_at,
                depth: row.record.depth,
                failed_attempts: row.record.attempts,
                hops: row.record.hops,
            });
        }
        Ok(explanations)
    }

    /// The jobs that the directory knows.
    pub(super) fn jobs(&self) -> Result<Vec<(String, JobRow)>, Error> {
        let tables = &self.shared()?.tables;
        tables
            .jobs
            .prefix([])
            .map(|row| {
                let (key, value) = row?;
                let job = decode_row("jobs", &key, &value)?;
                Ok((String::from_utf8_lossy(&key).into_owned(), job))
            })
            .collect()
    }
}

/// The next free job number.
pub(super) fn next_job_id(jobs: &[(String, JobRow)]) -> JobId {
    JobId(jobs.iter().map(|(_, job)| job.id.0).max().map_or(0, |last| last + 1))
}

fn parse_url(url: &str) -> Result<Url, Error> {
    crate::url::parse(url).map_err(|source| Error::Url { url: url.to_owned(), source })
}

/// The rows that a query asks for; `focus_of` gives the focus of a row.
fn by_focus<T: DeserializeOwned>(
    rows: &Keyspace,
    name: &'static str,
    query: &InfoQuery,
    focus_of: fn(&T) -> &str,
) -> impl Iterator<Item = Result<T, Error>> + use<T> {
    let focus = query.focus.clone();
    rows.range(since_bounds(query.since), Direction::Forward)
        .map(move |row| {
            let (key, value) = row?;
            decode_row::<T>(name, &key, &value)
        })
        .filter(move |row| match (row, &focus) {
            (Ok(row), Some(focus)) => focus_of(row) == focus,
            _ => true,
        })
}

fn since_bounds(since: Option<Timestamp>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let from = since.map_or(Bound::Unbounded, |at| Bound::Included(time_key(at, [0; 16]).to_vec()));
    (from, Bound::Unbounded)
}
