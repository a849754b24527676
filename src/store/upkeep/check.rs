//! Verification of everything a store holds.
//!
//! A check takes a checkpoint, reads every record up to it, follows every pointer of its rows, and
//! recomputes all counters, those of deduplicated values and expiries included. It runs in
//! parallel, while the store is in use.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rayon::prelude::*;
use serde::Serialize;

use crate::store::core::Core;
use crate::store::error::StoreError;
use crate::store::files::segment_path;
use crate::store::index::{
    Base, Body, DEDUP_ID, DICTIONARIES_ID, EXPIRY_ID, FIRST_OWN_ID, Meta, ORPHANS_ID, Row,
    dedup_key, expiry_key, op_bytes, split_row_key,
};
use crate::store::record::{Pointer, RecordKind, SEGMENT_HEADER_BYTES};
use crate::store::segment::Segment;
use crate::store::upkeep::scan::{Found, Scan, read_segment_header};

/// Problems that are listed. Further ones are only counted.
const MAX_PROBLEMS: usize = 1000;
/// Index rows checked at a time.
const ROWS_AT_ONCE: usize = 4096;
/// Bytes read of a segment before the system is advised to drop them from its cache.
const FORGET_BYTES: u64 = 8 << 20;
/// How long to wait for the checkpoint at the start.
const CHECKPOINT_DEADLINE: Duration = Duration::from_mins(5);

/// What [`Store::check`](crate::store::Store::check) found.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// Segments read.
    pub segments: u64,
    /// Whole records in them.
    pub records: u64,
    /// Bytes of segments read.
    pub bytes: u64,
    /// Keys in the index.
    pub keys: u64,
    /// Number of problems.
    pub problem_count: u64,
    /// The first thousand problems.
    pub problems: Vec<Problem>,
}

impl CheckReport {
    /// Whether no problem was found.
    pub const fn is_clean(&self) -> bool {
        self.problem_count == 0
    }
}

/// A line of totals, then a line for each problem listed.
impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, records, bytes, keys, problem_count, problems } = self;
        write!(
            f,
            "{segments} segments, {records} records, {bytes} bytes, {keys} keys, \
             {problem_count} problems"
        )?;
        for Problem { path, offset, key, reason } in problems {
            write!(f, "\n{} at byte {offset}: {reason}", path.display())?;
            if let Some(key) = key {
                write!(f, " (key {key})")?;
            }
        }
        Ok(())
    }
}

/// A problem found by a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The offset in the file; 0 for the index.
    pub offset: u64,
    /// The keyspace and key concerned, if known, with non-ASCII bytes escaped.
    pub key: Option<String>,
    /// What is wrong.
    pub reason: String,
}

struct Checker<'a> {
    core: &'a Core,
    report: Mutex<CheckReport>,
}

/// Reads every record up to a checkpoint taken now and follows every pointer of its rows.
pub(in crate::store) fn check(core: &Core) -> Result<CheckReport, StoreError> {
    match core.checkpoint(false, CHECKPOINT_DEADLINE) {
        // Everything before the failure can still be checked.
        Ok(()) | Err(StoreError::Poisoned { .. }) => {}
        Err(error) => return Err(error),
    }
    let base = Arc::clone(&core.view()?.base);
    let meta = base.read_meta(&core.index_path)?;
    let checker = Checker { core, report: Mutex::default() };
    meta.segments
        .par_iter()
        .try_for_each(|(id, row)| checker.check_segment(*id, row.used, row.salt))?;
    checker.check_rows(&base, &meta)?;
    Ok(checker.report.into_inner())
}

