//! A page's metadata: title, language, author, dates, canonical URL, robots rules.
//!
//! Read from `title`, `html[lang]`, `meta` (plain, Open Graph, Dublin Core), `link[rel=canonical]`,
//! microdata and JSON-LD. Where several sources name one thing, the order of [`Metadata`]'s
//! methods decides.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::entities::{self, Place};
use super::links::has_word;
use super::tag::Tag;
use super::text::{collapsed, cut};
use super::token::{StartTag, Token};

/// Longest value that is kept, in bytes.
const MAX_VALUE_BYTES: usize = 2 * 1024;
/// Longest JSON-LD script that is read, in bytes.
const MAX_JSON_LD_BYTES: usize = 512 * 1024;
/// How many JSON-LD scripts are read.
const MAX_JSON_LD_SCRIPTS: usize = 16;
/// How many JSON objects are looked at in all.
const MAX_JSON_LD_OBJECTS: usize = 1000;
/// How many different `meta` names are kept.
const MAX_META_NAMES: usize = 256;

/// The metadata found so far, collected from tokens.
#[derive(Debug, Default)]
pub(super) struct Metadata<'a> {
    title: Option<String>,
    lang: Option<Cow<'a, str>>,
    /// First value of each `meta` name or property, in lower case.
    meta: HashMap<String, Cow<'a, str>, foldhash::fast::FixedState>,
    canonical: Option<Cow<'a, str>>,
    robots: Vec<String>,
    linked_data: LinkedData,
    /// `datePublished` of microdata, else the first `time[datetime]`.
    item_date: Option<String>,
    first_time: Option<String>,
    /// The script being read is JSON-LD.
    in_json_ld: bool,
    json_ld_scripts: usize,
    foreign: u32,
}

/// The metadata of JSON-LD.
#[derive(Debug, Default)]
struct LinkedData {
    headline: Option<String>,
    author: Option<String>,
    published: Option<String>,
    description: Option<String>,
    language: Option<String>,
}

impl<'a> Metadata<'a> {
    /// Reads one token.
    pub(super) fn token(&mut self, token: &Token<'a>) {
        match token {
            Token::Start(start) => self.start(start),
            Token::Raw(Tag::Title, text) if self.title.is_none() && self.foreign == 0 => {
                self.title = value(entities::decode(text, Place::Text));
            }
            Token::Raw(Tag::Script, json) if self.in_json_ld => self.json_ld(json),
            Token::End(Tag::Svg, _) => self.foreign = self.foreign.saturating_sub(1),
            _ => {}
        }
    }

    /// `<title>`, else Open Graph, else the headline of JSON-LD.
    pub(super) fn title(&self) -> Option<String> {
        self.title
            .clone()
            .or_else(|| self.meta(&["og:title", "twitter:title", "dc.title"]))
            .or_else(|| self.linked_data.headline.clone())
    }

    /// `html[lang]`, else `meta`, else Open Graph's locale, else JSON-LD.
    pub(super) fn language(&self) -> Option<String> {
        let declared = self.lang.as_deref().and_then(value);
        declared
            .or_else(|| self.meta(&["content-language", "language", "dc.language", "og:locale"]))
            .or_else(|| self.linked_data.language.clone())
            .and_then(|tag| {
                let tag = tag.split(',').next().unwrap_or(&tag).trim().replace('_', "-");
                let plausible =
                    tag.len() >= 2 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                plausible.then_some(tag)
            })
    }

    /// `meta[name=author]`, else JSON-LD, else `article:author` unless it is a URL.
    pub(super) fn author(&self) -> Option<String> {
        self.meta(&[
            "author",
            "dc.creator",
            "dcterms.creator",
            "parsely-author",
            "sailthru.author",
            "byl",
        ])
        .or_else(|| self.linked_data.author.clone())
        .or_else(|| {
            self.meta(&["article:author", "twitter:creator"])
                .filter(|author| !author.contains("://"))
        })
    }

    /// `meta[name=description]`, else Open Graph, else JSON-LD.
    pub(super) fn description(&self) -> Option<String> {
        self.meta(&["description", "og:description", "twitter:description", "dc.description"])
            .or_else(|| self.linked_data.description.clone())
    }

    /// `article:published_time` and its relatives, else JSON-LD, else microdata, else the first
    /// `<time datetime>`.
    pub(super) fn published_at(&self) -> Option<String> {
        self.meta(&[
            "article:published_time",
            "og:published_time",
            "datepublished",
            "parsely-pub-date",
            "sailthru.date",
            "dcterms.created",
            "dcterms.date",
            "dc.date.issued",
            "dc.date",
            "pubdate",
            "publish-date",
            "publish_date",
            "date",
        ])
        .or_else(|| self.linked_data.published.clone())
        .or_else(|| self.item_date.clone())
        .or_else(|| self.first_time.clone())
    }

    /// The `href` of `link[rel=canonical]`.
    pub(super) fn canonical(&self) -> Option<&str> {
        self.canonical.as_deref()
    }

