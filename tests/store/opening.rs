//! Directories that cannot be opened: clear errors.

use std::fs;
use std::process::Command;

use gristmill::store::{Store, StoreError};

use crate::sim::SimVfs;
use crate::{MINUTE, plain};

#[test]
fn a_second_opening_names_the_holder_and_works_after_the_first_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    let StoreError::InUse { path, holder } = &error else { panic!("{error}") };
    assert_eq!((path.as_path(), holder.pid), (dir.path(), Some(std::process::id())));
    assert!(error.to_string().contains("this process"), "{error}");
    store.close(MINUTE).unwrap();
    drop(Store::open(dir.path()).unwrap());
}

/// Run by the test below in another process.
#[test]
fn other_process_opens() {
    let Some(dir) = std::env::var_os("GRISTMILL_TEST_OPEN_DIR") else { return };
    let error = Store::open(dir).unwrap_err();
    let StoreError::InUse { holder, .. } = &error else { panic!("{error}") };
    let expected = std::env::var("GRISTMILL_TEST_OPEN_HOLDER").unwrap();
    assert_eq!(holder.pid.unwrap().to_string(), expected);
    assert!(error.to_string().contains(&format!("process {expected} since 2")), "{error}");
}

#[test]
fn another_process_is_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    plain(&store, "k").put("a", "b").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opening::other_process_opens", "--nocapture"])
        .env("GRISTMILL_TEST_OPEN_DIR", dir.path())
        .env("GRISTMILL_TEST_OPEN_HOLDER", std::process::id().to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn a_path_below_a_regular_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Store::open(file.join("store")).unwrap_err();
    assert!(
        matches!(&error, StoreError::Io { action: "create", path, .. } if path.ends_with("store"))
    );
    assert!(error.to_string().contains("file/store"), "{error}");
}

#[test]
fn a_segment_of_a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    plain(&store, "k").put("a", "b").unwrap();
    let crashed = crate::copy_dir(dir.path());
    let path = crashed.path().join("00000001.segment");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..56]);
    bytes[56..64].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = Store::open(crashed.path()).unwrap_err();
    assert!(matches!(error, StoreError::FormatTooNew { found: 9, supported: 2, .. }), "{error}");
}

#[test]
fn an_index_of_a_newer_format_is_refused_and_the_log_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    plain(&store, "k").put("a", "b").unwrap();
    store.close(MINUTE).unwrap();
    drop(store);
    let set_format = |format: u32| {
        crate::damage::edit(dir.path(), "meta", |meta| {
            let before = meta.insert(b"format".as_slice(), format.to_le_bytes().as_slice());
            assert!(before.unwrap().is_some());
        });
    };
    let segment = dir.path().join("00000001.segment");
    let before = fs::read(&segment).unwrap();
    for newer in [3, u32::MAX] {
        set_format(newer);
        // What a newer version would do with it is not known.
        fs::write(dir.path().join("00000009.segment"), []).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        let StoreError::FormatTooNew { path, found, supported: 2 } = &error else {
            panic!("{error}")
        };
        assert_eq!((path, *found), (&dir.path().join("index.redb"), newer));
        let text = format!("index.redb has format {newer}, this library reads up to 2");
        assert!(error.to_string().ends_with(&text), "{error}");
        assert!(fs::read(&segment).unwrap() == before);
        assert!(dir.path().join("00000009.segment").exists());
    }
    set_format(2);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(plain(&store, "k").get("a").unwrap().unwrap(), b"b");
}

#[test]
#[cfg(target_os = "linux")]
fn a_store_of_many_segments_keeps_few_files_open() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::builder(dir.path()).segment_bytes(64 << 10).open().unwrap();
    let store = open();
    let keyspace = plain(&store, "k");
    for round in 0..40_u8 {
        keyspace.put([round], crate::noise(round.into(), 40_000)).unwrap();
    }
    let count_open = || {
        let links = fs::read_dir("/proc/self/fd").unwrap();
        let paths = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
        // The directory itself is open for a moment while the name of a segment is made durable.
        paths.filter(|path| path.starts_with(dir.path()) && path != dir.path()).count()
    };
    // The lock, the index, the current segment and the next one.
    assert!(count_open() <= 4 && store.stats().segments >= 40);
    store.close(MINUTE).unwrap();
    drop((store, keyspace));
    let store = open();
    assert!(count_open() <= 4);
    assert_eq!(plain(&store, "k").get([7]).unwrap().unwrap(), crate::noise(7, 40_000));
    assert!(store.check().unwrap().is_clean());
}

