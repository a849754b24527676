//! The section `[extract]`: what is taken for content.

use serde::{Deserialize, Serialize};

use crate::model::{Comments, Favour};

/// What is taken for the content of a page. A changed setting applies to pages that are fetched or
/// re-extracted from then on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtractConfig {
    /// Which error is worse where the rules are in doubt: `"precision"` avoids text that is no
    /// content, `"recall"` avoids missing text. Default `"balance"`.
    pub favour: Favour,
    /// What becomes of readers' comments: `"keep"`, `"drop"`, or `"by_page"` to keep them where
    /// they are the page's content. Default `"by_page"`.
    pub comments: Comments,
    /// Keep tables of data. Default true.
    pub tables: bool,
    /// Write images into the Markdown. Default true.
    pub images: bool,
    /// Write the targets of links into the Markdown. Default true.
    pub links: bool,
    /// Selectors of the content, in the subset of CSS that `extract::Selector` documents. The rules
    /// choose on pages where none matches. Default none.
    pub keep: Vec<String>,
    /// Selectors of what is not content. Default none.
    pub remove: Vec<String>,
}

impl Default for ExtractConfig {
    fn default() -> Self {
        Self {
            favour: Favour::default(),
            comments: Comments::default(),
            tables: true,
            images: true,
            links: true,
            keep: Vec::new(),
            remove: Vec::new(),
        }
    }
}
