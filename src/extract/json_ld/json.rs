//! JSON as pages write it, as a flat tree.
//!
//! Read as the standard says, and beyond it where the meaning is plain: a byte order mark, CDATA
//! marks and comments around values, raw line feeds and tabs in strings, missing or trailing
//! commas, escapes of JavaScript, several values one after another. A value that is broken in any
//! other way is dropped, and so is all after it.

use std::borrow::Cow;

/// Deepest nesting of a value.
const MAX_DEPTH: usize = 64;
/// How far from `<!--` the end of the comment is looked for, in bytes.
const MAX_COMMENT_BYTES: usize = 256;
/// Marks of other languages that stand around JSON and mean nothing in it.
const MARKS: [&str; 4] = ["<![CDATA[", "]]>", "<!--", "-->"];

/// The kinds of values that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    /// A number, as written.
    Number,
    /// `true`, `false` or `null`.
    Word,
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) kind: Kind,
    /// As written; empty outside objects.
    pub(super) key: &'a str,
    /// Strings without their quotes, escapes as written; empty for objects and arrays.
    pub(super) text: &'a str,
    /// Index after the last node inside it.
    pub(super) end: u32,
}

/// Appends the values in `source` to `nodes`, in document order, up to `max_nodes` in all.
pub(super) fn parse<'a>(source: &'a str, max_nodes: usize, nodes: &mut Vec<Node<'a>>) {
    let mut parser = Parser { source, at: 0, nodes, open: Vec::new(), max_nodes };
    loop {
        parser.skip_blank();
        if parser.peek() == Some(b';') {
            parser.at += 1;
            continue;
        }
        let complete = parser.nodes.len();
        if parser.peek().is_none() || parser.value().is_none() {
            parser.nodes.truncate(complete);
            return;
        }
    }
}

struct Parser<'a, 'n> {
    source: &'a str,
    at: usize,
    nodes: &'n mut Vec<Node<'a>>,
    /// Indices of the objects and arrays whose end has not been read.
    open: Vec<usize>,
    max_nodes: usize,
}

impl<'a> Parser<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Reads one value; `None` if it is broken.
    fn value(&mut self) -> Option<()> {
        self.open.clear();
        loop {
            self.skip_blank();
            let byte = self.peek()?;
            let inside = self.open.last().map(|at| self.nodes[*at].kind);
            match (byte, inside) {
                // Commas separate nothing that does not stand apart without them.
                (b',', Some(_)) => self.at += 1,
                (b'}', Some(Kind::Object)) | (b']', Some(Kind::Array)) => {
                    self.at += 1;
                    self.close();
                }
                (b'"', Some(Kind::Object)) => {
                    let key = self.string()?;
                    self.skip_blank();
                    if self.peek()? != b':' {
                        return None;
                    }
                    self.at += 1;
                    self.skip_blank();
                    self.start(key)?;
                }
                (_, Some(Kind::Array) | None) => self.start("")?,
                _ => return None,
            }
            if self.open.is_empty() {
                return Some(());
            }
        }
    }

    fn close(&mut self) {
        let end = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        if let Some(at) = self.open.pop() {
            self.nodes[at].end = end;
        }
    }

    /// Reads a scalar, or the opening bracket of an object or array.
    fn start(&mut self, key: &'a str) -> Option<()> {
        let (kind, text) = match self.peek()? {
            b'{' => (Kind::Object, ""),
            b'[' => (Kind::Array, ""),
            b'"' => (Kind::String, self.string()?),
            b'-' | b'0'..=b'9' => (
                Kind::Number,
                self.run(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')),
            ),
            _ => (Kind::Word, self.run(|b| b.is_ascii_alphabetic())),
        };
        if kind == Kind::Word && !matches!(text, "true" | "false" | "null") {
            return None;
        }
        let index = self.nodes.len();
        if index >= self.max_nodes {
            return None;
        }
        let end = u32::try_from(index + 1).ok()?;
        self.nodes.push(Node { kind, key, text, end });
        if matches!(kind, Kind::Object | Kind::Array) {
            if self.open.len() >= MAX_DEPTH {
                return None;
            }
            self.at += 1;
            self.open.push(index);
        }
        Some(())
    }

    fn run(&mut self, part: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !part(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Reads a string from its opening quote on and returns what stands inside.
    fn string(&mut self) -> Option<&'a str> {
        let inside = &self.rest()[1..];
        let bytes = inside.as_bytes();
        let mut at = 0;
        loop {
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at += at + 2;
        Some(&inside[..at])
    }

    /// Moves past white space, comments and marks.
    fn skip_blank(&mut self) {
        loop {
            let rest =
                self.rest().trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
            self.at = self.source.len() - rest.len();
            let skipped = if let Some(comment) = rest.strip_prefix("/*") {
                comment.find("*/").map_or(rest.len(), |end| end + 4)
            } else if let Some(line) = rest.strip_prefix("//") {
                line_comment(line)
            } else if rest.starts_with("<!--") {
                markup_comment(rest)
            } else {
                MARKS.iter().find(|mark| rest.starts_with(**mark)).map_or(0, |mark| mark.len())
            };
            if skipped == 0 {
                return;
            }
            self.at += skipped;
        }
    }
}

/// Length of the line comment whose text is `line` and all that follows: to the end of the line,
/// unless it only hides a mark.
fn line_comment(line: &str) -> usize {
    let hides_mark = MARKS.iter().any(|mark| line.trim_start().starts_with(mark));
    if hides_mark { 2 } else { line.find('\n').map_or(line.len() + 2, |end| end + 2) }
}

/// Length of the comment that begins here, or of its opening alone if it stands around a value.
fn markup_comment(rest: &str) -> usize {
    let near = rest.as_bytes().get(..MAX_COMMENT_BYTES).unwrap_or(rest.as_bytes());
    let end = near.windows(3).position(|window| window == b"-->");
    let value = near.iter().position(|byte| matches!(byte, b'{' | b'['));
    match (end, value) {
        (Some(end), None) => end + 3,
        (Some(end), Some(value)) if end < value => end + 3,
        _ => "<!--".len(),
    }
}

/// The characters of a string whose inside is `raw`.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    let Some(first) = raw.find('\\') else { return Cow::Borrowed(raw) };
    let mut out = String::with_capacity(raw.len());
    out.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(after) = rest.strip_prefix('\\') {
        let mut characters = after.chars();
        match characters.next() {
            Some('b' | 'f') => out.push(' '),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (character, used) = code_point(after);
                out.push(character);
                characters = after[used..].chars();
            }
            Some(other) => out.push(other),
            None => {}
        }
        let plain = characters.as_str();
        let next = plain.find('\\').unwrap_or(plain.len());
        out.push_str(&plain[..next]);
        rest = &plain[next..];
    }
    Cow::Owned(out)
}

