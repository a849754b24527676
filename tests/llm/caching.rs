//! Never pay twice: both tiers of the cache, and single flight.

use std::collections::HashMap;
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

use gristmill::cache::{Tier, TierError};
use gristmill::cancel::CancelToken;
use gristmill::llm::{CacheTier, ChatRequest, Client, LlmError};
use gristmill::time::{Clock, ManualClock, Timestamp};
use serde_json::json;

use crate::script::{Bench, error, finishes, says};

#[derive(Default)]
struct Durable {
    entries: Mutex<HashMap<[u8; 32], Vec<u8>>>,
    broken: bool,
}

impl Tier<[u8; 32], Vec<u8>> for Durable {
    fn get(&self, key: &[u8; 32]) -> Result<Option<Vec<u8>>, TierError> {
        if self.broken {
            return Err(TierError { operation: "read", source: "disk on fire".into() });
        }
        Ok(self.entries.lock().unwrap().get(key).cloned())
    }

    fn put(&self, key: &[u8; 32], value: &Vec<u8>) -> Result<(), TierError> {
        if self.broken {
            return Err(TierError { operation: "write", source: "disk on fire".into() });
        }
        self.entries.lock().unwrap().insert(*key, value.clone());
        Ok(())
    }
}

fn ask() -> ChatRequest {
    ChatRequest::new().user("q").schema(json!({"type": "array"}))
}

#[test]
fn an_equal_request_is_answered_from_memory_then_from_disk() {
    let durable = Arc::new(Durable::default());
    let cancel = CancelToken::new();
    // An empty list, "nothing relevant", is an answer like any other.
    let bench = Bench::new([says("[]")]);
    let (script, client) =
        (bench.script.clone(), bench.builder.cache(durable.clone()).build().unwrap());
    let tiers: Vec<_> =
        (0..3).map(|_| client.complete(&ask(), &cancel).unwrap()).map(|a| a.cache).collect();
    assert_eq!(tiers, [CacheTier::Miss, CacheTier::Memory, CacheTier::Memory]);
    assert_eq!((script.count(), client.stats().memory_hits), (1, 2));

    // Another process: nothing in memory, everything on disk.
    let bench = Bench::new([]);
    let (script, client) =
        (bench.script.clone(), bench.builder.cache(durable.clone()).build().unwrap());
    let answer = client.complete(&ask(), &cancel).unwrap();
    assert_eq!((answer.cache, answer.requests), (CacheTier::Disk, 0));
    assert_eq!((answer.value, answer.usage.input), (Some(json!([])), 10));
    assert_eq!(client.complete(&ask(), &cancel).unwrap().cache, CacheTier::Memory);
    assert_eq!((script.count(), client.stats().cache_hits), (0, 2));

    // Another namespace knows nothing of it.
    let bench = Bench::new([says("[1]")]);
    let client = bench.builder.cache(durable.clone()).namespace("other").build().unwrap();
    assert_eq!(client.complete(&ask(), &cancel).unwrap().value, Some(json!([1])));
}

#[test]
fn bad_answers_reach_no_tier() {
    let durable = Arc::new(Durable::default());
    let bench = Bench::new([
        finishes("[1", "length"),
        finishes("[]", "content_filter"),
        finishes("[]", "strange_reason"),
        says("{}"),
        says("{}"),
        says("{}"),
    ]);
    let client = bench.builder.cache(durable.clone()).build().unwrap();
    for _ in 0..4 {
        let _answer = client.complete(&ask(), &CancelToken::new());
    }
    assert!(durable.entries.lock().unwrap().is_empty());
    assert_eq!(client.stats().requests, 6);
}

#[test]
fn a_broken_or_garbled_tier_is_counted_and_gone_around() {
    let bench = Bench::new([says("[]")]);
    let durable = Arc::new(Durable { broken: true, ..Durable::default() });
    let client = bench.builder.cache(durable).build().unwrap();
    assert_eq!(client.complete(&ask(), &CancelToken::new()).unwrap().cache, CacheTier::Miss);
    assert_eq!(client.stats().cache_failures, 2);

    let durable = Arc::new(Durable::default());
    let fill = Bench::new([says("[]")]).builder.cache(durable.clone()).build().unwrap();
    fill.complete(&ask(), &CancelToken::new()).unwrap();
    for value in durable.entries.lock().unwrap().values_mut() {
        value.truncate(5);
    }
    let client = Bench::new([says("[2]")]).builder.cache(durable).build().unwrap();
    let answer = client.complete(&ask(), &CancelToken::new()).unwrap();
    assert_eq!((answer.value, client.stats().cache_failures), (Some(json!([2])), 1));
}

