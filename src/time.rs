//! Time as a parameter: every part that needs the time takes a [`Clock`], so that tests can set it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// A point of wall-clock time in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This moment moved forward by `duration`, saturating at the end of time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This moment moved back by `duration`, saturating at the epoch.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Times before the epoch become the epoch.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(time.0)
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T09:55:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, in_day) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (hours, minutes) = (in_day / 3_600_000, in_day / 60_000 % 60);
        let (seconds, millis) = (in_day / 1000 % 60, in_day % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
    }
}

/// Days since the epoch to (year, month, day) in the proleptic Gregorian calendar.
///
/// Works on years that begin in March, so that the leap day is the last day of its year; an era is
/// 400 such years, 146,097 days.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The instant `timeout` from now, or a hundred years from now where `timeout` is longer: an
/// `Instant` cannot hold every sum.
pub(crate) fn deadline_in(timeout: Duration) -> Instant {
    const FAR: Duration = Duration::from_hours(100 * 365 * 24);
    let now = Instant::now();
    now.checked_add(timeout.min(FAR)).unwrap_or(now)
}

/// A source of time: a monotonic reading for intervals and a wall reading for records.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Time since an arbitrary fixed start; never goes back.
    fn monotonic(&self) -> Duration;

    /// [`monotonic`](Self::monotonic), but cheaper and some milliseconds late, on systems with such
    /// a reading. Default: the exact one.
    fn coarse(&self) -> Duration {
        self.monotonic()
    }

    /// [`coarse`](Self::coarse) in whole milliseconds, for callers that ask very often.
    fn coarse_millis(&self) -> u64 {
        u64::try_from(self.coarse().as_millis()).unwrap_or(u64::MAX)
    }

    /// The date and time of day; may jump either way.
    fn wall(&self) -> Timestamp;
}

/// A clock shared by all parts of an engine.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
    /// The system's monotonic reading at `start`.
    #[cfg(target_os = "linux")]
    start_raw: Duration,
    /// The same in milliseconds, rounded up, so that no reading is ahead of the exact one.
    #[cfg(target_os = "linux")]
    start_millis: i64,
}

/// Linux keeps the monotonic time of the last timer tick, 1 to 10 ms ago, in memory.
#[cfg(target_os = "linux")]
fn reading(id: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(id);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl SystemClock {
    /// A clock whose monotonic reading starts at zero now.
    pub fn new() -> Self {
        let start = Instant::now();
        #[cfg(target_os = "linux")]
        {
            let start_raw = reading(rustix::time::ClockId::Monotonic);
            let millis = start_raw.as_nanos().div_ceil(1_000_000);
            let start_millis = i64::try_from(millis).unwrap_or(i64::MAX);
            Self { start, start_raw, start_millis }
        }
        #[cfg(not(target_os = "linux"))]
        Self { start }
    }

    /// [`SystemClock::new`] as a [`SharedClock`].
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[cfg(target_os = "linux")]
    fn coarse(&self) -> Duration {
        reading(rustix::time::ClockId::MonotonicCoarse).saturating_sub(self.start_raw)
    }

    #[cfg(target_os = "linux")]
    fn coarse_millis(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        let millis = time.tv_sec * 1000 + time.tv_nsec / 1_000_000 - self.start_millis;
        // Negative in the first milliseconds: the last tick was before the start.
        u64::try_from(millis).unwrap_or(0)
    }

    fn wall(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that moves only when told to: the test twin of [`SystemClock`].
#[derive(Debug, Default)]
pub struct ManualClock {
    now: Mutex<(Duration, Timestamp)>,
}

impl ManualClock {
    /// A clock at zero monotonic time and at `wall`.
    pub fn new(wall: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new((Duration::ZERO, wall)) })
    }

    /// Moves both readings forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock();
        *now = (now.0 + by, now.1.saturating_add(by));
    }

    /// Sets the wall reading only, as an administrator who sets the date does.
    pub fn set_wall(&self, wall: Timestamp) {
        self.now.lock().1 = wall;
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        self.now.lock().0
    }

    fn wall(&self) -> Timestamp {
        self.now.lock().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Timestamp(1_795_341_599_999).to_string(), "2026-11-22T09:59:59.999Z");
    }

    #[test]
    fn the_coarse_reading_follows_the_exact_one() {
        let clock = SystemClock::new();
        // Ends at the next tick of the timer.
        while clock.coarse() == Duration::ZERO {
            assert!(clock.monotonic() < Duration::from_mins(1), "it stands still");
        }
        for _ in 0..1000 {
            let (coarse, millis) = (clock.coarse(), clock.coarse_millis());
            let exact = clock.monotonic();
            assert!(coarse <= exact, "{coarse:?} is ahead of {exact:?}");
            let millis = Duration::from_millis(millis);
            assert!(millis <= exact, "{millis:?} is ahead of {exact:?}");
            assert!(coarse < millis + Duration::from_millis(12), "{millis:?} is behind {coarse:?}");
        }
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Timestamp(1000));
        assert_eq!((clock.monotonic(), clock.wall()), (Duration::ZERO, Timestamp(1000)));
        clock.advance(Duration::from_millis(5));
        assert_eq!((clock.monotonic(), clock.wall()), (Duration::from_millis(5), Timestamp(1005)));
        clock.set_wall(Timestamp(7));
        assert_eq!((clock.monotonic(), clock.wall()), (Duration::from_millis(5), Timestamp(7)));
    }
}
