//! The stores that are compared, and how one runs in a child process.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::measure::{self, Load};
use super::metric::Reading;
use super::page::Page;
use super::pages::Pages;
use super::source::Source;
use super::{disk, engines, limit};
use crate::arguments::{Arguments, engine_called};
use crate::error::{AnyError, Error};
use crate::process::{self, Usage};

/// Whose store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// gristmill's.
    Gristmill,
    /// The same with values compressed.
    GristmillZstd,
    /// The same with values that are verified at every read, not at the first alone.
    GristmillVerified,
    /// A B-tree in one file.
    #[cfg(feature = "stores")]
    Redb,
    /// A B-tree in a memory map.
    #[cfg(feature = "stores")]
    Lmdb,
    /// A log-structured merge tree.
    #[cfg(feature = "stores")]
    Fjall,
    /// The same with values in files of their own.
    #[cfg(feature = "stores")]
    FjallBlob,
    /// A B-tree with a write-ahead log.
    #[cfg(feature = "stores")]
    Sqlite,
    /// No store: plain writes, flushes and a map.
    Limit,
}

/// What a child is told.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Where the pages come from.
    pub(crate) source: Source,
    /// Pages at the most.
    pub(crate) count: usize,
    /// Where the folder for the data is made.
    pub(crate) dir: PathBuf,
    /// Whether a first impression will do.
    pub(crate) quick: bool,
}

impl Engine {
    /// All that this binary was built with, in the order of the table.
    pub(crate) const ALL: &[Self] = &[
        Self::Gristmill,
        Self::GristmillZstd,
        Self::GristmillVerified,
        #[cfg(feature = "stores")]
        Self::Redb,
        #[cfg(feature = "stores")]
        Self::Lmdb,
        #[cfg(feature = "stores")]
        Self::Fjall,
        #[cfg(feature = "stores")]
        Self::FjallBlob,
        #[cfg(feature = "stores")]
        Self::Sqlite,
        Self::Limit,
    ];

    /// The name in tables and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gristmill => "gristmill",
            Self::GristmillZstd => "gristmill-zstd",
            Self::GristmillVerified => "gristmill-verified",
            #[cfg(feature = "stores")]
            Self::Redb => "redb",
            #[cfg(feature = "stores")]
            Self::Lmdb => "lmdb",
            #[cfg(feature = "stores")]
            Self::Fjall => "fjall",
            #[cfg(feature = "stores")]
            Self::FjallBlob => "fjall-blob",
            #[cfg(feature = "stores")]
            Self::Sqlite => "sqlite",
            Self::Limit => "limit",
        }
    }

    /// Measures everything once in a process of its own.
    pub(crate) fn run_in_child(self, setting: &Setting) -> Result<(Vec<Reading>, Usage), Error> {
        let mut command = process::this_binary(&["__store-engine", self.name()])?;
        command.args(setting.source.arguments());
        command.arg("--pages-count").arg(setting.count.to_string());
        command.arg("--dir").arg(&setting.dir);
        if setting.quick {
            command.arg("--quick");
        }
        process::run(self.name(), command)
    }

    /// Runs a task on the store of this engine in this process.
    pub(super) fn run<T: Task>(self, task: T) -> Result<T::Done, AnyError> {
        use engines::gristmill::Gristmill;

        match self {
            Self::Gristmill => task.with::<Gristmill<false, false>>(),
            Self::GristmillZstd => task.with::<Gristmill<true, false>>(),
            Self::GristmillVerified => task.with::<Gristmill<false, true>>(),
            #[cfg(feature = "stores")]
            Self::Redb => task.with::<engines::redb::Redb>(),
            #[cfg(feature = "stores")]
            Self::Lmdb => task.with::<engines::lmdb::Lmdb>(),
            #[cfg(feature = "stores")]
            Self::Fjall => task.with::<engines::fjall::Fjall<false>>(),
            #[cfg(feature = "stores")]
            Self::FjallBlob => task.with::<engines::fjall::Fjall<true>>(),
            #[cfg(feature = "stores")]
            Self::Sqlite => task.with::<engines::sqlite::Sqlite>(),
            Self::Limit => task.without(),
        }
    }
}

/// What is done with the store of an engine, whichever it is.
pub(super) trait Task: Sized {
    /// What is found out.
    type Done;

    /// Does it.
    fn with<P: Pages>(self) -> Result<Self::Done, AnyError>;

    /// What is done instead for the limit, which is no store.
    fn without(self) -> Result<Self::Done, AnyError> {
        Err("the limit is no store".into())
    }
}

/// All metrics of the table.
struct Metrics<'a> {
    load: &'a Load,
    pages: &'a [Page],
    dir: &'a Path,
}

impl Task for Metrics<'_> {
    type Done = Vec<Reading>;

    fn with<P: Pages>(self) -> Result<Vec<Reading>, AnyError> {
        measure::run::<P>(self.load, self.pages, self.dir)
    }

    fn without(self) -> Result<Vec<Reading>, AnyError> {
        limit::run(self.load, self.pages, self.dir)
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        engine_called(name, Self::ALL, Self::name)
    }
}

/// `__store-engine NAME --pages-count N --dir DIR [--quick]` and where the pages come from:
/// measures in this process and prints the readings.
pub(crate) fn run_here(mut arguments: Arguments) -> Result<(), Error> {
    let engine: Engine = arguments.positional()?.parse()?;
    let source = Source::read(&mut arguments)?;
    let missing = || Error::Usage("the number of pages and the folder are needed".to_owned());
    let count = arguments.option("--pages-count")?.ok_or_else(missing)?;
    let dir: PathBuf = arguments.option("--dir")?.ok_or_else(missing)?;
    let load = if arguments.flag("--quick") { Load::QUICK } else { Load::FULL };
    arguments.finish()?;

    let pages = source.load(count)?;
    let data = tempfile::tempdir_in(&dir).map_err(Error::io("make a data directory"))?;
    let readings = engine
        .run(Metrics { load: &load, pages: &pages, dir: data.path() })
        .map_err(|source| Error::Engine { engine: engine.name(), source })?;
    let place = data.path().to_path_buf();
    data.close().map_err(Error::io(format!("remove {}", place.display())))?;
    // The file system may tell the disk only now what was removed; the next run is not to pay.
    disk::settle(&dir).map_err(Error::io(format!("flush {}", dir.display())))?;
    process::answer(&readings);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::metric::Metric;
    use super::*;

    const TINY: Load = Load { reads: Duration::from_millis(2) };

    #[test]
    fn names_parse_back() {
        for engine in Engine::ALL {
            assert_eq!(engine.name().parse::<Engine>().unwrap(), *engine);
        }
        assert!("files".parse::<Engine>().is_err());
    }

    /// Reads compare what they find with what was put, so this also shows that every engine is used
    /// as it wants to be.
    #[test]
    fn every_engine_has_all_metrics() {
        let pages = Source::Made.load(110).unwrap();
        for engine in Engine::ALL {
            let dir = tempfile::tempdir().unwrap();
            let task = Metrics { load: &TINY, pages: &pages, dir: dir.path() };
            let readings = engine.run(task).unwrap();
            assert!(readings.iter().all(|reading| reading.value > 0.0), "{engine:?}: {readings:?}");
            for metric in Metric::ALL {
                assert!(
                    readings.iter().any(|reading| reading.metric == *metric),
                    "{engine:?} {metric:?}"
                );
            }
            assert_eq!(readings.len(), Metric::ALL.len(), "{engine:?}");
        }
    }
}
