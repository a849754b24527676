//! The engine's keyspaces and what their rows hold.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `jobs` | name | [`JobRow`] |
//! | `urls` | job id (4) · URL key (16) | [`UrlRow`] |
//! | `queue` | job id (4) · queue key of the frontier | empty |
//! | `pages` | URL key (16) | [`PageRow`] |
//! | `raw`, `text`, `markdown` | URL key | bytes |
//! | `links` | URL key | the URLs, one a line |
//! | `content` | URL key | the content without its text, Markdown and links |
//! | `by_url` | URL | URL key |
//! | `by_host` | host · 0 · URL key | empty |
//! | `by_time` | fetched at, ms (8) · URL key | empty |
//! | `by_hash` | BLAKE3 of the text (32) · URL key | empty |
//! | `pending_distil` | focus id (8) · URL key | attempts (4) |
//! | `infos`, `quarantine` | created at, ms (8) · info key (16) | [`crate::model::Info`], [`super::Quarantined`] |
//! | `info_keys` | info key (16) | key of the row in `infos` |
//! | `infos_of` | URL key · key of the row in `infos` | empty: the infos that cite the page |
//! | `focuses` | focus id (8) | [`crate::model::Focus`] |
//! | `answers` | key of a request to a model (32) | its answer |
//!
//! Numbers in keys are big-endian. Rows are JSON, so they can gain fields without a new format.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::Error;
use super::distil::InfoKey;
use crate::config::StoreConfig;
use crate::crawl::UrlRecord;
use crate::model::{Focus, Headers, Hop, Info, Truncated};
use crate::store::{Batch, Compression, Keyspace, KeyspaceOptions, Store};
use crate::time::Timestamp;
use crate::url::{Host, UrlKey};

/// Rows in one batch when a whole keyspace is walked.
const BATCH_ROWS: usize = 1000;

/// All keyspaces of an engine, open.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub(super) store: Store,
    pub(super) jobs: Keyspace,
    pub(super) urls: Keyspace,
    pub(super) queue: Keyspace,
    pub(super) pages: Keyspace,
    pub(super) raw: Keyspace,
    pub(super) text: Keyspace,
    pub(super) markdown: Keyspace,
    pub(super) links: Keyspace,
    pub(super) content: Keyspace,
    pub(super) by_url: Keyspace,
    pub(super) by_host: Keyspace,
    pub(super) by_time: Keyspace,
    pub(super) by_hash: Keyspace,
    pub(super) pending_distil: Keyspace,
    pub(super) infos: Keyspace,
    pub(super) quarantine: Keyspace,
    pub(super) info_keys: Keyspace,
    pub(super) infos_of: Keyspace,
    pub(super) focuses: Keyspace,
    pub(super) answers: Keyspace,
}

impl Tables {
    pub(super) fn open(store: Store, config: &StoreConfig) -> Result<Self, Error> {
        let plain = |name: &str| store.keyspace(name, KeyspaceOptions::default());
        // Bodies that may be equal on many pages, byte for byte.
        let body = |name: &str, compression| {
            // The dictionary has no effect without compression.
            let options = KeyspaceOptions::compressed(compression).with_dictionary();
            let options = if config.dedup { options.deduplicated() } else { options };
            store.keyspace(name, options)
        };
        let raw = match config.raw_zstd_level {
            0 => Compression::None,
            level => Compression::Zstd(level),
        };
        let tables = Self {
            jobs: plain("jobs")?,
            urls: plain("urls")?,
            queue: plain("queue")?,
            pages: plain("pages")?,
            raw: body("raw", raw)?,
            text: body("text", Compression::None)?,
            markdown: body("markdown", Compression::None)?,
            links: plain("links")?,
            content: plain("content")?,
            by_url: plain("by_url")?,
            by_host: plain("by_host")?,
            by_time: plain("by_time")?,
            by_hash: plain("by_hash")?,
            pending_distil: plain("pending_distil")?,
            infos: plain("infos")?,
            quarantine: plain("quarantine")?,
            info_keys: plain("info_keys")?,
            infos_of: plain("infos_of")?,
            focuses: plain("focuses")?,
            answers: plain("answers")?,
            store,
        };
        tables.complete_by_url()?;
        Ok(tables)
    }

