//! An embedded engine that crawls politely, stores what it reads and distils it into cited facts.
//!
//! A [`Job`] names sources (sites, feeds, sitemaps, lists of URLs) and focuses (what the user wants to
//! know). [`Engine::run`] fetches what belongs to it, keeps every page in an embedded key-value store,
//! and distils the pages into [`Info`]s: short facts, each with the exact passage it comes from.
//! Everything runs on plain threads inside the process; there is no async runtime in the tree.
//!
#![cfg_attr(feature = "engine", doc = "```no_run")]
#![cfg_attr(not(feature = "engine"), doc = "```ignore")]
//! use gristmill::engine::InfoQuery;
//! use gristmill::{Budget, Engine, Error, Focus, Job};
//!
//! fn main() -> Result<(), Error> {
//!     let engine = Engine::open("gristmill-data")?;
//!     let job = Job::new("example")
//!         .site("https://example.com/")
//!         .focus(Focus::new("what may this domain be used for"))
//!         .budget(Budget { max_pages: Some(100), ..Budget::default() });
//!     let report = engine.run(job)?.wait()?;
//!     println!("{} pages, {} infos", report.pages, report.infos);
//!     for info in engine.infos(&InfoQuery::default())? {
//!         let info = info?;
//!         println!("{}\n  {} bytes {} to {}", info.quote, info.url, info.span.start, info.span.end);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Run again, an unfinished job goes on where it stopped; a finished one is revalidated: what the
//! server says has not changed is not transferred, extracted or distilled again.
//!
//! # Parts
//!
//! Each part stands on its own:
//!
//! | module | what it is | feature |
//! | --- | --- | --- |
//! | [`pool`] | a work-stealing thread pool with priorities, delays, cancellation and figures | |
//! | [`cache`] | a bounded cache with expiry and single-flight loading | |
//! | [`store`] | an ordered key-value store for page-sized values: a log with one flush a group, read through memory maps | |
//! | [`cancel`], [`time`] | cancellation tokens, and time as a parameter | |
//! | [`http`] | one HTTP exchange at a time, bounded in time, bytes and connections | `crawl` or `llm` |
//! | [`retry`] | when a failed request is made again | `crawl` or `llm` |
//! | [`fetch`] | the page of one URL | `crawl` |
//! | [`extract`] | from bytes to text, Markdown, links and metadata | `crawl` |
//! | [`crawl`] | what to fetch next, and when: frontier, robots.txt, scope, sitemaps, feeds | `crawl` |
//! | [`llm`] | asking language models: cached, validated, retried, accounted for | `llm` |
//! | [`model`], [`url`](mod@url) | the nouns that the parts share; canonical URLs | `crawl` or `llm` |
//! | [`engine`], [`config`] | everything wired together | `engine` (default) |
//!
//! The feature `cli` builds the program `gristmill`, which uses nothing but this interface.
//!
//! # What holds everywhere
//!
//! - Politeness is decided before a request, never after: the gap between the requests to a host, its
//!   `robots.txt` and the cap on connections hold for redirects and retries too.
//! - Every wait for the network or the disk has a deadline; every queue, body, retry and cache has a
//!   bound.
//! - Addresses that are not public are refused after resolution, on every redirect, unless allowed.
//! - What was acknowledged survives a kill; what was in flight is done again.
//! - An info's quote is exactly the bytes of the stored text at its span.
//! - No input makes the library panic, and `unsafe` stands in one file, the memory map of the store.
#![cfg_attr(
    all(doc, not(feature = "engine")),
    expect(rustdoc::broken_intra_doc_links, reason = "the front page names all parts")
)]
#![cfg_attr(all(doctest, feature = "engine"), doc = include_str!("../README.md"))]

pub mod cache;
pub mod cancel;
#[cfg(feature = "engine")]
pub mod config;
#[cfg(feature = "crawl")]
pub mod crawl;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "crawl")]
pub mod extract;
#[cfg(feature = "crawl")]
pub mod fetch;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "llm")]
pub mod llm;
#[cfg(feature = "http")]
pub mod model;
pub mod pool;
#[cfg(feature = "http")]
pub mod retry;
pub mod store;
pub mod time;
#[cfg(feature = "http")]
pub mod url;

#[cfg(feature = "engine")]
pub use config::{Config, ConfigError};
#[cfg(feature = "engine")]
pub use engine::{Engine, EngineBuilder, Error, Progress, Report, Run};
#[cfg(feature = "http")]
pub use model::{Budget, Focus, Info, Job, Scope, Source};
