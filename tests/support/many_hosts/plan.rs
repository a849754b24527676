//! How the hosts behave, and what each request meets: decided by the seed, without a clock.

use std::hash::{Hash, Hasher as _};
use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use super::{ManyHosts, names, site};
use crate::support::server::Request;

/// A server of many hosts to be started. The default seed is 0.
#[derive(Default)]
pub(crate) struct Builder {
    seed: u64,
    hosts: Vec<(String, Host)>,
}

impl Builder {
    /// The seed of everything that looks random.
    pub(crate) fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Adds `count` hosts of one kind, named `siteN.test` by their number among all hosts.
    pub(crate) fn hosts(mut self, count: usize, host: &Host) -> Self {
        let first = self.hosts.len();
        self.hosts.extend((first..first + count).map(|number| (names::name(number), host.clone())));
        self
    }

    /// Adds a host of this name.
    pub(crate) fn host(mut self, name: &str, host: Host) -> Self {
        self.hosts.push((name.to_owned(), host));
        self
    }

    /// Starts the server on a free port.
    pub(crate) fn start(self) -> io::Result<ManyHosts> {
        let hosts = self.hosts.into_iter().enumerate().map(|(number, (name, settings))| Placed {
            name: name.into(),
            address: names::address(number),
            settings,
        });
        ManyHosts::start(Plan { seed: self.seed, hosts: hosts.collect(), port: 0 })
    }
}

/// One host: its site and its behaviour. By default ten pages of 4 KiB, answered at once and always,
/// no links to other hosts, and no robots.txt.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(super) pages: u32,
    pub(super) page_bytes: usize,
    pub(super) links_out: u32,
    robots: Robots,
    latency: Duration,
    jitter: Duration,
    slow: Vec<(Which, Duration)>,
    faults: Vec<(Which, Fault)>,
    min_gap: Duration,
    pub(super) listens: bool,
    pub(super) known: bool,
}

/// What is found under `/robots.txt`.
#[derive(Clone, Debug)]
pub(crate) enum Robots {
    /// 404.
    Missing,
    /// A file with this text.
    Text(String),
}

/// To which requests a rule applies.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// All, that for robots.txt included.
    Every,
    /// Those with these numbers, counted from 0 over all requests of the host.
    Numbered(Range<u64>),
    /// The first `times` requests for this path.
    Path {
        /// The path.
        path: &'static str,
        /// How often; `u32::MAX`: always.
        times: u32,
    },
    /// The first `times` requests for each of a share of the pages.
    Pages {
        /// From 0 to 1.
        share: f64,
        /// How often; `u32::MAX`: always.
        times: u32,
    },
    /// A share of the requests for pages, drawn for each page and attempt.
    Requests {
        /// From 0 to 1.
        share: f64,
    },
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has this status and no page.
    Status {
        /// The status.
        status: u16,
        /// Seconds of a `Retry-After`, if it has one.
        retry_after: Option<u32>,
    },
    /// The connection is reset in place of the answer.
    Reset,
    /// The connection is closed in place of the answer.
    Close,
    /// The connection is closed after half of the body.
    Cut,
    /// Nothing follows half of the body, until the client leaves.
    Stall,
}

impl Fault {
    /// A status without `Retry-After`.
    pub(crate) const fn status(status: u16) -> Self {
        Self::Status { status, retry_after: None }
    }
}

impl Host {
    /// The default.
    pub(crate) fn new() -> Self {
        Self {
            pages: 10,
            page_bytes: 4096,
            links_out: 0,
            robots: Robots::Missing,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            slow: Vec::new(),
            faults: Vec::new(),
            min_gap: Duration::ZERO,
            listens: true,
            known: true,
        }
    }

    /// How many pages there are, at least one.
    pub(crate) fn pages(self, pages: u32) -> Self {
        Self { pages: pages.max(1), ..self }
    }

    /// About how long a page is, in bytes.
    pub(crate) fn page_bytes(self, page_bytes: usize) -> Self {
        Self { page_bytes, ..self }
    }

    /// Links of each page to pages of other hosts, drawn by the seed.
    pub(crate) fn links_out(self, links_out: u32) -> Self {
        Self { links_out, ..self }
    }

    /// What is found under `/robots.txt`.
    pub(crate) fn robots(self, robots: Robots) -> Self {
        Self { robots, ..self }
    }

    /// Time from a request to its answer.
    pub(crate) fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// Most that is added to the latency: a share of it, drawn for each path and attempt.
    pub(crate) fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Adds so much to the latency of some requests, on top of what other such rules add.
    pub(crate) fn slow(mut self, which: Which, by: Duration) -> Self {
        self.slow.push((which, by));
        self
    }

