//! A writer process is killed, again and again: from outside at random moments, and by itself at
//! chosen calls on its files. The oracle is outside: the parent knows what the child acknowledged on
//! its standard output, and what each of its batches does.

mod points;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use gristmill::store::{Batch, Compression, Keyspace, KeyspaceOptions, Store, StoreBuilder};

use crate::{MINUTE, Random, noise, plain};
use points::{KillingVfs, POINTS};

/// Rounds unless `GRISTMILL_KILL_ROUNDS` says otherwise. `GRISTMILL_KILL_SEED` says which.
const ROUNDS: u64 = 20;
/// Keys that the child writes in turn.
const KEYS: u64 = 64;
/// The child compacts after every so many batches.
const COMPACT_EVERY: u64 = 90;

type Content = BTreeMap<(usize, Vec<u8>), Vec<u8>>;

fn builder(dir: &Path) -> StoreBuilder {
    Store::builder(dir).segment_bytes(64 << 10)
}

fn spaces(store: &Store) -> [Keyspace; 2] {
    let shared = KeyspaceOptions::compressed(Compression::Zstd(1)).deduplicated();
    [plain(store, "k"), store.keyspace("shared", shared).unwrap()]
}

/// The rows that batch `number` puts and deletes, beside its own number: a value of its own, one
/// that others share, and two deletes. All or none.
fn rows_of(number: u64) -> [(usize, u64, Option<Vec<u8>>); 4] {
    let length = usize::try_from(number * 37 % 3000).unwrap();
    [
        (0, number % KEYS, Some(noise(number, length))),
        (0, (number + KEYS / 2) % KEYS, None),
        (1, number % KEYS, Some(noise(number / 4 % 16, 900))),
        (1, (number + KEYS / 4) % KEYS, None),
    ]
}

fn batch_of(store: &Store, spaces: &[Keyspace; 2], number: u64) -> Batch {
    let mut batch = store.batch();
    batch.put(&spaces[0], "number", number.to_le_bytes());
    for (space, key, value) in rows_of(number) {
        match value {
            Some(value) => batch.put(&spaces[space], key.to_be_bytes(), value),
            None => batch.delete(&spaces[space], key.to_be_bytes()),
        }
    }
    batch
}

/// What is there after batch `number`, its number left out.
fn content_after(number: u64) -> Content {
    let mut content = Content::new();
    // What was before was overwritten or deleted since.
    for past in number.saturating_sub(4 * KEYS) + 1..=number {
        for (space, key, value) in rows_of(past) {
            let key = (space, key.to_be_bytes().to_vec());
            match value {
                Some(value) => drop(content.insert(key, value)),
                None => drop(content.remove(&key)),
            }
        }
    }
    content
}

fn number_in(k: &Keyspace) -> u64 {
    let number = k.get("number").unwrap();
    number.map_or(0, |value| u64::from_le_bytes(value[..].try_into().unwrap()))
}

/// Run by the tests below in another process: writes until it is killed.
#[test]
fn child_writes_until_killed() {
    let Some(dir) = std::env::var_os("GRISTMILL_TEST_KILL_DIR") else { return };
    let mut builder = builder(Path::new(&dir));
    if let Ok(point) = std::env::var("GRISTMILL_TEST_KILL_POINT") {
        builder = builder.vfs(Arc::new(KillingVfs::parse(&point)));
    }
    let store = builder.open().unwrap();
    let spaces = spaces(&store);
    let mut waiting = Vec::new();
    for number in number_in(&spaces[0]) + 1.. {
        let batch = batch_of(&store, &spaces, number);
        if number % 3 == 0 {
            waiting.push(batch.commit_buffered().unwrap());
        } else {
            batch.commit().unwrap();
        }
        if number % COMPACT_EVERY == 0 {
            store.compact().unwrap();
        }
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

fn start(dir: &Path, point: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "kill::child_writes_until_killed", "--nocapture"])
        .env("GRISTMILL_TEST_KILL_DIR", dir)
        .stdout(Stdio::piped());
    if let Some(point) = point {
        command.env("GRISTMILL_TEST_KILL_POINT", point);
    }
    command.spawn().unwrap()
}

/// Kills the child once it has acknowledged `count` batches, unless it does so itself before, and
/// gives the last one acknowledged: all that it wrote before it died counts.
fn run_and_kill(dir: &Path, count: u64, point: Option<&str>) -> u64 {
    let mut child = start(dir, point);
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
    let status = child.wait().unwrap();
    let killed = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(killed, Some(9), "{point:?}: the child ended by itself");
    last
}

/// The state after batch `number` is the only one allowed, for some number not below what was
/// acknowledged.
fn verify(dir: &Path, acknowledged: u64) -> u64 {
    let store = builder(dir).open().unwrap();
    let spaces = spaces(&store);
    let number = number_in(&spaces[0]);
    assert!(number >= acknowledged, "{number} found, {acknowledged} acknowledged");
    let mut found = Content::new();
    for (place, space) in spaces.iter().enumerate() {
        for row in space {
            let (key, value) = row.unwrap();
            found.insert((place, key), value.to_vec());
        }
    }
    found.remove(&(0, b"number".to_vec()));
    let expected = content_after(number);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found == expected, "values after batch {number}");
    let report = store.check().unwrap();
    assert!(report.is_clean(), "{report}");
    store.close(MINUTE).unwrap();
    number
}

#[test]
fn killed_again_and_again_it_keeps_what_it_acknowledged() {
    let rounds = std::env::var("GRISTMILL_KILL_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let seed = std::env::var("GRISTMILL_KILL_SEED")
        .map_or_else(|_unset| std::process::id().into(), |text| text.parse().unwrap());
    // Shown only when the test fails.
    println!("GRISTMILL_KILL_SEED={seed}");
    let mut random = Random::spread(seed);
    let mut known = 0;
    for round in 0..rounds {
        let kind = random.pick(&POINTS);
        let point = format!("{kind}:{}", 1 + random.below(120));
        let point = (round % 2 == 1).then_some(point.as_str());
        let acknowledged = run_and_kill(dir.path(), 1 + random.below(40), point).max(known);
        assert!(point.is_some() || acknowledged > known, "round {round} wrote nothing");
        // At times the child itself recovers, without the parent in between.
        known = if round % 3 == 2 { acknowledged } else { verify(dir.path(), acknowledged) };
    }
    verify(dir.path(), known);
}

#[test]
fn killed_at_each_kind_of_call_it_keeps_what_it_acknowledged() {
    for kind in POINTS {
        let dir = tempfile::tempdir().unwrap();
        let mut known = 0;
        for count in [1, 4, 9] {
            let point = format!("{kind}:{count}");
            known = run_and_kill(dir.path(), 1000, Some(&point)).max(known);
            known = verify(dir.path(), known);
        }
    }
}
