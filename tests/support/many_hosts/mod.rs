//! Many hosts in one process: each with a name, a loopback address, a site, a behaviour and a log.
//!
//! It shows what one host cannot: politeness under concurrency, hosts that are slow, refuse or
//! break, delays that adapt, and the rate of a whole crawl.
//!
//! ```ignore
//! let server = ManyHosts::builder()
//!     .seed(7)
//!     .hosts(30, &Host::new().pages(12).latency(ms(20)).jitter(ms(30)).links_out(2))
//!     .host("busy.test", Host::new().fault(Which::Numbered(5..9), Fault::status(429)))
//!     .host("gone.test", Host::new().refusing())
//!     .start()?;
//! let engine = Engine::builder(dir).config(config).resolver(server.names()).build()?;
//! // .. a job with `server.seeds()` as its sources ..
//! let log = server.log();
//! assert_eq!(log.peak("busy.test"), 1);
//! ```
//!
//! - **Hosts.** `hosts` adds `site0.test`, `site1.test`, ..; `host` adds one by name. Each listens
//!   on an address of its own, 127.1.0.1 and up, all on one port. A crawler finds them by
//!   [`ManyHosts::names`], a resolver that knows them and nothing else. A request that names
//!   another host than the one whose address it came to gets 421.
//! - **Sites.** `/` and `/page/N`: a tree, so that every page is reached from `/`, with further
//!   links between pages of the host and, if wanted, to pages of other hosts. Pages are made when
//!   they are asked for, in a few microseconds, and are the same for the same seed.
//! - **Behaviour.** The delay of a response and its fault follow from the seed, the host,
//!   the path and the number of earlier requests for that path (or host), never from the time or
//!   from chance. The same crawl meets the same responses. [`Host::min_gap`] alone looks at the
//!   clock. [`ManyHosts::fault`] predicts what a request will meet.
//! - **Log.** One line per exchange, all on one clock; [`Log`] computes gaps, concurrency and
//!   rates. Times err on the safe side: a request begins after its bytes were read, and an answer ends before its last byte is handed to
//!   the socket. So a gap in the log is at least what the client kept, and two exchanges overlap in
//!   the log only if they did at the client.
//! - **Cost.** One thread, an event loop over epoll and a heap of timers. An exchange that waits
//!   out its latency costs its place in the heap.
//!
//! Dropping the handle closes every socket and joins the thread, which never blocks on a client.

mod answer;
mod connection;
mod log;
mod names;
mod plan;
mod service;
mod site;

pub(crate) use log::{Answer, Exchange, Log};
pub(crate) use names::Names;
pub(crate) use plan::{Builder, Fault, Host, Robots, Which};

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::server;
use plan::Plan;

/// A running server of many hosts. Dropping it stops it.
pub(crate) struct ManyHosts {
    plan: Arc<Plan>,
    written: Arc<server::Log<Exchange>>,
    names: Arc<Names>,
    /// Dropped to end the thread, which watches the other end.
    stop_signal: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl ManyHosts {
    /// Starts to set up a server; it has no hosts yet.
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    fn start(mut plan: Plan) -> io::Result<Self> {
        service::allow_files(plan.hosts.len());
        let listeners = service::listen(&mut plan)?;
        let (plan, written) = (Arc::new(plan), Arc::default());
        let (stop_signal, stopped) = UnixStream::pair()?;
        let service =
            service::Service::open(Arc::clone(&plan), Arc::clone(&written), stopped, listeners)?;
        let known = plan.hosts.iter().filter(|host| host.settings.known);
        let names = Names::new(known.map(|host| (Arc::clone(&host.name), host.address)));
        let thread =
            std::thread::Builder::new().name("many-hosts".to_owned()).spawn(|| service.run())?;
        let (stop_signal, thread) = (Some(stop_signal), Some(thread));
        Ok(Self { plan, written, names: Arc::new(names), stop_signal, thread })
    }

    /// The resolver that knows the hosts, except those that are [`Host::unknown`].
    pub(crate) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// The names of all hosts, in the order in which they were added.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.plan.hosts.iter().map(|host| &*host.name)
    }

    /// Where a host listens, or would.
    pub(crate) fn address(&self, host: &str) -> SocketAddr {
        let host = &self.plan.hosts[self.plan.index(host)];
        SocketAddr::new(host.address.into(), self.plan.port)
    }

    /// Absolute URL of a path, which begins with a slash.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.plan.port)
    }

    /// The URL of the first page of every host.
    pub(crate) fn seeds(&self) -> impl Iterator<Item = String> {
        self.hosts().map(|host| self.url(host, "/"))
    }

    /// The paths of all pages of a host, `/` first.
    pub(crate) fn pages(&self, host: &str) -> impl Iterator<Item = String> + use<> {
        (0..self.plan.hosts[self.plan.index(host)].settings.pages).map(site::path)
    }

    /// What the request number `attempt` (from 0) for this path will meet. Rules for the numbers of
    /// a host's requests are left out, as those depend on the order in which its paths are asked.
    pub(crate) fn fault(&self, host: &str, path: &str, attempt: u32) -> Option<Fault> {
        self.plan.fault(self.plan.index(host), path, attempt, None)
    }

    /// The exchanges that have ended so far.
    pub(crate) fn log(&self) -> Log {
        Log::new(self.written.lines())
    }

    /// Waits until so many exchanges have ended; false if `deadline` passes first.
    pub(crate) fn wait_for(&self, count: usize, deadline: Duration) -> bool {
        self.written.wait_for(count, deadline)
    }

    /// Closes all sockets and gives the whole log; what was under way is in it as unanswered.
    pub(crate) fn stop(mut self) -> Log {
        self.halt();
        self.log()
    }

    fn halt(&mut self) {
        drop(self.stop_signal.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed, and shows in what the test finds missing.
            let _ = thread.join();
        }
    }
}

impl Drop for ManyHosts {
    fn drop(&mut self) {
        self.halt();
    }
}
