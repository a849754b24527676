//! A store beside its model, on a disk that fails, is killed and loses power.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gristmill::store::Snapshot;
use gristmill::time::ManualClock;

use super::store_twins::oracle::{Model, Op, Opened, Oracle, SPACES, clock, now, on_disk};
use super::store_twins::sim::{Fault, SimVfs, Which, noise};

const DIR: &str = "/sim";
/// Operations of one run; what the input says beyond them is not read.
const MAX_OPERATIONS: usize = 150;
const LONG: Duration = Duration::from_mins(1);

/// Operations of three bytes each: what to do, with which key, and a number.
pub fn store_operations(data: &[u8]) {
    let mut run = Run::new();
    for &[operation, key, number] in data.as_chunks().0.iter().take(MAX_OPERATIONS) {
        run.operate(operation, key, number);
    }
    run.end();
}

struct Run {
    vfs: SimVfs,
    clock: Arc<ManualClock>,
    /// `None` between a failure and the next opening.
    opened: Option<Opened>,
    oracle: Oracle,
    collected: Vec<Op>,
    snapshot: Option<(Snapshot, Model)>,
    backups: u32,
}

impl Run {
    fn new() -> Self {
        let (vfs, clock) = (SimVfs::default(), clock());
        let opened = Some(Opened::open(on_disk(&vfs, DIR, &clock)).expect("a sound disk"));
        let (oracle, collected) = (Oracle::default(), Vec::new());
        Self { vfs, clock, opened, oracle, collected, snapshot: None, backups: 0 }
    }

    fn operate(&mut self, operation: u8, key: u8, number: u8) {
        let (space, name) = (usize::from(key) % SPACES, vec![b'a' + key / 4 % 16]);
        match operation % 32 {
            0..10 => self.collected.push(put(space, name, number)),
            10..14 => self.collected.push(Op::Delete { space, key: name }),
            14..20 => self.commit(number.is_multiple_of(2)),
            20 => self.clock.advance(Duration::from_millis(u64::from(number) * 20)),
            21 => self.maintain(|opened| opened.store.compact().is_ok()),
            22 => self.maintain(|opened| opened.store.check().is_ok()),
            23 => self.backup(),
            24 => self.keep_snapshot(),
            25 => self.maintain(|opened| opened.store.close(LONG).is_ok()),
            26 => self.cut_off(SimVfs::kill),
            27 => self.cut_off(|vfs| vfs.power_loss(number.into())),
            28 => self.fail(Fault::PowerOff, number),
            29 => self.fail(Fault::Once(ErrorKind::Other), number),
            30 => self.fail(Fault::Once(ErrorKind::StorageFull), number),
            _ => self.fail(Fault::ShortWrite, number),
        }
        if operation % 32 == 25 {
            self.cut_off(SimVfs::kill);
        }
    }

    fn fail(&self, fault: Fault, number: u8) {
        let which = if number & 0x80 == 0 { Which::Changing } else { Which::Any };
        self.vfs.fail_at(which, u64::from(number & 0x7f), fault);
    }

    fn commit(&mut self, buffered: bool) {
        let Some(opened) = &self.opened else { return self.cut_off(SimVfs::kill) };
        let ops = std::mem::take(&mut self.collected);
        let mut next = self.oracle.sure.clone();
        next.apply(&ops, now(&self.clock));
        let batch = opened.batch(&ops);
        let done = if buffered {
            batch.commit_buffered().and_then(|ticket| ticket.wait(LONG))
        } else {
            batch.commit()
        };
        match done {
            Ok(()) => {
                self.oracle.sure = next;
                self.compare();
            }
            Err(gristmill::store::StoreError::Refused { .. }) => self.compare(),
            Err(_) => {
                self.oracle.perhaps = vec![next];
                self.opened = None;
                self.snapshot = None;
            }
        }
    }

    /// Reads may fail while the disk is told to; what is read is right.
    fn compare(&self) {
        let Some(opened) = &self.opened else { return };
        let now = now(&self.clock);
        if let Ok(found) = opened.content() {
            assert!(found == self.oracle.sure.visible(now), "the store is not its model");
        }
        if let Some((snapshot, model)) = &self.snapshot
            && let Ok(found) = opened.gather(|space| snapshot.prefix(space, ""))
        {
            assert!(found == model.visible(now), "a snapshot has changed");
        }
    }

    /// Something that changes no content. Where it fails nothing more is written.
    fn maintain(&mut self, work: impl FnOnce(&Opened) -> bool) {
        if self.opened.as_ref().is_some_and(|opened| !work(opened)) {
            self.snapshot = None;
            self.opened = None;
        }
        self.compare();
    }

    fn backup(&mut self) {
        self.backups += 1;
        let dir = PathBuf::from(format!("/backup-{}", self.backups));
        let model = self.oracle.sure.clone();
        if let Some(opened) = &self.opened
            && opened.store.backup(&dir).is_ok()
        {
            self.oracle.backups.push((dir, model));
        }
    }

    fn keep_snapshot(&mut self) {
        if let Some(opened) = &self.opened {
            self.snapshot = Some((opened.store.snapshot(), self.oracle.sure.clone()));
        }
    }

    /// The process ends, one way or the other; the next one finds what is left.
    fn cut_off(&mut self, left: impl FnOnce(&SimVfs) -> SimVfs) {
        let image = left(&self.vfs);
        self.snapshot = None;
        self.opened = None;
        self.collected.clear();
        self.vfs = image;
        let opened = Opened::open(on_disk(&self.vfs, DIR, &self.clock)).expect("it recovers");
        let (found, now) = (opened.content().expect("a sound disk"), now(&self.clock));
        assert!(self.oracle.allows(&found, now), "not what was acknowledged");
        self.oracle.settle(&found, now);
        self.opened = Some(opened);
    }

    fn end(mut self) {
        self.cut_off(SimVfs::kill);
        let now = now(&self.clock);
        if let Some(opened) = &self.opened {
            opened.compare(&self.oracle.sure.visible(now), "at the end");
            opened.check("at the end");
        }
        for (dir, model) in &self.oracle.backups {
            let dir = dir.to_str().expect("plain text");
            let copy = Opened::open(on_disk(&self.vfs, dir, &self.clock)).expect("a whole copy");
            copy.compare(&model.visible(now), "backup");
        }
    }
}

/// Lengths and times to live of all kinds, from one byte.
fn put(space: usize, key: Vec<u8>, number: u8) -> Op {
    let length = [0, 20, 256, 257, 1000, 4000, 9000, 70_000][usize::from(number % 8)];
    let seed = u64::from(number / 8 % 4);
    let value = if space == 1 { vec![number; length] } else { noise(seed, length) };
    let ttl = (number >= 0xc0).then(|| Duration::from_millis(u64::from(number) * 10));
    Op::Put { space, key, value, ttl }
}
