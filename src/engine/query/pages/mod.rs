//! Listing stored pages along an index.
//!
//! Each of the four indexes is an ordered keyspace. A listing walks one of them in either
//! direction, from its first row or from a cursor, and reads one index row and one row of `pages`
//! for each page that it returns. Only a second condition makes it read pages that it does not
//! return.

#[cfg(test)]
mod tests;

use std::ops::Bound;

use serde::{Deserialize, Serialize};
use url::Url;

use super::page_row;
use super::results::QueryKind;
use crate::engine::tables::{
    PageRow, Tables, hash_key, host_key, host_prefix, time_key, trailing_url_key,
};
use crate::engine::{Engine, Error};
use crate::model::{Hop, Truncated};
use crate::store::{Keyspace, Snapshot};
use crate::time::Timestamp;
use crate::url::{Host, UrlKey};

/// Which pages to list, in which order, and how many. The default: all, by URL.
///
/// The first of these conditions that is set selects the index, and so the order: `content_hash`
/// (no particular order), `url_prefix` (by URL), `since` and `until` (by time), `host` (no
/// particular order). Without any, pages come by URL. Further conditions filter the pages on the
/// way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PageQuery {
    /// Only those with this [`content_hash`](PageEntry::content_hash). It does not find pages
    /// without text.
    pub content_hash: Option<String>,
    /// Only those whose URL begins with this text, `https://example.com/docs/` for instance.
    pub url_prefix: Option<String>,
    /// Only those fetched at or after this time.
    pub since: Option<Timestamp>,
    /// Only those fetched before this time.
    pub until: Option<Timestamp>,
    /// Only those of this host (`example.com`, or `example.com:8080`).
    pub host: Option<String>,
    /// From the end of the order to its beginning.
    pub reverse: bool,
    /// Only those after this one: where an earlier listing with the same conditions ended.
    pub after: Option<PageCursor>,
    /// At most this many.
    pub limit: Option<usize>,
}

/// A page's position in a listing, from [`PageEntry::cursor`]. It stays valid when pages are added
/// or removed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PageCursor {
    url: Url,
    fetched_at: Timestamp,
}

/// What is known of a stored page, without its bodies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageEntry {
    /// The URL it is stored under.
    pub url: Url,
    /// Status of its response.
    pub status: u16,
    /// Title.
    pub title: Option<String>,
    /// Language, as a BCP 47 tag.
    pub language: Option<String>,
    /// Media type of its response.
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
    /// An earlier page with the same text.
    pub duplicate_of: Option<Url>,
    /// Why it has no text, where extraction failed.
    pub extract_failure: Option<String>,
    /// What its text, Markdown and links leave out because it exceeded a bound.
    pub truncated: Truncated,
    /// Version of the extractor that read it; 0 if none did.
    pub extractor: u32,
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
            truncated: row.truncated,
            extractor: row.extractor,
            hops: row.hops,
        }
    }
}

impl PageEntry {
    /// This page's position in listings, to continue one [after](PageQuery::after) it.
    pub fn cursor(&self) -> PageCursor {
        PageCursor { url: self.url.clone(), fetched_at: self.fetched_at }
    }
}

impl Engine {
    /// The stored pages that match a query.
    pub fn pages(
        &self,
        query: &PageQuery,
    ) -> Result<impl Iterator<Item = Result<PageEntry, Error>> + use<>, Error> {
        let tables = &self.parts()?.tables;
        let query = PageQuery {
            host: query.host.as_ref().map(|host| host.to_ascii_lowercase()),
            ..query.clone()
        };
        let index = Index::of(&query);
        let keyspaces = [&tables.pages, index.keyspace(tables)];
        let reading = self.reading(QueryKind::Pages(Box::new(query.clone())), &keyspaces)?;
        let tables = tables.clone();
        Ok(reading.rows(move |snapshot| page_rows(tables, snapshot.clone(), index, query)))
    }
}

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The index that a listing walks, and the part of it.
#[derive(Debug, PartialEq)]
enum Index {
    Hash([u8; 32]),
    Url(String),
    Time {
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    },
    Host(String),
    /// For a condition that no page can meet.
    Nothing,
}

impl Index {
    fn of(query: &PageQuery) -> Self {
        let PageQuery { content_hash, url_prefix, since, until, host, .. } = query;
        if let Some(hex) = content_hash {
            let hash = blake3::Hash::from_hex(hex);
            hash.map_or(Self::Nothing, |hash| Self::Hash(*hash.as_bytes()))
        } else if let Some(prefix) = url_prefix {
            Self::Url(prefix.clone())
        } else if since.is_some() || until.is_some() {
            Self::Time { since: *since, until: *until }
        } else if let Some(host) = host {
            Self::Host(host.clone())
        } else {
            Self::Url(String::new())
        }
    }

