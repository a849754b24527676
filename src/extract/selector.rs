//! Selectors: elements that are kept or removed whatever the rules say.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::tag::Tag;
use super::token::Attributes;
use super::tree::{Node, Tree};

/// Longest selector, in bytes.
const MAX_BYTES: usize = 1024;

/// Names elements of a page, in a subset of CSS.
///
/// | form | matches |
/// | --- | --- |
/// | `table` | elements of this name, which must be one of HTML's |
/// | `#id` | the element with this id |
/// | `.class` | elements of this class |
/// | `[name]`, `[name=value]`, `[name="a value"]` | elements with this attribute, or with this value of it |
/// | `div.note[lang=en]` | elements for which all of these hold |
/// | `article .note` | elements of the class inside an `article` |
///
/// Names of elements and attributes match in any case, everything else as written. `html`, `head`
/// and `body` match nothing, since what is extracted is inside them.
///
/// # Examples
/// ```
/// use gristmill::extract::{ExtractOptions, Extractor, Input};
/// use gristmill::url::Url;
///
/// let options = ExtractOptions { remove: vec!["p.draft".parse()?], ..ExtractOptions::default() };
/// let body = b"<article><p>Ground.<p class='draft note'>Not yet.</article>";
/// let url = Url::parse("https://example.org/")?;
/// let input = Input { body, url: &url, content_type: None };
/// assert_eq!(Extractor::new(options).extract(&input)?.text, "Ground.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    written: String,
    /// From the outermost to the element itself.
    compounds: Vec<Compound>,
}

/// Why a selector cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the selector {selector:?} cannot be read at byte {at}: {why}")]
pub struct SelectorError {
    /// As written.
    pub selector: String,
    /// Where reading stopped.
    pub at: usize,
    /// The form that was expected there.
    pub why: &'static str,
}

/// Conditions on one element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Compound {
    tag: Option<Tag>,
    tests: Vec<Test>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Id(String),
    Class(String),
    Has(String),
    Equals(String, String),
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut reader = Reader { text, at: 0 };
        if text.len() > MAX_BYTES {
            return Err(reader.error("at most 1024 bytes are allowed"));
        }
        let mut compounds = Vec::new();
        loop {
            reader.skip_space();
            if reader.peek().is_none() {
                break;
            }
            compounds.push(reader.compound()?);
        }
        if compounds.is_empty() {
            return Err(reader.error("a name, #id, .class or [attribute] is missing"));
        }
        Ok(Self { written: text.trim().to_owned(), compounds })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, why: &'static str) -> SelectorError {
        SelectorError { selector: self.text.to_owned(), at: self.at, why }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.text[self.at..].trim_start().len();
    }

    /// Takes the longest run of characters that `part` accepts.
    fn take(&mut self, part: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn name(&mut self) -> Result<String, SelectorError> {
        let name = self.take(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).to_owned();
        if name.is_empty() { Err(self.error("a name is missing")) } else { Ok(name) }
    }

    fn compound(&mut self) -> Result<Compound, SelectorError> {
        let mut compound = Compound::default();
        if self.peek().is_some_and(char::is_alphanumeric) {
            let start = self.at;
            let tag = Tag::of(&self.name()?);
            if tag == Tag::Other {
                self.at = start;
                return Err(self.error("not an element of HTML; use its id, class or attributes"));
            }
            compound.tag = Some(tag);
        }
        while let Some(character) = self.peek().filter(|c| !c.is_whitespace()) {
            let test = match character {
                '#' | '.' | '[' => {
                    self.at += 1;
                    match character {
                        '#' => Test::Id(self.name()?),
                        '.' => Test::Class(self.name()?),
                        _ => self.attribute()?,
                    }
                }
                _ => return Err(self.error("only names, #id, .class, [attribute] and spaces")),
            };
            compound.tests.push(test);
        }
        Ok(compound)
    }

    /// What follows `[`.
    fn attribute(&mut self) -> Result<Test, SelectorError> {
        let name = self.take(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ':')).to_owned();
        if name.is_empty() {
            return Err(self.error("the name of an attribute is missing"));
        }
        let test = if self.peek() == Some('=') {
            self.at += 1;
            Test::Equals(name, self.value()?)
        } else {
            Test::Has(name)
        };
        if self.peek() != Some(']') {
            return Err(self.error("only [name] and [name=value] are allowed"));
        }
        self.at += 1;
        Ok(test)
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        let Some(quote) = self.peek().filter(|c| matches!(c, '"' | '\'')) else {
            return Ok(self.take(|c| c != ']').to_owned());
        };
        self.at += 1;
        let value = self.take(|c| c != quote).to_owned();
        if self.peek() != Some(quote) {
            return Err(self.error("the value is not closed"));
        }
        self.at += 1;
        Ok(value)
    }
}

