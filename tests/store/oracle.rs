//! Three keyspaces beside a model of them, and random batches for both.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gristmill::store::{
    Batch, Compression, Keyspace, KeyspaceOptions, PutOptions, Rows, Store, StoreBuilder,
    StoreError,
};
use gristmill::time::{Clock, ManualClock, Timestamp};

use super::sim::{Random, SimVfs, noise};

/// Number of keyspaces: plain, compressed, deduplicated.
pub(crate) const SPACES: usize = 3;

/// Keys with their keyspaces' numbers, and the values that a reader finds.
pub(crate) type Content = BTreeMap<(usize, Vec<u8>), Vec<u8>>;

/// One mutation.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Put { space: usize, key: Vec<u8>, value: Vec<u8>, ttl: Option<Duration> },
    Delete { space: usize, key: Vec<u8> },
}

/// What the store should hold: values with their expiries in milliseconds since 1970, 0 for never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    rows: BTreeMap<(usize, Vec<u8>), (Vec<u8>, u64)>,
}

impl Model {
    /// Does what the operations do at time `now`.
    pub(crate) fn apply(&mut self, ops: &[Op], now: u64) {
        for op in ops {
            match op.clone() {
                Op::Put { space, key, value, ttl } => {
                    let ttl = ttl.map(|ttl| u64::try_from(ttl.as_millis()).expect("short"));
                    let expires = ttl.map_or(0, |ttl| now + ttl.max(1));
                    self.rows.insert((space, key), (value, expires));
                }
                Op::Delete { space, key } => drop(self.rows.remove(&(space, key))),
            }
        }
    }

    /// What readers find at time `now`.
    pub(crate) fn visible(&self, now: u64) -> Content {
        let alive = |(_, expires): &&(Vec<u8>, u64)| *expires == 0 || *expires > now;
        let rows = self.rows.iter().filter(|(_, row)| alive(row));
        rows.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }
}

/// All acknowledged batches, those whose fate is open, and the backups that were completed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle {
    pub(crate) sure: Model,
    /// After the first of the batches whose fate is open, after the first two of them, and so on.
    pub(crate) perhaps: Vec<Model>,
    pub(crate) backups: Vec<(PathBuf, Model)>,
}

impl Oracle {
    /// Whether a store that was cut off may hold this.
    pub(crate) fn allows(&self, found: &Content, now: u64) -> bool {
        let mut models = std::iter::once(&self.sure).chain(&self.perhaps);
        models.any(|model| model.visible(now) == *found)
    }

    /// What was served must stay: settles the batches whose fate was open.
    pub(crate) fn settle(&mut self, found: &Content, now: u64) {
        let mut perhaps = std::mem::take(&mut self.perhaps).into_iter();
        if *found != self.sure.visible(now)
            && let Some(model) = perhaps.find(|model| model.visible(now) == *found)
        {
            self.sure = model;
        }
    }
}

/// A clock that stands still somewhere in 2001.
pub(crate) fn clock() -> Arc<ManualClock> {
    ManualClock::new(Timestamp(1_000_000_000_000))
}

/// Milliseconds since 1970.
pub(crate) fn now(clock: &ManualClock) -> u64 {
    clock.wall().as_millis()
}

/// The settings for small stores on a simulated disk.
pub(crate) fn on_disk(vfs: &SimVfs, dir: &str, clock: &Arc<ManualClock>) -> StoreBuilder {
    Store::builder(dir)
        .vfs(Arc::new(vfs.clone()))
        .clock(Arc::<ManualClock>::clone(clock))
        .segment_bytes(64 << 10)
        .cache_bytes(1 << 20)
        .pointer_cache_bytes(256 << 10)
}

/// An open store with the keyspaces that the model has.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) spaces: [Keyspace; SPACES],
}

impl Opened {
    pub(crate) fn open(builder: StoreBuilder) -> Result<Self, StoreError> {
        let store = builder.open()?;
        let packed = KeyspaceOptions::compressed(Compression::Zstd(1));
        let spaces = [
            store.keyspace("plain", KeyspaceOptions::default())?,
            store.keyspace("packed", packed)?,
            store.keyspace("shared", packed.deduplicated())?,
        ];
        Ok(Self { store, spaces })
    }

