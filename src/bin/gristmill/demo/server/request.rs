//! Requests as they come over a connection: a head, and a body if a length announces one.

use std::io::{self, ErrorKind, Read};

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Longest body of a request, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// Most bytes that one call reads from a socket. Most heads are shorter.
const CHUNK: usize = 1024;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Request line and header fields as sent, up to and with the empty line.
    pub(crate) head: String,
    /// Empty until it is read with [`Input::body`].
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The request with this head.
    fn parse(head: Vec<u8>) -> io::Result<Self> {
        let head = String::from_utf8(head).map_err(|_| malformed("a head outside UTF-8"))?;
        let (line, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
        if !line.split(' ').nth(2).is_some_and(|version| version.starts_with("HTTP/1.")) {
            return Err(malformed("a request line that is not HTTP/1"));
        }
        if fields.lines().any(|line| !line.is_empty() && !line.contains(':')) {
            return Err(malformed("a header line without a colon"));
        }
        Ok(Self { head, body: Vec::new() })
    }

    /// Method as sent, `GET` for instance.
    pub(crate) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// Path and query as sent.
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The first header field called `name`, in whatever case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = fields.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }

    /// Whether the client wants the connection closed after the response.
    pub(crate) fn is_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Length of the body.
    pub(crate) fn length(&self) -> io::Result<usize> {
        let length = self.header("content-length").map_or(Ok(0), str::parse);
        length.map_err(|_| malformed("a length that is not a number"))
    }
}

/// What came over a connection and is not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    unread: Vec<u8>,
}

impl Input {
    /// Takes the next request, without its body, if its whole head is there. An error of kind
    /// [`ErrorKind::InvalidData`] means that the client does not speak HTTP/1.
    pub(crate) fn take(&mut self) -> io::Result<Option<Request>> {
        let end = self.unread.windows(4).position(|four| four == b"\r\n\r\n");
        end.map(|end| Request::parse(self.unread.drain(..end + 4).collect())).transpose()
    }

    /// The same, reading until the head is there; `None` at the end of the stream.
    pub(crate) fn next(&mut self, stream: &mut impl Read) -> io::Result<Option<Request>> {
        loop {
            if let Some(request) = self.take()? {
                return Ok(Some(request));
            }
            if self.fill(stream)? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads once; gives the number of bytes, which is 0 at the end of the stream. An error if what
    /// is not taken has the length of the longest head.
    pub(crate) fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        if self.unread.len() >= MAX_HEAD {
            return Err(malformed("a head that is too long"));
        }
        let mut chunk = [0; CHUNK];
        loop {
            match stream.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.unread.extend_from_slice(chunk.get(..count).unwrap_or_default());
                    return Ok(count);
                }
            }
        }
    }

    /// Takes a body of `length` bytes, reading what is missing.
    pub(crate) fn body(&mut self, stream: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
        if length > MAX_BODY {
            return Err(malformed("a body that is too long"));
        }
        let mut body: Vec<u8> = self.unread.drain(..length.min(self.unread.len())).collect();
        stream.take((length - body.len()) as u64).read_to_end(&mut body)?;
        if body.len() < length { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(body) }
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