impl Compound {
    fn matches(&self, tree: &Tree<'_>, node: &Node) -> bool {
        if self.tag.is_some_and(|tag| tag != node.tag) {
            return false;
        }
        let attributes = tree.attributes(node);
        self.tests.iter().all(|test| test.holds(attributes))
    }
}

impl Test {
    fn holds(&self, attributes: Attributes<'_>) -> bool {
        match self {
            Self::Id(id) => attributes.get("id").is_some_and(|value| value.trim_ascii() == id),
            Self::Class(class) => attributes
                .get("class")
                .is_some_and(|value| value.split_ascii_whitespace().any(|word| word == class)),
            Self::Has(name) => attributes.iter().any(|(found, _)| found.eq_ignore_ascii_case(name)),
            Self::Equals(name, value) => {
                attributes.get(name).is_some_and(|found| found == value.as_str())
            }
        }
    }
}

/// The elements that any of the selectors matches, in document order.
pub(super) fn matching(tree: &Tree<'_>, selectors: &[Selector]) -> Vec<usize> {
    let mut matched = Vec::new();
    for selector in selectors {
        selector.collect(tree, &mut matched);
    }
    matched.sort_unstable();
    matched.dedup();
    matched
}

impl Selector {
    fn collect(&self, tree: &Tree<'_>, matched: &mut Vec<usize>) {
        let last = self.compounds.len() - 1;
        // How many of the outer compounds the element and those around it match in their order.
        // Taking each at the first chance is enough, since only descendants are asked for.
        let mut progress = vec![0_usize; tree.nodes.len()];
        for (at, node) in tree.nodes.iter().enumerate().skip(1) {
            let around = progress[node.parent()];
            let next = !node.is_text() && self.compounds[around].matches(tree, node);
            progress[at] = around + usize::from(next && around < last);
            if next && around == last {
                matched.push(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::Tokens;
    use super::super::tree::TreeBuilder;
    use super::*;

    /// The ids of the elements that `selector` matches.
    fn ids(html: &str, selector: &str) -> Vec<String> {
        let mut builder = TreeBuilder::new(html, 512, 1000);
        for token in Tokens::new(html, false) {
            builder.token(&token).unwrap();
        }
        let tree = builder.finish();
        let matched = matching(&tree, &[selector.parse().unwrap()]);
        let id = |at: usize| tree.attributes(&tree.nodes[at]).get("id").unwrap().into_owned();
        matched.into_iter().map(id).collect()
    }

    #[test]
    fn every_form_matches_what_it_says() {
        let html = "<div id=a class='x y' lang=en><p id=b class=x><i id=c data-k='v w'></i></p>\
                    </div><p id=d>";
        for (selector, expected) in [
            ("p", &["b", "d"][..]),
            ("P", &["b", "d"]),
            ("#a", &["a"]),
            (".x", &["a", "b"]),
            (".X", &[]),
            ("[data-k]", &["c"]),
            ("[DATA-K='v w']", &["c"]),
            ("[data-k=v]", &[]),
            ("div.x.y[lang=en]", &["a"]),
            ("div p", &["b"]),
            (" .y  .x [data-k] ", &["c"]),
            ("div div", &[]),
            (".x .x", &["b"]),
            ("body", &[]),
        ] {
            assert_eq!(ids(html, selector), expected, "{selector}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_its_place() {
        for (selector, at) in [
            ("", 0),
            ("  ", 2),
            ("a > b", 2),
            ("a,b", 1),
            ("p:first-child", 1),
            ("my-card", 0),
            ("p.", 2),
            ("#", 1),
            ("[a", 2),
            ("[a^=b]", 2),
            ("[a='b]", 6),
            ("*", 0),
        ] {
            let error = selector.parse::<Selector>().unwrap_err();
            assert_eq!((error.selector.as_str(), error.at), (selector, at), "{error}");
        }
        assert!("p".repeat(2000).parse::<Selector>().is_err());
    }
}
