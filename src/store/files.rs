//! The names of a store's files.

use std::path::{Path, PathBuf};

/// The index.
pub(super) const INDEX_FILE: &str = "index.redb";
/// The index while it is being made.
pub(super) const NEW_INDEX_FILE: &str = "index.redb.new";
/// The lock, which names the process that has the store open.
pub(super) const LOCK_FILE: &str = "lock";
/// Disk space held in reserve. The file has no content.
pub(super) const RESERVE_FILE: &str = "reserve";
/// Ending of a segment's file name.
const SEGMENT_SUFFIX: &str = ".segment";

/// Where the file of segment `id` lies.
pub(super) fn segment_path(dir: &Path, id: u32) -> PathBuf {
    dir.join(format!("{id:08x}{SEGMENT_SUFFIX}"))
}

/// The id in a segment's file name; `None` for other files.
pub(super) fn parse_segment_name(name: &str) -> Option<u32> {
    let id = u32::from_str_radix(name.strip_suffix(SEGMENT_SUFFIX)?, 16).ok()?;
    // Accept only the spelling that `segment_path` produces.
    (name == format!("{id:08x}{SEGMENT_SUFFIX}")).then_some(id)
}

/// Whether a file of this name marks its directory as a store, complete or not.
pub(super) fn belongs_to_store(name: &str) -> bool {
    name == INDEX_FILE || parse_segment_name(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_their_ids_and_other_files_none() {
        let path = segment_path(Path::new("dir"), 0x1f);
        assert_eq!(path, Path::new("dir/0000001f.segment"));
        assert_eq!(parse_segment_name("0000001f.segment"), Some(0x1f));
        for other in ["lock", "1f.segment", "0000001g.segment", "index.redb", "+000001f.segment"] {
            assert_eq!(parse_segment_name(other), None, "{other}");
        }
    }
}
