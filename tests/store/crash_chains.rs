//! One crash after another: kills and losses of power, the second during the recovery from the
//! first, or during a checkpoint, reclaiming or a backup. What was acknowledged stays, what a store
//! has once served stays too, and recovering twice gives the same.

use std::io::ErrorKind;

use crate::oracle::{Opened, on_disk};
use crate::sim::{Call, Fault, Random, SimVfs, Which};
use crate::workload::{DIR, Run};

/// Chains of each kind.
const CHAINS: u64 = 15;

/// A workload that was cut off at a random call, power still off.
fn cut_off(seed: u64, random: &mut Random) -> Run {
    let mut whole = Run::on(SimVfs::default());
    whole.work(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    // The threads of a store make more or fewer calls from run to run, but not by so much.
    let call = 20 + random.below(whole.vfs.calls() * 3 / 4 - 20);
    let mut run = Run::on(SimVfs::default());
    run.vfs.fail(call, Fault::PowerOff);
    assert!(run.work(seed).is_err(), "seed {seed}: done before call {call}");
    run
}

/// Opens until power fails at a random call; what was served by then must stay.
fn recover_until_power_fails(run: &mut Run, random: &mut Random, what: &str) {
    run.vfs.fail(1 + random.below(60), Fault::PowerOff);
    // Read once: the tasks in the background may use up the calls until power fails.
    if let Ok(opened) = run.open()
        && let Ok(found) = opened.content()
    {
        run.was_served(&found, what);
        for _ in 0..random.below(4) {
            if run.batch(&opened, random).is_err() {
                break;
            }
        }
    }
}

/// Loses power with acknowledged batches in the log that the index file, unless something asked for
/// a checkpoint, does not have; tells whether that is so.
fn crash_with_a_log_to_recover(run: &mut Run, random: &mut Random, what: &str) -> (SimVfs, bool) {
    let opened = run.open().unwrap_or_else(|error| panic!("{what}: {error}"));
    run.served(&opened, what);
    for _ in 0..4 {
        run.batch(&opened, random).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    let in_log_only = opened.store.stats().checkpoints == 0;
    (run.vfs.power_loss(random.next()), in_log_only)
}

/// Recovers from the same crash again, and once more after a recovery that did not come to a clean
/// end.
fn recovers_twice_to_the_same(run: &Run, crashed: SimVfs, what: &str) {
    let mut first = run.with_disk(crashed.kill());
    let opened = first.open().unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = first.served(&opened, what);
    let (killed, powerless) = (first.vfs.kill(), first.vfs.power_loss(7));
    drop(opened);
    for (disk, how) in [(crashed, "again"), (killed, "killed"), (powerless, "without power")] {
        let again = first.with_disk(disk).verify(&format!("{what}, {how}"));
        assert!(found == again, "{what}, {how}: recovering twice gives something else");
    }
}

#[test]
fn a_crash_while_recovering_from_a_crash_and_again() {
    let mut recovered = 0;
    for seed in 0..CHAINS {
        let mut random = Random::spread(seed * 3 + 1);
        let mut run = cut_off(seed, &mut random);
        for link in 0..5 {
            let what = format!("seed {seed}, link {link}");
            // Killed or without power, by turns of the dice.
            let disk = if random.below(2) == 0 {
                run.vfs.kill()
            } else {
                run.vfs.power_loss(random.next())
            };
            run = run.with_disk(disk);
            recover_until_power_fails(&mut run, &mut random, &what);
        }
        let (mut run, what) = (run.with_disk(run.vfs.power_loss(seed)), format!("seed {seed}"));
        let (crashed, log) = crash_with_a_log_to_recover(&mut run, &mut random, &what);
        recovered += u64::from(log);
        recovers_twice_to_the_same(&run, crashed, &what);
    }
    assert!(recovered > CHAINS / 2, "only {recovered} had anything to recover");
}

#[test]
fn killed_then_recovered_then_without_power() {
    for seed in 0..CHAINS {
        let mut random = Random::spread(seed * 5 + 2);
        let run = cut_off(seed, &mut random);
        let mut run = run.with_disk(run.vfs.kill());
        let what = format!("seed {seed}");
        let opened = run.open().unwrap_or_else(|error| panic!("{what}: {error}"));
        run.served(&opened, &what);
        // Served after a kill: from now on not even a loss of power may take it away.
        let mut run = run.with_disk(run.vfs.power_loss(seed));
        drop(opened);
        run.verify(&what);
        run.verify_backups(&what);
    }
}

#[test]
fn without_power_after_a_failed_flush() {
    /// Kinds of calls, and how many of them every workload makes at least.
    const KINDS: [(Which, u64); 4] = [
        (Which::Only(Call::Flush), 60),
        (Which::Only(Call::FlushDir), 5),
        (Which::Only(Call::Write), 120),
        (Which::Named("index.redb"), 90),
    ];
    let mut failures = 0;
    for (seed, (which, count)) in (0..CHAINS).zip(KINDS.into_iter().cycle()) {
        let mut random = Random::spread(seed * 7 + 3);
        let mut run = Run::on(SimVfs::default());
        let call = 1 + random.below(count);
        run.vfs.fail_at(which, call, Fault::Once(ErrorKind::Other));
        let failed = run.work(seed).is_err();
        let what = format!("seed {seed}, after a failure of {which:?} {call}");
        assert!(run.vfs.mend(), "{what}: it was not met");
        failures += u64::from(failed);
        // What was written since the failure may be in the page cache only, and marked clean.
        let disk = if failed { run.vfs.power_loss(seed) } else { run.vfs.kill() };
        run.with_disk(disk).verify(&what);
    }
    // The others struck what only tidies up.
    assert!(failures > CHAINS / 2, "only {failures} failures were told");
}

/// Does `act` on copies of a prepared disk, with power failing at every `stride`-th of its calls;
/// gives the number of them.
fn at_every_call(seed: u64, stride: u64, act: impl Fn(&mut Run, &Opened) -> bool) -> u64 {
    let mut prepared = Run::on(SimVfs::default());
    let mut random = Random::spread(seed);
    let opened = prepared.open().unwrap();
    for _ in 0..30 {
        prepared.batch(&opened, &mut random).unwrap();
    }
    let mut cuts = 0;
    loop {
        let mut run = prepared.with_disk(prepared.vfs.kill());
        let opened = run.open().unwrap();
        run.batch(&opened, &mut random).unwrap();
        run.vfs.fail(1 + cuts * stride, Fault::PowerOff);
        let done = act(&mut run, &opened);
        let disks = [run.vfs.kill(), run.vfs.power_loss(cuts)];
        let struck = run.vfs.mend();
        drop(opened);
        let what = format!("seed {seed}, call {}", 1 + cuts * stride);
        assert!(done || struck, "{what}: it failed by itself");
        for disk in disks {
            let mut run = run.with_disk(disk);
            run.verify(&what);
            run.verify_backups(&what);
        }
        if !struck {
            return cuts;
        }
        cuts += 1;
    }
}

#[test]
fn cut_off_while_reclaiming() {
    assert!(at_every_call(11, 7, |_, opened| opened.store.compact().is_ok()) > 3);
}

#[test]
fn cut_off_during_a_checkpoint() {
    let act = |_: &mut Run, opened: &Opened| opened.store.check().is_ok();
    assert!(at_every_call(12, 1, act) > 3);
}

#[test]
fn cut_off_while_closing() {
    let act = |_: &mut Run, opened: &Opened| opened.store.close(crate::MINUTE).is_ok();
    assert!(at_every_call(13, 1, act) > 3);
}

#[test]
fn cut_off_during_a_backup() {
    let act = |run: &mut Run, opened: &Opened| {
        let done = opened.store.backup("/copy").is_ok();
        if done {
            run.oracle.backups.push(("/copy".into(), run.oracle.sure.clone()));
        }
        done
    };
    assert!(at_every_call(14, 3, act) > 3);
}

#[test]
fn an_interrupted_backup_is_not_taken_for_a_store() {
    let run = Run::on(SimVfs::default());
    let opened = run.open().unwrap();
    opened.spaces[0].put("a", crate::noise(1, 9000)).unwrap();
    for call in 1.. {
        let vfs = run.vfs.kill();
        let whole = Opened::open(on_disk(&vfs, DIR, &run.clock)).unwrap();
        vfs.fail(call, Fault::Once(ErrorKind::Other));
        if whole.store.backup("/copy").is_ok() {
            break;
        }
        drop(whole);
        vfs.mend();
        let copies = || vfs.files().into_iter().filter(|(path, _)| path.starts_with("/copy"));
        let begun = copies().any(|(path, _)| path.extension().is_some_and(|end| end == "segment"));
        let complete = copies().any(|(path, _)| path.ends_with("index.redb"));
        if begun && !complete {
            let error = on_disk(&vfs, "/copy", &run.clock).open().unwrap_err();
            let corrupt = matches!(error, gristmill::store::StoreError::Corrupt { .. });
            assert!(corrupt, "call {call}: {error}");
        }
    }
}

/// A recovery from two segments, cut off at each step of either: what it has written over itself, or
/// not yet, is found again with all that follows.
#[test]
fn cut_off_in_the_middle_of_a_long_recovery() {
    /// More rows than are kept in memory without a checkpoint.
    const KEYS: u32 = 31_000;
    let clock = crate::oracle::clock();
    let builder = |vfs: &SimVfs| {
        let small_groups = on_disk(vfs, DIR, &clock).max_group_bytes(1).queue_bytes(1 << 30);
        small_groups.segment_bytes(96 << 20)
    };
    let key = |number: u32| [number.to_be_bytes().as_slice(), &[b'k'; 1020]].concat();
    let crashed = {
        let vfs = SimVfs::default();
        let opened = Opened::open(builder(&vfs)).unwrap();
        let (submitted, wait_for_all) = std::sync::mpsc::channel::<()>();
        let (_acknowledged, wait_for_answers) = std::sync::mpsc::channel::<()>();
        let disk = vfs.clone();
        // Group by group: all are handed over before the first is written, and answered before
        // the checkpoint that they cause has written anything.
        vfs.before(Which::Named("00000001.segment"), 1, move || {
            wait_for_all.recv().unwrap();
            disk.before(Which::Named("index.redb"), 1, move || {
                let _until_it_is_dropped = wait_for_answers.recv();
            });
        });
        let [mut small, mut large, mut last] = std::array::from_fn(|_| opened.store.batch());
        small.put(&opened.spaces[0], "first", "x");
        (0..KEYS).for_each(|number| large.put(&opened.spaces[0], key(number), ""));
        last.put(&opened.spaces[0], "last", "x");
        let batches = [small, large, last].map(gristmill::store::Batch::commit_buffered);
        submitted.send(()).unwrap();
        for ticket in batches {
            ticket.unwrap().wait(crate::MINUTE).unwrap();
        }
        assert_eq!(opened.store.stats().checkpoints, 0);
        vfs.fail_at(Which::Named("index.redb"), 1, Fault::Lasting(ErrorKind::Other));
        vfs.kill()
    };
    // Each group is written over itself, and each segment flushed: first three keyspaces and the
    // first batch, then the two others.
    for call in [5, 6, 8] {
        let vfs = crashed.kill();
        vfs.fail_at(Which::Named(".segment"), call, Fault::PowerOff);
        assert!(builder(&vfs).open().is_err(), "call {call}");
        let opened = Opened::open(builder(&vfs.kill())).unwrap();
        assert!(opened.spaces[0].contains("last").unwrap(), "the last batch was acknowledged");
        assert_eq!(opened.spaces[0].len().unwrap(), u64::from(KEYS) + 2);
    }
    Opened::open(builder(&crashed)).unwrap().check("at the end");
}
