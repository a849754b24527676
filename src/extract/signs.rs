//! What the attributes of an element say about its part in the page.
//!
//! Class names and ids are split into words at punctuation and at changes from lower to upper case,
//! so `siteNav`, `site-nav` and `nav` agree while `navy` differs. The word lists are general
//! English web vocabulary; none belongs to a particular site.

use super::links::has_word;
use super::tag::Tag;
use super::token::Attributes;

/// A set of signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs(u8);

impl Signs {
    /// Not shown: `hidden`, `display:none`.
    pub(super) const HIDDEN: Self = Self(1);
    /// `aria-hidden=true`.
    pub(super) const ARIA_HIDDEN: Self = Self(2);
    /// Its role or its names say that it is not content: navigation, advertising, sharing …
    pub(super) const BOILERPLATE: Self = Self(4);
    /// Its role says so.
    pub(super) const BOILERPLATE_ROLE: Self = Self(8);
    /// `main` or `role=main`.
    pub(super) const MAIN: Self = Self(16);
    /// `itemprop=articleBody` or a name such as `article-body`, `entry-content`.
    pub(super) const BODY: Self = Self(32);
    /// Comments of readers.
    pub(super) const COMMENTS: Self = Self(64);
    /// `role=presentation` or `none`.
    pub(super) const PRESENTATION: Self = Self(128);

    /// Whether any of `signs` is in the set.
    pub(super) const fn has(self, signs: Self) -> bool {
        self.0 & signs.0 != 0
    }

    fn add(&mut self, signs: Self) {
        self.0 |= signs.0;
    }
}

/// The signs on an element.
pub(super) fn of(tag: Tag, attributes: Attributes<'_>) -> Signs {
    let mut signs = Signs::default();
    if tag == Tag::Main {
        signs.add(Signs::MAIN);
    }
    if attributes.0.is_empty() {
        return signs;
    }
    for (name, value) in attributes.iter() {
        match name.len() {
            2 if name.eq_ignore_ascii_case("id") => names(tag, value, &mut signs),
            4 if name.eq_ignore_ascii_case("role") => role(value, &mut signs),
            5 if name.eq_ignore_ascii_case("class") => names(tag, value, &mut signs),
            5 if name.eq_ignore_ascii_case("style") && is_hiding(value) => signs.add(Signs::HIDDEN),
            6 if name.eq_ignore_ascii_case("hidden") => signs.add(Signs::HIDDEN),
            8 if name.eq_ignore_ascii_case("itemprop") => {
                if ["articleBody", "reviewBody"].iter().any(|body| has_word(value, body)) {
                    signs.add(Signs::BODY);
                }
            }
            11 if name.eq_ignore_ascii_case("aria-hidden") && value.trim() == "true" => {
                signs.add(Signs::ARIA_HIDDEN);
            }
            _ => {}
        }
    }
    signs
}

fn role(value: &str, signs: &mut Signs) {
    let role = value.trim();
    if role.eq_ignore_ascii_case("main") {
        signs.add(Signs::MAIN);
    } else if role.eq_ignore_ascii_case("presentation") || role.eq_ignore_ascii_case("none") {
        signs.add(Signs::PRESENTATION);
    } else if [
        "navigation",
        "banner",
        "contentinfo",
        "complementary",
        "search",
        "dialog",
        "alertdialog",
        "menu",
        "menubar",
        "tooltip",
        "alert",
    ]
    .iter()
    .any(|boilerplate| role.eq_ignore_ascii_case(boilerplate))
    {
        signs.add(Signs::BOILERPLATE_ROLE);
    }
}

/// Whether an inline style hides its element.
fn is_hiding(style: &str) -> bool {
    style.split(';').any(|declaration| {
        let Some((name, value)) = declaration.split_once(':') else { return false };
        let (name, value) = (name.trim(), value.trim());
        let value = value.split(['!', ' ']).next().unwrap_or(value);
        name.eq_ignore_ascii_case("display") && value.eq_ignore_ascii_case("none")
            || name.eq_ignore_ascii_case("visibility") && value.eq_ignore_ascii_case("hidden")
    })
}

