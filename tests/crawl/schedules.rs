//! Over random schedules: the gap, the cap, nothing lost, nothing twice, whatever the memory.

use std::collections::HashSet;
use std::time::Duration;

use gristmill::crawl::FrontierOptions;
use proptest::prelude::*;

use crate::simulation::{Simulation, Web};

const STEPS: u64 = 200_000;

fn options() -> impl Strategy<Value = FrontierOptions> {
    let delays = prop_oneof![Just(0), Just(100), Just(1000)];
    let sizes = (1usize..40, 2usize..60, 1usize..5);
    (delays, 1usize..4, sizes).prop_map(|(delay, per_host, (queue, seen, hosts))| FrontierOptions {
        delay: Duration::from_millis(delay),
        per_host,
        queue_capacity: queue,
        seen_capacity: seen,
        max_hosts: hosts,
        ..FrontierOptions::default()
    })
}

fn web() -> impl Strategy<Value = Web> {
    (1u64..120, 1u64..6).prop_map(|(pages, hosts)| Web { pages, hosts })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The gap, the cap and the single lease are asserted at each step of the simulation.
    #[test]
    fn every_page_is_fetched_once(web in web(), options in options(), seed in any::<u64>()) {
        let mut simulation = Simulation::new(web, options, seed);
        prop_assert!(simulation.run(STEPS), "it does not end");
        prop_assert_eq!(simulation.done(), web.reachable());
        let once: HashSet<_> = simulation.fetched.iter().collect();
        prop_assert_eq!(once.len(), simulation.fetched.len());
        prop_assert_eq!(simulation.frontier.pending(), 0);
    }

    #[test]
    fn a_crash_at_any_point_loses_nothing(
        web in web(),
        options in options(),
        seed in any::<u64>(),
        crashes in proptest::collection::vec(1u64..300, 1..4),
    ) {
        let mut simulation = Simulation::new(web, options, seed);
        for after in crashes {
            simulation.run(after);
            simulation.crash();
        }
        prop_assert!(simulation.run(STEPS), "it does not end");
        prop_assert_eq!(simulation.done(), web.reachable());
    }
}

/// With 1,000 pages on one host and room for eight records, the store carries the queue.
#[test]
fn memory_stays_bounded() {
    let web = Web { pages: 1000, hosts: 1 };
    let options = FrontierOptions {
        delay: Duration::ZERO,
        queue_capacity: 8,
        respect_robots: false,
        ..FrontierOptions::default()
    };
    let mut simulation = Simulation::new(web, options, 7);
    let mut most = 0;
    while !simulation.run(1) {
        most = most.max(simulation.frontier.snapshot().queued);
    }
    assert_eq!(simulation.done().len(), 1000);
    assert!(most <= 64, "{most} records in memory");
}
