//! `gristmill stats`: the figures that a crawl publishes, also while it runs.

use gristmill::engine::published_stats;

use super::nothing_stored;
use crate::arguments::{DataOptions, Stats};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(data: &DataOptions, arguments: &Stats) -> Result<Outcome, Failure> {
    let stats = published_stats(data.data())?.ok_or_else(|| nothing_stored(data))?;
    let mut output = Output::stdout();
    if arguments.json {
        output.json(&stats)?;
    } else if arguments.prometheus {
        output.bytes(stats.to_prometheus().as_bytes())?;
    } else {
        output.line(&stats.to_string())?;
    }
    output.finish()?;
    Ok(Outcome::Done)
}
