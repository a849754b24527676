//! The document as a stream of tags and texts.
//!
//! A tokeniser after the HTML standard's, in one pass and without copying. It is lenient where the
//! standard is and never fails. In a script, `<!-- <script> </script> -->` is text as the standard
//! says.

use std::borrow::Cow;

use super::entities::{self, Place};
use super::tag::Tag;

/// One piece of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A start tag.
    Start(StartTag<'a>),
    /// An end tag.
    End(Tag, &'a str),
    /// Text with its character references as written.
    Text(&'a str),
    /// Text without character references (a CDATA section of XHTML).
    Literal(&'a str),
    /// The whole content of a raw text element (`script`, `style`, `title` …); its tags come
    /// before and after.
    Raw(Tag, &'a str),
}

/// A start tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StartTag<'a> {
    /// Which element.
    pub(super) tag: Tag,
    /// Its name as written.
    pub(super) name: &'a str,
    /// Its attributes as written.
    pub(super) attributes: Attributes<'a>,
    /// Written `<.../>`.
    pub(super) self_closing: bool,
}

/// The attributes of a start tag, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes<'a>(pub(super) &'a str);

impl<'a> Attributes<'a> {
    /// The value of the first attribute called `name` (given in lower case), character references
    /// decoded; empty for an attribute without value.
    pub(super) fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| entities::decode(value, Place::Attribute))
    }

    /// Names and raw values in the order they stand.
    pub(super) fn iter(self) -> AttributeIter<'a> {
        AttributeIter { rest: self.0 }
    }
}

/// Iterator over names and raw values of attributes.
pub(super) struct AttributeIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for AttributeIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return None;
        }
        // A name may begin with `=`, but does not go on with it.
        let name_end = rest
            .bytes()
            .skip(1)
            .position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'=' | b'>'))
            .map_or(rest.len(), |at| at + 1);
        // The first character may be longer than a byte, but what ends a name is ASCII.
        let (name, after) = rest.split_at(name_end);
        let trimmed = trim_ascii_start(after);
        let Some(value) = trimmed.strip_prefix('=').map(trim_ascii_start) else {
            self.rest = after;
            return Some((name, ""));
        };
        let (value, rest) = match value.bytes().next() {
            Some(quote @ (b'"' | b'\'')) => {
                let inner = &value[1..];
                let end = inner.find(char::from(quote)).unwrap_or(inner.len());
                (&inner[..end], inner.get(end + 1..).unwrap_or(""))
            }
            _ => {
                value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len()))
            }
        };
        self.rest = rest;
        Some((name, value))
    }
}

fn trim_ascii_start(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_whitespace())
}

/// Iterator over the tokens of a document.
pub(super) struct Tokens<'a> {
    source: &'a str,
    at: usize,
    /// The raw text element whose content comes next.
    raw: Option<(Tag, &'a str)>,
    xml: bool,
}

impl<'a> Tokens<'a> {
    /// Reads `source`; as XHTML if `xml`, where any element may be self-closing and CDATA sections
    /// are text.
    pub(super) fn new(source: &'a str, xml: bool) -> Self {
        Self { source, at: 0, raw: None, xml }
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Moves past `bytes` bytes, which must end at a character boundary, and returns them.
    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        taken
    }

    /// Moves past the next `end`, or to the end of the document.
    fn skip_past(&mut self, end: &str) {
        let rest = self.rest();
        self.at += rest.find(end).map_or(rest.len(), |found| found + end.len());
    }

