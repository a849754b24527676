//! From bytes to characters: byte order mark, then header, then `<meta>`, then detection.
//!
//! The order is that of the HTML standard's encoding sniffing algorithm. Labels are resolved by
//! the WHATWG Encoding Standard, so `iso-8859-1` is read as windows-1252, as browsers do.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// How far into the body a `<meta charset>` is looked for. The standard asks for 1,024 bytes;
/// pages exist that put it after their styles.
const META_PRESCAN_BYTES: usize = 8 * 1024;
/// How many bytes the detector reads.
const DETECTION_SAMPLE_BYTES: usize = 64 * 1024;

/// Decodes `bytes` and names the encoding that was used.
///
/// `content_type` is the value of the `Content-Type` header field, if there was one. Malformed
/// sequences become U+FFFD. A body in well-formed UTF-8 is borrowed, not copied. A byte order mark
/// is not part of the result.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    content_type: Option<&str>,
) -> (Cow<'a, str>, &'static str) {
    let (encoding, mark) = choose(bytes, content_type);
    let body = bytes.get(mark..).unwrap_or(bytes);
    let (text, _) = encoding.decode_without_bom_handling(body);
    (text, encoding.name())
}

/// The encoding of `bytes` and the length of their byte order mark.
fn choose(bytes: &[u8], content_type: Option<&str>) -> (&'static Encoding, usize) {
    Encoding::for_bom(bytes).unwrap_or_else(|| {
        let encoding = content_type
            .and_then(charset_parameter)
            .and_then(|label| Encoding::for_label(label.as_bytes()))
            .or_else(|| meta_charset(bytes))
            .unwrap_or_else(|| detect(bytes));
        (encoding, 0)
    })
}

/// The `charset` parameter of a media type such as `text/html; charset="utf-8"`.
pub(super) fn charset_parameter(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then_some(value)
    })
}

/// The encoding that a `<meta>` element or an XML declaration names near the start.
fn meta_charset(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..META_PRESCAN_BYTES).unwrap_or(bytes);
    let head: String = head.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    let mut rest = head.as_str();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = &comment[comment.find("-->")?..];
        } else if rest.starts_with("meta") || rest.starts_with("?xml") {
            let tag = rest.find('>').map_or(rest, |end| &rest[..end]);
            if let Some(encoding) = declared_in(tag) {
                return Some(encoding);
            }
        }
    }
    None
}

/// The encoding that the inside of one tag declares with `charset=` or `encoding=`.
fn declared_in(tag: &str) -> Option<&'static Encoding> {
    let key = if tag.starts_with("?xml") { "encoding" } else { "charset" };
    let after = tag[tag.find(key)? + key.len()..].trim_start();
    let value = after.strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let end = value
        .find(|c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'' | ';' | '/' | '>' | '?'))
        .unwrap_or(value.len());
    let encoding = Encoding::for_label(&value.as_bytes()[..end])?;
    // The standard: what was read as ASCII-compatible cannot be UTF-16, and x-user-defined is
    // windows-1252 here.
    Some(match encoding {
        e if e == UTF_16BE || e == UTF_16LE => UTF_8,
        e if e == X_USER_DEFINED => WINDOWS_1252,
        e => e,
    })
}

/// Guesses from the bytes alone.
fn detect(bytes: &[u8]) -> &'static Encoding {
    if let Some(utf_16) = detect_utf_16(bytes) {
        return utf_16;
    }
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let sample = bytes.get(..DETECTION_SAMPLE_BYTES).unwrap_or(bytes);
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(sample, sample.len() == bytes.len());
    detector.guess(None, Utf8Detection::Allow)
}

/// UTF-16 without a byte order mark: its markup begins with `<` and a zero byte, in either order.
fn detect_utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [b'<', 0, second, 0, ..] if *second != 0 => Some(UTF_16LE),
        [0, b'<', 0, second, ..] if *second != 0 => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(label: &str, text: &str) -> Vec<u8> {
        let encoding = Encoding::for_label(label.as_bytes()).unwrap();
        let (bytes, _, unmappable) = encoding.encode(text);
        assert!(!unmappable);
        bytes.into_owned()
    }

    #[test]
    fn utf_8_is_borrowed() {
        let (text, name) = decode("naïve".as_bytes(), None);
        assert!(matches!(text, Cow::Borrowed("naïve")));
        assert_eq!(name, "UTF-8");
    }

    #[test]
    fn the_mark_beats_the_header_beats_the_meta_element() {
        let marked = b"\xEF\xBB\xBF<meta charset=koi8-r>\xC3\xA9";
        let (text, name) = decode(marked, Some("text/html; charset=windows-1251"));
        assert_eq!((name, text.ends_with('é'), text.starts_with('<')), ("UTF-8", true, true));
        let body = encoded("windows-1251", "<meta charset=koi8-r>Привет");
        let (text, name) = decode(&body, Some("text/html; Charset=\"windows-1251\""));
        assert_eq!((name, text.ends_with("Привет")), ("windows-1251", true));
        let body =
            encoded("koi8-r", "<!-- <meta charset=utf-8> --><META CHARSET = 'koi8-r'>Привет");
        let (text, name) = decode(&body, Some("text/html"));
        assert_eq!((name, text.ends_with("Привет")), ("KOI8-R", true));
    }

    #[test]
    fn declarations_of_every_form_are_read() {
        for (label, text) in [
            ("windows-1251", "Съешь же ещё этих мягких французских булок"),
            ("shift_jis", "いろはにほへと ちりぬるを"),
            ("gb18030", "天地玄黄 宇宙洪荒"),
            ("euc-kr", "다람쥐 헌 쳇바퀴에 타고파"),
            ("big5", "天地玄黃 宇宙洪荒"),
            ("iso-8859-2", "Příliš žluťoučký kůň"),
        ] {
            let meta = format!(
                "<html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset={label}\">{text}"
            );
            let body = encoded(label, &meta);
            let (decoded, _) = decode(&body, None);
            assert!(decoded.ends_with(text), "{label}: {decoded}");
            let xml = format!("<?xml version=\"1.0\" encoding=\"{label}\"?><p>{text}");
            let body = encoded(label, &xml);
            let (decoded, _) = decode(&body, None);
            assert!(decoded.ends_with(text), "{label}: {decoded}");
        }
    }

    #[test]
    fn latin_1_is_read_as_windows_1252() {
        let (text, name) = decode(b"<meta charset=latin1>\x93caf\xE9\x94", None);
        assert_eq!((name, text.ends_with("“café”")), ("windows-1252", true));
    }

    #[test]
    fn utf_16_is_known_by_its_mark_or_its_zero_bytes() {
        let little: Vec<u8> = "<p>žluť".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "<p>žluť".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (mark, body) in [(&[0xFF, 0xFE][..], &little), (&[0xFE, 0xFF], &big), (&[], &little)] {
            let bytes = [mark, body].concat();
            assert_eq!(decode(&bytes, None).0, "<p>žluť");
        }
    }

    #[test]
    fn undeclared_text_is_detected() {
        let body =
            encoded("windows-1251", &"Съешь же ещё этих мягких французских булок. ".repeat(20));
        assert_eq!(decode(&body, None).1, "windows-1251");
        let body = encoded("shift_jis", &"いろはにほへと ちりぬるを わかよたれそ".repeat(20));
        assert_eq!(decode(&body, None).1, "Shift_JIS");
    }

    #[test]
    fn malformed_bytes_are_replaced() {
        let (text, _) = decode(b"a\xFFb", Some("text/html; charset=utf-8"));
        assert_eq!(text, "a\u{FFFD}b");
    }
}
