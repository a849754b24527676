//! Feeds: RSS 0.9 to 2.0, Atom and JSON Feed.
//!
//! Tolerant: a malformed or truncated document yields the entries before the error, and the error.

use serde_json::Value;

use super::xml::{self, DocumentError, Level, Step, attribute};
use crate::url::{Url, cut, join};

/// Most bytes of one feed that are read.
pub const MAX_FEED_BYTES: usize = 16 * 1024 * 1024;

/// Most entries of one feed that are read.
pub const MAX_FEED_ENTRIES: usize = 10_000;

/// Longest title or summary that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 4096;

/// What a feed lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// Its title.
    pub title: Option<String>,
    /// Its entries, without those that have no URL.
    pub entries: Vec<FeedEntry>,
    /// The error, if it was read only in part.
    pub error: Option<DocumentError>,
}

/// One entry of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// The URL of its page.
    pub url: Url,
    /// Its title, as written.
    pub title: Option<String>,
    /// Its summary or, without one, its content; may hold HTML.
    pub summary: Option<String>,
    /// When it was published or last changed, as written (RFC 822 in RSS, RFC 3339 elsewhere).
    pub published: Option<String>,
}

/// Reads a feed. `url` is its own; links resolve against it, and against `xml:base` where given.
///
/// ```
/// use gristmill::{crawl::feed, url::parse};
///
/// let url = parse("https://a.example/feed.xml")?;
/// let text = "<rss><channel><item><title>News</title><link>/n/1</link></item></channel></rss>";
/// let feed = feed::read(text.as_bytes(), &url);
/// assert_eq!(feed.entries[0].url.as_str(), "https://a.example/n/1");
/// # Ok::<(), gristmill::url::UrlError>(())
/// ```
pub fn read(bytes: &[u8], url: &Url) -> Feed {
    let cut = bytes.get(..MAX_FEED_BYTES).filter(|_| bytes.len() > MAX_FEED_BYTES);
    let text = xml::decode(cut.unwrap_or(bytes));
    let text = text.trim_start();
    let mut feed = if text.starts_with('{') { read_json(text, url) } else { read_xml(text, url) };
    if cut.is_some() {
        let url = url.clone();
        feed.error = Some(DocumentError::TooLarge { url, what: "bytes", limit: MAX_FEED_BYTES });
    }
    feed
}

/// An entry being read.
#[derive(Default)]
struct Draft {
    link: Option<Url>,
    /// A permanent id, the link of last resort.
    id: Option<Url>,
    title: Option<String>,
    summary: Option<String>,
    content: Option<String>,
    published: Option<String>,
    updated: Option<String>,
}

impl Draft {
    fn finish(self) -> Option<FeedEntry> {
        Some(FeedEntry {
            url: self.link.or(self.id)?,
            title: self.title,
            summary: self.summary.or(self.content),
            published: self.published.or(self.updated),
        })
    }
}

struct XmlFeed {
    feed: Feed,
    known: bool,
    draft: Option<Draft>,
    base: Url,
    entry_base: Url,
    guid_is_link: bool,
}

fn read_xml(text: &str, url: &Url) -> Feed {
    let mut state = XmlFeed {
        feed: Feed::default(),
        known: false,
        draft: None,
        base: url.clone(),
        entry_base: url.clone(),
        guid_is_link: true,
    };
    let walked = xml::walk(text, url, |levels, step| state.visit(levels, step));
    let XmlFeed { mut feed, known, draft, .. } = state;
    // An entry left open by the end of a truncated document.
    if feed.entries.len() < MAX_FEED_ENTRIES {
        feed.entries.extend(draft.and_then(Draft::finish));
    }
    let full = feed.entries.len() >= MAX_FEED_ENTRIES;
    feed.error = match walked {
        Err(error) => Some(error),
        Ok(()) if !known => Some(DocumentError::Unknown { url: url.clone() }),
        Ok(()) if full => Some(too_many(url)),
        Ok(()) => None,
    };
    feed
}

