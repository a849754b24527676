//! What the attributes of an element say about its role in the page.
//!
//! Class names and ids are split into words at punctuation and at changes from lower to upper case,
//! so `siteNav`, `site-nav` and `nav` match while `navy` does not. The word lists are general
//! English web vocabulary, not specific to any site.

use super::tag::Tag;
use super::token::Attributes;

/// A set of hints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hints(u8);

impl Hints {
    /// Not shown: `hidden`, `display:none`.
    pub(super) const HIDDEN: Self = Self(1);
    /// Not content by its role or names: navigation, advertising, sharing …
    pub(super) const BOILERPLATE: Self = Self(2);
    /// Not content by its role.
    pub(super) const BOILERPLATE_ROLE: Self = Self(4);
    /// `main` or `role=main`.
    pub(super) const MAIN: Self = Self(8);
    /// Comments of readers.
    pub(super) const COMMENTS: Self = Self(16);
    /// `role=presentation` or `none`.
    pub(super) const PRESENTATION: Self = Self(32);

    /// `visibility:hidden`, which some pages set on everything until their scripts have run.
    pub(super) const INVISIBLE: Self = Self(64);
    /// A class suggests the role, not just an id.
    pub(super) const NAMED_BY_CLASS: Self = Self(128);
    /// All that names suggest.
    pub(super) const NAMED: Self = Self(Self::BOILERPLATE.0 | Self::COMMENTS.0);

    /// Whether any of `hints` is in the set.
    pub(super) const fn has(self, hints: Self) -> bool {
        self.0 & hints.0 != 0
    }

    /// Takes `hints` out of the set.
    pub(super) fn remove(&mut self, hints: Self) {
        self.0 &= !hints.0;
    }

    /// Adds `hints` to the set.
    pub(super) fn add(&mut self, hints: Self) {
        self.0 |= hints.0;
    }
}

/// The hints on an element.
pub(super) fn of(tag: Tag, attributes: Attributes<'_>) -> Hints {
    let mut hints = Hints::default();
    if tag == Tag::Main {
        hints.add(Hints::MAIN);
    }
    if attributes.0.is_empty() {
        return hints;
    }
    for (name, value) in attributes.iter() {
        match name.len() {
            // `method.share` and `share(int)` name what a document describes, not a role.
            2 if name.eq_ignore_ascii_case("id") && !value.contains(['.', '(']) => {
                names(tag, value, &mut hints);
            }
            4 if name.eq_ignore_ascii_case("role") => role(value, &mut hints),
            5 if name.eq_ignore_ascii_case("class") => {
                let mut of_class = Hints::default();
                names(tag, value, &mut of_class);
                hints.add(of_class);
                if of_class.has(Hints::NAMED) {
                    hints.add(Hints::NAMED_BY_CLASS);
                }
            }
            5 if name.eq_ignore_ascii_case("style") => hiding(value, &mut hints),
            // The browser shows `until-found` to a reader that searches or follows a link into it.
            6 if name.eq_ignore_ascii_case("hidden")
                && !value.trim().eq_ignore_ascii_case("until-found")
                && !is_streamed(attributes) =>
            {
                hints.add(Hints::HIDDEN);
            }
            _ => {}
        }
    }
    hints
}

fn role(value: &str, hints: &mut Hints) {
    let role = value.trim();
    if role.eq_ignore_ascii_case("main") {
        hints.add(Hints::MAIN);
    } else if role.eq_ignore_ascii_case("presentation") || role.eq_ignore_ascii_case("none") {
        hints.add(Hints::PRESENTATION);
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
        hints.add(Hints::BOILERPLATE_ROLE);
    }
}

/// Whether the element is a part that React streamed behind the page (`<div hidden id="S:0">`),
/// for a script to move to its place.
fn is_streamed(attributes: Attributes<'_>) -> bool {
    attributes.get("id").is_some_and(|id| id.starts_with("S:"))
}

