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
//! | [`store`] | an ordered key-value store for page-sized values: a log with one flush a group, read through memory maps | `store` |
//! | [`cancel`], [`time`] | cancellation tokens, and time as a parameter | |
//! | [`http`] | one HTTP exchange at a time, bounded in time, bytes and connections | `crawl` or `llm` |
//! | [`retry`] | when a failed request is made again | `crawl` or `llm` |
//! | [`fetch`] | the page of one URL | `crawl` |
//! | [`extract`] | from bytes to text, Markdown, links and metadata | `crawl` |
//! | [`crawl`] | the decisions of a crawl: robots.txt, and the seam where a frontier keeps its rows; the frontier itself is the engine's, and no stable interface yet | `crawl` |
//! | [`llm`] | asking language models: cached, validated, retried, accounted for | `llm` |
//! | [`model`], [`url`](mod@url) | the nouns that the parts share; canonical URLs | `crawl` or `llm` |
//! | [`engine`], [`config`] | everything wired together | `engine` (default) |
//!
//! The pages of `pool`, `cache`, `store`, `fetch` and `llm` begin with an example of the part alone.
//!
//! # Features
//!
//! | feature | what it adds | crates in the tree on Linux, gristmill included |
//! | --- | --- | --- |
//! | none (`default-features = false`) | `pool`, `cache`, `cancel`, `time`; built without a C compiler | 28 |
//! | `store` | `store` | 43 |
//! | `crawl` | `http`, `fetch`, `extract`, `crawl`, `url`, `model`, `retry` | 101 |
//! | `llm` | `http`, `llm`, `url`, `model`, `retry` | 113 |
//! | `engine` (default) | all of these, and the engine with its configuration | 135 |
//! | `cli` | the program `gristmill`, which uses nothing but this interface | 162 |
//!
//! Counted with `cargo tree --edges normal`. A test holds these counts as limits, and all of them
//! free of async runtimes.
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
//!
//! # Limits
//!
//! - **Platforms.** Developed and tested on Linux. Other Unix systems should work; Windows is
//!   untested.
//! - **Network.** HTTP/1.1 only, with http and https. No cookies, logins or client certificates;
//!   proxies are HTTP proxies. No JavaScript is run, so pages that are empty without it stay empty.
//! - **Documents.** HTML, XHTML, plain text and Markdown have their text extracted; XML and JSON
//!   are stored as they come. The bodies of all other types (PDF, office files, images, media) are
//!   not received.
//! - **Extraction** follows rules; fitted weights tell the kind of a page. It is weaker on pages
//!   made of many equal parts (shops, listings, forums) than on articles and documentation.
//! - **Sitemaps and feeds.** Sitemaps are read where robots.txt or the job names them, not guessed.
//!   At most 50 MiB and 50,000 entries of a sitemap, three levels of indexes, 16 MiB and 10,000
//!   entries of a feed. Their dates do not decide what is fetched again.
//! - **Schedule.** A job runs when it is started: no recurring runs, and no revisit times that
//!   adapt to how often a page changes. Traps are recognised by the form of URLs; what that lets
//!   through ends with depth and budget only.
//! - **Store.** One process at a time has a directory open; others are refused with its process id.
//!   Background work reclaims the space of overwritten and deleted values once it exceeds 15 % of
//!   what is live and one segment; `compact` gives back the rest. A backup copies everything each
//!   time. No transactions read and write under one lock: the last of two writers wins.
//! - **Budgets.** `max_pages` is exact and holds over restarts. Bytes, seconds and tokens count
//!   from the start of the process. What is in flight when they run out is finished or cut off, so
//!   they can be passed by that much.
//! - **Models.** OpenAI-compatible chat completions only, without streaming; one endpoint, without
//!   fallback. Calls are limited by how many run at once, not by requests or tokens a minute. There
//!   are no prices, so no costs are computed.
//! - **Distilling without a model** quotes passages: it finds what stands in a passage, not what
//!   follows from several. Languages are told apart by their common words, and words are folded by
//!   simple rules.
//! - **Duplicates.** Pages with the same text are stored, marked, and distilled once.
//!   Near-duplicates have fingerprints but are not grouped.
//! - **Memory** is bounded by the settings of queues and caches. Nothing watches the memory of the
//!   machine; a program that does can tell the engine (`EngineBuilder::memory_pressure`).
//! - **Archives.** No WARC export.
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
mod histogram;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "llm")]
pub mod llm;
#[cfg(feature = "http")]
pub mod model;
pub mod pool;
#[cfg(feature = "http")]
pub mod retry;
#[cfg(feature = "store")]
pub mod store;
mod sync;
mod thread_slot;
pub mod time;
#[cfg(feature = "http")]
pub mod url;

#[cfg(feature = "engine")]
pub use config::{Config, ConfigError};
#[cfg(feature = "engine")]
pub use engine::{Engine, EngineBuilder, Error, Progress, Report, Run};
#[cfg(feature = "http")]
pub use model::{Budget, Focus, Info, Job, Scope, Source};
