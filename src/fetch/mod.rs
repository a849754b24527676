//! Fetching: the page of one URL, over as many exchanges as its redirects take.
//!
//! [`Fetcher::exchange`] makes one exchange and reports a redirect without following it, because a
//! crawl checks each hop against its scope, robots.txt and the host's schedule. [`Fetcher::fetch`]
//! follows redirects itself, for stand-alone use. Either way the HTTP client checks the address of
//! every hop, bodies of unwanted types are not received, and nothing is retried.
//!
//! ```no_run
//! use gristmill::cancel::CancelToken;
//! use gristmill::fetch::{FetchOptions, Fetcher};
//! use gristmill::http::Client;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fetcher = Fetcher::new(Client::builder().build()?, FetchOptions::default());
//! let page = fetcher.fetch("https://example.com/", &CancelToken::new())?;
//! println!("{} {} ({} hops)", page.status, page.final_url, page.hops.len());
//! # Ok(())
//! # }
//! ```

mod error;
mod exchange;
mod fetcher;
mod media;

pub use error::{FetchError, RedirectError};
pub use exchange::{Exchange, ExchangeRequest};
pub use fetcher::{FetchOptions, Fetcher};
pub use media::MediaTypes;