impl XmlFeed {
    fn visit(&mut self, levels: &[Level], step: &Step<'_>) -> bool {
        match step {
            Step::Open { name, element } => {
                if levels.is_empty() {
                    self.known |= matches!(*name, "rss" | "rdf" | "feed");
                    if !self.known {
                        return false;
                    }
                }
                let base = || attribute(element, "base");
                match *name {
                    "feed" | "rss" | "channel" => {
                        if let Some(base) = base().and_then(|base| join(&self.base, &base).ok()) {
                            self.base = base;
                        }
                    }
                    "item" | "entry" => {
                        self.draft = Some(Draft::default());
                        let base = base().and_then(|base| join(&self.base, &base).ok());
                        self.entry_base = base.unwrap_or_else(|| self.base.clone());
                    }
                    "guid" => {
                        let word = attribute(element, "ispermalink");
                        self.guid_is_link = word.is_none_or(|w| !w.eq_ignore_ascii_case("false"));
                    }
                    "link" => self.link(levels, attribute(element, "href"), || {
                        attribute(element, "rel").unwrap_or_default()
                    }),
                    _ => {}
                }
            }
            Step::Close { name, text } => self.close(levels, name, text),
        }
        self.feed.entries.len() < MAX_FEED_ENTRIES
    }

    /// A link of Atom, which stands in an attribute.
    fn link(&mut self, levels: &[Level], href: Option<String>, rel: impl Fn() -> String) {
        let in_entry = levels.last().is_some_and(|l| matches!(l.name.as_str(), "item" | "entry"));
        let Some(draft) = self.draft.as_mut().filter(|_| in_entry) else { return };
        let Some(url) = href.and_then(|href| join(&self.entry_base, &href).ok()) else { return };
        match rel().as_str() {
            "" | "alternate" => {
                draft.link.get_or_insert(url);
            }
            _ => {}
        }
    }

    fn close(&mut self, levels: &[Level], name: &str, text: &str) {
        if matches!(name, "item" | "entry") {
            self.feed.entries.extend(self.draft.take().and_then(Draft::finish));
            return;
        }
        let parent = levels.last().map_or("", |level| level.name.as_str());
        let Some(draft) = self.draft.as_mut() else {
            if name == "title" && matches!(parent, "channel" | "feed") {
                keep(&mut self.feed.title, text);
            }
            return;
        };
        if !matches!(parent, "item" | "entry") || text.is_empty() {
            return;
        }
        match name {
            "link" if draft.link.is_none() => draft.link = join(&self.entry_base, text).ok(),
            // Absolute URLs only: ids are not relative references.
            "guid" if self.guid_is_link => draft.id = crate::url::parse(text).ok(),
            "id" => draft.id = crate::url::parse(text).ok(),
            "title" => keep(&mut draft.title, text),
            "description" | "summary" => keep(&mut draft.summary, text),
            "content" | "encoded" => keep(&mut draft.content, text),
            "pubdate" | "published" | "issued" | "date" => keep(&mut draft.published, text),
            "updated" | "modified" => keep(&mut draft.updated, text),
            _ => {}
        }
    }
}

/// Keeps the first text that is not empty, cut to the limit.
fn keep(place: &mut Option<String>, text: &str) {
    if place.is_none() && !text.is_empty() {
        *place = Some(cut(text, MAX_TEXT_BYTES).to_owned());
    }
}

fn read_json(text: &str, url: &Url) -> Feed {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let (url, cause) = (url.clone(), error.to_string());
            let position = error.column() as u64;
            let error = Some(DocumentError::Broken { url, position, cause });
            return Feed { error, ..Feed::default() };
        }
    };
    let Some(items) = value.get("items").and_then(Value::as_array) else {
        let error = Some(DocumentError::Unknown { url: url.clone() });
        return Feed { error, ..Feed::default() };
    };
    let text_of = |value: &Value, name: &str| {
        let mut kept = None;
        keep(&mut kept, value.get(name).and_then(Value::as_str).unwrap_or_default().trim());
        kept
    };
    let entry = |item: &Value| {
        let link = |name: &str| join(url, item.get(name)?.as_str()?).ok();
        let id = || crate::url::parse(item.get("id")?.as_str()?).ok();
        Some(FeedEntry {
            url: link("url").or_else(|| link("external_url")).or_else(id)?,
            title: text_of(item, "title"),
            summary: text_of(item, "summary")
                .or_else(|| text_of(item, "content_text"))
                .or_else(|| text_of(item, "content_html")),
            published: text_of(item, "date_published").or_else(|| text_of(item, "date_modified")),
        })
    };
    Feed {
        title: text_of(&value, "title"),
        entries: items.iter().take(MAX_FEED_ENTRIES).filter_map(entry).collect(),
        error: (items.len() > MAX_FEED_ENTRIES).then(|| too_many(url)),
    }
}

