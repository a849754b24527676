//! The pool, used as a program uses it. Each scenario runs under a watchdog.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cancelling;
mod delays;
mod harness;
mod idling;
mod joining;
mod panicking;
mod priorities;
mod scaling;
mod shutting_down;
mod tracking;
mod waking;