impl Checker<'_> {
    fn problem(&self, path: PathBuf, offset: u64, key: Option<String>, reason: &str) {
        let mut report = self.report.lock();
        report.problem_count += 1;
        if report.problems.len() < MAX_PROBLEMS {
            let reason = reason.to_owned();
            report.problems.push(Problem { path, offset, key, reason });
        }
    }

    /// Reads a segment from its first record to its last applied one.
    fn check_segment(&self, id: u32, used: u64, salt: u64) -> Result<(), StoreError> {
        let path = segment_path(&self.core.options.dir, id);
        let Some(segment) = self.core.segments.get(id) else {
            self.core.check_open()?;
            self.problem(path, 0, None, "segment is missing");
            return Ok(());
        };
        let file = segment.file()?;
        if read_segment_header(&*file, &path, id)? != Some(salt) {
            self.problem(path.clone(), 0, None, "segment header is damaged");
        }
        if segment.flushed() < used {
            self.problem(path.clone(), segment.flushed(), None, "segment is truncated");
        }
        let end = used.min(segment.flushed());
        let start = SEGMENT_HEADER_BYTES as u64;
        let mut scan = Scan { path: &path, file: &*file, salt, offset: start, end };
        let (mut records, mut forgotten) = (0, 0);
        loop {
            match scan.record()? {
                Found::Record { .. } => {
                    records += 1;
                    // A check reads everything once, which must not evict from the cache what is in
                    // use.
                    if scan.offset - forgotten >= FORGET_BYTES {
                        file.forget(forgotten, scan.offset - forgotten);
                        forgotten = scan.offset;
                    }
                }
                Found::Damaged(damage) => {
                    self.problem(path.clone(), scan.offset, None, damage);
                    if !scan.resync()? {
                        break;
                    }
                }
                Found::End => break,
            }
        }
        file.forget(forgotten, end.saturating_sub(forgotten));
        let mut report = self.report.lock();
        report.segments += 1;
        report.records += records;
        report.bytes += end;
        Ok(())
    }

    /// Follows the pointer of every row, and recounts.
    fn check_rows(&self, base: &Base, meta: &Meta) -> Result<(), StoreError> {
        let core = self.core;
        let mut rows = base.rows().map_err(|e| core.index_error(e))?;
        let mut counted = Recount::default();
        let mut chunk = Vec::with_capacity(ROWS_AT_ONCE);
        loop {
            chunk.clear();
            for row in rows.by_ref().take(ROWS_AT_ONCE) {
                let (key, row) = row.map_err(|e| core.index_error(e))?;
                chunk.push((key.value().to_vec(), row.value().to_vec()));
            }
            if chunk.is_empty() {
                break;
            }
            chunk.par_iter().for_each(|(key, row)| self.check_row(meta, key, row));
            for (key, row) in &chunk {
                counted.add(key, row);
            }
        }
        let own = counted.keys.iter().filter(|(id, _)| **id < FIRST_OWN_ID);
        self.report.lock().keys = own.map(|(_, keys)| keys).sum();
        self.compare(meta, &counted);
        self.compare_own(meta, &counted);
        Ok(())
    }

    fn check_row(&self, meta: &Meta, key: &[u8], row: &[u8]) {
        let pointer = match Row::decode(row) {
            Ok(row) => row.body.pointer(),
            Err(damage) => {
                let path = self.core.index_path.clone();
                return self.problem(path, 0, Some(describe(meta, key)), damage);
            }
        };
        let Some(pointer) = pointer else { return };
        let Some(segment) = self.core.segments.get(pointer.segment) else {
            let path = segment_path(&self.core.options.dir, pointer.segment);
            let key = Some(describe(meta, key));
            return self.problem(path, pointer.offset, key, "segment is missing");
        };
        if let Err(error) = whole_record(&segment, &pointer) {
            let (path, key) = (segment.path.clone(), Some(describe(meta, key)));
            self.problem(path, pointer.offset, key, &error.with_causes());
        }
    }

    /// Compares the store's own rows with the rows that they belong to.
    fn compare_own(&self, meta: &Meta, counted: &Recount) {
        let path = &self.core.index_path;
        for (key, (counts, found)) in &counted.references {
            if counts != found {
                let key = Some(describe(meta, key));
                let counts = counts.map_or("nothing".to_owned(), |counts| counts.to_string());
                let found = found.unwrap_or(0);
                let reason =
                    format!("deduplicated value has {found} references, the index says {counts}");
                self.problem(path.clone(), 0, key, &reason);
            }
        }
        for (key, balance) in &counted.expiries {
            if *balance != 0 {
                let key = Some(describe(meta, key));
                self.problem(path.clone(), 0, key, "row and expiry list differ");
            }
        }
        for key in &counted.orphans {
            if counted.references.get(key).is_none_or(|(counts, _)| *counts != Some(0)) {
                let key = Some(describe(meta, key));
                self.problem(path.clone(), 0, key, "orphan without a deduplicated value");
            }
        }
    }

    /// Compares the counters of the index with a count of its rows.
    fn compare(&self, meta: &Meta, counted: &Recount) {
        let path = &self.core.index_path;
        for (id, row) in &meta.keyspaces {
            let found = counted.keys.get(id).copied().unwrap_or(0);
            if found != row.keys {
                let reason = format!(
                    "keyspace {:?} has {found} keys, the index says {}",
                    row.name, row.keys
                );
                self.problem(path.clone(), 0, None, &reason);
            }
            let found = counted.expiring.get(id).copied().unwrap_or(0);
            if found != row.expiring {
                let (name, counts) = (&row.name, row.expiring);
                let reason = format!(
                    "keyspace {name:?} has {found} keys that expire, the index says {counts}"
                );
                self.problem(path.clone(), 0, None, &reason);
            }
        }
        for (id, row) in &meta.segments {
            let found = counted.live.get(id).copied().unwrap_or_default();
            let counts = (row.live, row.ops);
            if found != counts {
                let reason =
                    format!("segment {id:08x} has {found:?} live bytes, the index says {counts:?}");
                self.problem(path.clone(), 0, None, &reason);
            }
        }
    }
}