/// Reads an inline style.
fn hiding(style: &str, hints: &mut Hints) {
    for declaration in style.split(';') {
        let Some((name, value)) = declaration.split_once(':') else { continue };
        let (name, value) = (name.trim(), value.trim());
        let value = value.split(['!', ' ']).next().unwrap_or(value);
        if name.eq_ignore_ascii_case("display") && value.eq_ignore_ascii_case("none") {
            hints.add(Hints::HIDDEN);
        } else if name.eq_ignore_ascii_case("visibility") && value.eq_ignore_ascii_case("hidden") {
            hints.add(Hints::INVISIBLE);
        }
    }
}

/// Reads the words of a class list or an id.
fn names(tag: Tag, value: &str, hints: &mut Hints) {
    if !tag.is_block() && tag != Tag::Span && tag != Tag::Other {
        return;
    }
    // Utility classes such as `md:hidden` or `z-[100]` describe looks, not roles.
    let utility = |name: &&str| name.contains([':', '[']);
    for name in value.split_ascii_whitespace().filter(|name| !utility(name)) {
        words(name, |word| {
            let word = Word::of(word);
            if BOILERPLATE.contains(&word) {
                hints.add(Hints::BOILERPLATE);
            } else if COMMENTS.contains(&word) {
                hints.add(Hints::COMMENTS);
            }
        });
    }
}

/// Words in class names and ids of what is not content.
const BOILERPLATE: [Word; 80] = Word::all([
    "ad",
    "ads",
    "adsbygoogle",
    "advert",
    "advertisement",
    "adverts",
    "author",
    "badge",
    "badges",
    "banner",
    "bio",
    "breadcrumb",
    "breadcrumbs",
    "button",
    "buttons",
    "byl",
    "byline",
    "checkbox",
    "consent",
    "cookie",
    "cookies",
    "copyright",
    "disabled",
    "disclaimer",
    "dropdown",
    "email",
    "feedback",
    "filter",
    "filters",
    "flair",
    "footer",
    "form",
    "gdpr",
    "input",
    "legal",
    "lightbox",
    "links",
    "login",
    "logo",
    "masthead",
    "megamenu",
    "menu",
    "modal",
    "nav",
    "navbar",
    "navigation",
    "newsletter",
    "offcanvas",
    "outbrain",
    "pager",
    "pagination",
    "placeholder",
    "popular",
    "popup",
    "promo",
    "recommendations",
    "recommended",
    "related",
    "share",
    "sharebar",
    "sharing",
    "shipping",
    "sidebar",
    "signup",
    "skip",
    "social",
    "sort",
    "sponsor",
    "sponsored",
    "sr",
    "submenu",
    "subscribe",
    "subscription",
    "taboola",
    "tags",
    "toc",
    "toolbar",
    "tooltip",
    "trending",
    "visually",
]);

/// Words in class names and ids of readers' comments.
const COMMENTS: [Word; 5] = Word::all(["comment", "comments", "disqus", "respond", "commentlist"]);

/// A word in lower case as one number, so that looking it up compares integers; words longer than
/// any of the lists are cut.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u128);

impl Word {
    const LONGEST: usize = 16;

    const fn of(word: &str) -> Self {
        let bytes = word.as_bytes();
        let mut packed = 0;
        let mut at = 0;
        while at < bytes.len() && at < Self::LONGEST {
            packed = packed << 8 | bytes[at].to_ascii_lowercase() as u128;
            at += 1;
        }
        Self(packed)
    }

    const fn all<const N: usize>(words: [&str; N]) -> [Self; N] {
        let mut packed = [Self(0); N];
        let mut at = 0;
        while at < N {
            packed[at] = Self::of(words[at]);
            at += 1;
        }
        packed
    }
}

/// Calls `each` for every word of `name`.
pub(super) fn words(name: &str, mut each: impl FnMut(&str)) {
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
    fn hints_are_read() {
        let hints = |attributes| of(Tag::Div, Attributes(attributes));
        assert!(hints("class='site-nav'").has(Hints::BOILERPLATE));
        assert!(!hints("class='navy shadow loading'").has(Hints::BOILERPLATE));
        assert!(hints("style='color:red; DISPLAY : none !important'").has(Hints::HIDDEN));
        assert!(!hints("style='display:nonexistent'").has(Hints::HIDDEN));
        assert!(hints("hidden").has(Hints::HIDDEN));
        assert!(hints("role=main").has(Hints::MAIN));
        assert!(hints("id=comments").has(Hints::COMMENTS));
    }
}