/// Reads the words of a class list or an id.
fn names(tag: Tag, value: &str, signs: &mut Signs) {
    if !tag.is_block() && tag != Tag::Span && tag != Tag::Other {
        return;
    }
    for name in value.split_ascii_whitespace() {
        let mut previous = Word::default();
        words(name, |word| {
            let word = Word::of(word);
            if word.is(BOILERPLATE) {
                signs.add(Signs::BOILERPLATE);
            } else if word.is(COMMENTS) {
                signs.add(Signs::COMMENTS);
            } else if word.is(&["body", "content", "text"])
                && previous.is(&["article", "entry", "post", "story", "page", "main"])
            {
                signs.add(Signs::BODY);
            }
            previous = word;
        });
    }
}

/// Words in class names and ids of what is not content.
const BOILERPLATE: &[&str] = &[
    "nav",
    "navbar",
    "navigation",
    "menu",
    "submenu",
    "megamenu",
    "breadcrumb",
    "breadcrumbs",
    "footer",
    "sidebar",
    "cookie",
    "cookies",
    "consent",
    "gdpr",
    "popup",
    "modal",
    "newsletter",
    "subscribe",
    "subscription",
    "share",
    "sharing",
    "sharebar",
    "social",
    "advert",
    "adverts",
    "advertisement",
    "ads",
    "ad",
    "adsbygoogle",
    "sponsor",
    "sponsored",
    "promo",
    "related",
    "recommended",
    "recommendations",
    "pagination",
    "pager",
    "toolbar",
    "skip",
    "login",
    "signup",
    "masthead",
    "offcanvas",
    "lightbox",
    "tooltip",
    "dropdown",
    "copyright",
    "disclaimer",
    "toc",
    "print",
    "noprint",
    "byline",
    "byl",
    "hidden",
    "outbrain",
    "taboola",
    "trending",
    "popular",
];

/// Words in class names and ids of readers' comments.
const COMMENTS: &[&str] = &["comment", "comments", "disqus", "respond", "commentlist"];

/// A word in lower case, cut where it is longer than any word of the lists.
#[derive(Clone, Copy, Default)]
struct Word {
    bytes: [u8; Word::LONGEST],
    length: usize,
}

impl Word {
    const LONGEST: usize = 16;

    fn of(word: &str) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let length = word.len().min(Self::LONGEST);
        for (slot, byte) in bytes.iter_mut().zip(word.bytes()) {
            *slot = byte.to_ascii_lowercase();
        }
        Self { bytes, length }
    }

    fn is(&self, any: &[&str]) -> bool {
        let word = &self.bytes[..self.length];
        any.iter().any(|one| one.as_bytes() == word)
    }
}

/// Calls `each` for every word of `name`.
fn words(name: &str, mut each: impl FnMut(&str)) {
    let bytes = name.as_bytes();
    let mut start = 0;
    for at in 0..=bytes.len() {
        let Some(&byte) = bytes.get(at) else {
            if start < at {
                each(&name[start..at]);
            }
            break;
        };
        let separator = byte.is_ascii() && !byte.is_ascii_alphanumeric();
        let hump = byte.is_ascii_uppercase() && at > start && bytes[at - 1].is_ascii_lowercase();
        if (separator || hump) && start < at {
            each(&name[start..at]);
            start = at;
        }
        if separator {
            start = at + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words() {
        let mut found = Vec::new();
        words("siteNav_main-menu2 é--Überschrift", |word| found.push(word.to_owned()));
        assert_eq!(found, ["site", "Nav", "main", "menu2", "é", "Überschrift"]);
    }

    #[test]
    fn signs_are_read() {
        let signs = |attributes| of(Tag::Div, Attributes(attributes));
        assert!(signs("class='site-nav'").has(Signs::BOILERPLATE));
        assert!(!signs("class='navy shadow loading'").has(Signs::BOILERPLATE));
        assert!(signs("style='color:red; DISPLAY : none !important'").has(Signs::HIDDEN));
        assert!(!signs("style='display:nonexistent'").has(Signs::HIDDEN));
        assert!(signs("hidden").has(Signs::HIDDEN));
        assert!(signs("role=main").has(Signs::MAIN));
        assert!(signs("class=entry-content").has(Signs::BODY));
        assert!(signs("id=comments").has(Signs::COMMENTS));
    }
}
