//! `gristmill compact`: makes the store as small as possible.

use super::open;
use crate::arguments::{DataOptions, Maintain};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(data: &DataOptions, arguments: &Maintain) -> Result<Outcome, Failure> {
    let report = open(data)?.compact()?;
    let mut output = Output::stdout();
    if arguments.json {
        output.json(&report)?;
    } else {
        output.line(&format!(
            "{} bytes of segments before, {} after; {} expired keys removed",
            report.bytes_before, report.bytes_after, report.expired
        ))?;
    }
    output.finish()?;
    Ok(Outcome::Done)
}
