//! The pools that are compared, and how one runs in a child process.

use std::str::FromStr;

use super::engines;
use super::measure::{self, Load};
use super::metric::Reading;
use crate::arguments::{Arguments, engine_called};
use crate::error::{AnyError, Error};
use crate::process::{self, Usage};

/// Whose pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// gristmill's, with its registry, statistics and histograms, which are always on.
    Gristmill,
    /// Work stealing for computations.
    #[cfg(feature = "pools")]
    Rayon,
    /// A fixed number of threads behind one channel.
    #[cfg(feature = "pools")]
    Threadpool,
    /// A channel, and threads that grow in number.
    #[cfg(feature = "pools")]
    RustyPool,
    /// tokio's threads for blocking closures.
    #[cfg(feature = "pools")]
    Tokio,
    /// A fixed number of threads behind sharded queues, with futures as handles.
    #[cfg(feature = "pools")]
    Affinitypool,
}

impl Engine {
    /// All that this binary was built with, in the order of the table.
    pub(crate) const ALL: &[Self] = &[
        Self::Gristmill,
        #[cfg(feature = "pools")]
        Self::Rayon,
        #[cfg(feature = "pools")]
        Self::Threadpool,
        #[cfg(feature = "pools")]
        Self::RustyPool,
        #[cfg(feature = "pools")]
        Self::Tokio,
        #[cfg(feature = "pools")]
        Self::Affinitypool,
    ];

    /// The name in tables and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gristmill => "gristmill",
            #[cfg(feature = "pools")]
            Self::Rayon => "rayon",
            #[cfg(feature = "pools")]
            Self::Threadpool => "threadpool",
            #[cfg(feature = "pools")]
            Self::RustyPool => "rusty_pool",
            #[cfg(feature = "pools")]
            Self::Tokio => "tokio",
            #[cfg(feature = "pools")]
            Self::Affinitypool => "affinitypool",
        }
    }

    /// Measures everything once in a process of its own; with `idle`, idleness too.
    pub(crate) fn run_in_child(self, idle: bool) -> Result<(Vec<Reading>, Usage), Error> {
        let mut command = process::this_binary(&["__pool-engine", self.name()])?;
        if idle {
            command.arg("--idle");
        }
        process::run(self.name(), command)
    }

    fn measure(self, load: &Load) -> Result<Vec<Reading>, AnyError> {
        match self {
            Self::Gristmill => measure::run::<engines::gristmill::Gristmill>(load),
            #[cfg(feature = "pools")]
            Self::Rayon => measure::run::<engines::rayon::Rayon>(load),
            #[cfg(feature = "pools")]
            Self::Threadpool => measure::run::<engines::threadpool::Threadpool>(load),
            #[cfg(feature = "pools")]
            Self::RustyPool => measure::run::<engines::rusty_pool::RustyPool>(load),
            #[cfg(feature = "pools")]
            Self::Tokio => measure::run::<engines::tokio::Tokio>(load),
            #[cfg(feature = "pools")]
            Self::Affinitypool => measure::run::<engines::affinitypool::Affinitypool>(load),
        }
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        engine_called(name, Self::ALL, Self::name)
    }
}

/// `__pool-engine NAME [--idle]`: measures in this process and prints the readings.
pub(crate) fn run_here(mut arguments: Arguments) -> Result<(), Error> {
    let load = Load { idle: arguments.flag("--idle").then_some(measure::IDLE), ..Load::FULL };
    let engine: Engine = arguments.positional()?.parse()?;
    arguments.finish()?;
    let readings =
        engine.measure(&load).map_err(|source| Error::Engine { engine: engine.name(), source })?;
    process::answer(&readings);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::metric::Metric;
    use super::*;

    const TINY: Load = Load {
        burst: 500,
        round_trips: 50,
        paused_round_trips: 3,
        backlog: 20,
        urgent: 5,
        sleepers: 8,
        idle: Some(Duration::from_millis(1)),
    };

    #[test]
    fn names_parse_back() {
        for engine in Engine::ALL {
            assert_eq!(engine.name().parse::<Engine>().unwrap(), *engine);
        }
        assert!("async".parse::<Engine>().is_err());
    }

    #[test]
    fn every_engine_measures() {
        for engine in Engine::ALL {
            let readings = engine.measure(&TINY).unwrap();
            assert!(readings.iter().all(|reading| reading.value >= 0.0), "{readings:?}");
            let has = |metric| readings.iter().any(|reading| reading.metric == metric);
            assert!(has(Metric::SpawnPerS) && has(Metric::IdleCpuMs), "{engine:?}");
            assert_eq!(has(Metric::SleepColdS), has(Metric::SleepWarmS), "{engine:?}");
        }
    }

    #[test]
    fn gristmill_has_all_metrics() {
        let readings = Engine::Gristmill.measure(&TINY).unwrap();
        let metrics: Vec<_> = readings.iter().map(|reading| reading.metric).collect();
        for metric in Metric::ALL {
            assert!(metrics.contains(metric), "{metric:?}");
        }
        assert_eq!(metrics.len(), Metric::ALL.len());
    }
}
