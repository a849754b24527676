//! The connections to each origin: how many there may be, and which stand idle.
//!
//! An origin is a scheme, host and port. One mutex guards the table; under it nothing is opened,
//! probed, closed or waited for. A [`Permit`] is the right to one connection; the connection that
//! it was used for is closed before the permit goes to someone else, so the client never holds more
//! connections to an origin than it may.
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

use parking_lot::{Condvar, Mutex, MutexGuard};
use ureq::unversioned::transport::Transport;

use crate::cancel::CancelToken;
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

/// Why no permit was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcquireError {
    TimedOut,
    Cancelled,
}

/// A permit, with the connection it is for if one stood idle.
#[derive(Debug)]
pub(super) struct Lease {
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
    /// By the order in which they became idle.
    idle: BTreeMap<u64, Idle>,
    next_idle: u64,
    /// Permits given out and idle connections.
    live: usize,
}

#[derive(Default)]
struct Slot {
    /// Permits given out and idle connections of this origin.
    live: usize,
    /// Keys of its idle connections, the latest last.
    idle: Vec<u64>,
    waiting: usize,
    freed: Arc<Condvar>,
}

struct Idle {
    origin: Origin,
    since: Duration,
    connection: Connection,
}

impl Connections {
    pub(super) fn new(limits: Limits, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), limits, clock })
    }

    /// (connections open, of which idle) now.
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
    ) -> Result<Lease, AcquireError> {
        let first = self.try_take(&mut self.table.lock(), origin);
        if let Some(lease) = first {
            return Ok(Self::checked(lease));
        }
        let waker = (Arc::clone(self), Arc::clone(origin));
        let _wake_on_cancel = cancel.on_cancel(move || waker.0.wake_all(&waker.1));
        let mut table = self.table.lock();
        loop {
            if cancel.is_cancelled() {
                // The sign that woke this waiter may have been meant for any of them.
                drop(table);
                self.wake_all(origin);
                return Err(AcquireError::Cancelled);
            }
            if let Some(lease) = self.try_take(&mut table, origin) {
                drop(table);
                return Ok(Self::checked(lease));
            }
            if wait(&mut table, origin, deadline) {
                return Err(AcquireError::TimedOut);
            }
        }
    }

    fn try_take(self: &Arc<Self>, table: &mut Table, origin: &Origin) -> Option<Lease> {
        let slot = table.slots.entry(Arc::clone(origin)).or_default();
        let permit = || Permit { connections: Some(Arc::clone(self)), origin: Arc::clone(origin) };
        if let Some(key) = slot.idle.pop() {
            let idle = table.idle.remove(&key);
            return Some(Lease { permit: permit(), idle: idle.map(|idle| idle.connection) });
        }
        if slot.live >= self.limits.per_origin {
            return None;
        }
        slot.live += 1;
        table.live += 1;
        Some(Lease { permit: permit(), idle: None })
    }

    /// Closes the idle connection of `lease` if its server has closed it or sent what nobody asked
    /// for.
    fn checked(mut lease: Lease) -> Lease {
        if let Some(connection) = &mut lease.idle
            && !connection.transport.is_open()
        {
            lease.idle = None;
        }
        lease
    }

    /// Makes `connection` idle, for whoever asks its origin next.
    pub(super) fn give_back(mut permit: Permit, connection: Connection) {
        let Some(this) = permit.connections.take() else { return };
        let (now, origin) = (this.clock.monotonic(), Arc::clone(&permit.origin));
        let mut table = this.table.lock();
        let key = table.next_idle;
        table.next_idle += 1;
        if let Some(slot) = table.slots.get_mut(&origin) {
            slot.idle.push(key);
            slot.freed.notify_one();
        }
        table.idle.insert(key, Idle { origin, since: now, connection });
        let surplus = table.evict(this.limits, now);
        drop(table);
        // Closed outside the lock.
        drop(surplus);
    }

    fn wake_all(&self, origin: &Origin) {
        if let Some(slot) = self.table.lock().slots.get(origin) {
            slot.freed.notify_all();
        }
    }
}

/// Waits for a sign at `origin`; true when the deadline has passed.
fn wait(table: &mut MutexGuard<'_, Table>, origin: &Origin, deadline: Instant) -> bool {
    let slot = table.slots.entry(Arc::clone(origin)).or_default();
    slot.waiting += 1;
    let freed = Arc::clone(&slot.freed);
    let timed_out = freed.wait_until(table, deadline).timed_out();
    if let Some(slot) = table.slots.get_mut(origin) {
        slot.waiting -= 1;
        if slot.waiting == 0 && slot.live == 0 {
            table.slots.remove(origin);
        }
    }
    timed_out
}

impl Table {
    /// Takes out what is idle for too long, and the longest idle while there are too many.
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

    fn release(&mut self, origin: &Origin) {
        self.live -= 1;
        let Some(slot) = self.slots.get_mut(origin) else { return };
        slot.live -= 1;
        if slot.waiting > 0 {
            slot.freed.notify_one();
        } else if slot.live == 0 {
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
        if let Some(connections) = &self.connections {
            connections.table.lock().release(&self.origin);
        }
    }
}
