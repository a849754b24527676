//! Sitemaps by sitemaps.org: URL sets, indexes, plain text, and feeds that serve as sitemaps.
//!
//! Tolerant: a malformed or truncated document yields the entries before the error, and the error.

use super::feed;
use super::xml::{self, DocumentError, Step};
use crate::url::{Url, join, parse};

/// Most bytes of one sitemap that are read, uncompressed; the protocol allows 50 MB.
pub const MAX_SITEMAP_BYTES: usize = 50 * 1024 * 1024;

/// Most entries of one sitemap that are read, as many as the protocol allows.
pub const MAX_SITEMAP_ENTRIES: usize = 50_000;

/// Deepest nesting of indexes; the protocol allows one level.
pub const MAX_SITEMAP_DEPTH: u32 = 3;

/// What a sitemap lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sitemap {
    /// Pages.
    pub entries: Vec<SitemapEntry>,
    /// Further sitemaps, of an index.
    pub sitemaps: Vec<Url>,
    /// The error, if it was read only in part.
    pub error: Option<DocumentError>,
}

/// A page in a sitemap.
#[derive(Clone, Debug, PartialEq)]
pub struct SitemapEntry {
    /// Its URL.
    pub url: Url,
    /// When it last changed, as written (W3C date and time).
    pub last_modified: Option<String>,
    /// Its priority from 0 to 1, as the site states it.
    pub priority: Option<f32>,
}

/// Reads a sitemap, already decompressed. `url` is its own; entries resolve against it.
///
/// ```
/// use gristmill::{crawl::sitemap, url::parse};
///
/// let url = parse("https://a.example/sitemap.xml")?;
/// let text = "<urlset><url><loc>https://a.example/x</loc><priority>0.8</priority></url></urlset>";
/// let read = sitemap::read(text.as_bytes(), &url);
/// assert_eq!(read.entries[0].url.as_str(), "https://a.example/x");
/// assert_eq!(read.entries[0].priority, Some(0.8));
/// # Ok::<(), gristmill::url::UrlError>(())
/// ```
pub fn read(bytes: &[u8], url: &Url) -> Sitemap {
    let cut = bytes.get(..MAX_SITEMAP_BYTES).filter(|_| bytes.len() > MAX_SITEMAP_BYTES);
    let text = xml::decode(cut.unwrap_or(bytes));
    let text = text.trim_start();
    let mut sitemap = if text.starts_with('<') {
        read_xml(text, url)
    } else if text.starts_with('{') {
        from_feed(text, url)
    } else {
        read_text(text, url)
    };
    if cut.is_some() {
        let url = url.clone();
        let limit = MAX_SITEMAP_BYTES;
        sitemap.error = Some(DocumentError::TooLarge { url, what: "bytes", limit });
    }
    sitemap
}

fn read_xml(text: &str, url: &Url) -> Sitemap {
    let mut sitemap = Sitemap::default();
    let mut root: Option<String> = None;
    let (mut location, mut last_modified, mut priority) = (None, None, None);
    let mut full = false;
    let walked = xml::walk(text, url, |levels, step| {
        match step {
            Step::Open { name, .. } => {
                if root.is_none() {
                    root = Some((*name).to_owned());
                    return matches!(*name, "urlset" | "sitemapindex");
                }
                if matches!(*name, "url" | "sitemap") {
                    (location, last_modified, priority) = (None, None, None);
                }
            }
            Step::Close { name, text } => {
                let parent = levels.last().map(|level| level.name.as_str());
                let in_entry = matches!(parent, Some("url" | "sitemap"));
                match *name {
                    "loc" if in_entry => location = join(url, text).ok(),
                    "lastmod" if in_entry => last_modified = Some((*text).to_owned()),
                    "priority" if in_entry => {
                        priority = text.parse().ok().filter(|p| (0.0..=1.0).contains(p));
                    }
                    "sitemap" => sitemap.sitemaps.extend(location.take()),
                    "url" => sitemap.entries.extend(location.take().map(|url| SitemapEntry {
                        url,
                        last_modified: last_modified.take(),
                        priority: priority.take(),
                    })),
                    _ => {}
                }
            }
        }
        full = sitemap.entries.len() + sitemap.sitemaps.len() >= MAX_SITEMAP_ENTRIES;
        !full
    });
    if !matches!(root.as_deref(), Some("urlset" | "sitemapindex")) {
        return from_feed(text, url);
    }
    sitemap.error = walked.err().or_else(|| full.then(|| too_many(url)));
    sitemap
}

fn from_feed(text: &str, url: &Url) -> Sitemap {
    let feed = feed::read(text.as_bytes(), url);
    let entries = feed.entries.into_iter().map(|entry| SitemapEntry {
        url: entry.url,
        last_modified: entry.published,
        priority: None,
    });
    Sitemap { entries: entries.collect(), sitemaps: Vec::new(), error: feed.error }
}

