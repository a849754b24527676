//! A random workload on a simulated disk, which may be cut off anywhere, and what must hold then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gristmill::store::{StoreError, Ticket};
use gristmill::time::ManualClock;

use crate::MINUTE;
use crate::oracle::{Content, Op, Opened, Oracle, clock, now, on_disk, random_ops};
use crate::sim::{Random, SimVfs};

/// Where the store lies on the simulated disk.
pub(crate) const DIR: &str = "/sim";
/// Openings and the batches of each.
const PARTS: u64 = 3;
const ROUNDS: u64 = 6;

/// What a workload leaves behind when it is cut off.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) vfs: SimVfs,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) oracle: Oracle,
}

/// A batch on its way.
#[derive(Debug)]
pub(crate) struct Queued {
    ticket: Ticket,
    ops: Vec<Op>,
}

impl Queued {
    /// Queues a batch that nobody waits for yet. One that is not taken is nowhere.
    pub(crate) fn new(opened: &Opened, random: &mut Random) -> Result<Self, StoreError> {
        let ops = random_ops(random);
        Ok(Self { ticket: opened.batch(&ops).commit_buffered()?, ops })
    }
}

impl Run {
    /// A run on this disk; nothing is done yet.
    pub(crate) fn on(vfs: SimVfs) -> Self {
        Self { vfs, clock: clock(), oracle: Oracle::default() }
    }

    /// The same history on another state of the disk.
    pub(crate) fn with_disk(&self, vfs: SimVfs) -> Self {
        Self { vfs, clock: Arc::clone(&self.clock), oracle: self.oracle.clone() }
    }

    pub(crate) fn open(&self) -> Result<Opened, StoreError> {
        Opened::open(on_disk(&self.vfs, DIR, &self.clock))
    }

    /// Writes, deletes, compacts, backs up, closes and opens again, until something fails.
    pub(crate) fn work(&mut self, seed: u64) -> Result<(), StoreError> {
        let mut random = Random::spread(seed);
        for part in 0..PARTS {
            let opened = self.open()?;
            for round in 0..ROUNDS {
                let kept = (round == 2).then(|| (opened.store.snapshot(), self.oracle.clone()));
                self.batch(&opened, &mut random)?;
                self.extra(&opened, &mut random, part * ROUNDS + round)?;
                if let Some((snapshot, oracle)) = kept {
                    let rows = opened.gather(|space| snapshot.prefix(space, ""))?;
                    assert!(rows == oracle.sure.visible(now(&self.clock)), "seed {seed}: snapshot");
                }
            }
            if random.below(2) == 0 {
                opened.store.close(MINUTE)?;
            }
        }
        Ok(())
    }

    /// Commits a batch, or some that are under way at once, and notes how that went.
    pub(crate) fn batch(&mut self, opened: &Opened, random: &mut Random) -> Result<(), StoreError> {
        if random.below(3) == 0 {
            let (count, mut queued) = (random.below(3), Vec::new());
            let queue = |_| Queued::new(opened, random).map(|batch| queued.push(batch));
            let all = (0..=count).try_for_each(queue);
            return self.answered(queued).and(all);
        }
        let ops = random_ops(random);
        let mut next = self.oracle.sure.clone();
        next.apply(&ops, now(&self.clock));
        let result = opened.batch(&ops).commit();
        match &result {
            Ok(()) => self.oracle.sure = next,
            Err(_) => self.oracle.perhaps = vec![next],
        }
        result
    }

    /// Notes what became of batches that were queued in this order. Where that is not told, a
    /// beginning of them is there.
    pub(crate) fn answered(&mut self, queued: Vec<Queued>) -> Result<(), StoreError> {
        let (now, mut refused, mut queued) = (now(&self.clock), Ok(()), queued.into_iter());
        while let Some(Queued { ticket, ops }) = queued.next() {
            match ticket.wait(MINUTE) {
                Ok(()) => self.oracle.sure.apply(&ops, now),
                // For lack of space, which need not concern those after it.
                Err(error @ StoreError::Refused { .. }) => refused = Err(error),
                Err(error) => {
                    let mut next = self.oracle.sure.clone();
                    for ops in std::iter::once(ops).chain(queued.map(|batch| batch.ops)) {
                        next.apply(&ops, now);
                        self.oracle.perhaps.push(next.clone());
                    }
                    return Err(error);
                }
            }
        }
        refused
    }

    /// Sometimes does something else than a batch.
    fn extra(
        &mut self,
        opened: &Opened,
        random: &mut Random,
        number: u64,
    ) -> Result<(), StoreError> {
        match random.below(10) {
            0 => drop(opened.store.compact()?),
            1 => {
                let dir = PathBuf::from(format!("/backup-{number}"));
                let model = self.oracle.sure.clone();
                opened.store.backup(&dir)?;
                self.oracle.backups.push((dir, model));
            }
            2 => drop(opened.store.check()?),
            3 | 4 => self.clock.advance(Duration::from_secs(2)),
            _ => {}
        }
        Ok(())
    }

    /// Opens what is left, holds it against the oracle, checks it and closes it.
    pub(crate) fn verify(&mut self, what: &str) -> Content {
        let opened = self.open().unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = self.served(&opened, what);
        opened.compare(&found, what);
        opened.check(what);
        opened.store.close(MINUTE).unwrap_or_else(|error| panic!("{what}: {error}"));
        found
    }

    /// Reads all, which must succeed, and holds it against the oracle; from then on it must stay.
    pub(crate) fn served(&mut self, opened: &Opened, what: &str) -> Content {
        let found = opened.content().unwrap_or_else(|error| panic!("{what}: {error}"));
        self.was_served(&found, what);
        found
    }

    /// Holds what a store has served against the oracle; from then on it must stay.
    pub(crate) fn was_served(&mut self, found: &Content, what: &str) {
        let now = now(&self.clock);
        if !self.oracle.allows(found, now) {
            let list = |content: &Content| {
                let keys = content.iter();
                let line = |((space, key), value): (&(usize, Vec<u8>), &Vec<u8>)| {
                    format!("{space}:{}:{}", key.escape_ascii(), value.len())
                };
                keys.map(line).collect::<Vec<_>>().join(" ")
            };
            let (sure, found) = (list(&self.oracle.sure.visible(now)), list(found));
            let perhaps = self.oracle.perhaps.iter().map(|model| list(&model.visible(now)));
            let perhaps = perhaps.collect::<Vec<_>>().join("\n perhaps ");
            panic!("{what}:\n found   {found}\n sure    {sure}\n perhaps {perhaps}");
        }
        self.oracle.settle(found, now);
    }

    /// Opens the backups that were completed and compares them.
    pub(crate) fn verify_backups(&self, what: &str) {
        for (dir, model) in &self.oracle.backups {
            let dir = dir.to_str().expect("plain text");
            let opened = Opened::open(on_disk(&self.vfs, dir, &self.clock));
            let opened = opened.unwrap_or_else(|error| panic!("{what}: {dir}: {error}"));
            opened.compare(&model.visible(now(&self.clock)), what);
            opened.check(what);
        }
    }
}
