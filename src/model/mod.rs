//! The nouns that all parts share: pages, contents, focuses, infos, jobs and reasons.
//!
//! Plain data, no effects. The glossary is in `DESIGN.md`.

mod content;
mod favour;
mod focus;
mod info;
mod job;
mod page;
mod reason;

pub use content::{Block, BlockKind, Content, Fingerprint, Link, PageKind, PageType, Truncated};
pub use favour::{Comments, Favour};
pub use focus::Focus;
pub use info::{Citation, Grounding, Info, Span};
pub use job::{Budget, Job, Scope, Source};
pub use page::{Header, Headers, Hop, Page};
pub use reason::{BudgetKind, Reason, TrapKind};
