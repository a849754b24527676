//! A server that plays a script on every connection, and counts.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, mpsc};

use gristmill::cancel::CancelToken;
use gristmill::http::{AddressPolicy, Client, ClientBuilder, HttpError, Request, Response};
use gristmill::url::Url;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::PATIENCE;
use crate::support::server::Log;
use crate::support::server::connections::{Connection, Connections};
use crate::support::server::request::Input;

/// A listening server. Dropping it closes every socket and joins every thread.
pub(crate) struct Server {
    connections: Connections,
    requests: Arc<Log<String>>,
}

/// One connection, as the script sees it.
pub(crate) struct Peer {
    connection: Connection,
    stream: Box<dyn Stream>,
    input: Input,
    requests: Arc<Log<String>>,
}

/// A socket, or TLS over one.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

impl Server {
    /// Runs `script` on a thread of its own for every connection, then closes the connection.
    pub(crate) fn new(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let requests = Arc::<Log<_>>::default();
        let read = Arc::clone(&requests);
        let connections =
            Connections::start(move |it| script(&mut Peer::new(it, Arc::clone(&read)).unwrap()));
        Self { connections: connections.unwrap(), requests }
    }

    /// Sends `answer` to every request and keeps the connection open.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |peer| while peer.request().is_some() && peer.send(&answer) {})
    }

    /// Sends `answer` to the first request of a connection and closes it.
    pub(crate) fn closing(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |peer| {
            peer.request();
            peer.send(&answer);
        })
    }

    /// Tells that a request has come, and never answers it.
    pub(crate) fn silent() -> (Self, mpsc::Receiver<()>) {
        let (asked, is_asked) = mpsc::channel();
        let server = Self::new(move |peer| {
            peer.request();
            asked.send(()).unwrap();
            peer.hold();
        });
        (server, is_asked)
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address())).unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.connections.address()
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.connections.counts().total
    }

    pub(crate) fn most_open(&self) -> usize {
        self.connections.counts().peak
    }

    /// The heads of all requests, in the order they were read.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lines()
    }
}

impl Peer {
    fn new(connection: Connection, requests: Arc<Log<String>>) -> io::Result<Self> {
        let stream = connection.stream.try_clone()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (stream, input) = (Box::new(stream), Input::default());
        Ok(Self { connection, stream, input, requests })
    }

    /// From here on, all that is read and sent goes through TLS.
    pub(crate) fn start_tls(&mut self, config: &Arc<ServerConfig>) {
        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
        let socket = self.connection.stream.try_clone().unwrap();
        self.stream = Box::new(StreamOwned::new(connection, socket));
    }

    /// Reads the head of the next request; `None` at the end of the connection.
    pub(crate) fn request(&mut self) -> Option<String> {
        let head = self.input.next(&mut self.stream).ok()??.head;
        self.requests.add(head.clone());
        Some(head)
    }

    /// Reads `length` bytes of a body.
    pub(crate) fn body(&mut self, length: usize) -> Vec<u8> {
        self.input.body(&mut self.stream, length).unwrap()
    }

    /// Sends `bytes`; false when the client is gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Waits until the client closes.
    pub(crate) fn hold(&mut self) {
        while matches!(self.stream.read(&mut [0; 64]), Ok(1..)) {}
    }

    /// Closes both directions now.
    pub(crate) fn close(&self) {
        let _ = self.connection.stream.shutdown(Shutdown::Both);
    }
}

/// An answer of status 200 with a length.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    with_header("200 OK", "", body)
}

/// An answer with further header lines, each ended by CRLF.
pub(crate) fn with_header(status: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{lines}\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// A builder that may contact loopback.
pub(crate) fn local() -> ClientBuilder {
    Client::builder().address_policy(AddressPolicy::AllowPrivate)
}

/// One GET by a fresh client.
pub(crate) fn get(server: &Server) -> Result<Response, HttpError> {
    send(&local().build().unwrap(), server)
}

pub(crate) fn send(client: &Client, server: &Server) -> Result<Response, HttpError> {
    client.send(&Request::get(server.url("/")), &CancelToken::new())
}
