//! When a failed request is retried.
//!
//! One [`RetryPolicy`] serves every client. It is pure: the caller passes in what it knows
//! (attempts made, the wait that the server asked for, the time left, a random number), gets a
//! decision, and does the waiting. Only the values differ between protocols:
//!
//! | | [`page`](RetryPolicy::page) | [`robots`](RetryPolicy::robots) | [`model`](RetryPolicy::model) |
//! | --- | --- | --- | --- |
//! | attempts | 3 | 3 | 5 |
//! | first wait, longest wait | 1 s, 5 min | 5 s, 85 min 20 s | 500 ms, 20 s |
//! | jitter | half | none | full |
//! | `Retry-After` | raises the wait, up to 1 h | not read | replaces the wait, up to 60 s |
//! | total deadline | none | none | 3 min |
//! | statuses | 408, 429, 500, 502 to 504, 522, 524 | 429, 500 and above | 408, 409, 429, 500 and above |
//!
//! A page that waits is kept in the frontier and blocks nothing, so its wait may be long. A call of
//! a model has a caller waiting for it, so a wait that is too long is reported as a failure at
//! once.
//!
//! Failures without a status are classified where they happen; see
//! [`HttpError::is_retryable`](crate::http::HttpError::is_retryable).

mod retry_after;

use std::ops::RangeInclusive;
use std::time::Duration;

#[doc(hidden)]
pub use retry_after::parse_retry_after;

/// When, and how often, a failed request is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in total, including the first.
    pub max_attempts: u32,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// How a wait that the server asks for changes the backoff.
    pub retry_after: RetryAfter,
    /// The longest wait that a server may ask for, unless the backoff's own cap is longer.
    pub max_retry_after: Duration,
    /// Time for all attempts and the waits between them; [`Duration::MAX`]: no deadline.
    pub total: Duration,
    /// Statuses after which the same request may succeed.
    pub statuses: &'static [RangeInclusive<u16>],
}

/// Exponential backoff: before retry `n` (from 0) the wait is at most `min(cap, base · 2ⁿ)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first wait.
    pub base: Duration,
    /// Upper bound of every wait.
    pub cap: Duration,
    /// How much of each wait is random.
    pub jitter: Jitter,
}

/// How much of a wait is random, so that requests that failed together are not retried together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Jitter {
    /// None: the wait is its upper bound.
    None,
    /// The upper half ("equal jitter").
    Half,
    /// All of it ("full jitter"). It spreads the load best, as measured in Marc Brooker,
    /// *Exponential Backoff And Jitter* (AWS, 2015).
    Full,
}

/// How a wait that the server asks for changes the backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryAfter {
    /// It replaces the backoff. If it is longer than the policy accepts, the attempts end.
    Replaces,
    /// The wait is at least this long, but at most what the policy accepts.
    Raises,
}

/// The decision of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Try again after this time.
    After(Duration),
    /// Do not try again.
    GiveUp(GiveUp),
}

/// Why a policy gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// No attempts are left.
    Attempts,
    /// The wait is longer than [`RetryPolicy::longest_wait`].
    TooLong {
        /// The wait.
        wait: Duration,
    },
    /// The next attempt would start at the total deadline or later.
    Deadline,
}