    fn keyspace<'a>(&self, tables: &'a Tables) -> &'a Keyspace {
        match self {
            Self::Hash(_) => &tables.by_hash,
            Self::Url(_) | Self::Nothing => &tables.by_url,
            Self::Time { .. } => &tables.by_time,
            Self::Host(_) => &tables.by_host,
        }
    }

    /// The rows of the part.
    fn bounds(&self) -> Bounds {
        let time = |at: &Timestamp| time_key(*at, [0; 16]).to_vec();
        match self {
            Self::Hash(hash) => prefixed(hash),
            Self::Url(prefix) => prefixed(prefix.as_bytes()),
            Self::Time { since, until } => {
                let from = since.as_ref().map(time).map_or(Bound::Unbounded, Bound::Included);
                (from, until.as_ref().map(time).map_or(Bound::Unbounded, Bound::Excluded))
            }
            Self::Host(host) => prefixed(&host_prefix(host)),
            Self::Nothing => (Bound::Unbounded, Bound::Excluded(Vec::new())),
        }
    }

    /// The key of a page's row in this index; it may lie outside the part.
    fn place(&self, url: &Url, fetched_at: Timestamp) -> Vec<u8> {
        let key = UrlKey::from_url(url);
        match self {
            Self::Hash(hash) => hash_key(*hash, key).to_vec(),
            Self::Url(_) | Self::Nothing => url.as_str().as_bytes().to_vec(),
            Self::Time { .. } => time_key(fetched_at, key.0).to_vec(),
            Self::Host(_) => host_key(Host::of(url).as_str(), key),
        }
    }
}

/// The keys that begin with `prefix`.
fn prefixed(prefix: &[u8]) -> Bounds {
    let end = prefix.iter().rposition(|byte| *byte != u8::MAX).and_then(|last| {
        let mut end = prefix.get(..=last)?.to_vec();
        *end.last_mut()? += 1;
        Some(end)
    });
    (Bound::Included(prefix.to_vec()), end.map_or(Bound::Unbounded, Bound::Excluded))
}

/// The part of the bounds that lies after `place` in the direction of the listing.
fn behind((start, end): Bounds, place: Vec<u8>, reverse: bool) -> Bounds {
    // A place before the start of the bounds cuts nothing off.
    let cuts = match if reverse { &end } else { &start } {
        Bound::Included(edge) | Bound::Excluded(edge) if reverse => place < *edge,
        Bound::Included(edge) | Bound::Excluded(edge) => place >= *edge,
        Bound::Unbounded => true,
    };
    match (cuts, reverse) {
        (true, false) => (Bound::Excluded(place), end),
        (true, true) => (start, Bound::Excluded(place)),
        (false, _) => (start, end),
    }
}

fn page_rows(
    tables: Tables,
    snapshot: Snapshot,
    index: Index,
    query: PageQuery,
) -> impl Iterator<Item = Result<(PageEntry, u64), Error>> + use<> {
    let bounds = match &query.after {
        Some(PageCursor { url, fetched_at }) => {
            behind(index.bounds(), index.place(url, *fetched_at), query.reverse)
        }
        None => index.bounds(),
    };
    let limit = query.limit.unwrap_or(usize::MAX);
    let mut rows = snapshot.range(index.keyspace(&tables), bounds);
    let reverse = query.reverse;
    let rows = std::iter::from_fn(move || if reverse { rows.next_back() } else { rows.next() });
    rows.filter_map(move |row| {
        let read = || {
            let (place, value) = row?;
            let key = if matches!(index, Index::Url(_)) { &*value } else { &place };
            let Some(key) = trailing_url_key(key) else { return Ok(None) };
            let Some((page, weight)) = page_row(&tables, &snapshot, key)? else { return Ok(None) };
            // Skips an index row that the page no longer belongs to.
            let there = index.place(&page.url, page.fetched_at) == place;
            Ok((there && meets(&page, &query)).then(|| (PageEntry::from(page), weight)))
        };
        read().transpose()
    })
    .take(limit)
}

/// Whether a page meets all conditions.
fn meets(page: &PageRow, query: &PageQuery) -> bool {
    let PageQuery { content_hash, url_prefix, since, until, host, .. } = query;
    let hash = || page.content_hash.as_deref().unwrap_or_default();
    content_hash.as_ref().is_none_or(|wanted| hash().eq_ignore_ascii_case(wanted))
        && url_prefix.as_ref().is_none_or(|prefix| page.url.as_str().starts_with(prefix.as_str()))
        && since.is_none_or(|since| page.fetched_at >= since)
        && until.is_none_or(|until| page.fetched_at < until)
        && host.as_ref().is_none_or(|host| Host::of(&page.url).as_str() == host)
}