    /// Adds the rows of `by_url` for pages stored before that index existed.
    fn complete_by_url(&self) -> Result<(), Error> {
        if self.by_url.len()? >= self.pages.len()? {
            return Ok(());
        }
        let mut batch = self.store.batch();
        for row in self.pages.prefix([]) {
            let (key, value) = row?;
            match decode_row::<PageRow>("pages", &key, &value) {
                Ok(page) => batch.put(&self.by_url, page.url.as_str(), &key),
                Err(error) => tracing::warn!(%error, "a page is not listed by its URL"),
            }
            if batch.len() >= BATCH_ROWS {
                std::mem::replace(&mut batch, self.store.batch()).commit_buffered()?;
            }
        }
        drop(batch.commit_buffered()?);
        // A commit would not report that one of the others was refused.
        Ok(self.store.flush()?)
    }

    /// Puts a page's row and its index rows by URL, host and time; `stored` is its current row.
    pub(super) fn put_page(
        &self,
        batch: &mut Batch,
        key: UrlKey,
        row: &PageRow,
        stored: Option<&PageRow>,
    ) {
        if let Some(stored) = stored {
            batch.delete(&self.by_time, time_key(stored.fetched_at, key.0));
            if stored.url != row.url {
                batch.delete(&self.by_url, stored.url.as_str());
            }
        }
        batch.put(&self.pages, key.0, encode_row(row));
        batch.put(&self.by_time, time_key(row.fetched_at, key.0), []);
        batch.put(&self.by_url, row.url.as_str(), key.0);
        batch.put(&self.by_host, host_key(Host::of(&row.url).as_str(), key), []);
    }

    pub(super) fn page(&self, key: UrlKey) -> Result<Option<PageRow>, Error> {
        read_row(&self.pages, "pages", &key.0)
    }

    /// The stored info that states a fact, with the key of its row.
    pub(super) fn info_of_fact(&self, key: InfoKey) -> Result<Option<(Vec<u8>, Info)>, Error> {
        let Some(row_key) = self.info_keys.get(key.0)? else { return Ok(None) };
        let info = read_row::<Info>(&self.infos, "infos", &row_key)?;
        Ok(info.map(|info| (row_key.to_vec(), info)))
    }

    pub(super) fn url(&self, job: JobId, key: UrlKey) -> Result<Option<UrlRow>, Error> {
        let key = job.url_key(key);
        self.urls.get(key)?.map(|value| UrlRow::decode(&key, &value)).transpose()
    }
}

/// Reads and decodes one row.
pub(super) fn read_row<T: DeserializeOwned>(
    keyspace: &Keyspace,
    name: &'static str,
    key: &[u8],
) -> Result<Option<T>, Error> {
    let Some(value) = keyspace.get(key)? else { return Ok(None) };
    decode_row(name, key, &value).map(Some)
}

/// Decodes one row; the error names it.
pub(super) fn decode_row<T: DeserializeOwned>(
    keyspace: &'static str,
    key: &[u8],
    value: &[u8],
) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|source| Error::Row {
        keyspace,
        key: printable(key),
        source,
    })
}

/// Encodes one row.
pub(super) fn encode_row<T: Serialize>(row: &T) -> Vec<u8> {
    serde_json::to_vec(row).expect("invariant: rows hold no maps with keys that are not text")
}

fn printable(key: &[u8]) -> String {
    use std::fmt::Write;
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => key.iter().fold(String::with_capacity(key.len() * 2), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}

/// Number of a job in its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct JobId(pub(super) u32);

impl JobId {
    pub(super) fn url_key(self, key: UrlKey) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&self.0.to_be_bytes());
        bytes[4..].copy_from_slice(&key.0);
        bytes
    }

    pub(super) fn queue_key(self, position: &[u8]) -> Vec<u8> {
        [&self.0.to_be_bytes(), position].concat()
    }
}

/// Number of a focus: the first 8 bytes of the BLAKE3 hash of its JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FocusId(pub(super) [u8; 8]);

impl FocusId {
    pub(super) fn of(focus: &Focus) -> Self {
        let hash = blake3::hash(&encode_row(focus));
        let mut id = [0; 8];
        id.copy_from_slice(&hash.as_bytes()[..8]);
        Self(id)
    }

    pub(super) fn pending_key(self, key: UrlKey) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.0);
        bytes[8..].copy_from_slice(&key.0);
        bytes
    }
}

