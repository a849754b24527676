//! gristmill as an engine of the comparison, and the second look at what it has stored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gristmill::config::Config;
use gristmill::engine::{Engine, PageQuery};
use gristmill::model::Job;
use serde::{Deserialize, Serialize};

use super::engine::Setting;
use crate::arguments::Arguments;
use crate::error::{AnyError, Error};
use crate::process;

/// Longest wait for the store to become durable at the end.
const CLOSE_DEADLINE: Duration = Duration::from_mins(1);

#[derive(Serialize, Deserialize)]
struct ReadBack {
    pages: u64,
}

/// Crawls with gristmill, without a focus; the number of pages of its own report.
pub(crate) fn crawl(setting: &Setting, extract: bool) -> Result<u64, AnyError> {
    let mut config = Config::default();
    config.crawl.concurrency = setting.connections;
    config.crawl.per_host = setting.connections;
    config.crawl.delay = Duration::ZERO;
    config.crawl.allow_private = true;
    config.crawl.extract = extract;
    let engine = Engine::builder(&setting.data).config(config).build()?;
    let job = setting.seeds.iter().fold(Job::new("peers"), Job::site);
    let report = engine.run(job)?.wait()?;
    engine.close(CLOSE_DEADLINE)?;
    Ok(report.pages)
}

/// Opens the store again in another process and counts the pages whose bodies are there; neither
/// its time nor its processor time is the engine's.
pub(crate) fn read_back_in_child(data: &Path) -> Result<u64, Error> {
    let mut command = process::this_binary(&["__crawl-read-back"])?;
    command.arg(data);
    let (answer, _usage) = process::run::<ReadBack>("reading back", command)?;
    Ok(answer.pages)
}

/// `__crawl-read-back DIR`: counts the stored pages and prints the number.
pub(crate) fn read_back_here(mut arguments: Arguments) -> Result<(), Error> {
    let data = PathBuf::from(arguments.positional()?);
    arguments.finish()?;
    let pages = count(&data).map_err(|source| Error::Engine { engine: "gristmill", source })?;
    let answer = ReadBack { pages };
    process::answer(&answer);
    Ok(())
}

fn count(data: &Path) -> Result<u64, AnyError> {
    let engine = Engine::builder(data).build()?;
    let mut pages = 0;
    for page in engine.pages(&PageQuery::default())? {
        let entry = page?;
        let stored = engine.get(entry.url.as_str())?.ok_or("a page is listed and not there")?;
        let body = stored.raw()?.ok_or("a page is stored without its body")?;
        if u64::try_from(body.len())? != entry.bytes {
            return Err(format!("the body of {} has a wrong length", entry.url).into());
        }
        pages += 1;
    }
    engine.close(CLOSE_DEADLINE)?;
    Ok(pages)
}