    /// The content of a raw text element, up to its end tag or the end of the document.
    fn raw_text(&mut self, tag: Tag, name: &str) -> Token<'a> {
        let rest = self.rest();
        let mut from = 0;
        let end = loop {
            let Some(found) = rest[from..].find("</") else { break rest.len() };
            let candidate = from + found;
            let bytes = &rest.as_bytes()[candidate + 2..];
            let matches = bytes
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()));
            let ended = bytes
                .get(name.len())
                .is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/'));
            if matches && ended {
                let escaped = tag == Tag::Script && rest[..candidate].contains("<!--");
                break if escaped { escaped_script(rest) } else { candidate };
            }
            from = candidate + 2;
        };
        Token::Raw(tag, self.take(end))
    }

    /// Reads what begins with `<` here; `None` if it was skipped (a comment, a declaration).
    fn markup(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        match (bytes.get(1), bytes.get(2)) {
            (Some(first), _) if first.is_ascii_alphabetic() => self.start_tag(),
            (Some(b'/'), Some(first)) if first.is_ascii_alphabetic() => self.end_tag(),
            (Some(b'!'), _) if rest.starts_with("<!--") => {
                self.comment();
                None
            }
            (Some(b'!'), _) if self.xml && rest.starts_with("<![CDATA[") => {
                self.take("<![CDATA[".len());
                let end = self.rest().find("]]>").unwrap_or(self.rest().len());
                let literal = self.take(end);
                self.skip_past("]]>");
                Some(Token::Literal(literal))
            }
            (Some(b'!' | b'?'), _) | (Some(b'/'), Some(_)) => {
                self.skip_past(">");
                None
            }
            _ => Some(self.text(1)),
        }
    }

    fn comment(&mut self) {
        self.take("<!--".len());
        // `<!-->` and `<!--->` are whole comments.
        let rest = self.rest();
        if let Some(short) = [">", "->"].into_iter().find(|short| rest.starts_with(short)) {
            self.take(short.len());
            return;
        }
        let mut from = 0;
        while let Some(found) = rest[from..].find("--") {
            let after = &rest[from + found + 2..];
            if after.starts_with('>') || after.starts_with("!>") {
                let tail = if after.starts_with('>') { 1 } else { 2 };
                self.take(from + found + 2 + tail);
                return;
            }
            from += found + 1;
        }
        self.at = self.source.len();
    }

    /// Text up to the next `<` after its first `skip` bytes.
    fn text(&mut self, skip: usize) -> Token<'a> {
        let rest = self.rest();
        let end = rest[skip..].find('<').map_or(rest.len(), |found| found + skip);
        Token::Text(self.take(end))
    }

    /// The name at the start of `text`: up to white space, `/` or `>`.
    fn name(text: &str) -> &str {
        let end = text.bytes().position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'));
        &text[..end.unwrap_or(text.len())]
    }

    fn start_tag(&mut self) -> Option<Token<'a>> {
        self.take(1);
        let name = Self::name(self.rest());
        self.take(name.len());
        let inside = self.tag_inside()?;
        let tag = Tag::of(name);
        // In `<a href=/x/>` the slash is the last of the value.
        let self_closing = inside.ends_with('/')
            && (inside.len() == 1
                || inside[..inside.len() - 1]
                    .ends_with(|c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'')));
        if tag.is_raw_text() && !(self.xml && self_closing) {
            self.raw = Some((tag, name));
        }
        let attributes =
            Attributes(if self_closing { &inside[..inside.len() - 1] } else { inside });
        Some(Token::Start(StartTag { tag, name, attributes, self_closing }))
    }

    fn end_tag(&mut self) -> Option<Token<'a>> {
        self.take(2);
        let name = Self::name(self.rest());
        self.take(name.len());
        self.tag_inside()?;
        Some(Token::End(Tag::of(name), name))
    }

    /// Moves past the `>` that ends the tag and returns what stands before it; `None` at the end
    /// of the document. A quote opens a value only after `=`, and hides `>` until it closes.
    fn tag_inside(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut at = 0;
        let mut after_equals = false;
        let end = loop {
            match bytes.get(at) {
                Some(b'>') => break at,
                Some(quote @ (b'"' | b'\'')) if after_equals => {
                    let Some(length) = rest[at + 1..].find(char::from(*quote)) else {
                        self.at = self.source.len();
                        return None;
                    };
                    at += length + 1;
                    after_equals = false;
                }
                Some(b'=') => after_equals = true,
                Some(byte) if byte.is_ascii_whitespace() => {}
                Some(_) => after_equals = false,
                None => {
                    self.at = self.source.len();
                    return None;
                }
            }
            at += 1;
        };
        let inside = self.take(end);
        self.take(1);
        Some(inside)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if let Some((tag, name)) = self.raw.take() {
            return Some(self.raw_text(tag, name));
        }
        while self.at < self.source.len() {
            if !self.rest().starts_with('<') {
                return Some(self.text(0));
            }
            if let Some(token) = self.markup() {
                return Some(token);
            }
        }
        None
    }
}

