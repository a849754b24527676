//! The lock file: one process at a time, named to the next one that tries.

use std::path::Path;

use crate::store::error::{Holder, StoreError};
use crate::store::files::LOCK_FILE;
use crate::store::vfs::{LockAttempt, LockGuard, Vfs};
use crate::time::Timestamp;

/// Takes the lock of `dir`, or fails with its holder.
pub(in crate::store) fn acquire(
    vfs: &dyn Vfs,
    dir: &Path,
    now: Timestamp,
) -> Result<Box<dyn LockGuard>, StoreError> {
    let path = dir.join(LOCK_FILE);
    let note = format!("{} {}\n", std::process::id(), now.as_millis());
    match vfs.lock(&path, &note) {
        Ok(LockAttempt::Held(guard)) => Ok(guard),
        Ok(LockAttempt::Busy(note)) => {
            Err(StoreError::InUse { path: dir.to_path_buf(), holder: parse_note(&note) })
        }
        Err(source) => Err(StoreError::io("lock", &path, source)),
    }
}

/// Reads the note of a lock file: `<pid> <milliseconds since 1970>`.
fn parse_note(note: &str) -> Holder {
    let mut words = note.split_ascii_whitespace();
    let pid = words.next().and_then(|word| word.parse().ok());
    let since = words.next().and_then(|word| word.parse().ok()).map(Timestamp);
    Holder { pid, since }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_its_holder_and_a_torn_one_names_nobody() {
        let whole = parse_note("4711 1795341599999\n");
        assert_eq!(whole, Holder { pid: Some(4711), since: Some(Timestamp(1_795_341_599_999)) });
        assert_eq!(whole.to_string(), "process 4711 since 2026-11-22T09:59:59.999Z");
        assert_eq!(parse_note("").to_string(), "another process");
    }
}
