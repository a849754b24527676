//! Random operations of every kind against a `BTreeMap`: batches, times to live, shared values,
//! bulk loads, reclaiming, snapshots, backups, reopenings and kills.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gristmill::store::Snapshot;
use gristmill::time::ManualClock;
use proptest::prelude::*;

use crate::oracle::{Model, Op, Opened, SPACES, clock, now, on_disk};
use crate::sim::SimVfs;
use crate::{MINUTE, noise};

#[derive(Debug, Clone)]
enum Step {
    Put {
        space: usize,
        key: Vec<u8>,
        value: (u64, usize),
        ttl: Option<u64>,
    },
    Delete {
        space: usize,
        key: Vec<u8>,
    },
    /// Commits what was collected; buffered or not.
    Commit(bool),
    BulkLoad(usize, u64),
    Advance(u64),
    Compact,
    Check,
    /// Copies the store and compares the copy.
    Backup,
    /// Keeps a snapshot, to be compared from then on.
    Snapshot,
    Reopen,
    /// On the simulated disk: the process is killed. On a real one as `Reopen`.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'a', 0xff]), 0..3);
    let value = (0..4_u64, prop::sample::select(vec![0_usize, 5, 256, 257, 3000, 20_000, 70_000]));
    let ttl = prop::option::weighted(0.3, 0..5000_u64);
    prop_oneof![
        12 => (0..SPACES, key.clone(), value, ttl)
            .prop_map(|(space, key, value, ttl)| Step::Put { space, key, value, ttl }),
        5 => (0..SPACES, key).prop_map(|(space, key)| Step::Delete { space, key }),
        6 => any::<bool>().prop_map(Step::Commit),
        1 => (0..SPACES, 0..40_u64).prop_map(|(space, count)| Step::BulkLoad(space, count)),
        2 => (0..3000_u64).prop_map(Step::Advance),
        1 => Just(Step::Compact),
        1 => Just(Step::Check),
        1 => Just(Step::Backup),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

/// Where the files lie.
enum Disk {
    Real(tempfile::TempDir),
    Simulated(SimVfs),
}

impl Disk {
    fn open(&self, name: &str, clock: &Arc<ManualClock>) -> Opened {
        let opened = match self {
            Self::Simulated(vfs) => Opened::open(on_disk(vfs, name, clock)),
            Self::Real(dir) => {
                let builder = gristmill::store::Store::builder(dir.path().join(name));
                let clock = Arc::<ManualClock>::clone(clock);
                Opened::open(builder.segment_bytes(64 << 10).clock(clock))
            }
        };
        opened.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Simulated(_) => name.into(),
            Self::Real(dir) => dir.path().join(name),
        }
    }
}

struct World {
    disk: Disk,
    opened: Opened,
    clock: Arc<ManualClock>,
    model: Model,
    collected: Vec<Op>,
    snapshots: Vec<(Snapshot, Model)>,
    backups: u64,
}

impl World {
    fn new(disk: Disk) -> Self {
        let clock = clock();
        let opened = disk.open("store", &clock);
        let (model, collected, snapshots) = (Model::default(), Vec::new(), Vec::new());
        Self { disk, opened, clock, model, collected, snapshots, backups: 0 }
    }

    fn compare(&self) {
        let now = now(&self.clock);
        let expected = self.model.visible(now);
        self.opened.compare(&expected, "now");
        for (number, space) in self.opened.spaces.iter().enumerate() {
            let bounds = b"\x01".to_vec()..b"a\xff".to_vec();
            let inside = |((space, key), _): &(&(usize, Vec<u8>), _)| {
                *space == number && bounds.contains(key)
            };
            let keys = expected.iter().filter(inside).map(|((_, key), _)| key.clone());
            let mut keys: Vec<_> = keys.collect();
            let walk = || space.range(bounds.clone()).keys().map(Result::unwrap);
            assert_eq!(walk().collect::<Vec<_>>(), keys);
            keys.reverse();
            assert_eq!(walk().rev().collect::<Vec<_>>(), keys);
        }
        for (snapshot, model) in &self.snapshots {
            let expected = model.visible(now);
            let gathered = self.opened.gather(|space| snapshot.prefix(space, "")).unwrap();
            assert!(gathered == expected, "snapshot");
            for (number, space) in self.opened.spaces.iter().enumerate() {
                let count = expected.keys().filter(|(space, _)| *space == number).count();
                assert_eq!(snapshot.len(space).unwrap(), count as u64);
            }
        }
    }

