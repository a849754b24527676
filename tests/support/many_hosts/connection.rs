//! One connection: bytes in, requests out; answers in, bytes out. Never blocks.

use std::io::{self, ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::log::Answer;
use super::plan::Fault;
use crate::support::server::request::Input;

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

/// What came of writing.
pub(super) enum Output {
    /// All is out; the last of it was not before this time.
    Done(Duration),
    /// The socket takes no more for now.
    Blocked,
    /// The client left.
    Over,
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
    pub(super) input: Input,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, host: usize, number: u64) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let (state, input) = (State::Reading, Input::default());
        Ok(Self { stream, host, number, state, wants_room: false, input })
    }

    /// Takes up what has come; false when the client left, or sent more than it may.
    pub(super) fn read(&mut self) -> bool {
        loop {
            match self.input.fill(&mut self.stream) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
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
