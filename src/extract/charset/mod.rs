//! From bytes to characters: byte order mark, then header, then `<meta>`, then detection.
//!
//! The order is that of the HTML standard's encoding sniffing algorithm. Labels are resolved by
//! the WHATWG Encoding Standard, so `iso-8859-1` is read as windows-1252, as browsers do.
//!
//! Where a declaration and the bytes disagree beyond doubt, the bytes win: text outside ASCII that
//! is valid UTF-8 is UTF-8 whatever is declared, and what is declared UTF-8 but has no sequence of
//! it is read as detected. A page that is UTF-8 but for some bytes stays UTF-8.

mod prescan;

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};

/// How many bytes the detector reads.
const DETECTION_SAMPLE_BYTES: usize = 64 * 1024;
/// How many bytes before the first one outside ASCII the detector reads, too.
const BEFORE_SAMPLE_BYTES: usize = 64;
/// How much of a body is looked at to know UTF-16 by its zero bytes.
const UTF_16_SAMPLE_BYTES: usize = 256;
/// Fewest sequences of UTF-8 that do not come about by chance in an encoding of several bytes a
/// character.
const MIN_SEQUENCES: usize = 4;
/// Fewest malformed sequences that make a declaration of UTF-8 doubtful.
const MIN_MALFORMED: usize = 2;

/// Decodes `bytes` and names the encoding that was used.
///
/// `content_type` is the value of the `Content-Type` header field, if there was one. Malformed
/// sequences become U+FFFD. A body in well-formed UTF-8 is borrowed, not copied. A byte order mark
/// is not part of the result.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    content_type: Option<&str>,
) -> (Cow<'a, str>, &'static str) {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return read(bytes.get(mark..).unwrap_or_default(), encoding);
    }
    if let Some(encoding) = utf_16_without_mark(bytes) {
        return read(bytes, encoding);
    }
    let declared = content_type
        .and_then(charset_parameter)
        .and_then(|label| Encoding::for_label_no_replacement(label.as_bytes()))
        .or_else(|| prescan::declared(bytes));
    match UTF_8.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) if is_utf_8(&text, declared) => (text, UTF_8.name()),
        Some(_) => read(bytes, declared.unwrap_or_else(|| detect(bytes, Utf8Detection::Allow))),
        None => read(bytes, of_malformed(bytes, declared)),
    }
}

fn read<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> (Cow<'a, str>, &'static str) {
    (encoding.decode_without_bom_handling(bytes).0, encoding.name())
}

/// Whether a body that is valid UTF-8 is read as such.
fn is_utf_8(text: &str, declared: Option<&'static Encoding>) -> bool {
    let Some(declared) = declared else {
        // The escapes of ISO-2022-JP are ASCII.
        return !text.contains("\u{1B}$");
    };
    if declared == UTF_8 {
        return true;
    }
    if text.is_ascii() || !declared.is_ascii_compatible() {
        return false;
    }
    declared.is_single_byte()
        || text.chars().filter(|c| !c.is_ascii()).take(MIN_SEQUENCES).count() == MIN_SEQUENCES
}

/// The encoding of a body that is not valid UTF-8.
fn of_malformed(bytes: &[u8], declared: Option<&'static Encoding>) -> &'static Encoding {
    if let Some(declared) = declared.filter(|declared| *declared != UTF_8) {
        return declared;
    }
    let (mut sequences, mut malformed) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        sequences += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        malformed += usize::from(!chunk.invalid().is_empty());
    }
    let doubtful = declared.is_none() || malformed >= MIN_MALFORMED;
    if doubtful && sequences <= malformed { detect(bytes, Utf8Detection::Deny) } else { UTF_8 }
}

/// The `charset` parameter of a media type such as `text/html; charset="utf-8"`.
pub(super) fn charset_parameter(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then_some(value)
    })
}

/// Guesses from the bytes alone.
fn detect(bytes: &[u8], utf_8: Utf8Detection) -> &'static Encoding {
    let telling = bytes.iter().position(|byte| !byte.is_ascii() || *byte == 0x1B).unwrap_or(0);
    let from = bytes.get(telling.saturating_sub(BEFORE_SAMPLE_BYTES)..).unwrap_or(bytes);
    let sample = from.get(..DETECTION_SAMPLE_BYTES).unwrap_or(from);
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(sample, sample.len() == from.len());
    match detector.guess(None, utf_8) {
        // Without its escapes it would be ASCII.
        encoding if encoding == ISO_2022_JP || !bytes.is_ascii() => encoding,
        _ => UTF_8,
    }
}

