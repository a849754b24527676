//! `gristmill check`: verifies that everything stored can be read back.

use gristmill::store::{CheckReport, Problem};

use super::open;
use crate::arguments::{DataOptions, Maintain};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, plain};

pub(crate) fn run(data: &DataOptions, arguments: &Maintain) -> Result<Outcome, Failure> {
    let report = open(data)?.check()?;
    let mut output = Output::stdout();
    if arguments.json {
        output.json(&report)?;
    } else {
        print(&report, &mut output)?;
    }
    output.finish()?;
    if report.is_clean() {
        return Ok(Outcome::Done);
    }
    let dir = data.data().display();
    Err(Failure::Failed(format!("{dir} is damaged in {} places", report.problem_count)))
}

fn print(report: &CheckReport, output: &mut Output) -> Result<(), Failure> {
    for Problem { path, offset, key, reason, .. } in &report.problems {
        let key = key.as_deref().map(|key| format!(" ({})", plain(key))).unwrap_or_default();
        let path = path.display();
        output.line(&format!("{path} at byte {offset}{key}: {}", plain(reason)))?;
    }
    output.line(&format!(
        "{} keys, {} records and {} bytes in {} segments: {} problems",
        report.keys, report.records, report.bytes, report.segments, report.problem_count
    ))
}
