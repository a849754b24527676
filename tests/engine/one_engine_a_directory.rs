//! A directory has one engine; a second one is refused and told which process has the first.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc;

use gristmill::Engine;
use gristmill::engine::Error;
use gristmill::store::StoreError;

use crate::support::PATIENCE;
use crate::workshop::{Process, eager, open};

const DIRECTORY: &str = "GRISTMILL_TEST_HELD_DIRECTORY";
const OPENED: &str = "the engine is open";

/// Not a test of its own: the process that holds the directory until it is killed.
#[test]
fn hold_until_killed() {
    let Ok(dir) = std::env::var(DIRECTORY) else { return };
    let engine = open(dir.as_ref(), eager());
    println!("\n{OPENED}");
    // Ends when the other process does.
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).unwrap();
    drop(engine);
}

#[test]
fn the_second_is_told_the_holder_and_a_killed_holder_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let mut holder =
        Process::start("one_engine_a_directory::hold_until_killed", &[(DIRECTORY, path)]);
    let pid = holder.0.id();
    let output = holder.0.stdout.take().unwrap();
    let (send, opened) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        // Nobody listens any more when the test has failed.
        let _ = send.send(lines.any(|line| line == OPENED));
    });
    assert_eq!(opened.recv_timeout(PATIENCE), Ok(true), "the other process opened nothing");
    let refused = Engine::builder(dir.path()).config(eager()).build();
    let Err(Error::Store(error)) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains(&pid.to_string()), "{error}");
    let StoreError::InUse { path, holder: named } = error else { panic!("{error:?}") };
    assert_eq!((path.as_path(), named.pid), (dir.path(), Some(pid)));
    holder.kill();
    reader.join().unwrap();
    open(dir.path(), eager()).close(PATIENCE).unwrap();
}

#[test]
fn a_closed_engine_says_so_and_closing_twice_is_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    engine.close(PATIENCE).unwrap();
    engine.close(PATIENCE).unwrap();
    assert!(matches!(engine.stats(), Err(Error::Closed)));
    assert!(matches!(engine.why("http://a.example/"), Err(Error::Closed)));
    let job = gristmill::Job::new("late").site("http://a.example/");
    assert!(matches!(engine.run(job), Err(Error::Closed)));
}
