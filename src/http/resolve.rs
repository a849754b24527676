//! Names to addresses: a bounded cache with negative entries and single flight over a [`Resolve`].
//!
//! The default, `getaddrinfo`, neither tells a time to live nor ends at a deadline. So the time to
//! live is a setting, and each look-up runs on a thread of its own; who asked waits for its answer
//! no longer than it wants to. All who ask for one name at the same time share one look-up.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::cancel::CancelToken;
use crate::time::SharedClock;

use super::stats::Counters;

/// Most names kept.
const MAX_NAMES: usize = 10_000;
/// Most look-ups, and so threads, at once.
const MAX_LOOKUPS: usize = 16;
/// Most addresses kept of a name.
const MAX_ADDRESSES: usize = 16;
/// The longest time for which a failure is remembered.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(10);

/// Where the addresses of names come from: the seam to the world's directories of names.
///
/// The client caches what it is told for its `dns_ttl`, failures for at most ten seconds, and asks
/// for each name once at a time. Every address is then judged by the client's
/// [`AddressPolicy`](super::AddressPolicy), whoever named it. Hosts that are written as addresses
/// are not looked up.
///
/// ```
/// use std::io;
/// use std::net::IpAddr;
/// use std::sync::Arc;
///
/// use gristmill::http::{Client, Resolve, SystemResolver};
///
/// /// One name by hand, all others by the system.
/// #[derive(Debug)]
/// struct Pinned;
///
/// impl Resolve for Pinned {
///     fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
///         match host {
///             "staging.example.com" => Ok(vec![IpAddr::from([203, 0, 113, 7])]),
///             other => SystemResolver.resolve(other),
///         }
///     }
/// }
///
/// # fn main() -> Result<(), gristmill::http::HttpError> {
/// let client = Client::builder().resolver(Arc::new(Pinned)).build()?;
/// # Ok(())
/// # }
/// ```
pub trait Resolve: Send + Sync + fmt::Debug {
    /// All addresses of `host`, the preferred ones first; the first 16 are used. No address, an
    /// error and a panic all mean that the name does not resolve now.
    ///
    /// `host` is a domain name as URLs hold it: ASCII in lower case, international names in
    /// Punycode, with a final dot if the URL has one.
    ///
    /// It may block: it is called on threads of the client's own, at most 16 at a time, and no
    /// exchange waits for it beyond its own deadline. It cannot be cancelled, so it should end at a
    /// deadline of its own.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver (`getaddrinfo`): the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        (host, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum ResolveError {
    Failed(io::Error),
    TimedOut,
    Cancelled,
}

/// A caching resolver.
#[derive(Debug)]
pub(super) struct Resolver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Arc<dyn Resolve>,
    names: Mutex<Names>,
    /// Signalled when a look-up ends, and when a waiter is cancelled.
    ended: Condvar,
    clock: SharedClock,
    ttl: Duration,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Names {
    known: HashMap<String, Known>,
    /// Names being looked up.
    running: HashSet<String>,
}

#[derive(Debug)]
struct Known {
    answer: Result<Arc<[IpAddr]>, (io::ErrorKind, String)>,
    at: Duration,
    expires: Duration,
}

impl Resolver {
    pub(super) fn new(
        source: Arc<dyn Resolve>,
        clock: SharedClock,
        ttl: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        let (names, ended) = (Mutex::default(), Condvar::new());
        Self { inner: Arc::new(Inner { source, names, ended, clock, ttl, counters }) }
    }

