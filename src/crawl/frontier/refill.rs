//! Reading back what is only in the store: records and hosts that memory had no room for, in the
//! order of their keys.

use std::time::Duration;

use super::host::HostState;
use super::{Frontier, FrontierStore, HostId, MIN_QUEUED, Now};
use crate::crawl::record::queue_position;
use crate::model::Reason;

/// Most rows of a host read at once.
const REFILL_ROWS: usize = 256;

/// Most hosts read at once.
const REFILL_HOSTS: usize = 256;

impl Frontier {
    /// Reads rows of hosts whose queue is empty, and further hosts, from the store. Call it when
    /// [`Frontier::next`] returns [`Next::Refill`](super::Next::Refill). The work is bounded. An
    /// error of the store loses nothing: the call can be repeated.
    pub fn refill<S: FrontierStore + ?Sized>(
        &mut self,
        store: &S,
        now: Now,
    ) -> Result<(), S::Error> {
        self.open_store(store)?;
        while let Some(id) = self.refills.last().copied() {
            self.refill_host(store, id, now)?;
            self.refills.pop();
            if let Some(host) = self.host_mut(id) {
                host.wants_refill = false;
            }
            self.list(id);
        }
        if self.store.more_hosts && self.ids.len() < self.options.max_hosts {
            self.refill_hosts(store)?;
        }
        Ok(())
    }

    /// Reads until it finds a row that is not in memory, or the end.
    fn refill_host<S: FrontierStore + ?Sized>(
        &mut self,
        store: &S,
        id: HostId,
        now: Now,
    ) -> Result<(), S::Error> {
        while let Some((name, from)) =
            self.host(id).and_then(|host| Some((host.host.clone(), host.stored_from?)))
        {
            let room = self.options.queue_capacity.saturating_sub(self.queued);
            let limit = room.clamp(MIN_QUEUED, REFILL_ROWS);
            let rows = store.pending(&name, &queue_position(&name, from), limit)?;
            let ended = rows.len() < limit;
            let behind = rows.last().map(|row| row.order().next());
            let mut found = false;
            for row in rows {
                let key = row.key();
                // Leased, or final with its row not yet deleted.
                if self.settling.contains(&key) || !self.live.insert(key) {
                    continue;
                }
                self.seen.insert(key);
                found = true;
                let not_before = match &row.reason {
                    Reason::WaitingUntil { at, .. } => {
                        Some(now.monotonic + at.saturating_since(now.wall))
                    }
                    _ => None,
                };
                self.enqueue(id, row, not_before);
            }
            if let Some(host) = self.host_mut(id) {
                host.stored_from = if ended { None } else { behind };
            }
            if found {
                break;
            }
        }
        Ok(())
    }

    fn refill_hosts<S: FrontierStore + ?Sized>(&mut self, store: &S) -> Result<(), S::Error> {
        let room = self.options.max_hosts - self.ids.len();
        let limit = room.clamp(1, REFILL_HOSTS);
        let names = store.hosts(self.store.host_cursor.as_ref(), limit)?;
        let ended = names.len() < limit;
        if let Some(last) = names.last() {
            self.store.host_cursor = Some(last.clone());
        }
        for name in names {
            if !self.ids.contains_key(&name) {
                let id = self.add_host(&name);
                self.list(id);
            }
        }
        if ended {
            self.store.more_hosts = false;
        }
        Ok(())
    }

    /// Forgets idle hosts whose schedule is at rest. True if there were any.
    pub(super) fn sweep(&mut self, now: Duration) -> bool {
        let idle = |host: &HostState| host.is_idle(now);
        let ids: Vec<HostId> =
            (0..self.hosts.len()).filter(|id| self.host(*id).is_some_and(idle)).collect();
        for id in &ids {
            let Some(host) = self.hosts.get_mut(*id).and_then(Option::take) else { continue };
            if let Some(at) = host.listed_at {
                self.due.remove(&(at, *id));
            }
            for known in &host.origins {
                self.book.forget(&known.origin);
            }
            self.ids.remove(&host.host);
            self.free.push(*id);
        }
        !ids.is_empty()
    }
}
