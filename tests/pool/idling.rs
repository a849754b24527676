//! A pool with nothing to do does nothing: its threads are never scheduled.
#![cfg(target_os = "linux")]

use std::fs;
use std::sync::mpsc;
use std::time::Duration;

use gristmill::pool::{Pool, Priority};

use crate::harness::*;

/// Context switches of all threads whose name begins with `prefix`, and how many threads those are.
fn switches(prefix: &str) -> (usize, u64) {
    let (mut threads, mut count) = (0, 0);
    for entry in fs::read_dir("/proc/self/task").unwrap() {
        // A thread of another test may end meanwhile.
        let Ok(status) = fs::read_to_string(entry.unwrap().path().join("status")) else { continue };
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).map_or("", str::trim)
        };
        if field("Name:").starts_with(prefix) {
            threads += 1;
            for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                count += field(name).parse::<u64>().unwrap();
            }
        }
    }
    (threads, count)
}

#[test]
fn an_idle_pool_is_never_scheduled() {
    watched(|| {
        let pool = Pool::builder().name("idlers").min(4).max(4).build().unwrap();
        let tasks: Vec<_> = (0..100).map(|_| pool.spawn(Priority::Normal, || ())).collect();
        for task in tasks {
            task.join().unwrap();
        }
        let far = pool.spawn_after(LONG, Priority::Normal, || ());
        eventually("all sleep", || pool.stats().workers.idle == 4);
        let pause = || {
            let (_keep, nothing) = mpsc::channel::<()>();
            nothing.recv_timeout(Duration::from_millis(300)).unwrap_err();
        };
        // They count as idle just before they park, which a busy machine may put off.
        let quiet = || {
            let before = switches("idlers");
            pause();
            switches("idlers") == before
        };
        eventually("all park", quiet);
        assert!(quiet() && quiet(), "something wakes up by itself");
        assert_eq!(switches("idlers").0, 5, "four workers and the timekeeper");
        far.cancel();
        drain(&pool);
    });
}
