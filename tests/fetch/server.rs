//! A server that plays a script on every connection, and counts.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use gristmill::cancel::CancelToken;
use gristmill::http::{AddressPolicy, Client, ClientBuilder, HttpError, Request, Response};
use gristmill::url::Url;

#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

/// A listening server; closes when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One connection, as the script sees it.
pub(crate) struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
    seen: Arc<Seen>,
}

impl Server {
    /// Runs `script` on a thread of its own for every connection, then closes the connection.
    pub(crate) fn new(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, closing) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let (theirs, closed, script) = (Arc::clone(&seen), Arc::clone(&closing), Arc::new(script));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let (seen, script) = (Arc::clone(&theirs), Arc::clone(&script));
                seen.accepted.fetch_add(1, Ordering::SeqCst);
                let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
                seen.most_open.fetch_max(open, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut peer = Peer { stream, unread: Vec::new(), seen };
                    script(&mut peer);
                    peer.seen.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, seen, closing, thread: Some(thread) }
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

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn accepted(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn most_open(&self) -> usize {
        self.seen.most_open.load(Ordering::SeqCst)
    }

    /// The headers of all requests, in the order they were read.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Peer {
    /// Reads the header of the next request; `None` at the end of the connection.
    pub(crate) fn request(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                let header = std::mem::replace(&mut self.unread, rest);
                let header = String::from_utf8(header).unwrap();
                self.seen.requests.lock().unwrap().push(header.clone());
                return Some(header);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(amount) => self.unread.extend_from_slice(&chunk[..amount]),
            }
        }
    }

    /// Reads `length` bytes of a body.
    pub(crate) fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body = std::mem::take(&mut self.unread);
        let have = body.len();
        body.resize(length, 0);
        self.stream.read_exact(&mut body[have..]).unwrap();
        body
    }

    /// Sends `bytes`; false when the client is gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The socket itself.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Waits until the client closes.
    pub(crate) fn hold(&mut self) {
        while matches!(self.stream.read(&mut [0; 64]), Ok(1..)) {}
    }

    /// Closes both directions now.
    pub(crate) fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
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
