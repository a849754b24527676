//! Storing a page: one batch with everything that follows from it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::state::RunState;
use crate::crawl::{Candidate, UrlRecord};
use crate::engine::Error;
use crate::engine::tables::{PageRow, encode_row, hash_key, read_row, trailing_url_key};
use crate::extract::{self, Input};
use crate::fetch::Exchange;
use crate::model::{Content, Link, Truncated};
use crate::store::Batch;
use crate::url::UrlKey;

/// Longest that one of two pages with the same text waits for the other.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);

/// A document to extract from, and where it comes from.
struct Document<'a> {
    key: UrlKey,
    body: &'a [u8],
    /// The page's row; what it says of the content is replaced.
    row: PageRow,
    /// The row that is stored.
    stored: Option<&'a PageRow>,
    /// What the frontier knows of it, if it was requested.
    record: Option<&'a UrlRecord>,
}

/// What extraction made of a page.
struct Extraction {
    content: Option<Content>,
    links: Vec<Link>,
    /// Why there is no content although there should be.
    failure: Option<String>,
}

impl RunState {
    /// Stores a page with everything that follows from it; `stored` is its row from an earlier run.
    pub(super) fn store_page(
        self: &Arc<Self>,
        record: &UrlRecord,
        exchange: &Exchange,
        stored: Option<&PageRow>,
    ) -> Result<(), Error> {
        let mut batch = self.parts.tables.store.batch();
        batch.put(&self.parts.tables.raw, record.key().0, &exchange.body);
        let document = Document {
            key: record.key(),
            body: &exchange.body,
            row: page_row(record, exchange),
            stored,
            record: Some(record),
        };
        self.store_document(batch, document)
    }

    /// Extracts a page again from its stored body, without a request.
    pub(super) fn reextract_page(
        self: &Arc<Self>,
        key: UrlKey,
        body: &[u8],
        stored: &PageRow,
    ) -> Result<(), Error> {
        let batch = self.parts.tables.store.batch();
        let row = stored.clone();
        let document = Document { key, body, row, stored: Some(stored), record: None };
        self.store_document(batch, document)
    }

    /// Extracts a document and stores what follows from it.
    fn store_document(
        self: &Arc<Self>,
        mut batch: Batch,
        document: Document<'_>,
    ) -> Result<(), Error> {
        let tables = &self.parts.tables;
        let Document { key, body, mut row, stored, record } = document;
        let Extraction { content, links, failure } = self.read(&row, body);
        row.forget_content();
        row.links = links.len() as u64;
        row.extract_failure = failure;
        if self.parts.config.crawl.extract {
            row.extractor = extract::VERSION;
        }
        let old = stored.filter(|stored| stored.content_hash.is_some());
        let fresh = if let Some(content) = &content {
            self.put_content(&mut batch, key, content, &mut row, stored)?
        } else {
            self.drop_content(&mut batch, key, stored);
            old.is_some()
        };
        put_links(&mut batch, self, key, &links);
        tables.put_page(&mut batch, key, &row, stored);
        let admissions = match record {
            Some(record) => {
                self.put_final(&mut batch, record);
                let follow = self.follows(content.as_ref());
                let candidates = links.iter().filter(|_| follow);
                let depth = record.depth + 1;
                self.admit(
                    &mut batch,
                    candidates.map(|link| Candidate::link(&link.url, key, depth)),
                )?
            }
            None => Vec::new(),
        };
        // The text is to be distilled for this page once no other page holds it.
        let alone = stored.is_some_and(|stored| stored.duplicate_of.is_some());
        let distil = content.is_some() && (fresh || alone) && row.duplicate_of.is_none();
        if distil {
            self.put_pending_distil(&mut batch, key);
        }
        let text = content.as_ref().map(|content| content.fingerprint.text);
        let withdrawn = match old.filter(|_| fresh) {
            Some(old) => Some(self.withdraw_infos(&mut batch, key, &old.url, text)?),
            None => None,
        };
        self.commits.submit(batch)?;
        drop(withdrawn);
        self.publish(admissions);
        self.count_page(&row, links.len());
        if stored.is_some() && !fresh && record.is_none() {
            self.counters.unchanged.add(1);
        }
        if distil {
            if let Some(content) = content {
                self.parts.caches.contents.insert(key, Arc::new(content));
            }
            self.wake_workers();
        }
        Ok(())
    }

    /// Puts the page's rows for the distiller. They are counted first, since a worker may find them
    /// at once.
    fn put_pending_distil(&self, batch: &mut Batch, key: UrlKey) {
        let rows = &self.parts.tables.pending_distil;
        for (focus, _) in &self.focuses {
            batch.put(rows, focus.pending_key(key), 0_u32.to_be_bytes());
        }
        self.pending.add_pending(self.focuses.len() as u64);
    }

