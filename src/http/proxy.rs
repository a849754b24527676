//! HTTP proxies: forwarding for http, a tunnel (CONNECT) for https.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use url::{Host, Url};

use super::fault::Fault;

/// Size limit of the proxy's response to CONNECT, in bytes.
const MAX_ANSWER: usize = 16 * 1024;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A proxy.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// Value of `proxy-authorization`.
    pub(super) authorization: Option<String>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`; the port defaults to 80.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let spelled = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&spelled).map_err(|error| format!("proxy: {error}"))?;
        if url.scheme() != "http" {
            return Err(format!("proxy: scheme {} is not supported, only http", url.scheme()));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err("proxy: the URL names no host".into());
        };
        let has_login = !url.username().is_empty() || url.password().is_some();
        let authorization = has_login.then(|| {
            let mut login = percent_decoded(url.username());
            login.push(b':');
            login.extend(percent_decoded(url.password().unwrap_or("")));
            format!("Basic {}", base64(&login))
        });
        Ok(Self { host: host.to_owned(), port, authorization })
    }

    /// Asks the proxy at the other end of `stream` for a tunnel to `authority` (`host:port`).
    pub(super) fn open_tunnel(
        &self,
        mut stream: &TcpStream,
        authority: &str,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(value) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(value);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.set_write_timeout(Some(left(deadline)?)).map_err(Fault::Reset)?;
        stream.write_all(request.as_bytes()).map_err(Fault::Reset)?;
        let mut answer = Vec::new();
        let end = loop {
            if let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            stream.set_read_timeout(Some(left(deadline)?)).map_err(Fault::Reset)?;
            let mut chunk = [0; 1024];
            match stream.read(&mut chunk) {
                Ok(0) => return Err(Fault::Reset(io::ErrorKind::UnexpectedEof.into())),
                Ok(amount) => answer.extend_from_slice(chunk.get(..amount).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Fault::Reset(error)),
            }
            if answer.len() > MAX_ANSWER {
                return Err(Fault::Reset(io::Error::other("endless answer of the proxy")));
            }
        };
        if end < answer.len() {
            return Err(Fault::Reset(io::Error::other("the proxy sent more than its answer")));
        }
        match status(&answer) {
            Some(200..=299) => Ok(()),
            Some(status) => Err(Fault::Proxy(status)),
            None => Err(Fault::Reset(io::Error::other("the proxy does not speak HTTP"))),
        }
    }
}

/// Without user name and password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

fn left(deadline: Instant) -> Result<Duration, Fault> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Fault::ConnectTimedOut) } else { Ok(left) }
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

/// Decodes percent-encoded bytes; anything else stays as it is.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = (*first == b'%').then(|| text_hex(tail.get(..2)?)).flatten();
        out.push(escape.unwrap_or(*first));
        rest = if escape.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    out
}

fn text_hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Base 64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for position in 0..4_usize {
            let digit = (group >> (18 - 6 * position)) & 63;
            let known = position <= chunk.len();
            let letter = BASE64.get(digit as usize).filter(|_| known).unwrap_or(&b'=');
            out.push(char::from(*letter));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_encoded() {
        // The examples of RFC 4648, section 10.
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        let proxy = Proxy::parse("http://us%65r:p%40ss@proxy.test:3128").unwrap();
        assert_eq!((proxy.host.to_string().as_str(), proxy.port), ("proxy.test", 3128));
        assert_eq!(proxy.authorization.as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert!(!format!("{proxy:?}").contains("dXNl"));
    }

    #[test]
    fn only_http_proxies_are_taken() {
        assert_eq!(Proxy::parse("localhost:8080").unwrap().port, 8080);
        assert_eq!(Proxy::parse("http://[::1]").unwrap().host.to_string(), "[::1]");
        for bad in ["socks5://a", "socks5://a:1", "https://a:1", "file:///x"] {
            let error = Proxy::parse(bad).unwrap_err();
            assert!(error.ends_with("is not supported, only http"), "{bad}: {error}");
        }
        assert!(Proxy::parse("http://").is_err());
    }
}
