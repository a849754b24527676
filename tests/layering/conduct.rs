//! `unsafe` stays in one file, and nothing waits without an event.

use super::assert_none;
use super::source::{Token, paths, sources, tokens};

/// The only file with `unsafe`: the memory map.
const UNSAFE_FILES: &[&str] = &["store/segment/map.rs"];

/// The only file that spins, for microseconds, before a thread sleeps.
const SPINNING_FILES: &[&str] = &["pool/spin.rs"];

/// Calls that wait without an event to wait for, as the ends of their paths.
const WAITING: &[&[&str]] = &[&["thread", "sleep"], &["yield_now"], &["spin_loop"], &["snooze"]];

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
fn unsafe_and_idle_waiting_are_found() {
    let bad = [
        ("pool/mod.rs", "fn f() { unsafe { g() } }"),
        ("pool/mod.rs", "fn f() { std::thread::sleep(d); }"),
        ("pool/mod.rs", "use std::{thread::{self, sleep}, time::Duration};"),
        ("pool/mod.rs", "fn f() { thread::yield_now() }"),
        ("pool/mod.rs", "use std::hint::spin_loop;"),
        ("pool/mod.rs", "fn f() { backoff.snooze() }"),
    ];
    for (file, source) in bad {
        assert!(!conduct_violations(file, source).is_empty(), "{source}");
    }
    assert_none(&conduct_violations("store/segment/map.rs", "unsafe fn map() {}"));
    assert_none(&conduct_violations("pool/spin.rs", "use std::hint::spin_loop;"));
    assert!(!conduct_violations("pool/spin.rs", "fn f() { std::thread::sleep(d); }").is_empty());
    assert_none(&conduct_violations("pool/sleep.rs", "// unsafe, thread::sleep\nfn sleep() {}"));
}
