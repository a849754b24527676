//! Times to live while the clock is set back and forth, over reopenings too: what has expired stays
//! so, and what is to expire does.

use std::time::Duration;

use gristmill::pool::{Pool, ShutdownMode};
use gristmill::store::{PutOptions, Store};
use gristmill::time::{Clock, ManualClock, Timestamp};

use crate::{MINUTE, noise, plain};

const HOUR: Duration = Duration::from_hours(1);

fn open(dir: &std::path::Path, clock: &std::sync::Arc<ManualClock>) -> Store {
    let clock = std::sync::Arc::<ManualClock>::clone(clock);
    Store::builder(dir).segment_bytes(64 << 10).clock(clock).open().unwrap()
}

#[test]
fn an_entry_is_there_to_the_millisecond() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), crate::oracle::clock());
    let store = open(dir.path(), &clock);
    let k = plain(&store, "k");
    for (key, length) in [("small", 5), ("large", 5000)] {
        k.put_with(key, noise(1, length), PutOptions::ttl(HOUR)).unwrap();
        k.put(["for ever ", key].concat(), noise(2, length)).unwrap();
    }
    clock.advance(HOUR.saturating_sub(Duration::from_millis(1)));
    assert!(k.get("small").unwrap().is_some() && k.get("large").unwrap().is_some());
    let snapshot = store.snapshot();
    clock.advance(Duration::from_millis(1));
    for key in ["small", "large"] {
        assert!(k.get(key).unwrap().is_none() && !k.contains(key).unwrap());
        assert!(snapshot.get(&k, key).unwrap().is_none());
    }
    assert!(k.get_many(&["small", "large"]).unwrap().iter().all(Option::is_none));
    assert_eq!(k.prefix("").count(), 2);
    assert_eq!((k.len().unwrap(), snapshot.len(&k).unwrap()), (2, 2));
    k.put("small", "again, for ever").unwrap();
    assert_eq!(store.compact().unwrap().expired, 1);
    assert_eq!(k.len().unwrap(), 3);
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn what_has_a_millisecond_left_is_counted_and_not_removed() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), crate::oracle::clock());
    // Nothing that has expired is removed in the background.
    let pool = Pool::builder().build().unwrap();
    pool.shutdown(ShutdownMode::Drain, MINUTE).unwrap();
    let store = Store::builder(dir.path()).clock(clock.clone()).pool(pool).open().unwrap();
    let k = plain(&store, "k");
    k.put_with("early", noise(1, 500), PutOptions::ttl(HOUR)).unwrap();
    k.put_with("late", noise(2, 500), PutOptions::ttl(HOUR + Duration::from_millis(1))).unwrap();
    clock.advance(HOUR.saturating_sub(Duration::from_millis(1)));
    for left in [2, 1, 0] {
        let expired = u64::from(left < 2);
        assert_eq!(k.len().unwrap(), left);
        assert_eq!(store.compact().unwrap().expired, expired);
        assert_eq!((k.len().unwrap(), k.prefix("").count() as u64), (left, left));
        clock.advance(Duration::from_millis(1));
    }
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn a_clock_set_back_does_not_bring_back_what_has_expired() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), crate::oracle::clock());
    let store = open(dir.path(), &clock);
    let k = plain(&store, "k");
    k.put_with("early", noise(1, 500), PutOptions::ttl(HOUR)).unwrap();
    k.put_with("late", noise(2, 500), PutOptions::ttl(HOUR * 3)).unwrap();
    let start = clock.wall();
    clock.advance(HOUR);
    assert!(k.get("early").unwrap().is_none());
    clock.set_wall(Timestamp(5));
    assert!(k.get("early").unwrap().is_none() && k.get("late").unwrap().is_some());
    drop((store, k));
    // Over a reopening too, and the time goes on from where it was.
    let store = open(dir.path(), &clock);
    let k = plain(&store, "k");
    assert!(k.get("early").unwrap().is_none() && k.get("late").unwrap().is_some());
    clock.advance(HOUR * 2);
    assert!(k.get("late").unwrap().is_none(), "time stood still");
    k.put_with("new", noise(3, 500), PutOptions::ttl(HOUR)).unwrap();
    clock.set_wall(start);
    assert!(k.get("new").unwrap().is_some());
    store.close(MINUTE).unwrap();
    drop((store, k));
    let store = open(dir.path(), &clock);
    let k = plain(&store, "k");
    assert!(k.get("late").unwrap().is_none() && k.get("new").unwrap().is_some());
    clock.advance(HOUR);
    assert!(k.get("new").unwrap().is_none() && k.is_empty().unwrap());
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn a_clock_set_back_between_two_openings_that_only_read() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), crate::oracle::clock());
    // Nothing that has expired is removed in the background.
    let pool = Pool::builder().build().unwrap();
    pool.shutdown(ShutdownMode::Drain, MINUTE).unwrap();
    let open = || {
        let builder = Store::builder(dir.path()).segment_bytes(64 << 10).pool(pool.clone());
        builder.clock(clock.clone()).open().unwrap()
    };
    let store = open();
    plain(&store, "k").put_with("key", noise(1, 500), PutOptions::ttl(HOUR)).unwrap();
    store.close(MINUTE).unwrap();
    drop(store);
    let start = clock.wall();
    clock.set_wall(start.saturating_add(HOUR));
    let store = open();
    assert!(plain(&store, "k").get("key").unwrap().is_none());
    store.close(MINUTE).unwrap();
    drop(store);
    clock.set_wall(start);
    let store = open();
    assert!(plain(&store, "k").get("key").unwrap().is_none(), "it was seen to expire");
}

#[test]
fn a_clock_set_forward_expires_and_setting_it_right_again_harms_nothing_new() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), crate::oracle::clock());
    let store = open(dir.path(), &clock);
    let k = plain(&store, "k");
    let right = clock.wall();
    k.put_with("old", noise(1, 500), PutOptions::ttl(HOUR)).unwrap();
    clock.set_wall(right.saturating_add(HOUR * 10));
    assert!(k.get("old").unwrap().is_none());
    clock.set_wall(right);
    k.put_with("new", noise(2, 500), PutOptions::ttl(HOUR)).unwrap();
    assert!(k.get("old").unwrap().is_none() && k.get("new").unwrap().is_some());
    clock.advance(HOUR * 12);
    assert!(k.get("new").unwrap().is_none());
    store.compact().unwrap();
    assert!(k.is_empty().unwrap() && store.check().unwrap().is_clean());
}

#[test]
fn a_time_to_live_of_nothing_or_of_ages_is_taken_for_what_it_can_be() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), crate::oracle::clock());
    let store = open(dir.path(), &clock);
    let k = plain(&store, "k");
    k.put_with("ages", "x", PutOptions::ttl(Duration::MAX)).unwrap();
    k.put_with("nothing", "x", PutOptions::ttl(Duration::ZERO)).unwrap();
    assert!(k.contains("nothing").unwrap(), "a millisecond at least");
    clock.advance(Duration::from_millis(1));
    assert!(!k.contains("nothing").unwrap());
    clock.advance(HOUR * 24 * 365 * 1000);
    assert!(k.contains("ages").unwrap());
}
