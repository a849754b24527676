//! Which media types are worth receiving.

use crate::model::Headers;

/// The types that are read by default: pages, plain text, Markdown and feeds. Generic XML and JSON
/// are included because feeds and sitemaps are often served as these.
const DEFAULT: &[&str] = &[
    "text/html",
    "application/xhtml+xml",
    "text/plain",
    "text/markdown",
    "text/x-markdown",
    "text/xml",
    "application/xml",
    "application/rss+xml",
    "application/atom+xml",
    "application/rdf+xml",
    "application/feed+json",
    "application/json",
];

/// A set of media types. A response without a type is always read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTypes {
    /// `None`: any.
    types: Option<Vec<String>>,
}

impl Default for MediaTypes {
    /// HTML, XHTML, plain text, Markdown, and the types of RSS, Atom and JSON feeds and of
    /// sitemaps.
    fn default() -> Self {
        Self::only(DEFAULT.iter().copied())
    }
}

impl MediaTypes {
    /// Every type.
    pub const fn any() -> Self {
        Self { types: None }
    }

    /// These types only, such as `text/html`.
    pub fn only<'a>(types: impl IntoIterator<Item = &'a str>) -> Self {
        Self { types: Some(types.into_iter().map(str::to_ascii_lowercase).collect()) }
    }

    /// The media type of a response, if it is not in the set; `None` if it may be read.
    pub fn refused(&self, headers: &Headers) -> Option<String> {
        let types = self.types.as_ref()?;
        let media = headers.media_type()?;
        (!types.contains(&media)).then_some(media)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_feeds_and_the_unnamed_are_read() {
        let refused = |value: Option<&str>| {
            let mut headers = Headers::default();
            if let Some(value) = value {
                headers.push("content-type", value);
            }
            MediaTypes::default().refused(&headers)
        };
        for read in [
            None,
            Some(""),
            Some("text/html"),
            Some("Text/HTML; charset=utf-8"),
            Some("application/atom+xml"),
            Some("application/feed+json;v=1"),
        ] {
            assert_eq!(refused(read), None, "{read:?}");
        }
        for other in ["image/png", "application/pdf", "video/mp4", "application/octet-stream"] {
            assert_eq!(refused(Some(other)).as_deref(), Some(other));
        }
        assert_eq!(MediaTypes::any().refused(&Headers::default()), None);
    }
}
