//! Dictionaries for compression: what the values of a keyspace have in common, learned from the
//! first of them.
//!
//! Pages of one site repeat the same hundred lines around different words. zstd sees that within a
//! page only; with a dictionary trained on some pages it need not be told again. A dictionary is
//! made once for a keyspace, in the background, when enough values were put, and only if it saves
//! enough on values that it was not trained on. What was gathered is lost when the store is closed
//! before there is enough.
//!
//! The dictionary is stored as a row of the store's own keyspaces, by a batch of its own, and used
//! once that batch is applied. So it is durable before any value needs it. The id in the zstd frame
//! of a value names it; moves and backups copy frames as they are. It is never removed or replaced.
//! Frames made with a dictionary carry zstd's own checksum of the content, since the record's
//! checksum says nothing about the dictionary. A damaged one is left out when the store opens, and
//! only what was compressed with it cannot be read.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use zstd::zstd_safe::get_dict_id;

/// Bytes of values that a dictionary is trained on. zstd's own advice is a hundred times the
/// dictionary's length at most; a third of that gave the same result on pages of documentation.
const SAMPLE_BYTES: usize = 4 << 20;
/// Fewest values to train on.
const MIN_SAMPLES: usize = 64;
/// Most bytes taken of one value.
const SAMPLE_MAX: usize = 128 << 10;
/// A trained dictionary.
#[derive(Debug)]
pub(in crate::store) struct Dictionary {
    pub(in crate::store) id: u32,
    pub(in crate::store) bytes: Vec<u8>,
}

impl Dictionary {
    /// A dictionary of these bytes; `None` if they are not one.
    pub(in crate::store) fn new(bytes: Vec<u8>) -> Option<Self> {
        let id = get_dict_id(&bytes)?.get();
        Some(Self { id, bytes })
    }
}

/// The first values of a keyspace, until there are enough to train on.
#[derive(Debug, Default)]
struct Samples {
    values: Vec<Vec<u8>>,
    bytes: usize,
    /// Training has begun, or there is a dictionary: no more are taken.
    closed: bool,
}

/// The dictionaries of a store.
#[derive(Debug, Default)]
pub(in crate::store) struct Dictionaries {
    by_id: RwLock<HashMap<u32, Arc<Dictionary>>>,
    by_keyspace: RwLock<HashMap<u32, Arc<Dictionary>>>,
    samples: Mutex<HashMap<u32, Samples>>,
}

impl Dictionaries {
    /// Adds a dictionary that is durable.
    pub(in crate::store) fn add(&self, keyspace: u32, dictionary: Arc<Dictionary>) {
        self.by_id.write().insert(dictionary.id, Arc::clone(&dictionary));
        self.by_keyspace.write().insert(keyspace, dictionary);
        let closed = Samples { closed: true, ..Samples::default() };
        self.samples.lock().insert(keyspace, closed);
    }

    /// The dictionary to compress a keyspace's values with.
    pub(in crate::store) fn of(&self, keyspace: u32) -> Option<Arc<Dictionary>> {
        self.by_keyspace.read().get(&keyspace).cloned()
    }

    /// Number of dictionaries.
    pub(in crate::store) fn len(&self) -> usize {
        self.by_id.read().len()
    }

    /// The dictionary with this id.
    pub(in crate::store) fn get(&self, id: u32) -> Option<Arc<Dictionary>> {
        self.by_id.read().get(&id).cloned()
    }

    /// Takes a value that is put as a sample. Returns all samples once, when there are enough.
    pub(in crate::store) fn sample(&self, keyspace: u32, value: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut samples = self.samples.lock();
        let samples = samples.entry(keyspace).or_default();
        if samples.closed {
            return None;
        }
        let taken = value.get(..value.len().min(SAMPLE_MAX)).unwrap_or_default();
        samples.values.push(taken.to_vec());
        samples.bytes += taken.len();
        if samples.bytes < SAMPLE_BYTES || samples.values.len() < MIN_SAMPLES {
            return None;
        }
        samples.closed = true;
        Some(std::mem::take(&mut samples.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_handed_over_once() {
        let dictionaries = Dictionaries::default();
        let value = vec![7; 100_000];
        let mut handed = Vec::new();
        for _ in 0..200 {
            handed.extend(dictionaries.sample(1, &value));
        }
        assert_eq!(handed.len(), 1);
        assert_eq!(handed[0].len(), MIN_SAMPLES);
    }
}
