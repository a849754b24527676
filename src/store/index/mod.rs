//! The index: where the value of each key is.
//!
//! Most of it is in `redb`, in two tables. `data` maps keyspace id (big-endian) and key to a row: a
//! small value itself, a pointer into a segment, or the hash of a deduplicated value. `meta` holds
//! the watermark, what each segment holds and each keyspace's name and counts. The changes of
//! recent groups are in memory (`delta`) until a checkpoint writes them in one durable transaction.
//! So the file is always the exact result of the groups up to its watermark.
//!
//! | file | what |
//! | --- | --- |
//! | `file` `tables` | the index file and its tables; checkpoints into it |
//! | `backend` | the file as `redb` sees it, and what happens when it cannot be written |
//! | `ledger` | what a group means for rows and counters |
//! | `delta` | the rows of the newest groups |
//! | `view` | a state of both together |
//! | `range` | its rows in order |
//! | `row` `meta` | encodings |
//!
//! # Invariant
//!
//! Rows, reference counts, counters, expiry and watermark change together: in memory under one
//! lock, in the index file in one durable transaction.

mod backend;
mod delta;
mod file;
mod ledger;
mod meta;
mod range;
mod row;
mod tables;
mod view;

pub(super) use delta::{Delta, End};
pub(super) use file::{Index, write_new};
pub(super) use ledger::{Ledger, op_bytes};
pub(super) use meta::{Meta, SegmentRow, Totals, Watermark};
pub(super) use range::{Range, is_empty_range};
pub(super) use row::{
    Body, DEDUP_ID, DICTIONARIES_ID, EXPIRY_ID, FIRST_OWN_ID, ORPHANS_ID, Row, dedup_key,
    expiry_key, row_key, split_expiry_key, split_row_key,
};
pub(super) use view::{Base, IndexCounts, View};
