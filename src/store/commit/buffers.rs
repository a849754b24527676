//! Buffers of written batches, for reuse: the page faults of a fresh buffer of some megabytes cost
//! as much as copying the values into it.

use parking_lot::Mutex;

/// Buffers kept.
const MAX_BUFFERS: usize = 16;
/// Bytes kept in all of them.
const MAX_BYTES: usize = 16 << 20;

/// A few empty buffers with room in them.
#[derive(Debug, Default)]
pub(in crate::store) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer, the most recently used one if there is any.
    pub(in crate::store) fn take(&self) -> Vec<u8> {
        self.free.lock().pop().unwrap_or_default()
    }

    /// Keeps a buffer for later, within bounds.
    pub(in crate::store) fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == 0 {
            return;
        }
        buffer.clear();
        let mut free = self.free.lock();
        let bytes: usize = free.iter().map(Vec::capacity).sum();
        if free.len() < MAX_BUFFERS && bytes + buffer.capacity() <= MAX_BYTES {
            free.push(buffer);
        }
    }
}
