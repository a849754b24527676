//! The frontier's persistence in the store, and the rows that record its decisions.

use super::state::RunState;
use crate::crawl::{
    Admission, Admitted, Candidate, DocumentKind, FrontierStore, Now, Refusal, UrlRecord, Via,
    queue_host, queue_key, queue_prefix,
};
use crate::engine::Error;
use crate::engine::tables::{JobId, Tables, UrlRow, trailing_url_key};
use crate::store::Batch;
use crate::url::{Host, UrlKey};

/// The rows of one run, as the frontier reads them.
pub(super) struct FrontierRows<'a> {
    tables: &'a Tables,
    job: JobId,
    run: u64,
    /// The run resumes with rows of an earlier process.
    resumed: bool,
}

impl FrontierStore for FrontierRows<'_> {
    type Error = Error;

    fn pending_count(&self) -> Result<Option<u64>, Error> {
        if !self.resumed {
            return Ok(None);
        }
        let mut rows = 0;
        for key in self.tables.queue.prefix(self.job.0.to_be_bytes()).keys() {
            key?;
            rows += 1;
        }
        Ok(Some(rows))
    }

    fn contains(&self, key: &UrlKey) -> Result<bool, Error> {
        let row = self.tables.urls.get(self.job.url_key(*key))?;
        Ok(row.is_some_and(|value| UrlRow::head(&value) == (self.run, true)))
    }

    fn hosts(&self, after: Option<&Host>, limit: usize) -> Result<Vec<Host>, Error> {
        self.tables.store.flush()?;
        let mut from = after.map_or_else(Vec::new, behind);
        let mut hosts = Vec::new();
        while hosts.len() < limit {
            let Some(key) = self.first_key(&from)? else { break };
            let Some(host) = queue_host(&key) else { break };
            from = behind(&host);
            hosts.push(host);
        }
        Ok(hosts)
    }

    fn pending(&self, host: &Host, from: &[u8], limit: usize) -> Result<Vec<UrlRecord>, Error> {
        // A published record may be spilled before its batch is visible.
        self.tables.store.flush()?;
        let prefix = self.job.queue_key(&queue_prefix(host));
        let from = self.job.queue_key(from);
        let mut records = Vec::new();
        for key in self.tables.queue.range(from..).keys() {
            let key = key?;
            if !key.starts_with(&prefix) || records.len() == limit {
                break;
            }
            let Some(url) = trailing_url_key(&key) else { continue };
            if let Some(row) = self.tables.url(self.job, url)? {
                records.push(row.record);
            }
        }
        Ok(records)
    }
}

impl FrontierRows<'_> {
    /// The job's first queue key at or after `from`, without the job id.
    fn first_key(&self, from: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let job = self.job.0.to_be_bytes();
        let from = self.job.queue_key(from);
        let Some(key) = self.tables.queue.range(from..).keys().next() else {
            return Ok(None);
        };
        Ok(key?.strip_prefix(&job[..]).map(<[u8]>::to_vec))
    }
}

/// The least position after all those of a host.
fn behind(host: &Host) -> Vec<u8> {
    let mut position = queue_prefix(host);
    // The prefix ends with a zero byte; hosts hold no byte below 2.
    position.pop();
    position.push(1);
    position
}

impl RunState {
    pub(super) fn frontier_store(&self) -> FrontierRows<'_> {
        let tables = &self.parts.tables;
        FrontierRows { tables, job: self.id, run: self.number, resumed: self.resumed }
    }

    pub(super) fn now(&self) -> Now {
        let clock = &self.parts.clock;
        Now { monotonic: clock.monotonic(), wall: clock.wall() }
    }

    /// Lets the frontier decide on candidates, and puts the resulting rows into the batch. The
    /// admissions must be published once the batch is queued.
    pub(super) fn admit<'a>(
        &self,
        batch: &mut Batch,
        candidates: impl Iterator<Item = Candidate<'a>>,
    ) -> Result<Vec<Admission>, Error> {
        let rows = self.frontier_store();
        let Admitted { admissions, refusals, .. } =
            self.frontier.lock().admit(&rows, self.now(), candidates)?;
        for admission in &admissions {
            self.put_admission(batch, admission);
        }
        for refusal in &refusals {
            self.put_refusal(batch, refusal)?;
        }
        Ok(admissions)
    }

    pub(super) fn put_admission(&self, batch: &mut Batch, admission: &Admission) {
        self.put_pending(batch, &admission.record);
        let key = self.id.queue_key(&queue_key(&admission.record));
        batch.put(&self.parts.tables.queue, key, []);
    }

    /// Puts the reason why a URL was not admitted, unless it has a row already.
    pub(super) fn put_refusal(&self, batch: &mut Batch, refusal: &Refusal) -> Result<(), Error> {
        let urls = &self.parts.tables.urls;
        let key = self.id.url_key(refusal.key);
        let known = urls.get(key)?.is_some_and(|row| UrlRow::head(&row).0 == self.number);
        if known {
            return Ok(());
        }
        self.counters.skipped.add(1);
        let now = self.parts.clock.wall();
        let record = UrlRecord {
            url: refusal.url.clone(),
            kind: DocumentKind::Page,
            via: Via::Link,
            seed: false,
            depth: 0,
            parent: None,
            hops: Vec::new(),
            attempts: 0,
            rank: 0,
            sequence: 0,
            reason: refusal.reason.clone(),
            admitted_at: now,
            updated_at: now,
        };
        batch.put(urls, key, UrlRow::encode(self.number, false, &record));
        Ok(())
    }

    /// Puts a record that stays pending.
    pub(super) fn put_pending(&self, batch: &mut Batch, record: &UrlRecord) {
        let row = UrlRow::encode(self.number, true, record);
        batch.put(&self.parts.tables.urls, self.id.url_key(record.key()), row);
    }

    /// Puts a final record and removes it from the queue.
    pub(super) fn put_final(&self, batch: &mut Batch, record: &UrlRecord) {
        self.put_pending(batch, record);
        batch.delete(&self.parts.tables.queue, self.id.queue_key(&queue_key(record)));
    }

    pub(super) fn store_final(&self, record: &UrlRecord) -> Result<(), Error> {
        let mut batch = self.parts.tables.store.batch();
        self.put_final(&mut batch, record);
        self.commits.submit(batch)?;
        Ok(())
    }

    pub(super) fn publish(&self, admissions: Vec<Admission>) {
        self.frontier.lock().publish(admissions);
    }
}