#[test]
fn answers_age_alike_in_both_tiers() {
    let (durable, second) = (Arc::new(Durable::default()), Duration::from_secs(1));
    let clock = ManualClock::new(Timestamp(1_000_000));
    let open = |steps: Vec<crate::script::Step>| {
        let bench = Bench::new(steps);
        let builder = bench.builder.cache(durable.clone()).cache_ttl(10 * second);
        builder.clock(clock.clone()).build().unwrap()
    };
    let tier = |client: &Client| client.complete(&ask(), &CancelToken::new()).unwrap().cache;
    let client = open(vec![says("[]")]);
    assert_eq!(tier(&client), CacheTier::Miss);
    clock.advance(6 * second);
    // What comes from the durable tier brings its age along.
    let client = open(vec![says("[1]")]);
    assert_eq!((tier(&client), tier(&client)), (CacheTier::Disk, CacheTier::Memory));
    clock.advance(4 * second);
    assert_eq!(tier(&client), CacheTier::Miss);
    assert_eq!(tier(&client), CacheTier::Memory);
    // An answer of an earlier version has no age: good for ever, or not at all.
    for value in durable.entries.lock().unwrap().values_mut() {
        value.drain(..9);
    }
    assert_eq!(tier(&open(vec![says("[2]")])), CacheTier::Miss);
}

#[test]
fn an_answer_of_an_earlier_version_is_good_where_age_does_not_count() {
    let durable = Arc::new(Durable::default());
    let fill = Bench::new([says("[]")]).builder.cache(durable.clone()).build().unwrap();
    fill.complete(&ask(), &CancelToken::new()).unwrap();
    for value in durable.entries.lock().unwrap().values_mut() {
        value.drain(..9);
    }
    let client = Bench::new([]).builder.cache(durable).build().unwrap();
    assert_eq!(client.complete(&ask(), &CancelToken::new()).unwrap().cache, CacheTier::Disk);
}

#[test]
fn one_request_of_64_threads_costs_one_call() {
    let durable = Arc::new(Durable::default());
    let bench = Bench::with_default([], |_| says("[9]"));
    let (script, client) = (bench.script.clone(), bench.builder.cache(durable).build().unwrap());
    let start = Barrier::new(64);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                start.wait();
                let answer = client.complete(&ask(), &CancelToken::new()).unwrap();
                assert_eq!(answer.value, Some(json!([9])));
            });
        }
    });
    let stats = client.stats();
    assert_eq!((script.count(), stats.requests, stats.calls), (1, 1, 64));
    assert_eq!(stats.cache_hits, 63);
}

/// A clock that stands still and tells how often it was read.
#[derive(Debug, Default)]
pub(crate) struct CountingClock {
    reads: Mutex<usize>,
    read: Condvar,
}

impl CountingClock {
    /// Waits until the clock was read that often.
    pub(crate) fn wait_for(&self, reads: usize) {
        let patience = Duration::from_mins(1);
        let guard = self.reads.lock().unwrap();
        let (guard, _) =
            self.read.wait_timeout_while(guard, patience, |count| *count < reads).unwrap();
        assert!(*guard >= reads, "read only {guard} times");
    }
}

impl Clock for CountingClock {
    fn monotonic(&self) -> Duration {
        *self.reads.lock().unwrap() += 1;
        self.read.notify_all();
        Duration::ZERO
    }

    fn wall(&self) -> Timestamp {
        Timestamp(0)
    }
}

/// How often a call reads the clock until it waits: at its start, for its deadline, and for the
/// time that is left once it is in flight or follows a flight.
pub(crate) const READS: usize = 3;

#[test]
fn equal_requests_under_way_are_asked_once() {
    for (step, fails) in [(says("[]"), false), (error(400, "{}"), true)] {
        let bench = Bench::with_default([step], |_| says("[9]"));
        let (script, clock) = (bench.script.clone(), Arc::new(CountingClock::default()));
        let client = bench.builder.memory_cache(0).clock(clock.clone()).build().unwrap();
        script.close();
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                std::thread::spawn(move || client.complete(&ask(), &CancelToken::new()))
            })
            .collect();
        clock.wait_for(8 * READS);
        script.open();
        let results: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert_eq!(script.count(), 1);
        if fails {
            for result in results {
                let failed = result.unwrap_err();
                assert!(matches!(failed, LlmError::Shared(_)) && failed.kind() == "http");
                assert_eq!(failed.response().unwrap().status, 400);
            }
        } else {
            assert!(results.iter().all(Result::is_ok));
            assert_eq!(client.stats().joined, 7);
        }
    }
}

#[test]
fn a_cancelled_leader_leaves_the_flight_to_its_followers() {
    let bench = Bench::new([error(503, "{}"), says("[]")]);
    let (script, clock) = (bench.script.clone(), Arc::new(CountingClock::default()));
    let client = bench.builder.memory_cache(0).clock(clock.clone()).build().unwrap();
    script.close();
    let cancel = CancelToken::new();
    let leader = {
        let (client, cancel) = (client.clone(), cancel.clone());
        std::thread::spawn(move || client.complete(&ask(), &cancel))
    };
    script.wait_inside(1);
    let follower = {
        let client = client.clone();
        std::thread::spawn(move || client.complete(&ask(), &CancelToken::new()))
    };
    clock.wait_for(2 * READS);
    cancel.cancel();
    script.open();
    assert!(matches!(leader.join().unwrap(), Err(LlmError::Cancelled)));
    assert_eq!(follower.join().unwrap().unwrap().value, Some(json!([])));
}