    /// The operations as a batch.
    pub(crate) fn batch(&self, ops: &[Op]) -> Batch {
        let mut batch = self.store.batch();
        for op in ops {
            match op {
                Op::Put { space, key, value, ttl: None } => {
                    batch.put(&self.spaces[*space], key, value);
                }
                Op::Put { space, key, value, ttl: Some(ttl) } => {
                    batch.put_with(&self.spaces[*space], key, value, PutOptions::ttl(*ttl));
                }
                Op::Delete { space, key } => batch.delete(&self.spaces[*space], key),
            }
        }
        batch
    }

    /// Everything, as of one moment.
    pub(crate) fn content(&self) -> Result<Content, StoreError> {
        let snapshot = self.store.snapshot();
        self.gather(|space| snapshot.iter(space))
    }

    /// What `rows` gives for each keyspace.
    pub(crate) fn gather(&self, rows: impl Fn(&Keyspace) -> Rows) -> Result<Content, StoreError> {
        let mut content = Content::new();
        for (number, space) in self.spaces.iter().enumerate() {
            for row in rows(space) {
                let (key, value) = row?;
                content.insert((number, key), value.to_vec());
            }
        }
        Ok(content)
    }

    /// Reads everything in every way, and holds it against what is expected.
    pub(crate) fn compare(&self, expected: &Content, what: &str) {
        for (number, space) in self.spaces.iter().enumerate() {
            let here = expected.iter().filter(|((space, _), _)| *space == number);
            let here: Vec<_> = here.map(|((_, key), value)| (key, value)).collect();
            let read = |row: Result<_, _>| row.expect("a row is read");
            let ascending: Vec<_> = space.iter().map(read).collect();
            let mut descending: Vec<_> = space.iter().rev().map(read).collect();
            descending.reverse();
            for rows in [ascending, descending] {
                let keys: Vec<_> = rows.iter().map(|(key, _)| key.escape_ascii()).collect();
                assert_eq!(rows.len(), here.len(), "{what}: {:?} holds {keys:?}", space.name());
                let same = rows
                    .iter()
                    .zip(&here)
                    .all(|(found, (key, value))| found.0 == **key && *found.1 == ***value);
                assert!(same, "{what}: {:?}: {keys:?}", space.name());
            }
            let length = space.len().expect("keys are counted");
            assert_eq!(length, here.len() as u64, "{what}: length of {:?}", space.name());
            let keys: Vec<&[u8]> = here.iter().map(|(key, _)| key.as_slice()).collect();
            let many = space.get_many(&keys).expect("values are read");
            for ((key, value), found) in here.iter().zip(many) {
                assert_eq!(found.as_deref(), Some(value.as_slice()), "{what}: get_many");
                let found = space.get(key).expect("a value is read");
                assert_eq!(found.as_deref(), Some(value.as_slice()), "{what}: get");
                assert!(space.contains(key).expect("a key is looked up"), "{what}: contains");
            }
        }
    }

    /// Has everything verified and expects no problem.
    pub(crate) fn check(&self, what: &str) {
        let report = self.store.check().expect(what);
        assert!(report.is_clean(), "{what}: {report}");
    }
}

/// A batch of one to five operations on few keys, so that they are overwritten and deleted often.
pub(crate) fn random_ops(random: &mut Random) -> Vec<Op> {
    let count = 1 + random.below(5);
    let op = |_| {
        let space = random.pick(&[0, 1, 2]);
        let key = vec![b'a' + u8::try_from(random.below(10)).expect("a letter")];
        if random.below(4) == 0 {
            return Op::Delete { space, key };
        }
        let value = random_value(random, space);
        let ttl = (random.below(5) == 0).then(|| Duration::from_secs(1 + random.below(6)));
        Op::Put { space, key, value, ttl }
    };
    (0..count).map(op).collect()
}

fn random_value(random: &mut Random, space: usize) -> Vec<u8> {
    let seed = random.next();
    match space {
        1 => format!("{seed:016x}").repeat(random.pick(&[1, 30, 300])).into_bytes(),
        // Few different values: most are there already.
        2 => noise(seed % 4, random.pick(&[100, 700, 4000])),
        _ => noise(seed, random.pick(&[10, 256, 300, 9000])),
    }
}
