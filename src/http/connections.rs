//! The connections to each origin: how many there may be, and which are idle.
//!
//! An origin is a scheme, host and port. One mutex guards the table; no connection is opened,
//! probed, closed or waited for under it. A [`Permit`] is the right to one connection. Its connection
//! is closed before the permit is passed on, so the client never exceeds its limit for an origin.
//!
//! A freed connection or permit is handed to the first waiter of its origin, so none is overtaken.
//! Both the hand-over and a waiter's leaving take the table's lock: a waiter that has given up and is
//! not in the queue any more was handed a checkout, and passes it on.
//!
//! ```text
//!            acquire                    give_back
//!  (none) ───────────▶ in use ─────────────────────▶ idle
//!     ▲                  │  ▲                          │
//!     └──────────────────┘  └──────── acquire ─────────┤
//!        permit dropped                                │ too many, too old, dead
//!     ◀────────────────────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ureq::unversioned::transport::Transport;

use crate::cancel::CancelToken;
use crate::cancel::wait::{WaitError, Waitable};
use crate::time::SharedClock;

use super::transport::Wire;

/// `scheme://host:port`.
pub(super) type Origin = Arc<str>;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) transport: Box<dyn Transport>,
    pub(super) wire: Arc<Wire>,
}

/// A permit, and a connection if one was idle.
#[derive(Debug)]
pub(super) struct Checkout {
    pub(super) permit: Permit,
    pub(super) idle: Option<Connection>,
}

/// Limits of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) per_origin: usize,
    pub(super) max_idle: usize,
    pub(super) max_idle_age: Duration,
}

/// The table.
#[derive(Debug)]
pub(super) struct Connections {
    table: Mutex<Table>,
    limits: Limits,
    clock: SharedClock,
}

#[derive(Default)]
struct Table {
    slots: HashMap<Origin, Slot>,
    /// By when they became idle.
    idle: BTreeMap<u64, Idle>,
    next_idle: u64,
    next_arrival: u64,
    /// Permits in use and idle connections.
    live: usize,
}

#[derive(Default)]
struct Slot {
    /// Permits in use and idle connections of this origin.
    live: usize,
    /// Keys of its idle connections, the newest last.
    idle: Vec<u64>,
    /// By arrival. While there is one, no connection is idle and no permit is free.
    waiting: BTreeMap<u64, Waiter>,
}

/// Filled when its turn comes.
type Waiter = Waitable<Option<Checkout>>;

struct Idle {
    origin: Origin,
    since: Duration,
    connection: Connection,
}