/// The character that `u` and four digits stand for, or twice so for a pair of surrogates, and the
/// bytes they take. Half a pair is U+FFFD, as in a title that was cut.
fn code_point(escape: &str) -> (char, usize) {
    let unit = |text: &str| {
        let digits = text.strip_prefix('u')?.get(..4)?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hexadecimal { u16::from_str_radix(digits, 16).ok() } else { None }
    };
    let Some(first) = unit(escape) else { return ('u', 1) };
    let second = escape[5..].strip_prefix('\\').and_then(unit);
    let pair = [first, second.unwrap_or(0)];
    match char::decode_utf16(pair).next() {
        Some(Ok(character)) if character.len_utf16() == 2 => (character, 11),
        Some(Ok(character)) => (character, 5),
        _ => (char::REPLACEMENT_CHARACTER, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values in a short notation, so that broken ones are told from empty ones.
    fn shape(source: &str) -> String {
        let mut nodes = Vec::new();
        parse(source, 1000, &mut nodes);
        let parts: Vec<_> = nodes
            .iter()
            .map(|node| {
                let colon = if node.key.is_empty() { "" } else { ":" };
                let value = match node.kind {
                    Kind::Object => "{}".to_owned(),
                    Kind::Array => "[]".to_owned(),
                    _ => unescape(node.text).into_owned(),
                };
                format!("{}{colon}{value}", node.key)
            })
            .collect();
        parts.join(" ")
    }

    #[test]
    fn values_are_read() {
        assert_eq!(
            shape(r#"{"a":[1,-2.5e3,true],"b":{"c":"d"}}"#),
            "{} a:[] 1 -2.5e3 true b:{} c:d"
        );
        assert_eq!(shape("[] {}\n{\"a\":null};"), "[] {} {} a:null");
        let mut nodes = Vec::new();
        parse(r#"{"a":{"b":1},"c":2}"#, 1000, &mut nodes);
        assert_eq!(nodes.iter().map(|node| node.end).collect::<Vec<_>>(), [4, 3, 3, 4]);
    }

    #[test]
    fn what_stands_around_values_is_skipped() {
        for source in [
            "\u{FEFF}{\"a\":1}",
            "//<![CDATA[\n{\"a\":1}\n//]]>",
            "/*<![CDATA[*/ {\"a\":1} /*]]>*/",
            "<![CDATA[{\"a\":1}]]>",
            "<!-- {\"a\":1} -->",
            "<!-- made by hand -->{\"a\":1}",
            "<!--//--><![CDATA[//><!--\n{\"a\":1}\n//--><!]]>",
            "// data of the page\n{\"a\":1 // the first\n}",
            "{/* one */\"a\":1,}",
            "{\"a\":1,,};",
        ] {
            assert_eq!(shape(source), "{} a:1", "{source}");
        }
    }

    #[test]
    fn strings_are_read_as_meant() {
        for (source, text) in [
            ("\"one\ntwo\tthree\"", "one\ntwo\tthree"),
            (r#""\"a\" \\ \/ b\n""#, "\"a\" \\ / b\n"),
            (r#""caf\u00e9 \ud83c\udf3e""#, "café 🌾"),
            (r#""cut \ud83c""#, "cut \u{FFFD}"),
            (r#""\udf3e\ud83cx""#, "\u{FFFD}\u{FFFD}x"),
            (r#""it\'s \u12""#, "it's u12"),
            (r#""http://a/*b*/ // c""#, "http://a/*b*/ // c"),
        ] {
            assert_eq!(shape(source), text, "{source}");
        }
    }

    #[test]
    fn the_ambiguous_is_dropped() {
        for source in [
            "",
            "{",
            "{\"a\"",
            "{\"a\":}",
            "{\"a\":\"b",
            "{\"a\":\"b \"c\" d\"}",
            "[\"a \"b\" c\"]",
            "{a:1}",
            "[undefined]",
            "[1}",
            "function(){}",
            "\\",
        ] {
            assert_eq!(shape(source), "", "{source}");
        }
        assert_eq!(shape("{\"a\":1} {\"b\""), "{} a:1", "what came before is kept");
    }

    #[test]
    fn depth_and_number_are_bounded() {
        assert_eq!(shape(&"[".repeat(100_000)), "");
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert_eq!(shape(&deep).len(), 3 * MAX_DEPTH - 1);
        assert_eq!(shape(&format!("[{deep}]")), "");
        assert_eq!(shape(&format!("[1] [{}]", "1,".repeat(2000))), "[] 1");
    }
}