    /// The addresses of `host`, at least one; from the cache while they are fresh.
    pub(super) fn resolve(
        &self,
        host: &str,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<Arc<[IpAddr]>, ResolveError> {
        let inner = &self.inner;
        let asked_at = inner.clock.monotonic();
        if let Some(answer) = inner.names.lock().fresh(host, asked_at, None) {
            Counters::add(&inner.counters.dns_hits, 1);
            return answer;
        }
        Counters::add(&inner.counters.dns_misses, 1);
        let waker = Arc::clone(inner);
        let _wake_on_cancel = cancel.on_cancel(move || {
            // Taken so that the waiter is either before its check of the token or in its wait.
            drop(waker.names.lock());
            waker.ended.notify_all();
        });
        let mut names = inner.names.lock();
        loop {
            if cancel.is_cancelled() {
                return Err(ResolveError::Cancelled);
            }
            if let Some(answer) = names.fresh(host, inner.clock.monotonic(), Some(asked_at)) {
                return answer;
            }
            if !names.running.contains(host) && names.running.len() < MAX_LOOKUPS {
                Inner::start(inner, &mut names, host).map_err(ResolveError::Failed)?;
            }
            if inner.ended.wait_until(&mut names, deadline).timed_out() {
                return Err(ResolveError::TimedOut);
            }
        }
    }
}

impl Inner {
    fn start(this: &Arc<Self>, names: &mut Names, host: &str) -> io::Result<()> {
        let (inner, name) = (Arc::clone(this), host.to_owned());
        std::thread::Builder::new().name("gristmill-resolve".into()).spawn(move || {
            // A name whose look-up never ended would be waited for for ever.
            let found = catch_unwind(AssertUnwindSafe(|| inner.source.resolve(&name)));
            inner.finish(
                name,
                found.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked"))),
            );
        })?;
        names.running.insert(host.to_owned());
        Ok(())
    }

    fn finish(&self, host: String, found: io::Result<Vec<IpAddr>>) {
        let answer = match found {
            Ok(addresses) if addresses.is_empty() => {
                Err((io::ErrorKind::NotFound, "the name has no address".to_owned()))
            }
            Ok(mut addresses) => {
                addresses.truncate(MAX_ADDRESSES);
                Ok(addresses.into())
            }
            Err(error) => Err((error.kind(), error.to_string())),
        };
        let ttl = if answer.is_ok() { self.ttl } else { self.ttl.min(MAX_NEGATIVE_TTL) };
        let at = self.clock.monotonic();
        let mut names = self.names.lock();
        names.running.remove(&host);
        names.make_room(at);
        names.known.insert(host, Known { answer, at, expires: at.saturating_add(ttl) });
        drop(names);
        self.ended.notify_all();
    }
}

impl Names {
    /// The answer for `host`, if it has not expired, or came after one began to wait for it.
    fn fresh(
        &self,
        host: &str,
        now: Duration,
        waiting_since: Option<Duration>,
    ) -> Option<Result<Arc<[IpAddr]>, ResolveError>> {
        let known = self.known.get(host)?;
        let usable = now < known.expires || waiting_since.is_some_and(|since| known.at >= since);
        usable.then(|| match &known.answer {
            Ok(addresses) => Ok(Arc::clone(addresses)),
            Err((kind, reason)) => Err(ResolveError::Failed(io::Error::new(*kind, reason.clone()))),
        })
    }

