//! The values that reads return.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::store::codec;
use crate::store::codec::Dictionaries;
use crate::store::error::StoreError;
use crate::store::record::{Codec, Pointer, RECORD_HEADER_BYTES};
use crate::store::segment::Lease;

/// The bytes of a stored value. Cheap to clone, and valid as long as it is kept, even after the
/// store is closed.
///
/// A value that is stored uncompressed in a mapped segment is read in place; others are held on
/// the heap.
#[derive(Clone)]
pub struct Value {
    repr: Repr,
}

#[derive(Clone)]
enum Repr {
    Mapped { lease: Arc<Lease>, start: usize, end: usize },
    Heap(Arc<Vec<u8>>),
    Small(Arc<[u8]>),
}

impl Value {
    /// Reads and decodes the value that `pointer` names.
    pub(in crate::store) fn read(
        lease: Arc<Lease>,
        pointer: &Pointer,
        verify: bool,
        dictionaries: &Dictionaries,
    ) -> Result<Self, StoreError> {
        let segment = &lease.segment;
        let start = pointer.offset + RECORD_HEADER_BYTES as u64;
        let stored = if verify {
            segment.verified(pointer)?
        } else {
            segment.read(start, pointer.stored as usize)?
        };
        match (pointer.codec, stored) {
            (Codec::Zstd, stored) => {
                codec::decompress(&stored, pointer.raw, dictionaries).map(Self::heap)
            }
            (Codec::Plain, Cow::Owned(bytes)) => Ok(Self::heap(bytes)),
            (Codec::Plain, Cow::Borrowed(_)) => {
                let range = segment.range(start, pointer.stored as usize)?;
                Ok(Self::mapped(lease, range.start, range.end))
            }
        }
    }

    /// The bytes `start..end` of a mapped segment, which must have them.
    pub(in crate::store) fn mapped(lease: Arc<Lease>, start: usize, end: usize) -> Self {
        debug_assert!(lease.segment.mapped(start, end).is_some(), "the caller checked the range");
        Self { repr: Repr::Mapped { lease, start, end } }
    }

    /// Takes over a buffer.
    pub(in crate::store) fn heap(bytes: Vec<u8>) -> Self {
        Self { repr: Repr::Heap(Arc::new(bytes)) }
    }

    /// Copies a few bytes.
    pub(in crate::store) fn small(bytes: &[u8]) -> Self {
        Self { repr: Repr::Small(bytes.into()) }
    }

    /// Whether the bytes are read in place from a mapped segment.
    pub fn is_mapped(&self) -> bool {
        matches!(self.repr, Repr::Mapped { .. })
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.repr {
            Repr::Mapped { lease, start, end } => {
                let bytes = lease.segment.mapped(*start, *end);
                bytes.expect("invariant: the range was checked, and maps do not shrink")
            }
            Repr::Heap(bytes) => bytes,
            Repr::Small(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

impl PartialEq<[u8]> for Value {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialEq<&[u8]> for Value {
    fn eq(&self, other: &&[u8]) -> bool {
        **self == **other
    }
}

impl PartialEq<Vec<u8>> for Value {
    fn eq(&self, other: &Vec<u8>) -> bool {
        **self == **other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Value {
    fn eq(&self, other: &&[u8; N]) -> bool {
        **self == **other
    }
}

/// Shows the length and the first few bytes.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        let shown = self.get(..self.len().min(SHOWN)).unwrap_or_default();
        write!(f, "Value({} bytes: \"{}\")", self.len(), shown.escape_ascii())
    }
}
