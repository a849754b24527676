//! The encoding that a document declares at its start: the HTML standard's prescan.
//!
//! Attributes of all tags are read as attributes, so that `charset=` inside a description, another
//! element or a comment declares nothing.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// How far a declaration is looked for. The standard asks for 1,024 bytes; pages exist that put it
/// after their styles.
const PRESCAN_BYTES: usize = 8 * 1024;

/// The encoding that an XML declaration or a `<meta>` element near the start names.
pub(super) fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..PRESCAN_BYTES).unwrap_or(bytes);
    if let Some(encoding) = xml_declaration(head) {
        return Some(encoding);
    }
    let mut scan = Scan { bytes: head, at: 0 };
    while let Some(found) = head.get(scan.at..)?.iter().position(|byte| *byte == b'<') {
        scan.at += found + 1;
        let rest = head.get(scan.at..)?;
        if rest.starts_with(b"!--") {
            // `<!-->` is a whole comment.
            scan.at += 1;
            scan.skip_past(b"-->")?;
        } else if is_meta(rest) {
            scan.at += "meta".len();
            if let Some(encoding) = meta(&mut scan) {
                return Some(encoding);
            }
        } else if rest.strip_prefix(b"/").unwrap_or(rest).first()?.is_ascii_alphabetic() {
            scan.skip_name();
            while scan.attribute().is_some() {}
        } else if matches!(rest.first()?, b'!' | b'/' | b'?') {
            scan.skip_past(b">")?;
        }
    }
    None
}

fn is_meta(rest: &[u8]) -> bool {
    rest.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"meta"))
        && rest.get(4).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'/')
}

/// The encoding of `<?xml … encoding="…"?>` at the very start.
fn xml_declaration(head: &[u8]) -> Option<&'static Encoding> {
    let rest = head.strip_prefix(b"<?xml")?;
    let end = rest.iter().position(|byte| *byte == b'>')?;
    let mut scan = Scan { bytes: rest.get(..end)?, at: 0 };
    while let Some((name, value)) = scan.attribute() {
        if name == b"encoding" {
            return encoding(&value);
        }
    }
    None
}

/// The encoding that the attributes of a `<meta>` element name.
fn meta(scan: &mut Scan<'_>) -> Option<&'static Encoding> {
    let (mut charset, mut content, mut pragma) = (None, None, false);
    while let Some((name, value)) = scan.attribute() {
        match &name[..] {
            b"charset" if charset.is_none() => charset = Some(value),
            b"content" if content.is_none() => content = Some(value),
            b"http-equiv" => pragma = value == b"content-type",
            _ => {}
        }
    }
    match (charset, content) {
        (Some(charset), _) => encoding(&charset),
        (None, Some(content)) if pragma => encoding(charset_in(&content)?),
        _ => None,
    }
}

/// The label after `charset=` in the `content` of a pragma.
fn charset_in(content: &[u8]) -> Option<&[u8]> {
    let mut rest = content;
    loop {
        let at = rest.windows(7).position(|window| window == b"charset")?;
        rest = rest.get(at + 7..)?;
        let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        let (value, ends): (_, fn(&u8) -> bool) = match value.first()? {
            b'"' => (value.get(1..)?, |byte| *byte == b'"'),
            b'\'' => (value.get(1..)?, |byte| *byte == b'\''),
            _ => (value, |byte| byte.is_ascii_whitespace() || *byte == b';'),
        };
        let end = value.iter().position(ends).unwrap_or(value.len());
        return value.get(..end);
    }
}

/// The encoding of a label. What was read as ASCII-compatible cannot be UTF-16, and x-user-defined
/// is windows-1252 here, as the standard says.
fn encoding(label: &[u8]) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label_no_replacement(label)?;
    Some(match encoding {
        e if e == UTF_16BE || e == UTF_16LE => UTF_8,
        e if e == X_USER_DEFINED => WINDOWS_1252,
        e => e,
    })
}

/// A position in the start of a document.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_past(&mut self, end: &[u8]) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        self.at += rest.windows(end.len()).position(|window| window == end)? + end.len();
        Some(())
    }

    /// Moves to what ends the name of a tag.
    fn skip_name(&mut self) {
        while self.peek().is_some_and(|byte| !byte.is_ascii_whitespace() && byte != b'>') {
            self.at += 1;
        }
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// The next attribute of a tag, name and value in lower case; `None` at the tag's end.
    fn attribute(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || byte == b'/') {
            self.at += 1;
        }
        let mut name = Vec::new();
        loop {
            match self.peek()? {
                b'>' if name.is_empty() => return None,
                b'=' if !name.is_empty() => break,
                b'/' | b'>' => return Some((name, Vec::new())),
                byte if byte.is_ascii_whitespace() => break,
                byte => name.push(byte.to_ascii_lowercase()),
            }
            self.at += 1;
        }
        self.skip_space();
        if self.peek()? != b'=' {
            return Some((name, Vec::new()));
        }
        self.at += 1;
        self.skip_space();
        Some((name, self.value()?))
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''));
        self.at += usize::from(quote.is_some());
        let mut value = Vec::new();
        loop {
            let byte = match self.peek() {
                // A declaration may end with what is read of it, as `<?xml` does.
                None if quote.is_none() => return Some(value),
                byte => byte?,
            };
            if Some(byte) == quote {
                self.at += 1;
                return Some(value);
            }
            if quote.is_none() && (byte.is_ascii_whitespace() || byte == b'>') {
                return Some(value);
            }
            value.push(byte.to_ascii_lowercase());
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read_as_the_standard_says() {
        for (head, name) in [
            ("<meta charset=koi8-r>", Some("KOI8-R")),
            ("<META/CHARSET = 'koi8-r' />", Some("KOI8-R")),
            (
                "<meta http-equiv=Content-Type content='text/html; charset = \"gb2312\"'>",
                Some("GBK"),
            ),
            ("<meta content='charset=gbk' http-equiv='content-type'>", Some("GBK")),
            ("<meta charset=latin1>", Some("windows-1252")),
            ("<meta charset=us-ascii>", Some("windows-1252")),
            ("<meta charset=utf-16>", Some("UTF-8")),
            ("<meta charset=x-user-defined>", Some("windows-1252")),
            ("<?xml version='1.0' encoding='euc-kr'?><p>", Some("EUC-KR")),
            ("<meta charset=nonsense><meta charset=big5>", Some("Big5")),
            ("<meta charset=hz-gb-2312>", None),
            ("<meta name=description content='charset=koi8-r'><meta charset=utf-8>", Some("UTF-8")),
            ("<meta http-equiv=refresh content='0;charset=koi8-r'>", None),
            ("<a title='<meta charset=koi8-r>'><meta charset=big5>", Some("Big5")),
            ("<link data-charset=koi8-r charset=koi8-r>", None),
            ("<meta data-charset=koi8-r>", None),
            ("<metadata charset=koi8-r>", None),
            ("<!-- <meta charset=koi8-r> --><!--><meta charset=big5>", Some("Big5")),
            ("<? <meta charset=koi8-r><meta charset=big5>", Some("Big5")),
            ("a < b </p x='>'> <meta charset=big5>", Some("Big5")),
            ("<meta charset='koi8-r", None),
            ("<meta charset=", None),
            ("<", None),
        ] {
            assert_eq!(declared(head.as_bytes()).map(Encoding::name), name, "{head}");
        }
    }
}
