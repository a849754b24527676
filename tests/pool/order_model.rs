//! What one worker does, against a model: tasks start by level, equals that came the same way in the
//! order in which they could start, and what was cancelled does not start.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill::pool::{Kind, Priority, Task, TaskStatus};
use gristmill::time::{ManualClock, Timestamp};
use proptest::prelude::*;

use crate::harness::*;

#[derive(Clone, Debug)]
enum Step {
    Spawn { level: usize, kind: Kind },
    Delay { level: usize, millis: u64 },
    Cancel { at: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![Just(Kind::Blocking), Just(Kind::Cpu)];
    let step = prop_oneof![
        4 => (0..4_usize, kind).prop_map(|(level, kind)| Step::Spawn { level, kind }),
        2 => (0..4_usize, 1..50_u64).prop_map(|(level, millis)| Step::Delay { level, millis }),
        1 => any::<prop::sample::Index>().prop_map(|at| Step::Cancel { at: at.index(1 << 16) }),
    ];
    prop::collection::vec(step, 1..80)
}

/// What is to become of a task.
struct Expected {
    level: usize,
    kind: Kind,
    due: u64,
    cancelled: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_worker_follows_the_model(steps in steps()) {
        watched(move || follows(&steps));
    }
}

fn follows(steps: &[Step]) {
    let clock = ManualClock::new(Timestamp(0));
    let pool = fixed(1).clock(clock.clone()).build().unwrap();
    let held = hold(&pool, Priority::Urgent);
    let order = Arc::new(Mutex::new(Vec::new()));
    let (mut tasks, mut expected): (Vec<Task<()>>, Vec<Expected>) = (Vec::new(), Vec::new());
    for step in steps {
        let (order, number) = (Arc::clone(&order), tasks.len());
        let closure = move || order.lock().unwrap().push(number);
        let (level, kind, due) = match *step {
            Step::Spawn { level, kind } => (level, kind, 0),
            Step::Delay { level, millis } => (level, Kind::Blocking, millis),
            Step::Cancel { at } => {
                if let Some(at) = at.checked_rem(tasks.len()) {
                    tasks[at].cancel();
                    expected[at].cancelled = true;
                }
                continue;
            }
        };
        let builder = pool.task("step").priority(Priority::ALL[level]).kind(kind);
        tasks.push(builder.after(Duration::from_millis(due)).spawn(closure));
        expected.push(Expected { level, kind, due, cancelled: false });
    }
    clock.advance(Duration::from_millis(60));
    eventually("all are due", || tasks.iter().all(|task| task.status() != TaskStatus::Delayed));
    held.release();
    drain(&pool);

    let ran = order.lock().unwrap();
    let mut sorted = ran.clone();
    sorted.sort_unstable();
    let alive = |number: &usize| !expected[*number].cancelled;
    let all: Vec<usize> = (0..tasks.len()).filter(alive).collect();
    assert_eq!(sorted, all, "each once, and none that was cancelled");
    assert!(ran.is_sorted_by_key(|number| expected[*number].level), "{ran:?}");
    // Tasks that block, tasks that compute and tasks that were delayed come by different ways, which
    // take turns; each way keeps its order.
    let way = |number: &usize| (expected[*number].kind, expected[*number].due > 0);
    for kept in [(Kind::Blocking, false), (Kind::Cpu, false), (Kind::Blocking, true)] {
        let mut of_way = ran.iter().filter(|number| way(number) == kept);
        let place = |number: &usize| {
            let task = &expected[*number];
            (task.level, task.due, *number)
        };
        assert!(of_way.by_ref().is_sorted_by_key(place), "{ran:?}");
    }
}
