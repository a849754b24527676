//! A small HTTP/1.1 server on the loopback interface, on plain threads.
//!
//! It serves the bundled site of `gristmill demo`, and every test that needs a real socket. One
//! thread accepts, one thread serves each connection; both end when [`Server::stop`] is called or
//! the server is dropped, which closes every socket and joins every thread.
//!
//! What it answers is decided by a [`Handler`], a function from [`Request`] to [`Response`]. A
//! response may be late ([`Response::delay`]) or broken ([`Fault`]). Every request is logged with
//! the times that politeness is measured by: its first byte received, its last byte sent.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Most connections served at the same time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 1024;
/// Longest request line or header line that is read, in bytes.
const MAX_LINE: u64 = 64 * 1024;
/// Most header lines of one request.
const MAX_HEADERS: usize = 200;
/// Longest request body that is read, in bytes.
const MAX_BODY: u64 = 16 * 1024 * 1024;
/// Requests kept in the log; older ones are dropped.
const MAX_LOG: usize = 200_000;
/// A connection that stays silent for this long is closed, as is one that takes no bytes.
const IDLE: Duration = Duration::from_secs(30);

/// Decides what is answered.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The answer to `request`.
    fn handle(&self, request: &Request) -> Response;
}

impl<F: Fn(&Request) -> Response + Send + Sync + 'static> Handler for F {
    fn handle(&self, request: &Request) -> Response {
        self(request)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method as sent, `GET` for instance.
    pub(crate) method: String,
    /// Path and query as sent.
    pub(crate) target: String,
    /// Header fields, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Body, if a `Content-Length` announced one.
    pub(crate) body: Vec<u8>,
    /// Number of the connection, counted from one.
    pub(crate) connection: u64,
}

impl Request {
    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or(&self.target)
    }

    /// The first header field called `name`, which is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is wrong with an answer on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is closed before any byte of the answer.
    Close,
    /// The connection is closed after this many bytes of the body.
    CutBody(usize),
    /// The headers are sent, and then nothing, until the client leaves or the server stops.
    Stall,
    /// Bytes that are no HTTP at all.
    Garbage,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    /// Header fields without `Content-Length`, which the server adds.
    pub(crate) headers: Vec<(String, String)>,
    /// Body as it goes over the wire.
    pub(crate) body: Arc<[u8]>,
    /// How long the server waits before it answers.
    pub(crate) delay: Duration,
    /// What is broken on purpose.
    pub(crate) fault: Option<Fault>,
}

impl Response {
    /// An answer without body.
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

    /// The same, answered after `delay`.
    pub(crate) fn delayed(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// The same with a fault.
    pub(crate) fn broken(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }
}

/// One line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The request.
    pub(crate) request: Request,
    /// Status of the answer; 0 where the fault left none.
    pub(crate) status: u16,
    /// When the first byte of the request was there.
    pub(crate) started: Instant,
    /// When the last byte of the answer was handed to the socket.
    pub(crate) finished: Instant,
    /// Body bytes sent.
    pub(crate) bytes: usize,
}

/// Counts of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    /// Accepted since the start.
    pub(crate) total: u64,
    /// Open now.
    pub(crate) current: usize,
    /// Most that were open at one time.
    pub(crate) peak: usize,
}

/// A running server. Dropping it stops it.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<dyn Handler>,
    state: Mutex<State>,
    /// Signalled when a request was logged and when the server stops.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopping: bool,
    connections: Connections,
    open: HashMap<u64, TcpStream>,
    threads: HashMap<u64, JoinHandle<()>>,
    /// Connections whose threads are about to end and wait to be joined.
    ended: Vec<u64>,
    log: VecDeque<Exchange>,
    /// Requests logged since the start, dropped lines included.
    logged: usize,
}

impl Server {
    /// Starts on a free port of 127.0.0.1.
    pub(crate) fn start(handler: impl Handler) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = std::thread::Builder::new()
            .name("demo-accept".to_owned())
            .spawn(move || accept(&listener, &accepting))?;
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Absolute URL of a path that begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far, oldest first.
    pub(crate) fn log(&self) -> Vec<Exchange> {
        self.shared.state.lock().log.iter().cloned().collect()
    }

