//! Cached results of queries, valid until something they were read from is written.
//!
//! A query reads one snapshot of the store. Its cache key is the whole query together with the
//! generations, in that snapshot, of the keyspaces that it reads. So a result is found only by a
//! query whose snapshot shows those keyspaces unchanged. A commit changes a generation before it is
//! acknowledged, so queries that begin after it do not find older results. Those expire, or are
//! evicted to make room.

use std::any::Any;
use std::sync::Arc;

use super::{InfoQuery, PageQuery};
use crate::cache::Cache;
use crate::engine::Error;
use crate::store::{Keyspace, Snapshot, Store};
use crate::url::UrlKey;

/// A result may take up to one part in this many of the cache; larger ones are not cached.
const LARGEST_SHARE: u64 = 8;
/// Most keyspaces that one query reads.
const MOST_KEYSPACES: usize = 3;
/// Bytes that a result takes besides its rows.
const OVERHEAD: u64 = 256;

/// A query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) enum QueryKind {
    Infos(InfoQuery),
    Quarantined(InfoQuery),
    Pages(Box<PageQuery>),
    Page(UrlKey),
    Why(UrlKey),
}

/// A query, and the generations of what it reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) struct QueryKey {
    asked: QueryKind,
    generations: [u64; MOST_KEYSPACES],
}

/// A result: a `Vec` of the rows of its query.
#[derive(Clone, Debug)]
pub(in crate::engine) struct CachedRows {
    rows: Arc<dyn Any + Send + Sync>,
    weight: u64,
}

/// The cache of results. Clones share it.
#[derive(Clone, Debug)]
pub(in crate::engine) struct ResultCache {
    cache: Cache<QueryKey, CachedRows>,
    largest: u64,
}

impl CachedRows {
    pub(in crate::engine) fn weight(&self) -> u64 {
        self.weight
    }
}

impl ResultCache {
    /// A cache of results in `cache`, whose capacity is `bytes`.
    pub(in crate::engine) fn new(cache: Cache<QueryKey, CachedRows>, bytes: u64) -> Self {
        Self { cache, largest: bytes / LARGEST_SHARE }
    }
}

/// A query in progress: its snapshot, and where its result is cached.
pub(super) struct ActiveQuery {
    pub(super) snapshot: Snapshot,
    /// `None` if results are not cached.
    place: Option<(ResultCache, QueryKey)>,
}

impl ActiveQuery {
    /// Begins a query that reads these keyspaces. The generations are read from the snapshot, so
    /// they match the rows that the query sees.
    pub(super) fn begin(
        store: &Store,
        results: Option<&ResultCache>,
        asked: QueryKind,
        keyspaces: &[&Keyspace],
    ) -> Result<Self, Error> {
        let snapshot = store.snapshot();
        let Some(results) = results else { return Ok(Self { snapshot, place: None }) };
        let mut generations = [0; MOST_KEYSPACES];
        for (generation, keyspace) in generations.iter_mut().zip(keyspaces) {
            *generation = snapshot.generation(keyspace)?;
        }
        let key = QueryKey { asked, generations };
        Ok(Self { snapshot, place: Some((results.clone(), key)) })
    }

    /// The rows, if they are cached.
    pub(super) fn kept<T: Send + Sync + 'static>(&self) -> Option<Arc<Vec<T>>> {
        let (results, key) = self.place.as_ref()?;
        results.cache.get(key)?.rows.downcast().ok()
    }

    /// Caches the rows, whose total is `weight`, unless they are too heavy.
    pub(super) fn keep<T: Send + Sync + 'static>(self, rows: Arc<Vec<T>>, weight: u64) {
        let Some((results, key)) = self.place else { return };
        let weight = weight.saturating_add(OVERHEAD);
        if weight <= results.largest {
            results.cache.insert(key, CachedRows { rows, weight });
        }
    }

    /// The rows one by one, from the cache or from `read`, which also yields their weights. Rows
    /// from `read` are cached once it has yielded all of them without an error, unless they are too
    /// heavy.
    pub(super) fn rows<T, I>(self, read: impl FnOnce(&Snapshot) -> I) -> Rows<T, I>
    where
        T: Clone + Send + Sync + 'static,
        I: Iterator<Item = Result<(T, u64), Error>>,
    {
        if let Some(rows) = self.kept() {
            return Rows::CachedRows { rows, next: 0 };
        }
        let read = read(&self.snapshot);
        let recording = self.place.is_some().then_some(Recording {
            reading: self,
            rows: Vec::new(),
            weight: 0,
        });
        Rows::Read { read, recording }
    }
}

/// The rows of a query.
pub(super) enum Rows<T, I> {
    CachedRows { rows: Arc<Vec<T>>, next: usize },
    Read { read: I, recording: Option<Recording<T>> },
}

/// The rows yielded so far, as long as they may be cached.
pub(super) struct Recording<T> {
    reading: ActiveQuery,
    rows: Vec<T>,
    weight: u64,
}

impl<T, I> Iterator for Rows<T, I>
where
    T: Clone + Send + Sync + 'static,
    I: Iterator<Item = Result<(T, u64), Error>>,
{
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (read, recording) = match self {
            Self::CachedRows { rows, next } => {
                let row = rows.get(*next).cloned();
                *next += 1;
                return row.map(Ok);
            }
            Self::Read { read, recording } => (read, recording),
        };
        match read.next() {
            Some(Ok((row, weight))) => {
                if let Some(mut so_far) = recording.take() {
                    so_far.weight += weight;
                    if so_far.may_be_kept() {
                        so_far.rows.push(row.clone());
                        *recording = Some(so_far);
                    }
                }
                Some(Ok(row))
            }
            Some(Err(error)) => {
                *recording = None;
                Some(Err(error))
            }
            None => {
                if let Some(Recording { reading, rows, weight }) = recording.take() {
                    reading.keep(Arc::new(rows), weight);
                }
                None
            }
        }
    }
}

impl<T> Recording<T> {
    fn may_be_kept(&self) -> bool {
        let largest = self.reading.place.as_ref().map_or(0, |(results, _)| results.largest);
        self.weight.saturating_add(OVERHEAD) <= largest
    }
}

/// Estimates a row's memory by the length of its JSON form: its texts are about as long, and the
/// structures around them take about as much again.
pub(super) fn weight_of<T>(json: &[u8]) -> u64 {
    (size_of::<T>() + 2 * json.len()) as u64
}
