//! Connections on a free port of the loopback interface, each served on a thread of its own.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Most connections served at the same time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 1024;
/// A connection that stays silent for this long is closed, as is one that takes no bytes.
const IDLE: Duration = Duration::from_secs(30);
/// Longest wait for the connection that wakes the acceptor, in [`Connections::stop`].
const WAKE: Duration = Duration::from_secs(1);

/// A listening socket and what came in over it. Dropping it closes every socket and joins every
/// thread.
pub(crate) struct Connections {
    address: SocketAddr,
    registry: Arc<Registry>,
    acceptor: Option<JoinHandle<()>>,
}

/// One connection. Dropping it closes it.
pub(crate) struct Connection {
    /// The socket. No call of it waits longer than a connection may be idle.
    pub(crate) stream: TcpStream,
    /// Counted from one.
    pub(crate) number: u64,
    registry: Arc<Registry>,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Accepted since the start.
    pub(crate) total: u64,
    /// Open now.
    pub(crate) current: usize,
    /// Most that were open at one time.
    pub(crate) peak: usize,
}

struct Registry {
    serve: Box<dyn Fn(Connection) + Send + Sync>,
    state: Mutex<OpenConnections>,
    stopped: Condvar,
}

#[derive(Default)]
struct OpenConnections {
    stopping: bool,
    counts: Counts,
    /// The sockets again, to be shut down from outside.
    open: HashMap<u64, TcpStream>,
    /// Connections whose threads are about to end.
    ended: Vec<u64>,
}

impl Connections {
    /// Listens, and has every connection served by `serve`.
    pub(crate) fn start(serve: impl Fn(Connection) + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (state, stopped) = (Mutex::default(), Condvar::new());
        let registry = Arc::new(Registry { serve: Box::new(serve), state, stopped });
        let accepting = Arc::clone(&registry);
        let acceptor = std::thread::Builder::new()
            .name("server-accept".to_owned())
            .spawn(move || accept(&listener, &accepting))?;
        Ok(Self { address, registry, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many there are.
    pub(crate) fn counts(&self) -> Counts {
        self.registry.state.lock().counts
    }

    /// Closes all sockets and joins all threads.
    pub(crate) fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        {
            let mut state = self.registry.state.lock();
            state.stopping = true;
            for stream in state.open.values() {
                // A socket that the client has closed already cannot be shut down again.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.registry.stopped.notify_all();
        // `accept` has no deadline: a connection of our own wakes it.
        let _ = TcpStream::connect_timeout(&self.address, WAKE);
        // A thread that panicked has said so, and the client has missed its response.
        let _ = acceptor.join();
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Connection {
    /// Waits for `time`; false if the server stops meanwhile.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let mut state = self.registry.state.lock();
        if !time.is_zero() {
            self.registry.stopped.wait_while_for(&mut state, |state| !state.stopping, time);
        }
        !state.stopping
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock();
        state.open.remove(&self.number);
        state.counts.current -= 1;
        state.ended.push(self.number);
    }
}

/// Accepts until the server stops, then waits for the connections to end.
fn accept(listener: &TcpListener, registry: &Arc<Registry>) {
    let mut threads = HashMap::new();
    while let Ok((stream, _)) = listener.accept() {
        let ended = {
            let mut state = registry.state.lock();
            if state.stopping {
                break;
            }
            std::mem::take(&mut state.ended)
        };
        for thread in ended.iter().filter_map(|number| threads.remove(number)) {
            let _ = JoinHandle::join(thread);
        }
        // A connection that cannot be served is closed by dropping it.
        let Some(connection) = admit(stream, registry) else { continue };
        let (number, serving) = (connection.number, Arc::clone(registry));
        let thread = std::thread::Builder::new().name(format!("server-{number}"));
        threads.extend(thread.spawn(move || (serving.serve)(connection)).map(|it| (number, it)));
    }
    for thread in threads.into_values() {
        let _ = thread.join();
    }
}

/// Counts a connection in; `None` where it cannot be served.
fn admit(stream: TcpStream, registry: &Arc<Registry>) -> Option<Connection> {
    stream.set_read_timeout(Some(IDLE)).ok()?;
    stream.set_write_timeout(Some(IDLE)).ok()?;
    stream.set_nodelay(true).ok()?;
    let copy = stream.try_clone().ok()?;
    let mut state = registry.state.lock();
    if state.stopping || state.counts.current >= MAX_CONNECTIONS {
        return None;
    }
    let counts = &mut state.counts;
    counts.total += 1;
    counts.current += 1;
    counts.peak = counts.peak.max(counts.current);
    let number = counts.total;
    state.open.insert(number, copy);
    Some(Connection { stream, number, registry: Arc::clone(registry) })
}