fn too_many(url: &Url) -> DocumentError {
    DocumentError::TooLarge { url: url.clone(), what: "entries", limit: MAX_FEED_ENTRIES }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::url::parse;

    fn read_str(text: &str) -> Feed {
        read(text.as_bytes(), &parse("https://a.example/blog/feed").unwrap())
    }

    #[test]
    fn rss_is_read() {
        let feed = read_str(
            "<?xml version=\"1.0\"?><rss version='2.0'><channel><title>The blog</title>\
             <image><title>logo</title></image><atom:link rel='self' href='/feed'/>\
             <item><title>One &amp; two &#8211; x</title><link>https://a.example/1?a=b&amp;c</link>\
             <description><![CDATA[<p>Hello</p>]]></description>\
             <pubDate>Sun, 22 Nov 2026 10:00:00 GMT</pubDate></item>\
             <item><guid>https://a.example/2</guid><media:title>no</media:title></item>\
             <item><guid isPermaLink='false'>https://a.example/3</guid></item></channel></rss>",
        );
        assert_eq!(feed.title.as_deref(), Some("The blog"));
        assert_eq!(feed.entries.len(), 2);
        let one = &feed.entries[0];
        assert_eq!(one.url.as_str(), "https://a.example/1?a=b&c");
        assert_eq!(one.title.as_deref(), Some("One & two – x"));
        assert_eq!(one.summary.as_deref(), Some("<p>Hello</p>"));
        assert_eq!(one.published.as_deref(), Some("Sun, 22 Nov 2026 10:00:00 GMT"));
        assert_eq!(feed.entries[1].url.as_str(), "https://a.example/2");
        assert_eq!(feed.error, None);
    }

    #[test]
    fn rdf_atom_and_json_are_read() {
        let rdf = read_str(
            "<rdf:RDF><channel><title>R</title></channel><item rdf:about='x'>\
             <title>T</title><link>http://b.example/x</link><dc:date>2026-01-01</dc:date></item>\
             </rdf:RDF>",
        );
        assert_eq!(rdf.entries[0].url.as_str(), "http://b.example/x");
        assert_eq!(rdf.entries[0].published.as_deref(), Some("2026-01-01"));
        let atom = read_str(
            "<feed xmlns='http://www.w3.org/2005/Atom' xml:base='https://b.example/d/'>\
             <title>A</title><link href='/'/><entry><title>E</title><id>urn:x:1</id>\
             <link rel='edit' href='edit'/><link href='e?a=1&b=2'/>\
             <updated>2026-02-02T00:00:00Z</updated><author><name>N</name></author>\
             <content type='html'>&lt;b&gt;C&lt;/b&gt;</content></entry></feed>",
        );
        assert_eq!(atom.entries.len(), 1);
        assert_eq!(atom.entries[0].url.as_str(), "https://b.example/d/e?a=1&b=2");
        assert_eq!(atom.entries[0].summary.as_deref(), Some("<b>C</b>"));
        assert_eq!(atom.entries[0].published.as_deref(), Some("2026-02-02T00:00:00Z"));
        let json = read_str(
            r#"{"version":"https://jsonfeed.org/version/1.1","title":"J","items":[
               {"id":"1","url":"/j","title":"T","content_text":"C","date_published":"2026"},
               {"id":"no link"}]}"#,
        );
        assert_eq!(json.entries.len(), 1);
        assert_eq!(json.entries[0].url.as_str(), "https://a.example/j");
        assert_eq!(json.entries[0].summary.as_deref(), Some("C"));
    }

    #[test]
    fn cut_broken_and_other_encodings_are_read_as_far_as_they_go() {
        let cut = read_str("<rss><channel><item><link>/1</link></item><item><link>/2</link><ti");
        assert_eq!(cut.entries.len(), 2);
        let mut latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><rss><channel>".to_vec();
        latin.extend(b"<item><title>caf\xe9 &nbsp; & tea</title><link>/c</link></item>");
        let feed = read(&latin, &parse("https://a.example/").unwrap());
        assert_eq!(feed.entries[0].title.as_deref(), Some("café &nbsp; & tea"));
        let utf16: Vec<u8> = "\u{feff}<rss><channel><item><link>/u</link></item></channel></rss>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(read(&utf16, &parse("https://a.example/").unwrap()).entries.len(), 1);
        let html = read_str("<html><body>x</body></html>");
        assert!(matches!(html.error, Some(DocumentError::Unknown { .. })));
        assert!(matches!(read_str("{\"items\":[").error, Some(DocumentError::Broken { .. })));
    }

    proptest! {
        #[test]
        fn no_document_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200),
                              text in "(<(rss|item|link|/item|feed|entry|title x='|!\\[CDATA\\[)>?|&[a-z#]{0,4};?|.){0,30}") {
            let url = parse("https://a.example/").expect("a URL");
            let _ = read(&bytes, &url);
            let _ = read(text.as_bytes(), &url);
        }
    }
}
