//! The command line, run as a user runs it.
#![cfg(feature = "cli")]

#[path = "../support/mod.rs"]
mod support;

mod site;