/// A job as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct JobRow {
    pub(super) id: JobId,
    /// Number of the run. Rows of `urls` from an earlier run do not count as seen.
    pub(super) run: u64,
    pub(super) started_at: Timestamp,
    /// Absent while the run is unfinished.
    #[serde(default)]
    pub(super) finished_at: Option<Timestamp>,
    /// Focuses that every page of the run is or was distilled for.
    #[serde(default)]
    pub(super) focuses: Vec<FocusId>,
    /// Hosts added to the scope by redirects of sources.
    #[serde(default)]
    pub(super) hosts: Vec<String>,
}

/// What a job knows of a URL. Stored as the number of the run (8 bytes), one byte that is 1 if the
/// URL was admitted and 0 if it was only refused, and the record. The head can be read alone,
/// because whether a URL is known is asked far more often than what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UrlRow {
    pub(super) run: u64,
    pub(super) admitted: bool,
    pub(super) record: UrlRecord,
}

/// Bytes before the record.
const URL_ROW_HEAD: usize = 9;

impl UrlRow {
    pub(super) fn encode(run: u64, admitted: bool, record: &UrlRecord) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(&run.to_be_bytes());
        bytes.push(u8::from(admitted));
        serde_json::to_writer(&mut bytes, record)
            .expect("invariant: a record has a JSON form and writing to memory does not fail");
        bytes
    }

    pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<Self, Error> {
        let (run, admitted) = Self::head(value);
        let record = value.get(URL_ROW_HEAD..).unwrap_or_default();
        Ok(Self { run, admitted, record: decode_row("urls", key, record)? })
    }

    /// The run, and whether the URL was admitted, without decoding the record.
    pub(super) fn head(value: &[u8]) -> (u64, bool) {
        let run = value.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        (run, value.get(URL_ROW_HEAD - 1) == Some(&1))
    }
}

/// A page as it is stored, without its bodies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PageRow {
    pub(super) url: Url,
    pub(super) status: u16,
    #[serde(default)]
    pub(super) title: Option<String>,
    #[serde(default)]
    pub(super) language: Option<String>,
    #[serde(default)]
    pub(super) media_type: Option<String>,
    #[serde(default)]
    pub(super) charset: Option<String>,
    #[serde(default)]
    pub(super) published_at: Option<String>,
    pub(super) bytes: u64,
    pub(super) links: u64,
    pub(super) fetched_at: Timestamp,
    #[serde(default)]
    pub(super) content_hash: Option<String>,
    #[serde(default)]
    pub(super) duplicate_of: Option<Url>,
    /// Why there is no content although there should be.
    #[serde(default)]
    pub(super) extract_failure: Option<String>,
    /// What its content leaves out.
    #[serde(default, skip_serializing_if = "Truncated::is_none")]
    pub(super) truncated: Truncated,
    /// Version of the extractor that read its body; 0 if none did, and before there were versions.
    #[serde(default)]
    pub(super) extractor: u32,
    #[serde(default)]
    pub(super) hops: Vec<Hop>,
    #[serde(default)]
    pub(super) headers: Headers,
}

impl PageRow {
    /// Removes what extraction has found out.
    pub(super) fn forget_content(&mut self) {
        self.title = None;
        self.language = None;
        self.charset = None;
        self.published_at = None;
        self.content_hash = None;
        self.duplicate_of = None;
        self.extract_failure = None;
        self.truncated = Truncated::default();
        self.extractor = 0;
    }
}

/// Key of a row in `by_time`, `infos` or `quarantine`.
pub(super) fn time_key(at: Timestamp, id: [u8; 16]) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&at.0.to_be_bytes());
    bytes[8..].copy_from_slice(&id);
    bytes
}

/// The prefix of a host's keys in `by_host`.
pub(super) fn host_prefix(host: &str) -> Vec<u8> {
    [host.as_bytes(), &[0]].concat()
}

/// Key of a row in `by_host`.
pub(super) fn host_key(host: &str, key: UrlKey) -> Vec<u8> {
    [host.as_bytes(), &[0], &key.0].concat()
}

/// Key of a row in `by_hash`.
pub(super) fn hash_key(hash: [u8; 32], key: UrlKey) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[..32].copy_from_slice(&hash);
    bytes[32..].copy_from_slice(&key.0);
    bytes
}

/// The URL key at the end of an index row's key.
pub(super) fn trailing_url_key(key: &[u8]) -> Option<UrlKey> {
    let start = key.len().checked_sub(16)?;
    key.get(start..)?.try_into().ok().map(UrlKey)
}
