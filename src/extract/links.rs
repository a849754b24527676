//! The links of a document, collected from its tokens.
//!
//! Sources: `a[href]`, `area[href]`, `link[rel~=next|prev]`, `iframe[src]`, `frame[src]` and
//! `meta[http-equiv=refresh]`; the first `<base href>` is honoured for all of them, wherever it
//! stands. Only http and https are kept, without fragments.

use std::borrow::Cow;
use std::collections::HashMap;

use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::entities::{self, Place};
use super::tag::Tag;
use super::text::{cut, push_collapsed};
use super::token::{StartTag, Token};
use crate::model::Link;

/// Longest `href` that is read, in bytes.
const MAX_URL_BYTES: usize = 8 * 1024;
/// Most bytes of all URLs and anchor texts of a document.
const MAX_LINK_BYTES: usize = 8 << 20;
/// Longest anchor text that is kept, in bytes.
const MAX_ANCHOR_BYTES: usize = 200;

type HashIndex = HashMap<u64, usize, foldhash::fast::FixedState>;

/// A link as written.
#[derive(Debug)]
struct Written<'a> {
    href: Cow<'a, str>,
    text: String,
    nofollow: bool,
}

/// Collects links from tokens.
#[derive(Debug)]
pub(super) struct LinkCollector<'a> {
    base: Option<Cow<'a, str>>,
    written: Vec<Written<'a>>,
    /// Hash of the `href` as written to its index in `written`.
    known: HashIndex,
    /// The link whose text is being read.
    open: Option<usize>,
    max_links: usize,
    /// There were more.
    truncated: bool,
}

/// The links of a document, resolved.
#[derive(Debug, Default)]
pub(super) struct ResolvedLinks {
    /// In document order, each URL once.
    pub(super) links: Vec<Link>,
    /// What relative references are resolved against.
    pub(super) base: Option<Url>,
    /// Links were left out, by their number or their bytes.
    pub(super) truncated: bool,
    by_href: HashIndex,
}

impl ResolvedLinks {
    /// The absolute URL of an `href` of the document, character references decoded.
    pub(super) fn url_of(&self, href: &str) -> Option<&Url> {
        let index = self.by_href.get(&xxh3_64(href.trim_ascii().as_bytes()))?;
        self.links.get(*index).map(|link| &link.url)
    }
}

impl<'a> LinkCollector<'a> {
    /// Collects at most `max_links` different references; what comes after is not read.
    pub(super) fn new(max_links: usize) -> Self {
        Self {
            base: None,
            written: Vec::new(),
            known: HashIndex::default(),
            open: None,
            max_links,
            truncated: false,
        }
    }

    /// Reads one token.
    pub(super) fn token(&mut self, token: &Token<'a>) {
        match token {
            Token::Start(start) => self.start(start),
            Token::End(Tag::A, _) => self.open = None,
            Token::End(..) | Token::Raw(..) => {}
            Token::Text(text) => {
                if self.open.is_some() {
                    self.anchor_text(&entities::decode(text, Place::Text));
                }
            }
            Token::Literal(text) => self.anchor_text(text),
        }
    }

