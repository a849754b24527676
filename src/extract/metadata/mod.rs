//! A page's metadata: title, language, authors, dates, canonical URL, image, robots rules.
//!
//! Read from `title`, `html[lang]`, `meta` (plain, Open Graph, Dublin Core), `link[rel=canonical]`,
//! JSON-LD, microdata, and what stands near the heading (`page`). Where several sources name one
//! thing, the order of [`Metadata`]'s methods decides.

mod dates;
mod names;
mod page;
mod title;

use std::borrow::Cow;
use std::collections::HashMap;

use url::Url;

use self::dates::Event;
use self::page::Page;
use super::entities::{self, Place};
use super::json_ld::{LinkedData, Text, Work};
use super::links::has_word;
use super::tag::Tag;
use super::text::line;
use super::token::{StartTag, Token};

/// How many different `meta` names are kept.
const MAX_META_NAMES: usize = 256;
/// How many declared authors are kept.
const MAX_AUTHORS: usize = 64;

/// Names of `meta` that declare authors, the more telling first.
const AUTHOR_NAMES: [&str; 9] = [
    "author",
    "citation_author",
    "dc.creator",
    "dcterms.creator",
    "parsely-author",
    "sailthru.author",
    "byl",
    "article:author",
    "article:author_name",
];

/// The metadata found so far, collected from tokens.
#[derive(Debug, Default)]
pub(super) struct Metadata<'a> {
    title: Option<String>,
    lang: Option<Cow<'a, str>>,
    /// First value of each `meta` name or property, in lower case.
    meta: HashMap<String, Cow<'a, str>, foldhash::fast::FixedState>,
    /// Declared authors, each with the index of its name in [`AUTHOR_NAMES`].
    authors: Vec<(usize, Cow<'a, str>)>,
    canonical: Option<Cow<'a, str>>,
    robots: Vec<String>,
    page: Page<'a>,
    foreign: u32,
}

impl<'a> Metadata<'a> {
    /// Reads one token.
    pub(super) fn token(&mut self, token: &Token<'a>) {
        self.page.token(token);
        match token {
            Token::Start(start) => self.start(start),
            Token::Raw(Tag::Title, text) if self.title.is_none() && self.foreign == 0 => {
                self.title = line(&entities::decode(text, Place::Text));
            }
            Token::End(Tag::Svg, _) => self.foreign = self.foreign.saturating_sub(1),
            _ => {}
        }
    }

    /// `<title>`, else Open Graph, else the headline of JSON-LD; without the name of the site,
    /// which the page or its host names.
    pub(super) fn title(&self, linked: &LinkedData<'_>, url: &Url) -> Option<String> {
        let open_graph = self.meta(&["og:title", "twitter:title", "dc.title"]);
        let headline = first(linked, |work| work.headline);
        let full =
            self.title.clone().or_else(|| open_graph.clone()).or_else(|| headline.clone())?;
        let said: Vec<&str> = (self.page.headings().iter().map(String::as_str))
            .chain(headline.as_deref())
            .chain(open_graph.as_deref())
            .collect();
        let name = self.site_name(linked);
        let application = self.meta(&["application-name"]);
        let host = url.host_str().unwrap_or_default().trim_start_matches("www.");
        let label = host.rsplit('.').nth(1).unwrap_or_default();
        let site = [name.as_deref(), application.as_deref(), Some(host), Some(label)];
        let site: Vec<&str> = site.into_iter().flatten().collect();
        Some(title::without_site(&full, &said, &site))
    }

    /// `og:site_name`, else JSON-LD.
    pub(super) fn site_name(&self, linked: &LinkedData<'_>) -> Option<String> {
        self.meta(&["og:site_name"]).or_else(|| linked.site_name.and_then(Text::line))
    }

    /// `html[lang]`, else `meta`, else Open Graph's locale, else JSON-LD.
    pub(super) fn language(&self, linked: &LinkedData<'_>) -> Option<String> {
        let plausible = |tag: String| {
            let tag = tag.split(',').next().unwrap_or(&tag).trim().replace('_', "-");
            let plausible =
                tag.len() >= 2 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            plausible.then_some(tag)
        };
        let meta = |name: &str| self.meta(&[name]).and_then(plausible);
        let declared = self.lang.as_deref().and_then(line).and_then(plausible);
        declared
            .or_else(|| meta("content-language"))
            .or_else(|| meta("language"))
            .or_else(|| meta("dc.language"))
            .or_else(|| meta("og:locale"))
            .or_else(|| first(linked, |work| work.language).and_then(plausible))
    }

