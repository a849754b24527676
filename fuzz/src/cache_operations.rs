//! A small cache beside a reference map, with a clock that is set by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill::cache::{
    Cache, EvictionCause, Generation, InsertOptions, LoadError, Loaded, Lookup,
};
use gristmill::time::{Clock, ManualClock, Timestamp};

const KEYS: u8 = 24;
/// Operations of one run; what the input says beyond them is not read.
const MAX_OPERATIONS: usize = 1000;
const LONG: Duration = Duration::from_secs(10);

/// A number that no other value has, and a weight.
type Value = (u32, u64);
type Departures = Arc<Mutex<Vec<(u8, Value, EvictionCause)>>>;

/// The cache's settings, three bytes, then operations of three bytes each: what to do, with which
/// key, and a number.
pub fn cache_operations(data: &[u8]) {
    let Some((&[capacity, flags, times], operations)) = data.split_first_chunk() else { return };
    let mut run = Run::new(u64::from(capacity), flags, times);
    for &[operation, key, number] in operations.as_chunks().0.iter().take(MAX_OPERATIONS) {
        run.operate(operation, key % KEYS, number);
        run.settle();
    }
    run.end();
}

/// What was put last under a key, until it leaves.
struct Record {
    version: u32,
    weight: u64,
    absent: bool,
    fresh_until: Duration,
    gone_at: Duration,
    read_at: Duration,
    tag: Option<u8>,
}

struct Run {
    cache: Cache<u8, Value>,
    clock: Arc<ManualClock>,
    capacity: u64,
    ttl: Option<Duration>,
    idle: Option<Duration>,
    stale: Duration,
    departures: Departures,
    records: HashMap<u8, Record>,
    /// Versions that the operation replaces.
    replaced: Vec<u32>,
    generation: Option<(u8, Generation)>,
    /// Whether the key of `generation` was written since.
    written: bool,
    version: u32,
}

impl Run {
    fn new(capacity: u64, flags: u8, times: u8) -> Self {
        let (clock, departures) = (ManualClock::new(Timestamp(0)), Departures::default());
        let sink = Arc::clone(&departures);
        let second = Duration::from_secs(1);
        let ttl = (flags & 1 != 0).then_some(second * u32::from(times & 15));
        let idle = (flags & 2 != 0).then_some(second * u32::from(times >> 4));
        let stale = if flags & 4 != 0 && ttl.is_some() { 3 * second } else { Duration::ZERO };
        let mut builder = Cache::builder()
            .capacity(capacity)
            .weigher(|_, (_, weight)| *weight)
            .expected_entries(if flags & 8 != 0 { 4 * 4096 } else { 0 })
            .stale_while_revalidate(stale)
            .listener(move |key, value, cause| {
                sink.lock().expect("no panic").push((*key, *value, cause));
            })
            .clock(clock.clone());
        if let Some(ttl) = ttl {
            builder = builder.ttl(ttl);
        }
        if let Some(idle) = idle {
            builder = builder.idle(idle);
        }
        let cache = builder.build().expect("the settings are sound");
        let (records, replaced) = (HashMap::new(), Vec::new());
        let (generation, written, version) = (None, false, 0);
        Self {
            cache,
            clock,
            capacity,
            ttl,
            idle,
            stale,
            departures,
            records,
            replaced,
            generation,
            written,
            version,
        }
    }

