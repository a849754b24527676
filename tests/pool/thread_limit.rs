//! Under the system's own limit on threads the pool goes on with those it has.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::mpsc;

use gristmill::pool::{Pool, Priority};

use crate::harness::*;

const CHILD: &str = "GRISTMILL_TEST_THREAD_LIMIT";
/// A user that owns nothing; the limit counts the threads of all its processes.
const NOBODY: u32 = 65_534;
/// Threads that the child may have: its two, and some of the pool's.
const THREADS: u32 = 8;

/// Runs in the child alone.
#[test]
fn in_a_child_without_privileges() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    assert_ne!(rustix::process::getuid().as_raw(), 0, "root is not bound by the limit");
    let limit =
        rustix::process::Rlimit { current: Some(THREADS.into()), maximum: Some(THREADS.into()) };
    rustix::process::setrlimit(rustix::process::Resource::Nproc, limit).unwrap();
    let pool = Pool::builder().max(64).build().unwrap();
    let (sender, starts) = mpsc::channel();
    let (tasks, releases): (Vec<_>, Vec<_>) = (0..32)
        .map(|_| {
            let (release, freed) = mpsc::channel();
            (pool.spawn(Priority::Normal, holding(sender.clone(), freed)), release)
        })
        .unzip();
    starts.recv_timeout(LONG).expect("nothing runs");
    let workers = pool.stats().workers;
    assert!(workers.failed_starts >= 1, "the limit was not met: {workers:?}");
    assert!(workers.now >= 1 && workers.now < THREADS.try_into().unwrap(), "{workers:?}");
    assert!(workers.limit < 64, "the limit was not lowered: {workers:?}");
    drop(releases);
    for task in tasks {
        task.join_timeout(LONG).expect("a task was lost").unwrap();
    }
    drain(&pool);
    println!("met the limit");
}

#[test]
fn the_systems_limit_is_counted_and_survived() {
    watched(|| {
        if !rustix::process::getuid().is_root() {
            println!("skipped: only root can become somebody else");
            return;
        }
        // Where the build lies, nobody may not look.
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("pool-test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let output = Command::new(&program)
            .args(["--exact", "thread_limit::in_a_child_without_privileges", "--nocapture"])
            .args(["--test-threads", "1"])
            .env(CHILD, "1")
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("met the limit"), "{said}\n{errors}");
    });
}
