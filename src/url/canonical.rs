//! The canonical form of a URL: one text for all spellings that name the same document.

use std::fmt::{self, Write as _};

use serde::Serialize;
use url::Url;

use super::percent::{Part, normalise};

/// Names of query parameters that track where a visitor came from and do not change the page. Names
/// are compared in lower case.
///
/// They are documented by their vendors for link decoration: Google Analytics and Ads, Meta,
/// Microsoft, `X`, `TikTok`, Yandex, `LinkedIn`, Instagram, `HubSpot`, Mailchimp, Marketo, Matomo,
/// Adobe, Vero, Olytics, Drip, Wicked Reports and Branch.
const TRACKING_NAMES: [&str; 45] = [
    "_branch_match_id",
    "_ga",
    "_gl",
    "_hsenc",
    "_hsmi",
    "_openstat",
    "__hsfp",
    "__hssc",
    "__hstc",
    "__s",
    "dclid",
    "dicbo",
    "epik",
    "fb_action_ids",
    "fb_action_types",
    "fb_source",
    "fbclid",
    "gad_campaignid",
    "gad_source",
    "gbraid",
    "gclid",
    "gclsrc",
    "hsctatracking",
    "igsh",
    "igshid",
    "irclickid",
    "li_fat_id",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "ml_subscriber",
    "ml_subscriber_hash",
    "msclkid",
    "oly_anon_id",
    "oly_enc_id",
    "rb_clickid",
    "s_cid",
    "srsltid",
    "ttclid",
    "twclid",
    "vero_conv",
    "vero_id",
    "wbraid",
    "wickedid",
    "yclid",
];

/// Prefixes of such names: Urchin/Google Analytics, Matomo and Piwik campaigns.
const TRACKING_PREFIXES: [&str; 4] = ["utm_", "mtm_", "pk_", "piwik_"];