    /// Drops what expired when the cache is full, or else any one name.
    fn make_room(&mut self, now: Duration) {
        if self.known.len() < MAX_NAMES {
            return;
        }
        self.known.retain(|_, known| now < known.expires);
        if self.known.len() >= MAX_NAMES
            && let Some(victim) = self.known.keys().next().cloned()
        {
            self.known.remove(&victim);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use crate::time::{ManualClock, Timestamp};

    use super::*;

    /// Answers "up" with one address and fails the rest; each look-up waits for a word if gated.
    #[derive(Debug, Default)]
    struct Table {
        asked: Arc<AtomicUsize>,
        gate: Option<Mutex<mpsc::Receiver<()>>>,
    }

    impl Resolve for Table {
        fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if let Some(gate) = &self.gate {
                gate.lock().recv().ok();
            }
            match host {
                "up" => Ok(vec!["192.0.2.1".parse().unwrap()]),
                "broken" => panic!("the source of names is broken"),
                _ => Err(io::Error::other("no such name")),
            }
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[test]
    fn answers_and_failures_are_kept_for_their_time() {
        let clock = ManualClock::new(Timestamp(0));
        let (table, counters) = (Table::default(), Arc::new(Counters::default()));
        let asked = Arc::clone(&table.asked);
        let ttl = Duration::from_mins(1);
        let resolver =
            Resolver::new(Arc::new(table), Arc::clone(&clock) as SharedClock, ttl, counters);
        let token = CancelToken::new();
        for _ in 0..3 {
            assert_eq!(resolver.resolve("up", soon(), &token).unwrap().len(), 1);
            let failed = resolver.resolve("down", soon(), &token);
            assert!(matches!(failed, Err(ResolveError::Failed(_))));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        clock.advance(MAX_NEGATIVE_TTL);
        resolver.resolve("up", soon(), &token).unwrap();
        resolver.resolve("down", soon(), &token).unwrap_err();
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        clock.advance(ttl);
        resolver.resolve("up", soon(), &token).unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn one_lookup_serves_all_and_no_waiter_is_held() {
        let (open, gate) = mpsc::channel();
        let table = Table { gate: Some(Mutex::new(gate)), ..Table::default() };
        let asked = Arc::clone(&table.asked);
        let clock = ManualClock::new(Timestamp(0));
        let (ttl, counters) = (Duration::from_mins(1), Arc::new(Counters::default()));
        let resolver = Resolver::new(Arc::new(table), clock, ttl, counters);
        // The look-up is held, so a passed deadline and a cancelled token are all that end a wait.
        let late = resolver.resolve("up", Instant::now(), &CancelToken::new());
        assert!(matches!(late, Err(ResolveError::TimedOut)));
        let gone = CancelToken::new();
        std::thread::scope(|scope| {
            let cancelled = scope.spawn(|| resolver.resolve("up", soon(), &gone));
            gone.cancel();
            assert!(matches!(cancelled.join().unwrap(), Err(ResolveError::Cancelled)));
            let waiters: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| resolver.resolve("up", soon(), &CancelToken::new())))
                .collect();
            open.send(()).unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap().unwrap().len(), 1);
            }
        });
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_source_that_panics_fails_the_name_and_holds_nobody() {
        let clock = ManualClock::new(Timestamp(0));
        let (ttl, counters) = (Duration::from_mins(1), Arc::new(Counters::default()));
        let resolver = Resolver::new(Arc::new(Table::default()), clock, ttl, counters);
        for _ in 0..2 {
            let failed = resolver.resolve("broken", soon(), &CancelToken::new());
            assert!(matches!(failed, Err(ResolveError::Failed(_))), "{failed:?}");
        }
    }

    #[test]
    fn without_a_time_to_live_who_waited_still_gets_the_answer() {
        let clock = ManualClock::new(Timestamp(0));
        let (table, counters) = (Table::default(), Arc::new(Counters::default()));
        let asked = Arc::clone(&table.asked);
        let resolver = Resolver::new(
            Arc::new(table),
            Arc::clone(&clock) as SharedClock,
            Duration::ZERO,
            counters,
        );
        for _ in 0..2 {
            resolver.resolve("up", soon(), &CancelToken::new()).unwrap();
            clock.advance(Duration::from_millis(1));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut names = Names::default();
        for n in 0..MAX_NAMES + 5 {
            names.make_room(Duration::ZERO);
            let answer = Err((io::ErrorKind::NotFound, String::new()));
            let (at, expires) = (Duration::ZERO, Duration::from_secs(1));
            names.known.insert(n.to_string(), Known { answer, at, expires });
        }
        assert_eq!(names.known.len(), MAX_NAMES);
        names.make_room(Duration::from_secs(1));
        assert!(names.known.is_empty());
    }
}
