//! The server: one process, the site in memory, a thread a connection, and counters.
//!
//! It is steered over its standard input: `reset` zeroes the counters, `counts` asks for them; each
//! line is answered by a line of JSON. When its input ends, the process ends.

use std::collections::HashSet;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::connections::{Connection, Connections};
use super::request::{Input, Request};
use super::site::{self, Document, Site};
use crate::arguments::Arguments;
use crate::error::Error;
use crate::process;

const NOT_FOUND: &[u8] =
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nnot found\n";
const NOT_ALLOWED: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n";

/// What the server has seen since it was reset.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Different pages that were sent whole; the same file with another query is another page.
    pub(crate) pages: u64,
    /// Body bytes of the pages, counted as often as they were sent.
    pub(crate) bytes: u64,
    /// Requests, those for what is not there included.
    pub(crate) requests: u64,
    /// Connections accepted.
    pub(crate) connections: u64,
    /// Processor time that the server took, in seconds.
    pub(crate) cpu_seconds: f64,
}

#[derive(Serialize, Deserialize)]
struct Ready {
    port: u16,
    pages: u64,
    bytes: u64,
}

/// The server's process, as its parent sees it. Dropping it ends the process.
pub(crate) struct Server {
    child: Child,
    /// Taken when the process is told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    ready: Ready,
    at_reset: Counts,
}

impl Server {
    /// Starts the process and waits until it listens.
    pub(crate) fn start(documents: &Path) -> Result<Self, Error> {
        let mut command = process::this_binary(&["__crawl-server"])?;
        command.arg(documents).stdin(Stdio::piped());
        let mut child = command.spawn().map_err(Error::io("start the server"))?;
        let orders = child.stdin.take();
        let stdout = child.stdout.take().expect("invariant: standard output is piped");
        let mut answers = BufReader::new(stdout);
        let ready = answer(&mut answers)?;
        Ok(Self { child, orders, answers, ready, at_reset: Counts::default() })
    }

    /// The URLs where every crawl begins.
    pub(crate) fn seeds(&self) -> Vec<String> {
        site::SEEDS.map(|path| format!("http://127.0.0.1:{}{path}", self.ready.port)).to_vec()
    }

    /// Pages on offer.
    pub(crate) const fn pages(&self) -> u64 {
        self.ready.pages
    }

    /// Bytes of all pages on offer.
    pub(crate) const fn bytes(&self) -> u64 {
        self.ready.bytes
    }

    /// Begins to count anew.
    pub(crate) fn reset(&mut self) -> Result<(), Error> {
        self.at_reset = self.order("reset")?;
        Ok(())
    }

    /// What was counted since the last reset.
    pub(crate) fn counts(&mut self) -> Result<Counts, Error> {
        let counts: Counts = self.order("counts")?;
        Ok(Counts { cpu_seconds: counts.cpu_seconds - self.at_reset.cpu_seconds, ..counts })
    }

    /// Ends the process and waits for it.
    pub(crate) fn stop(mut self) -> Result<(), Error> {
        drop(self.orders.take());
        self.child.wait().map(|_| ()).map_err(Error::io("wait for the server"))
    }

    fn order(&mut self, word: &str) -> Result<Counts, Error> {
        let orders = self.orders.as_mut().ok_or_else(|| silent("has no input"))?;
        writeln!(orders, "{word}").map_err(Error::io("order the server"))?;
        answer(&mut self.answers)
    }
}

fn silent(problem: impl Into<String>) -> Error {
    Error::Child { name: "server".to_owned(), problem: problem.into() }
}

fn answer<T: DeserializeOwned>(answers: &mut BufReader<ChildStdout>) -> Result<T, Error> {
    let mut line = String::new();
    answers.read_line(&mut line).map_err(Error::io("read from the server"))?;
    serde_json::from_str(&line).map_err(|error| silent(format!("said {line:?}: {error}")))
}

/// `__crawl-server DIR`: serves the documentation in DIR until standard input ends.
pub(crate) fn run_here(mut arguments: Arguments) -> Result<(), Error> {
    let documents = arguments.positional()?;
    arguments.finish()?;
    let state = Arc::new(State::new(site::load(Path::new(&documents))?));
    let serving = Arc::clone(&state);
    let connections = Connections::start(move |connection| {
        // A client that goes away in the middle is its own affair; what it was not sent whole is
        // not counted.
        let _ = serve(connection, &serving);
    })
    .map_err(Error::io("listen"))?;
    let port = connections.address().port();
    let bytes = state.site.values().map(|document| document.body_bytes as u64).sum();
    say(&Ready { port, pages: state.site.len() as u64, bytes })?;
    for line in io::stdin().lines() {
        match line.map_err(Error::io("read orders"))?.as_str() {
            "reset" => state.reset(),
            "counts" => {}
            other => return Err(silent(format!("cannot do {other:?}"))),
        }
        say(&state.counts()?)?;
    }
    Ok(())
}

fn say(answer: &impl Serialize) -> Result<(), Error> {
    let line = serde_json::to_string(answer).expect("invariant: plain numbers are JSON");
    writeln!(io::stdout(), "{line}").map_err(Error::io("answer"))
}

/// Counters are relaxed throughout: none orders anything, and they are read when no client is left.
struct State {
    site: Site,
    /// Targets with a query that were sent since the last reset.
    queries: Mutex<HashSet<String>>,
    pages: AtomicU64,
    bytes: AtomicU64,
    requests: AtomicU64,
    connections: AtomicU64,
}

impl State {
    fn new(site: Site) -> Self {
        Self {
            site,
            queries: Mutex::default(),
            pages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        }
    }

    fn reset(&self) {
        for counter in [&self.pages, &self.bytes, &self.requests, &self.connections] {
            counter.store(0, Ordering::Relaxed);
        }
        self.site.values().for_each(Document::reset);
        self.queries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether `target` is sent for the first time since the last reset.
    fn is_first(&self, target: &str, document: &Document) -> bool {
        if target.contains('?') {
            let mut queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
            return queries.insert(target.to_owned());
        }
        document.count()
    }

    fn counts(&self) -> Result<Counts, Error> {
        let usage = process::usage_of_this_process().map_err(Error::io("read own usage"))?;
        Ok(Counts {
            pages: self.pages.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            cpu_seconds: usage.cpu_seconds,
        })
    }
}

/// Answers the requests of one connection, one after the other.
fn serve(mut connection: Connection, state: &State) -> io::Result<()> {
    state.connections.fetch_add(1, Ordering::Relaxed);
    let mut input = Input::default();
    while let Some(request) = input.next(&mut connection.stream)? {
        respond(&mut connection.stream, &request, state)?;
        if request.is_last() {
            break;
        }
    }
    Ok(())
}

fn respond(stream: &mut TcpStream, request: &Request, state: &State) -> io::Result<()> {
    state.requests.fetch_add(1, Ordering::Relaxed);
    if request.method() != "GET" {
        return stream.write_all(NOT_ALLOWED);
    }
    let Some(document) = state.site.get(request.path()) else { return stream.write_all(NOT_FOUND) };
    // Counted before the last byte is out, so that a client which has it finds it counted.
    let pages = u64::from(state.is_first(request.target(), document));
    let bytes = document.body_bytes as u64;
    state.pages.fetch_add(pages, Ordering::Relaxed);
    state.bytes.fetch_add(bytes, Ordering::Relaxed);
    let sent = stream.write_all(&document.answer);
    if sent.is_err() {
        state.pages.fetch_sub(pages, Ordering::Relaxed);
        state.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
    sent
}