#[test]
fn two_openings_at_once_and_only_one_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let barrier = std::sync::Barrier::new(4);
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || {
            barrier.wait();
            Store::open(dir.path())
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (got, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    assert_eq!(got.len(), 1);
    for error in refused {
        assert!(matches!(error, Err(StoreError::InUse { .. })), "{error:?}");
    }
}

/// Run by the test below in a process that may not write.
#[test]
fn process_without_rights_opens() {
    let Some(dir) = std::env::var_os("GRISTMILL_TEST_OPEN_FORBIDDEN") else { return };
    let dir = std::path::Path::new(&dir);
    for path in [dir.join("store"), dir.join("new"), dir.to_path_buf()] {
        let error = Store::open(&path).unwrap_err();
        let StoreError::Io { path: named, source, .. } = &error else { panic!("{error:?}") };
        assert!(named.starts_with(&path), "{error}");
        assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
    }
}

#[test]
#[cfg(unix)]
fn a_directory_that_must_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    /// The user `nobody` and its group, nearly everywhere.
    const NOBODY: u32 = 65_534;
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    drop(plain(&Store::open(dir.path().join("store")).unwrap(), "k").put("a", "b"));
    // The program where anybody may read it.
    let program = dir.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    mode(&dir.path().join("store"), 0o555);
    mode(dir.path(), 0o555);
    let mut command = Command::new(&program);
    command
        .args(["--exact", "opening::process_without_rights_opens", "--nocapture"])
        .env("GRISTMILL_TEST_OPEN_FORBIDDEN", dir.path())
        .current_dir("/");
    // The rights of files do not bind root.
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    mode(dir.path(), 0o755);
    mode(&dir.path().join("store"), 0o755);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"));
}

/// Room that was reserved for what never came does not stay taken after a kill.
#[test]
fn segments_of_a_killed_store_are_cut_to_what_they_hold() {
    const SEGMENT: usize = 1 << 20;
    let (vfs, clock) = (SimVfs::default(), crate::oracle::clock());
    let open = |vfs: &SimVfs| {
        let builder = crate::oracle::on_disk(vfs, "/sim", &clock).segment_bytes(SEGMENT as u64);
        builder.open().unwrap()
    };
    let length = |vfs: &SimVfs| -> usize {
        let is_segment = |path: &std::path::Path| path.to_string_lossy().ends_with(".segment");
        let files = vfs.files();
        let segments = files.iter().filter(|(path, _)| is_segment(path));
        segments.map(|(_, content)| content.len()).sum()
    };
    let store = open(&vfs);
    let keyspace = plain(&store, "k");
    keyspace.put("in the index", crate::noise(1, 5000)).unwrap();
    assert!(store.check().unwrap().is_clean());
    let held = usize::try_from(store.stats().total_bytes).unwrap();
    let killed = vfs.kill();
    assert_eq!(length(&killed), SEGMENT);
    let _opened = open(&killed);
    assert_eq!(length(&killed), held);
    // What is only in the log is taken from where it is, and that segment cut too.
    keyspace.put("in the log", crate::noise(2, 5000)).unwrap();
    let held = usize::try_from(store.stats().total_bytes).unwrap();
    let killed = vfs.kill();
    let opened = open(&killed);
    assert_eq!(plain(&opened, "k").len().unwrap(), 2);
    assert_eq!(length(&killed), held);
}

#[test]
fn a_directory_has_a_store_from_its_first_file_on() {
    let dir = tempfile::tempdir().unwrap();
    let store_dir = dir.path().join("store");
    assert!(!Store::exists(&store_dir).unwrap(), "nothing there");
    fs::create_dir(&store_dir).unwrap();
    fs::write(store_dir.join("stats.json"), "{}").unwrap();
    assert!(!Store::exists(&store_dir).unwrap(), "a file of somebody else");
    let store = Store::open(&store_dir).unwrap();
    plain(&store, "k").put("a", "b").unwrap();
    assert!(Store::exists(&store_dir).unwrap(), "open");
    store.close(MINUTE).unwrap();
    assert!(Store::exists(&store_dir).unwrap(), "closed");

    // Half of a store is a store: opening it tells what is missing.
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&store_dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "segment") {
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
    }
    assert!(Store::exists(&copy).unwrap(), "segments alone");

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::exists(&file).unwrap_err();
    assert!(matches!(&error, StoreError::Io { path, .. } if *path == file), "{error}");
}
