//! Crawler traps: URLs that a site generates without end.
//!
//! The rules prefer false negatives: large documentation sites, archives and shops with many facets
//! must never match. Depth limits and budgets stop what these rules let through.

use crate::model::TrapKind;
use crate::time::Timestamp;
use crate::url::Url;

/// Longest URL that is fetched because a page links to it, in bytes. Browsers and servers agree
/// on a little more than 2,000.
pub const MAX_LINK_BYTES: usize = 2048;

/// A single segment repeated this many times is a loop: `/a/a/a/a`.
const SINGLE_REPEATS: usize = 4;

/// A run of two or more segments repeated this many times is a loop: `/a/b/a/b/a/b`.
const RUN_REPEATS: usize = 3;

/// Longest run of segments that is checked.
const LONGEST_RUN: usize = 8;

/// Most segments of a path; deeper ones come from relative links that pile up.
const MAX_SEGMENTS: usize = 64;

/// Most parameters of a query.
const MAX_PARAMETERS: usize = 24;

/// The same `name=value` this often: each link appends what is already there.
const PAIR_REPEATS: usize = 3;

/// Encodings within encodings (`%2525`): a URL that carries itself as a parameter.
const NESTED_ENCODING: &str = "%252525";

/// A date this many years ahead comes from an endless calendar.
const YEARS_AHEAD: u64 = 3;

/// Four digits above this are part numbers rather than years; calendars come by nearer years first.
const LAST_YEAR: u64 = 2199;

/// In a path or query with a word of a calendar, so does a date this many years back.
const YEARS_BACK: u64 = 30;

/// Words of calendars, as they stand in paths and queries.
const CALENDAR_WORDS: [&str; 7] =
    ["calendar", "kalender", "calendrier", "calendario", "ical=", "tribe-bar-date", "agenda"];

/// Milliseconds of a mean Gregorian year.
const YEAR_MILLIS: u64 = 31_556_952_000;

/// The kind of trap that `url` looks like, if any; `now` decides which dates lie ahead.
///
/// ```
/// use gristmill::{crawl::trap, model::TrapKind, time::Timestamp, url::parse};
///
/// let url = parse("http://a.example/x/y/x/y/x/y")?;
/// assert_eq!(trap::detect(&url, Timestamp(0)), Some(TrapKind::PathRepetition));
/// # Ok::<(), gristmill::url::UrlError>(())
/// ```
pub fn detect(url: &Url, now: Timestamp) -> Option<TrapKind> {
    if url.as_str().len() > MAX_LINK_BYTES {
        Some(TrapKind::LongUrl)
    } else if path_repeats(url.path()) {
        Some(TrapKind::PathRepetition)
    } else if url.query().is_some_and(query_grows) {
        Some(TrapKind::QueryGrowth)
    } else if is_calendar(url, now) {
        Some(TrapKind::Calendar)
    } else {
        None
    }
}

fn path_repeats(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    if segments.len() > MAX_SEGMENTS {
        return true;
    }
    (1..=LONGEST_RUN).any(|run| {
        let repeats = if run == 1 { SINGLE_REPEATS } else { RUN_REPEATS };
        // As many segments that equal the one `run` before them, without a break.
        let needed = run * (repeats - 1);
        let mut matched = 0;
        segments.iter().zip(segments.iter().skip(run)).any(|(before, here)| {
            matched = if before == here { matched + 1 } else { 0 };
            matched >= needed
        })
    })
}

fn query_grows(query: &str) -> bool {
    let mut pairs: Vec<&str> =
        query.split('&').filter(|p| !p.is_empty()).take(MAX_PARAMETERS + 1).collect();
    if pairs.len() > MAX_PARAMETERS || query.contains(NESTED_ENCODING) {
        return true;
    }
    pairs.sort_unstable();
    pairs.chunk_by(|a, b| a == b).any(|same| same.len() >= PAIR_REPEATS)
}

