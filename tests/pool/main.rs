//! The pool, used as a program uses it. Each scenario runs under a watchdog.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/waiting.rs"]
mod waiting;

mod cancelling;
mod delays;
mod harness;
mod idling;
mod joining;
mod level_caps;
mod memory_pressure;
mod order_model;
mod panicking;
mod periodic;
mod priorities;
mod scaling;
mod shutting_down;
mod stalls;
mod thread_limit;
mod tracking;
mod waking;
