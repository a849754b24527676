//! Reads how long a server asks a client to wait.

use std::time::Duration;

use crate::model::Headers;
use crate::time::Timestamp;

/// How long the server asks to wait.
///
/// `retry-after-ms` takes precedence: it is not standard, but several model servers send it. Then
/// comes `Retry-After`, in seconds or as an HTTP date relative to `now` (RFC 9110, section 10.2.3).
/// Fractions of seconds are accepted, since servers send them. A date in the past asks for no wait.
/// Anything else counts as absent: text, negative numbers, and numbers too large for a
/// [`Duration`].
///
/// ```
/// use std::time::Duration;
/// use gristmill::model::Headers;
/// use gristmill::retry::parse_retry_after;
/// use gristmill::time::Timestamp;
///
/// let mut headers = Headers::default();
/// headers.push("retry-after", "1.5");
/// let now = Timestamp(0);
/// assert_eq!(parse_retry_after(&headers, now), Some(Duration::from_millis(1500)));
/// ```
pub fn parse_retry_after(headers: &Headers, now: Timestamp) -> Option<Duration> {
    if let Some(wait) = headers.get("retry-after-ms").and_then(|text| number(text, 0.001)) {
        return Some(wait);
    }
    let text = headers.get("retry-after")?;
    number(text, 1.0).or_else(|| {
        let date = httpdate::parse_http_date(text.trim()).ok()?;
        Some(Timestamp::from(date).saturating_since(now))
    })
}

/// A number of units of `unit` seconds. The conversion refuses negative numbers, NaN, infinities
/// and overflow.
fn number(text: &str, unit: f64) -> Option<Duration> {
    let number: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T10:00:00Z
    const NOW: Timestamp = Timestamp(1_795_341_600_000);

    fn parse(fields: &[(&str, &str)]) -> Option<u128> {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name, *value);
        }
        parse_retry_after(&headers, NOW).map(|wait| wait.as_millis())
    }

    #[test]
    fn seconds_fractions_milliseconds_and_dates_are_read() {
        assert_eq!(parse(&[("Retry-After", "120")]), Some(120_000));
        assert_eq!(parse(&[("retry-after", " 1.5 ")]), Some(1500));
        assert_eq!(parse(&[("retry-after", "0")]), Some(0));
        assert_eq!(parse(&[("retry-after-ms", "250")]), Some(250));
        assert_eq!(parse(&[("retry-after-ms", "0.5e3")]), Some(500));
        for date in [
            "Sun, 22 Nov 2026 10:00:30 GMT",
            "Sunday, 22-Nov-26 10:00:30 GMT",
            "Sun Nov 22 10:00:30 2026",
        ] {
            assert_eq!(parse(&[("retry-after", date)]), Some(30_000), "{date}");
        }
        assert_eq!(parse(&[("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT")]), Some(0));
        assert_eq!(parse(&[]), None);
    }

    #[test]
    fn milliseconds_count_before_seconds_where_they_can_be_read() {
        assert_eq!(parse(&[("retry-after", "9"), ("retry-after-ms", "1500")]), Some(1500));
        assert_eq!(parse(&[("retry-after", "9"), ("retry-after-ms", "junk")]), Some(9000));
        // No server sends a date in milliseconds.
        assert_eq!(parse(&[("retry-after-ms", "Sun, 22 Nov 2026 10:00:30 GMT")]), None);
    }

    #[test]
    fn what_is_no_wait_counts_as_absent() {
        for bad in [
            "",
            " ",
            "-1",
            "-0.001",
            "soon",
            "NaN",
            "inf",
            "-inf",
            "1e400",
            "1e300",
            "12 apples",
            "99999999999999999999999999",
            "0x10",
            "1,5",
            "Sun, 32 Nov 2026 10:00:30 GMT",
            "\u{0}",
        ] {
            assert_eq!(parse(&[("retry-after", bad)]), None, "{bad}");
            assert_eq!(parse(&[("retry-after-ms", bad)]), None, "{bad}");
        }
        // The longest wait that is understood; a policy refuses or cuts it.
        assert_eq!(parse(&[("retry-after", "1e18")]), Some(1_000_000_000_000_000_000_000));
    }
}
