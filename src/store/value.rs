//! Values as they are handed out.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::segment::Lease;

/// Bytes of a stored value: cheap to clone, alive as long as it is kept, independent of the store.
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
    /// The bytes `start..end` of a mapped segment, which must have them.
    pub(super) fn mapped(lease: Arc<Lease>, start: usize, end: usize) -> Self {
        debug_assert!(lease.segment.mapped(start, end).is_some(), "the caller checked the range");
        Self { repr: Repr::Mapped { lease, start, end } }
    }

    /// Takes over a buffer.
    pub(super) fn heap(bytes: Vec<u8>) -> Self {
        Self { repr: Repr::Heap(Arc::new(bytes)) }
    }

    /// Copies a few bytes.
    pub(super) fn small(bytes: &[u8]) -> Self {
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

/// The length, and the bytes themselves only where they are few.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        let shown = self.get(..self.len().min(SHOWN)).unwrap_or_default();
        write!(f, "Value({} bytes: \"{}\")", self.len(), shown.escape_ascii())
    }
}