    /// How many requests there were so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.state.lock().logged
    }

    /// How often `target` (path and query) was asked for.
    pub(crate) fn hits(&self, target: &str) -> usize {
        self.shared.state.lock().log.iter().filter(|e| e.request.target == target).count()
    }

    /// Waits until `count` requests have been answered; false if `deadline` passes first.
    pub(crate) fn wait_for(&self, count: usize, deadline: Duration) -> bool {
        let mut state = self.shared.state.lock();
        let late = self
            .shared
            .changed
            .wait_while_for(&mut state, |state| state.logged < count, deadline)
            .timed_out();
        !late || state.logged >= count
    }

    /// The smallest time between the last byte of an answer and the first of the next request,
    /// over all connections; `None` below two requests.
    pub(crate) fn smallest_gap(&self) -> Option<Duration> {
        let mut log = self.log();
        log.sort_by_key(|exchange| exchange.started);
        log.windows(2)
            .filter_map(|pair| match pair {
                [before, after] => Some(after.started.saturating_duration_since(before.finished)),
                _ => None,
            })
            .min()
    }

    /// Counts of connections.
    pub(crate) fn connections(&self) -> Connections {
        self.shared.state.lock().connections
    }

    /// Closes all sockets, joins all threads, and gives the log back.
    pub(crate) fn stop(mut self) -> Vec<Exchange> {
        self.halt();
        self.log()
    }

    fn halt(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        {
            let mut state = self.shared.state.lock();
            state.stopping = true;
            for stream in state.open.values() {
                // A socket that the client has closed already cannot be shut down again.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        // `accept` has no deadline: a connection of our own wakes it.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        let _ = acceptor.join();
        let threads: Vec<_> = {
            let mut state = self.shared.state.lock();
            state.threads.drain().map(|(_, thread)| thread).collect()
        };
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.halt();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        let finished = {
            let mut state = shared.state.lock();
            if state.stopping {
                return;
            }
            admit(&mut state, stream, shared);
            let ended = std::mem::take(&mut state.ended);
            ended.iter().filter_map(|id| state.threads.remove(id)).collect::<Vec<_>>()
        };
        for thread in finished {
            let _ = thread.join();
        }
    }
}

/// Starts the thread of a connection. One that cannot be served is closed by dropping it.
fn admit(state: &mut State, stream: TcpStream, shared: &Arc<Shared>) {
    if state.connections.current >= MAX_CONNECTIONS {
        return;
    }
    let Ok(copy) = stream.try_clone() else { return };
    let id = state.connections.total + 1;
    let serving = Arc::clone(shared);
    let thread = std::thread::Builder::new().name(format!("demo-{id}")).spawn(move || {
        let result = serve(stream, id, &serving);
        // The client's leaving in the middle is its business, not an error of the server.
        drop(result);
        let mut state = serving.state.lock();
        state.open.remove(&id);
        state.connections.current -= 1;
        state.ended.push(id);
    });
    if let Ok(thread) = thread {
        state.connections.total = id;
        state.connections.current += 1;
        state.connections.peak = state.connections.peak.max(state.connections.current);
        state.open.insert(id, copy);
        state.threads.insert(id, thread);
    }
}

/// Answers the requests of one connection until either side closes it.
fn serve(stream: TcpStream, connection: u64, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        if reader.fill_buf()?.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let Some(request) = read_request(&mut reader, connection)? else {
            writer.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(());
        };
        let response = shared.handler.handle(&request);
        if !shared.pause(response.delay) {
            return Ok(());
        }
        let close = request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let sent = send(&mut writer, &request, &response);
        let exchange = Exchange {
            status: match response.fault {
                Some(Fault::Close | Fault::Garbage) => 0,
                _ => response.status,
            },
            request,
            started,
            finished: Instant::now(),
            bytes: *sent.as_ref().unwrap_or(&0),
        };
        shared.record(exchange);
        sent?;
        if response.fault == Some(Fault::Stall) {
            // Ends when the client leaves, the server stops, or the connection has been idle.
            reader.fill_buf()?;
            return Ok(());
        }
        if close || response.fault.is_some() {
            return writer.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    /// Waits for `delay`; false if the server stops meanwhile.
    fn pause(&self, delay: Duration) -> bool {
        let mut state = self.state.lock();
        if !delay.is_zero() {
            self.changed.wait_while_for(&mut state, |state| !state.stopping, delay);
        }
        !state.stopping
    }

    fn record(&self, exchange: Exchange) {
        {
            let mut state = self.state.lock();
            if state.log.len() >= MAX_LOG {
                state.log.pop_front();
            }
            state.log.push_back(exchange);
            state.logged += 1;
        }
        self.changed.notify_all();
    }
}

/// Reads one request; `None` where it is not HTTP/1 or passes a limit.
fn read_request(reader: &mut impl BufRead, connection: u64) -> io::Result<Option<Request>> {
    let Some(line) = read_line(reader)? else { return Ok(None) };
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Ok(None);
    };
    if !version.starts_with("HTTP/1.") {
        return Ok(None);
    }
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        connection,
    };
    loop {
        let Some(line) = read_line(reader)? else { return Ok(None) };
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { return Ok(None) };
        if request.headers.len() >= MAX_HEADERS {
            return Ok(None);
        }
        request.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = match request.header("content-length").map(str::parse::<u64>) {
        None => 0,
        Some(Ok(length)) if length <= MAX_BODY => length,
        Some(_) => return Ok(None),
    };
    reader.take(length).read_to_end(&mut request.body)?;
    Ok(Some(request))
}

/// One line without its end; `None` at the end of the stream, past the limit, or outside UTF-8.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    reader.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(String::from_utf8(bytes).ok())
}

/// Sends the answer with its faults; gives the body bytes sent.
fn send(writer: &mut TcpStream, request: &Request, response: &Response) -> io::Result<usize> {
    match response.fault {
        Some(Fault::Close) => return Ok(0),
        Some(Fault::Garbage) => {
            writer.write_all(b"\x16\x03\x01\x00 this is not HTTP\r\n\r\n")?;
            return Ok(0);
        }
        Some(Fault::CutBody(_) | Fault::Stall) | None => {}
    }
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, phrase(response.status));
    for (name, value) in &response.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    // RFC 9110, 8.6: no length with 204 and 304, whose answers have no content.
    if !matches!(response.status, 204 | 304) {
        let _ = write!(head, "Content-Length: {}\r\n", response.body.len());
    }
    head.push_str("\r\n");
    let body: &[u8] = match response.fault {
        _ if request.method == "HEAD" || matches!(response.status, 204 | 304) => &[],
        Some(Fault::Stall) => &[],
        Some(Fault::CutBody(bytes)) => response.body.get(..bytes).unwrap_or(&response.body),
        _ => &response.body,
    };
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    writer.write_all(&bytes)?;
    Ok(body.len())
}

/// The reason phrase of the statuses that are used here; RFC 9112 lets it be empty.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}