    fn operate(&mut self, operation: u8, key: u8, number: u8) {
        let ttl = (number & 7 == 7).then(|| Duration::from_secs(u64::from(number >> 3)));
        let tag = (number & 3 == 3).then_some(key % 3);
        match operation % 16 {
            0..=2 => {
                let value = self.put(key, Some(number), ttl, tag);
                self.cache.insert_with(key, value, options(ttl, tag));
            }
            3 => {
                self.put(key, None, ttl, tag);
                self.cache.insert_absent(key, options(ttl, tag));
            }
            4 => {
                (self.generation, self.written) = (Some((key, self.cache.generation(&key))), false);
            }
            5 => self.put_if(number),
            6..=8 => self.read(key),
            9 => self.load(key, number),
            10 => {
                self.note_write(key);
                self.cache.invalidate(&key);
                assert_eq!(self.cache.lookup(&key), Lookup::Missing);
                self.records.retain(|own, record| *own != key || !record.absent);
            }
            11 => {
                let tagged = |record: &Record| record.tag == Some(key % 3);
                let keys: Vec<u8> = self.with(tagged).collect();
                // The word for absence may have left before, which is no write.
                let unsure = |record: &Record| tagged(record) && record.absent;
                if let Some((own, _)) = self.generation
                    && self.with(unsure).any(|key| key == own)
                {
                    self.generation = None;
                }
                self.cache.invalidate_tag(&(key % 3).to_string());
                for key in keys {
                    self.note_write(key);
                    assert_eq!(self.cache.lookup(&key), Lookup::Missing);
                }
                self.records.retain(|_, record| !(record.absent && tagged(record)));
            }
            12 if number < 16 => {
                self.written = true;
                self.cache.clear();
                assert_eq!((self.cache.len(), self.cache.weight()), (0, 0));
                self.records.retain(|_, record| !record.absent);
            }
            12 => {
                let fraction = f64::from(number) / 255.0;
                self.cache.shrink_to(fraction);
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let (weight, capacity) = (self.cache.weight() as f64, self.capacity as f64);
                assert!(weight <= capacity * fraction);
            }
            13 => {
                let len = self.cache.len();
                let swept = self.cache.sweep(usize::from(number));
                assert_eq!(self.cache.len() + swept, len);
            }
            14 => self.clock.advance(Duration::from_millis(u64::from(number) << 4)),
            _ => self.clock.advance(Duration::from_millis(1 << (number % 48))),
        }
    }

    fn note_write(&mut self, key: u8) {
        self.written |= self.generation.is_some_and(|(own, _)| own == key);
    }

    fn with(&self, condition: impl Fn(&Record) -> bool) -> impl Iterator<Item = u8> {
        self.records.iter().filter(move |(_, record)| condition(record)).map(|(key, _)| *key)
    }

    /// Notes what is about to be put, or was put just now; its value.
    fn put(
        &mut self,
        key: u8,
        weight: Option<u8>,
        ttl: Option<Duration>,
        tag: Option<u8>,
    ) -> Value {
        self.note_write(key);
        self.version += 1;
        let (version, now) = (self.version, self.clock.monotonic());
        if let Some(old) = self.records.remove(&key).filter(|record| !record.absent) {
            self.replaced.push(old.version);
        }
        let weight_put = weight.map_or(1, |weight| u64::from(weight >> 2).max(1));
        if weight_put <= (self.capacity / 8).max(1).min(self.capacity) {
            let absent = weight.is_none();
            let fresh_until = ttl.or(self.ttl).map_or(Duration::MAX, |ttl| now + ttl);
            let window = if absent { Duration::ZERO } else { self.stale };
            let gone_at = fresh_until.saturating_add(window);
            let weight = weight_put;
            let record =
                Record { version, weight, absent, fresh_until, gone_at, read_at: now, tag };
            self.records.insert(key, record);
        }
        (version, weight_put)
    }

    fn put_if(&mut self, number: u8) {
        let Some((key, generation)) = self.generation else { return };
        let (written, refused) = (self.written, self.cache.stats().refused);
        let value = (self.version + 1, u64::from(number >> 2).max(1));
        let done = self.cache.insert_if(key, value, generation);
        if done || self.cache.stats().refused > refused {
            assert!(!written, "it won against a later writer");
            assert_eq!(self.put(key, Some(number), None, None), value);
            assert_eq!(self.records.contains_key(&key), done);
        }
    }

