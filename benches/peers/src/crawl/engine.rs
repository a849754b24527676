//! The engines that are compared, and how one runs in a child process.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{bare, gristmill};
use crate::arguments::{Arguments, engine_called};
use crate::error::{AnyError, Error};
use crate::process::{self, Usage};

/// A crawler that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// gristmill without extraction: links, and the raw page stored durably.
    Gristmill,
    /// gristmill with extraction to Markdown, stored durably.
    GristmillExtract,
    /// The spider crate: fetch and links, nothing stored.
    #[cfg(feature = "spider")]
    Spider,
    /// Threads with ureq and `lol_html`: fetch and links, nothing stored.
    Bare,
}

/// What an engine is given.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Where it begins.
    pub(crate) seeds: Vec<String>,
    /// An empty directory for what it stores.
    pub(crate) data: PathBuf,
    /// Most connections at a time.
    pub(crate) connections: usize,
}

/// What an engine says about its run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// From before it was opened until it was closed and all was durable.
    pub(crate) seconds: f64,
    /// Pages that it says it has stored; `None` if it stores nothing.
    pub(crate) stored: Option<u64>,
}

impl Engine {
    /// All that this binary was built with, in the order of the table.
    pub(crate) const ALL: &[Self] = &[
        Self::Gristmill,
        Self::GristmillExtract,
        #[cfg(feature = "spider")]
        Self::Spider,
        Self::Bare,
    ];

    /// The name in tables and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gristmill => "gristmill",
            Self::GristmillExtract => "gristmill+extract",
            #[cfg(feature = "spider")]
            Self::Spider => "spider",
            Self::Bare => "bare",
        }
    }

    /// Runs in a child process: what it said, and what the kernel accounts to it.
    pub(crate) fn run_in_child(self, setting: &Setting) -> Result<(Outcome, Usage), Error> {
        let mut command = process::this_binary(&["__crawl-engine", self.name()])?;
        command.arg("--connections").arg(setting.connections.to_string());
        command.arg("--data").arg(&setting.data).args(&setting.seeds);
        process::run(self.name(), command)
    }

    /// Crawls until no page is left; the number of pages stored, if it stores any.
    fn crawl(self, setting: &Setting) -> Result<Option<u64>, AnyError> {
        match self {
            Self::Gristmill => gristmill::crawl(setting, false).map(Some),
            Self::GristmillExtract => gristmill::crawl(setting, true).map(Some),
            #[cfg(feature = "spider")]
            Self::Spider => super::spider::crawl(setting).map(|()| None),
            Self::Bare => bare::crawl(setting).map(|()| None),
        }
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        engine_called(name, Self::ALL, Self::name)
    }
}

/// `__crawl-engine NAME --connections N --data DIR SEED..`: crawls in this process and prints the
/// outcome.
pub(crate) fn run_here(mut arguments: Arguments) -> Result<(), Error> {
    let missing = |name: &str| Error::Usage(format!("{name} is missing"));
    let engine: Engine = arguments.positional()?.parse()?;
    let connections = arguments.option("--connections")?.ok_or_else(|| missing("--connections"))?;
    let data = arguments.option("--data")?.ok_or_else(|| missing("--data"))?;
    let mut seeds = vec![arguments.positional()?];
    while let Ok(seed) = arguments.positional() {
        seeds.push(seed);
    }
    arguments.finish()?;
    let setting = Setting { seeds, data, connections };
    let start = Instant::now();
    let stored =
        engine.crawl(&setting).map_err(|source| Error::Engine { engine: engine.name(), source })?;
    let outcome = Outcome { seconds: start.elapsed().as_secs_f64(), stored };
    process::answer(&outcome);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for engine in Engine::ALL {
            assert_eq!(engine.name().parse::<Engine>().unwrap(), *engine);
        }
        assert!("scrapy".parse::<Engine>().is_err());
    }
}
