//! The caches that are compared, and how one runs in a child process.

use std::str::FromStr;

use super::engines;
use super::measure::{self, Load};
use super::metric::Reading;
use super::synthetic::Synthetic;
use super::trace::Trace;
use crate::arguments::{Arguments, engine_called};
use crate::error::{AnyError, Error};
use crate::process::{self, Usage};

/// Whose cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// gristmill's, with a time to live, and its statistics, which are always on.
    Gristmill,
    /// moka's, without a time to live.
    #[cfg(feature = "caches")]
    Moka,
    /// moka's, with one.
    #[cfg(feature = "caches")]
    MokaTtl,
    /// The smaller one of the same authors, without a time to live.
    #[cfg(feature = "caches")]
    MiniMoka,
    /// One that knows no time to live.
    #[cfg(feature = "caches")]
    QuickCache,
}

impl Engine {
    /// All that this binary was built with, in the order of the table.
    pub(crate) const ALL: &[Self] = &[
        Self::Gristmill,
        #[cfg(feature = "caches")]
        Self::Moka,
        #[cfg(feature = "caches")]
        Self::MokaTtl,
        #[cfg(feature = "caches")]
        Self::MiniMoka,
        #[cfg(feature = "caches")]
        Self::QuickCache,
    ];

    /// The name in tables and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gristmill => "gristmill",
            #[cfg(feature = "caches")]
            Self::Moka => "moka",
            #[cfg(feature = "caches")]
            Self::MokaTtl => "moka-ttl",
            #[cfg(feature = "caches")]
            Self::MiniMoka => "mini-moka",
            #[cfg(feature = "caches")]
            Self::QuickCache => "quick_cache",
        }
    }

    /// Measures everything once in a process of its own.
    pub(crate) fn run_in_child(self, traces: &[Trace]) -> Result<(Vec<Reading>, Usage), Error> {
        let mut command = process::this_binary(&["__cache-engine", self.name()])?;
        for trace in traces {
            match trace {
                Trace::Recorded(file) => command.args(["--trace", &file.argument()]),
                Trace::Synthetic(synthetic) => command.args(["--synthetic", synthetic.name()]),
            };
        }
        process::run(self.name(), command)
    }

    fn measure(self, load: &Load, traces: &[Trace]) -> Result<Vec<Reading>, AnyError> {
        match self {
            Self::Gristmill => measure::run::<engines::gristmill::Gristmill>(load, traces),
            #[cfg(feature = "caches")]
            Self::Moka => measure::run::<engines::moka::Moka<false>>(load, traces),
            #[cfg(feature = "caches")]
            Self::MokaTtl => measure::run::<engines::moka::Moka<true>>(load, traces),
            #[cfg(feature = "caches")]
            Self::MiniMoka => measure::run::<engines::mini_moka::MiniMoka>(load, traces),
            #[cfg(feature = "caches")]
            Self::QuickCache => measure::run::<engines::quick_cache::QuickCache>(load, traces),
        }
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        engine_called(name, Self::ALL, Self::name)
    }
}

/// `__cache-engine NAME [--trace FILE:CAPACITY]… [--synthetic KIND]…`: measures in this process and
/// prints the readings.
pub(crate) fn run_here(mut arguments: Arguments) -> Result<(), Error> {
    let engine: Engine = arguments.positional()?.parse()?;
    let mut traces = Vec::new();
    while let Some(file) = arguments.option("--trace")? {
        traces.push(Trace::Recorded(file));
    }
    while let Some(synthetic) = arguments.option::<Synthetic>("--synthetic")? {
        traces.push(Trace::Synthetic(synthetic));
    }
    arguments.finish()?;
    let readings = engine
        .measure(&Load::FULL, &traces)
        .map_err(|source| Error::Engine { engine: engine.name(), source })?;
    process::answer(&readings);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;

    use super::super::metric::Metric;
    use super::*;

    const TINY: Load = Load { keys: 1000, draws: 3000 };

    #[test]
    fn names_parse_back() {
        for engine in Engine::ALL {
            assert_eq!(engine.name().parse::<Engine>().unwrap(), *engine);
        }
        assert!("disk".parse::<Engine>().is_err());
    }

    /// Fifty keys that fit, twice: every cache finds half of the requests.
    #[test]
    fn every_engine_measures() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("twice.txt");
        let mut text = String::new();
        (0..100).for_each(|request| writeln!(text, "{}", request % 50).unwrap());
        fs::write(&path, text).unwrap();
        let trace = Trace::Recorded(format!("{}:400", path.display()).parse().unwrap());
        let hit = Metric::Hit { trace: "twice".to_owned(), capacity: 400 };
        for engine in Engine::ALL {
            let readings = engine.measure(&TINY, std::slice::from_ref(&trace)).unwrap();
            let [one, two, mixed, last] = &readings[..] else { panic!("{readings:?}") };
            assert_eq!(one.metric, Metric::Get1tPerS);
            assert_eq!((&two.metric, two.entries, two.capacity), (&Metric::Get2tPerS, 1000, 2000));
            assert_eq!((&mixed.metric, mixed.capacity), (&Metric::Mixed2tPerS, 100));
            assert!(readings.iter().all(|reading| reading.value > 0.0), "{readings:?}");
            let expected = Reading { metric: hit.clone(), value: 50.0, entries: 50, capacity: 400 };
            assert_eq!(*last, expected, "{engine:?}");
        }
    }
}
