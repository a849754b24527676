//! What was asked and answered, and what follows from it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The whole answer was handed to the socket.
    Sent(u16),
    /// Part of the body was, then the connection was closed.
    Cut,
    /// Part of the body was, and then nothing more until the client left or the server stopped.
    Stalled,
    /// The connection was closed without an answer.
    Closed,
    /// The connection was reset without an answer.
    Reset,
    /// None: the client left, or the server stopped, before it was due.
    None,
}

/// One exchange. Times count from the start of the server.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// Whose it was.
    pub(crate) host: Arc<str>,
    /// Where that listens.
    pub(crate) address: Ipv4Addr,
    /// Path and query as sent.
    pub(crate) path: String,
    /// Requests for this path of this host before it.
    pub(crate) attempt: u32,
    /// Requests of this host before it.
    pub(crate) number: u64,
    /// Number of the connection, from 1, over all hosts.
    pub(crate) connection: u64,
    /// After the header of the request was read.
    pub(crate) started: Duration,
    /// Before the last byte of the answer was handed to the socket: the client did not have it
    /// earlier. Where no byte was sent, when the connection was closed; where the answer stalled,
    /// before the last byte that was sent.
    pub(crate) ended: Duration,
    /// When it no longer counted as under way: later than `ended` where the answer stalled.
    pub(crate) over: Duration,
    /// How.
    pub(crate) answer: Answer,
}

impl Exchange {
    /// From the request to the end of the answer.
    pub(crate) fn took(&self) -> Duration {
        self.ended.saturating_sub(self.started)
    }
}

/// Exchanges in the order in which they began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    exchanges: Vec<Exchange>,
}

impl Log {
    pub(super) fn new(mut exchanges: Vec<Exchange>) -> Self {
        exchanges.sort_by_key(|exchange| exchange.started);
        Self { exchanges }
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Exchange] {
        &self.exchanges
    }

    /// Those of one host.
    pub(crate) fn of<'a>(&'a self, host: &str) -> impl Iterator<Item = &'a Exchange> {
        self.exchanges.iter().filter(move |exchange| &*exchange.host == host)
    }

    /// Those of each host that was asked.
    pub(crate) fn by_host(&self) -> BTreeMap<&str, Vec<&Exchange>> {
        let mut hosts: BTreeMap<&str, Vec<&Exchange>> = BTreeMap::new();
        for exchange in &self.exchanges {
            hosts.entry(&exchange.host).or_default().push(exchange);
        }
        hosts
    }

    /// How often a path of a host was asked for.
    pub(crate) fn hits(&self, host: &str, path: &str) -> usize {
        self.of(host).filter(|exchange| exchange.path == path).count()
    }

    /// For each exchange of a host but the first: the time from the end of all before it to its
    /// start, zero where one of those was still under way.
    pub(crate) fn gaps<'a>(&'a self, host: &str) -> impl Iterator<Item = (Duration, &'a Exchange)> {
        let mut quiet_since = None;
        self.of(host).filter_map(move |exchange| {
            let before = quiet_since.replace(exchange.ended.max(quiet_since.unwrap_or_default()));
            Some((exchange.started.saturating_sub(before?), exchange))
        })
    }

    /// The smallest of the gaps.
    pub(crate) fn smallest_gap(&self, host: &str) -> Option<Duration> {
        self.gaps(host).map(|(gap, _)| gap).min()
    }

    /// Most exchanges of a host under way at one time.
    pub(crate) fn peak(&self, host: &str) -> usize {
        peak(self.of(host))
    }

    /// Most exchanges under way at one time, over all hosts.
    pub(crate) fn total_peak(&self) -> usize {
        peak(self.exchanges.iter())
    }

    /// When the exchange ended after which this share of all had ended.
    pub(crate) fn ended_by(&self, percent: usize) -> Duration {
        let mut ends: Vec<_> = self.exchanges.iter().map(|exchange| exchange.ended).collect();
        ends.sort_unstable();
        let place = (ends.len() * percent / 100).min(ends.len().saturating_sub(1));
        ends.get(place).copied().unwrap_or_default()
    }
}

fn peak<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> usize {
    let mut changes = Vec::new();
    for exchange in exchanges {
        changes.extend([(exchange.started, true), (exchange.over, false)]);
    }
    // At one moment, what ends counts before what begins.
    changes.sort_unstable();
    let (mut now, mut most) = (0_isize, 0);
    for (_, begins) in changes {
        now += if begins { 1 } else { -1 };
        most = most.max(now);
    }
    most.unsigned_abs()
}
