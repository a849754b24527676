//! Responses: what a handler gives, and the bytes that go over the wire.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// What is wrong with a response on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is closed before any byte of the response.
    Close,
    /// The connection is closed after this many bytes of the body.
    CutBody(usize),
    /// The head is sent, and then nothing, until the client leaves or the server stops.
    Stall,
    /// Bytes that are no HTTP at all.
    Garbage,
}

/// One response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    /// Header fields without `Content-Length`, which the server adds.
    pub(crate) headers: Vec<(String, String)>,
    /// Body as it goes over the wire.
    pub(crate) body: Arc<[u8]>,
    /// How long the server waits before it responds.
    pub(crate) delay: Duration,
    /// What is broken on purpose.
    pub(crate) fault: Option<Fault>,
}

impl Response {
    /// A response without body.
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Arc::from([]),
            delay: Duration::ZERO,
            fault: None,
        }
    }

    /// 200 with a body of the given media type.
    pub(crate) fn ok(content_type: &str, body: impl Into<Arc<[u8]>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }.with("Content-Type", content_type)
    }

    /// 200 with an HTML document in UTF-8.
    pub(crate) fn html(body: &str) -> Self {
        Self::ok("text/html; charset=utf-8", body.as_bytes())
    }

    /// A redirect with this status.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).with("Location", location)
    }

    /// The same with one more header field.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, sent after `delay`.
    pub(crate) fn delayed(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// The same with a fault.
    pub(crate) fn broken(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// What is sent to a request with this method, as far as the fault lets it be sent.
    pub(super) fn bytes(&self, method: &str) -> Vec<u8> {
        let body: &[u8] = match self.fault {
            Some(Fault::Close) => return Vec::new(),
            Some(Fault::Garbage) => return b"\x16\x03\x01\x00 this is not HTTP\r\n\r\n".to_vec(),
            _ if method == "HEAD" || !has_content(self.status) => &[],
            Some(Fault::Stall) => &[],
            Some(Fault::CutBody(bytes)) => self.body.get(..bytes).unwrap_or(&self.body),
            None => &self.body,
        };
        let fields = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut bytes = head(self.status, fields, self.body.len());
        bytes.extend_from_slice(body);
        bytes
    }
}

/// Status line and header fields of a response whose body has `length` bytes.
pub(crate) fn head<'a>(
    status: u16,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    length: usize,
) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", phrase(status));
    for (name, value) in fields {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if has_content(status) {
        let _ = write!(head, "Content-Length: {length}\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// RFC 9110, 8.6: no length with 204 and 304, which have no content.
const fn has_content(status: u16) -> bool {
    !matches!(status, 204 | 304)
}

/// The reason phrase of the statuses that are used here; RFC 9112 lets it be empty.
const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}
