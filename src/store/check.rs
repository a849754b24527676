//! Verification of everything a store holds.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rayon::prelude::*;
use redb::ReadableTable;
use serde::Serialize;

use super::error::StoreError;
use super::index::{Meta, Row, View};
use super::record::{RecordKind, SEGMENT_HEADER_BYTES};
use super::recovery::read_segment_header;
use super::scan::{Found, Scan};
use super::segment::{Segment, segment_path};
use super::shared::Shared;

/// Problems that are listed; more are only counted.
const MAX_PROBLEMS: usize = 1000;
/// Index rows checked at a time.
const ROWS_AT_ONCE: usize = 4096;

/// What [`Store::check`](super::Store::check) found.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// Segments read.
    pub segments: u64,
    /// Whole records in them.
    pub records: u64,
    /// Bytes of segments read.
    pub bytes: u64,
    /// Keys in the index, each of whose pointers was followed.
    pub keys: u64,
    /// Number of problems.
    pub problem_count: u64,
    /// The first thousand problems.
    pub problems: Vec<Problem>,
}

impl CheckReport {
    /// Whether there is no problem.
    pub const fn is_clean(&self) -> bool {
        self.problem_count == 0
    }
}

/// One line of figures, then a line for each problem listed.
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

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Where in the file; for the index, 0.
    pub offset: u64,
    /// The keyspace and key concerned, where one is known, with escapes for what is not ASCII.
    pub key: Option<String>,
    /// What is wrong.
    pub reason: String,
}

struct Collector<'a> {
    shared: &'a Shared,
    report: Mutex<CheckReport>,
}

/// Reads every record up to the view's state and follows every pointer of its rows.
pub(super) fn check(shared: &Shared, view: &Arc<View>) -> Result<CheckReport, StoreError> {
    let meta = view.read_meta(&shared.index_path)?;
    let collector = Collector { shared, report: Mutex::default() };
    meta.segments
        .par_iter()
        .try_for_each(|(id, row)| collector.check_segment(*id, row.used, row.salt))?;
    collector.check_rows(view, &meta)?;
    Ok(collector.report.into_inner())
}

impl Collector<'_> {
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
        let path = segment_path(&self.shared.options.dir, id);
        let Some(segment) = self.shared.segments.get(id) else {
            self.problem(path, 0, None, "segment is missing");
            return Ok(());
        };
        let file = segment.file()?;
        if read_segment_header(&*file, &path, id)? != Some(salt) {
            self.problem(path.clone(), 0, None, "segment header is damaged");
        }
        if segment.flushed() < used {
            self.problem(path.clone(), segment.flushed(), None, "segment is cut short");
        }
        let end = used.min(segment.flushed());
        let start = SEGMENT_HEADER_BYTES as u64;
        let mut scan = Scan { path: &path, file: &*file, salt, offset: start, end };
        let mut records = 0;
        loop {
            match scan.record()? {
                Found::Record { .. } => records += 1,
                Found::Damaged(damage) => {
                    self.problem(path.clone(), scan.offset, None, damage);
                    if !scan.resync()? {
                        break;
                    }
                }
                Found::End => break,
            }
        }
        let mut report = self.report.lock();
        report.segments += 1;
        report.records += records;
        report.bytes += end;
        Ok(())
    }

    /// Follows the pointer of every row, and counts.
    fn check_rows(&self, view: &View, meta: &Meta) -> Result<(), StoreError> {
        let shared = self.shared;
        let mut rows = view.table.iter().map_err(|e| shared.index_error(e))?;
        let mut counted = Counted::default();
        let mut chunk = Vec::with_capacity(ROWS_AT_ONCE);
        loop {
            chunk.clear();
            for row in rows.by_ref().take(ROWS_AT_ONCE) {
                let (key, row) = row.map_err(|e| shared.index_error(e))?;
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
        self.report.lock().keys = counted.keys.values().sum();
        self.compare(meta, &counted);
        Ok(())
    }

    fn check_row(&self, meta: &Meta, key: &[u8], row: &[u8]) {
        let pointer = match Row::decode(row) {
            Ok(Row::Record(pointer)) => pointer,
            Ok(Row::Inline { .. }) => return,
            Err(damage) => {
                let path = self.shared.index_path.clone();
                return self.problem(path, 0, Some(describe(meta, key)), damage);
            }
        };
        let Some(segment) = self.shared.segments.get(pointer.segment) else {
            let path = segment_path(&self.shared.options.dir, pointer.segment);
            let key = Some(describe(meta, key));
            return self.problem(path, pointer.offset, key, "segment is missing");
        };
        if let Err(error) = whole_record(&segment, &pointer) {
            let (path, key) = (segment.path.clone(), Some(describe(meta, key)));
            self.problem(path, pointer.offset, key, &error.to_string());
        }
    }

    /// The counters of the index against a count of its rows.
    fn compare(&self, meta: &Meta, counted: &Counted) {
        let path = &self.shared.index_path;
        for (id, row) in &meta.keyspaces {
            let found = counted.keys.get(id).copied().unwrap_or(0);
            if found != row.keys {
                let reason = format!("keyspace {:?} counts {}, has {found}", row.name, row.keys);
                self.problem(path.clone(), 0, None, &reason);
            }
        }
        for (id, row) in &meta.segments {
            let found = counted.live.get(id).copied().unwrap_or(0);
            if found != row.live {
                let reason = format!("segment {id:08x} counts {} live, has {found}", row.live);
                self.problem(path.clone(), 0, None, &reason);
            }
        }
    }
}

/// Whether a pointer names a whole value record. Its payload was checked with its segment, unless
/// that is cut short.
fn whole_record(segment: &Segment, pointer: &super::index::Pointer) -> Result<(), StoreError> {
    let header = segment.check_pointer(pointer)?;
    debug_assert_eq!(header.kind, RecordKind::Value, "check_pointer admits values only");
    let length = usize::try_from(header.span()).unwrap_or(usize::MAX);
    segment.read(pointer.offset, length).map(drop)
}

/// A count of the rows of the index.
#[derive(Default)]
struct Counted {
    keys: std::collections::HashMap<u32, u64>,
    live: std::collections::HashMap<u32, u64>,
}

impl Counted {
    fn add(&mut self, key: &[u8], row: &[u8]) {
        if let Some(id) = key.first_chunk::<4>() {
            *self.keys.entry(u32::from_be_bytes(*id)).or_default() += 1;
        }
        if let Ok(Row::Record(pointer)) = Row::decode(row) {
            *self.live.entry(pointer.segment).or_default() += pointer.footprint();
        }
    }
}

fn describe(meta: &Meta, row_key: &[u8]) -> String {
    let Some((id, key)) = row_key.split_first_chunk::<4>() else {
        return row_key.escape_ascii().to_string();
    };
    let name = meta.keyspaces.get(&u32::from_be_bytes(*id));
    let name = name.map_or("?", |row| row.name.as_str());
    format!("{name}: {}", key.escape_ascii())
}