/// Whether a pointer names a whole value record. Its payload was checked with its segment, unless
/// that is cut short.
fn whole_record(segment: &Segment, pointer: &Pointer) -> Result<(), StoreError> {
    let header = segment.check_pointer(pointer)?;
    debug_assert_eq!(header.kind, RecordKind::Value, "check_pointer admits values only");
    let length = usize::try_from(header.span()).unwrap_or(usize::MAX);
    segment.read(pointer.offset, length).map(drop)
}

/// A count of the rows of the index.
#[derive(Default)]
struct Recount {
    keys: HashMap<u32, u64>,
    expiring: HashMap<u32, u64>,
    /// By segment: bytes of live records, and of operations that would point at copies of them.
    live: HashMap<u32, (u64, u64)>,
    /// By row key of a deduplicated value: the number of references stored, and the number found.
    references: HashMap<Vec<u8>, (Option<u64>, Option<u64>)>,
    /// By key of an expiry row: plus 1 for the row that expires, minus 1 for the expiry row.
    expiries: HashMap<Vec<u8>, i64>,
    orphans: Vec<Vec<u8>>,
}

impl Recount {
    fn add(&mut self, key: &[u8], row: &[u8]) {
        let Some((id, rest)) = split_row_key(key) else { return };
        *self.keys.entry(id).or_default() += 1;
        let Ok(row) = Row::decode(row) else { return };
        if let Some(pointer) = row.body.pointer() {
            let (live, ops) = self.live.entry(pointer.segment).or_default();
            *live += pointer.footprint();
            *ops += op_bytes(key);
        }
        match id {
            EXPIRY_ID => *self.expiries.entry(key.to_vec()).or_default() -= 1,
            ORPHANS_ID => self.orphans.push(rest.to_vec()),
            _ => {}
        }
        if row.expires != 0 {
            *self.expiring.entry(id).or_default() += 1;
            *self.expiries.entry(expiry_key(row.expires, key)).or_default() += 1;
        }
        match row.body {
            Body::Reference(hash) => {
                let (_, found) = self.references.entry(dedup_key(id, &hash)).or_default();
                *found = Some(found.unwrap_or(0) + 1);
            }
            Body::Counted { references, .. } => {
                let (counts, found) = self.references.entry(key.to_vec()).or_default();
                *counts = Some(references);
                // So that a value without references equals its count of none.
                found.get_or_insert(0);
            }
            Body::Inline { .. } | Body::Record(_) => {}
        }
    }
}

fn describe(meta: &Meta, row_key: &[u8]) -> String {
    let Some((id, key)) = split_row_key(row_key) else {
        return row_key.escape_ascii().to_string();
    };
    let name = match id {
        EXPIRY_ID => "(expiry)",
        DEDUP_ID => "(deduplicated)",
        ORPHANS_ID => "(orphans)",
        DICTIONARIES_ID => "(dictionaries)",
        id => meta.keyspaces.get(&id).map_or("?", |row| row.name.as_str()),
    };
    format!("{name}: {}", key.escape_ascii())
}
