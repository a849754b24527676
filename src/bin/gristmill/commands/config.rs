//! `gristmill config`: the settings in force.

use crate::arguments::Place;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::settings;

pub(crate) fn run(place: &Place) -> Result<Outcome, Failure> {
    let mut output = Output::stdout();
    output.bytes(settings::load(place)?.to_toml().as_bytes())?;
    output.finish()?;
    Ok(Outcome::Done)
}
