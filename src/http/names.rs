//! Names to addresses: a cache with negative entries, and single flight, over a [`Resolve`].
//!
//! The default, `getaddrinfo`, reports no time to live and cannot be interrupted. So the time to live
//! is a setting, and lookups run on threads of their own, so that a caller can stop waiting. All
//! callers that need one name at the same time share one lookup, and only its end wakes them.
//!
//! `Cache::get_or_load` does not fit: it loads on the caller's thread, where neither a deadline nor a
//! token could end the lookup. So lookups are tracked here, and the cache holds their results.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::cache::{Cache, InsertOptions};
use crate::cancel::CancelToken;
use crate::cancel::wait::{WaitError, Waitable};
use crate::time::SharedClock;

use super::resolve::Resolve;
use super::stats::Counters;

/// Most lookups, and so threads, at once.
const MAX_LOOKUPS: usize = 16;
/// Addresses of a name that are used.
const MAX_ADDRESSES: usize = 16;

/// How many names are kept, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping {
    /// 0: none.
    pub(super) names: usize,
    /// Zero: none.
    pub(super) ttl: Duration,
    /// For failures; at most `ttl`.
    pub(super) negative_ttl: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { names: 10_000, ttl: Duration::from_mins(1), negative_ttl: Duration::from_secs(10) }
    }
}

/// Why a name has no addresses.
#[derive(Debug)]
pub(super) enum ResolveError {
    Failed(io::Error),
    TimedOut,
    Cancelled,
}

pub(super) type Name = Arc<str>;
/// Addresses, or the kind and text of an error.
pub(super) type Answer = Result<Arc<[IpAddr]>, (io::ErrorKind, Arc<str>)>;

/// A caching resolver.
#[derive(Debug)]
pub(super) struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    source: Arc<dyn Resolve>,
    known: Option<Cache<Name, Answer>>,
    lookups: Mutex<Lookups>,
    keeping: Keeping,
    counters: Arc<Counters>,
}

/// The lookups that have not ended.
#[derive(Default)]
struct Lookups {
    under_way: HashMap<Name, Pending>,
    /// Those without a thread. Each has a waiter.
    line: VecDeque<Name>,
    threads: usize,
}

struct Pending {
    lookup: Arc<Lookup>,
    waiters: usize,
}

/// One lookup, as its waiters see it.
struct Lookup {
    name: Name,
    answer: Waitable<Option<Answer>>,
}

/// What is known of a name: its addresses, or a lookup to wait for.
enum Reply {
    Known(Answer),
    Wait(Arc<Lookup>),
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("keeping", &self.keeping).finish_non_exhaustive()
    }
}

impl Resolver {
    pub(super) fn new(
        source: Arc<dyn Resolve>,
        clock: SharedClock,
        keeping: Keeping,
        counters: Arc<Counters>,
    ) -> Self {
        let holds = keeping.names > 0 && !keeping.ttl.is_zero();
        let known = holds.then(|| {
            let builder = Cache::builder().capacity(keeping.names as u64).ttl(keeping.ttl);
            builder.clock(clock).build().expect("invariant: the options go together")
        });
        let lookups = Mutex::default();
        Self { inner: Arc::new(Inner { source, known, lookups, keeping, counters }) }
    }

    /// The addresses of `host`, at least one, from the cache if they are fresh.
    pub(super) fn resolve(
        &self,
        host: &str,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<Arc<[IpAddr]>, ResolveError> {
        let inner = &self.inner;
        let lookup = match Inner::ask(inner, host).map_err(ResolveError::Failed)? {
            Reply::Known(answer) => {
                Counters::add(&inner.counters.dns_hits, 1);
                return told(answer);
            }
            Reply::Wait(lookup) => lookup,
        };
        Counters::add(&inner.counters.dns_misses, 1);
        let result = lookup.wait(deadline, cancel);
        if result.is_err() {
            inner.leave(&lookup);
        }
        result.and_then(told)
    }

    /// The cache of names; `None` if it is off.
    pub(super) fn cache(&self) -> Option<&Cache<Name, Answer>> {
        self.inner.known.as_ref()
    }
}

fn told(answer: Answer) -> Result<Arc<[IpAddr]>, ResolveError> {
    answer.map_err(|(kind, reason)| ResolveError::Failed(io::Error::new(kind, reason.to_string())))
}

impl Lookup {
    fn wait(&self, deadline: Instant, cancel: &CancelToken) -> Result<Answer, ResolveError> {
        self.answer.wait(deadline, cancel, |answer| answer.clone()).map_err(|error| match error {
            WaitError::TimedOut => ResolveError::TimedOut,
            WaitError::Cancelled => ResolveError::Cancelled,
        })
    }
}

impl Inner {
    /// What is known of `host`, or the lookup to wait for, which is started if there is none. The
    /// cache is read under the lock of the lookups. As a lookup is removed from them only after its
    /// answer is in the cache, no name is looked up twice at a time.
    fn ask(this: &Arc<Self>, host: &str) -> io::Result<Reply> {
        let mut lookups = this.lookups.lock();
        if let Some(answer) = this.known.as_ref().and_then(|known| known.get(host)) {
            return Ok(Reply::Known(answer));
        }
        if let Some(pending) = lookups.under_way.get_mut(host) {
            pending.waiters += 1;
            return Ok(Reply::Wait(Arc::clone(&pending.lookup)));
        }
        let name: Name = host.into();
        let answer = Waitable::new(None);
        let lookup = Arc::new(Lookup { name: Arc::clone(&name), answer });
        if lookups.threads < MAX_LOOKUPS {
            let (inner, first) = (Arc::clone(this), Arc::clone(&lookup));
            let thread = std::thread::Builder::new().name("gristmill-resolve".into());
            thread.spawn(move || inner.serve(first))?;
            lookups.threads += 1;
        } else {
            lookups.line.push_back(Arc::clone(&name));
        }
        lookups.under_way.insert(name, Pending { lookup: Arc::clone(&lookup), waiters: 1 });
        Ok(Reply::Wait(lookup))
    }

