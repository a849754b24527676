//! ResultCache of queries, kept as long as nothing was written that they came from.
//!
//! A query reads one snapshot of the store. Its key in the cache is the whole query together with
//! the generations, in that snapshot, of the keyspaces that it reads. So a result is found only by
//! a query whose snapshot shows those keyspaces as they were; a commit that comes in between, or
//! while the query is under way, changes a generation before it is acknowledged, and results of
//! before it are not found by queries that begin after it. They go by their time, or to make room.

use std::any::Any;
use std::sync::Arc;

use super::{InfoQuery, PageQuery};
use crate::cache::Cache;
use crate::engine::Error;
use crate::store::{Keyspace, Snapshot, Store};
use crate::url::UrlKey;

/// A result may take this part of the cache; larger ones are read anew each time.
const LARGEST_SHARE: u64 = 8;
/// Keyspaces that one query reads, at the most.
const MOST_KEYSPACES: usize = 3;
/// What a result costs beside its rows, in bytes.
const OVERHEAD: u64 = 256;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) enum QueryKind {
    Infos(InfoQuery),
    Quarantined(InfoQuery),
    Pages(Box<PageQuery>),
    Page(UrlKey),
    Why(UrlKey),
}

/// What is asked, and of which state of what it reads.
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
    /// ResultCache in `cache`, which has room for `bytes`.
    pub(in crate::engine) fn new(cache: Cache<QueryKey, CachedRows>, bytes: u64) -> Self {
        Self { cache, largest: bytes / LARGEST_SHARE }
    }
}

/// A query under way: what it reads, and where its result is kept.
pub(super) struct ActiveQuery {
    pub(super) snapshot: Snapshot,
    /// `None` where results are not kept.
    place: Option<(ResultCache, QueryKey)>,
}

impl ActiveQuery {
    /// Begins a query that reads these keyspaces: the snapshot is taken before their generations are
    /// looked at in it.
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

    /// The rows, if they are kept.
    pub(super) fn kept<T: Send + Sync + 'static>(&self) -> Option<Arc<Vec<T>>> {
        let (results, key) = self.place.as_ref()?;
        results.cache.get(key)?.rows.downcast().ok()
    }

    /// Keeps the rows, of this weight together, unless they are too heavy.
    pub(super) fn keep<T: Send + Sync + 'static>(self, rows: Arc<Vec<T>>, weight: u64) {
        let Some((results, key)) = self.place else { return };
        let weight = weight.saturating_add(OVERHEAD);
        if weight <= results.largest {
            results.cache.insert(key, CachedRows { rows, weight });
        }
    }

    /// The rows one by one: those that are kept, or those that `read` gives with their weights,
    /// which are then kept if it gives them all without an error and they are not too heavy.
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

/// What was given so far, as long as it may be kept.
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

/// What a row takes in memory, by the length of its JSON form: the texts of which are about as
/// long, and what stands around them is about as large again.
pub(super) fn weight_of<T>(json: &[u8]) -> u64 {
    (size_of::<T>() + 2 * json.len()) as u64
}
