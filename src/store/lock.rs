//! The lock file: one opener at a time, and its name for the one who comes second.

use std::path::Path;

use super::error::StoreError;
use super::vfs::{LockAttempt, LockGuard, Vfs};
use crate::time::Timestamp;

/// Name of the lock file in the store's directory.
pub(super) const LOCK_FILE: &str = "lock";

/// Who has a store's directory open, as the lock file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The process id, where the file names one.
    pub pid: Option<u32>,
    /// When it opened the store, where the file says so.
    pub since: Option<Timestamp>,
}

impl Holder {
    /// Reads the note of a lock file: `<pid> <milliseconds since 1970>`.
    fn parse(note: &str) -> Self {
        let mut words = note.split_ascii_whitespace();
        let pid = words.next().and_then(|word| word.parse().ok());
        let since = words.next().and_then(|word| word.parse().ok()).map(Timestamp);
        Self { pid, since }
    }
}

/// Takes the lock of `dir`, or says who has it.
pub(super) fn acquire(
    vfs: &dyn Vfs,
    dir: &Path,
    now: Timestamp,
) -> Result<Box<dyn LockGuard>, StoreError> {
    let path = dir.join(LOCK_FILE);
    let note = format!("{} {}\n", std::process::id(), now.as_millis());
    match vfs.lock(&path, &note) {
        Ok(LockAttempt::Held(guard)) => Ok(guard),
        Ok(LockAttempt::Busy(note)) => {
            Err(StoreError::InUse { path: dir.to_path_buf(), holder: Holder::parse(&note) })
        }
        Err(source) => Err(StoreError::io("lock", &path, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_its_holder_and_a_torn_one_names_nobody() {
        let whole = Holder::parse("4711 1795341599999\n");
        assert_eq!(whole, Holder { pid: Some(4711), since: Some(Timestamp(1_795_341_599_999)) });
        assert_eq!(whole.to_string(), "process 4711 since 2026-11-22T09:59:59.999Z");
        assert_eq!(Holder::parse("").to_string(), "another process");
    }
}
