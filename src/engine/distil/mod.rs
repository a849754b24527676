//! Distilling: turns a content and a focus into infos that cite their passage.
//!
//! A [`Distiller`] takes the content of one page and one focus. There are two:
//!
//! * [`Extractive`] needs no key, no network and no model. It ranks the passages of the content
//!   against the focus (BM25 over language-aware tokens) and returns the best; the fact is the
//!   passage.
//! * [`LlmDistiller`] sends the relevant chunks of the content to a model, which writes each fact
//!   and quotes its evidence.
//!
//! Invariants: the quote of every info is exactly the bytes of `content.text` at its span. A
//! model's claim becomes an info only if its quote is found in the page (`ground`) and its
//! numbers, dates and names are found in the quote; every other claim is [`Rejected`]. Page text is
//! data: it is never expanded as a template, and it cannot close its block in the prompt.

mod bm25;
mod chunk;
mod claims;
mod distilled;
mod distiller;
mod error;
mod extractive;
mod fold;
mod fuzzy;
mod ground;
mod injection;
mod key;
mod language;
mod llm;
mod passage;
mod prompt;
mod support;
mod tokens;

pub use distilled::{DistilUsage, Distilled, Flagged, NotRelevant, Rejected, RejectedWhy};
pub use distiller::{DistilRequest, Distiller, Resumption};
pub use error::DistilError;
pub use extractive::{Extractive, ExtractiveOptions};
#[doc(hidden)]
pub use ground::{Grounder, ground};
pub(super) use key::InfoKey;
pub use llm::{LlmDistiller, LlmDistillerOptions};
pub(super) use prompt::PromptCache;
