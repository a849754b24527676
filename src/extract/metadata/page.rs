//! What the visible page says near its heading: the heading itself, bylines and dates.
//!
//! Only the piece of the page after its heading (or after the start of `article` and `main`, where
//! bylines stand above the heading) is read, and never what is in `nav`, `aside` or `footer`: dates
//! and names elsewhere belong to other stories.

use super::dates::{self, Event};
use super::names;
use crate::extract::entities::{self, Place};
use crate::extract::links::has_word;
use crate::extract::tag::Tag;
use crate::extract::text::push_collapsed;
use crate::extract::token::{Attributes, StartTag, Token};

/// How many start tags after the heading are read.
const NEAR: u32 = 120;
/// Longest heading, in bytes.
const MAX_HEADING_BYTES: usize = 400;
/// Longest byline, in bytes.
const MAX_BYLINE_BYTES: usize = 120;
/// Longest text that may be a date or the label of one, in bytes.
const MAX_DATE_BYTES: usize = 64;
/// How many headings, dates and bylines are kept of each.
const MAX_FOUND: usize = 16;

/// How sure it is that a name is the author's; less is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    /// `rel=author` or `itemprop=author`.
    Marked,
    /// After the label of a byline, or in an element named for its author.
    Byline,
}

/// A date and where it stands.
#[derive(Debug)]
struct Dated {
    date: String,
    event: Event,
    /// `itemprop` says what it is.
    marked: bool,
    article: u32,
    after_heading: bool,
}

/// An element whose text is being read.
#[derive(Debug)]
struct Capture {
    tag: Tag,
    /// How many elements of the same name are open in it.
    inside: u32,
    text: String,
    /// `None` for a heading.
    sign: Option<Sign>,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    /// Headings of the first level, in the order they stand.
    headings: Vec<String>,
    /// In how many elements of other matters the walk is.
    aside: u32,
    articles_open: u32,
    /// Number of the outermost article that is open, or was last.
    articles: u32,
    heading_article: Option<u32>,
    near: u32,
    capture: Option<Capture>,
    /// The last short text, which may be the label of what follows.
    label: &'a str,
    dates: Vec<Dated>,
    /// The date of all `time` elements, while they have the same.
    only_time: Option<String>,
    several_times: bool,
    authors: Vec<(Sign, String)>,
}

impl<'a> Page<'a> {
    /// Reads one token.
    pub(super) fn token(&mut self, token: &Token<'a>) {
        match token {
            Token::Start(start) => self.start(start),
            Token::End(tag, _) => self.end(*tag),
            Token::Text(text) | Token::Literal(text) => self.text(text),
            Token::Raw(..) => {}
        }
    }

    /// The first headings.
    pub(super) fn headings(&self) -> &[String] {
        &self.headings
    }

    /// Adds the authors with the best sign.
    pub(super) fn authors(&self, authors: &mut Vec<String>) {
        let Some(best) = self.authors.iter().map(|(sign, _)| *sign).min() else { return };
        for (_, name) in self.authors.iter().filter(|(sign, _)| *sign == best) {
            names::add(name, authors);
            if best != Sign::Marked && !authors.is_empty() {
                return;
            }
        }
    }

    /// The date of `event`: marked as such, else after the heading of the same article, else above
    /// it; for the publication also the only one in a `time` element, unless there are several articles.
    pub(super) fn date(&self, event: Event) -> Option<String> {
        let heading = self.heading_article.unwrap_or(0);
        let own = |dated: &&Dated| {
            let alone = heading == 0 && self.articles <= 1;
            dated.event == event && (dated.article == heading || alone)
        };
        let rank = |dated: &&Dated| (!dated.marked, !dated.after_heading);
        let found = self.dates.iter().filter(own).min_by_key(rank).map(|dated| dated.date.clone());
        let alone = event == Event::Publication && self.articles <= 1 && !self.several_times;
        let only = || self.only_time.clone().filter(|_| alone);
        found.or_else(only)
    }

    fn start(&mut self, start: &StartTag<'a>) {
        let tag = start.tag;
        match tag {
            Tag::Nav | Tag::Aside | Tag::Footer => self.aside += 1,
            Tag::Article | Tag::Main => {
                if tag == Tag::Article {
                    self.articles += u32::from(self.articles_open == 0);
                    self.articles_open += 1;
                }
                if self.headings.is_empty() {
                    self.near = NEAR;
                }
            }
            Tag::H1 if self.aside == 0 && self.headings.len() < MAX_FOUND => {
                if self.headings.is_empty() {
                    self.near = NEAR;
                }
                self.begin(Tag::H1, None);
                return;
            }
            Tag::Time => self.time(start.attributes),
            _ => {}
        }
        self.near = self.near.saturating_sub(1);
        if let Some(capture) = &mut self.capture {
            capture.inside += u32::from(capture.tag == tag);
            if tag.is_block() || tag == Tag::Br {
                capture.text.push(' ');
            }
        } else if self.near > 0 && self.aside == 0 {
            if is_author(tag, start.attributes) {
                self.begin(tag, Some(Sign::Marked));
            } else if is_byline(tag, start.attributes) {
                self.begin(tag, Some(Sign::Byline));
            }
        }
    }