impl Connections {
    pub(super) fn new(limits: Limits, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), limits, clock })
    }

    /// The numbers of open connections and of idle ones among them.
    pub(super) fn count(&self) -> (usize, usize) {
        let table = self.table.lock();
        (table.live, table.idle.len())
    }

    /// Waits until `origin` has an idle connection or room for a new one.
    pub(super) fn acquire(
        self: &Arc<Self>,
        origin: &Origin,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<Checkout, WaitError> {
        let (waiter, arrival) = {
            let mut table = self.table.lock();
            if let Some(checkout) = self.try_take(&mut table, origin) {
                drop(table);
                return Ok(Self::checked(checkout));
            }
            let (waiter, arrival) = (Waiter::new(None), table.next_arrival);
            table.next_arrival += 1;
            let slot = table.slots.entry(Arc::clone(origin)).or_default();
            slot.waiting.insert(arrival, waiter.clone());
            (waiter, arrival)
        };
        let checkout = waiter.wait(deadline, cancel, Option::take);
        checkout.map(Self::checked).inspect_err(|_| self.leave(origin, arrival, &waiter))
    }

    fn try_take(self: &Arc<Self>, table: &mut Table, origin: &Origin) -> Option<Checkout> {
        let slot = table.slots.entry(Arc::clone(origin)).or_default();
        let permit = || Permit { connections: Some(Arc::clone(self)), origin: Arc::clone(origin) };
        if let Some(key) = slot.idle.pop() {
            let idle = table.idle.remove(&key);
            return Some(Checkout { permit: permit(), idle: idle.map(|idle| idle.connection) });
        }
        if slot.live >= self.limits.per_origin {
            return None;
        }
        slot.live += 1;
        table.live += 1;
        Some(Checkout { permit: permit(), idle: None })
    }

    /// Removes a waiter that has given up from the queue, or passes on what it was handed meanwhile.
    fn leave(&self, origin: &Origin, arrival: u64, waiter: &Waiter) {
        let handed = {
            let mut table = self.table.lock();
            if let Some(slot) = table.slots.get_mut(origin) {
                slot.waiting.remove(&arrival);
            }
            table.forget_unused(origin);
            waiter.update(Option::take)
        };
        let Some(Checkout { permit, idle }) = handed else { return };
        match idle {
            Some(connection) => Self::give_back(permit, connection),
            None => drop(permit),
        }
    }

    /// Closes the idle connection of `checkout` if its server has closed it or sent unrequested bytes.
    fn checked(mut checkout: Checkout) -> Checkout {
        if let Some(connection) = &mut checkout.idle
            && !connection.transport.is_open()
        {
            checkout.idle = None;
        }
        checkout
    }

    /// Hands `connection` to the first waiter of its origin, or keeps it as idle.
    pub(super) fn give_back(mut permit: Permit, connection: Connection) {
        let Some(this) = permit.connections.take() else { return };
        let origin = Arc::clone(&permit.origin);
        let now = this.clock.monotonic();
        let mut table = this.table.lock();
        if let Some(waiter) = table.next_waiter(&origin) {
            permit.connections = Some(Arc::clone(&this));
            waiter.update(|checkout| *checkout = Some(Checkout { permit, idle: Some(connection) }));
            return;
        }
        let key = table.next_idle;
        table.next_idle += 1;
        if let Some(slot) = table.slots.get_mut(&origin) {
            slot.idle.push(key);
        }
        table.idle.insert(key, Idle { origin, since: now, connection });
        let surplus = table.evict(this.limits, now);
        drop(table);
        // Closing may block, so it is done outside the lock.
        drop(surplus);
    }
}

impl Table {
    /// Removes connections that were idle for too long, and the longest idle of too many.
    fn evict(&mut self, limits: Limits, now: Duration) -> Vec<Connection> {
        let mut evicted = Vec::new();
        while let Some(first) = self.idle.first_entry() {
            let age = now.saturating_sub(first.get().since);
            if age < limits.max_idle_age && self.idle.len() <= limits.max_idle {
                break;
            }
            let Some((key, idle)) = self.idle.pop_first() else { break };
            if let Some(slot) = self.slots.get_mut(&idle.origin) {
                slot.idle.retain(|known| *known != key);
            }
            self.release(&idle.origin);
            evicted.push(idle.connection);
        }
        evicted
    }

    fn next_waiter(&mut self, origin: &Origin) -> Option<Waiter> {
        self.slots.get_mut(origin)?.waiting.pop_first().map(|(_, waiter)| waiter)
    }

    /// Uncounts a permit or an idle connection.
    fn release(&mut self, origin: &Origin) {
        self.live -= 1;
        if let Some(slot) = self.slots.get_mut(origin) {
            slot.live -= 1;
        }
        self.forget_unused(origin);
    }

