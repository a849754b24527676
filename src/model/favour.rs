//! Wishes on what extraction takes for content.

use serde::{Deserialize, Serialize};

/// Which error of the rules for the main content is the worse one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Favour {
    /// Both weigh the same.
    #[default]
    Balance,
    /// Text that is no content: parts in doubt are left out.
    Precision,
    /// Content that is missing: parts in doubt are kept.
    Recall,
}

/// What becomes of readers' comments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comments {
    /// Kept where they are the page's content.
    #[default]
    ByPage,
    /// Kept on every page.
    Keep,
    /// Left out on every page.
    Drop,
}