    fn start(&mut self, start: &StartTag<'a>) {
        let attributes = start.attributes;
        match start.tag {
            Tag::A | Tag::Area => {
                self.open = None;
                if let Some(href) = attributes.get("href") {
                    let nofollow =
                        attributes.get("rel").is_some_and(|rel| has_word(&rel, "nofollow"));
                    let index = self.add(href, nofollow);
                    if start.tag == Tag::A {
                        self.open = index.filter(|at| self.written[*at].text.is_empty());
                    }
                }
            }
            Tag::Img if self.open.is_some() => {
                if let Some(alternative) = attributes.get("alt") {
                    self.anchor_text(&alternative);
                }
            }
            Tag::Link => {
                let rel = attributes.get("rel").unwrap_or_default();
                if ["next", "prev"].iter().any(|kind| has_word(&rel, kind))
                    && let Some(href) = attributes.get("href")
                {
                    self.add(href, has_word(&rel, "nofollow"));
                }
            }
            Tag::Iframe | Tag::Frame => {
                if let Some(src) = attributes.get("src") {
                    self.add(src, false);
                }
            }
            Tag::Base if self.base.is_none() => self.base = attributes.get("href"),
            Tag::Meta => {
                let refresh = attributes
                    .get("http-equiv")
                    .is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case("refresh"));
                if refresh
                    && let Some(target) =
                        attributes.get("content").as_deref().and_then(refresh_target)
                {
                    self.add(Cow::Owned(target.to_owned()), false);
                }
            }
            // Words of neighbouring blocks do not run together.
            tag if tag.is_block() || tag == Tag::Br => self.anchor_text(" "),
            _ => {}
        }
    }

    /// Adds a reference and returns its index, unless it is too long or there are too many.
    fn add(&mut self, href: Cow<'a, str>, nofollow: bool) -> Option<usize> {
        let href = match href {
            Cow::Borrowed(href) => Cow::Borrowed(href.trim_ascii()),
            Cow::Owned(href) => Cow::Owned(href.trim_ascii().to_owned()),
        };
        if href.len() > MAX_URL_BYTES {
            return None;
        }
        let hash = xxh3_64(href.as_bytes());
        if let Some(&index) = self.known.get(&hash) {
            self.written[index].nofollow &= nofollow;
            return Some(index);
        }
        if self.written.len() >= self.max_links {
            self.truncated = true;
            return None;
        }
        self.known.insert(hash, self.written.len());
        self.written.push(Written { href, text: String::new(), nofollow });
        Some(self.written.len() - 1)
    }

    fn anchor_text(&mut self, text: &str) {
        if let Some(link) = self.open.and_then(|index| self.written.get_mut(index))
            && link.text.len() <= MAX_ANCHOR_BYTES
        {
            push_collapsed(&mut link.text, text);
        }
    }

    /// Resolves what was collected on the page `url`.
    pub(super) fn finish(self, url: &Url) -> ResolvedLinks {
        let base = self
            .base
            .filter(|href| href.len() <= MAX_URL_BYTES)
            .and_then(|href| url.join(href.trim_ascii()).ok())
            .filter(|base| matches!(base.scheme(), "http" | "https"))
            .unwrap_or_else(|| url.clone());
        let mut resolved = ResolvedLinks { truncated: self.truncated, ..ResolvedLinks::default() };
        let mut by_url = HashIndex::default();
        let mut bytes = 0;
        for written in self.written {
            let Some(url) = resolve(&base, &written.href) else { continue };
            let href = xxh3_64(written.href.as_bytes());
            let text = anchor(written.text);
            let hash = xxh3_64(url.as_str().as_bytes());
            if let Some(&index) = by_url.get(&hash) {
                resolved.by_href.insert(href, index);
                let link = &mut resolved.links[index];
                link.nofollow &= written.nofollow;
                if link.text.is_empty() {
                    link.text = text;
                }
                continue;
            }
            bytes += url.as_str().len() + text.len();
            if bytes > MAX_LINK_BYTES {
                resolved.truncated = true;
                break;
            }
            by_url.insert(hash, resolved.links.len());
            resolved.by_href.insert(href, resolved.links.len());
            resolved.links.push(Link { url, text, nofollow: written.nofollow });
        }
        resolved.base = Some(base);
        resolved
    }
}

/// `href` against `base`, without fragment; `None` unless it is http or https with a host.
pub(super) fn resolve(base: &Url, href: &str) -> Option<Url> {
    let mut url = base.join(href).ok()?;
    url.set_fragment(None);
    (matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty()))
    .then_some(url)
}

/// Whether a list of words separated by white space holds `word` (any case).
pub(super) fn has_word(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|part| part.eq_ignore_ascii_case(word))
}

/// The URL in `5; url='next.html'`.
fn refresh_target(content: &str) -> Option<&str> {
    let (_, target) = content.split_once([';', ','])?;
    let target = target.trim_ascii_start();
    let name = target.get(..3).filter(|name| name.eq_ignore_ascii_case("url"));
    let target = match name {
        Some(_) => target[3..].trim_ascii_start().strip_prefix('=')?.trim_ascii_start(),
        None => target,
    };
    let target = match target.strip_prefix(['"', '\'']) {
        Some(quoted) => quoted.split(['"', '\'']).next().unwrap_or(quoted),
        None => target,
    };
    (!target.is_empty()).then_some(target)
}

/// The text of an anchor, at most [`MAX_ANCHOR_BYTES`] long.
fn anchor(mut text: String) -> String {
    text.truncate(cut(&text, MAX_ANCHOR_BYTES).len());
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refresh_targets_are_read_in_every_form() {
        for (content, target) in [
            ("0; url=/a", Some("/a")),
            ("5;URL='/a b'", Some("/a b")),
            ("0, url = \"x\"", Some("x")),
            ("0;/plain", Some("/plain")),
            ("30", None),
            ("0;url=", None),
        ] {
            assert_eq!(refresh_target(content), target, "{content}");
        }
    }
}
