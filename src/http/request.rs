//! Requests and responses.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::model::Headers;

/// The methods that are supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Reads a resource.
    #[default]
    Get,
    /// Sends a body.
    Post,
}

/// Time limits of the parts of an exchange; each must be above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolving, connecting and the TLS handshake together; default 10 s. A host's addresses share
    /// it.
    pub connect: Duration,
    /// Sending the header of the request, and again until the header of the response is complete;
    /// default 30 s.
    pub first_byte: Duration,
    /// Sending a body, and receiving one, however slowly it arrives; default 60 s.
    pub body: Duration,
    /// The whole exchange, the wait for a connection included; default 90 s.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            body: Duration::from_mins(1),
            total: Duration::from_secs(90),
        }
    }
}

type Gate = dyn Fn(u16, &Headers) -> bool + Send + Sync;

/// Decides by status and header whether the body is wanted.
#[derive(Clone)]
pub struct MediaGate(Arc<Gate>);

impl MediaGate {
    /// A gate that lets bodies pass for which `wanted` returns true.
    pub fn new(wanted: impl Fn(u16, &Headers) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(wanted))
    }

    /// Whether the body of a response with this status and header is wanted.
    pub fn wants(&self, status: u16, headers: &Headers) -> bool {
        (self.0)(status, headers)
    }
}

impl fmt::Debug for MediaGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MediaGate(..)")
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// The URL, http or https. A user name and password in it are sent as basic authorization.
    pub url: Url,
    /// Header fields. They replace those of the client that have the same name.
    pub headers: Vec<(String, String)>,
    /// The body, for POST.
    pub body: Option<Vec<u8>>,
    /// Size limit of the response's body in bytes, on the wire and decoded; `None`: the client's.
    pub max_body: Option<u64>,
    /// Time limits; `None`: the client's.
    pub timeouts: Option<Timeouts>,
    /// Decides whether the body is received.
    pub accept_media: Option<MediaGate>,
}

impl Request {
    /// A GET of `url` with the client's limits.
    pub const fn get(url: Url) -> Self {
        Self {
            method: Method::Get,
            url,
            headers: Vec::new(),
            body: None,
            max_body: None,
            timeouts: None,
            accept_media: None,
        }
    }

    /// A POST of `body` to `url` with the client's limits.
    pub fn post(url: Url, body: Vec<u8>) -> Self {
        Self { method: Method::Post, body: Some(body), ..Self::get(url) }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// The response to a request, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status, 200 for instance.
    pub status: u16,
    /// Header fields as received; `content-encoding` and `content-length` are those on the wire.
    pub headers: Headers,
    /// The body after content decoding; empty if `body_skipped` is set.
    pub body: Vec<u8>,
    /// Whether the request's gate refused the body.
    pub body_skipped: bool,
    /// Body bytes received, before content decoding.
    pub wire_bytes: u64,
    /// From the call to the last byte.
    pub elapsed: Duration,
    /// From the call to the complete header.
    pub first_byte: Duration,
    /// The address of the server, or of the proxy if there is one.
    pub remote_addr: SocketAddr,
}
