//! A writer process is killed at random moments, again and again. The oracle is outside: the
//! parent knows what the child acknowledged on its standard output.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gristmill::store::{Direction, Store};

use crate::{MINUTE, Random, noise, plain};

/// Rounds unless `GRISTMILL_KILL_ROUNDS` says otherwise.
const ROUNDS: u64 = 20;
/// Keys that the child writes in turn.
const KEYS: u64 = 64;

/// Length of the value of a round: small ones inline, larger ones in records.
fn length(number: u64) -> usize {
    usize::try_from(number * 37 % 3000).unwrap()
}

/// What batch `number` does: it puts its own number under one key, its value under another, and
/// deletes a third. All three or none.
fn write(store: &Store, number: u64, buffered: bool) -> Option<gristmill::store::Ticket> {
    let keyspace = plain(store, "k");
    let mut batch = store.batch();
    batch.put(&keyspace, "number", number.to_le_bytes());
    batch.put(&keyspace, (number % KEYS).to_be_bytes(), noise(number, length(number)));
    batch.delete(&keyspace, ((number + KEYS / 2) % KEYS).to_be_bytes());
    if buffered {
        return Some(batch.commit_buffered().unwrap());
    }
    batch.commit().unwrap();
    None
}

/// Run by the test below in another process: writes until it is killed.
#[test]
fn child_writes_until_killed() {
    let Some(dir) = std::env::var_os("GRISTMILL_TEST_KILL_DIR") else { return };
    let store = Store::builder(dir).segment_bytes(256 << 10).open().unwrap();
    let last = plain(&store, "k").get("number").unwrap();
    let first = last.map_or(1, |value| u64::from_le_bytes(value[..].try_into().unwrap()) + 1);
    let mut waiting = Vec::new();
    for number in first.. {
        waiting.extend(write(&store, number, number % 3 == 0));
        if number % 3 == 1 {
            // A synchronous commit answers for all before it.
            assert!(waiting.iter().all(gristmill::store::Ticket::is_done));
            waiting.clear();
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nacknowledged {number}").unwrap();
            out.flush().unwrap();
        }
    }
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_writes_until_killed", "--nocapture"])
        .env("GRISTMILL_TEST_KILL_DIR", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the child once it has acknowledged `count` batches, and gives the last one acknowledged:
/// all that it wrote before it died counts.
fn run_and_kill(dir: &Path, count: u64) -> u64 {
    let mut child = start(dir);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut seen, mut last) = (0, 0);
    while let Some(Ok(line)) = lines.next() {
        let Some(number) = line.strip_prefix("acknowledged ") else { continue };
        // The kill may cut the last line: a shorter number is an older one.
        last = number.parse::<u64>().map_or(last, |number| last.max(number));
        seen += 1;
        if seen == count {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    last
}

/// The state after batch `number` is the only one allowed, for some number not below what was
/// acknowledged.
fn verify(dir: &Path, acknowledged: u64) -> u64 {
    let store = Store::open(dir).unwrap();
    let keyspace = plain(&store, "k");
    let number = keyspace.get("number").unwrap();
    let number = number.map_or(0, |value| u64::from_le_bytes(value[..].try_into().unwrap()));
    assert!(number >= acknowledged, "{number} found, {acknowledged} acknowledged");
    let mut expected = std::collections::BTreeMap::new();
    for past in number.saturating_sub(4 * KEYS) + 1..=number {
        expected.insert((past % KEYS).to_be_bytes().to_vec(), noise(past, length(past)));
        expected.remove(((past + KEYS / 2) % KEYS).to_be_bytes().as_slice());
    }
    let found: std::collections::BTreeMap<_, _> = keyspace
        .range::<&[u8]>(.., Direction::Forward)
        .map(Result::unwrap)
        .filter(|(key, _)| key != b"number")
        .map(|(key, value)| (key, value.to_vec()))
        .collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found == expected, "values after batch {number}");
    let report = store.check().unwrap();
    assert!(report.is_clean(), "{report:?}");
    store.close(MINUTE).unwrap();
    number
}

#[test]
fn killed_again_and_again_it_keeps_what_it_acknowledged() {
    let rounds = std::env::var("GRISTMILL_KILL_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(std::process::id().into());
    let mut known = 0;
    for round in 0..rounds {
        let acknowledged = run_and_kill(dir.path(), 1 + random.below(40));
        assert!(acknowledged > known, "round {round} wrote nothing");
        // Every other time the child itself recovers, without the parent in between.
        known = if round % 2 == 0 { verify(dir.path(), acknowledged) } else { acknowledged };
    }
    verify(dir.path(), known);
}
