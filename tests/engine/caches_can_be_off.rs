//! Caches save work and change nothing: without them, the same infos come out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gristmill::{Config, Engine, Job};

use crate::facts_of_a_model::{config, job, model, site};
use crate::support::server::Server;
use crate::workshop::{infos, open, run};

const CACHES: [&str; 6] = [
    "content_cache",
    "dns_cache",
    "query_cache",
    "response_cache",
    "robots_cache",
    "template_cache",
];

/// Runs one job and a second one that wants the same; gives the facts and the engine.
fn facts(site: &Server, config: Config, dir: &std::path::Path) -> (Vec<String>, Engine) {
    let engine = open(dir, config);
    run(&engine, job(site));
    run(&engine, Job { name: "again".into(), ..job(site) });
    let mut facts: Vec<String> = infos(&engine).into_iter().map(|info| info.fact).collect();
    facts.sort_unstable();
    assert!(!facts.is_empty());
    // The pages are asked for again, within one state of the store.
    assert_eq!(infos(&engine).len(), facts.len());
    (facts, engine)
}

#[test]
fn a_job_finds_the_same_without_its_caches_and_with_less_work_with_them() {
    let (site, calls) = (site(), Arc::new(AtomicU64::new(0)));
    let model = model(&calls);
    let with = config(&model.address().to_string());
    let mut without = with.clone();
    let cache = &mut without.cache;
    (cache.content_bytes, cache.query_bytes, cache.llm_bytes) = (0, 0, 0);
    (cache.template_entries, cache.dns_names) = (0, 0);

    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (facts_with, engine) = facts(&site, with, dirs[0].path());
    let paid = calls.swap(0, Ordering::SeqCst);
    let parts = engine.stats().unwrap().parts;
    // The site is written as an address, so no name is looked up.
    for name in CACHES.iter().filter(|name| **name != "dns_cache") {
        assert!(parts[*name]["hits"].as_u64() > Some(0), "{name}: {}", parts[*name]);
    }
    assert_eq!(parts["llm"]["memory_hits"], paid);
    let reads = parts["store"]["reads"].as_u64();

    let (facts_without, engine) = facts(&site, without, dirs[1].path());
    assert_eq!(facts_without, facts_with);
    let parts = engine.stats().unwrap().parts;
    for name in CACHES {
        assert_eq!(parts.contains_key(name), name == "robots_cache", "{name}");
    }
    // What was paid for is in the store, whatever is in memory.
    assert_eq!((calls.load(Ordering::SeqCst), &parts["llm"]["disk_hits"]), (paid, &paid.into()));
    assert!(parts["store"]["reads"].as_u64() > reads);
}