    fn begin(&mut self, tag: Tag, sign: Option<Sign>) {
        self.capture = Some(Capture { tag, inside: 0, text: String::new(), sign });
    }

    fn end(&mut self, tag: Tag) {
        match tag {
            Tag::Nav | Tag::Aside | Tag::Footer => self.aside = self.aside.saturating_sub(1),
            Tag::Article => self.articles_open = self.articles_open.saturating_sub(1),
            _ => {}
        }
        let Some(capture) = self.capture.as_mut().filter(|capture| capture.tag == tag) else {
            return;
        };
        if capture.inside > 0 {
            capture.inside -= 1;
            return;
        }
        let Some(Capture { text, sign, .. }) = self.capture.take() else { return };
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        match sign {
            None => {
                if self.headings.is_empty() {
                    self.heading_article = Some(self.article());
                }
                self.headings.push(text.to_owned());
            }
            Some(sign) => self.author(sign, text),
        }
    }

    /// Number of the article that the walk is in; 0 outside of all.
    fn article(&self) -> u32 {
        if self.articles_open > 0 { self.articles } else { 0 }
    }

    fn author(&mut self, sign: Sign, text: &str) {
        let name = names::unlabelled(text);
        let plausible = sign == Sign::Marked || names::looks_like_name(name);
        if plausible && self.authors.len() < MAX_FOUND {
            self.authors.push((sign, name.to_owned()));
        }
    }

    fn time(&mut self, attributes: Attributes<'a>) {
        if self.aside > 0 {
            return;
        }
        let Some(date) = attributes.get("datetime").and_then(|date| dates::read(&date)) else {
            return;
        };
        match &self.only_time {
            Some(known) => self.several_times |= *known != date,
            None => self.only_time = Some(date.clone()),
        }
        let property = attributes.get("itemprop").unwrap_or_default();
        let class = attributes.get("class").unwrap_or_default();
        let marked = ["datePublished", "dateModified"].iter().any(|name| has_word(&property, name));
        let change = has_word(&property, "dateModified")
            || !marked && (dates::is_change(&class) || dates::is_change(self.label));
        let event = if change { Event::Change } else { Event::Publication };
        if self.near > 0 || marked {
            self.dated(date, event, marked);
        }
    }

    fn dated(&mut self, date: String, event: Event, marked: bool) {
        if self.dates.len() < MAX_FOUND {
            let (article, after_heading) = (self.article(), !self.headings.is_empty());
            self.dates.push(Dated { date, event, marked, article, after_heading });
        }
    }

    fn text(&mut self, text: &'a str) {
        if let Some(capture) = &mut self.capture {
            let limit = if capture.sign.is_some() { MAX_BYLINE_BYTES } else { MAX_HEADING_BYTES };
            if capture.text.len() + text.len() > limit {
                self.capture = None;
            } else {
                push_collapsed(&mut capture.text, &entities::decode(text, Place::Text));
            }
        }
        let in_heading = self.capture.as_ref().is_some_and(|capture| capture.sign.is_none());
        if self.near == 0 || self.aside > 0 || in_heading {
            return;
        }
        let short = text.trim();
        if short.is_empty() {
            return;
        }
        if short.len() > MAX_DATE_BYTES {
            self.label = "";
            return;
        }
        self.short_text(&entities::decode(short, Place::Text));
        self.label = short;
    }

    /// A short text of its own: a date, or a name after the label of a byline.
    fn short_text(&mut self, text: &str) {
        if let Some((date, event)) = dates::labelled(text) {
            let event = if dates::is_change(self.label) { Event::Change } else { event };
            self.dated(date, event, false);
        } else if names::is_label(self.label) && names::looks_like_name(text) {
            self.author(Sign::Byline, text);
        } else if names::unlabelled(text).len() < text.len() {
            let name = text.split(['|', '•', '·', '—', '–']).next().unwrap_or_default();
            self.author(Sign::Byline, name);
        }
    }
}

/// Whether the attributes of an element say that it is the author's name.
fn is_author(tag: Tag, attributes: Attributes<'_>) -> bool {
    let named = |name: &str| attributes.get(name).is_some_and(|value| has_word(&value, "author"));
    attributes.0.contains("author") && (tag == Tag::A && named("rel") || named("itemprop"))
}

/// Whether a class of an element is made of the words of a byline.
fn is_byline(tag: Tag, attributes: Attributes<'_>) -> bool {
    if tag.is_void() || !(attributes.0.contains("uthor") || attributes.0.contains("yline")) {
        return false;
    }
    let class = attributes.get("class").unwrap_or_default();
    class.split(|c: char| !c.is_alphanumeric()).any(|word| {
        ["author", "authors", "byline"].iter().any(|name| word.eq_ignore_ascii_case(name))
    })
}
