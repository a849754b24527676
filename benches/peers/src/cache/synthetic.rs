//! Requests that are made up, to show what a policy does with one kind of them.

use std::str::FromStr;

use super::zipf::Zipf;
use crate::error::Error;
use crate::numbers::{self, Numbers};

const SEED: u64 = 0x7ACE;

/// Capacity of the cache.
const CAPACITY: usize = 1000;

/// Keys of the distributions.
const KEYS: u32 = 10_000;

/// Requests of a trace without scans.
const REQUESTS: u64 = 300_000;

/// Keys of the loop.
const LOOP: u64 = 1100;

/// Requests between two scans.
const BETWEEN_SCANS: u64 = 4000;

/// Keys of a scan.
const SCAN: u64 = 2000;

/// Requests for which the popularity of the keys stays.
const STEP: u64 = 200;

/// A kind of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synthetic {
    /// Over and over the same keys, a tenth more than the cache holds.
    Loop,
    /// Zipf's distribution, with scans of twice the capacity through keys that come but once.
    Scan,
    /// Zipf's distribution, where time and again a new key becomes the most popular one and all
    /// others sink by a rank.
    Drift,
    /// All keys alike: a tenth of them fits, so a tenth is what a cache can find.
    Uniform,
}

impl Synthetic {
    /// All, in the order of the columns.
    pub(crate) const ALL: &[Self] = &[Self::Loop, Self::Scan, Self::Drift, Self::Uniform];

    /// The name in tables and files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Scan => "scan",
            Self::Drift => "drift",
            Self::Uniform => "uniform",
        }
    }

    /// Capacity of the cache.
    #[expect(clippy::unused_self, reason = "it is the same for all kinds so far")]
    pub(crate) const fn capacity(self) -> usize {
        CAPACITY
    }

    /// All requests in their order, the same each time.
    pub(crate) fn keys(self) -> Vec<u64> {
        let mut numbers = Numbers::from_seed(SEED);
        match self {
            Self::Loop => (0..REQUESTS).map(|request| numbers::spread(request % LOOP)).collect(),
            Self::Scan => scan(&mut numbers),
            Self::Drift => drift(&mut numbers),
            Self::Uniform => {
                let mut draw = |_| numbers::spread(numbers.below(u64::from(KEYS)));
                (0..REQUESTS).map(&mut draw).collect()
            }
        }
    }
}

impl FromStr for Synthetic {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.iter().find(|synthetic| synthetic.name() == name);
        known.copied().ok_or_else(|| Error::Usage(format!("no requests {name:?} are made up")))
    }
}

fn scan(numbers: &mut Numbers) -> Vec<u64> {
    let zipf = Zipf::over(KEYS);
    let mut never_seen = u64::from(KEYS)..;
    let mut keys = Vec::new();
    for _ in 0..REQUESTS / BETWEEN_SCANS {
        keys.extend((0..BETWEEN_SCANS).map(|_| numbers::spread(zipf.draw(numbers))));
        keys.extend((0..SCAN).filter_map(|_| never_seen.next()).map(numbers::spread));
    }
    keys
}

fn drift(numbers: &mut Numbers) -> Vec<u64> {
    let zipf = Zipf::over(KEYS);
    let draw = |request| {
        // The key of the best rank is the newest.
        let newest = u64::from(KEYS) + request / STEP;
        numbers::spread(newest - zipf.draw(numbers))
    };
    (0..REQUESTS).map(draw).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn distinct(keys: &[u64]) -> HashSet<u64> {
        keys.iter().copied().collect()
    }

    fn times(keys: &[u64]) -> HashMap<u64, u32> {
        let mut times = HashMap::new();
        for key in keys {
            *times.entry(*key).or_default() += 1;
        }
        times
    }

    #[test]
    fn each_is_the_same_again() {
        for synthetic in Synthetic::ALL {
            assert_eq!(synthetic.name().parse::<Synthetic>().unwrap(), *synthetic);
            assert_eq!(synthetic.keys(), synthetic.keys(), "{}", synthetic.name());
        }
    }

    #[test]
    fn a_loop_comes_back_to_a_key_after_all_others() {
        let keys = Synthetic::Loop.keys();
        assert_eq!(keys[..1100], keys[1100..2200]);
        assert_eq!(distinct(&keys).len(), 1100);
    }

    #[test]
    fn what_is_scanned_comes_once() {
        let keys = Synthetic::Scan.keys();
        let times = times(&keys);
        for block in keys.chunks(6000) {
            assert!(block[4000..].iter().all(|key| times[key] == 1));
        }
        assert!(times[&numbers::spread(0)] > 10_000);
    }

    #[test]
    fn the_most_popular_key_of_a_time_was_not_there_before() {
        let keys = Synthetic::Drift.keys();
        let (early, late) = keys.split_at(keys.len() / 2);
        let early = distinct(early);
        let last = times(&late[late.len() - 200..]);
        let (key, _) = last.into_iter().max_by_key(|(_, times)| *times).unwrap();
        assert!(!early.contains(&key));
    }

    #[test]
    fn uniform_requests_reach_all_keys() {
        assert_eq!(distinct(&Synthetic::Uniform.keys()).len(), 10_000);
    }
}
