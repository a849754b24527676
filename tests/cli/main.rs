//! The command line, run as a user runs it.
#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it shares too")]

#[path = "../support/mod.rs"]
mod support;

mod demo;
mod errors;
mod extracting;
mod facts;
mod maintaining;
mod program;
mod reading;
mod site;
mod stopping;
