//! The cache, used as a program uses it. Scenarios of several threads run under a watchdog.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/waiting.rs"]
mod waiting;

mod cancelling;
mod expiring;
mod expiring_during_loads;
mod failing_loads;
mod harness;
mod inserting_if;
mod listening;
mod negative;
mod one_queue;
mod orphans;
mod overdue_loads;
mod races;
mod reentering;
mod renewed_entries;
mod scans;
mod settings;
mod shrinking;
mod stale;
mod stampede;
mod statistics;
mod superseded_loads;
mod tags;
mod weights;
