//! When to try again: one policy for fetching and for models.

use std::fmt;
use std::time::Duration;

use crate::model::Headers;
use crate::time::Timestamp;

use super::HttpError;

/// Exponential backoff with full jitter under one total deadline.
///
/// The delay after attempt `n` is drawn uniformly from `0 ..= min(cap, base · 2^(n-1))` ("full
/// jitter", Marc Brooker, *Exponential Backoff And Jitter*, AWS 2015), and is never shorter than
/// what the server asked for. Pure: the caller waits, and passes in the time and the randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// Upper bound of the first delay.
    pub base: Duration,
    /// Upper bound of any delay that the server did not ask for.
    pub cap: Duration,
    /// The longest wait that a server may ask for; beyond it the call fails at once.
    pub retry_after_cap: Duration,
    /// Time for all attempts and the waits between them.
    pub total: Duration,
}

impl RetryPolicy {
    /// For fetching: 3 attempts, 1 s doubling to 60 s, `Retry-After` up to 1 hour, 2 hours in all.
    /// No thread waits meanwhile: the frontier holds the URL.
    pub const fn fetch() -> Self {
        Self {
            max_attempts: 3,
            base: Duration::from_secs(1),
            cap: Duration::from_mins(1),
            retry_after_cap: Duration::from_hours(1),
            total: Duration::from_hours(2),
        }
    }

    /// For models: 5 attempts, 500 ms doubling to 30 s, `Retry-After` up to 60 s, 5 minutes in all.
    pub const fn llm() -> Self {
        Self {
            max_attempts: 5,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            retry_after_cap: Duration::from_mins(1),
            total: Duration::from_mins(5),
        }
    }

    /// What to do after attempt number `attempt` (the first is 1) ended with `cause`, `elapsed`
    /// after the first one began. `retry_after` is what the server asked for, if it did.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gristmill::http::{GiveUp, Retry, RetryCause, RetryPolicy};
    ///
    /// let (policy, mut rng) = (RetryPolicy::fetch(), fastrand::Rng::with_seed(1));
    /// let busy = RetryCause::of_fetch_status(503);
    /// let asked = Some(Duration::from_secs(7));
    /// assert_eq!(
    ///     policy.next(1, busy, asked, Duration::ZERO, &mut rng),
    ///     Retry::After(Duration::from_secs(7)),
    /// );
    /// let absent = RetryCause::of_fetch_status(404);
    /// assert_eq!(
    ///     policy.next(1, absent, None, Duration::ZERO, &mut rng),
    ///     Retry::GiveUp(GiveUp::Permanent),
    /// );
    /// ```
    pub fn next(
        &self,
        attempt: u32,
        cause: RetryCause,
        retry_after: Option<Duration>,
        elapsed: Duration,
        rng: &mut fastrand::Rng,
    ) -> Retry {
        if cause == RetryCause::Permanent {
            return Retry::GiveUp(GiveUp::Permanent);
        }
        if attempt >= self.max_attempts {
            return Retry::GiveUp(GiveUp::Attempts);
        }
        if retry_after.is_some_and(|asked| asked > self.retry_after_cap) {
            return Retry::GiveUp(GiveUp::RetryAfter);
        }
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let ceiling = self.base.saturating_mul(doubled).min(self.cap);
        let jittered = ceiling.mul_f64(rng.f64());
        let delay = retry_after.map_or(jittered, |asked| asked.max(jittered));
        if elapsed.saturating_add(delay) >= self.total {
            return Retry::GiveUp(GiveUp::Deadline);
        }
        Retry::After(delay)
    }
}

/// What a policy decided.
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
    /// The same request would fail again.
    Permanent,
    /// No attempts are left.
    Attempts,
    /// The next attempt would begin after the total deadline.
    Deadline,
    /// The server asks for a longer wait than the policy accepts.
    RetryAfter,
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permanent => "not retryable",
            Self::Attempts => "no attempts left",
            Self::Deadline => "the total deadline would pass",
            Self::RetryAfter => "the server asks for too long a wait",
        })
    }
}

/// Whether what happened may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryCause {
    /// It may pass.
    Transient,
    /// It will not.
    Permanent,
}

impl RetryCause {
    const fn when(transient: bool) -> Self {
        if transient { Self::Transient } else { Self::Permanent }
    }

    /// An answer to a fetch: 408, 429, 500, 502, 503, 504, 522 and 524 may pass.
    pub const fn of_fetch_status(status: u16) -> Self {
        Self::when(matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 522 | 524))
    }

    /// An answer of a model's server: `x-should-retry` decides where it is given; else 408, 409,
    /// 429 and everything from 500 up may pass.
    pub fn of_llm_answer(status: u16, headers: &Headers) -> Self {
        match headers.get("x-should-retry").map(str::trim) {
            Some(word) if word.eq_ignore_ascii_case("true") => Self::Transient,
            Some(word) if word.eq_ignore_ascii_case("false") => Self::Permanent,
            _ => Self::when(matches!(status, 408 | 409 | 429 | 500..)),
        }
    }

    /// A fetch without an answer.
    pub fn of_fetch_error(error: &HttpError) -> Self {
        Self::when(error.is_retryable())
    }

    /// A model call without an answer: only what surely was not answered is repeated, as an answer
    /// begun has been paid for.
    pub fn of_llm_error(error: &HttpError) -> Self {
        Self::when(error.is_retryable() && error.is_before_first_byte())
    }
}

