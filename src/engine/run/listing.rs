//! Sitemaps and feeds: documents that list URLs.

use std::io::Read;
use std::sync::Arc;

use url::Url;

use super::RunState;
use crate::crawl::{Candidate, DocumentKind, UrlRecord, Via, feed, sitemap};
use crate::engine::Error;
use crate::fetch::Exchange;

/// Largest listing after decompression: sitemaps.org allows 50 MB.
const MAX_LISTING_BYTES: u64 = 50 << 20;
/// The first bytes of a gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

impl RunState {
    /// Admits what a sitemap or a feed lists.
    pub(super) fn store_listing(
        self: &Arc<Self>,
        record: &UrlRecord,
        exchange: &Exchange,
    ) -> Result<(), Error> {
        let unpacked;
        let mut body = &exchange.body[..];
        if body.starts_with(&GZIP_MAGIC) {
            unpacked = gunzip(body);
            body = &unpacked;
        }
        self.counters.bytes.add(exchange.body.len() as u64);
        let listed = listed_urls(record, body);
        let parent = Some(record.key());
        let candidates = listed.iter().map(|(url, kind, via)| Candidate {
            kind: *kind,
            via: *via,
            parent,
            ..Candidate::seed(url)
        });
        let mut batch = self.shared.tables.store.batch();
        self.put_final(&mut batch, record);
        let admissions = self.admit(&mut batch, candidates)?;
        batch.commit_buffered()?;
        self.publish(admissions);
        Ok(())
    }
}
