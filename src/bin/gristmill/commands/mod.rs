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

/// Opens the directory for what a crawl has left there; none is made where nothing is.
fn open(data: &DataOptions) -> Result<Engine, Failure> {
    let builder = Engine::builder(data.data()).config(settings::load(data)?).create(false);
    builder.build().map_err(|error| match error {
        Error::NothingStored { .. } => nothing_stored(data),
        error => error.into(),
    })
}

fn nothing_stored(data: &DataOptions) -> Failure {
    Failure::Failed(format!(
        "nothing is stored in {}; `gristmill crawl` fills it, --data names another directory",
        data.data().display()
    ))
}

fn not_stored(url: &Url) -> Failure {
    Failure::Failed(format!("{url} is not stored; `gristmill why {url}` may say why"))
}

/// The moment that lies this long back.
fn ago(duration: Duration) -> Timestamp {
    Timestamp::from(SystemTime::now()).saturating_sub(duration)
}