    fn is_expired(&self, record: &Record) -> bool {
        let now = self.clock.monotonic();
        now >= record.gone_at || self.idle.is_some_and(|idle| now >= record.read_at + idle)
    }

    /// What a read gives; a missing word for absence is forgotten.
    fn expected(&mut self, key: u8) -> Lookup<Value> {
        let now = self.clock.monotonic();
        let Some(record) = self.records.get(&key).filter(|record| !self.is_expired(record)) else {
            return Lookup::Missing;
        };
        let value = (record.version, record.weight);
        let expected = match record {
            Record { absent: true, .. } => Lookup::Absent,
            Record { fresh_until, .. } if now >= *fresh_until => Lookup::Stale(value),
            _ => Lookup::Fresh(value),
        };
        self.records.entry(key).and_modify(|record| record.read_at = now);
        expected
    }

    fn read(&mut self, key: u8) {
        let (expected, found) = (self.expected(key), self.cache.lookup(&key));
        // The listener is not told when the word for absence leaves.
        if expected == Lookup::Absent && found == Lookup::Missing {
            self.records.remove(&key);
        } else {
            assert_eq!(found, expected);
        }
    }

    fn load(&mut self, key: u8, number: u8) {
        self.read(key);
        let expected = self.expected(key);
        let value = (self.version + 1, u64::from(number >> 2).max(1));
        let brings = match number & 3 {
            0 => Err("no"),
            1 => Ok(None),
            _ => Ok(Some(value)),
        };
        let loads = self.cache.stats().loads;
        let given = self.cache.get_or_load_with(&key, LONG, || brings.map(Loaded::from));
        let expected = match (expected, brings) {
            (Lookup::Fresh(value), _) | (Lookup::Stale(value), Err(_)) => Ok(Some(value)),
            (Lookup::Absent, _) => Ok(None),
            (_, Err(error)) => Err(LoadError::Loader(error)),
            (_, Ok(brought)) => {
                assert_eq!(self.cache.stats().loads, loads + 1);
                self.put(key, brought.map(|_| number), None, None);
                Ok(brought)
            }
        };
        assert_eq!(given, expected);
    }

    /// Takes out what has left, and compares what remains.
    fn settle(&mut self) {
        let departures = std::mem::take(&mut *self.departures.lock().expect("no panic"));
        for (key, (version, _), cause) in departures {
            if let Some(at) = self.replaced.iter().position(|old| *old == version) {
                self.replaced.swap_remove(at);
                assert!(matches!(cause, EvictionCause::Replaced | EvictionCause::Expired));
            } else {
                let record = self.records.remove(&key).expect("nothing leaves twice");
                assert_eq!((record.version, record.absent), (version, false));
                assert_ne!(cause, EvictionCause::Replaced);
                assert!(cause != EvictionCause::Expired || self.is_expired(&record));
            }
        }
        assert!(self.replaced.is_empty(), "not told of what was replaced");
        let (mut heavy, mut entries, mut absent) = (0, 0, 0);
        for record in self.records.values() {
            absent += usize::from(record.absent);
            entries += usize::from(!record.absent);
            heavy += if record.absent { 0 } else { record.weight };
        }
        let (held, total) = (self.cache.len(), self.cache.weight());
        assert!((entries..=entries + absent).contains(&held));
        assert_eq!(total, heavy + (held - entries) as u64);
        assert!(total <= self.capacity);
    }

    fn end(self) {
        let stats = self.cache.stats();
        let left =
            stats.replaced + stats.invalidated + stats.expired + stats.evicted + stats.shrunk;
        assert_eq!(stats.inserts, left + stats.entries, "who came has left or is here");
        self.cache.clear();
        assert_eq!((self.cache.len(), self.cache.weight()), (0, 0));
    }
}

fn options(ttl: Option<Duration>, tag: Option<u8>) -> InsertOptions {
    InsertOptions { ttl, tags: tag.map(|tag| tag.to_string()).into_iter().collect() }
}
