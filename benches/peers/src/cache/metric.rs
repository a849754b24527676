//! What is measured.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::runs::{Column, Measured};

/// A column of the table. How each is taken is said in `benches/README.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Metric {
    /// Reads a second of what is there, by one thread.
    Get1tPerS,
    /// The same by two threads together.
    Get2tPerS,
    /// `get`, else `insert`, a second, by two threads together.
    Mixed2tPerS,
    /// Hit ratio on a trace.
    Hit {
        /// Name of the trace.
        trace: String,
        /// Capacity of the cache.
        capacity: usize,
    },
}

/// One value that a run of an engine has measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// What was measured.
    pub(crate) metric: Metric,
    /// In the unit of the metric.
    pub(crate) value: f64,
    /// Entries in the cache when it was over.
    pub(crate) entries: usize,
    /// Entries that the cache was built for.
    pub(crate) capacity: usize,
}

impl Measured for Reading {
    type Metric = Metric;

    fn metric(&self) -> &Metric {
        &self.metric
    }

    fn value(&self) -> f64 {
        self.value
    }
}

impl Column for Metric {
    fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Get1tPerS => "get_1t_per_s".into(),
            Self::Get2tPerS => "get_2t_per_s".into(),
            Self::Mixed2tPerS => "mixed_2t_per_s".into(),
            Self::Hit { trace, capacity } => format!("hit_{trace}_{capacity}").into(),
        }
    }

    fn unit(&self) -> &'static str {
        match self {
            Self::Get1tPerS | Self::Get2tPerS => "reads/s",
            Self::Mixed2tPerS => "requests/s",
            Self::Hit { .. } => "%",
        }
    }

    fn cell(&self, value: f64) -> String {
        match self {
            Self::Hit { .. } => format!("{value:.2}"),
            _ => format!("{value:.0}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_prints_is_read_back() {
        for metric in [Metric::Get1tPerS, Metric::Hit { trace: "web07".to_owned(), capacity: 2000 }]
        {
            let printed = serde_json::to_string(&metric).unwrap();
            assert_eq!(serde_json::from_str::<Metric>(&printed).unwrap(), metric);
        }
    }
}
