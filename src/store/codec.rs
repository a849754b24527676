//! Compression of values, on the thread of the caller.

use std::cell::RefCell;
use std::io;

use zstd::bulk::{Compressor, Decompressor};

use super::batch::MAX_VALUE_BYTES;
use super::error::StoreError;

thread_local! {
    /// One context a thread: making one costs more than compressing a page with it.
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Appends the zstd frame of `raw` to `out`. Gives `false`, and leaves `out` as it was, if the
/// frame is not smaller than `raw`.
pub(super) fn compress(out: &mut Vec<u8>, raw: &[u8], level: i32) -> Result<bool, StoreError> {
    let error = |source| StoreError::Codec { action: "compress", length: raw.len(), source };
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some((known, compressor)) if *known == level => compressor,
            slot => &mut slot.insert((level, Compressor::new(level).map_err(error)?)).1,
        };
        let start = out.len();
        // One byte less than `raw` has: a frame that does not shrink it does not fit.
        out.resize(start + raw.len().saturating_sub(1), 0);
        let room = out.get_mut(start..).unwrap_or_default();
        match compressor.compress_to_buffer(raw, room) {
            Ok(length) => {
                out.truncate(start + length);
                Ok(true)
            }
            Err(_does_not_fit) => {
                out.truncate(start);
                Ok(false)
            }
        }
    })
}

/// Decodes one zstd frame that must give exactly `raw` bytes.
pub(super) fn decompress(stored: &[u8], raw: u32) -> Result<Vec<u8>, StoreError> {
    let error = |source| StoreError::Codec { action: "decompress", length: stored.len(), source };
    if raw as usize > MAX_VALUE_BYTES {
        return Err(error(io::Error::new(io::ErrorKind::InvalidData, "no value is so long")));
    }
    let decoded = DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            slot => slot.insert(Decompressor::new()?),
        };
        decompressor.decompress(stored, raw as usize)
    });
    match decoded {
        Ok(bytes) if bytes.len() == raw as usize => Ok(bytes),
        Ok(_) => Err(error(io::Error::new(io::ErrorKind::InvalidData, "length differs"))),
        Err(source) => Err(error(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        let mut out = b"before".to_vec();
        assert!(!compress(&mut out, b"", 3).unwrap());
        assert!(!compress(&mut out, b"abc", 3).unwrap());
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_frame_decodes_to_its_input_only() {
        let raw = b"the same words, the same words, the same words, ".repeat(50);
        let mut out = Vec::new();
        assert!(compress(&mut out, &raw, 3).unwrap());
        assert!(out.len() < raw.len() / 10);
        let length = u32::try_from(raw.len()).unwrap();
        assert_eq!(decompress(&out, length).unwrap(), raw);
        assert!(decompress(&out, length - 1).is_err());
        assert!(decompress(&out, length + 1).is_err());
        assert!(decompress(b"not a frame", 10).is_err());
        assert!(decompress(&out, u32::MAX).is_err());
    }
}