/// Whether a query parameter of this name only tracks visitors, so that the canonical form omits
/// it.
fn is_tracking_parameter(name: &str) -> bool {
    let begins = |prefix: &&str| {
        name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    TRACKING_PREFIXES.iter().any(begins)
        || TRACKING_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The canonical form of a URL. It identifies the document; it is never fetched.
///
/// - scheme and host in lower case, no default port, no dot after the host's name;
/// - no credentials, no fragment;
/// - dot segments resolved; case of the path and trailing slash kept;
/// - percent-encoding in one form (unreserved characters decoded, digits in upper case);
/// - query parameters without those that track visitors (`utm_source`, `fbclid`) and without
///   empty ones, the others sorted by name, those of one name in their order; no empty query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CanonicalUrl(String);

impl CanonicalUrl {
    /// The canonical form as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Replaces `out` with the canonical form of `url`. This saves an allocation when many are made
    /// in succession.
    pub(crate) fn write(url: &Url, out: &mut String) {
        out.clear();
        out.push_str(url.scheme());
        out.push_str("://");
        out.push_str(host_without_dot(url));
        if let Some(port) = url.port() {
            // Writing to a string cannot fail.
            let _ = write!(out, ":{port}");
        }
        normalise(out, url.path().as_bytes(), Part::Path);
        if let Some(query) = url.query() {
            push_query(out, query);
        }
    }
}

impl fmt::Display for CanonicalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The canonical form of `url`.
///
/// ```
/// use gristmill::url::{canonicalize, parse};
///
/// let url = parse("http://Example.com:80/%7Eann/./x/?b=2&utm_source=mail&a=1#top")?;
/// assert_eq!(canonicalize(&url).as_str(), "http://example.com/~ann/x/?a=1&b=2");
/// # Ok::<(), gristmill::url::UrlError>(())
/// ```
pub fn canonicalize(url: &Url) -> CanonicalUrl {
    let mut out = String::with_capacity(url.as_str().len());
    CanonicalUrl::write(url, &mut out);
    CanonicalUrl(out)
}

/// The host's name without the one dot that marks it as fully qualified.
pub(super) fn host_without_dot(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    match host.strip_suffix('.') {
        Some(bare) if !bare.is_empty() && !bare.ends_with('.') => bare,
        _ => host,
    }
}

fn push_query(out: &mut String, query: &str) {
    let mut normal = String::with_capacity(query.len());
    normalise(&mut normal, query.as_bytes(), Part::Query);
    let name = |pair: &str| pair.split_once('=').map_or(pair.len(), |(name, _)| name.len());
    let mut pairs: Vec<&str> = normal
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter(|pair| !pair.get(..name(pair)).is_some_and(is_tracking_parameter))
        .collect();
    // Stable: parameters of one name keep their order, which may carry meaning.
    pairs.sort_by(|a, b| a.get(..name(a)).cmp(&b.get(..name(b))));
    let mut separator = '?';
    for pair in pairs {
        out.push(separator);
        out.push_str(pair);
        separator = '&';
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::url::{UrlKey, join, parse};

    fn canonical(text: &str) -> String {
        canonicalize(&Url::parse(text).unwrap()).to_string()
    }

    #[test]
    fn spellings_of_one_document_meet() {
        for (text, expected) in [
            ("HTTP://EXAMPLE.com", "http://example.com/"),
            ("http://example.com:80/", "http://example.com/"),
            ("https://example.com:443/a", "https://example.com/a"),
            ("http://example.com:443/a", "http://example.com:443/a"),
            ("http://example.com./a", "http://example.com/a"),
            ("http://u:p@example.com/a", "http://example.com/a"),
            ("http://example.com/a/./b/../c", "http://example.com/a/c"),
            ("http://example.com/%2e%2E/a", "http://example.com/a"),
            ("http://example.com/%7Efoo/%c3%a9", "http://example.com/~foo/%C3%A9"),
            ("http://example.com/é", "http://example.com/%C3%A9"),
            ("http://example.com/a%2fb", "http://example.com/a%2Fb"),
            ("http://example.com/a?", "http://example.com/a"),
            ("http://example.com/a?&&", "http://example.com/a"),
            ("http://example.com/a#x", "http://example.com/a"),
            ("http://example.com/a?b=2&a=1&b=1", "http://example.com/a?a=1&b=2&b=1"),
            ("http://example.com/a?UTM_Source=x&id=7&fbclid=9", "http://example.com/a?id=7"),
            ("http://example.com/a?gclid=1", "http://example.com/a"),
            ("http://example.com/a?%75tm_source=1", "http://example.com/a"),
            ("http://example.com/?q", "http://example.com/?q"),
            ("http://example.com/?q=", "http://example.com/?q="),
            ("http://münchen.example/", "http://xn--mnchen-3ya.example/"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn different_documents_stay_apart() {
        for (a, b) in [
            ("http://example.com/A", "http://example.com/a"),
            ("http://example.com/a/", "http://example.com/a"),
            ("http://example.com/a%2Fb", "http://example.com/a/b"),
            ("http://example.com/?a=1%262", "http://example.com/?a=1&2"),
            ("http://example.com/?a=1&a=2", "http://example.com/?a=2&a=1"),
            ("http://example.com/", "https://example.com/"),
            ("http://example.com/?utm", "http://example.com/"),
            ("http://example.com//a", "http://example.com/a"),
        ] {
            assert_ne!(canonical(a), canonical(b));
        }
    }

    proptest! {
        #[test]
        fn canonicalising_twice_changes_nothing(
            text in "https?://[a-zA-Z0-9.]{1,12}(:[0-9]{1,4})?/[ -~é]{0,40}(\\?[ -~é&=%]{0,40})?"
        ) {
            if let Ok(url) = parse(&text) {
                let once = canonicalize(&url);
                let again = parse(once.as_str()).expect("a canonical URL is a URL");
                prop_assert_eq!(canonicalize(&again), once.clone());
                prop_assert_eq!(UrlKey::from_url(&url), UrlKey::of(&once));
            }
        }

        #[test]
        fn no_input_panics(base in ".{0,60}", href in ".{0,60}") {
            let base = parse(&format!("http://h/{base}")).or_else(|_| parse("http://h/"));
            if let Ok(url) = base.and_then(|base| join(&base, &href)) {
                let _ = canonicalize(&url);
            }
        }
    }
}
