//! One module for each command: it reads its arguments, calls the engine, and prints.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod config;
pub(crate) mod crawl;
pub(crate) mod demo;
mod demo_model;
pub(crate) mod extract;
pub(crate) mod get;
pub(crate) mod infos;
pub(crate) mod pages;
pub(crate) mod stats;
pub(crate) mod why;

use std::time::{Duration, SystemTime};

use gristmill::engine::{Engine, Error};
use gristmill::time::Timestamp;
use gristmill::url::Url;

use crate::arguments::DataOptions;
use crate::failure::Failure;
use crate::settings;

/// Opens the directory to read what crawls have stored; creates nothing.
fn open(data: &DataOptions) -> Result<Engine, Failure> {
    let builder = Engine::builder(data.data()).config(settings::load(data)?).create(false);
    builder.build().map_err(|error| match error {
        Error::NothingStored { .. } => nothing_stored(data),
        error => error.into(),
    })
}

fn nothing_stored(data: &DataOptions) -> Failure {
    Failure::Failed(format!(
        "nothing is stored in {}; run `gristmill crawl` first, or name another directory with --data",
        data.data().display()
    ))
}

fn not_stored(url: &Url) -> Failure {
    Failure::Failed(format!("{url} is not stored; `gristmill why {url}` may explain why"))
}

/// The time this long ago.
fn ago(duration: Duration) -> Timestamp {
    Timestamp::from(SystemTime::now()).saturating_sub(duration)
}
