//! Reading XML as found on the web: in any encoding, malformed or truncated.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::url::{Url, cut};

/// Bytes searched for an XML declaration.
const DECLARATION_BYTES: usize = 200;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// Most text of one element, in bytes; what is longer is cut.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Why a document was read in part only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// An unknown format.
    #[error("{url}: not a sitemap or feed")]
    Unknown {
        /// Of the document.
        url: Url,
    },
    /// Malformed; everything before was read.
    #[error("{url}: broken at byte {position}: {cause}")]
    Broken {
        /// Of the document.
        url: Url,
        /// Where, in the document decoded to UTF-8.
        position: u64,
        /// What is wrong.
        cause: String,
    },
    /// A limit was reached; everything before was read.
    #[error("{url}: more than {limit} {what}")]
    TooLarge {
        /// Of the document.
        url: Url,
        /// What exceeds the limit.
        what: &'static str,
        /// How much is read.
        limit: usize,
    },
}

/// Text of a document: by its byte order mark, its XML declaration, or as UTF-8.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let head = bytes.get(..DECLARATION_BYTES).unwrap_or(bytes);
    let head = String::from_utf8_lossy(head);
    let declared = head
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split_once("?>"))
        .and_then(|(declaration, _)| declaration.split_once("encoding"))
        .and_then(|(_, value)| {
            let value = value.trim_start().strip_prefix('=')?.trim_start();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            Encoding::for_label(value.get(1..)?.split(quote).next()?.as_bytes())
        });
    // A declaration of UTF-16 that was readable as bytes cannot be right.
    let encoding = declared.filter(|e| e.is_ascii_compatible()).unwrap_or(UTF_8);
    encoding.decode(bytes).0
}

/// One step through a document.
pub(super) enum Step<'a> {
    /// An element begins.
    Open { name: &'a str, element: &'a BytesStart<'a> },
    /// An element ends; `text` is the text right in it, without that of its children.
    Close { name: &'a str, text: &'a str },
}

/// Walks through `text`, calling `visit` for each element with the names of its ancestors (without
/// prefix, in lower case), until it returns false or the document ends.
pub(super) fn walk(
    text: &str,
    url: &Url,
    mut visit: impl FnMut(&[Level], &Step<'_>) -> bool,
) -> Result<(), DocumentError> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    let mut levels: Vec<Level> = Vec::new();
    loop {
        let event = reader.read_event().map_err(|error| DocumentError::Broken {
            url: url.clone(),
            position: reader.error_position(),
            cause: error.to_string(),
        })?;
        let goes_on = match event {
            Event::Start(element) => {
                if levels.len() >= MAX_DEPTH {
                    let url = url.clone();
                    return Err(DocumentError::TooLarge { url, what: "levels", limit: MAX_DEPTH });
                }
                let name = local_name(&element);
                let goes_on = visit(&levels, &Step::Open { name: &name, element: &element });
                levels.push(Level { name, text: String::new() });
                goes_on
            }
            Event::Empty(element) => {
                let name = local_name(&element);
                visit(&levels, &Step::Open { name: &name, element: &element })
                    && visit(&levels, &Step::Close { name: &name, text: "" })
            }
            Event::End(element) => close(&mut levels, element.local_name().as_ref(), &mut visit),
            Event::Text(text) => push_text(&mut levels, &text.xml10_content()),
            Event::CData(text) => push_text(&mut levels, &text.xml10_content()),
            Event::GeneralRef(reference) => push_reference(&mut levels, &reference),
            Event::Eof => return Ok(()),
            _ => true,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// An element that is open.
pub(super) struct Level {
    /// Its name.
    pub(super) name: String,
    text: String,
}

/// Ends the innermost element of that name and all elements in it; an end tag without a start is
/// skipped.
fn close(
    levels: &mut Vec<Level>,
    name: &str,
    visit: &mut impl FnMut(&[Level], &Step<'_>) -> bool,
) -> bool {
    let Some(at) = levels.iter().rposition(|level| level.name.eq_ignore_ascii_case(name)) else {
        return true;
    };
    while levels.len() > at {
        let Some(Level { name, text }) = levels.pop() else { return true };
        if !visit(levels, &Step::Close { name: &name, text: text.trim() }) {
            return false;
        }
    }
    true
}

fn push_text(levels: &mut [Level], text: &str) -> bool {
    if let Some(level) = levels.last_mut() {
        let room = MAX_TEXT_BYTES.saturating_sub(level.text.len());
        level.text.push_str(cut(text, room));
    }
    true
}

fn push_reference(levels: &mut [Level], reference: &BytesRef<'_>) -> bool {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return push_text(levels, c.encode_utf8(&mut [0; 4]));
    }
    match quick_xml::escape::resolve_predefined_entity(reference) {
        Some(text) => push_text(levels, text),
        // An HTML entity or an unescaped ampersand: kept as it is.
        None => push_text(levels, &format!("&{};", &**reference)),
    }
}

fn local_name(element: &BytesStart<'_>) -> String {
    element.local_name().as_ref().to_ascii_lowercase()
}

/// The value of an attribute, found by its name without prefix.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.html_attributes();
    let attributes = attributes.with_checks(false).flatten();
    attributes
        .filter(|attribute| attribute.key.local_name().as_ref().eq_ignore_ascii_case(name))
        .map(|attribute| match quick_xml::escape::unescape(&attribute.value) {
            Ok(value) => value.into_owned(),
            // An unescaped ampersand, as in most URLs of hand-made feeds.
            Err(_) => attribute.value.replace("&amp;", "&"),
        })
        .next()
}
