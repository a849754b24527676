//! Jobs: sources, focuses, scope and budget.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Focus;

/// Where a job starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// A page whose links are followed inside the scope.
    Site(String),
    /// A feed (RSS, Atom or JSON Feed) whose entries are fetched.
    Feed(String),
    /// A sitemap or sitemap index whose URLs are fetched.
    Sitemap(String),
    /// A file with one URL per line; empty lines and lines that begin with `#` are skipped.
    UrlFile(PathBuf),
}

/// Which URLs belong to a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Hosts whose pages are fetched. If empty, the hosts of the sources.
    pub hosts: Vec<String>,
    /// Patterns of which a URL must match at least one, if there are any. `*` matches any
    /// characters, `?` matches one; a pattern must match the whole URL.
    pub include: Vec<String>,
    /// Patterns none of which a URL may match.
    pub exclude: Vec<String>,
    /// Most links between a source and a page; `None`: no limit.
    pub max_depth: Option<u32>,
}

/// The limits of a run. It ends cleanly when any of them is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Pages with stored content, over all restarts of the run.
    pub max_pages: Option<u64>,
    /// Body bytes received.
    pub max_bytes: Option<u64>,
    /// Time since the run was started or resumed.
    pub max_time: Option<Duration>,
    /// Tokens sent to and received from models.
    pub max_tokens: Option<u64>,
}

/// A job: sources to read, focuses to distil, the scope and the budget.
///
/// The name identifies it: running a job of the same name on the same directory resumes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Identifies the job in its directory.
    pub name: String,
    /// Where it starts.
    pub sources: Vec<Source>,
    /// What to look for. If empty, pages are only crawled and stored.
    pub focuses: Vec<Focus>,
    /// Which URLs belong to it.
    pub scope: Scope,
    /// Its limits.
    pub budget: Budget,
    /// Whether to forget the frontier of earlier runs.
    pub fresh: bool,
    /// Whether to extract the stored pages of the job again instead of requesting any.
    #[serde(default)]
    pub reextract: bool,
}

impl Job {
    /// A job without sources or focuses, on the hosts of its sources, without limits.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            sources: Vec::new(),
            focuses: Vec::new(),
            scope: Scope::default(),
            budget: Budget::default(),
            fresh: false,
            reextract: false,
        }
    }

    /// Adds a site by the URL of a page.
    #[must_use]
    pub fn site(self, url: impl Into<String>) -> Self {
        self.source(Source::Site(url.into()))
    }

    /// Adds a source.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.sources.push(source);
        self
    }

    /// Adds a focus.
    #[must_use]
    pub fn focus(mut self, focus: Focus) -> Self {
        self.focuses.push(focus);
        self
    }

    /// Sets the scope.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets the budget.
    #[must_use]
    pub const fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Forgets the frontier of earlier runs; stored pages and infos stay.
    #[must_use]
    pub const fn fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }

    /// Extracts every stored page of the job again, from its stored body and with the extractor and
    /// the settings of now; nothing is requested. Infos of a text that changed are withdrawn, and
    /// the new text is distilled.
    #[must_use]
    pub const fn reextract(mut self, reextract: bool) -> Self {
        self.reextract = reextract;
        self
    }
}