    /// Breaks some answers. The first rule that applies to a request counts.
    pub(crate) fn fault(mut self, which: Which, fault: Fault) -> Self {
        self.faults.push((which, fault));
        self
    }

    /// A request that comes sooner than this after the last answer gets 429.
    pub(crate) fn min_gap(self, min_gap: Duration) -> Self {
        Self { min_gap, ..self }
    }

    /// Nothing listens on its address: connections are refused.
    pub(crate) fn refusing(self) -> Self {
        Self { listens: false, ..self }
    }

    /// Its name has no address.
    pub(crate) fn unknown(self) -> Self {
        Self { known: false, listens: false, ..self }
    }
}

/// A host and its place.
pub(super) struct Placed {
    pub(super) name: Arc<str>,
    pub(super) address: Ipv4Addr,
    pub(super) settings: Host,
}

/// All that is decided before the first request.
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) hosts: Vec<Placed>,
    pub(super) port: u16,
}

/// What is known of a request when its answer is decided.
pub(super) struct Asked<'a> {
    pub(super) host: usize,
    pub(super) path: &'a str,
    pub(super) attempt: u32,
    pub(super) number: u64,
    /// Since the end of the host's last answer.
    pub(super) gap: Option<Duration>,
}

impl Plan {
    /// The place of a host in the list.
    pub(super) fn index(&self, name: &str) -> usize {
        let place = self.hosts.iter().position(|host| &*host.name == name);
        place.expect("only hosts that were planned are asked about")
    }

    /// The response to a request that is for another host or is not a GET.
    pub(super) fn refusal(&self, host: usize, request: &Request) -> Option<Fault> {
        let host_field = request.header("host").unwrap_or_default();
        let name = host_field.rsplit_once(':').map_or(host_field, |(name, _)| name);
        if request.method() != "GET" {
            Some(Fault::status(405))
        } else if name != &*self.hosts[host].name {
            Some(Fault::status(421))
        } else {
            None
        }
    }

    /// The delay of the response.
    pub(super) fn delay(&self, asked: &Asked<'_>) -> Duration {
        let Asked { host, path, attempt, number, .. } = *asked;
        let settings = &self.hosts[host].settings;
        let drawn = self.draw((host, path, attempt, "jitter"));
        let slow = settings.slow.iter().enumerate().filter(|(rule, (which, _))| {
            self.applies(which, (host, path, attempt), Some(number), ("slow", *rule))
        });
        let slow: Duration = slow.map(|(_, (_, by))| *by).sum();
        settings.latency + settings.jitter.mul_f64(drawn) + slow
    }

    /// What is wrong with the answer.
    pub(super) fn answer(&self, asked: &Asked<'_>) -> Option<Fault> {
        let Asked { host, path, attempt, number, gap } = *asked;
        let early = gap.is_some_and(|gap| gap < self.hosts[host].settings.min_gap);
        let fault = self.fault(host, path, attempt, Some(number));
        fault.or(early.then_some(Fault::status(429)))
    }

    /// The fault of the first rule that applies.
    pub(super) fn fault(
        &self,
        host: usize,
        path: &str,
        attempt: u32,
        number: Option<u64>,
    ) -> Option<Fault> {
        let rules = self.hosts[host].settings.faults.iter().enumerate();
        let mut applying = rules.filter(|(rule, (which, _))| {
            self.applies(which, (host, path, attempt), number, ("fault", *rule))
        });
        applying.next().map(|(_, (_, fault))| *fault)
    }

    fn applies(
        &self,
        which: &Which,
        (host, path, attempt): (usize, &str, u32),
        number: Option<u64>,
        rule: (&str, usize),
    ) -> bool {
        match which {
            Which::Every => true,
            Which::Numbered(numbers) => number.is_some_and(|number| numbers.contains(&number)),
            Which::Path { path: named, times } => path == *named && attempt < *times,
            Which::Pages { share, times } => {
                let page = site::number(path).is_some();
                page && attempt < *times && self.draw((host, path, rule)) < *share
            }
            Which::Requests { share } => {
                let page = site::number(path).is_some();
                page && self.draw((host, path, attempt, rule)) < *share
            }
        }
    }

    /// The robots.txt of a host that has one.
    pub(super) fn robots(&self, host: usize) -> Option<&str> {
        match &self.hosts[host].settings.robots {
            Robots::Missing => None,
            Robots::Text(text) => Some(text),
        }
    }

    /// A number from 0 to 1 that follows from the seed and `what`.
    fn draw(&self, what: impl Hash) -> f64 {
        let mut hash = Xxh3::with_seed(self.seed);
        what.hash(&mut hash);
        let high = u32::try_from(hash.finish() >> 32).unwrap_or_default();
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }
}
