//! `gristmill config`: the effective settings.

use crate::arguments::DataOptions;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::settings;

pub(crate) fn run(data: &DataOptions) -> Result<Outcome, Failure> {
    let mut output = Output::stdout();
    output.bytes(settings::load(data)?.to_toml().as_bytes())?;
    output.finish()?;
    Ok(Outcome::Done)
}
