//! One exchange of a fetch.

use std::time::Duration;

use url::Url;

use crate::model::Headers;
use crate::time::Timestamp;

use super::RedirectError;

/// A request for one exchange.
#[derive(Clone, Debug)]
pub struct ExchangeRequest {
    /// The URL, as it was found.
    pub url: Url,
    /// Entity tag of the stored page: sent as `if-none-match`.
    pub etag: Option<String>,
    /// Modification date of the stored page, as its server wrote it: sent as `if-modified-since`.
    pub last_modified: Option<String>,
    /// Additional header fields, which replace those of the client.
    pub headers: Vec<(String, String)>,
    /// Most bytes of the body; `None`: the client's limit.
    pub max_body: Option<u64>,
}

impl ExchangeRequest {
    /// An unconditional request for `url`.
    pub const fn new(url: Url) -> Self {
        Self { url, etag: None, last_modified: None, headers: Vec::new(), max_body: None }
    }
}

/// The response of one exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The requested URL.
    pub url: Url,
    /// The status, whatever it is.
    pub status: u16,
    /// The header.
    pub headers: Headers,
    /// The body after content decoding; empty if its media type is not read.
    pub body: Vec<u8>,
    /// Body bytes received, before content decoding.
    pub wire_bytes: u64,
    /// When the response was complete.
    pub fetched_at: Timestamp,
    /// From the call to the last byte.
    pub elapsed: Duration,
    /// Target of a 301, 302, 303, 307 or 308: absolute, without fragment, not followed.
    pub redirect: Option<Result<Url, RedirectError>>,
    /// The media type of a 2xx response whose body was skipped because of it.
    pub skipped_media: Option<String>,
}

/// The target of a response with this status, if it is a redirect.
pub(super) fn redirect_of(
    url: &Url,
    status: u16,
    headers: &Headers,
) -> Option<Result<Url, RedirectError>> {
    matches!(status, 301 | 302 | 303 | 307 | 308).then(|| {
        let location = headers.get("location").map(str::trim).filter(|text| !text.is_empty());
        let location = location.ok_or(RedirectError::Missing)?;
        let mut target = url
            .join(location)
            .map_err(|source| RedirectError::Malformed { location: location.to_owned(), source })?;
        if !matches!(target.scheme(), "http" | "https") {
            return Err(RedirectError::Scheme { location: target.into() });
        }
        target.set_fragment(None);
        Ok(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(status: u16, location: Option<&str>) -> Option<Result<String, RedirectError>> {
        let mut headers = Headers::default();
        if let Some(location) = location {
            headers.push("Location", location);
        }
        let url = Url::parse("http://a.test/dir/page?q=1#top").unwrap();
        redirect_of(&url, status, &headers).map(|target| target.map(Into::into))
    }

    #[test]
    fn locations_are_resolved_against_the_page() {
        for (location, target) in [
            ("/x", "http://a.test/x"),
            ("y#part", "http://a.test/dir/y"),
            ("?r=2", "http://a.test/dir/page?r=2"),
            ("//b.test/z", "http://b.test/z"),
            (" https://B.test:443/Path ", "https://b.test/Path"),
            ("/ü", "http://a.test/%C3%BC"),
        ] {
            assert_eq!(redirect(301, Some(location)), Some(Ok(target.to_owned())), "{location}");
        }
    }

    #[test]
    fn only_the_five_statuses_redirect_and_bad_locations_are_told() {
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(redirect(status, None), Some(Err(RedirectError::Missing)), "{status}");
        }
        for status in [200, 201, 300, 304, 305, 404] {
            assert_eq!(redirect(status, Some("/x")), None, "{status}");
        }
        for location in ["javascript:alert(1)", "file:///etc/passwd", "ftp://a.test/"] {
            let result = redirect(302, Some(location));
            assert!(matches!(result, Some(Err(RedirectError::Scheme { .. }))), "{location}");
        }
        let result = redirect(302, Some("http://[::1"));
        assert!(matches!(result, Some(Err(RedirectError::Malformed { .. }))));
    }
}
