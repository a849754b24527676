//! What is measured.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::runs::Column;

/// A column of the table. How each is taken is said in `benches/README.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Detached empty tasks a second.
    SpawnPerS,
    /// One task, from its submission to its result, one after the other: the median.
    RoundtripP50Us,
    /// The same: 99 % take at most this.
    RoundtripP99Us,
    /// The same with a pause before each: the median.
    RoundtripIdleP50Us,
    /// Submission to start of a most urgent task behind a backlog: the median.
    UrgentP50Us,
    /// The same: 99 % take at most this.
    UrgentP99Us,
    /// Many tasks that sleep, in a pool that has to start its threads.
    SleepColdS,
    /// The same again in the same pool.
    SleepWarmS,
    /// Processor time of a pool that has nothing to do.
    IdleCpuMs,
}

/// One value that a run of an engine has measured.
pub(crate) type Reading = crate::runs::Reading<Metric>;

impl Metric {
    /// All, in the order of the columns.
    pub(crate) const ALL: &[Self] = &[
        Self::SpawnPerS,
        Self::RoundtripP50Us,
        Self::RoundtripP99Us,
        Self::RoundtripIdleP50Us,
        Self::UrgentP50Us,
        Self::UrgentP99Us,
        Self::SleepColdS,
        Self::SleepWarmS,
        Self::IdleCpuMs,
    ];
}

impl Column for Metric {
    fn name(&self) -> Cow<'static, str> {
        let name = match self {
            Self::SpawnPerS => "spawn_per_s",
            Self::RoundtripP50Us => "roundtrip_p50_us",
            Self::RoundtripP99Us => "roundtrip_p99_us",
            Self::RoundtripIdleP50Us => "roundtrip_idle_p50_us",
            Self::UrgentP50Us => "urgent_p50_us",
            Self::UrgentP99Us => "urgent_p99_us",
            Self::SleepColdS => "sleep_cold_s",
            Self::SleepWarmS => "sleep_warm_s",
            Self::IdleCpuMs => "idle_cpu_ms",
        };
        name.into()
    }

    fn unit(&self) -> &'static str {
        match self {
            Self::SpawnPerS => "tasks/s",
            Self::SleepColdS | Self::SleepWarmS => "s",
            Self::IdleCpuMs => "ms",
            _ => "µs",
        }
    }

    fn cell(&self, value: f64) -> String {
        match self {
            Self::SpawnPerS => format!("{value:.0}"),
            Self::SleepColdS | Self::SleepWarmS => format!("{value:.3}"),
            _ => format!("{value:.1}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_a_child_prints() {
        for metric in Metric::ALL {
            let printed = serde_json::to_string(metric).unwrap();
            assert_eq!(printed, format!("{:?}", metric.name()));
        }
    }
}
