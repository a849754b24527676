//! One connection: bytes in, requests out; answers in, bytes out. Never blocks.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::log::Answer;
use super::plan::Fault;

/// Longest header of a request.
const MAX_HEADER: usize = 64 * 1024;

/// A request whose exchange is under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) path: String,
    pub(super) attempt: u32,
    pub(super) number: u64,
    pub(super) started: Duration,
    pub(super) fault: Option<Fault>,
    /// The client wants the connection closed afterwards.
    pub(super) last: bool,
}

/// What happens when the bytes of an answer are out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The next request is read.
    GoOn(u16),
    /// The connection is closed.
    Close(Answer),
    /// Nothing, until the client leaves.
    Stall,
}

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum State {
    Reading,
    /// The answer is not due yet.
    Waiting(Pending),
    Writing {
        pending: Pending,
        bytes: Vec<u8>,
        sent: usize,
        then: Then,
    },
    /// Since when.
    Stalled(Pending, Duration),
}

/// What came of reading.
pub(super) enum Input {
    /// All there is was taken up.
    Open,
    /// The client left, or sent more than it may.
    Over,
}

/// What came of writing.
pub(super) enum Output {
    /// All is out; the last of it was not before this time.
    Done(Duration),
    /// The socket takes no more for now.
    Blocked,
    /// The client left.
    Over,
}

/// A request as it was read.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) host: String,
    pub(super) last: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) host: usize,
    pub(super) number: u64,
    pub(super) state: State,
    /// The event loop waits for room in the socket.
    pub(super) wants_room: bool,
    unread: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, host: usize, number: u64) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let (state, unread) = (State::Reading, Vec::new());
        Ok(Self { stream, host, number, state, wants_room: false, unread })
    }

    /// Takes up what has come.
    pub(super) fn read(&mut self) -> Input {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Input::Over,
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Input::Open,
                Err(_) => return Input::Over,
            }
            if self.unread.len() > MAX_HEADER {
                return Input::Over;
            }
        }
    }

    /// The next request that was read whole; an error if that is none.
    pub(super) fn request(&mut self) -> Option<Result<Request, ()>> {
        let end = self.unread.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let header = self.unread.drain(..end).collect();
        Some(String::from_utf8(header).map_err(drop).and_then(|header| parse(&header).ok_or(())))
    }

    /// Hands on what is left of the answer; `now` reads the clock.
    pub(super) fn write(&mut self, now: impl Fn() -> Duration) -> Output {
        let State::Writing { bytes, sent, .. } = &mut self.state else { return Output::Over };
        loop {
            let before = now();
            match self.stream.write(&bytes[*sent..]) {
                Ok(0) => return Output::Over,
                Ok(count) => *sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Output::Blocked,
                Err(_) => return Output::Over,
            }
            if *sent == bytes.len() {
                return Output::Done(before);
            }
        }
    }
}

fn parse(header: &str) -> Option<Request> {
    let mut lines = header.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    if !version.starts_with("HTTP/1.") || !path.starts_with('/') {
        return None;
    }
    let (mut host, mut last) = ("", false);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("host") {
            host = value.trim();
        } else if name.eq_ignore_ascii_case("connection") {
            last = value.trim().eq_ignore_ascii_case("close");
        }
    }
    Some(Request { method: method.into(), path: path.into(), host: host.into(), last })
}
