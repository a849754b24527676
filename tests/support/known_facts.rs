//! The facts that are known to be in the bundled site.

use serde_json::Value;

/// Focuses, and for each of them sentences and the pages that have them.
pub(crate) fn known_facts() -> Value {
    serde_json::from_str(include_str!("../../examples/site/facts.json")).expect("the file is JSON")
}

/// White space does not count when a sentence is looked for.
pub(crate) fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The texts of a JSON array.
pub(crate) fn strings(value: &Value) -> Vec<&str> {
    let items = value.as_array().expect("a list");
    items.iter().map(|item| item.as_str().expect("a text")).collect()
}
