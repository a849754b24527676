//! What the user wants to know.

use serde::{Deserialize, Serialize};

/// What the user wants to know, in their own words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Focus {
    /// The question or subject, for instance `"ownership and borrowing"`.
    pub text: String,
    /// Further terms that mark a passage as relevant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
    /// JSON Schema of the fields that a model fills besides the fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<serde_json::Value>,
    /// Most infos from one page for this focus.
    #[serde(default = "default_infos_per_page")]
    pub max_infos_per_page: u32,
}

const fn default_infos_per_page() -> u32 {
    3
}

impl Focus {
    /// A focus on `text`, with at most three infos from each page.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            terms: Vec::new(),
            schema: None,
            max_infos_per_page: default_infos_per_page(),
        }
    }

    /// Adds a term that marks a passage as relevant.
    #[must_use]
    pub fn term(mut self, term: impl Into<String>) -> Self {
        self.terms.push(term.into());
        self
    }

    /// Sets the JSON Schema of the fields that a model fills.
    #[must_use]
    pub fn schema(mut self, schema: serde_json::Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets the most infos from one page.
    #[must_use]
    pub const fn max_infos_per_page(mut self, most: u32) -> Self {
        self.max_infos_per_page = most;
        self
    }
}