    fn forget_unused(&mut self, origin: &Origin) {
        if self.slots.get(origin).is_some_and(|slot| slot.live == 0 && slot.waiting.is_empty()) {
            self.slots.remove(origin);
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = self.idle.len();
        f.debug_struct("Table")
            .field("live", &self.live)
            .field("idle", &idle)
            .finish_non_exhaustive()
    }
}

/// The right to one connection to an origin; dropping it passes it on.
#[derive(Debug)]
pub(super) struct Permit {
    connections: Option<Arc<Connections>>,
    origin: Origin,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(connections) = self.connections.take() else { return };
        let mut table = connections.table.lock();
        match table.next_waiter(&self.origin) {
            Some(waiter) => {
                let origin = Arc::clone(&self.origin);
                let permit = Self { connections: Some(Arc::clone(&connections)), origin };
                waiter.update(|checkout| *checkout = Some(Checkout { permit, idle: None }));
            }
            None => table.release(&self.origin),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use ureq::unversioned::transport::{Buffers, NextTimeout};

    use super::*;
    use crate::time::SystemClock;

    const LONG: Duration = Duration::from_secs(20);

    fn connections() -> (Arc<Connections>, Origin) {
        let limits = Limits { per_origin: 1, max_idle: 8, max_idle_age: LONG };
        (Connections::new(limits, SystemClock::shared()), "http://example.com:80".into())
    }

    fn later() -> Instant {
        Instant::now() + LONG
    }

    impl Connections {
        /// Returns once `count` callers wait for `origin`.
        fn wait_for_waiting(&self, origin: &Origin, count: usize) {
            let end = later();
            while self.table.lock().slots.get(origin).map_or(0, |slot| slot.waiting.len()) != count
            {
                assert!(Instant::now() < end, "nobody came to wait");
                thread::park_timeout(Duration::from_millis(1));
            }
        }
    }

    #[test]
    fn a_permit_goes_to_the_first_waiter_and_nobody_overtakes_it() {
        let (connections, origin) = connections();
        let token = CancelToken::new();
        let held = connections.acquire(&origin, Instant::now(), &token).unwrap();
        let (sender, order) = mpsc::channel();
        thread::scope(|scope| {
            for number in 0..3 {
                let (connections, origin, token) = (&connections, &origin, &token);
                let sender = sender.clone();
                scope.spawn(move || {
                    let checkout = connections.acquire(origin, later(), token).unwrap();
                    sender.send(number).unwrap();
                    drop(checkout);
                });
                connections.wait_for_waiting(origin, number + 1);
            }
            drop(held);
            assert_eq!((0..3).map(|_| order.recv().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
        });
        assert_eq!(connections.count(), (0, 0));
        assert!(connections.table.lock().slots.is_empty());
    }

    #[test]
    fn a_waiter_that_gives_up_leaves_nothing_behind() {
        let (connections, origin) = connections();
        let token = CancelToken::new();
        let held = connections.acquire(&origin, Instant::now(), &token).unwrap();
        let late = connections.acquire(&origin, Instant::now(), &token);
        assert_eq!(late.unwrap_err(), WaitError::TimedOut);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| connections.acquire(&origin, later(), &token));
            connections.wait_for_waiting(&origin, 1);
            token.cancel();
            assert_eq!(waiter.join().unwrap().unwrap_err(), WaitError::Cancelled);
        });
        connections.wait_for_waiting(&origin, 0);
        drop(held);
        assert_eq!(connections.count(), (0, 0));
        assert!(connections.table.lock().slots.is_empty());
    }

    /// A checkout that is handed to a waiter at the moment at which that gives up.
    fn abandon(idle: Option<Connection>) -> (Arc<Connections>, Origin) {
        let (connections, origin) = connections();
        let Checkout { permit, .. } =
            connections.acquire(&origin, Instant::now(), &CancelToken::new()).unwrap();
        let waiter = Waiter::new(Some(Checkout { permit, idle }));
        connections.leave(&origin, 0, &waiter);
        (connections, origin)
    }

    #[test]
    fn what_was_handed_to_a_waiter_that_gave_up_is_passed_on() {
        let (connections, origin) = abandon(None);
        assert_eq!(connections.count(), (0, 0));
        assert!(connections.acquire(&origin, Instant::now(), &CancelToken::new()).is_ok());

        let wire = Wire::loopback();
        let connection = Connection { transport: Box::new(Open), wire };
        let (connections, origin) = abandon(Some(connection));
        assert_eq!(connections.count(), (1, 1));
        let checkout = connections.acquire(&origin, Instant::now(), &CancelToken::new()).unwrap();
        assert!(checkout.idle.is_some());
    }

    #[test]
    fn cancellations_and_hand_overs_at_once_lose_no_permit() {
        let (connections, origin) = connections();
        for _ in 0..500 {
            let (gone, patient) = (CancelToken::new(), CancelToken::new());
            let held = connections.acquire(&origin, later(), &patient).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| connections.acquire(&origin, later(), &gone).map(drop));
                let waits =
                    scope.spawn(|| connections.acquire(&origin, later(), &patient).map(drop));
                scope.spawn(|| gone.cancel());
                drop(held);
                assert_eq!(waits.join().unwrap(), Ok(()));
            });
            assert_eq!(connections.count(), (0, 0));
        }
    }

    /// A connection that nothing goes through.
    #[derive(Debug)]
    struct Open;

    impl Transport for Open {
        fn buffers(&mut self) -> &mut dyn Buffers {
            unreachable!("nothing is read")
        }

        fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), ureq::Error> {
            unreachable!("nothing is written")
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
            unreachable!("nothing is read")
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }
}