    /// Removes a waiter, and with the last one a lookup that has not started.
    fn leave(&self, lookup: &Arc<Lookup>) {
        let mut lookups = self.lookups.lock();
        let Some(pending) = lookups.under_way.get_mut(&lookup.name) else { return };
        if !Arc::ptr_eq(&pending.lookup, lookup) {
            return;
        }
        pending.waiters -= 1;
        if pending.waiters > 0 {
            return;
        }
        if let Some(at) = lookups.line.iter().position(|name| *name == lookup.name) {
            lookups.line.remove(at);
            lookups.under_way.remove(&lookup.name);
        }
    }

    /// Looks up names until no one is waited for.
    fn serve(&self, first: Arc<Lookup>) {
        let mut next = Some(first);
        while let Some(lookup) = next {
            // Without an answer, a panic in the resolver would leave its waiters to their deadlines.
            let found = catch_unwind(AssertUnwindSafe(|| self.source.resolve(&lookup.name)));
            let panicked = |_| Err(io::Error::other("the resolver panicked"));
            next = self.finish(&lookup, found.unwrap_or_else(panicked));
        }
    }

    /// Hands the answer to its waiters, and returns the next lookup.
    fn finish(&self, lookup: &Lookup, found: io::Result<Vec<IpAddr>>) -> Option<Arc<Lookup>> {
        let answer: Answer = match found {
            Ok(addresses) if addresses.is_empty() => {
                Err((io::ErrorKind::NotFound, "the name has no address".into()))
            }
            Ok(mut addresses) => {
                addresses.truncate(MAX_ADDRESSES);
                Ok(addresses.into())
            }
            Err(error) => Err((error.kind(), error.to_string().into())),
        };
        self.keep(&lookup.name, &answer);
        let next = {
            let mut lookups = self.lookups.lock();
            lookups.under_way.remove(&lookup.name);
            let next = lookups.line.pop_front();
            let next = next.and_then(|name| lookups.under_way.get(&name));
            let next = next.map(|pending| Arc::clone(&pending.lookup));
            lookups.threads -= usize::from(next.is_none());
            next
        };
        lookup.answer.update(|slot| *slot = Some(answer));
        next
    }

    fn keep(&self, name: &Name, answer: &Answer) {
        let Some(known) = &self.known else { return };
        let Keeping { ttl, negative_ttl, .. } = self.keeping;
        let ttl = if answer.is_ok() { ttl } else { ttl.min(negative_ttl) };
        if !ttl.is_zero() {
            let options = InsertOptions { ttl: Some(ttl), ..InsertOptions::default() };
            known.insert_with(Arc::clone(name), answer.clone(), options);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use crate::time::{ManualClock, Timestamp};

    use super::*;

    /// Answers names that begin with "up" with one address and fails the rest; each lookup waits for
    /// a message if gated.
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
                "broken" => panic!("the source of names is broken"),
                _ if host.starts_with("up") => Ok(vec!["192.0.2.1".parse().unwrap()]),
                _ => Err(io::Error::other("no such name")),
            }
        }
    }

    struct Bench {
        resolver: Resolver,
        clock: Arc<ManualClock>,
        asked: Arc<AtomicUsize>,
    }

    impl Bench {
        fn new(keeping: Keeping) -> Self {
            Self::with(Table::default(), keeping)
        }

