//! The engine through its public interface: whole jobs against real servers, in real directories.
#![cfg(feature = "engine")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in what it shares too"
)]

#[cfg(target_os = "linux")]
#[path = "../support/many_hosts/mod.rs"]
#[expect(dead_code, reason = "the benches need more of it")]
mod many_hosts;
#[path = "../support/mod.rs"]
mod support;

mod answers_of_servers;
mod budgets_hold;
mod bundled_site;
mod caches_can_be_off;
mod closing_in_mid_crawl;
mod distillers_of_others;
mod distillers_that_fail;
mod distillers_that_wait;
mod documentation_is_walked_whole;
mod facts_of_a_model;
mod killed_and_resumed;
mod looking_after_the_store;
#[cfg(target_os = "linux")]
mod many_hosts_at_once;
#[cfg(target_os = "linux")]
mod many_hosts_keep_their_plan;
mod older_extractions;
mod one_engine_a_directory;
mod politeness_is_measured;
mod reruns_revalidate;
mod retries_hold_no_worker;
mod short_memory;
mod workshop;
