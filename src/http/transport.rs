//! Sockets for `ureq`: connecting, reading and writing with deadlines and cancellation.
//!
//! Each exchange has an `ureq` agent of its own that pools nothing. Its connector hands it a
//! [`Pooled`] transport, which returns to [`Connections`] if the exchange ends well.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use crate::cancel::{CancelGuard, CancelToken};

use super::connections::{Connection, Connections, Permit};
use super::fault::Fault;
use super::proxy::Proxy;

/// Least time to connect to one address.
const MIN_PER_ADDRESS: Duration = Duration::from_millis(10);

/// What the parts of an exchange share about its socket.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Set before a cancelled token shuts the socket down, so that the end of the stream that follows
    /// is not taken for the end of a body.
    cancelled: AtomicBool,
    /// Bytes received in this exchange.
    received: AtomicU64,
}

impl Wire {
    /// A socket connected to a listener of its own.
    #[cfg(test)]
    pub(super) fn loopback() -> Arc<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let peer = listener.local_addr().expect("it is bound");
        connect(&[peer], Instant::now() + Duration::from_secs(20), &CancelToken::new())
            .expect("it listens")
    }

    /// Shuts the socket down when `cancel` is cancelled, at once if it already is.
    pub(super) fn watch(self: &Arc<Self>, cancel: &CancelToken) -> CancelGuard {
        // Relaxed: no other thread uses the socket between two exchanges.
        self.received.store(0, Ordering::Relaxed);
        let wire = Arc::clone(self);
        cancel.on_cancel(move || {
            // Release pairs with the Acquire in `interruption`; the shutdown that wakes the reader
            // comes after it.
            wire.cancelled.store(true, Ordering::Release);
            // An error means that the socket is closed already.
            let _ = wire.stream.shutdown(Shutdown::Both);
        })
    }

    /// Opens a tunnel through the proxy at the other end.
    pub(super) fn open_tunnel(
        &self,
        proxy: &Proxy,
        authority: &str,
        deadline: Instant,
    ) -> Result<(), ureq::Error> {
        let opened = proxy.open_tunnel(&self.stream, authority, deadline);
        opened.map_err(|fault| self.interruption().unwrap_or(fault.into()))
    }

    /// Whether a byte has been received in this exchange.
    pub(super) fn answered(&self) -> bool {
        self.received.load(Ordering::Relaxed) > 0
    }

    fn interruption(&self) -> Option<ureq::Error> {
        self.cancelled.load(Ordering::Acquire).then(|| Fault::Cancelled.into())
    }
}

/// Connects to the first of `addresses` that accepts, giving each an equal share of the time left.
pub(super) fn connect(
    addresses: &[SocketAddr],
    deadline: Instant,
    cancel: &CancelToken,
) -> Result<Arc<Wire>, Fault> {
    let mut last = io::Error::new(io::ErrorKind::TimedOut, "no time left to connect");
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for (address, shares) in addresses.iter().zip((1..=count).rev()) {
        let left = deadline.saturating_duration_since(Instant::now());
        if cancel.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, (left / shares).max(MIN_PER_ADDRESS)) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Fault::Connect)?;
                return Ok(Arc::new(Wire {
                    stream,
                    peer: *address,
                    cancelled: AtomicBool::new(false),
                    received: AtomicU64::new(0),
                }));
            }
            Err(error) => last = error,
        }
    }
    if last.kind() == io::ErrorKind::TimedOut {
        return Err(Fault::ConnectTimedOut);
    }
    Err(Fault::Connect(last))
}

/// A plain TCP socket.
#[derive(Debug)]
pub(super) struct Socket {
    wire: Arc<Wire>,
    buffers: LazyBuffers,
    /// The socket's current timeouts.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// Why nothing more can be sent. A server may refuse a request by its header and close without
    /// reading the body; its response can still be read then.
    unsendable: Option<io::Error>,
}

impl Socket {
    pub(super) fn new(wire: Arc<Wire>, input: usize, output: usize) -> Self {
        let buffers = LazyBuffers::new(input, output);
        Self { wire, buffers, read_timeout: None, write_timeout: None, unsendable: None }
    }
}

/// The largest power of two milliseconds that is at most `left`, and at least one.
///
/// Only such timeouts are set, so a connection that serves one fast exchange after another needs no
/// system call for them. A socket that wakes early checks the deadline and waits again, at most once
/// for each power of two.
fn socket_timeout(left: Duration) -> Duration {
    let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(1 << millis.ilog2())
}

/// When `timeout` passes; `None`: never.
fn end_of(timeout: &NextTimeout) -> Option<Instant> {
    if timeout.after.is_not_happening() {
        return None;
    }
    Instant::now().checked_add(*timeout.after)
}

/// The socket timeout to use now; an error if `end` has passed.
fn slice(end: Option<Instant>, timeout: &NextTimeout) -> Result<Option<Duration>, ureq::Error> {
    let Some(end) = end else { return Ok(None) };
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ureq::Error::Timeout(timeout.reason));
    }
    Ok(Some(socket_timeout(left)))
}