/// One URL a line; other lines are skipped.
fn read_text(text: &str, url: &Url) -> Sitemap {
    let mut urls = text.lines().filter_map(|line| parse(line).ok());
    let entry = |url| SitemapEntry { url, last_modified: None, priority: None };
    let entries: Vec<_> = urls.by_ref().take(MAX_SITEMAP_ENTRIES).map(entry).collect();
    let error = if urls.next().is_some() {
        Some(too_many(url))
    } else if entries.is_empty() && !text.trim().is_empty() {
        Some(DocumentError::Unknown { url: url.clone() })
    } else {
        None
    };
    Sitemap { entries, sitemaps: Vec::new(), error }
}

fn too_many(url: &Url) -> DocumentError {
    DocumentError::TooLarge { url: url.clone(), what: "entries", limit: MAX_SITEMAP_ENTRIES }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_str(text: &str) -> Sitemap {
        read(text.as_bytes(), &parse("https://a.example/maps/sitemap.xml").unwrap())
    }

    fn urls(sitemap: &Sitemap) -> Vec<&str> {
        sitemap.entries.iter().map(|entry| entry.url.as_str()).collect()
    }

    #[test]
    fn url_sets_are_read_with_prefixes_entities_and_extensions() {
        let sitemap = read_str(
            "<?xml version='1.0' encoding='UTF-8'?>\n<s:urlset xmlns:s='http://x'>\n\
             <s:url><s:loc> https://a.example/?a=1&amp;b=2 </s:loc>\
             <image:image><image:loc>https://a.example/i.png</image:loc></image:image>\
             <s:lastmod>2026-01-02</s:lastmod><s:priority>7</s:priority></s:url>\
             <s:url><s:loc><![CDATA[/rel?x=1&y=2]]></s:loc></s:url>\
             <s:url><s:loc>mailto:x@y.z</s:loc></s:url></s:urlset>",
        );
        assert_eq!(urls(&sitemap), ["https://a.example/?a=1&b=2", "https://a.example/rel?x=1&y=2"]);
        assert_eq!(sitemap.entries[0].last_modified.as_deref(), Some("2026-01-02"));
        assert_eq!(sitemap.entries[0].priority, None, "outside 0 to 1");
        assert_eq!(sitemap.error, None);
    }

    #[test]
    fn indexes_texts_and_feeds_are_read() {
        let index =
            read_str("<sitemapindex><sitemap><loc>/a.xml.gz</loc></sitemap></sitemapindex>");
        assert_eq!(index.sitemaps[0].as_str(), "https://a.example/a.xml.gz");
        let text = read_str("\u{feff}https://a.example/1\r\n\r\nhttps://a.example/2\nnonsense\n");
        assert_eq!(urls(&text), ["https://a.example/1", "https://a.example/2"]);
        let rss = read_str("<rss><channel><item><link>/n</link></item></channel></rss>");
        assert_eq!(urls(&rss), ["https://a.example/n"]);
    }

    #[test]
    fn broken_and_foreign_documents_give_what_was_read_and_an_error() {
        let cut = read_str("<urlset><url><loc>https://a.example/1</loc></url><url><loc>https");
        assert_eq!(urls(&cut), ["https://a.example/1"]);
        let broken = read_str("<urlset><url><loc>https://a.example/1</loc></url><url <<");
        assert_eq!(urls(&broken), ["https://a.example/1"]);
        assert!(matches!(broken.error, Some(DocumentError::Broken { .. })), "{broken:?}");
        let unclosed = read_str("<urlset><url><loc>/1</url><url><loc>/2</loc></url></urlset>");
        assert_eq!(urls(&unclosed), ["https://a.example/1", "https://a.example/2"]);
        let html = read_str("<!doctype html><html><body>not found</body></html>");
        assert!(matches!(html.error, Some(DocumentError::Unknown { .. })), "{html:?}");
        assert!(matches!(read_str("hello").error, Some(DocumentError::Unknown { .. })));
    }

    #[test]
    fn entries_and_nesting_are_bounded() {
        let many = "<url><loc>/x</loc></url>".repeat(MAX_SITEMAP_ENTRIES + 1);
        let sitemap = read_str(&format!("<urlset>{many}</urlset>"));
        assert_eq!(sitemap.entries.len(), MAX_SITEMAP_ENTRIES);
        assert!(matches!(sitemap.error, Some(DocumentError::TooLarge { .. })));
        let deep = read_str(&format!("<urlset>{}", "<url>".repeat(100_000)));
        assert!(matches!(deep.error, Some(DocumentError::TooLarge { what: "levels", .. })));
    }
}
