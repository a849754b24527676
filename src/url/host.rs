//! The host whose schedule a request uses, and the origin whose rules it obeys.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::UrlError;
use super::canonical::host_without_dot;

/// A host as politeness sees it: name in lower case, and the port unless it is the default one.
///
/// `http://a.example/` and `https://a.example/` are one host: they are served by the same machine,
/// so they share a schedule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

impl Host {
    /// The host of `url`.
    pub fn of(url: &Url) -> Self {
        let name = host_without_dot(url);
        Self(match url.port() {
            None => name.into(),
            Some(port) => format!("{name}:{port}").into(),
        })
    }

    /// The host as text: `example.com`, `127.0.0.1:8080`, `[::1]:8080`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name alone, without the port.
    pub fn name(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => &self.0,
        }
    }
}

impl From<&str> for Host {
    /// Takes the text as it is, in lower case.
    fn from(text: &str) -> Self {
        Self(text.to_ascii_lowercase().into())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.0)
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.into()))
    }
}

/// Scheme, host and port: the scope of one `robots.txt` (RFC 9309, section 2.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    https: bool,
    host: Host,
}

impl Origin {
    /// The origin of a URL.
    pub fn of(url: &Url) -> Self {
        Self { https: url.scheme() == "https", host: Host::of(url) }
    }

    /// Its host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where its `robots.txt` is.
    pub fn robots_url(&self) -> Result<Url, UrlError> {
        super::parse(&format!("{self}/robots.txt"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_a_schedule_over_schemes_but_not_over_ports() {
        let host = |text: &str| Host::of(&Url::parse(text).unwrap());
        assert_eq!(host("http://Example.com/a"), host("https://example.com:443/b"));
        assert_eq!(host("http://example.com./a"), host("http://example.com/"));
        assert_ne!(host("http://example.com:8080/"), host("http://example.com/"));
        assert_eq!(host("http://127.0.0.1:8080/").name(), "127.0.0.1");
        assert_eq!(host("http://[::1]/").name(), "[::1]");
        assert_eq!(host("http://[::1]:81/").name(), "[::1]");
    }

    #[test]
    fn robots_belong_to_an_origin() {
        let origin = |text: &str| Origin::of(&Url::parse(text).unwrap());
        assert_ne!(origin("http://a.b/"), origin("https://a.b/"));
        let url = origin("https://a.b:8443/x?y").robots_url().unwrap();
        assert_eq!(url.as_str(), "https://a.b:8443/robots.txt");
    }
}
