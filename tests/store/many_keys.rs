//! Values of several keys at once come in the order of the keys, each at the place of its own.

use gristmill::store::{Keyspace, PutOptions, Store};
use gristmill::time::ManualClock;

use crate::oracle::clock;
use crate::{MINUTE, noise, plain};

/// The values of these keys, by `get_many`; `get` must give the same one by one.
fn values(keyspace: &Keyspace, keys: &[&str]) -> Vec<Option<Vec<u8>>> {
    let many = keyspace.get_many(keys).unwrap();
    let many: Vec<_> = many.iter().map(|value| value.as_deref().map(<[u8]>::to_vec)).collect();
    for (key, value) in keys.iter().zip(&many) {
        assert_eq!(keyspace.get(key).unwrap().as_deref(), value.as_deref(), "{key}");
    }
    many
}

#[test]
fn missing_keys_give_none_at_their_own_places() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let builder = || Store::builder(dir.path()).clock(std::sync::Arc::<ManualClock>::clone(&clock));
    let store = builder().open().unwrap();
    let (k, other) = (plain(&store, "k"), plain(&store, "other"));
    let (small, large) = (b"small".to_vec(), noise(1, 5000));
    k.put("b", &small).unwrap();
    k.put("d", &large).unwrap();
    k.put("deleted", &large).unwrap();
    k.delete("deleted").unwrap();
    let second = PutOptions::ttl(std::time::Duration::from_secs(1));
    k.put_with("expired", &large, second).unwrap();
    clock.advance(std::time::Duration::from_secs(2));
    other.put("elsewhere", &large).unwrap();
    // In no order; before, between and behind those that are there, and a key twice.
    let keys = ["e", "d", "deleted", "a", "b", "expired", "", "d", "elsewhere", "c", "b"];
    let (b, d) = (Some(small), Some(large));
    let expected =
        [&None, &d, &None, &None, &b, &None, &None, &d, &None, &None, &b].map(Clone::clone);
    assert_eq!(values(&k, &keys), expected, "from memory");
    assert_eq!(values(&k, &keys), expected, "places known");
    assert_eq!(values(&k, &["a", "c"]), [None, None]);
    assert!(values(&k, &[]).is_empty());
    drop((k, other));
    store.close(MINUTE).unwrap();
    let store = builder().open().unwrap();
    assert_eq!(values(&plain(&store, "k"), &keys), expected, "from the index file");
}