impl RetryPolicy {
    /// For the pages, feeds and sitemaps of a crawl.
    pub const fn page() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff {
                base: Duration::from_secs(1),
                cap: Duration::from_mins(5),
                jitter: Jitter::Half,
            },
            retry_after: RetryAfter::Raises,
            max_retry_after: Duration::from_hours(1),
            total: Duration::MAX,
            statuses: PAGE_STATUSES,
        }
    }

    /// For `robots.txt`. No page of the origin is fetched meanwhile (RFC 9309, section 2.3.1.4).
    pub const fn robots() -> Self {
        Self {
            backoff: Backoff {
                base: Duration::from_secs(5),
                cap: Duration::from_secs(5 << 10),
                jitter: Jitter::None,
            },
            statuses: ROBOTS_STATUSES,
            ..Self::page()
        }
    }

    /// For calls of a language model.
    pub const fn model() -> Self {
        Self {
            max_attempts: 5,
            backoff: Backoff {
                base: Duration::from_millis(500),
                cap: Duration::from_secs(20),
                jitter: Jitter::Full,
            },
            retry_after: RetryAfter::Replaces,
            max_retry_after: Duration::from_mins(1),
            total: Duration::from_mins(3),
            statuses: MODEL_STATUSES,
        }
    }

    /// Whether a request answered with `status` may succeed later.
    pub fn retries_status(&self, status: u16) -> bool {
        self.statuses.iter().any(|range| range.contains(&status))
    }

    /// The longest wait between two attempts, whether it is the backoff's or the server's.
    pub fn longest_wait(&self) -> Duration {
        self.max_retry_after.max(self.backoff.cap)
    }

    /// What to do after attempt number `attempt` (from 1) failed in a way that may pass.
    ///
    /// `asked` is the wait that the server asked for, `left` the time until the total deadline.
    /// `unit` returns a number in `0.0..=1.0` for the jitter. It is called only if the wait is
    /// random.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gristmill::retry::{GiveUp, Retry, RetryPolicy};
    ///
    /// let (policy, left) = (RetryPolicy::model(), Duration::from_mins(3));
    /// let next = |attempt, asked| policy.next(attempt, asked, left, || 0.5);
    /// assert_eq!(next(1, None), Retry::After(Duration::from_millis(250)));
    /// assert_eq!(next(2, None), Retry::After(Duration::from_millis(500)));
    /// let seven = Duration::from_secs(7);
    /// assert_eq!(next(1, Some(seven)), Retry::After(seven));
    /// assert_eq!(next(5, None), Retry::GiveUp(GiveUp::Attempts));
    /// ```
    pub fn next(
        &self,
        attempt: u32,
        asked: Option<Duration>,
        left: Duration,
        unit: impl FnOnce() -> f64,
    ) -> Retry {
        if attempt >= self.max_attempts {
            return Retry::GiveUp(GiveUp::Attempts);
        }
        let backoff = || self.backoff.delay(attempt.saturating_sub(1), unit);
        let wait = match (asked, self.retry_after) {
            (None, _) => backoff(),
            (Some(asked), RetryAfter::Replaces) => asked,
            (Some(asked), RetryAfter::Raises) => backoff().max(asked.min(self.longest_wait())),
        };
        self.accept(wait, left)
    }

    /// Whether a wait is short enough, given the time `left` until the total deadline.
    pub fn accept(&self, wait: Duration, left: Duration) -> Retry {
        if wait > self.longest_wait() {
            Retry::GiveUp(GiveUp::TooLong { wait })
        } else if wait >= left {
            Retry::GiveUp(GiveUp::Deadline)
        } else {
            Retry::After(wait)
        }
    }
}

const PAGE_STATUSES: &[RangeInclusive<u16>] =
    &[408..=408, 429..=429, 500..=500, 502..=504, 522..=522, 524..=524];

const ROBOTS_STATUSES: &[RangeInclusive<u16>] = &[429..=429, 500..=u16::MAX];

const MODEL_STATUSES: &[RangeInclusive<u16>] = &[408..=409, 429..=429, 500..=u16::MAX];

impl Backoff {
    /// Upper bound of the wait before retry `retry` (from 0).
    pub fn bound(&self, retry: u32) -> Duration {
        /// Doublings after which any base above zero exceeds any cap: a nanosecond is then more
        /// than a `Duration` holds.
        const DOUBLINGS: u32 = 96;
        let double = |bound: Duration, _| bound.saturating_mul(2).min(self.cap);
        (0..retry.min(DOUBLINGS)).fold(self.base.min(self.cap), double)
    }

