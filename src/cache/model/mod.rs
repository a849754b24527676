//! The cache beside a plain reference, with a clock that is set by hand. After every step the
//! invariants hold, and what has left is exactly what the listener was told of.

mod steps;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;

use self::steps::{Brings, KEYS, Meanwhile, Setup, Step, setups, steps};
use super::millis::millis;
use super::*;
use crate::time::{Clock, ManualClock, Timestamp};

const LONG: Duration = Duration::from_mins(1);
/// Milliseconds of the wheel's tick, as a power of two: what has expired comes up one later.
const TICK_BITS: u32 = 8;

/// A version that no other value has, and a weight.
type Value = (u64, u64);
type Events = Arc<Mutex<Vec<(u8, Value, EvictionCause)>>>;

/// What was put last under a key, as long as it is there.
#[derive(Clone, Debug)]
struct Record {
    version: u64,
    weight: u64,
    absent: bool,
    fresh_until: u64,
    gone_at: u64,
    read_at: u64,
    tag: Option<u8>,
}

struct Model {
    setup: Setup,
    clock: Arc<ManualClock>,
    cache: Cache<u8, Value>,
    events: Events,
    records: HashMap<u8, Record>,
    /// What the step replaces, until it is told of.
    replaced: HashMap<u64, Record>,
    /// How often each key was written.
    writes: HashMap<u8, u64>,
    generations: HashMap<u8, (Generation, u64)>,
    version: u64,
    /// Weight and version of what the step puts.
    incoming: u64,
    put: u64,
}

impl Model {
    fn new(setup: Setup) -> Self {
        let (clock, events) = (ManualClock::new(Timestamp(0)), Events::default());
        let sink = Arc::clone(&events);
        let mut builder = Cache::builder()
            .capacity(setup.capacity)
            .expected_entries(if setup.many { 4 * 4096 } else { 0 })
            .weigher(|_, (_, weight)| *weight)
            .listener(move |key, value, cause| sink.lock().push((*key, *value, cause)))
            .stale_while_revalidate(Duration::from_millis(setup.stale))
            .clock(clock.clone());
        if let Some(ttl) = setup.ttl {
            builder = builder.ttl(Duration::from_millis(ttl));
        }
        if let Some(idle) = setup.idle {
            builder = builder.idle(Duration::from_millis(idle));
        }
        if let Some(ttl) = setup.negative_ttl {
            builder = builder.negative_ttl(Duration::from_millis(ttl));
        }
        let cache = builder.build().unwrap();
        Self {
            setup,
            clock,
            cache,
            events,
            records: HashMap::new(),
            replaced: HashMap::new(),
            writes: HashMap::new(),
            generations: HashMap::new(),
            version: 0,
            incoming: 0,
            put: 0,
        }
    }

    fn now(&self) -> u64 {
        millis(self.clock.monotonic())
    }

    fn deadline(&self, record: &Record) -> u64 {
        let idle_end = self.setup.idle.map_or(u64::MAX, |idle| record.read_at + idle);
        record.gone_at.min(idle_end)
    }