    fn read(&self, row: &PageRow, body: &[u8]) -> Extraction {
        let url = &row.url;
        let input = Input { body, url, content_type: row.headers.get("content-type") };
        let mut failure = None;
        if self.parts.config.crawl.extract {
            // A page that makes the extractor panic is stored without text, like one that it refuses.
            let extracted = catch_unwind(AssertUnwindSafe(|| self.parts.extractor.extract(&input)));
            let extracted = extracted.map_err(|_| "the extractor panicked".to_owned());
            match extracted.and_then(|content| content.map_err(|error| error.to_string())) {
                Ok(mut content) => {
                    let links = std::mem::take(&mut content.links);
                    return Extraction { content: Some(content), links, failure };
                }
                Err(error) => {
                    tracing::info!(%url, %error, "the content could not be extracted");
                    failure = Some(error);
                }
            }
        }
        let links = self.parts.extractor.links(&input).unwrap_or_else(|error| {
            tracing::info!(%url, %error, "the links could not be read");
            failure.get_or_insert_with(|| error.to_string());
            Vec::new()
        });
        Extraction { content: None, links, failure }
    }

    /// Puts the content and its index row; true if the text is new at this URL.
    fn put_content(
        &self,
        batch: &mut Batch,
        key: UrlKey,
        content: &Content,
        row: &mut PageRow,
        stored: Option<&PageRow>,
    ) -> Result<bool, Error> {
        let tables = &self.parts.tables;
        let hash = content.fingerprint.text;
        let hash_text = blake3::Hash::from_bytes(hash).to_hex().to_string();
        // Texts of one hash may differ in white space and case, and infos cite bytes.
        let fresh = stored.and_then(|page| page.content_hash.as_ref()) != Some(&hash_text)
            || tables.text.get(key.0)?.as_deref() != Some(content.text.as_bytes());
        if fresh {
            self.forget_content(batch, key, stored);
        }
        row.truncated = content.truncated;
        row.title.clone_from(&content.title);
        row.language.clone_from(&content.language);
        row.charset = Some(content.charset.clone());
        row.published_at.clone_from(&content.published_at);
        row.content_hash = Some(hash_text);
        if !content.text.is_empty() {
            row.duplicate_of = self.holder_of(hash, &row.url)?;
            batch.put(&tables.by_hash, hash_key(hash, key), []);
        }
        batch.put(&tables.text, key.0, &content.text);
        batch.put(&tables.markdown, key.0, &content.markdown);
        batch.put(&tables.content, key.0, encode_row(&content.without_bodies()));
        Ok(fresh)
    }

    /// The other page that holds this text, if any. Otherwise `own` becomes its holder.
    fn holder_of(&self, hash: [u8; 32], own: &Url) -> Result<Option<Url>, Error> {
        let mut holder = self.claim(hash, own)?;
        if holder != *own {
            let page = self.parts.tables.page(UrlKey::from_url(&holder))?;
            // A page without a row is being stored right now. A page with another text was taken
            // for the holder while its new text was being stored.
            if page.is_some_and(|page| !holds(&page, hash)) {
                self.parts.caches.holders.invalidate(&hash);
                holder = self.claim(hash, own)?;
            }
        }
        Ok((holder != *own).then_some(holder))
    }

    /// The known holder of this text; `own` if there was none.
    fn claim(&self, hash: [u8; 32], own: &Url) -> Result<Url, Error> {
        let tables = &self.parts.tables;
        let find = || {
            for key in tables.by_hash.prefix(hash).keys() {
                let Some(key) = trailing_url_key(&key?) else { continue };
                match tables.page(key)? {
                    Some(page) if holds(&page, hash) => return Ok(page.url),
                    _ => {}
                }
            }
            Ok::<Url, Error>(own.clone())
        };
        match self.parts.caches.holders.get_or_load(&hash, CLAIM_TIMEOUT, find) {
            Ok(holder) => Ok(holder),
            Err(crate::cache::LoadError::Loader(error)) => Err(error),
            // Distilling a text twice costs time but loses nothing.
            Err(_) => Ok(own.clone()),
        }
    }

    /// Deletes the rows of a replaced content, except its infos.
    fn forget_content(&self, batch: &mut Batch, key: UrlKey, stored: Option<&PageRow>) {
        let Some(stored) = stored else { return };
        self.parts.caches.contents.invalidate(&key);
        let hash = stored.content_hash.as_deref().and_then(|hex| blake3::Hash::from_hex(hex).ok());
        if let Some(hash) = hash {
            batch.delete(&self.parts.tables.by_hash, hash_key(*hash.as_bytes(), key));
            if self.parts.caches.holders.get(hash.as_bytes()).as_ref() == Some(&stored.url) {
                self.parts.caches.holders.invalidate(hash.as_bytes());
            }
        }
    }