fn is_calendar(url: &Url, now: Timestamp) -> bool {
    let text = url.as_str().get(url.scheme().len() + 3..).unwrap_or_default();
    let text = text.split_once('/').map_or("", |(_, after_host)| after_host);
    let Some(year) = dated_year(text) else { return false };
    let this_year = 1970 + now.as_millis() / YEAR_MILLIS;
    if year > this_year + YEARS_AHEAD {
        return true;
    }
    let lower = text.to_ascii_lowercase();
    let speaks_of_calendar = CALENDAR_WORDS.iter().any(|word| lower.contains(word));
    speaks_of_calendar && year + YEARS_BACK < this_year
}

/// The year of a date in the text: four digits, a separator, a month of one or two digits that
/// nothing longer continues (`2031/05`, `2031-05-17`, `year=2031&month=5`).
fn dated_year(text: &str) -> Option<u64> {
    let is_word = |b: u8| b.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    (0..bytes.len())
        .filter(|at| *at == 0 || !bytes.get(at - 1).copied().is_some_and(is_word))
        .find_map(|at| {
            let year = number(bytes.get(at..at + 4)?)?;
            let rest = bytes.get(at + 4..)?;
            let rest = rest
                .strip_prefix(b"/")
                .or_else(|| rest.strip_prefix(b"-"))
                .or_else(|| rest.strip_prefix(b"&month="))?;
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let ends = !rest.get(digits).copied().is_some_and(is_word);
            let month = number(rest.get(..digits)?)?;
            let plausible = (1..=2).contains(&digits) && (1..=12).contains(&month);
            (ends && plausible && (1000..=LAST_YEAR).contains(&year)).then_some(year)
        })
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the year 2026.
    const NOW: Timestamp = Timestamp(1_795_341_599_999);

    fn kind(path: &str) -> Option<TrapKind> {
        detect(&Url::parse(&format!("http://a.example{path}")).unwrap(), NOW)
    }

    #[test]
    fn traps_are_told() {
        for path in ["/a/a/a/a", "/x/a/b/a/b/a/b", "/a/b/c/a/b/c/a/b/c/", "/q/0/0/0/0/z"] {
            assert_eq!(kind(path), Some(TrapKind::PathRepetition), "{path}");
        }
        assert_eq!(kind(&"/d".repeat(40)), Some(TrapKind::PathRepetition));
        let deep = (0..70).fold(String::new(), |path, n| path + &format!("/s{n}"));
        assert_eq!(kind(&deep), Some(TrapKind::PathRepetition));
        let many = (0..30).fold(String::new(), |query, n| query + &format!("p{n}=1&"));
        for query in ["a=1&b=2&a=1&a=1", &many, "u=%252525252F"] {
            assert_eq!(kind(&format!("/?{query}")), Some(TrapKind::QueryGrowth), "{query}");
        }
        for path in [
            "/calendar/2041/05",
            "/events/2035-01-12",
            "/c?year=2099&month=3",
            "/calendar/1871/05/01",
            "/?date=2050-12",
        ] {
            assert_eq!(kind(path), Some(TrapKind::Calendar), "{path}");
        }
        let long = format!("/{}", "x".repeat(MAX_LINK_BYTES));
        assert_eq!(kind(&long), Some(TrapKind::LongUrl));
    }

    #[test]
    fn ordinary_sites_are_not_hit() {
        for path in [
            "/",
            "/docs/guide/guide/index.html",
            "/2024/11/11/11/",
            "/api/v1/api/v1/users",
            "/reference/std/collections/hash_map/struct.HashMap.html",
            "/1851/09/18/archives/a-story.html",
            "/calendar/2026/12/",
            "/events/2027-03-01",
            "/shop?color=red&color=blue&color=green&size=1&size=2&page=3",
            "/standards/iso/8601-2/",
            "/rfc/rfc9309",
            "/part/5000-10/",
            "/releases/2030.1/",
            "/a//b//c",
            "/search?u=https%3A%2F%2Fexample.com%2F%3Fq%3D1",
        ] {
            assert_eq!(kind(path), None, "{path}");
        }
        for n in 0..5000 {
            let path = format!("/docs/book/chapter-{}/section-{}/page-{n}.html", n / 100, n / 10);
            assert_eq!(kind(&path), None);
        }
    }
}
