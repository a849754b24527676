//! `unsafe` stays in one file, and nothing waits without an event.

use super::assert_none;
use super::source::{Token, imports, paths, sources, tokens};
use super::test_code::untested;

/// The only file with `unsafe`: the memory map.
const UNSAFE_FILES: &[&str] = &["store/segment/map.rs"];

/// The only file that spins, for microseconds, before a thread sleeps.
const SPINNING_FILES: &[&str] = &["pool/spin.rs"];

/// Calls that wait without an event to wait for, as the ends of their paths.
const WAITING: &[&[&str]] = &[&["thread", "sleep"], &["yield_now"], &["spin_loop"], &["snooze"]];

/// Calls that are sleep by another name where nobody wakes the sleeper. Tests may: they bound how
/// long they look for something.
const TIMED: &[&str] = &["park_timeout", "recv_timeout", "nanosleep", "clock_nanosleep"];

/// The only file with them: the wait that the pool's workers are woken from.
const TIMED_FILES: &[&str] = &["sync/real.rs"];

/// Waits that end by time alone, outside tests.
fn timed_violations(sources: &[(String, String)]) -> Vec<String> {
    let files = untested(sources).into_iter();
    let files = files.filter(|(file, _)| !TIMED_FILES.contains(&file.as_str()));
    files
        .flat_map(|(file, tokens)| {
            let used = TIMED.iter().filter(move |call| {
                tokens.iter().any(|token| *token == Token::Word((**call).to_owned()))
            });
            used.map(move |call| format!("{file}: `{call}` waits for no event")).collect::<Vec<_>>()
        })
        .collect()
}

/// `unsafe` outside the memory map, and waiting without an event.
fn conduct_violations(file: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut wrong = Vec::new();
    if !UNSAFE_FILES.contains(&file) && tokens.contains(&Token::Word("unsafe".to_owned())) {
        wrong.push(format!("{file}: `unsafe` outside the memory map"));
    }
    for path in paths(&tokens) {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let spins = SPINNING_FILES.contains(&file) && !segments.ends_with(&["thread", "sleep"]);
        if !spins && WAITING.iter().any(|end| segments.ends_with(end)) {
            wrong.push(format!("{file}: `{}` waits for no event", segments.join("::")));
        }
        if segments.ends_with(&["thread", "*"]) {
            wrong.push(format!("{file}: `thread::*` hides whether it sleeps"));
        }
    }
    for import in imports(&tokens) {
        let last = import.named.segments.iter().rfind(|word| *word != "self");
        if last.is_some_and(|word| word == "thread") && import.name != "thread" {
            wrong.push(format!("{file}: `thread as {}` hides whether it sleeps", import.name));
        }
    }
    for call in tokens.windows(2) {
        if let [Token::Sign('.'), Token::Word(word)] = call
            && WAITING.iter().any(|end| *end == [word.as_str()])
        {
            wrong.push(format!("{file}: `.{word}` waits for no event"));
        }
    }
    wrong
}

#[test]
fn unsafe_stays_in_the_memory_map_and_nothing_waits_without_an_event() {
    let found: Vec<String> = sources()
        .into_iter()
        .flat_map(|(file, source)| conduct_violations(&file, &source))
        .collect();
    assert_none(&found);
}

#[test]
fn nothing_but_a_parked_worker_is_woken_by_time_alone() {
    assert_none(&timed_violations(&sources()));
}

#[test]
fn a_wait_by_time_alone_is_found_outside_tests() {
    let count =
        |file: &str, text: &str| timed_violations(&[(file.to_owned(), text.to_owned())]).len();
    let bad = [
        "fn f() { while !ready() { std::thread::park_timeout(d); } }",
        "fn f() { let never = std::sync::mpsc::channel::<()>(); never.1.recv_timeout(d); }",
        "use rustix::thread::nanosleep as nap;",
    ];
    for source in bad {
        assert_eq!(count("pool/mod.rs", source), 1, "{source}");
    }
    assert_eq!(count("sync/real.rs", "fn f() { thread::park_timeout(d) }"), 0);
    assert_eq!(count("pool/mod.rs", "#[cfg(test)] mod t { fn f() { park_timeout(d) } }"), 0);
}

#[test]
fn unsafe_and_idle_waiting_are_found() {
    let bad = [
        ("pool/mod.rs", "fn f() { unsafe { g() } }"),
        ("pool/mod.rs", "fn f() { std::thread::sleep(d); }"),
        ("pool/mod.rs", "use std::{thread::{self, sleep}, time::Duration};"),
        ("pool/mod.rs", "fn f() { thread::yield_now() }"),
        ("pool/mod.rs", "use std::hint::spin_loop;"),
        ("pool/mod.rs", "fn f() { backoff.snooze() }"),
        ("pool/mod.rs", "use std::thread as t; fn f() { t::sleep(d) }"),
        ("pool/mod.rs", "use std::thread::{self as t, Builder};"),
        ("pool/mod.rs", "use std::thread::*; fn f() { sleep(d) }"),
        ("pool/mod.rs", "macro_rules! m { () => { unsafe { g() } } }"),
    ];
    for (file, source) in bad {
        assert!(!conduct_violations(file, source).is_empty(), "{source}");
    }
    assert_none(&conduct_violations("store/segment/map.rs", "unsafe fn map() {}"));
    assert_none(&conduct_violations("pool/spin.rs", "use std::hint::spin_loop;"));
    assert!(!conduct_violations("pool/spin.rs", "fn f() { std::thread::sleep(d); }").is_empty());
    assert_none(&conduct_violations("pool/sleep.rs", "// unsafe, thread::sleep\nfn sleep() {}"));
}
