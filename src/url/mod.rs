//! URLs: parsing, resolving, and the canonical form that tells duplicates.
//!
//! The URL that is fetched is what the page wrote; the [`CanonicalUrl`] is only the key. Nothing
//! here panics, whatever the input.
//!
//! | type | answers |
//! | --- | --- |
//! | [`Url`] | what is asked of the server |
//! | [`CanonicalUrl`] | which spellings mean the same document |
//! | [`UrlKey`] | the 16 bytes under which that document is known |
//! | [`Host`] | whose turn it is: one schedule of requests each |
//! | `Origin` | whose `robots.txt` applies |

use std::fmt;

use serde::{Deserialize, Serialize};
#[doc(no_inline)]
pub use url::Url;

mod canonical;
mod host;
mod percent;

pub use canonical::{CanonicalUrl, canonicalize};
pub use host::Host;
#[doc(hidden)]
pub use host::Origin;
#[cfg(feature = "crawl")]
pub(crate) use percent::{Part, normalise};

/// Longest URL that is read, in bytes.
pub const MAX_URL_BYTES: usize = 8 * 1024;

/// Longest piece of refused text that an error carries, in bytes.
const MAX_QUOTED_BYTES: usize = 200;

/// Why a text is not a URL that can be crawled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// There is nothing to read.
    #[error("the URL is empty")]
    Empty,
    /// Longer than [`MAX_URL_BYTES`].
    #[error("the URL has {bytes} bytes, more than the {MAX_URL_BYTES} that are read")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The scheme is missing.
    #[error("{text:?} has no scheme: write https://{text} or http://{text}")]
    NoScheme {
        /// The text as given.
        text: String,
    },
    /// Neither `http` nor `https`.
    #[error("{text:?} cannot be crawled: its scheme is {scheme}, not http or https")]
    Scheme {
        /// The text as given, shortened.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// There is no host to ask.
    #[error("{text:?} names no host")]
    NoHost {
        /// The text as given, shortened.
        text: String,
    },
    /// Not a URL.
    #[error("{text:?} is not a URL")]
    Syntax {
        /// The text as given, shortened.
        text: String,
        /// What is wrong with it.
        #[source]
        source: url::ParseError,
    },
}

/// Reads an absolute `http` or `https` URL.
///
/// Blanks around it are dropped, and so are credentials (they must not end up in a store) and the
/// fragment (it is never sent). Everything else stays as written, save what the URL Standard
/// normalises while it reads: case of scheme and host, default port, dot segments.
///
/// ```
/// let url = gristmill::url::parse(" https://Example.com:443/a/../b#top ")?;
/// assert_eq!(url.as_str(), "https://example.com/b");
/// assert!(gristmill::url::parse("example.com/b").is_err());
/// # Ok::<(), gristmill::url::UrlError>(())
/// ```
pub fn parse(text: &str) -> Result<Url, UrlError> {
    let text = checked(text)?;
    if text.is_empty() {
        return Err(UrlError::Empty);
    }
    match Url::parse(text) {
        Ok(url) if is_host_taken_for_scheme(&url) => {
            Err(UrlError::NoScheme { text: shortened(text) })
        }
        Ok(url) => crawlable(url, text),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            Err(UrlError::NoScheme { text: shortened(text) })
        }
        Err(source) => Err(syntax(text, source)),
    }
}

/// Resolves what a page wrote in a link against `base`; the result has neither credentials nor
/// fragment. An empty reference, or a fragment alone, is the base itself.
///
/// References to other schemes (`mailto:`, `javascript:`, `data:` …) are [`UrlError::Scheme`].
pub fn join(base: &Url, href: &str) -> Result<Url, UrlError> {
    let href = checked(href)?;
    let url = base.join(href).map_err(|source| syntax(href, source))?;
    crawlable(url, href)
}

/// Trims as the URL Standard does (C0 controls and blanks) and bounds the length.
fn checked(text: &str) -> Result<&str, UrlError> {
    let text = text.trim_matches(|c: char| c <= ' ');
    if text.len() > MAX_URL_BYTES {
        return Err(UrlError::TooLong { bytes: text.len() });
    }
    Ok(text)
}

/// `example.com:80/x` and `localhost:8080` read as URLs whose scheme is the host's name.
fn is_host_taken_for_scheme(url: &Url) -> bool {
    let followed_by_port = || url.path().starts_with(|c: char| c.is_ascii_digit());
    url.cannot_be_a_base()
        && (url.scheme().contains('.') || (url.scheme() == "localhost" && followed_by_port()))
}