    fn is_expired(&self, record: &Record) -> bool {
        self.now() >= self.deadline(record)
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn write(&mut self, key: u8) {
        *self.writes.entry(key).or_insert(0) += 1;
    }

    /// Notes that something is put now; whether it is taken up.
    fn put(&mut self, key: u8, (version, weight): Value, kind: Kind) -> bool {
        self.write(key);
        if let Some(old) = self.records.remove(&key) {
            self.replaced.insert(old.version, old);
        }
        let capacity = self.setup.capacity;
        let weight = if kind.absent { 1 } else { weight.max(1) };
        if weight > (capacity / 8).max(1).min(capacity) {
            return false;
        }
        (self.incoming, self.put) = (weight, version);
        let of_kind = if kind.absent { self.setup.negative_ttl } else { None };
        let ttl = kind.ttl.or(of_kind).or(self.setup.ttl);
        let now = self.now();
        let fresh_until = ttl.map_or(u64::MAX, |ttl| now + ttl);
        let window = if kind.absent { 0 } else { self.setup.stale };
        let gone_at = fresh_until.saturating_add(window);
        let Kind { absent, tag, .. } = kind;
        let record = Record { version, weight, absent, fresh_until, gone_at, read_at: now, tag };
        self.records.insert(key, record);
        true
    }

    /// What a read must give, and notes it.
    fn read(&mut self, key: u8) -> Lookup<Value> {
        let now = self.now();
        let Some(record) = self.records.get(&key).filter(|record| !self.is_expired(record)) else {
            return Lookup::Missing;
        };
        let value = (record.version, record.weight);
        let found = match record {
            Record { absent: true, .. } => Lookup::Absent,
            Record { fresh_until, .. } if now >= *fresh_until => Lookup::Stale(value),
            _ => Lookup::Fresh(value),
        };
        self.records.entry(key).and_modify(|record| record.read_at = now);
        found
    }

    fn step(&mut self, step: &Step) {
        let before = self.cache.weight();
        (self.incoming, self.put) = (0, 0);
        match *step {
            Step::Put { key, weight, ttl, tag } => {
                let value = (self.next_version(), weight.max(1));
                self.put(key, value, Kind { ttl, tag, absent: false });
                self.cache.insert_with(key, value, options(ttl, tag));
            }
            Step::PutAbsent { key, ttl, tag } => {
                let version = self.next_version();
                self.put(key, (version, 1), Kind { ttl, tag, absent: true });
                self.cache.insert_absent(key, options(ttl, tag));
            }
            Step::AskGeneration(key) => {
                let writes = self.writes.get(&key).copied().unwrap_or(0);
                self.generations.insert(key, (self.cache.generation(&key), writes));
            }
            Step::PutIf { key, weight } => self.put_if(key, weight.max(1)),
            Step::Read(key) => {
                let expected = self.read(key);
                assert_eq!(self.cache.lookup(&key), expected);
            }
            Step::Load { key, brings, absence, meanwhile } => {
                self.load(key, brings, absence, meanwhile);
            }
            Step::Invalidate(key) => {
                self.write(key);
                self.cache.invalidate(&key);
            }
            Step::InvalidateTag(tag) => {
                let of_tag =
                    |(key, record): (&u8, &Record)| (record.tag == Some(tag)).then_some(*key);
                let keys: Vec<u8> = self.records.iter().filter_map(of_tag).collect();
                for key in keys {
                    self.write(key);
                }
                self.cache.invalidate_tag(&tag.to_string());
            }
            Step::Clear => {
                (0..KEYS).for_each(|key| self.write(key));
                self.cache.clear();
            }
            Step::Shrink(percent) => self.cache.shrink_to(f64::from(percent) / 100.0),
            Step::Sweep(most) => {
                let len = self.cache.len();
                let swept = self.cache.sweep(most);
                assert!(swept <= most && self.cache.len() == len - swept);
            }
            // A sweep may end without having come to all that is due.
            Step::SweepAll => {
                for _ in 0..20 {
                    self.cache.sweep(1000);
                }
            }
            Step::Advance(by) => self.clock.advance(Duration::from_millis(by)),
        }
        self.settle(step, before);
        self.compare(step);
    }

    fn put_if(&mut self, key: u8, weight: u64) {
        let Some((generation, writes)) = self.generations.get(&key).copied() else { return };
        let value = (self.next_version(), weight);
        let refused = self.cache.stats().refused;
        let done = self.cache.insert_if(key, value, generation);
        let too_heavy = self.cache.stats().refused > refused;
        // It may also lose against a key that shares its generation.
        if done || too_heavy {
            let now = self.writes.get(&key).copied().unwrap_or(0);
            assert_eq!(writes, now, "it won against a later writer");
            assert_eq!(self.put(key, value, Kind::VALUE), done);
        }
    }

    fn load(&mut self, key: u8, brings: Brings, absence: bool, meanwhile: Meanwhile) {
        let found = self.read(key);
        let (version, other) = (self.next_version(), self.next_version());
        let cache = self.cache.clone();
        let mut asked = false;
        let mut work = || {
            asked = true;
            match meanwhile {
                Meanwhile::Nothing => {}
                Meanwhile::Invalidate => cache.invalidate(&key),
                Meanwhile::Put(weight) => cache.insert(key, (other, weight.max(1))),
            }
        };
        let value = match brings {
            Brings::Value(weight) => Ok(Some((version, weight.max(1)))),
            Brings::Absence if absence => Ok(None),
            Brings::Absence | Brings::Failure => Err("no"),
        };
        let given = if absence {
            self.cache.get_or_load_with(&key, LONG, || {
                work();
                value.map(Loaded::from)
            })
        } else {
            let plain = || {
                work();
                value.map(Option::unwrap)
            };
            self.cache.get_or_load(&key, LONG, plain).map(Some)
        };
        let there = match found {
            Lookup::Fresh(value) => Some(Some(value)),
            Lookup::Absent if absence => Some(None),
            Lookup::Stale(_) | Lookup::Absent | Lookup::Missing => None,
        };
        assert_eq!(asked, there.is_none());
        match (there, value, found) {
            (Some(there), ..) => assert_eq!(given, Ok(there)),
            (None, Ok(value), _) => assert_eq!(given, Ok(value)),
            (None, Err(_), Lookup::Stale(stale)) => assert_eq!(given, Ok(Some(stale))),
            (None, Err(error), _) => assert_eq!(given, Err(LoadError::Loader(error))),
        }
        if asked {
            self.note_load(key, (version, other), brings, absence, meanwhile);
        }
    }

    fn note_load(
        &mut self,
        key: u8,
        (version, other): (u64, u64),
        brings: Brings,
        absence: bool,
        meanwhile: Meanwhile,
    ) {
        match (meanwhile, brings) {
            (Meanwhile::Put(weight), _) => {
                self.put(key, (other, weight.max(1)), Kind::VALUE);
            }
            (Meanwhile::Invalidate, _) => self.write(key),
            (Meanwhile::Nothing, Brings::Value(weight)) => {
                self.put(key, (version, weight.max(1)), Kind::VALUE);
            }
            (Meanwhile::Nothing, Brings::Absence) if absence => {
                self.put(key, (version, 1), Kind { absent: true, ..Kind::VALUE });
            }
            (Meanwhile::Nothing, Brings::Absence | Brings::Failure) => {}
        }
    }

    /// Takes out what the cache has told of, and judges the causes.
    fn settle(&mut self, step: &Step, before: u64) {
        let (events, weight) = (std::mem::take(&mut *self.events.lock()), self.cache.weight());
        let target = match step {
            Step::Shrink(percent) => self.share(*percent),
            _ => self.setup.capacity,
        };
        if let Some((_, (_, last), EvictionCause::Capacity | EvictionCause::Shrunk)) = events.last()
        {
            assert!(weight + last > target, "more was evicted than had to be");
        }
        for (key, (version, weight), cause) in events {
            let record = if let Some(old) = self.replaced.remove(&version) {
                assert!(
                    cause == EvictionCause::Replaced
                        || cause == EvictionCause::Expired && self.is_expired(&old)
                );
                old
            } else {
                let record = self.records.remove(&key).expect("nothing leaves twice");
                assert!(self.may_leave(step, key, &record, cause, before), "{cause:?}");
                record
            };
            assert_eq!((record.version, record.weight), (version, weight));
            assert!(!record.absent);
        }
        assert!(self.replaced.values().all(|old| old.absent), "not told of what was replaced");
        self.replaced.clear();
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    fn share(&self, percent: u8) -> u64 {
        (self.setup.capacity as f64 * (f64::from(percent) / 100.0)) as u64
    }

    fn may_leave(
        &self,
        step: &Step,
        key: u8,
        record: &Record,
        cause: EvictionCause,
        before: u64,
    ) -> bool {
        match (cause, step) {
            (EvictionCause::Invalidated, Step::Invalidate(own)) => key == *own,
            (EvictionCause::Invalidated, Step::InvalidateTag(tag)) => record.tag == Some(*tag),
            (EvictionCause::Invalidated, Step::Load { key: own, meanwhile, .. }) => {
                key == *own && matches!(meanwhile, Meanwhile::Invalidate)
            }
            (EvictionCause::Invalidated, Step::Clear)
            | (EvictionCause::Shrunk, Step::Shrink(_)) => true,
            (EvictionCause::Expired, _) => self.is_expired(record),
            (EvictionCause::Capacity, _) => {
                // One queue never evicts what has just been put.
                before + self.incoming > self.setup.capacity
                    && (self.setup.many || record.version != self.put)
            }
            _ => false,
        }
    }

    /// Map and model hold the same, and all accounts are right.
    fn compare(&mut self, step: &Step) {
        self.cache.check();
        let mut there = HashMap::new();
        self.cache.inner.table.for_each(|key, entry| {
            there.insert(*key, entry.value.map(|(version, _)| version));
        });
        // The listener is not told of those without a value.
        self.records.retain(|key, record| !record.absent || there.get(key) == Some(&None));
        let version = |record: &Record| (!record.absent).then_some(record.version);
        let known: HashMap<_, _> = self.records.iter().map(|(key, r)| (*key, version(r))).collect();
        assert_eq!(there, known);
        let weight: u64 = self.records.values().map(|record| record.weight).sum();
        assert_eq!(weight, self.cache.weight());
        assert!(weight <= self.setup.capacity);
        match step {
            Step::Invalidate(key) => assert!(!there.contains_key(key)),
            Step::InvalidateTag(tag) => {
                assert!(self.records.values().all(|record| record.tag != Some(*tag)));
            }
            Step::Clear => assert!(there.is_empty()),
            Step::Shrink(percent) => assert!(weight <= self.share(*percent)),
            Step::SweepAll => {
                let tick = self.now() >> TICK_BITS;
                let late = |record: &&Record| self.deadline(record) >> TICK_BITS < tick;
                assert!(self.records.values().find(late).is_none(), "the sweep missed it");
            }
            _ => {}
        }
    }
}

fn options(ttl: Option<u64>, tag: Option<u8>) -> InsertOptions {
    let tags = tag.map(|tag| tag.to_string()).into_iter().collect();
    InsertOptions { ttl: ttl.map(Duration::from_millis), tags }
}

/// How something is put.
#[derive(Clone, Copy)]
struct Kind {
    ttl: Option<u64>,
    tag: Option<u8>,
    absent: bool,
}

impl Kind {
    const VALUE: Self = Self { ttl: None, tag: None, absent: false };
}

proptest! {
    #[test]
    fn the_cache_does_what_the_model_does(setup in setups(), steps in steps()) {
        let mut model = Model::new(setup);
        for step in &steps {
            model.step(step);
        }
    }
}
