//! A small HTTP/1.1 server on the loopback interface, on plain threads.
//!
//! It serves the bundled site of `gristmill demo`, and every test that needs a real socket.
//!
//! | file | what |
//! | --- | --- |
//! | `connections` | accepting, a thread a connection, stopping and joining |
//! | `request` | reading a request, bounded in bytes |
//! | `response` | a response, its faults, its bytes |
//! | `log` | what was asked and answered |
//!
//! What it responds is decided by a [`Handler`], a function from [`Request`] to [`Response`]. A
//! response may be late ([`Response::delayed`]) or broken ([`Fault`]). Every request is logged.

pub(crate) mod connections;
mod log;
pub(crate) mod request;
pub(crate) mod response;

pub(crate) use log::Log;
pub(crate) use request::Request;
pub(crate) use response::{Fault, Response};

use std::io::{self, ErrorKind, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use connections::{Connection, Connections, Counts};
use request::Input;

/// Decides what is responded.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The response to `request`.
    fn handle(&self, request: &Request) -> Response;
}

impl<F: Fn(&Request) -> Response + Send + Sync + 'static> Handler for F {
    fn handle(&self, request: &Request) -> Response {
        self(request)
    }
}

/// One line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The request.
    pub(crate) request: Request,
    /// Number of its connection, counted from one.
    pub(crate) connection: u64,
    /// Status of the response; 0 where the fault left none.
    pub(crate) status: u16,
}

/// A running server. Dropping it closes every socket and joins every thread.
pub(crate) struct Server {
    connections: Connections,
    log: Arc<Log<Exchange>>,
}

impl Server {
    /// Starts on a free port of 127.0.0.1.
    pub(crate) fn start(handler: impl Handler) -> io::Result<Self> {
        let log = Arc::new(Log::default());
        let answered = Arc::clone(&log);
        let connections = Connections::start(move |connection| {
            // A client that leaves early is no failure of the server.
            let _ = serve(connection, &handler, &answered);
        })?;
        Ok(Self { connections, log })
    }

    /// The address it listens on.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.connections.address()
    }

    /// Absolute URL of a path that begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The requests so far, oldest first.
    pub(crate) fn log(&self) -> Vec<Exchange> {
        self.log.lines()
    }

    /// How many requests there were so far.
    pub(crate) fn requests(&self) -> usize {
        self.log.count(|_| true)
    }

    /// How often `target` (path and query) was requested.
    pub(crate) fn hits(&self, target: &str) -> usize {
        self.log.count(|line| line.request.target() == target)
    }

    /// Waits until `count` requests have been answered; false if `deadline` passes first.
    pub(crate) fn wait_for(&self, count: usize, deadline: Duration) -> bool {
        self.log.wait_for(count, deadline)
    }

    /// Counts of connections.
    pub(crate) fn connections(&self) -> Counts {
        self.connections.counts()
    }

    /// Closes all sockets, joins all threads, and gives the log back.
    pub(crate) fn stop(mut self) -> Vec<Exchange> {
        self.connections.stop();
        self.log()
    }
}

/// Answers the requests of one connection until either side closes it.
fn serve(
    mut connection: Connection,
    handler: &impl Handler,
    log: &Log<Exchange>,
) -> io::Result<()> {
    let mut input = Input::default();
    loop {
        let request = match read(&mut input, &mut connection) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return connection.stream.write_all(&Response::status(400).bytes(""));
            }
            Err(error) => return Err(error),
        };
        let response = handler.handle(&request);
        if !connection.pause(response.delay) {
            return Ok(());
        }
        let last = request.is_last() || response.fault.is_some();
        let sent = connection.stream.write_all(&response.bytes(request.method()));
        let status = match response.fault {
            Some(Fault::Close | Fault::Garbage) => 0,
            _ => response.status,
        };
        log.add(Exchange { request, connection: connection.number, status });
        sent?;
        if response.fault == Some(Fault::Stall) {
            // Ends when the client leaves, the server stops, or the connection has been idle.
            input.fill(&mut connection.stream)?;
        }
        if last {
            return connection.stream.shutdown(Shutdown::Both);
        }
    }
}

fn read(input: &mut Input, connection: &mut Connection) -> io::Result<Option<Request>> {
    let Some(mut request) = input.next(&mut connection.stream)? else { return Ok(None) };
    request.body = input.body(&mut connection.stream, request.length()?)?;
    Ok(Some(request))
}
