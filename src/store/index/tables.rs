//! The two tables of the index file.

use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};

pub(super) type Bytes = &'static [u8];
pub(super) type Table = ReadOnlyTable<Bytes, Bytes>;
pub(super) const DATA: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("data");
pub(super) const META: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("meta");

/// The tables `data` and `meta` as of the last checkpoint.
pub(super) fn tables(db: &Database) -> Result<(Table, Table), redb::Error> {
    let transaction = db.begin_read()?;
    Ok((transaction.open_table(DATA)?, transaction.open_table(META)?))
}
