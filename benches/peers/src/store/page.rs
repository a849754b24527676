//! A page, its key, and what a reader must find.

use xxhash_rust::xxh3::xxh3_128;

/// A key: the hash of a path.
pub(crate) type Key = [u8; 16];

/// One page of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Hash of its path.
    pub(crate) key: Key,
    /// Its value.
    pub(crate) bytes: Vec<u8>,
    /// [`sum`] of its bytes.
    pub(crate) sum: u64,
}

impl Page {
    /// The page with these bytes at that path.
    pub(crate) fn new(path: &str, bytes: Vec<u8>) -> Self {
        Self { key: key(path), sum: sum(&bytes), bytes }
    }

    /// Bytes of key and value.
    pub(crate) fn len(&self) -> u64 {
        (self.key.len() + self.bytes.len()) as u64
    }
}

/// The key of a path.
pub(crate) fn key(path: &str) -> Key {
    xxh3_128(path.as_bytes()).to_be_bytes()
}

/// The sum of all bytes, taken eight at a time as numbers, so that reading them is what it costs.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let rest = rest.iter().map(|byte| u64::from(*byte));
    words.chain(rest).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        let bytes: Vec<u8> = (0..29).collect();
        for position in 0..bytes.len() {
            let mut other = bytes.clone();
            other[position] ^= 0x40;
            assert_ne!(sum(&bytes), sum(&other), "{position}");
        }
        assert_eq!(sum(&[1, 2]), 3);
    }

    #[test]
    fn a_page_knows_its_key_and_its_length() {
        let page = Page::new("std/index.html", b"<html>".to_vec());
        assert_eq!(page, Page::new("std/index.html", b"<html>".to_vec()));
        assert_ne!(page.key, key("std/all.html"));
        assert_eq!(page.len(), 22);
    }
}
