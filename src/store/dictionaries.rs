//! Dictionaries for compression: what the values of a keyspace have in common, learned from the
//! first of them.
//!
//! Pages of one site repeat the same hundred lines around different words. zstd sees that within a
//! page only; with a dictionary trained on some pages it need not be told again. A dictionary is
//! made once for a keyspace, in the background, when enough values were put, and only if it saves
//! enough on values that it was not trained on. What was gathered is lost when the store is closed
//! before there is enough.
//!
//! The dictionary is stored as a row of the store's own, by a batch of its own, and used once that
//! batch is applied: it is durable before any value needs it. The id in the zstd frame of a value
//! names it; moves and backups copy frames as they are. It is never removed or replaced. Frames
//! made with a dictionary carry zstd's own checksum of the content, since the record's checksum
//! says nothing about the dictionary. A damaged one is left out when the store opens, and only what
//! was compressed with it cannot be read.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use zstd::zstd_safe::get_dict_id;

use super::codec;
use super::error::StoreError;

/// Bytes of values that a dictionary is trained on. zstd's own advice is a hundred times the
/// dictionary's length at most; a third of that gave the same result on pages of documentation.
const SAMPLE_BYTES: usize = 4 << 20;
/// Fewest values to train on.
const MIN_SAMPLES: usize = 64;
/// Most bytes taken of one value.
const SAMPLE_MAX: usize = 128 << 10;
/// Longest dictionary: zstd's own default.
const MAX_BYTES: usize = 112_640;
/// One of so many samples is kept back to see what the dictionary gains.
const KEPT_BACK: usize = 8;
/// A dictionary must bring what it compresses to at most this share (in percent) of what zstd alone
/// makes of it.
const WORTH_PERCENT: usize = 90;

/// A trained dictionary.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub(super) id: u32,
    pub(super) bytes: Vec<u8>,
}

impl Dictionary {
    /// Takes over the bytes of a dictionary; `None` if they are none.
    pub(super) fn new(bytes: Vec<u8>) -> Option<Self> {
        let id = get_dict_id(&bytes)?.get();
        Some(Self { id, bytes })
    }
}

/// The first values of a keyspace, until there are enough to train on.
#[derive(Debug, Default)]
struct Samples {
    values: Vec<Vec<u8>>,
    bytes: usize,
    /// They were handed over, or there is a dictionary: no more are taken.
    closed: bool,
}

/// The dictionaries of a store.
#[derive(Debug, Default)]
pub(super) struct Dictionaries {
    by_id: RwLock<HashMap<u32, Arc<Dictionary>>>,
    by_keyspace: RwLock<HashMap<u32, Arc<Dictionary>>>,
    samples: Mutex<HashMap<u32, Samples>>,
}

impl Dictionaries {
    /// Adds a dictionary that is durable.
    pub(super) fn add(&self, keyspace: u32, dictionary: Arc<Dictionary>) {
        self.by_id.write().insert(dictionary.id, Arc::clone(&dictionary));
        self.by_keyspace.write().insert(keyspace, dictionary);
        let closed = Samples { closed: true, ..Samples::default() };
        self.samples.lock().insert(keyspace, closed);
    }

    /// The dictionary to compress a keyspace's values with.
    pub(super) fn of(&self, keyspace: u32) -> Option<Arc<Dictionary>> {
        self.by_keyspace.read().get(&keyspace).cloned()
    }

    /// Number of dictionaries.
    pub(super) fn len(&self) -> usize {
        self.by_id.read().len()
    }

    /// The dictionary with this id.
    pub(super) fn get(&self, id: u32) -> Option<Arc<Dictionary>> {
        self.by_id.read().get(&id).cloned()
    }

    /// Looks at a value that is put; gives the samples when there are enough, once.
    pub(super) fn sample(&self, keyspace: u32, value: &[u8]) -> Option<Vec<Vec<u8>>> {
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

/// Trains a dictionary; `None` if it would not be worth the while.
pub(super) fn train(
    samples: &[Vec<u8>],
    level: i32,
) -> Result<Option<Arc<Dictionary>>, StoreError> {
    let (mut training, mut judging) = (Vec::new(), Vec::new());
    for (number, sample) in samples.iter().enumerate() {
        if number % KEPT_BACK == 0 { judging.push(sample) } else { training.push(sample) }
    }
    let bytes = match zstd::dict::from_samples(&training, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            // What has nothing in common, for one, is an error of the trainer's.
            tracing::debug!(%error, "no dictionary from these values");
            return Ok(None);
        }
    };
    let Some(dictionary) = Dictionary::new(bytes) else { return Ok(None) };
    let dictionary = Arc::new(dictionary);
    let (mut with, mut without, mut out) = (0, 0, Vec::new());
    for sample in judging {
        let mut measure = |dictionary| -> Result<usize, StoreError> {
            out.clear();
            let shrank = codec::compress(&mut out, sample, level, dictionary)?;
            Ok(if shrank { out.len() } else { sample.len() })
        };
        with += measure(Some(&dictionary))?;
        without += measure(None)?;
    }
    let worth = with * 100 <= without * WORTH_PERCENT;
    tracing::debug!(with, without, worth, "dictionary trained");
    Ok(worth.then_some(dictionary))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages that each have some of the same lines, and words of their own.
    fn pages(count: u32) -> Vec<Vec<u8>> {
        let line = |n: u32| format!("<li class=\"entry-{n}\">{:x}</li>\n", n.wrapping_mul(7919));
        let page = |n: u32| {
            let some = (0..60).map(|k| line((n * 31 + k * k * 17) % 400));
            let own = (0..40).map(|k| format!("{:x} ", (n * 97 + k).wrapping_mul(2_654_435_761)));
            some.chain(own).collect::<Vec<_>>().concat().into_bytes()
        };
        (0..count).map(page).collect()
    }

    #[test]
    fn pages_with_a_common_frame_are_worth_a_dictionary_and_noise_is_not() {
        let pages = pages(400);
        let dictionary = train(&pages, 3).unwrap().unwrap();
        let (mut with, mut without) = (Vec::new(), Vec::new());
        assert!(codec::compress(&mut with, &pages[399], 3, Some(&dictionary)).unwrap());
        assert!(codec::compress(&mut without, &pages[399], 3, None).unwrap());
        assert!(with.len() * 10 < without.len() * 9, "{} of {}", with.len(), without.len());
        let dictionaries = Dictionaries::default();
        let raw = u32::try_from(pages[399].len()).unwrap();
        assert!(codec::decompress(&with, raw, &dictionaries).is_err());
        dictionaries.add(1, dictionary);
        assert_eq!(codec::decompress(&with, raw, &dictionaries).unwrap(), pages[399]);

        let mut state = 1_u64;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        let noise: Vec<Vec<u8>> = (0..200).map(|_| (0..2000).map(|_| noise()).collect()).collect();
        assert!(train(&noise, 3).unwrap().is_none());
    }

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
