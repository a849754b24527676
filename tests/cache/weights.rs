//! The weight is the sum of the entries', and within the capacity, after any number of operations.

use gristmill::cache::Cache;

use crate::harness::*;

const CAPACITY: u64 = 1 << 20;
const KEYS: u32 = 2000;
const OPERATIONS: u32 = 500_000;
const CHECKPOINTS: u32 = 25;

/// Inserts and reads at random. `put` holds the weight of the last insertion under each key.
fn operate(cache: &Cache<u32, u32>, random: &mut Random, put: &mut [u64]) {
    let key = random.below(KEYS);
    let index = key as usize;
    match random.below(32) {
        0 => {
            cache.invalidate(&key);
            put[index] = 0;
        }
        1..12 => assert!(cache.get(&key).is_none_or(|found| found <= 1 << 18)),
        _ => {
            // All sizes from 0 to a quarter of the capacity, small ones as often as large ones.
            let range = 1 << random.below(19);
            let weight = random.below(range + 1);
            cache.insert(key, weight);
            let refused = u64::from(weight) > CAPACITY / 8;
            put[index] = if refused { 0 } else { u64::from(weight.max(1)) };
            assert!(cache.weight() <= CAPACITY);
        }
    }
}

fn half_a_million_operations(many: bool) {
    let builder = Cache::builder().capacity(CAPACITY).weigher(|_, weight| u64::from(*weight));
    let cache = sharded(builder, many).build().unwrap();
    let (mut random, mut put) = (Random(7), vec![0; KEYS as usize]);
    for _ in 0..CHECKPOINTS {
        (0..OPERATIONS / CHECKPOINTS).for_each(|_| operate(&cache, &mut random, &mut put));
        let (mut live, mut total) = (0, 0);
        for (key, weight) in (0..KEYS).zip(&put) {
            if let Some(value) = cache.get(&key) {
                assert_eq!(u64::from(value.max(1)), *weight, "an older value of {key}");
                (live, total) = (live + 1, total + weight);
            }
        }
        assert_eq!((live, total), (cache.len(), cache.weight()));
        assert!(total > CAPACITY / 2, "{total} is far too little");
    }
    let stats = cache.stats();
    assert!(stats.refused > 1000 && stats.evicted > 100_000, "{stats:?}");
    assert_accounts(&cache, KEYS, |weight| u64::from(weight.max(1)));
}

#[test]
fn half_a_million_operations_on_one_shard() {
    half_a_million_operations(false);
}

#[test]
fn half_a_million_operations_on_many_shards() {
    half_a_million_operations(true);
}
