//! Training a dictionary on the first values of a keyspace.

use std::sync::Arc;

use super::dictionary::Dictionary;
use super::frame::compress;
use crate::store::error::StoreError;

/// Longest dictionary: zstd's own default.
const MAX_BYTES: usize = 112_640;
/// One in so many samples is not trained on, but used to judge the dictionary.
const KEPT_BACK: usize = 8;
/// Largest size of values compressed with a dictionary, in percent of their size without one, for
/// it to be used.
const WORTH_PERCENT: usize = 90;

/// Trains a dictionary; `None` if it would save too little.
pub(in crate::store) fn train(
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
            // For one, the trainer fails on values that have nothing in common.
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
            let shrank = compress(&mut out, sample, level, dictionary)?;
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
    use super::super::dictionary::Dictionaries;
    use super::super::frame::decompress;
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
        assert!(compress(&mut with, &pages[399], 3, Some(&dictionary)).unwrap());
        assert!(compress(&mut without, &pages[399], 3, None).unwrap());
        assert!(with.len() * 10 < without.len() * 9, "{} of {}", with.len(), without.len());
        let dictionaries = Dictionaries::default();
        let raw = u32::try_from(pages[399].len()).unwrap();
        assert!(decompress(&with, raw, &dictionaries).is_err());
        dictionaries.add(1, dictionary);
        assert_eq!(decompress(&with, raw, &dictionaries).unwrap(), pages[399]);

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
}
