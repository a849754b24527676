//! Random operations and reopenings against a `BTreeMap`.

use std::collections::BTreeMap;

use gristmill::store::{Compression, Direction, Keyspace, KeyspaceOptions, Store};
use proptest::prelude::*;

use crate::{MINUTE, noise};

#[derive(Debug, Clone)]
enum Step {
    Put(u8, Vec<u8>, usize),
    Delete(u8, Vec<u8>),
    /// Commits what was collected; buffered or not.
    Commit(bool),
    Reopen,
    /// Copies the files as they are, and goes on with the copy.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'a', 0xff]), 0..3);
    prop_oneof![
        8 => (0..2_u8, key.clone(), prop::sample::select(vec![0_usize, 5, 256, 257, 3000, 70_000]))
            .prop_map(|(space, key, length)| Step::Put(space, key, length)),
        4 => (0..2_u8, key).prop_map(|(space, key)| Step::Delete(space, key)),
        4 => any::<bool>().prop_map(Step::Commit),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

type Model = [BTreeMap<Vec<u8>, Vec<u8>>; 2];

struct World {
    dir: tempfile::TempDir,
    store: Store,
    spaces: [Keyspace; 2],
}

impl World {
    fn open(dir: tempfile::TempDir) -> Self {
        let store = Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
        let packed = KeyspaceOptions::compressed(Compression::Zstd(1));
        let spaces = [crate::plain(&store, "plain"), store.keyspace("packed", packed).unwrap()];
        Self { dir, store, spaces }
    }

    fn compare(&self, model: &Model) {
        for (space, model) in self.spaces.iter().zip(model) {
            let expected: Vec<_> = model.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            let read = |direction| {
                let rows = space.range::<&[u8]>(.., direction).map(Result::unwrap);
                rows.map(|(key, value)| (key, value.to_vec())).collect::<Vec<_>>()
            };
            assert!(read(Direction::Forward) == expected, "{:?}", space.name());
            let mut reversed = read(Direction::Backward);
            reversed.reverse();
            assert!(reversed == expected);
            assert_eq!(space.len().unwrap(), expected.len() as u64);
            let some = space.range_keys(&b"\x01"[..]..&b"a\xff"[..], Direction::Forward);
            let bounds = b"\x01".to_vec()..b"a\xff".to_vec();
            let some: Vec<_> = some.map(Result::unwrap).collect();
            assert_eq!(some, model.range(bounds).map(|(k, _)| k.clone()).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn it_behaves_like_a_map(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::open(tempfile::tempdir().unwrap());
        let (mut model, mut next) = (Model::default(), Model::default());
        let mut batch = world.store.batch();
        for (seed, step) in (1..).zip(steps) {
            match step {
                Step::Put(space, key, length) => {
                    let value = noise(seed, length);
                    batch.put(&world.spaces[usize::from(space)], &key, &value);
                    next[usize::from(space)].insert(key, value);
                }
                Step::Delete(space, key) => {
                    batch.delete(&world.spaces[usize::from(space)], &key);
                    next[usize::from(space)].remove(&key);
                }
                Step::Commit(buffered) => {
                    let full = std::mem::replace(&mut batch, world.store.batch());
                    if buffered {
                        full.commit_buffered().unwrap();
                        world.store.flush().unwrap();
                    } else {
                        full.commit().unwrap();
                    }
                    model.clone_from(&next);
                    world.compare(&model);
                }
                Step::Reopen => {
                    let World { dir, store, .. } = world;
                    store.close(MINUTE).unwrap();
                    world = World::open(dir);
                    batch = world.store.batch();
                    next.clone_from(&model);
                }
                Step::Crash => {
                    let copy = crate::copy_dir(world.dir.path());
                    world = World::open(copy);
                    batch = world.store.batch();
                    next.clone_from(&model);
                }
            }
        }
        world.compare(&model);
        assert!(world.store.check().unwrap().is_clean());
    }
}
