//! The path of a group, from the queue through the log to the readers.
//!
//! ```text
//! callers ──Queue──▶ leader: append, flush, apply to the newest rows, publish, answer
//!                      │ store-prepare: next segment
//!                      ▼ enough rows
//!                    store-index: checkpoint, retire segments ──▶ pool: reclaim, expire
//! ```
//!
//! 1. **Encode**, on the caller's thread: values above the inline limit become records (compressed,
//!    with checksum, without sequence); shorter ones are part of their operations.
//! 2. **Submit**: the batch gets its number. A full queue makes callers wait.
//! 3. **Lead**: the leader is a caller that waits for its own batch, or the thread `store-writer`.
//! 4. **Append and flush**: records are stamped with sequence and salt and written, together with
//!    the group's record, in one vectored write, followed by one `fdatasync`.
//! 5. **Count**: each operation is applied to the view before the group. The result is the changed
//!    rows and exact counts of live bytes, keys and references.
//! 6. **Publish**: the stripes of the pointer cache are marked; the rows go into the newest delta
//!    under the group's sequence; then the view's sequence and counters are replaced together,
//!    under one lock.
//! 7. **Answer**: waiters up to the last number are woken, each through its own condition variable.
//!
//! All threads sleep while there is nothing to do.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::encoded::Encoded;
use super::log::AppendError;
use super::queue::{NextGroup, Queue, Submission, Submitter};
use crate::store::core::{Core, Writer};
use crate::store::error::StoreError;
use crate::store::record::LoggedGroup;
use crate::store::upkeep::policy;

/// Bytes of log after which a checkpoint is due: what an opening has to read again.
const CHECKPOINT_LOG_BYTES: u64 = 128 << 20;
/// How long a synchronous commit waits for the disk.
const COMMIT_DEADLINE: Duration = Duration::from_mins(5);

/// Gives up the lead, however leading ends. A panic poisons the store.
struct LeadGuard<'a>(&'a Queue);

impl Drop for LeadGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail_all();
        }
        self.0.release();
    }
}

impl Core {
    /// Waits for a batch of the caller, leading if no other thread does.
    pub(in crate::store) fn commit(&self, number: u64) -> Result<(), StoreError> {
        self.queue.wait_leading(number, COMMIT_DEADLINE, "commit", || self.lead())
    }

    /// Waits for everything queued so far, as a batch without operations does.
    pub(in crate::store) fn commit_empty(&self) -> Result<(), StoreError> {
        self.queue.wait_answered(self.queue.newest(), COMMIT_DEADLINE, "commit")
    }

    /// Waits for everything queued so far, and reports refusals.
    pub(in crate::store) fn flush(&self) -> Result<(), StoreError> {
        self.queue.flush(COMMIT_DEADLINE)
    }

    /// Waits for everything queued up to a batch.
    pub(in crate::store) fn wait_applied(
        &self,
        number: u64,
        action: &'static str,
    ) -> Result<(), StoreError> {
        self.queue.wait(number, COMMIT_DEADLINE, action)
    }

    /// Writes the pending batches as one group, and gives up the lead.
    pub(in crate::store) fn lead(&self) {
        let _guard = LeadGuard(&self.queue);
        let Some(taken) = self.queue.take(self.options.max_group_bytes) else { return };
        let NextGroup { submissions, last, bytes } = taken;
        let mut writer = self.writer.lock();
        // The writer is taken away only after the queue was closed and found empty.
        let Some(writer) = writer.as_mut() else { return };
        let tickets: Vec<_> = submissions.iter().map(Submission::ticket).collect();
        let batches = submissions.into_iter().map(|submission| submission.encoded).collect();
        let result = match writer.log.append(batches) {
            Ok(group) => self.publish(writer, group),
            Err(AppendError::Failed(error)) => Err(error),
            Err(AppendError::Refused(batches, error)) => {
                self.write_what_frees(writer, batches, &tickets, error)
            }
        };
        match result {
            Ok(()) => self.queue.complete(last, bytes),
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "store stops writing");
                self.queue.fail(Arc::new(error));
            }
        }
    }

    /// The disk is full: writes the batches that free space, and refuses the others.
    fn write_what_frees(
        &self,
        writer: &mut Writer,
        batches: Vec<Encoded>,
        tickets: &[(u64, bool)],
        error: StoreError,
    ) -> Result<(), StoreError> {
        let error = Arc::new(error);
        let (mut freeing, mut their_tickets) = (Vec::new(), Vec::new());
        for (batch, ticket) in batches.into_iter().zip(tickets) {
            if batch.frees_space {
                freeing.push(batch);
                their_tickets.push(*ticket);
            } else {
                self.queue.refuse(*ticket, &error);
            }
        }
        self.signals.want_checkpoint();
        if freeing.is_empty() {
            return Ok(());
        }
        match writer.log.append(freeing) {
            Ok(group) => self.publish(writer, group),
            Err(AppendError::Failed(error)) => Err(error),
            Err(AppendError::Refused(_, error)) => {
                let error = Arc::new(error);
                for ticket in their_tickets {
                    self.queue.refuse(ticket, &error);
                }
                Ok(())
            }
        }
    }

    /// Makes a flushed group visible.
    fn publish(&self, writer: &mut Writer, mut group: LoggedGroup) -> Result<(), StoreError> {
        self.queue.flushed(group.took);
        let view = self.view()?;
        // Remains so after an error or a panic, when the ledger may have half of the group.
        writer.consistent = false;
        let mut changes = writer.ledger.apply(&view, &group)?;
        let purge = writer.ledger.purge_orphans(&view, &group, &mut changes)?;
        for key in changes.keys() {
            self.pointers.changed(key, group.sequence);
        }
        let active = &view.base.active;
        active.insert(group.sequence, changes.into_iter());
        let counts = writer.ledger.counts();
        let mut published = self.published.write();
        if let Some(view) = &mut published.view {
            view.sequence = group.sequence;
            view.counts = Arc::clone(&counts);
        }
        published.counts = counts;
        drop(published);
        writer.consistent = true;
        drop(purge);
        for batch in &mut group.batches {
            self.buffers.give(std::mem::take(&mut batch.records));
        }
        writer.logged += group.length;
        if !self.throttled.load(Ordering::Relaxed)
            && self.maintenance.may_gain()
            && policy::lags(self.space(), writer.logged)
        {
            self.signals.want_checkpoint();
            self.throttle(true);
        }
        if self.signals.note_dirty(active.bytes(), writer.logged >= CHECKPOINT_LOG_BYTES) {
            self.queue.pause(true);
        }
        Ok(())
    }

    /// The id of the keyspace with this name, created if needed.
    pub(in crate::store) fn keyspace_id(&self, name: &str) -> Result<u32, StoreError> {
        let id = {
            let mut ids = self.keyspaces.lock();
            if let Some(id) = ids.get(name) {
                return Ok(id);
            }
            ids.ask(name)
        };
        let number = self.queue.submit(Encoded::define(id, name), Submitter::Sync)?;
        self.commit(number)?;
        self.keyspaces.lock().created(name, id);
        Ok(id)
    }
}
