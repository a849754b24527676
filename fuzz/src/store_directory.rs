//! Directories that no store left like that: they open, or do not, with a typed error.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use gristmill::store::StoreError;

use super::store_twins::oracle::{Opened, clock, on_disk, random_ops};
use super::store_twins::sim::{Random, SimVfs};

const DIR: &str = "/sim";
/// Names of the files that arbitrary bytes are put into.
const NAMES: [&str; 4] = ["index.redb", "00000001.segment", "00000002.segment", "index.redb.new"];
/// Changes made to the files of a store, at most.
const MAX_CHANGES: usize = 64;
const LONG: Duration = Duration::from_mins(1);

/// The first byte chooses: the files of a store that was closed or killed, with changes of five
/// bytes each (file, place, new bits); or the rest of the bytes, cut into files, each after its
/// length.
pub fn store_directory(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else { return };
    let vfs = match kind % 4 {
        0 => arbitrary(rest),
        1 => changed(&samples().0, rest),
        _ => changed(&samples().1, rest),
    };
    examine(&vfs);
}

fn examine(vfs: &SimVfs) {
    // Without this `redb` trusts its file.
    let builder = on_disk(vfs, DIR, &clock()).verify_index(true);
    let result = Opened::open(builder).and_then(|opened| read_all(&opened));
    assert!(!result.is_err_and(|error| tells_of_panic(&error)), "a thread of the store panicked");
}

/// Whether a thread of the store has panicked, as far as an error says what it stems from.
fn tells_of_panic(error: &StoreError) -> bool {
    match error {
        StoreError::Panicked { .. } => true,
        StoreError::Poisoned { source, .. } | StoreError::Refused { source, .. } => {
            tells_of_panic(source)
        }
        _ => false,
    }
}

fn read_all(opened: &Opened) -> Result<(), StoreError> {
    let _typed_or_whole = opened.content();
    for space in &opened.spaces {
        for row in space.prefix("").take(1000) {
            let _typed_or_whole = row;
        }
        let _typed_or_counted = space.len();
    }
    let _typed_or_reported = opened.store.check();
    let _typed_or_copied = opened.store.compact();
    opened.spaces[0].put("new", "value")?;
    opened.store.close(LONG)
}

type Files = Vec<(PathBuf, Vec<u8>)>;

/// The files of a store that was closed, and of one that was killed.
fn samples() -> &'static (Files, Files) {
    static SAMPLES: OnceLock<(Files, Files)> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let vfs = SimVfs::default();
        let opened = Opened::open(on_disk(&vfs, DIR, &clock())).expect("a sound disk");
        let mut random = Random::spread(3);
        for _ in 0..12 {
            opened.batch(&random_ops(&mut random)).commit().expect("a sound disk");
        }
        let killed = vfs.kill();
        opened.store.close(LONG).expect("a sound disk");
        (vfs.files(), killed.files())
    })
}

fn changed(files: &Files, changes: &[u8]) -> SimVfs {
    let mut files = files.clone();
    for &[file, high, low, fine, bits] in changes.as_chunks().0.iter().take(MAX_CHANGES) {
        let file_count = files.len();
        let (_, bytes) = &mut files[usize::from(file & 0x3f) % file_count];
        // Places in the first quarter are as likely as all others: that is where most is.
        let place = (usize::from(high) << 16 | usize::from(low) << 8 | usize::from(fine))
            % (bytes.len() / if file & 0x40 == 0 { 4 } else { 1 }).max(1);
        if file & 0x80 != 0 && bits % 16 == 0 {
            bytes.truncate(place);
        } else if let Some(byte) = bytes.get_mut(place) {
            *byte ^= bits;
        }
    }
    planted(files.into_iter())
}

fn arbitrary(mut rest: &[u8]) -> SimVfs {
    let mut files = Files::new();
    for name in NAMES {
        let Some((length, behind)) = rest.split_first_chunk() else { break };
        let length = usize::from(u16::from_le_bytes(*length)).min(behind.len());
        let (bytes, behind) = behind.split_at(length);
        files.push((Path::new(DIR).join(name), bytes.to_vec()));
        rest = behind;
    }
    planted(files.into_iter())
}

fn planted(files: impl Iterator<Item = (PathBuf, Vec<u8>)>) -> SimVfs {
    let vfs = SimVfs::default();
    for (path, bytes) in files {
        vfs.plant(&path, &bytes);
    }
    vfs
}

#[cfg(test)]
mod tests {
    use super::super::store_twins::sim::{Call, Which};
    use super::*;

    #[test]
    fn a_panic_of_a_thread_in_the_background_is_noticed() {
        let vfs = planted(samples().0.clone().into_iter());
        examine(&vfs);
        // The keeper writes the index file anew, under another name.
        vfs.before(Which::Only(Call::Rename), 1, || panic!("on purpose"));
        let examined = std::panic::AssertUnwindSafe(|| examine(&vfs));
        assert!(std::panic::catch_unwind(examined).is_err());
    }
}