    /// All authors: of the first `meta` that names one, else of JSON-LD, else of `twitter:data1`
    /// where its label says so, else of the byline.
    pub(super) fn authors(&self, linked: &LinkedData<'_>) -> Vec<String> {
        let mut names = Vec::new();
        for kind in 0..AUTHOR_NAMES.len() {
            for (_, name) in self.authors.iter().filter(|(found, _)| *found == kind) {
                names::add(name, &mut names);
            }
            if !names.is_empty() {
                return names;
            }
        }
        for work in &linked.works {
            for name in work.authors.iter().filter_map(|name| name.line()) {
                names::add(&name, &mut names);
            }
            if !names.is_empty() {
                return names;
            }
        }
        if self.meta(&["twitter:label1"]).is_some_and(|label| names::is_label(&label)) {
            names::add(&self.meta(&["twitter:data1"]).unwrap_or_default(), &mut names);
        }
        if names.is_empty() {
            self.page.authors(&mut names);
        }
        names
    }

    /// `meta[name=description]`, else Open Graph, else JSON-LD.
    pub(super) fn description(&self, linked: &LinkedData<'_>) -> Option<String> {
        self.meta(&["description", "og:description", "twitter:description", "dc.description"])
            .or_else(|| first(linked, |work| work.description))
    }

    /// `article:published_time` and its relatives, else JSON-LD, else microdata and what stands
    /// near the heading.
    pub(super) fn published_at(&self, linked: &LinkedData<'_>) -> Option<String> {
        self.meta_date(&[
            "article:published_time",
            "og:published_time",
            "datepublished",
            "parsely-pub-date",
            "sailthru.date",
            "citation_publication_date",
            "citation_online_date",
            "dcterms.issued",
            "dcterms.created",
            "dcterms.date",
            "dc.date.issued",
            "dc.date.created",
            "dc.date",
            "pubdate",
            "publish-date",
            "publish_date",
            "date",
        ])
        .or_else(|| first_date(linked, |work| work.published))
        .or_else(|| self.page.date(Event::Publication))
    }

    /// `article:modified_time` and its relatives, else JSON-LD, else microdata and what stands near
    /// the heading.
    pub(super) fn modified_at(&self, linked: &LinkedData<'_>) -> Option<String> {
        self.meta_date(&[
            "article:modified_time",
            "og:updated_time",
            "datemodified",
            "dcterms.modified",
            "dc.date.modified",
            "last-modified",
            "revised",
        ])
        .or_else(|| first_date(linked, |work| work.modified))
        .or_else(|| self.page.date(Event::Change))
    }

    /// Address of the page's image as written: Open Graph, else Twitter, else JSON-LD.
    pub(super) fn image(&self, linked: &LinkedData<'_>) -> Option<String> {
        self.meta(&[
            "og:image",
            "og:image:url",
            "og:image:secure_url",
            "twitter:image",
            "twitter:image:src",
        ])
        .or_else(|| first(linked, |work| work.image))
    }

    /// `og:type`.
    pub(super) fn open_graph_type(&self) -> Option<&str> {
        self.meta.get("og:type").map(|kind| &**kind)
    }

    /// `og:url`.
    pub(super) fn open_graph_url(&self) -> Option<&str> {
        self.meta.get("og:url").map(|url| &**url)
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

    fn meta_date(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| dates::read(self.meta.get(*name)?))
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
                continue;
            }
            if let Some(kind) = AUTHOR_NAMES.iter().position(|known| *known == name)
                && self.authors.len() < MAX_AUTHORS
            {
                self.authors.push((kind, content.clone()));
            }
            if self.meta.len() < MAX_META_NAMES && !content.trim().is_empty() {
                self.meta.entry(name).or_insert_with(|| content.clone());
            }
        }
    }
}

/// The first line that a work has in `field`.
fn first<'a>(
    linked: &LinkedData<'a>,
    field: impl Fn(&Work<'a>) -> Option<Text<'a>>,
) -> Option<String> {
    linked.works.iter().find_map(|work| field(work)?.line())
}

/// The first date that a work has in `field`.
fn first_date<'a>(
    linked: &LinkedData<'a>,
    field: impl Fn(&Work<'a>) -> Option<Text<'a>>,
) -> Option<String> {
    linked.works.iter().find_map(|work| dates::read(&field(work)?.decoded()))
}