fn is_early_waking(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let timeout = timeout.for_write();
        let end = end_of(&timeout);
        let mut output = self.buffers.output().get(..amount).unwrap_or_default();
        while !output.is_empty() && self.unsendable.is_none() {
            let wanted = slice(end, &timeout)?;
            if self.write_timeout != wanted {
                self.wire.stream.set_write_timeout(wanted)?;
                self.write_timeout = wanted;
            }
            match (&self.wire.stream).write(output) {
                Ok(0) => return Err(Fault::Reset(io::ErrorKind::WriteZero.into()).into()),
                Ok(sent) => output = output.get(sent..).unwrap_or_default(),
                Err(error) if is_early_waking(&error) => {}
                Err(error) => {
                    if let Some(error) = self.wire.interruption() {
                        return Err(error);
                    }
                    self.unsendable = Some(error);
                }
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let timeout = timeout.for_read();
        let end = end_of(&timeout);
        loop {
            let wanted = slice(end, &timeout)?;
            if self.read_timeout != wanted {
                self.wire.stream.set_read_timeout(wanted)?;
                self.read_timeout = wanted;
            }
            match (&self.wire.stream).read(self.buffers.input_append_buf()) {
                Ok(0) => {
                    if let Some(error) = self.wire.interruption() {
                        return Err(error);
                    }
                    if let Some(error) = self.unsendable.take() {
                        return Err(Fault::Reset(error).into());
                    }
                    self.buffers.input_appended(0);
                    return Ok(false);
                }
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    self.wire.received.fetch_add(amount as u64, Ordering::Relaxed);
                    return Ok(true);
                }
                Err(error) if is_early_waking(&error) => {}
                // Not `Error::Io`: that would make a reset look like the end of a body that ends
                // with its connection.
                Err(error) => {
                    return Err(self.wire.interruption().unwrap_or(Fault::Reset(error).into()));
                }
            }
        }
    }

    /// An idle connection is usable while there is nothing to read from it, not even its end.
    fn is_open(&mut self) -> bool {
        let stream = &self.wire.stream;
        if self.unsendable.is_some() || stream.set_nonblocking(true).is_err() {
            return false;
        }
        let silent = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        silent && stream.set_nonblocking(false).is_ok()
    }
}

/// A connection on loan to one exchange.
#[derive(Debug)]
pub(super) struct Pooled {
    /// Taken only when this is dropped.
    loan: Option<(Connection, Permit)>,
    watch: Option<CancelGuard>,
    cancel: CancelToken,
    /// What to put before the path in the request line: the origin, for a forwarding proxy.
    absolute: Option<String>,
    /// The exchange has ended, and no bytes followed it.
    finished: bool,
}

impl Pooled {
    pub(super) fn new(
        connection: Connection,
        permit: Permit,
        watch: CancelGuard,
        cancel: CancelToken,
        absolute: Option<String>,
    ) -> Self {
        let (loan, watch) = (Some((connection, permit)), Some(watch));
        Self { loan, watch, cancel, absolute, finished: false }
    }

    fn transport(&mut self) -> &mut dyn Transport {
        let (connection, _) =
            self.loan.as_mut().expect("invariant: the loan is taken only by drop");
        &mut *connection.transport
    }

    /// Sends the first part of a request as `GET http://host/path` in place of `GET /path`.
    fn transmit_absolute(
        &mut self,
        amount: usize,
        origin: &str,
        timeout: NextTimeout,
    ) -> Result<(), ureq::Error> {
        let transport = self.transport();
        let mut request = transport.buffers().output().get(..amount).unwrap_or_default().to_vec();
        if let Some(space) = request.iter().position(|byte| *byte == b' ') {
            request.splice(space + 1..=space, origin.bytes());
        }
        for part in request.chunks(amount.max(1)) {
            if let Some(output) = transport.buffers().output().get_mut(..part.len()) {
                output.copy_from_slice(part);
            }
            transport.transmit_output(part.len(), timeout)?;
        }
        Ok(())
    }
}

impl Transport for Pooled {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport().buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.finished = false;
        match self.absolute.take() {
            Some(origin) => self.transmit_absolute(amount, &origin, timeout),
            None => self.transport().transmit_output(amount, timeout),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.finished = false;
        self.transport().await_input(timeout)
    }

    /// `ureq` calls this once, when an exchange has ended without a reason to close, so the connection
    /// may serve another. Whether it still can is probed when it is acquired again.
    fn is_open(&mut self) -> bool {
        self.finished = true;
        true
    }

    fn is_tls(&self) -> bool {
        self.loan.as_ref().is_some_and(|(connection, _)| connection.transport.is_tls())
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        // First: once the callback is withdrawn, it has either run, which the token shows, or never
        // will.
        self.watch = None;
        let Some((connection, permit)) = self.loan.take() else { return };
        if self.finished && !self.cancel.is_cancelled() {
            Connections::give_back(permit, connection);
        } else {
            drop(connection);
            drop(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_timeouts_are_powers_of_two_not_above_the_time_left() {
        let ms = Duration::from_millis;
        for (left, timeout) in [(0, 1), (1, 1), (3, 2), (1000, 512), (1024, 1024), (30_000, 16_384)]
        {
            assert_eq!(socket_timeout(ms(left)), ms(timeout));
        }
        assert!(socket_timeout(Duration::MAX) <= Duration::MAX);
    }
}