    /// The wait before retry `retry` (from 0), with a number in `0.0..=1.0` for the jitter.
    pub fn delay(&self, retry: u32, unit: impl FnOnce() -> f64) -> Duration {
        let bound = self.bound(retry);
        let fixed = match self.jitter {
            Jitter::None => return bound,
            Jitter::Half => bound / 2,
            Jitter::Full => Duration::ZERO,
        };
        let random = bound.saturating_sub(fixed);
        // Only the longest of all durations, rounded up on its way through a float, fails.
        let drawn = random.as_secs_f64() * unit().clamp(0.0, 1.0);
        fixed + Duration::try_from_secs_f64(drawn).map_or(random, |drawn| drawn.min(random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn next(policy: RetryPolicy, attempt: u32, asked: Option<u64>, unit: f64) -> Retry {
        policy.next(attempt, asked.map(Duration::from_secs), Duration::MAX, || unit)
    }

    #[test]
    fn bounds_double_up_to_the_cap() {
        let bounds = |backoff: Backoff, retries: std::ops::Range<u32>| -> Vec<u128> {
            retries.map(|retry| backoff.bound(retry).as_millis()).collect()
        };
        assert_eq!(
            bounds(RetryPolicy::page().backoff, 0..10),
            [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000]
        );
        assert_eq!(bounds(RetryPolicy::robots().backoff, 0..3), [5000, 10_000, 20_000]);
        assert_eq!(bounds(RetryPolicy::robots().backoff, 9..12), [2_560_000, 5_120_000, 5_120_000]);
        assert_eq!(
            bounds(RetryPolicy::model().backoff, 0..7),
            [500, 1000, 2000, 4000, 8000, 16_000, 20_000]
        );
        // Doubling reaches the cap from however far below, and never wraps.
        let far =
            Backoff { base: Duration::from_nanos(1), cap: Duration::MAX, jitter: Jitter::None };
        assert_eq!(far.bound(40), Duration::from_nanos(1 << 40));
        assert_eq!((far.bound(94), far.bound(u32::MAX)), (Duration::MAX, Duration::MAX));
        let none = Backoff { base: Duration::ZERO, ..far };
        assert_eq!(none.bound(u32::MAX), Duration::ZERO);
        let capped = Backoff { base: 2 * SECOND, cap: SECOND, ..far };
        assert_eq!(capped.bound(0), SECOND);
    }

    #[test]
    fn jitter_takes_none_half_or_all_of_the_wait() {
        for (jitter, least, middle) in
            [(Jitter::None, 4000, 4000), (Jitter::Half, 2000, 3000), (Jitter::Full, 0, 2000)]
        {
            let backoff = Backoff { base: SECOND, cap: 60 * SECOND, jitter };
            let delay = |unit: f64| backoff.delay(2, || unit).as_millis();
            assert_eq!([delay(0.0), delay(0.5), delay(1.0)], [least, middle, 4000], "{jitter:?}");
            // A number outside the range keeps the wait in its range.
            assert_eq!([delay(-1.0), delay(7.0), delay(f64::NAN)], [least, 4000, 4000]);
            let longest = Backoff { base: Duration::MAX, cap: Duration::MAX, jitter };
            assert_eq!(longest.delay(0, || 1.0), Duration::MAX);
        }
    }

    #[test]
    fn a_models_server_is_obeyed_to_the_second_up_to_a_minute() {
        let policy = RetryPolicy::model();
        for unit in [0.0, 0.5, 1.0] {
            assert_eq!(next(policy, 1, Some(0), unit), Retry::After(Duration::ZERO));
            assert_eq!(next(policy, 1, Some(60), unit), Retry::After(60 * SECOND));
        }
        let wait = 61 * SECOND;
        assert_eq!(next(policy, 1, Some(61), 0.0), Retry::GiveUp(GiveUp::TooLong { wait }));
        let patient = Backoff { cap: 90 * SECOND, ..policy.backoff };
        let policy = RetryPolicy { backoff: patient, ..policy };
        assert_eq!(next(policy, 1, Some(61), 0.0), Retry::After(wait));
    }

    #[test]
    fn a_page_waits_at_least_as_long_as_its_server_asks_up_to_an_hour() {
        let policy = RetryPolicy::page();
        assert_eq!(next(policy, 1, Some(0), 1.0), Retry::After(SECOND));
        assert_eq!(next(policy, 1, Some(7), 1.0), Retry::After(7 * SECOND));
        for asked in [3600, 3601, u64::MAX] {
            assert_eq!(next(policy, 2, Some(asked), 1.0), Retry::After(3600 * SECOND));
        }
    }

    #[test]
    fn attempts_and_the_deadline_end_it() {
        for (policy, most) in
            [(RetryPolicy::page(), 3), (RetryPolicy::robots(), 3), (RetryPolicy::model(), 5)]
        {
            for attempt in 1..most {
                assert!(matches!(next(policy, attempt, None, 0.5), Retry::After(_)), "{attempt}");
            }
            assert_eq!(next(policy, most, None, 0.5), Retry::GiveUp(GiveUp::Attempts));
            assert_eq!(next(policy, u32::MAX, Some(1), 0.5), Retry::GiveUp(GiveUp::Attempts));
        }
        let policy = RetryPolicy::model();
        let within = |left| policy.next(1, Some(5 * SECOND), left, || 0.5);
        assert_eq!(within(5 * SECOND), Retry::GiveUp(GiveUp::Deadline));
        assert_eq!(within(6 * SECOND), Retry::After(5 * SECOND));
        // Where both hold, the server's wait is the reason.
        let wait = 90 * SECOND;
        let both = policy.next(1, Some(wait), SECOND, || 0.5);
        assert_eq!(both, Retry::GiveUp(GiveUp::TooLong { wait }));
    }

    #[test]
    fn chance_is_asked_for_only_where_it_counts() {
        let never = || -> f64 { panic!("the jitter does not count here") };
        let asked = Some(SECOND);
        let left = Duration::MAX;
        assert_eq!(RetryPolicy::model().next(1, asked, left, never), Retry::After(SECOND));
        assert_eq!(RetryPolicy::robots().next(1, None, left, never), Retry::After(5 * SECOND));
    }

    #[test]
    fn statuses_are_told_apart_by_protocol() {
        for status in 100..=u16::MAX {
            let retried = |policy: RetryPolicy| policy.retries_status(status);
            let page = matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 522 | 524);
            assert_eq!(retried(RetryPolicy::page()), page, "{status}");
            assert_eq!(retried(RetryPolicy::robots()), status == 429 || status >= 500, "{status}");
            let model = matches!(status, 408 | 409 | 429) || status >= 500;
            assert_eq!(retried(RetryPolicy::model()), model, "{status}");
        }
    }
}
