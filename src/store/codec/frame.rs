//! Compression of values, on the thread of the caller.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::thread::LocalKey;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::get_dict_id_from_frame;

use super::dictionary::{Dictionaries, Dictionary};
use crate::store::error::StoreError;
use crate::store::limits::MAX_VALUE_BYTES;

/// A context that was made for a dictionary, or for none.
struct CachedContext<C> {
    level: i32,
    dictionary: Option<Arc<Dictionary>>,
    context: C,
}

impl<C> CachedContext<C> {
    fn fits(&self, level: i32, dictionary: Option<&Arc<Dictionary>>) -> bool {
        self.level == level
            && match (&self.dictionary, dictionary) {
                (None, None) => true,
                (Some(own), Some(other)) => Arc::ptr_eq(own, other),
                _ => false,
            }
    }
}

/// Runs `work` with a context of this thread, created if none fits. Creating one costs more than
/// compressing a page with it, so a thread keeps the last two.
fn context<C, T>(
    slots: &'static LocalKey<RefCell<[Option<CachedContext<C>>; 2]>>,
    level: i32,
    dictionary: Option<&Arc<Dictionary>>,
    build: impl FnOnce() -> io::Result<C>,
    work: impl FnOnce(&mut C) -> T,
) -> io::Result<T> {
    slots.with_borrow_mut(|slots| {
        let [first, second] = slots;
        if !first.as_ref().is_some_and(|made| made.fits(level, dictionary)) {
            std::mem::swap(first, second);
        }
        let made = match first {
            Some(made) if made.fits(level, dictionary) => made,
            slot => {
                let (dictionary, context) = (dictionary.cloned(), build()?);
                slot.insert(CachedContext { level, dictionary, context })
            }
        };
        Ok(work(&mut made.context))
    })
}

thread_local! {
    static COMPRESSORS: RefCell<[Option<CachedContext<Compressor<'static>>>; 2]> =
        const { RefCell::new([const { None }; 2]) };
    static DECOMPRESSORS: RefCell<[Option<CachedContext<Decompressor<'static>>>; 2]> =
        const { RefCell::new([const { None }; 2]) };
}

/// Appends the zstd frame of `raw` to `out`; one made with a dictionary has a checksum of `raw`.
/// Returns `false`, and leaves `out` as it was, if the frame is not smaller than `raw`.
pub(in crate::store) fn compress(
    out: &mut Vec<u8>,
    raw: &[u8],
    level: i32,
    dictionary: Option<&Arc<Dictionary>>,
) -> Result<bool, StoreError> {
    let error = |source| StoreError::Codec { action: "compress", length: raw.len(), source };
    let make = || match dictionary {
        Some(dictionary) => {
            let mut compressor = Compressor::with_dictionary(level, &dictionary.bytes)?;
            // The record's checksum does not cover the dictionary.
            compressor.include_checksum(true)?;
            Ok(compressor)
        }
        None => Compressor::new(level),
    };
    let start = out.len();
    // One byte less than `raw`, so that a frame that does not shrink it does not fit.
    out.resize(start + raw.len().saturating_sub(1), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let length = context(&COMPRESSORS, level, dictionary, make, |compressor| {
        compressor.compress_to_buffer(raw, room).ok()
    });
    out.truncate(start + length.as_ref().ok().copied().flatten().unwrap_or(0));
    Ok(length.map_err(error)?.is_some())
}

/// Decodes one zstd frame that must give exactly `raw` bytes.
pub(in crate::store) fn decompress(
    stored: &[u8],
    raw: u32,
    dictionaries: &Dictionaries,
) -> Result<Vec<u8>, StoreError> {
    let error = |source| StoreError::Codec { action: "decompress", length: stored.len(), source };
    let invalid = |reason: &'static str| error(io::Error::new(io::ErrorKind::InvalidData, reason));
    if raw as usize > MAX_VALUE_BYTES {
        return Err(invalid("no value is so long"));
    }
    let id = get_dict_id_from_frame(stored);
    let dictionary = match id {
        Some(id) => {
            Some(dictionaries.get(id.get()).ok_or_else(|| invalid("its dictionary is missing"))?)
        }
        None => None,
    };
    let make = || match &dictionary {
        Some(dictionary) => Decompressor::with_dictionary(&dictionary.bytes),
        None => Decompressor::new(),
    };
    let decoded = context(&DECOMPRESSORS, 0, dictionary.as_ref(), make, |decompressor| {
        decompressor.decompress(stored, raw as usize)
    });
    match decoded.and_then(|decoded| decoded) {
        Ok(bytes) if bytes.len() == raw as usize => Ok(bytes),
        Ok(_) => Err(invalid("length differs")),
        Err(source) => Err(error(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        let mut out = b"before".to_vec();
        assert!(!compress(&mut out, b"", 3, None).unwrap());
        assert!(!compress(&mut out, b"abc", 3, None).unwrap());
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_frame_decodes_to_its_input_only() {
        let raw = b"the same words, the same words, the same words, ".repeat(50);
        let mut out = Vec::new();
        assert!(compress(&mut out, &raw, 3, None).unwrap());
        assert!(out.len() < raw.len() / 10);
        let length = u32::try_from(raw.len()).unwrap();
        assert_eq!(decompress(&out, length, &Dictionaries::default()).unwrap(), raw);
        assert!(decompress(&out, length - 1, &Dictionaries::default()).is_err());
        assert!(decompress(&out, length + 1, &Dictionaries::default()).is_err());
        assert!(decompress(b"not a frame", 10, &Dictionaries::default()).is_err());
        assert!(decompress(&out, u32::MAX, &Dictionaries::default()).is_err());
    }

    #[test]
    fn a_damaged_dictionary_is_noticed() {
        let page =
            |number: usize| format!("<p>{number}</p>{}", "<li>one and another</li>".repeat(30));
        let samples: Vec<Vec<u8>> =
            (0..200).map(|number| page(number * 7919).into_bytes()).collect();
        let bytes = zstd::dict::from_samples(&samples, 4096).unwrap();
        let whole = Arc::new(Dictionary::new(bytes.clone()).unwrap());
        let raw = page(12).into_bytes();
        let mut stored = Vec::new();
        assert!(compress(&mut stored, &raw, 3, Some(&whole)).unwrap());
        let length = u32::try_from(raw.len()).unwrap();
        let mut wrong = 0;
        for at in bytes.len() - 600..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let Some(damaged) = Dictionary::new(bytes) else { continue };
            let dictionaries = Dictionaries::default();
            dictionaries.add(1, Arc::new(damaged));
            match decompress(&stored, length, &dictionaries) {
                Ok(decoded) => assert!(decoded == raw, "byte {at}"),
                Err(StoreError::Codec { .. }) => wrong += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(wrong > 0, "no byte of it mattered");
    }
}
