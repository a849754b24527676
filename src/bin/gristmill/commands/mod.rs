//! One module for each command: it reads its arguments, calls the engine, and prints.

pub(crate) mod check;
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

use gristmill::engine::Engine;
use gristmill::time::Timestamp;

use crate::arguments::Place;
use crate::failure::Failure;
use crate::settings;

/// Opens the directory for reading what a crawl has left there; it is not made where it is missing.
fn open(place: &Place) -> Result<Engine, Failure> {
    let dir = place.data();
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {}
        Ok(false) => return Err(nothing_stored(place)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(nothing_stored(place));
        }
        Err(source) => return Err(Failure::Read { path: dir.to_path_buf(), source }),
    }
    Ok(Engine::builder(dir).config(settings::load(place)?).build()?)
}

fn nothing_stored(place: &Place) -> Failure {
    Failure::Failed(format!(
        "nothing is stored in {}; `gristmill crawl` fills it, --data names another directory",
        place.data().display()
    ))
}

/// The moment that lies this long back.
fn ago(duration: Duration) -> Timestamp {
    Timestamp::from(SystemTime::now()).saturating_sub(duration)
}
