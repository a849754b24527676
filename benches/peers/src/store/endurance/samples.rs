//! How long commits took, and what was seen once a second.

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::disk;
use super::super::measure::ratio;
use super::memory::Memory;
use crate::error::AnyError;
use crate::report;

/// Work between two samples.
const BETWEEN: Duration = Duration::from_secs(1);

/// Times of commits, four bytes each.
#[derive(Default)]
pub(super) struct Times {
    micros: Vec<u32>,
}

impl Times {
    /// Counts one.
    pub(super) fn push(&mut self, time: Duration) {
        self.micros.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// The longest, in milliseconds.
    pub(super) fn longest_ms(&self) -> f64 {
        f64::from(self.micros.iter().copied().max().unwrap_or(0)) / 1e3
    }

    /// 99.9 % take at most this, in milliseconds.
    pub(super) fn p999_ms(&self) -> f64 {
        f64::from(report::per_mille(&self.micros, 999)) / 1e3
    }

    /// All of them together, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.micros.iter().map(|&micros| f64::from(micros)).sum::<f64>() / 1e6
    }
}

/// Looks at disk and memory once a second of work. Looking is not part of the work.
pub(super) struct Samples<'d> {
    dir: &'d Path,
    since: Instant,
    slowest: Duration,
    peak_ratio: f64,
}

impl<'d> Samples<'d> {
    /// Of a store in that folder; the first second begins now.
    pub(super) fn of(dir: &'d Path) -> Self {
        Self { dir, since: Instant::now(), slowest: Duration::ZERO, peak_ratio: 0.0 }
    }

    /// The greatest ratio so far of bytes on the disk to live bytes.
    pub(super) fn peak_ratio(&self) -> f64 {
        self.peak_ratio
    }

    /// To be called after each commit; looks if it is time. `done` is the share that is done, in
    /// percent.
    pub(super) fn after(
        &mut self,
        commit: Duration,
        done: u64,
        live_bytes: u64,
    ) -> Result<(), AnyError> {
        self.slowest = self.slowest.max(commit);
        if self.since.elapsed() >= BETWEEN { self.look(done, live_bytes) } else { Ok(()) }
    }

    /// Looks now, and prints what there is to standard error.
    pub(super) fn look(&mut self, done: u64, live_bytes: u64) -> Result<(), AnyError> {
        let ratio = ratio(disk::allocated(self.dir)?, live_bytes);
        self.peak_ratio = self.peak_ratio.max(ratio);
        let memory = Memory::now()?;
        eprintln!(
            "{done:3} %: space ratio {ratio:.3}, resident {} MiB, anonymous {} MiB, slowest commit \
             {:.2} ms",
            memory.resident >> 20,
            memory.anonymous >> 20,
            self.slowest.as_secs_f64() * 1e3
        );
        (self.slowest, self.since) = (Duration::ZERO, Instant::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_milliseconds() {
        let mut times = Times::default();
        (1..=4000).for_each(|micros| times.push(Duration::from_micros(micros)));
        assert_eq!((times.longest_ms(), times.p999_ms()), (4.0, 3.996));
        assert!((times.seconds() - 8.002).abs() < 1e-9);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_greatest_ratio_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("data"), vec![1; 64 << 10]).unwrap();
        disk::settle(dir.path()).unwrap();
        let mut samples = Samples::of(dir.path());
        samples.look(10, 32 << 10).unwrap();
        let peak = samples.peak_ratio();
        assert!(peak >= 2.0, "{peak}");
        samples.look(20, 64 << 10).unwrap();
        assert!((samples.peak_ratio() - peak).abs() < 1e-9);
    }
}