    /// Whether `meta[name=robots]` holds `rule` (in lower case) or `none`.
    pub(super) fn robots(&self, rule: &str) -> bool {
        self.robots.iter().any(|found| found == rule || found == "none")
    }

    fn meta(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| value(self.meta.get(*name)?))
    }

    fn start(&mut self, start: &StartTag<'a>) {
        let attributes = start.attributes;
        match start.tag {
            Tag::Html if self.lang.is_none() => {
                self.lang = attributes.get("lang").or_else(|| attributes.get("xml:lang"));
            }
            Tag::Meta => self.meta_element(start),
            Tag::Link
                if self.canonical.is_none()
                    && attributes.get("rel").is_some_and(|rel| has_word(&rel, "canonical")) =>
            {
                self.canonical = attributes.get("href").filter(|href| !href.trim().is_empty());
            }
            Tag::Script => {
                let kind = attributes.get("type").unwrap_or_default();
                self.in_json_ld =
                    kind.trim().to_ascii_lowercase().starts_with("application/ld+json");
            }
            Tag::Time => {
                let Some(date) = attributes.get("datetime").as_deref().and_then(value) else {
                    return;
                };
                if attributes.get("itemprop").is_some_and(|name| has_word(&name, "datePublished")) {
                    self.item_date.get_or_insert(date);
                } else {
                    self.first_time.get_or_insert(date);
                }
            }
            Tag::Svg => self.foreign += u32::from(!start.self_closing),
            _ => {}
        }
    }

    fn meta_element(&mut self, start: &StartTag<'a>) {
        let attributes = start.attributes;
        let Some(content) = attributes.get("content") else { return };
        for key in ["name", "property", "http-equiv", "itemprop"] {
            let Some(name) = attributes.get(key) else { continue };
            let name = name.trim().to_ascii_lowercase();
            if name == "robots" {
                self.robots.extend(content.split(',').map(|rule| rule.trim().to_ascii_lowercase()));
            } else if self.meta.len() < MAX_META_NAMES && !content.trim().is_empty() {
                self.meta.entry(name).or_insert_with(|| content.clone());
            }
        }
    }

    fn json_ld(&mut self, json: &str) {
        self.in_json_ld = false;
        if self.json_ld_scripts >= MAX_JSON_LD_SCRIPTS || json.len() > MAX_JSON_LD_BYTES {
            return;
        }
        self.json_ld_scripts += 1;
        // Broken JSON-LD is common and says nothing; serde_json bounds its nesting.
        if let Ok(document) = serde_json::from_str::<Value>(json.trim()) {
            self.linked_data.read(&document);
        }
    }
}

impl LinkedData {
    /// Reads every object that describes a work, in breadth-first order.
    fn read(&mut self, document: &Value) {
        let mut queue = vec![document];
        let mut at = 0;
        while let Some(value) = queue.get(at).copied() {
            at += 1;
            match value {
                Value::Array(items) => {
                    queue
                        .extend(items.iter().take(MAX_JSON_LD_OBJECTS.saturating_sub(queue.len())));
                }
                Value::Object(fields) => {
                    if is_work(value) {
                        self.work(value);
                    }
                    for key in ["@graph", "mainEntity", "mainEntityOfPage"] {
                        if let Some(inner) =
                            fields.get(key).filter(|_| queue.len() < MAX_JSON_LD_OBJECTS)
                        {
                            queue.push(inner);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn work(&mut self, work: &Value) {
        let text = |key: &str| work.get(key).and_then(Value::as_str).and_then(value);
        keep(&mut self.headline, || text("headline"));
        keep(&mut self.published, || text("datePublished"));
        keep(&mut self.description, || text("description"));
        keep(&mut self.language, || text("inLanguage"));
        keep(&mut self.author, || names(work.get("author")?));
    }
}

fn keep(slot: &mut Option<String>, found: impl FnOnce() -> Option<String>) {
    if slot.is_none() {
        *slot = found();
    }
}

/// Whether a JSON-LD object describes something written rather than a site or an organisation.
fn is_work(object: &Value) -> bool {
    let kind = |kind: &str| {
        ["Article", "Posting", "Page", "Report", "Recipe", "Work", "Product", "Book", "Review"]
            .iter()
            .any(|end| kind.ends_with(end))
    };
    match object.get("@type") {
        Some(Value::String(name)) => kind(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(kind),
        _ => false,
    }
}

/// Names of an author: a string, an object with a `name`, or several of them.
fn names(author: &Value) -> Option<String> {
    let name = |author: &Value| match author {
        Value::String(name) => value(name),
        Value::Object(_) => author.get("name").and_then(Value::as_str).and_then(value),
        _ => None,
    };
    match author {
        Value::Array(several) => {
            let names: Vec<String> = several.iter().filter_map(name).take(8).collect();
            (!names.is_empty()).then(|| names.join(", "))
        }
        one => name(one),
    }
}

/// `text` collapsed and cut to [`MAX_VALUE_BYTES`]; `None` if nothing is left.
fn value(text: impl AsRef<str>) -> Option<String> {
    let text = text.as_ref();
    let text = collapsed(cut(text, MAX_VALUE_BYTES));
    (!text.is_empty()).then_some(text)
}
