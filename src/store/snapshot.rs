//! Consistent reads across keyspaces.

use std::ops::RangeBounds;
use std::sync::Arc;

use crate::store::error::StoreError;
use crate::store::handle::Handle;
use crate::store::index::View;
use crate::store::keyspace::Keyspace;
use crate::store::read::rows::Rows;
use crate::store::read::value::Value;

/// The store as it was when the snapshot was taken; later writes do not show. Cheap to take and to
/// clone. It keeps the index pages that it shows, and every segment that is emptied meanwhile,
/// until it is dropped. Keys expire in it as time goes on. Once the store is closed, reads return
/// [`StoreError::Closed`].
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// `None` if the store was closed already. Dropped before the handle, which may close the
    /// store.
    view: Option<View>,
    handle: Arc<Handle>,
}

impl Snapshot {
    pub(super) fn new(handle: Arc<Handle>, view: Option<View>) -> Self {
        Self { view, handle }
    }

    /// The value stored under `key`.
    pub fn get(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Value>, StoreError> {
        let view = self.admit(keyspace)?;
        self.handle.core.counters.read(1);
        self.handle.core.get(&view, &keyspace.row_key(key.as_ref()))
    }

    /// Whether there is a value under `key`.
    pub fn contains(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<bool, StoreError> {
        let view = self.admit(keyspace)?;
        self.handle.core.contains(&view, &keyspace.row_key(key.as_ref()))
    }

    /// The values under several keys, in the order of the keys.
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        keys: &[K],
    ) -> Result<Vec<Option<Value>>, StoreError> {
        let view = self.admit(keyspace)?;
        self.handle.core.counters.read(keys.len());
        let get = |key: &K| self.handle.core.get(&view, &keyspace.row_key(key.as_ref()));
        keys.iter().map(get).collect()
    }

    /// All keys and values in the order of the keys.
    pub fn iter(&self, keyspace: &Keyspace) -> Rows {
        self.range::<&[u8]>(keyspace, ..)
    }

    /// The keys and values in a range of keys.
    pub fn range<K: AsRef<[u8]>>(&self, keyspace: &Keyspace, bounds: impl RangeBounds<K>) -> Rows {
        Rows::range(&self.handle, self.admit(keyspace), keyspace.id(), &bounds)
    }

    /// The keys and values whose keys begin with `prefix`.
    pub fn prefix(&self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Rows {
        Rows::prefix(&self.handle, self.admit(keyspace), keyspace.id(), prefix.as_ref())
    }

    /// The smallest key and its value.
    pub fn first(&self, keyspace: &Keyspace) -> Result<Option<(Vec<u8>, Value)>, StoreError> {
        self.iter(keyspace).next().transpose()
    }

    /// The largest key and its value.
    pub fn last(&self, keyspace: &Keyspace) -> Result<Option<(Vec<u8>, Value)>, StoreError> {
        self.iter(keyspace).next_back().transpose()
    }

    /// Number of keys.
    pub fn len(&self, keyspace: &Keyspace) -> Result<u64, StoreError> {
        let view = self.admit(keyspace)?;
        self.handle.core.count(&view, keyspace.id())
    }

    /// Whether the keyspace has no key.
    pub fn is_empty(&self, keyspace: &Keyspace) -> Result<bool, StoreError> {
        Ok(self.len(keyspace)? == 0)
    }

    /// The [generation](Keyspace::generation) of the keyspace in this state.
    pub fn generation(&self, keyspace: &Keyspace) -> Result<u64, StoreError> {
        Ok(self.admit(keyspace)?.counts.keyspace(keyspace.id()).changed)
    }

    fn admit(&self, keyspace: &Keyspace) -> Result<View, StoreError> {
        if !keyspace.belongs_to(&self.handle) {
            return Err(StoreError::ForeignKeyspace { name: keyspace.name().to_owned() });
        }
        // A closed store answers nothing, not even from memory.
        self.handle.core.check_open()?;
        self.view.clone().ok_or_else(|| self.handle.core.queue.closed())
    }
}