        fn gated() -> (mpsc::Sender<()>, Self) {
            let (open, gate) = mpsc::channel();
            let table = Table { gate: Some(Mutex::new(gate)), ..Table::default() };
            (open, Self::with(table, Keeping::default()))
        }

        fn with(table: Table, keeping: Keeping) -> Self {
            let (clock, asked) = (ManualClock::new(Timestamp(0)), Arc::clone(&table.asked));
            let (source, counters) = (Arc::new(table), Arc::new(Counters::default()));
            let resolver = Resolver::new(source, clock.clone(), keeping, counters);
            Self { resolver, clock, asked }
        }

        fn ask(&self, host: &str) -> Result<Arc<[IpAddr]>, ResolveError> {
            self.resolver.resolve(host, soon(), &CancelToken::new())
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[test]
    fn answers_and_failures_are_kept_for_their_time() {
        let keeping = Keeping::default();
        let bench = Bench::new(keeping);
        for _ in 0..3 {
            assert_eq!(bench.ask("up").unwrap().len(), 1);
            assert!(matches!(bench.ask("down"), Err(ResolveError::Failed(_))));
        }
        assert_eq!(bench.asked(), 2);
        let stats = bench.resolver.cache().unwrap().stats();
        assert_eq!((stats.hits, stats.misses, stats.entries), (4, 2, 2));
        bench.clock.advance(keeping.negative_ttl);
        bench.ask("up").unwrap();
        bench.ask("down").unwrap_err();
        assert_eq!(bench.asked(), 3);
        bench.clock.advance(keeping.ttl);
        bench.ask("up").unwrap();
        assert_eq!(bench.asked(), 4);
    }

    #[test]
    fn one_lookup_serves_all_and_no_waiter_is_held() {
        let (open, bench) = Bench::gated();
        // The lookup is held, so only a passed deadline or a cancelled token ends a wait.
        let late = bench.resolver.resolve("up", Instant::now(), &CancelToken::new());
        assert!(matches!(late, Err(ResolveError::TimedOut)));
        let gone = CancelToken::new();
        std::thread::scope(|scope| {
            let cancelled = scope.spawn(|| bench.resolver.resolve("up", soon(), &gone));
            gone.cancel();
            assert!(matches!(cancelled.join().unwrap(), Err(ResolveError::Cancelled)));
            let waiters: Vec<_> = (0..8).map(|_| scope.spawn(|| bench.ask("up"))).collect();
            open.send(()).unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap().unwrap().len(), 1);
            }
        });
        assert_eq!(bench.asked(), 1);
    }

    #[test]
    fn names_beyond_the_threads_wait_in_line_and_leave_it_with_their_last_waiter() {
        let (open, bench) = Bench::gated();
        let give_up = |host: &str| {
            let late = bench.resolver.resolve(host, Instant::now(), &CancelToken::new());
            assert!(matches!(late, Err(ResolveError::TimedOut)));
        };
        (0..MAX_LOOKUPS).for_each(|n| give_up(&format!("up{n}")));
        // All threads are held, so these are queued; the second has no waiter any more.
        let reply = Inner::ask(&bench.resolver.inner, "up-next").unwrap();
        let Reply::Wait(next) = reply else { panic!("it is known") };
        give_up("up-abandoned");
        let line = || bench.resolver.inner.lookups.lock().line.clone();
        assert_eq!(line(), ["up-next".into()]);
        (0..=MAX_LOOKUPS).for_each(|_| open.send(()).unwrap());
        assert!(next.wait(soon(), &CancelToken::new()).unwrap().is_ok());
        assert!(line().is_empty());
    }

    #[test]
    fn a_source_that_panics_fails_the_name_and_holds_nobody() {
        let bench = Bench::new(Keeping::default());
        for _ in 0..2 {
            let failed = bench.ask("broken");
            assert!(matches!(failed, Err(ResolveError::Failed(_))), "{failed:?}");
        }
    }

    #[test]
    fn without_a_time_to_live_or_room_who_waited_still_gets_the_answer() {
        let without_time = Keeping { ttl: Duration::ZERO, ..Keeping::default() };
        for keeping in [without_time, Keeping { names: 0, ..Keeping::default() }] {
            let bench = Bench::new(keeping);
            for _ in 0..2 {
                bench.ask("up").unwrap();
                bench.clock.advance(Duration::from_millis(1));
            }
            assert_eq!(bench.asked(), 2);
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let bench = Bench::new(Keeping { names: 3, ..Keeping::default() });
        for n in 0..10 {
            bench.ask(&format!("up{n}")).unwrap();
        }
        assert_eq!(bench.resolver.cache().unwrap().stats().entries, 3);
    }
}
