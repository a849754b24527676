//! Consistent reading over several keyspaces.

use std::ops::RangeBounds;
use std::sync::Arc;

use crate::store::error::StoreError;
use crate::store::handle::Handle;
use crate::store::index::View;
use crate::store::keyspace::Keyspace;
use crate::store::options::Direction;
use crate::store::read::rows::{Keys, Rows};
use crate::store::read::value::Value;

/// The store as it was when the snapshot was taken; later writes do not show. Cheap to take and to
/// clone. While it is kept, so are the pages of the index that it shows, and every segment that is
/// emptied meanwhile. What expires goes by the time of the reading. After the store was closed it
/// answers [`StoreError::Closed`].
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// `None` if the store was closed already. Goes before the handle, which may close the store.
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

    /// Keys and values in a range of keys.
    pub fn range<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        bounds: impl RangeBounds<K>,
        direction: Direction,
    ) -> Rows {
        let view = self.admit(keyspace);
        Rows::range(&self.handle, view, keyspace.id(), &bounds, direction)
    }

    /// Keys and values whose keys begin with `prefix`, ascending.
    pub fn prefix(&self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Rows {
        self.prefix_in(keyspace, prefix, Direction::Forward)
    }

    /// [`prefix`](Self::prefix) in the direction given.
    pub fn prefix_in(
        &self,
        keyspace: &Keyspace,
        prefix: impl AsRef<[u8]>,
        direction: Direction,
    ) -> Rows {
        let view = self.admit(keyspace);
        Rows::prefix(&self.handle, view, keyspace.id(), prefix.as_ref(), direction)
    }

    /// [`prefix`](Self::prefix) without the values, which are not touched.
    pub fn keys_prefix(&self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Keys {
        Keys::new(self.prefix(keyspace, prefix))
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
        Ok(self.admit(keyspace)?.figures.keyspace(keyspace.id()).changed)
    }

    /// Keys in a range of keys; the values are not touched.
    pub fn range_keys<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        bounds: impl RangeBounds<K>,
        direction: Direction,
    ) -> Keys {
        Keys::new(self.range(keyspace, bounds, direction))
    }

    fn admit(&self, keyspace: &Keyspace) -> Result<View, StoreError> {
        if !keyspace.belongs_to(&self.handle) {
            return Err(StoreError::ForeignKeyspace { name: keyspace.name().to_owned() });
        }
        // A store that is closed answers nothing, what it has in memory included.
        self.handle.core.check_open()?;
        self.view.clone().ok_or_else(|| self.handle.core.queue.closed())
    }
}
