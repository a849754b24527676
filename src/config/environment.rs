//! Settings from environment variables.

use toml::{Table, Value};

use super::{Config, ConfigError};

const PREFIX: &str = "GRISTMILL_";

/// Settings without a default are absent from the TOML form, so they are named here.
const OPTIONAL: [(&str, &str); 4] =
    [("crawl", "proxy"), ("llm", "url"), ("llm", "model"), ("llm", "api_key_env")];

pub(super) fn overlay(
    config: &Config,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut table: Table =
        config.to_toml().parse().expect("invariant: the TOML form of a configuration parses");
    let mut last = String::new();
    for (variable, text) in variables {
        let Some(name) = variable.strip_prefix(PREFIX) else { continue };
        let unknown = || ConfigError::UnknownVariable { variable: variable.clone() };
        let lower = name.to_ascii_lowercase();
        let (section, key) = lower.split_once('_').ok_or_else(unknown)?;
        let settings = table.get_mut(section).and_then(Value::as_table_mut).ok_or_else(unknown)?;
        if !settings.contains_key(key) && !OPTIONAL.contains(&(section, key)) {
            return Err(unknown());
        }
        settings.insert(key.to_owned(), value_of(&text));
        last = variable;
    }
    let config: Config = Value::Table(table)
        .try_into()
        .map_err(|source| ConfigError::Parse { origin: last, source: Box::new(source) })?;
    config.validate()?;
    Ok(config)
}

/// The text as a TOML value, or as a string if it is not TOML.
fn value_of(text: &str) -> Value {
    let line = format!("value = {text}");
    match line.parse::<Table>() {
        Ok(mut table) => table.remove("value").unwrap_or_else(|| Value::String(text.to_owned())),
        Err(_) => Value::String(text.to_owned()),
    }
}
