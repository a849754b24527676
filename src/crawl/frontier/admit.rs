//! Admission: seen URLs, scope, depth and traps.

use super::{Admission, Admitted, Candidate, Frontier, FrontierStore, Now, Refusal, begins_at};
use super::{HostId, MIN_QUEUED};
use crate::crawl::record::rank_of;
use crate::crawl::{DocumentKind, UrlRecord, Via, trap};
use crate::model::{Hop, Reason};
use crate::time::Timestamp;
use crate::url::{CanonicalUrl, Host, Url, UrlKey};

/// A candidate, with the fields of its record.
pub(super) struct Entry<'a> {
    pub(super) candidate: Candidate<'a>,
    pub(super) seed: bool,
    pub(super) hops: Vec<Hop>,
    pub(super) rank: u32,
}

/// The decision on one candidate.
pub(super) enum Decision {
    New(Box<Admission>),
    Refused(Box<Refusal>),
    Known,
}

impl Frontier {
    /// Decides which candidates are new and belong to the job.
    ///
    /// The engine stores the result, put-if-absent, in the batch of the page with the links. Then
    /// it passes the admissions to [`Frontier::publish`], or to [`Frontier::withdraw`] if the batch
    /// failed. Until then they are known, so that they are not admitted twice, but not fetched.
    ///
    /// An error of the store leaves everything as it was before the call.
    pub fn admit<'a, S: FrontierStore + ?Sized>(
        &mut self,
        store: &S,
        now: Now,
        candidates: impl IntoIterator<Item = Candidate<'a>>,
    ) -> Result<Admitted, S::Error> {
        self.open_store(store)?;
        let mut admitted = Admitted::default();
        let mut scratch = String::new();
        for candidate in candidates {
            let spelling = self.spellings.hash(candidate.url.as_str());
            if self.spellings.contains(spelling) {
                admitted.known += 1;
                continue;
            }
            CanonicalUrl::write(candidate.url, &mut scratch);
            let key = UrlKey::of_text(&scratch);
            let entry = Entry {
                seed: candidate.via == Via::Seed,
                hops: Vec::new(),
                rank: rank_of(candidate.depth, candidate.score),
                candidate,
            };
            let decision = match self.decide(store, now, key, entry) {
                Ok(decision) => decision,
                Err(error) => {
                    self.withdraw(admitted.admissions);
                    return Err(error);
                }
            };
            let shallower_may_do = matches!(
                &decision,
                Decision::Refused(refusal) if matches!(refusal.reason, Reason::TooDeep { .. })
            );
            if !shallower_may_do {
                self.spellings.insert(spelling);
            }
            match decision {
                Decision::New(admission) => admitted.admissions.push(*admission),
                Decision::Refused(refusal) if self.refused.insert(key) => {
                    self.counts.refused += 1;
                    admitted.refusals.push(*refusal);
                }
                Decision::Refused(_) | Decision::Known => admitted.known += 1,
            }
        }
        Ok(admitted)
    }

    /// Decides on one URL whose key is known. Nothing changes on an error.
    pub(super) fn decide<S: FrontierStore + ?Sized>(
        &mut self,
        store: &S,
        now: Now,
        key: UrlKey,
        entry: Entry<'_>,
    ) -> Result<Decision, S::Error> {
        if self.seen.contains(&key) || self.live.contains(&key) {
            return Ok(Decision::Known);
        }
        if let Err(reason) = self.judge(&entry, now.wall) {
            let url = entry.candidate.url.clone();
            return Ok(Decision::Refused(Box::new(Refusal { key, url, reason })));
        }
        if !self.seen_is_complete() && store.contains(&key)? {
            self.seen.insert(key);
            return Ok(Decision::Known);
        }
        self.seen.insert(key);
        self.live.insert(key);
        let sequence = self.sequence();
        let Candidate { url, kind, via, depth, parent, .. } = entry.candidate;
        let record = UrlRecord {
            url: url.clone(),
            kind,
            via,
            seed: entry.seed,
            depth,
            parent,
            hops: entry.hops,
            attempts: 0,
            rank: entry.rank,
            sequence,
            reason: Reason::Pending,
            admitted_at: now.wall,
            updated_at: now.wall,
        };
        Ok(Decision::New(Box::new(Admission { key, record })))
    }

    /// Checks scope, depth and traps. URLs named by the user need only be in scope.
    fn judge(&self, entry: &Entry<'_>, now: Timestamp) -> Result<(), Reason> {
        let Candidate { url, kind, depth, .. } = entry.candidate;
        if entry.seed {
            return self.scope.check_seed(url);
        }
        if kind == DocumentKind::Page {
            self.scope.check(url, depth)?;
        } else {
            self.scope.check_listing(url)?;
        }
        match trap::detect(url, now) {
            Some(kind) => Err(Reason::Trap { kind }),
            None => Ok(()),
        }
    }

    /// Makes admissions fetchable. Their rows must be visible to reads of the [`FrontierStore`],
    /// because those beyond the memory limit are kept only there.
    pub fn publish(&mut self, admissions: impl IntoIterator<Item = Admission>) {
        for Admission { key, record } in admissions {
            if !self.live.contains(&key) {
                continue; // withdrawn, or published before
            }
            self.counts.admitted += 1;
            self.counts.pending += 1;
            if let Some(id) = self.host_id(&record.host()) {
                self.publish_to(id, key, record);
                self.list(id);
            } else {
                self.live.remove(&key);
                self.store.more_hosts = true;
                self.store.host_cursor = None;
            }
        }
    }

    fn publish_to(&mut self, id: HostId, key: UrlKey, record: UrlRecord) {
        let full = self.queued >= self.options.queue_capacity;
        let Some(host) = self.host_mut(id) else { return };
        if full && host.queued() >= MIN_QUEUED && !begins_at(host.stored_from, record.order()) {
            let spilled = host.spill(record.order());
            self.queued = self.queued.saturating_sub(spilled.len());
            for record in spilled {
                self.live.remove(&record.key());
            }
        }
        let Some(host) = self.host_mut(id) else { return };
        if begins_at(host.stored_from, record.order()) {
            self.live.remove(&key);
        } else {
            self.enqueue(id, record, None);
        }
    }

    /// Takes back admissions that could not be stored: they are unknown again.
    pub fn withdraw(&mut self, admissions: impl IntoIterator<Item = Admission>) {
        for admission in admissions {
            self.live.remove(&admission.key);
            self.seen.remove(&admission.key);
        }
        // The spellings that led to them are not recorded.
        self.spellings.clear();
    }

    /// Adds the host that a source redirects to.
    pub(super) fn follow_seed(&mut self, url: &Url) {
        self.allow_host(&Host::of(url));
    }
}