/// Where a script that holds `<!--` ends: between that and `-->`, an inner `<script>` and its end
/// tag are text.
fn escaped_script(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let is_script = |at: usize| {
        bytes.get(at..at + 6).is_some_and(|name| name.eq_ignore_ascii_case(b"script"))
            && bytes.get(at + 6).is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/'))
    };
    let (mut escaped, mut inner) = (false, false);
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'<' if bytes[at..].starts_with(b"</") && is_script(at + 2) => {
                if !inner {
                    return at;
                }
                inner = false;
            }
            b'<' if escaped && is_script(at + 1) => inner = true,
            b'<' if bytes[at..].starts_with(b"<!--") => {
                escaped = true;
                // The dashes may be those of the end, too: `<!-->`.
                at += 1;
            }
            b'-' if bytes[at..].starts_with(b"-->") => (escaped, inner) = (false, false),
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens in a short notation: `<a x=1>` start, `</a>` end, text as it is, `[raw]`.
    fn shape(source: &str) -> String {
        Tokens::new(source, false)
            .map(|token| match token {
                Token::Start(tag) => {
                    let mut shape = format!("<{}", tag.name);
                    for (name, value) in tag.attributes.iter() {
                        shape.extend([" ", name, "=", value]);
                    }
                    shape + ">"
                }
                Token::End(_, name) => format!("</{name}>"),
                Token::Text(text) | Token::Literal(text) => text.to_owned(),
                Token::Raw(_, text) => format!("[{text}]"),
            })
            .collect()
    }

    #[test]
    fn markup_of_every_kind_is_told_apart() {
        for (source, tokens) in [
            ("a<b>c</b>d", "a<b>c</b>d"),
            ("<a href='x>y' b = \"1\" c d=2/>z", "<a href=x>y b=1 c= d=2/>z"),
            ("<a href=/x/>", "<a href=/x/>"),
            ("<br/><br />", "<br><br>"),
            ("<a title=it's>x", "<a title=it's>x"),
            ("1 < 2 <3 <", "1 < 2 <3 <"),
            ("a<!-- <b> -- > -->c<!-->d<!--->e<!--x--!>f", "acdef"),
            ("<!DOCTYPE html><?php x ?>a</>b</ c>d", "abd"),
            (
                "<script>if (a</b) '</scripts>'</SCRIPT >x",
                "<script>[if (a</b) '</scripts>']</SCRIPT>x",
            ),
            (
                "<script><!-- '<script></script>' --></script>x",
                "<script>[<!-- '<script></script>' -->]</script>x",
            ),
            (
                "<script><!-- a --> '<script>' </script>x",
                "<script>[<!-- a --> '<script>' ]</script>x",
            ),
            ("<script><!--> '<script>' </script>x", "<script>[<!--> '<script>' ]</script>x"),
            ("<script><!-- a </script>x", "<script>[<!-- a ]</script>x"),
            ("<title>a <b> &amp;</title>", "<title>[a <b> &amp;]</title>"),
            ("<a href=\"x>never closed", ""),
            ("<p", ""),
            ("<style>never closed", "<style>[never closed]"),
            ("<!-- never closed", ""),
            ("<p é=ü ö>", "<p é=ü ö=>"),
        ] {
            assert_eq!(shape(source), tokens, "{source}");
        }
    }

    #[test]
    fn the_first_of_equal_attributes_counts() {
        let attributes = Attributes("HREF='a&amp;b' href=c");
        assert_eq!(attributes.get("href").as_deref(), Some("a&b"));
        assert_eq!(attributes.get("rel"), None);
    }

    #[test]
    fn cdata_is_text_in_xhtml_alone() {
        let tokens: Vec<_> = Tokens::new("<![CDATA[a<b&amp;]]>c", true).collect();
        assert_eq!(tokens, [Token::Literal("a<b&amp;"), Token::Text("c")]);
        assert_eq!(shape("<![CDATA[a]]>c"), "c");
    }
}
