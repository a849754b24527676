//! When the next request to a host may start. Pure: times in, times out.
//!
//! ```text
//!            success: failures = 0            5 unreachable or 20 error answers in a row
//!   Open ────────────────────────► Open     Open ─────────────────────────► Parked
//!   Parked ── the time is over ──► Probing (one request at a time)
//!   Probing ── success ──► Open             Probing ── failure ──► Parked, twice as long
//!                                           after MAX_PARKS parks in a row ──► given up
//! ```
//!
//! The gap runs from the end of an exchange to the start of the next. It is the largest of three:
//!
//! - the floor: the configured delay or the `Crawl-delay`, up to the cap on it;
//! - the adaptive delay, after Scrapy's `AutoThrottle`: halfway to latency / concurrency, at once
//!   where that is more, never lowered by an error; it counts only where a floor is set;
//! - the backoff: it begins with a 429 or 503, doubles the delay in force (500 ms to 1 minute),
//!   honours `Retry-After` up to an hour, and loses 250 ms with each good answer.
//!
//! A process that resumes a frontier counts the gap of every host from its own start, since an
//! earlier process may have asked the host right before.

use std::time::Duration;

use crate::retry::{Backoff, Jitter, RetryPolicy};

/// Exchanges without an answer, in a row, that park a host.
const UNREACHABLE_LIMIT: u32 = 5;

/// Error answers, in a row, that park a host.
const ERROR_LIMIT: u32 = 20;

/// Parks in a row after which a host is given up.
const MAX_PARKS: u32 = 5;

/// How long a host is parked. No jitter: it is the only one that waits.
const PARK: Backoff = Backoff {
    base: Duration::from_secs(5),
    cap: Duration::from_secs(5 << MAX_PARKS),
    jitter: Jitter::None,
};

/// Backoff after the first refusal (429 or 503).
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// Longest delay that backoff or slowness of the host may lead to.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// What each good response takes off the backoff.
const RECOVERY: Duration = Duration::from_millis(250);

/// How long a host that was in trouble is remembered after its last response.
const COOL_OFF: Duration = Duration::from_mins(10);

/// Longest `Retry-After` that is honoured: the host waits as long as the URL that met it.
const MAX_RETRY_AFTER: Duration = RetryPolicy::page().max_retry_after;

/// How an exchange went, as far as the host is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered normally: with a page, a redirect, or 4xx.
    Good,
    /// It answered that it is in trouble (5xx).
    Error,
    /// It refused (429, 503).
    Refusing(Option<Duration>),
    /// It did not answer.
    Unreachable,
    /// The crawler cancelled the exchange.
    Unknown,
}

/// The schedule of one host.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    /// The least delay: the larger of the configured one and that of `robots.txt`.
    floor: Duration,
    /// Follows the host's latency; used only if there is a floor.
    adaptive: Duration,
    /// Set by refusals; always used.
    backoff: Duration,
    last_start: Option<Duration>,
    last_end: Option<Duration>,
    paused_until: Duration,
    failures: u32,
    parks: u32,
    probing: bool,
}

impl Schedule {
    pub(super) fn new(floor: Duration) -> Self {
        Self { floor, ..Self::default() }
    }

    /// Counts the gap from `at`, when an earlier process may have sent its last request.
    pub(super) fn resume(&mut self, at: Duration) {
        self.last_end = self.last_end.max(Some(at));
    }

    /// Raises the least delay, never lowers it.
    pub(super) fn raise_floor(&mut self, floor: Duration) {
        self.floor = self.floor.max(floor);
    }

    /// The delay in force: from the end of an exchange to the start of the next.
    pub(super) fn delay(&self) -> Duration {
        self.floor.max(self.adaptive).max(self.backoff)
    }

    /// The earliest start of the next exchange.
    pub(super) fn next_at(&self) -> Duration {
        let last = self.last_end.max(self.last_start);
        last.map_or(Duration::ZERO, |last| last + self.delay()).max(self.paused_until)
    }

    /// How many exchanges may be open at once, of `most` that are configured.
    pub(super) const fn at_once(&self, most: usize) -> usize {
        if self.probing { 1 } else { most }
    }

    /// Whether the host failed so often that it gets no more requests.
    pub(super) const fn given_up(&self) -> bool {
        self.parks > MAX_PARKS
    }

    /// Until when the host is parked or paused, if `now` is before that.
    pub(super) fn paused_until(&self, now: Duration) -> Option<Duration> {
        (self.paused_until > now).then_some(self.paused_until)
    }

    /// Whether this schedule may be forgotten at `now`: the gap has passed, and any trouble is long
    /// over.
    pub(super) fn is_at_rest(&self, now: Duration) -> bool {
        let calm = self.backoff.is_zero() && self.failures == 0 && self.parks == 0;
        let cool_off = if calm { Duration::ZERO } else { COOL_OFF };
        self.next_at() <= now && self.last_end.is_none_or(|end| end + cool_off <= now)
    }

    pub(super) fn started(&mut self, now: Duration) {
        self.last_start = self.last_start.max(Some(now));
    }

