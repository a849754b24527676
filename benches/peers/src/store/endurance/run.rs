//! One run: half of the work by hand, all of it by the store, the other half by hand.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::measure::{folder, ratio};
use super::super::page::{self, Page};
use super::super::pages::{Pages, Reader};
use super::super::{disk, engine};
use super::bare::Bare;
use super::memory::Memory;
use super::overwrites::{BATCH, Overwrites};
use super::samples::{Samples, Times};
use crate::error::AnyError;

/// After which parts of the work memory is reported, in percent.
pub(super) const MILESTONES: [u64; 3] = [10, 50, 100];

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Bytes of all keys and values that are there at a time.
    pub(super) live_bytes: u64,
    /// Bytes of all overwrites.
    pub(super) total_bytes: u64,
}

/// What a run has found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// The greatest ratio of bytes on the disk to live bytes, sampled once a second.
    pub(super) peak_ratio: f64,
    /// The same ratio after a clean close.
    pub(super) closed_ratio: f64,
    /// Memory before the store was opened.
    pub(super) before: Memory,
    /// Memory at the milestones.
    pub(super) memory: [Memory; MILESTONES.len()],
    /// The store's commits.
    pub(super) store: Summary,
    /// The same by hand.
    pub(super) bare: Summary,
}

/// How the commits of one went.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Summary {
    /// How many there were.
    pub(super) commits: u64,
    /// 99.9 % took at most this.
    pub(super) p999_ms: f64,
    /// The longest took this.
    pub(super) longest_ms: f64,
    /// Megabytes (10^6) a second, while it committed.
    pub(super) mb_per_s: f64,
}

/// For the store of any engine: overwrites that go on.
pub(super) struct Endurance<'a> {
    pub(super) work: Work,
    pub(super) pages: &'a [Page],
    pub(super) dir: &'a Path,
}

/// Commits of one kind.
#[derive(Default)]
struct Done {
    times: Times,
    commits: u64,
    bytes: u64,
}

impl engine::Task for Endurance<'_> {
    type Done = Outcome;

    fn with<P: Pages>(self) -> Result<Outcome, AnyError> {
        let Self { work, pages, dir } = self;
        let longest = pages.iter().map(Page::len).max().unwrap_or(0) * BATCH as u64;
        let mut bare = Bare::prepare(&folder(dir, "bare")?, longest, work.total_bytes)?;
        let mut by_hand = Done::default();
        disk::settle(dir)?;
        let half = Work { total_bytes: work.total_bytes / 2, ..work };
        by_hand.write(half, pages, |batch| Ok(bare.write(batch)?))?;

        let outcome = by_store::<P>(work, pages, &folder(dir, "store")?)?;

        disk::settle(dir)?;
        by_hand.write(half, pages, |batch| Ok(bare.write(batch)?))?;
        Ok(Outcome { bare: by_hand.summary(), ..outcome })
    }
}

fn by_store<P: Pages>(work: Work, pages: &[Page], dir: &Path) -> Result<Outcome, AnyError> {
    let mut set = Overwrites::of(pages, work.live_bytes);
    let before = Memory::now()?;
    let store = P::open(dir)?;
    set.fill(|batch| store.put_all(batch))?;
    disk::settle(dir)?;

    let (mut samples, mut done) = (Samples::of(dir), Done::default());
    let mut memory = [before; MILESTONES.len()];
    let mut reached = 0;
    done.overwrite(
        work,
        &mut set,
        |batch| store.put_all(batch),
        |time, percent, live| {
            samples.after(time, percent, live)?;
            while MILESTONES.get(reached).is_some_and(|&milestone| percent >= milestone) {
                if let Some(slot) = memory.get_mut(reached) {
                    *slot = Memory::now()?;
                }
                reached += 1;
            }
            Ok(())
        },
    )?;
    samples.look(100, set.live_bytes())?;
    let peak_ratio = samples.peak_ratio();
    verify(&store, &set)?;
    store.close()?;
    disk::settle(dir)?;
    let closed_ratio = ratio(disk::allocated(dir)?, set.live_bytes());
    let store = done.summary();
    Ok(Outcome { peak_ratio, closed_ratio, before, memory, store, bare: store })
}

/// Nothing was lost and nothing old came back.
fn verify<P: Pages>(store: &P, set: &Overwrites<'_>) -> Result<(), AnyError> {
    let mut reader = store.reader()?;
    for (key, page) in set.live() {
        let sum = reader.look(&key, page::sum)?;
        if sum != Some(page.sum) {
            return Err("a page is not what was last put".into());
        }
    }
    Ok(())
}

impl Done {
    /// Writes batches of a new set, unwatched.
    fn write(
        &mut self,
        work: Work,
        pages: &[Page],
        put: impl FnMut(&[Page]) -> Result<(), AnyError>,
    ) -> Result<(), AnyError> {
        let mut set = Overwrites::of(pages, work.live_bytes);
        self.overwrite(work, &mut set, put, |_, _, _| Ok(()))
    }

    /// Writes batches until all bytes are written. `after` gets the time of the commit, the share
    /// that is done, in percent, and the live bytes.
    fn overwrite(
        &mut self,
        work: Work,
        set: &mut Overwrites<'_>,
        mut put: impl FnMut(&[Page]) -> Result<(), AnyError>,
        mut after: impl FnMut(Duration, u64, u64) -> Result<(), AnyError>,
    ) -> Result<(), AnyError> {
        let mut written = 0;
        while written < work.total_bytes {
            let batch = set.next();
            let bytes: u64 = batch.iter().map(Page::len).sum();
            if bytes == 0 {
                return Err("there is nothing to overwrite".into());
            }
            let started = Instant::now();
            put(batch)?;
            let time = started.elapsed();
            self.times.push(time);
            self.commits += 1;
            self.bytes += bytes;
            written += bytes;
            let percent = (written * 100 / work.total_bytes).min(100);
            after(time, percent, set.live_bytes())?;
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    fn summary(&self) -> Summary {
        Summary {
            commits: self.commits,
            p999_ms: self.times.p999_ms(),
            longest_ms: self.times.longest_ms(),
            mb_per_s: self.bytes as f64 / 1e6 / self.times.seconds(),
        }
    }
}
