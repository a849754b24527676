//! What is measured.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::report::Better;
use crate::runs::Column;

/// A column of the table. How each is taken is said in `benches/README.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Metric {
    /// Durable puts a second, one page each, by one thread.
    #[serde(rename = "put1_per_s")]
    Put1PerS,
    /// The same by eight threads together.
    #[serde(rename = "put8_per_s")]
    Put8PerS,
    /// Pages a second in durable batches of 100, by one thread.
    #[serde(rename = "batch100_per_s")]
    Batch100PerS,
    /// Reads a second that take in all bytes of the value, by two threads together.
    #[serde(rename = "get_all_per_s")]
    GetAllPerS,
    /// Reads a second that take in the first byte alone.
    #[serde(rename = "get_first_per_s")]
    GetFirstPerS,
    /// Bytes on the disk after a clean close for each byte of key and value.
    #[serde(rename = "space_ratio")]
    SpaceRatio,
    /// 99.9 % of the puts of `put1_per_s` take at most this.
    #[serde(rename = "put1_p999_ms")]
    Put1P999Ms,
}

/// One value that a run of an engine has measured.
pub(crate) type Reading = crate::runs::Reading<Metric>;

impl Metric {
    /// All, in the order of the columns.
    pub(crate) const ALL: &[Self] = &[
        Self::Put1PerS,
        Self::Put8PerS,
        Self::Batch100PerS,
        Self::GetAllPerS,
        Self::GetFirstPerS,
        Self::SpaceRatio,
        Self::Put1P999Ms,
    ];

    /// Those that the disk limits.
    pub(crate) const WRITES: &[Self] = &[Self::Put1PerS, Self::Put8PerS, Self::Batch100PerS];

    /// The name of its share of the limit.
    pub(crate) fn share_name(self) -> String {
        format!("{}/limit", self.name())
    }
}

impl Column for Metric {
    fn name(&self) -> Cow<'static, str> {
        let name = match self {
            Self::Put1PerS => "put1_per_s",
            Self::Put8PerS => "put8_per_s",
            Self::Batch100PerS => "batch100_per_s",
            Self::GetAllPerS => "get_all_per_s",
            Self::GetFirstPerS => "get_first_per_s",
            Self::SpaceRatio => "space_ratio",
            Self::Put1P999Ms => "put1_p999_ms",
        };
        name.into()
    }

    fn unit(&self) -> &'static str {
        match self {
            Self::Put1PerS | Self::Put8PerS | Self::Batch100PerS => "pages/s",
            Self::GetAllPerS | Self::GetFirstPerS => "gets/s",
            Self::SpaceRatio => "bytes/byte",
            Self::Put1P999Ms => "ms",
        }
    }

    fn better(&self) -> Option<Better> {
        Some(match self {
            Self::SpaceRatio | Self::Put1P999Ms => Better::Lower,
            _ => Better::Higher,
        })
    }

    fn cell(&self, value: f64) -> String {
        match self {
            Self::SpaceRatio => format!("{value:.3}"),
            Self::Put1P999Ms => format!("{value:.2}"),
            _ => format!("{value:.0}"),
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

    #[test]
    fn less_space_and_shorter_waits_are_better() {
        let lower: Vec<_> =
            Metric::ALL.iter().filter(|metric| metric.better() == Some(Better::Lower)).collect();
        assert_eq!(lower, [&Metric::SpaceRatio, &Metric::Put1P999Ms]);
    }
}