fn crawlable(mut url: Url, text: &str) -> Result<Url, UrlError> {
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = shortened(url.scheme());
        return Err(UrlError::Scheme { text: shortened(text), scheme });
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(UrlError::NoHost { text: shortened(text) });
    }
    // Percent-encoding may have made it longer than what was read.
    if url.as_str().len() > MAX_URL_BYTES {
        return Err(UrlError::TooLong { bytes: url.as_str().len() });
    }
    if url.fragment().is_some() {
        url.set_fragment(None);
    }
    // Both calls fail only for URLs without a host, which were refused above.
    if !url.username().is_empty() && url.set_username("").is_err()
        || url.password().is_some() && url.set_password(None).is_err()
    {
        return Err(UrlError::NoHost { text: shortened(text) });
    }
    Ok(url)
}

fn syntax(text: &str, source: url::ParseError) -> UrlError {
    if source == url::ParseError::EmptyHost {
        return UrlError::NoHost { text: shortened(text) };
    }
    UrlError::Syntax { text: shortened(text), source }
}

fn shortened(text: &str) -> String {
    let head = cut(text, MAX_QUOTED_BYTES);
    if head.len() < text.len() { format!("{head}…") } else { text.to_owned() }
}

/// The beginning of `text`, of at most `bytes` bytes, that cuts no character.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at(end).0
}

/// The first 16 bytes of the BLAKE3 hash of a canonical URL: the key under which a URL is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UrlKey(pub [u8; 16]);

impl UrlKey {
    /// The key of a canonical URL.
    pub fn of(url: &CanonicalUrl) -> Self {
        Self::of_text(url.as_str())
    }

    /// The key of a URL: that of its canonical form.
    pub fn from_url(url: &Url) -> Self {
        Self::of(&canonicalize(url))
    }

    /// The key of a text that [`CanonicalUrl::write`] wrote.
    pub(crate) fn of_text(canonical: &str) -> Self {
        let hash = blake3::hash(canonical.as_bytes());
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        Self(key)
    }
}

impl fmt::Debug for UrlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlKey({:032x})", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_web_urls_are_read() {
        assert_eq!(parse("http://a.b").unwrap().as_str(), "http://a.b/");
        assert_eq!(parse("https://u:p@A.b/C#d").unwrap().as_str(), "https://a.b/C");
        for text in ["example.com/x", "example.com:80/x", "localhost:8080/x", "/x", "x"] {
            assert!(matches!(parse(text), Err(UrlError::NoScheme { .. })), "{text}");
        }
        for text in ["mailto:a@b.c", "ftp://a.b/", "javascript:alert(1)", "file:///etc/passwd"] {
            assert!(matches!(parse(text), Err(UrlError::Scheme { .. })), "{text}");
        }
        assert_eq!(parse(" \t\n"), Err(UrlError::Empty));
        assert!(matches!(parse("http://"), Err(UrlError::NoHost { .. })));
        assert!(matches!(parse("http://a b/"), Err(UrlError::Syntax { .. })));
        let long = format!("http://a.b/{}", "x".repeat(MAX_URL_BYTES));
        assert!(matches!(parse(&long), Err(UrlError::TooLong { .. })));
        let grows = format!("http://a.b/{}", "ü".repeat(MAX_URL_BYTES / 3));
        assert!(matches!(parse(&grows), Err(UrlError::TooLong { .. })));
        assert!(parse("example.com").unwrap_err().to_string().contains("https://example.com"));
    }

    #[test]
    fn references_resolve_against_the_page() {
        let base = parse("https://example.com/docs/a.html?x=1").unwrap();
        for (href, expected) in [
            ("b.html", "https://example.com/docs/b.html"),
            (" ../c#frag ", "https://example.com/c"),
            ("//other.org/p", "https://other.org/p"),
            ("?y=2", "https://example.com/docs/a.html?y=2"),
            ("#top", "https://example.com/docs/a.html?x=1"),
            ("", "https://example.com/docs/a.html?x=1"),
            ("HTTP://Example.COM/Path", "http://example.com/Path"),
        ] {
            assert_eq!(join(&base, href).unwrap().as_str(), expected, "{href}");
        }
        for href in ["mailto:x@y.z", "JavaScript:void(0)", "data:text/html,x", "tel:123"] {
            assert!(matches!(join(&base, href), Err(UrlError::Scheme { .. })), "{href}");
        }
    }
}
