//! `gristmill backup`: a copy of the store.

use super::open;
use crate::arguments::{Backup, DataOptions};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(data: &DataOptions, arguments: &Backup) -> Result<Outcome, Failure> {
    let report = open(data)?.backup(&arguments.dir)?;
    let mut output = Output::stdout();
    if arguments.json {
        output.json(&report)?;
    } else {
        let (bytes, segments, dir) = (report.bytes, report.segments, arguments.dir.display());
        output.line(&format!("{bytes} bytes in {segments} segments copied to {dir}"))?;
    }
    output.finish()?;
    Ok(Outcome::Done)
}
