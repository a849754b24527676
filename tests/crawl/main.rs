//! The frontier driven as an engine drives it, against a simulated web and a clock set by hand.
#![cfg(feature = "crawl")]

mod admission;
mod redirects;
mod robots_gate;
mod schedules;
mod simulation;