    fn drop_content(&self, batch: &mut Batch, key: UrlKey, stored: Option<&PageRow>) {
        if stored.is_none_or(|page| page.content_hash.is_none()) {
            return;
        }
        self.forget_content(batch, key, stored);
        let tables = &self.parts.tables;
        for keyspace in [&tables.text, &tables.markdown, &tables.content] {
            batch.delete(keyspace, key.0);
        }
    }

    fn count_page(&self, row: &PageRow, links: usize) {
        self.counters.pages.add(1);
        self.counters.links.add(links as u64);
        if row.duplicate_of.is_some() {
            self.counters.deduplicated.add(1);
        }
    }

    /// Records that a page has not changed since it was stored, and follows its stored links.
    pub(super) fn store_unchanged(
        self: &Arc<Self>,
        record: &UrlRecord,
        exchange: &Exchange,
        stored: Option<&PageRow>,
    ) -> Result<(), Error> {
        let Some(stored) = stored else {
            // A 304 to an unconditional request: there is nothing that it could refer to.
            return self.store_final(record);
        };
        let tables = &self.parts.tables;
        let key = record.key();
        let mut row = PageRow { fetched_at: exchange.fetched_at, ..stored.clone() };
        let mut batch = tables.store.batch();
        if self.parts.config.crawl.extract
            && row.extractor < extract::VERSION
            && let Some(body) = tables.raw.get(key.0)?
        {
            let (body, record, stored) = (&body[..], Some(record), Some(stored));
            self.counters.unchanged.add(1);
            return self.store_document(batch, Document { key, body, row, stored, record });
        }
        let hash = row.content_hash.as_deref().and_then(|hex| blake3::Hash::from_hex(hex).ok());
        if let (Some(hash), true) = (hash, row.duplicate_of.is_some()) {
            row.duplicate_of = self.holder_of(*hash.as_bytes(), &row.url)?;
        }
        // The text is to be distilled for this page once no other page holds it.
        let distil = stored.duplicate_of.is_some() && row.duplicate_of.is_none();
        if distil {
            self.put_pending_distil(&mut batch, key);
        }
        tables.put_page(&mut batch, key, &row, Some(stored));
        self.put_final(&mut batch, record);
        let links = self.stored_links(key)?;
        let content = read_row::<Content>(&tables.content, "content", &key.0)?;
        let follow = self.follows(content.as_ref());
        let depth = record.depth + 1;
        let candidates = links.iter().filter(|_| follow);
        let candidates = candidates.map(|url| Candidate::link(url, key, depth));
        let admissions = self.admit(&mut batch, candidates)?;
        self.commits.submit(batch)?;
        self.publish(admissions);
        self.counters.pages.add(1);
        self.counters.unchanged.add(1);
        self.counters.links.add(links.len() as u64);
        if row.duplicate_of.is_some() {
            self.counters.deduplicated.add(1);
        }
        if distil {
            self.wake_workers();
        }
        Ok(())
    }

    /// Whether the links of a page may be followed.
    fn follows(&self, content: Option<&Content>) -> bool {
        let refused = content.is_some_and(|content| content.nofollow);
        !(refused && self.parts.config.crawl.respect_robots)
    }

    fn stored_links(&self, key: UrlKey) -> Result<Vec<Url>, Error> {
        let Some(value) = self.parts.tables.links.get(key.0)? else { return Ok(Vec::new()) };
        let text = String::from_utf8_lossy(&value);
        Ok(text.lines().filter_map(|line| crate::url::parse(line).ok()).collect())
    }
}

/// Whether the page has this text and is not a duplicate itself.
fn holds(page: &PageRow, hash: [u8; 32]) -> bool {
    let hash = blake3::Hash::from_bytes(hash).to_hex();
    page.duplicate_of.is_none() && page.content_hash.as_deref() == Some(hash.as_str())
}

fn put_links(batch: &mut Batch, run: &RunState, key: UrlKey, links: &[Link]) {
    let size = links.iter().map(|link| link.url.as_str().len() + 1).sum();
    let mut text = String::with_capacity(size);
    for link in links {
        text.push_str(link.url.as_str());
        text.push('\n');
    }
    batch.put(&run.parts.tables.links, key.0, text);
}

fn page_row(record: &UrlRecord, exchange: &Exchange) -> PageRow {
    PageRow {
        url: record.url.clone(),
        status: exchange.status,
        title: None,
        language: None,
        media_type: exchange.headers.media_type(),
        charset: None,
        published_at: None,
        bytes: exchange.body.len() as u64,
        links: 0,
        fetched_at: exchange.fetched_at,
        content_hash: None,
        duplicate_of: None,
        extract_failure: None,
        truncated: Truncated::default(),
        extractor: 0,
        hops: record.hops.clone(),
        headers: exchange.headers.clone(),
    }
}
