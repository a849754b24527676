//! A page's metadata: title, language, author, dates, canonical URL, robots rules.
//!
//! Read from `title`, `html[lang]`, `meta` (plain, Open Graph, Dublin Core), `link[rel=canonical]`,
//! microdata and JSON-LD. Where several sources name one thing, the order of [`Metadata`]'s
//! methods decides.

use std::borrow::Cow;
use std::collections::HashMap;

use super::entities::{self, Place};
use super::json_ld::{LinkedData, Text, Work};
use super::links::has_word;
use super::tag::Tag;
use super::text::line;
use super::token::{StartTag, Token};

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
    /// `datePublished` of microdata, else the first `time[datetime]`.
    item_date: Option<String>,
    first_time: Option<String>,
    foreign: u32,
}

impl<'a> Metadata<'a> {
    /// Reads one token.
    pub(super) fn token(&mut self, token: &Token<'a>) {
        match token {
            Token::Start(start) => self.start(start),
            Token::Raw(Tag::Title, text) if self.title.is_none() && self.foreign == 0 => {
                self.title = line(&entities::decode(text, Place::Text));
            }
            Token::End(Tag::Svg, _) => self.foreign = self.foreign.saturating_sub(1),
            _ => {}
        }
    }

    /// `<title>`, else Open Graph, else the headline of JSON-LD.
    pub(super) fn title(&self, linked: &LinkedData<'_>) -> Option<String> {
        self.title
            .clone()
            .or_else(|| self.meta(&["og:title", "twitter:title", "dc.title"]))
            .or_else(|| first(linked, |work| work.headline))
    }

    /// `html[lang]`, else `meta`, else Open Graph's locale, else JSON-LD.
    pub(super) fn language(&self, linked: &LinkedData<'_>) -> Option<String> {
        let declared = self.lang.as_deref().and_then(line);
        declared
            .or_else(|| self.meta(&["content-language", "language", "dc.language", "og:locale"]))
            .or_else(|| first(linked, |work| work.language))
            .and_then(|tag| {
                let tag = tag.split(',').next().unwrap_or(&tag).trim().replace('_', "-");
                let plausible =
                    tag.len() >= 2 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                plausible.then_some(tag)
            })
    }

    /// `meta[name=author]`, else JSON-LD, else `article:author` unless it is a URL.
    pub(super) fn author(&self, linked: &LinkedData<'_>) -> Option<String> {
        self.meta(&[
            "author",
            "dc.creator",
            "dcterms.creator",
            "parsely-author",
            "sailthru.author",
            "byl",
        ])
        .or_else(|| {
            let names = |work: &Work<'_>| {
                let names: Vec<String> =
                    work.authors.iter().filter_map(|name| name.line()).collect();
                (!names.is_empty()).then(|| names.join(", "))
            };
            linked.works.iter().find_map(names)
        })
        .or_else(|| {
            self.meta(&["article:author", "twitter:creator"])
                .filter(|author| !author.contains("://"))
        })
    }

    /// `meta[name=description]`, else Open Graph, else JSON-LD.
    pub(super) fn description(&self, linked: &LinkedData<'_>) -> Option<String> {
        self.meta(&["description", "og:description", "twitter:description", "dc.description"])
            .or_else(|| first(linked, |work| work.description))
    }

    /// `article:published_time` and its relatives, else JSON-LD, else microdata, else the first
    /// `<time datetime>`.
    pub(super) fn published_at(&self, linked: &LinkedData<'_>) -> Option<String> {
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
        .or_else(|| first(linked, |work| work.published))
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
        names.iter().find_map(|name| line(self.meta.get(*name)?))
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
            Tag::Time => {
                let Some(date) = attributes.get("datetime").as_deref().and_then(line) else {
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
}

fn first<'a>(
    linked: &LinkedData<'a>,
    field: impl Fn(&Work<'a>) -> Option<Text<'a>>,
) -> Option<String> {
    linked.works.iter().find_map(|work| field(work)?.line())
}
