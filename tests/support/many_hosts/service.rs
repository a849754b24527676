//! The event loop: one thread that accepts, reads, waits out latencies and answers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind};
use std::mem;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::answer;
use super::connection::{Connection, Output, Pending, State, Then};
use super::log::{Answer, Exchange};
use super::plan::{Asked, Plan};
use super::site::Site;
use crate::support::server;

/// Events taken up at once.
const EVENTS: usize = 256;
/// Answers between two looks for events.
const ANSWERS: usize = 4;
/// Ports tried until one is free at all addresses.
const PORTS: usize = 50;
/// Files that a process needs besides the sockets of this server.
const OTHER_FILES: u64 = 1024;
/// Marks the event of the stop signal.
const STOP: u64 = u64::MAX;
/// Set in the mark of a listener, beside the host's place.
const LISTENER: u64 = 1 << 63;

/// Binds every host that listens to its address, all to one port, which goes into the plan.
pub(super) fn listen(plan: &mut Plan) -> io::Result<Vec<Option<TcpListener>>> {
    let mut last = io::Error::from(ErrorKind::AddrInUse);
    for _ in 0..PORTS {
        plan.port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let bound = plan.hosts.iter().map(|host| {
            let listener = || TcpListener::bind((host.address, plan.port));
            host.settings.listens.then(listener).transpose()
        });
        match bound.collect() {
            Ok(listeners) => return Ok(listeners),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Raises the limit of open files: each host needs a listener, and some connections here and at
/// the client.
pub(super) fn allow_files(hosts: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = 4 * hosts as u64 + OTHER_FILES;
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = limit.maximum.map_or(Some(wanted), |most| Some(most.min(wanted)));
        // What cannot be had shows when a socket cannot be opened.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Requests of a host so far.
#[derive(Default)]
struct Tally {
    requests: u64,
    by_path: HashMap<String, u32>,
    quiet_since: Option<Duration>,
}

/// A slot that connections take one after another.
#[derive(Default)]
struct Slot {
    /// Grows with each connection, so that events of an earlier one are recognized.
    generation: u32,
    connection: Option<Connection>,
}

/// An answer that becomes due: when, in which slot, for which connection.
type Due = Reverse<(Duration, usize, u32)>;

/// The server's thread.
pub(super) struct Service {
    plan: Arc<Plan>,
    written: Arc<server::Log<Exchange>>,
    site: Site,
    started: Instant,
    epoll: OwnedFd,
    stop_signal: UnixStream,
    listeners: Vec<Option<TcpListener>>,
    tallies: Vec<Tally>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    due: BinaryHeap<Due>,
    accepted: u64,
}

impl Service {
    pub(super) fn open(
        plan: Arc<Plan>,
        written: Arc<server::Log<Exchange>>,
        stop_signal: UnixStream,
        listeners: Vec<Option<TcpListener>>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &stop_signal, EventData::new_u64(STOP), EventFlags::IN)?;
        for (host, listener) in listeners.iter().enumerate() {
            let Some(listener) = listener else { continue };
            listener.set_nonblocking(true)?;
            let mark = EventData::new_u64(LISTENER | host as u64);
            epoll::add(&epoll, listener, mark, EventFlags::IN)?;
        }
        Ok(Self {
            site: Site::new(plan.seed),
            tallies: plan.hosts.iter().map(|_| Tally::default()).collect(),
            plan,
            written,
            started: Instant::now(),
            epoll,
            stop_signal,
            listeners,
            slots: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            accepted: 0,
        })
    }

    /// Serves until the other end of the stop signal is dropped.
    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            let now = self.started.elapsed();
            let wait = self.due.peek().map(|Reverse((at, ..))| at.saturating_sub(now));
            let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
            let waited = epoll::wait(&self.epoll, spare_capacity(&mut events), wait.as_ref());
            if waited != Err(Errno::INTR) {
                waited.expect("an open epoll can be waited for");
            }
            for event in &events {
                let mark = event.data.u64();
                if mark == STOP {
                    return self.end();
                } else if mark & LISTENER != 0 {
                    self.accept(usize::try_from(mark & !LISTENER).expect("a host's place"));
                } else {
                    self.ready(mark);
                }
            }
            self.answer_due();
        }
    }

    fn end(mut self) {
        for slot in 0..self.slots.len() {
            self.close(slot, None);
        }
    }

    fn accept(&mut self, host: usize) {
        while let Some(Ok((stream, _))) = self.listeners[host].as_ref().map(TcpListener::accept) {
            self.accepted += 1;
            let Ok(connection) = Connection::new(stream, host, self.accepted) else { continue };
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            });
            let place = &mut self.slots[slot];
            // Below 2³¹, so that the mark of a connection is not taken for a listener's.
            place.generation = (place.generation + 1) & (u32::MAX >> 1);
            let mark = EventData::new_u64(mark_of(slot, place.generation));
            let added = epoll::add(&self.epoll, &connection.stream, mark, EventFlags::IN);
            added.expect("a new socket can be watched");
            place.connection = Some(connection);
        }
    }

    /// Handles an event of a connection.
    fn ready(&mut self, mark: u64) {
        let slot = usize::try_from(mark & u64::from(u32::MAX)).expect("a slot's place");
        let place = &mut self.slots[slot];
        let Some(connection) = &mut place.connection else { return };
        if mark_of(slot, place.generation) != mark {
            return;
        }
        if !connection.read() {
            return self.close(slot, None);
        }
        match connection.state {
            State::Reading => self.begin(slot),
            State::Writing { .. } => self.write(slot),
            State::Waiting(_) | State::Stalled(..) => {}
        }
    }

    /// Begins the exchange of the next request, if its head is there.
    fn begin(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        let Some(connection) = &mut place.connection else { return };
        let started = self.started.elapsed();
        let request = match connection.input.take() {
            Ok(None) => return,
            Ok(Some(request)) if request.target().starts_with('/') => request,
            Ok(Some(_)) | Err(_) => return self.close(slot, None),
        };
        let (host, path) = (connection.host, request.target().to_owned());
        let (number, attempt, gap) = self.tallies[host].count(&path, started);
        let asked = Asked { host, path: &path, attempt, number, gap };
        let delay = self.plan.delay(&asked);
        let fault = self.plan.refusal(host, &request).or_else(|| self.plan.answer(&asked));
        let last = request.is_last();
        connection.state = State::Waiting(Pending { path, attempt, number, started, fault, last });
        self.due.push(Reverse((started + delay, slot, place.generation)));
    }

    /// Answers what is due, [`ANSWERS`] at most: the clock of a request that came meanwhile starts
    /// only when its event is handled.
    fn answer_due(&mut self) {
        for _ in 0..ANSWERS {
            let Some(Reverse((at, slot, generation))) = self.due.peek().copied() else { return };
            if at > self.started.elapsed() {
                return;
            }
            self.due.pop();
            if self.slots[slot].generation == generation {
                self.answer(slot);
            }
        }
    }

    fn answer(&mut self, slot: usize) {
        let Some(connection) = &mut self.slots[slot].connection else { return };
        let pending = match mem::replace(&mut connection.state, State::Reading) {
            State::Waiting(pending) => pending,
            other => return connection.state = other,
        };
        match answer::render(&self.plan, &self.site, connection.host, &pending) {
            Ok((bytes, then)) => {
                connection.state = State::Writing { pending, bytes, sent: 0, then };
                self.write(slot);
            }
            Err(abrupt) => {
                if abrupt == Answer::Reset {
                    let reset = set_socket_linger(&connection.stream, Some(Duration::ZERO));
                    reset.expect("a socket takes a linger time");
                }
                connection.state = State::Waiting(pending);
                self.close(slot, Some(abrupt));
            }
        }
    }

    fn write(&mut self, slot: usize) {
        let Some(connection) = &mut self.slots[slot].connection else { return };
        let started = self.started;
        match connection.write(|| started.elapsed()) {
            Output::Done(ended) => self.finish(slot, ended),
            Output::Blocked => self.watch(slot, true),
            Output::Over => self.close(slot, None),
        }
    }

    /// Lets the loop know whether a connection waits for room in its socket.
    fn watch(&mut self, slot: usize, room: bool) {
        let place = &mut self.slots[slot];
        let Some(connection) = &mut place.connection else { return };
        if mem::replace(&mut connection.wants_room, room) != room {
            let flags = if room { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let mark = EventData::new_u64(mark_of(slot, place.generation));
            let changed = epoll::modify(&self.epoll, &connection.stream, mark, flags);
            changed.expect("an open socket is watched");
        }
    }

    /// The bytes of an answer are out.
    fn finish(&mut self, slot: usize, ended: Duration) {
        self.watch(slot, false);
        let Some(connection) = &mut self.slots[slot].connection else { return };
        let State::Writing { pending, then, .. } =
            mem::replace(&mut connection.state, State::Reading)
        else {
            return;
        };
        let (host, number) = (connection.host, connection.number);
        match then {
            Then::Stall => connection.state = State::Stalled(pending, ended),
            Then::GoOn(status) => {
                self.record(host, number, pending, Answer::Sent(status), (ended, ended));
                self.begin(slot);
            }
            Then::Close(answer) => {
                self.record(host, number, pending, answer, (ended, ended));
                self.close(slot, None);
            }
        }
    }

    /// Closes a connection and logs the exchange that this ends.
    fn close(&mut self, slot: usize, answer: Option<Answer>) {
        let Some(connection) = self.slots[slot].connection.take() else { return };
        self.free.push(slot);
        let now = self.started.elapsed();
        let Connection { stream, host, number, state, .. } = connection;
        drop(stream);
        let answer = answer.unwrap_or(Answer::None);
        match state {
            State::Reading => {}
            State::Waiting(pending) | State::Writing { pending, .. } => {
                self.record(host, number, pending, answer, (now, now));
            }
            State::Stalled(pending, since) => {
                self.record(host, number, pending, Answer::Stalled, (since, now));
            }
        }
    }

    fn record(
        &mut self,
        host: usize,
        connection: u64,
        pending: Pending,
        answer: Answer,
        (ended, over): (Duration, Duration),
    ) {
        self.tallies[host].quiet_since = Some(over);
        let Pending { path, attempt, number, started, .. } = pending;
        let (address, host) = (self.plan.hosts[host].address, &self.plan.hosts[host].name);
        self.written.add(Exchange {
            host: Arc::clone(host),
            address,
            path,
            attempt,
            number,
            connection,
            started,
            ended,
            over,
            answer,
        });
    }
}

impl Tally {
    /// Counts a request: its number, that among those for its path, and the time since the host's
    /// last answer.
    fn count(&mut self, path: &str, started: Duration) -> (u64, u32, Option<Duration>) {
        let number = self.requests;
        self.requests += 1;
        let seen = self.by_path.entry(path.to_owned()).or_default();
        let attempt = *seen;
        *seen += 1;
        (number, attempt, self.quiet_since.map(|since| started.saturating_sub(since)))
    }
}

fn mark_of(slot: usize, generation: u32) -> u64 {
    u64::from(generation) << 32 | slot as u64
}
