//! `gristmill check`: whether everything that was stored can be read back.

use super::open;
use crate::arguments::Place;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, plain};

pub(crate) fn run(place: &Place) -> Result<Outcome, Failure> {
    let report = open(place)?.check()?;
    let mut output = Output::stdout();
    for problem in &report.problems {
        let key = problem.key.as_deref().map(|key| format!(" ({})", plain(key)));
        output.line(&format!(
            "{} at byte {}{}: {}",
            problem.path.display(),
            problem.offset,
            key.unwrap_or_default(),
            plain(&problem.reason)
        ))?;
    }
    output.line(&format!(
        "{} keys, {} records and {} bytes in {} segments: {} problems",
        report.keys, report.records, report.bytes, report.segments, report.problem_count
    ))?;
    output.finish()?;
    if report.is_clean() {
        return Ok(Outcome::Done);
    }
    let data = place.data().display();
    Err(Failure::Failed(format!("{data} is damaged in {} places", report.problem_count)))
}