    /// Records an exchange that ended at `ended`. `latency` is its length, `at_once` the number of
    /// exchanges that may be open at once.
    pub(super) fn ended(
        &mut self,
        ended: Duration,
        latency: Duration,
        at_once: usize,
        how: Health,
    ) {
        self.last_end = self.last_end.max(Some(ended));
        self.adapt(latency, at_once, how);
        match how {
            Health::Good => {
                self.backoff = self.backoff.saturating_sub(RECOVERY);
                (self.failures, self.parks, self.probing) = (0, 0, false);
            }
            Health::Unknown => {}
            Health::Refusing(retry_after) => {
                self.backoff = (self.delay() * 2).clamp(FIRST_BACKOFF, MAX_DELAY);
                let pause = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER).max(self.backoff);
                self.paused_until = self.paused_until.max(ended + pause);
                self.fail(ended, ERROR_LIMIT);
            }
            Health::Error => self.fail(ended, ERROR_LIMIT),
            Health::Unreachable => self.fail(ended, UNREACHABLE_LIMIT),
        }
    }

    /// The rule of Scrapy's `AutoThrottle`: halfway to `latency / concurrency`, or all the way if
    /// that is more. Error responses never lower the delay, because they are faster than pages.
    fn adapt(&mut self, latency: Duration, at_once: usize, how: Health) {
        if self.floor.is_zero() || how == Health::Unknown {
            return;
        }
        let target = latency.min(MAX_DELAY) / u32::try_from(at_once.max(1)).unwrap_or(u32::MAX);
        let new = target.max((self.adaptive + target) / 2).min(MAX_DELAY);
        if how == Health::Good || new > self.adaptive {
            self.adaptive = new;
        }
    }

    fn fail(&mut self, ended: Duration, limit: u32) {
        self.failures += 1;
        if !self.probing && self.failures < limit {
            return;
        }
        let park = PARK.bound(self.parks);
        self.parks += 1;
        self.failures = 0;
        self.probing = true;
        self.paused_until = self.paused_until.max(ended + park);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_gap_runs_from_the_end_of_one_exchange_to_the_start_of_the_next() {
        let mut schedule = Schedule::new(SECOND);
        assert_eq!(schedule.next_at(), Duration::ZERO);
        schedule.started(10 * SECOND);
        schedule.ended(10 * SECOND + 200 * MS, 200 * MS, 1, Health::Good);
        assert_eq!(schedule.next_at(), 11 * SECOND + 200 * MS);
        schedule.raise_floor(5 * SECOND);
        assert_eq!(schedule.next_at(), 15 * SECOND + 200 * MS);
    }

    #[test]
    fn a_slow_host_is_asked_less_often_and_errors_do_not_hurry_it() {
        let mut schedule = Schedule::new(SECOND);
        schedule.ended(SECOND, 8 * SECOND, 1, Health::Good);
        assert_eq!(schedule.delay(), 8 * SECOND);
        schedule.ended(SECOND, MS, 1, Health::Error);
        assert_eq!(schedule.delay(), 8 * SECOND);
        schedule.ended(SECOND, 2 * SECOND, 1, Health::Good);
        assert_eq!(schedule.delay(), 5 * SECOND);
        let mut unpaced = Schedule::new(Duration::ZERO);
        unpaced.ended(SECOND, 8 * SECOND, 1, Health::Good);
        assert_eq!(unpaced.delay(), Duration::ZERO, "no delay was asked for");
    }

    #[test]
    fn refusals_back_off_by_doubling_and_recover_step_by_step() {
        let mut schedule = Schedule::new(Duration::ZERO);
        schedule.ended(SECOND, MS, 1, Health::Refusing(None));
        assert_eq!(schedule.next_at(), SECOND + FIRST_BACKOFF);
        schedule.ended(2 * SECOND, MS, 1, Health::Refusing(Some(30 * SECOND)));
        assert_eq!(schedule.delay(), 2 * FIRST_BACKOFF);
        assert_eq!(schedule.next_at(), 32 * SECOND);
        schedule.ended(40 * SECOND, MS, 1, Health::Good);
        assert_eq!(schedule.delay() + RECOVERY, 2 * FIRST_BACKOFF);
        for _ in 0..3 {
            schedule.ended(40 * SECOND, MS, 1, Health::Good);
        }
        assert_eq!(schedule.delay(), Duration::ZERO);
    }

    #[test]
    fn a_dead_host_is_parked_probed_and_given_up_and_a_live_one_comes_back() {
        let mut schedule = Schedule::new(Duration::ZERO);
        let mut now = SECOND;
        for _ in 0..UNREACHABLE_LIMIT {
            assert_eq!(schedule.at_once(4), 4);
            schedule.ended(now, MS, 4, Health::Unreachable);
        }
        assert_eq!((schedule.next_at(), schedule.at_once(4)), (now + PARK.base, 1));
        let parked = schedule.clone();
        let mut lengths = Vec::new();
        while !schedule.given_up() {
            lengths.push(schedule.next_at().saturating_sub(now).as_secs());
            now = schedule.next_at();
            schedule.ended(now, MS, 1, Health::Unreachable);
        }
        assert_eq!(lengths, [5, 10, 20, 40, 80]);
        let mut schedule = parked;
        schedule.ended(now, MS, 1, Health::Good);
        assert_eq!(schedule.at_once(4), 4);
    }
}