/// UTF-16 without a byte order mark: its markup is ASCII, every second byte zero.
fn utf_16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = bytes.get(..UTF_16_SAMPLE_BYTES).unwrap_or(bytes);
    let (units, _) = sample.as_chunks::<2>();
    let first_zero = units.iter().filter(|unit| unit[0] == 0).count();
    let second_zero = units.iter().filter(|unit| unit[1] == 0).count();
    let starts = |unit: usize, zero: usize| {
        let byte = |at: usize| units.get(at).map_or(0, |pair| pair[unit]);
        let marked = byte(0) == b'<' || byte(0).is_ascii_whitespace();
        marked && byte(1) != 0 && units.iter().take(2).all(|pair| pair[zero] == 0)
    };
    if starts(0, 1) && 8 * first_zero <= second_zero && 2 * second_zero >= units.len() {
        Some(UTF_16LE)
    } else if starts(1, 0) && 8 * second_zero <= first_zero && 2 * first_zero >= units.len() {
        Some(UTF_16BE)
    } else {
        None
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

    #[test]
    fn valid_utf_8_is_read_as_such_beside_another_declaration() {
        for label in ["iso-8859-1", "windows-1251", "gbk", "shift_jis"] {
            let page = format!("<meta charset={label}>Müller, Größe, Äpfel, Öl");
            assert_eq!(decode(page.as_bytes(), None), (page.as_str().into(), "UTF-8"), "{label}");
        }
        let header = Some("text/html; charset=windows-1252");
        assert_eq!(decode("Mühle, 水車".as_bytes(), header).1, "UTF-8");
        let korean = encoded("euc-kr", "<meta charset=euc-kr>물레방아");
        assert_eq!(decode(&korean, None).1, "EUC-KR");
        assert_eq!(decode(b"<meta charset=gbk>plain", None).1, "GBK", "ASCII contradicts nothing");
        let escaped = encoded("iso-2022-jp", "<meta charset=iso-2022-jp>水車");
        assert!(decode(&escaped, None).0.ends_with("水車"));
    }

    #[test]
    fn a_wrong_declaration_of_utf_8_is_not_believed() {
        let german =
            encoded("windows-1252", "<meta charset=utf-8><p>Grund für das Rätsel der Mühle");
        let (text, name) = decode(&german, None);
        assert_eq!((name, text.ends_with("für das Rätsel der Mühle")), ("windows-1252", true));
        let japanese = encoded("shift_jis", &"この水車は二百年のあいだ麦をひいている。".repeat(3));
        assert_eq!(decode(&japanese, Some("text/html; charset=utf-8")).1, "Shift_JIS");
        let damaged =
            [b"\xFF\xFE".repeat(2).as_slice(), "größer als die Mühle öfter".as_bytes(), b"\xFF"]
                .concat();
        let damaged = [b"x", damaged.as_slice()].concat();
        assert_eq!(decode(&damaged, Some("text/html; charset=utf-8")).1, "windows-1252");
        let damaged = ["größer, Mühle, öfter, Ähre, Öl".as_bytes(), b" \xFF \xE4 "].concat();
        for header in [None, Some("text/html; charset=utf-8")] {
            let (text, name) = decode(&damaged, header);
            assert_eq!((name, text.ends_with("Öl \u{FFFD} \u{FFFD} ")), ("UTF-8", true));
        }
    }

    #[test]
    fn short_undeclared_text_is_detected_after_much_ascii() {
        let style = format!("<style>{}</style>", "a { color: red } ".repeat(8000));
        for (label, name, text) in [
            (
                "windows-1252",
                "windows-1252",
                "Forscher finden den wahren Grund für das Rätsel der Mühle.",
            ),
            ("euc-kr", "EUC-KR", "이 물레방아는 이백 년 동안 계곡의 마을을 위해 보리를 빻아 왔다."),
            ("shift_jis", "Shift_JIS", "この水車は二百年のあいだ谷の村々のために麦をひいてきた。"),
            (
                "windows-1251",
                "windows-1251",
                "Мельница у брода молола ячмень и рожь для деревень долины.",
            ),
            ("gbk", "GBK", "这座水磨两百年来一直为山谷里的村庄磨大麦和黑麦。"),
        ] {
            let body = encoded(label, &format!("{style}<p>{text}"));
            let (read, found) = decode(&body, Some("text/html"));
            assert_eq!((found, read.ends_with(text)), (name, true), "{label}");
        }
        let escaped = encoded("iso-2022-jp", &format!("{style}<p>水車は麦をひく"));
        assert_eq!(decode(&escaped, None).1, "ISO-2022-JP");
    }

    #[test]
    fn utf_16_without_a_mark_needs_no_markup_at_its_second_byte() {
        let page = "\n<!doctype html><html><body><p>Mühle 水車\u{3000}水車</p></body></html>";
        let little: Vec<u8> = page.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = page.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let header = Some("text/html; charset=utf-8");
        assert_eq!(decode(&little, header), (page.into(), "UTF-16LE"));
        assert_eq!(decode(&big, header), (page.into(), "UTF-16BE"));
        assert_eq!(decode(b"<\0p\0>a longer text", None).1, "UTF-8", "some zeros are no UTF-16");
    }
}
