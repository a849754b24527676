//! `gristmill check`: whether everything that was stored can be read back.

use super::open;
use crate::arguments::Place;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(place: &Place) -> Result<Outcome, Failure> {
    let report = open(place)?.check()?;
    let mut output = Output::stdout();
    output.line(&report.to_string())?;
    output.finish()?;
    if report.is_clean() {
        return Ok(Outcome::Done);
    }
    Err(Failure::Failed(format!("{} is damaged", place.data().display())))
}
