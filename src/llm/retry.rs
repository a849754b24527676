//! What is worth another attempt, and when.

use std::time::{Duration, SystemTime};

use crate::model::Headers;
use crate::time::Timestamp;

/// When and how often a request is sent again.
///
/// The pause before retry `n` (from 0) is drawn evenly from zero to `base · 2ⁿ`, at most `cap`
/// ("full jitter"), unless the server says how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Most requests of one call, the first included. Default 5.
    pub max_attempts: u32,
    /// Upper end of the first pause. Default 500 ms.
    pub base: Duration,
    /// Upper end of any pause that the client chooses. Default 20 s.
    pub cap: Duration,
    /// Longest wait that a server may ask for; beyond it the call fails at once. Default 60 s.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(20),
            max_retry_after: Duration::from_mins(1),
        }
    }
}

impl RetryPolicy {
    /// The pause before retry `retry` (from 0), for a random number `unit` in `0.0..=1.0`.
    pub fn backoff(&self, retry: u32, unit: f64) -> Duration {
        let doubled = self.base.saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX));
        doubled.min(self.cap).mul_f64(unit.clamp(0.0, 1.0))
    }
}

/// Whether an error status may be gone at the next attempt.
pub(super) const fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 409 | 429) || status >= 500
}

/// Whether an error answer is worth another attempt.
///
/// `x-should-retry` decides, except that what the request itself or the account is at fault for is
/// never sent again.
pub(super) fn should_retry(status: u16, headers: &Headers) -> bool {
    let at_fault = matches!(status, 400..=404 | 422);
    match headers.get("x-should-retry").map(str::trim) {
        Some("true") => !at_fault,
        Some("false") => false,
        _ => is_transient_status(status),
    }
}

/// How long the server asks to wait: `retry-after-ms`, else `retry-after` in seconds (with or
/// without a fraction) or as an HTTP date (RFC 9110, section 10.2.3).
pub(super) fn asked_wait(headers: &Headers, now: Timestamp) -> Option<Duration> {
    let seconds = |text: &str, scale: f64| {
        let value = text.trim().parse::<f64>().ok()? * scale;
        Duration::try_from_secs_f64(value).ok()
    };
    if let Some(wait) = headers.get("retry-after-ms").and_then(|text| seconds(text, 0.001)) {
        return Some(wait);
    }
    let text = headers.get("retry-after")?;
    seconds(text, 1.0).or_else(|| {
        let at: SystemTime = httpdate::parse_http_date(text.trim()).ok()?;
        Some(Timestamp::from(at).saturating_since(now))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name, *value);
        }
        headers
    }

    #[test]
    fn each_form_of_retry_after_is_read() {
        let now = Timestamp(784_111_777_000);
        let wait = |fields: &[(&str, &str)]| asked_wait(&headers(fields), now);
        assert_eq!(wait(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
        assert_eq!(wait(&[("retry-after", "0.25")]), Some(Duration::from_millis(250)));
        assert_eq!(
            wait(&[("Retry-After", "Sun, 06 Nov 1994 08:49:47 GMT")]),
            Some(Duration::from_secs(10))
        );
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(Duration::ZERO));
        assert_eq!(
            wait(&[("retry-after", "9"), ("retry-after-ms", "1500")]),
            Some(Duration::from_millis(1500))
        );
        for nonsense in ["", "soon", "-1", "NaN", "inf", "1e400"] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn statuses_are_told_apart() {
        let plain = Headers::default();
        for status in [408, 409, 429, 500, 502, 503, 529] {
            assert!(should_retry(status, &plain), "{status}");
        }
        for status in [400, 401, 402, 403, 404, 413, 422] {
            assert!(!should_retry(status, &plain), "{status}");
        }
        assert!(!should_retry(500, &headers(&[("x-should-retry", "false")])));
        assert!(should_retry(413, &headers(&[("x-should-retry", "true")])));
        assert!(!should_retry(401, &headers(&[("x-should-retry", "true")])));
    }

    #[test]
    fn the_backoff_grows_to_its_cap() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.backoff(0, 1.0), Duration::from_millis(500));
        assert_eq!(policy.backoff(3, 1.0), Duration::from_secs(4));
        assert_eq!(policy.backoff(40, 1.0), Duration::from_secs(20));
        assert_eq!(policy.backoff(40, 0.5), Duration::from_secs(10));
        assert_eq!(policy.backoff(2, 0.0), Duration::ZERO);
    }
}