    fn commit(&mut self, buffered: bool) {
        let ops = std::mem::take(&mut self.collected);
        let batch = self.opened.batch(&ops);
        self.model.apply(&ops, now(&self.clock));
        if buffered {
            batch.commit_buffered().unwrap();
            self.opened.store.flush().unwrap();
        } else {
            batch.commit().unwrap();
        }
        self.compare();
    }

    fn bulk_load(&mut self, space: usize, count: u64) {
        let value = |number| noise(number % 7, 900);
        let entries = (0..count).map(|number| (number.to_be_bytes(), value(number)));
        let loaded = self.opened.spaces[space].bulk_load(entries).unwrap();
        assert_eq!(loaded, count);
        let put = |number: u64| {
            let (key, value) = (number.to_be_bytes().to_vec(), value(number));
            Op::Put { space, key, value, ttl: None }
        };
        self.model.apply(&(0..count).map(put).collect::<Vec<_>>(), now(&self.clock));
    }

    fn backup(&mut self) {
        self.backups += 1;
        let name = format!("backup-{}", self.backups);
        self.opened.store.backup(self.disk.path(&name)).unwrap();
        let copy = self.disk.open(&name, &self.clock);
        copy.compare(&self.model.visible(now(&self.clock)), &name);
        copy.check(&name);
    }

    fn reopen(mut self, kill: bool) -> Self {
        self.snapshots.clear();
        self.collected.clear();
        let Self { mut disk, opened, .. } = self;
        match &mut disk {
            Disk::Simulated(vfs) if kill => {
                let left = vfs.kill();
                *vfs = left;
                drop(opened);
            }
            _ => opened.store.close(MINUTE).unwrap(),
        }
        self.opened = disk.open("store", &self.clock);
        self.disk = disk;
        self.compare();
        self
    }

    fn step(mut self, seed: u64, step: Step) -> Self {
        match step {
            Step::Put { space, key, value: (number, length), ttl } => {
                let value = if space == 2 { noise(number, length) } else { noise(seed, length) };
                let ttl = ttl.map(Duration::from_millis);
                self.collected.push(Op::Put { space, key, value, ttl });
            }
            Step::Delete { space, key } => self.collected.push(Op::Delete { space, key }),
            Step::Commit(buffered) => self.commit(buffered),
            Step::BulkLoad(space, count) => self.bulk_load(space, count),
            Step::Advance(millis) => self.clock.advance(Duration::from_millis(millis)),
            Step::Compact => {
                self.opened.store.compact().unwrap();
                self.compare();
            }
            Step::Check => self.opened.check("in between"),
            Step::Backup => self.backup(),
            Step::Snapshot => {
                self.snapshots.push((self.opened.store.snapshot(), self.model.clone()));
            }
            Step::Reopen => return self.reopen(false),
            Step::Kill => return self.reopen(true),
        }
        self
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn it_behaves_like_a_map(
        real in any::<bool>(),
        steps in prop::collection::vec(step(), 1..70),
    ) {
        let real = real.then(|| Disk::Real(tempfile::tempdir().unwrap()));
        let mut world = World::new(real.unwrap_or_else(|| Disk::Simulated(SimVfs::default())));
        for (seed, step) in (1..).zip(steps) {
            world = world.step(seed, step);
        }
        world.compare();
        world.opened.check("at the end");
        world.opened.store.compact().unwrap();
        world.compare();
        world.opened.check("compacted");
    }
}