/// How long the server asks to wait: `retry-after-ms` (milliseconds), else `retry-after` as
/// seconds (whole or decimal) or as an HTTP date, taken relative to `now`. A date that has passed
/// gives zero; what is malformed or negative gives `None`.
pub fn parse_retry_after(headers: &Headers, now: Timestamp) -> Option<Duration> {
    let seconds = |text: &str, unit: f64| {
        let number: f64 = text.trim().parse().ok()?;
        Duration::try_from_secs_f64(number * unit).ok()
    };
    if let Some(wait) = headers.get("retry-after-ms").and_then(|text| seconds(text, 0.001)) {
        return Some(wait);
    }
    let text = headers.get("retry-after")?;
    seconds(text, 1.0).or_else(|| {
        let date = httpdate::parse_http_date(text.trim()).ok()?;
        Some(Timestamp::from(date).saturating_since(now))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 4,
            base: Duration::from_millis(100),
            cap: Duration::from_millis(300),
            retry_after_cap: Duration::from_secs(10),
            total: Duration::from_secs(20),
        }
    }

    fn next(attempt: u32, asked: Option<u64>, elapsed: u64, seed: u64) -> Retry {
        policy().next(
            attempt,
            RetryCause::Transient,
            asked.map(Duration::from_secs),
            Duration::from_secs(elapsed),
            &mut fastrand::Rng::with_seed(seed),
        )
    }

    #[test]
    fn delays_fill_the_range_up_to_a_ceiling_that_doubles_to_the_cap() {
        for (attempt, ceiling) in [(1, 100), (2, 200), (3, 300)] {
            let delays: Vec<_> = (0..2000)
                .map(|seed| match next(attempt, None, 0, seed) {
                    Retry::After(delay) => delay.as_millis(),
                    Retry::GiveUp(reason) => panic!("{reason}"),
                })
                .collect();
            let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
            assert!(*most <= ceiling && *most > ceiling * 9 / 10, "{attempt}: {most}");
            assert!(*least < ceiling / 10, "{attempt}: {least}");
        }
    }

    #[test]
    fn the_servers_wait_is_a_lower_bound_up_to_its_cap() {
        for seed in 0..100 {
            assert_eq!(next(1, Some(10), 0, seed), Retry::After(Duration::from_secs(10)));
        }
        assert_eq!(next(1, Some(11), 0, 0), Retry::GiveUp(GiveUp::RetryAfter));
    }

    #[test]
    fn attempts_and_the_deadline_end_it() {
        assert_eq!(next(4, None, 0, 0), Retry::GiveUp(GiveUp::Attempts));
        assert_eq!(next(1, Some(5), 15, 0), Retry::GiveUp(GiveUp::Deadline));
        let mut rng = fastrand::Rng::with_seed(0);
        let (cause, zero) = (RetryCause::Permanent, Duration::ZERO);
        assert_eq!(policy().next(1, cause, None, zero, &mut rng), Retry::GiveUp(GiveUp::Permanent));
    }

    #[test]
    fn statuses_are_told_apart_by_use() {
        for status in [408, 429, 500, 502, 503, 504, 522, 524] {
            assert_eq!(RetryCause::of_fetch_status(status), RetryCause::Transient, "{status}");
        }
        for status in [200, 304, 400, 401, 403, 404, 409, 410, 451, 501, 505] {
            assert_eq!(RetryCause::of_fetch_status(status), RetryCause::Permanent, "{status}");
        }
        let none = Headers::default();
        for status in [408, 409, 429, 500, 501, 529, 599] {
            assert_eq!(RetryCause::of_llm_answer(status, &none), RetryCause::Transient, "{status}");
        }
        for status in [400, 401, 403, 404, 413, 422] {
            assert_eq!(RetryCause::of_llm_answer(status, &none), RetryCause::Permanent, "{status}");
        }
        let told = |word: &str| {
            let mut headers = Headers::default();
            headers.push("x-should-retry", word);
            headers
        };
        assert_eq!(RetryCause::of_llm_answer(400, &told("true")), RetryCause::Transient);
        assert_eq!(RetryCause::of_llm_answer(503, &told("False")), RetryCause::Permanent);
    }

    #[test]
    fn every_form_of_retry_after_is_read() {
        let now = Timestamp(1_795_341_600_000); // 2026-11-22T10:00:00Z
        let parse = |name: &str, value: &str| {
            let mut headers = Headers::default();
            headers.push(name, value);
            parse_retry_after(&headers, now).map(|wait| wait.as_millis())
        };
        assert_eq!(parse("Retry-After", "120"), Some(120_000));
        assert_eq!(parse("retry-after", " 1.5 "), Some(1500));
        assert_eq!(parse("retry-after", "0"), Some(0));
        assert_eq!(parse("retry-after-ms", "250"), Some(250));
        assert_eq!(parse("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT"), Some(30_000));
        assert_eq!(parse("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT"), Some(0));
        for bad in ["", "-1", "soon", "NaN", "inf", "1e400", "12 apples"] {
            assert_eq!(parse("retry-after", bad), None, "{bad}");
            assert_eq!(parse("retry-after-ms", bad), None, "{bad}");
        }
        let mut both = Headers::default();
        both.push("retry-after", "9");
        both.push("retry-after-ms", "junk");
        assert_eq!(parse_retry_after(&both, now), Some(Duration::from_secs(9)));
    }
}
