//! Sitemaps and feeds: documents that list URLs.

use std::io::Read;
use std::sync::Arc;

use url::Url;

use super::state::RunState;
use crate::crawl::{Candidate, DocumentKind, UrlRecord, Via, feed, sitemap};
use crate::engine::Error;
use crate::fetch::Exchange;

/// Largest listing after decompression: sitemaps.org allows 50 MB.
const MAX_LISTING_BYTES: u64 = 50 << 20;
/// The first bytes of a gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

impl RunState {
    /// Admits the URLs that a sitemap or a feed lists.
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
        let listed = listed_urls(record, body);
        let parent = Some(record.key());
        let candidates = listed.iter().map(|listed| Candidate {
            kind: listed.kind,
            via: listed.via,
            depth: listed.depth,
            parent,
            score: listed.score,
            url: &listed.url,
        });
        let mut batch = self.parts.tables.store.batch();
        self.put_final(&mut batch, record);
        let admissions = self.admit(&mut batch, candidates)?;
        self.commits.submit(batch)?;
        self.publish(admissions);
        Ok(())
    }
}

/// A URL that a listing names.
struct Listed {
    url: Url,
    kind: DocumentKind,
    via: Via,
    depth: u32,
    score: f32,
}

/// The URLs in the document. It is read as the kind that was expected, feed or sitemap, and as the
/// other kind if that yields nothing, since links often confuse the two.
fn listed_urls(record: &UrlRecord, body: &[u8]) -> Vec<Listed> {
    let readers = [feed_urls, sitemap_urls];
    let [first, second] = match record.kind {
        DocumentKind::Feed => readers,
        _ => [readers[1], readers[0]],
    };
    let listed = first(record, body);
    if listed.is_empty() { second(record, body) } else { listed }
}

fn feed_urls(record: &UrlRecord, body: &[u8]) -> Vec<Listed> {
    let feed = feed::read(body, &record.url);
    if let Some(error) = &feed.error {
        tracing::info!(url = %record.url, %error, "the feed was read in part");
    }
    let entry = |entry: feed::FeedEntry| Listed {
        url: entry.url,
        kind: DocumentKind::Page,
        via: Via::Feed,
        depth: record.depth,
        score: 0.0,
    };
    feed.entries.into_iter().map(entry).collect()
}

fn sitemap_urls(record: &UrlRecord, body: &[u8]) -> Vec<Listed> {
    let sitemap = sitemap::read(body, &record.url);
    if let Some(error) = &sitemap.error {
        tracing::info!(url = %record.url, %error, "the sitemap was read in part");
    }
    let page = |entry: sitemap::SitemapEntry| Listed {
        url: entry.url,
        kind: DocumentKind::Page,
        via: Via::Sitemap,
        depth: record.depth,
        score: entry.priority.unwrap_or(0.0),
    };
    let mut listed: Vec<Listed> = sitemap.entries.into_iter().map(page).collect();
    let depth = record.depth + 1;
    // The depth of a sitemap counts the indexes that led to it.
    if depth <= sitemap::MAX_SITEMAP_DEPTH {
        listed.extend(sitemap.sitemaps.into_iter().map(|url| Listed {
            url,
            kind: DocumentKind::Sitemap,
            via: Via::Sitemap,
            depth,
            score: 1.0,
        }));
    }
    listed
}

/// The content of a gzip file, up to the limit or the first error.
fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let unpacked =
        flate2::read::MultiGzDecoder::new(bytes).take(MAX_LISTING_BYTES).read_to_end(&mut content);
    if let Err(error) = unpacked {
        tracing::info!(%error, "a compressed listing was read in part");
    }
    content
}
