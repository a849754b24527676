//! Scenarios of the HTTP client and the fetcher against scripted servers on loopback.
#![cfg(feature = "crawl")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod bodies;
mod cancelling;
mod connections;
mod deadlines;
mod garbage;
mod names;
mod proxies;
mod redirects;
mod server;
mod tls;
