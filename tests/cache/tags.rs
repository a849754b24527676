//! Invalidation by tag.

use gristmill::cache::{Cache, InsertOptions, Loaded};

use crate::harness::*;

fn host(number: u32) -> InsertOptions {
    InsertOptions::default().tag(format!("host{number}.example"))
}

#[test]
fn a_hosts_entries_go_together() {
    for many in [false, true] {
        let cache = sharded(Cache::builder().capacity(10_000), many).build().unwrap();
        (0..1000).for_each(|key| cache.insert_with(key, key, host(key % 10)));
        cache.invalidate_tag("host3.example");
        assert_eq!((cache.len(), cache.weight(), cache.stats().invalidated), (900, 900, 100));
        assert!((0..1000).all(|key| cache.get(&key).is_some() == (key % 10 != 3)));
        cache.invalidate_tag("host3.example");
        cache.invalidate_tag("unknown");
        assert_eq!(cache.len(), 900);
    }
}

#[test]
fn an_entry_may_have_several_tags() {
    let cache = counted(100);
    cache.insert_with(1, 1, host(1).tag("html"));
    cache.insert_with(2, 2, host(1).tag("image"));
    cache.insert_with(3, 3, host(2).tag("html").tag("html"));
    cache.invalidate_tag("html");
    assert_eq!((cache.get(&1), cache.get(&2), cache.get(&3)), (None, Some(2), None));
    cache.invalidate_tag("host1.example");
    assert!(cache.is_empty());
}

#[test]
fn a_replacement_has_its_own_tags_alone() {
    let cache = counted(100);
    cache.insert_with(1, 1, host(1));
    cache.insert_with(1, 2, host(2));
    cache.insert_with(2, 2, host(1));
    cache.insert(2, 3);
    cache.invalidate_tag("host1.example");
    assert_eq!((cache.get(&1), cache.get(&2)), (Some(2), Some(3)));
    cache.invalidate_tag("host2.example");
    assert_eq!((cache.get(&1), cache.get(&2)), (None, Some(3)));
}

#[test]
fn what_has_left_takes_its_tags_along() {
    let cache = counted(10);
    // Entries without tags reuse the slots of evicted ones.
    (0..10).for_each(|key| cache.insert_with(key, key, host(1)));
    cache.shrink_to(0.0);
    (0..10).for_each(|key| cache.insert_with(key, key, host(1)));
    (0..10).for_each(|key| cache.invalidate(&key));
    (100..110).for_each(|key| cache.insert(key, key));
    cache.invalidate_tag("host1.example");
    assert_eq!(cache.len(), 10);
}

#[test]
fn a_known_absence_may_have_tags() {
    let cache = counted(10);
    cache.insert_absent(1, host(1));
    let absent = Loaded::absent().with(host(1));
    assert_eq!(cache.get_or_load_with(&2, LONG, || Ok::<_, ()>(absent)), Ok(None));
    assert_eq!(cache.len(), 2);
    cache.invalidate_tag("host1.example");
    assert!(cache.is_empty());
}
