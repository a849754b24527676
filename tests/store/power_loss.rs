//! Power fails at calls all over random workloads, or at each of their calls: everything
//! acknowledged is there, batches are whole or absent, nothing deleted comes back, and the counters
//! equal a recount.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::gate::Gate;
use crate::sim::{Fault, Random, SimVfs, Which};
use crate::workload::{Queued, Run};

/// Workloads unless `GRISTMILL_POWER_SEEDS` says otherwise.
const SEEDS: u64 = 12;
/// Each of them loses power at every so many-th call; with the variable set, at every one.
const STRIDE: u64 = 13;

/// Runs the workload up to the call where power fails; gives what it left behind, and whether it
/// came so far.
fn cut_off(seed: u64, call: u64) -> (Run, bool) {
    let mut run = Run::on(SimVfs::default());
    run.vfs.fail(call, Fault::PowerOff);
    let failed = run.work(seed).is_err();
    let struck = run.vfs.mend();
    assert!(struck || !failed, "seed {seed} failed by itself before call {call}");
    let image = run.vfs.power_loss(seed ^ (call << 20));
    (run.with_disk(image), struck)
}

/// Loses power at every `stride`-th call; gives the number of calls at which it failed.
fn all_over(seed: u64, stride: u64) -> u64 {
    let mut whole = Run::on(SimVfs::default());
    whole.work(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    whole.verify_backups(&format!("seed {seed}"));
    let calls = whole.vfs.calls();
    assert!(calls > 80, "seed {seed}: {calls} calls");
    let (mut call, mut cuts) = (1 + seed % stride, 0);
    loop {
        let (mut run, struck) = cut_off(seed, call);
        let what = format!("seed {seed}, power lost at call {call} of {calls}");
        run.verify(&what);
        run.verify_backups(&what);
        cuts += 1;
        if !struck {
            // The threads of a store make more or fewer calls from run to run, but not by so much.
            assert!(call * 2 > calls, "{what}: it was not made");
            return cuts;
        }
        call += stride;
    }
}

#[test]
fn power_loss_anywhere_in_a_workload_keeps_what_was_acknowledged() {
    let wanted = std::env::var("GRISTMILL_POWER_SEEDS").ok().map(|text| text.parse().unwrap());
    let (seeds, stride) = wanted.map_or((SEEDS, STRIDE), |seeds| (seeds, 1));
    let (next, cuts) = (AtomicU64::new(0), AtomicU64::new(0));
    // Seeds of earlier finds can be run alone: `GRISTMILL_POWER_FIRST`.
    let first = std::env::var("GRISTMILL_POWER_FIRST").map_or(0, |text| text.parse().unwrap());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    cuts.fetch_add(all_over(first + seed, stride), Ordering::Relaxed);
                }
            });
        }
    });
    let cuts = cuts.into_inner();
    println!("power failed {cuts} times in {seeds} workloads");
    assert!(cuts >= seeds * 5);
}

/// Batches in one group, in the test below.
const SHARED: u64 = 5;

/// Queues batches while the flush of one before them is held up, so that they share a group, and
/// loses power at the `call`-th call from that flush on (1 is the flush itself).
fn cut_off_in_a_shared_group(seed: u64, call: u64) -> (Run, bool) {
    let (mut run, mut random) = (Run::on(SimVfs::default()), Random::spread(seed));
    let opened = run.open().unwrap();
    let before = opened.store.stats();
    // The write comes before the flush.
    let gate = Gate::before(&run.vfs, Which::Named("00000001.segment"), 2);
    let mut queued = vec![Queued::new(&opened, &mut random).unwrap()];
    gate.wait();
    queued.extend((0..SHARED).map(|_| Queued::new(&opened, &mut random).unwrap()));
    run.vfs.fail(call, Fault::PowerOff);
    gate.open();
    let failed = run.answered(queued).is_err();
    let stats = opened.store.stats();
    let struck = run.vfs.mend();
    assert!(struck || !failed, "seed {seed} failed by itself before call {call}");
    if !failed {
        assert_eq!(stats.batches - before.batches, SHARED + 1);
        assert_eq!(stats.groups - before.groups, 2);
    }
    let image = run.vfs.power_loss(seed ^ (call << 20));
    (run.with_disk(image), struck)
}

/// Each batch is there or not, and none without those before it.
#[test]
fn power_loss_while_several_batches_are_written_together_leaves_a_beginning_of_them() {
    for seed in 0..20 {
        for call in 1.. {
            let (mut run, struck) = cut_off_in_a_shared_group(seed, call);
            run.verify(&format!("seed {seed}, power lost at call {call}"));
            if !struck {
                assert!(call > 2, "a flush, and then a write and a flush");
                break;
            }
        }
    }
}
