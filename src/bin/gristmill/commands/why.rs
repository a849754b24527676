//! `gristmill why`: why a URL is in its state.

use super::open;
use crate::arguments::{DataOptions, Why};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(data: &DataOptions, arguments: &Why) -> Result<Outcome, Failure> {
    let explanations = open(data)?.why(arguments.url.as_str())?;
    if explanations.is_empty() {
        return Err(Failure::Failed(format!("{}: no crawl has met this URL", arguments.url)));
    }
    let mut output = Output::stdout();
    for explanation in explanations {
        for line in explanation.to_string().lines() {
            output.line(&line.replace(char::is_control, " "))?;
        }
    }
    output.finish()?;
    Ok(Outcome::Done)
}
