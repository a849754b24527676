//! An iterator returns each row once, from whichever ends its rows are taken.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use gristmill::store::{Keyspace, KeyspaceOptions, PutOptions, Rows, Snapshot, Store};
use proptest::prelude::*;

use crate::oracle::{clock, on_disk};
use crate::sim::{Random, SimVfs, noise};

/// More rows than an iterator copies at a time, of each kind.
const KEYS: u64 = 700;

/// Two bytes suffice for the numbers of keys.
fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes()[6..].to_vec()
}

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A keyspace whose rows are in the index file and in memory, some of them expired, and what it
/// holds; and a snapshot from before the rows in memory were written, with what that holds.
struct Mixed {
    _store: Store,
    keyspace: Keyspace,
    now: Map,
    snapshot: Snapshot,
    before: Map,
}

impl Mixed {
    fn new(seed: u64) -> Self {
        let (clock, mut random) = (clock(), Random::spread(seed));
        let store = on_disk(&SimVfs::default(), "/sim", &clock).open().unwrap();
        let options = KeyspaceOptions::default().deduplicated();
        let keyspace = store.keyspace("k", options).unwrap();
        // Neighbours in the order of keys, which must not show.
        store.keyspace("j", options).unwrap().put("z", "other").unwrap();
        store.keyspace("l", options).unwrap().put("a", "other").unwrap();
        let (mut now, mut expiring) = (Map::new(), Map::new());
        let mut write = |now: &mut Map, expiring: &mut Map| {
            let mut batch = store.batch();
            for _ in 0..KEYS / 2 {
                let key = key(random.below(KEYS));
                let value = noise(random.below(9), if random.below(9) == 0 { 300 } else { 8 });
                now.remove(&key);
                expiring.remove(&key);
                match random.below(4) {
                    0 => batch.delete(&keyspace, &key),
                    1 => {
                        let ttl = PutOptions::ttl(Duration::from_mins(1));
                        batch.put_with(&keyspace, &key, &value, ttl);
                        expiring.insert(key, value);
                    }
                    _ => {
                        batch.put(&keyspace, &key, &value);
                        now.insert(key, value);
                    }
                }
            }
            batch.commit().unwrap();
        };
        for _ in 0..2 {
            write(&mut now, &mut expiring);
        }
        // Takes a checkpoint: these rows are in the index file.
        store.check().unwrap();
        let (snapshot, before) = (store.snapshot(), now.clone());
        write(&mut now, &mut expiring);
        clock.advance(Duration::from_mins(2));
        Self { _store: store, keyspace, now, snapshot, before }
    }
}

/// Takes rows from both ends, from the back where a bit of the pattern is set, until none is left.
fn collect(mut rows: Rows, pattern: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut front, mut back) = (Vec::new(), Vec::new());
    for bit in (0..u64::BITS).cycle() {
        let from_back = pattern >> bit & 1 == 1;
        let row = if from_back { rows.next_back() } else { rows.next() };
        let Some(row) = row else { break };
        let (key, value) = row.unwrap();
        if from_back { &mut back } else { &mut front }.push((key, value.to_vec()));
    }
    assert!(rows.next().is_none() && rows.next_back().is_none(), "it has ended at both ends");
    front.into_iter().chain(back.into_iter().rev()).collect()
}

fn within(map: &Map, bounds: &Bounds) -> Vec<(Vec<u8>, Vec<u8>)> {
    let inside = |key: &Vec<u8>| std::ops::RangeBounds::contains(bounds, key);
    map.iter().filter(|(key, _)| inside(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    let key = || (0..KEYS).prop_map(key);
    prop_oneof![
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
        Just(Bound::Unbounded),
    ]
}

/// Mostly from the front, mostly from the back, and anything.
fn pattern() -> impl Strategy<Value = u64> {
    let rare = (0..u64::BITS).prop_map(|bit| 1 << bit);
    prop_oneof![any::<u64>(), rare.clone(), rare.prop_map(|bits: u64| !bits), Just(0), Just(!0)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn each_row_comes_once_whatever_the_order_of_the_calls(
        seed in any::<u64>(),
        walks in prop::collection::vec(((bound(), bound()), pattern()), 12),
    ) {
        let mixed = Mixed::new(seed);
        let (keyspace, snapshot) = (&mixed.keyspace, &mixed.snapshot);
        for (bounds, pattern) in walks {
            let expected = within(&mixed.now, &bounds);
            prop_assert_eq!(collect(keyspace.range(bounds.clone()), pattern), expected);
            let expected = within(&mixed.before, &bounds);
            prop_assert_eq!(collect(snapshot.range(keyspace, bounds), pattern), expected);
        }
        for first in 0..3_u8 {
            let all = (Bound::Included(vec![first]), Bound::Excluded(vec![first + 1]));
            let expected = within(&mixed.now, &all);
            prop_assert_eq!(collect(keyspace.prefix([first]), seed), expected);
            let expected = within(&mixed.before, &all);
            prop_assert_eq!(collect(snapshot.prefix(keyspace, [first]), seed), expected);
        }
    }
}

#[test]
fn keys_come_without_their_values_from_both_ends_and_the_ends_alone() {
    let mixed = Mixed::new(7);
    let (keyspace, snapshot) = (&mixed.keyspace, &mixed.snapshot);
    for (map, rows, keys) in [
        (&mixed.now, keyspace.iter(), keyspace.into_iter().keys()),
        (&mixed.before, snapshot.iter(keyspace), snapshot.iter(keyspace).keys()),
    ] {
        let expected: Vec<_> = map.keys().rev().cloned().collect();
        assert_eq!(keys.rev().collect::<Result<Vec<_>, _>>().unwrap(), expected);
        assert_eq!(rows.rev().map(|row| row.unwrap().0).collect::<Vec<_>>(), expected);
    }
    let owned = |row: Option<(Vec<u8>, gristmill::store::Value)>| {
        row.map(|(key, value)| (key, value.to_vec()))
    };
    let entry = |row: Option<(&Vec<u8>, &Vec<u8>)>| row.map(|(k, v)| (k.clone(), v.clone()));
    let (now, before) = (&mixed.now, &mixed.before);
    assert_eq!(owned(keyspace.first().unwrap()), entry(now.first_key_value()));
    assert_eq!(owned(keyspace.last().unwrap()), entry(now.last_key_value()));
    assert_eq!(owned(snapshot.first(keyspace).unwrap()), entry(before.first_key_value()));
    assert_eq!(owned(snapshot.last(keyspace).unwrap()), entry(before.last_key_value()));
    let none = keyspace.range("b".."a").next_back();
    assert!(none.is_none() && keyspace.prefix([9]).next_back().is_none());
}
