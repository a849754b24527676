//! The frontier driven as an engine drives it, against a simulated web and a clock set by hand.
#![cfg(feature = "crawl")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "what fails here fails a test, as it should"
)]

mod admission;
mod redirects;
mod retries;
mod robots_gate;
mod schedules;
mod simulation;
