//! Recovery, checkpoints, reclaiming space, verification and backup.
//!
//! | file | what |
//! | --- | --- |
//! | `lock` | one process at a time |
//! | `recovery` | bringing log and index to the same state after a crash |
//! | `scan` | reading a segment record by record |
//! | `keeper` | the thread that takes checkpoints and removes the files of retired segments |
//! | `signals` | what the keeper is asked to do |
//! | `maintenance` | the background work: its pool and its state |
//! | `schedule` | starting background work |
//! | `policy` | when reclaiming space is worth its cost |
//! | `reclaim` | moving live records out of segments, and removing what has expired |
//! | `check` `backup` | verifying and copying a store |
//!
//! # Invariants
//!
//! - Recovery reads the log from the watermark on, tells damage from a torn tail, and writes what
//!   it finds again, flushes it and checkpoints it before the store is used. Old tails are never
//!   appended to. (`recovery`)
//! - A record is moved only with its checksum verified, and its row follows only if it still points
//!   to the original. (`reclaim`)
//! - The file of a segment is removed only after a durable checkpoint without a pointer into it,
//!   which notes it as retired, and after every view, value and backup that may still read it;
//!   then the directory is flushed. (`keeper`)
//! - One opener at a time; the second is told which process is the first. What outlives an opener
//!   touches no file: the index file is sealed before the lock is released. (`lock`, `keeper`)

pub(super) mod backup;
pub(super) mod check;
pub(super) mod keeper;
pub(super) mod lock;
pub(super) mod maintenance;
pub(super) mod policy;
pub(super) mod reclaim;
pub(super) mod recovery;
pub(super) mod scan;
pub(super) mod schedule;
pub(super) mod signals;
